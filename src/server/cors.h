// SPDX-License-Identifier: MIT
//
// Which pages may use the activity API from a browser: an Origin header against a list of origins, a list of regular
// expressions, and those that ActivityWatch's clients come from. An origin is a scheme, a host and a port, compared as
// such: http://LOCALHOST:80 is http://localhost.
//
// Immutable once made; weir__cors_check() may be called from any thread.
#ifndef WEIR_SERVER_CORS_H
#define WEIR_SERVER_CORS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/error.h>

#include "server/server.h"

typedef struct weir__cors weir__cors;

typedef enum weir__cors_verdict {
    WEIR__CORS_ALLOWED,
    WEIR__CORS_REFUSED,
    WEIR__CORS_MALFORMED, // no origin at all
} weir__cors_verdict;

// `also` is a second list of origins. Our own pages come from `port` on 127.0.0.1 and localhost. `testing` lets in the
// web interface's development server and every Chrome extension. INVALID names the entry that is no origin or no
// regular expression.
int weir__cors_create(const weir__strings *origins, const weir__strings *also, const weir__strings *regexes,
                      uint16_t port, bool testing, weir__cors **cors, weir_error *err);
void weir__cors_destroy(weir__cors *cors); // NULL is fine

weir__cors_verdict weir__cors_check(const weir__cors *cors, const char *origin);

#endif
