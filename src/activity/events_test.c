// SPDX-License-Identifier: MIT
//
// Events and buckets: what ActivityWatch's own datastore tests ask for, the edges of times and ids, and rows of
// others that cannot be read. Where a test shows that a known weakness of that server is not ours, it says so.
#include "support/activity.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/text.h"

static int code_of_insert(desk *d, const char *bucket_id, const weir_event *events, size_t count,
                          weir_error *err)
{
    int64_t ids[8];
    assert_true(count <= 8);
    return weir_activity_insert(d->activity, bucket_id, events, count, ids, err);
}

static int64_t count_events(desk *d, const char *bucket_id, const weir_event_query *query)
{
    weir_error err = WEIR_ERROR_INIT;
    int64_t count = -1;
    expect_ok(weir_activity_count(d->activity, bucket_id, query, &count, &err), &err);
    return count;
}

static weir_bucket *must_get(desk *d, const char *bucket_id)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_bucket *bucket = NULL;
    expect_ok(weir_activity_bucket_get(d->activity, bucket_id, &bucket, &err), &err);
    assert_non_null(bucket);
    return bucket;
}

static void expect_no_bucket(desk *d, const char *bucket_id)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_bucket *bucket = NULL;
    char sentence[128];
    snprintf(sentence, sizeof sentence, "The requested bucket '%s' does not exist", bucket_id);
    expect_code(weir_activity_bucket_get(d->activity, bucket_id, &bucket, &err), WEIR_NOTFOUND, &err);
    assert_null(bucket);
    assert_string_equal(err.text, sentence);
}

// ------------------------------------------------------------------- what the peer's datastore tests ask for

static void bucket_create_delete(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    const int64_t before_ns = (int64_t)time(NULL) * SECOND;
    const weir_bucket bucket = {.id = "testid",
                                .type = "testtype",
                                .client = "testclient",
                                .hostname = "testhost",
                                .data = "{\"b\" : [1.50, true],\"a\":\"\\u00e4\"}",
                                .data_size = WEIR_TEXT_TERMINATED};
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_bucket_create(d.activity, &bucket, &err), &err);
    expect_code(weir_activity_bucket_create(d.activity, &bucket, &err), WEIR_EXISTS, &err);
    assert_string_equal(err.text, "Bucket 'testid' already exists");
    weir_bucket *const got = must_get(&d, "testid");
    assert_string_equal(got->id, "testid");
    assert_string_equal(got->type, "testtype");
    assert_string_equal(got->client, "testclient");
    assert_string_equal(got->hostname, "testhost");
    assert_string_equal(got->data, "{\"a\":\"ä\",\"b\":[1.5,true]}");
    assert_true(got->has_created);
    assert_in_range(got->created_ns, before_ns, before_ns + 60 * SECOND);
    assert_false(got->has_start);
    assert_false(got->has_end);
    free(got);
    must_insert(&d, "testid", event_at(0, 1, NULL));
    expect_ok(weir_activity_bucket_delete(d.activity, "testid", &err), &err);
    expect_no_bucket(&d, "testid");
    expect_code(weir_activity_bucket_delete(d.activity, "testid", &err), WEIR_NOTFOUND, &err);
    assert_int_equal(must_read_int64(weir_activity_store(d.activity), "SELECT count(*) FROM events"), 0);
    desk_fini(&d);
}

static void events_get_single(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    weir_event first = event_at(0, 1, "{\"key\":\"value\"}");
    weir_event second = first;
    second.start_ns++;
    const int64_t id = must_insert(&d, "b", first);
    must_insert(&d, "b", second);
    weir_error err = WEIR_ERROR_INIT;
    weir_event *got = NULL;
    expect_ok(weir_activity_event_get(d.activity, "b", id, &got, &err), &err);
    assert_true(got->has_id);
    assert_int_equal(got->id, id);
    assert_int_equal(got->start_ns, T0);
    assert_int_equal(got->duration_ns, SECOND);
    assert_string_equal(got->data, "{\"key\":\"value\"}");
    free(got);
    must_create(&d, "other");
    expect_code(weir_activity_event_get(d.activity, "other", id, &got, &err), WEIR_NOTFOUND, &err);
    assert_null(got);
    assert_string_equal(err.text, "There is no event 1 in bucket 'other'");
    expect_code(weir_activity_event_get(d.activity, "none", id, &got, &err), WEIR_NOTFOUND, &err);
    assert_string_equal(err.text, "The requested bucket 'none' does not exist");
    desk_fini(&d);
}

