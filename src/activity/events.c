// SPDX-License-Identifier: MIT
//
// Events: checking what comes in, writing rows, reading them back.
//
// What is stored can always be read by the peer: data is a canonical JSON object, and a moment before 1970 has
// no fraction of a second (it is cut towards the past, as its text would be). What others stored may be
// anything: a row whose columns have other types, whose data is no JSON object or that lasts longer than
// 64 bits of nanoseconds is left out and counted, never an error.
//
// Reading needs no sort: ORDER BY is the order of the index (bucketrow, starttime DESC, endtime), and of the
// rows within equal keys.
#include <stdlib.h>
#include <string.h>

#include "activity/activity.h"
#include "base/json_read.h"
#include "base/log.h"

enum { NS_PER_S = 1000000000 };

// ------------------------------------------------------------------------------------------------- checking

static int too_big(size_t size, weir_error *err)
{
    return weir__error_set(err, WEIR_TOOBIG, "data of %zu bytes is more than the %u that may be stored", size,
                           WEIR_ACTIVITY_DATA_BYTES_MAX);
}

int weir__activity_check_data(const char *json, size_t size, weir__text *scratch, const char **data,
                              size_t *data_size, weir_error *err)
{
    *data = json != NULL ? json : "{}";
    *data_size = json == NULL || size == WEIR_TEXT_TERMINATED ? strlen(*data) : size;
    if (*data_size == 0)
        return weir__error_set(err, WEIR_INVALID,
                               "the data are empty; data_size is WEIR_TEXT_TERMINATED for a string that ends "
                               "with a NUL");
    if (*data_size > WEIR_ACTIVITY_DATA_BYTES_MAX)
        return too_big(*data_size, err);
    if (**data == '{' && weir__json_is_canonical(*data, *data_size))
        return WEIR_OK;
    weir__text_clear(scratch);
    const int rc = weir__json_canonical(*data, *data_size, WEIR__JSON_OBJECT, scratch, err);
    *data = weir__text_string(scratch);
    *data_size = scratch->size;
    return rc == WEIR_OK && scratch->size > WEIR_ACTIVITY_DATA_BYTES_MAX ? too_big(scratch->size, err) : rc;
}

// Cuts the fraction of a moment before 1970. False: what is left is before the range.
static bool cut_before_1970(int64_t *ns)
{
    const int64_t fraction = *ns % NS_PER_S;
    if (fraction >= 0)
        return true;
    return !__builtin_sub_overflow(*ns - fraction, NS_PER_S, ns);
}

int weir__activity_event_check(const weir_event *in, weir__text *data, weir_event *out, weir_error *err)
{
    *out = *in;
    int64_t end_ns = 0;
    const bool fits = !__builtin_add_overflow(in->start_ns, in->duration_ns, &end_ns) &&
                      cut_before_1970(&out->start_ns) && cut_before_1970(&end_ns) &&
                      !__builtin_sub_overflow(end_ns, out->start_ns, &out->duration_ns);
    if (!fits)
        return weir__error_set(
            err, WEIR_INVALID,
            "the event begins or ends outside of the years 1677 to 2262, which is what can "
            "be stored");
    return weir__activity_check_data(in->data, in->data_size, data, &out->data, &out->data_size, err);
}

weir_event *weir__activity_event_copy(const weir_event *event)
{
    weir_event *const copy = malloc(sizeof *copy + event->data_size + 1);
    if (copy == NULL)
        return NULL;
    char *const data = (char *)(copy + 1);
    memcpy(data, event->data, event->data_size);
    data[event->data_size] = '\0';
    *copy = *event;
    copy->data = data;
    return copy;
}

// -------------------------------------------------------------------------------------------------- writing

static int insert_row(weir_tx *tx, int64_t bucketrow, const weir_event *event, int64_t *id, weir_error *err)
{
    static const char with_new_id[] =
        "INSERT INTO events (bucketrow, starttime, endtime, data) VALUES ($1, $2, $3, $4)";
    static const char with_given_id[] =
        "INSERT INTO events (bucketrow, starttime, endtime, data, id) VALUES ($1, $2, $3, $4, $5)";
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, event->has_id ? with_given_id : with_new_id, &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, bucketrow);
    weir_bind_int64(stmt, 2, event->start_ns);
    weir_bind_int64(stmt, 3, event->start_ns + event->duration_ns);
    weir_bind_text(stmt, 4, event->data, event->data_size);
    if (event->has_id)
        weir_bind_int64(stmt, 5, event->id);
    rc = weir_step(stmt, &row, err);
    *id = event->has_id ? event->id : weir_last_insert_rowid(tx);
    return rc;
}

