// SPDX-License-Identifier: MIT
//
// Looking at a write-ahead log from beside it: how far it has come, and who holds which of its locks.
//
// Nothing here changes anything: no lock is taken, no checkpoint runs, no file is created. Everything may be
// called from any thread at any time. What reads files blocks as long as they take to read, and no longer;
// nothing waits for a lock.
//
// DANGER: a process must never open (and close) the main file or the -shm of a database that it has open
// through SQLite: closing any descriptor of them drops all its locks on them, and the database can be
// damaged. The functions here keep to that rule; the -wal itself is safe to open, as SQLite holds no locks on
// it.
//
// The terms are SQLite's: a *frame* is a page in the log, numbered from 1; *mxFrame* is the last committed
// one; *nBackfill* says how many were moved into the database; a *read mark* is the last frame that readers
// of a slot may look at.
#ifndef WEIR_WAL_H
#define WEIR_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/error.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- The wal-index (-shm) ----

enum {
    WEIR_WAL_INDEX_SIZE = 136, // bytes at the start of the wal-index that are looked at
    WEIR_WAL_READ_MARKS = 5,
};

// A read mark of a slot that is not in use.
#define WEIR_WAL_READ_MARK_UNUSED UINT32_C(0xFFFFFFFF)

typedef struct weir_wal_index {
    uint32_t change_count; // counts the transactions, wraps around
    uint32_t page_size;    // bytes
    uint32_t mx_frame;     // last committed frame, 0 in an empty log
    uint32_t n_page;       // size of the database in pages
    uint32_t salt[2];      // as in the log's header: a log that starts again gets new ones
    uint32_t n_backfill;   // frames that were moved into the database; above mx_frame only for a moment, at a
                           // restart
    uint32_t read_mark[WEIR_WAL_READ_MARKS]; // [0] is always 0; a mark counts only while its lock is held
    uint32_t n_backfill_attempted;           // frames that a checkpoint at least began to move
} weir_wal_index;

// Decodes the first 136 bytes of a wal-index from memory that nobody changes meanwhile.
// WEIR_BUSY: somebody was writing when they were copied, so copy and try again. WEIR_NOTFOUND: never
// initialised. WEIR_UNSUPPORTED: another version of the format. WEIR_CORRUPT: wrong checksum or page size.
// WEIR_INVALID: fewer bytes.
int weir_wal_index_decode(const void *bytes, size_t size, weir_wal_index *index, weir_error *err);

// The same from shared memory that SQLite, here or in other processes, is using: takes copies until two in a
// row agree. `shared` is at least 136 bytes, aligned to 4. Never blocks; WEIR_BUSY when there was no steady
// copy within a bounded number of tries; the other codes as above.
int weir_wal_index_sample(const volatile void *shared, weir_wal_index *index, weir_error *err);

// ---- The header of the log (-wal) ----

typedef struct weir_wal_header {
    uint32_t page_size;       // bytes
    uint32_t sequence;        // counts the restarts of the log
    uint32_t salt[2];         // frames of this generation carry the same
    bool big_endian_checksum; // checksums were computed over big-endian words
    bool checksum_valid;      // if not, SQLite takes the whole log for empty
} weir_wal_header;

// Reads the 32-byte header of the log at `wal_path` (the database's path and "-wal").
// WEIR_NOTFOUND: no such file, or shorter than a header, as an empty log is. WEIR_NOTADB: not a log.
// WEIR_UNSUPPORTED: another version. WEIR_CORRUPT: an impossible page size. WEIR_INVALID: not a regular file.
// WEIR_DENIED, WEIR_IO.
int weir_wal_header_read(const char *wal_path, weir_wal_header *header, weir_error *err);

// ---- Locks ----

// The locks of the wal-index, as bit numbers.
enum {
    WEIR_WAL_LOCK_WRITE = 0,   // the writer
    WEIR_WAL_LOCK_CKPT = 1,    // the checkpointer
    WEIR_WAL_LOCK_RECOVER = 2, // recovery
    WEIR_WAL_LOCK_READ0 = 3, // shared: readers of the database file alone; exclusive: frames are being moved
    WEIR_WAL_LOCK_READ1 = 4, // READ1 to READ4: readers with the read mark of that number
    WEIR_WAL_LOCK_READ2 = 5,
    WEIR_WAL_LOCK_READ3 = 6,
    WEIR_WAL_LOCK_READ4 = 7,
    WEIR_WAL_LOCK_DMS = 8, // "dead man's switch": everybody who has the wal-index open holds it shared
    WEIR_WAL_LOCK_COUNT = 9
};

// "WRITE", "READ1" and so on; "?" for a number that is none. Static storage.
const char *weir_wal_lock_name(int lock);

enum { WEIR_WAL_COMMAND_SIZE = 256 };

// One process. All its connections are one holder: the system does not tell them apart.
typedef struct weir_wal_lock_holder {
    int64_t pid;        // -1 where the system names none
    uint32_t shared;    // bit (1 << WEIR_WAL_LOCK_x) for each lock held for reading
    uint32_t exclusive; // the same for writing
    char
        command[WEIR_WAL_COMMAND_SIZE]; // its command line, readable UTF-8, cut if it has to be; may be empty
} weir_wal_lock_holder;

// Who holds locks on the wal-index of the database at `db_path`, this process included: fills at most
// `capacity` holders, ordered by pid, and sets *count to how many there are, which may be more. capacity 0
// only counts.
//
// It reads /proc/locks, which leaves out processes of other PID namespaces: so a lock that is not listed may
// be held from within another container. While locks come and go quickly one that is held throughout can be
// missed: look twice before saying "free".
//
// WEIR_NOTFOUND: there is no wal-index (nobody has the database open in WAL mode, or somebody has it open
// exclusively). WEIR_UNSUPPORTED: the system does not let us read /proc/locks. WEIR_DENIED, WEIR_IO,
// WEIR_NOMEM.
int weir_wal_lock_holders(const char *db_path, weir_wal_lock_holder *holders, size_t capacity, size_t *count,
                          weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
