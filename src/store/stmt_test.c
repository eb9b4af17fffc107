// SPDX-License-Identifier: MIT
//
// Statements: values of every type there and back, mistakes that are named, and the cache.
#include "support/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

typedef struct fixture {
    scratch place;
    weir_store *store;
} fixture;

static void fixture_open(fixture *fx, const weir_config *config)
{
    scratch_init(&fx->place);
    fx->store = must_open(fx->place.database, config);
    must_run_sql(fx->store, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)");
}

static void fixture_close(fixture *fx)
{
    must_close(fx->store);
    scratch_fini(&fx->place);
}

// Runs `job` and expects that it goes well. Assertions of a test stay out of jobs: they would jump out of the
// engine.
static void must_write(fixture *fx, weir_job_fn *job, void *arg)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_write(fx->store, job, arg, NULL, &err), &err);
}

#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition))                                                                    \
            return weir__error_set(err, WEIR_INTERNAL, "line %d: %s", __LINE__, #condition); \
    } while (0)

#define TRY(call)              \
    do {                       \
        const int rc = (call); \
        if (rc != WEIR_OK)     \
            return rc;         \
    } while (0)

// ----------------------------------------------------------------------------------------------- values

static const char TEXT_WITH_NUL[] = {'a', '\0', 'b'};
static const char NOT_UTF8[] = {'\xff', '\xfe', '\0'};
static const unsigned char BYTES[] = {0, 1, 0, 255};

static int store_values(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    weir_stmt *insert = NULL;
    bool row = true;
    TRY(weir_prepare(tx, "INSERT INTO t(a, b) VALUES($1, $2)", &insert, err));
    weir_bind_int64(insert, 1, INT64_MIN);
    weir_bind_int64(insert, 2, INT64_MAX);
    TRY(weir_step(insert, &row, err));
    CHECK(!row);
    weir_bind_double(insert, 1, -0.25);
    weir_bind_text(insert, 2, TEXT_WITH_NUL, sizeof TEXT_WITH_NUL);
    TRY(weir_step(insert, &row, err));
    weir_bind_blob(insert, 1, BYTES, sizeof BYTES);
    weir_bind_blob(insert, 2, BYTES, 0);
    TRY(weir_step(insert, &row, err));
    weir_bind_text(insert, 1, NOT_UTF8, WEIR_TEXT_TERMINATED);
    weir_bind_text(insert, 2, "", 0);
    TRY(weir_step(insert, &row, err));
    weir_bind_text(insert, 1, NULL, 7);
    weir_bind_null(insert, 2);
    TRY(weir_step(insert, &row, err));
    CHECK(weir_last_insert_rowid(tx) == 5);
    weir_bind_blob(insert, 1, NULL, 0);
    weir_bind_blob(insert, 2, NULL, 3);
    TRY(weir_step(insert, &row, err));
    TRY(weir_exec(tx, err, "INSERT INTO t(a, b) VALUES($1, $2)", "bt", BYTES, sizeof BYTES, "exec"));
    TRY(weir_exec(tx, err, "INSERT INTO t(a, b) VALUES($1, $2)", "dn", 1.5));
    TRY(weir_exec(tx, err, "UPDATE t SET id=id", NULL));
    CHECK(weir_changes(tx) == 8);
    return WEIR_OK;
}

static int next_row(weir_stmt *select, weir_error *err)
{
    bool row = false;
    TRY(weir_step(select, &row, err));
    return row ? WEIR_OK : weir__error_set(err, WEIR_NOTFOUND, "a row is missing");
}

static int check_numbers_and_text(weir_stmt *select, weir_error *err)
{
    TRY(next_row(select, err));
    CHECK(weir_column_type(select, 0) == WEIR_TYPE_INTEGER);
    CHECK(weir_column_int64(select, 0) == INT64_MIN);
    CHECK(weir_column_int64(select, 1) == INT64_MAX);
    TRY(next_row(select, err));
    CHECK(weir_column_type(select, 0) == WEIR_TYPE_REAL);
    CHECK(weir_column_double(select, 0) < -0.2499 && weir_column_double(select, 0) > -0.2501);
    CHECK(weir_column_type(select, 1) == WEIR_TYPE_TEXT);
    const char *const text = weir_column_text(select, 1);
    CHECK(weir_column_size(select, 1) == sizeof TEXT_WITH_NUL);
    CHECK(memcmp(text, TEXT_WITH_NUL, sizeof TEXT_WITH_NUL) == 0);
    CHECK(text[sizeof TEXT_WITH_NUL] == '\0');
    return WEIR_OK;
}

