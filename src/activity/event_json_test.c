// SPDX-License-Identifier: MIT
//
// Events as JSON: what is taken and what is refused, with which code, because an HTTP server makes 400 of
// INVALID and 422 of MISMATCH; and what is written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "activity/json.h"

#define HEAD "{\"timestamp\":\"2018-01-01T01:01:01Z\","

static int parse(const char *json, weir_event **event)
{
    weir_error err = WEIR_ERROR_INIT;
    const int code = weir_event_parse(json, strlen(json), event, &err);
    if (code != WEIR_OK) {
        assert_null(*event);
        assert_int_equal(err.code, code);
        assert_true(err.text[0] != '\0');
    }
    return code;
}

static void expect_parse(const char *json, int wanted)
{
    weir_event *event = NULL;
    const int code = parse(json, &event);
    if (code != wanted)
        fail_msg("%s: got %s, wanted %s", json, weir_code_name(code), weir_code_name(wanted));
    free(event);
}

static void an_event_is_read(void **state)
{
    (void)state;
    weir_event *event = NULL;
    assert_int_equal(
        parse(" {\"duration\": 8.2, \"what\": [{}], \"id\": -7,\n \"data\": {\"b\": 1, \"a\": \"\\u00e9\"},"
              "\"timestamp\":\"2018-01-01 01:01:01.000000001+0000\"} ",
              &event),
        WEIR_OK);
    assert_true(event->has_id);
    assert_int_equal(event->id, -7);
    assert_int_equal(event->start_ns, INT64_C(1514768461000000001));
    assert_int_equal(event->duration_ns, INT64_C(8200000000));
    assert_string_equal(event->data, "{\"a\":\"é\",\"b\":1}");
    assert_int_equal(event->data_size, strlen(event->data));
    free(event);
}

static void what_is_absent(void **state)
{
    (void)state;
    weir_event *event = NULL;
    assert_int_equal(parse(HEAD "\"data\":{}}", &event), WEIR_OK);
    assert_false(event->has_id);
    assert_int_equal(event->id, 0);
    assert_int_equal(event->duration_ns, 0);
    assert_string_equal(event->data, "{}");
    free(event);
    assert_int_equal(parse(HEAD "\"data\":{},\"id\":null}", &event), WEIR_OK);
    assert_false(event->has_id);
    free(event);
    expect_parse("{\"data\":{}}", WEIR_MISMATCH);
    expect_parse(HEAD "\"duration\":1}", WEIR_MISMATCH);
}

static void other_shapes_are_mismatches(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "[]",
        "null",
        "1",
        "\"event\"",
        "{}",
        HEAD "\"data\":null}",
        HEAD "\"data\":[]}",
        HEAD "\"data\":\"{}\"}",
        HEAD "\"data\":{},\"id\":1.0}",
        HEAD "\"data\":{},\"id\":\"1\"}",
        HEAD "\"data\":{},\"id\":1e0}",
        HEAD "\"data\":{},\"id\":9223372036854775808}",
        HEAD "\"data\":{},\"id\":{}}",
        HEAD "\"data\":{},\"duration\":null}",
        HEAD "\"data\":{},\"duration\":\"1\"}",
        HEAD "\"data\":{},\"duration\":{}}",
        HEAD "\"data\":{},\"data\":{}}",
        HEAD "\"data\":{},\"duration\":1,\"duration\":1}",
        HEAD "\"data\":{},\"timestamp\":\"2018-01-01T01:01:01Z\"}",
        "{\"timestamp\":null,\"data\":{}}",
        "{\"timestamp\":1514768461,\"data\":{}}",
        "{\"timestamp\":\"\",\"data\":{}}",
        "{\"timestamp\":\"2018-02-30T01:01:01Z\",\"data\":{}}",
        "{\"timestamp\":\"2018-01-01T01:01:01\",\"data\":{}}",
        "{\"timestamp\":\"2018-01-01\",\"data\":{}}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_parse(cases[i], WEIR_MISMATCH);
}

