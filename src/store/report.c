// SPDX-License-Identifier: MIT
//
// What a store says of itself: statistics, open snapshots, health. Readers of these take only leaf locks for
// a few instructions and read atomics, so polling at 10 Hz costs a store under full load nothing that can be
// measured.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "store/store.h"

static const char *const DURABILITY_NAMES[] = {"full", "interval", "normal", "off"};
static const char *const MODE_NAMES[] = {"passive", "full", "restart", "truncate"};
static const char *const BLOCKER_NAMES[] = {"none",         "reader", "outside-reader", "writer",
                                            "checkpointer", "writes", "error"};

static weir_latency latency_of(const weir__histogram_snapshot *snapshot)
{
    return (weir_latency){
        .count = snapshot->count,
        .sum = snapshot->sum,
        .p50 = weir__histogram_quantile(snapshot, 0.50),
        .p99 = weir__histogram_quantile(snapshot, 0.99),
        .p999 = weir__histogram_quantile(snapshot, 0.999),
        .max = snapshot->max,
    };
}

static weir_latency latency(const weir__histogram *histogram)
{
    weir__histogram_snapshot snapshot;
    weir__histogram_take(histogram, &snapshot);
    return latency_of(&snapshot);
}

static weir_latency latency_of_two(const weir__histogram *first, const weir__histogram *second)
{
    weir__histogram *both = calloc(1, sizeof *both);
    if (!both)
        return latency(first);
    weir__histogram_merge(both, first);
    weir__histogram_merge(both, second);
    const weir_latency sum = latency(both);
    free(both);
    return sum;
}

static uint64_t bytes_of_file(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
}

static void read_queue(weir_store *store, weir_stats *stats)
{
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    stats->queue_jobs = queue->jobs.size;
    stats->queue_jobs_peak = queue->jobs_peak;
    stats->queue_bytes = queue->bytes;
    stats->queue_full = queue->full_count;
    const bool stopped = queue->stop;
    pthread_mutex_unlock(&queue->lock);
    stats->state = stopped ? "closed" : weir__writer_state_name(store);
}

static void read_writer(weir_store *store, weir_stats *stats)
{
    weir__writer *writer = &store->writer;
    stats->jobs_submitted = atomic_load(&writer->jobs_submitted);
    stats->jobs_done = atomic_load(&writer->jobs_done);
    stats->jobs_failed = atomic_load(&writer->jobs_failed);
    stats->acks_durable = atomic_load(&writer->acks[WEIR_ACK_DURABLE]);
    stats->acks_committed = atomic_load(&writer->acks[WEIR_ACK_COMMITTED]);
    stats->acks_applied = atomic_load(&writer->acks[WEIR_ACK_APPLIED]);
    stats->groups = atomic_load(&writer->groups);
    stats->retries = atomic_load(&writer->retries);
    stats->replays = atomic_load(&writer->replays);
    stats->applied_pending = atomic_load(&writer->applied_pending);
    stats->group_jobs = latency(&writer->group_jobs);
    stats->commit_ns = latency(&writer->commit_ns);
    const bool interval = store->config.durability == WEIR_DURABILITY_INTERVAL;
    stats->write_ns =
        interval ? latency_of_two(&writer->write_ns, &store->syncer.write_ns) : latency(&writer->write_ns);
    weir__histogram_snapshot syncs;
    weir__vfs_sync_histogram(store->vfs, store->wal ? WEIR__VFS_WAL : WEIR__VFS_JOURNAL, &syncs);
    stats->sync_ns = interval ? latency(&store->syncer.sync_ns) : latency_of(&syncs);
}

