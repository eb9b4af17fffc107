// SPDX-License-Identifier: MIT
//
// Heartbeats: one UPDATE of the newest event, or one INSERT.
//
// A heartbeat is compared with the newest event of its bucket, as a read without bounds gives it first, and cut
// at 1970 as such a read cuts it. It is merged when both hold the same data, it starts not before that event,
// at most `pulsetime` after its end (inclusive; a negative one narrows that), and the merged event would not
// end before it starts. The merged event keeps id, start and data and never becomes shorter.
//
// The job is one block: the beat, the bucket's id and the data. It may run more than once; each run overwrites
// the result of the one before. What is refused without having changed anything (no such bucket) is no failed
// job for the store, which would undo and repeat its neighbours for it: the sentence waits in the job.
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "activity/activity.h"

typedef struct beat {
    weir_activity *activity;
    weir_heartbeat_done_fn *done;
    void *context;
    int64_t pulse_ns;
    weir_event event;      // data in `bytes`
    const char *bucket_id; // in `bytes`

    bool wants_copy; // of the result

    // Of the last run.
    weir_event result;
    weir_event *copy; // of it, where it is wanted or its data are not the beat's own
    weir_error *refusal;

    size_t size; // of the block
    char bytes[];
} beat;

// ------------------------------------------------------------------------------------------------- merging

// Seconds to nanoseconds: halves away from zero, saturating; what is no number is 0.
static int64_t pulse_of(double pulsetime_s)
{
    const double ns = round(pulsetime_s * 1e9);
    if (isnan(ns))
        return 0;
    if (ns >= 0x1p63)
        return INT64_MAX;
    return ns < -0x1p63 ? INT64_MIN : (int64_t)ns;
}

