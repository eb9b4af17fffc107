// SPDX-License-Identifier: MIT
//
// Moments typed and shown, in a time zone that has a summer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/date.h"
#include "cli/moment.h"

#define NS INT64_C(1000000000)

static const int64_t now = INT64_C(1769860800) * NS; // 2026-01-31T12:00:00Z

static int use_zone(void **state)
{
    (void)state;
    const int failed = setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    return failed;
}

static void test_right(void **state)
{
    (void)state;
    static const char *const samples[][2] = {
        {"2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"},
        {"2026-01-31 12:00:00.5+01:00", "2026-01-31T11:00:00.500Z"},
        {"2026-01-31", "2026-01-30T23:00:00Z"},
        {"2026-07-01", "2026-06-30T22:00:00Z"},
        {"2026-07-01 12:30", "2026-07-01T10:30:00Z"},
        {"2026-07-01T12:30:59", "2026-07-01T10:30:59Z"},
        {"now", "2026-01-31T12:00:00Z"},
        {"today", "2026-01-30T23:00:00Z"},
        {"yesterday", "2026-01-29T23:00:00Z"},
        {"-90", "2026-01-31T11:58:30Z"},
        {"-2h", "2026-01-31T10:00:00Z"},
        {"-7d", "2026-01-24T12:00:00Z"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        int64_t ns = 0;
        char date[WEIR__DATE_SIZE] = "";
        if (!weir__moment_parse(samples[i][0], now, &ns))
            fail_msg("\"%s\" is refused", samples[i][0]);
        weir__date_format(date, ns);
        assert_string_equal(date, samples[i][1]);
    }
}

static void test_wrong(void **state)
{
    (void)state;
    static const char *const samples[] = {"",
                                          "tomorrow",
                                          "2026",
                                          "2026-02-30",
                                          "2026-13-01",
                                          "2026-01-31 24:00",
                                          "2026-01-31 12",
                                          "2026-1-31",
                                          "2026-00-10",
                                          "2026-01-31 12:00 ",
                                          "9999-01-01",
                                          "-",
                                          "-2x",
                                          "12:00",
                                          "2026-01-31x",
                                          "2300-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        int64_t ns = 0;
        if (weir__moment_parse(samples[i], now, &ns))
            fail_msg("\"%s\" gives %jd", samples[i], (intmax_t)ns);
    }
}

static void check_duration(int64_t ns, const char *wanted)
{
    weir__text text = {0};
    weir__moment_duration(&text, ns);
    assert_string_equal(weir__text_string(&text), wanted);
    weir__text_free(&text);
}

static void test_shown(void **state)
{
    (void)state;
    char text[WEIR__MOMENT_SIZE];
    assert_string_equal(weir__moment_text(now, text), "2026-01-31 13:00:00");
    assert_string_equal(weir__moment_text(-1, text), "1970-01-01 00:59:59");
    assert_string_equal(weir__moment_text(INT64_MIN, text), "1677-09-21 01:12:43");
    check_duration(400 * NS / 1000, "0.4 s");
    check_duration(-187 * NS, "-3m 07s");
    check_duration(INT64_MIN, "-106751d 23h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_shown),
    };
    return cmocka_run_group_tests(tests, use_zone, NULL);
}
