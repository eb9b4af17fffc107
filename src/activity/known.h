// SPDX-License-Identifier: MIT
//
// Is an event in its bucket already? Asked by an import for each of its events.
//
// The index leads to the rows of the same moment and end; their data are compared. That is quick while few
// share a moment. Where more than WEIR__KNOWN_FEW do (a crowd, and no watcher makes one), the import would
// take quadratic time; so a crowd's rows are remembered, a hash and an id for each, up to WEIR__KNOWN_MAX.
//
// Belongs to one job, which begins it anew when it runs again.
#ifndef WEIR_ACTIVITY_KNOWN_H
#define WEIR_ACTIVITY_KNOWN_H

#include "activity/activity.h"

enum { WEIR__KNOWN_FEW = 64, WEIR__KNOWN_MAX = 1 << 20 };

typedef struct weir__known_slot {
    uint64_t hash; // 0: free
    int64_t id;    // 0: the mark that a crowd is remembered
} weir__known_slot;

typedef struct weir__known {
    uint64_t seed, multiplier; // random, see known.c
    weir__known_slot *slots;
    size_t count, capacity; // a power of two
    bool is_crowd;          // of the event that was asked for last
    uint64_t hash;          // likewise
    weir__text canonical;
} weir__known;

void weir__known_begin(weir__known *known);
void weir__known_end(weir__known *known);

// `event` is checked. TOOBIG: more than WEIR__KNOWN_MAX events are in crowds.
int weir__known_find(weir__known *known, weir_tx *tx, int64_t bucketrow, const weir_event *event,
                     bool *exists, weir_error *err);
// The event that was asked for last has been inserted.
int weir__known_add(weir__known *known, int64_t id, weir_error *err);

#endif
