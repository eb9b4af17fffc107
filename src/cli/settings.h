// SPDX-License-Identifier: MIT
//
// Options of a command that are given elsewhere than on its command line. One table of options serves all
// places, so what can be said in one can be said in the others, and is checked alike:
//
//     --max-body 4M        the command line
//     WEIR_MAX_BODY=4M     the environment; lists are separated by blanks, flags are true or false
//     max_body = "4M"      a file in TOML; lists are arrays of strings, flags booleans, numbers numbers
//
// The caller lays one over the other, lowest first. A list that a place gives replaces that of a lower one.
// One thread.
#ifndef WEIR_CLI_SETTINGS_H
#define WEIR_CLI_SETTINGS_H

#include <stdint.h>

#include "cli/args.h"
#include "cli/toml.h"

// Keeps the strings that values point to. Starts as {0}.
typedef struct weir__settings {
    weir__toml_document file;
    struct weir__settings_string *strings;
} weir__settings;

void weir__settings_free(weir__settings *settings);

// Keeps a copy of text[size] as long as the settings; NULL: no memory.
const char *weir__settings_keep(weir__settings *settings, const char *text, size_t size);

// From the variables WEIR_NAME, or else option->variable. An empty variable counts as none. `given` (may be
// NULL) gets bit i for options.items[i].
int weir__settings_environment(weir__settings *settings, weir__options options, void *values, uint64_t *given,
                               weir_error *err);

// Reads a file and stores what it has under the options' names, with _ for -. Keys in `others` (ends with
// NULL) are left to the caller, who finds them in settings->file. Any other key is an error that names the
// nearest known one.
int weir__settings_file(weir__settings *settings, weir__options options, const char *const *others,
                        const char *path, void *values, uint64_t *given, weir_error *err);

// Copies what `given` has a bit for.
void weir__settings_overlay(weir__options options, uint64_t given, const void *from, void *to);

// Whether the option `name` is among those of `given`.
bool weir__settings_has(weir__options options, uint64_t given, const char *name);

#endif
