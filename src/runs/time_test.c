// SPDX-License-Identifier: MIT
//
// Naive local time: what is written, what is understood, what zones do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runs/runs.h"

static void set_zone(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

// What a text becomes when it is read and written again; "" for what is refused.
static void assert_reads_as(const char *text, const char *wanted)
{
    char out[WEIR_LOCAL_TEXT_SIZE];
    weir_local_us time = 1;
    const bool parsed = weir_local_parse(text, strlen(text), &time);
    weir_local_format(time, out);
    if (strcmp(out, wanted) != 0 || parsed != (*wanted != '\0'))
        fail_msg("\"%s\" reads as \"%s\", not \"%s\"", text, out, wanted);
}

static void test_forms(void **state)
{
    (void)state;
    set_zone("UTC");
    assert_reads_as("2025-08-01T17:30:00.123456", "2025-08-01T17:30:00.123456");
    assert_reads_as("2025-08-01T17:30:00", "2025-08-01T17:30:00.000000"); // Python drops a zero fraction
    assert_reads_as("2025-08-01 17:30:00.5", "2025-08-01T17:30:00.500000");
    assert_reads_as("2025-08-01T17:30", "2025-08-01T17:30:00.000000");
    assert_reads_as("2025-08-01T17:30:00.123456789", "2025-08-01T17:30:00.123456");
    assert_reads_as("2024-02-29T00:00:00", "2024-02-29T00:00:00.000000");
    assert_reads_as("1969-12-31T23:59:59.999999", "1969-12-31T23:59:59.999999");
    assert_reads_as("0001-01-01T00:00:00", "0001-01-01T00:00:00.000000");
    assert_reads_as("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999");
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "now",
        "2025-08-01",
        "2025-13-01T00:00:00",
        "2025-02-29T00:00:00",
        "2025-08-01T24:00:00",
        "2025-08-01T17:60:00",
        "2025-08-01T17:30:60",
        "2025-08-01T17:30:00.",
        "2025-08-01T17:30:00x",
        "2025-08-01T17:30:00+2",
        "2025-08-01T17:30:00+25:00",
        "2025-08-01T17:30:00Zjunk",
        "0000-01-01T00:00:00",
        "-025-08-01T17:30:00",
        " 2025-08-01T17:30:00",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_reads_as(texts[i], "");
    weir_local_us time = 7;
    assert_false(weir_local_parse(NULL, 0, &time));
    assert_int_equal(time, 0);
}

static void test_zones(void **state)
{
    (void)state;
    set_zone("LCL-2"); // two hours east of Greenwich
    assert_reads_as("2025-08-01T17:30:00", "2025-08-01T17:30:00.000000");
    assert_reads_as("2025-08-01T17:30:00Z", "2025-08-01T19:30:00.000000");
    assert_reads_as("2025-08-01T17:30:00.25+00:00", "2025-08-01T19:30:00.250000");
    assert_reads_as("2025-08-01T17:30:00-05:30", "2025-08-02T01:00:00.000000");
    assert_reads_as("2025-08-01T17:30:00+0200", "2025-08-01T17:30:00.000000");
    char text[WEIR_LOCAL_TEXT_SIZE];
    weir_local_format(weir_local_from_utc(-1), text);
    assert_string_equal(text, "1970-01-01T01:59:59.999999");
    set_zone("UTC");
}

static void test_none_is_empty(void **state)
{
    char text[WEIR_LOCAL_TEXT_SIZE] = "x";
    (void)state;
    weir_local_format(0, text);
    assert_string_equal(text, "");
}

static void test_out_of_range_is_cut(void **state)
{
    char text[WEIR_LOCAL_TEXT_SIZE];
    (void)state;
    weir_local_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999");
    weir_local_format(INT64_MIN, text);
    assert_string_equal(text, "0001-01-01T00:00:00.000000");
}

static void test_now_is_now(void **state)
{
    (void)state;
    set_zone("UTC");
    const int64_t before_us = (int64_t)time(NULL) * 1000000;
    const weir_local_us now = weir_local_now();
    assert_in_range(now, before_us, before_us + 60 * 1000000LL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_none_is_empty),
        cmocka_unit_test(test_out_of_range_is_cut),
        cmocka_unit_test(test_now_is_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
