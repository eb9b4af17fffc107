// SPDX-License-Identifier: MIT
//
// What the command writes to: standard output and standard error, each a terminal or not. A screen knows its
// width, whether colours and UTF-8 are welcome, and collects text until it is flushed with as few write(2)
// calls as possible, so that a line appears at once or not at all.
//
// A reader that went away (EPIPE) is not an error: the screen goes quiet and the work goes on; any other
// failed write is reported once by weir__screen_flush(). One thread at a time.
#ifndef WEIR_CLI_SCREEN_H
#define WEIR_CLI_SCREEN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"
#include "cli/visible.h"

typedef enum weir__colour_when {
    WEIR__COLOUR_AUTO,
    WEIR__COLOUR_ALWAYS,
    WEIR__COLOUR_NEVER,
} weir__colour_when;

typedef enum weir__style {
    WEIR__STYLE_PLAIN,
    WEIR__STYLE_BOLD,
    WEIR__STYLE_DIM,
    WEIR__STYLE_GOOD,   // green
    WEIR__STYLE_BAD,    // red
    WEIR__STYLE_WARN,   // yellow
    WEIR__STYLE_ACTIVE, // cyan
} weir__style;

// Narrower terminals are treated as this wide.
enum { WEIR__COLUMNS_MIN = 20, WEIR__COLUMNS_DEFAULT = 80 };

typedef struct weir__screen {
    int fd;
    bool terminal; // isatty, and TERM is not "dumb"
    bool colour;
    bool unicode;
    size_t columns;  // WEIR__COLUMNS_ALL when lines must not be cut
    weir__text text; // not written yet
    bool gone;       // the reader went away, or a write failed
} weir__screen;

// `terminal_only`: measures the terminal, reads NO_COLOR, TERM, LC_ALL, LC_CTYPE and LANG. COLUMNS, when set,
// wins.
void weir__screen_init(weir__screen *screen, int fd, weir__colour_when when);
void weir__screen_fini(weir__screen *screen);

// Asks the terminal for its width again, after SIGWINCH.
void weir__screen_measure(weir__screen *screen);

void weir__screen_add(weir__screen *screen, const char *text);
void weir__screen_printf(weir__screen *screen, const char *format, ...) __attribute__((format(printf, 2, 3)));

// From weir__screen_style(x) to weir__screen_style(PLAIN) text has the style, where colours are welcome.
void weir__screen_style(weir__screen *screen, weir__style style);
void weir__screen_styled(weir__screen *screen, weir__style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Text from elsewhere, see visible.h; returns the columns used.
size_t weir__screen_visible(weir__screen *screen, const char *string, size_t columns_max);

// `unicode` or `ascii`, as the terminal can.
const char *weir__screen_glyph(const weir__screen *screen, const char *unicode, const char *ascii);

// Adds a malloc'd string and frees it; NULL counts as a lack of memory, which the next flush reports.
void weir__screen_take(weir__screen *screen, char *string);

// Writes what has been collected. WEIR_OK also when the reader is gone; an error once for any other cause.
int weir__screen_flush(weir__screen *screen, weir_error *err);

#endif
