// SPDX-License-Identifier: MIT
//
// Reads TOML 1.0, strictly, for configuration files: keys (bare, quoted, dotted), tables, strings of all four
// kinds, integers, floats, booleans, arrays, inline tables, comments. Dates and arrays of tables are refused
// with a sentence that says so, as is everything that the specification refuses: a key or table given twice,
// a table that grows from two places, a newline in an inline table. Strings are C strings, so a NUL is refused
// too.
//
// Every sentence begins with FILE:LINE:COLUMN, columns counted in characters. A document is one tree that
// stays as it is until it is freed. One thread.
#ifndef WEIR_CLI_TOML_H
#define WEIR_CLI_TOML_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    WEIR__TOML_BYTES_MAX = 1 << 20,
    WEIR__TOML_VALUES_MAX = 10000, // tables and elements of arrays counted
    WEIR__TOML_DEPTH_MAX = 16,     // arrays and inline tables in each other
};

typedef enum weir__toml_type {
    WEIR__TOML_TABLE,
    WEIR__TOML_STRING,
    WEIR__TOML_INTEGER,
    WEIR__TOML_FLOAT,
    WEIR__TOML_BOOLEAN,
    WEIR__TOML_ARRAY,
} weir__toml_type;

// A table, a value under a key, or an element of an array.
typedef struct weir__toml {
    weir__toml_type type;
    const char *key;                        // "" for the root and in arrays
    unsigned line, column;                  // where it is given
    const char *string;                     // STRING
    int64_t integer;                        // INTEGER
    double number;                          // FLOAT
    bool boolean;                           // BOOLEAN
    struct weir__toml *first, *last, *next; // of TABLE and ARRAY, in the order of the file; the neighbour
    int made;                               // the reader's
    unsigned section;                       // the reader's
} weir__toml;

typedef struct weir__toml_document {
    const char *name; // of the file, for sentences; the caller's
    weir__toml *root;
    struct weir__toml_piece *pieces; // all memory
} weir__toml_document;

// Parses text[size]. `name` must stay as long as the document. On an error nothing is left to be freed.
// INVALID, TOOBIG, NOMEM.
int weir__toml_parse(const char *name, const char *text, size_t size, weir__toml_document *document,
                     weir_error *err);
// The same of a file. Besides: NOTFOUND, DENIED, IO.
int weir__toml_read(const char *path, weir__toml_document *document, weir_error *err);
void weir__toml_free(weir__toml_document *document);

// The member of a table, NULL when there is none.
const weir__toml *weir__toml_find(const weir__toml *table, const char *key);
// "a table", "a string", …
const char *weir__toml_type_name(weir__toml_type type);
// FILE:LINE:COLUMN and the sentence; returns WEIR_INVALID.
int weir__toml_complain(const weir__toml_document *document, const weir__toml *at, weir_error *err,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
