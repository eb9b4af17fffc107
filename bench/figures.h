// SPDX-License-Identifier: MIT
//
// Figures that several benchmarks show: medians, and numbers and times in columns.
#ifndef WEIR_BENCH_FIGURES_H
#define WEIR_BENCH_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "bench/crew.h"

enum { WEIR__BENCH_ROUNDS_MAX = 100 };

// What a crew did in its window.
typedef struct weir__bench_pace {
    double per_s;
    uint64_t p50_ns, p99_ns, p999_ns, max_ns;
    uint64_t gave_up;
} weir__bench_pace;

// The workers from `first` on, `count` of them.
void weir__bench_pace_of(const weir__crew *crew, unsigned first, unsigned count, weir__bench_pace *pace);

// Of 1 to WEIR__BENCH_ROUNDS_MAX values.
double weir__bench_median(const double *values, size_t size);

// 1234567 as "1,234,567", in a column of ten.
void weir__bench_add_count(weir__text *out, double value);

// Three digits that matter, in `columns` columns or more.
void weir__bench_add_time(weir__text *out, double time_us, int columns);

#endif
