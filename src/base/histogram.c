// SPDX-License-Identifier: MIT
//
// The histogram's buckets: index(v) = v below 64; above, with e the position of v's highest bit, the five
// bits below it choose one of the 32 buckets of that power of two. The recorder is alone, so an increment is
// a relaxed load and a relaxed store, not a locked instruction.
#include "base/histogram.h"

#include "base/assert.h"

enum { linear_count = 64, linear_bits = 6, sub_bits = 5, sub_count = 1 << sub_bits };

_Static_assert(WEIR__HISTOGRAM_BUCKETS == linear_count + (64 - linear_bits) * sub_count,
               "a bucket for every uint64");

static uint64_t load(const uint64_t *cell)
{
    return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

static void store(uint64_t *cell, uint64_t value)
{
    __atomic_store_n(cell, value, __ATOMIC_RELAXED);
}

static unsigned bucket_of(uint64_t value)
{
    if (value < linear_count)
        return (unsigned)value;
    const unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
    const unsigned sub = (unsigned)(value >> (exponent - sub_bits)) - sub_count;
    return linear_count + (exponent - linear_bits) * sub_count + sub;
}

// The largest value that falls into the bucket.
static uint64_t bucket_max(unsigned index)
{
    if (index < linear_count)
        return index;
    const unsigned exponent = (index - linear_count) / sub_count + linear_bits;
    const uint64_t sub = (index - linear_count) % sub_count + sub_count;
    const unsigned shift = exponent - sub_bits;
    return (sub << shift) + ((UINT64_C(1) << shift) - 1);
}

void weir__histogram_record_n(weir__histogram *histogram, uint64_t value, uint64_t count)
{
    if (count == 0)
        return;
    uint64_t *const bucket = &histogram->buckets[bucket_of(value)];
    store(&histogram->sum, load(&histogram->sum) + value * count);
    if (value > load(&histogram->max))
        store(&histogram->max, value);
    store(bucket, load(bucket) + count);
}

void weir__histogram_record(weir__histogram *histogram, uint64_t value)
{
    weir__histogram_record_n(histogram, value, 1);
}

void weir__histogram_merge(weir__histogram *dst, const weir__histogram *src)
{
    WEIR_ASSERT(dst != src);
    for (unsigned i = 0; i < WEIR__HISTOGRAM_BUCKETS; i++) {
        const uint64_t count = load(&src->buckets[i]);
        if (count > 0)
            store(&dst->buckets[i], load(&dst->buckets[i]) + count);
    }
    store(&dst->sum, load(&dst->sum) + load(&src->sum));
    const uint64_t max = load(&src->max);
    if (max > load(&dst->max))
        store(&dst->max, max);
}

void weir__histogram_take(const weir__histogram *histogram, weir__histogram_snapshot *snapshot)
{
    snapshot->count = 0;
    for (unsigned i = 0; i < WEIR__HISTOGRAM_BUCKETS; i++) {
        snapshot->buckets[i] = load(&histogram->buckets[i]);
        snapshot->count += snapshot->buckets[i];
    }
    snapshot->sum = load(&histogram->sum);
    snapshot->max = load(&histogram->max);
}

uint64_t weir__histogram_quantile(const weir__histogram_snapshot *snapshot, double q)
{
    if (snapshot->count == 0)
        return 0;
    const double clamped = q > 0 ? q : 0;
    if (clamped >= 1)
        return snapshot->max;
    const double wanted = clamped * (double)snapshot->count;
    uint64_t rank = (uint64_t)wanted;
    rank += (double)rank < wanted || rank == 0; // rounded up, and at least the first value
    uint64_t seen = 0;
    for (unsigned i = 0; i < WEIR__HISTOGRAM_BUCKETS; i++) {
        seen += snapshot->buckets[i];
        if (seen >= rank) {
            const uint64_t value = bucket_max(i);
            return value < snapshot->max ? value : snapshot->max;
        }
    }
    return snapshot->max;
}
