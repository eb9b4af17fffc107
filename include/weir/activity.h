// SPDX-License-Identifier: MIT
//
// activity.h - what somebody did and when: buckets of events, kept in a database that ActivityWatch's server
// can open too.
//
// A *bucket* belongs to one watcher on one machine; an *event* has a moment, a duration and a JSON object. A
// *heartbeat* is an event that is merged into the newest one of its bucket when both say the same and lie
// close enough together. The database is that of aw-server-rust, user_version 5, with nothing of our own in
// it.
//
//     weir_activity *activity = NULL;
//     if (weir_activity_open("sqlite.db", NULL, &activity, &err) != WEIR_OK) …
//     weir_event beat = {.start_ns = now, .data = "{\"app\":\"vim\"}", .data_size = WEIR_TEXT_TERMINATED};
//     weir_activity_heartbeat(activity, "aw-watcher-window_host", &beat, 60.0, &merged, &err);
//
// Conventions are those of weir.h. A write has its acknowledgement (DURABLE unless configured) when its call
// returns or its `done` is called, and every later read sees it. Times are nanoseconds since 1970-01-01 UTC
// (1677-09-21 to 2262-04-11); a moment before 1970 is stored without its fraction of a second, because the
// peer cannot open a file that holds one. JSON is stored in canonical form: compact, keys sorted bytewise at
// every level, the last of equal keys kept; two values are equal when their canonical texts are, so 1 is not
// 1.0.
#ifndef WEIR_ACTIVITY_H
#define WEIR_ACTIVITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/error.h>
#include <weir/weir.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_ACTIVITY_USER_VERSION 5
// One event's or bucket's data, and one setting, as JSON text.
#define WEIR_ACTIVITY_DATA_BYTES_MAX (16U << 20)
// How deep that JSON may be: the peer, which reads it with serde_json, dies of more.
#define WEIR_ACTIVITY_JSON_DEPTH_MAX 127
// A bucket's id, type, client and hostname, each. UTF-8 without control characters is not asked for: the
// peer does not either.
#define WEIR_ACTIVITY_NAME_BYTES_MAX 4096
// A setting's name is shorter than this.
#define WEIR_ACTIVITY_SETTING_NAME_SIZE 128

typedef struct weir_activity weir_activity;

typedef struct weir_activity_config {
    const weir_config
        *store;   // NULL: defaults. read_only: nothing is created or migrated, user_version must be 5
    weir_ack ack; // APPLIED: for heartbeats, which are then committed in batches as the peer does, and
                  // are lost only if the process dies; any other write is COMMITTED, and the batch with it
    uint32_t applied_linger_ms; // APPLIED: a batch is committed after this time (default 15000) …
    uint32_t applied_jobs_max;  // … or at this many writes (default 100)
} weir_activity_config;

#define WEIR_ACTIVITY_CONFIG_INIT WEIR_ALL_DEFAULTS

// Opens or creates the database; migrates user_version 0 to 4 to 5, each step in a transaction of its own. A
// file that is not empty and has none of the peer's tables is refused (NOTADB), as is a higher version
// (UNSUPPORTED). Blocks as weir_open() does, and for as long as a migration takes. What is refused is left as
// it is. Errors: those of weir_open(), SQL (tables of the peer's names that are not the peer's).
int weir_activity_open(const char *path, const weir_activity_config *config, weir_activity **activity,
                       weir_error *err);
// As weir_close(). The handle is gone after it, except in a forked child.
int weir_activity_close(weir_activity *activity, uint32_t deadline_ms, weir_error *err);
// The store below, for statistics, health and checkpoints. Belongs to the handle.
weir_store *weir_activity_store(weir_activity *activity);
// The path of the database as it was given. Lives as long as the handle.
const char *weir_activity_path(const weir_activity *activity);

// -------------------------------------------------------------------------------------------------- events

typedef struct weir_event {
    bool has_id; // else `id` is not looked at (in) or 0 (out)
    int64_t id;  // unique in the database, not only in its bucket
    int64_t start_ns;
    int64_t duration_ns; // may be negative
    const char *data;    // a JSON object, canonical where it comes from us; NULL: {}
    size_t data_size;    // bytes; WEIR_TEXT_TERMINATED for a NUL-terminated string
} weir_event;

// JSON in memory or in a region of a file, which is read with pread(2) piece by piece and must not change
// meanwhile.
typedef struct weir_activity_input {
    const char *bytes; // NULL: fd
    int fd;
    uint64_t offset; // of the region, fd only
    uint64_t size;
} weir_activity_input;

