// SPDX-License-Identifier: MIT
//
// Who may ask what: the checks on a request's line and headers, before its body is read. Form comes first and is
// the same for all; then the dialect's own checks. Here those of runs: Host, route, Origin, API key, size.
//
// Why Host and Origin on a server that listens on loopback: a page from anywhere can make its visitor's
// browser send requests to localhost. A name that is rebound to 127.0.0.1 shows in Host; a request that
// another page sends shows in Origin (or Sec-Fetch-Site). Programs send neither, and are checked by key where
// keys are configured.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "server/core.h"
#include "server/http.h"

static bool listed(const weir__strings *strings, const char *text)
{
    for (size_t i = 0; i < strings->count; i++)
        if (strcasecmp(strings->items[i], text) == 0)
            return true;
    return false;
}

bool weir__host_is_ours(const weir__exchange *exchange, const char *name)
{
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    char address[WEIR__ADDRESS_SIZE];
    if (weir__http_host_is_loopback(name) || listed(&exchange->server->options.allow_hosts, name))
        return true;
    if (getsockname(weir__peer_fd(exchange->peer), (struct sockaddr *)&local, &size) != 0)
        return false;
    weir__address_host((const struct sockaddr *)&local, address);
    return strcmp(address, name) == 0;
}

// Keeps what somebody here asks for.
static void keep_header(weir__headers *headers, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **value;
        unsigned *count; // NULL: the first one is taken
    } known[] = {
        {"Host", &headers->host, &headers->hosts},
        {"Content-Length", &headers->content_length, &headers->content_lengths},
        {"Content-Type", &headers->content_type, NULL},
        {"Transfer-Encoding", &headers->transfer_encoding, &headers->transfer_encodings},
        {"Origin", &headers->origin, NULL},
        {"Authorization", &headers->authorization, NULL},
        {"Expect", &headers->expect, NULL},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcasecmp(name, known[i].name) != 0)
            continue;
        if (*known[i].value == NULL)
            *known[i].value = value;
        if (known[i].count != NULL)
            ++*known[i].count;
    }
}

static enum MHD_Result read_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    weir__headers *headers = context;
    (void)kind;
    headers->malformed = !weir__http_header_ok(name, value == NULL ? "" : value);
    keep_header(headers, name, value == NULL ? "" : value);
    return headers->malformed ? MHD_NO : MHD_YES;
}

// Is it beyond doubt where the body ends? A proxy in front must not see another end than we do.
static bool body_has_one_end(const weir__headers *headers)
{
    return headers->content_lengths + headers->transfer_encodings <= 1 &&
           (headers->transfer_encoding == NULL || strcasecmp(headers->transfer_encoding, "chunked") == 0);
}

// Refuses what cannot be told from the next request: the connection ends with the answer.
static bool refuse_form(weir__exchange *exchange, const char *sentence)
{
    weir__answer_error(exchange, MHD_HTTP_BAD_REQUEST, "%s", sentence);
    exchange->endless = true;
    return false;
}

// The headers come first: where it is in doubt where a body ends, nothing may be read behind it, whatever the URL.
static bool check_form(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    const int code = exchange->target == NULL ? WEIR_OK : weir__dialect_choose(exchange, &err);
    (void)MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, read_header, &exchange->headers);
    if (exchange->headers.malformed)
        return refuse_form(
            exchange, "a header has blanks in its name, a control character, or goes on in a second line");
    if (!body_has_one_end(&exchange->headers))
        return refuse_form(exchange,
                           "a body has one Content-Length, or Transfer-Encoding: chunked, and not both");
    if (exchange->target == NULL)
        weir__answer_error(exchange, MHD_HTTP_URI_TOO_LONG, "the URL is longer than %zu bytes",
                           exchange->server->options.url_bytes_max);
    else if (code != WEIR_OK)
        weir__answer_code(exchange, &err);
    return exchange->response == NULL;
}

static bool check_host(weir__exchange *exchange)
{
    char name[WEIR__HTTP_HOST_SIZE];
    const weir__headers *headers = &exchange->headers;
    if (headers->hosts != 1 || !weir__http_host(headers->host, name)) {
        weir__answer_error(exchange, MHD_HTTP_BAD_REQUEST, "the request needs one well-formed Host header");
        return false;
    }
    if (!weir__host_is_ours(exchange, name)) {
        weir__answer_error(exchange, MHD_HTTP_FORBIDDEN,
                           "the Host '%s' is not one of this server's names; if it should be, start it with "
                           "--allow-host %s",
                           name, name);
        return false;
    }
    return true;
}

