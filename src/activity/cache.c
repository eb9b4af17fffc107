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
};

struct weir__activity_cache {
    bool stamped;
    uint64_t epoch;
    int64_t changes;
    size_t size;
    weir__activity_bucket *slots[SLOTS];
};

int weir__activity_cache_create(weir__activity_cache **cache, weir_error *err)
{
    *cache = calloc(1, sizeof **cache);
    return *cache != NULL ? WEIR_OK : weir__activity_no_memory(err);
}

static void empty(weir__activity_cache *cache)
{
    for (size_t i = 0; i < SLOTS; i++)
        while (cache->slots[i] != NULL) {
            weir__activity_bucket *const bucket = cache->slots[i];
            cache->slots[i] = bucket->next;
            weir__text_free(&bucket->newest.data);
            free(bucket);
        }
    cache->size = 0;
}

void weir__activity_cache_destroy(weir__activity_cache *cache)
{
    if (cache == NULL)
        return;
    empty(cache);
    free(cache);
}

void weir__activity_forget_all(weir_activity *activity)
{
    empty(activity->cache);
    weir__privacy_forget(activity);
}

void weir__activity_forget_newest(weir_activity *activity, int64_t bucketrow)
{
    for (size_t i = 0; i < SLOTS; i++)
        for (weir__activity_bucket *b = activity->cache->slots[i]; b != NULL; b = b->next)
            if (b->row == bucketrow)
                b->knows_newest = false;
}
