// SPDX-License-Identifier: MIT
//
// Request targets: decoded once, strictly, or refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/uri.h"

static void expect_refused(const char *target, int expected)
{
    weir__uri uri;
    weir_error err = WEIR_ERROR_INIT;
    const int code = weir__uri_parse(target, &uri, &err);
    if (code != expected)
        fail_msg("'%s': got %d, expected %d", target, code, expected);
    assert_null(uri.memory);
    assert_int_not_equal(err.text[0], '\0');
}

static void paths_keep_their_empty_segments(void **state)
{
    (void)state;
    weir__uri uri;
    assert_int_equal(weir__uri_parse("/", &uri, NULL), WEIR_OK);
    assert_int_equal(uri.segments_count, 0);
    weir__uri_free(&uri);
    assert_int_equal(weir__uri_parse("/a//b/", &uri, NULL), WEIR_OK);
    assert_int_equal(uri.segments_count, 4);
    assert_string_equal(uri.segments[1], "");
    assert_string_equal(uri.segments[2], "b");
    assert_string_equal(uri.segments[3], "");
    weir__uri_free(&uri);
}

static void decoding_happens_once(void **state)
{
    (void)state;
    weir__uri uri;
    assert_int_equal(weir__uri_parse("/a%2Fb/%2e%2e/c+d/%252e?q=1%2B1+x&e=%3D&f", &uri, NULL), WEIR_OK);
    assert_int_equal(uri.segments_count, 4);
    assert_string_equal(uri.segments[0], "a/b");
    assert_string_equal(uri.segments[1], "..");
    assert_string_equal(uri.segments[2], "c+d");
    assert_string_equal(uri.segments[3], "%2e");
    assert_string_equal(weir__uri_param(&uri, "q"), "1+1 x");
    assert_string_equal(weir__uri_param(&uri, "e"), "=");
    assert_string_equal(weir__uri_param(&uri, "f"), "");
    assert_null(weir__uri_param(&uri, "g"));
    weir__uri_free(&uri);
}

static void hostile_targets_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",       "api",      "*",       "http://h/x",  "/%",     "/%4",          "/%zz",       "/a%00b",
        "/%0a",   "/%7f",     "/a b",    "/a\x80",      "/%ff",   "/%c0%af",      "/%ed%a0%80", "/x?a=1&a=2",
        "/x?a=%", "/x?%00=1", "/x#frag", "/x?a=%e2%82", "/x?a&a", "/x?a=1&%61=2",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_refused(wrong[i], WEIR_INVALID);
    expect_refused("/1/2/3/4/5/6/7/8/9", WEIR_NOTFOUND);
}

static void too_many_parameters_are_refused(void **state)
{
    (void)state;
    char target[512] = "/x?";
    for (int i = 0; i < WEIR__URI_PARAMS_MAX + 1; i++) {
        const size_t used = strlen(target);
        target[used] = (char)('A' + i % 26);
        target[used + 1] = (char)('a' + i / 26);
        target[used + 2] = '&';
        target[used + 3] = '\0';
    }
    expect_refused(target, WEIR_INVALID);
}

static void numbers_are_whole(void **state)
{
    (void)state;
    weir__uri uri;
    int64_t value = 0;
    assert_int_equal(weir__uri_parse("/?a=12&b=-3&c=&d=1x&e=99999999999999999999&f=+&g=%2B7", &uri, NULL),
                     WEIR_OK);
    assert_int_equal(weir__uri_param_int(&uri, "a", 5, &value, NULL), WEIR_OK);
    assert_int_equal(value, 12);
    assert_int_equal(weir__uri_param_int(&uri, "b", 5, &value, NULL), WEIR_OK);
    assert_int_equal(value, -3);
    assert_int_equal(weir__uri_param_int(&uri, "c", 5, &value, NULL), WEIR_OK);
    assert_int_equal(value, 5);
    assert_int_equal(weir__uri_param_int(&uri, "none", 6, &value, NULL), WEIR_OK);
    assert_int_equal(value, 6);
    assert_int_equal(weir__uri_param_int(&uri, "g", 5, &value, NULL), WEIR_OK);
    assert_int_equal(value, 7);
    assert_int_equal(weir__uri_param_int(&uri, "d", 5, &value, NULL), WEIR_INVALID);
    assert_int_equal(weir__uri_param_int(&uri, "e", 5, &value, NULL), WEIR_INVALID);
    assert_int_equal(weir__uri_param_int(&uri, "f", 5, &value, NULL), WEIR_INVALID);
    weir__uri_free(&uri);
}

static void booleans_have_a_few_words(void **state)
{
    (void)state;
    weir__uri uri;
    bool value = true;
    assert_int_equal(weir__uri_parse("/?a=1&b=No&c&d=maybe&e=TRUE", &uri, NULL), WEIR_OK);
    assert_int_equal(weir__uri_param_bool(&uri, "none", &value, NULL), WEIR_OK);
    assert_false(value);
    assert_int_equal(weir__uri_param_bool(&uri, "a", &value, NULL), WEIR_OK);
    assert_true(value);
    assert_int_equal(weir__uri_param_bool(&uri, "b", &value, NULL), WEIR_OK);
    assert_false(value);
    assert_int_equal(weir__uri_param_bool(&uri, "c", &value, NULL), WEIR_OK);
    assert_true(value);
    assert_int_equal(weir__uri_param_bool(&uri, "e", &value, NULL), WEIR_OK);
    assert_true(value);
    assert_int_equal(weir__uri_param_bool(&uri, "d", &value, NULL), WEIR_INVALID);
    weir__uri_free(&uri);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_keep_their_empty_segments),
        cmocka_unit_test(decoding_happens_once),
        cmocka_unit_test(hostile_targets_are_refused),
        cmocka_unit_test(too_many_parameters_are_refused),
        cmocka_unit_test(numbers_are_whole),
        cmocka_unit_test(booleans_have_a_few_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
