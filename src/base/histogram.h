// SPDX-License-Identifier: MIT
//
// A log-linear histogram of uint64 values (nanoseconds, counts): fixed memory, no allocation, at most 3.2 %
// error.
//
// Values below 64 have a bucket each; above, every power of two is split into 32 buckets of equal width. A
// quantile is reported as the largest value of its bucket, so it is never too low and at most 1/32 too high.
//
// Threads: one thread at a time records, merges into or resets a histogram; any thread may snapshot it
// meanwhile. A snapshot taken while values come in may lack the newest ones.
#ifndef WEIR_BASE_HISTOGRAM_H
#define WEIR_BASE_HISTOGRAM_H

#include <stdint.h>

enum { WEIR__HISTOGRAM_BUCKETS = 64 + 58 * 32 };

// Start with {0}. Read and written with relaxed atomics only.
typedef struct weir__histogram {
    uint64_t buckets[WEIR__HISTOGRAM_BUCKETS];
    uint64_t sum;
    uint64_t max;
} weir__histogram;

typedef struct weir__histogram_snapshot {
    uint64_t buckets[WEIR__HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t sum; // wraps around at 2^64
    uint64_t max;
} weir__histogram_snapshot;

void weir__histogram_record(weir__histogram *histogram, uint64_t value);
void weir__histogram_record_n(weir__histogram *histogram, uint64_t value, uint64_t count);

// Adds what src holds to dst. src may be recording.
void weir__histogram_merge(weir__histogram *dst, const weir__histogram *src);

void weir__histogram_take(const weir__histogram *histogram, weir__histogram_snapshot *snapshot);

// The value that a share q (0 to 1) of the values does not exceed; 0 when there are none. q of 1 is the exact
// maximum.
uint64_t weir__histogram_quantile(const weir__histogram_snapshot *snapshot, double q);

#endif
