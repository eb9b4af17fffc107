// SPDX-License-Identifier: MIT
//
// The fake clock. Every thread that waits puts a record into a list; advance() moves the time and wakes those
// whose time has come.
//
// The lost wake-up to beware of: a waiter holds its own mutex M, enters its record under our lock F, leaves
// F, and only then sleeps on its condition. A broadcast between the two would wake nobody. So advance()
// broadcasts while it holds M, which the waiter gives up only by sleeping. Order of locks is M before F, so
// advance(), which holds F, only *tries* M, and backs off from F when M is taken. Holding F it may use M and
// the condition safely: while the record is in the list, its thread has not returned from the wait.
#include "base/clock_fake.h"

#include <errno.h>
#include <sched.h>

#include "base/assert.h"

typedef struct weir__clock_fake_wait {
    pthread_cond_t *cond;   // NULL for a sleeper, who waits on fake->changed
    pthread_mutex_t *mutex; // NULL for a sleeper
    uint64_t until_ns;
    bool woken; // its time has come and it was told so
    struct weir__clock_fake_wait *next;
} fake_wait;

static const int await_limit_s = 30;

static weir__clock_fake *fake_of(weir__clock *clock)
{
    return (weir__clock_fake *)clock;
}

static void lock(weir__clock_fake *fake)
{
    const int rc = pthread_mutex_lock(&fake->lock);
    WEIR_ASSERT(rc == 0);
}

static void unlock(weir__clock_fake *fake)
{
    const int rc = pthread_mutex_unlock(&fake->lock);
    WEIR_ASSERT(rc == 0);
}

static void list_add(weir__clock_fake *fake, fake_wait *wait)
{
    wait->next = fake->waiters;
    fake->waiters = wait;
    pthread_cond_broadcast(&fake->changed);
}

static void list_remove(weir__clock_fake *fake, const fake_wait *wait)
{
    fake_wait **link = &fake->waiters;
    while (*link != wait) {
        WEIR_ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    *link = wait->next;
}

static uint64_t fake_now_ns(weir__clock *clock)
{
    weir__clock_fake *const fake = fake_of(clock);
    lock(fake);
    const uint64_t now_ns = fake->now_ns;
    unlock(fake);
    return now_ns;
}

static int64_t fake_wall_us(weir__clock *clock)
{
    weir__clock_fake *const fake = fake_of(clock);
    lock(fake);
    const int64_t wall_us = fake->wall_us;
    unlock(fake);
    return wall_us;
}

static int fake_cond_wait_until(weir__clock *clock, pthread_cond_t *cond, pthread_mutex_t *mutex,
                                uint64_t until_ns)
{
    weir__clock_fake *const fake = fake_of(clock);
    fake_wait wait = {.cond = cond, .mutex = mutex, .until_ns = until_ns};
    lock(fake);
    if (until_ns <= fake->now_ns) {
        unlock(fake);
        return ETIMEDOUT;
    }
    list_add(fake, &wait);
    unlock(fake);

    const int rc = pthread_cond_wait(cond, mutex);
    WEIR_ASSERT(rc == 0);

    lock(fake);
    list_remove(fake, &wait);
    const bool expired = until_ns <= fake->now_ns;
    unlock(fake);
    return expired ? ETIMEDOUT : 0;
}

static void fake_sleep_until(weir__clock *clock, uint64_t until_ns)
{
    weir__clock_fake *const fake = fake_of(clock);
    fake_wait wait = {.until_ns = until_ns};
    lock(fake);
    if (until_ns > fake->now_ns) {
        list_add(fake, &wait);
        while (until_ns > fake->now_ns)
            pthread_cond_wait(&fake->changed, &fake->lock);
        list_remove(fake, &wait);
    }
    unlock(fake);
}

void weir__clock_fake_init(weir__clock_fake *fake)
{
    *fake = (weir__clock_fake){
        .clock = {.now_ns = fake_now_ns,
                  .wall_us = fake_wall_us,
                  .cond_wait_until = fake_cond_wait_until,
                  .sleep_until = fake_sleep_until},
        .now_ns = WEIR__NS_PER_S,
        .wall_us = INT64_C(1577836800) * WEIR__US_PER_S,
    };
    const int rc = pthread_mutex_init(&fake->lock, NULL);
    WEIR_ASSERT(rc == 0);
    weir__cond_init(&fake->changed);
}

void weir__clock_fake_fini(weir__clock_fake *fake)
{
    WEIR_ASSERT(fake->waiters == NULL);
    pthread_cond_destroy(&fake->changed);
    pthread_mutex_destroy(&fake->lock);
}

// Wakes one waiter after the other whose time has come. Returns false when somebody's mutex is taken. Called
// with F held.
static bool wake_the_due(weir__clock_fake *fake)
{
    for (fake_wait *wait = fake->waiters; wait != NULL; wait = wait->next) {
        if (wait->woken || wait->until_ns > fake->now_ns)
            continue;
        if (wait->mutex != NULL) {
            if (pthread_mutex_trylock(wait->mutex) != 0)
                return false;
            pthread_cond_broadcast(wait->cond);
            pthread_mutex_unlock(wait->mutex);
        }
        wait->woken = true;
    }
    return true;
}

void weir__clock_fake_advance(weir__clock_fake *fake, uint64_t ns)
{
    lock(fake);
    WEIR_ASSERT(ns < WEIR__FOREVER - fake->now_ns);
    fake->now_ns += ns;
    fake->wall_us += (int64_t)(ns / WEIR__NS_PER_US);
    pthread_cond_broadcast(&fake->changed);
    while (!wake_the_due(fake)) {
        unlock(fake);
        sched_yield();
        lock(fake);
    }
    unlock(fake);
}

void weir__clock_fake_set_wall_us(weir__clock_fake *fake, int64_t wall_us)
{
    lock(fake);
    fake->wall_us = wall_us;
    unlock(fake);
}

static size_t count_waiters(const weir__clock_fake *fake)
{
    size_t count = 0;
    for (const fake_wait *wait = fake->waiters; wait != NULL; wait = wait->next)
        count += wait->until_ns > fake->now_ns;
    return count;
}

size_t weir__clock_fake_waiters(weir__clock_fake *fake)
{
    lock(fake);
    const size_t count = count_waiters(fake);
    unlock(fake);
    return count;
}

bool weir__clock_fake_await_waiters(weir__clock_fake *fake, size_t count)
{
    weir__clock *const real = weir__clock_system();
    const uint64_t limit_ns = weir__clock_now_ns(real) + (uint64_t)await_limit_s * WEIR__NS_PER_S;
    lock(fake);
    int rc = 0;
    while (count_waiters(fake) < count && rc == 0)
        rc = weir__cond_wait_until(real, &fake->changed, &fake->lock, limit_ns);
    const bool arrived = count_waiters(fake) >= count;
    unlock(fake);
    return arrived;
}
