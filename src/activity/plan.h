// SPDX-License-Identifier: MIT
//
// Buckets as they come in: what they are, and where in the input their events are listed. An import, and a
// bucket that is created with events, read their input twice. The first time, on the caller's thread, checks
// everything and makes this plan; the second, in the job, goes through the lists only. So a bucket's
// attributes may stand behind its events, and nothing is written of an input that turns out to be broken.
//
// A plan holds the attributes of all buckets, of at most WEIR__PLAN_BYTES_MAX, and no events. One thread at a
// time.
#ifndef WEIR_ACTIVITY_PLAN_H
#define WEIR_ACTIVITY_PLAN_H

#include "activity/activity.h"
#include "base/json_read.h"

enum { WEIR__PLAN_BYTES_MAX = 64 << 20 };

typedef struct weir__plan_bucket {
    size_t id, type, client, hostname, data; // where they begin in `strings`, each with a NUL behind it
    size_t data_size;
    bool has_created;
    int64_t created_ns;
    bool has_events;
    uint64_t events_offset; // of the list's bracket in the input
} weir__plan_bucket;

typedef struct weir__plan {
    weir__text strings;
    weir__plan_bucket *buckets;
    size_t count, capacity;
    uint64_t events;  // of all buckets …
    uint64_t invalid; // … and what in their lists is no event
    // Told now and then, after some events; NULL: nobody.
    int (*tick)(void *context, uint64_t events, uint64_t offset, weir_error *err);
    void *context;
    // Of the event at hand.
    weir__text data, checked;
} weir__plan;

// Reads the next value as a bucket, checks it and everything in it, and adds it. `id` is taken instead of its
// own when `is_forced`, else when it has none. Errors: as those of json.h's readers, and what is wrong with a
// bucket or an event that cannot be stored.
int weir__plan_read(weir__plan *plan, weir__json_reader *reader, const char *id, bool is_forced,
                    weir_error *err);

// The bucket as it is to be created; points into the plan.
weir_bucket weir__plan_at(const weir__plan *plan, size_t index);

// Fills in what only this machine knows, where a bucket says that it is of it.
int weir__plan_localize(weir__plan *plan, size_t index, const weir_activity_local *local, weir_error *err);

void weir__plan_free(weir__plan *plan);

#endif
