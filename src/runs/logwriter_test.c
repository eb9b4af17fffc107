// SPDX-License-Identifier: MIT
//
// The log writer on a disk that fills up, fails to sync or stands still.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "runs/logwriter.h"

// ------------------------------------------------------------------------------------------- a bad disk

static char directory[] = "/tmp/weir-logwriter-test-XXXXXX";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken_changed;
static unsigned woken;        // under lock
static bool standing_still;   // under lock: writes wait
static atomic_long room = -1; // bytes that still fit, -1: any number
static atomic_int sync_errno; // 0: syncs work
static atomic_int syncs, directory_syncs, opened;

static int disk_open(void *context, const char *execution_id, const char *name, int *fd, weir_error *err)
{
    (void)context;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s-%s", directory, execution_id, name);
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    atomic_fetch_add(&opened, 1);
    if (*fd < 0)
        return weir__error_errno(err, errno, "cannot open %s", path);
    return WEIR_OK;
}

static int disk_sync_dir(void *context, const char *execution_id, weir_error *err)
{
    (void)context;
    (void)execution_id;
    (void)err;
    atomic_fetch_add(&directory_syncs, 1);
    return WEIR_OK;
}

static ssize_t disk_write(int fd, const void *data, size_t size)
{
    pthread_mutex_lock(&lock);
    while (standing_still)
        pthread_cond_wait(&woken_changed, &lock);
    pthread_mutex_unlock(&lock);
    const long left = atomic_load(&room);
    if (left == 0) {
        errno = ENOSPC;
        return -1;
    }
    const size_t fits = left > 0 && (size_t)left < size ? (size_t)left : size;
    if (left > 0)
        atomic_fetch_sub(&room, (long)fits);
    return write(fd, data, fits);
}

static int disk_sync(int fd)
{
    (void)fd;
    atomic_fetch_add(&syncs, 1);
    errno = atomic_load(&sync_errno);
    return errno == 0 ? 0 : -1;
}

static void on_wake(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    woken++;
    pthread_cond_broadcast(&woken_changed);
    pthread_mutex_unlock(&lock);
}

static void stand_still(bool still)
{
    pthread_mutex_lock(&lock);
    standing_still = still;
    pthread_cond_broadcast(&woken_changed);
    pthread_mutex_unlock(&lock);
}

static void swallow(void *context, weir__log_level level, const char *line, size_t size)
{
    (void)context;
    (void)level;
    (void)line;
    (void)size;
}

// --------------------------------------------------------------------------------------------- helpers

static int make_directory(void **state)
{
    (void)state;
    weir__cond_init(&woken_changed);
    weir__log_set_sink(swallow, NULL);
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return weir__fs_remove_tree(directory, NULL);
}

static int good_disk(void **state)
{
    (void)state;
    stand_still(false);
    atomic_store(&room, -1);
    atomic_store(&sync_errno, 0);
    atomic_store(&syncs, 0);
    atomic_store(&directory_syncs, 0);
    atomic_store(&opened, 0);
    return 0;
}

static weir__logs *open_logs(const weir__logs_options *wanted)
{
    weir__logs_options options = *wanted;
    options.ops = (weir__logs_ops){NULL, disk_open, disk_sync_dir, disk_write, disk_sync};
    options.wake = on_wake;
    weir__logs *logs = NULL;
    assert_int_equal(weir__logs_open(&options, &logs, NULL), WEIR_OK);
    return logs;
}

static weir__log_file *open_file(weir__logs *logs, const char *name, void *owner)
{
    weir__log_file *file = NULL;
    assert_int_equal(weir__log_file_open(logs, "run", name, owner, &file, NULL), WEIR_OK);
    return file;
}

static void append(weir__log_file *file, const char *line)
{
    assert_int_equal(weir__log_file_append(file, weir_local_now(), weir__span_of(line), NULL), WEIR_OK);
}

typedef bool condition(const weir__log_progress *progress, weir__logs *logs);

// Fetches progress until it fulfils the condition.
static weir__log_progress await(weir__logs *logs, condition *met)
{
    weir__clock *const clock = weir__clock_system();
    const uint64_t until_ns = weir__clock_now_ns(clock) + 20 * WEIR__NS_PER_S;
    for (;;) {
        pthread_mutex_lock(&lock);
        const unsigned before = woken;
        pthread_mutex_unlock(&lock);
        weir__log_progress progress = {0};
        while (weir__logs_next_progress(logs, &progress)) {
            if (met(&progress, logs))
                return progress;
        }
        pthread_mutex_lock(&lock);
        int rc = 0;
        while (woken == before && rc == 0)
            rc = weir__cond_wait_until(clock, &woken_changed, &lock, until_ns);
        pthread_mutex_unlock(&lock);
        if (rc != 0)
            fail_msg("nothing happened for 20 s");
    }
}

static bool is_flushed(const weir__log_progress *progress, weir__logs *logs)
{
    (void)logs;
    return progress->flushed;
}

