// SPDX-License-Identifier: MIT
//
// Files of every version, whole and half migrated, and files that are not ours.
#include "support/activity.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

// What an ActivityWatch server of that time would have made, step by step.
static const char *const STEPS[] = {
    ("CREATE TABLE buckets (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, type TEXT NOT "
     "NULL, "
     "client TEXT NOT NULL, hostname TEXT NOT NULL, created TEXT NOT NULL);"
     "CREATE INDEX bucket_id_index ON buckets(id);"
     "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, bucketrow INTEGER NOT NULL, "
     "starttime INTEGER NOT NULL, endtime INTEGER NOT NULL, data TEXT NOT NULL, "
     "FOREIGN KEY (bucketrow) REFERENCES buckets(id));"
     "CREATE INDEX events_bucketrow_index ON events(bucketrow);"
     "CREATE INDEX events_starttime_index ON events(starttime);"
     "CREATE INDEX events_endtime_index ON events(endtime);"),
    ("ALTER TABLE buckets ADD COLUMN data TEXT DEFAULT '{}';"),
    ("ALTER TABLE buckets RENAME COLUMN data TO data_deprecated;"
     "ALTER TABLE buckets ADD COLUMN data TEXT NOT NULL DEFAULT '{}';"),
    ("CREATE TABLE key_value (key TEXT PRIMARY KEY, value TEXT, last_modified NUMBER NOT NULL);"),
};

#define ROWS                                                       \
    "INSERT INTO buckets (name, type, client, hostname, created) " \
    "VALUES ('old', 't', 'c', 'h', '2018-01-01 01:01:01+00:00');"  \
    "INSERT INTO events (bucketrow, starttime, endtime, data) "    \
    "VALUES (1, 1514768461000000000, 1514768462000000000, '{\"key\":\"value\"}');"

// Makes a file with the first `steps` of them that says it is of `version`.
static void make_old(const char *database, int steps, int version)
{
    char sql[64];
    for (int i = 0; i < steps; i++)
        naive_sql(database, STEPS[i]);
    if (steps > 0)
        naive_sql(database, ROWS);
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", version);
    naive_sql(database, sql);
}

