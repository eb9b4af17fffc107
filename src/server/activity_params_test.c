// SPDX-License-Identifier: MIT
//
// Numbers and dates from URLs: what ActivityWatch's server takes and what it refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "server/activity_params.h"

static void doubles_are_those_of_rust(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"60", 60},
        {"60.0", 60},
        {"1e-05", 1e-5},
        {"1E+3", 1000},
        {"+5", 5},
        {"-5", -5},
        {".5", 0.5},
        {"5.", 5},
        {"5.e1", 50},
        {"007", 7},
        {"inf", INFINITY},
        {"-inf", -INFINITY},
        {"Infinity", INFINITY},
        {"+INFINITY", INFINITY},
        {"1e999", INFINITY},
        {"-1e-999", 0},
        {"0", 0},
    };
    static const char *const wrong[] = {"",      " ",   " 1",   "1 ",    ".",   "+",  "-",      "e5",
                                        "1e",    "1e+", "0x10", "1_0",   "1,5", "1f", "infini", "nan0",
                                        "nan()", "--1", "+-1",  "1.2.3", "abc", "½",  "1e5.0"};
    double value = 0;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!weir__activity_double(good[i].text, &value) || value > good[i].value || value < good[i].value)
            fail_msg("'%s': got %g, expected %g", good[i].text, value, good[i].value);
    assert_true(weir__activity_double("NaN", &value));
    assert_true(isnan(value));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (weir__activity_double(wrong[i], &value))
            fail_msg("'%s' passed for %g", wrong[i], value);
}

static void ids_are_whole_numbers_of_64_bits(void **state)
{
    static const char *const wrong[] = {
        "", "1.0", "\"1\"", "x", "-", "+", " 1", "1 ", "9223372036854775808", "count"};
    int64_t id = 0;
    (void)state;
    assert_true(weir__activity_id("9223372036854775807", &id));
    assert_int_equal(id, INT64_MAX);
    assert_true(weir__activity_id("-9223372036854775808", &id));
    assert_int_equal(id, INT64_MIN);
    assert_true(weir__activity_id("+7", &id));
    assert_int_equal(id, 7);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (weir__activity_id(wrong[i], &id))
            fail_msg("'%s' passed for %lld", wrong[i], (long long)id);
}

static weir_event_query range_of(const char *target, int expected)
{
    weir__uri uri;
    weir_event_query query;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__uri_parse(target, &uri, NULL), WEIR_OK);
    const int code = weir__activity_range(&uri, &query, &err);
    if (code != expected)
        fail_msg("%s: got %d (%s), expected %d", target, code, err.text, expected);
    weir__uri_free(&uri);
    return query;
}

static void a_limit_that_is_none_means_all(void **state)
{
    static const char *const none[] = {"/e",
                                       "/e?limit=",
                                       "/e?limit=-1",
                                       "/e?limit=1.5",
                                       "/e?limit=x",
                                       "/e?limit=9223372036854775808",
                                       "/e?limit=99999999999999999999",
                                       "/e?limit=-0"};
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (range_of(none[i], WEIR_OK).has_limit)
            fail_msg("%s limits", none[i]);
    assert_true(range_of("/e?limit=0", WEIR_OK).has_limit);
    assert_int_equal(range_of("/e?limit=%2B12", WEIR_OK).limit, 12);
    assert_int_equal(range_of("/e?limit=9223372036854775807", WEIR_OK).limit, INT64_MAX);
}

static void dates_are_strict(void **state)
{
    (void)state;
    const weir_event_query query =
        range_of("/e?start=1970-01-01T00:00:01Z&end=1970-01-01T01:00:02%2B01:00", WEIR_OK);
    assert_true(query.has_start);
    assert_true(query.has_end);
    assert_int_equal(query.start_ns, 1000000000);
    assert_int_equal(query.end_ns, 2000000000);
    (void)range_of("/e?start=1970-01-01T00:00:01+00:00", WEIR_INVALID); // the plus is a blank in a query
    (void)range_of("/e?start=", WEIR_INVALID);
    (void)range_of("/e?end=2018-01-01", WEIR_INVALID);
    (void)range_of("/e?end=3000-01-01T00:00:00Z", WEIR_INVALID);
}

static void refusals_have_the_words_that_clients_know(void **state)
{
    weir__uri uri;
    weir_event_query query;
    weir_error err = WEIR_ERROR_INIT;
    (void)state;
    assert_int_equal(weir__uri_parse("/e?start=x&end=y", &uri, NULL), WEIR_OK);
    assert_int_equal(weir__activity_range(&uri, &query, &err), WEIR_INVALID);
    assert_non_null(strstr(err.text, "Failed to parse starttime, datetime needs to be in rfc3339 format: "));
    weir__uri_free(&uri);
    assert_int_equal(weir__uri_parse("/e?end=3000-01-01T00:00:00Z", &uri, NULL), WEIR_OK);
    assert_int_equal(weir__activity_range(&uri, &query, &err), WEIR_INVALID);
    assert_non_null(strstr(err.text, "Failed to parse endtime, datetime needs to be in rfc3339 format: "));
    weir__uri_free(&uri);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_are_those_of_rust),
        cmocka_unit_test(ids_are_whole_numbers_of_64_bits),
        cmocka_unit_test(a_limit_that_is_none_means_all),
        cmocka_unit_test(dates_are_strict),
        cmocka_unit_test(refusals_have_the_words_that_clients_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
