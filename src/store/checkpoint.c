// SPDX-License-Identifier: MIT
//
// Checkpoints: moving frames from the log into the database, and starting the log over.
//
// An SQLite with the WAL-reset bug loses pages when a commit, of any process, overlaps a checkpoint during
// which the log is restarted. So with such a library frames are moved in two ways only:
//
//   pinned    PASSIVE on a connection of its own, beside commits, while another connection (the pin) holds a
//             read mark: a log with a held read mark cannot restart. A reader that begins on a log that is
//             moved completely holds READ0, which pins nothing, so the pin is proved: read the wal-index
//             before (A) and after (B) it began. Within one generation of the log (equal salts) mxFrame and
//             nBackfill only grow; if B.nBackfill < A.mxFrame, the log was not completely moved when the pin
//             began, so it holds a real read mark.
//   guarded   FULL, RESTART and TRUNCATE take the write lock first. If another process has it, SQLite goes on
//             as an unpinned PASSIVE; our VFS refuses it the lock for moving frames in that case (vfs.h).
//
// RESTART and TRUNCATE run in the writer's turn and in a reader gap. How long the gap may last grows with the
// log: below half of the limit only a moment without readers is used, above the limit new reads wait up to
// GAP_STEPS_MAX times reader_gap_ms; none is made for a read that has been open for longer than it may last.
//
// The log keeps below its limit because checkpoints begin early (BEGIN_LIMIT_SHARE), groups are cut so that one
// of them adds only a part of the limit, as far as the last one tells (GROUP_LIMIT_SHARE), and, from half of the
// limit on, the next group waits for the checkpoint that is under way, at most ROOM_MS. Above twice the limit, where
// one large job has taken it, that checkpoint takes long and small groups add little: they wait only if the log has
// grown by a part of its limit since the checkpoint began.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "store/store.h"

enum {
    PIN_TRIES = 3,
    GAP_STEPS_MAX = 20,
    BEGIN_LIMIT_SHARE = 8, // frames are moved at the latest when the log has grown by this part of its limit
    GROUP_LIMIT_SHARE = 8, // most that one group should add
    ROOM_MS = 500,         // longest wait of a group for a checkpoint
    RESTART_LIMIT_SHARE = 4, // the log is made to start over from this part of its limit on
    RESTART_FRAMES_MAX =
        128,          // … and earlier when no more than these are left to be moved in the writer's turn
    RETRY_MS = 20,    // between two attempts of a checkpoint that waits for others
    RESCUE_MS = 1000, // longest wait for readers, each time that a log without a name is to be saved
    TURN_MS = 20,     // least patience for the group that the writer is at
};

static uint64_t bytes_of(const weir_store *store, int64_t frames)
{
    return frames <= 0 ? 0
                       : WEIR__WAL_HEADER_BYTES +
                             (uint64_t)frames * (WEIR__FRAME_HEADER_BYTES + (uint64_t)store->page_size);
}

static uint64_t wal_file_bytes(const weir_store *store)
{
    struct stat file;
    return stat(store->wal_path, &file) == 0 ? (uint64_t)file.st_size : 0;
}

static int on_busy(void *arg, int times)
{
    weir_store *store = arg;
    (void)times;
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    if (now_ns >= store->checkpointer.busy_until_ns)
        return 0;
    weir__clock_sleep_until(store->clock, now_ns + WEIR__NS_PER_MS);
    return 1;
}

// ---------------------------------------------------------------------------------------------------- pin

static void pin_close(weir_store *store)
{
    weir_tx *pin = store->checkpointer.pin;
    weir__conn_roll_back(pin);
}

// One try: true when the pin is proved to hold a read mark.
static bool pin_open(weir_store *store)
{
    weir_tx *pin = store->checkpointer.pin;
    weir_wal_index before;
    weir_wal_index after;
    if (!weir__store_sample(store, &before) || before.n_backfill >= before.mx_frame)
        return false;
    pin->busy_until_ns =
        weir__deadline_ns(weir__clock_now_ns(store->clock), store->config.busy_timeout_ms * WEIR__NS_PER_MS);
    if (weir__conn_control(pin, "BEGIN") == SQLITE_OK &&
        weir__conn_control(pin, "SELECT 1 FROM sqlite_schema LIMIT 1") == SQLITE_OK &&
        weir__store_sample(store, &after) && memcmp(before.salt, after.salt, sizeof before.salt) == 0 &&
        after.n_backfill < before.mx_frame)
        return true;
    pin_close(store);
    return false;
}

