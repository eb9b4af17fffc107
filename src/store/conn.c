// SPDX-License-Identifier: MIT
//
// Opening a connection, the deadline of a read, transaction control, and SQLite's result codes as ours.
//
// A deadline is enforced by SQLite's progress handler, which looks at the clock every WEIR__CONN_PROGRESS_OPS
// steps of the virtual machine: no watchdog thread, and no interrupt that could hit the next read on the same
// connection.
#include "store/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/text.h"
#include "store/stmt.h"

enum {
    ROLLBACK_TRIES = 100, // with ROLLBACK_PAUSE_MS in between, while there is no memory
    ROLLBACK_PAUSE_MS = 10,
};

static const struct {
    int sqlite_code;
    int code;
} CODES[] = {
    {SQLITE_OK, WEIR_OK},
    {SQLITE_BUSY, WEIR_BUSY},
    {SQLITE_LOCKED, WEIR_BUSY},
    {SQLITE_INTERRUPT, WEIR_EXPIRED},
    {SQLITE_FULL, WEIR_FULL},
    {SQLITE_IOERR, WEIR_IO},
    {SQLITE_CORRUPT, WEIR_CORRUPT},
    {SQLITE_NOTADB, WEIR_NOTADB},
    {SQLITE_CONSTRAINT, WEIR_CONSTRAINT},
    {SQLITE_PERM, WEIR_DENIED},
    {SQLITE_AUTH, WEIR_DENIED},
    {SQLITE_READONLY, WEIR_DENIED},
    {SQLITE_CANTOPEN, WEIR_IO},
    {SQLITE_NOMEM, WEIR_NOMEM},
    {SQLITE_TOOBIG, WEIR_TOOBIG},
    {SQLITE_RANGE, WEIR_INVALID},
    {SQLITE_MISUSE, WEIR_INVALID},
    {SQLITE_MISMATCH, WEIR_INVALID},
    {SQLITE_ERROR, WEIR_SQL},
    {SQLITE_SCHEMA, WEIR_SQL},
    {SQLITE_PROTOCOL, WEIR_BUSY},
    {SQLITE_NOLFS, WEIR_TOOBIG},
};

int weir__sqlite_code(int sqlite_code)
{
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++)
        if (CODES[i].sqlite_code == (sqlite_code & 0xff))
            return CODES[i].code;
    return WEIR_INTERNAL;
}

bool weir__is_sync_failure(int sqlite_code)
{
    return sqlite_code == SQLITE_IOERR_FSYNC || sqlite_code == SQLITE_IOERR_DIR_FSYNC;
}

int weir__conn_sync_database(weir_tx *conn, weir_error *err)
{
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc == SQLITE_OK && file && file->pMethods)
        rc = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    if (rc == SQLITE_OK)
        return WEIR_OK;
    weir__error_set(err, WEIR_IO, "cannot sync %s: %s", conn->path, sqlite3_errstr(rc));
    if (err)
        err->sqlite_code = SQLITE_IOERR_FSYNC;
    return WEIR_IO;
}

// SQLite spells out "interrupted" for a read that we stopped; the sentence must name the deadline and the SQL
// instead.
static int expired_error(weir_tx *conn, weir_error *err)
{
    char sql[WEIR__CONN_SQL_SHOWN];
    weir__conn_sql(conn, sql, sizeof sql);
    if (atomic_load(&conn->interrupt))
        return weir__error_set(err, WEIR_CLOSED, "%s: the store is closing; interrupted: %s", conn->path,
                               sql);
    return weir__error_set(err, WEIR_EXPIRED, "%s: the deadline of this read has passed; interrupted: %s",
                           conn->path, sql);
}

int weir__conn_error(weir_tx *conn, int sqlite_code, const char *what, weir_error *err)
{
    const int code = weir__sqlite_code(sqlite_code);
    if (code == WEIR_EXPIRED)
        return expired_error(conn, err);
    const char *message = sqlite3_extended_errcode(conn->db) == sqlite_code ? sqlite3_errmsg(conn->db)
                                                                            : sqlite3_errstr(sqlite_code);
    char shown[WEIR__CONN_SQL_SHOWN];
    weir__utf8_sanitize(shown, sizeof shown, what, strlen(what));
    weir__error_set(err, code, "%s: %s (in %s)", conn->path, message, shown);
    if (err) {
        err->sqlite_code = sqlite_code;
        err->os_errno = code == WEIR_IO || code == WEIR_FULL ? sqlite3_system_errno(conn->db) : 0;
    }
    return code;
}

void weir__conn_sql(weir_tx *conn, char *out, size_t size)
{
    pthread_mutex_lock(&conn->sql_lock);
    weir__utf8_sanitize(out, size, conn->sql_shown, strlen(conn->sql_shown));
    pthread_mutex_unlock(&conn->sql_lock);
}

