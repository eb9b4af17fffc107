// SPDX-License-Identifier: MIT
//
// Time as the engine sees it: a small interface, so that a test can put a clock of its own underneath and
// move it by hand (clock_fake.h). Two times exist and are never mixed:
//   - monotonic nanoseconds, for deadlines, ages and durations; the zero point means nothing;
//   - wall microseconds since 1970-01-01 UTC, for what people read and what goes into a database.
// Every function may be called from any thread.
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>

#define WEIR__NS_PER_US UINT64_C(1000)
#define WEIR__NS_PER_MS UINT64_C(1000000)
#define WEIR__NS_PER_S UINT64_C(1000000000)
#define WEIR__US_PER_MS INT64_C(1000)
#define WEIR__US_PER_S INT64_C(1000000)
#define WEIR__FOREVER UINT64_MAX

typedef struct weir__clock weir__clock;

struct weir__clock {
    // Monotonic time in nanoseconds.
    uint64_t (*now_ns)(weir__clock *clock);

    // Wall time in microseconds since 1970 UTC. It may jump.
    int64_t (*wall_us)(weir__clock *clock);

    // Waits as pthread_cond_wait does, at most until now_ns() == until_ns; WEIR__FOREVER waits without a
    // limit. The condition must come from weir__cond_init(). Returns 0 or ETIMEDOUT; may return 0 without a
    // reason, so call it in a loop over the condition one waits for.
    int (*cond_wait_until)(weir__clock *clock, pthread_cond_t *cond, pthread_mutex_t *mutex,
                           uint64_t until_ns);

    // Sleeps until now_ns() >= until_ns.
    void (*sleep_until)(weir__clock *clock, uint64_t until_ns);
};

// CLOCK_MONOTONIC and CLOCK_REALTIME. Lives as long as the process.
weir__clock *weir__clock_system(void);

// A condition variable whose timeouts are on CLOCK_MONOTONIC. Destroy with pthread_cond_destroy().
void weir__cond_init(pthread_cond_t *cond);

static inline uint64_t weir__clock_now_ns(weir__clock *clock)
{
    return clock->now_ns(clock);
}

static inline int64_t weir__clock_wall_us(weir__clock *clock)
{
    return clock->wall_us(clock);
}

static inline int weir__cond_wait_until(weir__clock *clock, pthread_cond_t *cond, pthread_mutex_t *mutex,
                                        uint64_t until_ns)
{
    return clock->cond_wait_until(clock, cond, mutex, until_ns);
}

static inline void weir__clock_sleep_until(weir__clock *clock, uint64_t until_ns)
{
    clock->sleep_until(clock, until_ns);
}

// start + duration, WEIR__FOREVER where the sum does not fit. A duration of WEIR__FOREVER stays
// WEIR__FOREVER.
static inline uint64_t weir__deadline_ns(uint64_t start_ns, uint64_t duration_ns)
{
    return duration_ns >= WEIR__FOREVER - start_ns ? WEIR__FOREVER : start_ns + duration_ns;
}

#endif