static bool pin_for_sure(weir_store *store)
{
    for (int i = 0; i < PIN_TRIES; i++)
        if (pin_open(store))
            return true;
    return false;
}

// -------------------------------------------------------------------------------------------------- blame

static bool blame_reader(weir_store *store, weir_checkpoint_report *report, const weir_wal_index *index)
{
    weir__pool *pool = &store->pool;
    bool found = false;
    pthread_mutex_lock(&pool->lock);
    const weir_snapshot *oldest = pool->open.next;
    if (oldest != &pool->open && oldest->opened_ns) {
        found = true;
        report->blocker = WEIR_BLOCKER_READER;
        report->reader_id = oldest->id;
        report->pinned_frames = weir__snapshot_pins(oldest, index);
        snprintf(
            report->why, sizeof report->why, "read %llu (%s), open for %llu ms, pins %lld of %lld frames",
            (unsigned long long)oldest->id, oldest->label ? oldest->label : "without a name",
            (unsigned long long)((weir__clock_now_ns(store->clock) - oldest->opened_ns) / WEIR__NS_PER_MS),
            (long long)report->pinned_frames, (long long)index->mx_frame);
    }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

static bool blame_process(weir_store *store, weir_checkpoint_report *report, weir_blocker blocker, int first,
                          int last, const char *doing)
{
    char who[160];
    const int64_t pid = weir__store_holder(store, first, last, who, sizeof who);
    if (pid == 0)
        return false;
    report->blocker = blocker;
    report->pid = pid > 0 ? pid : 0;
    snprintf(report->why, sizeof report->why, "%s %s", doing, who);
    return true;
}

// Finds out what kept a checkpoint from its goal.
static void blame(weir_store *store, weir_checkpoint_report *report, bool lock_was_busy)
{
    weir_wal_index index;
    if (!weir__store_sample(store, &index))
        memset(&index, 0, sizeof index);
    const int64_t left = report->log_frames - report->moved_frames;
    if (lock_was_busy && blame_process(store, report, WEIR_BLOCKER_WRITER, WEIR_WAL_LOCK_WRITE,
                                       WEIR_WAL_LOCK_WRITE, "the write lock is"))
        return;
    if (report->busy && blame_process(store, report, WEIR_BLOCKER_CHECKPOINTER, WEIR_WAL_LOCK_CKPT,
                                      WEIR_WAL_LOCK_CKPT, "the checkpoint lock is"))
        return;
    if (blame_reader(store, report, &index))
        return;
    if (blame_process(store, report, WEIR_BLOCKER_OUTSIDE_READER, WEIR_WAL_LOCK_READ0,
                      WEIR_WAL_LOCK_READ0 + 4, "a read mark is")) {
        report->pinned_frames = left > 0 ? left : 0;
        return;
    }
    report->blocker = WEIR_BLOCKER_WRITES;
    snprintf(report->why, sizeof report->why, "commits went on: %lld frames were added or still needed",
             (long long)left);
}

// ------------------------------------------------------------------------------------------- one checkpoint

static int checkpoint_call(weir_store *store, weir_checkpoint_mode mode, bool pinned,
                           weir_checkpoint_report *report, weir_error *err)
{
    static const int MODES[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
                                SQLITE_CHECKPOINT_TRUNCATE};
    weir_tx *conn = store->checkpointer.conn;
    const bool careful = !store->fixed_sqlite && !pinned;
    weir__vfs_guard_report seen = {0};
    int code =
        weir__vfs_guard_begin(conn->db, careful ? WEIR__VFS_GUARD_LOCKED_ONLY : WEIR__VFS_GUARD_OBSERVE, err);
    if (code != WEIR_OK)
        return code;
    int log = -1;
    int moved = -1;
    const int rc = sqlite3_wal_checkpoint_v2(conn->db, "main", MODES[mode], &log, &moved);
    code = weir__vfs_guard_end(conn->db, &seen, err);
    WEIR_ASSERT(!(careful && seen.backfilled_without_write)); // the promise about the WAL-reset bug
    if (code != WEIR_OK)
        return code;
    report->busy = (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED || seen.backfill_refused;
    report->log_frames = log;
    report->moved_frames = moved;
    if (rc != SQLITE_OK && !report->busy) {
        report->blocker = WEIR_BLOCKER_ERROR;
        code = weir__conn_error(conn, rc, "checkpoint", err);
        snprintf(report->why, sizeof report->why, "%.250s", err ? err->text : sqlite3_errstr(rc));
        return code;
    }
    if (report->busy || moved < log)
        blame(store, report, seen.write_busy_count > 0);
    return WEIR_OK;
}

static bool nothing_in_log(weir_store *store, weir_checkpoint_report *report)
{
    weir_wal_index index;
    if (!weir__store_sample(store, &index))
        return false;
    report->log_frames = (int64_t)index.mx_frame;
    report->moved_frames = (int64_t)(index.n_backfill < index.mx_frame ? index.n_backfill : index.mx_frame);
    return index.n_backfill >= index.mx_frame;
}

// With checkpointer.lock: moves what it can beside commits.
static int passive(weir_store *store, weir_checkpoint_report *report, weir_error *err)
{
    if (nothing_in_log(store, report))
        return WEIR_OK;
    if (store->fixed_sqlite)
        return checkpoint_call(store, WEIR_CHECKPOINT_PASSIVE, false, report, err);
    if (!pin_for_sure(store)) {
        store->checkpointer.not_pinned = !nothing_in_log(store, report);
        return WEIR_OK;
    }
    const int code = checkpoint_call(store, WEIR_CHECKPOINT_PASSIVE, true, report, err);
    pin_close(store);
    return code;
}

// WEIR_OK, or the fence: after a failed sync nothing is moved any more, so that the next opening finds the log as it
// was.
static int check_fence(weir_store *store, weir_error *err)
{
    pthread_mutex_lock(&store->queue.lock);
    const weir_error fence = store->queue.fence;
    pthread_mutex_unlock(&store->queue.lock);
    if (fence.code != WEIR_OK)
        weir__error_copy(err, &fence);
    return fence.code;
}

static void blame_group(weir_checkpoint_report *report)
{
    report->busy = 1;
    report->blocker = WEIR_BLOCKER_WRITES;
    snprintf(report->why, sizeof report->why, "the writer was busy with a group all the while");
}

typedef struct attempt {
    weir_checkpoint_mode mode;
    uint64_t gap_ns;
    uint64_t deadline_ns;
    bool once; // by itself: what is in the way today may be gone at the next occasion
} attempt;

// In the reader gap: takes the writer's turn and checkpoints. The turn is not waited for much longer than the
// gap lasts, because reads wait meanwhile.
static int in_turn(weir_store *store, const attempt *how, uint64_t gap_until_ns,
                   weir_checkpoint_report *report, weir_error *err)
{
    weir__queue *queue = &store->queue;
    const uint64_t start_ns = weir__clock_now_ns(store->clock);
    const uint64_t least_ns = start_ns + TURN_MS * WEIR__NS_PER_MS;
    const uint64_t turn_until_ns = gap_until_ns > least_ns ? gap_until_ns : least_ns;
    pthread_mutex_lock(&queue->lock);
    const int turn =
        weir__turn_take(store, turn_until_ns < how->deadline_ns ? turn_until_ns : how->deadline_ns);
    pthread_mutex_unlock(&queue->lock);
    if (turn != WEIR_OK) {
        blame_group(report);
        return WEIR_OK;
    }
    const uint64_t taken_ns = weir__clock_now_ns(store->clock);
    weir__writer_work_begin(store);
    const uint64_t patience_ns = taken_ns + store->config.reader_gap_ms * WEIR__NS_PER_MS;
    store->checkpointer.busy_until_ns = patience_ns < how->deadline_ns ? patience_ns : how->deadline_ns;
    int code = check_fence(store, err);
    if (code == WEIR_OK)
        code = checkpoint_call(store, how->mode, false, report, err);
    report->writer_ns += weir__clock_now_ns(store->clock) - taken_ns;
    weir__writer_work_end(store);
    weir__turn_return(store);
    return code;
}

// Whether the writer has been trying in vain to begin or to commit, or is at a long job: its turn is not to be had
// soon.
static bool writer_is_stuck(const weir_store *store, bool *is_long)
{
    const int state = atomic_load(&store->writer.state);
    const uint64_t since_ns = atomic_load(&store->writer.busy_since_ns);
    *is_long = since_ns != 0 && weir__clock_now_ns(store->clock) - since_ns >= TURN_MS * WEIR__NS_PER_MS;
    return *is_long || state == WEIR__WRITER_BEGINNING || state == WEIR__WRITER_RETRYING;
}

// With checkpointer.lock: FULL, RESTART or TRUNCATE, in a reader gap. By itself it does not even try while
// one of our own reads is open (the log could not start over, and commits would wait for nothing), nor while
// the writer waits for a lock (reads would wait for nothing).
static int exclusive(weir_store *store, const attempt *how, weir_checkpoint_report *report, weir_error *err)
{
    bool is_long = false;
    if (how->once && writer_is_stuck(store, &is_long)) {
        nothing_in_log(store, report);
        report->busy = 1;
        if (is_long)
            blame_group(report);
        else
            blame(store, report, true);
        return WEIR_OK;
    }
    const uint64_t gap_ns = weir__deadline_ns(weir__clock_now_ns(store->clock), how->gap_ns);
    const uint64_t gap_until_ns = gap_ns < how->deadline_ns ? gap_ns : how->deadline_ns;
    const bool empty = weir__pool_gap_begin(store, gap_until_ns);
    int code = WEIR_OK;
    if (!empty)
        weir__pool_gap_end(store);
    if (empty || !how->once) {
        code = in_turn(store, how, gap_until_ns, report, err);
    } else {
        nothing_in_log(store, report);
        report->busy = 1;
        blame(store, report, false);
    }
    if (empty)
        weir__pool_gap_end(store);
    return code;
}

// A PASSIVE checkpoint has done its part when only frames are left that came while it ran.
static bool is_passive_goal(const weir_checkpoint_report *report)
{
    return report->mode == WEIR_CHECKPOINT_PASSIVE && report->blocker == WEIR_BLOCKER_WRITES;
}

static void note_report(weir_store *store, const weir_checkpoint_report *report)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    pthread_mutex_lock(&checkpointer->wake_lock);
    checkpointer->last = *report;
    if (checkpointer->not_pinned && report->mode == WEIR_CHECKPOINT_PASSIVE)
        checkpointer->skipped++;
    else if (report->blocker == WEIR_BLOCKER_NONE || is_passive_goal(report))
        checkpointer->complete[report->mode]++;
    else
        checkpointer->stopped_short[report->mode]++;
    weir__histogram_record(&checkpointer->time_ns, report->time_ns);
    pthread_mutex_unlock(&checkpointer->wake_lock);
    if (report->moved_frames >= 0)
        atomic_store(&checkpointer->moved, report->moved_frames);
}

static void report_begin(weir_checkpoint_report *report, weir_checkpoint_mode mode)
{
    memset(report, 0, sizeof *report);
    report->mode = mode;
    report->log_frames = report->moved_frames = -1;
}

static void report_retry(weir_checkpoint_report *report)
{
    const uint64_t writer_ns = report->writer_ns;
    report_begin(report, report->mode);
    report->writer_ns = writer_ns;
}

// The mode, again and again until it reached its goal or the deadline; with checkpointer.lock, except between two
// attempts, so that other checkpoints have their turn.
static int insist(weir_store *store, const attempt *how, weir_checkpoint_report *report, weir_error *err)
{
    for (;;) {
        report_retry(report);
        const int code = exclusive(store, how, report, err);
        const uint64_t next_ns = weir__clock_now_ns(store->clock) + RETRY_MS * WEIR__NS_PER_MS;
        if (code != WEIR_OK || report->blocker == WEIR_BLOCKER_NONE || how->once ||
            next_ns >= how->deadline_ns)
            return code;
        if (weir__store_is_closing(store))
            return weir__error_set(err, WEIR_CLOSED, "%s: the store is closing", store->path);
        pthread_mutex_unlock(&store->checkpointer.lock);
        weir__clock_sleep_until(store->clock, next_ns);
        pthread_mutex_lock(&store->checkpointer.lock);
    }
}

// A checkpoint that does not move everything leaves the database file unsynced. Before one runs in the writer's turn
// that is done beside commits, so that the turn pays for the last few pages only.
static int sync_moved(weir_store *store, weir_error *err)
{
    return store->config.durability == WEIR_DURABILITY_OFF
               ? WEIR_OK
               : weir__conn_sync_database(store->checkpointer.conn, err);
}

// Whether so few frames are left that moving them beside commits first would only cost two more syncs.
static bool is_nearly_done(weir_store *store)
{
    weir_wal_index index;
    return weir__store_sample(store, &index) && index.n_backfill <= index.mx_frame &&
           index.mx_frame - index.n_backfill <= RESTART_FRAMES_MAX;
}

// ----------------------------------------------------------------------------- a log that has lost its name

// SQLite still has the file open, but it goes when the store is closed. Everything in it is moved, with the write
// lock, before that; while a read is in the way, again each time that somebody looks. Nobody may have begun another
// log: what that describes would not fit.
static void rescue_log(weir_store *store)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    weir_error err = WEIR_ERROR_INIT;
    weir_checkpoint_report report;
    bool removed = false;
    report_begin(&report, WEIR_CHECKPOINT_FULL);
    pthread_mutex_lock(&store->queue.lock);
    weir__turn_take(store, WEIR__FOREVER);
    pthread_mutex_unlock(&store->queue.lock);
    checkpointer->busy_until_ns = weir__clock_now_ns(store->clock) + RESCUE_MS * WEIR__NS_PER_MS;
    weir__store_look_at_log(store, &removed, NULL);
    const int code = removed ? checkpoint_call(store, WEIR_CHECKPOINT_FULL, false, &report, &err) : WEIR_OK;
    weir__turn_return(store);
    if (code != WEIR_OK)
        weir__log(WEIR__LOG_ERROR, "%s", err.text);
    const bool saved = code == WEIR_OK && !report.busy && report.moved_frames == report.log_frames;
    checkpointer->log_unsaved = removed && !saved && !weir__is_sync_failure(err.sqlite_code);
    note_report(store, &report);
}

