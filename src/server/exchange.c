// SPDX-License-Identifier: MIT
//
// Answers: JSON, errors, files. Each sets the exchange's status and response; nothing here sends. The headers
// that keep browsers from doing harm are added to every answer in one place, install().
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/log.h"
#include "server/activity_multipart.h"
#include "server/core.h"
#include "server/http.h"

const char *weir__exchange_header(const weir__exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

void weir__answer_header(weir__exchange *exchange, const char *name, const char *value)
{
    if (exchange->response != NULL)
        (void)MHD_add_response_header(exchange->response, name, value);
}

// Makes `response` the answer, instead of an earlier one. NULL: an empty 500, which needs next to no memory.
static void install(weir__exchange *exchange, unsigned status, struct MHD_Response *response,
                    const char *type)
{
    static char nothing[] = "";
    if (exchange->response != NULL)
        MHD_destroy_response(exchange->response);
    weir__scratch_close(&exchange->spooled);
    if (response == NULL) {
        status = MHD_HTTP_INTERNAL_SERVER_ERROR;
        response = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    }
    exchange->status = status;
    exchange->response = response;
    if (type != NULL)
        weir__answer_header(exchange, "Content-Type", type);
    for (const weir__header *header = exchange->dialect->headers; header->name != NULL; header++)
        weir__answer_header(exchange, header->name, header->value);
    if (exchange->cors_origin != NULL)
        weir__answer_header(exchange, "Access-Control-Allow-Origin", exchange->cors_origin);
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        weir__answer_header(exchange, "Retry-After", "1");
}

// Takes the text's memory.
static void install_text(weir__exchange *exchange, unsigned status, weir__text *text, const char *type)
{
    const size_t size = text->size;
    char *data = weir__text_take(text);
    struct MHD_Response *response = NULL;
    if (data != NULL)
        response = MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        free(data);
    install(exchange, status, response, type);
}

void weir__answer_spool(weir__exchange *exchange, unsigned status, weir__spool *spool)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir__spool_end(spool, &err) != WEIR_OK) {
        weir__answer_code(exchange, &err);
    } else if (spool->file.fd < 0) {
        install_text(exchange, status, &spool->text, exchange->dialect->json_type);
    } else {
        weir__scratch file = weir__spool_take_file(spool);
        struct MHD_Response *response = MHD_create_response_from_fd64(file.bytes, file.fd);
        if (response == NULL)
            (void)close(file.fd);
        file.fd = -1; // the response's
        install(exchange, status, response, exchange->dialect->json_type);
        exchange->spooled = file;
    }
    weir__spool_free(spool);
}

void weir__answer_json(weir__exchange *exchange, unsigned status, char *json)
{
    struct MHD_Response *response = NULL;
    if (json != NULL)
        response = MHD_create_response_from_buffer(strlen(json), json, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        free(json);
    install(exchange, status, response, exchange->dialect->json_type);
}

void weir__answer_bytes(weir__exchange *exchange, unsigned status, const char *type, char *bytes, size_t size)
{
    struct MHD_Response *response = NULL;
    if (bytes != NULL)
        response = MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        free(bytes);
    install(exchange, status, response, type);
}

void weir__answer_json_kept(weir__exchange *exchange, char *json, size_t size)
{
    WEIR_ASSERT(exchange->response == NULL);
    WEIR_ASSERT(!exchange->kept);
    exchange->kept = true;
    exchange->kept_json = json;
    exchange->kept_size = size;
}

void weir__answer_make_kept(weir__exchange *exchange)
{
    if (!exchange->kept)
        return;
    char *const json = exchange->kept_json;
    exchange->kept = false;
    exchange->kept_json = NULL;
    weir__answer_bytes(exchange, MHD_HTTP_OK, exchange->dialect->json_type, json, exchange->kept_size);
}

void weir__answer_empty(weir__exchange *exchange, unsigned status)
{
    static char nothing[] = "";
    install(exchange, status, MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT), NULL);
}