static void events_get_filters(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_insert(&d, "b", event_at(0, 0, NULL));
    must_insert(&d, "b", event_at(1, 0, NULL));
    const weir_event_query one = {.has_limit = true, .limit = 1};
    const weir_event_query none = {.has_limit = true};
    const weir_event_query from_newer = {.has_start = true, .start_ns = T0 + SECOND};
    const weir_event_query to_older = {.has_end = true, .end_ns = T0};
    const weir_event_query instant = {.has_start = true, .start_ns = T0, .has_end = true, .end_ns = T0};
    const weir_event_query backwards = {.has_start = true, .start_ns = T0 + 1, .has_end = true, .end_ns = T0};
    expect_events(&d, "b", NULL, "2:1+0 {}; 1:0+0 {}");
    expect_events(&d, "b", &one, "2:1+0 {}");
    expect_events(&d, "b", &none, "");
    expect_events(&d, "b", &from_newer, "2:1+0 {}");
    expect_events(&d, "b", &to_older, "1:0+0 {}");
    expect_events(&d, "b", &instant, "1:0+0 {}");
    expect_events(&d, "b", &backwards, "");
    assert_int_equal(count_events(&d, "b", NULL), 2);
    assert_int_equal(count_events(&d, "b", &from_newer), 1);
    assert_int_equal(count_events(&d, "b", &instant), 0);
    assert_int_equal(count_events(&d, "b", &one), 2);
    desk_fini(&d);
}

static void get_events_filters_cover(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_insert(&d, "b", event_at(0, 100, NULL));
    weir_event_query second = {
        .has_start = true, .start_ns = T0 + 50 * SECOND, .has_end = true, .end_ns = T0 + 51 * SECOND};
    expect_events(&d, "b", &second, "1:50+1 {}");
    assert_int_equal(count_events(&d, "b", &second), 1);
    second.unclipped = true;
    expect_events(&d, "b", &second, "1:0+100 {}");
    second = (weir_event_query){.has_start = true, .start_ns = T0 + 100 * SECOND};
    expect_events(&d, "b", &second, "1:100+0 {}"); // it only touches the bound
    second = (weir_event_query){.has_end = true, .end_ns = T0};
    expect_events(&d, "b", &second, "1:0+0 {}");
    desk_fini(&d);
}

static void events_delete(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_create(&d, "other");
    must_insert(&d, "b", event_at(0, 1, NULL));
    must_insert(&d, "b", event_at(1, 1, NULL));
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_event_delete(d.activity, "other", 2, &err), &err); // not its own
    expect_events(&d, "b", NULL, "2:1+1 {}; 1:0+1 {}");
    expect_ok(weir_activity_event_delete(d.activity, "b", 1, &err), &err);
    expect_ok(weir_activity_event_delete(d.activity, "b", 1, &err), &err);
    expect_events(&d, "b", NULL, "2:1+1 {}");
    expect_code(weir_activity_event_delete(d.activity, "none", 2, &err), WEIR_NOTFOUND, &err);
    desk_fini(&d);
}

// The peer's values only widen until it is started again.
static void bucket_metadata_start_end(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_insert(&d, "b", event_at(5, 1, NULL));
    must_insert(&d, "b", event_at(0, 100, NULL));
    must_insert(&d, "b", event_at(50, 1, NULL));
    weir_bucket *got = must_get(&d, "b");
    assert_true(got->has_start);
    assert_true(got->has_end);
    assert_int_equal(got->start_ns, T0);
    assert_int_equal(got->end_ns, T0 + 100 * SECOND);
    free(got);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_event_delete(d.activity, "b", 2, &err), &err); // it narrows again
    got = must_get(&d, "b");
    assert_int_equal(got->start_ns, T0 + 5 * SECOND);
    assert_int_equal(got->end_ns, T0 + 51 * SECOND);
    free(got);
    desk_fini(&d);
}

