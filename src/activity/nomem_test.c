// SPDX-License-Identifier: MIT
//
// Without memory: the k-th allocation of a call fails, for k = 0, 1, 2 … until the call succeeds. Each time it has
// to say WEIR_NOMEM (or get along), leave its output empty, keep nothing, and what it was to write is not there.
//
// Under a sanitizer this test does nothing (see support/sanitized.h).
#include <stdlib.h>
#include <string.h>

#include "support/activity.h"
#include "support/nomem.h"

#if IS_SANITIZED

int main(void)
{
    return skip_sanitized();
}

#else

static desk d;
static int64_t accepted; // events
static int64_t seconds;

static const char *const DATA = "{ \"b\": 1, \"a\": [1.0, true] }"; // not canonical

static int beat(const char *bucket_id, double pulsetime_s, weir_error *err)
{
    const weir_event event = event_at(seconds += 10, 1, DATA);
    weir_event *result = NULL;
    const int rc = weir_activity_heartbeat(d.activity, bucket_id, &event, pulsetime_s, &result, err);
    assert_int_equal(result != NULL, rc == WEIR_OK);
    if (rc == WEIR_OK) {
        assert_int_equal(result->start_ns + result->duration_ns, event.start_ns + SECOND);
        assert_string_equal(result->data, "{\"a\":[1.0,true],\"b\":1}");
    }
    free(result);
    return rc;
}

static int beat_that_is_inserted(weir_error *err)
{
    const int rc = beat("b", 1, err);
    accepted += rc == WEIR_OK;
    return rc;
}

static int beat_that_merges(weir_error *err)
{
    return beat("m", 1e6, err);
}

// After somebody else's job the writer has to look everything up again.
static int no_job(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "UPDATE buckets SET type = type", "");
}

static int beat_after_forgetting(weir_error *err)
{
    const long countdown = nomem_countdown;
    nomem_countdown = -1;
    expect_ok(weir_write(weir_activity_store(d.activity), no_job, NULL, NULL, err), err);
    nomem_countdown = countdown;
    return beat("m", 1e6, err);
}

static int insert(weir_error *err)
{
    seconds += 100;
    const weir_event events[] = {event_at(seconds, 1, DATA), event_at(seconds + 10, 1, "{}"),
                                 event_at(seconds + 20, 1, DATA)};
    int64_t ids[3];
    const int rc = weir_activity_insert(d.activity, "b", events, 3, ids, err);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ids[i] != 0, rc == WEIR_OK);
    accepted += rc == WEIR_OK ? 3 : 0;
    return rc;
}

static int count_one(void *context, const weir_event *event, weir_error *err)
{
    (void)event, (void)err;
    ++*(int64_t *)context;
    return WEIR_OK;
}

static int read_events(weir_error *err)
{
    int64_t count = 0;
    const int rc = weir_activity_events(d.activity, "strange", NULL, count_one, &count, err);
    if (rc == WEIR_OK)
        assert_int_equal(count, 1);
    return rc;
}

static int get_event(weir_error *err)
{
    weir_event *event = NULL;
    const int rc = weir_activity_event_get(d.activity, "strange", 1, &event, err);
    assert_int_equal(event != NULL, rc == WEIR_OK);
    if (rc == WEIR_OK)
        assert_string_equal(event->data, "{\"a\":2,\"b\":1}");
    free(event);
    return rc;
}

static int get_bucket(weir_error *err)
{
    weir_bucket *bucket = NULL;
    const int rc = weir_activity_bucket_get(d.activity, "strange", &bucket, err);
    assert_int_equal(bucket != NULL, rc == WEIR_OK);
    if (rc == WEIR_OK)
        assert_string_equal(bucket->data, "{\"z\":1}");
    free(bucket);
    return rc;
}

static int create_and_delete(weir_error *err)
{
    const weir_bucket bucket = {.id = "new",
                                .type = "t",
                                .client = "c",
                                .hostname = "h",
                                .data = DATA,
                                .data_size = WEIR_TEXT_TERMINATED};
    const int rc = weir_activity_bucket_create(d.activity, &bucket, err);
    const long countdown = nomem_countdown;
    nomem_countdown = -1;
    weir_error why = WEIR_ERROR_INIT;
    expect_code(weir_activity_bucket_delete(d.activity, "new", &why), rc == WEIR_OK ? WEIR_OK : WEIR_NOTFOUND,
                &why);
    nomem_countdown = countdown;
    return rc;
}

static void walk_all(void **state)
{
    (void)state;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_create(&d, "m");
    must_run_sql(weir_activity_store(d.activity),
                 "INSERT INTO buckets (name, type, client, hostname, created, data) VALUES "
                 "('strange', 't', 'c', 'h', '2018-01-01 01:01:01+00:00', '{ \"z\" : 1 }');"
                 "INSERT INTO events (id, bucketrow, starttime, endtime, data) SELECT 1, id, 5, 6, "
                 "'{\"b\":1, \"a\":2}' FROM buckets WHERE name = 'strange'");
    NOMEM_WALK(beat_that_is_inserted, false);
    NOMEM_WALK(beat_that_merges, false);
    NOMEM_WALK(beat_after_forgetting, false);
    NOMEM_WALK(insert, false);
    NOMEM_WALK(read_events, false);
    NOMEM_WALK(get_event, false);
    NOMEM_WALK(get_bucket, false);
    NOMEM_WALK(create_and_delete, false);
    int64_t count = 0;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_count(d.activity, "b", NULL, &count, &err), &err);
    assert_int_equal(count, accepted);
    expect_ok(weir_activity_count(d.activity, "m", NULL, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_int_equal(weir_activity_skipped(d.activity), 0);
    desk_close(&d);
    must_be_intact(d.place.database);
    desk_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
