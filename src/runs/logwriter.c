// SPDX-License-Identifier: MIT
//
// The log writer. A file is in at most one of three queues: `urgent` (a flush waits, or many bytes), `lazy`
// (lines wait, first come first served, each until its linger is over) and `failing` (tried again after a
// pause). Lazy and failing entries wait equally long, so their queues are in order of time. A thread takes a
// file out of its queue, marks it busy, swaps its pending text against an empty one and works without the
// lock; a busy file goes back into a queue only when the thread is done with it. So lines of a file stay in
// order, and files are synced side by side.
//
// Descriptors are a cache: at files_max the file that was used longest ago and is not busy gives up its own.
// A sync through a descriptor opened later covers what was written through an earlier one.
//
// Locks: one, `lock`, over everything that changes; never held across a call of ops or wake.
#include "runs/logwriter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "runs/runs.h"

enum {
    threads_count = 4,
    linger_ms = 50,
    urgent_bytes = 64 * 1024,
    keep_bytes = 64 * 1024,
};

typedef enum file_queue { QUEUE_NONE, QUEUE_URGENT, QUEUE_LAZY, QUEUE_FAILING } file_queue;

struct weir__log_file {
    weir__logs *logs;
    char *execution_id;
    char *name;
    void *owner;

    // Under logs->lock.
    weir__text pending; // lines that no thread has taken yet
    uint64_t pending_lines;
    file_queue queue;
    uint64_t due_ns; // in the lazy and failing queues
    bool busy;       // a thread has it: `writing`, `fd` and `unsynced_name` are that thread's
    bool closed;     // freed when nothing is left to write
    bool flush_wanted, flushed;
    bool has_progress; // in logs->progress
    uint64_t lines, bytes;
    weir_error error;
    TAILQ_ENTRY(weir__log_file) queue_link, progress_link, open_link;

    weir__text writing; // taken from pending; from `offset` on not in the file yet
    size_t offset;
    uint64_t writing_lines;
    int fd;             // -1: none
    bool unsynced_name; // created, and its directory not synced since
    bool created;
};

TAILQ_HEAD(file_list, weir__log_file);

struct weir__logs {
    weir__logs_options options;
    pthread_t threads[threads_count];
    size_t threads_started;

    pthread_mutex_t lock;
    pthread_cond_t work;               // under lock: a queue changed, or closing
    struct file_list queues[4];        // under lock: by file_queue
    struct file_list progress;         // under lock
    struct file_list open;             // under lock: idle files with a descriptor, used longest ago first
    uint32_t open_count;               // under lock: descriptors, those of busy files too
    size_t files;                      // under lock: all there are
    size_t failing;                    // under lock: of these, in QUEUE_FAILING
    uint64_t pending_bytes;            // under lock
    uint64_t lost_bytes;               // under lock
    weir_error last_error, lost_error; // under lock
    bool closing;                      // under lock
};

// ------------------------------------------------------------------------------------------------ queues

static void queue_remove(weir__log_file *file)
{
    if (file->queue == QUEUE_NONE)
        return;
    TAILQ_REMOVE(&file->logs->queues[file->queue], file, queue_link);
    if (file->queue == QUEUE_FAILING)
        file->logs->failing--;
    file->queue = QUEUE_NONE;
}

static void queue_put(weir__log_file *file, file_queue queue)
{
    queue_remove(file);
    const uint64_t wait_ms = queue == QUEUE_FAILING ? file->logs->options.retry_ms : (uint64_t)linger_ms;
    file->due_ns = weir__clock_now_ns(weir__clock_system()) + wait_ms * WEIR__NS_PER_MS;
    file->queue = queue;
    TAILQ_INSERT_TAIL(&file->logs->queues[queue], file, queue_link);
    if (queue == QUEUE_FAILING)
        file->logs->failing++;
    pthread_cond_signal(&file->logs->work);
}

