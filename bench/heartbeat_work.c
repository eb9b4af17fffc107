// SPDX-License-Identifier: MIT
//
// What `weir bench heartbeat` writes, and whether it is there afterwards.
//
// Verification: BEATS_PER_EVENT beats of no duration, a second apart, make one event of BEATS_PER_EVENT - 1 seconds. So
// the number of events of a bucket and the sum of their durations follow from the number of its beats; a beat that
// was lost, stored twice or merged wrongly changes one of the two.
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/heartbeat.h"

enum { PREPARE_BATCH = 1000, DAY_S = 86400 };

static const int64_t SECOND_NS = INT64_C(1000000000);
static const int64_t PREPARED_FROM_S = INT64_C(1704067200); // 2024-01-01
static const int64_t BEATS_FROM_S = INT64_C(4102444800);    // 2100-01-01, after any number of prepared events

void weir__beat_source_init(weir__beat_source *source)
{
    *source = (weir__beat_source){0};
    for (unsigned i = 0; i < WEIR__BEAT_BUCKETS; i++)
        pthread_mutex_init(&source->lock[i], NULL);
}

void weir__beat_source_fini(weir__beat_source *source)
{
    for (unsigned i = 0; i < WEIR__BEAT_BUCKETS; i++)
        pthread_mutex_destroy(&source->lock[i]);
}

void weir__beat_bucket_id(unsigned bucket, char id[WEIR__BEAT_BUCKET_SIZE])
{
    (void)snprintf(id, WEIR__BEAT_BUCKET_SIZE, "aw-watcher-window_host%u", bucket);
}

static void set_event(weir__beat *beat, int64_t start_s, int64_t duration_s, uint64_t title)
{
    const int size = snprintf(beat->data, sizeof beat->data,
                              "{\"app\":\"firefox\",\"title\":\"Page %" PRIu64
                              " of somebody's day, with a title as long as titles are\"}",
                              title);
    beat->event = (weir_event){.start_ns = start_s * SECOND_NS,
                               .duration_ns = duration_s * SECOND_NS,
                               .data = beat->data,
                               .data_size = (size_t)size};
}

void weir__beat_next(weir__beat_source *source, unsigned bucket, weir__beat *beat)
{
    const uint64_t number = source->next[bucket]++;
    set_event(beat, BEATS_FROM_S + (int64_t)number, 0, number / WEIR__BEATS_PER_EVENT);
}

int64_t weir__beat_day_ns(uint64_t events, uint64_t pick)
{
    const uint64_t days = events / WEIR__BEAT_BUCKETS * WEIR__BEAT_PREPARED_STEP_S / DAY_S;
    return (PREPARED_FROM_S + (int64_t)(days > 0 ? pick % days : 0) * DAY_S) * SECOND_NS;
}

static int insert_batch(weir_activity *activity, unsigned bucket, uint64_t first, uint64_t count,
                        weir__beat *beats, weir_error *err)
{
    weir_event events[PREPARE_BATCH];
    char id[WEIR__BEAT_BUCKET_SIZE];
    weir__beat_bucket_id(bucket, id);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t number = first + i;
        set_event(&beats[i], PREPARED_FROM_S + (int64_t)number * WEIR__BEAT_PREPARED_STEP_S,
                  WEIR__BEAT_PREPARED_STEP_S - 1 - (int64_t)(number % 20), number);
        events[i] = beats[i].event;
    }
    return weir_activity_insert(activity, id, events, count, NULL, err);
}

static int fill(const weir__bench_session *session, weir_activity *activity, uint64_t events,
                weir__beat *beats, weir_error *err)
{
    int code = WEIR_OK;
    for (unsigned bucket = 0; bucket < WEIR__BEAT_BUCKETS && code == WEIR_OK; bucket++) {
        const uint64_t mine = events / WEIR__BEAT_BUCKETS + (bucket < events % WEIR__BEAT_BUCKETS);
        char id[WEIR__BEAT_BUCKET_SIZE];
        weir__beat_bucket_id(bucket, id);
        const weir_bucket made = {
            .id = id, .type = "currentwindow", .client = "aw-watcher-window", .hostname = "host"};
        code = weir_activity_bucket_create(activity, &made, err);
        for (uint64_t done = 0; done < mine && code == WEIR_OK; done += PREPARE_BATCH) {
            weir__bench_progress(session, "preparing: bucket %u of %d, %" PRIu64 " events", bucket + 1,
                                 WEIR__BEAT_BUCKETS, done);
            code = insert_batch(activity, bucket, done,
                                mine - done < PREPARE_BATCH ? mine - done : PREPARE_BATCH, beats, err);
        }
    }
    return code;
}

int weir__beat_prepare(const weir__bench_session *session, const char *path, uint64_t events, weir_error *err)
{
    const weir_config store = {.durability = WEIR_DURABILITY_OFF};
    const weir_activity_config config = {.store = &store, .ack = WEIR_ACK_COMMITTED};
    weir_activity *activity = NULL;
    weir__beat *beats = calloc(PREPARE_BATCH, sizeof *beats);
    if (!beats)
        return weir__error_set(err, WEIR_NOMEM, "not enough memory");
    int code = weir_activity_open(path, &config, &activity, err);
    if (code == WEIR_OK) {
        code = fill(session, activity, events, beats, err);
        const int close_code = weir_activity_close(activity, 0, code == WEIR_OK ? err : NULL);
        code = code == WEIR_OK ? close_code : code;
    }
    free(beats);
    return code;
}

static int query_two(const char *path, int64_t *first, int64_t *second, weir_error *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(
            db,
            "SELECT count(*), coalesce(sum(CASE WHEN starttime >= ?1 THEN endtime - starttime END),"
            " 0) FROM events",
            -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 1, BEATS_FROM_S * SECOND_NS);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *first = sqlite3_column_int64(stmt, 0);
        *second = sqlite3_column_int64(stmt, 1);
        rc = SQLITE_OK;
    }
    const int code =
        rc == SQLITE_OK ? WEIR_OK : weir__error_set(err, WEIR_IO, "%s: %s", path, sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return code;
}

int weir__beat_verify(const char *path, uint64_t events, weir__beat_source *source, weir_error *err)
{
    int64_t count = 0, sum_ns = 0;
    int64_t wanted = (int64_t)events, wanted_ns = 0;
    for (unsigned i = 0; i < WEIR__BEAT_BUCKETS; i++) {
        const int64_t beats = (int64_t)source->next[i];
        const int64_t whole = beats / WEIR__BEATS_PER_EVENT, rest = beats % WEIR__BEATS_PER_EVENT;
        wanted += whole + (rest > 0);
        wanted_ns += (whole * (WEIR__BEATS_PER_EVENT - 1) + (rest > 0 ? rest - 1 : 0)) * SECOND_NS;
    }
    const int code = query_two(path, &count, &sum_ns, err);
    if (code != WEIR_OK || (count == wanted && sum_ns == wanted_ns))
        return code;
    return weir__error_set(err, WEIR_CORRUPT,
                           "%s: %" PRId64 " events and %" PRId64
                           " s of beats were acknowledged, but the database holds %" PRId64 " and %" PRId64
                           " s: no figure of this run can be trusted",
                           path, wanted, wanted_ns / SECOND_NS, count, sum_ns / SECOND_NS);
}