// With checkpointer.lock. Whoever removes or replaces the log takes every later commit with it at the next crash, and
// lets other processes see a database without those before: nothing more is acknowledged.
static void watch_log(weir_store *store)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    weir_error why = WEIR_ERROR_INIT;
    bool removed = false;
    if (!checkpointer->log_lost && weir__store_look_at_log(store, &removed, &why) != WEIR_OK) {
        checkpointer->log_lost = true;
        checkpointer->log_unsaved = removed;
        weir__log(WEIR__LOG_ERROR, "%s", why.text);
        weir__writer_fence_in_turn(store, &why);
    }
    if (checkpointer->log_unsaved)
        rescue_log(store);
}

// -------------------------------------------------------------------------------------------------- a run

static int run(weir_store *store, const attempt *how, weir_checkpoint_report *report, weir_error *err)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    weir_error why = WEIR_ERROR_INIT;
    const uint64_t start_ns = weir__clock_now_ns(store->clock);
    report_begin(report, how->mode);
    checkpointer->busy_until_ns = 0;
    checkpointer->not_pinned = false;
    watch_log(store);
    int code = check_fence(store, err);
    if (code != WEIR_OK)
        return code;
    if (how->mode == WEIR_CHECKPOINT_PASSIVE || !is_nearly_done(store))
        code = passive(store, report, &why); // most of it beside commits
    if (code == WEIR_OK && how->mode != WEIR_CHECKPOINT_PASSIVE)
        code = sync_moved(store, &why);
    if (code == WEIR_OK && how->mode != WEIR_CHECKPOINT_PASSIVE)
        code = insist(store, how, report, &why);
    report->time_ns = weir__clock_now_ns(store->clock) - start_ns;
    note_report(store, report);
    if (code != WEIR_OK)
        weir__error_copy(err, &why);
    if (weir__is_sync_failure(why.sqlite_code))
        weir__writer_fence_in_turn(store, &why);
    return code;
}

