// SPDX-License-Identifier: MIT
//
// The rules of privacy filters, as the setting "privacy_filters" holds them: a JSON array of
//
//     {"enabled": true, "bucket_prefix": "aw-watcher-web", "field": "url", "pattern": "bank",
//      "action": "drop"}
//
// or "action": "redact" with a "replacement". Each looks at one string of an event's data, named by a dotted
// path, with a regular expression that may match anywhere in it.
//
// A match has bounds, because it runs while others wait to write. A text that cannot be searched within them
// counts as one that matches: a filter that gives up must not let through what it was made to hold back.
//
// A set of rules belongs to one thread at a time.
#ifndef WEIR_ACTIVITY_RULES_H
#define WEIR_ACTIVITY_RULES_H

#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

enum {
    WEIR__RULES_MAX = 1000,
    WEIR__RULE_PATTERN_BYTES_MAX = 64 << 10,
    WEIR__RULE_TEXT_BYTES_MAX = 1 << 20, // a longer one counts as one that matches
};

typedef struct weir__rules weir__rules;

typedef enum weir__privacy_verdict {
    WEIR__PRIVACY_KEEP,
    WEIR__PRIVACY_REDACTED, // take `redacted` instead
    WEIR__PRIVACY_DROP,
} weir__privacy_verdict;

// Reads all rules, or none: INVALID and MISMATCH with what is wrong in which rule (counted from 1), TOOBIG,
// NOMEM.
int weir__rules_parse(const char *json, size_t size, weir__rules **rules, weir_error *err);
void weir__rules_free(weir__rules *rules);

// What the rules, in their order, say to an event. `data` and `redacted` (cleared first) are canonical. Errors:
// NOMEM, and INVALID where `data` is no JSON.
int weir__rules_apply(weir__rules *rules, const char *bucket_id, const char *data, size_t data_size,
                      weir__text *redacted, weir__privacy_verdict *verdict, weir_error *err);

#endif