// Queues a file that has something to do, unless a thread has it or it waits after a failure.
static void queue_as_needed(weir__log_file *file)
{
    if (file->busy || (file->queue == QUEUE_FAILING && !file->flush_wanted))
        return;
    const bool urgent = file->flush_wanted || file->closed || file->pending.size >= urgent_bytes;
    const bool dirty = file->pending.size > 0 || file->writing.size > 0;
    if (urgent && (dirty || file->flush_wanted) && file->queue != QUEUE_URGENT)
        queue_put(file, QUEUE_URGENT);
    else if (dirty && file->queue == QUEUE_NONE)
        queue_put(file, QUEUE_LAZY);
}

// The file to work on now, or NULL and the time to look again.
static weir__log_file *queue_take(weir__logs *logs, uint64_t *wait_until_ns)
{
    static const file_queue order[] = {QUEUE_URGENT, QUEUE_LAZY, QUEUE_FAILING};
    const uint64_t now_ns = weir__clock_now_ns(weir__clock_system());
    *wait_until_ns = WEIR__FOREVER;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        weir__log_file *const file = TAILQ_FIRST(&logs->queues[order[i]]);
        if (file == NULL)
            continue;
        if (order[i] == QUEUE_URGENT || logs->closing || file->due_ns <= now_ns) {
            queue_remove(file);
            return file;
        }
        if (file->due_ns < *wait_until_ns)
            *wait_until_ns = file->due_ns;
    }
    return NULL;
}

// ------------------------------------------------------------------------------------- work on one file

static void descriptor_close(weir__log_file *file)
{
    if (file->fd < 0)
        return;
    (void)close(file->fd);
    file->fd = -1;
    file->logs->open_count--;
}

// Keeps room for one more descriptor.
static void descriptors_trim(weir__logs *logs)
{
    while (logs->open_count >= logs->options.files_max && !TAILQ_EMPTY(&logs->open)) {
        weir__log_file *const oldest = TAILQ_FIRST(&logs->open);
        TAILQ_REMOVE(&logs->open, oldest, open_link);
        descriptor_close(oldest);
    }
}

static int file_open(weir__log_file *file, weir_error *err)
{
    const weir__logs_ops *const ops = &file->logs->options.ops;
    if (file->fd >= 0)
        return WEIR_OK;
    const int rc = ops->open(ops->context, file->execution_id, file->name, &file->fd, err);
    if (rc != WEIR_OK) {
        file->fd = -1;
        return rc;
    }
    file->unsynced_name = file->unsynced_name || !file->created;
    file->created = true;
    pthread_mutex_lock(&file->logs->lock);
    file->logs->open_count++;
    pthread_mutex_unlock(&file->logs->lock);
    return WEIR_OK;
}

