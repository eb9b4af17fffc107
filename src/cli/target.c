// SPDX-License-Identifier: MIT
//
// Each call is a line for the file and a request for the server. Answers of a server are read with the same
// JSON reader as everything else: a map of buckets or an array of events, one value at a time.
#include "cli/target.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "base/fs.h"
#include "base/json_read.h"
#include "cli/api_key.h"
#include "cli/scratch.h"

enum {
    value_bytes_max = WEIR_ACTIVITY_DATA_BYTES_MAX + (1 << 20), // one event or bucket of an answer
    lock_timeout_ms = 10000,
    number_size = 32,
};

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "not enough memory");
}

// ------------------------------------------------------------------------------------------ opening and closing

int weir__target_default_path(weir__text *path, weir_error *err)
{
    const char *const data = getenv("XDG_DATA_HOME");
    const char *const home = getenv("HOME");
    if (data != NULL && data[0] == '/')
        weir__fs_join(path, data, "activitywatch/aw-server-rust/sqlite.db");
    else if (home != NULL && home[0] != '\0')
        weir__fs_join(path, home, ".local/share/activitywatch/aw-server-rust/sqlite.db");
    else
        return weir__error_set(err, WEIR_NOTFOUND, "$HOME is not set; --db names the database");
    return path->failed ? no_memory(err) : WEIR_OK;
}

static int open_file(const weir__target_values *values, weir__target_use use, weir__target *target,
                     weir_error *err)
{
    const char *const variable = getenv("WEIR_ACTIVITY");
    weir__text path = {0};
    const uint64_t timeout_ms = values->timeout_ms > 0 ? values->timeout_ms : lock_timeout_ms;
    const weir_config store = {
        .read_only = use == WEIR__TARGET_READ,
        .must_exist = use != WEIR__TARGET_CREATE,
        .write_deadline_ms = (uint32_t)timeout_ms,
        .readers = 1,
    };
    const weir_activity_config config = {.store = &store};
    int code = WEIR_OK;
    const bool is_default = values->db == NULL && (variable == NULL || variable[0] == '\0');
    if (is_default)
        code = weir__target_default_path(&path, err);
    else
        weir__text_add(&path, values->db != NULL ? values->db : variable);
    if (code == WEIR_OK && path.failed)
        code = no_memory(err);
    if (code == WEIR_OK && is_default && use != WEIR__TARGET_CREATE && access(path.data, F_OK) != 0 &&
        errno == ENOENT)
        code = weir__error_set(err, WEIR_NOTFOUND,
                               "ActivityWatch has no database in %s; --db names another, --url asks a server",
                               path.data);
    if (code == WEIR_OK)
        code = weir_activity_open(path.data, &config, &target->file, err);
    weir__text_free(&path);
    return code;
}

static int open_remote(const weir__target_values *values, weir__target *target, weir_error *err)
{
    const char *const variable = getenv("WEIR_ACTIVITY_API_KEY");
    const uint64_t timeout_ms = values->timeout_ms > 0 ? values->timeout_ms : WEIR__TARGET_TIMEOUT_MS;
    const char *given = variable != NULL && variable[0] != '\0' ? variable : NULL;
    char key[WEIR__API_KEY_SIZE] = "";
    int code = WEIR_OK;
    if (values->api_key_file != NULL) {
        code = weir__api_key_read(values->api_key_file, key, err);
        given = key;
    } else if (given != NULL && !weir__api_key_is_well_formed(given)) {
        code = weir__error_set(err, WEIR_INVALID,
                               "WEIR_ACTIVITY_API_KEY must have 1 to %d visible ASCII characters",
                               WEIR__API_KEY_SIZE - 1);
    }
    if (code == WEIR_OK) {
        code = weir__remote_open(values->url, given, (uint32_t)timeout_ms, &target->remote, err);
        target->wrong_line = code == WEIR_INVALID;
    }
    explicit_bzero(key, sizeof key);
    return code;
}

