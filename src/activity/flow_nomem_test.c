// SPDX-License-Identifier: MIT
//
// Import, export, settings, filters and JSON without memory: the k-th allocation of a call fails, for k = 0, 1, 2 …
// until the call succeeds. Each time it has to say WEIR_NOMEM (or get along) and keep nothing.
//
// Under a sanitizer this test does nothing (see support/sanitized.h).
#include "activity/flow_test.h"
#include "activity/rules.h"
#include "support/nomem.h"

#if IS_SANITIZED

int main(void)
{
    return skip_sanitized();
}

#else

#define FILTERS                                                                                              \
    "[{\"enabled\":true,\"field\":\"a.b\",\"pattern\":\"(s|S)ecret\",\"action\":\"redact\",\"replacement\":" \
    "\"-\"},"                                                                                                \
    "{\"enabled\":true,\"field\":\"title\",\"pattern\":\"x\",\"action\":\"drop\"}]"
#define EVENT(time, data) "{\"timestamp\":\"2018-01-01T" time "Z\",\"duration\":1,\"data\":" data "}"
#define EVENTS                                                                                            \
    "[" EVENT("01:01:01", "{\"a\":{\"b\":\"secret\"}}") "," EVENT(                                        \
        "01:01:02", "{\"title\":\"x\"}") "," EVENT("01:01:03", "{\"z\":1,\"a\":\"a text of some length, " \
                                                               "longer than what is there first\"}") "]"
#define BUCKET \
    "{\"events\":" EVENTS ",\"type\":\"t\",\"client\":\"c\",\"hostname\":\"!local\",\"data\":{\"z\":1}}"

static desk d;

static int parse_event(weir_error *err)
{
    static const char json[] =
        EVENT("01:01:01", "{\"b\":\"a text of some length, longer than what is there first\"}");
    weir_event *event = NULL;
    const int rc = weir_event_parse(json, sizeof json - 1, &event, err);
    assert_int_equal(event != NULL, rc == WEIR_OK);
    free(event);
    return rc;
}

static int parse_and_apply_rules(weir_error *err)
{
    weir__rules *rules = NULL;
    int rc = weir__rules_parse(FILTERS, sizeof FILTERS - 1, &rules, err);
    assert_int_equal(rules != NULL, rc == WEIR_OK);
    static const char data[] = "{\"a\":{\"b\":\"a secret\"}}";
    weir__text redacted = {0};
    weir__privacy_verdict verdict;
    if (rc == WEIR_OK)
        rc = weir__rules_apply(rules, "b", data, sizeof data - 1, &redacted, &verdict, err);
    if (rc == WEIR_OK)
        assert_string_equal(redacted.data, "{\"a\":{\"b\":\"-\"}}");
    weir__text_free(&redacted);
    weir__rules_free(rules);
    return rc;
}

static int setting(weir_error *err)
{
    char *json = NULL;
    int rc = weir_activity_setting_set(d.activity, "name", "{\"b\":1,\"a\":[]}", WEIR_TEXT_TERMINATED, err);
    if (rc == WEIR_OK)
        rc = weir_activity_setting_get(d.activity, "name", &json, err);
    free(json);
    json = NULL;
    if (rc == WEIR_OK)
        rc = weir_activity_settings(d.activity, &json, err);
    free(json);
    return rc;
}

static int count_event(void *context, const weir_event *event, weir_error *err)
{
    (void)event, (void)err;
    ++*(int *)context;
    return WEIR_OK;
}

static int insert(weir_error *err)
{
    const weir_activity_input input = flow_input(EVENTS);
    int count = 0;
    const int rc = weir_activity_insert_json(d.activity, "b", &input, count_event, &count, err);
    if (rc == WEIR_OK)
        assert_int_equal(count, 2);
    return rc;
}

static int import(weir_error *err)
{
    const weir_activity_input input = flow_input("{\"buckets\":{\"i\":" BUCKET "}}");
    return weir_activity_import(d.activity, &input, NULL, NULL, NULL, err);
}

static int create(weir_error *err)
{
    const weir_activity_input input = flow_input(BUCKET);
    const weir_activity_local local = {.hostname = "h", .device_id = "d"};
    const int rc = weir_activity_bucket_create_json(d.activity, "new", &input, &local, err);
    const long countdown = nomem_countdown;
    nomem_countdown = -1;
    weir_error why = WEIR_ERROR_INIT;
    expect_code(weir_activity_bucket_delete(d.activity, "new", &why), rc == WEIR_OK ? WEIR_OK : WEIR_NOTFOUND,
                &why);
    nomem_countdown = countdown;
    return rc;
}

static void set_elsewhere(const char *filters)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql, "UPDATE key_value SET value='%s' WHERE key='settings.privacy_filters'",
                   filters);
    naive_sql(d.place.database, sql);
}

// Filters that another process has changed: a heartbeat that has no memory to read them fails, and leaves not the
// old ones in force.
static int beat_under_new_filters(weir_error *err)
{
    const weir_event secret = event_at(0, 0, "{\"title\":\"a secret\"}");
    long countdown = nomem_countdown;
    nomem_countdown = -1;
    set_elsewhere(FILTERS);
    must_beat(&d, "b", event_at(0, 0, "{}"), 0);
    set_elsewhere("[{\"enabled\":true,\"field\":\"title\",\"pattern\":\"secret\",\"action\":\"drop\"}]");
    nomem_countdown = countdown;
    const int rc = weir_activity_heartbeat(d.activity, "b", &secret, 0, NULL, err);
    countdown = nomem_countdown;
    nomem_countdown = -1;
    must_beat(&d, "b", secret, 0);
    nomem_countdown = countdown;
    return rc;
}

static int sink(void *context, const void *bytes, size_t size, weir_error *err)
{
    (void)bytes, (void)err;
    *(size_t *)context += size;
    return WEIR_OK;
}

static int export(weir_error *err)
{
    size_t size = 0;
    return weir_activity_export(d.activity, NULL, 0, sink, &size, err);
}

static void walk_all(void **state)
{
    (void)state;
    desk_init(&d, NULL);
    must_create(&d, "b");
    NOMEM_WALK(parse_event, true);
    NOMEM_WALK(parse_and_apply_rules, true);
    NOMEM_WALK(setting, false);
    flow_set(&d, "privacy_filters", FILTERS);
    NOMEM_WALK(insert, false);
    NOMEM_WALK(import, false);
    NOMEM_WALK(create, false);
    NOMEM_WALK(export, false);
    NOMEM_WALK(beat_under_new_filters, false);
    assert_int_equal(flow_count(&d, "SELECT count(*) FROM events WHERE data LIKE '%secret%'"), 0);
    assert_int_equal(flow_count(&d, "SELECT count(*) FROM buckets"), 2);
    assert_int_equal(weir_activity_skipped(d.activity), 0);
    desk_close(&d);
    must_be_intact(d.place.database);
    desk_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
