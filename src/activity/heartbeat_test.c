// SPDX-License-Identifier: MIT
//
// Heartbeats: when they merge, what the writer remembers between them, and what makes it forget.
//
// After each change behind the writer's back a heartbeat must do what one on a freshly opened store would do. (The
// peer answers the first heartbeat after a delete, a rename or a commit that failed with an error, and its clients
// drop it.)
#include "support/activity.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define A "{\"app\":\"a\"}"
#define B "{\"app\":\"b\"}"

static void expect_beat(weir_event got, int64_t id, int64_t start_s, int64_t duration_s)
{
    if (got.has_id && got.id == id && got.start_ns == T0 + start_s * SECOND &&
        got.duration_ns == duration_s * SECOND)
        return;
    fail_msg("%lld:%lld+%lld instead of %lld:%lld+%lld", (long long)got.id,
             (long long)((got.start_ns - T0) / SECOND), (long long)(got.duration_ns / SECOND), (long long)id,
             (long long)start_s, (long long)duration_s);
}

// --------------------------------------------------------------------------------------------------- merging

static void event_heartbeat(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    expect_beat(must_beat(&d, "b", event_at(0, 0, A), 10), 1, 0, 0);
    expect_beat(must_beat(&d, "b", event_at(1, 0, A), 10), 1, 0, 1);
    expect_beat(must_beat(&d, "b", event_at(2, 0, B), 10), 2, 2, 0);
    expect_events(&d, "b", NULL, "2:2+0 " B "; 1:0+1 " A);
    desk_fini(&d);
}

static void event_heartbeat_consecutive_merges(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    for (int i = 0; i < 5; i++)
        expect_beat(must_beat(&d, "b", event_at(i, 0, A), 2), 1, 0, i);
    expect_events(&d, "b", NULL, "1:0+4 " A);
    desk_fini(&d);
}

typedef struct merge_case {
    const char *what;
    int64_t start_s, duration_s; // of what is there
    int64_t beat_start_s, beat_duration_s;
    double pulsetime_s;
    int64_t merged_s; // its duration then; -1: not merged
} merge_case;

static void the_window_is_inclusive_and_never_shrinks(void **state)
{
    (void)state;
    static const merge_case cases[] = {
        {"at the end of the window", 0, 10, 15, 1, 5, 16},
        {"one second after it", 0, 10, 16, 1, 5, -1},
        {"adjacent, without a window", 0, 10, 10, 5, 0, 15},
        {"at the same moment", 0, 10, 0, 1, 0, 10},
        {"inside", 0, 10, 5, 1, 0, 10},
        {"inside, and longer", 0, 10, 5, 30, 0, 35},
        {"before it", 5, 10, 4, 60, 60, -1},
        {"a negative window that still holds", 0, 10, 5, 0, -5, 10},
        {"a negative window that does not", 0, 10, 6, 0, -5, -1},
        {"no number is no window", 0, 10, 10, 1, NAN, 11},
        {"no number is no window", 0, 10, 11, 1, NAN, -1},
        {"for ever", 0, 10, 100000000, 1, INFINITY, 100000001},
        {"never", 0, 10, 5, 1, -INFINITY, -1},
        {"more than 64 bits of nanoseconds", 0, 10, 100000000, 1, 1e300, 100000001},
        {"a negative duration", 0, 10, 5, -100, 0, 10},
        {"both negative", 0, -5, 0, -3, 60, -1},
        {"a negative one made good", 0, -5, 0, 3, 60, 3},
        {"half a second rounds", 0, 10, 10, 1, 0.0000000004, 11},
    };
    desk d;
    desk_init(&d, NULL);
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof cases[0]); i++) {
        const merge_case *const c = &cases[i / 2];
        const weir_event first = event_at(c->start_s, c->duration_s, A);
        char bucket[16];
        snprintf(bucket, sizeof bucket, "b%zu", i);
        must_create(&d, bucket);
        // Remembered by the writer, or read from the database.
        const int64_t id = i % 2 == 0 ? must_beat(&d, bucket, first, 0).id : must_insert(&d, bucket, first);
        const weir_event got =
            must_beat(&d, bucket, event_at(c->beat_start_s, c->beat_duration_s, A), c->pulsetime_s);
        const int64_t duration_s = c->merged_s >= 0 ? c->merged_s : c->beat_duration_s;
        if ((got.id == id) != (c->merged_s >= 0) || got.duration_ns != duration_s * SECOND)
            fail_msg("%s: %lld+%lld", c->what, (long long)got.id, (long long)(got.duration_ns / SECOND));
    }
    desk_fini(&d);
}

