// SPDX-License-Identifier: MIT
//
// An activity store beside another process that writes the same database: nothing that the writer remembers
// may outlive the other's commit, and the other is never kept from writing.
#include "support/activity.h"

#include <stdio.h>

#include "support/peer.h"

#define A "{\"app\":\"a\"}"
#define B "{\"app\":\"b\"}"
#define SQL_A "'{\"app\":\"a\"}'"
#define SQL_B "'{\"app\":\"b\"}'"

typedef struct two {
    desk d;
    peer other;
} two;

static void two_init(two *t)
{
    desk_init(&t->d, NULL);
    must_create(&t->d, "b");
    peer_start(&t->other, t->d.place.database);
}

static void two_fini(two *t)
{
    peer_stop(&t->other);
    desk_fini(&t->d);
}

static void the_other_deletes_what_was_newest(void **state)
{
    (void)state;
    two t;
    two_init(&t);
    must_beat(&t.d, "b", event_at(0, 0, A), 10);
    must_beat(&t.d, "b", event_at(100, 0, A), 10);
    peer_do(&t.other, "DELETE FROM events WHERE id = 2");
    assert_int_equal(must_beat(&t.d, "b", event_at(1, 0, A), 10).id, 1);
    peer_do(&t.other, "DELETE FROM events");
    assert_int_equal(must_beat(&t.d, "b", event_at(2, 0, A), 10).id, 3);
    expect_events(&t.d, "b", NULL, "3:2+0 " A);
    two_fini(&t);
}

static void the_other_inserts_or_changes_the_newest(void **state)
{
    (void)state;
    two t;
    two_init(&t);
    must_beat(&t.d, "b", event_at(0, 0, A), 10);
    peer_do(&t.other, "INSERT INTO events (bucketrow, starttime, endtime, data) SELECT bucketrow, "
                      "starttime + 5000000000, endtime + 6000000000, " SQL_B " FROM events");
    assert_int_equal(must_beat(&t.d, "b", event_at(7, 0, B), 10).id, 2);
    peer_do(&t.other, "UPDATE events SET endtime = starttime, data = " SQL_A " WHERE id = 2");
    assert_int_equal(must_beat(&t.d, "b", event_at(16, 0, A), 10).id, 3);
    expect_events(&t.d, "b", NULL, "3:16+0 " A "; 2:5+0 " A "; 1:0+0 " A);
    two_fini(&t);
}

static void the_other_renames_and_deletes_buckets(void **state)
{
    (void)state;
    two t;
    two_init(&t);
    must_beat(&t.d, "b", event_at(0, 0, A), 10);
    peer_do(&t.other, "UPDATE buckets SET name = 'c'");
    weir_error err = WEIR_ERROR_INIT;
    const weir_event beat = event_at(1, 0, A);
    expect_code(weir_activity_heartbeat(t.d.activity, "b", &beat, 10, NULL, &err), WEIR_NOTFOUND, &err);
    assert_int_equal(must_beat(&t.d, "c", beat, 10).id, 1);
    peer_do(&t.other, "UPDATE buckets SET name = 'b'");
    peer_do(&t.other, "INSERT INTO buckets (name, type, client, hostname, created) VALUES "
                      "('c', 't', 'c', 'h', '2018-01-01 01:01:01+00:00')");
    assert_int_equal(must_beat(&t.d, "c", event_at(2, 0, A), 10).id, 2);
    assert_int_equal(must_beat(&t.d, "b", event_at(2, 0, A), 10).id, 1);
    two_fini(&t);
}

// W3: nobody is kept from writing while there is nothing to write.
static void the_other_can_write_at_once_while_the_store_is_idle(void **state)
{
    (void)state;
    two t;
    two_init(&t);
    peer_do(&t.other, "PRAGMA busy_timeout = 0");
    for (int i = 0; i < 20; i++) {
        must_beat(&t.d, "b", event_at(i, 0, A), 10);
        peer_do(&t.other, "INSERT INTO key_value VALUES (random(), '1', 0)");
    }
    expect_events(&t.d, "b", NULL, "1:0+19 " A);
    two_fini(&t);
}

// Each of the other's commits makes the writer forget: the event stays one.
static void commits_that_take_turns(void **state)
{
    (void)state;
    enum { BEATS = 40 };
    two t;
    two_init(&t);
    for (int i = 0; i < BEATS; i++) {
        must_beat(&t.d, "b", event_at(2 * i, 0, A), 10);
        peer_do(&t.other, "UPDATE events SET endtime = endtime + 1000000000");
    }
    char expected[64];
    snprintf(expected, sizeof expected, "1:0+%d " A, 2 * BEATS - 1);
    expect_events(&t.d, "b", NULL, expected);
    two_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_other_deletes_what_was_newest),
        cmocka_unit_test(the_other_inserts_or_changes_the_newest),
        cmocka_unit_test(the_other_renames_and_deletes_buckets),
        cmocka_unit_test(the_other_can_write_at_once_while_the_store_is_idle),
        cmocka_unit_test(commits_that_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
