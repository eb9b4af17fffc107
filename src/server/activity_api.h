// SPDX-License-Identifier: MIT
//
// What the handlers of ActivityWatch's API share. They run on the lanes that activity_routes.c says and leave every
// rule about data to the store; here are the parameters, the shapes of answers, and who waits where.
#ifndef WEIR_SERVER_ACTIVITY_API_H
#define WEIR_SERVER_ACTIVITY_API_H

#include <weir/activity.h>

#include "server/core.h"

// The place of `*` in api/0/buckets/* and api/0/settings/*, and of the second one in api/0/buckets/*/events/*.
enum { WEIR__ACTIVITY_NAME_SEGMENT = 3, WEIR__ACTIVITY_EVENT_SEGMENT = 5 };

// With the status that belongs to the code; the same for every handler, so it returns what they return.
weir__outcome weir__activity_refuse(weir__exchange *exchange, const weir_error *err);
weir__outcome weir__activity_done(weir__exchange *exchange, unsigned status);

// One event as the answer; any thread, never blocks.
void weir__activity_answer_event(weir__exchange *exchange, const weir_event *event);

// A JSON array of events that grows event by event.
typedef struct weir__event_list {
    weir__spool spool;
    uint64_t count;
} weir__event_list;
void weir__event_list_init(weir__event_list *list, const weir__exchange *exchange);
// A weir_event_fn, with the list as context.
int weir__event_list_add(void *list, const weir_event *event, weir_error *err);

// The body in memory, where it may be at most `size_max` bytes: *bytes is the exchange's, or *owned, which the
// caller frees. TOOBIG, and those of weir__exchange_input().
int weir__activity_body(const weir__exchange *exchange, size_t size_max, const char **bytes, size_t *size,
                        char **owned, weir_error *err);

weir__handler weir__activity_get_buckets, weir__activity_get_bucket, weir__activity_post_bucket,
    weir__activity_delete_bucket;
weir__handler weir__activity_get_events, weir__activity_post_events, weir__activity_count_events,
    weir__activity_get_event, weir__activity_delete_event;
weir__handler weir__activity_post_heartbeat; // EVENT lane
weir__handler weir__activity_export_bucket, weir__activity_export_all, weir__activity_post_import;
weir__handler weir__activity_get_settings, weir__activity_get_setting, weir__activity_post_setting,
    weir__activity_delete_setting;
weir__handler weir__activity_post_query;

#endif
