// SPDX-License-Identifier: MIT
//
// Durability `interval`: commits at synchronous=NORMAL do not sync; this thread syncs the log at least every
// sync_interval_ms while there is something to sync, and only then acknowledges what asked for DURABLE.
//
// What makes a commit survive a power cut here (measured, and described in docs/durability.md):
//   - the log is synced through a descriptor of our own. That is safe inside a process that has the
//     database open, because SQLite takes no POSIX locks on the -wal, so that closing it drops none;
//   - if the log was restarted since the last sync (its salts changed), the commits before that are in the
//     database file now: a checkpoint at NORMAL syncs it, but another process may run at OFF, so it is
//     synced too, through SQLite's own file, on a connection of this thread: the writer's may be at a long job, or
//     wait for another process;
//   - a new -wal file needs its directory entry synced once;
//   - our descriptor must still be the file that has the name: if not, the store is fenced.
// A failed sync is never tried again: the store is fenced.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/thread.h"
#include "store/store.h"

// Opens the -wal before its first sync. Its name must go on meaning the file that SQLite has open: if it does not,
// somebody removed or replaced the log, and what we would sync is not what SQLite writes.
static int follow_log(weir_store *store, weir_error *err)
{
    weir__syncer *syncer = &store->syncer;
    struct stat opened;
    bool removed = false;
    const int code = weir__store_look_at_log(store, &removed, err);
    if (code != WEIR_OK || syncer->fd >= 0)
        return code;
    syncer->fd = open(store->wal_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (syncer->fd < 0)
        return weir__error_errno(err, errno, "cannot open %s to sync it", store->wal_path);
    if (fstat(syncer->fd, &opened) != 0)
        return weir__error_errno(err, errno, "cannot look at %s", store->wal_path);
    if (!weir__store_is_log(store, &opened))
        return weir__error_set(err, WEIR_IO, "%s was replaced while the store uses it", store->wal_path);
    return WEIR_OK;
}

static int sync_log(weir_store *store, weir_error *err)
{
    weir__syncer *syncer = &store->syncer;
    const int code = follow_log(store, err);
    if (code != WEIR_OK)
        return code;
    if (store->config.sync_delay_us)
        weir__clock_sleep_until(store->clock, weir__clock_now_ns(store->clock) +
                                                  store->config.sync_delay_us * WEIR__NS_PER_US);
    if (fdatasync(syncer->fd) != 0)
        return weir__error_errno(err, errno, "cannot sync %s", store->wal_path);
    if (!syncer->directory_synced) {
        const int rc = weir__fs_sync_parent(store->wal_path, err);
        if (rc != WEIR_OK)
            return rc;
        syncer->directory_synced = true;
    }
    return WEIR_OK;
}

static uint32_t current_salt(weir_store *store)
{
    weir_wal_index index;
    return weir__store_sample(store, &index) ? index.salt[0] : 0;
}

static int sync_all(weir_store *store, weir_error *err)
{
    weir__syncer *syncer = &store->syncer;
    int code = sync_log(store, err);
    const uint32_t salt = current_salt(store); // only now: the log may have started over before its sync
    if (code == WEIR_OK && salt != syncer->log_salt)
        code = weir__conn_sync_database(syncer->conn, err);
    syncer->log_salt = salt;
    return code;
}

static void end_owed(weir_store *store, weir__job_list *owed, const weir_error *why)
{
    weir_error unknown = WEIR_ERROR_INIT;
    if (why)
        weir__error_set(&unknown, WEIR_UNKNOWN,
                        "%s: this write is committed, but whether it is on the disk is known only after the "
                        "store has been "
                        "opened again: %s",
                        store->path, why->text);
    weir__writer_be_inside(true);
    weir__acknowledge(store, owed, why ? &unknown : NULL, &store->syncer.write_ns);
    weir__writer_be_inside(false);
    weir__queue_recycle(store, owed);
}

// One round, with syncer.lock held on entry and exit.
static void sync_round(weir_store *store)
{
    weir__syncer *syncer = &store->syncer;
    weir__job_list owed;
    weir__jobs_init(&owed);
    weir__jobs_append(&owed, &syncer->waiting);
    const uint64_t seq = syncer->committed_seq;
    const bool failed = syncer->failed;
    syncer->dirty = false;
    pthread_mutex_unlock(&syncer->lock);

    weir_error err = WEIR_ERROR_INIT;
    const uint64_t start_ns = weir__clock_now_ns(store->clock);
    // A group may have been committed while the fence waited for the turn: its sync would tell nothing.
    const int code = failed
                         ? weir__error_set(&err, WEIR_FENCED, "an earlier sync of %s failed", store->wal_path)
                         : sync_all(store, &err);
    weir__histogram_record(&syncer->sync_ns, weir__clock_now_ns(store->clock) - start_ns);
    if (code != WEIR_OK)
        weir__writer_fence_in_turn(store, &err);
    end_owed(store, &owed, code == WEIR_OK ? NULL : &err);

    pthread_mutex_lock(&syncer->lock);
    if (code == WEIR_OK)
        syncer->synced_seq = seq;
    else
        syncer->failed = true;
    pthread_cond_broadcast(&syncer->synced);
}

static void *sync_main(void *arg)
{
    weir_store *store = arg;
    weir__syncer *syncer = &store->syncer;
    const uint64_t interval_ns = store->config.sync_interval_ms * WEIR__NS_PER_MS;
    pthread_mutex_lock(&syncer->lock);
    while (!syncer->stop || syncer->dirty) {
        if (!syncer->dirty) {
            weir__cond_wait_until(store->clock, &syncer->wake, &syncer->lock, WEIR__FOREVER);
            continue;
        }
        const uint64_t due_ns = syncer->dirty_since_ns + interval_ns;
        while (!syncer->stop && !syncer->urgent && weir__clock_now_ns(store->clock) < due_ns)
            weir__cond_wait_until(store->clock, &syncer->wake, &syncer->lock, due_ns);
        sync_round(store);
    }
    pthread_mutex_unlock(&syncer->lock);
    return NULL;
}

void weir__sync_committed(weir_store *store, weir__job_list *owed, uint64_t seq)
{
    weir__syncer *syncer = &store->syncer;
    pthread_mutex_lock(&syncer->lock);
    weir__jobs_append(&syncer->waiting, owed);
    syncer->committed_seq = seq;
    if (!syncer->dirty) {
        syncer->dirty = true;
        syncer->dirty_since_ns = weir__clock_now_ns(store->clock);
        pthread_cond_signal(&syncer->wake);
    }
    pthread_mutex_unlock(&syncer->lock);
}

int weir__sync_wait(weir_store *store, uint64_t seq, uint64_t deadline_ns, weir_error *err)
{
    weir__syncer *syncer = &store->syncer;
    int code = WEIR_OK;
    pthread_mutex_lock(&syncer->lock);
    const uint64_t target = seq < syncer->committed_seq ? seq : syncer->committed_seq;
    syncer->urgent++;
    pthread_cond_signal(&syncer->wake);
    while (code == WEIR_OK && syncer->synced_seq < target && !syncer->failed)
        if (weir__cond_wait_until(store->clock, &syncer->synced, &syncer->lock, deadline_ns) == ETIMEDOUT)
            code = weir__error_set(err, WEIR_BUSY, "%s: the log was not synced by the deadline",
                                   store->wal_path);
    if (code == WEIR_OK && syncer->failed)
        code = weir__error_set(err, WEIR_FENCED,
                               "%s: a sync of the log failed; close the store and open it again",
                               store->wal_path);
    syncer->urgent--;
    pthread_mutex_unlock(&syncer->lock);
    return code;
}

void weir__sync_init(weir_store *store)
{
    weir__syncer *syncer = &store->syncer;
    syncer->fd = -1;
    weir__jobs_init(&syncer->waiting);
    pthread_mutex_init(&syncer->lock, NULL);
    weir__cond_init(&syncer->wake);
    weir__cond_init(&syncer->synced);
}

int weir__sync_start(weir_store *store, weir_error *err)
{
    weir__syncer *syncer = &store->syncer;
    if (store->config.durability != WEIR_DURABILITY_INTERVAL || !store->wal || store->config.read_only)
        return WEIR_OK;
    int code = weir__store_connect(store, WEIR__CONN_SERVICE, &syncer->conn, err);
    if (code == WEIR_OK)
        code = weir__thread_start(&syncer->thread, "weir-sync", sync_main, store, err);
    syncer->thread_started = code == WEIR_OK;
    return code;
}

void weir__sync_stop(weir_store *store)
{
    weir__syncer *syncer = &store->syncer;
    pthread_mutex_lock(&syncer->lock);
    syncer->stop = true;
    pthread_cond_signal(&syncer->wake);
    pthread_mutex_unlock(&syncer->lock);
    if (syncer->thread_started)
        pthread_join(syncer->thread, NULL);
    syncer->thread_started = false;
    weir__conn_close(syncer->conn);
    syncer->conn = NULL;
    if (syncer->fd >= 0)
        close(syncer->fd);
    syncer->fd = -1;
}
