// SPDX-License-Identifier: MIT
//
// A client of the activity API, over libcurl. One request at a time, on one connection that is kept. An answer
// is handed on in pieces as it comes, never collected; redirects are not followed, since they could lead the
// key elsewhere; an answer that is an error becomes a weir_error with the server's own sentence in it.
//
// Waits are bounded: five seconds to connect, `timeout_ms` of silence afterwards. One thread.
#ifndef WEIR_CLI_REMOTE_H
#define WEIR_CLI_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

typedef struct weir__remote weir__remote;

// `url`: http or https, a host, a port and a path to stand before /api/0. `key` (may be NULL) is sent as
// bearer token. INVALID: no such URL.
int weir__remote_open(const char *url, const char *key, uint32_t timeout_ms, weir__remote **remote,
                      weir_error *err);
void weir__remote_close(weir__remote *remote);
// The URL in its normal form.
const char *weir__remote_url(const weir__remote *remote);

// Appends "/" and the segment, every character encoded that means something in a URL.
void weir__remote_add_segment(weir__text *path, const char *segment);

// Takes a piece of the answer's body. Anything but WEIR_OK ends the request and is returned from it.
typedef int weir__remote_sink_fn(void *context, const void *bytes, size_t size, weir_error *err);

typedef struct weir__remote_request {
    const char *method; // "GET", "POST", "DELETE"
    const char *path;   // behind /api/0, encoded: "/buckets/b/events?limit=1"
    const char *body;   // JSON; NULL: none, or fd
    size_t body_size;
    int fd;            // with has_fd: the body, from where it stands, until its end …
    uint64_t fd_bytes; // … or this many bytes, 0: not known
    bool has_fd;
    weir__remote_sink_fn *sink; // NULL: the answer does not matter
    void *context;
    bool (*progress)(void *context, uint64_t sent, uint64_t received); // may be NULL; false: CANCELLED
    void *progress_context;
} weir__remote_request;

// Errors: NOTFOUND (404), EXISTS (304), INVALID, DENIED (401, 403), TOOBIG, BUSY (503), EXPIRED (silence), IO
// (no connection, a broken one, 5xx), the sink's.
int weir__remote_call(weir__remote *remote, const weir__remote_request *request, weir_error *err);

#endif
