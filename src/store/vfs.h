// SPDX-License-Identifier: MIT
//
// The VFS of a store: a thin layer between SQLite and the system's own VFS. Every store registers one of its
// own, under a name of its own, and every connection of the store is opened with that name. It does three
// things:
//
//   1. counts: how often, how long and by which file something was synced, and how many bytes were written to
//   it;
//   2. injects: a delay before every sync (to show slower disks), and faults, for tests;
//   3. guards a checkpoint: see weir__vfs_guard_begin().
//
// Threads: SQLite calls into it from whichever threads use the store's connections. Statistics may be read
// from any thread at any time. What else may be called when is said at each function.
#ifndef WEIR_STORE_VFS_H
#define WEIR_STORE_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/histogram.h"

typedef struct weir__vfs weir__vfs;

// What a file is to the database.
typedef enum weir__vfs_role {
    WEIR__VFS_MAIN,
    WEIR__VFS_WAL,
    WEIR__VFS_JOURNAL, // rollback journal
    WEIR__VFS_OTHER,   // temporary files, sub-journals, super-journals
    WEIR__VFS_ROLES,   // how many there are
} weir__vfs_role;

typedef enum weir__vfs_op {
    WEIR__VFS_OPEN,
    WEIR__VFS_DELETE,
    WEIR__VFS_READ,
    WEIR__VFS_WRITE,
    WEIR__VFS_TRUNCATE, // offset is the new size
    WEIR__VFS_SYNC,
    WEIR__VFS_LOCK,     // size is the wanted level, SQLITE_LOCK_SHARED and so on
    WEIR__VFS_SHM_MAP,  // offset is the number of the 32 KiB block
    WEIR__VFS_SHM_LOCK, // offset and size are the first lock and the number of locks; unlocking never fails
    WEIR__VFS_OPS,      // how many there are
} weir__vfs_op;

// Called before each of these operations, on SQLite's thread. Returns SQLITE_OK to go on, or the result code
// to give to SQLite instead of doing it. A WEIR__VFS_SYNC that is refused here has not synced anything.
typedef int weir__vfs_fault(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size);

// Start with {0}.
typedef struct weir__vfs_config {
    weir__clock *clock;     // NULL: the system's
    const char *below;      // name of the VFS to stand on; NULL: SQLite's default
    uint64_t sync_delay_us; // waits this long before every sync
} weir__vfs_config;

int weir__vfs_create(const weir__vfs_config *config, weir__vfs **vfs, weir_error *err);

// Unregisters it. No connection may be open on it any more (asserted). NULL is allowed.
void weir__vfs_destroy(weir__vfs *vfs);

// For sqlite3_open_v2(). Lives as long as the VFS.
const char *weir__vfs_name(const weir__vfs *vfs);

// How many files SQLite has open through it.
unsigned weir__vfs_open_files(const weir__vfs *vfs);

// Installs a fault hook, NULL removes it. Only while no connection of the store is at work.
void weir__vfs_set_fault(weir__vfs *vfs, weir__vfs_fault *fault, void *context);

typedef struct weir__vfs_role_stats {
    uint64_t sync_count;        // calls, failed ones too
    uint64_t sync_failed_count; // of these, failed
    uint64_t sync_ns;           // time spent in them, the injected delay included
    uint64_t write_count;
    uint64_t write_bytes;
} weir__vfs_role_stats;

typedef struct weir__vfs_stats {
    weir__vfs_role_stats roles[WEIR__VFS_ROLES];
} weir__vfs_stats;

// Cheap; the numbers of one role are each right, but not taken at one instant.
void weir__vfs_stats_get(const weir__vfs *vfs, weir__vfs_stats *stats);

// How long the syncs of a role took, in ns.
void weir__vfs_sync_histogram(const weir__vfs *vfs, weir__vfs_role role, weir__histogram_snapshot *snapshot);

// What a checkpoint did, as seen from below.
typedef struct weir__vfs_guard_report {
    bool backfilled;               // it got the lock to move frames (READ0, exclusively)
    bool backfilled_without_write; // ... and did not hold the WRITE lock all the while
    bool backfill_refused;         // the guard kept it from moving frames
    bool write_taken;              // it got the WRITE lock
    unsigned write_busy_count;     // how often the WRITE lock was refused to it
} weir__vfs_guard_report;

typedef enum weir__vfs_guard {
    WEIR__VFS_GUARD_OBSERVE,     // only fills the report
    WEIR__VFS_GUARD_LOCKED_ONLY, // frames move only while this connection holds the WRITE lock
} weir__vfs_guard;

// Watches the next checkpoint of this connection, until weir__vfs_guard_end().
//
// A FULL, RESTART or TRUNCATE checkpoint that cannot get the WRITE lock goes on as a PASSIVE one, which may
// overlap other processes' commits: not safe with an SQLite that has the WAL-reset bug. Under LOCKED_ONLY
// such a checkpoint moves nothing and returns SQLITE_BUSY. (A PASSIVE one never takes the WRITE lock, so
// under LOCKED_ONLY it moves nothing and returns SQLITE_OK.)
//
// In locking_mode=EXCLUSIVE SQLite takes none of these locks, as nobody else can commit: the guard sees and
// refuses nothing.
//
// Both on the thread that uses the connection, with nothing else running on it. WEIR_INVALID when the
// connection's main file is not one of our VFS.
int weir__vfs_guard_begin(sqlite3 *db, weir__vfs_guard guard, weir_error *err);
int weir__vfs_guard_end(sqlite3 *db, weir__vfs_guard_report *report, weir_error *err);

// The first 32 KiB of the wal-index that SQLite itself has mapped for this connection; NULL (and WEIR_OK)
// when it has not opened the log yet, is not in WAL mode, or uses no shared memory. It changes under the
// reader: see weir_wal_index_sample(). The pointer lives until this connection is closed or leaves WAL mode.
// On the connection's thread.
int weir__vfs_wal_index(sqlite3 *db, const volatile void **wal_index, weir_error *err);

#endif
