// SPDX-License-Identifier: MIT
//
// What tests of the store share: a directory of their own, a store in it, SQL through it, and waiting for
// something to become true. Includes cmocka the way it has to be included.
//
// Functions that fail the test (all but `await` and `run_sql`) belong on the test's own thread.
#ifndef WEIR_TESTS_SUPPORT_STORE_H
#define WEIR_TESTS_SUPPORT_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include "weir/weir.h"

enum { AWAIT_MS = 120000 }; // longest wait for a condition before a test gives up on it

// A fresh directory, and the names of a database in it.
typedef struct scratch {
    char directory[64];
    char database[96];
    char wal[112];
    char shm[112];
    char journal[112];
} scratch;

void scratch_init(scratch *place);
void scratch_fini(scratch *place); // removes everything

// Fails the test, with the sentence, when a call did not return what was expected.
#define expect_code(code, expected, err) expect_code_at((code), (expected), (err), __FILE__, __LINE__)
#define expect_ok(code, err) expect_code((code), WEIR_OK, (err))
void expect_code_at(int code, int expected, const weir_error *err, const char *file, int line);

// Fails the test, showing both, when `text` does not contain `part`.
#define expect_contains(text, part) expect_contains_at((text), (part), __FILE__, __LINE__)
void expect_contains_at(const char *text, const char *part, const char *file, int line);

weir_store *must_open(const char *path, const weir_config *config);
void must_close(weir_store *store);

// Runs statements as one job. `options` NULL: DURABLE where the policy gives it, else COMMITTED.
int run_sql(weir_store *store, const char *sql, const weir_write_options *options, weir_error *err);
void must_run_sql(weir_store *store, const char *sql);
// The first column of the first row, by a current read.
int64_t must_read_int64(weir_store *store, const char *sql);
void must_read_text(weir_store *store, const char *sql, char *out, size_t size);

// The same by a plain connection that is opened and closed for it: what anybody else would see.
int64_t naive_int64(const char *database, const char *sql);
void naive_sql(const char *database, const char *sql);
// PRAGMA integrity_check says "ok".
void must_be_intact(const char *database);

// Asks until it holds, or AWAIT_MS have passed; returns what it said last.
bool await(bool (*holds)(void *arg), void *arg);

uint64_t now_ms(void);                // monotonic
int64_t file_bytes(const char *path); // -1 when there is none

#endif
