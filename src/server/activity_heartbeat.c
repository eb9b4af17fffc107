// SPDX-License-Identifier: MIT
//
// Heartbeats over HTTP, the one request that comes again and again.
//
// On the event thread: the event is read from the body, queued, and its connection suspended; the thread that commits
// the group writes the event down and gives the connection back. No thread waits. ActivityWatch's Python client loses a
// heartbeat for good when it is answered with an error and waits for an answer for as long as it takes, so a heartbeat
// is delayed rather than refused: when the queue is full it goes to a worker that waits for room, and behind another
// process's lock it waits for the store's write deadline.
#include <stdlib.h>

#include "base/error.h"
#include "server/activity_api.h"
#include "server/activity_params.h"

// An event with the largest data there can be, and room for what stands around them.
#define BODY_BYTES_MAX (WEIR_ACTIVITY_DATA_BYTES_MAX + (1U << 20))

typedef struct heartbeat {
    const char *bucket_id;
    double pulsetime_s;
    weir_event *event;
} heartbeat;

static int read_pulsetime(const weir__exchange *exchange, double *pulsetime_s, weir_error *err)
{
    const char *const text = weir__uri_param(&exchange->uri, "pulsetime");
    if (text == NULL)
        return weir__error_set(err, WEIR_MISMATCH, "a heartbeat needs the parameter pulsetime, in seconds");
    if (!weir__activity_double(text, pulsetime_s))
        return weir__error_set(err, WEIR_MISMATCH, "pulsetime must be a number of seconds, not '%s'", text);
    return WEIR_OK;
}

// `beat->event` is to be freed.
static int read_heartbeat(const weir__exchange *exchange, heartbeat *beat, weir_error *err)
{
    const char *body = NULL;
    char *owned = NULL;
    size_t size = 0;
    *beat = (heartbeat){.bucket_id = weir__exchange_segment(exchange, WEIR__ACTIVITY_NAME_SEGMENT)};
    int code = read_pulsetime(exchange, &beat->pulsetime_s, err);
    if (code == WEIR_OK)
        code = weir__activity_body(exchange, BODY_BYTES_MAX, &body, &size, &owned, err);
    if (code == WEIR_OK)
        code = weir_event_parse(body, size, &beat->event, err);
    free(owned);
    return code;
}

// On the thread that committed.
static void on_heartbeat(void *context, const weir_error *result, const weir_event *event)
{
    weir__exchange *const exchange = context;
    if (event == NULL)
        weir__answer_code(exchange, result);
    else
        weir__activity_answer_event(exchange, event);
    weir__exchange_finish(exchange);
}

// On a worker.
static weir__outcome wait_with_heartbeat(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    heartbeat beat;
    weir_event *result = NULL;
    int code = read_heartbeat(exchange, &beat, &err);
    if (code == WEIR_OK)
        code = weir_activity_heartbeat(exchange->server->activity, beat.bucket_id, beat.event,
                                       beat.pulsetime_s, &result, &err);
    if (code == WEIR_OK)
        weir__activity_answer_event(exchange, result);
    else
        weir__answer_code(exchange, &err);
    free(result);
    free(beat.event);
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_post_heartbeat(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    heartbeat beat;
    if (read_heartbeat(exchange, &beat, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    weir__exchange_suspend(exchange);
    // Once this is accepted the exchange may be answered, and gone, at any moment.
    const int code = weir_activity_heartbeat_submit(exchange->server->activity, beat.bucket_id, beat.event,
                                                    beat.pulsetime_s, on_heartbeat, exchange, &err);
    free(beat.event);
    if (code == WEIR_OK)
        return WEIR__LATER;
    if (code == WEIR_BUSY)
        return weir__exchange_hand_over(exchange, WEIR__LANE_WRITE, wait_with_heartbeat);
    return weir__activity_refuse(exchange, &err);
}
