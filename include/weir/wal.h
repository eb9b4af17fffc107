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

// ---- Reading the log (-wal) ----
//
// A scan reads a log of any size from its beginning, in bounded memory (about 1 MiB), and says what ends it. It
// has a descriptor of its own of the -wal, and of nothing else: neither the database nor the -shm is touched, so
// a scan may run in a process that has the database open through SQLite. It reads with pread(2) and never maps
// the file, because a log may be truncated at any moment. One thread at a time per scan.
//
//     weir_wal_scan *scan = NULL;
//     weir_wal_transaction transaction;
//     int code = weir_wal_scan_open("app.db-wal", &scan, &err);
//     while (code == WEIR_OK &&
//            (code = weir_wal_scan_next_transaction(scan, &transaction, &err)) == WEIR_OK &&
//            transaction.number != 0)
//         ...
//     weir_wal_scan_close(scan);
//
// What counts is what counts for SQLite: a frame when its salts are those of the header, its checksum continues
// that of the frame before and its page number is not 0; a transaction when its last frame is a commit frame.

enum {
    WEIR_WAL_HEADER_SIZE = 32,       // bytes before the first frame
    WEIR_WAL_FRAME_HEADER_SIZE = 24, // bytes before the page of each frame
};

typedef struct weir_wal_scan weir_wal_scan;

typedef struct weir_wal_frame {
    uint64_t number;              // from 1; 0: there is none
    uint64_t offset;              // of its header in the file
    uint64_t transaction;         // which one it belongs to, committed or not yet, from 1
    uint32_t page;                // page number, from 1
    uint32_t n_page;              // of a commit frame: size of the database in pages; else 0
    const unsigned char *content; // the page, until the next call with this scan
} weir_wal_frame;

typedef struct weir_wal_transaction {
    uint64_t number; // from 1; 0: there is none
    uint64_t first_frame;
    uint64_t last_frame; // the commit frame
    uint64_t offset;     // bytes offset … offset_end - 1 of the file
    uint64_t offset_end;
    uint32_t n_page; // size of the database in pages after it
} weir_wal_transaction;

typedef enum weir_wal_end_kind {
    WEIR_WAL_END_CLEAN, // the file ends where the frames end
    WEIR_WAL_END_OLDER, // what follows was left by an earlier generation of the log, as is normal
    WEIR_WAL_END_TORN,  // what follows was not written completely, or was rolled back; nothing that is whole
                        // and committed follows
    WEIR_WAL_END_DAMAGED,   // committed frames of this generation follow behind frames that are not valid:
                            // SQLite ignores them
    WEIR_WAL_END_HEADER,    // the header cannot be used: SQLite takes the log for empty, or refuses it
    WEIR_WAL_END_RESTARTED, // the log began again, or was truncated, while it was read
} weir_wal_end_kind;

typedef struct weir_wal_end {
    weir_wal_end_kind kind;
    int header_code;           // HEADER: WEIR_NOTADB (no log), WEIR_UNSUPPORTED (version), WEIR_CORRUPT
    bool is_unlinked;          // the file has no name any more: open again to see its successor
    uint64_t size;             // of the file
    uint64_t offset;           // where the valid frames end
    uint64_t frames;           // that are valid
    uint64_t frames_committed; // those up to the last commit frame; what is more, was not committed (yet)
    uint64_t offset_committed; // where they end
    uint64_t transactions;     // that are committed
    uint32_t n_page;           // size of the database in pages after the last of them, 0 when there is none
    // What follows behind `offset`. OLDER: frames of earlier generations. Otherwise: frames of this generation
    // whose checksums continue that of the frame before each.
    uint64_t behind_frames;
    uint64_t behind_commits; // those of them that are commit frames
    uint64_t behind_offset;  // of the first of them, 0 when there is none
} weir_wal_end;

// Opens a log, which may still be empty. *scan is NULL after an error. WEIR_NOTFOUND, WEIR_INVALID (not a
// regular file; never waits for one that is a pipe), WEIR_DENIED, WEIR_IO, WEIR_NOMEM.
int weir_wal_scan_open(const char *wal_path, weir_wal_scan **scan, weir_error *err);

// NULL is fine.
void weir_wal_scan_close(weir_wal_scan *scan);

// The header that the scan goes by; NULL before the first frame was asked for and while there is no usable one.
const weir_wal_header *weir_wal_scan_header(const weir_wal_scan *scan);

// The next valid frame, or number 0 behind the last; and again 0 until weir_wal_scan_resume(). WEIR_IO.
int weir_wal_scan_next(weir_wal_scan *scan, weir_wal_frame *frame, weir_error *err);

// The next committed transaction, or number 0 behind the last. Frames that are passed over on the way, or that
// were not committed, are not seen by weir_wal_scan_next() again. WEIR_IO.
int weir_wal_scan_next_transaction(weir_wal_scan *scan, weir_wal_transaction *transaction, weir_error *err);

// Why there is no further frame: looks at the rest of the file, which takes as long as reading it. Only after
// a `next` has returned number 0; WEIR_STATE before. While somebody writes, a tail may look torn for a moment.
int weir_wal_scan_end(weir_wal_scan *scan, weir_wal_end *end, weir_error *err);

// Reads on, now or later, to see what has been appended: continues behind the last *commit*, so frames that
// were not committed come again, because SQLite may have written them anew in the meantime. When the log
// began again or was cut off, the next frame is the first that there is now, and everything is counted from 1.
// WEIR_IO.
int weir_wal_scan_resume(weir_wal_scan *scan, weir_error *err);

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
