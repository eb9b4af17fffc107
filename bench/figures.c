// SPDX-License-Identifier: MIT
//
// Medians, columns, and what a crew did.
#include "bench/figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void weir__bench_pace_of(const weir__crew *crew, unsigned first, unsigned count, weir__bench_pace *pace)
{
    *pace = (weir__bench_pace){0};
    weir__histogram *all = calloc(1, sizeof *all);
    weir__histogram_snapshot *snapshot = calloc(1, sizeof *snapshot);
    uint64_t counted = 0;
    for (unsigned i = first; i < first + count; i++) {
        counted += crew->workers[i].counted;
        pace->gave_up += crew->workers[i].gave_up;
        if (all)
            weir__histogram_merge(all, &crew->workers[i].latency_ns);
    }
    pace->per_s = (double)counted * (double)WEIR__NS_PER_S / (double)crew->window_ns;
    if (all && snapshot) {
        weir__histogram_take(all, snapshot);
        pace->p50_ns = weir__histogram_quantile(snapshot, 0.5);
        pace->p99_ns = weir__histogram_quantile(snapshot, 0.99);
        pace->p999_ns = weir__histogram_quantile(snapshot, 0.999);
        pace->max_ns = snapshot->max;
    }
    free(snapshot);
    free(all);
}

static int compare(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;
    return (*left > *right) - (*left < *right);
}

double weir__bench_median(const double *values, size_t size)
{
    double sorted[WEIR__BENCH_ROUNDS_MAX];
    memcpy(sorted, values, size * sizeof *values); // cppcheck-suppress uninitvar ; `size` of them are set
    qsort(sorted, size, sizeof *sorted, compare);
    return size % 2 ? sorted[size / 2] : (sorted[size / 2 - 1] + sorted[size / 2]) / 2;
}

void weir__bench_add_count(weir__text *out, double value)
{
    char digits[32];
    char grouped[48];
    const int size = snprintf(digits, sizeof digits, "%.0f", value);
    size_t used = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            grouped[used++] = ',';
        grouped[used++] = digits[i];
    }
    grouped[used] = '\0';
    weir__text_printf(out, "%10s", grouped);
}

void weir__bench_add_time(weir__text *out, double time_us, int columns)
{
    static const char *const units[] = {"us", "ms", " s"};
    size_t unit = 0;
    for (; time_us >= 999.5 && unit < 2; unit++)
        time_us /= 1000;
    weir__text_printf(out, "%*.*f %s", columns - 3,
                      time_us < 9.995   ? 2
                      : time_us < 99.95 ? 1
                                        : 0,
                      time_us, units[unit]);
}
