// SPDX-License-Identifier: MIT
//
// Dates as text, to and from nanoseconds since 1970-01-01 UTC in 64 bits: 1677-09-21T00:12:43.145224192Z to
// 2262-04-11T23:47:16.854775807Z. Pure functions, no locale, no time zone of the system; any thread.
//
// Two readers, as chrono has them, on which ActivityWatch's server stands. Strict is RFC 3339: blank or T or
// t between date and time, Z or z or an offset with a colon, any number of fraction digits (those past nine
// are dropped), second 60 as the next second, U+2212 as a minus. Lenient takes besides: an offset without
// its colon, blanks before the offset and around all, the word UTC, fields of one digit, years with a sign
// and of more digits.
#ifndef WEIR_BASE_DATE_H
#define WEIR_BASE_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum weir__date_result {
    WEIR__DATE_OK,
    WEIR__DATE_MALFORMED, // no date
    WEIR__DATE_BEYOND,    // a date, but not one that 64 bits of nanoseconds can hold
} weir__date_result;

// *ns is 0 unless the result is OK. Years before -262143 and after 262142 are no dates at all, as with chrono.
weir__date_result weir__date_parse_strict(const char *text, size_t size, int64_t *ns);
weir__date_result weir__date_parse_lenient(const char *text, size_t size, int64_t *ns);

// "2018-01-01T01:01:01Z"; a fraction of 3, 6 or 9 digits, the fewest that are exact. Terminated; returns the
// length.
enum { WEIR__DATE_SIZE = 32 };
size_t weir__date_format(char out[WEIR__DATE_SIZE], int64_t ns);

// As a column of ActivityWatch's server: "2018-01-01 01:01:01.100+00:00". Read back: T or a blank, an offset
// of +HH:MM, +HHMM or +HH, or none (UTC).
enum { WEIR__DATE_COLUMN_SIZE = 40 };
size_t weir__date_format_column(char out[WEIR__DATE_COLUMN_SIZE], int64_t ns);
weir__date_result weir__date_parse_column(const char *text, size_t size, int64_t *ns);

#endif
