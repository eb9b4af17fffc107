// SPDX-License-Identifier: MIT
//
// Starting scripts: what they get (session, streams, signals, descriptors, directory, environment) and what
// is said when they cannot be started.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "runs/spawn.h"

static char directory[] = "/tmp/weir-spawn-test-XXXXXX";

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return weir__fs_remove_tree(directory, NULL);
}

// Reads a script's output to its end and reaps it.
static int finish(const weir__spawned *spawned, weir__text *output)
{
    for (;;) {
        char chunk[4096];
        struct pollfd ready = {.fd = spawned->output, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 20000), 1);
        const ssize_t size = read(spawned->output, chunk, sizeof chunk);
        assert_true(size >= 0);
        if (size == 0)
            break;
        weir__text_append(output, chunk, (size_t)size);
    }
    struct pollfd ended = {.fd = spawned->pidfd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 20000), 1);
    int status = 0;
    assert_int_equal(waitpid(spawned->pid, &status, 0), spawned->pid);
    close(spawned->pidfd);
    close(spawned->output);
    return status;
}

static void assert_output(const weir__spawn_request *request, const char *expected)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__spawned spawned;
    weir__text output = {0};
    if (weir__spawn(request, &spawned, &err) != WEIR_OK)
        fail_msg("not started: %s", err.text);
    const int status = finish(&spawned, &output);
    assert_string_equal(weir__text_string(&output), expected);
    assert_int_equal(status, 0);
    weir__text_free(&output);
}

static void assert_shell(const char *script, const char *const *environment, const char *expected)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_output(&(weir__spawn_request){argv, environment, directory}, expected);
}

static const char *const plain_environment[] = {"PATH=/usr/bin:/bin", "A=b c", NULL};

static void streams_directory_and_environment(void **state)
{
    (void)state;
    weir__text expected = {0};
    weir__text_printf(&expected, "out\nerr\n%s\nb c\n", directory);
    assert_shell("echo out; echo err >&2; pwd; echo \"$A\"; cat", plain_environment,
                 weir__text_string(&expected));
    weir__text_free(&expected);
}

static void a_session_of_its_own(void **state)
{
    (void)state;
    assert_shell("set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 = $$ ] && echo yes", plain_environment,
                 "yes\n");
}

static void signals_are_at_their_defaults(void **state)
{
    (void)state;
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    sigaction(SIGPIPE, &ignore, &before);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    // The last 7 digits: signals 1 to 28. Numbers 32 and 33 belong to the C library, which ignores them in
    // the child.
    assert_shell("grep -E '^Sig(Blk|Ign)' /proc/self/status | sed -E 's/[0-9a-f]{9}(.......)$/\\1/'",
                 plain_environment, "SigBlk:\t0000000\nSigIgn:\t0000000\n");
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    sigaction(SIGPIPE, &before, NULL);
}

// Even one that lacks O_CLOEXEC.
static void no_descriptor_leaks(void **state)
{
    (void)state;
    // Far above what the shell itself opens meanwhile: a folder to list, a pipe, the script at 10.
    const int leaky = open("/dev/null", O_RDONLY);
    const int high = fcntl(leaky, F_DUPFD, 50);
    assert_true(high >= 50);
    assert_shell("for fd in /proc/$$/fd/*; do [ ${fd##*/} -lt 20 ] || echo ${fd##*/}; done",
                 plain_environment, "");
    close(high);
    close(leaky);
}

static void raised_limits_stay_ours(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit low = {.rlim_cur = 64, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    weir__spawn_raise_limits();
    struct rlimit raised;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &raised), 0);
    assert_int_equal(raised.rlim_cur, before.rlim_max);
    // The limit is put back after the start: the shell waits until it has been.
    const char *const script = "while [ \"$(ulimit -Sn)\" != 64 ]; do :; done; ulimit -Sn";
    assert_shell(script, plain_environment, "64\n");
}

static void write_file(const char *name, const char *content, mode_t mode)
{
    weir__text path = {0};
    weir__fs_join(&path, directory, name);
    assert_int_equal(weir__fs_write_atomic(path.data, content, strlen(content), mode, NULL), WEIR_OK);
    assert_int_equal(chmod(path.data, mode), 0);
    weir__text_free(&path);
}

