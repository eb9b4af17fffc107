// SPDX-License-Identifier: MIT
//
// Who may ask what: the checks on a request's line and headers, before its body is read. In order: form,
// Host, route, Origin, API key, size.
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

static bool host_is_ours(const weir__exchange *exchange, const char *name)
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

typedef struct header_count {
    const char *name;
    unsigned count;
} header_count;

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    header_count *counted = context;
    (void)kind;
    (void)value;
    if (strcasecmp(name, counted->name) == 0)
        counted->count++;
    return MHD_YES;
}

static unsigned headers_named(const weir__exchange *exchange, const char *name)
{
    header_count counted = {.name = name};
    (void)MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, count_header, &counted);
    return counted.count;
}

static enum MHD_Result check_header(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    bool *well_formed = context;
    (void)kind;
    *well_formed = weir__http_header_ok(name, value == NULL ? "" : value);
    return *well_formed ? MHD_YES : MHD_NO;
}

static bool headers_are_well_formed(const weir__exchange *exchange)
{
    bool well_formed = true;
    (void)MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, check_header, &well_formed);
    return well_formed;
}

// Is it beyond doubt where the body ends? A proxy in front must not see another end than we do.
static bool body_has_one_end(const weir__exchange *exchange)
{
    const unsigned lengths = headers_named(exchange, "Content-Length");
    const unsigned codings = headers_named(exchange, "Transfer-Encoding");
    const char *coding = weir__exchange_header(exchange, "Transfer-Encoding");
    return lengths + codings <= 1 && (coding == NULL || strcasecmp(coding, "chunked") == 0);
}

static bool check_form(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    if (exchange->target == NULL) {
        weir__answer_error(exchange, MHD_HTTP_URI_TOO_LONG, "the URL is longer than %zu bytes",
                           exchange->server->options.url_bytes_max);
        return false;
    }
    if (weir__uri_parse(exchange->target, &exchange->uri, &err) != WEIR_OK) {
        weir__answer_code(exchange, &err);
        return false;
    }
    if (!headers_are_well_formed(exchange)) {
        weir__answer_error(
            exchange, MHD_HTTP_BAD_REQUEST,
            "a header has blanks in its name, a control character, or goes on in a second line");
        exchange->endless = true;
        return false;
    }
    if (!body_has_one_end(exchange)) {
        weir__answer_error(exchange, MHD_HTTP_BAD_REQUEST,
                           "a body has one Content-Length, or Transfer-Encoding: chunked, and not both");
        exchange->endless = true;
        return false;
    }
    return true;
}

static bool check_host(weir__exchange *exchange)
{
    char name[WEIR__HTTP_HOST_SIZE];
    const char *host = weir__exchange_header(exchange, "Host");
    if (headers_named(exchange, "Host") != 1 || host == NULL || !weir__http_host(host, name)) {
        weir__answer_error(exchange, MHD_HTTP_BAD_REQUEST, "the request needs one well-formed Host header");
        return false;
    }
    if (!host_is_ours(exchange, name)) {
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
    exchange->route =
        weir__route_find(weir__routes, weir__routes_count, exchange->method, &exchange->uri, allow);
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
    const char *origin = weir__exchange_header(exchange, "Origin");
    const char *site = weir__exchange_header(exchange, "Sec-Fetch-Site");
    const char *host = weir__exchange_header(exchange, "Host");
    if (origin != NULL) {
        if (weir__http_origin_is_own(origin, host) ||
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
    const char *authorization = weir__exchange_header(exchange, "Authorization");
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return NULL;
    return authorization + sizeof scheme - 1;
}

static bool check_key(weir__exchange *exchange)
{
    const weir__keys *keys = &exchange->server->keys;
    if (keys->count == 0)
        return true;
    const char *given = given_key(exchange);
    exchange->key = given == NULL ? NULL : weir__keys_find(keys, given);
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

static bool check_size(weir__exchange *exchange)
{
    const char *length = weir__exchange_header(exchange, "Content-Length");
    const size_t bytes_max = exchange->server->options.body_bytes_max;
    if (length == NULL)
        return true;
    errno = 0;
    const unsigned long long size = strtoull(length, NULL, 10);
    if (errno == 0 && size <= bytes_max)
        return true;
    weir__answer_error(exchange, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than %zu bytes", bytes_max);
    return false;
}

void weir__guard(weir__exchange *exchange)
{
    (void)(check_form(exchange) && check_host(exchange) && check_route(exchange) && check_origin(exchange) &&
           check_key(exchange) && check_size(exchange));
}
