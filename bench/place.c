// SPDX-License-Identifier: MIT
//
// The files of a benchmark: a fresh directory, how long a sync takes there, and a fresh database for every
// round, whose rows are compared with what was acknowledged before it is removed.
//
// The comparison is by number and by sum: every row of a round has a value of its own, so a row that was
// lost, written twice, or written without being acknowledged changes at least one of the two.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/commit.h"

enum {
    SYNCS_MAX = 64,
    SYNCS_NS_MAX = 200 * 1000 * 1000,
};

#define DIRECTORY_NAME "weir-bench-XXXXXX"

static int make_in(const char *parent, char **directory, weir_error *err)
{
    weir__text path = {0};
    weir__fs_join(&path, parent, DIRECTORY_NAME);
    char *made = weir__text_take(&path);
    if (!made)
        return weir__error_set(err, WEIR_NOMEM, "not enough memory");
    if (!mkdtemp(made)) {
        free(made);
        return weir__error_errno(err, errno, "%s: cannot make a directory for the benchmark", parent);
    }
    *directory = made;
    return WEIR_OK;
}

int weir__bench_place_make(const weir__bench_options *options, char **directory, weir_error *err)
{
    *directory = NULL;
    if (options->directory)
        return make_in(options->directory, directory, err);
    const char *const temporary = getenv("TMPDIR");
    const int code = make_in(".", directory, err);
    return code == WEIR_OK || !temporary || !temporary[0] ? code : make_in(temporary, directory, err);
}

static int compare_times(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

int weir__bench_place_time_sync(const char *directory, uint64_t *sync_ns, weir_error *err)
{
    static const char page[WEIR__BENCH_PAGE_BYTES];
    uint64_t times_ns[SYNCS_MAX];
    size_t size = 0;
    int code = WEIR_OK;
    *sync_ns = 0;
    weir__text path = {0};
    weir__fs_join(&path, directory, "sync");
    const int fd = open(weir__text_string(&path), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    const uint64_t first_ns = weir__worker_now_ns();
    uint64_t now_ns = first_ns;
    bool fine = fd >= 0;
    while (fine && size < SYNCS_MAX && now_ns - first_ns < SYNCS_NS_MAX) {
        const uint64_t start_ns = now_ns;
        fine = write(fd, page, sizeof page) == (ssize_t)sizeof page && fdatasync(fd) == 0;
        now_ns = weir__worker_now_ns();
        times_ns[size++] = now_ns - start_ns;
    }
    if (!fine)
        code = weir__error_errno(err, errno, "%s: cannot write and sync a file", weir__text_string(&path));
    if (fd >= 0) {
        close(fd);
        unlink(weir__text_string(&path));
    }
    weir__text_free(&path);
    if (code != WEIR_OK)
        return code;
    qsort(times_ns, size, sizeof *times_ns, compare_times);
    *sync_ns = times_ns[size / 2];
    return WEIR_OK;
}

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
