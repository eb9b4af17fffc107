// SPDX-License-Identifier: MIT
//
// What tests of the activity store share: a store in a directory of its own, short ways to write events and
// heartbeats, and lists of what is read back.
//
// All of these fail the test when the store does not do as it should; they belong on the test's own thread.
#ifndef WEIR_TESTS_SUPPORT_ACTIVITY_H
#define WEIR_TESTS_SUPPORT_ACTIVITY_H

#include "support/store.h"

#include "weir/activity.h"

// 2018-01-01T01:01:01Z
#define T0 INT64_C(1514768461000000000)
#define SECOND INT64_C(1000000000)

typedef struct desk {
    scratch place;
    weir_activity *activity;
} desk;

void desk_init(desk *d, const weir_activity_config *config);
void desk_fini(desk *d);
void desk_close(desk *d);
void desk_open(desk *d, const weir_activity_config *config);

void must_create(desk *d, const char *bucket_id);

// An event of whole seconds after T0.
weir_event event_at(int64_t start_s, int64_t duration_s, const char *data);
// Inserts one and returns its id.
int64_t must_insert(desk *d, const char *bucket_id, weir_event event);
// A heartbeat; returns what became of it without its data.
weir_event must_beat(desk *d, const char *bucket_id, weir_event event, double pulsetime_s);

// Events read back, as text too: "id:start+duration data" with seconds after T0, one after the other, divided
// by "; ". Nanoseconds that are no whole seconds appear with their fraction.
typedef struct event_list {
    size_t count;
    weir_event items[64]; // without data
    char text[4096];
} event_list;

void read_list(desk *d, const char *bucket_id, const weir_event_query *query, event_list *list);
#define expect_events(d, bucket_id, query, text) \
    expect_events_at((d), (bucket_id), (query), (text), __FILE__, __LINE__)
void expect_events_at(desk *d, const char *bucket_id, const weir_event_query *query, const char *text,
                      const char *file, int line);

#endif
