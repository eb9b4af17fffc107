// SPDX-License-Identifier: MIT
//
// Numbers of JSON: taken apart, brought into canonical form, read as integers and as nanoseconds.
//
// The canonical form asks for the shortest text that reads back as the same double. Two decimals of at most 15
// digits never share a double, so a number that was written with no more digits *is* that text, once its zeros
// are gone: no double comes into it. Only longer ones (and doubles that were computed) are searched for, with 15,
// 16, then 17 digits.
//
// No locale can change what is read and written here: strtod() only ever sees digits and an exponent, and what
// printf() puts between the digits is passed over. Pure functions, any thread.
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_parts.h"

enum {
    safe_digits = 15,       // DBL_DIG: as many survive the way through a double
    double_digits = 17,     // as many tell any two doubles apart
    digits_max = 20,        // of 64 bits
    tie_digits = 800,       // no point halfway between two doubles has more digits (767)
    point_max = 16,         // 10^16 and above are written with an exponent
    point_min = -5,         // 10^-6 and below, too
    double_point_max = 309, // 10^309 and above are no doubles
    seconds_exponent = 9,   // nanoseconds in a second
};

static const int64_t exponent_max = 1000000000000; // beyond any number of digits that can be given

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool weir__json_is_of_number(char c)
{
    return is_digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

// ---------------------------------------------------------------------------------------------------------
// Taking apart

// Takes digits into the mantissa, or counts them where it is full.
static const char *take_digits(const char *at, const char *end, bool is_fraction, weir__json_decimal *decimal)
{
    for (; at < end && is_digit(*at); at++) {
        const unsigned digit = (unsigned)(*at - '0');
        uint64_t mantissa = 0;
        if (!decimal->is_full && !__builtin_mul_overflow(decimal->mantissa, 10, &mantissa) &&
            !__builtin_add_overflow(mantissa, digit, &mantissa)) {
            decimal->mantissa = mantissa;
            decimal->exponent -= is_fraction;
            continue;
        }
        if (!decimal->is_full)
            decimal->next = digit;
        decimal->is_full = true;
        decimal->has_more = decimal->has_more || digit > 0;
        decimal->exponent += !is_fraction;
    }
    return at;
}

// Takes what follows an e. NULL when that is no exponent.
static const char *take_exponent(const char *at, const char *end, int64_t *exponent)
{
    const bool is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end || !is_digit(*at))
        return NULL;
    int64_t value = 0;
    for (; at < end && is_digit(*at); at++)
        value = value < exponent_max ? value * 10 + (*at - '0') : value;
    *exponent = is_negative ? -value : value;
    return at;
}

bool weir__json_decimal_parse(const char *text, size_t size, weir__json_decimal *decimal)
{
    *decimal = (weir__json_decimal){.is_integer = true};
    const char *at = text;
    const char *const end = text + size;
    if (at < end && *at == '-') {
        decimal->is_negative = true;
        at++;
    }
    if (at == end || !is_digit(*at))
        return false;
    at = *at == '0' ? at + 1 : take_digits(at, end, false, decimal);
    if (at < end && *at == '.') {
        decimal->is_integer = false;
        const char *const fraction = at + 1;
        at = take_digits(fraction, end, true, decimal);
        if (at == fraction)
            return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        decimal->is_integer = false;
        int64_t exponent = 0;
        at = take_exponent(at + 1, end, &exponent);
        if (at == NULL)
            return false;
        decimal->exponent += exponent;
    }
    return at == end;
}

// The digits of `value`, none for 0.
static int count_digits(uint64_t value)
{
    int count = 0;
    for (; value > 0; value /= 10)
        count++;
    return count;
}

