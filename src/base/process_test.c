// SPDX-License-Identifier: MIT
//
// Who a process is: this one, a child with a hostile name, a zombie, one that never was, one of an earlier
// boot.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "base/text.h"

// Starts a child that names itself and lives until the returned descriptor is closed.
static pid_t start_child(const char *name, int *hold)
{
    int hold_pipe[2];
    int ready_pipe[2];
    assert_int_equal(pipe(hold_pipe), 0);
    assert_int_equal(pipe(ready_pipe), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(hold_pipe[1]);
        prctl(PR_SET_NAME, name);
        char byte = 'r';
        if (write(ready_pipe[1], &byte, 1) != 1)
            _exit(1);
        _exit(read(hold_pipe[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(hold_pipe[0]);
    close(ready_pipe[1]);
    char byte = 0;
    assert_int_equal(read(ready_pipe[0], &byte, 1), 1);
    close(ready_pipe[0]);
    *hold = hold_pipe[1];
    return child;
}

static void this_process_is_alive(void **state)
{
    (void)state;
    weir__process_id self;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__process_self(&self, &err), WEIR_OK);
    assert_int_equal(self.pid, getpid());
    assert_true(self.start_ticks > 0);
    assert_int_equal(strlen(self.boot_id), WEIR__BOOT_ID_SIZE - 1);
    assert_true(weir__process_alive(self.pid, self.start_ticks, self.boot_id));
    assert_false(weir__process_alive(self.pid, self.start_ticks + 1, self.boot_id)); // the pid was reused
    assert_false(weir__process_alive(self.pid, self.start_ticks, "00000000-0000-0000-0000-000000000000"));
    assert_false(weir__process_alive(0, self.start_ticks, self.boot_id));
    assert_false(weir__process_alive(-1, self.start_ticks, self.boot_id));
}

static void a_hostile_name_does_not_shift_the_fields(void **state)
{
    (void)state;
    static const char *const names[] = {"a) Z 1 2 3", ") (", "x\ny", "  "};
    weir__process_id self;
    assert_int_equal(weir__process_self(&self, NULL), WEIR_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int hold = -1;
        const pid_t child = start_child(names[i], &hold);
        uint64_t ticks = 0;
        weir_error err = WEIR_ERROR_INIT;
        assert_int_equal(weir__process_start_ticks(child, &ticks, &err), WEIR_OK);
        assert_in_range(ticks, self.start_ticks, self.start_ticks + 6000); // within a minute
        assert_true(weir__process_alive(child, ticks, self.boot_id));
        close(hold);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
        assert_false(weir__process_alive(child, ticks, self.boot_id)); // a zombie
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_false(weir__process_alive(child, ticks, self.boot_id));
        assert_int_equal(weir__process_start_ticks(child, &ticks, &err), WEIR_NOTFOUND);
    }
}

static void a_command_line_is_readable(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    int hold[2];
    assert_int_equal(pipe(hold), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(hold[0], STDIN_FILENO);
        dup2(ready[1], STDOUT_FILENO);
        close(hold[1]);
        execl("/bin/sh", "sh", "-c", "echo r; read x; exit 0", "a\nb", "\xFF", (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    close(hold[0]);
    char byte = 0;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    char command[128];
    const size_t size = weir__process_command(child, command, sizeof command);
    assert_string_equal(command, "sh -c echo r; read x; exit 0 a?b \xEF\xBF\xBD");
    assert_int_equal(size, strlen(command));
    char tiny[4];
    assert_int_equal(weir__process_command(child, tiny, sizeof tiny), 3);
    assert_string_equal(tiny, "sh ");
    close(hold[1]);
    close(ready[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(weir__process_command(child, command, sizeof command), 0);
    assert_string_equal(command, "");
}

static void a_process_without_arguments_shows_its_name(void **state)
{
    (void)state;
    int hold = -1;
    const pid_t child = start_child("quiet", &hold);
    close(hold);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    char command[64];
    weir__process_command(child, command, sizeof command); // a zombie has no command line any more
    assert_string_equal(command, "[quiet]");
    assert_int_equal(waitpid(child, NULL, 0), child);
}

// The kernel gives a process its environment after posix_spawn has returned.
static void a_variable_is_found_or_the_process_is_being_started(void **state)
{
    (void)state;
    static char program[] = "/bin/sleep";
    static char forever[] = "1000";
    static char variable[] = "WEIR_TEST=here";
    char *const argv[] = {program, forever, NULL};
    char *const environment[] = {variable, NULL};
    for (int i = 0; i < 100; i++) {
        pid_t child = -1;
        bool has = false;
        bool has_part = true;
        bool has_zombie = true;
        weir_error err = WEIR_ERROR_INIT;
        assert_int_equal(posix_spawn(&child, program, NULL, NULL, argv, environment), 0);
        int rc = WEIR_BUSY;
        while (rc == WEIR_BUSY)
            rc = weir__process_has_variable(child, variable, &has, &err);
        const int part = weir__process_has_variable(child, "WEIR_TEST=her", &has_part, &err);
        assert_int_equal(kill(child, SIGKILL), 0);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(weir__process_has_variable(child, variable, &has_zombie, &err), WEIR_OK);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(rc, WEIR_OK);
        assert_true(has);
        assert_int_equal(part, WEIR_OK);
        assert_false(has_part);
        assert_false(has_zombie);
    }
}

static void who_has_no_environment_has_no_variable(void **state)
{
    (void)state;
    static char program[] = "/bin/sleep";
    static char forever[] = "1000";
    char *const argv[] = {program, forever, NULL};
    char *const environment[] = {NULL};
    pid_t child = -1;
    bool has = true;
    assert_int_equal(posix_spawn(&child, program, NULL, NULL, argv, environment), 0);
    int rc = WEIR_BUSY;
    while (rc == WEIR_BUSY)
        rc = weir__process_has_variable(child, "A=b", &has, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(rc, WEIR_OK);
    assert_false(has);
    has = true;
    assert_int_equal(weir__process_has_variable(child, "A=b", &has, NULL), WEIR_OK); // gone
    assert_false(has);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_process_is_alive),
        cmocka_unit_test(a_hostile_name_does_not_shift_the_fields),
        cmocka_unit_test(a_command_line_is_readable),
        cmocka_unit_test(a_process_without_arguments_shows_its_name),
        cmocka_unit_test(a_variable_is_found_or_the_process_is_being_started),
        cmocka_unit_test(who_has_no_environment_has_no_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