void weir__answer_error(weir__exchange *exchange, unsigned status, const char *format, ...)
{
    weir__text sentence = {0}, body = {0};
    va_list args;
    if (status == MHD_HTTP_NOT_MODIFIED) {
        weir__answer_empty(exchange, status);
        return;
    }
    va_start(args, format);
    weir__text_vprintf(&sentence, format, args);
    va_end(args);
    const char *type = exchange->dialect->write_error(exchange, status, &sentence, &body);
    install_text(exchange, status, &body, type);
    weir__text_free(&exchange->refusal);
    exchange->refusal = sentence;
    weir__text_free(&body);
}

void weir__answer_code(weir__exchange *exchange, const weir_error *error)
{
    const unsigned status = exchange->dialect->status_of_code(error->code);
    if (status == MHD_HTTP_INTERNAL_SERVER_ERROR)
        weir__log(WEIR__LOG_ERROR, "%s: %s", weir_code_name(error->code), error->text);
    weir__answer_error(exchange, status, "%s",
                       error->text[0] != '\0' ? error->text : weir_code_name(error->code));
}

void weir__answer_missing(weir__exchange *exchange, const weir_error *error, const char *words)
{
    if (error->code == WEIR_NOTFOUND)
        weir__answer_error(exchange, MHD_HTTP_NOT_FOUND, "%s", words);
    else
        weir__answer_code(exchange, error);
}

const char *weir__exchange_segment(const weir__exchange *exchange, size_t index)
{
    WEIR_ASSERT(index < exchange->uri.segments_count);
    return exchange->uri.segments[index];
}

static const char *temporary_directory(const weir__exchange *exchange)
{
    const weir__server *server = exchange->server;
    const bool beside_activity = exchange->dialect == &weir__dialect_activity || server->runs == NULL;
    return beside_activity ? server->activity_directory : weir_runs_storage_path(server->runs);
}

weir__spool weir__exchange_spool(const weir__exchange *exchange)
{
    weir__spool spool;
    weir__spool_init(&spool, temporary_directory(exchange));
    return spool;
}

weir__spool weir__exchange_export_spool(const weir__exchange *exchange)
{
    weir__spool spool;
    weir__spool_init_export(&spool, temporary_directory(exchange));
    return spool;
}

int weir__exchange_input(const weir__exchange *exchange, weir_activity_input *input, weir_error *err)
{
    const weir_activity_input in_memory = {
        .bytes = weir__text_string(&exchange->body), .fd = -1, .size = exchange->body.size};
    const weir_activity_input in_file = {.fd = exchange->body_file.fd, .size = exchange->body_file.bytes};
    const weir_activity_input body = exchange->body_file.fd < 0 ? in_memory : in_file;
    *input = body;
    return exchange->media == WEIR__MEDIA_FORM
               ? weir__multipart_find(&body, exchange->headers.content_type, "buckets", input, err)
               : WEIR_OK;
}

// Has the client a current copy already? If-None-Match decides alone where it is given.
static bool is_not_modified(const weir__exchange *exchange, const char *etag, time_t modified)
{
    time_t since = 0;
    const char *tags = weir__exchange_header(exchange, "If-None-Match");
    if (tags != NULL)
        return weir__http_etag_listed(tags, etag);
    const char *date = weir__exchange_header(exchange, "If-Modified-Since");
    return date != NULL && weir__http_date_parse(date, &since) && modified <= since;
}

// The Range header, if the file is still the one that the client has a part of.
static const char *range_header(const weir__exchange *exchange, const char *etag)
{
    const char *condition = weir__exchange_header(exchange, "If-Range");
    return condition == NULL || strcmp(condition, etag) == 0 ? weir__exchange_header(exchange, "Range")
                                                             : NULL;
}

static struct MHD_Response *file_response(int fd, weir__range range)
{
    static char nothing[] = "";
    if (range.size > 0)
        return MHD_create_response_from_fd_at_offset64(range.size, fd, range.first);
    struct MHD_Response *response = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    if (response != NULL)
        (void)close(fd);
    return response;
}

