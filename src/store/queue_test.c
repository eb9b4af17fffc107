// SPDX-License-Identifier: MIT
//
// The queue's bounds, and the store under load: many threads that write, read, flush, checkpoint and look at
// it all at once, and a close in the middle of it.
#include "support/ledger.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "store/store.h"

enum { JOBS_MAX = 16, BYTES_MAX = 20000, THREADS_MAX = 16 };

typedef struct fixture {
    scratch place;
    weir_store *store;
    ledger book;
} fixture;

static void fixture_open(fixture *fx, const weir_config *config, size_t entries)
{
    memset(fx, 0, sizeof *fx);
    scratch_init(&fx->place);
    ledger_init(&fx->book, entries);
    naive_sql(fx->place.database, "PRAGMA journal_mode=WAL;" LEDGER_SCHEMA);
    fx->store = must_open(fx->place.database, config);
}

static ledger_verdict fixture_judge(fixture *fx, bool ordered)
{
    must_close(fx->store);
    const ledger_verdict verdict = ledger_judge(&fx->book, fx->place.database, false, ordered);
    ledger_fini(&fx->book);
    scratch_fini(&fx->place);
    return verdict;
}

static weir_stats stats_of(weir_store *store)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &stats, &err), &err);
    return stats;
}

static ledger_entry *add(fixture *fx, weir_ack ack)
{
    return ledger_add(&fx->book, LEDGER_FINE, ack);
}

// ----------------------------------------------------------------------------------------------- bounds

static void a_full_queue_refuses_at_once_or_at_the_deadline(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    fixture_open(&fx, &(weir_config){.queue_jobs_max = JOBS_MAX}, 64);
    gate_close(&g, fx.store); // takes a place itself
    for (int i = 1; i < JOBS_MAX; i++)
        assert_int_equal(ledger_submit(fx.store, add(&fx, WEIR_ACK_COMMITTED),
                                       &(weir_write_options){.fail_when_full = true}),
                         WEIR_OK);
    ledger_entry *const refused = add(&fx, WEIR_ACK_APPLIED);
    assert_int_equal(ledger_submit(fx.store, refused, &(weir_write_options){.fail_when_full = true}),
                     WEIR_BUSY);
    expect_contains(refused->text, "full");
    const uint64_t before_ms = now_ms();
    assert_int_equal(
        ledger_submit(fx.store, add(&fx, WEIR_ACK_DURABLE), &(weir_write_options){.deadline_ms = 30}),
        WEIR_BUSY);
    assert_int_equal(
        ledger_write(fx.store, add(&fx, WEIR_ACK_DURABLE), &(weir_write_options){.deadline_ms = 30}),
        WEIR_BUSY);
    assert_true(now_ms() - before_ms >= 60);
    assert_int_equal(stats_of(fx.store).queue_full, 3);
    assert_int_equal(stats_of(fx.store).queue_jobs, JOBS_MAX - 1);
    gate_open(&g);
    gate_fini(&g);
    ledger_await(&fx.book);
    assert_int_equal(fixture_judge(&fx, true).rows, JOBS_MAX - 1);
}

static void bytes_are_bounded_too(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    fixture_open(&fx, &(weir_config){.queue_bytes_max = BYTES_MAX}, 64);
    const weir_write_options large = {.arg_bytes = BYTES_MAX, .fail_when_full = true};
    ledger_entry *const too_big = add(&fx, WEIR_ACK_DURABLE);
    assert_int_equal(ledger_submit(fx.store, too_big, &large), WEIR_TOOBIG);
    expect_contains(too_big->text, "20000");
    assert_int_equal(
        ledger_write(fx.store, add(&fx, WEIR_ACK_DURABLE), &(weir_write_options){.arg_bytes = SIZE_MAX}),
        WEIR_TOOBIG);
    gate_close(&g, fx.store);
    const weir_write_options half = {.arg_bytes = BYTES_MAX / 2 - 500, .fail_when_full = true};
    assert_int_equal(ledger_submit(fx.store, add(&fx, WEIR_ACK_DURABLE), &half), WEIR_OK);
    assert_int_equal(ledger_submit(fx.store, add(&fx, WEIR_ACK_DURABLE), &half), WEIR_OK);
    assert_int_equal(ledger_submit(fx.store, add(&fx, WEIR_ACK_DURABLE), &half), WEIR_BUSY);
    assert_true(stats_of(fx.store).queue_bytes <= BYTES_MAX);
    gate_open(&g);
    gate_fini(&g);
    ledger_await(&fx.book);
    assert_int_equal(stats_of(fx.store).queue_bytes, 0);
    assert_int_equal(ledger_submit(fx.store, add(&fx, WEIR_ACK_DURABLE), &half), WEIR_OK);
    ledger_await(&fx.book);
    assert_int_equal(fixture_judge(&fx, true).rows, 3);
}

