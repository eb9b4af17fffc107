// SPDX-License-Identifier: MIT
//
// The target of a request, taken apart: path segments and query parameters, percent-decoded exactly once.
//
// Strict on purpose. Refused: anything but visible ASCII, a `%` without two hex digits, a decoded byte that
// is NUL or another control character, text that is not UTF-8 after decoding, a parameter given twice.
// Nothing is normalised: `..` and an empty segment are ordinary segments that no route matches.
//
// weir__uri_parse_lenient() is for clients of another server, which is not strict: empty segments are left out,
// so `//api/0/buckets/` is `/api/0/buckets`; a `%` without hex digits stands for itself; control characters are
// allowed, and so is raw UTF-8; a parameter given twice is as if it were not given. `..` is an ordinary segment here,
// too.
#ifndef WEIR_SERVER_URI_H
#define WEIR_SERVER_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/error.h>

enum { WEIR__URI_SEGMENTS_MAX = 16, WEIR__URI_PARAMS_MAX = 32 };

typedef struct weir__param {
    const char *name;
    const char *value; // "" where the query has no `=`; NULL: given twice (lenient)
} weir__param;

typedef struct weir__uri {
    char *memory; // what all the strings below point into
    size_t segments_count;
    const char *segments[WEIR__URI_SEGMENTS_MAX]; // "/a/b/" has three: "a", "b", ""; "/" has none
    size_t params_count;
    weir__param params[WEIR__URI_PARAMS_MAX];
    bool unclean; // lenient: a segment is not UTF-8, or has a NUL in it (and ends there)
} weir__uri;

// Takes apart a request target in origin form ("/path?query"). Errors: INVALID, TOOBIG (too many segments or
// parameters), NOMEM; the uri is empty then. Release with weir__uri_free().
int weir__uri_parse(const char *target, weir__uri *uri, weir_error *err);
int weir__uri_parse_lenient(const char *target, weir__uri *uri, weir_error *err);
void weir__uri_free(weir__uri *uri);

// The value of a parameter, or NULL when it was not given.
const char *weir__uri_param(const weir__uri *uri, const char *name);

// A parameter as a whole number, optional sign, nothing around it. Not given or empty: `fallback`. INVALID
// when it is something else or does not fit.
int weir__uri_param_int(const weir__uri *uri, const char *name, int64_t fallback, int64_t *value,
                        weir_error *err);

// 1/true/yes/on and 0/false/no/off in any case; not given: false; given without a value: true. INVALID
// otherwise.
int weir__uri_param_bool(const weir__uri *uri, const char *name, bool *value, weir_error *err);

#endif
