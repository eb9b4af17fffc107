// SPDX-License-Identifier: MIT
//
// W7: privacy filters are in force. Set through this handle, by another process, before it was opened; on
// every way by which events come in; and a list that is not valid leaves those before it in force.
#include "activity/flow_test.h"

#include <stdio.h>

#include "base/log.h"

#define DROP_SECRETS "[{\"enabled\":true,\"field\":\"title\",\"pattern\":\"secret\",\"action\":\"drop\"}]"
#define REDACT_SECRETS                                                                                     \
    "[{\"enabled\":true,\"field\":\"title\",\"pattern\":\"secret\",\"action\":\"redact\",\"replacement\":" \
    "\"-\"}]"
#define SECRET "{\"title\":\"my secret\"}"
#define OPEN "{\"title\":\"page\"}"
#define EVENT(time, data) "{\"timestamp\":\"2018-01-01T" time "Z\",\"duration\":1,\"data\":" data "}"

// How often data with this text is stored.
static int64_t stored(desk *d, const char *text)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM events WHERE data LIKE '%%%s%%'", text);
    return flow_count(d, sql);
}

static void inserts_are_filtered(void **state)
{
    desk *const d = *state;
    must_create(d, "b");
    must_insert(d, "b", event_at(0, 1, SECRET));
    assert_int_equal(stored(d, "secret"), 1);
    flow_set(d, "privacy_filters", DROP_SECRETS);
    weir_error err = WEIR_ERROR_INIT;
    const weir_event events[] = {event_at(1, 1, OPEN), event_at(2, 1, SECRET), event_at(3, 1, OPEN)};
    int64_t ids[3] = {-1, -1, -1};
    expect_ok(weir_activity_insert(d->activity, "b", events, 3, ids, &err), &err);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 0);
    assert_int_equal(ids[2], 3);
    flow_set(d, "privacy_filters", REDACT_SECRETS);
    must_insert(d, "b", event_at(4, 1, SECRET));
    expect_ok(weir_activity_setting_delete(d->activity, "privacy_filters", &err), &err);
    must_insert(d, "b", event_at(5, 1, SECRET));
    expect_events(d, "b", NULL,
                  "5:5+1 " SECRET "; 4:4+1 {\"title\":\"-\"}; 3:3+1 " OPEN "; 2:1+1 " OPEN "; 1:0+1 " SECRET);
}

static void heartbeats_are_filtered(void **state)
{
    desk *const d = *state;
    must_create(d, "b");
    flow_set(d, "privacy_filters", DROP_SECRETS);
    const weir_event nothing = must_beat(d, "b", event_at(0, 0, SECRET), 10);
    assert_false(nothing.has_id);
    const weir_event first = must_beat(d, "b", event_at(1, 0, OPEN), 10);
    const weir_event newest = must_beat(d, "b", event_at(2, 0, SECRET), 10);
    assert_int_equal(newest.id, first.id);
    assert_int_equal(newest.start_ns, first.start_ns);
    flow_set(d, "privacy_filters", REDACT_SECRETS);
    must_beat(d, "b", event_at(3, 0, SECRET), 10);
    must_beat(d, "b", event_at(5, 0, "{\"title\":\"another secret\"}"), 10); // both say "-" now
    expect_events(d, "b", NULL, "2:3+2 {\"title\":\"-\"}; 1:1+0 " OPEN);
}

static void imports_and_new_buckets_are_filtered(void **state)
{
    desk *const d = *state;
    flow_set(d, "privacy_filters", REDACT_SECRETS);
    static const char bucket[] = "{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"events\":[" EVENT(
        "01:01:01", SECRET) "," EVENT("01:01:02", OPEN) "]}";
    weir__text json = {0};
    weir__text_printf(&json, "{\"buckets\":{\"i\":%s}}", bucket);
    flow_import(d, weir__text_string(&json), WEIR_OK);
    assert_int_equal(flow_import(d, weir__text_string(&json), WEIR_OK).events_known, 2);
    weir_error err = WEIR_ERROR_INIT;
    const weir_activity_input input = flow_input(bucket);
    expect_ok(weir_activity_bucket_create_json(d->activity, "n", &input, NULL, &err), &err);
    assert_int_equal(stored(d, "secret"), 0);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 4);
    flow_set(d, "privacy_filters", DROP_SECRETS);
    const weir_activity_import_report report = flow_import(d, weir__text_string(&json), WEIR_OK);
    assert_int_equal(report.events_dropped, 1);
    assert_int_equal(report.events_known, 1);
    weir__text_free(&json);
}

static int list_event(void *context, const weir_event *event, weir_error *err)
{
    (void)err;
    weir__text_printf(context, "%lld %.*s;", (long long)event->id, (int)event->data_size, event->data);
    return WEIR_OK;
}