static int check_values(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    weir_stmt *select = NULL;
    bool row = true;
    TRY(weir_prepare(tx, "SELECT a, b FROM t ORDER BY id", &select, err));
    CHECK(weir_column_count(select) == 2);
    CHECK(strcmp(weir_column_name(select, 1), "b") == 0);
    TRY(check_numbers_and_text(select, err));
    TRY(next_row(select, err));
    CHECK(weir_column_type(select, 0) == WEIR_TYPE_BLOB);
    CHECK(weir_column_size(select, 0) == sizeof BYTES);
    CHECK(memcmp(weir_column_blob(select, 0), BYTES, sizeof BYTES) == 0);
    CHECK(weir_column_type(select, 1) == WEIR_TYPE_BLOB);
    CHECK(weir_column_size(select, 1) == 0);
    TRY(next_row(select, err));
    CHECK(strcmp(weir_column_text(select, 0), NOT_UTF8) == 0);
    CHECK(weir_column_type(select, 1) == WEIR_TYPE_TEXT);
    CHECK(weir_column_size(select, 1) == 0);
    TRY(next_row(select, err));
    CHECK(weir_column_type(select, 0) == WEIR_TYPE_NULL);
    CHECK(weir_column_type(select, 1) == WEIR_TYPE_NULL);
    CHECK(weir_column_int64(select, 0) == 0);
    CHECK(weir_column_text(select, 0) == NULL);
    CHECK(weir_column_size(select, 0) == 0);
    TRY(next_row(select, err));
    CHECK(weir_column_type(select, 0) == WEIR_TYPE_BLOB);
    CHECK(weir_column_size(select, 0) == 0);
    CHECK(weir_column_type(select, 1) == WEIR_TYPE_NULL);
    TRY(next_row(select, err));
    CHECK(strcmp(weir_column_text(select, 1), "exec") == 0);
    TRY(next_row(select, err));
    CHECK(weir_column_type(select, 1) == WEIR_TYPE_NULL);
    TRY(weir_step(select, &row, err));
    CHECK(!row);
    TRY(next_row(select, err)); // reset by its end: it starts again
    CHECK(weir_column_int64(select, 0) == INT64_MIN);
    return WEIR_OK;
}

static void values_of_every_type_come_back_as_they_were(void **state)
{
    (void)state;
    fixture fx;
    weir_error err = WEIR_ERROR_INIT;
    fixture_open(&fx, NULL);
    must_write(&fx, store_values, NULL);
    must_write(&fx, check_values, NULL);
    expect_ok(weir_read(fx.store, check_values, NULL, NULL, &err), &err);
    fixture_close(&fx);
}

// --------------------------------------------------------------------------------------------- mistakes

typedef struct mistake {
    const char *sql, *types;
    int code;
} mistake;

static int make_mistake(weir_tx *tx, void *arg, weir_error *err)
{
    const mistake *const m = arg;
    return weir_exec(tx, err, m->sql, m->types, INT64_C(1), INT64_C(2));
}

static void mistakes_are_named_and_harm_nothing(void **state)
{
    (void)state;
    static const mistake MISTAKES[] = {
        {"SELECT 1; SELECT 2", "", WEIR_INVALID},
        {"SELECT 1; garbage", "", WEIR_INVALID},
        {"", "", WEIR_INVALID},
        {"  ;; ", "", WEIR_INVALID},
        {"-- only a comment", "", WEIR_INVALID},
        {"INSERT INTO t(a) VALUES($1)", "", WEIR_INVALID},
        {"INSERT INTO t(a) VALUES($1)", "ii", WEIR_INVALID},
        {"INSERT INTO t(a) VALUES($1)", "x", WEIR_INVALID},
        {"INSERT INTO nowhere VALUES($1)", "i", WEIR_SQL},
        {"SELEC 1", "", WEIR_SQL},
        {"INSERT INTO t(id) VALUES($1), ($1)", "i", WEIR_CONSTRAINT},
        {"INSERT INTO t(id) VALUES('word')", "", WEIR_INVALID},
        {"SELECT 1; \n ;", "", WEIR_OK},
    };
    fixture fx;
    fixture_open(&fx, NULL);
    for (size_t i = 0; i < sizeof MISTAKES / sizeof MISTAKES[0]; i++) {
        mistake m = MISTAKES[i];
        for (int j = 0; j < 2; j++) {
            weir_error err = WEIR_ERROR_INIT;
            const int code = weir_write(fx.store, make_mistake, &m, NULL, &err);
            if (code != m.code)
                fail_msg("\"%s\": %s instead of %s: %s", m.sql, weir_code_name(code), weir_code_name(m.code),
                         err.text);
            if (code != WEIR_OK)
                expect_contains(err.text, fx.place.database);
        }
    }
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), 0);
    fixture_close(&fx);
}

static int bind_badly(weir_tx *tx, void *arg, weir_error *err)
{
    weir_stmt *insert = NULL;
    bool row = true;
    TRY(weir_prepare(tx, "INSERT INTO t(a) VALUES($1)", &insert, err));
    switch (*(int *)arg) {
    case 0:
        weir_bind_int64(insert, 0, 1);
        break;
    case 1:
        weir_bind_text(insert, 2, "x", 1);
        weir_bind_text(insert, 1, "x", 1); // a later good one does not hide it
        break;
    case 2:
        weir_bind_blob(insert, 1, BYTES, (size_t)UINT32_MAX * 2);
        break;
    default:
        weir_bind_text(insert, 1, "x", (size_t)INT64_MAX);
        break;
    }
    const int code = weir_step(insert, &row, err);
    CHECK(!row);
    CHECK(code != WEIR_OK);
    weir_reset(insert); // forgets the mistake
    weir_bind_int64(insert, 1, 7);
    TRY(weir_step(insert, &row, err));
    *(int *)arg = code;
    return WEIR_OK;
}

