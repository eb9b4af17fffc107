// SPDX-License-Identifier: MIT
//
// Numbers: their canonical form by cases and against a slow but sure way to find the shortest text; integers; seconds,
// rounded by their digits and not by way of a double.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "base/random.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void assert_canonical(const char *number, const char *wanted)
{
    weir__text out = {0};
    weir_error err = WEIR_ERROR_INIT;
    if (weir__json_canonical(number, strlen(number), WEIR__JSON_NUMBER, &out, &err) != WEIR_OK)
        fail_msg("%s: %s", number, err.text);
    if (strcmp(out.data, wanted) != 0)
        fail_msg("%s is written as %s, not as %s", number, out.data, wanted);
    weir__text_free(&out);
}

static void how_numbers_are_written(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"0", "0"},
        {"-0", "-0.0"},
        {"0.0", "0.0"},
        {"-0.0", "-0.0"},
        {"0e5", "0.0"},
        {"-0e-5", "-0.0"},
        {"0e99999999999999999999", "0.0"},
        {"0.000e-99999999999999999999", "0.0"},
        {"1e-400", "0.0"},
        {"-1e-400", "-0.0"},
        {"1e-99999999999999999999", "0.0"},
        {"7", "7"},
        {"9007199254740993", "9007199254740993"}, // an integer stays what it is
        {"-9223372036854775808", "-9223372036854775808"},
        {"-9223372036854775809", "-9.223372036854776e18"},
        {"18446744073709551615", "18446744073709551615"},
        {"18446744073709551616", "1.8446744073709552e19"},
        {"100000000000000000000", "1e20"},
        {"1.0", "1.0"},
        {"1.50", "1.5"},
        {"8.25", "8.25"},
        {"825e-2", "8.25"},
        {"0.1e1", "1.0"},
        {"1E+2", "100.0"},
        {"1e15", "1000000000000000.0"},
        {"1e16", "1e16"},
        {"12345678901234567.0", "1.2345678901234568e16"},
        {"1234567890123456.7", "1234567890123456.8"},
        {"123456789012345680.0", "1.2345678901234568e17"},
        {"1200000000000000.0", "1200000000000000.0"},
        {"12000000000000000.0", "1.2e16"},
        {"0.001", "0.001"},
        {"1e-5", "0.00001"},
        {"0.0000123", "0.0000123"},
        {"1e-6", "1e-6"},
        {"0.00000123", "1.23e-6"},
        {"9007199254740993.0", "9007199254740992.0"},
        {"9007199254740993.00000000000000000000000000000000001", "9007199254740994.0"},
        {"0.1000000000000000055511151231257827021181583404541015625", "0.1"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"5.684341886080802e-14", "5.684341886080802e-14"}, // 2^-44: the nearest of 16 digits is another's
        {"5e-324", "5e-324"},
        {"2e-324", "0.0"},
        {"3e-324", "5e-324"},
        {"2.2250738585072014e-308", "2.2250738585072014e-308"},
        {"2.2250738585072011e-308", "2.225073858507201e-308"},
        {"1.7976931348623157e308", "1.7976931348623157e308"},
        {"1.797693134862315708145274237317043567981e308", "1.7976931348623157e308"},
        {"0.00000000000000000000000000000000000000000000000001e50", "1.0"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_canonical(cases[i][0], cases[i][1]);
}

static void what_no_double_can_hold(void **state)
{
    (void)state;
    static const char *const cases[] = {"1e309",
                                        "-1e400",
                                        "1.7976931348623159e308",
                                        "17976931348623159e292",
                                        "1e2147483648",
                                        "1e9223372036854775808",
                                        "0.1e310"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        weir__text out = {0};
        if (weir__json_canonical(cases[i], strlen(cases[i]), WEIR__JSON_END, &out, NULL) != WEIR_INVALID)
            fail_msg("%s was written as %s", cases[i], weir__text_string(&out));
        weir__text_free(&out);
    }
}