int weir_checkpoint(weir_store *store, weir_checkpoint_mode mode, uint32_t deadline_ms,
                    weir_checkpoint_report *out, weir_error *err)
{
    weir_checkpoint_report report;
    report_begin(&report, WEIR_CHECKPOINT_PASSIVE);
    if (out)
        *out = report;
    int code = weir__store_check(store, err);
    if (code != WEIR_OK)
        return code;
    if ((unsigned)mode > WEIR_CHECKPOINT_TRUNCATE)
        return weir__error_set(err, WEIR_INVALID, "%s: there is no checkpoint mode %d", store->path,
                               (int)mode);
    if (!store->wal || store->config.read_only)
        return weir__error_set(err, WEIR_UNSUPPORTED, "%s: %s", store->path,
                               store->wal ? "a store that was opened read-only moves no frames"
                                          : "there is no write-ahead log to checkpoint");
    if (weir__writer_is_me())
        return weir__error_set(err, WEIR_INVALID, "%s: a job or a callback must not wait for a checkpoint",
                               store->path);
    const uint64_t deadline_ns = weir__store_deadline(store, deadline_ms, store->config.write_deadline_ms);
    code = weir__store_enter(store, false, err);
    if (code != WEIR_OK)
        return code;
    const attempt how = {
        .mode = mode, .gap_ns = store->config.reader_gap_ms * WEIR__NS_PER_MS, .deadline_ns = deadline_ns};
    pthread_mutex_lock(&store->checkpointer.lock);
    code = run(store, &how, &report, err);
    pthread_mutex_unlock(&store->checkpointer.lock);
    weir__store_leave(store);
    if (out)
        *out = report;
    return code;
}