// Gets one event of a result, valid until it returns. Anything but WEIR_OK (with a sentence in *err) ends the
// reading and is returned from it.
typedef int weir_event_fn(void *context, const weir_event *event, weir_error *err);

// As one JSON object, {"id":…,"timestamp":…,"duration":…,"data":…}, not terminated; returns its length, at
// most weir_event_json_size(). `data` must be canonical.
size_t weir_event_json(const weir_event *event, char *out);
size_t weir_event_json_size(const weir_event *event);

// Reads one event from JSON, leniently where the peer does (fields unknown, order, date forms). The event
// and its data are one malloc'd block, to be freed with free(). Errors: INVALID (no JSON, a date out of
// range), MISMATCH (JSON of another shape), TOOBIG, NOMEM.
int weir_event_parse(const char *json, size_t size, weir_event **event, weir_error *err);

// Inserts events in one transaction, all or nothing, and fills ids[count] (may be NULL) in their order. An
// event with an id replaces the event of that id in this bucket; if that is another bucket's: CONSTRAINT; an
// id that is not there is taken over, up to 2^62.
// What a privacy filter drops gets id 0. No events: WEIR_OK, whatever the bucket. Errors: NOTFOUND (no such
// bucket), INVALID (data that is no JSON, a moment or an end out of range, an id that is too large), MISMATCH
// (data that is no JSON object), TOOBIG, CONSTRAINT, and those of weir_write().
int weir_activity_insert(weir_activity *activity, const char *bucket_id, const weir_event *events,
                         size_t count, int64_t *ids, weir_error *err);

// The same from a JSON array of any length, in bounded memory: `each` (may be NULL) is called for every
// event that was kept, in order, with its id, after the commit; an error from there on undoes nothing. TOOBIG
// also when these ids, in more than four million places, do not follow one another.
int weir_activity_insert_json(weir_activity *activity, const char *bucket_id,
                              const weir_activity_input *input, weir_event_fn *each, void *context,
                              weir_error *err);

// A heartbeat: merges into the newest event of the bucket when the data are equal and it starts not before
// that event and at most `pulsetime_s` seconds after its end; else inserts, with the id that it may have.
// *result (may be NULL) is the event as it stands then, always with an id, malloc'd (free()). When a privacy
// filter drops it: the newest event, or the heartbeat itself without an id. Errors: as weir_activity_insert().
int weir_activity_heartbeat(weir_activity *activity, const char *bucket_id, const weir_event *beat,
                            double pulsetime_s, weir_event **result, weir_error *err);

// The same without waiting for the commit: copies, queues and returns; BUSY when the queue is full. `done`
// is called once as weir_done_fn is and under its rules; `event` is NULL on an error and valid until it
// returns. When this returns an error `done` is not called.
typedef void weir_heartbeat_done_fn(void *context, const weir_error *result, const weir_event *event);
int weir_activity_heartbeat_submit(weir_activity *activity, const char *bucket_id, const weir_event *beat,
                                   double pulsetime_s, weir_heartbeat_done_fn *done, void *context,
                                   weir_error *err);

typedef struct weir_event_query {
    bool has_start, has_end;  // without: from 1970, without end
    int64_t start_ns, end_ns; // both inclusive; start after end: nothing
    bool has_limit;           // else all
    uint64_t limit;           // newest first
    bool unclipped;           // else events are cut to [start, end]
    uint32_t deadline_ms;     // 0: the store's read_deadline_ms
} weir_event_query;

#define WEIR_EVENT_QUERY_INIT WEIR_ALL_DEFAULTS

// Calls `each` for the events that touch [start, end], newest start first (equal starts: shorter first, then
// by id), on one snapshot. `query` NULL: all. Rows that cannot be read are left out and counted
// (weir_activity_skipped). NOTFOUND: no such bucket.
int weir_activity_events(weir_activity *activity, const char *bucket_id, const weir_event_query *query,
                         weir_event_fn *each, void *context, weir_error *err);
// How many those are, limit aside; start equal to end or after it: 0.
int weir_activity_count(weir_activity *activity, const char *bucket_id, const weir_event_query *query,
                        int64_t *count, weir_error *err);
// One event, unclipped, malloc'd (free()). NOTFOUND: no such bucket, or no such event in it; `err` says
// which.
int weir_activity_event_get(weir_activity *activity, const char *bucket_id, int64_t id, weir_event **event,
                            weir_error *err);
// Fine also when there is no such event. NOTFOUND: no such bucket.
int weir_activity_event_delete(weir_activity *activity, const char *bucket_id, int64_t id, weir_error *err);
// Rows that this handle could not read and left out of answers.
uint64_t weir_activity_skipped(const weir_activity *activity);

