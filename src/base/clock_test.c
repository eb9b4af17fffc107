// SPDX-License-Identifier: MIT
//
// The system's clock keeps its promises, and the fake one wakes whom it should, when it should, and never
// loses anybody.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>

#include "base/clock_fake.h"

enum { rounds = 2000 };

static void system_time_goes_on_and_waits_expire(void **state)
{
    (void)state;
    weir__clock *const clock = weir__clock_system();
    const uint64_t start_ns = weir__clock_now_ns(clock);
    weir__clock_sleep_until(clock, start_ns + WEIR__NS_PER_MS);
    assert_true(weir__clock_now_ns(clock) >= start_ns + WEIR__NS_PER_MS);
    assert_true(weir__clock_wall_us(clock) > INT64_C(1577836800) * WEIR__US_PER_S); // after 2020

    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    weir__cond_init(&cond);
    pthread_mutex_lock(&mutex);
    const uint64_t until_ns = weir__clock_now_ns(clock) + WEIR__NS_PER_MS;
    int rc = 0;
    while (rc == 0)
        rc = weir__cond_wait_until(clock, &cond, &mutex, until_ns);
    assert_int_equal(rc, ETIMEDOUT);
    assert_true(weir__clock_now_ns(clock) >= until_ns);
    assert_int_equal(weir__cond_wait_until(clock, &cond, &mutex, 0), ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
    pthread_cond_destroy(&cond);
}

static void a_deadline_does_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(weir__deadline_ns(5, 7), 12);
    assert_true(weir__deadline_ns(5, WEIR__FOREVER) == WEIR__FOREVER);
    assert_true(weir__deadline_ns(WEIR__FOREVER - 1, 2) == WEIR__FOREVER);
}

typedef struct waiter {
    weir__clock_fake *fake;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool signalled; // under mutex
    uint64_t until_ns;
    int rc;           // of the last wait
    uint64_t woke_ns; // what the clock said then
} waiter;

static void waiter_init(waiter *w, weir__clock_fake *fake, uint64_t until_ns)
{
    *w = (waiter){.fake = fake, .until_ns = until_ns};
    pthread_mutex_init(&w->mutex, NULL);
    weir__cond_init(&w->cond);
}

static void waiter_fini(waiter *w)
{
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->mutex);
}

