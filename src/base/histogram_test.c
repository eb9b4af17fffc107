// SPDX-License-Identifier: MIT
//
// The histogram against exact answers: error bound at every magnitude, extremes, merging, a snapshot beside a
// recorder.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "base/histogram.h"
#include "base/random.h"

enum { sample_count = 20000, concurrent_count = 200000 };

static weir__histogram *new_histogram(void)
{
    weir__histogram *const histogram = calloc(1, sizeof *histogram);
    assert_non_null(histogram);
    return histogram;
}

static weir__histogram_snapshot *new_snapshot(const weir__histogram *histogram)
{
    weir__histogram_snapshot *const snapshot = malloc(sizeof *snapshot);
    assert_non_null(snapshot);
    weir__histogram_take(histogram, snapshot);
    return snapshot;
}

static void an_empty_one_answers_zero(void **state)
{
    (void)state;
    weir__histogram *const histogram = new_histogram();
    weir__histogram_record_n(histogram, 5, 0);
    weir__histogram_snapshot *const snapshot = new_snapshot(histogram);
    assert_int_equal(snapshot->count, 0);
    assert_int_equal(weir__histogram_quantile(snapshot, 0.5), 0);
    assert_int_equal(weir__histogram_quantile(snapshot, 1), 0);
    free(snapshot);
    free(histogram);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    weir__histogram *const histogram = new_histogram();
    for (uint64_t value = 1; value <= 50; value++)
        weir__histogram_record(histogram, value);
    weir__histogram_snapshot *const snapshot = new_snapshot(histogram);
    assert_int_equal(snapshot->count, 50);
    assert_int_equal(snapshot->sum, 1275);
    assert_int_equal(snapshot->max, 50);
    assert_int_equal(weir__histogram_quantile(snapshot, -1), 1);
    assert_int_equal(weir__histogram_quantile(snapshot, 0), 1);
    assert_int_equal(weir__histogram_quantile(snapshot, 0.5), 25);
    assert_int_equal(weir__histogram_quantile(snapshot, 0.51), 26);
    assert_int_equal(weir__histogram_quantile(snapshot, 1), 50);
    free(snapshot);
    free(histogram);
}

// One value below, one at and one above every power of two, each alone in a histogram beside a larger one.
static void the_error_is_bounded_at_every_magnitude(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            const uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)delta;
            weir__histogram *const histogram = new_histogram();
            weir__histogram_record(histogram, value);
            weir__histogram_record(histogram, UINT64_MAX);
            weir__histogram_snapshot *const snapshot = new_snapshot(histogram);
            const uint64_t reported = weir__histogram_quantile(snapshot, 0.5);
            if (reported < value || reported - value > value / 32)
                fail_msg("%llu was reported as %llu", (unsigned long long)value,
                         (unsigned long long)reported);
            assert_true(snapshot->max == UINT64_MAX);
            free(snapshot);
            free(histogram);
        }
    }
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_match_a_sorted_list(void **state)
{
    (void)state;
    static const double quantiles[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999};
    weir__rng rng;
    weir__rng_init(&rng, 7);
    weir__histogram *const histogram = new_histogram();
    uint64_t *const values = malloc(sample_count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < sample_count; i++) {
        values[i] = weir__rng_next(&rng) >> weir__rng_below(&rng, 64);
        weir__histogram_record(histogram, values[i]);
    }
    qsort(values, sample_count, sizeof *values, compare_u64);
    weir__histogram_snapshot *const snapshot = new_snapshot(histogram);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        const size_t rank = (size_t)(quantiles[i] * sample_count + 0.999999);
        const uint64_t exact = values[rank - 1];
        const uint64_t reported = weir__histogram_quantile(snapshot, quantiles[i]);
        if (reported < exact || reported - exact > exact / 32)
            fail_msg("seed 7, quantile %f: %llu, exactly %llu", quantiles[i], (unsigned long long)reported,
                     (unsigned long long)exact);
    }
    free(snapshot);
    free(values);
    free(histogram);
}

static void merging_adds_up(void **state)
{
    (void)state;
    weir__histogram *const a = new_histogram();
    weir__histogram *const b = new_histogram();
    weir__histogram_record_n(a, 10, 3);
    weir__histogram_record_n(b, 1000, 2);
    weir__histogram_merge(a, b);
    weir__histogram_snapshot *const snapshot = new_snapshot(a);
    assert_int_equal(snapshot->count, 5);
    assert_int_equal(snapshot->sum, 2030);
    assert_int_equal(snapshot->max, 1000);
    assert_int_equal(weir__histogram_quantile(snapshot, 0.6), 10);
    assert_int_equal(weir__histogram_quantile(snapshot, 0.61), 1000);
    free(snapshot);
    free(b);
    free(a);
}

static void *record_many(void *argument)
{
    for (uint64_t i = 0; i < concurrent_count; i++)
        weir__histogram_record(argument, i);
    return NULL;
}

static void a_snapshot_beside_the_recorder_only_grows(void **state)
{
    (void)state;
    weir__histogram *const histogram = new_histogram();
    weir__histogram_snapshot *const snapshot = new_snapshot(histogram);
    pthread_t thread;
    pthread_create(&thread, NULL, record_many, histogram);
    uint64_t count_before = 0;
    for (int i = 0; i < 200; i++) {
        weir__histogram_take(histogram, snapshot);
        assert_true(snapshot->count >= count_before);
        count_before = snapshot->count;
    }
    pthread_join(thread, NULL);
    weir__histogram_take(histogram, snapshot);
    assert_int_equal(snapshot->count, concurrent_count);
    assert_int_equal(snapshot->max, concurrent_count - 1);
    free(snapshot);
    free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_answers_zero),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(the_error_is_bounded_at_every_magnitude),
        cmocka_unit_test(quantiles_match_a_sorted_list),
        cmocka_unit_test(merging_adds_up),
        cmocka_unit_test(a_snapshot_beside_the_recorder_only_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
