// SPDX-License-Identifier: MIT
//
// Statements: the cache, and the public bind/step/column functions.
//
// The cache is a hash table over the SQL text with a list in order of last use; at most statements_max stay,
// and a statement that the current use has in its hands is never thrown out. In front of it stands a tiny
// table over the *address* of the text, because hot code passes the same literal each time: one strcmp
// instead of a hash.
//
// A statement of ours (COMMIT, SAVEPOINT …) is never found by a job or read that asks for the same text: it was
// prepared past the authorizer, who asks no more.
//
// A finished statement is reset at once (it must not hold a cursor); its bindings are forgotten at the end of
// the use, because they point into the caller's memory.
#include "store/stmt.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/text.h"

// FNV-1a, 64 bit (Fowler, Noll, Vo).
static uint64_t hash_of(const char *text, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static weir__quick_slot *quick_slot(weir_tx *conn, const char *sql)
{
    return &conn->quick[((uintptr_t)sql >> 3) % WEIR__CONN_QUICK_SLOTS];
}

static void lru_unlink(weir_stmt *stmt)
{
    stmt->lru_prev->lru_next = stmt->lru_next;
    stmt->lru_next->lru_prev = stmt->lru_prev;
}

static void lru_to_front(weir_tx *conn, weir_stmt *stmt)
{
    stmt->lru_next = conn->lru.lru_next;
    stmt->lru_prev = &conn->lru;
    stmt->lru_next->lru_prev = stmt;
    conn->lru.lru_next = stmt;
}

static void stmt_destroy(weir_stmt *stmt)
{
    sqlite3_finalize(stmt->handle);
    free(stmt->sql);
    free(stmt);
}

static void cache_remove(weir_tx *conn, weir_stmt *stmt)
{
    weir_stmt **link = &conn->buckets[stmt->hash % WEIR__CONN_BUCKETS];
    while (*link != stmt)
        link = &(*link)->bucket_next;
    *link = stmt->bucket_next;
    for (size_t i = 0; i < WEIR__CONN_QUICK_SLOTS; i++)
        if (conn->quick[i].stmt == stmt)
            conn->quick[i] = (weir__quick_slot){0};
    lru_unlink(stmt);
    conn->statements--;
    stmt_destroy(stmt);
}

// Makes room for one more: throws out the one unused for longest. False when all are in use.
static bool cache_has_room(weir_tx *conn)
{
    if (conn->statements < conn->statements_max)
        return true;
    for (weir_stmt *stmt = conn->lru.lru_prev; stmt != &conn->lru; stmt = stmt->lru_prev) {
        if (stmt->used_in == conn->use)
            continue;
        cache_remove(conn, stmt);
        return true;
    }
    return false;
}

static weir_stmt *cache_find(weir_tx *conn, const char *sql, size_t size, uint64_t hash)
{
    for (weir_stmt *stmt = conn->buckets[hash % WEIR__CONN_BUCKETS]; stmt; stmt = stmt->bucket_next)
        if (stmt->hash == hash && stmt->own == conn->own_sql && stmt->sql_size == size &&
            memcmp(stmt->sql, sql, size) == 0)
            return stmt;
    return NULL;
}

static bool is_blank(const char *text)
{
    while (isspace((unsigned char)*text) || *text == ';')
        text++;
    return *text == '\0';
}

static void show_sql(weir_tx *conn, const char *sql, size_t size)
{
    if (!conn->reading)
        return;
    pthread_mutex_lock(&conn->sql_lock);
    weir__utf8_sanitize(conn->sql_shown, sizeof conn->sql_shown, sql, size);
    pthread_mutex_unlock(&conn->sql_lock);
}

static int stmt_create(weir_tx *conn, const char *sql, size_t size, uint64_t hash, weir_stmt **out)
{
    weir_stmt *stmt = calloc(1, sizeof *stmt);
    char *copy = stmt ? malloc(size + 1) : NULL;
    if (!copy) {
        free(stmt);
        return SQLITE_NOMEM;
    }
    memcpy(copy, sql, size + 1);
    *stmt = (weir_stmt){.conn = conn, .sql = copy, .sql_size = size, .hash = hash, .own = conn->own_sql};
    const char *rest = NULL;
    const bool undo_unseen = conn->undo_unseen;
    conn->undo_prepared = false;
    int rc = size >= INT32_MAX ? SQLITE_TOOBIG
                               : sqlite3_prepare_v3(conn->db, sql, (int)size + 1, SQLITE_PREPARE_PERSISTENT,
                                                    &stmt->handle, &rest);
    if (rc == SQLITE_OK && (!stmt->handle || !is_blank(rest)))
        rc = SQLITE_MISUSE;
    stmt->undoes = conn->undo_prepared;
    conn->undo_unseen = undo_unseen;
    if (rc != SQLITE_OK) {
        stmt_destroy(stmt);
        return rc;
    }
    *out = stmt;
    return SQLITE_OK;
}

static int cache_miss(weir_tx *conn, const char *sql, size_t size, uint64_t hash, weir_stmt **out)
{
    atomic_fetch_add_explicit(&conn->misses, 1, memory_order_relaxed);
    const int rc = stmt_create(conn, sql, size, hash, out);
    if (rc != SQLITE_OK)
        return rc;
    weir_stmt *stmt = *out;
    stmt->cached = cache_has_room(conn);
    if (stmt->cached) {
        weir_stmt **bucket = &conn->buckets[hash % WEIR__CONN_BUCKETS];
        stmt->bucket_next = *bucket;
        *bucket = stmt;
        lru_to_front(conn, stmt);
        conn->statements++;
        *quick_slot(conn, sql) = (weir__quick_slot){.text = sql, .stmt = stmt};
    }
    return SQLITE_OK;
}

int weir__stmt_get(weir_tx *conn, const char *sql, weir_stmt **out)
{
    *out = NULL;
    const weir__quick_slot slot = *quick_slot(conn, sql);
    weir_stmt *stmt = slot.text == sql && slot.stmt->own == conn->own_sql && strcmp(slot.stmt->sql, sql) == 0
                          ? slot.stmt
                          : NULL;
    if (!stmt) {
        const size_t size = strlen(sql);
        const uint64_t hash = hash_of(sql, size);
        stmt = cache_find(conn, sql, size, hash);
        if (!stmt)
            return cache_miss(conn, sql, size, hash, out);
        *quick_slot(conn, sql) = (weir__quick_slot){.text = sql, .stmt = stmt};
    }
    atomic_fetch_add_explicit(&conn->hits, 1, memory_order_relaxed);
    if (conn->lru.lru_next != stmt) {
        lru_unlink(stmt);
        lru_to_front(conn, stmt);
    }
    *out = stmt;
    return SQLITE_OK;
}

void weir__stmt_put(weir_stmt *stmt)
{
    if (!stmt->cached)
        stmt_destroy(stmt);
}

void weir__stmt_release_used(weir_tx *conn)
{
    for (weir_stmt *stmt = conn->used, *next; stmt; stmt = next) {
        next = stmt->used_next;
        stmt->used_next = NULL;
        if (!stmt->cached) {
            stmt_destroy(stmt);
            continue;
        }
        if (stmt->running)
            sqlite3_reset(stmt->handle);
        stmt->running = false;
        sqlite3_clear_bindings(stmt->handle);
    }
    conn->used = NULL;
}

void weir__stmt_cache_clear(weir_tx *conn)
{
    weir__stmt_release_used(conn);
    while (conn->lru.lru_next && conn->lru.lru_next != &conn->lru)
        cache_remove(conn, conn->lru.lru_next);
}

// A read past its deadline gets no further row; its transaction is ended, so that it pins nothing any more.
static int give_up_read(weir_tx *conn, weir_error *err)
{
    for (weir_stmt *stmt = conn->used; stmt; stmt = stmt->used_next) {
        if (stmt->running)
            sqlite3_reset(stmt->handle);
        stmt->running = false;
    }
    weir__conn_roll_back(conn);
    return weir__conn_error(conn, SQLITE_INTERRUPT, "read", err);
}

// Whether the transaction may still be used: in this process, before its deadline.
static int check_usable(weir_tx *conn, weir_error *err)
{
    if (conn->fork_generation != weir__fork_generation())
        return weir__error_set(err, WEIR_FORKED, "%s: this transaction was begun before fork() by the parent",
                               conn->path);
    if (!conn->reading)
        return WEIR_OK;
    if (!conn->expired && conn->deadline_ns != WEIR__FOREVER)
        conn->expired = weir__clock_now_ns(conn->clock) >= conn->deadline_ns;
    return conn->expired || atomic_load_explicit(&conn->interrupt, memory_order_relaxed)
               ? give_up_read(conn, err)
               : WEIR_OK;
}

// Faults of the file or the machine, as opposed to errors of the job: remembered, because a job may swallow
// its error.
static void note_fault(weir_tx *conn, int sqlite_code)
{
    const int code = weir__sqlite_code(sqlite_code);
    if (!conn->fault_code &&
        (code == WEIR_FULL || code == WEIR_IO || code == WEIR_CORRUPT || code == WEIR_NOTADB))
        conn->fault_code = sqlite_code;
}

static int failed(weir_stmt *stmt, int sqlite_code, weir_error *err)
{
    weir_tx *conn = stmt->conn;
    note_fault(conn, sqlite_code);
    const int code = weir__conn_error(conn, sqlite_code, stmt->sql, err);
    return code == WEIR_EXPIRED || code == WEIR_CLOSED ? give_up_read(conn, err) : code;
}

int weir_prepare(weir_tx *tx, const char *sql, weir_stmt **out, weir_error *err)
{
    *out = NULL;
    const int code = check_usable(tx, err);
    if (code != WEIR_OK)
        return code;
    const int rc = weir__stmt_get(tx, sql, out);
    if (rc == SQLITE_MISUSE)
        return weir__error_set(err, WEIR_INVALID, "%s: not exactly one SQL statement: %.200s", tx->path, sql);
    if (rc != SQLITE_OK) {
        note_fault(tx, rc);
        return weir__conn_error(tx, rc, sql, err);
    }
    weir_stmt *stmt = *out;
    if (stmt->used_in != tx->use) {
        stmt->used_in = tx->use;
        stmt->used_next = tx->used;
        tx->used = stmt;
    } else {
        weir_reset(stmt);
    }
    stmt->bind_code = SQLITE_OK;
    show_sql(tx, stmt->sql, stmt->sql_size);
    return WEIR_OK;
}

static void note_bind(weir_stmt *stmt, int rc)
{
    if (rc != SQLITE_OK && stmt->bind_code == SQLITE_OK)
        stmt->bind_code = rc;
}

void weir_bind_int64(weir_stmt *stmt, int index, int64_t value)
{
    note_bind(stmt, sqlite3_bind_int64(stmt->handle, index, value));
}

void weir_bind_double(weir_stmt *stmt, int index, double value)
{
    note_bind(stmt, sqlite3_bind_double(stmt->handle, index, value));
}

void weir_bind_text(weir_stmt *stmt, int index, const char *text, size_t size)
{
    if (!text) {
        weir_bind_null(stmt, index);
        return;
    }
    const size_t bytes = size == WEIR_TEXT_TERMINATED ? strlen(text) : size;
    note_bind(stmt, sqlite3_bind_text64(stmt->handle, index, text, bytes, SQLITE_STATIC, SQLITE_UTF8));
}

void weir_bind_blob(weir_stmt *stmt, int index, const void *data, size_t size)
{
    if (!data && size == 0) {
        note_bind(stmt, sqlite3_bind_zeroblob(stmt->handle, index, 0));
        return;
    }
    note_bind(stmt, sqlite3_bind_blob64(stmt->handle, index, data, size, SQLITE_STATIC));
}

void weir_bind_null(weir_stmt *stmt, int index)
{
    note_bind(stmt, sqlite3_bind_null(stmt->handle, index));
}

int weir_step(weir_stmt *stmt, bool *row, weir_error *err)
{
    *row = false;
    const int code = check_usable(stmt->conn, err);
    if (code != WEIR_OK)
        return code;
    if (stmt->bind_code != SQLITE_OK)
        return weir__error_set(err, weir__sqlite_code(stmt->bind_code),
                               "%s: cannot bind a value (%s) in %.200s", stmt->conn->path,
                               sqlite3_errstr(stmt->bind_code), stmt->sql);
    stmt->running = true;
    const int rc = sqlite3_step(stmt->handle);
    if (stmt->undoes)
        weir__epoch_change(stmt->conn);
    if (rc == SQLITE_ROW) {
        *row = true;
        return WEIR_OK;
    }
    stmt->running = false;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(stmt->handle);
        return WEIR_OK;
    }
    const int answer = failed(stmt, rc, err);
    sqlite3_reset(stmt->handle);
    return answer;
}