static void *wait_once(void *argument)
{
    waiter *const w = argument;
    pthread_mutex_lock(&w->mutex);
    while (!w->signalled && w->rc == 0)
        w->rc = weir__cond_wait_until(&w->fake->clock, &w->cond, &w->mutex, w->until_ns);
    w->woke_ns = weir__clock_now_ns(&w->fake->clock);
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static void the_fake_wakes_only_those_whose_time_has_come(void **state)
{
    (void)state;
    weir__clock_fake fake;
    weir__clock_fake_init(&fake);
    const uint64_t start_ns = weir__clock_now_ns(&fake.clock);
    waiter early;
    waiter late;
    waiter_init(&early, &fake, start_ns + 10);
    waiter_init(&late, &fake, start_ns + 20);
    pthread_t early_thread;
    pthread_t late_thread;
    pthread_create(&early_thread, NULL, wait_once, &early);
    pthread_create(&late_thread, NULL, wait_once, &late);
    assert_true(weir__clock_fake_await_waiters(&fake, 2));

    weir__clock_fake_advance(&fake, 9);
    assert_int_equal(weir__clock_fake_waiters(&fake), 2);
    weir__clock_fake_advance(&fake, 1);
    pthread_join(early_thread, NULL);
    assert_int_equal(early.rc, ETIMEDOUT);
    assert_int_equal(early.woke_ns, start_ns + 10);
    assert_int_equal(weir__clock_fake_waiters(&fake), 1);
    weir__clock_fake_advance(&fake, 1000);
    pthread_join(late_thread, NULL);
    assert_int_equal(late.rc, ETIMEDOUT);
    waiter_fini(&late);
    waiter_fini(&early);
    weir__clock_fake_fini(&fake);
}

static void a_signal_wakes_without_time_moving(void **state)
{
    (void)state;
    weir__clock_fake fake;
    weir__clock_fake_init(&fake);
    waiter w;
    waiter_init(&w, &fake, WEIR__FOREVER);
    pthread_t thread;
    pthread_create(&thread, NULL, wait_once, &w);
    assert_true(weir__clock_fake_await_waiters(&fake, 1));
    weir__clock_fake_advance(&fake, WEIR__NS_PER_S * 1000000); // never due
    assert_int_equal(weir__clock_fake_waiters(&fake), 1);
    pthread_mutex_lock(&w.mutex);
    w.signalled = true;
    pthread_cond_signal(&w.cond);
    pthread_mutex_unlock(&w.mutex);
    pthread_join(thread, NULL);
    assert_int_equal(w.rc, 0);
    assert_int_equal(weir__clock_fake_waiters(&fake), 0);
    waiter_fini(&w);
    weir__clock_fake_fini(&fake);
}

static void a_time_that_has_passed_does_not_wait(void **state)
{
    (void)state;
    weir__clock_fake fake;
    weir__clock_fake_init(&fake);
    waiter w;
    waiter_init(&w, &fake, weir__clock_now_ns(&fake.clock));
    wait_once(&w);
    assert_int_equal(w.rc, ETIMEDOUT);
    weir__clock_sleep_until(&fake.clock, weir__clock_now_ns(&fake.clock));
    waiter_fini(&w);
    weir__clock_fake_fini(&fake);
}

// Waits for one tick after the other, as fast as it can: a lost wake-up would leave it asleep for good.
static void *wait_for_each_tick(void *argument)
{
    waiter *const w = argument;
    pthread_mutex_lock(&w->mutex);
    for (int i = 0; i < rounds; i++) {
        const uint64_t until_ns = weir__clock_now_ns(&w->fake->clock) + 1;
        while (weir__cond_wait_until(&w->fake->clock, &w->cond, &w->mutex, until_ns) == 0)
            continue;
    }
    w->signalled = true;
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    weir__clock_fake fake;
    weir__clock_fake_init(&fake);
    waiter w;
    waiter_init(&w, &fake, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_each_tick, &w);
    for (int i = 0; i < rounds; i++) {
        assert_true(weir__clock_fake_await_waiters(&fake, 1)); // fails after its limit if one was lost
        weir__clock_fake_advance(&fake, 1);
    }
    pthread_join(thread, NULL);
    assert_true(w.signalled);
    waiter_fini(&w);
    weir__clock_fake_fini(&fake);
}

static void *sleep_10_ns(void *argument)
{
    weir__clock_fake *const fake = argument;
    weir__clock_sleep_until(&fake->clock, weir__clock_now_ns(&fake->clock) + 10);
    return NULL;
}

static void a_sleeper_is_woken_too(void **state)
{
    (void)state;
    weir__clock_fake fake;
    weir__clock_fake_init(&fake);
    pthread_t thread;
    pthread_create(&thread, NULL, sleep_10_ns, &fake);
    assert_true(weir__clock_fake_await_waiters(&fake, 1));
    weir__clock_fake_advance(&fake, 10);
    pthread_join(thread, NULL);
    weir__clock_fake_fini(&fake);
}

static void the_wall_clock_moves_along_and_can_be_set(void **state)
{
    (void)state;
    weir__clock_fake fake;
    weir__clock_fake_init(&fake);
    const int64_t start_us = weir__clock_wall_us(&fake.clock);
    weir__clock_fake_advance(&fake, 3 * WEIR__NS_PER_MS);
    assert_int_equal(weir__clock_wall_us(&fake.clock), start_us + 3000);
    const uint64_t now_ns = weir__clock_now_ns(&fake.clock);
    weir__clock_fake_set_wall_us(&fake, 5);
    assert_int_equal(weir__clock_wall_us(&fake.clock), 5);
    assert_int_equal(weir__clock_now_ns(&fake.clock), now_ns);
    weir__clock_fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_time_goes_on_and_waits_expire),
        cmocka_unit_test(a_deadline_does_not_overflow),
        cmocka_unit_test(the_fake_wakes_only_those_whose_time_has_come),
        cmocka_unit_test(a_signal_wakes_without_time_moving),
        cmocka_unit_test(a_time_that_has_passed_does_not_wait),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(a_sleeper_is_woken_too),
        cmocka_unit_test(the_wall_clock_moves_along_and_can_be_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
