// SPDX-License-Identifier: MIT
//
// A ledger: an independent account of what was asked of a store and what it answered, held against the file
// afterwards by a plain connection. Each entry is a job that writes one row with the entry's number, or tries
// to and fails in a way of its own.
//
// The judge's rules: what was answered with WEIR_OK is in the file exactly once; what was answered with an
// error is not there (WEIR_UNKNOWN may be either); every job was answered once and its argument released once;
// rows stand in the order in which their jobs were submitted.
//
// Any thread may add and submit entries; judging belongs to the test's own thread, after the store is closed.
#ifndef WEIR_TESTS_SUPPORT_LEDGER_H
#define WEIR_TESTS_SUPPORT_LEDGER_H

#include <pthread.h>
#include <stdatomic.h>

#include "support/store.h"

#define LEDGER_SCHEMA                                                   \
    "CREATE TABLE IF NOT EXISTS ledger(place INTEGER PRIMARY KEY, id);" \
    "CREATE TABLE IF NOT EXISTS taken(name UNIQUE)"

typedef enum ledger_deed {
    LEDGER_FINE,
    LEDGER_REFUSES,    // writes its row, then returns WEIR_STATE with a sentence
    LEDGER_SILENT,     // writes its row, then returns WEIR_STATE without a word
    LEDGER_CONSTRAINT, // writes its row, then a name that is taken
    LEDGER_WRONG_SQL,  // writes its row, then something that is no SQL
    LEDGER_DEEDS,
} ledger_deed;

typedef struct ledger_entry {
    int64_t id;
    ledger_deed deed;
    weir_ack ack;
    _Atomic int runs, answers, releases;
    _Atomic int code;                // of the answer
    char text[WEIR_ERROR_TEXT_SIZE]; // of the answer; written once, before `answers`
} ledger_entry;

typedef struct ledger {
    ledger_entry *entries;
    size_t capacity;
    _Atomic size_t size;
} ledger;

void ledger_init(ledger *book, size_t capacity);
void ledger_fini(ledger *book);
ledger_entry *ledger_add(ledger *book, ledger_deed deed, weir_ack ack);
// The code that the deed is answered with when nothing else goes wrong.
int ledger_expected(ledger_deed deed);

// weir_write and weir_submit of the entry. `options` may be NULL; its ack and release are the entry's own.
int ledger_write(weir_store *store, ledger_entry *entry, const weir_write_options *options);
int ledger_submit(weir_store *store, ledger_entry *entry, const weir_write_options *options);
// Waits until every entry has been answered and released.
void ledger_await(ledger *book);

typedef struct ledger_verdict {
    size_t answered_ok, answered_error, unknown, rows;
} ledger_verdict;

// Fails the test when the file and the answers do not agree. `applied_lost`: the store has said that work
// acknowledged as APPLIED was lost, so such rows may be missing. `ordered`: one thread submitted all.
ledger_verdict ledger_judge(ledger *book, const char *database, bool applied_lost, bool ordered);

// A job that stops the writer until the test lets it go on: what is submitted meanwhile becomes one group.
typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool reached, open, released; // under lock
} gate;

// Submits the job and returns when the writer has stopped in it.
void gate_close(gate *g, weir_store *store);
// The same, but false, and nothing to open or to finish, when the store does not take the job or it never runs.
bool gate_try_close(gate *g, weir_store *store);
void gate_open(gate *g);
void gate_fini(gate *g); // waits until the store has let go of it

#endif