static void what_is_no_json_is_invalid(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        "{",
        "\xEF\xBB\xBF" HEAD "\"data\":{}}",
        HEAD "\"data\":{}} x",
        HEAD "\"data\":{}}{}",
        HEAD "\"data\":{},}",
        HEAD "\"data\":{\"a\":NaN}}",
        HEAD "\"data\":{},\"duration\":NaN}",
        HEAD "\"data\":{},\"duration\":Infinity}",
        HEAD "\"data\":{},\"duration\":1e400}",
        HEAD "\"data\":{\"a\":1e400}}",
        HEAD "\"data\":{\"a\":\"\\ud800\"}}",
        HEAD "\"data\":{\"a\":\"\\udc00\\ud800\"}}",
        HEAD "\"data\":{\"a\":\"\xED\xA0\x80\"}}",
        HEAD "\"data\":{\"a\":\"\xFF\"}}",
        HEAD "\"data\":{\"a\":01}}",
        HEAD "\"data\":{'a':1}}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_parse(cases[i], WEIR_INVALID);
}

static void dates_beyond_the_range_are_invalid(void **state)
{
    (void)state;
    expect_parse("{\"timestamp\":\"3000-01-01T00:00:00Z\",\"data\":{}}", WEIR_INVALID);
    expect_parse("{\"timestamp\":\"+10000-01-01T00:00:00Z\",\"data\":{}}", WEIR_INVALID);
    expect_parse("{\"timestamp\":\"0001-01-01T00:00:00Z\",\"data\":{}}", WEIR_INVALID);
    expect_parse("{\"timestamp\":\"1677-09-21T00:12:43.145224191Z\",\"data\":{}}", WEIR_INVALID);
    expect_parse("{\"timestamp\":\"1677-09-21T00:12:43.145224192Z\",\"data\":{}}", WEIR_OK);
    expect_parse("{\"timestamp\":\"2262-04-11T23:47:16.854775807Z\",\"data\":{}}", WEIR_OK);
    expect_parse("{\"timestamp\":\"2262-04-11T23:47:16.854775808Z\",\"data\":{}}", WEIR_INVALID);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (int depth = 125; depth <= 131; depth++) {
        weir__text json = {0};
        weir__text_add(&json, HEAD "\"data\":");
        for (int i = 1; i < depth; i++) // the event itself is one
            weir__text_add(&json, "{\"a\":");
        weir__text_add(&json, "1");
        for (int i = 1; i < depth; i++)
            weir__text_char(&json, '}');
        weir__text_char(&json, '}');
        expect_parse(weir__text_string(&json),
                     depth - 1 <= WEIR_ACTIVITY_JSON_DEPTH_MAX ? WEIR_OK : WEIR_INVALID);
        weir__text_free(&json);
    }
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    weir_event *event = NULL;
    weir__text json = {0};
    weir__text_add(&json, HEAD "\"x\":");
    weir__text_append(&json, deep, sizeof deep);
    weir__text_add(&json, ",\"data\":{}}");
    assert_int_equal(parse(weir__text_string(&json), &event), WEIR_INVALID);
    weir__text_free(&json);
}

static void every_truncation_is_invalid(void **state)
{
    (void)state;
    static const char whole[] = "{\"id\":12,\"timestamp\":\"2018-01-01T01:01:01.5Z\",\"duration\":1.5e1,"
                                "\"data\":{\"a\":[1,\"\\ud83d\\ude00\",null]}}";
    expect_parse(whole, WEIR_OK);
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        char *const cut = malloc(size + 1); // its own block, so that a byte too far is seen
        assert_non_null(cut);
        memcpy(cut, whole, size);
        weir_event *event = NULL;
        const int code = weir_event_parse(cut, size, &event, NULL);
        if (code != WEIR_INVALID)
            fail_msg("cut to %zu bytes: %s", size, weir_code_name(code));
        free(cut);
    }
}

static void too_much_data_is_refused(void **state)
{
    (void)state;
    const size_t size = WEIR_ACTIVITY_DATA_BYTES_MAX + 100;
    char *const json = malloc(size);
    assert_non_null(json);
    memset(json, 'x', size);
    static const char head[] = HEAD "\"data\":{\"a\":\"";
    memcpy(json, head, sizeof head - 1);
    memcpy(json + size - 3, "\"}}", 3);
    weir_event *event = NULL;
    assert_int_equal(weir_event_parse(json, size, &event, NULL), WEIR_TOOBIG);
    free(json);
}

static void expect_written(const weir_event *event, const char *wanted)
{
    const size_t size = weir_event_json_size(event);
    char *const out = malloc(size + 1);
    assert_non_null(out);
    const size_t length = weir_event_json(event, out);
    assert_true(length <= size);
    out[length] = '\0';
    assert_string_equal(out, wanted);
    free(out);
}