static void file_headers(weir__exchange *exchange, const char *etag, time_t modified, const char *name)
{
    weir__text disposition = {0};
    char date[WEIR__HTTP_DATE_SIZE];
    weir__http_date(modified, date);
    if (name != NULL)
        weir__http_disposition(&disposition, name);
    (void)MHD_del_response_header(exchange->response, "Cache-Control", "no-store");
    weir__answer_header(exchange, "Cache-Control", "private, no-cache"); // may be kept, must be asked about
    if (name != NULL)
        weir__answer_header(exchange, "Content-Disposition", weir__text_string(&disposition));
    weir__answer_header(exchange, "Last-Modified", date);
    weir__answer_header(exchange, "ETag", etag);
    weir__answer_header(exchange, "Accept-Ranges", "bytes");
    weir__text_free(&disposition);
}

void weir__answer_file(weir__exchange *exchange, int fd, const char *media_type, const char *name)
{
    struct stat st;
    weir__range range;
    char etag[WEIR__HTTP_ETAG_SIZE], content_range[80];
    if (fstat(fd, &st) != 0 || st.st_size < 0) {
        (void)close(fd);
        weir__answer_error(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "the file cannot be read");
        return;
    }
    const uint64_t size = (uint64_t)st.st_size;
    weir__http_etag(st.st_mtim, size, etag);
    const weir__range_kind kind = weir__http_range(range_header(exchange, etag), size, &range);
    if (is_not_modified(exchange, etag, st.st_mtim.tv_sec)) {
        (void)close(fd);
        install(exchange, MHD_HTTP_NOT_MODIFIED,
                MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), NULL);
    } else if (kind == WEIR__RANGE_BEYOND) {
        (void)close(fd);
        weir__answer_error(exchange, MHD_HTTP_RANGE_NOT_SATISFIABLE, "the file has %llu bytes",
                           (unsigned long long)size);
        (void)snprintf(content_range, sizeof content_range, "bytes */%llu", (unsigned long long)size);
        weir__answer_header(exchange, "Content-Range", content_range);
        return;
    } else {
        struct MHD_Response *response = file_response(fd, range);
        if (response == NULL)
            (void)close(fd);
        install(exchange, kind == WEIR__RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response,
                weir__http_media_type_ok(media_type) ? media_type : "application/octet-stream");
    }
    file_headers(exchange, etag, st.st_mtim.tv_sec, name);
    if (exchange->status == MHD_HTTP_PARTIAL_CONTENT) {
        (void)snprintf(content_range, sizeof content_range, "bytes %llu-%llu/%llu",
                       (unsigned long long)range.first, (unsigned long long)(range.first + range.size - 1),
                       (unsigned long long)size);
        weir__answer_header(exchange, "Content-Range", content_range);
    }
}

void weir__exchange_suspend(weir__exchange *exchange)
{
    if (exchange->state == WEIR__EXCHANGE_WORKING)
        return;
    exchange->state = WEIR__EXCHANGE_WORKING;
    MHD_suspend_connection(exchange->connection);
}

static void work(void *arg)
{
    weir__exchange *exchange = arg;
    if (exchange->then(exchange) == WEIR__ANSWERED)
        weir__exchange_finish(exchange);
}

weir__outcome weir__exchange_hand_over(weir__exchange *exchange, weir__lane lane, weir__handler *handler)
{
    WEIR_ASSERT(lane < WEIR__LANES);
    exchange->then = handler;
    weir__exchange_suspend(exchange);
    if (weir__workers_submit(exchange->server->workers[lane], work, exchange))
        return WEIR__LATER;
    weir__answer_error(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "too many requests wait already; try again");
    return WEIR__ANSWERED;
}

void weir__exchange_finish(weir__exchange *exchange)
{
    struct MHD_Connection *connection = exchange->connection;
    exchange->state = WEIR__EXCHANGE_ANSWERED;
    MHD_resume_connection(connection);
}
