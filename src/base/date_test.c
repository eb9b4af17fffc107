// SPDX-License-Identifier: MIT
//
// Dates: what each reader takes and refuses, the ends of what 64 bits of nanoseconds can hold, and that what is written
// reads back, over all of that range.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/date.h"
#include "base/random.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const int64_t second_ns = 1000000000;
static const int64_t then_ns = INT64_C(1514768461) * 1000000000; // 2018-01-01T01:01:01Z

// What the two readers make of a text.
typedef struct date_case {
    const char *text;
    int strict, lenient; // a weir__date_result
    int64_t ns;
} date_case;

enum { ok = WEIR__DATE_OK, bad = WEIR__DATE_MALFORMED, far = WEIR__DATE_BEYOND };

static void check(const char *reader, const char *text, int result, int64_t ns, int wanted, int64_t wanted_ns)
{
    if (result != wanted)
        fail_msg("%s: \"%s\" is %d, not %d", reader, text, result, wanted);
    if (ns != (wanted == WEIR__DATE_OK ? wanted_ns : 0))
        fail_msg("%s: \"%s\" is %" PRId64 ", not %" PRId64, reader, text, ns, wanted_ns);
}

static void check_cases(const date_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const date_case *const c = &cases[i];
        int64_t ns = 1;
        weir__date_result result = weir__date_parse_strict(c->text, strlen(c->text), &ns);
        check("strict", c->text, (int)result, ns, c->strict, c->ns);
        ns = 1;
        result = weir__date_parse_lenient(c->text, strlen(c->text), &ns);
        check("lenient", c->text, (int)result, ns, c->lenient, c->ns);
    }
}

static void what_both_take(void **state)
{
    (void)state;
    const date_case cases[] = {
        {"2018-01-01T01:01:01Z", ok, ok, then_ns},
        {"2018-01-01T01:01:01z", ok, ok, then_ns},
        {"2018-01-01t01:01:01Z", ok, ok, then_ns},
        {"2018-01-01 01:01:01Z", ok, ok, then_ns},
        {"2018-01-01T01:01:01+00:00", ok, ok, then_ns},
        {"2018-01-01T01:01:01-00:00", ok, ok, then_ns},
        {"2018-01-01T01:01:01\u221200:00", ok, ok, then_ns},
        {"2018-01-01T03:31:01+02:30", ok, ok, then_ns},
        {"2017-12-31T22:31:01-02:30", ok, ok, then_ns},
        {"2017-12-31T22:31:01\u221202:30", ok, ok, then_ns},
        {"2018-01-02T01:00:01+23:59", ok, ok, then_ns},
        {"2017-12-31T01:02:01-23:59", ok, ok, then_ns},
        {"2018-01-01T01:01:01.1Z", ok, ok, then_ns + 100000000},
        {"2018-01-01T01:01:01.000000001Z", ok, ok, then_ns + 1},
        {"2018-01-01T01:01:01.123456789999999999999999999999Z", ok, ok, then_ns + 123456789},
        {"2018-01-01T01:00:60Z", ok, ok, then_ns - second_ns},
        {"2018-01-01T01:00:60.5Z", ok, ok, then_ns - second_ns / 2},
        {"1970-01-01T00:00:00Z", ok, ok, 0},
        {"1969-12-31T23:59:59.999999999Z", ok, ok, -1},
        {"2000-02-29T00:00:00Z", ok, ok, INT64_C(951782400) * 1000000000},
        {"2262-04-11T23:47:16.854775807Z", ok, ok, INT64_MAX},
        {"2262-04-12T01:47:16.854775807+02:00", ok, ok, INT64_MAX},
        {"1677-09-21T00:12:43.145224192Z", ok, ok, INT64_MIN},
        {"2262-04-11T23:47:16.854775808Z", far, far, 0},
        {"1677-09-21T00:12:43.145224191Z", far, far, 0},
        {"2262-04-11T23:47:17Z", far, far, 0},
        {"9999-12-31T23:59:60.999999999-23:59", far, far, 0},
        {"0000-01-01T00:00:00Z", far, far, 0},
    };
    check_cases(cases, COUNT(cases));
}

