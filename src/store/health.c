// SPDX-License-Identifier: MIT
//
// Health: findings with what was seen, what it means and what to do. One list for the command, the server and
// the dashboard. Each check is a function that adds at most one finding; a new check is a new line in CHECKS.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/store.h"

enum {
    FINDINGS_MAX = 32,
    QUEUE_FULL_SHARE = 2, // a queue fuller than this part is worth a word
    OLD_READER_FRAMES = 1000,
};

typedef struct checkup {
    weir_store *store;
    weir_stats stats;
    weir_finding findings[FINDINGS_MAX];
    size_t size;
} checkup;

static weir_finding *add(checkup *c, weir_severity severity, const char *name, const char *meaning,
                         const char *remedy)
{
    weir_finding *finding = &c->findings[c->size < FINDINGS_MAX ? c->size++ : FINDINGS_MAX - 1];
    memset(finding, 0, sizeof *finding);
    finding->severity = severity;
    finding->name = name;
    snprintf(finding->meaning, sizeof finding->meaning, "%s", meaning);
    snprintf(finding->remedy, sizeof finding->remedy, "%s", remedy);
    return finding;
}

static void __attribute__((format(printf, 2, 3))) seen(weir_finding *finding, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(finding->seen, sizeof finding->seen, format, args);
    va_end(args);
}

static void check_fence(checkup *c)
{
    pthread_mutex_lock(&c->store->queue.lock);
    const weir_error fence = c->store->queue.fence;
    pthread_mutex_unlock(&c->store->queue.lock);
    if (fence.code)
        seen(add(c, WEIR_SEVERITY_ERROR, "fenced",
                 "The disk could not be made to keep what was written, or the log has lost its name; a "
                 "second try "
                 "would tell nothing.",
                 "Look at the disk, the kernel's log and who touches these files, then close the store and "
                 "open it again: it recovers "
                 "from the log."),
             "%.250s", fence.text);
}

static void check_commits(checkup *c)
{
    pthread_mutex_lock(&c->store->queue.lock);
    const weir_error why = c->store->queue.commit_error;
    const weir_error lost = c->store->queue.lost;
    const bool fenced = c->store->queue.fence.code != 0;
    pthread_mutex_unlock(&c->store->queue.lock);
    if (lost.code)
        seen(add(c, WEIR_SEVERITY_ERROR, "applied-lost",
                 "Writes that were acknowledged as applied are not in the database.",
                 "Use COMMITTED or DURABLE acknowledgements for data that must not be lost."),
             "%.250s", lost.text);
    if (why.code && !fenced)
        seen(add(c, why.code == WEIR_BUSY ? WEIR_SEVERITY_WARNING : WEIR_SEVERITY_ERROR, "commit-failing",
                 "Commits fail at present; they are tried again until each write's deadline.",
                 why.code == WEIR_FULL   ? "Free space on the file system."
                 : why.code == WEIR_BUSY ? "End or shorten the other process's write transaction."
                                         : "Look at the disk and the kernel's log."),
             "%.250s", why.text);
}

static void check_log_size(checkup *c)
{
    const weir_config *config = &c->store->config;
    const uint64_t bytes = c->stats.wal_bytes;
    if (bytes <= config->wal_warning_bytes)
        return;
    const bool large = bytes > config->wal_error_bytes;
    weir_finding *finding =
        add(c, large ? WEIR_SEVERITY_ERROR : WEIR_SEVERITY_WARNING, "wal-large",
            "A large log makes every read slower, and opening after a crash.",
            c->stats.wal_pinned
                ? "End the oldest read, or give reads a shorter deadline."
                : "Find out what keeps checkpoints from finishing: see the last checkpoint's reason.");
    seen(finding, "the log has %llu bytes, of %lld frames %lld are moved and %lld pinned%s%.120s",
         (unsigned long long)bytes, (long long)c->stats.wal_frames, (long long)c->stats.wal_moved,
         (long long)c->stats.wal_pinned, c->stats.last_checkpoint.why[0] ? "; " : "",
         c->stats.last_checkpoint.why);
}

static void check_readers(checkup *c)
{
    weir_reader_info oldest;
    if (weir_readers(c->store, &oldest, 1) == 0 || oldest.pinned_frames < OLD_READER_FRAMES)
        return;
    seen(add(c, WEIR_SEVERITY_WARNING, "reader-old",
             "The frames after its snapshot cannot be moved, so the log grows.",
             "Close the snapshot, read in smaller pieces, or give the read a shorter deadline."),
         "read %llu (%s) is %llu ms old and pins %lld frames: %.120s", (unsigned long long)oldest.id,
         oldest.label, (unsigned long long)(oldest.age_ns / WEIR__NS_PER_MS), (long long)oldest.pinned_frames,
         oldest.sql);
}

