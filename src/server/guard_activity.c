// SPDX-License-Identifier: MIT
//
// The checks of the activity dialect. In order: Origin, Host, API key, route, Content-Type, size. A wrong method is a
// path that does not exist (404), a body of another type likewise; OPTIONS is answered for every path.
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "server/activity_multipart.h"
#include "server/core.h"
#include "server/http.h"

// A page that may not use the API is refused, whatever it asks for. Pages of our own, by whatever name this server is
// reached, are at home.
static bool check_origin(weir__exchange *exchange)
{
    char name[WEIR__HTTP_HOST_SIZE];
    const weir__headers *headers = &exchange->headers;
    const char *origin = headers->origin;
    if (origin == NULL)
        return true;
    weir__cors_verdict verdict = weir__cors_check(exchange->server->cors, origin);
    if (verdict == WEIR__CORS_REFUSED && headers->host != NULL &&
        weir__http_origin_is_own(origin, headers->host) && weir__http_host(headers->host, name) &&
        weir__host_is_ours(exchange, name))
        verdict = WEIR__CORS_ALLOWED;
    if (verdict == WEIR__CORS_ALLOWED) {
        exchange->cors_origin = origin;
        return true;
    }
    if (verdict == WEIR__CORS_MALFORMED)
        weir__answer_error(exchange, MHD_HTTP_BAD_REQUEST, "the Origin '%s' is none", origin);
    else
        weir__answer_error(exchange, MHD_HTTP_FORBIDDEN,
                           "the Origin '%s' may not use this server; if it should, start it with --cors",
                           origin);
    return false;
}

// Only where the server cannot be reached from other machines: there a name from outside means that somebody's page
// has had its name rebound to this machine.
static bool check_host(weir__exchange *exchange)
{
    char name[WEIR__HTTP_HOST_SIZE];
    const weir__headers *headers = &exchange->headers;
    if (!weir__address_is_loopback(&exchange->server->address))
        return true;
    if (headers->hosts == 1 && weir__http_host(headers->host, name) && weir__host_is_ours(exchange, name))
        return true;
    weir__answer_error(exchange, MHD_HTTP_BAD_REQUEST, "Host header is invalid");
    return false;
}

static bool path_is(const weir__uri *uri, size_t index, const char *segment)
{
    return index < uri->segments_count && strcmp(uri->segments[index], segment) == 0;
}

// Static files are open, and so is what tells clients whom they talk to.
static bool is_open(const weir__exchange *exchange)
{
    const weir__uri *uri = &exchange->uri;
    return !path_is(uri, 0, "api") || strcmp(exchange->method, "OPTIONS") == 0 ||
           (uri->segments_count == 3 && path_is(uri, 1, "0") && path_is(uri, 2, "info"));
}

static const weir__key *find_key(const weir__server *server, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    if (authorization == NULL || strncmp(authorization, scheme, sizeof scheme - 1) != 0)
        return NULL;
    const char *given = authorization + sizeof scheme - 1;
    if (server->activity_key.key != NULL && weir__http_equal_secret(given, server->activity_key.key))
        return &server->activity_key;
    return weir__keys_find(&server->keys, given);
}

static bool check_key(weir__exchange *exchange)
{
    const weir__server *server = exchange->server;
    if ((server->activity_key.key == NULL && server->keys.count == 0) || is_open(exchange))
        return true;
    exchange->key = find_key(server, exchange->headers.authorization);
    if (exchange->key != NULL)
        return true;
    weir__answer_error(exchange, MHD_HTTP_UNAUTHORIZED,
                       "Missing or invalid API key. Set 'Authorization: Bearer <key>' header.");
    return false;
}

static const weir__route page = {"GET", "*", weir__get_page, WEIR__ROLE_NONE, WEIR__LANE_READ};

