// SPDX-License-Identifier: MIT
//
// What the files of the activity store share.
//
//   open.c, schema.c          the handle, the tables, migrations
//   cache.c                   what the writer remembers, and the frame of every job
//   buckets.c, events.c       rows of the two tables: checks, writing, reading
//   heartbeat.c               merging
//   rules.c, privacy.c        rules that drop or redact, and which of them are in force
//   settings.c                key_value
//   event_json.c, bucket_json.c, json.c one event or bucket as JSON, and what their readers share
//   insert_json.c, import.c, export.c   lists of them, streamed
//   input.c, plan.c, known.c            what an import stands on
//
// Threads. Reads run on the caller's thread, on a snapshot, and use nothing of the handle but `store`,
// `path` and the counters. Jobs run one at a time, on the writer's thread or on one that waits in
// weir_write(); each of ours goes through weir__activity_write() or weir__activity_enter(), and only between
// enter and leave are the fields under "jobs only" touched. The store hands the turn from one job to the
// next under its own lock, so these fields need none.
//
// A job may run more than once and may be rolled back after it ended well. What it remembers in the handle is
// therefore stamped: weir__activity_enter() compares the stamp with the database's (see cache.c) and forgets
// everything when something happened that our own jobs did not do.
#ifndef WEIR_ACTIVITY_ACTIVITY_H
#define WEIR_ACTIVITY_ACTIVITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/activity.h>

#include "activity/rules.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

typedef struct weir__activity_cache weir__activity_cache;
typedef struct weir__privacy weir__privacy;

struct weir_activity {
    char *path; // as given
    weir_store *store;
    weir_ack ack; // of heartbeats; of other writes COMMITTED where this is APPLIED
    bool read_only;
    _Atomic uint64_t skipped; // rows that could not be read

    // Jobs only.
    weir__activity_cache *cache;
    bool knows_ids_left;    // that SQLite can choose more ids for events
    weir__privacy *privacy; // the rules in force; NULL: never read
    weir__text scratch;     // redacted data
};

// The ids that clients may choose end here: above it there are enough left for those that SQLite chooses. Somebody
// else may have chosen higher ones: beyond the second bound no id is chosen, because SQLite would soon call the disk
// full.
#define WEIR__ACTIVITY_ID_MAX (INT64_C(1) << 62)
#define WEIR__ACTIVITY_ID_LAST (INT64_MAX - (INT64_C(1) << 40))

int weir__activity_no_memory(weir_error *err);

// ---------------------------------------------------------------------------------------------------- jobs

typedef int weir__activity_job_fn(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err);

// Runs a job of ours and waits for it. `arg` may be on the stack: it is acknowledged as committed or durable,
// never as applied only.
int weir__activity_write(weir_activity *activity, weir__activity_job_fn *job, void *arg, const char *label,
                         weir_error *err);

// The same in a transaction of its own, for jobs that may take long.
int weir__activity_write_alone(weir_activity *activity, weir__activity_job_fn *job, void *arg,
                               const char *label, weir_error *err);

// One of the two, for a job that writes so many events.
int weir__activity_write_events(weir_activity *activity, weir__activity_job_fn *job, void *arg,
                                uint64_t count, const char *label, weir_error *err);

// The first and the last call of a job that goes to the store by itself.
void weir__activity_enter(weir_activity *activity, weir_tx *tx);
void weir__activity_leave(weir_activity *activity, weir_tx *tx, int result);

// --------------------------------------------------------------------------------------------------- cache

// The event that a heartbeat is compared with: of those that do not end before 1970 the one with the highest
// start; among equal ones that with the lowest end, then the lowest id. `start_ns` is the row's, uncut.
typedef struct weir__activity_newest {
    bool exists;
    bool tied; // another one starts at the same moment
    int64_t id, start_ns, end_ns;
    weir__text data; // canonical
} weir__activity_newest;