static void read_pool(weir_store *store, weir_stats *stats)
{
    weir__pool *pool = &store->pool;
    pthread_mutex_lock(&pool->lock);
    stats->reads = pool->reads;
    stats->reads_expired = pool->expired;
    stats->reads_waited = pool->waited;
    stats->readers_size = pool->size;
    stats->readers_open = pool->open_size;
    stats->reader_gaps = pool->gap_count;
    for (uint32_t i = 0; i < pool->size; i++) {
        stats->statements_hit += atomic_load_explicit(&pool->slots[i].conn->hits, memory_order_relaxed);
        stats->statements_missed += atomic_load_explicit(&pool->slots[i].conn->misses, memory_order_relaxed);
    }
    pthread_mutex_unlock(&pool->lock);
    stats->read_ns = latency(&pool->read_ns);
    if (store->wal) {
        stats->statements_hit += atomic_load_explicit(&store->writer.conn->hits, memory_order_relaxed);
        stats->statements_missed += atomic_load_explicit(&store->writer.conn->misses, memory_order_relaxed);
    }
}

// Frames committed after the oldest snapshot.
static int64_t pinned_frames(weir_store *store, const weir_wal_index *index)
{
    weir__pool *pool = &store->pool;
    int64_t pinned = 0;
    pthread_mutex_lock(&pool->lock);
    for (const weir_snapshot *snapshot = pool->open.next; snapshot != &pool->open; snapshot = snapshot->next)
        if (weir__snapshot_pins(snapshot, index) > pinned)
            pinned = weir__snapshot_pins(snapshot, index);
    pthread_mutex_unlock(&pool->lock);
    return pinned;
}

static void read_log(weir_store *store, weir_stats *stats)
{
    weir__checkpointer *checkpointer = &store->checkpointer;
    weir_wal_index index;
    if (weir__store_sample(store, &index)) {
        stats->wal_frames = (int64_t)index.mx_frame;
        stats->wal_moved = (int64_t)(index.n_backfill < index.mx_frame ? index.n_backfill : index.mx_frame);
        stats->wal_pinned = pinned_frames(store, &index);
    }
    if (!store->memory) {
        stats->database_bytes = bytes_of_file(store->path);
        stats->wal_bytes = bytes_of_file(store->wal_path);
        stats->shm_bytes = bytes_of_file(store->shm_path);
    }
    const uint64_t peak = atomic_load(&checkpointer->wal_bytes_peak);
    stats->wal_bytes_peak = peak > stats->wal_bytes ? peak : stats->wal_bytes;
    pthread_mutex_lock(&checkpointer->wake_lock);
    memcpy(stats->checkpoints, checkpointer->complete, sizeof stats->checkpoints);
    memcpy(stats->checkpoints_short, checkpointer->stopped_short, sizeof stats->checkpoints_short);
    stats->checkpoints_skipped = checkpointer->skipped;
    stats->last_checkpoint = checkpointer->last;
    pthread_mutex_unlock(&checkpointer->wake_lock);
    stats->checkpoint_ns = latency(&checkpointer->time_ns);
}

int weir_stats_read(weir_store *store, weir_stats *stats, weir_error *err)
{
    memset(stats, 0, sizeof *stats);
    const int code = weir__store_enter(store, true, err);
    if (code != WEIR_OK)
        return code;
    stats->durability = store->memory ? "off" : DURABILITY_NAMES[store->config.durability];
    stats->journal = store->memory ? "memory" : store->wal ? "wal" : "delete";
    stats->degraded = store->degraded[0] != '\0';
    stats->read_only = store->config.read_only;
    read_queue(store, stats);
    read_writer(store, stats);
    read_pool(store, stats);
    read_log(store, stats);
    weir__store_leave(store);
    return WEIR_OK;
}

// ----------------------------------------------------------------------------------------- open snapshots

static void describe_reader(weir_store *store, const weir_snapshot *snapshot, const weir_wal_index *index,
                            uint64_t now_ns, weir_reader_info *info)
{
    memset(info, 0, sizeof *info);
    info->id = snapshot->id;
    info->age_ns = now_ns > snapshot->opened_ns && snapshot->opened_ns ? now_ns - snapshot->opened_ns : 0;
    info->pinned_frames = weir__snapshot_pins(snapshot, index);
    info->deadline_left_ms = WEIR_NO_DEADLINE;
    if (snapshot->deadline_ns != WEIR__FOREVER)
        info->deadline_left_ms = snapshot->deadline_ns > now_ns
                                     ? (uint32_t)((snapshot->deadline_ns - now_ns) / WEIR__NS_PER_MS)
                                     : 0;
    const char *label = snapshot->label ? snapshot->label : "";
    weir__utf8_sanitize(info->label, sizeof info->label, label, strlen(label));
    weir__conn_sql(snapshot->conn, info->sql, sizeof info->sql);
    (void)store;
}