static bool check_route(weir__exchange *exchange)
{
    exchange->route = weir__route_match(weir__activity_routes, weir__activity_routes_count, exchange->method,
                                        &exchange->uri);
    if (exchange->route == NULL && !path_is(&exchange->uri, 0, "api") &&
        (strcmp(exchange->method, "GET") == 0 || strcmp(exchange->method, "HEAD") == 0))
        exchange->route = &page;
    if (exchange->route == NULL) {
        weir__answer_error(exchange, MHD_HTTP_NOT_FOUND, "there is nothing at this path for this method");
        return false;
    }
    if (exchange->uri.unclean && exchange->route != &page) {
        weir__answer_error(exchange, MHD_HTTP_UNPROCESSABLE_CONTENT,
                           "the path is not UTF-8 once it is decoded, or has a NUL in it");
        return false;
    }
    return true;
}

// The key file's roles hold here, too; the activity's own key may do everything.
static bool check_role(weir__exchange *exchange)
{
    if (exchange->key == NULL || exchange->key->role >= exchange->route->role)
        return true;
    weir__answer_error(exchange, MHD_HTTP_FORBIDDEN, "this takes the role %s, the key has %s",
                       weir__role_name(exchange->route->role), weir__role_name(exchange->key->role));
    return false;
}

static bool is_json(const char *type)
{
    static const char wanted[] = "application/json";
    const size_t size = sizeof wanted - 1;
    return strncasecmp(type, wanted, size) == 0 && strchr("; \t", type[size]) != NULL; // or its end
}

static bool check_media(weir__exchange *exchange)
{
    const char *type = exchange->headers.content_type;
    if (type != NULL && is_json(type))
        exchange->media = WEIR__MEDIA_JSON;
    else if (weir__multipart_is(type))
        exchange->media = WEIR__MEDIA_FORM;
    exchange->bodiless = strcmp(exchange->route->method, "POST") != 0;
    if (exchange->bodiless || exchange->media == WEIR__MEDIA_JSON ||
        (exchange->media == WEIR__MEDIA_FORM && strcmp(exchange->route->path, "api/0/import") == 0))
        return true;
    weir__answer_error(exchange, MHD_HTTP_NOT_FOUND,
                       "a POST to this path needs Content-Type: application/json");
    return false;
}

// The question of a browser before it sends what a page asked for.
static void answer_preflight(weir__exchange *exchange)
{
    static const char *const methods[] = {"GET", "POST", "DELETE"};
    const char *method = weir__exchange_header(exchange, "Access-Control-Request-Method");
    const char *headers = weir__exchange_header(exchange, "Access-Control-Request-Headers");
    bool known = false;
    for (size_t i = 0; method != NULL && i < sizeof methods / sizeof *methods; i++)
        known = known || strcmp(method, methods[i]) == 0;
    if (known) {
        weir__answer_empty(exchange, MHD_HTTP_OK);
        weir__answer_header(exchange, "Access-Control-Allow-Methods", "GET, POST, DELETE");
        if (headers != NULL)
            weir__answer_header(exchange, "Access-Control-Allow-Headers", headers);
        return;
    }
    exchange->cors_origin = NULL;
    if (method == NULL)
        weir__answer_error(exchange, MHD_HTTP_BAD_REQUEST, "a preflight needs Access-Control-Request-Method");
    else
        weir__answer_error(exchange, MHD_HTTP_FORBIDDEN, "pages of other origins may not use %s", method);
}

// True when that was the request.
static bool answer_options(weir__exchange *exchange)
{
    if (strcmp(exchange->method, "OPTIONS") != 0)
        return false;
    if (exchange->headers.origin != NULL)
        answer_preflight(exchange);
    else
        weir__answer_empty(exchange, MHD_HTTP_OK);
    return true;
}

void weir__guard_activity(weir__exchange *exchange)
{
    (void)(check_origin(exchange) && check_host(exchange) && !answer_options(exchange) &&
           check_key(exchange) && check_route(exchange) && check_role(exchange) && check_media(exchange) &&
           weir__guard_size(exchange, exchange->server->options.activity_body_bytes_max));
}