int weir__target_open(const weir__target_values *values, weir__target_use use, weir__target *target,
                      weir_error *err)
{
    *target = (weir__target){.wrong_line = true};
    if (values->url != NULL && values->db != NULL)
        return weir__error_set(err, WEIR_INVALID, "--db and --url cannot both be given");
    if (values->url == NULL && values->api_key_file != NULL)
        return weir__error_set(err, WEIR_INVALID, "--api-key-file is for --url");
    target->wrong_line = false;
    return values->url != NULL ? open_remote(values, target, err) : open_file(values, use, target, err);
}

// What a lock on this database usually means.
static void explain_lock(const weir_error *err, weir_error *explained)
{
    weir__error_set(explained, err->code,
                    "%s (ActivityWatch's server keeps its database locked as long as it runs: "
                    "stop it, or ask it with --url http://127.0.0.1:5600)",
                    err->text);
}

int weir__target_finish(weir__cli *cli, const weir__command *command, weir__target *target, int code,
                        weir_error *err)
{
    weir_error close_err = WEIR_ERROR_INIT;
    const bool wrong_line = target->wrong_line;
    const bool is_file = target->remote == NULL;
    const int close_code = target->file != NULL ? weir_activity_close(target->file, 0, &close_err) : WEIR_OK;
    weir__remote_close(target->remote);
    *target = (weir__target){0};
    if (wrong_line)
        return weir__cli_usage(cli, command, err);
    if (code == WEIR_BUSY && is_file) {
        weir_error explained = WEIR_ERROR_INIT;
        explain_lock(err, &explained);
        return weir__cli_failed(cli, &explained);
    }
    if (code != WEIR_OK)
        return weir__cli_failed(cli, err);
    return close_code == WEIR_OK ? WEIR__EXIT_FINE : weir__cli_failed(cli, &close_err);
}

// ------------------------------------------------------------------------------------------ answers of a server

// An answer in a file, and who reads it.
typedef struct answer {
    int fd;
    const char *url;
    weir__json_reader reader;
} answer;

static int keep_piece(void *context, const void *bytes, size_t size, weir_error *err)
{
    const answer *const a = context;
    return weir__fs_write_all(a->fd, "a temporary file", bytes, size, err);
}

static int read_piece(void *context, uint64_t offset, void *buffer, size_t size, size_t *got, weir_error *err)
{
    const answer *const a = context;
    ssize_t result = 0;
    do
        result = pread(a->fd, buffer, size, (off_t)offset);
    while (result < 0 && errno == EINTR);
    *got = result > 0 ? (size_t)result : 0;
    return result >= 0 ? WEIR_OK : weir__error_errno(err, errno, "cannot read a temporary file");
}

// Sends the request and keeps its answer.
static int ask(weir__target *target, const weir__remote_request *request, answer *a, weir_error *err)
{
    weir__remote_request kept = *request;
    a->url = weir__remote_url(target->remote);
    int code = weir__scratch_open(&a->fd, err);
    kept.sink = keep_piece;
    kept.context = a;
    if (code == WEIR_OK)
        code = weir__remote_call(target->remote, &kept, err);
    if (code == WEIR_OK)
        weir__json_reader_init_source(&a->reader, read_piece, a, value_bytes_max);
    else if (a->fd >= 0)
        (void)close(a->fd);
    return code;
}

static void end_answer(answer *a)
{
    weir__json_reader_fini(&a->reader);
    (void)close(a->fd);
}

static int strange_answer(const answer *a, const weir_error *why, weir_error *err)
{
    return weir__error_set(err, WEIR_MISMATCH, "the answer of %s is not what was expected: %s", a->url,
                           why->text[0] != '\0' ? why->text : "JSON of another shape");
}