// What the writer remembers of a bucket. Valid until the job ends or anything is forgotten.
typedef struct weir__activity_bucket {
    struct weir__activity_bucket *id_next, *row_next; // in the cache's two tables
    uint64_t hash;                                    // of the id
    int64_t row;
    bool knows_newest;
    weir__activity_newest newest;
    size_t id_size;
    char id[];
} weir__activity_bucket;

int weir__activity_cache_create(weir__activity_cache **cache, weir_error *err);
void weir__activity_cache_destroy(weir__activity_cache *cache);
// Forgets all (the rules of privacy.c, too), or what is known of one bucket's events.
void weir__activity_forget_all(weir_activity *activity);
void weir__activity_forget_newest(weir_activity *activity, int64_t bucketrow);

// In a job: sees to it that the bucket's newest event is known.
int weir__activity_know_newest(weir_activity *activity, weir_tx *tx, weir__activity_bucket *bucket,
                               weir_error *err);
// Note what was done while it was known: an event was inserted under a new id; it was changed itself.
void weir__activity_note_inserted(weir__activity_bucket *bucket, const weir_event *event, int64_t id);
void weir__activity_note_merged(weir__activity_bucket *bucket, int64_t start_ns, int64_t end_ns);
// The end of using it: data that is too large to be remembered is freed.
void weir__activity_settle(weir__activity_bucket *bucket);

// In a job: the bucket's entry. NOTFOUND with the sentence that clients know.
int weir__activity_bucket_enter(weir_activity *activity, weir_tx *tx, const char *id,
                                weir__activity_bucket **bucket, weir_error *err);

// -------------------------------------------------------------------------------------------------- schema

// Before the store is opened: refuses a file that exists and is not ours, without changing anything of it.
// What cannot be looked at is left to weir_open(), which says why.
int weir__activity_schema_look(const char *path, const weir_config *config, weir_error *err);
// Creates, migrates, checks; refuses what is not ours.
int weir__activity_schema_prepare(weir_activity *activity, weir_error *err);

// ------------------------------------------------------------------------------------------------- buckets

// "The requested bucket '…' does not exist", and its counterpart.
int weir__activity_no_bucket(const char *id, weir_error *err);
int weir__activity_bucket_taken(const char *id, weir_error *err);

// In any transaction: the row of a bucket, read from the database. NOTFOUND.
int weir__activity_bucket_find(weir_tx *tx, const char *id, int64_t *row, weir_error *err);

// Outside of any transaction: is this one of the four names of a bucket? INVALID.
int weir__activity_check_name(const char *what, const char *name, weir_error *err);
// Outside of any transaction: checks all fields; `data` takes the canonical data, and *out points into
// `bucket` and `data`. INVALID, TOOBIG, NOMEM.
int weir__activity_bucket_check(const weir_bucket *bucket, weir__text *data, weir_bucket *out,
                                weir_error *err);

// Wall time, for buckets that do not say when they were created. Not in a job, which may run again later.
int64_t weir__activity_now_ns(void);

// In a job: inserts a checked bucket. EXISTS.
int weir__activity_bucket_insert(weir_activity *activity, weir_tx *tx, const weir_bucket *bucket,
                                 int64_t now_ns, int64_t *row, weir_error *err);

// In any transaction: reads one bucket, or all sorted by id. `row` for what belongs to it; valid until it
// returns. Statements of the reader's own are fine in it.
typedef int weir__activity_bucket_fn(void *context, weir_tx *tx, const weir_bucket *bucket, int64_t row,
                                     weir_error *err);
int weir__activity_bucket_read(weir_activity *activity, weir_tx *tx, const char *id,
                               weir__activity_bucket_fn *each, void *context, weir_error *err);
int weir__activity_buckets_read(weir_activity *activity, weir_tx *tx, weir__activity_bucket_fn *each,
                                void *context, weir_error *err);

// -------------------------------------------------------------------------------------------------- events

