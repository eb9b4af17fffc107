// SPDX-License-Identifier: MIT
//
// Settings: rows of key_value whose key is "settings." and the name. The value is canonical JSON, never NULL;
// a NULL or broken one of somebody else's making is left out of lists, and the range of keys is asked for by
// comparison, because LIKE would take "settings." for a pattern and fold case.
#include <string.h>

#include "activity/activity.h"
#include "base/clock.h"
#include "base/json_read.h"

static const char prefix[] = "settings.";
enum { PREFIX_SIZE = sizeof prefix - 1 };

typedef struct setting {
    char key[PREFIX_SIZE + WEIR_ACTIVITY_SETTING_NAME_SIZE];
    weir__text value;
    int64_t now_s;
    bool exists;
} setting;

static bool is_privacy(const setting *given)
{
    return strcmp(given->key + PREFIX_SIZE, "privacy_filters") == 0;
}

static int name_it(const char *name, setting *out, weir_error *err)
{
    const size_t size = name != NULL ? strlen(name) : 0;
    if (name == NULL || !weir__utf8_is_valid(name, size))
        return weir__error_set(err, WEIR_INVALID, "a setting needs a name in UTF-8");
    if (size >= WEIR_ACTIVITY_SETTING_NAME_SIZE)
        return weir__error_set(err, WEIR_TOOBIG, "Too long key"); // the peer's words
    memcpy(out->key, prefix, PREFIX_SIZE);
    memcpy(out->key + PREFIX_SIZE, name, size + 1);
    return WEIR_OK;
}

// ------------------------------------------------------------------------------------------------- reading

static int read_one(weir_tx *tx, void *arg, weir_error *err)
{
    setting *const given = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, "SELECT value FROM key_value WHERE key=$1", &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, given->key, WEIR_TEXT_TERMINATED);
    rc = weir_step(stmt, &row, err);
    const char *const value = rc == WEIR_OK && row ? weir_column_text(stmt, 0) : NULL;
    if (value == NULL)
        return rc;
    given->exists = true;
    rc = weir__json_canonical(value, weir_column_size(stmt, 0), WEIR__JSON_END, &given->value, err);
    weir_reset(stmt);
    if (rc == WEIR_INVALID)
        return weir__error_set(err, WEIR_CORRUPT, "the setting %s holds no JSON", given->key + PREFIX_SIZE);
    return rc;
}

int weir_activity_setting_get(weir_activity *activity, const char *name, char **json, weir_error *err)
{
    *json = NULL;
    setting given = {0};
    int rc = name_it(name, &given, err);
    const weir_read_options options = {.label = "a setting"};
    if (rc == WEIR_OK)
        rc = weir_read(activity->store, read_one, &given, &options, err);
    if (rc == WEIR_OK && given.exists) {
        *json = weir__text_take(&given.value);
        rc = *json != NULL ? WEIR_OK : weir__activity_no_memory(err);
    }
    weir__text_free(&given.value);
    return rc;
}

typedef struct listing {
    weir_activity *activity;
    weir__text out;
} listing;

static int add_row(listing *list, weir_stmt *stmt, weir_error *err)
{
    const char *const name = weir_column_text(stmt, 0);
    const char *const value = weir_column_text(stmt, 1);
    if (name == NULL || value == NULL)
        return weir__activity_no_memory(err);
    const size_t before = list->out.size;
    if (before > 1)
        weir__text_char(&list->out, ',');
    weir__text_json_string(&list->out, name, weir_column_size(stmt, 0));
    weir__text_char(&list->out, ':');
    const int rc = weir__json_canonical(value, weir_column_size(stmt, 1), WEIR__JSON_END, &list->out, NULL);
    if (rc == WEIR_NOMEM || list->out.failed)
        return weir__activity_no_memory(err);
    if (rc != WEIR_OK) {
        list->out.size = before;
        weir__activity_skip(list->activity, "key_value", weir_column_int64(stmt, 2));
    }
    return WEIR_OK;
}