static int on_progress(void *arg)
{
    weir_tx *conn = arg;
    if (atomic_load_explicit(&conn->interrupt, memory_order_relaxed))
        return 1;
    if (conn->deadline_ns == WEIR__FOREVER)
        return 0;
    conn->expired = conn->expired || weir__clock_now_ns(conn->clock) >= conn->deadline_ns;
    return conn->expired;
}

// SQLite's busy handler: short sleeps, as long as this use may wait for other processes.
static int on_busy(void *arg, int times)
{
    static const uint8_t SLEEPS_MS[] = {1, 2, 5, 10, 15, 20, 25};
    const weir_tx *conn = arg;
    const uint64_t now_ns = weir__clock_now_ns(conn->clock);
    if (now_ns >= conn->busy_until_ns || atomic_load(&conn->interrupt))
        return 0;
    const size_t last = sizeof SLEEPS_MS - 1;
    const uint64_t sleep_ns = SLEEPS_MS[(size_t)times < last ? (size_t)times : last] * WEIR__NS_PER_MS;
    const uint64_t wake_ns = now_ns + sleep_ns;
    weir__clock_sleep_until(conn->clock, wake_ns < conn->busy_until_ns ? wake_ns : conn->busy_until_ns);
    return 1;
}

// Jobs must not end the group's transaction, nor change what the engine has set. Asked when a statement is
// prepared, so a cached statement costs nothing.
static int on_authorize(void *arg, int action, const char *first, const char *second, const char *third,
                        const char *fourth)
{
    static const char *const KEPT[] = {"journal_mode",       "synchronous",  "wal_checkpoint",
                                       "wal_autocheckpoint", "locking_mode", "query_only",
                                       "journal_size_limit", "busy_timeout"};
    (void)third, (void)fourth;
    weir_tx *conn = arg;
    if (action == SQLITE_SAVEPOINT && first && strcmp(first, "ROLLBACK") == 0)
        conn->undo_prepared = conn->undo_unseen = true;
    if (conn->own_sql)
        return SQLITE_OK;
    if (action == SQLITE_TRANSACTION || action == SQLITE_ATTACH || action == SQLITE_DETACH)
        return SQLITE_DENY;
    if (action == SQLITE_SAVEPOINT)
        return second && sqlite3_strnicmp(second, "weir_", 5) == 0 ? SQLITE_DENY : SQLITE_OK;
    if (action != SQLITE_PRAGMA || !first)
        return SQLITE_OK;
    for (size_t i = 0; i < sizeof KEPT / sizeof KEPT[0]; i++)
        if (sqlite3_stricmp(first, KEPT[i]) == 0 && (second || strcmp(KEPT[i], "wal_checkpoint") == 0))
            return SQLITE_DENY;
    return SQLITE_OK;
}

// A commit inside a job: SQLite has rolled the group back, and the job went on as if nothing had been. What it
// writes now would be committed by itself, although the job is run again or reported as failed. Refused.
static int on_commit(void *arg)
{
    const weir_tx *conn = arg;
    return !conn->own_sql;
}

int weir__conn_open(const weir__conn_options *options, weir_tx **out, weir_error *err)
{
    *out = NULL;
    weir_tx *conn = calloc(1, sizeof *conn);
    if (!conn)
        return weir__error_set(err, WEIR_NOMEM, "%s: out of memory", options->path);
    conn->path = options->path;
    conn->clock = options->clock;
    conn->kind = options->kind;
    conn->statements_max = options->statements_max;
    conn->deadline_ns = WEIR__FOREVER;
    conn->busy_until_ns = options->busy_until_ns;
    conn->use = 1;
    conn->fork_generation = weir__fork_generation();
    conn->own_sql = true;
    conn->lru.lru_next = conn->lru.lru_prev = &conn->lru;
    pthread_mutex_init(&conn->sql_lock, NULL);

    const int access = options->read_only
                           ? SQLITE_OPEN_READONLY
                           : SQLITE_OPEN_READWRITE | (options->create ? SQLITE_OPEN_CREATE : 0);
    const int rc = sqlite3_open_v2(options->path, &conn->db,
                                   access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, options->vfs);
    if (rc != SQLITE_OK) {
        const int code = conn->db ? weir__conn_error(conn, rc, "open", err)
                                  : weir__error_set(err, WEIR_NOMEM, "%s: out of memory", options->path);
        weir__conn_close(conn);
        return code;
    }
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_busy_handler(conn->db, on_busy, conn);
    sqlite3_progress_handler(conn->db, WEIR__CONN_PROGRESS_OPS, on_progress, conn);
    sqlite3_set_authorizer(conn->db, on_authorize, conn);
    sqlite3_commit_hook(conn->db, on_commit, conn);
    int prepared =
        sqlite3_prepare_v3(conn->db, "ROLLBACK", -1, SQLITE_PREPARE_PERSISTENT, &conn->rollback, NULL);
    if (prepared == SQLITE_OK)
        prepared = weir__epoch_init(conn);
    if (prepared != SQLITE_OK) {
        const int code = weir__conn_error(conn, prepared, "open", err);
        weir__conn_close(conn);
        return code;
    }
    *out = conn;
    return WEIR_OK;
}

