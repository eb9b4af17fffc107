// SPDX-License-Identifier: MIT
//
// weir.h - one SQLite database in WAL mode, run the way it should be run.
//
// A *store* is one database file, opened once per process. It has one writer that commits jobs in groups,
// a pool of read-only connections that hand out snapshots, and a checkpointer that keeps the log bounded.
//
//     weir_error err = WEIR_ERROR_INIT;
//     weir_store *store = NULL;
//     if (weir_open("app.db", NULL, &store, &err) != WEIR_OK)
//         return fprintf(stderr, "%s\n", err.text), 1;
//     weir_write(store, add_user, "Ada", NULL, &err);     // returns when the row is on disk
//     weir_read(store, count_users, &n, NULL, &err);      // a snapshot, never behind your own write
//     weir_close(store, 0, &err);
//
// Conventions of every function here:
//   - Fallible calls return WEIR_OK (0) or a WEIR_* code of error.h and, when `err` is not NULL, fill it
//     with one sentence that can be shown to a person. Outputs come last and are set to NULL or zero at
//     entry.
//   - Options are structs in which zero means "the default"; NULL means all defaults.
//   - Times are milliseconds unless the name says otherwise; a deadline counts from the call and
//     WEIR_NO_DEADLINE means to wait for as long as it takes.
//   - Any thread may call any function on a store unless a comment says otherwise. A weir_tx, a weir_stmt
//     and a weir_snapshot belong to one thread at a time.
//   - After fork() the store belongs to the parent; in the child every call returns WEIR_FORKED.
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_VERSION "0.1.0"

// Wait for as long as it takes.
#define WEIR_NO_DEADLINE UINT32_MAX
// How long opening waits for other processes unless told otherwise.
#define WEIR_OPEN_DEADLINE_MS_DEFAULT 30000
// Most read-only connections that a store will open.
#define WEIR_READERS_MAX 64

struct sqlite3;

typedef struct weir_store weir_store;
typedef struct weir_tx weir_tx;     // a transaction: of the open group (jobs) or of a snapshot (reads)
typedef struct weir_stmt weir_stmt; // a prepared statement, owned by the connection's cache
typedef struct weir_snapshot weir_snapshot; // a read transaction that outlives one call

// ---------------------------------------------------------------------------------------------- versions

typedef struct weir_version_info {
    const char *weir;       // this library, "0.1.0"
    const char *sqlite;     // the loaded SQLite, "3.40.1"
    const char *sqlite_id;  // its source id
    bool has_wal_reset_fix; // false: checkpoints run under a pin or under the write lock, see
                            // docs/architecture.md
} weir_version_info;

// Facts about what is loaded. Never blocks, never fails; the strings live as long as the program.
void weir_version(weir_version_info *info);

// ------------------------------------------------------------------------------------ opening and closing

// What a power cut can take; see docs/durability.md.
typedef enum weir_durability {
    WEIR_DURABILITY_FULL = 0,     // synchronous=FULL: nothing that was acknowledged as DURABLE
    WEIR_DURABILITY_INTERVAL = 1, // NORMAL, and the log synced every sync_interval_ms: at most that much
    WEIR_DURABILITY_NORMAL = 2,   // NORMAL: everything since the last checkpoint; DURABLE acks are refused
    WEIR_DURABILITY_OFF = 3,      // OFF: anything, the file included; DURABLE acks are refused
} weir_durability;

