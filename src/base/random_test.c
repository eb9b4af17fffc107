// SPDX-License-Identifier: MIT
//
// Randomness: the form of a UUID, and a generator that repeats itself for the same seed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <string.h>

#include "base/random.h"

static void a_uuid_has_its_form(void **state)
{
    (void)state;
    char before[WEIR__UUID_SIZE] = "";
    for (int round = 0; round < 100; round++) {
        char uuid[WEIR__UUID_SIZE];
        weir__uuid4(uuid);
        assert_int_equal(strlen(uuid), 36);
        for (size_t i = 0; i < 36; i++) {
            const int is_dash = i == 8 || i == 13 || i == 18 || i == 23;
            assert_non_null(strchr(is_dash ? "-" : "0123456789abcdef", uuid[i]));
        }
        assert_int_equal(uuid[14], '4');
        assert_non_null(strchr("89ab", uuid[19]));
        assert_string_not_equal(uuid, before);
        memcpy(before, uuid, sizeof before);
    }
}

static void the_kernel_fills_every_byte(void **state)
{
    (void)state;
    unsigned char bytes[64];
    unsigned char seen[64] = {0};
    for (int round = 0; round < 32; round++) {
        memset(bytes, 0, sizeof bytes);
        weir__random_bytes(bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++)
            seen[i] |= bytes[i];
    }
    for (size_t i = 0; i < sizeof seen; i++)
        assert_int_not_equal(seen[i], 0);
    assert_true(weir__random_u64() != weir__random_u64());
}

static void the_same_seed_gives_the_same_sequence(void **state)
{
    (void)state;
    weir__rng a;
    weir__rng b;
    weir__rng c;
    weir__rng_init(&a, 0);
    weir__rng_init(&b, 0);
    weir__rng_init(&c, 1);
    assert_true(a.state[0] == UINT64_C(0xE220A8397B1DCDAF)); // first output of splitmix64 for seed 0
    int different = 0;
    for (int i = 0; i < 100; i++) {
        const uint64_t value = weir__rng_next(&a);
        assert_true(value == weir__rng_next(&b));
        different += value != weir__rng_next(&c);
    }
    assert_true(different > 90);
}

static void below_stays_below_and_reaches_all(void **state)
{
    (void)state;
    weir__rng rng;
    weir__rng_init(&rng, 3);
    int seen[7] = {0};
    for (int i = 0; i < 1000; i++) {
        const uint64_t value = weir__rng_below(&rng, 7);
        assert_true(value < 7);
        seen[value]++;
        assert_int_equal(weir__rng_below(&rng, 1), 0);
        assert_true(weir__rng_below(&rng, UINT64_C(3) << 62) < UINT64_C(3) << 62);
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(seen[i], 90, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uuid_has_its_form),
        cmocka_unit_test(the_kernel_fills_every_byte),
        cmocka_unit_test(the_same_seed_gives_the_same_sequence),
        cmocka_unit_test(below_stays_below_and_reaches_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