void weir_reset(weir_stmt *stmt)
{
    sqlite3_reset(stmt->handle);
    sqlite3_clear_bindings(stmt->handle);
    stmt->running = false;
    stmt->bind_code = SQLITE_OK;
}

int weir_column_count(weir_stmt *stmt)
{
    return sqlite3_column_count(stmt->handle);
}

const char *weir_column_name(weir_stmt *stmt, int column)
{
    return sqlite3_column_name(stmt->handle, column);
}

weir_type weir_column_type(weir_stmt *stmt, int column)
{
    return (weir_type)sqlite3_column_type(stmt->handle, column);
}

int64_t weir_column_int64(weir_stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->handle, column);
}

double weir_column_double(weir_stmt *stmt, int column)
{
    return sqlite3_column_double(stmt->handle, column);
}

const char *weir_column_text(weir_stmt *stmt, int column)
{
    return (const char *)sqlite3_column_text(stmt->handle, column);
}

const void *weir_column_blob(weir_stmt *stmt, int column)
{
    return sqlite3_column_blob(stmt->handle, column);
}

size_t weir_column_size(weir_stmt *stmt, int column)
{
    return (size_t)sqlite3_column_bytes(stmt->handle, column);
}

// Binds what `types` names; false for a letter that means nothing.
static bool bind_all(weir_stmt *stmt, const char *types, va_list args)
{
    for (int index = 1; *types; index++, types++) {
        switch (*types) {
        case 'i':
            weir_bind_int64(stmt, index, va_arg(args, int64_t));
            break;
        case 'd':
            weir_bind_double(stmt, index, va_arg(args, double));
            break;
        case 't':
            weir_bind_text(stmt, index, va_arg(args, const char *), WEIR_TEXT_TERMINATED);
            break;
        case 'b': {
            const void *data = va_arg(args, const void *);
            weir_bind_blob(stmt, index, data, va_arg(args, size_t));
            break;
        }
        case 'n':
            weir_bind_null(stmt, index);
            break;
        default:
            return false;
        }
    }
    return true;
}

