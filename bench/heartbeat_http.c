// SPDX-License-Identifier: MIT
//
// The server: `weir serve` of this very program in a process of its own, and wrk, which keeps WEIR__BEAT_CONNECTIONS
// connections busy from one thread on the same machine. Every beat is a POST of its own, answered when it is on disk.
//
// wrk sends what a script in Lua makes. Its beats go through the buckets in turn, a second apart in each, and say
// the same four times in a row, as the library's do; as requests of several connections may overtake each other, a few
// more of them than one in four may become events of their own.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/heartbeat.h"

extern char **environ;

enum { READY_MS = 30000, OUTPUT_BYTES = 16384, ARGUMENT_SIZE = 32 };

static const char SCRIPT[] =
    "local buckets, same = %d, %d\n"
    "local next, bucket, from = {}, 0, 4102444800\n"
    "for i = 0, buckets - 1 do next[i] = 0 end\n"
    "wrk.method = 'POST'\n"
    "wrk.headers['Content-Type'] = 'application/json'\n"
    "function request()\n"
    "  bucket = (bucket + 1) %% buckets\n"
    "  local n = next[bucket]\n"
    "  next[bucket] = n + 1\n"
    "  return wrk.format(nil, '/api/0/buckets/aw-watcher-window_host' .. bucket .. "
    "'/heartbeat?pulsetime=%d', nil,\n"
    "    os.date('!{\"timestamp\":\"%%Y-%%m-%%dT%%H:%%M:%%S+00:00\",', from + n) ..\n"
    "    '\"duration\":0.0,\"data\":{\"app\":\"firefox\",\"title\":\"Page ' .. math.floor(n / same) ..\n"
    "    ' of somebody\\'s day, with a title as long as titles are\"}}')\n"
    "end\n";

typedef struct child {
    pid_t pid; // 0: none
    int out;   // its stdout
} child;

// Starts a program with its stdout in a pipe, and signals as a program finds them at its start.
static int start(child *c, const char *const argv[], weir_error *err)
{
    int pipes[2];
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t none, all;
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return weir__error_errno(err, errno, "cannot make a pipe");
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
    const int failed = posix_spawnp(&c->pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    (void)close(pipes[1]);
    c->out = pipes[0];
    if (failed == 0)
        return WEIR_OK;
    (void)close(pipes[0]);
    *c = (child){0};
    return failed == ENOENT ? weir__error_set(err, WEIR_NOTFOUND, "%s is not installed", argv[0])
                            : weir__error_errno(err, failed, "cannot start %s", argv[0]);
}

// Ends it with SIGTERM, if it is still there, and waits for its end; the status of waitpid(2).
static int finish(child *c, int number)
{
    int status = 0;
    if (c->pid == 0)
        return 0;
    if (number != 0)
        (void)kill(c->pid, number);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)close(c->out);
    *c = (child){0};
    return status;
}

// Reads until `enough` says so, the end, a signal of the session or the deadline. The text is terminated.
static int read_until(const weir__beat_task *task, int fd, char *text, const char *enough, int timeout_ms,
                      weir_error *err)
{
    const uint64_t deadline_ns = weir__worker_now_ns() + (uint64_t)timeout_ms * WEIR__NS_PER_MS;
    size_t size = 0;
    text[0] = '\0';
    while (size + 1 < OUTPUT_BYTES && (enough == NULL || strstr(text, enough) == NULL)) {
        const struct timespec now = {0};
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        const int ready = poll(&poller, 1, 50);
        const int number = sigtimedwait(&task->session->signals, NULL, &now);
        if (number > 0) {
            task->session->signal_number = number;
            return weir__error_set(err, WEIR_CANCELLED, "stopped by signal %d", number);
        }
        if (weir__worker_now_ns() > deadline_ns)
            return weir__error_set(err, WEIR_EXPIRED, "a program of the benchmark did not answer in %d s",
                                   timeout_ms / 1000);
        if (ready <= 0)
            continue;
        const ssize_t got = read(fd, text + size, OUTPUT_BYTES - 1 - size);
        if (got <= 0)
            break;
        size += (size_t)got;
        text[size] = '\0';
    }
    return WEIR_OK;
}

// "listening on URL, …" in the server's first line.
static int find_url(char *text, const char **url, weir_error *err)
{
    static const char words[] = "listening on ";
    char *from = strstr(text, words);
    if (from == NULL)
        return weir__error_set(err, WEIR_IO, "weir serve did not start; its sentence stands above");
    from += sizeof words - 1;
    from[strcspn(from, ", \n")] = '\0';
    *url = from;
    return WEIR_OK;
}

