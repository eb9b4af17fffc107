// SPDX-License-Identifier: MIT
//
// Settings over HTTP, and the query language that does not exist yet.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/activity_api.h"

// The setting's name, or NULL when it is too long, which is answered then in the words that clients know.
static const char *setting_name(weir__exchange *exchange)
{
    const char *const name = weir__exchange_segment(exchange, WEIR__ACTIVITY_NAME_SEGMENT);
    if (strlen(name) < WEIR_ACTIVITY_SETTING_NAME_SIZE)
        return name;
    weir__answer_error(exchange, MHD_HTTP_BAD_REQUEST, "Too long key");
    return NULL;
}

weir__outcome weir__activity_get_settings(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    char *json = NULL;
    if (weir_activity_settings(exchange->server->activity, &json, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    weir__answer_json(exchange, MHD_HTTP_OK, json);
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_get_setting(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    char *json = NULL;
    const char *const name = setting_name(exchange);
    if (name == NULL)
        return WEIR__ANSWERED;
    if (weir_activity_setting_get(exchange->server->activity, name, &json, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    weir__answer_json(exchange, MHD_HTTP_OK, json != NULL ? json : strdup("null"));
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_post_setting(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    const char *body = NULL;
    char *owned = NULL;
    size_t size = 0;
    const char *const name = setting_name(exchange);
    if (name == NULL)
        return WEIR__ANSWERED;
    int code = weir__activity_body(exchange, WEIR_ACTIVITY_DATA_BYTES_MAX, &body, &size, &owned, &err);
    if (code == WEIR_OK)
        code = weir_activity_setting_set(exchange->server->activity, name, body, size, &err);
    free(owned);
    return code == WEIR_OK ? weir__activity_done(exchange, MHD_HTTP_CREATED)
                           : weir__activity_refuse(exchange, &err);
}

weir__outcome weir__activity_delete_setting(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    const char *const name = setting_name(exchange);
    if (name == NULL)
        return WEIR__ANSWERED;
    if (weir_activity_setting_delete(exchange->server->activity, name, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    return weir__activity_done(exchange, MHD_HTTP_OK);
}

weir__outcome weir__activity_post_query(weir__exchange *exchange)
{
    weir__answer_error(
        exchange, MHD_HTTP_NOT_IMPLEMENTED,
        "this server has no query language yet: read the events of a bucket and put them together "
        "in the client");
    return WEIR__ANSWERED;
}
