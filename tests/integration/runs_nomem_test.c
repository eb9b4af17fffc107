// SPDX-License-Identifier: MIT
//
// The engine without memory: the k-th allocation of any thread but the test's fails, for every 8th k from a random
// start until a run passes without meeting it. (All of them take a minute: many failures wait for a retry.) Each
// time the engine lives on: the run ends in a final state, or the caller is told that its start or its end could
// not be recorded, and the next run is recorded whole.
//
// The program's own malloc stands in front of the C library's; under a sanitizer this test does nothing.
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "support/sanitized.h"
#include "support/storage.h"

#if IS_SANITIZED

int main(void)
{
    return skip_sanitized();
}

#else

static atomic_long countdown = -1; // allocations until one fails; below 0: none does
static atomic_bool has_failed;
static _Thread_local bool is_spared;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

static bool must_fail(void)
{
    if (is_spared || atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) != 0)
        return false;
    atomic_store(&has_failed, true);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    return must_fail() ? NULL : __libc_realloc(block, size);
}

static test_storage storage;

static void swallow(void *context, weir__log_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    (void)line;
    (void)size;
}

// A run with everything in it.
static int run(weir_execution *execution, weir_error *err)
{
    const char *const argv[] = {"sh", "-c",
                                "echo out; echo 'STEP_START:A [x=1]'; echo line; echo META:k:v; echo x > f\n"
                                "echo ARTIFACT:f:d; echo STEP_COMPLETE:A; echo STEP_START:B; echo META:l:w",
                                NULL};
    const weir_run_request request = {.argv = argv, .name = "hungry", .working_directory = storage.root};
    char id[WEIR_ID_SIZE];
    *execution = (weir_execution){0};
    const int rc = weir_runs_start(storage.runs, &request, id, NULL, err);
    return rc == WEIR_OK ? weir_runs_wait(storage.runs, id, AWAIT_MS, execution, err) : rc;
}

static void run_whole(void)
{
    weir_execution execution;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(run(&execution, &err), &err);
    assert_int_equal(execution.status, WEIR_RUN_COMPLETED);
    assert_int_equal(execution.completed_steps, 2);
    weir_execution_free(&execution);
}

static void on_event(void *context, const weir_run_event *event)
{
    (void)context;
    (void)event;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    enum { k_max = 5000, stride = 8 };
    uint64_t listener = 0;
    weir_error err = WEIR_ERROR_INIT;
    const weir_config store = {.durability = WEIR_DURABILITY_OFF};
    is_spared = true;
    weir__log_set_sink(swallow, NULL);
    test_storage_init(&storage);
    test_storage_open(&storage, &(weir_runs_config){.store = &store});
    expect_ok(weir_runs_listen(storage.runs, on_event, NULL, &listener, &err), &err);
    run_whole();
    long k = (long)(weir__random_u64() % stride);
    print_message("first %ld\n", k);
    int rounds = 0;
    for (bool more = true; more; k += stride, rounds++) {
        assert_true(k < k_max);
        weir_execution execution;
        atomic_store(&has_failed, false);
        atomic_store(&countdown, k);
        const int rc = run(&execution, &err);
        atomic_store(&countdown, -1);
        more = atomic_load(&has_failed);
        if (rc == WEIR_EXPIRED || (rc == WEIR_OK && !weir_run_status_is_final(execution.status)))
            fail_msg("allocation %ld: the run does not end", k);
        weir_execution_free(&execution);
        if (rounds % 8 == 0)
            run_whole();
    }
    assert_true(k > 50); // it did meet allocations
    run_whole();
    (void)weir_runs_close(storage.runs, 0, NULL); // reports what was lost
    storage.runs = NULL;
    test_storage_fini(&storage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