// The double next to a number of any length: all its digits that can matter, as an integer with an exponent.
static double to_double(const char *text, size_t size)
{
    char plain[tie_digits + 64];
    size_t count = 0;
    int64_t exponent = 0;
    bool is_fraction = false;
    bool has_more = false;
    const char *const end = text + size;
    const char *at = text;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.')
            is_fraction = true;
        if (!is_digit(*at) || (*at == '0' && count == 0 && !is_fraction))
            continue;
        if (*at == '0' && count == 0) {
            exponent--;
        } else if (count < tie_digits) {
            plain[count++] = *at;
            exponent -= is_fraction;
        } else {
            has_more = has_more || *at != '0';
            exponent += !is_fraction;
        }
    }
    int64_t written = 0;
    if (at < end)
        take_exponent(at + 1, end, &written);
    if (count == 0)
        plain[count++] = '0';
    if (has_more) { // a little more than the digits so far, so that they cannot look like a tie
        plain[count++] = '1';
        exponent--;
    }
    snprintf(plain + count, sizeof plain - count, "e%" PRId64, exponent + written);
    const double value = strtod(plain, NULL);
    return *text == '-' ? -value : value;
}

bool weir__json_decimal_is_finite(const weir__json_decimal *decimal, const char *text, size_t size)
{
    const int64_t point = count_digits(decimal->mantissa) + decimal->exponent;
    if (decimal->mantissa == 0 || point < double_point_max)
        return true;
    return point == double_point_max && !isinf(to_double(text, size));
}

// ---------------------------------------------------------------------------------------------------------
// Writing

static char *put(char *at, const char *bytes, int size)
{
    memcpy(at, bytes, (size_t)size);
    return at + size;
}

static char *put_zeros(char *at, int count)
{
    memset(at, '0', (size_t)count);
    return at + count;
}

// Writes mantissa × 10^exponent, with a point or an exponent.
static size_t put_decimal(bool is_negative, uint64_t mantissa, int exponent, char out[WEIR__JSON_NUMBER_SIZE])
{
    for (; mantissa > 0 && mantissa % 10 == 0; mantissa /= 10)
        exponent++;
    if (mantissa == 0)
        exponent = 0;
    char digits[digits_max];
    const char *const end = digits + digits_max;
    char *first = digits + digits_max;
    do
        *--first = (char)('0' + mantissa % 10);
    while ((mantissa /= 10) > 0);
    const int count = (int)(end - first);
    const int point = count + exponent; // so many digits stand before it
    char *at = put(out, "-", is_negative);
    if (exponent >= 0 && point <= point_max) {
        at = put(at, first, count);
        at = put_zeros(at, exponent);
        at = put(at, ".0", 2);
    } else if (point > 0 && point <= point_max) {
        at = put(at, first, point);
        at = put(at, ".", 1);
        at = put(at, first + point, count - point);
    } else if (point > point_min && point <= 0) {
        at = put(at, "0.", 2);
        at = put_zeros(at, -point);
        at = put(at, first, count);
    } else {
        at = put(at, first, 1);
        at = put(at, ".", count > 1);
        at = put(at, first + 1, count - 1);
        at += snprintf(at, (size_t)(out + WEIR__JSON_NUMBER_SIZE - at), "e%d", point - 1);
    }
    *at = '\0';
    return (size_t)(at - out);
}

// Does mantissa × 10^exponent read back as `value`?
static bool reads_back(uint64_t mantissa, int exponent, double value)
{
    char text[48];
    snprintf(text, sizeof text, "%" PRIu64 "e%d", mantissa, exponent);
    return strtod(text, NULL) == value;
}

// `value`, which is above zero and finite, rounded to `count` digits.
static uint64_t round_to_digits(double value, int count, int *exponent)
{
    char text[48];
    snprintf(text, sizeof text, "%.*e", count - 1, value);
    uint64_t mantissa = 0;
    const char *at = text;
    for (; *at != 'e'; at++)
        if (is_digit(*at)) // what is not is the locale's point
            mantissa = mantissa * 10 + (uint64_t)(*at - '0');
    *exponent = (int)strtol(at + 1, NULL, 10) - (count - 1);
    return mantissa;
}