typedef struct weir_config {
    weir_durability durability;
    uint32_t sync_interval_ms; // INTERVAL only: the log is synced at least this often (default 100)
    uint32_t readers;          // read-only connections (default: cores, at most 16; limit WEIR_READERS_MAX)
    uint32_t cache_kib;        // page cache of each connection, in KiB (default 8192 = 8 MiB)
    uint64_t mmap_bytes;       // PRAGMA mmap_size (default 0: an I/O error in mapped memory is a SIGBUS)
    uint32_t statements_max;   // cached statements per connection (default 64)

    uint32_t queue_jobs_max;    // jobs that may wait (default 8192)
    uint64_t queue_bytes_max;   // sum of their arg_bytes plus our own bookkeeping (default 64 MiB)
    uint32_t group_jobs_max;    // jobs in one transaction (default 4096)
    uint32_t applied_linger_ms; // how long a group in which every job is already acknowledged as APPLIED may
                                // stay open to collect more (default 0: it is committed as soon as the queue
                                // is empty). While it is open, other processes cannot write.
    uint32_t applied_jobs_max;  // such a group is committed at this many jobs (default: group_jobs_max)

    uint32_t open_deadline_ms;  // opening waits for other processes (default 30000)
    uint32_t write_deadline_ms; // a write without one of its own (default 10000)
    uint32_t read_deadline_ms;  // a read without one of its own (default 30000)
    uint32_t busy_timeout_ms;   // one attempt to get the write lock (default 250)
    uint32_t retry_tries;       // attempts between which the pause doubles (default 3)
    uint32_t retry_base_ms;     // first pause between attempts, jittered (default 100)

    uint32_t checkpoint_frames;  // PASSIVE when this many frames wait to be moved (default 1000)
    uint32_t checkpoint_idle_ms; // checkpoint and empty the log after this much silence (default 1000)
    uint64_t wal_limit_bytes;    // the -wal file is brought back below this (default 64 MiB)
    uint32_t reader_gap_ms; // longest time that new snapshots wait so that the log can restart (default 50;
                            // above wal_limit_bytes up to 20 times as long)
    uint64_t wal_warning_bytes; // health: a warning above this (default 50 MB)
    uint64_t wal_error_bytes;   // health: an error above this (default 100 MB)

    bool read_only;         // no writer, no checkpoints: writes return WEIR_DENIED, rows never change
    bool must_exist;        // do not create the file
    bool foreign_keys;      // PRAGMA foreign_keys=ON: enforced, deferred ones at the end of each job
    uint32_t sync_delay_us; // every sync sleeps this long first (to show slower disks in benchmarks)
} weir_config;

#define WEIR_CONFIG_INIT WEIR_ALL_DEFAULTS

// Opens or creates the database at `path` (":memory:" for one that lives in memory). Checks the place first:
// file system, owner, modes, journal mode; sets every pragma and reads it back. A file system without shared
// memory, and a database in memory, are opened *degraded*: a rollback journal, and reads that take turns with
// the writer; weir_health() says so. Blocks for disk I/O and, while another process recovers, opens or locks the
// file, up to open_deadline_ms. `config` is copied. Errors: NOTFOUND, DENIED, NOTADB, CORRUPT,
// INVALID, BUSY, IO, FULL, NOMEM, UNSUPPORTED.
int weir_open(const char *path, const weir_config *config, weir_store **store, weir_error *err);

// Refuses new work, runs and commits what is queued, acknowledges it, waits for open snapshots, empties the
// log and closes. At `deadline_ms` (0: 30 s) reads are interrupted and writes that could not be committed get
// WEIR_CLOSED. The store is gone after it in any case, except in a forked child (WEIR_FORKED: nothing is
// touched). Returns the error of work that was acknowledged as APPLIED and could not be committed, if there
// is such. Calls that other threads are in end before it does: blocked ones with their result or WEIR_CLOSED. No
// new one may begin after it has returned. A snapshot can only be waited for, for as long as its owner keeps it, so
// the calling thread must hold none. Not from a job or callback. CLOSED: another thread is closing it already.
int weir_close(weir_store *store, uint32_t deadline_ms, weir_error *err);

// ------------------------------------------------------------------------------------------------ writes

// What an acknowledgement says. None ever says more than is true.
typedef enum weir_ack {
    WEIR_ACK_DURABLE = 0,   // its commit has reached the disk
    WEIR_ACK_COMMITTED = 1, // every new reader of every process sees it
    WEIR_ACK_APPLIED = 2,   // it ran without an error in the open group; the store keeps it until that group,
    // or a later one with the same jobs, is committed. Lost if the process dies first, or if something other than a
    // lock or a full disk keeps it from that for write_deadline_ms: weir_flush, weir_close and weir_health tell.
} weir_ack;

