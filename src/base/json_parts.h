// SPDX-License-Identifier: MIT
//
// What the three files behind json_read.h share: json_read.c takes the input apart, json_number.c knows numbers,
// json_canonical.c puts values together again. Not for others.
#ifndef WEIR_BASE_JSON_PARTS_H
#define WEIR_BASE_JSON_PARTS_H

#include <string.h>

#include "base/json_read.h"

// A number taken apart: ± mantissa × 10^exponent, and what did not fit into the mantissa.
typedef struct weir__json_decimal {
    uint64_t mantissa; // its first digits, as many as fit
    int64_t exponent;
    unsigned next; // the first digit that did not fit
    bool is_full;  // there is one
    bool has_more; // and there, or behind it, something other than zeros
    bool is_negative;
    bool is_integer; // written without a point and without an exponent
} weir__json_decimal;

// The longest is -1.7976931348623157e-308; with a NUL.
enum { WEIR__JSON_NUMBER_SIZE = 32 };

// Can it stand in a number?
bool weir__json_is_of_number(char c);

// False when text[size] is not a number as RFC 8259 writes it.
bool weir__json_decimal_parse(const char *text, size_t size, weir__json_decimal *decimal);

// False when the number, which was parsed from text[size], is too large for a double.
bool weir__json_decimal_is_finite(const weir__json_decimal *decimal, const char *text, size_t size);

// Writes the number, which was parsed from text[size] and is finite, in canonical form. Terminated; returns the
// length.
size_t weir__json_decimal_format(const weir__json_decimal *decimal, const char *text, size_t size,
                                 char out[WEIR__JSON_NUMBER_SIZE]);

// The length of what stands at the start of bytes[size] and needs no escape in a string: no quote, no backslash, no
// control character, valid UTF-8 only.
size_t weir__json_plain_length(const char *bytes, size_t size);

// Writes the escape of a quote, a backslash or a control character; returns its length.
enum { WEIR__JSON_ESCAPE_SIZE = 6 };
size_t weir__json_escape(unsigned char c, char out[WEIR__JSON_ESCAPE_SIZE]);

// Where the text of a token goes: decoded into the reader's own text, in canonical form behind something else, or (out
// NULL) nowhere.
typedef struct weir__json_sink {
    weir__text *out;
    size_t start;      // of the value, in *out
    bool is_canonical; // strings with quotes and escapes, numbers in the canonical form
} weir__json_sink;

// Reads the next token, which has not been peeked at. False: the error is the reader's.
bool weir__json_read(weir__json_reader *reader, const weir__json_sink *sink, weir__json_token *token);

// Appends to the sink, which has a text, within the reader's limit.
bool weir__json_sink_grow(weir__json_reader *reader, const weir__json_sink *sink, const char *bytes,
                          size_t size);

// The same for any sink, without a call where there is room.
static inline bool weir__json_sink_put(weir__json_reader *reader, const weir__json_sink *sink,
                                       const char *bytes, size_t size)
{
    weir__text *const out = sink->out;
    if (out == NULL)
        return true;
    const bool has_room = size < out->capacity - out->size && !out->failed;
    if (!has_room || size > reader->value_bytes_max - (out->size - sink->start))
        return weir__json_sink_grow(reader, sink, bytes, size);
    memcpy(out->data + out->size, bytes, size);
    out->size += size;
    out->data[out->size] = '\0';
    return true;
}

// Makes this the reader's error, if it is its first. Returns false.
bool weir__json_fail(weir__json_reader *reader, int code, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

bool weir__json_is_value(weir__json_type type); // or the beginning of one

// "an object", "a string", "the end" …
const char *weir__json_type_name(weir__json_type type);

#endif
