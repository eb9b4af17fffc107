// SPDX-License-Identifier: MIT
//
// Reads JSON as a stream of tokens, in bounded memory, and brings values into canonical form.
//
// Why not a library: bodies of a gigabyte must not be held as a tree; integers up to 2^64 - 1 must survive;
// and what is stored is text with sorted keys, which falls out of the reading. The grammar is RFC 8259's,
// nothing more: no comments, no byte order mark, no trailing comma, valid UTF-8, escapes of surrogates only
// in pairs, at most WEIR__JSON_DEPTH_MAX deep, no number beyond a double's range (1e400).
//
// A reader belongs to one thread. The first error is kept: later calls return it again.
#ifndef WEIR_BASE_JSON_READ_H
#define WEIR_BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

enum {
    WEIR__JSON_DEPTH_MAX = 128,
    WEIR__JSON_VALUE_DEPTH_MAX = 127, // in canonical form: serde_json, which reads it elsewhere, refuses more
    WEIR__JSON_FRAME_MAX = 8,         // what a document may be deeper than the values in it, see depth_max
    WEIR__JSON_WINDOW_BYTES = 64 << 10,
};

// Reads up to `size` bytes at `offset` into `buffer`; *got 0 means the end. Errors end the reading.
typedef int weir__json_source_fn(void *context, uint64_t offset, void *buffer, size_t size, size_t *got,
                                 weir_error *err);

typedef enum weir__json_type {
    WEIR__JSON_END, // after the outermost value, nothing but blanks followed
    WEIR__JSON_OBJECT,
    WEIR__JSON_OBJECT_END,
    WEIR__JSON_ARRAY,
    WEIR__JSON_ARRAY_END,
    WEIR__JSON_KEY,
    WEIR__JSON_STRING,
    WEIR__JSON_NUMBER,
    WEIR__JSON_TRUE,
    WEIR__JSON_FALSE,
    WEIR__JSON_NULL,
} weir__json_type;

// KEY and STRING: the decoded bytes (which may hold NULs), terminated. NUMBER: its text as written,
// terminated. Valid until the next call on the reader.
typedef struct weir__json_token {
    weir__json_type type;
    const char *text;
    size_t size;
    uint64_t offset; // of its first byte in the input
} weir__json_token;

typedef struct weir__json_reader {
    weir__json_source_fn *source; // NULL: all of the input is in the window
    void *context;
    const char *window;
    size_t window_size, at;
    uint64_t window_offset; // of the window's first byte in the input
    char *memory;           // the window's, where there is a source
    size_t
        value_bytes_max; // one string or number, or what weir__json_reader_canonical() writes for one value
    weir__text text;     // of the token
    uint8_t stack[WEIR__JSON_DEPTH_MAX + WEIR__JSON_FRAME_MAX];
    unsigned depth;     // of open containers, also of one that was only peeked at
    unsigned depth_max; // WEIR__JSON_DEPTH_MAX, or up to WEIR__JSON_FRAME_MAX more if its owner says so
    int state;
    bool takes_halves; // of surrogate pairs, instead of failing: they are counted and become U+FFFD
    uint64_t halves;
    bool has_peeked;
    weir__json_token peeked;
    weir_error error;
} weir__json_reader;

// Over bytes that stay where they are. value_bytes_max 0: no bound but the input's.
void weir__json_reader_init(weir__json_reader *reader, const char *bytes, size_t size,
                            size_t value_bytes_max);
// Over a source, from its offset 0.
void weir__json_reader_init_source(weir__json_reader *reader, weir__json_source_fn *source, void *context,
                                   size_t value_bytes_max);
void weir__json_reader_fini(weir__json_reader *reader);

// The next token. INVALID with what is wrong and where (byte offset); TOOBIG; NOMEM; the source's errors.
int weir__json_reader_next(weir__json_reader *reader, weir__json_token *token, weir_error *err);
// What weir__json_reader_next() would return, without moving on.
int weir__json_reader_peek(weir__json_reader *reader, weir__json_token *token, weir_error *err);
// Passes over the next value, whatever it is, checking its grammar.
int weir__json_reader_skip(weir__json_reader *reader, weir_error *err);
// Appends the next value in canonical form (nothing, if that fails): compact; keys sorted bytewise at every level,
// the last of equal ones kept; strings with the escapes \" \\ \b \f \n \r \t and \u00xx for other controls,
// everything else raw; integers of -2^63 to 2^64 - 1 as they are, without leading minus zero (-0 is -0.0); other
// numbers as the shortest text that reads back as the same double, always with a point or an exponent: 1.0, 8.25,
// 0.00001, 1e-6, 1000000000000000.0, 1e16. Needs memory for the value twice, and 16 bytes for each member of an
// open object. INVALID when it is more than WEIR__JSON_VALUE_DEPTH_MAX deep.
int weir__json_reader_canonical(weir__json_reader *reader, weir__text *out, weir_error *err);

// Appends one whole JSON text in canonical form. `wanted`: the type that it must have, or WEIR__JSON_END for
// any; another one is WEIR_MISMATCH.
int weir__json_canonical(const char *json, size_t size, weir__json_type wanted, weir__text *out,
                         weir_error *err);

// Is this text canonical already? A cheap yes for what we wrote ourselves; no for anything that is not JSON.
bool weir__json_is_canonical(const char *json, size_t size);

// Appends a double as above; NaN and infinities as null.
void weir__json_add_double(weir__text *out, double value);

// Reads a NUMBER's text as an integer. False when it has a point or an exponent, does not fit, or is -0 (which is
// a double).
bool weir__json_int64(const char *text, int64_t *value);

// Seconds as decimal text (a NUMBER) to nanoseconds, rounded to the nearest, halves away from zero,
// saturating.
int64_t weir__json_seconds_to_ns(const char *text);

// Nanoseconds as seconds in the form above, terminated; returns its length.
enum { WEIR__JSON_SECONDS_SIZE = 32 };
size_t weir__json_seconds(char out[WEIR__JSON_SECONDS_SIZE], int64_t ns);

#endif