// ------------------------------------------------------------------------------------------- by itself

// How long new reads may wait for a log of this size.
static uint64_t gap_for(const weir_store *store, uint64_t bytes)
{
    const uint64_t limit = store->config.wal_limit_bytes;
    const uint64_t gap_ns = store->config.reader_gap_ms * WEIR__NS_PER_MS;
    if (bytes < limit / 2)
        return 0;
    if (bytes < limit - limit / 4)
        return gap_ns;
    return bytes < limit ? gap_ns * 4 : gap_ns * GAP_STEPS_MAX;
}

// A checkpoint of our own accord, with checkpointer.lock.
static void run_by_itself(weir_store *store, weir_checkpoint_mode mode, uint64_t gap_ns)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_checkpoint_report report;
    const attempt how = {.mode = mode,
                         .gap_ns = gap_ns,
                         .deadline_ns = weir__clock_now_ns(store->clock) + gap_ns + WEIR__NS_PER_S,
                         .once = true};
    const int code = run(store, &how, &report, &err);
    if (code != WEIR_OK && code != WEIR_FENCED &&
        code != store->checkpointer.logged) // that one has been told
        weir__log(WEIR__LOG_WARNING, "checkpoint: %s", err.text);
    store->checkpointer.logged = code;
}

// A short log is overwritten where it lies, which the disk syncs faster than a file that grows: so it starts over
// whenever that costs the writer little, and in any case from a part of its limit on.
static bool wants_restart(const weir_store *store)
{
    const int64_t frames = atomic_load(&store->checkpointer.frames);
    const int64_t left = frames - atomic_load(&store->checkpointer.moved);
    return left <= RESTART_FRAMES_MAX ||
           bytes_of(store, frames) >= store->config.wal_limit_bytes / RESTART_LIMIT_SHARE;
}

