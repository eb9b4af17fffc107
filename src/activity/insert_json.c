// SPDX-License-Identifier: MIT
//
// Events of a JSON array into a bucket. The array is read up to three times and never held: once to check it,
// on the caller's thread; by the job that inserts; and to tell the caller what was kept. What is remembered
// from the job are the ids it gave. They follow one another, so they are kept as runs: an array in which every
// event is new costs one. There are at most RUNS_MAX.
//
// Where privacy filters are in force the input is not what was stored, and the third reading goes to the
// database instead.
#include <stdlib.h>

#include "activity/input.h"
#include "activity/json.h"

enum { RUNS_MAX = 4 << 20 }; // 64 MiB

// Ids that follow one another.
typedef struct run {
    int64_t first;
    uint64_t count;
} run;

typedef struct insertion {
    const char *bucket_id;
    weir__input_events events;
    bool is_told; // else nobody asks for the ids
    // Of the last run of the job.
    int64_t bucketrow;
    bool is_filtered;
    run *runs;
    size_t count, capacity;
} insertion;

// ------------------------------------------------------------------------------------------------------ ids

static bool extends(const run *last, int64_t id)
{
    return (uint64_t)id == (uint64_t)last->first + last->count;
}

static int add_run(insertion *work, int64_t first, weir_error *err)
{
    if (work->count == RUNS_MAX)
        return weir__error_set(
            err, WEIR_TOOBIG,
            "the ids of the events do not follow one another, in more than %d places: send "
            "them in parts",
            RUNS_MAX);
    if (work->count == work->capacity) {
        const size_t capacity = work->capacity == 0 ? 16 : work->capacity * 2;
        run *const grown = realloc(work->runs, capacity * sizeof *grown);
        if (grown == NULL)
            return weir__activity_no_memory(err);
        work->runs = grown;
        work->capacity = capacity;
    }
    work->runs[work->count++] = (run){.first = first, .count = 1};
    return WEIR_OK;
}

static int add_id(void *context, uint64_t index, int64_t id, weir_error *err)
{
    insertion *const work = context;
    (void)index;
    if (work->count == 0 || !extends(&work->runs[work->count - 1], id))
        return add_run(work, id, err);
    work->runs[work->count - 1].count++;
    return WEIR_OK;
}

// ------------------------------------------------------------------------------------------ the two passes

static int check(weir__input_events *events, uint64_t *count, weir_error *err)
{
    *count = 0;
    weir_event event;
    bool has = false;
    int rc = WEIR_OK;
    while ((rc = weir__input_events_next(events, &event, &has, err)) == WEIR_OK && has)
        ++*count;
    weir__json_token token;
    if (rc == WEIR_OK)
        rc = weir__json_reader_next(&events->input.reader, &token, err); // nothing may follow
    weir__input_events_rewind(events);
    return rc;
}

static int insert_job(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    insertion *const work = arg;
    weir__activity_bucket *bucket = NULL;
    work->count = 0;
    int rc = weir__activity_bucket_enter(activity, tx, work->bucket_id, &bucket, err);
    if (rc != WEIR_OK)
        return rc;
    work->bucketrow = bucket->row;
    const weir__activity_source source = weir__input_events_source(&work->events);
    rc = weir__activity_insert_all(activity, tx, work->bucket_id, bucket->row, &source,
                                   work->is_told ? add_id : NULL, work, err);
    work->is_filtered = weir__privacy_is_active(activity);
    return rc;
}

// ------------------------------------------------------------------------------------ telling what was kept

static int tell_from_input(insertion *work, weir_event_fn *each, void *context, weir_error *err)
{
    int rc = WEIR_OK;
    weir__input_events_rewind(&work->events);
    for (size_t i = 0; rc == WEIR_OK && i < work->count; i++) {
        for (uint64_t k = 0; rc == WEIR_OK && k < work->runs[i].count; k++) {
            weir_event event;
            bool has = false;
            rc = weir__input_events_next(&work->events, &event, &has, err);
            if (rc != WEIR_OK || !has)
                return rc;
            event.has_id = true;
            event.id = work->runs[i].first + (int64_t)k;
            rc = each(context, &event, err);
        }
    }
    return rc;
}

static int tell_from_database(weir_activity *activity, const insertion *work, weir_event_fn *each,
                              void *context, weir_error *err)
{
    weir_snapshot *snapshot = NULL;
    const weir_read_options options = {.deadline_ms = WEIR_NO_DEADLINE, .label = "what was inserted"};
    int rc = weir_snapshot_open(activity->store, &options, &snapshot, err);
    for (size_t i = 0; rc == WEIR_OK && i < work->count; i++) {
        const run *const ids = &work->runs[i];
        bool exists = false; // or is deleted already
        for (uint64_t k = 0; rc == WEIR_OK && k < ids->count; k++)
            rc = weir__activity_event_read(weir_snapshot_tx(snapshot), work->bucketrow,
                                           ids->first + (int64_t)k, each, context, &exists, err);
    }
    weir_snapshot_close(snapshot);
    return rc;
}

int weir_activity_insert_json(weir_activity *activity, const char *bucket_id,
                              const weir_activity_input *input, weir_event_fn *each, void *context,
                              weir_error *err)
{
    insertion work = {
        .bucket_id = bucket_id,
        .events = {.from = input, .takes_ids = true},
        .is_told = each != NULL,
    };
    uint64_t count = 0;
    int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc == WEIR_OK)
        rc = check(&work.events, &count, err);
    if (rc == WEIR_OK && count > 0)
        rc = weir__activity_write_events(activity, insert_job, &work, count, "events", err);
    if (rc == WEIR_OK && each != NULL)
        rc = work.is_filtered ? tell_from_database(activity, &work, each, context, err)
                              : tell_from_input(&work, each, context, err);
    weir__input_events_fini(&work.events);
    free(work.runs);
    return rc;
}
