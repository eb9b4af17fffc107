// SPDX-License-Identifier: MIT
//
// What the writer remembers between jobs: the row of each bucket and its newest event, so that a heartbeat
// costs one UPDATE or INSERT and no SELECT; and, through privacy.c, the rules.
//
// It must never disagree with the database. Everything in it is as of a stamp:
//
//   epoch     weir_tx_epoch(): changes when anything was rolled back on the writer's connection (a failed
//             job, its neighbours in the chunk, a failed commit) or when another connection, of this process
//             or another one, has committed
//   changes   weir_tx_changes_total(): changes when a job that is not ours, through weir_activity_store(),
//             changed rows
//
// A job of ours begins with weir__activity_enter(), which forgets everything when the stamp is not the
// database's any more, and ends with weir__activity_leave(), which notes the changes it made itself. Inside,
// a job first changes the database and then what is remembered. A job that fails leaves wrong memories behind,
// but also an epoch that has passed.
//
// The table is chained, of fixed width; above BUCKETS_MAX entries it is emptied. Data over DATA_BYTES_MAX is
// not remembered, so its memory is bounded by BUCKETS_MAX x (DATA_BYTES_MAX + two names).
//
// Jobs only (see activity.h), so without a lock.
#include <stdlib.h>
#include <string.h>

#include "activity/activity.h"

enum {
    SLOTS = 256, // a power of two
    BUCKETS_MAX = 1024,
    DATA_BYTES_MAX = 64 << 10,
    EVENTS_FEW = 1000, // that a job writes; with more it has a transaction of its own
};

struct weir__activity_cache {
    bool is_stamped;
    uint64_t epoch;
    int64_t changes;
    size_t size;
    weir__activity_bucket *by_id[SLOTS];
    weir__activity_bucket *by_row[SLOTS];
};