static void data_are_equal_when_their_canonical_texts_are(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    expect_beat(must_beat(&d, "b", event_at(0, 0, "{\"a\":1,\"b\":{\"c\":2,\"d\":3}}"), 10), 1, 0, 0);
    expect_beat(must_beat(&d, "b", event_at(1, 0, "{ \"b\":{\"d\":3,\"c\":2}, \"a\":1 }"), 10), 1, 0, 1);
    expect_beat(must_beat(&d, "b", event_at(2, 0, "{\"a\":1.0,\"b\":{\"c\":2,\"d\":3}}"), 10), 2, 2, 0);
    expect_beat(must_beat(&d, "b", event_at(3, 0, "{}"), 10), 3, 3, 0);
    expect_beat(must_beat(&d, "b", event_at(4, 0, NULL), 10), 3, 3, 1);
    desk_fini(&d);
}

// D4: always the newest event, never the one that was written last.
static void a_late_heartbeat_is_an_event_of_its_own_and_not_the_next_ones_last(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_beat(&d, "b", event_at(100, 0, A), 10);
    expect_beat(must_beat(&d, "b", event_at(50, 1, A), 10), 2, 50, 1);
    expect_beat(must_beat(&d, "b", event_at(101, 0, A), 10), 1, 100, 1);
    expect_events(&d, "b", NULL, "1:100+1 " A "; 2:50+1 " A);
    desk_fini(&d);
}

// The newest of equal starts is the shortest: memory must say what the database would.
static void equal_starts(void **state)
{
    (void)state;
    for (int reopen = 0; reopen < 2; reopen++) {
        desk d;
        desk_init(&d, NULL);
        must_create(&d, "b");
        must_beat(&d, "b", event_at(0, 10, A), 0);
        must_beat(&d, "b", event_at(0, 20, B), 0); // not the newest: it is longer
        if (reopen) {
            desk_close(&d);
            desk_open(&d, NULL);
        }
        expect_beat(must_beat(&d, "b", event_at(5, 25, A), 0), 1, 0,
                    30); // and now it is longer than the other
        if (reopen) {
            desk_close(&d);
            desk_open(&d, NULL);
        }
        expect_beat(must_beat(&d, "b", event_at(6, 25, B), 0), 2, 0, 31);
        expect_beat(must_beat(&d, "b", event_at(0, 1, "{}"), 0), 3, 0, 1); // the shortest: the newest
        expect_beat(must_beat(&d, "b", event_at(1, 1, "{}"), 0), 3, 0, 2);
        desk_fini(&d);
    }
}

static void heartbeats_before_1970(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    // Ends before 1970: no read without bounds shows it, so nothing merges with it.
    const weir_event early = {.start_ns = -10 * SECOND, .duration_ns = SECOND};
    must_beat(&d, "b", early, 60);
    must_beat(&d, "b", early, 60);
    assert_int_equal(must_read_int64(weir_activity_store(d.activity), "SELECT count(*) FROM events"), 2);
    must_create(&d, "c");
    const weir_event epoch = {.start_ns = 0};
    must_beat(&d, "c", early, 60);
    assert_int_equal(must_beat(&d, "c", epoch, 60).id, 4);
    // Reaches into 1970: it is seen from there on, and is stored so when something merges with it.
    const weir_event across = {.start_ns = -5 * SECOND, .duration_ns = 10 * SECOND};
    must_beat(&d, "b", across, 60);
    const weir_event later = {.start_ns = 6 * SECOND, .duration_ns = SECOND};
    const weir_event got = must_beat(&d, "b", later, 60);
    assert_int_equal(got.id, 5);
    assert_int_equal(got.start_ns, 0);
    assert_int_equal(got.duration_ns, 7 * SECOND);
    assert_int_equal(
        must_read_int64(weir_activity_store(d.activity), "SELECT starttime FROM events WHERE id = 5"), 0);
    desk_fini(&d);
}