// Does `start_ns` come at most `pulse_ns` after `end_ns`? As if numbers had no end.
static bool is_within(int64_t start_ns, int64_t end_ns, int64_t pulse_ns)
{
    int64_t last_ns = 0;
    if (__builtin_add_overflow(end_ns, pulse_ns, &last_ns))
        return pulse_ns > 0;
    return start_ns <= last_ns;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t end_of(const weir_event *event)
{
    return event->start_ns + event->duration_ns;
}

static bool merges(const weir__activity_newest *newest, const weir_event *event, int64_t pulse_ns)
{
    const int64_t start_ns = larger(newest->start_ns, 0);
    return newest->exists && event->data_size == newest->data.size &&
           memcmp(event->data, weir__text_string(&newest->data), event->data_size) == 0 &&
           event->start_ns >= start_ns && is_within(event->start_ns, newest->end_ns, pulse_ns) &&
           larger(newest->end_ns, end_of(event)) >= start_ns;
}

// *changed false: the row that the writer remembers is not there.
static int merge(weir_tx *tx, weir__activity_bucket *bucket, const weir_event *event, bool *changed,
                 weir_error *err)
{
    const weir__activity_newest *const newest = &bucket->newest;
    const int64_t start_ns = larger(newest->start_ns, 0);
    const int64_t end_ns = larger(newest->end_ns, end_of(event));
    weir_stmt *stmt = NULL;
    bool row = false;
    *changed = true;
    if (start_ns == newest->start_ns && end_ns == newest->end_ns)
        return WEIR_OK; // it lies inside
    int rc = weir_prepare(
        tx, "UPDATE events SET starttime = $1, endtime = $2 WHERE id = $3 AND bucketrow = $4", &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, start_ns);
    weir_bind_int64(stmt, 2, end_ns);
    weir_bind_int64(stmt, 3, newest->id);
    weir_bind_int64(stmt, 4, bucket->row);
    rc = weir_step(stmt, &row, err);
    *changed = rc == WEIR_OK && weir_changes(tx) > 0;
    if (*changed)
        weir__activity_note_merged(bucket, start_ns, end_ns);
    else
        bucket->knows_newest = false;
    return rc;
}

static int insert(weir_activity *activity, weir_tx *tx, weir__activity_bucket *bucket,
                  const weir_event *event, int64_t *id, weir_error *err)
{
    const int rc = weir__activity_event_insert(activity, tx, bucket->row, event, id, err);
    if (rc == WEIR_OK && !event->has_id)
        weir__activity_note_inserted(bucket, event, *id);
    return rc;
}

// ---------------------------------------------------------------------------------------------------- the job

static void forget_result(beat *b)
{
    free(b->copy);
    free(b->refusal);
    b->copy = NULL;
    b->refusal = NULL;
}

// Sets the result, whose data may live no longer than this run. In the job, so that lack of memory undoes it.
static int set_result(beat *b, const weir_event *event, weir_error *err)
{
    b->result = *event;
    if (!b->wants_copy && event->data == b->event.data)
        return WEIR_OK;
    b->copy = weir__activity_event_copy(event);
    if (b->copy == NULL)
        return weir__activity_no_memory(err);
    b->result = *b->copy;
    return WEIR_OK;
}

static weir_event event_of(const weir__activity_newest *newest, const weir_event *with_data)
{
    const int64_t start_ns = larger(newest->start_ns, 0);
    return (weir_event){.has_id = true,
                        .id = newest->id,
                        .start_ns = start_ns,
                        .duration_ns = newest->end_ns - start_ns,
                        .data = with_data != NULL ? with_data->data : weir__text_string(&newest->data),
                        .data_size = newest->data.size};
}

// A filter wants nothing of this heartbeat.
static int drop(beat *b, const weir__activity_bucket *bucket, weir_error *err)
{
    const weir_event newest = event_of(&bucket->newest, NULL);
    weir_event own = b->event;
    own.has_id = false;
    own.id = 0;
    return set_result(b, bucket->newest.exists ? &newest : &own, err);
}

static int beat_bucket(beat *b, weir_tx *tx, weir__activity_bucket *bucket, weir_error *err)
{
    weir_event event = b->event;
    bool keep = true;
    int rc = weir__activity_filter(b->activity, tx, b->bucket_id, &event, &keep, err);
    // The second look is for a memory that was wrong after all: it heals here instead of failing for good.
    for (int look = 0; rc == WEIR_OK && look < 2; look++) {
        bool changed = false;
        rc = weir__activity_know_newest(b->activity, tx, bucket, err);
        if (rc == WEIR_OK && !keep)
            return drop(b, bucket, err);
        if (rc != WEIR_OK || !merges(&bucket->newest, &event, b->pulse_ns))
            break;
        rc = merge(tx, bucket, &event, &changed, err);
        if (rc != WEIR_OK)
            return rc;
        if (changed) {
            const weir_event merged = event_of(&bucket->newest, &event);
            return set_result(b, &merged, err);
        }
    }
    if (rc == WEIR_OK)
        rc = insert(b->activity, tx, bucket, &event, &event.id, err);
    event.has_id = true;
    return rc == WEIR_OK ? set_result(b, &event, err) : rc;
}

// Ends the job well, with an error for the caller. When there is no memory for that it simply fails.
static int refuse(beat *b, int code, const weir_error *why)
{
    b->refusal = malloc(sizeof *b->refusal);
    if (b->refusal == NULL)
        return code;
    weir__error_copy(b->refusal, why);
    return WEIR_OK;
}

// No such bucket, or an id that cannot be taken: found out before anything was changed.
static bool is_refusal(int code)
{
    return code == WEIR_NOTFOUND || code == WEIR_CONSTRAINT || code == WEIR_INVALID;
}

static int run_beat(weir_tx *tx, void *arg, weir_error *err)
{
    beat *const b = arg;
    weir__activity_bucket *bucket = NULL;
    forget_result(b);
    weir__activity_enter(b->activity, tx);
    int rc = weir__activity_bucket_enter(b->activity, tx, b->bucket_id, &bucket, err);
    if (rc == WEIR_OK) {
        rc = beat_bucket(b, tx, bucket, err);
        weir__activity_settle(bucket);
    }
    if (is_refusal(rc))
        rc = refuse(b, rc, err);
    weir__activity_leave(b->activity, tx, rc);
    return rc;
}

// ------------------------------------------------------------------------------------------------ submitting

static void release(void *arg)
{
    beat *const b = arg;
    forget_result(b);
    free(b);
}

static beat *make_block(weir_activity *activity, const char *bucket_id, const weir_event *event,
                        double pulsetime_s)
{
    const size_t id_size = strlen(bucket_id) + 1;
    const size_t size = sizeof(beat) + id_size + event->data_size + 1;
    beat *const b = malloc(size);
    if (b == NULL)
        return NULL;
    *b = (beat){.activity = activity, .pulse_ns = pulse_of(pulsetime_s), .event = *event, .size = size};
    memcpy(b->bytes, bucket_id, id_size);
    memcpy(b->bytes + id_size, event->data, event->data_size);
    b->bytes[id_size + event->data_size] = '\0';
    b->bucket_id = b->bytes;
    b->event.data = b->bytes + id_size;
    return b;
}

static int make_beat(weir_activity *activity, const char *bucket_id, const weir_event *event,
                     double pulsetime_s, beat **made, weir_error *err)
{
    weir__text scratch = {0};
    weir_event checked;
    *made = NULL;
    int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc == WEIR_OK)
        rc = weir__activity_event_check(event, &scratch, &checked, err);
    if (rc == WEIR_OK) {
        *made = make_block(activity, bucket_id, &checked, pulsetime_s);
        rc = *made != NULL ? WEIR_OK : weir__activity_no_memory(err);
    }
    weir__text_free(&scratch);
    return rc;
}

