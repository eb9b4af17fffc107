// SPDX-License-Identifier: MIT
//
// Import: buckets with their events, from an export. Also a bucket that is created with events, which is an
// import of one.
//
// First everything is read and checked (plan.h), then one job goes through the lists of events again and
// writes. Before each event the database is asked whether the bucket has it (known.h). That holds for what the
// import itself has just inserted, too, and an import that is repeated inserts nothing.
//
// The writer is occupied for the whole of it: other writes wait, reads do not.
#include <inttypes.h>
#include <string.h>

#include "activity/input.h"
#include "activity/json.h"
#include "activity/known.h"
#include "activity/plan.h"

enum { TICK_EVENTS = 1024 };

// How deep the data of an event stand in an export, and in a list: data as deep as may be stored come back.
enum { DOCUMENT_FRAME = 5, LIST_FRAME = 2 };

typedef struct import {
    const weir_activity_input *input;
    weir__plan plan;
    weir__input_events events;
    int64_t now_ns;
    bool is_creation; // all events are new
    weir_progress_fn *progress;
    void *context;
    weir_activity_import_report report;
    uint64_t seen; // events, for progress
    weir__known known;
} import;

static int tick(import *work, const char *phase, uint64_t position, weir_error *err)
{
    if (work->progress == NULL || work->progress(work->context, phase, position, work->input->size))
        return WEIR_OK;
    return weir__error_set(err, WEIR_CANCELLED, "the import was cancelled, nothing of it was stored");
}

// ------------------------------------------------------------------------------------------------- checking

static int tick_check(void *context, uint64_t events, uint64_t offset, weir_error *err)
{
    (void)events;
    return tick(context, "check", offset, err);
}

// The value of "buckets".
static int read_buckets(weir__plan *plan, weir__json_reader *reader, weir_error *err)
{
    weir__json_token token;
    int rc = weir__json_reader_next(reader, &token, err);
    if (rc == WEIR_OK && token.type != WEIR__JSON_OBJECT)
        return weir__error_set(err, WEIR_MISMATCH, "\"buckets\" must be a JSON object (at byte %" PRIu64 ")",
                               token.offset);
    weir__text key = {0};
    while (rc == WEIR_OK && (rc = weir__json_reader_next(reader, &token, err)) == WEIR_OK &&
           token.type == WEIR__JSON_KEY) {
        weir__text_clear(&key);
        weir__text_append(&key, token.text, token.size);
        if (key.failed)
            rc = weir__activity_no_memory(err);
        else if (memchr(key.data, '\0', key.size) != NULL)
            rc = weir__error_set(err, WEIR_INVALID, "the id of a bucket must not hold the character U+0000");
        else
            rc = weir__plan_read(plan, reader, key.data, false, err);
    }
    weir__text_free(&key);
    return rc;
}

static int read_document(weir__plan *plan, weir__json_reader *reader, weir_error *err)
{
    weir__json_token token;
    bool has_buckets = false;
    int rc = weir__json_reader_next(reader, &token, err);
    if (rc == WEIR_OK && token.type != WEIR__JSON_OBJECT)
        return weir__error_set(err, WEIR_MISMATCH, "an import must be a JSON object with \"buckets\"");
    while (rc == WEIR_OK && (rc = weir__json_reader_next(reader, &token, err)) == WEIR_OK &&
           token.type == WEIR__JSON_KEY) {
        const bool is_buckets = token.size == 7 && memcmp(token.text, "buckets", 7) == 0;
        if (is_buckets && has_buckets)
            return weir__error_set(err, WEIR_MISMATCH, "an import has \"buckets\" twice");
        has_buckets = has_buckets || is_buckets;
        rc = is_buckets ? read_buckets(plan, reader, err) : weir__json_reader_skip(reader, err);
    }
    if (rc == WEIR_OK && !has_buckets)
        return weir__error_set(err, WEIR_MISMATCH, "an import must be a JSON object with \"buckets\"");
    return rc == WEIR_OK ? weir__json_reader_next(reader, &token, err) : rc; // nothing may follow
}

// ------------------------------------------------------------------------------------------------- the job

static int import_event(import *work, weir_activity *activity, weir_tx *tx, const char *bucket_id,
                        int64_t bucketrow, weir_event *event, weir_error *err)
{
    bool kept = false, known = false;
    int64_t id = 0;
    int rc = weir__activity_filter(activity, tx, bucket_id, event, &kept, err);
    if (rc != WEIR_OK)
        return rc;
    if (!kept) {
        work->report.events_dropped++;
        return WEIR_OK;
    }
    if (!work->is_creation)
        rc = weir__known_find(&work->known, tx, bucketrow, event, &known, err);
    if (known)
        work->report.events_known++;
    if (rc != WEIR_OK || known)
        return rc;
    work->report.events_inserted++;
    rc = weir__activity_event_insert(activity, tx, bucketrow, event, &id, err);
    return rc == WEIR_OK ? weir__known_add(&work->known, id, err) : rc;
}

