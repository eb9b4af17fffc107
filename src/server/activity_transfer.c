// SPDX-License-Identifier: MIT
//
// Export and import over HTTP. An export goes through a spool, so that it is complete before its first byte is sent and
// neither the client's pace nor its size holds the database; an import is read from where the body was put.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/activity_api.h"
#include "server/http.h"

static int add_bytes(void *context, const void *bytes, size_t size, weir_error *err)
{
    weir__spool *const spool = context;
    weir__spool_append(spool, bytes, size);
    if (weir__spool_failed(spool))
        weir__error_copy(err, &spool->error);
    return spool->error.code;
}

// May this stand in a header as it is, without quotes?
static bool is_plain(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&+-.^_`|~")] ==
           '\0';
}

// The peer sends no type, and never quotes the name of the file; where that would not be a header, a form that is one.
static void name_file(weir__exchange *exchange, const char *bucket_id)
{
    weir__text name = {0}, value = {0};
    if (bucket_id == NULL)
        weir__text_add(&name, "aw-buckets-export.json");
    else
        weir__text_printf(&name, "aw-bucket-export_%s.json", bucket_id);
    if (is_plain(weir__text_string(&name)))
        weir__text_printf(&value, "attachment; filename=%s", weir__text_string(&name));
    else
        weir__http_disposition(&value, weir__text_string(&name));
    (void)MHD_del_response_header(exchange->response, "Content-Type", exchange->dialect->json_type);
    weir__answer_header(exchange, "Content-Disposition", weir__text_string(&value));
    weir__text_free(&name);
    weir__text_free(&value);
}

// `bucket_id` NULL: all. `name` is the bucket that the file is named after.
static weir__outcome export(weir__exchange *exchange, const char *bucket_id, const char *name)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__spool spool = weir__exchange_export_spool(exchange);
    if (weir_activity_export(exchange->server->activity, bucket_id, 0, add_bytes, &spool, &err) != WEIR_OK) {
        weir__spool_free(&spool);
        return weir__activity_refuse(exchange, &err);
    }
    weir__answer_spool(exchange, MHD_HTTP_OK, &spool);
    if (exchange->status == MHD_HTTP_OK)
        name_file(exchange, name);
    return WEIR__ANSWERED;
}

weir__outcome weir__activity_export_bucket(weir__exchange *exchange)
{
    const char *const id = weir__exchange_segment(exchange, WEIR__ACTIVITY_NAME_SEGMENT);
    return export(exchange, id, id);
}

typedef struct only_bucket {
    uint64_t count;
    char *id; // of the first
} only_bucket;

static int note_bucket(void *context, const weir_bucket *bucket, weir_error *err)
{
    only_bucket *const only = context;
    if (only->count++ == 0 && (only->id = strdup(bucket->id)) == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for a bucket's id");
    return WEIR_OK;
}

weir__outcome weir__activity_export_all(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    only_bucket only = {0};
    weir__outcome outcome = WEIR__ANSWERED;
    if (weir_activity_buckets(exchange->server->activity, note_bucket, &only, &err) != WEIR_OK)
        weir__answer_code(exchange, &err);
    else
        outcome = export(exchange, NULL, only.count == 1 ? only.id : NULL);
    free(only.id);
    return outcome;
}

// A server that stops does not wait for the end of an import: nothing of it is in the database then.
static bool go_on(void *context, const char *phase, uint64_t done, uint64_t total)
{
    const weir__server *const server = context;
    (void)phase;
    (void)done;
    (void)total;
    return !atomic_load(&server->stopping);
}

weir__outcome weir__activity_post_import(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_activity_input input;
    weir_activity_import_report report;
    if (weir__exchange_input(exchange, &input, &err) != WEIR_OK ||
        weir_activity_import(exchange->server->activity, &input, go_on, exchange->server, &report, &err) !=
            WEIR_OK)
        return weir__activity_refuse(exchange, &err);
    return weir__activity_done(exchange, MHD_HTTP_OK);
}