static int replace_row(weir_tx *tx, const weir_event *event, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    const int rc = weir_prepare(tx, "UPDATE events SET starttime = $1, endtime = $2, data = $3 WHERE id = $4",
                                &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, event->start_ns);
    weir_bind_int64(stmt, 2, event->start_ns + event->duration_ns);
    weir_bind_text(stmt, 3, event->data, event->data_size);
    weir_bind_int64(stmt, 4, event->id);
    return weir_step(stmt, &row, err);
}

static int find_owner(weir_tx *tx, int64_t id, bool *exists, int64_t *bucketrow, weir_error *err)
{
    weir_stmt *stmt = NULL;
    *exists = false;
    int rc = weir_prepare(tx, "SELECT bucketrow FROM events WHERE id = $1", &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, id);
    rc = weir_step(stmt, exists, err);
    if (rc == WEIR_OK && *exists)
        *bucketrow = weir_column_int64(stmt, 0);
    weir_reset(stmt);
    return rc;
}

// Can SQLite choose another id? Only somebody else can have used them up: ours are bounded.
static int expect_ids_left(weir_activity *activity, weir_tx *tx, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    if (activity->knows_ids_left)
        return WEIR_OK;
    int rc = weir_prepare(tx, "SELECT seq FROM sqlite_sequence WHERE name = 'events'", &stmt, err);
    if (rc == WEIR_OK)
        rc = weir_step(stmt, &row, err);
    if (rc != WEIR_OK)
        return rc;
    activity->knows_ids_left = !row || weir_column_int64(stmt, 0) < WEIR__ACTIVITY_ID_LAST;
    weir_reset(stmt);
    if (activity->knows_ids_left)
        return WEIR_OK;
    return weir__error_set(err, WEIR_CONSTRAINT,
                           "%s: the ids of events are used up, because an event with one of the largest was "
                           "stored; set seq of events in its table sqlite_sequence back",
                           activity->path);
}

int weir__activity_event_insert(weir_activity *activity, weir_tx *tx, int64_t bucketrow,
                                const weir_event *event, int64_t *id, weir_error *err)
{
    bool exists = false;
    int64_t owner = bucketrow;
    const int rc =
        event->has_id ? find_owner(tx, event->id, &exists, &owner, err) : expect_ids_left(activity, tx, err);
    if (rc != WEIR_OK)
        return rc;
    if (owner != bucketrow)
        return weir__error_set(err, WEIR_CONSTRAINT,
                               "the event %lld is in another bucket; nothing of this was stored, send it "
                               "without an id",
                               (long long)event->id);
    if (event->has_id && !exists && event->id > WEIR__ACTIVITY_ID_MAX)
        return weir__error_set(err, WEIR_INVALID, "%lld is too large for the id of an event",
                               (long long)event->id);
    weir__activity_forget_newest(activity, bucketrow);
    *id = event->id;
    return exists ? replace_row(tx, event, err) : insert_row(tx, bucketrow, event, id, err);
}

int weir__activity_filter(weir_activity *activity, weir_tx *tx, const char *bucket_id, weir_event *event,
                          bool *keep, weir_error *err)
{
    weir__privacy_verdict verdict = WEIR__PRIVACY_KEEP;
    weir__text_clear(&activity->scratch);
    const int rc = weir__privacy_apply(activity, tx, bucket_id, event->data, event->data_size,
                                       &activity->scratch, &verdict, err);
    *keep = verdict != WEIR__PRIVACY_DROP;
    if (rc == WEIR_OK && verdict == WEIR__PRIVACY_REDACTED) {
        event->data = weir__text_string(&activity->scratch);
        event->data_size = activity->scratch.size;
    }
    return rc == WEIR_OK && activity->scratch.failed ? weir__activity_no_memory(err) : rc;
}

int weir__activity_insert_all(weir_activity *activity, weir_tx *tx, const char *bucket_id, int64_t bucketrow,
                              const weir__activity_source *source, weir__activity_kept_fn *kept,
                              void *context, weir_error *err)
{
    int rc = source->rewind(source->context, err);
    for (uint64_t index = 0; rc == WEIR_OK; index++) {
        weir_event event;
        bool has = false;
        bool keep = false;
        int64_t id = 0;
        rc = source->next(source->context, &event, &has, err);
        if (rc != WEIR_OK || !has)
            break;
        rc = weir__activity_filter(activity, tx, bucket_id, &event, &keep, err);
        if (rc == WEIR_OK && keep)
            rc = weir__activity_event_insert(activity, tx, bucketrow, &event, &id, err);
        if (rc == WEIR_OK && keep && kept != NULL)
            rc = kept(context, index, id, err);
    }
    return rc;
}