static void an_id_in_a_heartbeat_replaces(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_beat(&d, "b", event_at(0, 1, A), 0);
    must_beat(&d, "b", event_at(10, 1, B), 0);
    weir_event beat = event_at(20, 1, A);
    beat.has_id = true;
    beat.id = 1;
    expect_beat(must_beat(&d, "b", beat, 0), 1, 20, 1);
    expect_beat(must_beat(&d, "b", event_at(21, 1, A), 0), 1, 20, 2);
    expect_events(&d, "b", NULL, "1:20+2 " A "; 2:10+1 " B);
    desk_fini(&d);
}

static void unknown_buckets(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    weir_error err = WEIR_ERROR_INIT;
    weir_event *result = NULL;
    const weir_event beat = event_at(0, 0, A);
    expect_code(weir_activity_heartbeat(d.activity, "none", &beat, 1, &result, &err), WEIR_NOTFOUND, &err);
    assert_string_equal(err.text, "The requested bucket 'none' does not exist");
    assert_null(result);
    must_create(&d, "none");
    expect_beat(must_beat(&d, "none", beat, 1), 1, 0, 0);
    desk_fini(&d);
}

// -------------------------------------------------------------------------------------------- what is forgotten

static void a_heartbeat_after_its_event_was_deleted(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_beat(&d, "b", event_at(0, 0, A), 10);
    must_beat(&d, "b", event_at(100, 0, A), 10);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_event_delete(d.activity, "b", 2, &err), &err);
    expect_beat(must_beat(&d, "b", event_at(5, 0, A), 10), 1, 0, 5);
    expect_ok(weir_activity_event_delete(d.activity, "b", 1, &err), &err);
    expect_beat(must_beat(&d, "b", event_at(6, 0, A), 10), 3, 6, 0);
    desk_fini(&d);
}

static void a_heartbeat_after_its_bucket_was_made_anew_or_renamed(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_beat(&d, "b", event_at(0, 0, A), 10);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_bucket_delete(d.activity, "b", &err), &err);
    must_create(&d, "b");
    expect_beat(must_beat(&d, "b", event_at(1, 0, A), 10), 2, 1, 0);
    expect_ok(weir_activity_bucket_rename(d.activity, "b", "c", &err), &err);
    const weir_event beat = event_at(2, 0, A);
    expect_code(weir_activity_heartbeat(d.activity, "b", &beat, 10, NULL, &err), WEIR_NOTFOUND, &err);
    expect_beat(must_beat(&d, "c", beat, 10), 2, 1, 1);
    must_create(&d, "b");
    expect_beat(must_beat(&d, "b", event_at(3, 0, A), 10), 3, 3, 0);
    expect_beat(must_beat(&d, "c", event_at(3, 0, A), 10), 2, 1, 2);
    desk_fini(&d);
}

static void a_heartbeat_after_an_insert_or_a_replacement(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_beat(&d, "b", event_at(0, 0, A), 10);
    must_insert(&d, "b", event_at(5, 0, B));
    expect_beat(must_beat(&d, "b", event_at(6, 0, B), 10), 2, 5, 1);
    weir_event changed = event_at(5, 1, A);
    changed.has_id = true;
    changed.id = 2;
    must_insert(&d, "b", changed);
    expect_beat(must_beat(&d, "b", event_at(7, 0, A), 10), 2, 5, 2);
    desk_fini(&d);
}

static void a_heartbeat_after_somebody_elses_job(void **state)
{
    (void)state;
    desk d;
    desk_init(&d, NULL);
    must_create(&d, "b");
    must_beat(&d, "b", event_at(0, 0, A), 10);
    must_run_sql(weir_activity_store(d.activity), "DELETE FROM events");
    expect_beat(must_beat(&d, "b", event_at(1, 0, A), 10), 2, 1, 0);
    must_run_sql(weir_activity_store(d.activity),
                 "UPDATE events SET endtime = starttime + 100000000000, data = '" B "'");
    expect_beat(must_beat(&d, "b", event_at(50, 0, B), 0), 2, 1, 100);
    desk_fini(&d);
}

