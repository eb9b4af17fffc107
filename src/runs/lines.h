// SPDX-License-Identifier: MIT
//
// Cuts what a script prints into lines, chunk by chunk. A line ends at \n, \r\n or a lone \r (progress bars);
// a last line needs no end. What comes out is valid UTF-8 without NUL: whatever else was there has become
// U+FFFD. White space at the end is gone, at the start it stays; lines of white space alone are dropped.
//
// A line over WEIR__LINE_BYTES_MAX comes out in pieces as soon as they are full; only the first has `first`
// set. A \r ends its line at once, without waiting for the next chunk, so that a progress bar is seen as it
// moves. One thread at a time.
#ifndef WEIR_RUNS_LINES_H
#define WEIR_RUNS_LINES_H

#include "base/span.h"
#include "base/text.h"

enum { WEIR__LINE_BYTES_MAX = 1024 * 1024 };

typedef struct weir__lines {
    weir__text raw;    // the line so far, as it came
    weir__text clean;  // the line handed out
    bool skip_newline; // the chunk before ended in \r: a \n now belongs to it
    bool continued;    // a piece of this line has been handed out
    uint64_t lost;     // lines (or pieces) that did not find memory
} weir__lines;

// `first`: the line's first piece, the only one in which markers count. `line` lives until the function
// returns.
typedef void weir__line_fn(void *context, weir__span line, bool first);

void weir__lines_feed(weir__lines *lines, const char *chunk, size_t size, weir__line_fn *each, void *context);

// Takes a chunk no further than to the end of the line in progress; returns how many bytes it took (at least one of
// one).
size_t weir__lines_feed_line(weir__lines *lines, const char *chunk, size_t size, weir__line_fn *each,
                             void *context);

// The end of the output: hands out what is left.
void weir__lines_end(weir__lines *lines, weir__line_fn *each, void *context);

void weir__lines_free(weir__lines *lines);

#endif
