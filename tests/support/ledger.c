// SPDX-License-Identifier: MIT
//
// The ledger and its judge: see ledger.h.
#include "support/ledger.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

void ledger_init(ledger *book, size_t capacity)
{
    *book = (ledger){.entries = calloc(capacity, sizeof *book->entries), .capacity = capacity};
    assert_non_null(book->entries);
}

void ledger_fini(ledger *book)
{
    free(book->entries);
    *book = (ledger){0};
}

ledger_entry *ledger_add(ledger *book, ledger_deed deed, weir_ack ack)
{
    const size_t index = atomic_fetch_add(&book->size, 1);
    if (index >= book->capacity)
        abort();
    ledger_entry *const entry = &book->entries[index];
    entry->id = (int64_t)index;
    entry->deed = deed;
    entry->ack = ack;
    return entry;
}

int ledger_expected(ledger_deed deed)
{
    static const int CODES[LEDGER_DEEDS] = {WEIR_OK, WEIR_STATE, WEIR_STATE, WEIR_CONSTRAINT, WEIR_SQL};
    return CODES[deed];
}

static int do_deed(weir_tx *tx, void *arg, weir_error *err)
{
    ledger_entry *const entry = arg;
    atomic_fetch_add(&entry->runs, 1);
    const int code = weir_exec(tx, err, "INSERT INTO ledger(id) VALUES($1)", "i", entry->id);
    if (code != WEIR_OK)
        return code;
    switch (entry->deed) {
    case LEDGER_REFUSES:
        return weir__error_set(err, WEIR_STATE, "entry %lld refuses", (long long)entry->id);
    case LEDGER_SILENT:
        return WEIR_STATE;
    case LEDGER_CONSTRAINT:
        return weir_exec_script(tx, "INSERT INTO taken VALUES('x'),('x')", err);
    case LEDGER_WRONG_SQL:
        return weir_exec(tx, err, "INSERT INTO nowhere VALUES(1)", "");
    default:
        return WEIR_OK;
    }
}

static void release(void *arg)
{
    ledger_entry *const entry = arg;
    atomic_fetch_add(&entry->releases, 1);
}

static void answer(ledger_entry *entry, int code, const char *text)
{
    atomic_store(&entry->code, code);
    snprintf(entry->text, sizeof entry->text, "%s", code == WEIR_OK ? "" : text);
    atomic_fetch_add(&entry->answers, 1);
}

static void done(void *context, const weir_error *result)
{
    answer(context, result->code, result->text);
}

static weir_write_options options_of(const ledger_entry *entry, const weir_write_options *given)
{
    weir_write_options options = given ? *given : (weir_write_options){.label = "ledger"};
    options.ack = entry->ack;
    options.release = release;
    return options;
}

int ledger_write(weir_store *store, ledger_entry *entry, const weir_write_options *given)
{
    const weir_write_options options = options_of(entry, given);
    weir_error err = WEIR_ERROR_INIT;
    const int code = weir_write(store, do_deed, entry, &options, &err);
    answer(entry, code, err.text);
    return code;
}

int ledger_submit(weir_store *store, ledger_entry *entry, const weir_write_options *given)
{
    const weir_write_options options = options_of(entry, given);
    weir_error err = WEIR_ERROR_INIT;
    const int code = weir_submit(store, do_deed, entry, &options, done, entry, &err);
    if (code != WEIR_OK)
        answer(entry, code, err.text);
    return code;
}

static bool is_settled(void *arg)
{
    const ledger *const book = arg;
    for (size_t i = 0; i < book->size; i++)
        if (book->entries[i].answers == 0 || book->entries[i].releases == 0)
            return false;
    return true;
}

void ledger_await(ledger *book)
{
    if (!await(is_settled, book))
        fail_msg("entries of the ledger were not answered, or not released");
}

// ----------------------------------------------------------------------------------------------------- judge

