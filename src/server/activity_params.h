// SPDX-License-Identifier: MIT
//
// Numbers and dates as ActivityWatch's server reads them from URLs. Pure functions, no locale; any thread.
#ifndef WEIR_SERVER_ACTIVITY_PARAMS_H
#define WEIR_SERVER_ACTIVITY_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/activity.h>

#include "server/uri.h"

// A double as Rust writes and reads it: 60, 60.0, 5., .5, 1e-05, +5, inf, -Infinity, NaN. Nothing around it,
// no hexadecimal. What is too large is infinite.
bool weir__activity_double(const char *text, double *value);

// An event's id: decimal digits with an optional sign, within 64 bits.
bool weir__activity_id(const char *text, int64_t *id);

// The range that the parameters `start`, `end` and `limit` ask for. A limit that is no number, or a negative
// one, is none: clients send -1 for that. INVALID: a date that is none, or that no event can have.
int weir__activity_range(const weir__uri *uri, weir_event_query *query, weir_error *err);

#endif
