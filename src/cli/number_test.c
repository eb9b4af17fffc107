// SPDX-License-Identifier: MIT
//
// What is a number, a time, a size - and what is not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/number.h"

typedef bool parse_fn(const char *string, uint64_t min, uint64_t max, uint64_t *value);

typedef struct example {
    const char *string;
    uint64_t value;
} example;

static void check(parse_fn *parse, const example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 12345;
        if (!parse(examples[i].string, 0, UINT64_MAX, &value))
            fail_msg("\"%s\" was refused", examples[i].string);
        if (value != examples[i].value)
            fail_msg("\"%s\" gave %ju, not %ju", examples[i].string, (uintmax_t)value,
                     (uintmax_t)examples[i].value);
    }
}

static void check_refused(parse_fn *parse, const char *const *strings)
{
    for (; *strings != NULL; strings++) {
        uint64_t value = 12345;
        if (parse(*strings, 0, UINT64_MAX, &value))
            fail_msg("\"%s\" was taken for %ju", *strings, (uintmax_t)value);
        assert_int_equal(value, 12345);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    const example good[] = {{"0", 0}, {"007", 7}, {"18446744073709551615", UINT64_MAX}};
    const char *const bad[] = {"",    " ",        "-1",
                               "+1",  "1 ",       " 1",
                               "1.0", "0x10",     "18446744073709551616",
                               "1e3", "\xD9\xA3", "999999999999999999999999",
                               NULL};
    check(weir__number_parse, good, sizeof good / sizeof good[0]);
    check_refused(weir__number_parse, bad);
}

static void test_range(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_true(weir__number_parse("5", 5, 5, &value));
    assert_int_equal(value, 5);
    assert_false(weir__number_parse("4", 5, 6, &value));
    assert_false(weir__number_parse("7", 5, 6, &value));
    assert_int_equal(value, 5);
}

static void test_durations(void **state)
{
    (void)state;
    const example good[] = {{"0", 0},         {"90", 90000},     {"1.5", 1500}, {"0.25", 250},
                            {"1.2345", 1234}, {"250ms", 250},    {"2s", 2000},  {"1.5m", 90000},
                            {"2h", 7200000},  {"7d", 604800000}, {"0.5ms", 0},  {"1.999s", 1999}};
    const char *const bad[] = {"",
                               ".5",
                               "1.",
                               "-1",
                               "1 s",
                               "s",
                               "1x",
                               "1ss",
                               "1e3",
                               "inf",
                               "nan",
                               "1,5",
                               "18446744073709551615",
                               "99999999999999999999d",
                               NULL};
    check(weir__duration_parse, good, sizeof good / sizeof good[0]);
    check_refused(weir__duration_parse, bad);
}

static void test_sizes(void **state)
{
    (void)state;
    const example good[] = {{"1", 1}, {"512K", 524288}, {"64MiB", 67108864}, {"2G", 2147483648}, {"10B", 10}};
    const char *const bad[] = {"", "K", "1k", "1.5M", "1T", "18014398509481984K", "-1", NULL};
    check(weir__size_parse, good, sizeof good / sizeof good[0]);
    check_refused(weir__size_parse, bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
