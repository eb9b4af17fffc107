// SPDX-License-Identifier: MIT
//
// What the operator reads on stderr: one line per message, "2026-01-31T12:00:00.123Z warning: text", each
// written by one write(2), so that lines of several threads and processes do not mix. Control characters and
// invalid UTF-8 in a message are replaced, so that a file name cannot forge a line. Any thread; blocks only
// as long as writing to stderr blocks.
//
// The level comes from WEIR_LOG (error, warning, info, debug) when the first message is logged; without it,
// or with another word in it, warning.
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

typedef enum weir__log_level {
    WEIR__LOG_ERROR,
    WEIR__LOG_WARNING,
    WEIR__LOG_INFO,
    WEIR__LOG_DEBUG,
} weir__log_level;

void weir__log(weir__log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// For messages that are costly to make.
bool weir__log_enabled(weir__log_level level);

// Overrides WEIR_LOG.
void weir__log_set_level(weir__log_level level);

// Reads a level's name; false when it is none.
bool weir__log_level_parse(const char *name, weir__log_level *level);

// Takes the lines instead of stderr (line ends in '\n', no NUL behind it). Called under the log's lock, one
// line at a time; it must not log itself. NULL goes back to stderr.
typedef void weir__log_sink(void *context, weir__log_level level, const char *line, size_t size);
void weir__log_set_sink(weir__log_sink *sink, void *context);

#endif
