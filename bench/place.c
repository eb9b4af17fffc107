// SPDX-License-Identifier: MIT
//
// The databases of `weir bench commit`: a fresh one for every round, whose rows are compared with what was
// acknowledged before it is removed.
//
// The comparison is by number and by sum: every row of a round has a value of its own, so a row that was
// lost, written twice, or written without being acknowledged changes at least one of the two.
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <unistd.h>

#include "bench/commit.h"

static int sqlite_error(sqlite3 *db, int rc, const char *path, weir_error *err)
{
    return weir__error_set(err, WEIR_IO, "%s: %s", path, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

// The first row of a query of two integers.
static int query_two(sqlite3 *db, const char *sql, int64_t *first, int64_t *second)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        *first = sqlite3_column_int64(stmt, 0);
        *second = sqlite3_column_int64(stmt, 1);
    }
    const int end_rc = sqlite3_finalize(stmt);
    return rc == SQLITE_OK ? end_rc : rc;
}

static int check_journal(sqlite3 *db, bool rollback_journal, const char *path, weir_error *err)
{
    int64_t matches = 0;
    int64_t page_bytes = 0;
    const int rc =
        query_two(db,
                  rollback_journal ? "SELECT journal_mode='delete', page_size FROM pragma_journal_mode,"
                                     " pragma_page_size"
                                   : "SELECT journal_mode='wal', page_size FROM pragma_journal_mode,"
                                     " pragma_page_size",
                  &matches, &page_bytes);
    if (rc != SQLITE_OK)
        return sqlite_error(db, rc, path, err);
    if (!matches)
        return weir__error_set(err, WEIR_UNSUPPORTED,
                               "%s: this file system does not let SQLite use a write-ahead log: name another "
                               "directory with --dir",
                               path);
    if (page_bytes != WEIR__BENCH_PAGE_BYTES)
        return weir__error_set(err, WEIR_INTERNAL, "%s: pages of %" PRId64 " bytes instead of %d", path,
                               page_bytes, WEIR__BENCH_PAGE_BYTES);
    return WEIR_OK;
}

int weir__bench_database_make(const char *path, bool rollback_journal, weir_error *err)
{
    weir__text script = {0};
    weir__text_printf(
        &script,
        "PRAGMA page_size=%d; PRAGMA journal_mode=%s; PRAGMA synchronous=OFF;"
        "CREATE TABLE event(id INTEGER PRIMARY KEY, value INTEGER NOT NULL, note TEXT NOT NULL);",
        WEIR__BENCH_PAGE_BYTES, rollback_journal ? "DELETE" : "WAL");
    sqlite3 *db = NULL;
    int code = WEIR_OK;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, weir__text_string(&script), NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        code = sqlite_error(db, rc, path, err);
    else
        code = check_journal(db, rollback_journal, path, err);
    sqlite3_close(db);
    weir__text_free(&script);
    return code;
}

int weir__bench_database_verify(const char *path, const char *row_name, const weir__crew *crew,
                                weir_error *err)
{
    int64_t count = 0;
    int64_t sum = 0;
    int64_t acknowledged = 0;
    int64_t acknowledged_sum = 0;
    for (unsigned i = 0; i < crew->size; i++) {
        acknowledged += (int64_t)crew->workers[i].acknowledged;
        acknowledged_sum += crew->workers[i].values_sum;
    }
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK)
        rc = query_two(db, "SELECT count(*), coalesce(sum(value), 0) FROM event", &count, &sum);
    int code = rc == SQLITE_OK ? WEIR_OK : sqlite_error(db, rc, path, err);
    sqlite3_close(db);
    if (code == WEIR_OK && (count != acknowledged || sum != acknowledged_sum))
        code = weir__error_set(err, WEIR_CORRUPT,
                               "%s: %" PRId64 " rows with the sum %" PRId64
                               " were acknowledged, but the database holds %" PRId64 " with the sum %" PRId64
                               ": no figure of this run can be trusted",
                               row_name, acknowledged, acknowledged_sum, count, sum);
    return code;
}

int weir__bench_database_remove(const char *path, weir_error *err)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    int code = WEIR_OK;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        weir__text name = {0};
        weir__text_printf(&name, "%s%s", path, suffixes[i]);
        if (unlink(weir__text_string(&name)) != 0 && errno != ENOENT && code == WEIR_OK)
            code = weir__error_errno(err, errno, "%s: cannot remove it", weir__text_string(&name));
        weir__text_free(&name);
    }
    return code;
}