static void what_only_the_lenient_takes(void **state)
{
    (void)state;
    const date_case cases[] = {
        {"2018-01-01T01:01:01+0000", bad, ok, then_ns},
        {"2018-01-01T01:01:01 +00:00", bad, ok, then_ns},
        {"2018-01-01T01:01:01 Z", bad, ok, then_ns},
        {"2018-01-01T01:01:01UTC", bad, ok, then_ns},
        {"2018-01-01T01:01:01 utc ", bad, ok, then_ns},
        {"2018-1-1T1:1:1Z", bad, ok, then_ns},
        {" \t\n2018-01-01T01:01:01Z\r\n\u00A0\u3000\xC2\x85", bad, ok, then_ns},
        {"2018 - 01 - 01T 01 : 01 : 01.0 + 00 : : 00", bad, bad, 0}, // no blank behind the sign
        {"2018 - 01 - 01T 01 : 01 : 01.0 +00 : : 00", bad, ok, then_ns},
        {"+2018-01-01T01:01:01Z", bad, ok, then_ns},
        {"+0000002018-01-01T01:01:01Z", bad, ok, then_ns},
        {"+10000-01-01T01:01:01Z", bad, far, 0},
        {"-0001-01-01T01:01:01Z", bad, far, 0},
        {"-4-2-29T0:0:0Z", bad, far, 0}, // a leap year
        {"+262142-12-31T00:00:00Z", bad, far, 0},
        {"-262143-01-01T00:00:00Z", bad, far, 0},
    };
    check_cases(cases, COUNT(cases));
}

static void what_nobody_takes(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        "Z",
        "now",
        "2018",
        "2018-01-01",
        "2018-01-01T",
        "2018-01-01T01:01Z",
        "2018-01-01T01:01:01",
        "2018-01-01T01:01:01.Z",
        "2018-01-01T01:01:01,5Z",
        "2018-01-01T01:01:01.",
        "2018-01-01T01:01:01+00",
        "2018-01-01T01:01:01+00:0",
        "2018-01-01T01:01:01+0:00",
        "2018-01-01T01:01:01+24:00",
        "2018-01-01T01:01:01-99:00",
        "2018-01-01T01:01:01+00:60",
        "2018-01-01T24:00:00Z",
        "2018-01-01T01:60:01Z",
        "2018-01-01T01:01:61Z",
        "2018-00-01T01:01:01Z",
        "2018-13-01T01:01:01Z",
        "2018-01-00T01:01:01Z",
        "2018-01-32T01:01:01Z",
        "2018-02-30T01:01:01Z",
        "2018-02-29T01:01:01Z",
        "1900-02-29T01:01:01Z",
        "2018-04-31T01:01:01Z",
        "20180101T010101Z",
        "2018-01-01T01:01:01ZZ",
        "2018-01-01T01:01:01Z+00:00",
        "2018-01-01T01:01:01Zx",
        "2018-01-01_01:01:01Z",
        "2018-01-01T01:01:01EST",
        "2018-01-01T-1:01:01Z",
        "2018-01-01T01:01:01+-1:00",
        "2018-01-01T001:01:01Z",
        "20018-01-01T01:01:01Z",
        "+-2018-01-01T01:01:01Z",
        "+-2018-01-01T01:01:01Z",
        "+262143-01-01T00:00:00Z",
        "-262144-12-31T00:00:00Z",
        "+99999999999999999999-01-01T00:00:00Z",
        "2018-01-01T01:01:01\xE2\x88",
        "2018-01-01T01:01:01\xC2",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const date_case c = {cases[i], bad, bad, 0};
        check_cases(&c, 1);
    }
    int64_t ns = 0;
    assert_int_equal(weir__date_parse_lenient("2018-01-01T01:01:01Z\0", 21, &ns), WEIR__DATE_MALFORMED);
    assert_int_equal(weir__date_parse_strict("2018-01-01\00001:01:01Z", 20, &ns), WEIR__DATE_MALFORMED);
}

// Not a byte behind the end is looked at.
static void every_beginning_is_malformed(void **state)
{
    (void)state;
    static const char whole[] = "2018-01-01T01:01:01.123\u221223:59";
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        int64_t ns = 0;
        assert_int_equal(weir__date_parse_strict(whole, size, &ns), WEIR__DATE_MALFORMED);
        assert_int_equal(weir__date_parse_lenient(whole, size, &ns), WEIR__DATE_MALFORMED);
    }
}

static void assert_written(int64_t ns, const char *wanted, const char *wanted_column)
{
    char out[WEIR__DATE_SIZE];
    char column[WEIR__DATE_COLUMN_SIZE];
    const size_t size = weir__date_format(out, ns);
    assert_int_equal(size, strlen(out));
    assert_string_equal(out, wanted);
    const size_t column_size = weir__date_format_column(column, ns);
    assert_int_equal(column_size, strlen(column));
    assert_string_equal(column, wanted_column);
}

