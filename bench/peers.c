// SPDX-License-Identifier: MIT
//
// Plain SQLite as people use it: a connection for each thread, statements prepared once, SQLite's automatic
// checkpoints, and what sqlite3_busy_timeout() does, for five seconds. The busy handler is one of ours that
// sleeps as SQLite's own does, because SQLite's own would not notice that the time is up, and a thread that
// is unlucky with the lock would make the whole run wait for it.
//
// One thread alone commits with a bare INSERT (autocommit), which is the cheapest way to have a transaction
// per row; several threads ask for the write lock first (BEGIN IMMEDIATE), because a transaction that has to
// upgrade from reading fails without waiting.
#include <sqlite3.h>
#include <string.h>

#include "base/clock.h"
#include "bench/commit.h"

enum { BUSY_TIMEOUT_MS = 5000 };

typedef struct peer {
    sqlite3 *db;
    sqlite3_stmt *begin, *insert, *commit;
    const char *text;
    size_t text_bytes;
} peer;

// SQLite's pauses for sqlite3_busy_timeout().
static int on_busy(void *arg, int times)
{
    static const uint8_t pauses_ms[] = {1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100};
    enum { PAUSES = sizeof pauses_ms / sizeof pauses_ms[0] };
    const weir__worker *worker = arg;
    int waited_ms = 0;
    for (int i = 0; i < times && i < PAUSES; i++)
        waited_ms += pauses_ms[i];
    if (times > PAUSES)
        waited_ms += (times - PAUSES) * pauses_ms[PAUSES - 1];
    const int pause_ms = pauses_ms[times < PAUSES ? times : PAUSES - 1];
    const int left_ms = BUSY_TIMEOUT_MS - waited_ms;
    if (left_ms <= 0 || !weir__worker_goes_on(worker))
        return 0;
    sqlite3_sleep(pause_ms < left_ms ? pause_ms : left_ms);
    return 1;
}

static int sqlite_error(sqlite3 *db, int rc, const char *doing, const char *path, weir_error *err)
{
    const char *const message = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    return weir__error_set(err, WEIR_IO, "%s: cannot %s: %s", path, doing, message);
}

static void peer_close(peer *p)
{
    sqlite3_finalize(p->begin);
    sqlite3_finalize(p->insert);
    sqlite3_finalize(p->commit);
    sqlite3_close(p->db);
    *p = (peer){0};
}

static int configure(const peer *p, const weir__bench_task *task, weir_error *err)
{
    weir__text pragmas = {0};
    weir__text_printf(&pragmas, "PRAGMA synchronous=%s; PRAGMA cache_size=-%d;",
                      task->row->normal ? "NORMAL" : "FULL", WEIR__BENCH_CACHE_KIB);
    const int rc = sqlite3_exec(p->db, weir__text_string(&pragmas), NULL, NULL, NULL);
    weir__text_free(&pragmas);
    return rc == SQLITE_OK ? WEIR_OK : sqlite_error(p->db, rc, "set its pragmas", task->database, err);
}

static void peer_open(weir__worker *worker, peer *out)
{
    const weir__bench_task *task = worker->context;
    weir_error *err = &worker->err;
    peer p = {.text = task->text, .text_bytes = task->text_bytes};
    int code = WEIR_OK;
    int rc = sqlite3_open_v2(task->database, &p.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, task->vfs);
    if (rc != SQLITE_OK) {
        code = sqlite_error(p.db, rc, "open it", task->database, err);
        goto out;
    }
    sqlite3_busy_handler(p.db, on_busy, worker);
    code = configure(&p, task, err);
    if (code != WEIR_OK)
        goto out;
    rc = sqlite3_prepare_v2(p.db, "BEGIN IMMEDIATE", -1, &p.begin, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(p.db, WEIR__BENCH_INSERT, -1, &p.insert, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(p.db, "COMMIT", -1, &p.commit, NULL);
    if (rc != SQLITE_OK)
        code = sqlite_error(p.db, rc, "prepare the statements", task->database, err);
out:
    if (code != WEIR_OK)
        peer_close(&p);
    *out = p;
}

static int run_once(sqlite3_stmt *stmt)
{
    sqlite3_step(stmt);
    return sqlite3_reset(stmt);
}

static int insert(const peer *p, int64_t value)
{
    sqlite3_bind_int64(p->insert, 1, value);
    sqlite3_bind_text(p->insert, 2, p->text, (int)p->text_bytes, SQLITE_STATIC);
    return run_once(p->insert);
}

static int in_transaction(const peer *p, int64_t value)
{
    int rc = run_once(p->begin);
    if (rc != SQLITE_OK)
        return rc;
    rc = insert(p, value);
    if (rc == SQLITE_OK)
        rc = run_once(p->commit);
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(p->db))
        sqlite3_exec(p->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

// Works with a connection of its own until it is time to stop; `write` gets one row into the database.
static void work(weir__worker *worker, int (*write)(const peer *, int64_t))
{
    const weir__bench_task *task = worker->context;
    peer p;
    peer_open(worker, &p);
    weir__worker_ready(worker);
    while (weir__worker_goes_on(worker)) {
        const int64_t value = weir__worker_next_value(worker);
        const uint64_t start_ns = weir__worker_now_ns();
        const int rc = write(&p, value);
        if (rc == SQLITE_OK)
            weir__worker_acknowledge(worker, 1, value, weir__worker_now_ns() - start_ns);
        else if (rc == SQLITE_BUSY)
            worker->gave_up += weir__worker_goes_on(worker);
        else
            sqlite_error(p.db, rc, "write", task->database, &worker->err);
    }
    peer_close(&p);
}

void weir__peer_one_by_one(weir__worker *worker)
{
    work(worker, insert);
}

void weir__peer_in_turns(weir__worker *worker)
{
    work(worker, in_transaction);
}

static int bulk(const peer *p, weir__worker *worker, int64_t *values_sum)
{
    *values_sum = 0;
    int rc = run_once(p->begin);
    for (int i = 0; i < WEIR__BENCH_BULK_ROWS && rc == SQLITE_OK; i++) {
        const int64_t value = weir__worker_next_value(worker);
        *values_sum += value;
        rc = insert(p, value);
    }
    return rc == SQLITE_OK ? run_once(p->commit) : rc;
}

void weir__peer_bulk(weir__worker *worker)
{
    const weir__bench_task *task = worker->context;
    peer p;
    peer_open(worker, &p);
    weir__worker_ready(worker);
    while (weir__worker_goes_on(worker)) {
        int64_t values_sum;
        const uint64_t start_ns = weir__worker_now_ns();
        const int rc = bulk(&p, worker, &values_sum);
        if (rc == SQLITE_OK)
            weir__worker_acknowledge(worker, WEIR__BENCH_BULK_ROWS, values_sum,
                                     weir__worker_now_ns() - start_ns);
        else
            sqlite_error(p.db, rc, "write", task->database, &worker->err);
    }
    peer_close(&p);
}

int weir__peer_run(weir__bench_task *task, weir__crew *crew, weir__bench_round *round, weir_error *err)
{
    const weir__bench_row *row = task->row;
    const int code = weir__crew_run(crew, row->threads, row->work, task, task->window_ns, task->signals,
                                    &task->signal_number, err);
    if (code == WEIR_OK)
        weir__bench_pace_of(crew, 0, crew->size, &round->pace);
    return code;
}
