// SPDX-License-Identifier: MIT
//
// Events and buckets as JSON, in both directions, one object at a time: what bodies of requests, imports and
// exports are made of. The readers stand on base/json_read.h and never hold more than the object at hand.
//
// Errors of the readers: INVALID (no JSON, a date that 64 bits of nanoseconds cannot hold), MISMATCH (JSON of
// another shape), TOOBIG, NOMEM and those of the input. A MISMATCH leaves the reader usable, but somewhere
// within the object; weir__json_leave() brings it out. Pure functions but for the reader; any thread.
#ifndef WEIR_ACTIVITY_JSON_H
#define WEIR_ACTIVITY_JSON_H

#include "base/json_read.h"
#include "base/text.h"
#include "weir/activity.h"

// Reads the next value as an event. Its canonical data are appended to `data`, and event->data points there:
// good until the next append.
int weir__event_read(weir__json_reader *reader, weir_event *event, weir__text *data, weir_error *err);

// What a list of events holds next.
typedef enum weir__event_found {
    WEIR__EVENT_FOUND,
    WEIR__EVENT_INVALID, // an element that is no event, which has been passed over
    WEIR__EVENT_END,     // the list is over
} weir__event_found;

// Reads the next element of an array that has been entered, the way the peer does: what is JSON but no event
// is passed over. `data` is overwritten, event->data points there.
int weir__event_read_lenient(weir__json_reader *reader, weir__event_found *found, weir_event *event,
                             weir__text *data, weir_error *err);

// A field that a reader knows; a table of them ends with a NULL. Which fields an object had is kept as bits, so that
// none comes twice.
typedef struct weir__json_field {
    const char *name;
    unsigned bit;
} weir__json_field;

// The bit of a key, 0 for one that is not in the table; and the other way round.
unsigned weir__json_field_of(const weir__json_field fields[], const weir__json_token *key);
const char *weir__json_field_name(const weir__json_field fields[], unsigned bit);

// Passes over tokens until the reader is at `depth` again.
int weir__json_leave(weir__json_reader *reader, unsigned depth, weir_error *err);

// Reads a date in the form of JSON bodies, or null where `present` is not NULL. `what` names the field.
int weir__json_date(weir__json_reader *reader, const char *what, bool *present, int64_t *ns, weir_error *err);

// Appends a bucket up to and with "events": so that the list, or null, can follow, and then the rest of it.
void weir__bucket_json_begin(weir__text *out, const weir_bucket *bucket);
void weir__bucket_json_end(weir__text *out);

#endif