static weir_write_options options_of(const beat *b, weir_ack ack)
{
    return (weir_write_options){.ack = ack, .arg_bytes = b->size, .label = "activity: heartbeat"};
}

static void tell(void *context, const weir_error *result)
{
    const beat *const b = context;
    const weir_error *const why = result->code == WEIR_OK && b->refusal != NULL ? b->refusal : result;
    b->done(b->context, why, why->code == WEIR_OK ? &b->result : NULL);
}

static int submit(beat *b, bool fail_when_full, weir_heartbeat_done_fn *done, void *context, weir_error *err)
{
    weir_write_options options = options_of(b, b->activity->ack);
    options.fail_when_full = fail_when_full;
    options.release = release;
    b->done = done;
    b->context = context;
    return weir_submit(b->activity->store, run_beat, b, &options, done != NULL ? tell : NULL, b, err);
}

int weir_activity_heartbeat_submit(weir_activity *activity, const char *bucket_id, const weir_event *event,
                                   double pulsetime_s, weir_heartbeat_done_fn *done, void *context,
                                   weir_error *err)
{
    beat *b = NULL;
    const int rc = make_beat(activity, bucket_id, event, pulsetime_s, &b, err);
    return rc == WEIR_OK ? submit(b, true, done, context, err) : rc;
}

// ------------------------------------------------------------------------------------------------- and waiting

// Of a beat that is acknowledged as applied: the job lives on, and may run again, so its result is taken while
// the store tells it.
typedef struct waiter {
    beat *b; // lives until it has been told
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool is_told;       // lock
    weir_error why;     // lock
    weir_event *result; // lock
} waiter;

static weir_event *take_copy(beat *b)
{
    weir_event *const copy = b->copy;
    b->copy = NULL;
    return copy;
}

static void take(void *context, const weir_error *why, const weir_event *event)
{
    waiter *const w = context;
    pthread_mutex_lock(&w->lock);
    w->why = *why;
    if (event != NULL && w->b->wants_copy)
        w->result = take_copy(w->b);
    w->is_told = true;
    pthread_cond_signal(&w->told);
    pthread_mutex_unlock(&w->lock);
}

static int beat_applied(beat *b, weir_event **result, weir_error *err)
{
    waiter w = {.b = b};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.told, NULL);
    int rc = submit(b, false, take, &w, err);
    if (rc == WEIR_OK) {
        pthread_mutex_lock(&w.lock);
        while (!w.is_told)
            pthread_cond_wait(&w.told, &w.lock);
        pthread_mutex_unlock(&w.lock);
        rc = w.why.code;
        if (rc != WEIR_OK)
            weir__error_copy(err, &w.why);
    }
    if (rc == WEIR_OK && result != NULL)
        *result = w.result;
    pthread_cond_destroy(&w.told);
    pthread_mutex_destroy(&w.lock);
    return rc;
}

static int beat_committed(beat *b, weir_event **result, weir_error *err)
{
    const weir_write_options options = options_of(b, b->activity->ack);
    int rc = weir_write(b->activity->store, run_beat, b, &options, err);
    if (rc == WEIR_OK && b->refusal != NULL) {
        weir__error_copy(err, b->refusal);
        rc = b->refusal->code;
    }
    if (rc == WEIR_OK && result != NULL)
        *result = take_copy(b);
    release(b);
    return rc;
}

int weir_activity_heartbeat(weir_activity *activity, const char *bucket_id, const weir_event *event,
                            double pulsetime_s, weir_event **result, weir_error *err)
{
    beat *b = NULL;
    if (result != NULL)
        *result = NULL;
    const int rc = make_beat(activity, bucket_id, event, pulsetime_s, &b, err);
    if (rc != WEIR_OK)
        return rc;
    b->wants_copy = result != NULL;
    return activity->ack == WEIR_ACK_APPLIED ? beat_applied(b, result, err) : beat_committed(b, result, err);
}