// Columns and indexes in order, with what is said of each.
static void describe(const char *database, char *out, size_t size)
{
    static const char sql[] =
        "SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || "
        "coalesce(c.dflt_value, '-') || ' ' || c.pk FROM sqlite_schema AS m, pragma_table_info(m.name) AS c "
        "WHERE m.type = 'table' UNION ALL "
        "SELECT i.name || ': ' || group_concat(x.name || x.\"desc\") FROM sqlite_schema AS i, "
        "pragma_index_xinfo(i.name) AS x WHERE i.type = 'index' AND x.key GROUP BY i.name UNION ALL "
        "SELECT 'key ' || \"from\" || ' ' || \"table\" || ' ' || on_delete FROM "
        "pragma_foreign_key_list('events') "
        "UNION ALL SELECT user_version FROM pragma_user_version";
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open_v2(database, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    out[0] = '\0';
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const size_t used = strlen(out);
        snprintf(out + used, size - used, "%s\n", sqlite3_column_text(stmt, 0));
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

static const char VERSION_5[] = "buckets.id INTEGER 0 - 1\n"
                                "buckets.name TEXT 1 - 0\n"
                                "buckets.type TEXT 1 - 0\n"
                                "buckets.client TEXT 1 - 0\n"
                                "buckets.hostname TEXT 1 - 0\n"
                                "buckets.created TEXT 1 - 0\n"
                                "buckets.data_deprecated TEXT 0 '{}' 0\n"
                                "buckets.data TEXT 1 '{}' 0\n"
                                "sqlite_sequence.name  0 - 0\n"
                                "sqlite_sequence.seq  0 - 0\n"
                                "events.id INTEGER 0 - 1\n"
                                "events.bucketrow INTEGER 1 - 0\n"
                                "events.starttime INTEGER 1 - 0\n"
                                "events.endtime INTEGER 1 - 0\n"
                                "events.data TEXT 1 - 0\n"
                                "key_value.key TEXT 0 - 1\n"
                                "key_value.value TEXT 0 - 0\n"
                                "key_value.last_modified NUMBER 1 - 0\n"
                                "bucket_id_index: id0\n"
                                "events_bucketrow_starttime_endtime_index: bucketrow0,starttime1,endtime0\n"
                                "sqlite_autoindex_buckets_1: name0\n"
                                "sqlite_autoindex_key_value_1: key0\n"
                                "key bucketrow buckets NO ACTION\n"
                                "5\n";

static void expect_version_5(const char *database)
{
    char got[4096];
    describe(database, got, sizeof got);
    assert_string_equal(got, VERSION_5);
}

static void a_new_file_is_of_version_5(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    desk_close(&d);
    expect_version_5(d.place.database);
    must_be_intact(d.place.database);
    desk_fini(&d);
}

static void every_version_is_migrated_with_its_rows(void **state)
{
    (void)state;
    for (int version = 0; version <= 4; version++) {
        desk d = {0};
        scratch_init(&d.place);
        make_old(d.place.database, version, version);
        desk_open(&d, NULL);
        if (version > 0)
            expect_events(&d, "old", NULL, "1:0+1 {\"key\":\"value\"}");
        desk_close(&d);
        expect_version_5(d.place.database);
        desk_open(&d, NULL); // and again, with nothing to do
        desk_fini(&d);
    }
}

// The peer's first steps and their version are not one transaction: it may have died in between.
static void a_step_that_was_done_without_its_version_is_not_done_again(void **state)
{
    (void)state;
    for (int version = 0; version < 4; version++) {
        desk d = {0};
        scratch_init(&d.place);
        make_old(d.place.database, version + 1, version);
        desk_open(&d, NULL);
        expect_events(&d, "old", NULL, "1:0+1 {\"key\":\"value\"}");
        desk_close(&d);
        expect_version_5(d.place.database);
        desk_fini(&d);
    }
}

static void half_of_the_third_step(void **state)
{
    (void)state;
    desk d = {0};
    scratch_init(&d.place);
    make_old(d.place.database, 2, 2);
    naive_sql(d.place.database, "ALTER TABLE buckets RENAME COLUMN data TO data_deprecated");
    desk_open(&d, NULL);
    desk_close(&d);
    expect_version_5(d.place.database);
    desk_fini(&d);
}

static void migration_v4_to_v5(void **state)
{
    (void)state;
    desk d = {0};
    scratch_init(&d.place);
    naive_sql(d.place.database, // by hand: without data_deprecated
              "CREATE TABLE buckets (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, "
              "type TEXT NOT NULL, client TEXT NOT NULL, hostname TEXT NOT NULL, created TEXT NOT NULL, "
              "data TEXT NOT NULL DEFAULT '{}');"
              "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, bucketrow INTEGER NOT NULL, "
              "starttime INTEGER NOT NULL, endtime INTEGER NOT NULL, data TEXT NOT NULL, "
              "FOREIGN KEY (bucketrow) REFERENCES buckets(id));"
              "CREATE INDEX events_bucketrow_index ON events(bucketrow);"
              "CREATE INDEX events_starttime_index ON events(starttime);"
              "CREATE INDEX events_endtime_index ON events(endtime);"
              "CREATE TABLE key_value (key TEXT PRIMARY KEY, value TEXT, last_modified NUMBER NOT NULL);"
              "PRAGMA user_version = 4;" ROWS);
    desk_open(&d, NULL);
    expect_events(&d, "old", NULL, "1:0+1 {\"key\":\"value\"}");
    must_create(&d, "new");
    desk_close(&d);
    assert_int_equal(naive_int64(d.place.database, "PRAGMA user_version"), 5);
    assert_int_equal(naive_int64(d.place.database, "SELECT count(*) FROM sqlite_schema WHERE name IN "
                                                   "('events_bucketrow_index', 'events_starttime_index', "
                                                   "'events_endtime_index')"),
                     0);
    assert_int_equal(naive_int64(d.place.database, "SELECT count(*) FROM sqlite_schema "
                                                   "WHERE name = 'events_bucketrow_starttime_endtime_index'"),
                     1);
    desk_fini(&d);
}

// ------------------------------------------------------------------------------------------- what is not ours

static void expect_refused(const char *database, const weir_activity_config *config, int code,
                           const char *sentence)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_activity *activity = NULL;
    expect_code(weir_activity_open(database, config, &activity, &err), code, &err);
    assert_null(activity);
    expect_contains(err.text, sentence);
}

static void expect_refused_and_unchanged(const char *sql, int code, const char *sentence)
{
    scratch place;
    char before[4096];
    char after[4096];
    scratch_init(&place);
    naive_sql(place.database, "PRAGMA journal_mode=DELETE");
    naive_sql(place.database, sql);
    describe(place.database, before, sizeof before);
    expect_refused(place.database, NULL, code, sentence);
    describe(place.database, after, sizeof after);
    assert_string_equal(after, before);
    char mode[16];
    weir_store *const store = must_open(place.database, &(weir_config){.read_only = true});
    must_read_text(store, "PRAGMA journal_mode", mode, sizeof mode);
    must_close(store);
    assert_string_equal(mode, "delete");
    scratch_fini(&place);
}

static void what_is_not_ours_is_refused_and_left_as_it_is(void **state)
{
    (void)state;
    expect_refused_and_unchanged("CREATE TABLE t (a)", WEIR_NOTADB, "not one of ActivityWatch");
    expect_refused_and_unchanged("CREATE TABLE t (a); PRAGMA user_version = 3", WEIR_NOTADB,
                                 "not one of ActivityWatch");
    expect_refused_and_unchanged("CREATE TABLE events (id INTEGER PRIMARY KEY, what TEXT)", WEIR_SQL,
                                 "a table events without the column bucketrow");
    expect_refused_and_unchanged("CREATE VIEW buckets AS SELECT 1 AS id", WEIR_SQL,
                                 "a table buckets without the column name");
    expect_refused_and_unchanged(
        "CREATE TABLE key_value (key TEXT, value TEXT, last_modified NUMBER); PRAGMA user_version = 4",
        WEIR_SQL, "tables are missing");
}

static void higher_versions_are_refused(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    desk_close(&d);
    naive_sql(d.place.database, "PRAGMA user_version = 6");
    expect_refused(d.place.database, NULL, WEIR_UNSUPPORTED, "is of version 6");
    naive_sql(d.place.database, "PRAGMA user_version = -1");
    expect_refused(d.place.database, NULL, WEIR_UNSUPPORTED, "is of version -1");
    assert_int_equal(naive_int64(d.place.database, "PRAGMA user_version"), -1);
    desk_fini(&d);
}

static void a_version_5_without_its_tables_is_refused(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    desk_close(&d);
    naive_sql(d.place.database, "DROP TABLE key_value");
    expect_refused(d.place.database, NULL, WEIR_SQL, "a table is missing");
    desk_fini(&d);
}

static void read_only_creates_and_migrates_nothing(void **state)
{
    (void)state;
    const weir_config store = {.read_only = true};
    const weir_activity_config config = {.store = &store};
    desk d = {0};
    scratch_init(&d.place);
    expect_refused(d.place.database, &config, WEIR_NOTFOUND, d.place.database);
    make_old(d.place.database, 4, 4);
    expect_refused(d.place.database, &config, WEIR_UNSUPPORTED, "open it once for writing");
    assert_int_equal(naive_int64(d.place.database, "PRAGMA user_version"), 4);
    desk_open(&d, NULL);
    desk_close(&d);
    desk_open(&d, &config);
    expect_events(&d, "old", NULL, "1:0+1 {\"key\":\"value\"}");
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_activity_event_delete(d.activity, "old", 1, &err), WEIR_DENIED, &err);
    desk_fini(&d);
}

