// SPDX-License-Identifier: MIT
//
// The two dialects and the choice between them.
//
//   path (decoded)          runs and activity   activity alone   runs alone
//   /api/0/…                activity            activity         runs
//   /api/health, /api/store runs                runs             runs
//   /api/…, /storage/…      runs                activity         runs
//   everything else         activity            activity         runs
//
// So an activity server answers in its own dialect wherever its clients could look, and its paths are decided on
// what they mean, not on how they are written: /%61pi/0/buckets and //api/0/buckets/ are /api/0/buckets. Paths of the
// runs dialect are then taken strictly, as they always were.
#include <string.h>

#include "server/core.h"

// ------------------------------------------------------------------------------------------------- runs

static unsigned status_for_runs(int code)
{
    switch (code) {
    case WEIR_OK:
        return MHD_HTTP_OK;
    case WEIR_INVALID:
        return MHD_HTTP_BAD_REQUEST;
    case WEIR_NOTFOUND:
        return MHD_HTTP_NOT_FOUND;
    case WEIR_STATE:
    case WEIR_EXISTS:
        return MHD_HTTP_CONFLICT;
    case WEIR_TOOBIG:
        return MHD_HTTP_CONTENT_TOO_LARGE;
    case WEIR_BUSY:
    case WEIR_EXPIRED:
    case WEIR_FULL:
    case WEIR_CLOSED:
    case WEIR_FENCED:
    case WEIR_CANCELLED:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    case WEIR_DENIED: // the store is read-only
        return MHD_HTTP_FORBIDDEN;
    case WEIR_UNSUPPORTED:
        return MHD_HTTP_NOT_IMPLEMENTED;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

// Programs get JSON: everything below /api. Elsewhere a line of text, as StepFlow Monitor's pages do.
static bool wants_json(const weir__exchange *exchange)
{
    return exchange->target == NULL || strncmp(exchange->target, "/api", 4) == 0;
}

static const char *write_runs_error(const weir__exchange *exchange, unsigned status,
                                    const weir__text *sentence, weir__text *body)
{
    if (!wants_json(exchange)) {
        weir__text_printf(body, "%u: %s", status, weir__text_string(sentence));
        return "text/plain; charset=utf-8";
    }
    weir__text_add(body, "{\"error\":");
    weir__text_json_string(body, weir__text_string(sentence), sentence->size);
    weir__text_printf(body, ",\"status\":%u}", status);
    return "application/json; charset=utf-8";
}

// They keep browsers from doing harm.
static const weir__header runs_headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-store"},
    {NULL, NULL},
};

const weir__dialect weir__dialect_runs = {
    .guard = weir__guard_runs,
    .write_error = write_runs_error,
    .status_of_code = status_for_runs,
    .json_type = "application/json; charset=utf-8",
    .headers = runs_headers,
};

// --------------------------------------------------------------------------------------------- activity

static unsigned status_for_activity(int code)
{
    switch (code) {
    case WEIR_EXISTS: // clients take exactly this for "there is such a bucket already"
        return MHD_HTTP_NOT_MODIFIED;
    case WEIR_MISMATCH:
        return MHD_HTTP_UNPROCESSABLE_CONTENT;
    case WEIR_CONSTRAINT:
        return MHD_HTTP_CONFLICT;
    default:
        return status_for_runs(code);
    }
}

static const char *write_activity_error(const weir__exchange *exchange, unsigned status,
                                        const weir__text *sentence, weir__text *body)
{
    (void)exchange;
    (void)status;
    weir__text_add(body, "{\"message\":");
    weir__text_json_string(body, weir__text_string(sentence), sentence->size);
    weir__text_char(body, '}');
    return "application/json";
}

// Those that clients of ActivityWatch's server see there.
static const weir__header activity_headers[] = {
    {"Server", "Rocket"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "SAMEORIGIN"},
    {"Permissions-Policy", "interest-cohort=()"},
    {NULL, NULL},
};

const weir__dialect weir__dialect_activity = {
    .guard = weir__guard_activity,
    .write_error = write_activity_error,
    .status_of_code = status_for_activity,
    .json_type = "application/json",
    .headers = activity_headers,
};

// ----------------------------------------------------------------------------------------------- choice

static bool begins_with(const weir__uri *uri, const char *first, const char *second)
{
    return uri->segments_count > 0 && strcmp(uri->segments[0], first) == 0 &&
           (second == NULL || (uri->segments_count > 1 && strcmp(uri->segments[1], second) == 0));
}

static bool is_for_activity(const weir__server *server, const weir__uri *uri)
{
    if (begins_with(uri, "api", "0"))
        return true;
    if (begins_with(uri, "api", "health") || begins_with(uri, "api", "store"))
        return false;
    return server->runs == NULL || !(begins_with(uri, "api", NULL) || begins_with(uri, "storage", NULL));
}

int weir__dialect_choose(weir__exchange *exchange, weir_error *err)
{
    const weir__server *server = exchange->server;
    if (server->activity != NULL) {
        const int code = weir__uri_parse_lenient(exchange->target, &exchange->uri, err);
        if (code != WEIR_OK || is_for_activity(server, &exchange->uri))
            return code;
        weir__uri_free(&exchange->uri);
    }
    exchange->dialect = &weir__dialect_runs;
    return weir__uri_parse(exchange->target, &exchange->uri, err);
}
