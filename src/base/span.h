// SPDX-License-Identifier: MIT
//
// A piece of somebody else's text: pointer and size, not NUL-terminated, owns nothing. Trimming and splitting
// at white space as Python's str.strip() and str.split() do, Unicode spaces included: the runs store has to
// agree with a program that uses them. Pure functions, any thread.
#ifndef WEIR_BASE_SPAN_H
#define WEIR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>

typedef struct weir__span {
    const char *data;
    size_t size;
} weir__span;

weir__span weir__span_of(const char *string);

// The part from `start` on, or of at most `size` bytes; never outside of the span.
weir__span weir__span_from(weir__span span, size_t start);
weir__span weir__span_first(weir__span span, size_t size);

weir__span weir__span_trim_start(weir__span span);
weir__span weir__span_trim_end(weir__span span);
weir__span weir__span_trim(weir__span span);

// Bytes of the white space character at the start of the span, 0 where there is none.
size_t weir__span_space_length(weir__span span);

bool weir__span_equals(weir__span a, weir__span b);
bool weir__span_is(weir__span span, const char *string);

// Where `needle` first occurs, or SIZE_MAX. An empty needle is found at 0.
size_t weir__span_find(weir__span span, const char *needle);
// The same for ASCII letters of either case.
size_t weir__span_find_caseless(weir__span span, const char *needle);

// A copy with a NUL at its end, to be freed; NULL when there is no memory.
char *weir__span_copy(weir__span span);

#endif