static void event_replace(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    const weir_event three[] = {event_at(0, 0, "{\"n\":1}"), event_at(0, 0, "{\"n\":2}"),
                                event_at(0, 0, "{\"n\":3}")};
    int64_t ids[3];
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_insert(d.activity, "b", three, 3, ids, &err), &err);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[1], 2);
    assert_int_equal(ids[2], 3);
    expect_events(&d, "b", NULL, "1:0+0 {\"n\":1}; 2:0+0 {\"n\":2}; 3:0+0 {\"n\":3}");
    weir_event again = three[1];
    again.has_id = true;
    again.id = 2;
    assert_int_equal(must_insert(&d, "b", again), 2);
    expect_events(&d, "b", NULL, "1:0+0 {\"n\":1}; 2:0+0 {\"n\":2}; 3:0+0 {\"n\":3}");
    again.data = "{\"n\":\"new\"}";
    assert_int_equal(must_insert(&d, "b", again), 2);
    expect_events(&d, "b", NULL, "1:0+0 {\"n\":1}; 2:0+0 {\"n\":\"new\"}; 3:0+0 {\"n\":3}");
    desk_fini(&d);
}

static void datastore_reload(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "empty");
    must_create(&d, "full");
    must_insert(&d, "full", event_at(0, 7, "{\"key\":\"value\"}"));
    for (int i = 0; i < 2; i++) {
        weir_bucket *got = must_get(&d, "full");
        assert_int_equal(got->start_ns, T0);
        assert_int_equal(got->end_ns, T0 + 7 * SECOND);
        free(got);
        got = must_get(&d, "empty");
        assert_false(got->has_start);
        assert_false(got->has_end);
        free(got);
        desk_close(&d);
        desk_open(&d, NULL);
    }
    desk_fini(&d);
}

// --------------------------------------------------------------------------------------------------- buckets

static int add_id(void *context, const weir_bucket *bucket, weir_error *err)
{
    char *const text = context;
    (void)err;
    const size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%s ", bucket->id);
    return WEIR_OK;
}

static void expect_buckets(desk *d, const char *ids)
{
    char text[256] = "";
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_buckets(d->activity, add_id, text, &err), &err);
    assert_string_equal(text, ids);
}

static void buckets_are_listed_by_id_bytewise(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    expect_buckets(&d, "");
    must_create(&d, "b");
    must_create(&d, "ä");
    must_create(&d, "B");
    must_create(&d, "a");
    expect_buckets(&d, "B a b ä ");
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_bucket_rename(d.activity, "b", "Z", &err), &err);
    expect_buckets(&d, "B Z a ä ");
    expect_ok(weir_activity_bucket_rename(d.activity, "a", "a", &err), &err);
    expect_code(weir_activity_bucket_rename(d.activity, "a", "B", &err), WEIR_EXISTS, &err);
    assert_string_equal(err.text, "Bucket 'B' already exists");
    expect_code(weir_activity_bucket_rename(d.activity, "b", "c", &err), WEIR_NOTFOUND, &err);
    expect_code(weir_activity_bucket_rename(d.activity, "a", NULL, &err), WEIR_INVALID, &err);
    expect_buckets(&d, "B Z a ä ");
    desk_fini(&d);
}

static void names_have_limits(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    char *const name = malloc(WEIR_ACTIVITY_NAME_BYTES_MAX + 2);
    assert_non_null(name);
    memset(name, 'n', WEIR_ACTIVITY_NAME_BYTES_MAX + 1);
    name[WEIR_ACTIVITY_NAME_BYTES_MAX + 1] = '\0';
    const char *const bad[] = {name, "\xff", "\xed\xa0\x80", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int field = 0; field < 4; field++) {
            const char *names[4] = {"i", "t", "c", "h"};
            names[field] = bad[i];
            const weir_bucket bucket = {
                .id = names[0], .type = names[1], .client = names[2], .hostname = names[3]};
            weir_error err = WEIR_ERROR_INIT;
            expect_code(weir_activity_bucket_create(d.activity, &bucket, &err), WEIR_INVALID, &err);
        }
    name[WEIR_ACTIVITY_NAME_BYTES_MAX] = '\0';
    must_create(&d, name);
    must_create(&d, "");
    must_create(&d, "a\nb");
    must_insert(&d, name, event_at(0, 0, NULL));
    expect_events(&d, name, NULL, "1:0+0 {}");
    expect_events(&d, "", NULL, "");
    free(name);
    desk_fini(&d);
}

