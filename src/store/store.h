// SPDX-License-Identifier: MIT
//
// The inside of a store, shared by the files of this directory: who owns which field, and in which order
// locks are taken.
//
//   open.c        checks before WAL, pragmas, weir_open, weir_close
//   queue.c       the bounded queue of jobs, and the writer's turn
//   writer.c      groups: begin, run, commit, retry, fence;  acknowledge.c  telling clients
//   write.c       weir_write, weir_submit, weir_flush, the writer's thread
//   sync.c        durability `interval`: syncs the log beside the writer
//   reader.c      the pool of read-only connections; snapshots; the reader gap
//   checkpoint.c  pinned and guarded checkpoints; the checkpointer thread
//   report.c      statistics;  health.c;  maintain.c  weir_optimize
//   conn.c, stmt.c   connections and their statements;  epoch.c  what jobs may remember
//   vfs.c         what SQLite's file access passes through
//   outside.c     who else holds locks
//
// Locks, outermost first; whoever holds one takes only those further down:
//
//   1. checkpoint.lock   one checkpoint at a time; held through a whole checkpoint
//   2. the turn          (queue.turn) the right to use the writer's connection; not a mutex: handed over
//                        first come, first served, and held through a group. The thread that has it is "the
//                        writer" for that long.
//   3. queue.lock        the queue, the turn's waiting list, sequence numbers; held for a few instructions
//   4. pool.lock         the readers; held for a few instructions
//   5. sync.lock         the interval syncer's list
//   6. conn.sql_lock     a statement's text for reports
#ifndef WEIR_STORE_STORE_H
#define WEIR_STORE_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/histogram.h"
#include "base/random.h"
#include "store/conn.h"
#include "store/vfs.h"
#include "weir/wal.h"
#include "weir/weir.h"

enum {
    WEIR__QUEUE_JOBS_DEFAULT = 8192,
    WEIR__GROUP_JOBS_DEFAULT = 4096,
    WEIR__CHUNK_JOBS = 64,          // jobs under one savepoint; when one fails they run again with one each
    WEIR__JOB_OVERHEAD_BYTES = 256, // what a queued job costs besides its argument
    WEIR__WAL_HEADER_BYTES = 32,
    WEIR__FRAME_HEADER_BYTES = 24,
    WEIR__DEGRADED_TEXT = 256,
    WEIR__PATH_MAX = 4000, // bytes, with room for "-journal" below PATH_MAX
};

// A thread that waits for its job in weir_write. Lives on that thread's stack: once `done` is set it may be
// gone.
typedef struct weir__waiter {
    _Atomic uint32_t done; // futex word
    int code;
    weir_error *err;
    struct weir__waiter
        *wake[2]; // woken by this one: wake-ups spread as a tree instead of costing the writer one each
    struct weir__waiter *next; // while the tree is built
} weir__waiter;

typedef enum weir__job_state {
    WEIR__JOB_QUEUED,  // or to be run again
    WEIR__JOB_APPLIED, // ran in the open group
    WEIR__JOB_FAILED,  // ran, failed, its changes are undone
} weir__job_state;

typedef struct weir__job {
    struct weir__job *next;
    weir_job_fn *run;
    void *arg;
    weir_release_fn *release;
    weir_done_fn *done;
    void *context;
    weir__waiter *waiter;
    const char *label;
    weir_error *failure; // of WEIR__JOB_FAILED; NULL when there was no memory for it
    int failure_code;
    uint64_t deadline_ns;
    uint64_t submitted_ns;
    uint64_t seq;
    size_t bytes;
    weir_ack ack;
    weir__job_state state;
    bool acknowledged; // as APPLIED; only the commit is still owed
    bool alone;        // the only one of its group
} weir__job;

typedef struct weir__job_list {
    weir__job *first;
    weir__job **last;
    size_t size;
} weir__job_list;

// Waits for the turn; on the waiting thread's stack.
typedef struct weir__turn_wait {
    struct weir__turn_wait *next;
    bool granted;
} weir__turn_wait;

