// SPDX-License-Identifier: MIT
//
// The event thread's side of an exchange: what the HTTP library calls, from a connection's begin to its end.
//
//      request line     headers           body                    answer
//          |               |                |                        |
//       on_target -> on_request(1) -> on_request(2…) -> suspend -> worker -> resume -> on_request -> on_completed
//         NEW           guard         RECEIVING         WORKING                ANSWERED
//                         |                |
//                         |                +-- EVENT lane: the handler runs here, and answers at once or suspends
//                         |
//                         +-- refused: the body is thrown away, then the refusal is sent. A body over the limit
//                             is refused at once, and then drained (DRAINING): closing with unread bytes would
//                             reset the connection, and the client would not see the refusal.
#include "server/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    DRAIN_BYTES_MAX = 16 << 20,  // of a request that is refused, so that its client sees why
    BODY_MEMORY_BYTES = 1 << 20, // more of a body goes into a file
    // In all bodies together; beyond, all but small ones go into files: clients that send half of a body and wait
    // must not take the machine's memory.
    BODIES_MEMORY_BYTES = 64 << 20,
};

static weir__scratch_pool bodies = {.what = "large requests",
                                    .bytes_max = WEIR__SERVE_BODIES_BYTES_MAX,
                                    .free_bytes_min = WEIR__SCRATCH_FREE_BYTES_MIN};

static uint64_t now_ns(void)
{
    return weir__clock_now_ns(weir__clock_system());
}

void weir__on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                         enum MHD_ConnectionNotificationCode event)
{
    weir__server *server = cls;
    if (event == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*socket_context != NULL)
            weir__peers_remove(&server->peers, *socket_context);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *client =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *socket_context = weir__peers_add(&server->peers, fd->connect_fd, client->client_addr, now_ns());
    if (*socket_context == NULL)
        (void)shutdown(fd->connect_fd, SHUT_RDWR);
}

void *weir__on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    weir__server *server = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    weir__exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL || info == NULL || info->socket_context == NULL) {
        free(exchange);
        return NULL;
    }
    exchange->server = server;
    exchange->dialect = server->activity != NULL ? &weir__dialect_activity : &weir__dialect_runs;
    exchange->connection = connection;
    weir__scratch_init(&exchange->body_file, &bodies);
    weir__scratch_init(&exchange->spooled, &bodies);
    exchange->body_bytes_max = server->options.body_bytes_max;
    exchange->peer = info->socket_context;
    exchange->began_ns = now_ns();
    exchange->target = strlen(target) > server->options.url_bytes_max ? NULL : strdup(target);
    weir__peer_request_begins(&server->peers, exchange->peer, exchange->began_ns);
    pthread_mutex_lock(&server->lock);
    server->in_flight++;
    pthread_mutex_unlock(&server->lock);
    return exchange;
}

static enum MHD_Result send_answer(weir__exchange *exchange)
{
    weir__answer_make_kept(exchange);
    if (exchange->response == NULL)
        return MHD_NO;
    if (exchange->endless || atomic_load(&exchange->server->stopping))
        weir__answer_header(exchange, "Connection", "close");
    return MHD_queue_response(exchange->connection, exchange->status, exchange->response);
}