// The reply lists what was stored, not what came.
static void arrays_are_filtered(void **state)
{
    desk *const d = *state;
    must_create(d, "b");
    weir_error err = WEIR_ERROR_INIT;
    weir__text told = {0};
    const weir_activity_input input =
        flow_input("[" EVENT("01:01:01", OPEN) "," EVENT("01:01:02", SECRET) "," EVENT("01:01:03", OPEN) "]");
    flow_set(d, "privacy_filters", DROP_SECRETS);
    expect_ok(weir_activity_insert_json(d->activity, "b", &input, list_event, &told, &err), &err);
    assert_string_equal(weir__text_string(&told), "1 " OPEN ";2 " OPEN ";");
    weir__text_clear(&told);
    flow_set(d, "privacy_filters", REDACT_SECRETS);
    expect_ok(weir_activity_insert_json(d->activity, "b", &input, list_event, &told, &err), &err);
    assert_string_equal(weir__text_string(&told), "3 " OPEN ";4 {\"title\":\"-\"};5 " OPEN ";");
    weir__text_clear(&told);
    const weir_activity_input zero =
        flow_input("[{\"id\":0,\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":" OPEN "}]");
    expect_ok(weir_activity_insert_json(d->activity, "b", &zero, list_event, &told, &err), &err);
    assert_string_equal(weir__text_string(&told), "0 " OPEN ";");
    weir__text_free(&told);
}

// Whoever set it, and whenever: what is in the database counts.
static void the_database_decides(void **state)
{
    desk *const d = *state;
    must_create(d, "b");
    flow_set(d, "privacy_filters", DROP_SECRETS);
    desk_close(d);
    desk_open(d, NULL);
    must_beat(d, "b", event_at(0, 0, SECRET), 0);
    assert_int_equal(stored(d, "secret"), 0);
    naive_sql(d->place.database, "DELETE FROM key_value");
    must_beat(d, "b", event_at(1, 0, SECRET), 0);
    assert_int_equal(stored(d, "secret"), 1);
    naive_sql(d->place.database,
              "INSERT INTO key_value VALUES ('settings.privacy_filters', '" DROP_SECRETS "', 0)");
    must_beat(d, "b", event_at(2, 0, SECRET), 0);
    assert_int_equal(stored(d, "secret"), 1);
    naive_sql(d->place.database, "UPDATE key_value SET value=NULL");
    must_beat(d, "b", event_at(3, 0, SECRET), 0);
    assert_int_equal(stored(d, "secret"), 2);
}

static int fail_after(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    const int rc = weir_exec_script(tx, "DELETE FROM key_value", err);
    return rc == WEIR_OK ? weir__error_set(err, WEIR_STATE, "undone") : rc;
}

static void a_change_that_was_undone_never_was(void **state)
{
    desk *const d = *state;
    must_create(d, "b");
    flow_set(d, "privacy_filters", DROP_SECRETS);
    weir_error err = WEIR_ERROR_INIT;
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED};
    expect_code(weir_write(weir_activity_store(d->activity), fail_after, NULL, &options, &err), WEIR_STATE,
                &err);
    must_beat(d, "b", event_at(0, 0, SECRET), 0);
    assert_int_equal(stored(d, "secret"), 0);
}

static void count_line(void *context, weir__log_level level, const char *line, size_t size)
{
    (void)size;
    if (level == WEIR__LOG_WARNING && strstr(line, "privacy_filters is not valid") != NULL)
        ++*(int *)context;
}

static void an_invalid_list_changes_nothing(void **state)
{
    desk *const d = *state;
    int warnings = 0;
    weir__log_set_sink(count_line, &warnings);
    must_create(d, "b");
    flow_set(d, "privacy_filters", DROP_SECRETS);
    flow_set(d, "privacy_filters", "[{\"enabled\":true}]");
    assert_int_equal(warnings, 1);
    must_beat(d, "b", event_at(0, 0, SECRET), 0);
    flow_set(d, "other", "1");
    must_beat(d, "b", event_at(1, 0, SECRET), 0);
    assert_int_equal(stored(d, "secret"), 0);
    assert_int_equal(warnings, 1);
    char *json = NULL;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_setting_get(d->activity, "privacy_filters", &json, &err), &err);
    assert_string_equal(json, "[{\"enabled\":true}]");
    free(json);
    flow_set(d, "privacy_filters", "[]");
    must_beat(d, "b", event_at(2, 0, SECRET), 0);
    assert_int_equal(stored(d, "secret"), 1);
    assert_int_equal(warnings, 1);
    weir__log_set_sink(NULL, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, flow_setup, flow_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(inserts_are_filtered),
        TEST(heartbeats_are_filtered),
        TEST(imports_and_new_buckets_are_filtered),
        TEST(arrays_are_filtered),
        TEST(the_database_decides),
        TEST(a_change_that_was_undone_never_was),
        TEST(an_invalid_list_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
