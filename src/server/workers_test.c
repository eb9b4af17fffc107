// SPDX-License-Identifier: MIT
//
// The workers: all work is done once, a full queue refuses, stopping finishes what was accepted.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/workers.h"

static atomic_int done;

static void count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&done, 1);
}

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool entered, open; // lock
} gate;

static void pass(void *arg)
{
    gate *self = arg;
    pthread_mutex_lock(&self->lock);
    self->entered = true;
    pthread_cond_broadcast(&self->changed);
    while (!self->open)
        pthread_cond_wait(&self->changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
}

static void a_full_queue_refuses_and_stopping_finishes(void **state)
{
    (void)state;
    weir__workers *workers = NULL;
    gate self = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    atomic_store(&done, 0);
    assert_int_equal(weir__workers_create(1, 3, &workers, NULL), WEIR_OK);
    assert_true(weir__workers_submit(workers, pass, &self));
    pthread_mutex_lock(&self.lock);
    while (!self.entered)
        pthread_cond_wait(&self.changed, &self.lock);
    pthread_mutex_unlock(&self.lock);
    for (int i = 0; i < 3; i++)
        assert_true(weir__workers_submit(workers, count, NULL));
    assert_false(weir__workers_submit(workers, count, NULL));
    pthread_mutex_lock(&self.lock);
    self.open = true;
    pthread_cond_broadcast(&self.changed);
    pthread_mutex_unlock(&self.lock);
    weir__workers_stop(workers);
    assert_int_equal(atomic_load(&done), 3);
    assert_false(weir__workers_submit(workers, count, NULL));
    weir__workers_destroy(workers);
    assert_int_equal(atomic_load(&done), 3);
}

static void many_threads_share_the_work(void **state)
{
    (void)state;
    weir__workers *workers = NULL;
    int accepted = 0;
    atomic_store(&done, 0);
    assert_int_equal(weir__workers_create(4, 64, &workers, NULL), WEIR_OK);
    for (int i = 0; i < 10000; i++)
        accepted += weir__workers_submit(workers, count, NULL) ? 1 : 0;
    assert_true(accepted >= 64);
    weir__workers_destroy(workers);
    assert_int_equal(atomic_load(&done), accepted);
    weir__workers_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_queue_refuses_and_stopping_finishes),
        cmocka_unit_test(many_threads_share_the_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