// Waits until every job up to `target` has ended; on the waiting thread's stack.
typedef struct weir__flush {
    struct weir__flush *next;
    uint64_t target;
    bool for_read;      // only what was acknowledged as APPLIED matters to it
    weir_error dropped; // why a job up to `target` could not be committed; code 0 when none was dropped
} weir__flush;

typedef struct weir__queue {
    pthread_mutex_t lock;
    // All guarded by lock:
    weir__job_list jobs;
    size_t held;      // jobs that have not ended: queued, in the group, or owed a sync
    size_t bytes;     // of these
    weir__job *spare; // used job structs, so that a steady load allocates nothing
    size_t spare_size;
    uint32_t waiting_for_room;
    pthread_cond_t room;
    bool turn_taken;
    bool turn_leads; // by a thread in weir_write that runs a group
    weir__turn_wait *turn_first;
    weir__turn_wait **turn_last;
    pthread_cond_t turn;
    bool writer_asleep;  // the writer thread waits on `work`
    pthread_cond_t work; // only the writer thread waits on it: the signal must reach that one
    // Whoever has the turn waits on `pause` before the next attempt, at most until the deadline of a job; else 0.
    uint64_t pause_until_ns;
    pthread_cond_t pause;
    uint64_t submitted_seq; // of the newest job
    uint64_t alone_seq;     // of the newest job that wants to be alone
    uint64_t committed_seq; // every job up to this one has ended: committed, or failed
    uint64_t flush_seq;     // somebody waits for this one: commit even what could linger
    uint32_t flushers;
    weir__flush *flush_first; // those who wait on `flushed`
    pthread_cond_t flushed;
    bool stop;               // weir_close: nothing new
    bool abandon;            // weir_close's deadline has passed: give up what cannot be committed
    weir_error commit_error; // why commits fail at present; code 0 when they do not
    uint64_t commit_error_count;
    weir_error lost;            // a job acknowledged as APPLIED that could not be kept
    bool lost_told;             // to a weir_flush; weir_close tells it again
    weir_error fence;           // the failed sync; code 0 while there was none
    weir_error fence_asked;     // of a thread without the turn, for whoever has it
    atomic_bool fence_is_asked; // its code is not 0: for a look without the lock
    bool writer_gone;           // the writer thread has ended
    pthread_cond_t gone;
    uint32_t guests; // threads in calls that use more than the queue: weir_close waits until they have left
    bool deserted;   // and lets nobody in any more
    size_t jobs_peak;
    uint64_t full_count;
} weir__queue;

typedef enum weir__writer_state {
    WEIR__WRITER_IDLE,      // no transaction
    WEIR__WRITER_BEGINNING, // asking for the write lock
    WEIR__WRITER_OPEN,      // a transaction is open, jobs run or it lingers
    WEIR__WRITER_COMMITTING,
    WEIR__WRITER_RETRYING, // the group failed to begin or commit and will be tried again
    WEIR__WRITER_FENCED,   // a sync failed: nothing is written any more
    WEIR__WRITER_STATES,
} weir__writer_state;

typedef struct weir__writer {
    // Owned by whoever has the turn:
    weir_tx *conn;
    weir__job_list group;   // taken from the queue and not yet committed
    weir__job *next_to_run; // of the group; those before it ran in the open transaction
    uint64_t taken_seq;     // newest job ever taken
    uint64_t linger_until_ns;
    weir_error scratch; // of the job that runs
    bool runs_applied;  // a job of the group asked for APPLIED
    weir__job *culprit; // the job that took the open transaction with it
    bool
        fault_of_applied; // a job acknowledged as APPLIED met it: those that wait beside it have no part in it
    uint32_t faults_left; // jobs that may still end alone because of a fault
    weir__rng rng;
    uint32_t tries;          // failed attempts in a row
    uint64_t fault_since_ns; // of the group, since when for a cause that does not pass by itself; 0: for none
    uint64_t group_jobs_limit; // so that one group does not fill the log; 0: there is none
    uint32_t careful; // chunks that still run with a savepoint for each job, because one failed lately
    pthread_t thread;
    bool thread_started;

    // Written by whoever has the turn, read by anyone:
    _Atomic int state; // weir__writer_state
    _Atomic uint64_t applied_pending;
    _Atomic uint64_t jobs_submitted, jobs_done, jobs_failed, acks[3], groups, retries, replays;
    _Atomic size_t group_size_last; // jobs in the last group: whether clients write alone or together
    _Atomic uint64_t
        busy_since_ns; // since when a transaction or a checkpoint has been at work; 0: none is, or it lingers
    weir__histogram group_jobs, commit_ns, write_ns;
} weir__writer;