// The '/' is the character after '.'. The name begins behind the prefix, which has 9 characters.
static const char list_sql[] = "SELECT substr(key, 10), value, rowid FROM key_value WHERE key >= 'settings.' "
                               "AND key < 'settings/' AND typeof(value) = 'text' ORDER BY key";
_Static_assert(PREFIX_SIZE == 9, "list_sql cuts the prefix off");

static int read_all(weir_tx *tx, void *arg, weir_error *err)
{
    listing *const list = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    weir__text_char(&list->out, '{');
    int rc = weir_prepare(tx, list_sql, &stmt, err);
    while (rc == WEIR_OK && (rc = weir_step(stmt, &row, err)) == WEIR_OK && row)
        rc = add_row(list, stmt, err);
    weir__text_char(&list->out, '}');
    return rc;
}

int weir_activity_settings(weir_activity *activity, char **json, weir_error *err)
{
    *json = NULL;
    listing list = {.activity = activity};
    const weir_read_options options = {.label = "settings"};
    int rc = weir_read(activity->store, read_all, &list, &options, err);
    if (rc == WEIR_OK) {
        *json = weir__text_take(&list.out);
        rc = *json != NULL ? WEIR_OK : weir__activity_no_memory(err);
    }
    weir__text_free(&list.out);
    return rc;
}

// ------------------------------------------------------------------------------------------------- writing

// The rules of the filters are read again at once, so that a list that is not valid is told of now.
static int renew_rules(weir_activity *activity, weir_tx *tx, const setting *given, weir_error *err)
{
    if (!is_privacy(given))
        return WEIR_OK;
    weir__privacy_forget(activity);
    return weir__privacy_load(activity, tx, err);
}

static int set_job(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    const setting *const given = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(
        tx,
        "INSERT INTO key_value (key, value, last_modified) VALUES ($1, $2, $3) "
        "ON CONFLICT (key) DO UPDATE SET value=excluded.value, last_modified=excluded.last_modified",
        &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, given->key, WEIR_TEXT_TERMINATED);
    weir_bind_text(stmt, 2, given->value.data, given->value.size);
    weir_bind_int64(stmt, 3, given->now_s);
    rc = weir_step(stmt, &row, err);
    return rc == WEIR_OK ? renew_rules(activity, tx, given, err) : rc;
}

static int check_size(const char *name, size_t size, weir_error *err)
{
    if (size <= WEIR_ACTIVITY_DATA_BYTES_MAX)
        return WEIR_OK;
    return weir__error_set(err, WEIR_TOOBIG, "the setting %s has %zu bytes, at most %u are allowed", name,
                           size, WEIR_ACTIVITY_DATA_BYTES_MAX);
}

int weir_activity_setting_set(weir_activity *activity, const char *name, const char *json, size_t size,
                              weir_error *err)
{
    setting given = {.now_s = weir__clock_wall_us(weir__clock_system()) / WEIR__US_PER_S};
    int rc = name_it(name, &given, err);
    if (rc != WEIR_OK)
        return rc;
    if (size == WEIR_TEXT_TERMINATED)
        size = strlen(json);
    rc = check_size(name, size, err);
    if (rc == WEIR_OK)
        rc = weir__json_canonical(json, size, WEIR__JSON_END, &given.value, err);
    if (rc == WEIR_OK)
        rc = check_size(name, given.value.size, err); // it may have become longer
    if (rc == WEIR_OK)
        rc = weir__activity_write(activity, set_job, &given, "a setting", err);
    weir__text_free(&given.value);
    return rc;
}

static int delete_job(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    const setting *const given = arg;
    const int rc = weir_exec(tx, err, "DELETE FROM key_value WHERE key=$1", "t", given->key);
    return rc == WEIR_OK ? renew_rules(activity, tx, given, err) : rc;
}

int weir_activity_setting_delete(weir_activity *activity, const char *name, weir_error *err)
{
    setting given = {0};
    const int rc = name_it(name, &given, err);
    return rc == WEIR_OK ? weir__activity_write(activity, delete_job, &given, "the end of a setting", err)
                         : rc;
}
