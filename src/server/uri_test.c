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
    expect_refused("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", WEIR_NOTFOUND);
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

static void expect_lenient(const char *target, size_t count, const char *second, bool unclean)
{
    weir__uri uri;
    weir_error err = WEIR_ERROR_INIT;
    if (weir__uri_parse_lenient(target, &uri, &err) != WEIR_OK)
        fail_msg("'%s': %s", target, err.text);
    const char *got = uri.segments_count > 1 ? uri.segments[1] : "none";
    if (uri.segments_count != count || strcmp(got, second) != 0 || uri.unclean != unclean)
        fail_msg("'%s': got %zu segments, the second '%s', unclean %d; expected %zu, '%s', %d", target,
                 uri.segments_count, got, uri.unclean, count, second, unclean);
    weir__uri_free(&uri);
}

static void lenient_paths_are_what_they_mean(void **state)
{
    (void)state;
    expect_lenient("/", 0, "none", false);
    expect_lenient("//", 0, "none", false);
    expect_lenient("//api/0", 2, "0", false);
    expect_lenient("/api//0/", 2, "0", false);
    expect_lenient("/%61pi/%30", 2, "0", false);
    expect_lenient("/api/a%2Fb", 2, "a/b", false);
    expect_lenient("/api/a+b", 2, "a+b", false);
    expect_lenient("/api/%", 2, "%", false);
    expect_lenient("/api/%4", 2, "%4", false);
    expect_lenient("/api/%zz%41", 2, "%zzA", false);
    expect_lenient("/api/%0a", 2, "\n", false);
    expect_lenient("/api/\xc3\xa9", 2, "\xc3\xa9", false);
    expect_lenient("/api/%c3%a9", 2, "\xc3\xa9", false);
    expect_lenient("/api/..", 2, "..", false);
    expect_lenient("/api/a%00b", 2, "a", true);
    expect_lenient("/api/%ff", 2, "\xff", true);
    expect_lenient("/%ff/b", 2, "b", true);
}

static void lenient_queries_ignore_what_is_unknown(void **state)
{
    (void)state;
    weir__uri uri;
    const char *target = "/a?start=1&end=a+b%2B&start=2&%ff=%fe&&x=%00&limit&=7&e%6Ed2=%";
    assert_int_equal(weir__uri_parse_lenient(target, &uri, NULL), WEIR_OK);
    assert_null(weir__uri_param(&uri, "start"));
    assert_string_equal(weir__uri_param(&uri, "end"), "a b+");
    assert_string_equal(weir__uri_param(&uri, "limit"), "");
    assert_string_equal(weir__uri_param(&uri, "end2"), "%");
    assert_null(weir__uri_param(&uri, "none"));
    assert_false(uri.unclean);
    weir__uri_free(&uri);
}

static void lenient_is_not_boundless(void **state)
{
    (void)state;
    weir__uri uri;
    weir_error err = WEIR_ERROR_INIT;
    static const char *const wrong[] = {"", "api", "*", "http://h/x", "/a b", "/\x7f", "/\x01"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (weir__uri_parse_lenient(wrong[i], &uri, &err) != WEIR_INVALID)
            fail_msg("'%s' was taken", wrong[i]);
    const char *deep = "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17";
    assert_int_equal(weir__uri_parse_lenient(deep, &uri, &err), WEIR_NOTFOUND);
    assert_null(uri.memory);
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
        cmocka_unit_test(lenient_paths_are_what_they_mean),
        cmocka_unit_test(lenient_queries_ignore_what_is_unknown),
        cmocka_unit_test(lenient_is_not_boundless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