typedef struct weir__pool_wait {
    struct weir__pool_wait *next;
    weir_snapshot *snapshot; // what it got
} weir__pool_wait;

struct weir_snapshot {
    weir_store *store;
    weir_tx *conn;
    // Guarded by pool.lock:
    bool open;
    uint64_t id;
    uint64_t opened_ns, deadline_ns;
    int64_t frame; // mxFrame when it was opened: it needs frames up to this one, and pins those after
    uint32_t salt; // of that log
    const char *label;
    weir_snapshot *prev, *next; // open ones, oldest first
};

typedef struct weir__pool {
    pthread_mutex_t lock;
    // All guarded by lock:
    weir_snapshot slots[WEIR_READERS_MAX]; // one per connection; the degraded store has one on the writer's
    uint32_t size;
    weir_snapshot *free_first; // linked through next
    weir_snapshot open;        // list head
    uint32_t open_size;
    weir__pool_wait *wait_first;
    weir__pool_wait **wait_last;
    uint32_t waiting;
    pthread_cond_t changed; // a connection was handed to somebody, or came back
    uint32_t gaps;          // nobody gets a connection while this is not 0
    bool stop;
    uint64_t next_id;
    uint64_t reads, expired, waited, gap_count;
    weir__histogram read_ns;
} weir__pool;

typedef struct weir__checkpointer {
    pthread_mutex_t lock; // lock 1
    // Guarded by lock:
    weir_tx *conn;          // checkpoints
    weir_tx *pin;           // the reader that keeps the log from restarting
    uint64_t busy_until_ns; // how long SQLite may wait for locks in a checkpoint
    bool not_pinned;        // the pin could not be proved: nothing was moved
    bool log_lost;          // the -wal has lost its name, or somebody else's file has it
    bool log_unsaved;       // … and frames of it are still to be moved
    int logged;             // what our own checkpoints have failed with since the last that did not

    pthread_mutex_t wake_lock; // leaf lock: guards wake, stop and the report below
    pthread_cond_t wake;
    pthread_cond_t ended; // a checkpoint that had been asked for, or the thread
    bool wanted, stop;
    weir__histogram time_ns;
    weir_checkpoint_report last;
    uint64_t complete[4], stopped_short[4], skipped;

    pthread_t thread;
    bool thread_started;
    _Atomic int64_t frames; // in the log after our last commit
    _Atomic int64_t moved;  // after our last checkpoint
    _Atomic int64_t tried;  // in the log when a checkpoint was asked for last
    atomic_bool busy;       // one has been asked for and has not ended
    _Atomic uint64_t wal_bytes_peak;
} weir__checkpointer;

typedef struct weir__syncer {
    pthread_mutex_t lock;
    // Guarded by lock:
    weir__job_list waiting;   // committed, owed a DURABLE acknowledgement
    weir__histogram write_ns; // their latencies
    weir__histogram sync_ns;
    bool dirty; // a commit has not been synced yet, since
    uint64_t dirty_since_ns;
    bool failed;
    bool stop;
    uint64_t synced_seq;
    uint64_t committed_seq;
    uint32_t urgent; // flushers wait: do not wait for the interval
    pthread_cond_t wake, synced;

    // Owned by the syncer thread:
    weir_tx *conn; // for its file object only
    int fd;        // of the -wal, -1
    uint32_t salt;
    uint32_t log_salt; // of the log that was synced last
    bool directory_synced;
    pthread_t thread;
    bool thread_started;
} weir__syncer;