typedef struct submitter {
    fixture *fx;
    size_t count;
    _Atomic size_t submitted;
} submitter;

static void *submit_main(void *arg)
{
    submitter *const s = arg;
    for (size_t i = 0; i < s->count; i++) {
        const weir_write_options options = {.arg_bytes = 100 * (i % 7), .deadline_ms = 20000};
        ledger_submit(s->fx->store, add(s->fx, (weir_ack)(i % 3)), &options);
        atomic_fetch_add(&s->submitted, 1);
    }
    return NULL;
}

static bool somebody_waits_for_room(void *arg)
{
    weir_store *const store = arg;
    pthread_mutex_lock(&store->queue.lock);
    const bool yes = store->queue.waiting_for_room > 0;
    pthread_mutex_unlock(&store->queue.lock);
    return yes;
}

static void those_who_wait_for_room_get_it_and_the_bound_holds(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    pthread_t threads[4];
    const weir_config config = {.queue_jobs_max = JOBS_MAX, .queue_bytes_max = BYTES_MAX};
    fixture_open(&fx, &config, 2000);
    submitter s = {.fx = &fx, .count = 400};
    gate_close(&g, fx.store);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_main, &s), 0);
    assert_true(await(somebody_waits_for_room, fx.store));
    gate_open(&g);
    gate_fini(&g);
    while (s.submitted < 4 * s.count) {
        pthread_mutex_lock(&fx.store->queue.lock);
        const size_t held = fx.store->queue.held;
        const size_t bytes = fx.store->queue.bytes;
        pthread_mutex_unlock(&fx.store->queue.lock);
        assert_true(held <= JOBS_MAX);
        assert_true(bytes <= BYTES_MAX);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    ledger_await(&fx.book);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    assert_true(stats_of(fx.store).queue_jobs_peak <= JOBS_MAX);
    assert_int_equal(stats_of(fx.store).queue_bytes, 0);
    assert_int_equal(fixture_judge(&fx, false).rows, 1600);
}

// ------------------------------------------------------------------------------------------------- load

typedef struct load {
    fixture fx;
    atomic_bool stop;
    uint64_t seed;
    _Atomic uint64_t number; // of threads, for their seeds
    _Atomic size_t ended;
    size_t entries_max;
} load;

static void *write_main(void *arg)
{
    load *const l = arg;
    weir__rng rng;
    weir__rng_init(&rng, l->seed + atomic_fetch_add(&l->number, 1));
    int code = WEIR_OK;
    while (!l->stop && code != WEIR_CLOSED && l->fx.book.size + THREADS_MAX < l->entries_max) {
        const ledger_deed deed =
            weir__rng_below(&rng, 10) == 0 ? (ledger_deed)weir__rng_below(&rng, LEDGER_DEEDS) : LEDGER_FINE;
        ledger_entry *const entry = ledger_add(&l->fx.book, deed, (weir_ack)weir__rng_below(&rng, 3));
        code = weir__rng_below(&rng, 3) == 0 ? ledger_write(l->fx.store, entry, NULL)
                                             : ledger_submit(l->fx.store, entry, NULL);
    }
    atomic_fetch_add(&l->ended, 1);
    return NULL;
}

typedef struct counting {
    int64_t first, second;
} counting;

