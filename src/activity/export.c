// SPDX-License-Identifier: MIT
//
// Export: one snapshot, written as it is read. At most one event or bucket and PIECE_BYTES are in memory, however
// long the history is.
#include "activity/activity.h"
#include "activity/json.h"

#include <string.h>

enum { PIECE_BYTES = 64 << 10 };

typedef struct export
{
    weir_activity *activity;
    weir_activity_sink_fn *sink;
    void *context;
    weir__text out; // not handed over yet
    bool has_bucket, has_event;
}
export;

static int flush(export *work, weir_error *err)
{
    if (work->out.failed)
        return weir__activity_no_memory(err);
    const int rc = work->sink(work->context, work->out.data, work->out.size, err);
    weir__text_clear(&work->out);
    return rc;
}

static int add_event(void *context, const weir_event *event, weir_error *err)
{
    export *const work = context;
    if (work->has_event)
        weir__text_char(&work->out, ',');
    work->has_event = true;
    char *const place = weir__text_room(&work->out, weir_event_json_size(event));
    if (place == NULL)
        return weir__activity_no_memory(err);
    weir__text_added(&work->out, weir_event_json(event, place));
    return work->out.size >= PIECE_BYTES ? flush(work, err) : WEIR_OK;
}

static int add_bucket(void *context, weir_tx *tx, const weir_bucket *bucket, int64_t row, weir_error *err)
{
    export *const work = context;
    if (work->has_bucket)
        weir__text_char(&work->out, ',');
    work->has_bucket = true;
    work->has_event = false;
    weir__text_json_string(&work->out, bucket->id, strlen(bucket->id));
    weir__text_char(&work->out, ':');
    weir__bucket_json_begin(&work->out, bucket);
    weir__text_char(&work->out, '[');
    int rc = weir__activity_events_read(work->activity, tx, row, NULL, add_event, work, err);
    weir__text_char(&work->out, ']');
    weir__bucket_json_end(&work->out);
    if (rc == WEIR_OK && work->out.size >= PIECE_BYTES)
        rc = flush(work, err);
    return rc;
}

static int write_all(export *work, weir_tx *tx, const char *bucket_id, weir_error *err)
{
    weir__text_add(&work->out, "{\"buckets\":{");
    int rc = bucket_id != NULL
                 ? weir__activity_bucket_read(work->activity, tx, bucket_id, add_bucket, work, err)
                 : weir__activity_buckets_read(work->activity, tx, add_bucket, work, err);
    weir__text_add(&work->out, "}}");
    return rc == WEIR_OK ? flush(work, err) : rc;
}

int weir_activity_export(weir_activity *activity, const char *bucket_id, uint32_t deadline_ms,
                         weir_activity_sink_fn *sink, void *context, weir_error *err)
{
    const weir_read_options options = {
        .deadline_ms = deadline_ms != 0 ? deadline_ms : WEIR_NO_DEADLINE,
        .label = "an export",
    };
    export work = {.activity = activity, .sink = sink, .context = context};
    weir_snapshot *snapshot = NULL;
    int rc = bucket_id != NULL ? weir__activity_check_name("id", bucket_id, err) : WEIR_OK;
    if (rc == WEIR_OK)
        rc = weir_snapshot_open(activity->store, &options, &snapshot, err);
    if (rc == WEIR_OK)
        rc = write_all(&work, weir_snapshot_tx(snapshot), bucket_id, err);
    weir_snapshot_close(snapshot);
    weir__text_free(&work.out);
    return rc;
}