static void how_dates_are_written(void **state)
{
    (void)state;
    assert_written(0, "1970-01-01T00:00:00Z", "1970-01-01 00:00:00+00:00");
    assert_written(then_ns, "2018-01-01T01:01:01Z", "2018-01-01 01:01:01+00:00");
    assert_written(then_ns + 100000000, "2018-01-01T01:01:01.100Z", "2018-01-01 01:01:01.100+00:00");
    assert_written(then_ns + 1000, "2018-01-01T01:01:01.000001Z", "2018-01-01 01:01:01.000001+00:00");
    assert_written(then_ns + 1, "2018-01-01T01:01:01.000000001Z", "2018-01-01 01:01:01.000000001+00:00");
    assert_written(-1, "1969-12-31T23:59:59.999999999Z", "1969-12-31 23:59:59.999999999+00:00");
    assert_written(-second_ns, "1969-12-31T23:59:59Z", "1969-12-31 23:59:59+00:00");
    assert_written(INT64_MAX, "2262-04-11T23:47:16.854775807Z", "2262-04-11 23:47:16.854775807+00:00");
    assert_written(INT64_MIN, "1677-09-21T00:12:43.145224192Z", "1677-09-21 00:12:43.145224192+00:00");
}

static void columns_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"2018-01-01 01:01:01+00:00", ok},
        {"2018-01-01T01:01:01+00:00", ok},
        {"2018-01-01 01:01:01", ok},
        {"2018-01-01T01:01:01", ok},
        {"2018-01-01 03:01:01+02", ok},
        {"2018-01-01 03:01:01+0200", ok},
        {"2017-12-31 22:31:01-0230", ok},
        {"2017-12-31 23:01:01-02", ok},
        {"2018-01-01 01:01:01.000Z", ok},
        {"2018-01-01 01:01:01 +00:00", ok},
        {"2018-01-01", bad},
        {"2018-01-01 01:01", bad},
        {"2018-01-01 01:01:01+2", bad},
        {"2018-01-01 01:01:01+02:", bad},
        {"2018-01-01 01:01:01+02:3", bad},
        {"2018-01-01 01:01:01+24", bad},
        {"2018-01-01 01:01:01x", bad},
        {"", bad},
        {"9018-01-01 01:01:01", far},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ns = 1;
        const weir__date_result result = weir__date_parse_column(cases[i].text, strlen(cases[i].text), &ns);
        check("column", cases[i].text, (int)result, ns, cases[i].result, then_ns);
    }
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    static const int64_t steps[] = {1, 1000, 1000000, 1000000000};
    weir__rng rng;
    weir__rng_init(&rng, 3);
    for (int i = 0; i < 40000; i++) {
        int64_t ns = (int64_t)weir__rng_next(&rng);
        ns -= ns % steps[i % 4];
        char out[WEIR__DATE_COLUMN_SIZE];
        int64_t again = 0;
        size_t size = weir__date_format(out, ns);
        assert_int_equal(weir__date_parse_strict(out, size, &again), WEIR__DATE_OK);
        assert_int_equal(again, ns);
        assert_int_equal(weir__date_parse_lenient(out, size, &again), WEIR__DATE_OK);
        assert_int_equal(again, ns);
        size = weir__date_format_column(out, ns);
        assert_int_equal(weir__date_parse_column(out, size, &again), WEIR__DATE_OK);
        assert_int_equal(again, ns);
    }
}

// Each day of 584 years has the date that the C library gives it.
static void every_day_has_its_date(void **state)
{
    (void)state;
    const int64_t last = INT64_MAX / second_ns / 86400;
    for (int64_t day = -last; day <= last; day++) {
        const time_t seconds = (time_t)(day * 86400);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        char wanted[64];
        char out[WEIR__DATE_SIZE];
        strftime(wanted, sizeof wanted, "%Y-%m-%dT00:00:00Z", &tm);
        weir__date_format(out, seconds * second_ns);
        if (strcmp(out, wanted) != 0)
            fail_msg("day %" PRId64 " is %s, not %s", day, out, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_both_take),
        cmocka_unit_test(what_only_the_lenient_takes),
        cmocka_unit_test(what_nobody_takes),
        cmocka_unit_test(every_beginning_is_malformed),
        cmocka_unit_test(how_dates_are_written),
        cmocka_unit_test(columns_are_read),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(every_day_has_its_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
