// SPDX-License-Identifier: MIT
//
// Events and heartbeats for tests: see activity.h.
#include "support/activity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void desk_open(desk *d, const weir_activity_config *config)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_open(d->place.database, config, &d->activity, &err), &err);
    assert_non_null(d->activity);
}

void desk_close(desk *d)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_close(d->activity, 0, &err), &err);
    d->activity = NULL;
}

void desk_init(desk *d, const weir_activity_config *config)
{
    *d = (desk){0};
    scratch_init(&d->place);
    desk_open(d, config);
}

void desk_fini(desk *d)
{
    if (d->activity != NULL)
        desk_close(d);
    scratch_fini(&d->place);
}

void must_create(desk *d, const char *bucket_id)
{
    const weir_bucket bucket = {
        .id = bucket_id, .type = "test", .client = "a test", .hostname = "testhost", .data = NULL};
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_bucket_create(d->activity, &bucket, &err), &err);
}

weir_event event_at(int64_t start_s, int64_t duration_s, const char *data)
{
    return (weir_event){.start_ns = T0 + start_s * SECOND,
                        .duration_ns = duration_s * SECOND,
                        .data = data,
                        .data_size = WEIR_TEXT_TERMINATED};
}

int64_t must_insert(desk *d, const char *bucket_id, weir_event event)
{
    weir_error err = WEIR_ERROR_INIT;
    int64_t id = INT64_MIN;
    expect_ok(weir_activity_insert(d->activity, bucket_id, &event, 1, &id, &err), &err);
    return id;
}

weir_event must_beat(desk *d, const char *bucket_id, weir_event event, double pulsetime_s)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_event *result = NULL;
    expect_ok(weir_activity_heartbeat(d->activity, bucket_id, &event, pulsetime_s, &result, &err), &err);
    assert_non_null(result);
    weir_event copy = *result;
    free(result);
    copy.data = NULL;
    return copy;
}

static int seconds(char *out, size_t size, int64_t ns)
{
    if (ns % SECOND == 0)
        return snprintf(out, size, "%lld", (long long)(ns / SECOND));
    return snprintf(out, size, "%.9f", (double)ns / 1e9);
}

static int add_event(void *context, const weir_event *event, weir_error *err)
{
    event_list *const list = context;
    char start[32];
    char duration[32];
    (void)err;
    seconds(start, sizeof start, event->start_ns - T0);
    seconds(duration, sizeof duration, event->duration_ns);
    const size_t used = strlen(list->text);
    snprintf(list->text + used, sizeof list->text - used, "%s%lld:%s+%s %.*s", used > 0 ? "; " : "",
             (long long)event->id, start, duration, (int)event->data_size, event->data);
    if (list->count < sizeof list->items / sizeof list->items[0]) {
        list->items[list->count] = *event;
        list->items[list->count].data = NULL;
    }
    list->count++;
    return WEIR_OK;
}

void read_list(desk *d, const char *bucket_id, const weir_event_query *query, event_list *list)
{
    weir_error err = WEIR_ERROR_INIT;
    *list = (event_list){0};
    expect_ok(weir_activity_events(d->activity, bucket_id, query, add_event, list, &err), &err);
}

void expect_events_at(desk *d, const char *bucket_id, const weir_event_query *query, const char *text,
                      const char *file, int line)
{
    event_list list;
    read_list(d, bucket_id, query, &list);
    if (strcmp(list.text, text) == 0)
        return;
    print_error("events are \"%s\", not \"%s\"\n", list.text, text);
    _fail(file, line);
}