// A job: changes the database through `tx`, returns WEIR_OK or a code, with the sentence in `err`. On a code
// its own changes, and only these, are rolled back. It may run more than once (a neighbour failed, a commit
// failed): it must be a function of tx and arg alone, may overwrite results in arg but not add to them, and
// must not end the transaction. It runs on the store's writer thread or on a thread that waits in weir_write,
// one job of a store at a time.
typedef int weir_job_fn(weir_tx *tx, void *arg, weir_error *err);

// Called exactly once for an argument, after its job's end (or refusal), on any thread. Must not block.
typedef void weir_release_fn(void *arg);

// Called exactly once for an accepted weir_submit, after the ack level was reached or the job failed;
// `result->code` is WEIR_OK or the error. On the thread that committed the group: it must not block, and must
// not call weir_write, weir_flush, weir_checkpoint or weir_close. It may call weir_submit (with
// fail_when_full) and read `arg`: the argument is released after it.
typedef void weir_done_fn(void *context, const weir_error *result);

typedef struct weir_write_options {
    weir_ack ack;
    // To get into the queue, and to get the write lock (0: write_deadline_ms). For a job in the queue, time in which
    // one before it runs or is committed does not count, nor does a checkpoint: a long job of the store delays those
    // behind it and fails none. Once its commit has begun a job is not given up: the answer is what became of it.
    uint32_t deadline_ms;
    bool fail_when_full; // a full queue returns WEIR_BUSY at once instead of waiting for the deadline
    // Gets a transaction of its own. For a job that takes long or writes much: no neighbour's failure makes it run
    // again, and no neighbour waits for its end to be acknowledged.
    bool alone;
    size_t arg_bytes;         // memory held by the argument, counted against queue_bytes_max
    weir_release_fn *release; // for the argument; may be NULL
    const char *label;        // names the job in errors and reports; not copied, lives as long as the program
} weir_write_options;

#define WEIR_WRITE_OPTIONS_INIT WEIR_ALL_DEFAULTS

// Runs a job and waits for its acknowledgement. Blocks. Errors: what the job returned; BUSY (another process
// holds the write lock, or the queue is full, up to the deadline: the sentence names which), FULL, IO,
// FENCED, CLOSED, UNSUPPORTED (an ack level that the durability policy cannot give), DENIED (read-only),
// FORKED, NOMEM, TOOBIG (arg_bytes above queue_bytes_max), INVALID. After all of these nothing of the job is in the
// database; after UNKNOWN (its commit met a fault that leaves this open, a failed sync above all) it may be, and
// weir_close, weir_open and a look tell.
int weir_write(weir_store *store, weir_job_fn *job, void *arg, const weir_write_options *options,
               weir_error *err);

// Queues a job and returns; `done` (may be NULL) tells the rest. Blocks only while the queue is full. When it
// returns an error the job was not queued, `done` is not called and the argument has been released.
int weir_submit(weir_store *store, weir_job_fn *job, void *arg, const weir_write_options *options,
                weir_done_fn *done, void *context, weir_error *err);

// Returns when everything submitted before the call has been committed (and, if the policy can give it, is
// durable), or with the error that keeps it from being so. `deadline_ms` 0: write_deadline_ms.
int weir_flush(weir_store *store, uint32_t deadline_ms, weir_error *err);

// ------------------------------------------------------------------------------------------------- reads

typedef struct weir_read_options {
    uint32_t deadline_ms; // for the whole read, waiting for a connection included (0: read_deadline_ms)
    bool may_be_stale;    // do not wait for jobs that are acknowledged as APPLIED but not committed yet
    const char *label;    // names the read in reports; not copied, lives as long as the program
} weir_read_options;

#define WEIR_READ_OPTIONS_INIT WEIR_ALL_DEFAULTS

typedef int weir_read_fn(weir_tx *tx, void *arg, weir_error *err);

// Runs `read` on a snapshot, on the calling thread. The snapshot holds everything acknowledged before the
// call and does not move. Waits its turn (first come, first served) when all connections are in use. Past its
// deadline a read is interrupted: WEIR_EXPIRED, with the SQL in the sentence. When jobs acknowledged as APPLIED
// cannot be committed by then, it returns what keeps them (BUSY, FULL, IO, …), unless it may be stale. In a degraded
// store a read keeps writes waiting, so the reading thread must not write before its read has ended: that write gets
// WEIR_BUSY at its deadline.
int weir_read(weir_store *store, weir_read_fn *read, void *arg, const weir_read_options *options,
              weir_error *err);