static double time_ns_of(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    char *unit = NULL;
    const double value = at ? strtod(at + strlen(label), &unit) : 0;
    if (unit == NULL)
        return 0;
    return value * (strncmp(unit, "us", 2) == 0 ? 1e3 : strncmp(unit, "ms", 2) == 0 ? 1e6 : 1e9);
}

// The figures of wrk's report. A refused beat is no beat.
static int read_report(const char *text, weir__bench_pace *pace, weir_error *err)
{
    static const char rate[] = "Requests/sec:";
    const char *at = strstr(text, rate);
    if (at == NULL)
        return weir__error_set(err, WEIR_IO, "wrk did not report its requests: %.200s", text);
    const char *refused = strstr(text, "Non-2xx");
    const char *broken = strstr(text, "Socket errors");
    if (refused || broken)
        return weir__error_set(err, WEIR_IO,
                               "not every heartbeat over HTTP was answered as it should be: %.120s",
                               refused ? refused : broken);
    *pace = (weir__bench_pace){.per_s = strtod(at + sizeof rate - 1, NULL),
                               .p50_ns = (uint64_t)time_ns_of(text, " 50%"),
                               .p99_ns = (uint64_t)time_ns_of(text, " 99%")};
    const char *latency = strstr(text, "Latency ");
    if (latency != NULL) { // average, deviation, max
        const char *max = latency + strcspn(latency, "0123456789");
        for (int i = 0; i < 2; i++) {
            max += strcspn(max, " ");
            max += strspn(max, " ");
        }
        pace->max_ns = (uint64_t)time_ns_of(max, "");
    }
    return WEIR_OK;
}

static int write_script(const char *path, weir_error *err)
{
    FILE *file = fopen(path, "we");
    bool fine = file != NULL &&
                fprintf(file, SCRIPT, WEIR__BEAT_BUCKETS, WEIR__BEATS_PER_EVENT, WEIR__BEAT_PULSETIME_S) > 0;
    if (file != NULL && fclose(file) != 0)
        fine = false;
    return fine ? WEIR_OK : weir__error_errno(err, errno, "%s: cannot write it", path);
}

static int drive(const weir__beat_task *task, const char *url, const char *script, weir__bench_pace *pace,
                 weir_error *err)
{
    char text[OUTPUT_BYTES], connections[ARGUMENT_SIZE], window[ARGUMENT_SIZE];
    const unsigned seconds = (unsigned)((task->window_ns + WEIR__NS_PER_S - 1) / WEIR__NS_PER_S);
    child wrk = {0};
    (void)snprintf(connections, sizeof connections, "-c%d", WEIR__BEAT_CONNECTIONS);
    (void)snprintf(window, sizeof window, "-d%us", seconds);
    const char *const argv[] = {"wrk", "-t1", connections, window, "--latency", "-s", script, url, NULL};
    int code = start(&wrk, argv, err);
    if (code != WEIR_OK)
        return code;
    code = read_until(task, wrk.out, text, NULL, (int)seconds * 1000 + READY_MS, err);
    const int status = finish(&wrk, code == WEIR_OK ? 0 : SIGKILL);
    if (code == WEIR_OK && status != 0)
        code = weir__error_set(err, WEIR_IO, "wrk failed with status %d", WEXITSTATUS(status));
    return code == WEIR_OK ? read_report(text, pace, err) : code;
}

int weir__beat_http(const weir__beat_task *task, weir__bench_pace *pace, weir_error *err)
{
    char text[OUTPUT_BYTES];
    const char *url = NULL;
    weir__text script = {0};
    child server = {0};
    const char *const argv[] = {"/proc/self/exe", "serve",        "--listen", "127.0.0.1:0",
                                "--activity",     task->database, NULL};
    weir__fs_join(&script, task->session->directory, "beats.lua");
    int code = script.failed ? weir__error_set(err, WEIR_NOMEM, "not enough memory")
                             : write_script(weir__text_string(&script), err);
    if (code == WEIR_OK)
        code = start(&server, argv, err);
    if (code == WEIR_OK)
        code = read_until(task, server.out, text, "\n", READY_MS, err);
    if (code == WEIR_OK)
        code = find_url(text, &url, err);
    if (code == WEIR_OK)
        code = drive(task, url, weir__text_string(&script), pace, err);
    const int status = finish(&server, SIGTERM);
    if (code == WEIR_OK && status != 0)
        code = weir__error_set(err, WEIR_IO, "weir serve ended with status %d", WEXITSTATUS(status));
    weir__text_free(&script);
    return code;
}
