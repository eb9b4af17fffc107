// SPDX-License-Identifier: MIT
//
// A failed assertion says where and what, and ends the process with SIGABRT; one that holds does nothing,
// also where the compiler was told NDEBUG.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NDEBUG
#include "base/assert.h"

static void a_failed_assertion_aborts_with_its_place(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(fds[1], STDERR_FILENO);
        struct sigaction standard = {.sa_handler = SIG_DFL}; // cmocka and sanitizers catch it
        sigaction(SIGABRT, &standard, NULL);
        WEIR_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(fds[1]);
    char text[512] = "";
    const ssize_t size = read(fds[0], text, sizeof text - 1);
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(size > 0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "assert_test.c:"));
    assert_non_null(strstr(text, "1 + 1 == 3"));
}

static void one_that_holds_is_evaluated_once(void **state)
{
    (void)state;
    int count = 0;
    WEIR_ASSERT(++count == 1);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_assertion_aborts_with_its_place),
        cmocka_unit_test(one_that_holds_is_evaluated_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