static void check_queue(checkup *c)
{
    const uint64_t most = c->store->config.queue_jobs_max;
    pthread_mutex_lock(&c->store->queue.lock);
    const uint64_t held = c->store->queue.held; // those of the group that waits for its commit included
    pthread_mutex_unlock(&c->store->queue.lock);
    if (held <= most / QUEUE_FULL_SHARE)
        return;
    seen(add(c, WEIR_SEVERITY_WARNING, "queue-long", "Writes come in faster than the disk takes them.",
             "Slow the writers down, put more into each job, or use a faster disk."),
         "%llu of %llu jobs wait; the median commit takes %llu us", (unsigned long long)held,
         (unsigned long long)most, (unsigned long long)(c->stats.commit_ns.p50 / WEIR__NS_PER_US));
}

static void check_place(checkup *c)
{
    if (c->stats.degraded)
        seen(add(c, WEIR_SEVERITY_WARNING, "degraded",
                 "There is no write-ahead log: reads and writes take turns, and every commit costs more.",
                 c->store->memory ? "Open a database in a file." : "Move the database to a local disk."),
             "%.250s", c->store->degraded);
    if (c->store->fs_kind.fs_class == WEIR__FS_MEMORY)
        seen(add(c, WEIR_SEVERITY_WARNING, "memory-file-system",
                 "A restart of the machine takes the database with it.", "Move the database to a disk."),
             "the file system is %s", c->store->fs_kind.name);
    if (c->store->hot_journal)
        seen(add(c, WEIR_SEVERITY_INFO, "hot-journal",
                 "A writer died in a transaction; SQLite rolled it back at opening.", "Nothing."),
             "a rollback journal was found at opening");
}

static void check_policy(checkup *c)
{
    const weir_durability policy = c->store->config.durability;
    if (policy != WEIR_DURABILITY_NORMAL && policy != WEIR_DURABILITY_OFF)
        return;
    seen(add(c, policy == WEIR_DURABILITY_OFF ? WEIR_SEVERITY_WARNING : WEIR_SEVERITY_INFO, "not-durable",
             policy == WEIR_DURABILITY_OFF ? "A power cut can take anything, the file included."
                                           : "A power cut can take everything since the last checkpoint.",
             "Use the durability policy full: with group commit it costs little."),
         "the durability policy is %s", c->stats.durability);
}

static void check_library(checkup *c)
{
    weir_version_info version;
    weir_version(&version);
    if (version.has_wal_reset_fix || !c->store->wal)
        return;
    seen(add(c, WEIR_SEVERITY_INFO, "wal-reset-bug",
             "This SQLite can lose pages when a checkpoint overlaps commits. Weir's own checkpoints run so "
             "that it cannot "
             "happen; those of other programs do not.",
             "Have SQLite updated to 3.51.3 or later, and turn off automatic checkpoints in other programs "
             "on this file."),
         "SQLite %s is loaded", version.sqlite);
}

static int by_severity(const void *a, const void *b)
{
    return (int)((const weir_finding *)b)->severity - (int)((const weir_finding *)a)->severity;
}

size_t weir_health(weir_store *store, weir_finding *findings, size_t size)
{
    static void (*const CHECKS[])(checkup *) = {check_fence, check_commits, check_log_size, check_readers,
                                                check_queue, check_place,   check_policy,   check_library};
    if (weir__store_enter(store, true, NULL) != WEIR_OK)
        return 0;
    checkup *c = calloc(1, sizeof *c);
    if (!c) {
        weir__store_leave(store);
        return 0;
    }
    c->store = store;
    size_t found = 0;
    if (weir_stats_read(store, &c->stats, NULL) == WEIR_OK) {
        for (size_t i = 0; i < sizeof CHECKS / sizeof CHECKS[0]; i++)
            CHECKS[i](c);
        qsort(c->findings, c->size, sizeof c->findings[0], by_severity);
        found = c->size;
        if (size > 0)
            memcpy(findings, c->findings, (found < size ? found : size) * sizeof *findings);
    }
    free(c);
    weir__store_leave(store);
    return found;
}