// Frames wait to be moved.
static void checkpoint_now(weir_store *store)
{
    pthread_mutex_lock(&store->checkpointer.lock);
    run_by_itself(store, WEIR_CHECKPOINT_PASSIVE, 0);
    if (wants_restart(store)) {
        const uint64_t bytes = bytes_of(store, atomic_load(&store->checkpointer.frames));
        const bool too_large = wal_file_bytes(store) > store->config.wal_limit_bytes;
        run_by_itself(store, too_large ? WEIR_CHECKPOINT_TRUNCATE : WEIR_CHECKPOINT_RESTART,
                      gap_for(store, bytes));
    }
    pthread_mutex_unlock(&store->checkpointer.lock);
}

// Nobody has written for a while: the log is emptied.
static void checkpoint_idle(weir_store *store)
{
    pthread_mutex_lock(&store->checkpointer.lock);
    run_by_itself(store, WEIR_CHECKPOINT_TRUNCATE, store->config.reader_gap_ms * WEIR__NS_PER_MS);
    pthread_mutex_unlock(&store->checkpointer.lock);
}

// Whether the log is as it was an idle time ago and not empty. Other processes' commits count too.
static bool is_idle(weir_store *store, weir_wal_index *last)
{
    weir_wal_index now;
    if (!weir__store_sample(store, &now))
        return false;
    const bool same = now.mx_frame == last->mx_frame && memcmp(now.salt, last->salt, sizeof now.salt) == 0;
    *last = now;
    return same && wal_file_bytes(store) > 0;
}