// The same in two halves, for results that are streamed. An open snapshot holds a connection and pins the
// log: close it soon. After its deadline its statements return WEIR_EXPIRED, and the snapshot stops pinning
// the log at the next call.
int weir_snapshot_open(weir_store *store, const weir_read_options *options, weir_snapshot **snapshot,
                       weir_error *err);
weir_tx *weir_snapshot_tx(weir_snapshot *snapshot);
void weir_snapshot_close(weir_snapshot *snapshot); // NULL is fine

// ------------------------------------------------------------------------------- statements in a transaction

typedef enum weir_type {
    WEIR_TYPE_INTEGER = 1,
    WEIR_TYPE_REAL = 2,
    WEIR_TYPE_TEXT = 3,
    WEIR_TYPE_BLOB = 4,
    WEIR_TYPE_NULL = 5,
} weir_type;

// The statement for `sql` (one statement; more text is WEIR_INVALID) from the connection's cache, reset and
// with nothing bound. It belongs to the cache; asking for the same text again while it is in use resets it.
// Placeholders are $1, $2, …; index 1 is the first that appears. Valid until the job or read ends.
int weir_prepare(weir_tx *tx, const char *sql, weir_stmt **stmt, weir_error *err);

// Bindings do not copy: text and blobs must live until the statement is finished, reset or prepared again. An
// error (an index that does not exist, a value over SQLite's limit) is kept and reported by the next
// weir_step. NULL binds NULL, except that a blob of size 0 is always an empty blob. `size` is in bytes;
// WEIR_TEXT_TERMINATED for a NUL-terminated string.
#define WEIR_TEXT_TERMINATED SIZE_MAX
void weir_bind_int64(weir_stmt *stmt, int index, int64_t value);
void weir_bind_double(weir_stmt *stmt, int index, double value);
void weir_bind_text(weir_stmt *stmt, int index, const char *text, size_t size);
void weir_bind_blob(weir_stmt *stmt, int index, const void *data, size_t size);
void weir_bind_null(weir_stmt *stmt, int index);

// Next row: `*row` says whether there is one. After the last row or an error the statement is reset.
int weir_step(weir_stmt *stmt, bool *row, weir_error *err);
// Ends a statement before its last row, so that it no longer holds its cursor. Bindings are forgotten.
void weir_reset(weir_stmt *stmt);

// Columns of the current row, from 0. Text and blobs live until the next step or reset; text is
// NUL-terminated and may be anything that was stored (not checked to be UTF-8). NULL reads as 0, 0.0, NULL.
int weir_column_count(weir_stmt *stmt);
const char *weir_column_name(weir_stmt *stmt, int column);
weir_type weir_column_type(weir_stmt *stmt, int column);
int64_t weir_column_int64(weir_stmt *stmt, int column);
double weir_column_double(weir_stmt *stmt, int column);
const char *weir_column_text(weir_stmt *stmt, int column);
const void *weir_column_blob(weir_stmt *stmt, int column);
size_t weir_column_size(weir_stmt *stmt, int column); // bytes of text or blob

// Prepare, bind, run to the end. `types` has a letter for each placeholder: i int64_t, d double, t const char
// * (may be NULL), b const void * and size_t, n nothing (NULL). Rows are discarded.
//     weir_exec(tx, err, "UPDATE t SET a=$1 WHERE id=$2", "ti", name, (int64_t)7);
int weir_exec(weir_tx *tx, weir_error *err, const char *sql, const char *types, ...);

// Several statements separated by semicolons, nothing bound, not cached: for schemas.
int weir_exec_script(weir_tx *tx, const char *script, weir_error *err);

int64_t weir_changes(weir_tx *tx);           // rows changed by the last statement that was run to its end
int64_t weir_last_insert_rowid(weir_tx *tx); // of the last INSERT of this connection