struct weir_store {
    // Set by weir_open, then constant:
    weir_config config; // every default filled in
    char *path, *wal_path, *shm_path;
    weir__clock *clock;
    weir__vfs *vfs;
    bool wal; // false: degraded
    bool memory;
    bool hot_journal;    // one was there at opening
    bool open_read_only; // SQLite gets no right to write: the files cannot be written
    weir__fs_kind fs_kind;
    bool fixed_sqlite;
    char degraded[WEIR__DEGRADED_TEXT]; // why; empty when not
    uint64_t fork_generation;
    int64_t page_size;
    const volatile void *wal_index; // of the writer's connection; NULL when there is no log
    dev_t wal_device;               // of the -wal that SQLite has open; its inode is 0 when there is none
    ino_t wal_inode;

    weir__queue queue;
    weir__writer writer;
    weir__pool pool;
    weir__checkpointer checkpointer;
    weir__syncer syncer;
};

// ---- open.c
// A connection with every pragma set and read back.
int weir__store_connect(weir_store *store, weir__conn_kind kind, weir_tx **conn, weir_error *err);
// WEIR_OK, WEIR_FORKED.
int weir__store_check(const weir_store *store, weir_error *err);
// A deadline in the clock's time: given in ms from now (or from start_ns), 0 for the default,
// WEIR_NO_DEADLINE for none.
uint64_t weir__store_deadline(const weir_store *store, uint32_t deadline_ms, uint32_t default_ms);
uint64_t weir__store_deadline_from(uint64_t start_ns, uint32_t deadline_ms, uint32_t default_ms);
// Whether this is the -wal that SQLite has open.
bool weir__store_is_log(const weir_store *store, const struct stat *file);
// WEIR_IO: the name of the log no longer means the file that SQLite has open; `removed`: nor any other.
int weir__store_look_at_log(const weir_store *store, bool *removed, weir_error *err);
// The live wal-index of this store; false when there is none or no consistent copy could be had.
bool weir__store_sample(weir_store *store, weir_wal_index *index);
// ---- outside.c
// "held by process 1234 (python3 x.py)" for the holder of a WAL lock other than this process; empty text and
// 0 when there is none.
int64_t weir__store_holder(weir_store *store, int lock_first, int lock_last, char *out, size_t size);

// ---- queue.c
void weir__queue_init(weir_store *store);
void weir__queue_fini(weir_store *store);
void weir__jobs_init(weir__job_list *list);
void weir__jobs_push(weir__job_list *list, weir__job *job);
void weir__jobs_append(weir__job_list *list, weir__job_list *rest); // empties rest
// The turn: queue.lock is held. WEIR_BUSY past the deadline.
int weir__turn_take(weir_store *store, uint64_t deadline_ns);
void weir__turn_give(weir_store *store);
// Gives it back without the lock, and wakes the writer's thread for what came meanwhile. The store may be gone after
// it, for a caller that weir_close does not wait for.
void weir__turn_return(weir_store *store);
// The same without waiting: gets the turn or a place in line, to be kept until `granted` (queue.turn tells).
void weir__turn_ask(weir_store *store, weir__turn_wait *wait);
// Frees or keeps ended jobs, and lets those in who wait for room. Takes queue.lock.
void weir__queue_recycle(weir_store *store, weir__job_list *ended);
// With queue.lock: wakes the writer's thread, once for each time that it went to sleep.
static inline void weir__queue_wake_writer(weir__queue *queue)
{
    if (!queue->writer_asleep)
        return;
    queue->writer_asleep = false;
    pthread_cond_signal(&queue->work);
}

// Puts a copy of `job` into the queue and wakes the writer; waits for room unless fail_when_full.
int weir__queue_submit(weir_store *store, const weir__job *job, bool fail_when_full, weir_error *err);
// The same, except that a caller that writes alone gets the turn instead (*mine): its job is the writer's
// group already.
int weir__queue_submit_or_lead(weir_store *store, const weir__job *job, bool fail_when_full, bool *mine,
                               weir_error *err);
// With queue.lock: whether something new may come in.
int weir__queue_open(const weir_store *store, weir_error *err);
// Around a call that weir_close must wait for. WEIR_CLOSED: the store is closing; what only looks may come in until
// the end. Between the two the store stays.
int weir__store_enter(weir_store *store, bool only_looks, weir_error *err);
void weir__store_leave(weir_store *store);
// Whether weir_close has begun: guests who could stay for long go.
bool weir__store_is_closing(weir_store *store);
// Of weir_close: waits until all guests have left.
void weir__store_desert(weir_store *store);

