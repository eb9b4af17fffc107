// SPDX-License-Identifier: MIT
//
// Settings: the peer's tests of them, rows of somebody else's making, names at the limit.
#include "activity/flow_test.h"

static char *get(desk *d, const char *name)
{
    weir_error err = WEIR_ERROR_INIT;
    char *json = NULL;
    expect_ok(weir_activity_setting_get(d->activity, name, &json, &err), &err);
    return json;
}

static void expect_setting(desk *d, const char *name, const char *wanted)
{
    char *const json = get(d, name);
    if (wanted == NULL)
        assert_null(json);
    else
        assert_string_equal(json, wanted);
    free(json);
}

static void expect_settings(desk *d, const char *wanted)
{
    weir_error err = WEIR_ERROR_INIT;
    char *json = NULL;
    expect_ok(weir_activity_settings(d->activity, &json, &err), &err);
    assert_string_equal(json, wanted);
    free(json);
}

static void values_round_trip(void **state)
{
    desk *const d = *state;
    expect_setting(d, "absent", NULL);
    expect_settings(d, "{}");
    flow_set(d, "s", " \"text\" ");
    flow_set(d, "list", "[1, 1.0, -0, 18446744073709551615, null]");
    flow_set(d, "dict", "{\"b\": {\"z\": 1, \"a\": \"\\u00e9\"}, \"a\": true, \"b\": 2}");
    flow_set(d, "nothing", "null");
    expect_setting(d, "s", "\"text\"");
    expect_setting(d, "list", "[1,1.0,-0.0,18446744073709551615,null]");
    expect_setting(d, "dict", "{\"a\":true,\"b\":2}");
    expect_setting(d, "nothing", "null");
    flow_set(d, "s", "2");
    expect_setting(d, "s", "2");
    expect_settings(d, "{\"dict\":{\"a\":true,\"b\":2},\"list\":[1,1.0,-0.0,18446744073709551615,null],"
                       "\"nothing\":null,\"s\":2}");
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_setting_delete(d->activity, "s", &err), &err);
    expect_ok(weir_activity_setting_delete(d->activity, "s", &err), &err);
    expect_setting(d, "s", NULL);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM key_value WHERE typeof(last_modified)='integer' AND "
                                   "last_modified BETWEEN unixepoch()-60 AND unixepoch() AND "
                                   "key LIKE 'settings.%'"),
                     3);
}

static void names_have_a_limit(void **state)
{
    desk *const d = *state;
    char name[WEIR_ACTIVITY_SETTING_NAME_SIZE + 1];
    memset(name, 'x', sizeof name);
    name[WEIR_ACTIVITY_SETTING_NAME_SIZE] = '\0';
    weir_error err = WEIR_ERROR_INIT;
    char *json = NULL;
    expect_code(weir_activity_setting_get(d->activity, name, &json, &err), WEIR_TOOBIG, &err);
    assert_string_equal(err.text, "Too long key");
    expect_code(weir_activity_setting_set(d->activity, name, "1", 1, &err), WEIR_TOOBIG, &err);
    assert_string_equal(err.text, "Too long key");
    expect_code(weir_activity_setting_delete(d->activity, name, &err), WEIR_TOOBIG, &err);
    name[WEIR_ACTIVITY_SETTING_NAME_SIZE - 1] = '\0';
    flow_set(d, name, "1");
    expect_setting(d, name, "1");
    expect_code(weir_activity_setting_set(d->activity, "\xFF", "1", 1, &err), WEIR_INVALID, &err);
}

static void only_json_is_stored(void **state)
{
    desk *const d = *state;
    weir_error err = WEIR_ERROR_INIT;
    static const char *const bad[] = {"", "nan", "{", "1 2", "\"\\ud800\"", "1e400"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_code(weir_activity_setting_set(d->activity, "k", bad[i], strlen(bad[i]), &err), WEIR_INVALID,
                    &err);
    char *const large = calloc(1, WEIR_ACTIVITY_DATA_BYTES_MAX + 1);
    assert_non_null(large);
    expect_code(weir_activity_setting_set(d->activity, "k", large, WEIR_ACTIVITY_DATA_BYTES_MAX + 1, &err),
                WEIR_TOOBIG, &err);
    free(large);
    expect_settings(d, "{}");
}

static void rows_of_others_are_borne(void **state)
{
    desk *const d = *state;
    must_run_sql(weir_activity_store(d->activity),
                 "INSERT INTO key_value VALUES ('settings.null', NULL, 0), ('settings.blob', x'00', 0),"
                 "('settings.broken', '{', 0), ('settingsXlike', '1', 0), ('Settings.case', '1', 0),"
                 "('other', '1', 0), ('settings.good', ' {\"b\":1, \"a\":2}', 1.5), ('settings/', '1', 0)");
    expect_settings(d, "{\"good\":{\"a\":2,\"b\":1}}");
    expect_setting(d, "null", NULL);
    weir_error err = WEIR_ERROR_INIT;
    char *json = NULL;
    expect_code(weir_activity_setting_get(d->activity, "broken", &json, &err), WEIR_CORRUPT, &err);
    assert_null(json);
    assert_int_equal(weir_activity_skipped(d->activity), 1);
    flow_set(d, "null", "7");
    expect_setting(d, "null", "7");
    assert_int_equal(flow_count(d, "SELECT count(*) FROM key_value"), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_round_trip, flow_setup, flow_teardown),
        cmocka_unit_test_setup_teardown(names_have_a_limit, flow_setup, flow_teardown),
        cmocka_unit_test_setup_teardown(only_json_is_stored, flow_setup, flow_teardown),
        cmocka_unit_test_setup_teardown(rows_of_others_are_borne, flow_setup, flow_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
