// SPDX-License-Identifier: MIT
//
// Executions over HTTP: list, start, cancel, delete. The shapes are those that StepFlow
// Monitor's pages read; docs/http.md lists them.
//
// A start is asynchronous: the exchange waits, suspended, for the engine to say that the row is committed;
// with `wait` it stays in the server's list until the run's end. Either way no thread waits.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/error.h"
#include "server/core.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 200 };

static weir_runs *runs_of(const weir__exchange *exchange)
{
    return exchange->server->runs;
}

static const char *path_id(const weir__exchange *exchange)
{
    return weir__exchange_segment(exchange, 2);
}

static weir__outcome answer_code(weir__exchange *exchange, const weir_error *err)
{
    weir__answer_code(exchange, err);
    return WEIR__ANSWERED;
}

static weir__outcome answer_missing(weir__exchange *exchange, const weir_error *err, const char *words)
{
    weir__answer_missing(exchange, err, words);
    return WEIR__ANSWERED;
}

static weir__outcome answer_spool(weir__exchange *exchange, weir__spool *spool)
{
    weir__answer_spool(exchange, MHD_HTTP_OK, spool);
    return WEIR__ANSWERED;
}

// ------------------------------------------------------------------------------------------------ lists

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static int read_query(const weir__exchange *exchange, weir_runs_query *query, weir_error *err)
{
    weir_run_status status;
    const weir__uri *uri = &exchange->uri;
    *query = (weir_runs_query){.status = weir__uri_param(uri, "status"),
                               .user = weir__uri_param(uri, "user"),
                               .search = weir__uri_param(uri, "search"),
                               .cursor = weir__uri_param(uri, "cursor")};
    if (query->cursor != NULL && query->cursor[0] == '\0')
        query->cursor = NULL;
    if (query->status != NULL && query->status[0] != '\0' && !weir_run_status_parse(query->status, &status))
        return weir__error_set(err, WEIR_INVALID, "Invalid status: %s", query->status);
    int code = weir__uri_param_int(uri, "limit", LIST_DEFAULT, &query->limit, err);
    if (code == WEIR_OK)
        code = weir__uri_param_int(uri, "offset", 0, &query->offset, err);
    if (code == WEIR_OK)
        code = weir__uri_param_bool(uri, "total", &query->with_total, err);
    query->limit = clamp(query->limit, 0, LIST_MAX);
    query->offset = clamp(query->offset, 0, INT64_MAX);
    return code;
}

weir__outcome weir__get_executions(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_runs_query query;
    weir_execution_list list;
    if (read_query(exchange, &query, &err) != WEIR_OK ||
        weir_runs_list(runs_of(exchange), &query, &list, &err) != WEIR_OK)
        return answer_code(exchange, &err);
    weir__spool spool = weir__exchange_spool(exchange);
    weir__spool_add(&spool, "{\"executions\":");
    weir__spool_take(&spool, weir_execution_list_to_json(&list, NULL));
    weir__spool_printf(&spool, ",\"limit\":%lld,\"offset\":%lld,\"count\":%zu", (long long)query.limit,
                       (long long)query.offset, list.count);
    if (list.has_total)
        weir__spool_printf(&spool, ",\"total\":%llu", (unsigned long long)list.total);
    weir__spool_add(&spool, ",\"next_cursor\":");
    weir__spool_json_string(&spool, list.next_cursor);
    weir__spool_add(&spool, ",\"status\":200}");
    weir_execution_list_free(&list);
    return answer_spool(exchange, &spool);
}

// An execution's object with "start_time" added at its end.
static void add_active(weir__spool *spool, const weir_execution *execution)
{
    char time[WEIR_LOCAL_TEXT_SIZE];
    char *json = weir_execution_to_json(execution, NULL);
    if (json != NULL) {
        const size_t size = strlen(json);
        WEIR_ASSERT(size > 2);
        json[size - 1] = '\0'; // its closing brace
    }
    weir__spool_take(spool, json);
    weir_local_format(execution->started_at != 0 ? execution->started_at : execution->created_at, time);
    weir__spool_add(spool, ",\"start_time\":");
    weir__spool_json_string(spool, time);
    weir__spool_add(spool, "}");
}

weir__outcome weir__get_active(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_execution_list list;
    if (weir_runs_list_active(runs_of(exchange), &list, &err) != WEIR_OK)
        return answer_code(exchange, &err);
    weir__spool spool = weir__exchange_spool(exchange);
    weir__spool_add(&spool, "{\"active_executions\":[");
    for (size_t i = 0; i < list.count; i++) {
        weir__spool_add(&spool, i > 0 ? "," : "");
        add_active(&spool, &list.items[i]);
    }
    weir__spool_add(&spool, "],\"executions\":");
    weir__spool_take(&spool, weir_execution_list_to_json(&list, NULL));
    weir__spool_printf(&spool, ",\"count\":%zu,\"status\":200}", list.count);
    weir_execution_list_free(&list);
    return answer_spool(exchange, &spool);
}

weir__outcome weir__get_statistics(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_runs_statistics statistics;
    if (weir_runs_read_statistics(runs_of(exchange), &statistics, &err) != WEIR_OK)
        return answer_code(exchange, &err);
    weir__answer_json(exchange, MHD_HTTP_OK, weir_runs_statistics_to_json(&statistics));
    return WEIR__ANSWERED;
}

// ------------------------------------------------------------------------------------------------ start

