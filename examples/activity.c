// SPDX-License-Identifier: MIT
//
// Two heartbeats, and the event they become:  cc activity.c $(pkg-config --cflags --libs weir) && ./a.out activity.db
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <weir/activity.h>

static const char bucket_id[] = "editor_desk";

// "The editor shows main.c." Said again within a minute, it makes the event longer.
static int beat(weir_activity *activity, int64_t now_ns, weir_error *err)
{
    const weir_event event = {
        .start_ns = now_ns, .data = "{\"file\":\"main.c\"}", .data_size = WEIR_TEXT_TERMINATED};
    return weir_activity_heartbeat(activity, bucket_id, &event, 60.0, NULL,
                                   err); // returns when it is on disk
}

static int show(void *context, const weir_event *event, weir_error *err)
{
    (void)context, (void)err;
    printf("%" PRIi64 ": %.1f s %.*s\n", event->id, (double)event->duration_ns / 1e9, (int)event->data_size,
           event->data);
    return WEIR_OK;
}

int main(int argc, char **argv)
{
    const weir_bucket bucket = {
        .id = bucket_id, .type = "app.editor.activity", .client = "example", .hostname = "desk"};
    const weir_event_query newest = {.has_limit = true, .limit = 10};
    const int64_t now_ns = (int64_t)time(NULL) * 1000000000;
    weir_activity *activity = NULL;
    weir_error err = WEIR_ERROR_INIT;
    int code = weir_activity_open(argc > 1 ? argv[1] : "activity.db", NULL, &activity, &err);
    if (code == WEIR_OK && (code = weir_activity_bucket_create(activity, &bucket, &err)) == WEIR_EXISTS)
        code = WEIR_OK; // made by an earlier run
    if (code == WEIR_OK && (code = beat(activity, now_ns, &err)) == WEIR_OK)
        code = beat(activity, now_ns + 5000000000, &err);
    if (code == WEIR_OK)
        code = weir_activity_events(activity, bucket_id, &newest, show, NULL, &err);
    const int close_code = weir_activity_close(activity, 0, code == WEIR_OK ? &err : NULL);
    if (code == WEIR_OK && close_code == WEIR_OK)
        return 0;
    return fprintf(stderr, "%s\n", err.text), 1;
}
