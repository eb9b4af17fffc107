// SPDX-License-Identifier: MIT
//
// A growable string, and UTF-8. A text starts as {0}. Appending never fails visibly: the first failed
// allocation (or an overflow) sets `failed`, later appends do nothing, and weir__text_take() returns NULL. So
// check once, at the end. data is NUL-terminated whenever it is not NULL; size does not count the NUL. One
// thread at a time.
#ifndef WEIR_BASE_TEXT_H
#define WEIR_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct weir__text {
    char *data;
    size_t size;
    size_t capacity;
    bool failed;
} weir__text;

void weir__text_append(weir__text *text, const void *bytes, size_t size);
void weir__text_add(weir__text *text, const char *string);
void weir__text_char(weir__text *text, char c);
void weir__text_printf(weir__text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void weir__text_vprintf(weir__text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

// Room for `size` bytes behind the content, to be written by the caller, and then how many of them count. NULL
// when there is no memory.
char *weir__text_room(weir__text *text, size_t size);
void weir__text_added(weir__text *text, size_t size);

// Appends a JSON string literal with its quotes. Invalid UTF-8 becomes U+FFFD; control characters are
// escaped.
void weir__text_json_string(weir__text *text, const char *string, size_t size);

// Appends `string` as valid UTF-8; each maximal invalid sequence becomes U+FFFD.
void weir__text_utf8(weir__text *text, const char *string, size_t size);

// The content, empty string instead of NULL; valid until the next append.
const char *weir__text_string(const weir__text *text);

// Forgets the content and a failure; keeps the memory.
void weir__text_clear(weir__text *text);

// Hands over the content as a malloc'd string (the caller frees it) and leaves an empty text. NULL when an
// append failed.
char *weir__text_take(weir__text *text);

void weir__text_free(weir__text *text);

// The length in bytes (1 to 4) of the valid UTF-8 character at the start of string[size], or 0 when there is
// none: an overlong form, a surrogate, beyond U+10FFFF, cut short, or size == 0.
size_t weir__utf8_length(const char *string, size_t size);

// The code point at the start of string[size], its length in *length; -1 and the number of bytes to skip
// where invalid.
int32_t weir__utf8_decode(const char *string, size_t size, size_t *length);

bool weir__utf8_is_valid(const char *string, size_t size);

// Copies at most capacity - 1 bytes of valid UTF-8 into out, with U+FFFD for what is invalid, never splitting
// a character, and terminates it. Returns the length. capacity must be at least 1.
size_t weir__utf8_sanitize(char *out, size_t capacity, const char *string, size_t size);

#endif
