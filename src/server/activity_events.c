// SPDX-License-Identifier: MIT
//
// Events over HTTP: ranges, single ones, counts, inserting, deleting. Ranges and the echo of an insert may be as large
// as the database, so they go event by event into a spool.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/activity_api.h"
#include "server/activity_params.h"

static const char *bucket_id(const weir__exchange *exchange)
{
    return weir__exchange_segment(exchange, WEIR__ACTIVITY_NAME_SEGMENT);
}

static void answer_list(weir__exchange *exchange, weir__event_list *list)
{
    weir__spool_add(&list->spool, list->count > 0 ? "]" : "[]");
    weir__answer_spool(exchange, MHD_HTTP_OK, &list->spool);
}

weir__outcome weir__activity_get_events(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_event_query query;
    weir__event_list list;
    if (weir__activity_range(&exchange->uri, &query, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    weir__event_list_init(&list, exchange);
    if (weir_activity_events(exchange->server->activity, bucket_id(exchange), &query, weir__event_list_add,
                             &list, &err) != WEIR_OK) {
        weir__spool_free(&list.spool);
        return weir__activity_refuse(exchange, &err);
    }
    answer_list(exchange, &list);
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_count_events(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_event_query query;
    int64_t count = 0;
    char text[32];
    if (weir__activity_range(&exchange->uri, &query, &err) != WEIR_OK ||
        weir_activity_count(exchange->server->activity, bucket_id(exchange), &query, &count, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    (void)snprintf(text, sizeof text, "%" PRId64, count);
    weir__answer_json(exchange, MHD_HTTP_OK, strdup(text));
    return WEIR__ANSWERED;
}

// ---------------------------------------------------------------------------------------------- single ones

static int event_id(const weir__exchange *exchange, int64_t *id, weir_error *err)
{
    const char *const text = weir__exchange_segment(exchange, WEIR__ACTIVITY_EVENT_SEGMENT);
    if (weir__activity_id(text, id))
        return WEIR_OK;
    return weir__error_set(err, WEIR_MISMATCH, "an event's id is a whole number, not '%s'", text);
}

weir__outcome weir__activity_get_event(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_event *event = NULL;
    int64_t id = 0;
    if (event_id(exchange, &id, &err) != WEIR_OK ||
        weir_activity_event_get(exchange->server->activity, bucket_id(exchange), id, &event, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    weir__activity_answer_event(exchange, event);
    free(event);
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_delete_event(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    int64_t id = 0;
    if (event_id(exchange, &id, &err) != WEIR_OK ||
        weir_activity_event_delete(exchange->server->activity, bucket_id(exchange), id, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    return weir__activity_done(exchange, MHD_HTTP_OK);
}

// ---------------------------------------------------------------------------------------------- inserting

weir__outcome weir__activity_post_events(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_activity_input input;
    weir__event_list list;
    if (weir__exchange_input(exchange, &input, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    weir__event_list_init(&list, exchange);
    if (weir_activity_insert_json(exchange->server->activity, bucket_id(exchange), &input,
                                  weir__event_list_add, &list, &err) == WEIR_OK) {
        answer_list(exchange, &list);
        return WEIR__ANSWERED;
    }
    // The first event came to the list when all were committed: whoever sends them again would have them twice.
    if (list.count > 0)
        weir__answer_error(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR,
                           "the events are stored, but their list could not be made: %s", err.text);
    else
        weir__answer_code(exchange, &err);
    weir__spool_free(&list.spool);
    return WEIR__ANSWERED;
}
