// SPDX-License-Identifier: MIT
//
// The log: levels, the form of a line, lines that cannot be forged, one line per call from many threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

enum { thread_count = 4, lines_per_thread = 500 };

static void collect(void *context, weir__log_level level, const char *line, size_t size)
{
    (void)level;
    weir__text_append(context, line, size);
}

static void levels_are_read_and_obeyed(void **state)
{
    (void)state;
    weir__log_level level = WEIR__LOG_ERROR;
    assert_true(weir__log_level_parse("debug", &level));
    assert_int_equal(level, WEIR__LOG_DEBUG);
    assert_false(weir__log_level_parse("loud", &level));
    weir__text lines = {0};
    weir__log_set_sink(collect, &lines);
    weir__log_set_level(WEIR__LOG_WARNING);
    assert_false(weir__log_enabled(WEIR__LOG_INFO));
    weir__log(WEIR__LOG_INFO, "not this");
    assert_int_equal(lines.size, 0);
    weir__log(WEIR__LOG_WARNING, "disk at %d %%", 91);
    weir__log_set_sink(NULL, NULL);
    // 2026-01-31T12:00:00.123Z warning: disk at 91 %
    assert_int_equal(lines.data[10], 'T');
    assert_int_equal(lines.data[23], 'Z');
    assert_string_equal(lines.data + 24, " warning: disk at 91 %\n");
    weir__text_free(&lines);
}

static void a_message_stays_one_valid_line(void **state)
{
    (void)state;
    weir__text lines = {0};
    weir__log_set_sink(collect, &lines);
    weir__log_set_level(WEIR__LOG_ERROR);
    errno = ENOENT;
    weir__log(WEIR__LOG_ERROR, "file %s", "a\n2026 error: forged\x1b[31m\xFF");
    assert_int_equal(errno, ENOENT);
    assert_ptr_equal(strchr(lines.data, '\n'), lines.data + lines.size - 1);
    assert_null(strchr(lines.data, '\x1b'));
    assert_true(weir__utf8_is_valid(lines.data, lines.size));
    weir__text_clear(&lines);

    char long_message[5000];
    memset(long_message, 'x', sizeof long_message - 1);
    long_message[sizeof long_message - 1] = '\0';
    weir__log(WEIR__LOG_ERROR, "%s", long_message);
    weir__log_set_sink(NULL, NULL);
    assert_int_equal(lines.data[lines.size - 1], '\n');
    assert_true(lines.size < 2200);
    weir__text_free(&lines);
}

static void stderr_gets_the_line_in_one_piece(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const int saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    weir__log_set_level(WEIR__LOG_ERROR);
    weir__log(WEIR__LOG_ERROR, "hello");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    char line[128] = "";
    const ssize_t size = read(fds[0], line, sizeof line - 1);
    close(fds[0]);
    assert_true(size > 0);
    assert_non_null(strstr(line, " error: hello\n"));
}

static void *log_many(void *argument)
{
    for (int i = 0; i < lines_per_thread; i++)
        weir__log(WEIR__LOG_ERROR, "thread %d line %d", *(const int *)argument, i);
    return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
    (void)state;
    weir__text lines = {0};
    weir__log_set_sink(collect, &lines);
    weir__log_set_level(WEIR__LOG_ERROR);
    pthread_t threads[thread_count];
    int numbers[thread_count];
    for (int i = 0; i < thread_count; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, log_many, &numbers[i]);
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    weir__log_set_sink(NULL, NULL);
    size_t count = 0;
    for (const char *line = lines.data; *line != '\0'; line = strchr(line, '\n') + 1) {
        int thread = -1;
        int number = -1;
        assert_int_equal(sscanf(line + 24, " error: thread %d line %d", &thread, &number), 2);
        count++;
    }
    assert_int_equal(count, thread_count * lines_per_thread);
    weir__text_free(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_read_and_obeyed),
        cmocka_unit_test(a_message_stays_one_valid_line),
        cmocka_unit_test(stderr_gets_the_line_in_one_piece),
        cmocka_unit_test(threads_do_not_mix_their_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