// How many rows each entry has, and whether they are in order.
static size_t count_rows(const ledger *book, const char *database, int *rows, bool ordered)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    size_t count = 0;
    int64_t last = -1;
    if (sqlite3_open_v2(database, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT id FROM ledger ORDER BY place", -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s: %s", database, sqlite3_errmsg(db));
    int rc = SQLITE_ROW;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const int64_t id = sqlite3_column_int64(stmt, 0);
        if (id < 0 || (size_t)id >= book->size)
            fail_msg("the row of an entry that never was: %lld", (long long)id);
        if (ordered && id <= last)
            fail_msg("entry %lld stands behind entry %lld", (long long)id, (long long)last);
        last = id;
        rows[id]++;
        count++;
    }
    if (rc != SQLITE_DONE)
        fail_msg("%s: %s", database, sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return count;
}

static void judge_entry(const ledger_entry *entry, int rows, bool applied_lost)
{
    const int code = entry->code;
    const bool may_miss = code == WEIR_UNKNOWN || (applied_lost && entry->ack == WEIR_ACK_APPLIED);
    const int least = code == WEIR_OK && !may_miss ? 1 : 0;
    const int most = code == WEIR_OK || code == WEIR_UNKNOWN ? 1 : 0;
    if (rows < least || rows > most)
        fail_msg("entry %lld (deed %d, ack %d) was answered %s \"%s\" and has %d rows", (long long)entry->id,
                 (int)entry->deed, (int)entry->ack, weir_code_name(code), entry->text, rows);
    if (code == WEIR_OK && entry->deed != LEDGER_FINE)
        fail_msg("entry %lld (deed %d) cannot have gone well", (long long)entry->id, (int)entry->deed);
    if (entry->answers != 1 || entry->releases != 1)
        fail_msg("entry %lld was answered %d times and released %d times", (long long)entry->id,
                 entry->answers, entry->releases);
}

ledger_verdict ledger_judge(ledger *book, const char *database, bool applied_lost, bool ordered)
{
    must_be_intact(database);
    ledger_verdict verdict = {0};
    int *const rows = calloc(book->size + 1, sizeof *rows);
    assert_non_null(rows);
    verdict.rows = count_rows(book, database, rows, ordered);
    for (size_t i = 0; i < book->size; i++) {
        const ledger_entry *const entry = &book->entries[i];
        judge_entry(entry, rows[i], applied_lost);
        verdict.answered_ok += entry->code == WEIR_OK;
        verdict.unknown += entry->code == WEIR_UNKNOWN;
        verdict.answered_error += entry->code != WEIR_OK && entry->code != WEIR_UNKNOWN;
    }
    free(rows);
    return verdict;
}

// ------------------------------------------------------------------------------------------------------ gate

static int gate_job(weir_tx *tx, void *arg, weir_error *err)
{
    gate *const g = arg;
    (void)tx, (void)err;
    pthread_mutex_lock(&g->lock);
    g->reached = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return WEIR_OK;
}

static void gate_release(void *arg)
{
    gate *const g = arg;
    pthread_mutex_lock(&g->lock);
    g->released = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

void gate_close(gate *g, weir_store *store)
{
    if (!gate_try_close(g, store))
        fail_msg("the writer did not stop in the gate");
}

bool gate_try_close(gate *g, weir_store *store)
{
    *g = (gate){0};
    pthread_mutex_init(&g->lock, NULL);
    weir__cond_init(&g->changed);
    weir_error err = WEIR_ERROR_INIT;
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED, .release = gate_release, .label = "gate"};
    weir_submit(store, gate_job, g, &options, NULL, NULL, &err); // a refused argument is released too
    pthread_mutex_lock(&g->lock);
    while (!g->reached && !g->released)
        pthread_cond_wait(&g->changed, &g->lock);
    const bool reached = g->reached;
    pthread_mutex_unlock(&g->lock);
    if (!reached)
        gate_fini(g);
    return reached;
}

void gate_open(gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

void gate_fini(gate *g)
{
    pthread_mutex_lock(&g->lock);
    while (!g->released)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
}