static int expect(answer *a, weir__json_type type, weir_error *err)
{
    weir__json_token token;
    weir_error why = WEIR_ERROR_INIT;
    if (weir__json_reader_next(&a->reader, &token, &why) != WEIR_OK || token.type != type)
        return strange_answer(a, &why, err);
    return WEIR_OK;
}

// Is there another member before `end`?
static int has_more(answer *a, weir__json_type end, bool *more, weir_error *err)
{
    weir__json_token token;
    weir_error why = WEIR_ERROR_INIT;
    if (weir__json_reader_peek(&a->reader, &token, &why) != WEIR_OK)
        return strange_answer(a, &why, err);
    *more = token.type != end;
    return WEIR_OK;
}

static int next_value(answer *a, weir__text *value, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    weir__text_clear(value);
    if (weir__json_reader_canonical(&a->reader, value, &why) != WEIR_OK)
        return strange_answer(a, &why, err);
    return value->failed ? no_memory(err) : WEIR_OK;
}

static int parse_event(answer *a, const weir__text *value, weir_event **event, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    const int code = weir_event_parse(value->data, value->size, event, &why);
    return code == WEIR_OK ? WEIR_OK : strange_answer(a, &why, err);
}

static int each_event(answer *a, weir_event_fn *each, void *context, weir_error *err)
{
    weir__text value = {0};
    bool more = true;
    int code = expect(a, WEIR__JSON_ARRAY, err);
    while (code == WEIR_OK && (code = has_more(a, WEIR__JSON_ARRAY_END, &more, err)) == WEIR_OK && more) {
        weir_event *event = NULL;
        code = next_value(a, &value, err);
        if (code == WEIR_OK)
            code = parse_event(a, &value, &event, err);
        if (code == WEIR_OK && each != NULL)
            code = each(context, event, err);
        free(event);
    }
    weir__text_free(&value);
    return code;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool date_of(const json_t *object, const char *key, int64_t *ns)
{
    const char *const text = text_of(object, key);
    return weir__date_parse_lenient(text, strlen(text), ns) == WEIR__DATE_OK;
}

// `key` is the bucket's id in the map.
static int tell_bucket(answer *a, const char *key, const weir__text *value, weir_bucket_fn *each,
                       void *context, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    json_t *const object = json_loadb(value->data, value->size, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return strange_answer(a, &why, err);
    }
    const json_t *const metadata = json_object_get(object, "metadata");
    char *const data = json_dumps(json_object_get(object, "data"), JSON_COMPACT | JSON_SORT_KEYS);
    weir_bucket bucket = {
        .id = key,
        .type = text_of(object, "type"),
        .client = text_of(object, "client"),
        .hostname = text_of(object, "hostname"),
        .data = data,
        .data_size = data != NULL ? strlen(data) : 0,
    };
    bucket.has_created = date_of(object, "created", &bucket.created_ns);
    bucket.has_start = date_of(metadata, "start", &bucket.start_ns);
    bucket.has_end = date_of(metadata, "end", &bucket.end_ns);
    const int code = each(context, &bucket, err);
    free(data);
    json_decref(object);
    return code;
}

static int each_bucket(answer *a, weir_bucket_fn *each, void *context, weir_error *err)
{
    weir__text value = {0};
    bool more = true;
    int code = expect(a, WEIR__JSON_OBJECT, err);
    while (code == WEIR_OK && (code = has_more(a, WEIR__JSON_OBJECT_END, &more, err)) == WEIR_OK && more) {
        weir__json_token token = {0};
        weir_error why = WEIR_ERROR_INIT;
        if (weir__json_reader_next(&a->reader, &token, &why) != WEIR_OK)
            code = strange_answer(a, &why, err);
        char *const key = code == WEIR_OK ? strdup(token.text) : NULL;
        if (code == WEIR_OK)
            code = key != NULL ? next_value(a, &value, err) : no_memory(err);
        if (code == WEIR_OK)
            code = tell_bucket(a, key, &value, each, context, err);
        free(key);
    }
    weir__text_free(&value);
    return code;
}

// --------------------------------------------------------------------------------------------------- requests

static int bucket_path(weir__text *path, const char *bucket, const char *rest, weir_error *err)
{
    if (bucket[0] == '\0')
        return weir__error_set(err, WEIR_INVALID, "a server cannot be asked for the bucket without a name");
    weir__text_add(path, "/buckets");
    weir__remote_add_segment(path, bucket);
    weir__text_add(path, rest);
    return path->failed ? no_memory(err) : WEIR_OK;
}

int weir__target_buckets(weir__target *target, weir_bucket_fn *each, void *context, weir_error *err)
{
    answer a = {.fd = -1};
    if (target->file != NULL)
        return weir_activity_buckets(target->file, each, context, err);
    int code = ask(target, &(weir__remote_request){.method = "GET", .path = "/buckets"}, &a, err);
    if (code != WEIR_OK)
        return code;
    code = each_bucket(&a, each, context, err);
    end_answer(&a);
    return code;
}

static void add_query(weir__text *path, const weir_event_query *query)
{
    char date[WEIR__DATE_SIZE];
    const char *separator = "?";
    if (query->has_start) {
        weir__date_format(date, query->start_ns);
        weir__text_printf(path, "%sstart=%s", separator, date);
        separator = "&";
    }
    if (query->has_end) {
        weir__date_format(date, query->end_ns);
        weir__text_printf(path, "%send=%s", separator, date);
        separator = "&";
    }
    if (query->has_limit)
        weir__text_printf(path, "%slimit=%" PRIu64, separator, query->limit);
}

// Sends a request about a bucket and reads the events of its answer.
static int ask_events(weir__target *target, weir__remote_request *request, weir__text *path,
                      weir_event_fn *each, void *context, weir_error *err)
{
    answer a = {.fd = -1};
    if (path->failed)
        return no_memory(err);
    request->path = path->data;
    int code = ask(target, request, &a, err);
    if (code != WEIR_OK)
        return code;
    code = each_event(&a, each, context, err);
    end_answer(&a);
    return code;
}

int weir__target_events(weir__target *target, const char *bucket, const weir_event_query *query,
                        weir_event_fn *each, void *context, weir_error *err)
{
    weir__text path = {0};
    weir__remote_request request = {.method = "GET"};
    if (target->file != NULL)
        return weir_activity_events(target->file, bucket, query, each, context, err);
    int code = bucket_path(&path, bucket, "/events", err);
    add_query(&path, query);
    if (code == WEIR_OK)
        code = ask_events(target, &request, &path, each, context, err);
    weir__text_free(&path);
    return code;
}

int weir__target_insert(weir__target *target, const char *bucket, const weir__target_input *input,
                        weir_event_fn *each, void *context, weir_error *err)
{
    weir__text path = {0};
    const weir_activity_input region = {.fd = input->fd, .size = input->bytes};
    weir__remote_request request = {
        .method = "POST", .has_fd = true, .fd = input->fd, .fd_bytes = input->bytes};
    if (target->file != NULL)
        return weir_activity_insert_json(target->file, bucket, &region, each, context, err);
    int code = bucket_path(&path, bucket, "/events", err);
    if (code == WEIR_OK)
        code = ask_events(target, &request, &path, each, context, err);
    weir__text_free(&path);
    return code;
}

// The events of an answer that is one event, not an array of them.
static int ask_heartbeat(weir__target *target, const weir__text *path, const weir__text *body,
                         weir_event **result, weir_error *err)
{
    answer a = {.fd = -1};
    weir__text value = {0};
    weir__remote_request request = {
        .method = "POST", .path = path->data, .body = body->data, .body_size = body->size};
    if (path->failed || body->failed)
        return no_memory(err);
    int code = ask(target, &request, &a, err);
    if (code != WEIR_OK)
        return code;
    code = next_value(&a, &value, err);
    if (code == WEIR_OK)
        code = parse_event(&a, &value, result, err);
    weir__text_free(&value);
    end_answer(&a);
    return code;
}

int weir__target_heartbeat(weir__target *target, const char *bucket, const weir_event *beat,
                           double pulsetime_s, weir_event **result, weir_error *err)
{
    weir__text path = {0};
    weir__text body = {0};
    if (target->file != NULL)
        return weir_activity_heartbeat(target->file, bucket, beat, pulsetime_s, result, err);
    int code = bucket_path(&path, bucket, "/heartbeat?pulsetime=", err);
    weir__json_add_double(&path, pulsetime_s);
    char *const json = malloc(weir_event_json_size(beat));
    if (json == NULL)
        code = no_memory(err);
    else
        weir__text_append(&body, json, weir_event_json(beat, json));
    free(json);
    if (code == WEIR_OK)
        code = ask_heartbeat(target, &path, &body, result, err);
    weir__text_free(&path);
    weir__text_free(&body);
    return code;
}

int weir__target_create(weir__target *target, const weir_bucket *bucket, weir_error *err)
{
    weir__text path = {0};
    weir_error why = WEIR_ERROR_INIT;
    if (target->file != NULL)
        return weir_activity_bucket_create(target->file, bucket, err);
    int code = bucket_path(&path, bucket->id, "", err);
    char *const body = weir_bucket_json(bucket);
    if (code == WEIR_OK && body == NULL)
        code = no_memory(err);
    if (code == WEIR_OK)
        code = weir__remote_call(
            target->remote,
            &(weir__remote_request){
                .method = "POST", .path = path.data, .body = body, .body_size = strlen(body)},
            &why);
    if (code == WEIR_EXISTS) // the answer has no sentence in it
        weir__error_set(&why, WEIR_EXISTS, "there is a bucket %s already on %s", bucket->id,
                        weir__remote_url(target->remote));
    if (why.code != WEIR_OK)
        weir__error_copy(err, &why);
    free(body);
    weir__text_free(&path);
    return code;
}

int weir__target_delete(weir__target *target, const char *bucket, const int64_t *event_id, weir_error *err)
{
    weir__text path = {0};
    char rest[number_size] = "";
    if (target->file != NULL)
        return event_id != NULL ? weir_activity_event_delete(target->file, bucket, *event_id, err)
                                : weir_activity_bucket_delete(target->file, bucket, err);
    if (event_id != NULL)
        snprintf(rest, sizeof rest, "/events/%" PRIi64, *event_id);
    int code = bucket_path(&path, bucket, rest, err);
    if (code == WEIR_OK)
        code = weir__remote_call(target->remote,
                                 &(weir__remote_request){.method = "DELETE", .path = path.data}, err);
    weir__text_free(&path);
    return code;
}

// An export on its way from a server to whoever wants it.
typedef struct copying {
    weir_activity_sink_fn *sink;
    void *context;
    const char *url;
} copying;

// It is not parsed, but no JSON has a control character that a terminal could obey.
static int copy_json(void *context, const void *bytes, size_t size, weir_error *err)
{
    const copying *const c = context;
    const unsigned char *const text = bytes;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < 0x20 && text[i] != '\t' && text[i] != '\n' && text[i] != '\r')
            return weir__error_set(err, WEIR_MISMATCH,
                                   "the answer of %s is not what was expected: it is no JSON", c->url);
    }
    return c->sink(c->context, bytes, size, err);
}