// ------------------------------------------------------------------------------------------- memory and database

// One random deed, by the same dice in two stores; what came of it as text.
static void do_deed(desk *d, weir__rng *dice, char out[96])
{
    static const char *const data[] = {A, B, "{}"};
    char bucket[] = {'b', (char)('0' + weir__rng_below(dice, 2)), '\0'};
    const uint64_t kind = weir__rng_below(dice, 10);
    weir_event event = event_at((int64_t)weir__rng_below(dice, 12), (int64_t)weir__rng_below(dice, 6) - 2,
                                data[weir__rng_below(dice, 3)]);
    const double pulsetime_s = (double)weir__rng_below(dice, 5) - 1;
    const int64_t id = (int64_t)weir__rng_below(dice, 20);
    int code = WEIR_OK;
    weir_event *result = NULL;
    if (weir__rng_below(dice, 4) == 0)
        event.start_ns -= T0 + 6 * SECOND; // around 1970
    event.has_id = weir__rng_below(dice, 8) == 0;
    event.id = event.has_id ? id : 0;
    if (kind == 0)
        code = weir_activity_event_delete(d->activity, bucket, id, NULL);
    else if (kind == 1)
        code = weir_activity_insert(d->activity, bucket, &event, 1, NULL, NULL);
    else
        code = weir_activity_heartbeat(d->activity, bucket, &event, pulsetime_s, &result, NULL);
    snprintf(out, 96, "%s %lld:%lld+%lld", weir_code_name(code), result ? (long long)result->id : 0,
             result ? (long long)result->start_ns : 0, result ? (long long)result->duration_ns : 0);
    free(result);
}

// A store that remembers does what one does that always has to look.
static void memory_and_database_always_agree(void **state)
{
    (void)state;
    enum { DEEDS = 3000 };
    const weir_config fast = {.durability = WEIR_DURABILITY_OFF, .readers = 1};
    const weir_activity_config config = {.store = &fast};
    const uint64_t seed = weir__random_u64();
    weir__rng dice[2];
    desk d[2];
    for (int i = 0; i < 2; i++) {
        weir__rng_init(&dice[i], seed);
        desk_init(&d[i], &config);
        must_create(&d[i], "b0");
        must_create(&d[i], "b1");
    }
    for (int deed = 0; deed < DEEDS; deed++) {
        char came[2][96];
        must_run_sql(weir_activity_store(d[1].activity), "UPDATE buckets SET type = type");
        do_deed(&d[0], &dice[0], came[0]);
        do_deed(&d[1], &dice[1], came[1]);
        if (strcmp(came[0], came[1]) != 0)
            fail_msg("seed %llu, deed %d: \"%s\" from memory, \"%s\" from the database",
                     (unsigned long long)seed, deed, came[0], came[1]);
    }
    static const char sql[] =
        "SELECT count(*) || ' ' || sum(id * 7 + starttime % 1000003 + endtime % 1000033 + "
        "length(data) + bucketrow) FROM events";
    char rows[2][96];
    for (int i = 0; i < 2; i++) {
        must_read_text(weir_activity_store(d[i].activity), sql, rows[i], sizeof rows[i]);
        desk_fini(&d[i]);
    }
    assert_string_equal(rows[0], rows[1]);
}

// ------------------------------------------------------------------------------------------------ many at once

typedef struct answers {
    pthread_mutex_t lock;
    int ok, failed, code; // lock
    int64_t merged_into;  // lock: the id of the last one
} answers;

static void count_answer(void *context, const weir_error *result, const weir_event *event)
{
    answers *const a = context;
    pthread_mutex_lock(&a->lock);
    if (result->code == WEIR_OK) {
        a->ok++;
        a->merged_into = event->id;
    } else {
        a->failed++;
        a->code = result->code;
    }
    pthread_mutex_unlock(&a->lock);
}

static void must_submit(desk *d, const char *bucket_id, weir_event event, answers *a)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_heartbeat_submit(d->activity, bucket_id, &event, 10, count_answer, a, &err),
              &err);
}

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool is_held, is_open; // lock
} gate;

