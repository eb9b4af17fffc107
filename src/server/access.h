// SPDX-License-Identifier: MIT
//
// The access log: one line per request to stderr, in a form that a client cannot forge,
//     2026-01-31T12:00:00Z 127.0.0.1 "GET /api/health" 200 0.4ms "ada"
// with ` broken-off` at its end when the answer did not go out in full. It never blocks: a line that the reader
// of stderr has no room for is dropped, and the next one that fits says how many were. Event thread only.
#ifndef WEIR_SERVER_ACCESS_H
#define WEIR_SERVER_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

// Bytes of a URL that are logged; so a line always fits into a pipe's free page.
enum { WEIR__ACCESS_TARGET_MAX = 512 };

typedef struct weir__access {
    uint64_t dropped; // lines since the last one that was written
} weir__access;

typedef struct weir__access_entry {
    const char *address, *method, *target, *user;
    unsigned status;
    double ms;
    bool complete;
} weir__access_entry;

void weir__access_format(const weir__access_entry *entry, int64_t wall_us, weir__text *line);
void weir__access_write(weir__access *access, int fd, const weir__access_entry *entry);

#endif
