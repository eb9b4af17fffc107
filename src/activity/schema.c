// SPDX-License-Identifier: MIT
//
// The tables of ActivityWatch's server and the way to them. The version is the database's user_version; a new
// file walks the same five steps as an old one, so that it ends with the same columns in the same order:
//
//   0 -> 1  buckets, events, an index on buckets, three on events
//   1 -> 2  buckets.data
//   2 -> 3  that column becomes data_deprecated, and a new buckets.data is added
//   3 -> 4  key_value
//   4 -> 5  one index on events in place of the three
//
// Each step and its version are one transaction, so a crash leaves a version that is true. The peer's first
// four steps are not: it may have died between a step and its version, and then cannot start any more. So a
// step does only what is not there yet.
//
// A file is ours when it is empty or has one of the three tables; tables of these names must have the columns
// of version 1 before the first step. Rows are read by column names: what else is in the file is let alone.
#include <string.h>

#include "activity/activity.h"

typedef struct table {
    const char *name;
    const char *const *columns; // those of version 1 (key_value: of version 4), NULL-terminated
} table;

static const char *const BUCKETS_COLUMNS[] = {"id", "name", "type", "client", "hostname", "created", NULL};
static const char *const EVENTS_COLUMNS[] = {"id", "bucketrow", "starttime", "endtime", "data", NULL};
static const char *const KEY_VALUE_COLUMNS[] = {"key", "value", "last_modified", NULL};
static const table TABLES[] = {
    {"buckets", BUCKETS_COLUMNS}, {"events", EVENTS_COLUMNS}, {"key_value", KEY_VALUE_COLUMNS}};
enum { TABLE_COUNT = sizeof TABLES / sizeof TABLES[0] };

static const char *const STEPS[] = {
    // 0 -> 1
    "CREATE TABLE IF NOT EXISTS buckets (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, "
    "type TEXT NOT NULL, client TEXT NOT NULL, hostname TEXT NOT NULL, created TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS bucket_id_index ON buckets(id);"
    "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY AUTOINCREMENT, bucketrow INTEGER NOT NULL, "
    "starttime INTEGER NOT NULL, endtime INTEGER NOT NULL, data TEXT NOT NULL, "
    "FOREIGN KEY (bucketrow) REFERENCES buckets(id));"
    "CREATE INDEX IF NOT EXISTS events_bucketrow_index ON events(bucketrow);"
    "CREATE INDEX IF NOT EXISTS events_starttime_index ON events(starttime);"
    "CREATE INDEX IF NOT EXISTS events_endtime_index ON events(endtime);"
    "PRAGMA user_version = 1;",
    // 1 -> 2, its column apart: see add_columns()
    "PRAGMA user_version = 2;",
    // 2 -> 3, likewise
    "PRAGMA user_version = 3;",
    // 3 -> 4
    "CREATE TABLE IF NOT EXISTS key_value (key TEXT PRIMARY KEY, value TEXT, last_modified NUMBER NOT NULL);"
    "PRAGMA user_version = 4;",
    // 4 -> 5
    "DROP INDEX IF EXISTS events_bucketrow_index;"
    "DROP INDEX IF EXISTS events_starttime_index;"
    "DROP INDEX IF EXISTS events_endtime_index;"
    "CREATE INDEX IF NOT EXISTS events_bucketrow_starttime_endtime_index "
    "ON events(bucketrow, starttime DESC, endtime);"
    "PRAGMA user_version = 5;",
};
_Static_assert(sizeof STEPS / sizeof STEPS[0] == WEIR_ACTIVITY_USER_VERSION, "a step for each version");

// ------------------------------------------------------------------------------------------------- looking