static void a_bad_binding_is_reported_by_the_next_step(void **state)
{
    (void)state;
    static const int CODES[] = {WEIR_INVALID, WEIR_INVALID, WEIR_TOOBIG, WEIR_TOOBIG};
    fixture fx;
    fixture_open(&fx, NULL);
    for (int i = 0; i < 4; i++) {
        int code = i;
        must_write(&fx, bind_badly, &code);
        expect_code(code, CODES[i], NULL);
    }
    assert_int_equal(must_read_int64(fx.store, "SELECT sum(a) FROM t"), 28);
    fixture_close(&fx);
}

static int run_scripts(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    TRY(weir_exec_script(tx, "", err));
    TRY(weir_exec_script(tx, " ; -- nothing\n", err));
    TRY(weir_exec_script(tx, "INSERT INTO t(a) VALUES(1); /* ; */ INSERT INTO t(a) VALUES(';'); -- end",
                         err));
    CHECK(weir_exec_script(tx, "INSERT INTO t(a) VALUES(3); INSERT INTO nowhere VALUES(1);", err) ==
          WEIR_SQL);
    return WEIR_OK;
}

static void a_script_runs_until_its_first_mistake(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, NULL);
    must_write(&fx, run_scripts, NULL);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), 3);
    fixture_close(&fx);
}

// ------------------------------------------------------------------------------------------------ cache

static weir_stats stats_of(weir_store *store)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &stats, &err), &err);
    return stats;
}

static int insert_one(weir_tx *tx, void *arg, weir_error *err)
{
    return weir_exec(tx, err, "INSERT INTO t(a) VALUES($1)", "i", *(const int64_t *)arg);
}

static void a_statement_is_prepared_once(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, NULL);
    int64_t value = 1;
    must_write(&fx, insert_one, &value);
    const weir_stats before = stats_of(fx.store);
    for (; value < 100; value++)
        must_write(&fx, insert_one, &value);
    const weir_stats after = stats_of(fx.store);
    assert_int_equal(after.statements_missed, before.statements_missed);
    assert_true(after.statements_hit >= before.statements_hit + 99);
    fixture_close(&fx);
}

// More statements in use at once than the cache may keep.
static int use_many(weir_tx *tx, void *arg, weir_error *err)
{
    enum { MANY = 12 };
    weir_stmt *stmts[MANY];
    char sql[MANY][64];
    (void)arg;
    for (int i = 0; i < MANY; i++) {
        snprintf(sql[i], sizeof sql[i], "SELECT a + %d FROM t ORDER BY id", i);
        TRY(weir_prepare(tx, sql[i], &stmts[i], err));
    }
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < MANY; i++) {
            TRY(next_row(stmts[i], err));
            CHECK(weir_column_int64(stmts[i], 0) == round + i);
        }
    weir_stmt *again = NULL;
    TRY(weir_prepare(tx, sql[0], &again, err));
    TRY(next_row(again, err));
    CHECK(weir_column_int64(again, 0) == 0); // reset
    return WEIR_OK;
}

static void more_statements_than_the_cache_keeps_may_be_in_use(void **state)
{
    (void)state;
    for (uint32_t most = 1; most < 16; most += 3) {
        fixture fx;
        weir_error err = WEIR_ERROR_INIT;
        fixture_open(&fx, &(weir_config){.statements_max = most, .readers = 1});
        for (int64_t value = 0; value < 3; value++)
            must_write(&fx, insert_one, &value);
        for (int i = 0; i < 3; i++) {
            must_write(&fx, use_many, NULL);
            expect_ok(weir_read(fx.store, use_many, NULL, NULL, &err), &err);
        }
        fixture_close(&fx);
    }
}

// A new schema under cached statements.
static void a_cached_statement_survives_a_change_of_the_schema(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, NULL);
    int64_t value = 1;
    must_write(&fx, insert_one, &value);
    must_run_sql(fx.store, "CREATE TABLE u(x); DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, c, a)");
    must_write(&fx, insert_one, &value);
    assert_int_equal(must_read_int64(fx.store, "SELECT a FROM t"), 1);
    naive_sql(fx.place.database, "ALTER TABLE t ADD COLUMN d"); // by somebody else
    must_write(&fx, insert_one, &value);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t WHERE d IS NULL"), 2);
    fixture_close(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type_come_back_as_they_were),
        cmocka_unit_test(mistakes_are_named_and_harm_nothing),
        cmocka_unit_test(a_bad_binding_is_reported_by_the_next_step),
        cmocka_unit_test(a_script_runs_until_its_first_mistake),
        cmocka_unit_test(a_statement_is_prepared_once),
        cmocka_unit_test(more_statements_than_the_cache_keeps_may_be_in_use),
        cmocka_unit_test(a_cached_statement_survives_a_change_of_the_schema),
    };
    return cmocka_run_group_tests_name("stmt", tests, NULL, NULL);
}