static weir__outcome run_at_once(weir__exchange *exchange)
{
    weir__server *server = exchange->server;
    weir__outcome outcome = WEIR__ANSWERED;
    pthread_mutex_lock(&server->event_gate);
    if (server->event_shut)
        weir__answer_error(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is stopping");
    else
        outcome = exchange->route->handler(exchange);
    pthread_mutex_unlock(&server->event_gate);
    return outcome;
}

static enum MHD_Result run_handler(weir__exchange *exchange)
{
    const weir__route *route = exchange->route;
    const bool at_once =
        route->lane == WEIR__LANE_EVENT && exchange->received_bytes <= WEIR__EVENT_BODY_BYTES_MAX;
    const weir__lane lane = route->lane == WEIR__LANE_EVENT ? WEIR__LANE_WRITE : route->lane;
    const weir__outcome outcome =
        at_once ? run_at_once(exchange) : weir__exchange_hand_over(exchange, lane, route->handler);
    if (outcome == WEIR__LATER) // and it may be gone already
        return MHD_YES;
    if (exchange->state != WEIR__EXCHANGE_WORKING)
        return send_answer(exchange);
    weir__exchange_finish(exchange);
    return MHD_YES;
}

// The request is complete.
static enum MHD_Result dispatch(weir__exchange *exchange)
{
    weir__server *server = exchange->server;
    weir__peer_request_has_come(&server->peers, exchange->peer);
    if (exchange->body.failed && exchange->response == NULL)
        weir__answer_error(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the request");
    if (exchange->response == NULL && atomic_load(&server->stopping) &&
        exchange->route->handler == weir__post_execution)
        weir__answer_error(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is stopping");
    if (exchange->response != NULL)
        return send_answer(exchange);
    return run_handler(exchange);
}

static void forget_body(weir__exchange *exchange)
{
    weir__text_free(&exchange->body);
    exchange->server->kept_bytes -= exchange->kept_bytes;
    exchange->kept_bytes = 0;
}

// The library cannot answer in the middle of a body, so this writes the refusal to the socket itself and
// drains.
static void refuse_body(weir__exchange *exchange)
{
    weir__text body = {0}, answer = {0};
    const char *type = exchange->dialect->write_error(exchange, exchange->status, &exchange->refusal, &body);
    weir__text_printf(&answer,
                      "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %zu\r\n",
                      exchange->status, MHD_get_reason_phrase_for(exchange->status), type, body.size);
    for (const weir__header *header = exchange->dialect->headers; header->name != NULL; header++)
        weir__text_printf(&answer, "%s: %s\r\n", header->name, header->value);
    if (exchange->cors_origin != NULL)
        weir__text_printf(&answer, "Access-Control-Allow-Origin: %s\r\n", exchange->cors_origin);
    weir__text_printf(&answer, "\r\n%s", weir__text_string(&body));
    if (!answer.failed)
        (void)send(weir__peer_fd(exchange->peer), answer.data, answer.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    exchange->state = WEIR__EXCHANGE_DRAINING;
    exchange->received_bytes = 0;
    weir__text_free(&answer);
    weir__text_free(&body);
    forget_body(exchange);
    weir__scratch_close(&exchange->body_file);
}

static enum MHD_Result begin(weir__exchange *exchange, const char *method)
{
    (void)snprintf(exchange->method, sizeof exchange->method, "%s", method);
    weir__guard(exchange);
    exchange->state = WEIR__EXCHANGE_RECEIVING;
    if (exchange->response == NULL)
        return MHD_YES;
    if (exchange->endless || exchange->headers.expect != NULL)
        return send_answer(exchange); // there is no body to drain; the library closes the connection
    if (exchange->status == MHD_HTTP_CONTENT_TOO_LARGE)
        refuse_body(exchange);
    return MHD_YES;
}

static void keep_in_memory(weir__exchange *exchange, const char *data, size_t size)
{
    weir__text_append(&exchange->body, data, size);
    exchange->server->kept_bytes += size;
    exchange->kept_bytes += size;
}

static bool fits_into_memory(const weir__exchange *exchange, size_t size)
{
    const size_t whole = exchange->body.size + size;
    if (exchange->dialect == &weir__dialect_runs)
        return true;
    return exchange->body_file.fd < 0 && whole <= BODY_MEMORY_BYTES &&
           (whole <= WEIR__EVENT_BODY_BYTES_MAX ||
            exchange->server->kept_bytes + size <= BODIES_MEMORY_BYTES);
}

// The activity dialect's bodies may be too large for memory.
static int write_body(weir__exchange *exchange, const char *data, size_t size, weir_error *err)
{
    weir__scratch *file = &exchange->body_file;
    weir__text *body = &exchange->body;
    const char *directory = exchange->server->activity_directory;
    const int code =
        body->size == 0 ? WEIR_OK : weir__scratch_write(file, directory, body->data, body->size, err);
    forget_body(exchange);
    return code == WEIR_OK ? weir__scratch_write(file, directory, data, size, err) : code;
}

static void keep(weir__exchange *exchange, const char *data, size_t size)
{
    weir_error err = WEIR_ERROR_INIT;
    if (exchange->response != NULL || exchange->bodiless)
        return;
    if (fits_into_memory(exchange, size))
        keep_in_memory(exchange, data, size);
    else if (write_body(exchange, data, size, &err) != WEIR_OK)
        weir__answer_code(exchange, &err);
}

static enum MHD_Result receive(weir__exchange *exchange, const char *data, size_t size)
{
    const uint64_t before = exchange->received_bytes;
    exchange->received_bytes += size;
    if (exchange->state == WEIR__EXCHANGE_DRAINING)
        return exchange->received_bytes > DRAIN_BYTES_MAX ? MHD_NO : MHD_YES;
    if (before / WEIR__SERVE_PROGRESS_BYTES != exchange->received_bytes / WEIR__SERVE_PROGRESS_BYTES)
        weir__peer_progress(&exchange->server->peers, exchange->peer, now_ns());
    keep(exchange, data, size);
    if (exchange->response != NULL ? exchange->received_bytes > DRAIN_BYTES_MAX
                                   : exchange->received_bytes > exchange->body_bytes_max) {
        if (exchange->response == NULL)
            weir__answer_error(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than %zu bytes",
                               exchange->body_bytes_max);
        refuse_body(exchange);
    }
    return MHD_YES;
}

enum MHD_Result weir__on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data, size_t *data_size,
                                 void **context)
{
    (void)cls;
    (void)connection;
    (void)url;
    (void)version;
    weir__exchange *exchange = *context;
    if (exchange == NULL)
        return MHD_NO;
    if (exchange->state == WEIR__EXCHANGE_NEW)
        return begin(exchange, method);
    if (exchange->state == WEIR__EXCHANGE_ANSWERED)
        return send_answer(exchange);
    if (*data_size > 0) {
        const size_t size = *data_size;
        *data_size = 0;
        return receive(exchange, data, size);
    }
    return exchange->state == WEIR__EXCHANGE_DRAINING ? MHD_NO : dispatch(exchange);
}

static void log_access(const weir__exchange *exchange, enum MHD_RequestTerminationCode why)
{
    const weir__access_entry entry = {
        .address = weir__peer_address(exchange->peer),
        .method = exchange->method[0] != '\0' ? exchange->method : "-",
        .target = exchange->target != NULL ? exchange->target : "(too long)",
        .user = exchange->key != NULL ? exchange->key->name : "",
        .status = exchange->status,
        .ms = (double)(now_ns() - exchange->began_ns) / 1e6,
        .complete = why == MHD_REQUEST_TERMINATED_COMPLETED_OK,
    };
    weir__access_write(&exchange->server->access, STDERR_FILENO, &entry);
}

void weir__on_completed(void *cls, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode why)
{
    weir__server *server = cls;
    weir__exchange *exchange = *context;
    (void)connection;
    *context = NULL;
    if (exchange == NULL)
        return;
    if (server->options.access_log)
        log_access(exchange, why);
    weir__peer_answered(&server->peers, exchange->peer, now_ns());
    if (exchange->response != NULL)
        MHD_destroy_response(exchange->response);
    weir__scratch_close(&exchange->spooled);
    weir__scratch_close(&exchange->body_file);
    weir__uri_free(&exchange->uri);
    forget_body(exchange);
    weir__text_free(&exchange->refusal);
    free(exchange->kept_json);
    free(exchange->target);
    free(exchange);
    pthread_mutex_lock(&server->lock);
    if (--server->in_flight == 0)
        pthread_cond_broadcast(&server->idle);
    pthread_mutex_unlock(&server->lock);
}

size_t weir__keep_encoded(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strlen(text);
}