static int count_twice(weir_tx *tx, void *arg, weir_error *err)
{
    counting *const c = arg;
    int64_t *const counts[] = {&c->first, &c->second};
    for (int i = 0; i < 2; i++) {
        weir_stmt *stmt = NULL;
        bool row = false;
        int code = weir_prepare(tx, "SELECT count(*) FROM ledger", &stmt, err);
        if (code == WEIR_OK)
            code = weir_step(stmt, &row, err);
        if (code != WEIR_OK)
            return code;
        *counts[i] = weir_column_int64(stmt, 0);
    }
    return WEIR_OK;
}

// Snapshots do not move, and never go back.
static void *read_main(void *arg)
{
    load *const l = arg;
    int64_t last = 0;
    int code = WEIR_OK;
    for (int i = 0; !l->stop && code == WEIR_OK; i++) {
        counting c = {0};
        const weir_read_options options = {.may_be_stale = i % 2 == 0, .label = "counting"};
        code = weir_read(l->fx.store, count_twice, &c, &options, NULL);
        if (code == WEIR_OK && (c.first != c.second || c.first < last))
            abort();
        last = c.first;
    }
    atomic_fetch_add(&l->ended, 1);
    return NULL;
}

static void *service_main(void *arg)
{
    load *const l = arg;
    int code = WEIR_OK;
    for (int i = 0; !l->stop && code != WEIR_CLOSED; i++)
        code = i % 2 == 0 ? weir_flush(l->fx.store, 0, NULL)
                          : weir_checkpoint(l->fx.store, (weir_checkpoint_mode)(i / 2 % 4), 50, NULL, NULL);
    atomic_fetch_add(&l->ended, 1);
    return NULL;
}

static void check_json(weir_store *store)
{
    char *const text = weir_stats_json(store);
    if (!text)
        abort();
    json_error_t problem;
    json_t *const json = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (!json)
        fail_msg("%s at %d: %s", problem.text, problem.position, text);
    assert_true(json_is_integer(json_object_get(json, "jobs_submitted")));
    assert_true(json_is_object(json_object_get(json, "last_checkpoint")));
    assert_true(json_is_array(json_object_get(json, "readers")));
    json_decref(json);
    free(text);
}

// Looks at everything that may be looked at; counters only grow.
static void look(weir_store *store, weir_stats *last)
{
    const weir_stats now = stats_of(store);
    assert_true(now.jobs_done >= last->jobs_done);
    assert_true(now.jobs_submitted >= last->jobs_done);
    assert_true(now.jobs_failed >= last->jobs_failed);
    assert_true(now.groups >= last->groups);
    assert_true(now.reads >= last->reads);
    assert_true(now.commit_ns.count >= last->commit_ns.count);
    assert_true(now.commit_ns.p50 <= now.commit_ns.p99);
    assert_true(now.commit_ns.p99 <= now.commit_ns.p999);
    assert_true(now.readers_open <= now.readers_size);
    assert_true(now.queue_jobs_peak <= 8192);
    weir_reader_info readers[4];
    const size_t open = weir_readers(store, readers, 4);
    for (size_t i = 0; i < open && i < 4; i++) {
        if (readers[i].label[0])
            assert_string_equal(readers[i].label, "counting");
        assert_true(i == 0 || readers[i].id > readers[i - 1].id);
    }
    weir_finding findings[8];
    weir_health(store, findings, 8);
    check_json(store);
    *last = now;
}

static bool tenth_has_passed(void *arg)
{
    return now_ms() >= *(const uint64_t *)arg;
}

static size_t start_load(load *l, pthread_t *threads, const weir_config *config)
{
    size_t size = 0;
    l->seed = weir__random_u64();
    print_message("seed %llu\n", (unsigned long long)l->seed);
    fixture_open(&l->fx, config, l->entries_max);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[size++], NULL, write_main, l), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[size++], NULL, read_main, l), 0);
    assert_int_equal(pthread_create(&threads[size++], NULL, service_main, l), 0);
    return size;
}

