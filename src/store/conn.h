// SPDX-License-Identifier: MIT
//
// A connection: one sqlite3 handle with its pragmas, its statement cache and its deadline. The public weir_tx
// is a connection seen by the job or read that it currently serves.
//
// One thread at a time uses a connection; whoever has it (the writer's turn, or a reader taken from the pool)
// hands it on through a mutex. The only fields that others look at are `interrupt` and what `sql_lock`
// guards.
#ifndef WEIR_STORE_CONN_H
#define WEIR_STORE_CONN_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "weir/weir.h"

enum {
    WEIR__CONN_SQL_SHOWN = 256,     // bytes of a statement's text kept for reports
    WEIR__CONN_QUICK_SLOTS = 32,    // statements found by the address of their text
    WEIR__CONN_BUCKETS = 128,       // statements found by the hash of their text
    WEIR__CONN_PROGRESS_OPS = 2000, // virtual machine steps between two looks at the deadline
};

typedef enum weir__conn_kind {
    WEIR__CONN_WRITER,
    WEIR__CONN_READER,  // query_only
    WEIR__CONN_SERVICE, // checkpoints, pins, checks
} weir__conn_kind;

struct weir_stmt {
    sqlite3_stmt *handle;
    weir_tx *conn;
    char *sql; // our copy: the cache's key
    size_t sql_size;
    uint64_t hash;
    int bind_code;    // first error of a binding, reported by the next step
    uint64_t used_in; // the use of the connection (weir_tx.use) that prepared it last
    bool running;     // stepped and not yet reset
    bool own;         // one of ours, which the authorizer let pass: not for jobs and reads
    bool undoes;      // ROLLBACK TO a savepoint
    bool cached;      // false: too many are in use, finalized at the end of this use
    weir_stmt *bucket_next;
    weir_stmt *used_next;
    weir_stmt *lru_prev, *lru_next;
};

typedef struct weir__quick_slot {
    const char *text; // the caller's pointer, only ever compared
    weir_stmt *stmt;
} weir__quick_slot;

struct weir_tx {
    sqlite3 *db;
    const char *path; // of the database, for sentences; belongs to the store
    weir__clock *clock;
    weir__conn_kind kind;
    uint32_t statements_max;

    // The statement cache.
    weir__quick_slot quick[WEIR__CONN_QUICK_SLOTS];
    weir_stmt *buckets[WEIR__CONN_BUCKETS];
    weir_stmt lru; // list head: lru_next is the most recently used
    uint32_t statements;
    weir_stmt *used; // prepared in this use
    uint64_t use;
    _Atomic uint64_t hits, misses;

    // A read, also on the writer's connection where there is no log: has a deadline, and its SQL is shown.
    bool reading;
    uint64_t deadline_ns; // WEIR__FOREVER: none
    bool expired;
    uint64_t busy_until_ns; // SQLite waits for other processes up to then
    atomic_bool interrupt;  // set by weir_close

    // Set by the first FULL, IOERR, CORRUPT or NOTADB of this use: the fault is not the job's.
    int fault_code;

    uint64_t fork_generation; // of the process that opened it

    sqlite3_stmt *rollback; // prepared at opening: when it is needed there may be no memory for it

    // epoch.c
    uint64_t epoch;
    sqlite3_stmt *data_version_stmt; // prepared at opening, too; the writer's connection only
    int64_t data_version;            // as read last
    bool data_version_is_read;       // in the open transaction
    bool undo_prepared;              // the authorizer has just seen a ROLLBACK TO
    bool
        undo_unseen; // one was prepared in this use that is not run through our statements: it may run at any time

    bool raw;     // the raw connection was handed out in this use
    bool own_sql; // our own BEGIN, COMMIT, SAVEPOINT are being prepared: the authorizer lets them pass

    pthread_mutex_t sql_lock;
    char sql_shown[WEIR__CONN_SQL_SHOWN]; // guarded by sql_lock: what runs, or ran last
};

typedef struct weir__conn_options {
    const char *path; // kept
    const char *vfs;
    weir__clock *clock;
    weir__conn_kind kind;
    uint32_t statements_max;
    uint64_t busy_until_ns; // while it opens; later uses set their own
    bool read_only;
    bool create;
} weir__conn_options;

// How many forks lie between this process and the first one that opened a store (open.c).
uint64_t weir__fork_generation(void);

int weir__conn_open(const weir__conn_options *options, weir_tx **conn, weir_error *err);
void weir__conn_close(weir_tx *conn); // NULL is fine

// One PRAGMA that returns an integer or a word; `value` may be NULL.
int weir__conn_pragma_int64(weir_tx *conn, const char *pragma, int64_t *value, weir_error *err);
int weir__conn_pragma_text(weir_tx *conn, const char *pragma, char *value, size_t size, weir_error *err);

// Begin and end a use: what was prepared in between is reset and its bindings are forgotten.
void weir__conn_use_begin(weir_tx *conn, uint64_t deadline_ns);
void weir__conn_use_end(weir_tx *conn);

// Runs one of our own statements (transaction control), cached like the others. Returns SQLite's extended
// code.
int weir__conn_control(weir_tx *conn, const char *sql);

// ---- epoch.c
// Returns SQLite's code.
int weir__epoch_init(weir_tx *conn);
// Something that a job may remember has been undone.
void weir__epoch_change(weir_tx *conn);
// A new transaction: somebody else may have committed since the last one.
void weir__epoch_begin(weir_tx *conn);
void weir__epoch_end_use(weir_tx *conn);

// Ends the open transaction, if there is one.
void weir__conn_roll_back(weir_tx *conn);

// The statement that runs or ran last, for reports from other threads.
void weir__conn_sql(weir_tx *conn, char *out, size_t size);

// The WEIR_* code for a SQLite result code, and a sentence with the connection's message.
int weir__sqlite_code(int sqlite_code);
// Whether it says that a file or a directory could not be synced: no second sync may follow (weir__writer_fence).
bool weir__is_sync_failure(int sqlite_code);

// Syncs the database file through SQLite's own file object: closing a descriptor of ours would drop this process's
// locks. On the connection's thread. WEIR_IO with SQLITE_IOERR_FSYNC when it failed.
int weir__conn_sync_database(weir_tx *conn, weir_error *err);
int weir__conn_error(weir_tx *conn, int sqlite_code, const char *what, weir_error *err);

#endif
