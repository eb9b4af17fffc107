// SPDX-License-Identifier: MIT
//
// The marker language: what a script prints to say which step it is in. Five tokens, STEP_START:
// STEP_COMPLETE: STEP_ERROR: ARTIFACT: and META:, looked for in this order, whatever stands further left in
// the line; within one kind the first occurrence. What follows the token is its content; an empty content is
// no marker.
//
// By default a token counts anywhere and in any case ("Uploading artifact: x" is one). Strict: upper case, at
// the start of the line or after a character that is none of A-Z a-z 0-9 _.
//
// Results are spans of the line that was given. Pure functions, any thread.
#ifndef WEIR_RUNS_MARKERS_H
#define WEIR_RUNS_MARKERS_H

#include <stdbool.h>

#include <jansson.h>

#include "base/span.h"
#include "base/text.h"

typedef enum weir__marker_kind {
    WEIR__MARKER_NONE = 0,
    WEIR__MARKER_STEP_START,
    WEIR__MARKER_STEP_COMPLETE,
    WEIR__MARKER_STEP_ERROR,
    WEIR__MARKER_ARTIFACT,
    WEIR__MARKER_META,
} weir__marker_kind;

typedef struct weir__marker {
    weir__marker_kind kind;
    weir__span content; // trimmed, never empty
    bool after_word;    // a letter, digit or _ stands before the token: perhaps a chance hit
} weir__marker;

// Finds the marker of a line without terminal colours (weir__markers_plain).
weir__marker weir__marker_find(weir__span line, bool strict);

// The line without its CSI sequences (ESC [ … letter). Uses `buffer` where there are any; the result lives as
// long as line and buffer are left alone.
weir__span weir__markers_plain(weir__span line, weir__text *buffer);

// The step's name in the content of STEP_START or STEP_COMPLETE: up to the first `[`, `{` or ` --`, trimmed.
// May be empty.
weir__span weir__marker_step_name(weir__span content);

// Splits at the first ':'. False when there is none: then `left` is all and `right` empty. Nothing is
// trimmed.
bool weir__marker_split(weir__span content, weir__span *left, weir__span *right);

// ------------------------------------------------------------------------------------------- parameters

typedef enum weir__param_type {
    WEIR__PARAM_TEXT,
    WEIR__PARAM_BOOL,    // true or false in any case
    WEIR__PARAM_INTEGER, // digits only, of any length
    WEIR__PARAM_REAL,    // digits with one '.'
} weir__param_type;

typedef struct weir__param {
    weir__span key;
    weir__span value;
    weir__param_type type;
} weir__param;

enum { WEIR__PARAMS_MAX = 64 };

typedef struct weir__params {
    weir__param items[WEIR__PARAMS_MAX]; // unique keys, in order of their first appearance
    size_t count;
    size_t dropped; // beyond WEIR__PARAMS_MAX
} weir__params;

// Collects [key=value], then {key:value}, then --key=value; a later value replaces an earlier one.
void weir__params_parse(weir__span content, weir__params *params);

// NULL when there is no such key.
const weir__param *weir__params_get(const weir__params *params, const char *key);

// Integers and reals only; false (and 0) otherwise.
bool weir__param_number(const weir__param *param, double *number);

// How `stop_on_error` is read: numbers that are not 0, and text other than no, off, false, 0. NULL is false.
bool weir__param_truth(const weir__param *param);

// The value as JSON: a boolean, an integer, a real or a string. A number that does not fit (64 bits, a
// double) stays the text that it was. NULL when there is no memory.
json_t *weir__param_value(const weir__param *param);

#endif