static void run_load(const weir_config *config)
{
    load l = {.entries_max = 20000};
    pthread_t threads[THREADS_MAX];
    weir_stats last = {0};
    const size_t size = start_load(&l, threads, config);
    for (int i = 0; i < 12; i++) { // at 10 Hz
        uint64_t next_ms = now_ms() + 100;
        look(l.fx.store, &last);
        await(tenth_has_passed, &next_ms);
    }
    l.stop = true;
    for (size_t i = 0; i < size; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    ledger_await(&l.fx.book);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_flush(l.fx.store, 0, &err), &err);
    const weir_stats stats = stats_of(l.fx.store);
    assert_int_equal(stats.jobs_submitted, l.fx.book.size);
    assert_int_equal(stats.jobs_done, l.fx.book.size);
    assert_int_equal(stats.acks_applied + stats.acks_committed + stats.acks_durable + stats.jobs_failed,
                     l.fx.book.size);
    assert_int_equal(stats.write_ns.count, l.fx.book.size);
    assert_int_equal(stats.applied_pending, 0);
    assert_true(stats.reads > 0);
    assert_true(stats.statements_hit > stats.statements_missed);
    const ledger_verdict verdict = fixture_judge(&l.fx, false);
    assert_int_equal(verdict.answered_error, stats.jobs_failed);
    assert_true(verdict.answered_ok > 0);
}

static void a_store_under_load_can_be_looked_at_and_loses_nothing(void **state)
{
    (void)state;
    run_load(&(weir_config){.readers = 2, .checkpoint_frames = 50, .statements_max = 4});
    run_load(&(weir_config){.durability = WEIR_DURABILITY_INTERVAL,
                            .sync_interval_ms = 3,
                            .readers = 2,
                            .checkpoint_frames = 50,
                            .applied_linger_ms = 2});
}

typedef struct closing {
    weir_store *store;
    int code;
    weir_error err;
} closing;

static void *close_main(void *arg)
{
    closing *const c = arg;
    c->code = weir_close(c->store, 20000, &c->err);
    return NULL;
}

static bool has_entries(void *arg)
{
    return ((load *)arg)->fx.book.size > 500;
}

static bool all_have_ended(void *arg)
{
    return ((load *)arg)->ended == 10;
}

// weir_close waits for the snapshot that the test holds, and that long everybody else hears that the store is
// closing: nobody calls it when it is gone.
static void closing_in_the_middle_answers_everybody(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        load l = {.entries_max = 60000};
        pthread_t threads[THREADS_MAX];
        pthread_t closer;
        weir_snapshot *snapshot = NULL;
        weir_error err = WEIR_ERROR_INIT;
        const weir_config config = {.readers = 3,
                                    .durability = round % 2 ? WEIR_DURABILITY_INTERVAL : WEIR_DURABILITY_FULL,
                                    .queue_jobs_max = round < 2 ? 0 : 8};
        const size_t size = start_load(&l, threads, &config);
        const weir_read_options patient = {.deadline_ms = WEIR_NO_DEADLINE, .may_be_stale = true};
        expect_ok(weir_snapshot_open(l.fx.store, &patient, &snapshot, &err), &err);
        assert_true(await(has_entries, &l));
        closing c = {.store = l.fx.store};
        assert_int_equal(pthread_create(&closer, NULL, close_main, &c), 0);
        assert_true(await(all_have_ended, &l));
        for (size_t i = 0; i < size; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        weir_snapshot_close(snapshot);
        assert_int_equal(pthread_join(closer, NULL), 0);
        expect_ok(c.code, &c.err);
        const ledger_verdict verdict = ledger_judge(&l.fx.book, l.fx.place.database, false, false);
        assert_true(verdict.answered_ok > 0);
        assert_true(verdict.answered_error > 0);
        assert_int_equal(verdict.unknown, 0);
        ledger_fini(&l.fx.book);
        scratch_fini(&l.fx.place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_refuses_at_once_or_at_the_deadline),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(those_who_wait_for_room_get_it_and_the_bound_holds),
        cmocka_unit_test(a_store_under_load_can_be_looked_at_and_loses_nothing),
        cmocka_unit_test(closing_in_the_middle_answers_everybody),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