int weir__target_export(weir__target *target, const char *bucket, weir_activity_sink_fn *sink, void *context,
                        weir_error *err)
{
    weir__text path = {0};
    int code = WEIR_OK;
    if (target->file != NULL)
        return weir_activity_export(target->file, bucket, 0, sink, context, err);
    copying copy = {sink, context, weir__remote_url(target->remote)};
    if (bucket != NULL)
        code = bucket_path(&path, bucket, "/export", err);
    else
        weir__text_add(&path, "/export");
    if (code == WEIR_OK && path.failed)
        code = no_memory(err);
    if (code == WEIR_OK)
        code = weir__remote_call(
            target->remote,
            &(weir__remote_request){.method = "GET", .path = path.data, .sink = copy_json, .context = &copy},
            err);
    weir__text_free(&path);
    return code;
}

// --------------------------------------------------------------------------------------------------- settings

static int setting_path(weir__text *path, const char *name, weir_error *err)
{
    if (name != NULL && name[0] == '\0')
        return weir__error_set(err, WEIR_INVALID, "a server cannot be asked for the setting without a name");
    weir__text_add(path, "/settings");
    if (name != NULL)
        weir__remote_add_segment(path, name);
    return path->failed ? no_memory(err) : WEIR_OK;
}

static int ask_setting(weir__target *target, const char *name, char **json, weir_error *err)
{
    answer a = {.fd = -1};
    weir__text path = {0};
    weir__text value = {0};
    int code = setting_path(&path, name, err);
    if (code == WEIR_OK)
        code = ask(target, &(weir__remote_request){.method = "GET", .path = path.data}, &a, err);
    weir__text_free(&path);
    if (code != WEIR_OK)
        return code;
    code = next_value(&a, &value, err);
    if (code == WEIR_OK && (*json = weir__text_take(&value)) == NULL)
        code = no_memory(err);
    weir__text_free(&value);
    end_answer(&a);
    return code;
}