static int file_write(weir__log_file *file, weir_error *err)
{
    const weir__logs_ops *const ops = &file->logs->options.ops;
    while (file->offset < file->writing.size) {
        const ssize_t written =
            ops->write(file->fd, file->writing.data + file->offset, file->writing.size - file->offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return weir__error_errno(err, written < 0 ? errno : ENOSPC,
                                     "cannot write executions/%s/%s; its lines are kept in memory",
                                     file->execution_id, file->name);
        file->offset += (size_t)written;
    }
    return WEIR_OK;
}

static int file_sync(weir__log_file *file, weir_error *err)
{
    const weir__logs_ops *const ops = &file->logs->options.ops;
    if (!file->created && file->fd < 0)
        return WEIR_OK; // there was never a line
    if (ops->sync(file->fd) != 0)
        return weir__error_errno(err, errno, "cannot sync executions/%s/%s", file->execution_id, file->name);
    if (!file->unsynced_name)
        return WEIR_OK;
    const int rc = ops->sync_dir(ops->context, file->execution_id, err);
    file->unsynced_name = rc != WEIR_OK;
    return rc;
}

// Without the lock, on a busy file.
static int file_work(weir__log_file *file, bool sync, weir_error *err)
{
    int rc = WEIR_OK;
    if (file->offset < file->writing.size || (sync && file->created))
        rc = file_open(file, err);
    if (rc == WEIR_OK)
        rc = file_write(file, err);
    if (rc == WEIR_OK && sync)
        rc = file_sync(file, err);
    return rc;
}

static void file_free(weir__log_file *file)
{
    weir__text_free(&file->pending);
    weir__text_free(&file->writing);
    free(file->execution_id);
    free(file->name);
    free(file);
}

static void progress_remove(weir__log_file *file)
{
    if (file->has_progress)
        TAILQ_REMOVE(&file->logs->progress, file, progress_link);
    file->has_progress = false;
}

static void progress_note(weir__log_file *file)
{
    if (file->closed || file->has_progress)
        return;
    file->has_progress = true;
    TAILQ_INSERT_TAIL(&file->logs->progress, file, progress_link);
}

// What a closing writer could not write.
static void give_up(weir__log_file *file)
{
    weir__logs *const logs = file->logs;
    const uint64_t bytes = file->pending.size + file->writing.size - file->offset;
    logs->lost_bytes += bytes;
    logs->pending_bytes -= bytes;
    logs->lost_error = file->error;
    weir__log(WEIR__LOG_ERROR, "%zu bytes of log lines are lost: %s", (size_t)bytes, file->error.text);
    weir__text_free(&file->pending);
    weir__text_free(&file->writing);
    file->offset = 0;
}

static void file_forget(weir__log_file *file)
{
    weir__logs *const logs = file->logs;
    queue_remove(file);
    progress_remove(file);
    descriptor_close(file);
    logs->files--;
    if (logs->files == 0)
        pthread_cond_broadcast(&logs->work);
    file_free(file);
}

// Puts the outcome of file_work into the books. Under the lock; may free the file.
static void file_settle(weir__log_file *file, size_t offset_before, bool sync, int rc, const weir_error *err)
{
    weir__logs *const logs = file->logs;
    const size_t written = file->offset - offset_before;
    logs->pending_bytes -= written;
    file->bytes += written;
    if (file->offset == file->writing.size) {
        file->lines += file->writing_lines;
        file->writing_lines = 0;
        file->offset = 0;
        weir__text_clear(&file->writing);
        if (file->writing.capacity > keep_bytes)
            weir__text_free(&file->writing);
    }
    if (rc != WEIR_OK)
        logs->last_error = file->error = *err;
    if (sync) {
        file->flush_wanted = false;
        file->flushed = true;
        if (rc == WEIR_OK)
            file->error = (weir_error){0};
    }
    progress_note(file);
    file->busy = false;
    if (file->fd >= 0)
        TAILQ_INSERT_TAIL(&logs->open, file, open_link);
    const bool dirty = file->pending.size > 0 || file->writing.size > 0;
    if (rc != WEIR_OK && dirty && logs->closing)
        give_up(file);
    else if (rc != WEIR_OK && dirty && !file->flush_wanted)
        queue_put(file, QUEUE_FAILING);
    else
        queue_as_needed(file);
    if (file->closed && file->pending.size == 0 && file->writing.size == 0) {
        if (file->fd >= 0)
            TAILQ_REMOVE(&logs->open, file, open_link);
        file_forget(file);
    }
}

// Takes a file through one round. Enters and leaves with the lock held.
static void file_round(weir__log_file *file)
{
    weir__logs *const logs = file->logs;
    WEIR_ASSERT(!file->busy);
    file->busy = true;
    if (file->fd >= 0)
        TAILQ_REMOVE(&logs->open, file, open_link);
    else
        descriptors_trim(logs);
    if (file->writing.size == 0) {
        const weir__text empty = file->writing;
        file->writing = file->pending;
        file->pending = empty;
        file->writing_lines = file->pending_lines;
        file->pending_lines = 0;
    }
    // A flush covers what was appended before it; what is pending behind a failed write is not in reach yet.
    const bool wanted = file->flush_wanted;
    const bool sync = wanted && file->pending.size == 0;
    const size_t offset_before = file->offset;
    pthread_mutex_unlock(&logs->lock);

    weir_error err = WEIR_ERROR_INIT;
    const int rc = file_work(file, sync, &err);

    pthread_mutex_lock(&logs->lock);
    // A flush whose lines cannot even be written has failed too, unless it was asked for only meanwhile.
    file_settle(file, offset_before, sync || (rc != WEIR_OK && wanted), rc, &err);
}

static void *thread_main(void *argument)
{
    weir__logs *const logs = argument;
    pthread_mutex_lock(&logs->lock);
    for (;;) {
        uint64_t wait_until_ns = 0;
        weir__log_file *const file = queue_take(logs, &wait_until_ns);
        if (file != NULL) {
            file_round(file);
            pthread_mutex_unlock(&logs->lock);
            logs->options.wake(logs->options.wake_context);
            pthread_mutex_lock(&logs->lock);
        } else if (logs->closing && logs->files == 0) {
            break;
        } else {
            (void)weir__cond_wait_until(weir__clock_system(), &logs->work, &logs->lock, wait_until_ns);
        }
    }
    pthread_mutex_unlock(&logs->lock);
    return NULL;
}

// ------------------------------------------------------------------------------------------- the writer

static void set_defaults(weir__logs_options *options)
{
    if (options->ops.write == NULL)
        options->ops.write = write;
    if (options->ops.sync == NULL)
        options->ops.sync = fdatasync;
    if (options->file_bytes_max == 0)
        options->file_bytes_max = (size_t)1024 * 1024;
    if (options->total_bytes_max == 0)
        options->total_bytes_max = (size_t)64 * 1024 * 1024;
    if (options->files_max == 0)
        options->files_max = 256;
    if (options->retry_ms == 0)
        options->retry_ms = 500;
}

int weir__logs_open(const weir__logs_options *options, weir__logs **out, weir_error *err)
{
    *out = NULL;
    weir__logs *const logs = calloc(1, sizeof *logs);
    if (logs == NULL)
        return weir__no_memory(err);
    logs->options = *options;
    set_defaults(&logs->options);
    pthread_mutex_init(&logs->lock, NULL);
    weir__cond_init(&logs->work);
    for (size_t i = 0; i < sizeof logs->queues / sizeof *logs->queues; i++)
        TAILQ_INIT(&logs->queues[i]);
    TAILQ_INIT(&logs->progress);
    TAILQ_INIT(&logs->open);
    for (size_t i = 0; i < threads_count; i++) {
        const int rc = weir__thread_start(&logs->threads[i], "weir-logs", thread_main, logs, err);
        if (rc != WEIR_OK) {
            (void)weir__logs_close(logs, NULL);
            return rc;
        }
        logs->threads_started++;
    }
    *out = logs;
    return WEIR_OK;
}

int weir__logs_close(weir__logs *logs, weir_error *err)
{
    pthread_mutex_lock(&logs->lock);
    logs->closing = true;
    pthread_cond_broadcast(&logs->work);
    pthread_mutex_unlock(&logs->lock);
    for (size_t i = 0; i < logs->threads_started; i++)
        pthread_join(logs->threads[i], NULL);
    WEIR_ASSERT(logs->files == 0);
    int rc = WEIR_OK;
    if (logs->lost_bytes > 0)
        rc = weir__error_set(err, logs->lost_error.code, "%zu bytes of log lines could not be written: %s",
                             (size_t)logs->lost_bytes, logs->lost_error.text);
    pthread_cond_destroy(&logs->work);
    pthread_mutex_destroy(&logs->lock);
    free(logs);
    return rc;
}

void weir__logs_status_read(weir__logs *logs, weir__logs_status *status)
{
    pthread_mutex_lock(&logs->lock);
    *status = (weir__logs_status){
        .pending_bytes = logs->pending_bytes,
        .failing_files = logs->failing,
        .lost_bytes = logs->lost_bytes,
        .last_error = logs->last_error,
    };
    pthread_mutex_unlock(&logs->lock);
}

// -------------------------------------------------------------------------------------------- the files

int weir__log_file_open(weir__logs *logs, const char *execution_id, const char *name, void *owner,
                        weir__log_file **out, weir_error *err)
{
    *out = NULL;
    weir__log_file *const file = calloc(1, sizeof *file);
    if (file == NULL)
        return weir__no_memory(err);
    file->logs = logs;
    file->owner = owner;
    file->fd = -1;
    file->execution_id = strdup(execution_id);
    file->name = strdup(name);
    if (file->execution_id == NULL || file->name == NULL) {
        file_free(file);
        return weir__no_memory(err);
    }
    pthread_mutex_lock(&logs->lock);
    logs->files++;
    pthread_mutex_unlock(&logs->lock);
    *out = file;
    return WEIR_OK;
}

int weir__log_file_append(weir__log_file *file, weir_local_us time, weir__span line, weir_error *err)
{
    weir__logs *const logs = file->logs;
    int rc = WEIR_OK;
    pthread_mutex_lock(&logs->lock);
    WEIR_ASSERT(!file->closed);
    const size_t before = file->pending.size;
    weir__log_format(&file->pending, time, line.data, line.size);
    if (file->pending.failed) {
        // Forget the part of the line, keep those before it.
        file->pending.failed = false;
        file->pending.size = before;
        if (file->pending.data != NULL)
            file->pending.data[before] = '\0';
        logs->lost_bytes += line.size;
        rc = weir__no_memory(&logs->lost_error);
        weir__error_copy(err, &logs->lost_error);
    } else {
        logs->pending_bytes += file->pending.size - before;
        file->pending_lines++;
        queue_as_needed(file);
    }
    pthread_mutex_unlock(&logs->lock);
    return rc;
}

bool weir__log_file_is_full(const weir__log_file *file)
{
    weir__logs *const logs = file->logs;
    pthread_mutex_lock(&logs->lock);
    const bool full = file->pending.size >= logs->options.file_bytes_max ||
                      logs->pending_bytes >= logs->options.total_bytes_max;
    pthread_mutex_unlock(&logs->lock);
    return full;
}

void weir__log_file_flush(weir__log_file *file)
{
    pthread_mutex_lock(&file->logs->lock);
    file->flush_wanted = true;
    file->flushed = false;
    queue_as_needed(file);
    pthread_mutex_unlock(&file->logs->lock);
}

void weir__log_file_close(weir__log_file *file)
{
    if (file == NULL)
        return;
    weir__logs *const logs = file->logs;
    pthread_mutex_lock(&logs->lock);
    progress_remove(file);
    file->closed = true;
    file->flush_wanted = false;
    if (file->busy) {
        // The thread that has it frees it.
    } else if (file->pending.size > 0 || file->writing.size > 0) {
        queue_as_needed(file);
    } else {
        if (file->fd >= 0)
            TAILQ_REMOVE(&logs->open, file, open_link);
        file_forget(file);
    }
    pthread_mutex_unlock(&logs->lock);
}

bool weir__logs_next_progress(weir__logs *logs, weir__log_progress *progress)
{
    pthread_mutex_lock(&logs->lock);
    weir__log_file *const file = TAILQ_FIRST(&logs->progress);
    if (file != NULL) {
        progress_remove(file);
        *progress = (weir__log_progress){.owner = file->owner,
                                         .lines = file->lines,
                                         .bytes = file->bytes,
                                         .flushed = file->flushed,
                                         .error = file->flushed ? file->error : (weir_error){0}};
        file->flushed = false;
    }
    pthread_mutex_unlock(&logs->lock);
    return file != NULL;
}