// In memory only: the engine's thread must not wait for a disk here.
static void answer_started(weir__exchange *exchange, const weir_execution *execution)
{
    weir__text text = {0}, location = {0};
    const char *status =
        execution->status_text != NULL ? execution->status_text : weir_run_status_name(execution->status);
    char *json = weir_execution_to_json(execution, NULL);
    weir__text_add(&text, "{\"id\":");
    weir__text_json_string(&text, execution->id, strlen(execution->id));
    weir__text_add(&text, ",\"status\":");
    weir__text_json_string(&text, status, strlen(status));
    weir__text_add(&text, ",\"message\":\"Execution started successfully\",\"name\":");
    weir__text_json_string(&text, execution->name, strlen(execution->name));
    weir__text_add(&text, ",\"execution\":");
    weir__text_add(&text, json != NULL ? json : "null");
    weir__text_add(&text, "}");
    weir__answer_json(exchange, MHD_HTTP_CREATED, weir__text_take(&text));
    weir__text_printf(&location, "/api/executions/%s", execution->id);
    weir__answer_header(exchange, "Location", weir__text_string(&location));
    weir__text_free(&location);
    free(json);
}

// On the engine's thread, like the events below: so a run cannot end between these two lines and the list.
static void on_started(void *context, const weir_error *result, const weir_execution *execution)
{
    weir__exchange *exchange = context;
    weir__server *server = exchange->server;
    if (execution == NULL) {
        weir__answer_code(exchange, result);
        weir__exchange_finish(exchange);
        return;
    }
    if (!exchange->wait || weir_run_status_is_final(execution->status)) {
        answer_started(exchange, execution);
        weir__exchange_finish(exchange);
        return;
    }
    (void)snprintf(exchange->run_id, sizeof exchange->run_id, "%s", execution->id);
    pthread_mutex_lock(&server->lock);
    exchange->next_waiting = server->waiting;
    server->waiting = exchange;
    pthread_mutex_unlock(&server->lock);
}

typedef bool waiting_fn(const weir__exchange *exchange, const void *arg);

static bool is_any(const weir__exchange *exchange, const void *arg)
{
    (void)exchange;
    (void)arg;
    return true;
}

static bool waits_for(const weir__exchange *exchange, const void *id)
{
    return strcmp(exchange->run_id, id) == 0;
}

static bool is_gone(const weir__exchange *exchange, const void *arg)
{
    char byte;
    (void)arg;
    return recv(weir__peer_fd(exchange->peer), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

// Takes those who fit off the list.
static weir__exchange *take_waiting(weir__server *server, waiting_fn *fits, const void *arg)
{
    weir__exchange *taken = NULL;
    pthread_mutex_lock(&server->lock);
    for (weir__exchange **link = &server->waiting; *link != NULL;) {
        weir__exchange *exchange = *link;
        if (!fits(exchange, arg)) {
            link = &exchange->next_waiting;
            continue;
        }
        *link = exchange->next_waiting;
        exchange->next_waiting = taken;
        taken = exchange;
    }
    pthread_mutex_unlock(&server->lock);
    return taken;
}

void weir__runs_event(void *context, const weir_run_event *event)
{
    if (event->kind != WEIR_RUN_EVENT_ENDED)
        return;
    weir__exchange *exchange = take_waiting(context, waits_for, event->execution_id);
    while (exchange != NULL) {
        weir__exchange *next = exchange->next_waiting;
        answer_started(exchange, event->execution);
        weir__exchange_finish(exchange);
        exchange = next;
    }
}

static void release(weir__exchange *exchange, const char *why)
{
    while (exchange != NULL) {
        weir__exchange *next = exchange->next_waiting;
        weir__answer_error(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "%s; the run is %s", why,
                           exchange->run_id);
        weir__exchange_finish(exchange);
        exchange = next;
    }
}

void weir__runs_release_waiting(weir__server *server)
{
    release(take_waiting(server, is_any, NULL), "the server is stopping");
}

void weir__runs_release_gone(weir__server *server)
{
    release(take_waiting(server, is_gone, NULL), "the client closed its side and the run goes on");
}

weir__outcome weir__post_execution(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__run_order order;
    bool wait = false;
    const char *user = exchange->key != NULL ? exchange->key->name : "";
    if (weir__uri_param_bool(&exchange->uri, "wait", &wait, &err) != WEIR_OK ||
        weir__run_order_parse(weir__text_string(&exchange->body), exchange->body.size, user, &order, &err) !=
            WEIR_OK)
        return answer_code(exchange, &err);
    exchange->wait = wait || order.wait;
    // Once this is accepted the exchange may be answered, and gone, at any moment.
    const int code = weir_runs_start_async(runs_of(exchange), &order.request, on_started, exchange, &err);
    weir__run_order_free(&order);
    if (code == WEIR_OK)
        return WEIR__LATER;
    return answer_code(exchange, &err);
}

// --------------------------------------------------------------------------------------- cancel, delete

weir__outcome weir__cancel_execution(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir_runs_cancel(runs_of(exchange), path_id(exchange), &err) != WEIR_OK)
        return answer_missing(exchange, &err, "Execution not found or not running");
    weir__answer_json(exchange, MHD_HTTP_OK, strdup("{\"message\":\"Execution cancelled\",\"status\":200}"));
    return WEIR__ANSWERED;
}

weir__outcome weir__delete_execution(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_runs_removed removed;
    if (weir_runs_delete(runs_of(exchange), path_id(exchange), &removed, &err) != WEIR_OK)
        return answer_missing(exchange, &err, "Execution not found");
    weir__answer_json(exchange, MHD_HTTP_OK,
                      strdup("{\"message\":\"Execution deleted successfully\",\"status\":200}"));
    return WEIR__ANSWERED;
}
