// SPDX-License-Identifier: MIT
//
// The writer: groups of jobs in one transaction, committed once, acknowledged each.
//
//                    take jobs                 ran, nothing lingers
//      IDLE ───────> BEGINNING ───────> OPEN ───────────────────────> COMMITTING ───> IDLE
//       ^  ^             │  ^            │ │                              │  │
//       │  │   no lock   │  │   again    │ │  a fault undid it            │  │ a sync failed
//       │  └─────────────┴─ RETRYING <───┘ │                              │  └───────> FENCED
//       │   (nothing left)   ^             │                              │
//       │                    └─────────────┼───────── commit failed ──────┘
//       └──────────────────────────────────┘  a single job that failed: rolled back
//                                       (and from OPEN to FENCED: a sync failed before the commit)
//
// Whoever has the turn is the writer: the store's own thread, or a thread in weir_write that found nobody
// else writing and so saves two thread switches. The turn is given back only when the group is empty.
//
// Isolation without paying for it: jobs run in chunks under one savepoint. Only when a job fails is its chunk
// undone and run again with a savepoint for each job; after a failure the next chunks are run that careful
// way at once. A job may therefore run more than once, which the public header demands that it bear.
//
// What was acknowledged as APPLIED stays in the group until a commit succeeds, or until something other than a lock or
// a full disk has kept it from that for write_deadline_ms: then it is told as lost. What was not acknowledged and
// meets a failed commit is tried again while the cause may pass (the lock is held, the disk is full) and its
// deadline has not come, and reported otherwise. A failed job is reported only after the commit: its failure
// may rest on a neighbour's change. A job that meets a damaged or unreadable page ends alone, too, and its group is run
// again without it, FAULTS_MAX times.
//
// A commit whose sync failed may or may not be on the disk, and a second sync would tell nothing: the store
// is fenced. So it is when somebody removes or replaces the log (checkpoint.c).
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"

enum {
    GATHER_NS_MAX = 1000 * 1000, // a group takes no more jobs in after this
    GATHER_WAIT_NS = 50 * 1000,  // longest wait for the next one
    CAREFUL_CHUNKS = 16,         // chunks run with a savepoint per job after one failed
    LONG_WORK_MS = 50, // a transaction or a checkpoint that takes this moves the deadlines behind it
    FAULTS_MAX = 16,   // jobs of a group that end alone because of a fault, before it ends all of them
};

static const char *const STATE_NAMES[WEIR__WRITER_STATES] = {"idle",       "beginning", "running",
                                                             "committing", "retrying",  "fenced"};

#define MAY(state) (1u << WEIR__WRITER_##state)
static const unsigned MOVES[WEIR__WRITER_STATES] = {
    [WEIR__WRITER_IDLE] = MAY(BEGINNING) | MAY(FENCED),
    [WEIR__WRITER_BEGINNING] = MAY(OPEN) | MAY(RETRYING),
    [WEIR__WRITER_OPEN] = MAY(COMMITTING) | MAY(RETRYING) | MAY(IDLE) | MAY(FENCED),
    [WEIR__WRITER_COMMITTING] = MAY(IDLE) | MAY(RETRYING) | MAY(FENCED),
    [WEIR__WRITER_RETRYING] = MAY(BEGINNING) | MAY(IDLE) | MAY(FENCED),
    [WEIR__WRITER_FENCED] = 0,
};

static _Thread_local bool inside; // a job or a callback of a store

bool weir__writer_is_me(void)
{
    return inside;
}

void weir__writer_be_inside(bool is_inside)
{
    inside = is_inside;
}

const char *weir__writer_state_name(const weir_store *store)
{
    return STATE_NAMES[atomic_load(&store->writer.state)];
}

static weir__writer_state state_of(const weir_store *store)
{
    return (weir__writer_state)atomic_load_explicit(&store->writer.state, memory_order_relaxed);
}

// The store was at work for `took_ns`. Who waited behind that is not late because of it.
static void postpone_deadlines(weir_store *store, uint64_t now_ns, uint64_t took_ns)
{
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    for (weir__job *job = queue->jobs.first; job; job = job->next) {
        const uint64_t waited_ns = now_ns > job->submitted_ns ? now_ns - job->submitted_ns : 0;
        job->deadline_ns = weir__deadline_ns(job->deadline_ns, waited_ns < took_ns ? waited_ns : took_ns);
    }
    pthread_mutex_unlock(&queue->lock);
}

void weir__writer_work_begin(weir_store *store)
{
    atomic_store_explicit(&store->writer.busy_since_ns, weir__clock_now_ns(store->clock),
                          memory_order_relaxed);
}

void weir__writer_work_end(weir_store *store)
{
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    const uint64_t since_ns = atomic_exchange_explicit(&store->writer.busy_since_ns, 0, memory_order_relaxed);
    if (since_ns != 0 && now_ns - since_ns >= LONG_WORK_MS * WEIR__NS_PER_MS)
        postpone_deadlines(store, now_ns, now_ns - since_ns);
}

static bool has_transaction(weir__writer_state state)
{
    return state == WEIR__WRITER_OPEN || state == WEIR__WRITER_COMMITTING;
}