int weir_exec(weir_tx *tx, weir_error *err, const char *sql, const char *types, ...)
{
    weir_stmt *stmt = NULL;
    int code = weir_prepare(tx, sql, &stmt, err);
    if (code != WEIR_OK)
        return code;
    WEIR_ASSERT(stmt != NULL);
    const char *const letters = types ? types : "";
    if (sqlite3_bind_parameter_count(stmt->handle) != (int)strlen(letters))
        return weir__error_set(err, WEIR_INVALID, "%s: %zu values for %d placeholders in %.200s", tx->path,
                               strlen(letters), sqlite3_bind_parameter_count(stmt->handle), sql);
    va_list args;
    va_start(args, types);
    const bool known = bind_all(stmt, letters, args);
    va_end(args);
    if (!known)
        return weir__error_set(err, WEIR_INVALID, "%s: a type letter in \"%s\" is none of i, d, t, b, n",
                               tx->path, letters);
    bool row = false;
    do
        code = weir_step(stmt, &row, err);
    while (code == WEIR_OK && row);
    return code;
}

int weir_exec_script(weir_tx *tx, const char *script, weir_error *err)
{
    const int usable = check_usable(tx, err);
    if (usable != WEIR_OK)
        return usable;
    for (const char *rest = script; !is_blank(rest);) {
        sqlite3_stmt *stmt = NULL;
        const char *const sql = rest;
        int rc = sqlite3_prepare_v2(tx->db, sql, -1, &stmt, &rest);
        while (rc == SQLITE_OK || rc == SQLITE_ROW)
            rc = stmt ? sqlite3_step(stmt) : SQLITE_DONE;
        const int code = rc == SQLITE_DONE ? WEIR_OK : weir__conn_error(tx, rc, sql, err);
        if (rc != SQLITE_DONE)
            note_fault(tx, rc);
        sqlite3_finalize(stmt);
        if (code != WEIR_OK)
            return code;
    }
    return WEIR_OK;
}

int64_t weir_changes(weir_tx *tx)
{
    return sqlite3_changes64(tx->db);
}

int64_t weir_last_insert_rowid(weir_tx *tx)
{
    return sqlite3_last_insert_rowid(tx->db);
}

struct sqlite3 *weir_tx_sqlite(weir_tx *tx)
{
    tx->raw = true;
    return tx->db;
}