static void data_that_is_no_object_is_refused(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    const char *const bad[] = {"",    "[]", "1", "null", "{", "{}x", "{\"a\":1e400}", "{\"a\":\"\\ud800\"}",
                               "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const weir_event two[] = {event_at(0, 0, NULL), event_at(0, 0, bad[i])};
        const weir_bucket bucket = {.id = "c",
                                    .type = "",
                                    .client = "",
                                    .hostname = "",
                                    .data = bad[i],
                                    .data_size = WEIR_TEXT_TERMINATED};
        weir_error err = WEIR_ERROR_INIT;
        int code = code_of_insert(&d, "b", two, 2, &err);
        if (code != WEIR_INVALID && code != WEIR_MISMATCH)
            fail_msg("%s: %s", bad[i], weir_code_name(code));
        code = weir_activity_bucket_create(d.activity, &bucket, &err);
        if (code != WEIR_INVALID && code != WEIR_MISMATCH)
            fail_msg("%s: %s", bad[i], weir_code_name(code));
    }
    weir_event forgotten = event_at(0, 0, "{}");
    forgotten.data_size = 0;
    weir_error err = WEIR_ERROR_INIT;
    expect_code(code_of_insert(&d, "b", &forgotten, 1, &err), WEIR_INVALID, &err);
    assert_non_null(strstr(err.text, "WEIR_TEXT_TERMINATED"));
    expect_events(&d, "b", NULL, "");
    expect_no_bucket(&d, "c");
    desk_fini(&d);
}

static void data_has_a_limit(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    const size_t size = WEIR_ACTIVITY_DATA_BYTES_MAX + 1;
    char *const data = malloc(size);
    assert_non_null(data);
    memset(data, 'x', size);
    memcpy(data, "{\"a\":\"", 6);
    memcpy(data + size - 2, "\"}", 2);
    weir_event event = event_at(0, 0, data);
    event.data_size = size;
    weir_error err = WEIR_ERROR_INIT;
    expect_code(code_of_insert(&d, "b", &event, 1, &err), WEIR_TOOBIG, &err);
    memcpy(data + size - 3, "\"}", 2);
    event.data_size = size - 1;
    must_insert(&d, "b", event);
    must_beat(&d, "b", event, 1); // and is not kept in memory for the next
    must_beat(&d, "b", event, 1);
    assert_int_equal(count_events(&d, "b", NULL), 1);
    free(data);
    desk_fini(&d);
}

// Numbers can be longer in canonical form, and that is what is stored, and what comes back from an export.
static void the_limit_is_for_what_is_stored(void **state)
{
    enum { NUMBERS = 900000 };
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    weir__text json = {0};
    weir__text_add(&json, "{\"a\":[1");
    for (int i = 0; i < NUMBERS; i++)
        weir__text_add(&json, ",1e15");
    weir__text_add(&json, "]}");
    assert_in_range(json.size, 1, WEIR_ACTIVITY_DATA_BYTES_MAX);
    weir_event event = event_at(0, 0, weir__text_string(&json));
    weir_error err = WEIR_ERROR_INIT;
    expect_code(code_of_insert(&d, "b", &event, 1, &err), WEIR_TOOBIG, &err);
    expect_code(weir_activity_setting_set(d.activity, "s", json.data, json.size, &err), WEIR_TOOBIG, &err);
    expect_events(&d, "b", NULL, "");
    weir__text_free(&json);
    desk_fini(&d);
}

static void data_become_canonical(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    const weir_event events[] = {
        event_at(0, 0, " { \"b\" : 1 , \"a\" : { \"d\":1.0, \"c\":1e2 } , \"b\":2} "),
        event_at(1, 0, "{\"canonical\":true}"),
        event_at(2, 0, "{ }"),
    };
    int64_t ids[3];
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_insert(d.activity, "b", events, 3, ids, &err), &err);
    expect_events(&d, "b", NULL,
                  "3:2+0 {}; 2:1+0 {\"canonical\":true}; 1:0+0 {\"a\":{\"c\":100.0,\"d\":1.0},\"b\":2}");
    desk_fini(&d);
}

// ---------------------------------------------------------------------------------------------- times and ids

static weir_event event_ns(int64_t start_ns, int64_t duration_ns)
{
    return (weir_event){.start_ns = start_ns, .duration_ns = duration_ns};
}