static void watch(weir_store *store)
{
    pthread_mutex_lock(&store->checkpointer.lock);
    watch_log(store);
    pthread_mutex_unlock(&store->checkpointer.lock);
}

static void *checkpoint_main(void *arg)
{
    weir_store *store = arg;
    weir__checkpointer *checkpointer = &store->checkpointer;
    weir_wal_index last = {0};
    const uint64_t idle_ns = store->config.checkpoint_idle_ms * WEIR__NS_PER_MS;
    uint64_t idle_at_ns = weir__clock_now_ns(store->clock) + idle_ns;
    pthread_mutex_lock(&checkpointer->wake_lock);
    while (!checkpointer->stop) {
        const bool due = weir__clock_now_ns(store->clock) >= idle_at_ns;
        if (!checkpointer->wanted && !due) {
            weir__cond_wait_until(store->clock, &checkpointer->wake, &checkpointer->wake_lock, idle_at_ns);
            continue;
        }
        const bool wanted = checkpointer->wanted;
        checkpointer->wanted = false;
        pthread_mutex_unlock(&checkpointer->wake_lock);
        watch(store);
        if (wanted)
            checkpoint_now(store);
        else if (is_idle(store, &last))
            checkpoint_idle(store);
        pthread_mutex_lock(&checkpointer->wake_lock);
        atomic_store(&checkpointer->busy, false);
        pthread_cond_broadcast(&checkpointer->ended);
        if (due)
            idle_at_ns = weir__clock_now_ns(store->clock) + idle_ns;
    }
    pthread_cond_broadcast(&checkpointer->ended);
    pthread_mutex_unlock(&checkpointer->wake_lock);
    return NULL;
}

// ------------------------------------------------------------------------------------------- the log's limit

bool weir__checkpoint_is_behind(const weir_store *store)
{
    const weir__checkpointer *checkpointer = &store->checkpointer;
    if (!atomic_load(&checkpointer->busy))
        return false;
    const uint64_t limit = store->config.wal_limit_bytes;
    const int64_t frames = atomic_load(&checkpointer->frames);
    const uint64_t bytes = bytes_of(store, frames);
    if (bytes < 2 * limit)
        return bytes >= limit / 2;
    return bytes_of(store, frames - atomic_load(&checkpointer->tried)) >= limit / 4;
}

void weir__checkpoint_wait_for_room(weir_store *store)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    if (!weir__checkpoint_is_behind(store))
        return;
    const uint64_t until_ns = weir__clock_now_ns(store->clock) + ROOM_MS * WEIR__NS_PER_MS;
    pthread_mutex_lock(&checkpointer->wake_lock);
    while (weir__checkpoint_is_behind(store) && !checkpointer->stop)
        if (weir__cond_wait_until(store->clock, &checkpointer->ended, &checkpointer->wake_lock, until_ns) ==
            ETIMEDOUT)
            break;
    pthread_mutex_unlock(&checkpointer->wake_lock);
}

