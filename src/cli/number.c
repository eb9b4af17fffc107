// SPDX-License-Identifier: MIT
//
// One scanner for digits with a check before each step that could overflow; everything else is a unit behind
// it.
#include "cli/number.h"

#include <stddef.h>
#include <string.h>

// Reads digits at *at into *value; false when there are none or they do not fit.
static bool scan_digits(const char **at, uint64_t *value)
{
    const char *const first = *at;
    *value = 0;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        if (__builtin_mul_overflow(*value, UINT64_C(10), value) ||
            __builtin_add_overflow(*value, (uint64_t)(**at - '0'), value))
            return false;
    }
    return *at > first;
}

static bool in_range(uint64_t found, uint64_t min, uint64_t max, uint64_t *value)
{
    if (found < min || found > max)
        return false;
    *value = found;
    return true;
}

bool weir__number_parse(const char *string, uint64_t min, uint64_t max, uint64_t *value)
{
    uint64_t found = 0;
    return scan_digits(&string, &found) && *string == '\0' && in_range(found, min, max, value);
}

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

// The factor of the unit that is all of `string`; 0 when there is no such unit.
static uint64_t factor_of(const unit *units, size_t count, const char *string)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].name, string) == 0)
            return units[i].factor;
    }
    return 0;
}

// Thousandths behind the point, at most three digits of them; the rest is read over.
static bool scan_thousandths(const char **at, uint64_t *thousandths)
{
    const char *const first = *at;
    uint64_t weight = 100;
    *thousandths = 0;
    for (; **at >= '0' && **at <= '9'; ++*at, weight /= 10)
        *thousandths += weight * (uint64_t)(**at - '0');
    return *at > first;
}

bool weir__duration_parse(const char *string, uint64_t min_ms, uint64_t max_ms, uint64_t *value_ms)
{
    static const unit units[] = {{"", 1000},
                                 {"ms", 1},
                                 {"s", 1000},
                                 {"m", 60ull * 1000},
                                 {"h", 3600ull * 1000},
                                 {"d", 24ull * 3600 * 1000}};
    uint64_t whole = 0;
    uint64_t thousandths = 0;
    if (!scan_digits(&string, &whole))
        return false;
    if (*string == '.') {
        string++;
        if (!scan_thousandths(&string, &thousandths))
            return false;
    }
    const uint64_t factor = factor_of(units, sizeof units / sizeof units[0], string);
    uint64_t found = 0;
    if (factor == 0 || __builtin_mul_overflow(whole, factor, &found) ||
        __builtin_add_overflow(found, thousandths * factor / 1000, &found))
        return false;
    return in_range(found, min_ms, max_ms, value_ms);
}

bool weir__size_parse(const char *string, uint64_t min, uint64_t max, uint64_t *value)
{
    static const unit units[] = {{"", 1},        {"B", 1},         {"K", 1 << 10}, {"KiB", 1 << 10},
                                 {"M", 1 << 20}, {"MiB", 1 << 20}, {"G", 1 << 30}, {"GiB", 1 << 30}};
    uint64_t found = 0;
    if (!scan_digits(&string, &found))
        return false;
    const uint64_t factor = factor_of(units, sizeof units / sizeof units[0], string);
    return factor > 0 && !__builtin_mul_overflow(found, factor, &found) && in_range(found, min, max, value);
}