int weir__target_setting_get(weir__target *target, const char *name, char **json, weir_error *err)
{
    *json = NULL;
    if (target->file == NULL)
        return ask_setting(target, name, json, err);
    if (name == NULL)
        return weir_activity_settings(target->file, json, err);
    const int code = weir_activity_setting_get(target->file, name, json, err);
    if (code == WEIR_OK && *json == NULL && (*json = strdup("null")) == NULL)
        return no_memory(err);
    return code;
}

int weir__target_setting_set(weir__target *target, const char *name, const char *json, weir_error *err)
{
    weir__text path = {0};
    if (target->file != NULL)
        return json != NULL ? weir_activity_setting_set(target->file, name, json, strlen(json), err)
                            : weir_activity_setting_delete(target->file, name, err);
    weir__remote_request request = {.method = json != NULL ? "POST" : "DELETE",
                                    .body = json,
                                    .body_size = json != NULL ? strlen(json) : 0};
    int code = setting_path(&path, name, err);
    request.path = path.data;
    if (code == WEIR_OK)
        code = weir__remote_call(target->remote, &request, err);
    weir__text_free(&path);
    return code;
}

// ----------------------------------------------------------------------------------------------------- import

typedef struct sending {
    weir_progress_fn *progress;
    void *context;
    uint64_t total;
} sending;

static bool tell_sent(void *context, uint64_t sent, uint64_t received)
{
    const sending *const s = context;
    (void)received;
    return s->progress(s->context, "sending", sent, s->total);
}

int weir__target_import(weir__target *target, const weir__target_input *input, weir_progress_fn *progress,
                        void *context, weir_activity_import_report *report, bool *known, weir_error *err)
{
    const weir_activity_input region = {.fd = input->fd, .size = input->bytes};
    sending s = {progress, context, input->bytes};
    *known = target->file != NULL;
    *report = (weir_activity_import_report){0};
    if (target->file != NULL)
        return weir_activity_import(target->file, &region, progress, context, report, err);
    return weir__remote_call(target->remote,
                             &(weir__remote_request){.method = "POST",
                                                     .path = "/import",
                                                     .has_fd = true,
                                                     .fd = input->fd,
                                                     .fd_bytes = input->bytes,
                                                     .progress = progress != NULL ? tell_sent : NULL,
                                                     .progress_context = &s},
                             err);
}
