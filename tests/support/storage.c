// SPDX-License-Identifier: MIT
//
// A temporary storage folder for tests of runs; storage.h says what each call does.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "support/storage.h"

void test_storage_init(test_storage *storage)
{
    *storage = (test_storage){0};
    snprintf(storage->root, sizeof storage->root, "/tmp/weir-runs-XXXXXX");
    assert_non_null(mkdtemp(storage->root));
    snprintf(storage->path, sizeof storage->path, "%s/storage", storage->root);
}

void test_storage_open(test_storage *storage, const weir_runs_config *config)
{
    static const weir_config quick = {.durability = WEIR_DURABILITY_OFF};
    static const weir_runs_config standard = {.store = &quick, .no_engine = true};
    weir_error err = WEIR_ERROR_INIT;
    assert_null(storage->runs);
    expect_ok(weir_runs_open(storage->path, config != NULL ? config : &standard, &storage->runs, &err), &err);
}

void test_storage_close(test_storage *storage)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_runs_close(storage->runs, 0, &err), &err);
    storage->runs = NULL;
}

void test_storage_fini(test_storage *storage)
{
    weir_error err = WEIR_ERROR_INIT;
    if (storage->runs != NULL)
        test_storage_close(storage);
    expect_ok(weir__fs_remove_tree(storage->root, &err), &err);
}

const char *test_storage_at(const test_storage *storage, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *const path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", storage->path, name);
    return path;
}

void test_storage_put(const test_storage *storage, const char *name, const void *data, size_t size)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__text directory = {0};
    weir__fs_parent(&directory, test_storage_at(storage, name));
    expect_ok(weir__fs_mkdir_p(weir__text_string(&directory), 0777, &err), &err);
    expect_ok(weir__fs_write_atomic(test_storage_at(storage, name), data, size, 0666, &err), &err);
    weir__text_free(&directory);
}

char *test_storage_content(const test_storage *storage, const char *name)
{
    weir_error err = WEIR_ERROR_INIT;
    char *data = NULL;
    size_t size = 0;
    expect_ok(weir__fs_read_file(test_storage_at(storage, name), 1 << 24, &data, &size, &err), &err);
    return data;
}

bool test_storage_has(const test_storage *storage, const char *name)
{
    return access(test_storage_at(storage, name), F_OK) == 0;
}

void test_storage_sql(const test_storage *storage, const char *script)
{
    must_run_sql(weir_runs_store(storage->runs), script);
}

typedef struct question {
    const char *sql;
    char *answer;
} question;

static int ask(weir_tx *tx, void *arg, weir_error *err)
{
    question *const q = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, q->sql, &stmt, err);
    if (rc == WEIR_OK)
        rc = weir_step(stmt, &row, err);
    if (rc != WEIR_OK)
        return rc;
    const char *const text = row ? weir_column_text(stmt, 0) : NULL;
    q->answer = strdup(text != NULL ? text : "");
    weir_reset(stmt);
    return WEIR_OK;
}

const char *test_storage_value(const test_storage *storage, const char *sql)
{
    static char answer[1024];
    weir_error err = WEIR_ERROR_INIT;
    question q = {.sql = sql};
    expect_ok(weir_read(weir_runs_store(storage->runs), ask, &q, NULL, &err), &err);
    snprintf(answer, sizeof answer, "%s", q.answer);
    free(q.answer);
    return answer;
}