// An array of checked events as a source, and where their ids go.
typedef struct array {
    const char *bucket_id;
    weir_event *events;
    size_t count, at;
    int64_t *ids;
} array;

static int array_next(void *context, weir_event *event, bool *has, weir_error *err)
{
    array *const a = context;
    (void)err;
    *has = a->at < a->count;
    if (*has)
        *event = a->events[a->at++];
    return WEIR_OK;
}

static int array_rewind(void *context, weir_error *err)
{
    array *const a = context;
    (void)err;
    a->at = 0;
    return WEIR_OK;
}

static int array_kept(void *context, uint64_t index, int64_t id, weir_error *err)
{
    array *const a = context;
    (void)err;
    a->ids[index] = id;
    return WEIR_OK;
}

static int insert_array(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    array *const a = arg;
    const weir__activity_source source = {.next = array_next, .rewind = array_rewind, .context = a};
    weir__activity_bucket *bucket = NULL;
    const int rc = weir__activity_bucket_enter(activity, tx, a->bucket_id, &bucket, err);
    if (rc != WEIR_OK)
        return rc;
    if (a->ids != NULL)
        memset(a->ids, 0, a->count * sizeof *a->ids);
    return weir__activity_insert_all(activity, tx, a->bucket_id, bucket->row, &source,
                                     a->ids != NULL ? array_kept : NULL, a, err);
}

// Checks all events into a->events; `arena` holds the data of those that were not canonical, one after the
// other.
static int check_all(const weir_event *events, array *a, weir__text *arena, weir_error *err)
{
    weir__text scratch = {0};
    int rc = WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < a->count; i++) {
        weir_event *const event = &a->events[i];
        rc = weir__activity_event_check(&events[i], &scratch, event, err);
        if (rc != WEIR_OK || scratch.data == NULL || event->data != scratch.data)
            continue;
        weir__text_append(arena, event->data, event->data_size);
        event->data = NULL; // until the arena does not move any more
    }
    size_t used = 0;
    for (size_t i = 0; rc == WEIR_OK && !arena->failed && i < a->count; i++)
        if (a->events[i].data == NULL) {
            a->events[i].data = weir__text_string(arena) + used;
            used += a->events[i].data_size;
        }
    weir__text_free(&scratch);
    return rc == WEIR_OK && arena->failed ? weir__activity_no_memory(err) : rc;
}

int weir_activity_insert(weir_activity *activity, const char *bucket_id, const weir_event *events,
                         size_t count, int64_t *ids, weir_error *err)
{
    if (count == 0)
        return WEIR_OK;
    int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc != WEIR_OK)
        return rc;
    weir__text arena = {0};
    array a = {.bucket_id = bucket_id, .count = count, .ids = ids};
    a.events = calloc(count, sizeof *a.events);
    rc = a.events != NULL ? check_all(events, &a, &arena, err) : weir__activity_no_memory(err);
    if (rc == WEIR_OK)
        rc = weir__activity_write_events(activity, insert_array, &a, count, "activity: insert events", err);
    if (rc != WEIR_OK && ids != NULL)
        memset(ids, 0, count * sizeof *ids);
    weir__text_free(&arena);
    free(a.events);
    return rc;
}

typedef struct event_key {
    const char *bucket_id;
    int64_t id;
} event_key;

static int delete_event(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    const event_key *const key = arg;
    weir__activity_bucket *bucket = NULL;
    int rc = weir__activity_bucket_enter(activity, tx, key->bucket_id, &bucket, err);
    if (rc != WEIR_OK)
        return rc;
    rc =
        weir_exec(tx, err, "DELETE FROM events WHERE id = $1 AND bucketrow = $2", "ii", key->id, bucket->row);
    bucket->knows_newest = false;
    return rc;
}

int weir_activity_event_delete(weir_activity *activity, const char *bucket_id, int64_t id, weir_error *err)
{
    event_key key = {.bucket_id = bucket_id, .id = id};
    const int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc != WEIR_OK)
        return rc;
    return weir__activity_write(activity, delete_event, &key, "activity: delete an event", err);
}

// -------------------------------------------------------------------------------------------------- reading

void weir__activity_skip(weir_activity *activity, const char *table, int64_t id)
{
    if (atomic_fetch_add_explicit(&activity->skipped, 1, memory_order_relaxed) == 0)
        weir__log(WEIR__LOG_WARNING,
                  "%s: row %lld of %s cannot be read and is left out; further ones are only counted",
                  activity->path, (long long)id, table);
}