static int hold(weir_tx *tx, void *arg, weir_error *err)
{
    gate *const g = arg;
    (void)tx, (void)err;
    pthread_mutex_lock(&g->lock);
    g->is_held = true;
    pthread_cond_broadcast(&g->moved);
    while (!g->is_open)
        pthread_cond_wait(&g->moved, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return WEIR_OK;
}

// With an argument it changes rows before it fails.
static int refuse(weir_tx *tx, void *arg, weir_error *err)
{
    if (err != NULL)
        snprintf(err->text, sizeof err->text, "refused");
    if (arg != NULL)
        weir_exec_script(tx, "UPDATE events SET endtime = 0, data = '{\"broken\":1}'", NULL);
    return WEIR_CONSTRAINT;
}

static void flush(desk *d)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_flush(weir_activity_store(d->activity), 0, &err), &err);
}

// A failing neighbour undoes its whole chunk, which then runs again: what was remembered meanwhile is wrong.
static void heartbeats_beside_a_job_that_fails(void **state)
{
    (void)state;
    desk d;
    answers a = {.lock = PTHREAD_MUTEX_INITIALIZER};
    desk_init(&d, NULL);
    weir_store *const store = weir_activity_store(d.activity);
    weir_error err = WEIR_ERROR_INIT;
    must_create(&d, "b");
    for (int round = 0; round < 20; round++) {
        gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
        expect_ok(weir_submit(store, hold, &g, NULL, NULL, NULL, &err), &err);
        pthread_mutex_lock(&g.lock);
        while (!g.is_held)
            pthread_cond_wait(&g.moved, &g.lock);
        pthread_mutex_unlock(&g.lock);
        for (int i = 0; i < 20; i++) {
            if (i % 7 == 5)
                expect_ok(weir_submit(store, refuse, round % 2 == 0 ? &g : NULL, NULL, NULL, NULL, &err),
                          &err);
            if (i % 7 == 3) {
                const weir_event beat = event_at(i, 0, A);
                expect_ok(
                    weir_activity_heartbeat_submit(d.activity, "none", &beat, 10, count_answer, &a, &err),
                    &err);
            }
            must_submit(&d, "b", event_at(round * 20 + i, 0, i < 10 ? A : B), &a);
        }
        pthread_mutex_lock(&g.lock);
        g.is_open = true;
        pthread_cond_broadcast(&g.moved);
        pthread_mutex_unlock(&g.lock);
        weir_flush(store, 0, NULL);
    }
    flush(&d);
    assert_int_equal(a.ok, 400);
    assert_int_equal(a.failed, 60);
    assert_int_equal(a.code, WEIR_NOTFOUND);
    event_list list;
    read_list(&d, "b", NULL, &list);
    assert_int_equal(list.count, 40);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(list.items[i].duration_ns, 9 * SECOND);
    expect_beat(must_beat(&d, "b", event_at(400, 0, B), 10), list.items[0].id, 390, 10);
    desk_fini(&d);
}

typedef struct sender {
    desk *d;
    char bucket[8];
    int count;
    int errors;
    answers answers;
} sender;

static void *send_beats(void *arg)
{
    sender *const s = arg;
    for (int i = 0; i < s->count; i++) {
        const weir_event beat = event_at(i, 0, i % 4 == 0 ? A : B);
        weir_error err = WEIR_ERROR_INIT;
        int code = WEIR_BUSY;
        while (code == WEIR_BUSY)
            code = weir_activity_heartbeat_submit(s->d->activity, s->bucket, &beat, 10, count_answer,
                                                  &s->answers, &err);
        s->errors += code != WEIR_OK;
    }
    return NULL;
}