// The peer's worker dies of these, and every later request fails.
static void times_outside_of_the_range_are_refused(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    const weir_event bad[] = {event_ns(INT64_MAX, 1), event_ns(INT64_MIN, -1), event_ns(INT64_MIN, 0),
                              event_ns(T0, INT64_MAX), event_ns(INT64_MIN + SECOND, INT64_MAX)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const weir_event two[] = {event_at(0, 0, NULL), bad[i]};
        weir_error err = WEIR_ERROR_INIT;
        expect_code(code_of_insert(&d, "b", two, 2, &err), WEIR_INVALID, &err);
        expect_code(weir_activity_heartbeat(d.activity, "b", &bad[i], 1, NULL, &err), WEIR_INVALID, &err);
    }
    const int64_t id = must_insert(&d, "b", event_ns(INT64_MAX, 0));
    weir_error err = WEIR_ERROR_INIT;
    weir_event *event = NULL;
    expect_ok(weir_activity_event_get(d.activity, "b", id, &event, &err), &err);
    assert_int_equal(event->start_ns, INT64_MAX);
    free(event);
    desk_fini(&d);
}

// One such row, and the peer cannot start any more.
static void before_1970_fractions_are_cut(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    const struct {
        int64_t start_ns, duration_ns, stored_start_ns, stored_end_ns;
    } cases[] = {
        {-SECOND / 2, 0, -SECOND, -SECOND},
        {-1, SECOND, -SECOND, SECOND - 1},
        {-2 * SECOND, SECOND / 2, -2 * SECOND, -2 * SECOND},
        {-3 * SECOND, SECOND, -3 * SECOND, -2 * SECOND},
        {SECOND / 2, -SECOND, SECOND / 2, -SECOND},
        {SECOND / 2, 1, SECOND / 2, SECOND / 2 + 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t id = must_insert(&d, "b", event_ns(cases[i].start_ns, cases[i].duration_ns));
        weir_error err = WEIR_ERROR_INIT;
        weir_event *event = NULL;
        expect_ok(weir_activity_event_get(d.activity, "b", id, &event, &err), &err);
        assert_int_equal(event->start_ns, cases[i].stored_start_ns);
        assert_int_equal(event->start_ns + event->duration_ns, cases[i].stored_end_ns);
        free(event);
    }
    assert_int_equal(
        must_read_int64(weir_activity_store(d.activity),
                        "SELECT count(*) FROM events WHERE starttime < 0 AND "
                        "starttime % 1000000000 <> 0 OR endtime < 0 AND endtime % 1000000000 <> 0"),
        0);
    // Without bounds a read begins in 1970.
    event_list list;
    read_list(&d, "b", NULL, &list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[1].start_ns, 0);
    assert_int_equal(list.items[1].duration_ns, SECOND - 1);
    const weir_event_query always = {.has_start = true, .start_ns = INT64_MIN};
    read_list(&d, "b", &always, &list);
    assert_int_equal(list.count, 6);
    desk_fini(&d);
}

// The peer replaces the row, whatever bucket it is in, and keeps what came before the error.
static void ids_of_other_buckets_are_refused_with_the_whole_batch(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "mine");
    must_create(&d, "theirs");
    must_insert(&d, "theirs", event_at(0, 1, "{\"keep\":1}"));
    weir_event thief = event_at(5, 1, "{\"steal\":1}");
    thief.has_id = true;
    thief.id = 1;
    const weir_event batch[] = {event_at(4, 1, NULL), thief, event_at(6, 1, NULL)};
    int64_t ids[3] = {7, 7, 7};
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_activity_insert(d.activity, "mine", batch, 3, ids, &err), WEIR_CONSTRAINT, &err);
    expect_contains(err.text, "is in another bucket");
    assert_int_equal(ids[0], 0);
    expect_events(&d, "mine", NULL, "");
    expect_events(&d, "theirs", NULL, "1:0+1 {\"keep\":1}");
    expect_code(weir_activity_heartbeat(d.activity, "mine", &thief, 1, NULL, &err), WEIR_CONSTRAINT, &err);
    expect_events(&d, "theirs", NULL, "1:0+1 {\"keep\":1}");
    desk_fini(&d);
}