// ---- writer.c: with the turn
// Adds what waits in the queue to the group, within its limit.
void weir__writer_take_jobs(weir_store *store);
// Around what takes long, other than a wait for somebody else: a transaction, a checkpoint in the turn. The time does
// not count against the deadlines of those who wait behind it.
void weir__writer_work_begin(weir_store *store);
void weir__writer_work_end(weir_store *store);
// The group, from begin to the last acknowledgement: it is empty afterwards.
void weir__writer_run_group(weir_store *store);
// A sync failed: nothing may be written any more.
void weir__writer_fence(weir_store *store, const weir_error *why);
// The same without the turn: waits until a job that runs has ended, but not for a group that cannot begin or commit.
void weir__writer_fence_in_turn(weir_store *store, const weir_error *why);
// Without the turn: ends what waits in the queue and has reached its deadline.
void weir__writer_drop_waiting(weir_store *store);
// Of any thread: the state's name, and whether this thread is inside a job or a callback of any store.
const char *weir__writer_state_name(const weir_store *store);
bool weir__writer_is_me(void);
void weir__writer_be_inside(bool is_inside);

// ---- write.c
int weir__writer_start(weir_store *store, weir_error *err);
// Refuses new work, drains until deadline_ns, ends the thread. The error that APPLIED work ended with, if
// any.
int weir__writer_stop(weir_store *store, uint64_t deadline_ns, weir_error *err);
// Everything up to the newest job has been committed when this returns WEIR_OK, and is durable if the policy can
// give that. `for_read`: nothing that was acknowledged is missing, which is all that a read must know.
int weir__writer_flush(weir_store *store, uint64_t deadline_ns, bool for_read, weir_error *err);

// ---- sync.c
void weir__sync_init(weir_store *store);
int weir__sync_start(weir_store *store, weir_error *err);
void weir__sync_stop(weir_store *store);
// A group was committed: takes the jobs that wait for a sync.
void weir__sync_committed(weir_store *store, weir__job_list *owed, uint64_t seq);
// Waits until everything up to the job `seq` is synced.
int weir__sync_wait(weir_store *store, uint64_t seq, uint64_t deadline_ns, weir_error *err);

// ---- reader.c
void weir__pool_init(weir_store *store);
int weir__pool_start(weir_store *store, weir_error *err);
void weir__pool_stop(weir_store *store, uint64_t deadline_ns);
// With pool.lock: how many frames of the log as it is now cannot be moved because of this snapshot.
int64_t weir__snapshot_pins(const weir_snapshot *snapshot, const weir_wal_index *index);
// New snapshots wait until gap_end; returns whether all open ones were closed by until_ns. Does not wait for one
// that has been open for longer than that already.
bool weir__pool_gap_begin(weir_store *store, uint64_t until_ns);
void weir__pool_gap_end(weir_store *store);

// ---- checkpoint.c
void weir__checkpoint_init(weir_store *store);
int weir__checkpoint_start(weir_store *store, weir_error *err);
void weir__checkpoint_stop(weir_store *store);
// Whether the log has passed half of its limit while a checkpoint is under way; waits until it has not, for a
// bounded time. Without the turn and without a lock.
bool weir__checkpoint_is_behind(const weir_store *store);
void weir__checkpoint_wait_for_room(weir_store *store);
// At closing, after everybody has gone: empties the log if that can be had at once.
void weir__checkpoint_last(weir_store *store);

// ---- acknowledge.c
// Ends jobs: result to waiter or callback, argument released. `result` NULL: each job's own (WEIR_OK or its
// failure). Latencies go to `latency_ns`, which only this thread records to now; NULL drops them. The jobs stay in
// the list, to be recycled.
void weir__acknowledge(weir_store *store, weir__job_list *jobs, const weir_error *result,
                       weir__histogram *latency_ns);
// Reports those jobs of the open group that want no more than APPLIED, and marks them.
void weir__acknowledge_applied(weir_store *store, weir__job_list *jobs, weir__histogram *latency_ns);
int weir__waiter_wait(weir__waiter *waiter);

#endif