// FNV-1a, 64 bit (Fowler, Noll, Vo).
static uint64_t hash_of(const char *text, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

int weir__activity_cache_create(weir__activity_cache **cache, weir_error *err)
{
    *cache = calloc(1, sizeof **cache);
    return *cache != NULL ? WEIR_OK : weir__activity_no_memory(err);
}

static void empty(weir__activity_cache *cache)
{
    for (size_t i = 0; cache->size > 0 && i < SLOTS; i++)
        for (weir__activity_bucket *bucket = cache->by_id[i], *next; bucket != NULL; bucket = next) {
            next = bucket->id_next;
            weir__text_free(&bucket->newest.data);
            free(bucket);
            cache->size--;
        }
    memset(cache->by_id, 0, sizeof cache->by_id);
    memset(cache->by_row, 0, sizeof cache->by_row);
}

void weir__activity_cache_destroy(weir__activity_cache *cache)
{
    if (cache == NULL)
        return;
    empty(cache);
    free(cache);
}

// -------------------------------------------------------------------------------------------------- the stamp

void weir__activity_enter(weir_activity *activity, weir_tx *tx)
{
    weir__activity_cache *const cache = activity->cache;
    const uint64_t epoch = weir_tx_epoch(tx);
    if (!cache->is_stamped || cache->epoch != epoch || cache->changes != weir_tx_changes_total(tx))
        weir__activity_forget_all(activity);
    cache->epoch = epoch;
    cache->is_stamped = false; // until the job has ended well
}

void weir__activity_leave(weir_activity *activity, weir_tx *tx, int result)
{
    weir__activity_cache *const cache = activity->cache;
    cache->changes = weir_tx_changes_total(tx);
    cache->is_stamped = result == WEIR_OK;
}

void weir__activity_forget_all(weir_activity *activity)
{
    empty(activity->cache);
    activity->knows_ids_left = false;
    weir__privacy_forget(activity);
}

typedef struct call {
    weir_activity *activity;
    weir__activity_job_fn *job;
    void *arg;
} call;

static int run_call(weir_tx *tx, void *arg, weir_error *err)
{
    const call *const c = arg;
    weir__activity_enter(c->activity, tx);
    const int rc = c->job(c->activity, tx, c->arg, err);
    weir__activity_leave(c->activity, tx, rc);
    return rc;
}

static int write_call(weir_activity *activity, weir__activity_job_fn *job, void *arg, const char *label,
                      bool alone, weir_error *err)
{
    call c = {.activity = activity, .job = job, .arg = arg};
    const weir_write_options options = {
        .ack = activity->ack == WEIR_ACK_APPLIED ? WEIR_ACK_COMMITTED : activity->ack,
        .alone = alone,
        .label = label,
    };
    return weir_write(activity->store, run_call, &c, &options, err);
}

int weir__activity_write(weir_activity *activity, weir__activity_job_fn *job, void *arg, const char *label,
                         weir_error *err)
{
    return write_call(activity, job, arg, label, false, err);
}

int weir__activity_write_alone(weir_activity *activity, weir__activity_job_fn *job, void *arg,
                               const char *label, weir_error *err)
{
    return write_call(activity, job, arg, label, true, err);
}

int weir__activity_write_events(weir_activity *activity, weir__activity_job_fn *job, void *arg,
                                uint64_t count, const char *label, weir_error *err)
{
    return write_call(activity, job, arg, label, count > EVENTS_FEW, err);
}

// ----------------------------------------------------------------------------------------------- the buckets

static weir__activity_bucket **row_slot(weir__activity_cache *cache, int64_t row)
{
    return &cache->by_row[(uint64_t)row % SLOTS];
}

static int add_bucket(weir__activity_cache *cache, const char *id, size_t id_size, uint64_t hash, int64_t row,
                      weir__activity_bucket **out, weir_error *err)
{
    weir__activity_bucket *const bucket = malloc(sizeof *bucket + id_size + 1);
    if (bucket == NULL)
        return weir__activity_no_memory(err);
    *bucket = (weir__activity_bucket){
        .id_next = cache->by_id[hash % SLOTS],
        .row_next = *row_slot(cache, row),
        .hash = hash,
        .row = row,
        .id_size = id_size,
    };
    memcpy(bucket->id, id, id_size + 1);
    cache->by_id[hash % SLOTS] = bucket;
    *row_slot(cache, row) = bucket;
    cache->size++;
    *out = bucket;
    return WEIR_OK;
}

int weir__activity_bucket_enter(weir_activity *activity, weir_tx *tx, const char *id,
                                weir__activity_bucket **bucket, weir_error *err)
{
    weir__activity_cache *const cache = activity->cache;
    const size_t size = strlen(id);
    const uint64_t hash = hash_of(id, size);
    for (weir__activity_bucket *b = cache->by_id[hash % SLOTS]; b != NULL; b = b->id_next)
        if (b->hash == hash && b->id_size == size && memcmp(b->id, id, size) == 0) {
            *bucket = b;
            return WEIR_OK;
        }
    int64_t row = 0;
    const int rc = weir__activity_bucket_find(tx, id, &row, err);
    if (rc != WEIR_OK)
        return rc;
    if (cache->size >= BUCKETS_MAX)
        empty(cache);
    return add_bucket(cache, id, size, hash, row, bucket, err);
}

// ----------------------------------------------------------------------------------------- the newest events

void weir__activity_forget_newest(weir_activity *activity, int64_t bucketrow)
{
    for (weir__activity_bucket *b = *row_slot(activity->cache, bucketrow); b != NULL; b = b->row_next)
        if (b->row == bucketrow)
            b->knows_newest = false;
}

static int take_newest(void *context, const weir_event *event, weir_error *err)
{
    weir__activity_newest *const newest = context;
    if (newest->exists) {
        newest->tied = newest->start_ns == event->start_ns;
        return WEIR_OK;
    }
    weir__text data = newest->data;
    weir__text_clear(&data);
    weir__text_append(&data, event->data, event->data_size);
    *newest = (weir__activity_newest){
        .exists = true,
        .id = event->id,
        .start_ns = event->start_ns,
        .end_ns = event->start_ns + event->duration_ns,
        .data = data,
    };
    return data.failed ? weir__activity_no_memory(err) : WEIR_OK;
}

int weir__activity_know_newest(weir_activity *activity, weir_tx *tx, weir__activity_bucket *bucket,
                               weir_error *err)
{
    static const weir_event_query newest_two = {.has_limit = true, .limit = 2, .unclipped = true};
    if (bucket->knows_newest)
        return WEIR_OK;
    bucket->newest.exists = false;
    bucket->newest.tied = false;
    const int rc =
        weir__activity_events_read(activity, tx, bucket->row, &newest_two, take_newest, &bucket->newest, err);
    bucket->knows_newest = rc == WEIR_OK;
    return rc;
}

void weir__activity_note_inserted(weir__activity_bucket *bucket, const weir_event *event, int64_t id)
{
    weir__activity_newest *const newest = &bucket->newest;
    const int64_t end_ns = event->start_ns + event->duration_ns;
    bucket->knows_newest = true;
    if (end_ns < 0 || (newest->exists && event->start_ns < newest->start_ns))
        return;
    const bool tied = newest->exists && event->start_ns == newest->start_ns;
    if (tied && end_ns >= newest->end_ns) {
        newest->tied = true;
        return;
    }
    newest->exists = false;
    const weir_event inserted = {.id = id,
                                 .start_ns = event->start_ns,
                                 .duration_ns = event->duration_ns,
                                 .data = event->data,
                                 .data_size = event->data_size};
    bucket->knows_newest = take_newest(newest, &inserted, NULL) == WEIR_OK;
    newest->tied = tied;
}

void weir__activity_note_merged(weir__activity_bucket *bucket, int64_t start_ns, int64_t end_ns)
{
    bucket->newest.start_ns = start_ns;
    bucket->newest.end_ns = end_ns;
    bucket->knows_newest = !bucket->newest.tied; // the other one may end earlier now
}

void weir__activity_settle(weir__activity_bucket *bucket)
{
    if (bucket->newest.data.capacity <= DATA_BYTES_MAX)
        return;
    bucket->knows_newest = false;
    weir__text_free(&bucket->newest.data);
}