static bool is_failing(const weir__log_progress *progress, weir__logs *logs)
{
    (void)progress;
    weir__logs_status status;
    weir__logs_status_read(logs, &status);
    return status.failing_files > 0;
}

static bool is_written(const weir__log_progress *progress, weir__logs *logs)
{
    (void)logs;
    return progress->lines > 0;
}

// Counts the lines of a file and looks that each ends as it should.
static void assert_lines(const char *name, const char *const *lines, size_t count)
{
    char path[256];
    char *data = NULL;
    size_t size = 0;
    (void)snprintf(path, sizeof path, "%s/run-%s", directory, name);
    assert_int_equal(weir__fs_read_file(path, 1 << 24, &data, &size, NULL), WEIR_OK);
    char *rest = data;
    for (size_t i = 0; i < count; i++) {
        char *const line = strsep(&rest, "\n");
        assert_non_null(strstr(line, "] "));
        assert_string_equal(strstr(line, "] ") + 2, lines[i]);
    }
    assert_string_equal(rest, "");
    free(data);
}

// ----------------------------------------------------------------------------------------------- tests

static void a_flush_says_that_all_is_on_disk(void **state)
{
    (void)state;
    weir__logs *const logs = open_logs(&(weir__logs_options){0});
    weir__log_file *const file = open_file(logs, "a", logs);
    append(file, "one");
    append(file, "  two");
    weir__log_file_flush(file);
    const weir__log_progress progress = await(logs, is_flushed);
    assert_ptr_equal(progress.owner, logs);
    assert_int_equal(progress.lines, 2);
    assert_int_equal(progress.error.code, WEIR_OK);
    assert_int_equal(atomic_load(&syncs), 1);
    assert_int_equal(atomic_load(&directory_syncs), 1);
    assert_lines("a", (const char *const[]){"one", "  two"}, 2);
    append(file, "three");
    weir__log_file_flush(file);
    assert_int_equal(await(logs, is_flushed).lines, 3);
    assert_int_equal(atomic_load(&directory_syncs), 1); // the name is durable already
    weir__log_file_close(file);
    assert_int_equal(weir__logs_close(logs, NULL), WEIR_OK);
}

static void lines_arrive_without_a_flush(void **state)
{
    (void)state;
    weir__logs *const logs = open_logs(&(weir__logs_options){0});
    weir__log_file *const file = open_file(logs, "lazy", NULL);
    append(file, "x");
    assert_int_equal(await(logs, is_written).lines, 1);
    assert_lines("lazy", (const char *const[]){"x"}, 1);
    assert_int_equal(atomic_load(&syncs), 0);
    weir__log_file_close(file);
    assert_int_equal(weir__logs_close(logs, NULL), WEIR_OK);
}

static void closing_writes_what_is_left(void **state)
{
    (void)state;
    weir__logs *const logs = open_logs(&(weir__logs_options){0});
    weir__log_file *const file = open_file(logs, "left", NULL);
    append(file, "x");
    weir__log_file_close(file);
    assert_int_equal(weir__logs_close(logs, NULL), WEIR_OK);
    assert_lines("left", (const char *const[]){"x"}, 1);
}

// The first write takes half a line: the rest must follow it, once.
static void a_full_disk_loses_nothing_when_space_comes_back(void **state)
{
    (void)state;
    weir__logs *const logs = open_logs(&(weir__logs_options){.retry_ms = 5});
    weir__log_file *const file = open_file(logs, "full", NULL);
    atomic_store(&room, 10);
    append(file, "one");
    weir__log_file_flush(file);
    const weir__log_progress failed = await(logs, is_flushed);
    assert_int_equal(failed.error.code, WEIR_FULL);
    assert_non_null(strstr(failed.error.text, "executions/run/full"));
    append(file, "two");
    weir__logs_status status;
    weir__logs_status_read(logs, &status);
    assert_int_equal(status.last_error.code, WEIR_FULL);
    assert_true(status.pending_bytes > 0);
    assert_int_equal(status.lost_bytes, 0);
    atomic_store(&room, -1);
    weir__log_file_flush(file);
    const weir__log_progress written = await(logs, is_flushed);
    assert_int_equal(written.error.code, WEIR_OK);
    assert_int_equal(written.lines, 2);
    assert_lines("full", (const char *const[]){"one", "two"}, 2);
    weir__logs_status_read(logs, &status);
    assert_int_equal(status.pending_bytes, 0);
    weir__log_file_close(file);
    assert_int_equal(weir__logs_close(logs, NULL), WEIR_OK);
}

static void a_full_disk_at_closing_is_reported(void **state)
{
    (void)state;
    weir__logs *const logs = open_logs(&(weir__logs_options){.retry_ms = 5});
    weir__log_file *const file = open_file(logs, "lost", NULL);
    atomic_store(&room, 0);
    append(file, "one");
    (void)await(logs, is_failing);
    weir__log_file_close(file);
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__logs_close(logs, &err), WEIR_FULL);
    assert_non_null(strstr(err.text, "33 bytes of log lines could not be written"));
}

