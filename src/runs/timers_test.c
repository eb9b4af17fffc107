// SPDX-License-Identifier: MIT
//
// Timers against the plainest model there is: an array that is searched.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "runs/timers.h"

static uint64_t earliest(const weir__timer *all, size_t count)
{
    uint64_t due_ns = WEIR__FOREVER;
    for (size_t i = 0; i < count; i++) {
        if (all[i].place > 0 && all[i].due_ns < due_ns)
            due_ns = all[i].due_ns;
    }
    return due_ns;
}

static void the_first_is_always_the_earliest(void **state)
{
    (void)state;
    enum { count = 100 };
    weir__timer all[count] = {0};
    weir__timers timers = {0};
    weir__rng rng;
    weir__rng_init(&rng, 42);
    assert_int_equal(weir__timers_reserve(&timers, count, NULL), WEIR_OK);
    for (int i = 0; i < 20000; i++) {
        const uint64_t due_ns = weir__rng_below(&rng, 5) == 0 ? WEIR__FOREVER : weir__rng_below(&rng, 1000);
        weir__timers_set(&timers, &all[weir__rng_below(&rng, count)], due_ns);
        const weir__timer *const first = weir__timers_first(&timers);
        assert_int_equal(first != NULL ? first->due_ns : WEIR__FOREVER, earliest(all, count));
    }
    for (size_t i = 0; i < count; i++)
        weir__timers_set(&timers, &all[i], WEIR__FOREVER);
    assert_null(weir__timers_first(&timers));
    weir__timers_free(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_is_always_the_earliest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
