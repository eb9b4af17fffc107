// SPDX-License-Identifier: MIT
//
// What libcurl calls while a request runs are static functions with the `call` as their context: body out, body
// in, progress. The status is known when the first piece of the body comes: below 300 it goes to the sink,
// otherwise the first bytes are kept for the sentence and the rest is dropped.
#include "cli/remote.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <weir/weir.h>

#include "base/assert.h"

enum {
    connect_timeout_ms = 5000,
    complaint_bytes_max = 64 << 10, // kept of an answer that is an error
    refusal_bytes_max = 1 << 20,    // and read of it at all
    url_bytes_max = 2048,
    status_ok = 200,
    status_other = 300,
    status_not_modified = 304,
    status_unauthorized = 401,
    status_forbidden = 403,
    status_not_found = 404,
    status_too_large = 413,
    status_server = 500,
    status_unavailable = 503,
};

struct weir__remote {
    CURL *curl;
    struct curl_slist *headers;
    char *url; // without a slash at the end
    uint32_t timeout_ms;
    bool has_key;
    char words[CURL_ERROR_SIZE]; // libcurl's, about the last failure
};

typedef struct call {
    weir__remote *remote;
    const weir__remote_request *request;
    uint64_t body_sent, refused_bytes;
    weir__text complaint; // the body of an answer that is an error
    weir_error error;     // of the sink or the body's file
} call;

// ---------------------------------------------------------------------------------------------------- opening

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "not enough memory for a request");
}

