// SPDX-License-Identifier: MIT
//
// Around a benchmark: its directory, its signals, the sentence at its end.
#include "bench/session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    SYNC_BYTES = 4096,
    SYNCS_MAX = 64,
    SYNCS_NS_MAX = 200 * 1000 * 1000,
};

#define DIRECTORY_NAME "weir-bench-XXXXXX"

static uint64_t now_ns(void)
{
    return weir__clock_now_ns(weir__clock_system());
}

static int make_in(const char *parent, char **directory, weir_error *err)
{
    weir__text path = {0};
    weir__fs_join(&path, parent, DIRECTORY_NAME);
    char *made = weir__text_take(&path);
    if (!made)
        return weir__error_set(err, WEIR_NOMEM, "not enough memory");
    if (!mkdtemp(made)) {
        free(made);
        return weir__error_errno(err, errno, "%s: cannot make a directory for the benchmark", parent);
    }
    *directory = made;
    return WEIR_OK;
}

static int make_directory(const char *parent, char **directory, weir_error *err)
{
    *directory = NULL;
    if (parent)
        return make_in(parent, directory, err);
    const char *const temporary = getenv("TMPDIR");
    const int code = make_in(".", directory, err);
    return code == WEIR_OK || !temporary || !temporary[0] ? code : make_in(temporary, directory, err);
}

static int compare_times(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static int time_sync(const char *directory, uint64_t *sync_ns, weir_error *err)
{
    static const char page[SYNC_BYTES];
    uint64_t times_ns[SYNCS_MAX];
    size_t size = 0;
    int code = WEIR_OK;
    weir__text path = {0};
    weir__fs_join(&path, directory, "sync");
    const int fd = open(weir__text_string(&path), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    const uint64_t first_ns = now_ns();
    uint64_t time_ns = first_ns;
    bool fine = fd >= 0;
    while (fine && size < SYNCS_MAX && time_ns - first_ns < SYNCS_NS_MAX) {
        const uint64_t start_ns = time_ns;
        fine = write(fd, page, sizeof page) == (ssize_t)sizeof page && fdatasync(fd) == 0;
        time_ns = now_ns();
        times_ns[size++] = time_ns - start_ns;
    }
    if (!fine)
        code = weir__error_errno(err, errno, "%s: cannot write and sync a file", weir__text_string(&path));
    if (fd >= 0) {
        close(fd);
        unlink(weir__text_string(&path));
    }
    weir__text_free(&path);
    if (code != WEIR_OK)
        return code;
    qsort(times_ns, size, sizeof *times_ns, compare_times);
    *sync_ns = times_ns[size / 2];
    return WEIR_OK;
}

static unsigned count_cores(void)
{
    cpu_set_t cores;
    const int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 0;
    return count > 0 ? (unsigned)count : 1;
}

static int look_around(weir__bench_session *session, weir_error *err)
{
    session->cores = count_cores();
    const int code = weir__fs_kind_of(session->directory, &session->fs_kind, err);
    if (code != WEIR_OK)
        return code;
    if (session->fs_kind.fs_class == WEIR__FS_MEMORY)
        fprintf(stderr,
                "weir %s: %s is on %s, in memory: a sync costs nothing there, so the\n"
                "figures say nothing about a disk. Name a directory on one with --dir.\n",
                session->name, session->directory, session->fs_kind.name);
    return time_sync(session->directory, &session->sync_ns, err);
}

// A blocked signal waits in the queue even when it is to be ignored (as nohup asks for SIGHUP), so such a one
// is left alone.
static void hold_signal(sigset_t *signals, int number)
{
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
        sigaddset(signals, number);
}

static int run_inside(weir__bench_session *session, const char *parent, weir__bench_body *body, void *context,
                      weir_error *err)
{
    int code = make_directory(parent, &session->directory, err);
    if (code != WEIR_OK)
        return code;
    code = look_around(session, err);
    if (code == WEIR_OK)
        code = body(session, context, err);
    const int remove_code = weir__fs_remove_tree(session->directory, code == WEIR_OK ? err : NULL);
    free(session->directory);
    session->directory = NULL;
    return code == WEIR_OK ? remove_code : code;
}

int weir__bench_session_run(const char *name, const char *parent, weir__bench_body *body, void *context)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__bench_session session = {.name = name, .shows_progress = isatty(STDERR_FILENO) == 1};
    sigset_t before;
    sigemptyset(&session.signals);
    hold_signal(&session.signals, SIGINT);
    hold_signal(&session.signals, SIGTERM);
    hold_signal(&session.signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &session.signals, &before);
    const int code = run_inside(&session, parent, body, context, &err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == WEIR_OK)
        return WEIR__BENCH_FINE;
    fprintf(stderr, "weir: %s\n", err.text);
    return session.signal_number ? WEIR__BENCH_SIGNALLED + session.signal_number : WEIR__BENCH_FAILED;
}

void weir__bench_progress(const weir__bench_session *session, const char *format, ...)
{
    va_list args;
    if (!session->shows_progress)
        return;
    fputs("\r\033[K", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
}

void weir__bench_progress_end(const weir__bench_session *session)
{
    if (session->shows_progress)
        fputs("\r\033[K", stderr);
}

int weir__bench_print(weir__text *out, weir_error *err)
{
    int code = WEIR_OK;
    if (out->failed)
        code = weir__error_set(err, WEIR_NOMEM, "not enough memory for the report");
    else if (fputs(weir__text_string(out), stdout) < 0 || fflush(stdout) != 0)
        code = weir__error_set(err, WEIR_IO, "cannot write the results to the standard output");
    weir__text_free(out);
    return code;
}