// Every move of the state machine passes here.
static void move(weir_store *store, weir__writer_state to)
{
    const weir__writer_state from = state_of(store);
    WEIR_ASSERT(store->queue.turn_taken);
    WEIR_ASSERT((MOVES[from] & (1u << to)) != 0);
    const bool in_transaction = !sqlite3_get_autocommit(store->writer.conn->db);
    WEIR_ASSERT(in_transaction == has_transaction(to));
    atomic_store(&store->writer.state, (int)to);
    if (!has_transaction(from) && has_transaction(to))
        weir__writer_work_begin(store);
    else if (has_transaction(from) && !has_transaction(to))
        weir__writer_work_end(store);
}

// ------------------------------------------------------------------------------------------ ending of jobs

static void note_progress(weir_store *store)
{
    weir__queue *queue = &store->queue;
    weir__writer *writer = &store->writer;
    pthread_mutex_lock(&queue->lock);
    // What is neither in the group nor in the queue has ended.
    const weir__job *oldest = writer->group.first ? writer->group.first : queue->jobs.first;
    queue->committed_seq = oldest ? oldest->seq - 1 : queue->submitted_seq;
    if (queue->flushers)
        pthread_cond_broadcast(&queue->flushed);
    pthread_mutex_unlock(&queue->lock);
}

static void end_jobs(weir_store *store, weir__job_list *jobs, const weir_error *result)
{
    weir__writer_be_inside(true);
    weir__acknowledge(store, jobs, result, &store->writer.write_ns);
    weir__writer_be_inside(false);
    weir__queue_recycle(store, jobs);
}

// Moves those jobs of `from` for which `pick` holds to `to`.
static void extract(weir__job_list *from, weir__job_list *to, bool (*pick)(const weir__job *, uint64_t),
                    uint64_t value)
{
    weir__job_list rest;
    weir__jobs_init(&rest);
    for (weir__job *job = from->first, *next; job; job = next) {
        next = job->next;
        weir__jobs_push(pick(job, value) ? to : &rest, job);
    }
    weir__jobs_init(from);
    weir__jobs_append(from, &rest);
}

static bool is_waiting(const weir__job *job, uint64_t unused)
{
    (void)unused;
    return !job->acknowledged;
}

static bool is_late(const weir__job *job, uint64_t now_ns)
{
    return !job->acknowledged && job->deadline_ns <= now_ns;
}

static bool is_failed_applied(const weir__job *job, uint64_t unused)
{
    (void)unused;
    return job->state == WEIR__JOB_FAILED && job->ack == WEIR_ACK_APPLIED;
}

static bool is_any(const weir__job *job, uint64_t unused)
{
    (void)job, (void)unused;
    return true;
}

// Tells flushes, and whoever asks what was lost, of jobs that end with an error although they did not fail.
static void note_drop(weir_store *store, const weir__job_list *jobs, const weir_error *why)
{
    weir__queue *queue = &store->queue;
    uint64_t lost = 0;
    uint64_t oldest[2] = {UINT64_MAX, UINT64_MAX}; // of all, of the lost ones
    for (const weir__job *job = jobs->first; job; job = job->next) {
        lost += job->acknowledged;
        for (int i = 0; i <= (int)job->acknowledged; i++)
            oldest[i] = job->seq < oldest[i] ? job->seq : oldest[i];
    }
    if (jobs->size == 0)
        return;
    pthread_mutex_lock(&queue->lock);
    for (weir__flush *flush = queue->flush_first; flush; flush = flush->next)
        if (flush->target >= oldest[flush->for_read] && flush->dropped.code == WEIR_OK)
            weir__error_copy(&flush->dropped, why);
    if (lost)
        weir__error_set(&queue->lost, why->code,
                        "%s: %llu writes that were acknowledged as applied could not be committed: %s",
                        store->path, (unsigned long long)lost, why->text);
    pthread_mutex_unlock(&queue->lock);
    atomic_fetch_sub(&store->writer.applied_pending, lost);
}

// Jobs that end with an error because of a commit, or an attempt at one, that failed.
static void drop_jobs(weir_store *store, weir__job_list *jobs, const weir_error *why)
{
    note_drop(store, jobs, why);
    if (jobs->size > 0)
        end_jobs(store, jobs, why);
}

static bool is_acknowledged(const weir__job *job, uint64_t unused)
{
    (void)unused;
    return job->acknowledged;
}

// Ends jobs that failed. One among them that was acknowledged as APPLIED ran well then and failed when it ran
// again, because somebody else's commit came in between: it is lost, and that must be told.
static void end_failed(weir_store *store, weir__job_list *failed)
{
    weir__job_list lost;
    weir__jobs_init(&lost);
    extract(failed, &lost, is_acknowledged, 0);
    end_jobs(store, failed, NULL);
    if (lost.size == 0)
        return;
    weir_error why = WEIR_ERROR_INIT;
    weir__error_set(&why, lost.first->failure_code, "a job failed when it was run again");
    if (lost.first->failure)
        weir__error_copy(&why, lost.first->failure);
    drop_jobs(store, &lost, &why);
}

// ---------------------------------------------------------------------------------------- fence and retry

