// SPDX-License-Identifier: MIT
//
// The small grammars of HTTP that the server needs: dates, ranges, entity tags, Content-Disposition, Host and
// Origin. Pure functions over strings; any thread.
#ifndef WEIR_SERVER_HTTP_H
#define WEIR_SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/text.h"

enum {
    WEIR__HTTP_DATE_SIZE = 30,
    WEIR__HTTP_ETAG_SIZE = 40,
    WEIR__HTTP_HOST_SIZE = 256,
    WEIR__HTTP_SCHEME_SIZE = 32
};

// "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale.
void weir__http_date(time_t when, char out[WEIR__HTTP_DATE_SIZE]);
// Reads that form only, the one that servers send. False when it is something else.
bool weir__http_date_parse(const char *text, time_t *when);

// A strong tag from time and size, quotes included: "<mtime in ns, hex>-<size, hex>".
void weir__http_etag(struct timespec mtime, uint64_t size, char out[WEIR__HTTP_ETAG_SIZE]);
// Is `etag` in the list of an If-None-Match (weak comparison), or is that `*`?
bool weir__http_etag_listed(const char *list, const char *etag);

typedef enum weir__range_kind {
    WEIR__RANGE_WHOLE,  // no range, or one that may be ignored: several, another unit, nonsense
    WEIR__RANGE_PART,   // bytes [first, first + size)
    WEIR__RANGE_BEYOND, // 416
} weir__range_kind;

typedef struct weir__range {
    uint64_t first, size;
} weir__range;

// A Range header (NULL: none) against a file of `size` bytes.
weir__range_kind weir__http_range(const char *header, uint64_t size, weir__range *range);

// Appends `attachment; filename="…"; filename*=UTF-8''…` (RFC 6266). The plain form has only harmless ASCII
// in it; the second one is added when that differs from the name.
void weir__http_disposition(weir__text *out, const char *name);

// May `type` be sent as a Content-Type? type/subtype in token characters, optional simple parameters.
bool weir__http_media_type_ok(const char *type);

// May this be a header? A name of token characters, a value without control characters but tabs, and no name
// that a folded line was glued to and that may hide where the body ends.
bool weir__http_header_ok(const char *name, const char *value);

// Takes a Host header apart: the name in lower case without brackets, port and a trailing dot. False when it
// is not of the form NAME[:PORT], 1.2.3.4[:PORT] or [ADDR6][:PORT].
bool weir__http_host(const char *header, char name[WEIR__HTTP_HOST_SIZE]);

// Is it localhost, one of its subdomains, 127.0.0.0/8 or ::1?
bool weir__http_host_is_loopback(const char *name);

// Does an Origin header name the same place as the Host header, over plain HTTP?
bool weir__http_origin_is_own(const char *origin, const char *host_header);

typedef struct weir__origin {
    char scheme[WEIR__HTTP_SCHEME_SIZE]; // lower case, as the host
    char host[WEIR__HTTP_HOST_SIZE];     // without brackets
    unsigned port;                       // the scheme's own where none is given; 0: it has none
} weir__origin;

// Takes an origin apart: scheme://host[:port], and nothing behind it but perhaps one slash. False when it is none.
bool weir__http_origin_parse(const char *text, weir__origin *origin);

// May this stand in a list of origins: scheme://host[:port], and nothing behind it?
bool weir__http_origin_ok(const char *origin);

// Compares without an early exit: the time tells nothing about where two keys differ.
bool weir__http_equal_secret(const char *given, const char *expected);

#endif
