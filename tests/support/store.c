// SPDX-License-Identifier: MIT
//
// Directories, stores and SQL for tests: see store.h.
#include "support/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fs.h"

void scratch_init(scratch *place)
{
    *place = (scratch){.directory = "/tmp/weir-test-XXXXXX"};
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->database, sizeof place->database, "%s/test.db", place->directory);
    snprintf(place->wal, sizeof place->wal, "%s-wal", place->database);
    snprintf(place->shm, sizeof place->shm, "%s-shm", place->database);
    snprintf(place->journal, sizeof place->journal, "%s-journal", place->database);
}

void scratch_fini(scratch *place)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir__fs_remove_tree(place->directory, &err), &err);
}

void expect_code_at(int code, int expected, const weir_error *err, const char *file, int line)
{
    if (code == expected)
        return;
    print_error("%s where %s was expected: %s\n", weir_code_name(code), weir_code_name(expected),
                code != WEIR_OK && err ? err->text : "");
    _fail(file, line);
}

void expect_contains_at(const char *text, const char *part, const char *file, int line)
{
    if (strstr(text, part))
        return;
    print_error("\"%s\" does not contain \"%s\"\n", text, part);
    _fail(file, line);
}

weir_store *must_open(const char *path, const weir_config *config)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_store *store = NULL;
    expect_ok(weir_open(path, config, &store, &err), &err);
    assert_non_null(store);
    return store;
}

void must_close(weir_store *store)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_close(store, 0, &err), &err);
}

// ----------------------------------------------------------------------------------------- SQL by the store

static int run_script(weir_tx *tx, void *arg, weir_error *err)
{
    return weir_exec_script(tx, arg, err);
}

int run_sql(weir_store *store, const char *sql, const weir_write_options *options, weir_error *err)
{
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", sql);
    if (options)
        return weir_write(store, run_script, copy, options, err);
    const int code = weir_write(store, run_script, copy, NULL, err);
    const weir_write_options committed = {.ack = WEIR_ACK_COMMITTED};
    return code == WEIR_UNSUPPORTED ? weir_write(store, run_script, copy, &committed, err) : code;
}

void must_run_sql(weir_store *store, const char *sql)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(run_sql(store, sql, NULL, &err), &err);
}

typedef struct question {
    const char *sql;
    int64_t number;
    char *text;
    size_t size;
} question;

static int ask(weir_tx *tx, void *arg, weir_error *err)
{
    question *q = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int code = weir_prepare(tx, q->sql, &stmt, err);
    if (code == WEIR_OK)
        code = weir_step(stmt, &row, err);
    if (code != WEIR_OK || !row)
        return code;
    q->number = weir_column_int64(stmt, 0);
    if (q->text)
        snprintf(q->text, q->size, "%s", weir_column_text(stmt, 0) ? weir_column_text(stmt, 0) : "");
    weir_reset(stmt);
    return code;
}

int64_t must_read_int64(weir_store *store, const char *sql)
{
    weir_error err = WEIR_ERROR_INIT;
    question q = {.sql = sql, .number = INT64_MIN};
    expect_ok(weir_read(store, ask, &q, NULL, &err), &err);
    return q.number;
}

void must_read_text(weir_store *store, const char *sql, char *out, size_t size)
{
    weir_error err = WEIR_ERROR_INIT;
    question q = {.sql = sql, .text = out, .size = size};
    out[0] = '\0';
    expect_ok(weir_read(store, ask, &q, NULL, &err), &err);
}

// ---------------------------------------------------------------------------------------- SQL by anybody else

static sqlite3 *naive_open(const char *database)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(database, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        fail_msg("%s: %s", database, sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, AWAIT_MS);
    return db;
}

void naive_sql(const char *database, const char *sql)
{
    sqlite3 *const db = naive_open(database);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

int64_t naive_int64(const char *database, const char *sql)
{
    sqlite3 *const db = naive_open(database);
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    const int64_t number = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return number;
}

void must_be_intact(const char *database)
{
    sqlite3 *const db = naive_open(database);
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        fail_msg("integrity_check: %s", sqlite3_errmsg(db));
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

// ------------------------------------------------------------------------------------------ time and files

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool await(bool (*holds)(void *arg), void *arg)
{
    const uint64_t until_ms = now_ms() + AWAIT_MS;
    const struct timespec pause = {.tv_nsec = 1000000};
    while (!holds(arg)) {
        if (now_ms() >= until_ms)
            return holds(arg);
        nanosleep(&pause, NULL);
    }
    return true;
}

int64_t file_bytes(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 ? (int64_t)file.st_size : -1;
}
