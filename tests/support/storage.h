// SPDX-License-Identifier: MIT
//
// A storage folder of runs for a test: made below /tmp, opened, removed with everything in it. Every call fails
// the test, with the sentence of the error, where it cannot do what it says. One thread.
#ifndef WEIR_TESTS_SUPPORT_STORAGE_H
#define WEIR_TESTS_SUPPORT_STORAGE_H

#include "support/store.h"
#include "weir/runs.h"

typedef struct test_storage {
    char root[64];   // a temporary directory
    char path[80];   // root/storage
    weir_runs *runs; // NULL while closed
} test_storage;

// A new temporary directory; nothing in it yet.
void test_storage_init(test_storage *storage);
// Opens root/storage (NULL: no engine, durability off, so that thousands of writes are quick).
void test_storage_open(test_storage *storage, const weir_runs_config *config);
void test_storage_close(test_storage *storage);
// Closes what is open and removes the directory.
void test_storage_fini(test_storage *storage);

// root/storage/<name>; four may be in use at a time.
const char *test_storage_at(const test_storage *storage, const char *name);
// Writes a file below root/storage, with the directories above it.
void test_storage_put(const test_storage *storage, const char *name, const void *data, size_t size);
// A file's content, malloc'd and terminated.
char *test_storage_content(const test_storage *storage, const char *name);
bool test_storage_has(const test_storage *storage, const char *name);

// Runs statements on the open storage's database.
void test_storage_sql(const test_storage *storage, const char *script);
// The first column of the first row as text; "" for NULL or no row. Good until the next call.
const char *test_storage_value(const test_storage *storage, const char *sql);

#endif