static void given_ids_move_the_sequence(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    weir_event event = event_at(0, 1, NULL);
    event.has_id = true;
    event.id = 1000;
    assert_int_equal(must_insert(&d, "b", event), 1000);
    assert_int_equal(must_insert(&d, "b", event_at(1, 1, NULL)), 1001);
    event.id = -5;
    assert_int_equal(must_insert(&d, "b", event), -5);
    assert_int_equal(must_insert(&d, "b", event_at(2, 1, NULL)), 1002);
    weir_error err = WEIR_ERROR_INIT;
    event.id = INT64_MAX; // there would be no id after it, in any bucket
    expect_code(code_of_insert(&d, "b", &event, 1, &err), WEIR_INVALID, &err);
    assert_int_equal(must_insert(&d, "b", event_at(3, 1, NULL)), 1003);
    desk_fini(&d);
}

// The peer takes any id, and after the largest one SQLite reports a full disk.
static void ids_that_somebody_else_used_up(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_insert(&d, "b", event_at(0, 1, NULL));
    must_run_sql(weir_activity_store(d.activity),
                 "INSERT INTO events (id, bucketrow, starttime, endtime, data) "
                 "VALUES (9223372036854775807, 1, 1514768461000000000, 1514768461000000000, '{\"last\":1}')");
    const weir_event event = event_at(5, 1, NULL);
    weir_error err = WEIR_ERROR_INIT;
    expect_code(code_of_insert(&d, "b", &event, 1, &err), WEIR_CONSTRAINT, &err);
    expect_contains(err.text, "ids of events are used up");
    expect_code(weir_activity_heartbeat(d.activity, "b", &event, 1, NULL, &err), WEIR_CONSTRAINT, &err);
    weir_event replacing = event;
    replacing.has_id = true;
    replacing.id = 1;
    assert_int_equal(must_insert(&d, "b", replacing), 1);
    must_run_sql(weir_activity_store(d.activity),
                 "DELETE FROM events WHERE id > 9; UPDATE sqlite_sequence SET seq = 9 WHERE name = 'events'");
    assert_int_equal(must_insert(&d, "b", event), 10);
    desk_fini(&d);
}

static void no_events_are_fine_whatever_the_bucket(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_insert(d.activity, "none", NULL, 0, NULL, &err), &err);
    const weir_event event = event_at(0, 0, NULL);
    expect_code(weir_activity_insert(d.activity, "none", &event, 1, NULL, &err), WEIR_NOTFOUND, &err);
    assert_string_equal(err.text, "The requested bucket 'none' does not exist");
    expect_code(weir_activity_events(d.activity, "none", NULL, NULL, NULL, &err), WEIR_NOTFOUND, &err);
    int64_t count = 7;
    expect_code(weir_activity_count(d.activity, "none", NULL, &count, &err), WEIR_NOTFOUND, &err);
    assert_int_equal(count, 0);
    desk_fini(&d);
}

static void equal_starts_come_shorter_first_then_by_id(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_insert(&d, "b", event_at(0, 9, "{\"n\":1}"));
    must_insert(&d, "b", event_at(0, 3, "{\"n\":2}"));
    must_insert(&d, "b", event_at(0, 3, "{\"n\":3}"));
    must_insert(&d, "b", event_at(0, -3, "{\"n\":4}"));
    must_insert(&d, "b", event_at(1, 0, "{\"n\":5}"));
    expect_events(&d, "b", NULL,
                  "5:1+0 {\"n\":5}; 4:0+-3 {\"n\":4}; 2:0+3 {\"n\":2}; 3:0+3 {\"n\":3}; 1:0+9 {\"n\":1}");
    desk_fini(&d);
}

// ------------------------------------------------------------------------------------------ rows of others

static void quiet(void *context, weir__log_level level, const char *line, size_t size)
{
    (void)level, (void)line, (void)size;
    ++*(int *)context;
}