// Outside of any transaction: is this JSON an object? `scratch` (cleared first) takes its canonical form where
// it was not canonical; *data points there or to `json`. NULL is {}. INVALID, MISMATCH, TOOBIG, NOMEM.
int weir__activity_check_data(const char *json, size_t size, weir__text *scratch, const char **data,
                              size_t *data_size, weir_error *err);

// Outside of any transaction: checks an event as it came. `data` (cleared first) takes its canonical data
// where it was not canonical; *out points into `in` or `data`, its moment and end are cut as they will be
// stored. INVALID, MISMATCH (data is no object), TOOBIG, NOMEM.
int weir__activity_event_check(const weir_event *in, weir__text *data, weir_event *out, weir_error *err);

// One malloc'd block.
weir_event *weir__activity_event_copy(const weir_event *event);

// In a job: inserts a checked event into a bucket, or replaces the one with its id. CONSTRAINT: that is in
// another bucket. The bucket's newest event is forgotten.
int weir__activity_event_insert(weir_activity *activity, weir_tx *tx, int64_t bucketrow,
                                const weir_event *event, int64_t *id, weir_error *err);

// In any transaction: gives one event of a bucket, unclipped, if it is there. CORRUPT: it is, but cannot be read.
int weir__activity_event_read(weir_tx *tx, int64_t bucketrow, int64_t id, weir_event_fn *each, void *context,
                              bool *exists, weir_error *err);

// In any transaction: the events of a bucket, as weir_activity_events() gives them. `query` NULL: all.
int weir__activity_events_read(weir_activity *activity, weir_tx *tx, int64_t bucketrow,
                               const weir_event_query *query, weir_event_fn *each, void *context,
                               weir_error *err);

// Counts a row that cannot be read, and says so once.
void weir__activity_skip(weir_activity *activity, const char *table, int64_t id);

// Events one after the other, however they are kept. `next` gives a checked event, valid until the next
// call; *has false: the end. `rewind` goes back to the first: a job may run again.
typedef struct weir__activity_source {
    int (*next)(void *context, weir_event *event, bool *has, weir_error *err);
    int (*rewind)(void *context, weir_error *err);
    void *context;
} weir__activity_source;

// Told of each event of a source that no filter dropped, in their order: its place among all of them, from 0,
// and its row's id.
typedef int weir__activity_kept_fn(void *context, uint64_t index, int64_t id, weir_error *err);

// In a job: lets the rules change an event, or drop it. `event` may point into `activity->scratch` afterwards.
int weir__activity_filter(weir_activity *activity, weir_tx *tx, const char *bucket_id, weir_event *event,
                          bool *keep, weir_error *err);

// In a job: rewinds, filters and inserts all events of a source. `kept` may be NULL; what it was told by a run of
// the job before this one holds no more.
int weir__activity_insert_all(weir_activity *activity, weir_tx *tx, const char *bucket_id, int64_t bucketrow,
                              const weir__activity_source *source, weir__activity_kept_fn *kept,
                              void *context, weir_error *err);

// ------------------------------------------------------------------------------------------------- privacy

// In a job: what the rules say to an event's canonical data. `redacted` (cleared first) is canonical. Reads
// the rules when they are not known.
int weir__privacy_apply(weir_activity *activity, weir_tx *tx, const char *bucket_id, const char *data,
                        size_t data_size, weir__text *redacted, weir__privacy_verdict *verdict,
                        weir_error *err);
// In a job: reads the rules now, unless they are known. What is not valid as a whole is logged, and the rules
// before it stay in force.
int weir__privacy_load(weir_activity *activity, weir_tx *tx, weir_error *err);
// Is there a rule in force, as far as is known?
bool weir__privacy_is_active(const weir_activity *activity);
// The setting may be another one by now: the next job looks. The rules stay until it has.
void weir__privacy_forget(weir_activity *activity);
void weir__privacy_destroy(weir_activity *activity);

#endif
