// SPDX-License-Identifier: MIT
//
// Text from elsewhere, made fit for a terminal. Names, log lines and paths may hold anything: escape
// sequences that move the cursor, line feeds that forge rows, marks that reverse the reading direction, bytes
// that are no UTF-8. Here they become something that can be seen and that has a known width in columns.
//
//   control characters       \t becomes blanks to the next eighth column, others \n, \r, \e or \x07
//   colours (ESC [ … m)      nothing: they are harmless and common in logs
//   C1 controls, bidi and other invisible marks, line separators   \u202e
//   invalid UTF-8            U+FFFD, or ? where the terminal does not speak UTF-8
//
// Widths are those of wcwidth() in the C.UTF-8 locale, whatever the user's locale is. Any thread.
#ifndef WEIR_CLI_VISIBLE_H
#define WEIR_CLI_VISIBLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

#define WEIR__COLUMNS_ALL SIZE_MAX

// Appends string[size], cut to `columns_max` columns; what was cut ends in an ellipsis. Returns the columns
// used. Without `unicode` the result is ASCII.
size_t weir__visible(weir__text *text, const char *string, size_t size, size_t columns_max, bool unicode);

// The columns that weir__visible() would use for all of it.
size_t weir__visible_columns(const char *string, size_t size, bool unicode);

// The same as weir__visible() into a buffer of the caller's, for messages; returns out.
const char *weir__visible_quote(const char *string, char *out, size_t capacity);

#endif