// For jobs that remember what they have written, so that they need not read it again. The value is the one of an
// earlier job of this store only if all that was committed or changed since came from this store's jobs and
// none of it was undone: no job failed, no savepoint or commit was rolled back, no other connection or process
// committed, the store was not opened again. So a job compares it with the value under which its memory was filled,
// forgets all when they differ, and keeps this one. It may also differ for less (the log was emptied in between),
// and what a single failed statement undoes of its own does not count. Never 0 in a job; always 0 in a read, which has
// a snapshot instead. Cheap: the first call in a transaction asks SQLite, the others do not.
uint64_t weir_tx_epoch(weir_tx *tx);
// Rows inserted, changed or deleted by this connection since it was opened, triggers included and whatever became of
// them: two calls around a statement tell whether it changed anything.
int64_t weir_tx_changes_total(weir_tx *tx);

// The connection, for what the wrapper lacks. Do not end the transaction, change journal_mode, synchronous or
// checkpoint on it (refused with SQLITE_AUTH), and do not keep it. Finalize what you prepare on it before the job or
// read ends: what still runs then is reset.
struct sqlite3 *weir_tx_sqlite(weir_tx *tx);

// ------------------------------------------------------------------------------------------- checkpoints

typedef enum weir_checkpoint_mode {
    WEIR_CHECKPOINT_PASSIVE = 0,  // move what nobody needs in the log
    WEIR_CHECKPOINT_FULL = 1,     // wait for readers, move everything
    WEIR_CHECKPOINT_RESTART = 2,  // and wait until the next writer can start the log over
    WEIR_CHECKPOINT_TRUNCATE = 3, // and cut the file to nothing
} weir_checkpoint_mode;

// Why a checkpoint did not do all that its mode asks for.
typedef enum weir_blocker {
    WEIR_BLOCKER_NONE = 0,
    WEIR_BLOCKER_READER = 1,         // a snapshot of this store: reader_id, label
    WEIR_BLOCKER_OUTSIDE_READER = 2, // a read of another process: pid
    WEIR_BLOCKER_WRITER = 3,         // another process holds the write lock
    WEIR_BLOCKER_CHECKPOINTER = 4,   // another process is checkpointing
    WEIR_BLOCKER_WRITES = 5,         // commits went on: frames were added after the pin
    WEIR_BLOCKER_ERROR = 6,          // I/O, disk full: see why
} weir_blocker;

typedef struct weir_checkpoint_report {
    weir_checkpoint_mode mode;
    int busy;           // as PRAGMA wal_checkpoint's first number: 1 when a lock kept it from its mode's goal
    int64_t log_frames; // frames in the log at the end; -1 when there is no log
    int64_t moved_frames; // of these, already in the database
    uint64_t time_ns;     // how long it took
    uint64_t writer_ns;   // of that, how long commits had to wait
    weir_blocker blocker;
    int64_t pinned_frames; // frames that the blocker keeps from being moved
    uint64_t reader_id;    // WEIR_BLOCKER_READER
    int64_t pid;           // a process to blame, 0 when none is known
    char why[256];         // a sentence for people; empty when it did all
} weir_checkpoint_report;

// A checkpoint now, in the mode given. Blocks up to `deadline_ms` (0: write_deadline_ms). WEIR_OK also when
// it stopped short: the report says why. Errors: IO, FULL, FENCED, CLOSED, UNSUPPORTED (no log: degraded or
// read-only store).
int weir_checkpoint(weir_store *store, weir_checkpoint_mode mode, uint32_t deadline_ms,
                    weir_checkpoint_report *report, weir_error *err);

// --------------------------------------------------------------------------------------------- statistics

typedef struct weir_latency { // of a histogram, nanoseconds (or a count where the name says so)
    uint64_t count, sum, p50, p99, p999, max;
} weir_latency;

typedef struct weir_reader_info {
    uint64_t id;               // unique in this store
    uint64_t age_ns;           // since its snapshot was opened
    int64_t pinned_frames;     // frames committed after its snapshot
    uint32_t deadline_left_ms; // WEIR_NO_DEADLINE when it has none
    char label[64];
    char sql[256]; // the statement that runs, or ran last
} weir_reader_info;