static void a_failed_sync_is_reported(void **state)
{
    (void)state;
    weir__logs *const logs = open_logs(&(weir__logs_options){0});
    weir__log_file *const file = open_file(logs, "sync", NULL);
    atomic_store(&sync_errno, EIO);
    append(file, "one");
    weir__log_file_flush(file);
    const weir__log_progress progress = await(logs, is_flushed);
    assert_int_equal(progress.error.code, WEIR_IO);
    assert_int_equal(progress.lines, 1);
    weir__log_file_close(file);
    assert_int_equal(weir__logs_close(logs, NULL), WEIR_OK);
}

// A disk that does not move: appending goes on at once, and says when to stop.
static void a_slow_disk_does_not_block_and_has_a_bound(void **state)
{
    (void)state;
    enum { bound = 100000 };
    weir__logs *const logs =
        open_logs(&(weir__logs_options){.file_bytes_max = bound, .total_bytes_max = 2 * bound});
    weir__log_file *const file = open_file(logs, "slow", NULL);
    weir__log_file *const other = open_file(logs, "slow2", NULL);
    stand_still(true);
    char line[1000];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    size_t lines = 0;
    // A thread may have taken a part already, so it can be more than the file's bound, but not more than all may hold.
    for (; !weir__log_file_is_full(file); lines++)
        append(file, line);
    assert_true(lines >= bound / 1100);
    assert_true(lines <= 2 * bound / 1000 + 1);
    for (; !weir__log_file_is_full(other); lines++)
        append(other, line);
    assert_true(lines <= 2 * bound / 1000 + 1);
    weir__logs_status status;
    weir__logs_status_read(logs, &status);
    assert_true(status.pending_bytes >= bound);
    stand_still(false);
    weir__log_file_flush(file);
    (void)await(logs, is_flushed);
    assert_false(weir__log_file_is_full(file));
    weir__log_file_close(file);
    weir__log_file_close(other);
    assert_int_equal(weir__logs_close(logs, NULL), WEIR_OK);
}

// Many files through few descriptors, every line where it belongs.
static void descriptors_are_shared(void **state)
{
    (void)state;
    enum { files_count = 40, rounds = 5, files_max = 4 };
    weir__logs *const logs = open_logs(&(weir__logs_options){.files_max = files_max});
    weir__log_file *files[files_count];
    char name[16];
    for (int i = 0; i < files_count; i++) {
        (void)snprintf(name, sizeof name, "many%d", i);
        files[i] = open_file(logs, name, NULL);
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < files_count; i++) {
            (void)snprintf(name, sizeof name, "%d.%d", i, round);
            append(files[i], name);
            weir__log_file_flush(files[i]);
            assert_int_equal(await(logs, is_flushed).error.code, WEIR_OK);
        }
    }
    int used = 0;
    for (int fd = 0; fd < 1024; fd++) {
        char link[64];
        char target[256];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t size = readlink(link, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        used += strstr(target, "run-many") != NULL;
    }
    assert_in_range(used, 1, files_max);
    for (int i = 0; i < files_count; i++) {
        char texts[rounds][16];
        const char *lines[rounds];
        for (int round = 0; round < rounds; round++) {
            (void)snprintf(texts[round], sizeof texts[round], "%d.%d", i, round);
            lines[round] = texts[round];
        }
        (void)snprintf(name, sizeof name, "many%d", i);
        assert_lines(name, lines, rounds);
        weir__log_file_close(files[i]);
    }
    assert_int_equal(weir__logs_close(logs, NULL), WEIR_OK);
}

static void a_flush_of_nothing_is_over_at_once(void **state)
{
    (void)state;
    weir__logs *const logs = open_logs(&(weir__logs_options){0});
    weir__log_file *const file = open_file(logs, "nothing", NULL);
    weir__log_file_flush(file);
    const weir__log_progress progress = await(logs, is_flushed);
    assert_int_equal(progress.lines, 0);
    assert_int_equal(progress.error.code, WEIR_OK);
    assert_int_equal(atomic_load(&opened), 0);
    weir__log_file_close(file);
    assert_int_equal(weir__logs_close(logs, NULL), WEIR_OK);
}

#define TEST(name) cmocka_unit_test_setup(name, good_disk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flush_says_that_all_is_on_disk),
        TEST(lines_arrive_without_a_flush),
        TEST(closing_writes_what_is_left),
        TEST(a_full_disk_loses_nothing_when_space_comes_back),
        TEST(a_full_disk_at_closing_is_reported),
        TEST(a_failed_sync_is_reported),
        TEST(a_slow_disk_does_not_block_and_has_a_bound),
        TEST(descriptors_are_shared),
        TEST(a_flush_of_nothing_is_over_at_once),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