// The first column of the only row, with up to two texts bound.
static int ask(weir_tx *tx, const char *sql, const char *first, const char *second, int64_t *number,
               weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    *number = 0;
    int rc = weir_prepare(tx, sql, &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    if (first != NULL)
        weir_bind_text(stmt, 1, first, WEIR_TEXT_TERMINATED);
    if (second != NULL)
        weir_bind_text(stmt, 2, second, WEIR_TEXT_TERMINATED);
    rc = weir_step(stmt, &row, err);
    if (rc == WEIR_OK && row)
        *number = weir_column_int64(stmt, 0);
    weir_reset(stmt);
    return rc;
}

static int has_column(weir_tx *tx, const char *table_name, const char *column, bool *has, weir_error *err)
{
    int64_t count = 0;
    const int rc = ask(tx, "SELECT count(*) FROM pragma_table_info($1) WHERE name = $2", table_name, column,
                       &count, err);
    *has = count > 0;
    return rc;
}

// A table that exists must have its columns.
static int check_table(const char *path, weir_tx *tx, const table *t, bool *exists, weir_error *err)
{
    int64_t columns = 0;
    int rc = ask(tx, "SELECT count(*) FROM pragma_table_info($1)", t->name, NULL, &columns, err);
    *exists = columns > 0;
    for (size_t i = 0; rc == WEIR_OK && *exists && t->columns[i] != NULL; i++) {
        bool has = false;
        rc = has_column(tx, t->name, t->columns[i], &has, err);
        if (rc == WEIR_OK && !has)
            rc = weir__error_set(err, WEIR_SQL,
                                 "%s has a table %s without the column %s: it is not ActivityWatch's, and is "
                                 "left as it is",
                                 path, t->name, t->columns[i]);
    }
    return rc;
}

static int count_known(const char *path, weir_tx *tx, int *known, weir_error *err)
{
    int rc = WEIR_OK;
    *known = 0;
    for (size_t i = 0; rc == WEIR_OK && i < TABLE_COUNT; i++) {
        bool exists = false;
        rc = check_table(path, tx, &TABLES[i], &exists, err);
        *known += exists;
    }
    return rc;
}

// Is it a file that can be opened, and of which version?
static int check_file(const char *path, weir_tx *tx, int64_t *version, weir_error *err)
{
    int64_t objects = 0;
    int known = 0;
    int rc = ask(tx, "SELECT count(*) FROM sqlite_schema", NULL, NULL, &objects, err);
    if (rc == WEIR_OK)
        rc = count_known(path, tx, &known, err);
    if (rc == WEIR_OK && objects > 0 && known == 0)
        return weir__error_set(err, WEIR_NOTADB,
                               "%s is a database, but not one of ActivityWatch: none of its tables is there, "
                               "and it is left as it is",
                               path);
    if (rc == WEIR_OK)
        rc = ask(tx, "PRAGMA user_version", NULL, NULL, version, err);
    if (rc == WEIR_OK && (*version < 0 || *version > WEIR_ACTIVITY_USER_VERSION))
        rc = weir__error_set(err, WEIR_UNSUPPORTED,
                             "%s is of version %lld, and this program knows ActivityWatch's databases up to "
                             "version %d: use a newer one",
                             path, (long long)*version, WEIR_ACTIVITY_USER_VERSION);
    if (rc == WEIR_OK && *version > 0 && known < 2)
        rc =
            weir__error_set(err, WEIR_SQL,
                            "%s says that it is of version %lld of ActivityWatch's databases, but tables are "
                            "missing",
                            path, (long long)*version);
    return rc;
}

typedef struct look {
    const char *path;
    int64_t version;
} look;

static int look_job(weir_tx *tx, void *arg, weir_error *err)
{
    look *const l = arg;
    return check_file(l->path, tx, &l->version, err);
}

int weir__activity_schema_look(const char *path, const weir_config *config, weir_error *err)
{
    weir_config only_look = *config;
    only_look.read_only = true;
    only_look.must_exist = true;
    only_look.readers = 1;
    weir_store *store = NULL;
    if (strcmp(path, ":memory:") == 0 || weir_open(path, &only_look, &store, NULL) != WEIR_OK)
        return WEIR_OK;
    look l = {.path = path};
    weir_error why = WEIR_ERROR_INIT;
    const weir_read_options options = {.label = "activity: is it ours?"};
    const int rc = weir_read(store, look_job, &l, &options, &why);
    weir_close(store, 0, NULL);
    if (rc != WEIR_NOTADB && rc != WEIR_UNSUPPORTED && rc != WEIR_SQL)
        return WEIR_OK;
    weir__error_copy(err, &why);
    return rc;
}

// ----------------------------------------------------------------------------------------------- migrating

static int add_columns(weir_tx *tx, int64_t version, weir_error *err)
{
    bool has_data = false;
    bool has_deprecated = false;
    int rc = has_column(tx, "buckets", "data", &has_data, err);
    if (rc == WEIR_OK)
        rc = has_column(tx, "buckets", "data_deprecated", &has_deprecated, err);
    if (rc == WEIR_OK && version == 1 && !has_data && !has_deprecated)
        rc = weir_exec_script(tx, "ALTER TABLE buckets ADD COLUMN data TEXT DEFAULT '{}'", err);
    if (version != 2)
        return rc;
    if (rc == WEIR_OK && has_data && !has_deprecated) {
        rc = weir_exec_script(tx, "ALTER TABLE buckets RENAME COLUMN data TO data_deprecated", err);
        has_data = false;
    }
    if (rc == WEIR_OK && !has_data)
        rc = weir_exec_script(tx, "ALTER TABLE buckets ADD COLUMN data TEXT NOT NULL DEFAULT '{}'", err);
    return rc;
}

// One step, from whatever version the database has by now.
static int step(weir_tx *tx, void *arg, weir_error *err)
{
    look *const l = arg;
    int rc = check_file(l->path, tx, &l->version, err);
    if (rc != WEIR_OK || l->version == WEIR_ACTIVITY_USER_VERSION)
        return rc;
    rc = add_columns(tx, l->version, err);
    if (rc == WEIR_OK)
        rc = weir_exec_script(tx, STEPS[l->version], err);
    return rc;
}

static int migrate(weir_activity *activity, look *l, weir_error *err)
{
    const weir_write_options options = {.ack = activity->ack == WEIR_ACK_DURABLE ? WEIR_ACK_DURABLE
                                                                                 : WEIR_ACK_COMMITTED,
                                        .deadline_ms = WEIR_NO_DEADLINE,
                                        .label = "activity: a step of the schema"};
    int rc = WEIR_OK;
    while (rc == WEIR_OK && l->version < WEIR_ACTIVITY_USER_VERSION)
        rc = weir_write(activity->store, step, l, &options, err);
    return rc;
}

// What version 5 has and check_file() does not ask for.
static int check_whole(weir_tx *tx, void *arg, weir_error *err)
{
    look *const l = arg;
    bool has_data = false;
    int known = 0;
    int rc = check_file(l->path, tx, &l->version, err);
    if (rc == WEIR_OK && l->version != WEIR_ACTIVITY_USER_VERSION)
        return weir__error_set(
            err, WEIR_UNSUPPORTED,
            "%s is of version %lld and would have to be migrated to %d first, which cannot "
            "be done read-only: open it once for writing",
            l->path, (long long)l->version, WEIR_ACTIVITY_USER_VERSION);
    if (rc == WEIR_OK)
        rc = count_known(l->path, tx, &known, err);
    if (rc == WEIR_OK)
        rc = has_column(tx, "buckets", "data", &has_data, err);
    if (rc == WEIR_OK && (known < TABLE_COUNT || !has_data))
        rc = weir__error_set(
            err, WEIR_SQL, "%s says that it is of version %d of ActivityWatch's databases, but %s is missing",
            l->path, WEIR_ACTIVITY_USER_VERSION, has_data ? "a table" : "the column buckets.data");
    return rc;
}

int weir__activity_schema_prepare(weir_activity *activity, weir_error *err)
{
    look l = {.path = activity->path};
    const weir_read_options options = {.label = "activity: schema"};
    int rc = WEIR_OK;
    if (!activity->read_only) {
        rc = weir_read(activity->store, look_job, &l, &options, err);
        if (rc == WEIR_OK)
            rc = migrate(activity, &l, err);
    }
    if (rc == WEIR_OK)
        rc = weir_read(activity->store, check_whole, &l, &options, err);
    return rc;
}