size_t weir_readers(weir_store *store, weir_reader_info *readers, size_t size)
{
    if (weir__store_enter(store, true, NULL) != WEIR_OK)
        return 0;
    weir__pool *pool = &store->pool;
    weir_wal_index index;
    if (!weir__store_sample(store, &index))
        memset(&index, 0, sizeof index);
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    size_t count = 0;
    pthread_mutex_lock(&pool->lock);
    for (const weir_snapshot *snapshot = pool->open.next; snapshot != &pool->open;
         snapshot = snapshot->next, count++)
        if (count < size)
            describe_reader(store, snapshot, &index, now_ns, &readers[count]);
    pthread_mutex_unlock(&pool->lock);
    weir__store_leave(store);
    return count;
}

// -------------------------------------------------------------------------------------------------- JSON

static void add_string(weir__text *text, const char *name, const char *value)
{
    weir__text_printf(text, "\"%s\":", name);
    weir__text_json_string(text, value, strlen(value));
    weir__text_char(text, ',');
}

static void add_u64(weir__text *text, const char *name, uint64_t value)
{
    weir__text_printf(text, "\"%s\":%llu,", name, (unsigned long long)value);
}

static void add_i64(weir__text *text, const char *name, int64_t value)
{
    weir__text_printf(text, "\"%s\":%lld,", name, (long long)value);
}

static void add_bool(weir__text *text, const char *name, bool value)
{
    weir__text_printf(text, "\"%s\":%s,", name, value ? "true" : "false");
}

static void add_latency(weir__text *text, const char *name, const weir_latency *value)
{
    weir__text_printf(
        text, "\"%s\":{\"count\":%llu,\"sum\":%llu,\"p50\":%llu,\"p99\":%llu,\"p999\":%llu,\"max\":%llu},",
        name, (unsigned long long)value->count, (unsigned long long)value->sum,
        (unsigned long long)value->p50, (unsigned long long)value->p99, (unsigned long long)value->p999,
        (unsigned long long)value->max);
}

// Closes an object or list whose last member left a comma.
static void close_with(weir__text *text, const char *end)
{
    if (text->size > 0 && text->data[text->size - 1] == ',')
        text->data[--text->size] = '\0';
    weir__text_add(text, end);
}

static void add_counts(weir__text *text, const char *name, const uint64_t counts[4])
{
    weir__text_printf(text, "\"%s\":{", name);
    for (int i = 0; i < 4; i++)
        add_u64(text, MODE_NAMES[i], counts[i]);
    close_with(text, "},");
}

static void add_checkpoint(weir__text *text, const weir_checkpoint_report *report)
{
    weir__text_add(text, "\"last_checkpoint\":{");
    add_string(text, "mode", MODE_NAMES[report->mode]);
    add_i64(text, "busy", report->busy);
    add_i64(text, "log_frames", report->log_frames);
    add_i64(text, "moved_frames", report->moved_frames);
    add_u64(text, "time_ns", report->time_ns);
    add_u64(text, "writer_ns", report->writer_ns);
    add_string(text, "blocker", BLOCKER_NAMES[report->blocker]);
    add_i64(text, "pinned_frames", report->pinned_frames);
    add_u64(text, "reader_id", report->reader_id);
    add_i64(text, "pid", report->pid);
    add_string(text, "why", report->why);
    close_with(text, "},");
}