// ------------------------------------------------------------------------------------------------- buckets

typedef struct weir_bucket {
    const char *id, *type, *client, *hostname;
    bool has_created; // in: else now
    int64_t created_ns;
    const char *data; // a JSON object, canonical where it comes from us; NULL: {}
    size_t data_size; // or WEIR_TEXT_TERMINATED
    bool has_start,
        has_end; // out: of its events, from the database, never from memory of what was there once
    int64_t start_ns, end_ns;
} weir_bucket;

typedef int weir_bucket_fn(void *context, const weir_bucket *bucket, weir_error *err);

// As one JSON object with "events":null, malloc'd (free()); NULL: no memory.
char *weir_bucket_json(const weir_bucket *bucket);

// Creates a bucket. EXISTS: the id is taken. INVALID, TOOBIG.
int weir_activity_bucket_create(weir_activity *activity, const weir_bucket *bucket, weir_error *err);

// What the server adds when a bucket says that it is of "this machine".
typedef struct weir_activity_local {
    const char *hostname;  // for "!local"
    const char *device_id; // data.device_id for such a bucket; may be NULL
} weir_activity_local;

// The same from the JSON that clients send, `bucket_id` (may be NULL) instead of its id; its `events` are
// inserted too, in the same transaction; those that are no events are left out, and so are ids.
int weir_activity_bucket_create_json(weir_activity *activity, const char *bucket_id,
                                     const weir_activity_input *input, const weir_activity_local *local,
                                     weir_error *err);
// Malloc'd, one block (free()). NOTFOUND.
int weir_activity_bucket_get(weir_activity *activity, const char *bucket_id, weir_bucket **bucket,
                             weir_error *err);
// All of them, sorted by id bytewise, on one snapshot.
int weir_activity_buckets(weir_activity *activity, weir_bucket_fn *each, void *context, weir_error *err);
// With all its events. NOTFOUND.
int weir_activity_bucket_delete(weir_activity *activity, const char *bucket_id, weir_error *err);
// NOTFOUND, EXISTS.
int weir_activity_bucket_rename(weir_activity *activity, const char *bucket_id, const char *new_id,
                                weir_error *err);

// ------------------------------------------------------------------------------------------------ settings

// *json is the canonical value, malloc'd; NULL (and WEIR_OK) when it is not set. TOOBIG: a name of
// WEIR_ACTIVITY_SETTING_NAME_SIZE bytes or more.
int weir_activity_setting_get(weir_activity *activity, const char *name, char **json, weir_error *err);
// Any JSON value. "privacy_filters" takes effect with this write, see docs/activity.md; a list of rules that
// is not valid is stored, and the rules before it stay (the warning is logged).
int weir_activity_setting_set(weir_activity *activity, const char *name, const char *json, size_t size,
                              weir_error *err);
int weir_activity_setting_delete(weir_activity *activity, const char *name, weir_error *err);
// All as one JSON object, sorted, malloc'd (free()).
int weir_activity_settings(weir_activity *activity, char **json, weir_error *err);

// ----------------------------------------------------------------------------------------- export and import

// Takes a piece of output. Anything but WEIR_OK (with a sentence) ends the export and is returned from it.
typedef int weir_activity_sink_fn(void *context, const void *bytes, size_t size, weir_error *err);

// Writes {"buckets":{…}} with all events of a bucket, or of all (NULL), from one snapshot, in bounded memory.
// `deadline_ms` 0: none but the caller's patience, for it is as long as its sink; the snapshot pins the log
// meanwhile. NOTFOUND.
int weir_activity_export(weir_activity *activity, const char *bucket_id, uint32_t deadline_ms,
                         weir_activity_sink_fn *sink, void *context, weir_error *err);

typedef struct weir_activity_import_report {
    uint64_t buckets_created, buckets_merged;
    uint64_t events_inserted, events_known, events_dropped,
        events_invalid; // known: there already; dropped: by a filter
} weir_activity_import_report;

// Reads an export (of ours, of the peer) into the database, in one transaction and bounded memory. Ids are
// ignored. An event whose moment, duration and data are in the bucket already is not inserted again. The
// input is checked in full before anything is written. `progress` (may be NULL) is called on the thread that
// works. Errors: INVALID, MISMATCH, TOOBIG, CANCELLED, and those of weir_write().
int weir_activity_import(weir_activity *activity, const weir_activity_input *input,
                         weir_progress_fn *progress, void *context, weir_activity_import_report *report,
                         weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
