// SPDX-License-Identifier: MIT
//
// The system's clocks behind the interface of clock.h. No state beyond the table of functions; any thread.
#include "base/clock.h"

#include <errno.h>
#include <time.h>

#include "base/assert.h"

// Until_ns values beyond this would overflow a signed time_t computation somewhere; 292 years are forever
// enough.
static const uint64_t until_ns_max = INT64_MAX;

static struct timespec timespec_of_ns(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / WEIR__NS_PER_S), .tv_nsec = (long)(ns % WEIR__NS_PER_S)};
}

static uint64_t system_now_ns(weir__clock *clock)
{
    (void)clock;
    struct timespec now;
    const int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    WEIR_ASSERT(rc == 0);
    return (uint64_t)now.tv_sec * WEIR__NS_PER_S + (uint64_t)now.tv_nsec;
}

static int64_t system_wall_us(weir__clock *clock)
{
    (void)clock;
    struct timespec now;
    const int rc = clock_gettime(CLOCK_REALTIME, &now);
    WEIR_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * WEIR__US_PER_S + (int64_t)now.tv_nsec / 1000;
}

static int system_cond_wait_until(weir__clock *clock, pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  uint64_t until_ns)
{
    (void)clock;
    int rc = 0;
    if (until_ns > until_ns_max) {
        rc = pthread_cond_wait(cond, mutex);
    } else {
        const struct timespec until = timespec_of_ns(until_ns);
        rc = pthread_cond_timedwait(cond, mutex, &until);
    }
    WEIR_ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc;
}

static void system_sleep_until(weir__clock *clock, uint64_t until_ns)
{
    (void)clock;
    const struct timespec until = timespec_of_ns(until_ns < until_ns_max ? until_ns : until_ns_max);
    int rc = 0;
    do {
        rc = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    } while (rc == EINTR);
    WEIR_ASSERT(rc == 0);
}

weir__clock *weir__clock_system(void)
{
    static weir__clock system_clock = {
        .now_ns = system_now_ns,
        .wall_us = system_wall_us,
        .cond_wait_until = system_cond_wait_until,
        .sleep_until = system_sleep_until,
    };
    return &system_clock;
}

void weir__cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    int rc = pthread_condattr_init(&attributes);
    WEIR_ASSERT(rc == 0);
    rc = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    WEIR_ASSERT(rc == 0);
    rc = pthread_cond_init(cond, &attributes);
    WEIR_ASSERT(rc == 0);
    rc = pthread_condattr_destroy(&attributes);
    WEIR_ASSERT(rc == 0);
}