// Digits without end: what is between two doubles, told by the 900th digit; and a number of a million digits.
static void long_numbers(void **state)
{
    (void)state;
    weir__text number = {0};
    weir__text_add(&number, "9007199254740993.");
    for (int i = 0; i < 900; i++)
        weir__text_char(&number, '0');
    assert_canonical(number.data, "9007199254740992.0");
    weir__text_char(&number, '1');
    assert_canonical(number.data, "9007199254740994.0");
    weir__text_clear(&number);
    weir__text_add(&number, "0.");
    for (int i = 0; i < 1000000; i++)
        weir__text_char(&number, '0');
    weir__text_add(&number, "25e1000001");
    assert_canonical(number.data, "2.5");
    weir__text_clear(&number);
    for (int i = 0; i < 309; i++)
        weir__text_char(&number, '1');
    assert_canonical(number.data, "1.1111111111111112e308");
    weir__text_char(&number, '1');
    weir__text out = {0};
    assert_int_equal(weir__json_canonical(number.data, number.size, WEIR__JSON_END, &out, NULL),
                     WEIR_INVALID);
    weir__text_free(&out);
    weir__text_free(&number);
}

// The digits that tell this double from all others, found by trying each length.
static int shortest_digits(double value)
{
    char text[64];
    for (int digits = 1; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value)
            return digits;
    }
    return 17;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void check_double(double value)
{
    weir__text out = {0};
    weir__json_add_double(&out, value);
    const double again = strtod(out.data, NULL);
    int digits = 0;
    bool is_leading = true;
    for (const char *at = out.data; *at != '\0' && *at != 'e'; at++) {
        is_leading = is_leading && (*at < '1' || *at > '9');
        digits += !is_leading && *at >= '0' && *at <= '9';
    }
    if (strchr(out.data, 'e') == NULL) // 100.0 is one digit
        for (size_t at = out.size; at-- > 0 && (out.data[at] == '0' || out.data[at] == '.');)
            digits -= out.data[at] == '0';
    if (bits_of(again) != bits_of(value) || digits > shortest_digits(value))
        fail_msg("%.17g is written as %s", value, out.data);
    if (strpbrk(out.data, ".e") == NULL || !weir__json_is_canonical(out.data, out.size))
        fail_msg("%s is not canonical", out.data);
    weir__text_free(&out);
}

static void doubles_are_written_as_short_as_can_be(void **state)
{
    (void)state;
    weir__rng rng;
    weir__rng_init(&rng, 1);
    for (int exponent = -1074; exponent < 1024; exponent++) {
        check_double(ldexp(1, exponent));
        check_double(nextafter(ldexp(1, exponent), 0.5));
        check_double(-nextafter(ldexp(1, exponent), INFINITY));
    }
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = weir__rng_next(&rng);
        double value = 0;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value) && value != 0)
            check_double(value);
        check_double((double)(1 + weir__rng_below(&rng, 1000000000)) / 1000);
        check_double((double)(1 + weir__rng_below(&rng, UINT64_C(1) << 53)));
    }
}

static void what_is_no_number_is_null(void **state)
{
    (void)state;
    weir__text out = {0};
    weir__json_add_double(&out, NAN);
    weir__json_add_double(&out, INFINITY);
    weir__json_add_double(&out, -INFINITY);
    weir__json_add_double(&out, -0.0);
    assert_string_equal(out.data, "nullnullnull-0.0");
    weir__text_free(&out);
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_integer;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"42", true, 42},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999999", false, 0},
        {"-0", false, 0}, // a double
        {"1.0", false, 0},
        {"1e2", false, 0},
        {"", false, 0},
        {"1x", false, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t value = 1;
        if (weir__json_int64(cases[i].text, &value) != cases[i].is_integer || value != cases[i].value)
            fail_msg("%s was read as %" PRId64, cases[i].text, value);
    }
}

