// SPDX-License-Identifier: MIT
//
// Buckets over HTTP: list, look at, create, delete.
#include <stdlib.h>

#include "base/error.h"
#include "server/activity_api.h"

static const char *bucket_id(const weir__exchange *exchange)
{
    return weir__exchange_segment(exchange, WEIR__ACTIVITY_NAME_SEGMENT);
}

typedef struct bucket_map {
    weir__spool spool;
    bool any;
} bucket_map;

static int add_bucket(void *context, const weir_bucket *bucket, weir_error *err)
{
    bucket_map *const map = context;
    weir__spool_add(&map->spool, map->any ? "," : "{");
    weir__spool_json_string(&map->spool, bucket->id);
    weir__spool_add(&map->spool, ":");
    weir__spool_take(&map->spool, weir_bucket_json(bucket));
    map->any = true;
    if (weir__spool_failed(&map->spool))
        weir__error_copy(err, &map->spool.error);
    return map->spool.error.code;
}

weir__outcome weir__activity_get_buckets(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    bucket_map map = {.spool = weir__exchange_spool(exchange)};
    if (weir_activity_buckets(exchange->server->activity, add_bucket, &map, &err) != WEIR_OK) {
        weir__spool_free(&map.spool);
        return weir__activity_refuse(exchange, &err);
    }
    weir__spool_add(&map.spool, map.any ? "}" : "{}");
    weir__answer_spool(exchange, MHD_HTTP_OK, &map.spool);
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_get_bucket(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_bucket *bucket = NULL;
    if (weir_activity_bucket_get(exchange->server->activity, bucket_id(exchange), &bucket, &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    weir__answer_json(exchange, MHD_HTTP_OK, weir_bucket_json(bucket));
    free(bucket);
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_post_bucket(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_activity_input input;
    const weir__server *const server = exchange->server;
    if (weir__exchange_input(exchange, &input, &err) != WEIR_OK ||
        weir_activity_bucket_create_json(server->activity, bucket_id(exchange), &input, &server->local,
                                         &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    return weir__activity_done(exchange, MHD_HTTP_OK);
}

weir__outcome weir__activity_delete_bucket(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir_activity_bucket_delete(exchange->server->activity, bucket_id(exchange), &err) != WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    return weir__activity_done(exchange, MHD_HTTP_OK);
}
