// SPDX-License-Identifier: MIT
//
// The command line, described by tables. A command says once which options it has; reading them, checking
// them and the text of --help come from that description, so that they cannot disagree.
//
//   --name VALUE   --name=VALUE   -n VALUE   -nVALUE   -ab (flags)   -- ends the options
//
// Values are stored at an offset into a struct of the command's own, whose initial content is the defaults.
// Strings are not copied: they point into argv. A wrong command line is told on stderr in one sentence, with
// the nearest name when something looks like a slip of the finger. One thread.
#ifndef WEIR_CLI_ARGS_H
#define WEIR_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

// Values given to all options of one kind LIST of a command.
enum { WEIR__LIST_MAX = 1024, WEIR__OPTIONS_MAX = 64 };

typedef enum weir__option_kind {
    WEIR__OPTION_FLAG,     // bool
    WEIR__OPTION_TEXT,     // const char *: UTF-8, not empty
    WEIR__OPTION_PATH,     // const char *: any bytes, not empty
    WEIR__OPTION_LIST,     // weir__list of texts; may be repeated
    WEIR__OPTION_NUMBER,   // uint64_t from min to max
    WEIR__OPTION_DURATION, // uint64_t, milliseconds from min to max
    WEIR__OPTION_SIZE,     // uint64_t, bytes from min to max
    WEIR__OPTION_CHOICE,   // int: index into choices, which ends with NULL
} weir__option_kind;

typedef struct weir__list {
    const char *items[WEIR__LIST_MAX];
    size_t count;
} weir__list;

typedef struct weir__option {
    const char *name; // without the dashes
    char letter;      // 0: none
    weir__option_kind kind;
    size_t offset;     // of its value in the command's struct
    const char *value; // what to call the value in help: "DIR"
    const char *help;  // one line, or several separated by \n
    uint64_t min, max;
    const char *const *choices;
    const char *variable; // settings.h: an environment variable besides WEIR_NAME
} weir__option;

typedef struct weir__options {
    const weir__option *items;
    size_t count;
} weir__options;

// What is not an option, in order; NULL behind the last. And which options there were: bit i stands for
// items[i] of the command's.
typedef struct weir__operands {
    char **items;
    int count;
    uint64_t given;
} weir__operands;

// Options that every command has.
typedef struct weir__common {
    bool help; // -h, --help
    int color; // a weir__colour_when
} weir__common;

extern const weir__options weir__common_options;

// Reads argv[0 .. argc), which has room for a NULL behind it, into `values`; operands are moved to the front
// of argv. With `stop_at_operand` the first operand ends the options: what follows belongs to another
// command. WEIR_INVALID with a sentence for a wrong line.
int weir__args_parse(weir__options options, bool stop_at_operand, int argc, char **argv, void *values,
                     weir__common *common, weir__operands *operands, weir_error *err);

// Stores a value that was given elsewhere than on the command line; `shown` is what sentences call it. A flag
// takes true or false, 1 or 0, yes or no. A LIST gets one item more.
int weir__args_store(const weir__option *option, const char *shown, const char *value, void *values,
                     weir_error *err);

// The name that is closest to `typed`, NULL when none is close. `names` ends with NULL.
const char *weir__args_nearest(const char *typed, const char *const *names);

#endif
