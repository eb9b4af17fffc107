// SPDX-License-Identifier: MIT
//
// Numbers that a person typed, or that stand in a file or variable: the whole string or nothing, no sign, no
// blanks, no overflow. Any thread.
#ifndef WEIR_CLI_NUMBER_H
#define WEIR_CLI_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

// Decimal digits, from min to max.
bool weir__number_parse(const char *string, uint64_t min, uint64_t max, uint64_t *value);

// A time: "90" or "1.5" seconds, or with a unit: "250ms", "90s", "10m", "2h", "7d". Milliseconds from min to
// max; finer fractions are cut off.
bool weir__duration_parse(const char *string, uint64_t min_ms, uint64_t max_ms, uint64_t *value_ms);

// A size: "1048576", "512K", "64M", "2G", with or without "iB"; powers of 1024.
bool weir__size_parse(const char *string, uint64_t min, uint64_t max, uint64_t *value);

#endif
