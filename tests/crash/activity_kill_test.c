// SPDX-License-Identifier: MIT
//
// kill -9 of a process with eight clients that send heartbeats: what was acknowledged is there when the database
// is opened again, nothing is there twice, and the next heartbeat merges.
//
// Heartbeat number n of a client comes n seconds after its first, and says something new every BEATS_PER_EVENT
// heartbeats. So the rows of a bucket tell how many heartbeats have arrived, and for each number there is exactly
// one right set of rows. A client writes its letter to a pipe after each acknowledgement; the process is killed
// after a number of letters taken from a seed, which is printed.
#include "support/activity.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"

enum { ROUNDS = 8, CLIENTS = 8, LETTERS_MAX = 600, BEATS_PER_EVENT = 4 };

typedef struct client {
    weir_activity *activity;
    int number;
    int64_t next; // heartbeat
    int out;
} client;

static weir_event beat_of(int64_t number, char data[32])
{
    snprintf(data, 32, "{\"n\":%lld}", (long long)(number / BEATS_PER_EVENT));
    return event_at(number, 0, data);
}

static void bucket_of(int number, char id[8])
{
    snprintf(id, 8, "b%d", number);
}

// ------------------------------------------------------------------------------- the process to be killed

static void *beat_until_killed(void *arg)
{
    client *const c = arg;
    const char letter = (char)('a' + c->number);
    char bucket[8];
    char data[32];
    bucket_of(c->number, bucket);
    for (;; c->next++) {
        const weir_event beat = beat_of(c->next, data);
        if (weir_activity_heartbeat(c->activity, bucket, &beat, 1, NULL, NULL) != WEIR_OK)
            _exit(2);
        if (write(c->out, &letter, 1) != 1)
            _exit(3);
    }
    return NULL;
}

static void run_until_killed(const char *database, const int64_t arrived[CLIENTS], int out)
{
    static client clients[CLIENTS];
    weir_activity *activity = NULL;
    if (weir_activity_open(database, NULL, &activity, NULL) != WEIR_OK)
        _exit(1);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_t thread;
        clients[i] = (client){.activity = activity, .number = i, .next = arrived[i], .out = out};
        if (pthread_create(&thread, NULL, beat_until_killed, &clients[i]) != 0)
            _exit(4);
    }
    for (;;)
        pause();
}

// --------------------------------------------------------------------------------------------- after the kill

typedef struct tally {
    int64_t events, arrived;
    int64_t newest_id;
} tally;

// Newest first: the first may still grow, the others are whole.
static int check_event(void *context, const weir_event *event, weir_error *err)
{
    tally *const t = context;
    (void)err;
    const int64_t seconds = event->duration_ns / SECOND;
    const int64_t start = (event->start_ns - T0) / SECOND;
    if (t->events == 0) {
        t->newest_id = event->id;
        t->arrived = start + seconds + 1;
        assert_in_range(seconds, 0, BEATS_PER_EVENT - 1);
    } else {
        assert_int_equal(seconds, BEATS_PER_EVENT - 1);
    }
    assert_int_equal(start % BEATS_PER_EVENT, 0);
    char data[32];
    beat_of(start, data);
    assert_memory_equal(event->data, data, strlen(data));
    t->events++;
    return WEIR_OK;
}

// How many heartbeats a bucket has seen, if its rows are right; then sends the next.
static int64_t check_bucket(desk *d, int number, int64_t acknowledged)
{
    tally t = {0};
    char bucket[8];
    char data[32];
    weir_error err = WEIR_ERROR_INIT;
    bucket_of(number, bucket);
    expect_ok(weir_activity_events(d->activity, bucket, NULL, check_event, &t, &err), &err);
    assert_int_equal(t.events, (t.arrived + BEATS_PER_EVENT - 1) / BEATS_PER_EVENT);
    if (t.arrived < acknowledged)
        fail_msg("%lld heartbeats of %s were acknowledged, %lld are there", (long long)acknowledged, bucket,
                 (long long)t.arrived);
    const weir_event next = must_beat(d, bucket, beat_of(t.arrived, data), 1);
    if (t.arrived % BEATS_PER_EVENT != 0)
        assert_int_equal(next.id, t.newest_id);
    return t.arrived + 1;
}

static void one_round(desk *d, int64_t arrived[CLIENTS], size_t letters)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_until_killed(d->place.database, arrived, ends[1]);
    close(ends[1]);
    size_t count = 0;
    char letter = 0;
    while (count < letters && read(ends[0], &letter, 1) == 1) {
        arrived[letter - 'a']++;
        count++;
    }
    assert_int_equal(count, letters); // it has not ended by itself
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    while (read(ends[0], &letter, 1) == 1) // acknowledged before it died
        arrived[letter - 'a']++;
    close(ends[0]);
    desk_open(d, NULL);
    for (int i = 0; i < CLIENTS; i++)
        arrived[i] = check_bucket(d, i, arrived[i]);
    desk_close(d);
    must_be_intact(d->place.database);
}

static void what_was_acknowledged_survives_the_kill_once(void **state)
{
    (void)state;
    const uint64_t seed = weir__random_u64();
    print_message("seed %llu\n", (unsigned long long)seed);
    weir__rng rng;
    weir__rng_init(&rng, seed);
    int64_t arrived[CLIENTS] = {0};
    desk d;
    desk_init(&d, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        char bucket[8];
        bucket_of(i, bucket);
        must_create(&d, bucket);
    }
    desk_close(&d);
    for (int i = 0; i < ROUNDS; i++)
        one_round(&d, arrived, (size_t)weir__rng_below(&rng, LETTERS_MAX));
    desk_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_survives_the_kill_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