static bool check_route(weir__exchange *exchange)
{
    char allow[WEIR__ALLOW_SIZE];
    exchange->route = weir__route_find(
        weir__routes, exchange->server->runs != NULL ? weir__routes_count : weir__routes_common_count,
        exchange->method, &exchange->uri, allow);
    if (exchange->route != NULL)
        return true;
    if (allow[0] == '\0') {
        weir__answer_error(exchange, MHD_HTTP_NOT_FOUND, "Not Found");
        return false;
    }
    weir__answer_error(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed");
    weir__answer_header(exchange, "Allow", allow);
    return false;
}

static bool check_origin(weir__exchange *exchange)
{
    if (strcmp(exchange->route->method, "GET") == 0)
        return true;
    const char *origin = exchange->headers.origin;
    const char *site = weir__exchange_header(exchange, "Sec-Fetch-Site");
    if (origin != NULL) {
        if (weir__http_origin_is_own(origin, exchange->headers.host) ||
            listed(&exchange->server->options.allow_origins, origin))
            return true;
        weir__answer_error(
            exchange, MHD_HTTP_FORBIDDEN,
            "the Origin '%s' may not change anything here; if it should, start the server with "
            "--allow-origin",
            origin);
        return false;
    }
    if (site == NULL || strcasecmp(site, "same-origin") == 0 || strcasecmp(site, "none") == 0)
        return true;
    weir__answer_error(exchange, MHD_HTTP_FORBIDDEN, "a page of another site may not change anything here");
    return false;
}

static const char *given_key(const weir__exchange *exchange)
{
    static const char scheme[] = "Bearer ";
    const char *key = weir__exchange_header(exchange, "x-api-key");
    if (key != NULL)
        return key;
    const char *authorization = exchange->headers.authorization;
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return NULL;
    return authorization + sizeof scheme - 1;
}

// Who asks. The activity's key opens what nobody else guards: everything, where there are no other keys.
static const weir__key *find_key(const weir__server *server, const char *given)
{
    if (server->keys.count == 0)
        return weir__http_equal_secret(given, server->activity_key.key) ? &server->activity_key : NULL;
    return weir__keys_find(&server->keys, given);
}

static bool check_key(weir__exchange *exchange)
{
    const weir__server *server = exchange->server;
    if (server->keys.count == 0 && server->activity_key.key == NULL)
        return true;
    const char *given = given_key(exchange);
    exchange->key = given == NULL ? NULL : find_key(server, given);
    if (exchange->key == NULL) {
        weir__answer_error(exchange, MHD_HTTP_UNAUTHORIZED,
                           given == NULL ? "an API key is needed: send it as x-api-key"
                                         : "this API key is not known");
        weir__answer_header(exchange, "WWW-Authenticate", "Bearer realm=\"weir\"");
        return false;
    }
    if (exchange->key->role < exchange->route->role) {
        weir__answer_error(exchange, MHD_HTTP_FORBIDDEN, "this takes the role %s, the key has %s",
                           weir__role_name(exchange->route->role), weir__role_name(exchange->key->role));
        return false;
    }
    return true;
}

bool weir__guard_size(weir__exchange *exchange, size_t bytes_max)
{
    const char *length = exchange->headers.content_length;
    exchange->body_bytes_max = bytes_max;
    if (length == NULL)
        return true;
    errno = 0;
    const unsigned long long size = strtoull(length, NULL, 10);
    if (errno == 0 && size <= bytes_max)
        return true;
    weir__answer_error(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than %zu bytes", bytes_max);
    return false;
}

void weir__guard_runs(weir__exchange *exchange)
{
    (void)(check_host(exchange) && check_route(exchange) && check_origin(exchange) && check_key(exchange) &&
           weir__guard_size(exchange, exchange->server->options.body_bytes_max));
}

void weir__guard(weir__exchange *exchange)
{
    if (check_form(exchange))
        exchange->dialect->guard(exchange);
}
