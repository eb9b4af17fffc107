// SPDX-License-Identifier: MIT
//
// The test's side of another process: see peer.h.
#include "support/peer.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/store.h"

enum { ANSWER_SIZE = 512 };

void peer_start(peer *p, const char *database)
{
    extern char **environ;
    char program[512];
    int in[2];
    int out[2];
    const char *directory = getenv("WEIR_PROGRAMS");
    assert_non_null(directory);
    snprintf(program, sizeof program, "%s/support-peer", directory);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    char *const argv[] = {program, (char *)(uintptr_t)database, NULL};
    const int rc = posix_spawn(&p->pid, program, &actions, NULL, argv, environ);
    if (rc != 0)
        fail_msg("cannot start %s: %s", program, strerror(rc));
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    p->to = fdopen(in[1], "w");
    p->from = fdopen(out[0], "r");
    assert_non_null(p->to);
    assert_non_null(p->from);
    char ready[ANSWER_SIZE];
    peer_answer(p, ready, sizeof ready);
    assert_string_equal(ready, "ready");
}

void peer_tell(peer *p, const char *line)
{
    fprintf(p->to, "%s\n", line);
    assert_int_equal(fflush(p->to), 0);
}

void peer_answer(peer *p, char *answer, size_t size)
{
    if (!fgets(answer, (int)size, p->from))
        fail_msg("the other process has gone");
    answer[strcspn(answer, "\n")] = '\0';
}

static void answer_of(peer *p, const char *line, char answer[ANSWER_SIZE])
{
    peer_tell(p, line);
    peer_answer(p, answer, ANSWER_SIZE);
    if (strncmp(answer, "error", 5) == 0)
        fail_msg("the other process, asked for %s: %s", line, answer);
}

void peer_do(peer *p, const char *line)
{
    char answer[ANSWER_SIZE];
    answer_of(p, line, answer);
}

long long peer_number(peer *p, const char *line)
{
    char answer[ANSWER_SIZE];
    answer_of(p, line, answer);
    return strtoll(answer, NULL, 10);
}

static int finish(peer *p)
{
    int status = 0;
    fclose(p->to);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    fclose(p->from);
    return status;
}

void peer_stop(peer *p)
{
    assert_int_equal(finish(p), 0);
}

void peer_kill(peer *p)
{
    assert_int_equal(kill(p->pid, SIGKILL), 0);
    const int status = finish(p);
    assert_true(WIFSIGNALED(status));
}