typedef struct weir_stats {
    const char *state;      // of the writer: "idle", "running", "committing", "retrying", "fenced", "closed"
    const char *durability; // "full", "interval", "normal", "off"
    const char *journal;    // "wal", "delete", "memory"
    bool degraded, read_only;

    uint64_t jobs_submitted, jobs_done, jobs_failed;
    uint64_t acks_durable, acks_committed, acks_applied;
    uint64_t groups;  // commits
    uint64_t retries; // attempts to get the write lock or to commit that had to be repeated
    uint64_t replays; // jobs that were run again after a failed commit or a failed neighbour
    uint64_t queue_jobs, queue_jobs_peak, queue_bytes;
    uint64_t queue_full;      // submissions that met a full queue
    uint64_t applied_pending; // jobs acknowledged as APPLIED and not yet committed
    weir_latency group_jobs;  // jobs per commit (a count)
    weir_latency commit_ns;   // COMMIT, its sync included
    weir_latency sync_ns;     // one sync of the log
    weir_latency write_ns;    // from submission to acknowledgement

    uint64_t reads, reads_expired, reads_waited;
    uint32_t readers_size, readers_open;
    weir_latency read_ns;
    uint64_t statements_hit, statements_missed;

    int64_t wal_frames, wal_moved,
        wal_pinned; // in the log; of these in the database; held by the oldest reader
    uint64_t database_bytes, wal_bytes, shm_bytes;
    uint64_t wal_bytes_peak;
    uint64_t checkpoints[4];       // by mode, complete
    uint64_t checkpoints_short[4]; // by mode, stopped short
    uint64_t checkpoints_skipped;  // nothing could be moved safely, or there was nothing to move
    uint64_t reader_gaps;
    weir_latency checkpoint_ns;
    weir_checkpoint_report last_checkpoint;
} weir_stats;

// A picture of the store. Cheap: counters and three stat(2) calls, no lock that a commit waits for.
int weir_stats_read(weir_store *store, weir_stats *stats, weir_error *err);
// The snapshots that are open, oldest first; returns how many there are and fills at most `size`.
size_t weir_readers(weir_store *store, weir_reader_info *readers, size_t size);
// The same two as one JSON object, to be freed with free(); NULL when there is no memory.
char *weir_stats_json(weir_store *store);

// ------------------------------------------------------------------------------------------------ health

typedef enum weir_severity {
    WEIR_SEVERITY_INFO = 0,
    WEIR_SEVERITY_WARNING = 1,
    WEIR_SEVERITY_ERROR = 2,
} weir_severity;

typedef struct weir_finding {
    weir_severity severity;
    const char
        *name; // stable, for machines: "wal-large", "reader-old", "fenced", …; lives as long as the program
    char seen[256];    // what was seen, with numbers
    char meaning[256]; // what that means
    char remedy[256];  // what to do
} weir_finding;

// Fills at most `size` findings, worst first, and returns how many there are; 0 is healthy.
size_t weir_health(weir_store *store, weir_finding *findings, size_t size);

// ------------------------------------------------------------------------------------------- maintenance

// Told now and then how far a long operation is; returns false to stop it (WEIR_CANCELLED). `total` 0: not
// known.
typedef bool weir_progress_fn(void *context, const char *phase, uint64_t done, uint64_t total);

typedef struct weir_optimize_options {
    bool full_check;  // PRAGMA integrity_check instead of quick_check
    bool analyze_all; // ANALYZE instead of PRAGMA optimize
    weir_progress_fn *progress;
    void *context;
} weir_optimize_options;

typedef struct weir_optimize_report {
    weir_checkpoint_report checkpoint;
    bool intact;     // the check found nothing
    char check[512]; // its first finding, or "ok"
    uint64_t optimize_ns, checkpoint_ns, check_ns;
} weir_optimize_report;

// Refreshes the planner's statistics (bounded by analysis_limit), checkpoints, checks the file on a
// connection of its own. Blocks for as long as the check takes; writes and reads go on beside it, but the
// check's snapshot pins the log. Damage is not an error of this call: WEIR_OK, and `intact` is false.
int weir_optimize(weir_store *store, const weir_optimize_options *options, weir_optimize_report *report,
                  weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