static void the_path_of_the_script_counts(void **state)
{
    (void)state;
    weir__text sub = {0};
    weir__fs_join(&sub, directory, "sub");
    assert_int_equal(weir__fs_mkdir_p(sub.data, 0777, NULL), WEIR_OK);
    write_file("sub/hello", "#!/bin/sh\necho found\n", 0755);
    const char *const argv[] = {"hello", NULL};
    const char *const relative[] = {"PATH=/nowhere:sub", NULL};
    assert_output(&(weir__spawn_request){argv, relative, directory}, "found\n");
    const char *const here[] = {"./hello", NULL};
    assert_output(&(weir__spawn_request){here, relative, sub.data}, "found\n");
    const char *const empty[] = {"PATH=", NULL};
    assert_output(&(weir__spawn_request){argv, empty, sub.data}, "found\n");
    weir__text_free(&sub);
}

static void assert_not_started(const char *program, const char *where, const char *expected)
{
    const char *const argv[] = {program, NULL};
    weir_error err = WEIR_ERROR_INIT;
    weir__spawned spawned;
    assert_int_not_equal(weir__spawn(&(weir__spawn_request){argv, plain_environment, where}, &spawned, &err),
                         WEIR_OK);
    assert_string_equal(err.text, expected);
    assert_int_equal(spawned.pid, -1);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void failures_have_the_words_of_the_original(void **state)
{
    (void)state;
    const int before = open_descriptors();
    write_file("data", "no program", 0644);
    write_file("noformat", "no program", 0755);
    write_file("nointerpreter", "#!/nowhere/sh\n", 0755);
    assert_not_started("weir-no-such-program", directory,
                       "[Errno 2] No such file or directory: 'weir-no-such-program'");
    assert_not_started("./weir-no-such-program", directory,
                       "[Errno 2] No such file or directory: './weir-no-such-program'");
    assert_not_started("", directory, "[Errno 13] Permission denied: ''");
    assert_not_started("sh", "/nowhere", "[Errno 2] No such file or directory: '/nowhere'");
    assert_not_started("sh", "/dev/null", "[Errno 20] Not a directory: '/dev/null'");
    assert_not_started("./data", directory, "[Errno 13] Permission denied: './data'");
    assert_not_started("./noformat", directory, "[Errno 8] Exec format error: './noformat'");
    assert_not_started("./nointerpreter", directory,
                       "[Errno 2] No such file or directory: './nointerpreter'");
    assert_not_started("./", directory, "[Errno 13] Permission denied: './'");
    assert_int_equal(open_descriptors(), before);
}

static void overlays_replace_and_add(void **state)
{
    (void)state;
    const char *const overlay[] = {"WEIR_TEST_A=1", "WEIR_TEST_B=x=y", "WEIR_TEST_A=2", "PATH=", NULL};
    char **environment = NULL;
    setenv("WEIR_TEST_B", "before", 1);
    setenv("WEIR_TEST_C", "kept", 1);
    assert_int_equal(weir__environment_overlay(overlay, &environment, NULL), WEIR_OK);
    weir__text seen = {0};
    for (char **entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, "WEIR_TEST_", 10) == 0 || strncmp(*entry, "PATH=", 5) == 0)
            weir__text_printf(&seen, "%s;", *entry);
    }
    assert_string_equal(weir__text_string(&seen), "WEIR_TEST_C=kept;WEIR_TEST_B=x=y;WEIR_TEST_A=2;PATH=;");
    weir__text_free(&seen);
    weir__environment_free(environment);
}

static void odd_overlays_are_refused(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    char **environment = NULL;
    const char *const no_value[] = {"NAME", NULL};
    assert_int_equal(weir__environment_overlay(no_value, &environment, &err), WEIR_INVALID);
    assert_string_equal(err.text, "an environment variable is written as NAME=VALUE, not 'NAME'");
    const char *const no_name[] = {"=x", NULL};
    assert_int_equal(weir__environment_overlay(no_name, &environment, &err), WEIR_INVALID);
    assert_null(environment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_directory_and_environment),
        cmocka_unit_test(a_session_of_its_own),
        cmocka_unit_test(signals_are_at_their_defaults),
        cmocka_unit_test(no_descriptor_leaks),
        cmocka_unit_test(raised_limits_stay_ours),
        cmocka_unit_test(the_path_of_the_script_counts),
        cmocka_unit_test(failures_have_the_words_of_the_original),
        cmocka_unit_test(overlays_replace_and_add),
        cmocka_unit_test(odd_overlays_are_refused),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