void weir__writer_fence(weir_store *store, const weir_error *why)
{
    weir__queue *queue = &store->queue;
    weir__writer *writer = &store->writer;
    const weir__writer_state from = state_of(store);
    if (from == WEIR__WRITER_FENCED)
        return;
    move(store, WEIR__WRITER_FENCED);
    sqlite3_db_config(writer->conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    weir_error unknown = WEIR_ERROR_INIT;
    weir__error_set(
        &unknown, WEIR_UNKNOWN,
        "%s: whether this write is on the disk is known only after the store has been opened again: "
        "%s",
        store->path, why->text);
    weir__job_list queued;
    weir__jobs_init(&queued);
    pthread_mutex_lock(&queue->lock);
    weir__error_set(&queue->fence, WEIR_FENCED,
                    "%s: nothing can be written any more; close the store and open it again: %s", store->path,
                    why->text);
    weir__error_copy(&queue->commit_error, &queue->fence);
    queue->commit_error_count++;
    weir__jobs_append(&queued, &queue->jobs);
    writer->taken_seq = queue->submitted_seq;
    const weir_error fence = queue->fence;
    pthread_cond_broadcast(&queue->room);
    pthread_mutex_unlock(&queue->lock);
    drop_jobs(store, &writer->group, has_transaction(from) ? &unknown : &fence);
    drop_jobs(store, &queued, &fence);
    note_progress(store);
}

void weir__writer_fence_in_turn(weir_store *store, const weir_error *why)
{
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    if (queue->fence_asked.code == WEIR_OK)
        weir__error_copy(&queue->fence_asked, why);
    atomic_store(&queue->fence_is_asked, true);
    pthread_cond_signal(&queue->pause);
    weir__turn_take(store, WEIR__FOREVER);
    pthread_mutex_unlock(&queue->lock);
    weir__writer_fence(store, why);
    weir__turn_return(store);
}

// Between two attempts: a group that is tried again and again must not keep the fence waiting.
static void fence_if_asked(weir_store *store)
{
    weir__queue *queue = &store->queue;
    if (!atomic_load_explicit(&queue->fence_is_asked, memory_order_relaxed) ||
        has_transaction(state_of(store)))
        return;
    pthread_mutex_lock(&queue->lock);
    const weir_error why = queue->fence_asked;
    pthread_mutex_unlock(&queue->lock);
    weir__writer_fence(store, &why);
}

static uint64_t earliest_deadline(const weir__job_list *jobs)
{
    uint64_t earliest_ns = WEIR__FOREVER;
    for (const weir__job *job = jobs->first; job; job = job->next)
        if (!job->acknowledged && job->deadline_ns < earliest_ns)
            earliest_ns = job->deadline_ns;
    return earliest_ns;
}

// The pause doubles for retry_tries attempts and then stays; a quarter of it is chance, so that processes do
// not march in step.
static uint64_t pause_ns(weir_store *store)
{
    weir__writer *writer = &store->writer;
    const uint32_t doublings =
        writer->tries < store->config.retry_tries ? writer->tries : store->config.retry_tries;
    const uint64_t base = store->config.retry_base_ms * WEIR__NS_PER_MS
                          << (doublings > 0 ? doublings - 1 : 0);
    return base - base / 8 + weir__rng_below(&writer->rng, base / 4 + 1);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

// Waits before the next attempt, not beyond the first deadline of a job, be it of the group or behind it.
static void pause_before_retry(weir_store *store)
{
    weir__queue *queue = &store->queue;
    const uint64_t until_ns = weir__deadline_ns(weir__clock_now_ns(store->clock), pause_ns(store));
    const uint64_t group_ns = earlier(until_ns, earliest_deadline(&store->writer.group));
    pthread_mutex_lock(&queue->lock);
    queue->pause_until_ns = earlier(group_ns, earliest_deadline(&queue->jobs));
    while (!queue->abandon && queue->fence_asked.code == WEIR_OK &&
           weir__clock_now_ns(store->clock) < queue->pause_until_ns)
        weir__cond_wait_until(store->clock, &queue->pause, &queue->lock, queue->pause_until_ns);
    queue->pause_until_ns = 0;
    pthread_mutex_unlock(&queue->lock);
}

// An attempt to get the write lock ends at the first deadline, too. Behind a group that is tried for the first time
// nobody waits for long.
static uint64_t attempt_until(weir_store *store)
{
    weir__queue *queue = &store->queue;
    const uint64_t patience_ns =
        weir__deadline_ns(weir__clock_now_ns(store->clock), store->config.busy_timeout_ms * WEIR__NS_PER_MS);
    uint64_t until_ns = earlier(patience_ns, earliest_deadline(&store->writer.group));
    if (store->writer.tries > 0) {
        pthread_mutex_lock(&queue->lock);
        until_ns = earlier(until_ns, earliest_deadline(&queue->jobs));
        pthread_mutex_unlock(&queue->lock);
    }
    return until_ns;
}

static bool may_pass(const weir_error *why)
{
    return why->code == WEIR_BUSY || why->code == WEIR_FULL;
}

// Whether a fault that does not pass by itself has kept the group from being committed for as long as a write waits
// unless told otherwise. Then even what was acknowledged is given up, because it keeps all that comes after it waiting.
static bool fault_lasts(weir_store *store, const weir_error *why)
{
    weir__writer *writer = &store->writer;
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    if (may_pass(why))
        writer->fault_since_ns = 0;
    else if (writer->fault_since_ns == 0)
        writer->fault_since_ns = now_ns;
    return writer->fault_since_ns != 0 && store->config.write_deadline_ms != WEIR_NO_DEADLINE &&
           now_ns - writer->fault_since_ns >= store->config.write_deadline_ms * WEIR__NS_PER_MS;
}

// Who holds the write lock, for the sentence of a write that has to give up.
static void name_the_holder(weir_store *store, weir_error *why)
{
    char who[128];
    if (why->code != WEIR_BUSY ||
        weir__store_holder(store, WEIR_WAL_LOCK_WRITE, WEIR_WAL_LOCK_WRITE, who, sizeof who) == 0)
        return;
    const int sqlite_code = why->sqlite_code;
    weir__error_set(why, WEIR_BUSY, "%s: the write lock is %s", store->path, who);
    why->sqlite_code = sqlite_code;
}

// Late jobs that still wait in the queue behind a group that cannot begin.
static void drop_late_in_queue(weir_store *store, uint64_t now_ns, const weir_error *why)
{
    weir__queue *queue = &store->queue;
    weir__job_list late;
    weir__jobs_init(&late);
    pthread_mutex_lock(&queue->lock);
    extract(&queue->jobs, &late, is_late, now_ns);
    pthread_mutex_unlock(&queue->lock);
    drop_jobs(store, &late, why);
}

static void drop_from_group(weir_store *store, bool (*pick)(const weir__job *, uint64_t), uint64_t value,
                            const weir_error *why)
{
    weir__job_list picked;
    weir__jobs_init(&picked);
    extract(&store->writer.group, &picked, pick, value);
    drop_jobs(store, &picked, why);
}

void weir__writer_drop_waiting(weir_store *store)
{
    weir__queue *queue = &store->queue;
    weir__job_list late;
    weir__jobs_init(&late);
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    pthread_mutex_lock(&queue->lock);
    const bool abandon = queue->abandon;
    // A group sees to those behind it by itself, and a checkpoint lasts no longer than the disk makes it.
    if (abandon || (!store->wal && !queue->turn_leads))
        extract(&queue->jobs, &late, abandon ? is_any : is_late, now_ns);
    pthread_mutex_unlock(&queue->lock);
    if (late.size == 0)
        return;
    weir_error why = WEIR_ERROR_INIT;
    weir__error_set(&why, abandon ? WEIR_CLOSED : WEIR_BUSY,
                    abandon
                        ? "%s: the store was closed before this write had its turn"
                        : "%s: a read of this store without a log took longer than this write could wait; "
                          "give reads a shorter deadline",
                    store->path);
    name_the_holder(store, &why); // who has the turn may itself be waiting for another process
    note_drop(store, &late, &why);
    weir__writer_be_inside(true);
    weir__acknowledge(store, &late, &why, NULL); // the histogram is for whoever has the turn
    weir__writer_be_inside(false);
    weir__queue_recycle(store, &late);
}

// weir_close has given up: those who wait hear that, and what was acknowledged is lost for the reason itself.
static void drop_at_closing(weir_store *store, const weir_error *why)
{
    weir_error closed = WEIR_ERROR_INIT;
    weir__error_set(&closed, WEIR_CLOSED, "%s: the store was closed before this write could be committed: %s",
                    store->path, why->text);
    drop_from_group(store, is_waiting, 0, &closed);
    drop_from_group(store, is_any, 0, why);
}

// The whole group is to be run again: nothing of it is in the database.
static void forget_attempt(weir_store *store)
{
    weir__writer *writer = &store->writer;
    for (weir__job *job = writer->group.first; job; job = job->next) {
        if (job->state != WEIR__JOB_QUEUED)
            atomic_fetch_add_explicit(&writer->replays, 1, memory_order_relaxed);
        job->state = WEIR__JOB_QUEUED;
        free(job->failure);
        job->failure = NULL;
    }
    writer->next_to_run = writer->group.first;
}

// An attempt to begin or to commit failed and was undone. Decides who is told, and waits before the next.
static void attempt_failed(weir_store *store, weir_error *why)
{
    weir__queue *queue = &store->queue;
    weir__writer *writer = &store->writer;
    move(store, WEIR__WRITER_RETRYING);
    name_the_holder(store, why);
    forget_attempt(store);
    writer->tries++;
    atomic_fetch_add_explicit(&writer->retries, 1, memory_order_relaxed);
    pthread_mutex_lock(&queue->lock);
    const bool abandon = queue->abandon;
    weir__error_copy(&queue->commit_error, why);
    queue->commit_error_count++;
    pthread_cond_broadcast(&queue->flushed);
    pthread_mutex_unlock(&queue->lock);

    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    const bool lasts = fault_lasts(store, why);
    const bool waits = may_pass(why) || writer->fault_of_applied;
    writer->fault_of_applied = false;
    if (abandon)
        drop_at_closing(store, why);
    else
        drop_from_group(store, lasts ? is_any : waits ? is_late : is_waiting, now_ns, why);
    drop_late_in_queue(store, now_ns, why);
    writer->next_to_run = writer->group.first;
    note_progress(store);
    if (writer->group.size == 0)
        move(store, WEIR__WRITER_IDLE);
    else
        pause_before_retry(store);
}

// ------------------------------------------------------------------------------------------------- begin

static bool begin(weir_store *store)
{
    weir__writer *writer = &store->writer;
    if (state_of(store) == WEIR__WRITER_OPEN)
        return true;
    move(store, WEIR__WRITER_BEGINNING);
    writer->conn->busy_until_ns = attempt_until(store);
    const int rc = weir__conn_control(writer->conn, "BEGIN IMMEDIATE");
    weir__epoch_begin(writer->conn);
    if (rc == SQLITE_OK) {
        move(store, WEIR__WRITER_OPEN);
        writer->next_to_run = writer->group.first;
        return true;
    }
    weir_error why = WEIR_ERROR_INIT;
    weir__conn_error(writer->conn, rc, "BEGIN IMMEDIATE", &why);
    attempt_failed(store, &why);
    return false;
}

// --------------------------------------------------------------------------------------------- run the jobs

typedef enum run_result {
    RUN_FINE,
    RUN_FAILED, // the job's own failure: the transaction stands
    RUN_ENDED,  // the job's own failure, and it took the transaction with it
    RUN_FAULT,  // the file's or the machine's: the transaction must go, or is gone
} run_result;

// Says what became of a job that ran, in writer.scratch.
static run_result judge_run(weir_store *store, const weir__job *job, int code, int fault)
{
    weir_error *err = &store->writer.scratch;
    const char *label = job->label ? job->label : "without a name";
    if (fault) { // what the job made of it is not for its neighbours
        if (err->code != weir__sqlite_code(fault))
            weir__error_set(err, weir__sqlite_code(fault), "%s: %s (in the job %s)", store->path,
                            sqlite3_errstr(fault), label);
        err->sqlite_code = fault;
        return RUN_FAULT;
    }
    const bool vanished = sqlite3_get_autocommit(store->writer.conn->db);
    if (vanished && code == WEIR_OK)
        weir__error_set(err, WEIR_INVALID, "%s: the job %s made SQLite roll its whole transaction back",
                        store->path, label);
    else if (code != WEIR_OK && err->code != code)
        weir__error_set(err, code, "%s: the job %s failed", store->path, label);
    return vanished ? RUN_ENDED : code == WEIR_OK ? RUN_FINE : RUN_FAILED;
}

// A page that cannot be read, or is damaged, concerns the job that needs it, unless there are many such jobs. One that
// was acknowledged as APPLIED is kept as long as it may yet succeed.
static bool is_fault_of_one(weir_store *store, const weir__job *job)
{
    const weir__writer *writer = &store->writer;
    if (writer->group.size <= 1 || may_pass(&writer->scratch) ||
        weir__is_sync_failure(writer->scratch.sqlite_code))
        return false;
    return job->acknowledged ? fault_lasts(store, &writer->scratch) : writer->faults_left > 0;
}

// A job is a transaction of its own for those who wrote it: what a deferred constraint finds at its end is its own
// failure, and not the commit's, which would be everybody's.
static int check_deferred(weir_store *store, const weir__job *job, weir_error *err)
{
    int violated = 0;
    int unused = 0;
    sqlite3_db_status(store->writer.conn->db, SQLITE_DBSTATUS_DEFERRED_FKS, &violated, &unused, 0);
    if (!violated)
        return WEIR_OK;
    weir__error_set(err, WEIR_CONSTRAINT, "%s: FOREIGN KEY constraint failed (at the end of the job %s)",
                    store->path, job->label ? job->label : "without a name");
    err->sqlite_code = SQLITE_CONSTRAINT_FOREIGNKEY;
    return WEIR_CONSTRAINT;
}

static run_result run_job(weir_store *store, weir__job *job)
{
    weir__writer *writer = &store->writer;
    weir_error *err = &writer->scratch;
    weir__error_clear(err);
    writer->runs_applied = writer->runs_applied || job->ack == WEIR_ACK_APPLIED;
    weir__conn_use_begin(writer->conn, WEIR__FOREVER);
    inside = true;
    int code = job->run(writer->conn, job->arg, err);
    inside = false;
    if (code == WEIR_OK)
        code = check_deferred(store, job, err);
    const int fault = writer->conn->fault_code;
    weir__conn_use_end(writer->conn);
    const run_result result = judge_run(store, job, code, fault);
    if (result == RUN_ENDED || (result == RUN_FAULT && is_fault_of_one(store, job)))
        writer->culprit = job;
    writer->fault_of_applied = result == RUN_FAULT && job->acknowledged && !writer->culprit;
    return result;
}

// Keeps what a failed job said until the group's commit.
static void keep_failure(weir_store *store, weir__job *job)
{
    job->state = WEIR__JOB_FAILED;
    job->failure_code = store->writer.scratch.code;
    free(job->failure);
    job->failure = malloc(sizeof *job->failure);
    if (job->failure)
        weir__error_copy(job->failure, &store->writer.scratch);
}

// Our own statement inside a group; a failure is a fault.
static bool control(weir_store *store, const char *sql)
{
    const int rc = weir__conn_control(store->writer.conn, sql);
    if (rc != SQLITE_OK)
        weir__conn_error(store->writer.conn, rc, sql, &store->writer.scratch);
    return rc == SQLITE_OK;
}

// A savepoint for each job.
static bool run_carefully(weir_store *store, weir__job *first, size_t size)
{
    weir__job *job = first;
    for (size_t i = 0; i < size; i++, job = job->next) {
        if (!control(store, "SAVEPOINT weir_job"))
            return false;
        const run_result result = run_job(store, job);
        if (result >= RUN_ENDED)
            return false;
        job->state = WEIR__JOB_APPLIED;
        if (result == RUN_FAILED) {
            keep_failure(store, job);
            if (!control(store, "ROLLBACK TO weir_job"))
                return false;
        }
        if (!control(store, "RELEASE weir_job"))
            return false;
    }
    return true;
}

// One savepoint for all; a failure undoes the chunk and runs it again carefully.
static bool run_chunk(weir_store *store, weir__job *first, size_t size)
{
    weir__writer *writer = &store->writer;
    if (writer->careful > 0) {
        writer->careful--;
        return run_carefully(store, first, size);
    }
    if (!control(store, "SAVEPOINT weir_chunk"))
        return false;
    weir__job *job = first;
    for (size_t i = 0; i < size; i++, job = job->next) {
        const run_result result = run_job(store, job);
        if (result >= RUN_ENDED)
            return false;
        job->state = WEIR__JOB_APPLIED;
        if (result == RUN_FAILED) {
            writer->careful = CAREFUL_CHUNKS;
            atomic_fetch_add_explicit(&writer->replays, i + 1, memory_order_relaxed);
            return control(store, "ROLLBACK TO weir_chunk") && control(store, "RELEASE weir_chunk") &&
                   run_carefully(store, first, size);
        }
    }
    return control(store, "RELEASE weir_chunk");
}

// A group of one needs no savepoint: if it fails, the transaction goes. Returns false when the job has been
// ended here.
static bool run_single(weir_store *store, weir__job *job)
{
    const run_result result = run_job(store, job);
    if (result >= RUN_ENDED)
        return false;
    job->state = WEIR__JOB_APPLIED;
    if (result == RUN_FAILED)
        keep_failure(store, job);
    return true;
}

static size_t chunk_size(const weir__job *first)
{
    size_t size = 0;
    for (const weir__job *job = first; job && size < WEIR__CHUNK_JOBS; job = job->next)
        size++;
    return size;
}

static void roll_back(weir_store *store)
{
    weir__conn_roll_back(store->writer.conn);
}

// The group's only job failed: its transaction is rolled back and there is nothing to commit.
static void end_failed_single(weir_store *store)
{
    weir__writer *writer = &store->writer;
    roll_back(store);
    move(store, WEIR__WRITER_IDLE);
    weir__job_list ended;
    weir__jobs_init(&ended);
    weir__jobs_append(&ended, &writer->group);
    writer->next_to_run = NULL;
    end_failed(store, &ended);
    note_progress(store);
}

static bool is_culprit(const weir__job *job, uint64_t seq)
{
    return job->seq == seq;
}

// One job made SQLite roll everything back (INSERT OR ROLLBACK, RAISE(ROLLBACK), no memory) or met a fault: it alone
// fails, and the others run again.
static void end_culprit(weir_store *store)
{
    weir__writer *writer = &store->writer;
    weir__job *culprit = writer->culprit;
    const weir_error why = writer->scratch;
    writer->culprit = NULL;
    move(store, WEIR__WRITER_RETRYING);
    forget_attempt(store);
    keep_failure(store, culprit);
    weir__job_list ended;
    weir__jobs_init(&ended);
    extract(&writer->group, &ended, is_culprit, culprit->seq);
    if (writer->conn->fault_code != 0) {
        writer->faults_left -= !ended.first->acknowledged;
        atomic_fetch_add_explicit(&writer->retries, 1, memory_order_relaxed);
        drop_jobs(store, &ended, &why);
    } else {
        end_failed(store, &ended);
    }
    writer->next_to_run = writer->group.first;
    note_progress(store);
    if (writer->group.size == 0)
        move(store, WEIR__WRITER_IDLE);
}

// Runs what has not run yet. False when the attempt was undone, or the group has ended.
static bool run_group(weir_store *store)
{
    weir__writer *writer = &store->writer;
    bool fine = true;
    if (writer->group.size == 1 && writer->next_to_run == writer->group.first) {
        fine = run_single(store, writer->group.first);
        if (fine && writer->group.first->state == WEIR__JOB_FAILED) {
            end_failed_single(store);
            return false;
        }
        writer->next_to_run = NULL;
    }
    while (fine && writer->next_to_run) {
        weir__job *job = writer->next_to_run;
        const size_t size = chunk_size(job);
        fine = run_chunk(store, job, size);
        for (size_t i = 0; i < size; i++)
            job = job->next;
        writer->next_to_run = job;
    }
    if (fine)
        return true;
    weir_error why = writer->scratch;
    roll_back(store);
    if (writer->culprit)
        end_culprit(store);
    else if (weir__is_sync_failure(why.sqlite_code)) // it was larger than the cache and went to the log early
        weir__writer_fence(store, &why);
    else
        attempt_failed(store, &why);
    return false;
}

// ------------------------------------------------------------------------------------------------ commit

static bool owes_sync(const weir__job *job, uint64_t unused)
{
    (void)unused;
    return job->ack == WEIR_ACK_DURABLE && job->state == WEIR__JOB_APPLIED;
}

static uint64_t count_acknowledged(const weir__job_list *jobs)
{
    uint64_t count = 0;
    for (const weir__job *job = jobs->first; job; job = job->next)
        count += job->acknowledged;
    return count;
}

// The group is in the database: ends its jobs, or hands them to the syncer.
static void group_committed(weir_store *store)
{
    weir__queue *queue = &store->queue;
    weir__writer *writer = &store->writer;
    weir__job_list ended;
    weir__job_list owed;
    weir__jobs_init(&ended);
    weir__jobs_init(&owed);
    const bool synced_later = store->config.durability == WEIR_DURABILITY_INTERVAL;
    if (writer->runs_applied)
        atomic_fetch_sub(&writer->applied_pending, count_acknowledged(&writer->group));
    if (synced_later)
        extract(&writer->group, &owed, owes_sync, 0);
    weir__jobs_append(&ended, &writer->group);
    writer->runs_applied = false;
    writer->tries = 0;
    if (synced_later)
        weir__sync_committed(store, &owed, writer->taken_seq);
    if (atomic_load_explicit(&store->writer.retries, memory_order_relaxed)) {
        pthread_mutex_lock(&queue->lock);
        weir__error_clear(&queue->commit_error);
        pthread_mutex_unlock(&queue->lock);
    }
    end_jobs(store, &ended, NULL);
    note_progress(store);
}

// SQLite enters a commit into the wal-index after its frames are in the log: when that fails, the commit is undone,
// but a crash before the next one would bring it back.
static bool is_failure_behind_the_log(int rc)
{
    const int primary = rc & 0xff;
    return primary == SQLITE_NOMEM || rc == SQLITE_IOERR_SHMMAP || rc == SQLITE_IOERR_SHMSIZE ||
           rc == SQLITE_IOERR_SHMOPEN;
}

static void commit(weir_store *store)
{
    weir__writer *writer = &store->writer;
    const size_t size = writer->group.size;
    move(store, WEIR__WRITER_COMMITTING);
    writer->conn->busy_until_ns =
        weir__deadline_ns(weir__clock_now_ns(store->clock), store->config.busy_timeout_ms * WEIR__NS_PER_MS);
    const uint64_t start_ns = weir__clock_now_ns(store->clock);
    const int rc = weir__conn_control(writer->conn, "COMMIT");
    if (rc == SQLITE_OK) {
        move(store, WEIR__WRITER_IDLE);
        const uint64_t took_ns = weir__clock_now_ns(store->clock) - start_ns;
        weir__histogram_record(&writer->commit_ns, took_ns);
        weir__histogram_record(&writer->group_jobs, size);
        atomic_fetch_add_explicit(&writer->groups, 1, memory_order_relaxed);
        atomic_store_explicit(&writer->group_size_last, size, memory_order_relaxed);
        group_committed(store);
        return;
    }
    weir_error why = WEIR_ERROR_INIT;
    weir__conn_error(writer->conn, rc, "COMMIT", &why);
    if (is_failure_behind_the_log(rc))
        weir__error_set(&why, WEIR_UNKNOWN,
                        "%s: this write was undone, but a crash before the next one would bring it back: %s",
                        store->path, sqlite3_errstr(rc));
    roll_back(store);
    if (weir__is_sync_failure(rc)) {
        // The transaction is gone, as COMMITTING's invariant would have it; FENCED has none open.
        weir__writer_fence(store, &why);
        return;
    }
    attempt_failed(store, &why);
}

// ------------------------------------------------------------------------------------------- take and linger

// How many jobs the group may hold.
static size_t group_jobs_most(const weir_store *store)
{
    const uint64_t limit = store->writer.group_jobs_limit;
    return limit && limit < store->config.group_jobs_max ? (size_t)limit : store->config.group_jobs_max;
}

// Whether a job may come into the group.
static bool may_join(const weir__writer *writer, const weir__job *job)
{
    const weir__job *first = writer->group.first;
    return !first || !(first->alone || job->alone);
}

// With queue.lock: whether the next job is there and may join.
static bool has_next(const weir_store *store)
{
    const weir__job *next = store->queue.jobs.first;
    return next && may_join(&store->writer, next);
}

// With queue.lock: moves jobs into the group one by one, as far as it may grow.
static void take_some(weir_store *store, size_t most)
{
    weir__queue *queue = &store->queue;
    weir__writer *writer = &store->writer;
    while (writer->group.size < most && has_next(store)) {
        weir__job *job = queue->jobs.first;
        queue->jobs.first = job->next;
        queue->jobs.size--;
        if (!queue->jobs.first)
            queue->jobs.last = &queue->jobs.first;
        writer->taken_seq = job->seq;
        weir__jobs_push(&writer->group, job);
    }
}

// Mostly all of the queue fits: then it is taken in one step, without touching the jobs under the lock that every
// client wants.
void weir__writer_take_jobs(weir_store *store)
{
    weir__queue *queue = &store->queue;
    weir__writer *writer = &store->writer;
    const size_t most = group_jobs_most(store);
    weir__job **const end = writer->group.last;
    pthread_mutex_lock(&queue->lock);
    const bool all_join =
        queue->alone_seq <= writer->taken_seq && !(writer->group.first && writer->group.first->alone);
    if (all_join && writer->group.size + queue->jobs.size <= most) {
        writer->taken_seq = queue->submitted_seq;
        weir__jobs_append(&writer->group, &queue->jobs);
    } else {
        take_some(store, most);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!writer->next_to_run)
        writer->next_to_run = *end;
}

// Ends the failed jobs that asked for APPLIED and reports the others that did: the group stays open for them.
static void report_applied(weir_store *store)
{
    weir__writer *writer = &store->writer;
    if (!writer->runs_applied)
        return;
    weir__job_list failed;
    weir__jobs_init(&failed);
    extract(&writer->group, &failed, is_failed_applied, 0);
    end_failed(store, &failed);
    inside = true;
    weir__acknowledge_applied(store, &writer->group, &writer->write_ns);
    inside = false;
}

static bool is_all_acknowledged(const weir_store *store)
{
    for (const weir__job *job = store->writer.group.first; job; job = job->next)
        if (!job->acknowledged)
            return false;
    return true;
}

// Keeps a group open in which everything is acknowledged. True when more jobs came in to join it; false when
// it is to be committed.
static bool linger(weir_store *store)
{
    weir__queue *queue = &store->queue;
    weir__writer *writer = &store->writer;
    if (store->config.applied_linger_ms == 0 || writer->group.size >= store->config.applied_jobs_max ||
        writer->group.size >= group_jobs_most(store) || writer->group.first->alone ||
        !is_all_acknowledged(store))
        return false;
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    if (writer->linger_until_ns == 0)
        writer->linger_until_ns =
            weir__deadline_ns(now_ns, store->config.applied_linger_ms * WEIR__NS_PER_MS);
    weir__writer_work_end(store);
    pthread_mutex_lock(&queue->lock);
    while (queue->jobs.size == 0 && !queue->stop && !queue->turn_first &&
           queue->flush_seq <= queue->committed_seq &&
           weir__clock_now_ns(store->clock) < writer->linger_until_ns) {
        queue->writer_asleep = true;
        weir__cond_wait_until(store->clock, &queue->work, &queue->lock, writer->linger_until_ns);
    }
    queue->writer_asleep = false;
    const bool more = has_next(store) && !queue->turn_first && queue->flush_seq <= queue->committed_seq;
    pthread_mutex_unlock(&queue->lock);
    weir__writer_work_begin(store);
    return more;
}

// Whether jobs that came since the group was taken should join it. Clients with many writes under way send the
// next ones as soon as they are told of the last: they are waited for, for a moment, and run meanwhile, so that one
// sync serves all. Threads that wait for each write are not: they come back by themselves while the commit waits
// for the disk.
static bool gather(weir_store *store, uint64_t start_ns)
{
    weir__queue *queue = &store->queue;
    const weir__writer *writer = &store->writer;
    const size_t last = atomic_load_explicit(&writer->group_size_last, memory_order_relaxed);
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    if (last <= 1 || writer->runs_applied || writer->group.first->waiter || writer->group.first->alone ||
        writer->group.size >= group_jobs_most(store) || now_ns - start_ns > GATHER_NS_MAX)
        return false;
    const bool wait = writer->group.size < last - last / 4;
    pthread_mutex_lock(&queue->lock);
    while (wait && queue->jobs.size == 0 && !queue->stop && !queue->turn_first) {
        queue->writer_asleep = true;
        if (weir__cond_wait_until(store->clock, &queue->work, &queue->lock, now_ns + GATHER_WAIT_NS) ==
            ETIMEDOUT)
            break;
    }
    queue->writer_asleep = false;
    const bool more = has_next(store) && !queue->turn_first;
    pthread_mutex_unlock(&queue->lock);
    return more;
}

void weir__writer_run_group(weir_store *store)
{
    weir__writer *writer = &store->writer;
    writer->linger_until_ns = 0;
    const uint64_t start_ns = weir__clock_now_ns(store->clock);
    writer->faults_left = FAULTS_MAX;
    writer->fault_since_ns = 0;
    if (writer->group.size == 0) // all of them were dropped while the turn was waited for
        note_progress(store);
    while (writer->group.size > 0) {
        fence_if_asked(store);
        if (writer->group.size == 0 || !begin(store) || !run_group(store))
            continue;
        report_applied(store);
        if (writer->group.size > 0 && linger(store)) {
            weir__writer_take_jobs(store);
            continue;
        }
        if (writer->group.size > 0 && gather(store, start_ns)) {
            weir__writer_take_jobs(store);
            continue;
        }
        if (writer->group.size > 0) {
            commit(store);
        } else { // each of its jobs failed and has been told
            roll_back(store);
            move(store, WEIR__WRITER_IDLE);
            note_progress(store);
        }
    }
}
