// SPDX-License-Identifier: MIT
//
// Numbers for people, at the edges where a unit ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/format.h"

typedef struct example {
    uint64_t value;
    const char *out;
} example;

static void check(void (*format)(weir__text *, uint64_t), const example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        weir__text text = {0};
        format(&text, examples[i].value);
        assert_string_equal(weir__text_string(&text), examples[i].out);
        weir__text_free(&text);
    }
}

static void test_duration(void **state)
{
    (void)state;
    const example examples[] = {{0, "0.0 s"},         {99, "0.0 s"},
                                {100, "0.1 s"},       {59999, "59.9 s"},
                                {60000, "1m 00s"},    {3599999, "59m 59s"},
                                {3600000, "1h 00m"},  {86399999, "23h 59m"},
                                {86400000, "1d 00h"}, {UINT64_MAX, "213503982334d 14h"}};
    check(weir__format_duration, examples, sizeof examples / sizeof examples[0]);
}

static void test_bytes(void **state)
{
    (void)state;
    const example examples[] = {{0, "0 B"},
                                {1023, "1023 B"},
                                {1024, "1.0 KiB"},
                                {1536, "1.5 KiB"},
                                {1048575, "1023.9 KiB"},
                                {1048576, "1.0 MiB"},
                                {67108864, "64.0 MiB"},
                                {UINT64_MAX, "15.9 EiB"}};
    check(weir__format_bytes, examples, sizeof examples / sizeof examples[0]);
}

static void test_count(void **state)
{
    (void)state;
    const example examples[] = {
        {0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"}, {1000001, "1,000,001"}};
    check(weir__format_count, examples, sizeof examples / sizeof examples[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