static void an_event_is_written(void **state)
{
    (void)state;
    weir_event event = {.start_ns = INT64_C(1514768461000000000), .duration_ns = INT64_C(1000000000)};
    expect_written(&event,
                   "{\"id\":null,\"timestamp\":\"2018-01-01T01:01:01Z\",\"duration\":1.0,\"data\":{}}");
    event.has_id = true;
    event.id = INT64_MIN;
    event.start_ns = INT64_MIN;
    event.duration_ns = INT64_MIN;
    event.data = "{\"a\":1}and more";
    event.data_size = 7;
    weir__text wanted = {0};
    char seconds[WEIR__JSON_SECONDS_SIZE];
    weir__json_seconds(seconds, INT64_MIN);
    weir__text_printf(
        &wanted,
        "{\"id\":-9223372036854775808,\"timestamp\":\"1677-09-21T00:12:43.145224192Z\",\"duration\":%s,"
        "\"data\":{\"a\":1}}",
        seconds);
    expect_written(&event, weir__text_string(&wanted));
    weir__text_free(&wanted);
}

// W10: what is written reads back the same to the nanosecond.
static void durations_survive(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    int64_t worst = 0;
    for (int i = 0; i < 200000; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        weir_event event = {.start_ns = (int64_t)(seed >> 3),
                            .duration_ns = (int64_t)(seed >> (10 + i % 40))};
        if (event.duration_ns > INT64_C(8388608000000000)) // 2^23 s
            event.duration_ns %= INT64_C(8388608000000000);
        char out[256];
        const size_t size = weir_event_json(&event, out);
        weir_event *back = NULL;
        assert_int_equal(weir_event_parse(out, size, &back, NULL), WEIR_OK);
        assert_int_equal(back->start_ns, event.start_ns);
        if (back->duration_ns != event.duration_ns)
            fail_msg("%lld became %lld", (long long)event.duration_ns, (long long)back->duration_ns);
        worst = event.duration_ns > worst ? event.duration_ns : worst;
        free(back);
    }
    assert_true(worst > INT64_C(4000000000000000));
}

// aw-models: a list with elements that are no events.
static void bad_elements_are_passed_over(void **state)
{
    (void)state;
    static const char list[] =
        "[1, {}, [], " HEAD "\"data\":{\"k\":1}}, null, {\"timestamp\":\"2018-01-01T01:01:01Z\"}," HEAD
        "\"data\":{\"x\":[{}]},\"id\":\"1\",\"more\":{\"a\":[1,2]}}," HEAD
        "\"data\":[1,{\"y\":2}]}, \"s\", true, [[{}]], \"\\ud800\", " HEAD
        "\"data\":{\"x\":\"\\ud83d\"}}, " HEAD "\"data\":{\"\\ude00\":\"\\ud83d\\ude00\"}}," HEAD
        "\"data\":{\"k\":2}}]";
    weir__json_reader reader;
    weir__json_reader_init(&reader, list, sizeof list - 1, 0);
    weir__json_token token;
    assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
    weir__text data = {0};
    weir__event_found found;
    weir_event event;
    int good = 0, bad = 0;
    while (weir__event_read_lenient(&reader, &found, &event, &data, NULL) == WEIR_OK &&
           found != WEIR__EVENT_END) {
        bad += found == WEIR__EVENT_INVALID;
        if (found == WEIR__EVENT_FOUND) {
            char wanted[32];
            snprintf(wanted, sizeof wanted, "{\"k\":%d}", ++good);
            assert_string_equal(data.data, wanted);
        }
    }
    assert_int_equal(found, WEIR__EVENT_END);
    assert_int_equal(good, 2);
    assert_int_equal(bad, 13);
    weir__text_free(&data);
    weir__json_reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_read),
        cmocka_unit_test(what_is_absent),
        cmocka_unit_test(other_shapes_are_mismatches),
        cmocka_unit_test(what_is_no_json_is_invalid),
        cmocka_unit_test(dates_beyond_the_range_are_invalid),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(every_truncation_is_invalid),
        cmocka_unit_test(too_much_data_is_refused),
        cmocka_unit_test(an_event_is_written),
        cmocka_unit_test(durations_survive),
        cmocka_unit_test(bad_elements_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