// The peer's worker dies of data that are no object.
static void rows_that_cannot_be_read_are_left_out(void **state)
{
    (void)state;
    int warnings = 0;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_insert(&d, "b", event_at(0, 1, "{\"good\":1}"));
    desk_close(&d);
    naive_sql(d.place.database,
              "INSERT INTO events (bucketrow, starttime, endtime, data) VALUES "
              "(1, 1514768471000000000, 1514768471000000000, '[1]'), (1, 1514768471000000000, "
              "1514768471000000000, 'x'), "
              "(1, 'soon', 'late', '{}'), (1, 1514768471000000000, 1514768471000000000, x'7b7d'), "
              "(1, -9000000000000000000, 9000000000000000000, '{}'), "
              "(1, 1514768471000000000, 1514768472000000000, '{ \"b\": 1, \"a\": 2 }');");
    desk_open(&d, NULL);
    weir__log_set_sink(quiet, &warnings);
    const weir_event_query newest = {.has_limit = true, .limit = 1};
    expect_events(&d, "b", NULL, "7:10+1 {\"a\":2,\"b\":1}; 1:0+1 {\"good\":1}");
    assert_int_equal(weir_activity_skipped(d.activity), 4);
    expect_events(&d, "b", &newest, "7:10+1 {\"a\":2,\"b\":1}");
    weir_error err = WEIR_ERROR_INIT;
    weir_event *event = NULL;
    expect_code(weir_activity_event_get(d.activity, "b", 2, &event, &err), WEIR_CORRUPT, &err);
    assert_null(event);
    // A heartbeat is compared with what can be read, as canonical text.
    assert_int_equal(must_beat(&d, "b", event_at(12, 1, "{\"a\":2,\"b\":1}"), 5).id, 7);
    assert_int_equal(must_insert(&d, "b", event_at(20, 0, NULL)), 8);
    weir_bucket *const bucket = must_get(&d, "b");
    assert_int_equal(bucket->end_ns, 9000000000000000000);
    free(bucket);
    weir__log_set_sink(NULL, NULL);
    assert_int_equal(warnings, 1);
    desk_fini(&d);
}

static void buckets_of_others(void **state)
{
    (void)state;
    int warnings = 0;
    desk d;
    desk_init(&d, NULL);
    desk_close(&d);
    naive_sql(d.place.database, "INSERT INTO buckets (name, type, client, hostname, created, data) VALUES "
                                "('good', 't', 'c', 'h', '2018-01-01T01:01:01', '{\"b\":1, \"a\":2}'), "
                                "('no time', 't', 'c', 'h', 'yesterday', '[]'), "
                                "(CAST(x'ff' AS TEXT), 't', 'c', 'h', '2018-01-01 01:01:01+00:00', '{}'), "
                                "('a' || char(0) || 'b', 't', 'c', 'h', '2018-01-01 01:01:01+00:00', '{}')");
    desk_open(&d, NULL);
    weir__log_set_sink(quiet, &warnings);
    expect_buckets(&d, "good no time ");
    weir__log_set_sink(NULL, NULL);
    assert_int_equal(weir_activity_skipped(d.activity), 2);
    weir_bucket *bucket = must_get(&d, "good");
    assert_true(bucket->has_created);
    assert_int_equal(bucket->created_ns, T0);
    assert_string_equal(bucket->data, "{\"a\":2,\"b\":1}");
    free(bucket);
    bucket = must_get(&d, "no time");
    assert_false(bucket->has_created);
    assert_string_equal(bucket->data, "{}");
    free(bucket);
    must_insert(&d, "no time", event_at(0, 0, NULL));
    desk_fini(&d);
}

static void what_we_write_reads_as_the_peer_wrote_it(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    const int64_t created[] = {T0, T0 + 100 * 1000 * 1000, T0 + 1000, T0 + 1};
    const char *const texts[] = {"2018-01-01 01:01:01+00:00", "2018-01-01 01:01:01.100+00:00",
                                 "2018-01-01 01:01:01.000001+00:00", "2018-01-01 01:01:01.000000001+00:00"};
    for (size_t i = 0; i < 4; i++) {
        char sql[128];
        char got[64];
        const char id[] = {(char)('a' + i), '\0'};
        const weir_bucket bucket = {.id = id,
                                    .type = "",
                                    .client = "",
                                    .hostname = "",
                                    .has_created = true,
                                    .created_ns = created[i]};
        weir_error err = WEIR_ERROR_INIT;
        expect_ok(weir_activity_bucket_create(d.activity, &bucket, &err), &err);
        snprintf(sql, sizeof sql, "SELECT created FROM buckets WHERE name = '%s'", id);
        must_read_text(weir_activity_store(d.activity), sql, got, sizeof got);
        assert_string_equal(got, texts[i]);
        weir_bucket *const back = must_get(&d, id);
        assert_int_equal(back->created_ns, created[i]);
        free(back);
    }
    assert_int_equal(
        must_read_int64(weir_activity_store(d.activity),
                        "SELECT count(*) FROM buckets WHERE data_deprecated = '{}' AND data = '{}'"),
        4);
    desk_fini(&d);
}