// Below a power of two doubles stand closer than above it. So the nearest text of a length may be another double's
// while the one above it is ours.
static size_t put_double(double value, char out[WEIR__JSON_NUMBER_SIZE])
{
    const bool is_negative = signbit(value) != 0;
    value = fabs(value);
    if (value == 0)
        return put_decimal(is_negative, 0, 0, out);
    int unused = 0;
    const bool is_power = frexp(value, &unused) == 0.5;
    uint64_t mantissa = 0;
    int exponent = 0;
    for (int count = value < DBL_MIN ? 1 : safe_digits; count <= double_digits; count++) {
        mantissa = round_to_digits(value, count, &exponent);
        if (reads_back(mantissa, exponent, value))
            break;
        if (is_power && reads_back(mantissa + 1, exponent, value)) {
            mantissa++;
            break;
        }
    }
    return put_decimal(is_negative, mantissa, exponent, out);
}

size_t weir__json_decimal_format(const weir__json_decimal *decimal, const char *text, size_t size,
                                 char out[WEIR__JSON_NUMBER_SIZE])
{
    static const uint64_t safe_mantissa = 1000000000000000; // 10^safe_digits
    static const uint64_t integer_min = UINT64_C(1) << 63;  // without its sign
    const bool fits = !decimal->is_full &&
                      (!decimal->is_negative || (decimal->mantissa > 0 && decimal->mantissa <= integer_min));
    if (decimal->is_integer && fits) {
        memcpy(out, text, size);
        out[size] = '\0';
        return size;
    }
    const bool is_exact = !decimal->has_more && decimal->mantissa < safe_mantissa;
    const int64_t limit = 290; // well within a double's range, where it has all its digits
    if (is_exact && (decimal->mantissa == 0 || (decimal->exponent >= -limit && decimal->exponent <= limit)))
        return put_decimal(decimal->is_negative, decimal->mantissa, (int)decimal->exponent, out);
    return put_double(to_double(text, size), out);
}

void weir__json_add_double(weir__text *out, double value)
{
    char text[WEIR__JSON_NUMBER_SIZE] = "null";
    const size_t size = isfinite(value) ? put_double(value, text) : strlen(text);
    weir__text_append(out, text, size);
}

// ---------------------------------------------------------------------------------------------------------
// Integers and seconds

bool weir__json_int64(const char *text, int64_t *value)
{
    *value = 0;
    weir__json_decimal decimal;
    if (!weir__json_decimal_parse(text, strlen(text), &decimal) || !decimal.is_integer || decimal.is_full)
        return false;
    const uint64_t max = (uint64_t)INT64_MAX + decimal.is_negative;
    if (decimal.mantissa > max || (decimal.is_negative && decimal.mantissa == 0))
        return false;
    *value = (int64_t)(decimal.is_negative ? 0 - decimal.mantissa : decimal.mantissa);
    return true;
}

// mantissa × 10^exponent as an integer, at most `max`, halves away from zero.
static uint64_t to_integer(const weir__json_decimal *decimal, int64_t exponent, uint64_t max)
{
    uint64_t value = decimal->mantissa;
    if (value == 0)
        return 0;
    for (; exponent > 0 && value <= max; exponent--)
        if (__builtin_mul_overflow(value, 10, &value))
            return max;
    bool round_up = exponent == 0 && decimal->next >= 5;
    for (; exponent < 0 && (value > 0 || round_up); exponent++) {
        round_up = value % 10 >= 5;
        value /= 10;
    }
    if (round_up && value < max)
        value++;
    return value < max ? value : max;
}

int64_t weir__json_seconds_to_ns(const char *text)
{
    weir__json_decimal decimal;
    if (!weir__json_decimal_parse(text, strlen(text), &decimal))
        return 0;
    const uint64_t max = (uint64_t)INT64_MAX + decimal.is_negative;
    const uint64_t ns = to_integer(&decimal, decimal.exponent + seconds_exponent, max);
    return (int64_t)(decimal.is_negative ? 0 - ns : ns);
}

size_t weir__json_seconds(char out[WEIR__JSON_SECONDS_SIZE], int64_t ns)
{
    static const uint64_t safe_ns = 1000000000000000; // 10^safe_digits
    const uint64_t magnitude = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    if (magnitude < safe_ns)
        return put_decimal(ns < 0, magnitude, -seconds_exponent, out);
    return put_double((double)ns / 1e9, out);
}

_Static_assert((int)WEIR__JSON_SECONDS_SIZE == (int)WEIR__JSON_NUMBER_SIZE, "both hold any number");