static void seconds_are_rounded_by_their_digits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"-0.0", 0},
        {"1", 1000000000},
        {"-1.5", -1500000000},
        {"8.2", 8200000000}, // truncated by way of a double it would be one less
        {"8.199999999", 8199999999},
        {"1e-9", 1},
        {"1E-9", 1},
        {"0.4999999999e-9", 0},
        {"5e-10", 1},
        {"-5e-10", -1},
        {"4.9999999999999999999999999e-10", 0},
        {"-4.9e-10", 0},
        {"0.0000000014", 1},
        {"0.0000000015", 2},
        {"-0.0000000015", -2},
        {"1.9999999995", 2000000000},
        {"1.99999999949999999999999999999999999999", 1999999999},
        {"5e-11", 0},
        {"9e-11", 0},
        {"1e-400", 0},
        {"1e-99999999999999999999", 0},
        {"9223372036.854775807", INT64_MAX},
        {"9223372036.854775806", INT64_MAX - 1},
        {"9223372036.8547758064", INT64_MAX - 1},
        {"9223372036.8547758065", INT64_MAX},
        {"9223372036.8547758075", INT64_MAX},
        {"9223372036.854775808", INT64_MAX},
        {"9223372036.85477580649999999999999999", INT64_MAX - 1},
        {"-9223372036.854775808", INT64_MIN},
        {"-9223372036.854775807", -INT64_MAX},
        {"-9223372036.854775809", INT64_MIN},
        {"9300000000", INT64_MAX},
        {"-1e300", INT64_MIN},
        {"1e300", INT64_MAX},
        {"123456789012345678901234567890", INT64_MAX},
        {"92233720368547758.07e-7", INT64_MAX},
        {"92233720368547758070000000000e-19", INT64_MAX},
        {"0.00000000000000000000000000092233720368547758e36", 922337203685477580},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const int64_t ns = weir__json_seconds_to_ns(cases[i].text);
        if (ns != cases[i].ns)
            fail_msg("%s is %" PRId64 " ns, not %" PRId64, cases[i].text, ns, cases[i].ns);
    }
}

static void assert_seconds(int64_t ns, const char *wanted)
{
    char out[WEIR__JSON_SECONDS_SIZE];
    const size_t size = weir__json_seconds(out, ns);
    assert_int_equal(size, strlen(out));
    if (strcmp(out, wanted) != 0)
        fail_msg("%" PRId64 " ns is written as %s, not as %s", ns, out, wanted);
}

static void how_seconds_are_written(void **state)
{
    (void)state;
    assert_seconds(0, "0.0");
    assert_seconds(1, "1e-9");
    assert_seconds(-1, "-1e-9");
    assert_seconds(1000, "1e-6");
    assert_seconds(10000, "0.00001");
    assert_seconds(8250000000, "8.25");
    assert_seconds(8200000000, "8.2");
    assert_seconds(-60000000000, "-60.0");
    assert_seconds(999999999999999, "999999.999999999");
    assert_seconds(1000000000000000, "1000000.0");
    assert_seconds(1000000000000001, "1000000.000000001");
    assert_seconds(INT64_MAX, "9223372036.854776");
    assert_seconds(INT64_MIN, "-9223372036.854776");
}

// Beside the double that the division gives, and back to the same nanoseconds, for durations up to 48 days.
static void seconds_survive(void **state)
{
    (void)state;
    weir__rng rng;
    weir__rng_init(&rng, 7);
    for (int i = 0; i < 50000; i++) {
        const int64_t ns = (int64_t)(weir__rng_next(&rng) >> (12 + weir__rng_below(&rng, 50))) - 1000;
        char out[WEIR__JSON_SECONDS_SIZE];
        weir__text wanted = {0};
        weir__json_seconds(out, ns);
        weir__json_add_double(&wanted, (double)ns / 1e9);
        assert_string_equal(out, wanted.data);
        if (ns < INT64_C(4000000000000000))
            assert_int_equal(weir__json_seconds_to_ns(out), ns);
        weir__text_free(&wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_numbers_are_written),
        cmocka_unit_test(what_no_double_can_hold),
        cmocka_unit_test(long_numbers),
        cmocka_unit_test(doubles_are_written_as_short_as_can_be),
        cmocka_unit_test(what_is_no_number_is_null),
        cmocka_unit_test(integers),
        cmocka_unit_test(seconds_are_rounded_by_their_digits),
        cmocka_unit_test(how_seconds_are_written),
        cmocka_unit_test(seconds_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
