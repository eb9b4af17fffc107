// SPDX-License-Identifier: MIT
//
// The checksum against its definition, written down word by word, on random bytes of many sizes at any alignment,
// in both byte orders, and in pieces. The seed is printed and can be given as $WEIR_FUZZ_SEED.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "wal/format.h"

enum { rounds = 3000, pages_max = 9000, alignments = 8 };

static weir__rng rng;

static uint32_t word_of(const unsigned char *b, bool big_endian)
{
    uint32_t word = 0;
    for (int i = 0; i < 4; i++)
        word = word * 256 + b[big_endian ? i : 3 - i];
    return word;
}

static void define(const unsigned char *b, size_t size, bool big_endian, uint32_t sum[2])
{
    for (size_t i = 0; i < size; i += 8) {
        sum[0] += word_of(b + i, big_endian) + sum[1];
        sum[1] += word_of(b + i + 4, big_endian) + sum[0];
    }
}

static void the_checksum_is_as_defined(void **state)
{
    (void)state;
    for (int round = 0; round < rounds; round++) {
        const size_t size = 8 * (size_t)weir__rng_below(&rng, pages_max / 8);
        const size_t at = (size_t)weir__rng_below(&rng, alignments);
        const size_t cut = size == 0 ? 0 : 8 * (size_t)weir__rng_below(&rng, size / 8);
        const bool big_endian = weir__rng_below(&rng, 2) == 1;
        unsigned char *const block = malloc(size + at + 1);
        assert_non_null(block);
        for (size_t i = 0; i < size + at; i++)
            block[i] = (unsigned char)weir__rng_next(&rng);
        uint32_t wanted[2] = {(uint32_t)weir__rng_next(&rng), (uint32_t)weir__rng_next(&rng)};
        uint32_t got[2] = {wanted[0], wanted[1]};
        uint32_t pieces[2] = {wanted[0], wanted[1]};
        define(block + at, size, big_endian, wanted);
        weir__wal_checksum(block + at, size, big_endian, got);
        weir__wal_checksum(block + at, cut, big_endian, pieces);
        weir__wal_checksum(block + at + cut, size - cut, big_endian, pieces);
        free(block);
        assert_int_equal(got[0], wanted[0]);
        assert_int_equal(got[1], wanted[1]);
        assert_int_equal(pieces[0], wanted[0]);
        assert_int_equal(pieces[1], wanted[1]);
    }
}

static void page_sizes_are_powers_of_two(void **state)
{
    (void)state;
    unsigned count = 0;
    for (uint32_t size = 0; size < 200000; size++)
        count += weir__wal_page_size_is_valid(size);
    assert_int_equal(count, 8);
    for (uint32_t size = 512; size <= 65536; size *= 2)
        assert_true(weir__wal_page_size_is_valid(size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_as_defined),
        cmocka_unit_test(page_sizes_are_powers_of_two),
    };
    const char *const seed_text = getenv("WEIR_FUZZ_SEED");
    const uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : weir__random_u64();
    printf("# WEIR_FUZZ_SEED=%" PRIu64 "\n", seed);
    weir__rng_init(&rng, seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
