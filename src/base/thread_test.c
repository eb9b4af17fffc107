// SPDX-License-Identifier: MIT
//
// A thread of the library has its name, no signals, and leaves its creator's mask alone.
#include "base/thread.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct seen {
    sigset_t mask;
    pthread_barrier_t named;
    char name[16];
} seen;

static void *look(void *arg)
{
    seen *s = arg;
    pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
    pthread_barrier_wait(&s->named);
    pthread_getname_np(pthread_self(), s->name, sizeof s->name);
    return NULL;
}

static void test_named_and_without_signals(void **state)
{
    (void)state;
    seen s;
    pthread_t thread;
    sigset_t mine;
    pthread_barrier_init(&s.named, NULL, 2);
    assert_int_equal(weir__thread_start(&thread, "weir-a-name-that-is-too-long", look, &s, NULL), WEIR_OK);
    pthread_barrier_wait(&s.named);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&s.named);
    assert_string_equal(s.name, "weir-a-name-tha");
    assert_int_equal(sigismember(&s.mask, SIGTERM), 1);
    assert_int_equal(sigismember(&s.mask, SIGINT), 1);
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_int_equal(sigismember(&mine, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_named_and_without_signals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
