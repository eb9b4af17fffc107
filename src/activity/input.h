// SPDX-License-Identifier: MIT
//
// The input of an import, in memory or in a file, as tokens and as a list of events.
//
// A list is read by the job that writes its events, one event at a time, and again from its beginning when the
// job runs again; so a list remembers nothing but where it begins. One thread at a time.
#ifndef WEIR_ACTIVITY_INPUT_H
#define WEIR_ACTIVITY_INPUT_H

#include "activity/activity.h"
#include "base/json_read.h"

// An input from one of its bytes on.
typedef struct weir__input {
    weir_activity_input from;
    weir__json_reader reader;
} weir__input;

// Does not fail: what cannot be read is reported by the reader. `input` must not move while it is open. `frame`: how
// much deeper than WEIR__JSON_DEPTH_MAX it may be.
void weir__input_open(weir__input *input, const weir_activity_input *from, uint64_t offset, unsigned frame);
void weir__input_close(weir__input *input);

typedef struct weir__input_events {
    const weir_activity_input *from;
    uint64_t offset;   // of the list's bracket
    bool takes_ids;    // else the events lose theirs
    unsigned frame;    // see weir__input_open()
    bool is_lenient;   // what is no event is passed over, else a MISMATCH
    bool is_open;      // from here on: of the pass that is under way
    uint64_t invalid;  // passed over
    uint64_t position; // in the input
    weir__input input;
    weir__text data, checked;
} weir__input_events;

// The next event, checked, and valid until the next call. Opens the list when it has not begun.
int weir__input_events_next(weir__input_events *events, weir_event *event, bool *has, weir_error *err);
void weir__input_events_rewind(weir__input_events *events);
void weir__input_events_fini(weir__input_events *events);

// The same as a source, for weir__activity_insert_all().
weir__activity_source weir__input_events_source(weir__input_events *events);

#endif