// The row of a SELECT of id, starttime, endtime, data. *readable false: it is left out.
static int read_row(weir_stmt *stmt, weir__text *scratch, weir_event *event, bool *readable, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    *event = (weir_event){.has_id = true, .id = weir_column_int64(stmt, 0)};
    *readable = weir_column_type(stmt, 1) == WEIR_TYPE_INTEGER &&
                weir_column_type(stmt, 2) == WEIR_TYPE_INTEGER && weir_column_type(stmt, 3) == WEIR_TYPE_TEXT;
    if (!*readable)
        return WEIR_OK;
    event->start_ns = weir_column_int64(stmt, 1);
    event->data = weir_column_text(stmt, 3);
    event->data_size = weir_column_size(stmt, 3);
    if (event->data == NULL)
        return weir__activity_no_memory(err);
    *readable = !__builtin_sub_overflow(weir_column_int64(stmt, 2), event->start_ns, &event->duration_ns);
    if (!*readable || (*event->data == '{' && weir__json_is_canonical(event->data, event->data_size)))
        return WEIR_OK;
    weir__text_clear(scratch);
    const int rc = weir__json_canonical(event->data, event->data_size, WEIR__JSON_OBJECT, scratch, &why);
    if (rc == WEIR_NOMEM)
        return weir__activity_no_memory(err);
    *readable = rc == WEIR_OK;
    event->data = weir__text_string(scratch);
    event->data_size = scratch->size;
    return WEIR_OK;
}

typedef struct range {
    int64_t start_ns, end_ns;
    uint64_t limit;
    bool clipped;
} range;

static range range_of(const weir_event_query *query)
{
    static const weir_event_query all;
    const weir_event_query *const q = query != NULL ? query : &all;
    return (range){
        .start_ns = q->has_start ? q->start_ns : 0,
        .end_ns = q->has_end ? q->end_ns : INT64_MAX,
        .limit = q->has_limit ? q->limit : UINT64_MAX,
        .clipped = !q->unclipped,
    };
}

// An event that touches the range, cut to it.
static void clip(const range *r, weir_event *event)
{
    const int64_t end_ns = event->start_ns + event->duration_ns;
    const int64_t start_ns = event->start_ns > r->start_ns ? event->start_ns : r->start_ns;
    event->duration_ns = (end_ns < r->end_ns ? end_ns : r->end_ns) - start_ns;
    event->start_ns = start_ns;
}

int weir__activity_events_read(weir_activity *activity, weir_tx *tx, int64_t bucketrow,
                               const weir_event_query *query, weir_event_fn *each, void *context,
                               weir_error *err)
{
    const range r = range_of(query);
    weir__text scratch = {0};
    weir_stmt *stmt = NULL;
    bool row = false;
    if (r.start_ns > r.end_ns || r.limit == 0)
        return WEIR_OK;
    int rc = weir_prepare(tx,
                          "SELECT id, starttime, endtime, data FROM events "
                          "WHERE bucketrow = $1 AND endtime >= $2 AND starttime <= $3 "
                          "ORDER BY starttime DESC, endtime ASC, id ASC",
                          &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, bucketrow);
    weir_bind_int64(stmt, 2, r.start_ns);
    weir_bind_int64(stmt, 3, r.end_ns);
    for (uint64_t given = 0; given < r.limit && (rc = weir_step(stmt, &row, err)) == WEIR_OK && row;) {
        weir_event event;
        bool readable = false;
        rc = read_row(stmt, &scratch, &event, &readable, err);
        if (rc != WEIR_OK)
            break;
        if (!readable) {
            weir__activity_skip(activity, "events", event.id);
            continue;
        }
        if (r.clipped)
            clip(&r, &event);
        rc = each(context, &event, err);
        if (rc != WEIR_OK)
            break;
        given++;
    }
    weir_reset(stmt);
    weir__text_free(&scratch);
    return rc;
}

typedef struct reading {
    weir_activity *activity;
    const char *bucket_id;
    const weir_event_query *query;
    weir_event_fn *each;
    void *context;
    int64_t count;
} reading;

static int read_events(weir_tx *tx, void *arg, weir_error *err)
{
    const reading *const job = arg;
    int64_t row = 0;
    const int rc = weir__activity_bucket_find(tx, job->bucket_id, &row, err);
    if (rc != WEIR_OK)
        return rc;
    return weir__activity_events_read(job->activity, tx, row, job->query, job->each, job->context, err);
}