// ---------------------------------------------------------------------------------------------------- plans

static void expect_plan(weir_store *store, const char *sql, const char *wanted, const char *unwanted)
{
    char plan[512] = "";
    char query[700];
    snprintf(query, sizeof query, "EXPLAIN QUERY PLAN %s", sql);
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    char path[96];
    must_read_text(store, "SELECT file FROM pragma_database_list", path, sizeof path);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, query, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s: %s", query, sqlite3_errmsg(db));
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const size_t used = strlen(plan);
        snprintf(plan + used, sizeof plan - used, "%s; ", sqlite3_column_text(stmt, 3));
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    expect_contains(plan, wanted);
    if (strstr(plan, unwanted) != NULL)
        fail_msg("\"%s\" contains \"%s\"", plan, unwanted);
}

static void reads_go_by_the_index_and_sort_nothing(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    weir_store *const store = weir_activity_store(d.activity);
    expect_plan(store,
                "SELECT id, starttime, endtime, data FROM events WHERE bucketrow = $1 AND endtime >= $2 AND "
                "starttime <= $3 ORDER BY starttime DESC, endtime ASC, id ASC",
                "USING INDEX events_bucketrow_starttime_endtime_index (bucketrow=? AND starttime<?)",
                "TEMP B-TREE");
    expect_plan(
        store,
        "SELECT (SELECT starttime FROM events WHERE bucketrow = b.id AND typeof(starttime) = 'integer' "
        "ORDER BY starttime LIMIT 1), (SELECT max(CASE typeof(endtime) WHEN 'integer' THEN endtime END) "
        "FROM events WHERE bucketrow = b.id) FROM buckets AS b ORDER BY name",
        "USING COVERING INDEX events_bucketrow_starttime_endtime_index (bucketrow=?)", "TEMP B-TREE");
    desk_fini(&d);
}

static int stop_at_two(void *context, const weir_event *event, weir_error *err)
{
    (void)event, (void)err;
    if (++*(int *)context < 2)
        return WEIR_OK;
    if (err != NULL)
        snprintf(err->text, sizeof err->text, "enough");
    return WEIR_CANCELLED;
}

static void a_reader_may_stop(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    for (int i = 0; i < 5; i++)
        must_insert(&d, "b", event_at(i, 1, NULL));
    int seen = 0;
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_activity_events(d.activity, "b", NULL, stop_at_two, &seen, &err), WEIR_CANCELLED, &err);
    assert_string_equal(err.text, "enough");
    assert_int_equal(seen, 2);
    desk_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bucket_create_delete),
        cmocka_unit_test(events_get_single),
        cmocka_unit_test(events_get_filters),
        cmocka_unit_test(get_events_filters_cover),
        cmocka_unit_test(events_delete),
        cmocka_unit_test(bucket_metadata_start_end),
        cmocka_unit_test(event_replace),
        cmocka_unit_test(datastore_reload),
        cmocka_unit_test(buckets_are_listed_by_id_bytewise),
        cmocka_unit_test(names_have_limits),
        cmocka_unit_test(data_that_is_no_object_is_refused),
        cmocka_unit_test(data_has_a_limit),
        cmocka_unit_test(the_limit_is_for_what_is_stored),
        cmocka_unit_test(data_become_canonical),
        cmocka_unit_test(times_outside_of_the_range_are_refused),
        cmocka_unit_test(before_1970_fractions_are_cut),
        cmocka_unit_test(ids_of_other_buckets_are_refused_with_the_whole_batch),
        cmocka_unit_test(given_ids_move_the_sequence),
        cmocka_unit_test(ids_that_somebody_else_used_up),
        cmocka_unit_test(no_events_are_fine_whatever_the_bucket),
        cmocka_unit_test(equal_starts_come_shorter_first_then_by_id),
        cmocka_unit_test(rows_that_cannot_be_read_are_left_out),
        cmocka_unit_test(buckets_of_others),
        cmocka_unit_test(what_we_write_reads_as_the_peer_wrote_it),
        cmocka_unit_test(reads_go_by_the_index_and_sort_nothing),
        cmocka_unit_test(a_reader_may_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