static int import_events(import *work, weir_activity *activity, weir_tx *tx, const weir__plan_bucket *planned,
                         const char *bucket_id, int64_t bucketrow, weir_error *err)
{
    weir__input_events *const events = &work->events;
    weir__input_events_rewind(events);
    events->offset = planned->events_offset;
    int rc = WEIR_OK;
    while (rc == WEIR_OK) {
        weir_event event;
        bool has = false;
        rc = weir__input_events_next(events, &event, &has, err);
        if (rc != WEIR_OK || !has)
            break;
        rc = import_event(work, activity, tx, bucket_id, bucketrow, &event, err);
        if (rc == WEIR_OK && ++work->seen % TICK_EVENTS == 0)
            rc = tick(work, "write", events->position, err);
    }
    work->report.events_invalid += events->invalid;
    return rc;
}

static int import_bucket(import *work, weir_activity *activity, weir_tx *tx, size_t index, weir_error *err)
{
    const weir_bucket bucket = weir__plan_at(&work->plan, index);
    const weir__plan_bucket *const planned = &work->plan.buckets[index];
    int64_t row = 0;
    int rc = work->is_creation ? WEIR_NOTFOUND : weir__activity_bucket_find(tx, bucket.id, &row, err);
    if (rc == WEIR_OK) {
        work->report.buckets_merged++;
    } else if (rc == WEIR_NOTFOUND) {
        work->report.buckets_created++;
        rc = weir__activity_bucket_insert(activity, tx, &bucket, work->now_ns, &row, err);
    }
    if (rc == WEIR_OK && planned->has_events)
        rc = import_events(work, activity, tx, planned, bucket.id, row, err);
    return rc;
}

static int import_job(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    import *const work = arg;
    work->report = (weir_activity_import_report){0};
    work->seen = 0;
    weir__known_begin(&work->known);
    int rc = WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < work->plan.count; i++)
        rc = import_bucket(work, activity, tx, i, err);
    return rc;
}

static void begin(import *work, const weir_activity_input *input)
{
    *work = (import){
        .input = input,
        .events = {.from = input, .frame = LIST_FRAME, .is_lenient = true},
        .now_ns = weir__activity_now_ns(),
    };
}

static void end(import *work)
{
    weir__input_events_fini(&work->events);
    weir__plan_free(&work->plan);
    weir__known_end(&work->known);
}

int weir_activity_import(weir_activity *activity, const weir_activity_input *input,
                         weir_progress_fn *progress, void *context, weir_activity_import_report *report,
                         weir_error *err)
{
import work;
    begin(&work, input);
    work.progress = progress;
    work.context = context;
    work.plan.tick = tick_check;
    work.plan.context = &work;
    weir__input document;
    weir__input_open(&document, input, 0, DOCUMENT_FRAME);
    int rc = read_document(&work.plan, &document.reader, err);
    weir__input_close(&document);
    if (rc == WEIR_OK)
        rc = weir__activity_write_alone(activity, import_job, &work, "an import", err);
    if (report != NULL)
        *report = rc == WEIR_OK ? work.report : (weir_activity_import_report){0};
    end(&work);
    return rc;
}

// -------------------------------------------------------------------------------------------- a new bucket

static int create_job(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    import *const work = arg;
    work->report = (weir_activity_import_report){0};
    return import_bucket(work, activity, tx, 0, err);
}

int weir_activity_bucket_create_json(weir_activity *activity, const char *bucket_id,
                                     const weir_activity_input *input, const weir_activity_local *local,
                                     weir_error *err)
{
import work;
    begin(&work, input);
    work.is_creation = true;
    weir__input document;
    weir__input_open(&document, input, 0, 0);
    weir__json_token token;
    int rc = weir__plan_read(&work.plan, &document.reader, bucket_id, true, err);
    if (rc == WEIR_OK)
        rc = weir__json_reader_next(&document.reader, &token, err); // nothing may follow
    weir__input_close(&document);
    if (rc == WEIR_OK)
        rc = weir__plan_localize(&work.plan, 0, local, err);
    if (rc == WEIR_OK)
        rc = weir__activity_write_alone(activity, create_job, &work, "a new bucket", err);
    end(&work);
    return rc;
}
