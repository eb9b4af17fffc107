// SPDX-License-Identifier: MIT
//
// Cuts a command given as one string into its arguments. Without quotes and backslashes: at white space, and
// nothing else has a meaning. With them: as a POSIX shell quotes words, but nothing is expanded ($, *, ~ and
// ; are plain characters). Pure, any thread.
#ifndef WEIR_RUNS_WORDS_H
#define WEIR_RUNS_WORDS_H

#include <stddef.h>

#include "base/error.h"

// *argv is a NULL-terminated array, to be freed with weir__words_free(). No words at all is fine: *argc is 0.
// WEIR_INVALID for a quote that is not closed and for a backslash at the end.
int weir__words_split(const char *command, char ***argv, size_t *argc, weir_error *err);

void weir__words_free(char **argv);

#endif
