// SPDX-License-Identifier: MIT
//
// Another process with the same database open, told through a pipe what to do: to hold locks, to read, to
// commit and to die at a moment that the test chooses.
//
// What it understands (one line each, one line of answer each):
//   any SQL          runs it; answers the first column of the first row, or "ok"
//   .repeat SQL      runs it over and over until the next line; that line is answered with how often it ran
//   .lock N          holds lock byte N of the wal-index exclusively (120 WRITE, 121 CKPT, …), as any program may
//   .naive           from now on automatic checkpoints as SQLite does them by default
// An error is answered as "error CODE: message", CODE being SQLite's extended result code.
#ifndef WEIR_TESTS_SUPPORT_PEER_H
#define WEIR_TESTS_SUPPORT_PEER_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct peer {
    pid_t pid;
    FILE *to;
    FILE *from;
} peer;

// Starts one; it has the database open when this returns (and its -wal and -shm after its first SQL).
void peer_start(peer *p, const char *database);
// Sends a line without waiting for the answer.
void peer_tell(peer *p, const char *line);
// Waits for the answer.
void peer_answer(peer *p, char *answer, size_t size);
// Both, and the answer must not be an error.
void peer_do(peer *p, const char *line);
// Both; the number answered.
long long peer_number(peer *p, const char *line);
// Ends it in order: its connection is closed.
void peer_stop(peer *p);
// Ends it with SIGKILL.
void peer_kill(peer *p);

#endif