static void foreign_keys_are_enforced(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    weir_error err = WEIR_ERROR_INIT;
    expect_code(run_sql(weir_activity_store(d.activity),
                        "INSERT INTO events (bucketrow, starttime, endtime, data) VALUES (77, 0, 0, '{}')",
                        NULL, &err),
                WEIR_CONSTRAINT, &err);
    desk_fini(&d);
}

static void a_database_in_memory(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    desk d = {0};
    expect_ok(weir_activity_open(":memory:", NULL, &d.activity, &err), &err);
    must_create(&d, "b");
    must_insert(&d, "b", event_at(0, 1, NULL));
    expect_events(&d, "b", NULL, "1:0+1 {}");
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_file_is_of_version_5),
        cmocka_unit_test(every_version_is_migrated_with_its_rows),
        cmocka_unit_test(a_step_that_was_done_without_its_version_is_not_done_again),
        cmocka_unit_test(half_of_the_third_step),
        cmocka_unit_test(migration_v4_to_v5),
        cmocka_unit_test(what_is_not_ours_is_refused_and_left_as_it_is),
        cmocka_unit_test(higher_versions_are_refused),
        cmocka_unit_test(a_version_5_without_its_tables_is_refused),
        cmocka_unit_test(read_only_creates_and_migrates_nothing),
        cmocka_unit_test(foreign_keys_are_enforced),
        cmocka_unit_test(a_database_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
