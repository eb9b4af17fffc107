// SPDX-License-Identifier: MIT
//
// JSON as Python writes it. The expected texts are what Python 3's json.dumps prints.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runs/runs.h"

static void assert_double(double value, const char *wanted)
{
    weir__text text = {0};
    weir__json_double(&text, value);
    assert_string_equal(weir__text_string(&text), wanted);
    weir__text_free(&text);
}

static void test_doubles(void **state)
{
    (void)state;
    assert_double(0.0, "0.0");
    assert_double(-0.0, "-0.0");
    assert_double(1.0, "1.0");
    assert_double(100.0, "100.0");
    assert_double(100.0 / 3.0, "33.333333333333336");
    assert_double(1.0 / 3.0 * 100, "33.33333333333333");
    assert_double(0.1, "0.1");
    assert_double(0.1 + 0.2, "0.30000000000000004");
    assert_double(-2.5, "-2.5");
    assert_double(0.0001, "0.0001");
    assert_double(0.00001, "1e-05");
    assert_double(1234567.0, "1234567.0");
    assert_double(1e15, "1000000000000000.0");
    assert_double(1e16, "1e+16");
    assert_double(1.5e300, "1.5e+300");
    assert_double(5e-324, "5e-324");
    assert_double(1.7976931348623157e308, "1.7976931348623157e+308");
    assert_double((double)NAN, "null");
    assert_double((double)INFINITY, "null");
}

static void assert_string(const char *value, const char *wanted)
{
    weir__text text = {0};
    weir__json_string(&text, value, strlen(value));
    assert_string_equal(weir__text_string(&text), wanted);
    weir__text_free(&text);
}

static void test_strings(void **state)
{
    (void)state;
    assert_string("", "\"\"");
    assert_string("plain", "\"plain\"");
    assert_string("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    assert_string("\n\r\t\b\f\x01\x7F", "\"\\n\\r\\t\\b\\f\\u0001\\u007f\"");
    assert_string("\xC3\xA9", "\"\\u00e9\"");
    assert_string("\xE2\x82\xAC", "\"\\u20ac\"");
    assert_string("\xF0\x9F\x98\x80", "\"\\ud83d\\ude00\"");
    assert_string("a\xFF\x62", "\"a\\ufffdb\"");
}

// Reads, writes, and gives the text; NULL for what is refused.
static void assert_round(const char *json, json_type type, const char *wanted)
{
    weir__text text = {0};
    json_t *const value = weir__json_load(json, strlen(json), type);
    if (wanted == NULL) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    weir__json_dump(&text, value);
    assert_string_equal(weir__text_string(&text), wanted);
    weir__text_free(&text);
    json_decref(value);
}

static void test_columns(void **state)
{
    (void)state;
    assert_round("{\"b\":1,\"a\":[true,false,null,1.50,\"x\"]}", JSON_OBJECT,
                 "{\"b\": 1, \"a\": [true, false, null, 1.5, \"x\"]}");
    assert_round("{}", JSON_OBJECT, "{}");
    assert_round("[]", JSON_ARRAY, "[]");
    assert_round("{\"a\": NaN, \"b\": [Infinity, -Infinity], \"c\": \"NaN \\\" Infinity\"}", JSON_OBJECT,
                 "{\"a\": null, \"b\": [null, null], \"c\": \"NaN \\\" Infinity\"}");
    assert_round("{\"a\": 123456789012345678901234567890}", JSON_OBJECT, "{\"a\": 1.2345678901234568e+29}");
    assert_round("{\"a\": 9223372036854775807}", JSON_OBJECT, "{\"a\": 9223372036854775807}");
    assert_round("[]", JSON_OBJECT, NULL);
    assert_round("{", JSON_OBJECT, NULL);
    assert_round("", JSON_OBJECT, NULL);
    assert_round("{} {}", JSON_OBJECT, NULL);
    assert_round("{\"a\": \"\xFF\"}", JSON_OBJECT, "{\"a\": \"\\ufffd\"}");
}

static void test_nesting_is_bounded(void **state)
{
    enum { depth = 100000 };
    (void)state;
    char *const deep = malloc(depth + 1);
    assert_non_null(deep);
    memset(deep, '[', depth);
    deep[depth] = '\0';
    assert_null(weir__json_load(deep, depth, JSON_ARRAY));
    free(deep);
}

static void test_put(void **state)
{
    weir_error err = WEIR_ERROR_INIT;
    char *object = NULL;
    (void)state;
    assert_int_equal(weir__json_put(&object, "k", json_string("v"), &err), WEIR_OK);
    assert_string_equal(object, "{\"k\": \"v\"}");
    assert_int_equal(weir__json_put(&object, "n", json_integer(7), &err), WEIR_OK);
    assert_int_equal(weir__json_put(&object, "k", json_true(), &err), WEIR_OK);
    assert_string_equal(object, "{\"k\": true, \"n\": 7}");
    assert_int_equal(weir__json_put(&object, "k", NULL, &err), WEIR_INVALID);
    assert_string_equal(object, "{\"k\": true, \"n\": 7}");
    free(object);
    object = strdup("[]");
    assert_int_equal(weir__json_put(&object, "k", json_true(), &err), WEIR_INVALID);
    free(object);
}

static void test_put_is_bounded(void **state)
{
    weir_error err = WEIR_ERROR_INIT;
    char *object = NULL;
    (void)state;
    char *const large = malloc(WEIR_RUNS_JSON_MAX + 1);
    assert_non_null(large);
    memset(large, 'x', WEIR_RUNS_JSON_MAX);
    large[WEIR_RUNS_JSON_MAX] = '\0';
    assert_int_equal(weir__json_put(&object, "k", json_string(large), &err), WEIR_TOOBIG);
    assert_null(object);
    free(large);
}

static void test_redact(void **state)
{
    char first[] = "*token*";
    char second[] = "PASS?";
    char *patterns[] = {first, second, NULL};
    weir_runs runs = {.redact = patterns};
    weir_error err = WEIR_ERROR_INIT;
    char *out = NULL;
    (void)state;
    assert_int_equal(
        weir__json_redact(&runs, "{\"API_TOKEN\": \"a\", \"PATH\": \"b\", \"pass1\": \"c\"}", &out, &err),
        WEIR_OK);
    assert_string_equal(out, "{\"API_TOKEN\": \"***\", \"PATH\": \"b\", \"pass1\": \"***\"}");
    free(out);
    assert_int_equal(weir__json_redact(&runs, "[1]", &out, &err), WEIR_INVALID);
    assert_null(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles), cmocka_unit_test(test_strings),
        cmocka_unit_test(test_columns), cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_put),     cmocka_unit_test(test_put_is_bounded),
        cmocka_unit_test(test_redact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