static void add_writer(weir__text *text, const weir_stats *stats)
{
    add_string(text, "state", stats->state);
    add_string(text, "durability", stats->durability);
    add_string(text, "journal", stats->journal);
    add_bool(text, "degraded", stats->degraded);
    add_bool(text, "read_only", stats->read_only);
    add_u64(text, "jobs_submitted", stats->jobs_submitted);
    add_u64(text, "jobs_done", stats->jobs_done);
    add_u64(text, "jobs_failed", stats->jobs_failed);
    add_u64(text, "acks_durable", stats->acks_durable);
    add_u64(text, "acks_committed", stats->acks_committed);
    add_u64(text, "acks_applied", stats->acks_applied);
    add_u64(text, "groups", stats->groups);
    add_u64(text, "retries", stats->retries);
    add_u64(text, "replays", stats->replays);
    add_u64(text, "queue_jobs", stats->queue_jobs);
    add_u64(text, "queue_jobs_peak", stats->queue_jobs_peak);
    add_u64(text, "queue_bytes", stats->queue_bytes);
    add_u64(text, "queue_full", stats->queue_full);
    add_u64(text, "applied_pending", stats->applied_pending);
    add_latency(text, "group_jobs", &stats->group_jobs);
    add_latency(text, "commit_ns", &stats->commit_ns);
    add_latency(text, "sync_ns", &stats->sync_ns);
    add_latency(text, "write_ns", &stats->write_ns);
}

static void add_rest(weir__text *text, const weir_stats *stats)
{
    add_u64(text, "reads", stats->reads);
    add_u64(text, "reads_expired", stats->reads_expired);
    add_u64(text, "reads_waited", stats->reads_waited);
    add_u64(text, "readers_size", stats->readers_size);
    add_u64(text, "readers_open", stats->readers_open);
    add_latency(text, "read_ns", &stats->read_ns);
    add_u64(text, "statements_hit", stats->statements_hit);
    add_u64(text, "statements_missed", stats->statements_missed);
    add_i64(text, "wal_frames", stats->wal_frames);
    add_i64(text, "wal_moved", stats->wal_moved);
    add_i64(text, "wal_pinned", stats->wal_pinned);
    add_u64(text, "database_bytes", stats->database_bytes);
    add_u64(text, "wal_bytes", stats->wal_bytes);
    add_u64(text, "shm_bytes", stats->shm_bytes);
    add_u64(text, "wal_bytes_peak", stats->wal_bytes_peak);
    add_counts(text, "checkpoints", stats->checkpoints);
    add_counts(text, "checkpoints_short", stats->checkpoints_short);
    add_u64(text, "checkpoints_skipped", stats->checkpoints_skipped);
    add_u64(text, "reader_gaps", stats->reader_gaps);
    add_latency(text, "checkpoint_ns", &stats->checkpoint_ns);
    add_checkpoint(text, &stats->last_checkpoint);
}

static void add_readers(weir__text *text, weir_store *store)
{
    weir_reader_info readers[WEIR_READERS_MAX];
    const size_t size = weir_readers(store, readers, WEIR_READERS_MAX);
    weir__text_add(text, "\"readers\":[");
    for (size_t i = 0; i < size && i < WEIR_READERS_MAX; i++) {
        weir__text_add(text, "{");
        add_u64(text, "id", readers[i].id);
        add_u64(text, "age_ns", readers[i].age_ns);
        add_i64(text, "pinned_frames", readers[i].pinned_frames);
        if (readers[i].deadline_left_ms != WEIR_NO_DEADLINE)
            add_u64(text, "deadline_left_ms", readers[i].deadline_left_ms);
        add_string(text, "label", readers[i].label);
        add_string(text, "sql", readers[i].sql);
        close_with(text, "},");
    }
    close_with(text, "]");
}

char *weir_stats_json(weir_store *store)
{
    weir_stats stats;
    if (weir_stats_read(store, &stats, NULL) != WEIR_OK)
        return NULL;
    weir__text text = {0};
    weir__text_add(&text, "{");
    add_writer(&text, &stats);
    add_rest(&text, &stats);
    add_readers(&text, store);
    weir__text_add(&text, "}");
    return weir__text_take(&text);
}