static weir_read_options read_options(const weir_event_query *query, const char *label)
{
    return (weir_read_options){.deadline_ms = query != NULL ? query->deadline_ms : 0, .label = label};
}

int weir_activity_events(weir_activity *activity, const char *bucket_id, const weir_event_query *query,
                         weir_event_fn *each, void *context, weir_error *err)
{
    reading job = {
        .activity = activity, .bucket_id = bucket_id, .query = query, .each = each, .context = context};
    const weir_read_options options = read_options(query, "activity: events");
    const int rc = weir__activity_check_name("id", bucket_id, err);
    return rc == WEIR_OK ? weir_read(activity->store, read_events, &job, &options, err) : rc;
}

static int count_events(weir_tx *tx, void *arg, weir_error *err)
{
    reading *const job = arg;
    const range r = range_of(job->query);
    weir_stmt *stmt = NULL;
    bool has = false;
    int64_t row = 0;
    int rc = weir__activity_bucket_find(tx, job->bucket_id, &row, err);
    if (rc != WEIR_OK || r.start_ns >= r.end_ns)
        return rc;
    rc = weir_prepare(
        tx, "SELECT count(*) FROM events WHERE bucketrow = $1 AND endtime >= $2 AND starttime <= $3", &stmt,
        err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, row);
    weir_bind_int64(stmt, 2, r.start_ns);
    weir_bind_int64(stmt, 3, r.end_ns);
    rc = weir_step(stmt, &has, err);
    if (rc == WEIR_OK && has)
        job->count = weir_column_int64(stmt, 0);
    weir_reset(stmt);
    return rc;
}

int weir_activity_count(weir_activity *activity, const char *bucket_id, const weir_event_query *query,
                        int64_t *count, weir_error *err)
{
    reading job = {.activity = activity, .bucket_id = bucket_id, .query = query};
    const weir_read_options options = read_options(query, "activity: count events");
    *count = 0;
    int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc == WEIR_OK)
        rc = weir_read(activity->store, count_events, &job, &options, err);
    if (rc == WEIR_OK)
        *count = job.count;
    return rc;
}

int weir__activity_event_read(weir_tx *tx, int64_t bucketrow, int64_t id, weir_event_fn *each, void *context,
                              bool *exists, weir_error *err)
{
    weir__text scratch = {0};
    weir_stmt *stmt = NULL;
    *exists = false;
    int rc = weir_prepare(
        tx, "SELECT id, starttime, endtime, data FROM events WHERE id = $1 AND bucketrow = $2", &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, id);
    weir_bind_int64(stmt, 2, bucketrow);
    rc = weir_step(stmt, exists, err);
    if (rc == WEIR_OK && *exists) {
        weir_event event;
        bool readable = false;
        rc = read_row(stmt, &scratch, &event, &readable, err);
        if (rc == WEIR_OK && readable)
            rc = each(context, &event, err);
        else if (rc == WEIR_OK)
            rc =
                weir__error_set(err, WEIR_CORRUPT,
                                "the event %lld cannot be read: its row holds something else", (long long)id);
    }
    weir_reset(stmt);
    weir__text_free(&scratch);
    return rc;
}

typedef struct getting {
    event_key key;
    weir_event *event;
} getting;

static int keep_event(void *context, const weir_event *event, weir_error *err)
{
    getting *const job = context;
    job->event = weir__activity_event_copy(event);
    return job->event != NULL ? WEIR_OK : weir__activity_no_memory(err);
}

static int get_event(weir_tx *tx, void *arg, weir_error *err)
{
    getting *const job = arg;
    bool exists = false;
    int64_t row = 0;
    int rc = weir__activity_bucket_find(tx, job->key.bucket_id, &row, err);
    if (rc == WEIR_OK)
        rc = weir__activity_event_read(tx, row, job->key.id, keep_event, job, &exists, err);
    if (rc == WEIR_OK && !exists)
        rc = weir__error_set(err, WEIR_NOTFOUND, "There is no event %lld in bucket '%s'",
                             (long long)job->key.id, job->key.bucket_id);
    return rc;
}

int weir_activity_event_get(weir_activity *activity, const char *bucket_id, int64_t id, weir_event **event,
                            weir_error *err)
{
    getting job = {.key = {.bucket_id = bucket_id, .id = id}};
    const weir_read_options options = {.label = "activity: one event"};
    *event = NULL;
    int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc == WEIR_OK)
        rc = weir_read(activity->store, get_event, &job, &options, err);
    if (rc == WEIR_OK)
        *event = job.event;
    else
        free(job.event);
    return rc;
}