// How many jobs like those of the last group, which added `frames`, should make a group.
static void limit_group(weir_store *store, int64_t frames)
{
    const uint64_t jobs = store->writer.group.size;
    if (jobs > 0 && store->writer.group.first->alone)
        return; // not like the others
    const uint64_t share = store->config.wal_limit_bytes / GROUP_LIMIT_SHARE;
    if (jobs > 0)
        store->writer.group_jobs_limit = share / (bytes_of(store, frames) / jobs + 1) + 1;
}

// Nothing is known yet: two pages for each job.
static void limit_first_group(weir_store *store)
{
    store->writer.group_jobs_limit =
        store->config.wal_limit_bytes / GROUP_LIMIT_SHARE / bytes_of(store, 2) + 1;
}

static int64_t frames_between_checkpoints(const weir_store *store)
{
    const uint64_t frame_bytes = WEIR__FRAME_HEADER_BYTES + (uint64_t)store->page_size;
    const uint64_t share = store->config.wal_limit_bytes / BEGIN_LIMIT_SHARE / frame_bytes;
    const uint64_t wanted = store->config.checkpoint_frames;
    return (int64_t)(wanted < share ? wanted : share > 0 ? share : 1);
}

static void note_commit(weir_store *store, int64_t frames)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    const int64_t before = atomic_exchange(&checkpointer->frames, frames);
    if (frames < before) { // the log was started over
        atomic_store(&checkpointer->moved, 0);
        atomic_store(&checkpointer->tried, 0);
    }
    limit_group(store, frames < before ? frames : frames - before);
    const uint64_t bytes = bytes_of(store, frames);
    if (bytes > atomic_load_explicit(&checkpointer->wal_bytes_peak, memory_order_relaxed))
        atomic_store_explicit(&checkpointer->wal_bytes_peak, bytes, memory_order_relaxed);
    if (frames - atomic_load(&checkpointer->tried) < frames_between_checkpoints(store) ||
        atomic_exchange(&checkpointer->busy, true))
        return;
    atomic_store(&checkpointer->tried, frames);
    pthread_mutex_lock(&checkpointer->wake_lock);
    checkpointer->wanted = true;
    pthread_cond_signal(&checkpointer->wake);
    pthread_mutex_unlock(&checkpointer->wake_lock);
}

static int on_commit(void *arg, sqlite3 *db, const char *name, int frames)
{
    (void)db, (void)name;
    note_commit(arg, frames);
    return SQLITE_OK;
}

void weir__checkpoint_init(weir_store *store)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    pthread_mutex_init(&checkpointer->lock, NULL);
    pthread_mutex_init(&checkpointer->wake_lock, NULL);
    weir__cond_init(&checkpointer->wake);
    weir__cond_init(&checkpointer->ended);
}

int weir__checkpoint_start(weir_store *store, weir_error *err)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    if (!store->wal || store->config.read_only)
        return WEIR_OK;
    int code = weir__store_connect(store, WEIR__CONN_SERVICE, &checkpointer->conn, err);
    if (code == WEIR_OK)
        code = weir__store_connect(store, WEIR__CONN_SERVICE, &checkpointer->pin, err);
    if (code != WEIR_OK)
        return code;
    limit_first_group(store);
    sqlite3_busy_handler(checkpointer->conn->db, on_busy, store);
    sqlite3_wal_hook(store->writer.conn->db, on_commit, store);
    code = weir__thread_start(&checkpointer->thread, "weir-checkpoint", checkpoint_main, store, err);
    checkpointer->thread_started = code == WEIR_OK;
    return code;
}

void weir__checkpoint_stop(weir_store *store)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    pthread_mutex_lock(&checkpointer->wake_lock);
    checkpointer->stop = true;
    pthread_cond_signal(&checkpointer->wake);
    pthread_mutex_unlock(&checkpointer->wake_lock);
    if (checkpointer->thread_started)
        pthread_join(checkpointer->thread, NULL);
    checkpointer->thread_started = false;
}

void weir__checkpoint_last(weir_store *store)
{
    if (!store->wal || store->config.read_only)
        return;
    pthread_mutex_lock(&store->checkpointer.lock);
    run_by_itself(store, WEIR_CHECKPOINT_TRUNCATE, 0);
    pthread_mutex_unlock(&store->checkpointer.lock);
}