static void many_threads_each_with_its_bucket(void **state)
{
    (void)state;
    enum { THREADS = 4, BEATS = 400 };
    static sender senders[THREADS];
    pthread_t threads[THREADS];
    const weir_config store = {.queue_jobs_max = 64};
    const weir_activity_config config = {.store = &store};
    desk d;
    desk_init(&d, &config);
    for (int i = 0; i < THREADS; i++) {
        senders[i] = (sender){.d = &d, .count = BEATS, .answers.lock = PTHREAD_MUTEX_INITIALIZER};
        snprintf(senders[i].bucket, sizeof senders[i].bucket, "b%d", i);
        must_create(&d, senders[i].bucket);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_beats, &senders[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    flush(&d);
    for (int i = 0; i < THREADS; i++) {
        int64_t count = 0;
        weir_error err = WEIR_ERROR_INIT;
        assert_int_equal(senders[i].errors, 0);
        assert_int_equal(senders[i].answers.ok, BEATS);
        expect_ok(weir_activity_count(d.activity, senders[i].bucket, NULL, &count, &err), &err);
        assert_int_equal(count, BEATS / 2); // of four beats one A, three B
    }
    desk_fini(&d);
}

static void a_submission_that_is_refused_calls_nobody(void **state)
{
    (void)state;
    desk d;
    answers a = {.lock = PTHREAD_MUTEX_INITIALIZER};
    desk_init(&d, NULL);
    weir_error err = WEIR_ERROR_INIT;
    const weir_event bad = event_at(0, 0, "[]");
    expect_code(weir_activity_heartbeat_submit(d.activity, "b", &bad, 1, count_answer, &a, &err),
                WEIR_MISMATCH, &err);
    expect_code(weir_activity_heartbeat_submit(d.activity, NULL, &bad, 1, count_answer, &a, &err),
                WEIR_INVALID, &err);
    assert_int_equal(a.ok + a.failed, 0);
    must_create(&d, "b");
    const weir_event good = event_at(0, 0, A);
    expect_ok(weir_activity_heartbeat_submit(d.activity, "b", &good, 1, NULL, NULL, &err), &err);
    flush(&d);
    expect_events(&d, "b", NULL, "1:0+0 " A);
    desk_fini(&d);
}

// ------------------------------------------------------------------------------------------ acknowledged early

static void applied_heartbeats_are_seen_at_once_and_committed_by_a_timer(void **state)
{
    (void)state;
    const weir_activity_config config = {.ack = WEIR_ACK_APPLIED, .applied_linger_ms = 50};
    desk d;
    desk_init(&d, &config);
    must_create(&d, "b");
    expect_beat(must_beat(&d, "b", event_at(0, 0, A), 10), 1, 0, 0);
    expect_beat(must_beat(&d, "b", event_at(1, 0, A), 10), 1, 0, 1);
    expect_events(&d, "b", NULL, "1:0+1 " A);
    weir_error err = WEIR_ERROR_INIT;
    const weir_event beat = event_at(2, 0, A);
    expect_code(weir_activity_heartbeat(d.activity, "none", &beat, 10, NULL, &err), WEIR_NOTFOUND, &err);
    expect_ok(weir_activity_heartbeat(d.activity, "b", &beat, 10, NULL, &err), &err);
    desk_close(&d);
    assert_int_equal(naive_int64(d.place.database, "SELECT (endtime - starttime) / 1000000000 FROM events"),
                     2);
    desk_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_heartbeat),
        cmocka_unit_test(event_heartbeat_consecutive_merges),
        cmocka_unit_test(the_window_is_inclusive_and_never_shrinks),
        cmocka_unit_test(data_are_equal_when_their_canonical_texts_are),
        cmocka_unit_test(a_late_heartbeat_is_an_event_of_its_own_and_not_the_next_ones_last),
        cmocka_unit_test(equal_starts),
        cmocka_unit_test(heartbeats_before_1970),
        cmocka_unit_test(an_id_in_a_heartbeat_replaces),
        cmocka_unit_test(unknown_buckets),
        cmocka_unit_test(a_heartbeat_after_its_event_was_deleted),
        cmocka_unit_test(a_heartbeat_after_its_bucket_was_made_anew_or_renamed),
        cmocka_unit_test(a_heartbeat_after_an_insert_or_a_replacement),
        cmocka_unit_test(a_heartbeat_after_somebody_elses_job),
        cmocka_unit_test(memory_and_database_always_agree),
        cmocka_unit_test(heartbeats_beside_a_job_that_fails),
        cmocka_unit_test(many_threads_each_with_its_bucket),
        cmocka_unit_test(a_submission_that_is_refused_calls_nobody),
        cmocka_unit_test(applied_heartbeats_are_seen_at_once_and_committed_by_a_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