void weir__conn_close(weir_tx *conn)
{
    if (!conn)
        return;
    weir__stmt_cache_clear(conn);
    sqlite3_finalize(conn->rollback);
    sqlite3_finalize(conn->data_version_stmt);
    for (sqlite3_stmt *left = NULL; conn->db && (left = sqlite3_next_stmt(conn->db, NULL)) != NULL;)
        sqlite3_finalize(left); // somebody's, of the raw connection
    sqlite3_close_v2(conn->db);
    pthread_mutex_destroy(&conn->sql_lock);
    free(conn);
}

static int pragma_row(weir_tx *conn, const char *pragma, sqlite3_stmt **stmt, weir_error *err)
{
    int rc = sqlite3_prepare_v2(conn->db, pragma, -1, stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(*stmt);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return WEIR_OK;
    return weir__conn_error(conn, rc, pragma, err);
}

int weir__conn_pragma_int64(weir_tx *conn, const char *pragma, int64_t *value, weir_error *err)
{
    sqlite3_stmt *stmt = NULL;
    const int code = pragma_row(conn, pragma, &stmt, err);
    if (value)
        *value = code == WEIR_OK && sqlite3_data_count(stmt) ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    return code;
}

int weir__conn_pragma_text(weir_tx *conn, const char *pragma, char *value, size_t size, weir_error *err)
{
    sqlite3_stmt *stmt = NULL;
    const int code = pragma_row(conn, pragma, &stmt, err);
    const char *text =
        code == WEIR_OK && sqlite3_data_count(stmt) ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    if (value)
        weir__utf8_sanitize(value, size, text ? text : "", text ? strlen(text) : 0);
    sqlite3_finalize(stmt);
    return code;
}

void weir__conn_use_begin(weir_tx *conn, uint64_t deadline_ns)
{
    WEIR_ASSERT(conn->used == NULL);
    conn->use++;
    conn->deadline_ns = deadline_ns;
    conn->expired = false;
    conn->fault_code = 0;
    conn->own_sql = false;
}

// What was left running on the raw connection would keep its snapshot, for the next use too.
static void reset_raw(weir_tx *conn)
{
    for (sqlite3_stmt *stmt = sqlite3_next_stmt(conn->db, NULL); stmt;
         stmt = sqlite3_next_stmt(conn->db, stmt))
        if (sqlite3_stmt_busy(stmt))
            sqlite3_reset(stmt);
    conn->raw = false;
}

void weir__conn_use_end(weir_tx *conn)
{
    weir__stmt_release_used(conn);
    if (conn->raw)
        reset_raw(conn);
    weir__epoch_end_use(conn);
    conn->use++; // nothing is in use: all may leave the cache
    conn->deadline_ns = WEIR__FOREVER;
    conn->reading = false;
    conn->own_sql = true;
}

// A change of the schema makes SQLite prepare the statement again, so even this may lack memory: a transaction that
// stays open would be worse than a wait.
void weir__conn_roll_back(weir_tx *conn)
{
    weir__clock *clock = weir__clock_system();
    const bool own_before = conn->own_sql;
    conn->own_sql = true;
    for (int i = 0; i < ROLLBACK_TRIES && !sqlite3_get_autocommit(conn->db); i++) {
        if (i > 0)
            weir__clock_sleep_until(clock, weir__clock_now_ns(clock) + ROLLBACK_PAUSE_MS * WEIR__NS_PER_MS);
        sqlite3_step(conn->rollback);
        sqlite3_reset(conn->rollback);
    }
    conn->own_sql = own_before;
    WEIR_ASSERT(sqlite3_get_autocommit(conn->db));
}

int weir__conn_control(weir_tx *conn, const char *sql)
{
    const bool own_before = conn->own_sql;
    conn->own_sql = true;
    weir_stmt *stmt = NULL;
    int rc = weir__stmt_get(conn, sql, &stmt);
    if (rc == SQLITE_OK) {
        do
            rc = sqlite3_step(stmt->handle);
        while (rc == SQLITE_ROW);
        const int reset = sqlite3_reset(stmt->handle);
        if (stmt->undoes)
            weir__epoch_change(conn);
        rc = rc == SQLITE_DONE ? SQLITE_OK : reset;
        weir__stmt_put(stmt);
    }
    conn->own_sql = own_before;
    return rc;
}