static char *part_of(CURLU *parts, CURLUPart part)
{
    char *text = NULL;
    return curl_url_get(parts, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool has_part(CURLU *parts, CURLUPart part)
{
    char *const text = part_of(parts, part);
    const bool has = text != NULL;
    curl_free(text);
    return has;
}

static bool is_web(CURLU *parts)
{
    char *const scheme = part_of(parts, CURLUPART_SCHEME);
    const bool is = scheme != NULL && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    return is;
}

static int check_url(const char *url, CURLU *parts, weir_error *err)
{
    if (strlen(url) > url_bytes_max)
        return weir__error_set(err, WEIR_INVALID, "the URL is longer than %d bytes", url_bytes_max);
    if (curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK || !is_web(parts))
        return weir__error_set(err, WEIR_INVALID,
                               "a URL of a server is such as http://127.0.0.1:5600, not \"%s\"", url);
    if (has_part(parts, CURLUPART_USER) || has_part(parts, CURLUPART_PASSWORD))
        return weir__error_set(
            err, WEIR_INVALID,
            "a URL with a name or password in it is not used; a key comes from --api-key-file");
    if (has_part(parts, CURLUPART_QUERY) || has_part(parts, CURLUPART_FRAGMENT))
        return weir__error_set(err, WEIR_INVALID, "the URL of a server has no ? and no #: \"%s\"", url);
    return WEIR_OK;
}

// Is it this machine? Then no proxy stands between.
static bool is_local(CURLU *parts)
{
    char *const host = part_of(parts, CURLUPART_HOST);
    const bool local = host != NULL && (strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
                                        strcmp(host, "[::1]") == 0);
    curl_free(host);
    return local;
}

static int set_up_url(weir__remote *remote, const char *url, weir_error *err)
{
    CURLU *const parts = curl_url();
    if (parts == NULL)
        return no_memory(err);
    int code = check_url(url, parts, err);
    char *const whole = code == WEIR_OK ? part_of(parts, CURLUPART_URL) : NULL;
    if (whole != NULL)
        remote->url = strdup(whole);
    if (code == WEIR_OK && remote->url == NULL)
        code = no_memory(err);
    for (size_t size = code == WEIR_OK ? strlen(remote->url) : 0; size > 0 && remote->url[size - 1] == '/';
         size--)
        remote->url[size - 1] = '\0';
    if (code == WEIR_OK && is_local(parts))
        (void)curl_easy_setopt(remote->curl, CURLOPT_PROXY, "");
    curl_free(whole);
    curl_url_cleanup(parts);
    return code;
}

static int add_header(weir__remote *remote, const char *header, weir_error *err)
{
    struct curl_slist *const longer = curl_slist_append(remote->headers, header);
    if (longer == NULL)
        return no_memory(err);
    remote->headers = longer;
    return WEIR_OK;
}

static int set_up_headers(weir__remote *remote, const char *key, weir_error *err)
{
    weir__text bearer = {0};
    int code = add_header(remote, "Content-Type: application/json", err);
    if (code == WEIR_OK)
        code = add_header(remote, "Accept: application/json", err);
    if (code != WEIR_OK || key == NULL)
        return code;
    weir__text_printf(&bearer, "Authorization: Bearer %s", key);
    code = bearer.failed ? no_memory(err) : add_header(remote, bearer.data, err);
    if (bearer.data != NULL)
        explicit_bzero(bearer.data, bearer.size);
    weir__text_free(&bearer);
    remote->has_key = true;
    return code;
}

int weir__remote_open(const char *url, const char *key, uint32_t timeout_ms, weir__remote **remote,
                      weir_error *err)
{
    weir__remote *const opened = calloc(1, sizeof *opened);
    *remote = NULL;
    if (opened == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(opened);
        return no_memory(err);
    }
    opened->timeout_ms = timeout_ms;
    opened->curl = curl_easy_init();
    int code = opened->curl != NULL ? set_up_url(opened, url, err) : no_memory(err);
    if (code == WEIR_OK)
        code = set_up_headers(opened, key, err);
    if (code == WEIR_OK)
        *remote = opened;
    else
        weir__remote_close(opened);
    return code;
}

void weir__remote_close(weir__remote *remote)
{
    if (remote == NULL)
        return;
    for (struct curl_slist *header = remote->headers; header != NULL; header = header->next)
        explicit_bzero(header->data, strlen(header->data)); // one has the key
    curl_slist_free_all(remote->headers);
    curl_easy_cleanup(remote->curl);
    free(remote->url);
    free(remote);
    curl_global_cleanup();
}

const char *weir__remote_url(const weir__remote *remote)
{
    return remote->url;
}

void weir__remote_add_segment(weir__text *path, const char *segment)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    weir__text_char(path, '/');
    for (const char *c = segment; *c != '\0'; c++) {
        // A dot is plain, too, but a segment that is made of dots means something.
        if (strchr(plain, *c) != NULL || (*c == '.' && c > segment && c[-1] != '.'))
            weir__text_char(path, *c);
        else
            weir__text_printf(path, "%%%02X", (unsigned)(unsigned char)*c);
    }
}

// ---------------------------------------------------------------------------------------- while a request runs

static long status_of(const call *c)
{
    long status = 0;
    (void)curl_easy_getinfo(c->remote->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t take_body(char *bytes, size_t one, size_t size, void *context)
{
    enum { stop = 0 };
    call *const c = context;
    WEIR_ASSERT(one == 1);
    if (size == 0)
        return 0;
    if (status_of(c) >= status_other) {
        const size_t room = complaint_bytes_max - c->complaint.size;
        weir__text_append(&c->complaint, bytes, size < room ? size : room);
        c->refused_bytes += size;
        return c->refused_bytes <= refusal_bytes_max ? size : stop;
    }
    if (c->request->sink == NULL)
        return size;
    return c->request->sink(c->request->context, bytes, size, &c->error) == WEIR_OK ? size : stop;
}

static size_t give_body(char *buffer, size_t one, size_t size, void *context)
{
    call *const c = context;
    const uint64_t wanted = c->request->fd_bytes > 0 ? c->request->fd_bytes - c->body_sent : UINT64_MAX;
    WEIR_ASSERT(one == 1);
    if (size > wanted)
        size = (size_t)wanted;
    for (;;) {
        const ssize_t got = size > 0 ? read(c->request->fd, buffer, size) : 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            weir__error_errno(&c->error, errno, "cannot read what is to be sent");
            return CURL_READFUNC_ABORT;
        }
        c->body_sent += (uint64_t)got;
        return (size_t)got;
    }
}

// A server that wants the body again (it closed a kept connection) gets it from its beginning.
static int rewind_body(void *context, curl_off_t offset, int origin)
{
    call *const c = context;
    if (c->request->fd_bytes == 0 || origin != SEEK_SET || lseek(c->request->fd, offset, SEEK_SET) < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    c->body_sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int tell_progress(void *context, curl_off_t receive_total, curl_off_t received, curl_off_t send_total,
                         curl_off_t sent)
{
    const call *const c = context;
    (void)receive_total;
    (void)send_total;
    return c->request->progress(c->request->progress_context, (uint64_t)sent, (uint64_t)received) ? 0 : 1;
}

// --------------------------------------------------------------------------------------------- how it went

// The sentence in {"message": "…"} without its full stop, malloc'd; NULL when the answer has none.
static char *message_of(const weir__text *complaint)
{
    json_t *const answer = complaint->size > 0 ? json_loadb(complaint->data, complaint->size, 0, NULL) : NULL;
    const char *const message = json_string_value(json_object_get(answer, "message"));
    char *const copy = message != NULL ? strdup(message) : NULL;
    const size_t size = copy != NULL ? strlen(copy) : 0;
    if (size > 0 && copy[size - 1] == '.')
        copy[size - 1] = '\0';
    json_decref(answer);
    return copy;
}

static int code_of_status(long status)
{
    switch (status) {
    case status_not_modified:
        return WEIR_EXISTS;
    case status_unauthorized:
    case status_forbidden:
        return WEIR_DENIED;
    case status_not_found:
        return WEIR_NOTFOUND;
    case status_too_large:
        return WEIR_TOOBIG;
    case status_unavailable:
        return WEIR_BUSY;
    default:
        return status < status_server ? WEIR_INVALID : WEIR_IO;
    }
}

static const char *hint_for(const call *c, long status)
{
    if (status == status_unauthorized)
        return c->remote->has_key ? "; the server's key is another one" : "; --api-key-file gives the key";
    if (status == status_forbidden)
        return "; the server lets only some hosts and origins in";
    return "";
}

static int fail_with_status(const call *c, long status, weir_error *err)
{
    const char *const url = c->remote->url;
    char *location = NULL;
    (void)curl_easy_getinfo(c->remote->curl, CURLINFO_REDIRECT_URL, &location);
    if (location != NULL)
        return weir__error_set(err, WEIR_INVALID, "%s leads on to %s; if you trust that, give it with --url",
                               url, location);
    if (status == status_not_modified)
        return weir__error_set(err, WEIR_EXISTS, "it exists already on %s", url);
    char *const message = message_of(&c->complaint);
    const int code = code_of_status(status);
    if (message != NULL)
        weir__error_set(err, code, "%s says: %s%s", url, message, hint_for(c, status));
    else
        weir__error_set(err, code, "%s answered with status %ld%s", url, status,
                        status == status_not_found
                            ? "; is it a server of ActivityWatch or weir serve --activity?"
                            : hint_for(c, status));
    free(message);
    return code;
}

static int fail_with_curl(const call *c, CURLcode failure, weir_error *err)
{
    const weir__remote *const r = c->remote;
    const char *const words = r->words[0] != '\0' ? r->words : curl_easy_strerror(failure);
    if (c->error.code != WEIR_OK) {
        weir__error_copy(err, &c->error);
        return c->error.code;
    }
    switch (failure) {
    case CURLE_OUT_OF_MEMORY:
        return no_memory(err);
    case CURLE_ABORTED_BY_CALLBACK:
        return weir__error_set(err, WEIR_CANCELLED, "cancelled");
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return weir__error_set(err, WEIR_IO, "cannot connect to %s: %s; is the server running?", r->url,
                               words);
    case CURLE_OPERATION_TIMEDOUT:
        return weir__error_set(err, WEIR_EXPIRED, "%s was silent for too long: %s; --timeout waits longer",
                               r->url, words);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        return weir__error_set(err, WEIR_IO, "the answer of %s broke off: %s", r->url, words);
    default:
        return weir__error_set(err, WEIR_IO, "the request to %s failed: %s", r->url, words);
    }
}

// An answer that ends when the connection does may be a part of one: HTTP/1 then tells its length, or comes in chunks.
static bool ends_in_doubt(const call *c)
{
    CURL *const curl = c->remote->curl;
    struct curl_header *header = NULL;
    curl_off_t length = -1;
    long version = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    (void)curl_easy_getinfo(curl, CURLINFO_HTTP_VERSION, &version);
    return c->request->sink != NULL && length < 0 && version < CURL_HTTP_VERSION_2_0 &&
           curl_easy_header(curl, "Transfer-Encoding", 0, CURLH_HEADER, -1, &header) != CURLHE_OK;
}

// ---------------------------------------------------------------------------------------------------- calling

#define SET(option, value) (void)curl_easy_setopt(curl, (option), (value))

static void set_limits(CURL *curl, uint32_t timeout_ms)
{
    const long silence_s = ((long)timeout_ms + 999) / 1000;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, silence_s > 0 ? silence_s : 1L);
    SET(CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
}

static void set_body(CURL *curl, call *c)
{
    const weir__remote_request *const request = c->request;
    const bool posts = strcmp(request->method, "POST") == 0;
    SET(posts ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
    if (!posts)
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    else if (request->has_fd)
        SET(CURLOPT_POSTFIELDSIZE_LARGE,
            (curl_off_t)(request->fd_bytes > 0 ? (curl_off_t)request->fd_bytes : -1));
    else
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
    if (posts) // NULL: nothing is left of the call before
        SET(CURLOPT_POSTFIELDS, request->has_fd ? NULL : request->body);
    SET(CURLOPT_READFUNCTION, give_body);
    SET(CURLOPT_READDATA, c);
    SET(CURLOPT_SEEKFUNCTION, rewind_body);
    SET(CURLOPT_SEEKDATA, c);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, c);
    SET(CURLOPT_NOPROGRESS, request->progress == NULL ? 1L : 0L);
    SET(CURLOPT_XFERINFOFUNCTION, tell_progress);
    SET(CURLOPT_XFERINFODATA, c);
}

int weir__remote_call(weir__remote *remote, const weir__remote_request *request, weir_error *err)
{
    CURL *const curl = remote->curl;
    call c = {.remote = remote, .request = request};
    weir__text url = {0};
    weir__text_printf(&url, "%s/api/0%s", remote->url, request->path);
    if (url.failed)
        return no_memory(err);
    remote->words[0] = '\0';
    set_limits(curl, remote->timeout_ms);
    set_body(curl, &c);
    SET(CURLOPT_URL, url.data);
    SET(CURLOPT_HTTPHEADER, remote->headers);
    SET(CURLOPT_ERRORBUFFER, remote->words);
    const CURLcode failure = curl_easy_perform(curl);
    const long status = status_of(&c);
    int code = WEIR_OK;
    if (failure != CURLE_OK && (status < status_other || c.error.code != WEIR_OK))
        code = fail_with_curl(&c, failure, err);
    else if (status < status_ok || status >= status_other)
        code = fail_with_status(&c, status, err);
    else if (ends_in_doubt(&c))
        code = weir__error_set(err, WEIR_IO,
                               "the answer of %s does not say how long it is, so a part of it may be missing",
                               remote->url);
    SET(CURLOPT_CUSTOMREQUEST, NULL);
    weir__text_free(&c.complaint);
    weir__text_free(&url);
    return code;
}
