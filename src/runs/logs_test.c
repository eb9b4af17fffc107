// SPDX-License-Identifier: MIT
//
// Step logs: the format, the tolerant reader, order, ranges, tails, and bounded memory.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runs/runs.h"
#include "support/storage.h"

static test_storage storage;
static weir_error err;

#define S1 "executions/e/step_0_s1.log"
#define S2 "executions/e/step_1_s2.log"

static int set_up(void **state)
{
    (void)state;
    test_storage_init(&storage);
    test_storage_open(&storage, NULL);
    test_storage_sql(&storage,
                     "INSERT INTO executions (id, name, command, status, created_at) VALUES "
                     "('e', '', '', 'completed', '2025-08-01T10:00:00'), ('other', '', '', 'completed', "
                     "'2025-08-01T10:00:00');"
                     "INSERT INTO steps (id, execution_id, name, step_index, status, created_at) VALUES "
                     "('s2', 'e', 'Test', 1, 'completed', '2025-08-01T10:00:00'), ('s1', 'e', 'Build', 0, "
                     "'completed', '2025-08-01T10:00:00'), "
                     "('x1', 'other', 'Else', 0, 'completed', '2025-08-01T10:00:00');");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_storage_fini(&storage);
    return 0;
}

static void put(const char *name, const char *text)
{
    test_storage_put(&storage, name, text, strlen(text));
}

// The contents of the lines asked for, separated by '|'; in front of each the step's id and ':' (run: none).
static void assert_lines(weir_logs_query query, const char *wanted)
{
    weir__text got = {0};
    weir_log_list list;
    expect_ok(weir_runs_logs(storage.runs, "e", &query, &list, &err), &err);
    for (size_t i = 0; i < list.count; i++) {
        const weir_log_line *const line = &list.items[i];
        assert_int_equal(strlen(line->content), line->content_size);
        assert_int_equal(line->number, list.offset + i);
        weir__text_printf(&got, "%s%s:%s", i > 0 ? "|" : "", line->step_id != NULL ? line->step_id : "",
                          line->content);
    }
    assert_string_equal(weir__text_string(&got), wanted);
    weir__text_free(&got);
    weir_log_list_free(&list);
}

static void test_format(void **state)
{
    weir__text text = {0};
    weir_local_us time = 0;
    const char *content = NULL;
    size_t size = 0;
    (void)state;
    assert_true(weir_local_parse("2025-08-01T10:00:00", 19, &time));
    weir__log_format(&text, time, "  two\nlines\r and \xFF", 18);
    assert_string_equal(weir__text_string(&text),
                        "[2025-08-01T10:00:00.000000]   two lines  and \xEF\xBF\xBD\n");
    weir_local_us read_time = 0;
    assert_true(weir__log_parse(text.data, text.size, &read_time, &content, &size));
    assert_int_equal(read_time, time);
    assert_int_equal(size, 20);
    assert_memory_equal(content, "  two lines  and \xEF\xBF\xBD", 20); // indentation is kept
    weir__text_free(&text);
}

static void test_tolerant_reader(void **state)
{
    (void)state;
    put(S1, "[2025-08-01T10:00:00] first\r\n"
            "no bracket, no entry\n"
            "\n"
            "[no split]\n"
            "  [2025-08-01T10:00:01.5]   indented] here  \n"
            "[not a time] kept whole\n"
            "[2025-08-01T10:00:02Z] a\xFFz\n"
            "[2025-08-01T10:00:03] \n"
            "[2025-08-01T10:00:04] no end");
    assert_lines((weir_logs_query){.step_id = "s1"},
                 "s1:first|s1:  indented] here|s1:[not a time] kept whole|s1:a\xEF\xBF\xBDz|s1:no end");
    weir_log_list list;
    const weir_local_us before = weir_local_now();
    const weir_logs_query query = {.step_id = "s1"};
    expect_ok(weir_runs_logs(storage.runs, "e", &query, &list, &err), &err);
    assert_true(list.items[2].time >= before); // an unreadable time is the present one
    assert_string_equal(list.items[0].step_name, "Build");
    weir_log_list_free(&list);
}

static void test_order(void **state)
{
    (void)state;
    put(S2, "[2025-08-01T10:00:10] b1\n[2025-08-01T10:00:12] b2\n");
    put(S1, "[2025-08-01T10:00:00] a1\n[2025-08-01T10:00:02] a2\n");
    put("executions/e/run.log",
        "[2025-08-01T09:59:59] r1\n[2025-08-01T10:00:01] r2\n[2025-08-01T10:00:10] r3\n"
        "[2025-08-01T10:00:20] r4\n");
    const char *const all = ":r1|s1:a1|:r2|s1:a2|s2:b1|:r3|s2:b2|:r4";
    assert_lines((weir_logs_query){.limit = 0}, all);
    assert_lines((weir_logs_query){.outside_only = true}, ":r1|:r2|:r3|:r4");
    assert_lines((weir_logs_query){.step_id = "s2"}, "s2:b1|s2:b2");
    assert_lines((weir_logs_query){.offset = 2, .limit = 3}, ":r2|s1:a2|s2:b1");
    assert_lines((weir_logs_query){.offset = 7}, ":r4");
    assert_lines((weir_logs_query){.offset = 8}, "");
    assert_lines((weir_logs_query){.tail = 3}, ":r3|s2:b2|:r4");
    assert_lines((weir_logs_query){.tail = 3, .offset = 5}, ":r3|s2:b2|:r4");
    assert_lines((weir_logs_query){.tail = 3, .limit = 1}, ":r3");
    assert_lines((weir_logs_query){.tail = 100}, all);
    weir_log_list list;
    const weir_logs_query query = {.tail = 1};
    expect_ok(weir_runs_logs(storage.runs, "e", &query, &list, &err), &err);
    assert_int_equal(list.total, 8);
    assert_int_equal(list.offset, 7);
    char *const json = weir_log_list_to_json(&list);
    assert_string_equal(
        json, "[{\"timestamp\": \"2025-08-01T10:00:20.000000\", \"content\": \"r4\", \"level\": \"info\", "
              "\"step_id\": null, \"step_name\": null, \"message\": \"r4\"}]");
    free(json);
    weir_log_list_free(&list);
}

static void test_nothing_there(void **state)
{
    weir_log_list list;
    (void)state;
    assert_lines((weir_logs_query){.limit = 0}, "");
    assert_lines((weir_logs_query){.tail = 5}, "");
    put(S1, "");
    assert_lines((weir_logs_query){.limit = 0}, "");
    const weir_logs_query missing = {.step_id = "nobody"};
    const weir_logs_query elsewhere = {.step_id = "x1"};
    expect_code(weir_runs_logs(storage.runs, "e", &missing, &list, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_logs(storage.runs, "e", &elsewhere, &list, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_logs(storage.runs, "nobody", NULL, &list, &err), WEIR_NOTFOUND, &err);
    assert_null(list.items);
}

// Links, pipes and directories in place of a log give no lines, and nothing hangs or leaks out.
static void test_hostile_files(void **state)
{
    (void)state;
    put("secret", "[2025-08-01T10:00:00] secret\n");
    assert_int_equal(mkdir(test_storage_at(&storage, "executions/e"), 0777), 0);
    assert_int_equal(symlink("../../secret", test_storage_at(&storage, S1)), 0);
    assert_int_equal(mkfifo(test_storage_at(&storage, S2), 0666), 0);
    assert_int_equal(mkdir(test_storage_at(&storage, "executions/e/run.log"), 0777), 0);
    assert_lines((weir_logs_query){.limit = 0}, "");
    assert_int_equal(weir_runs_warnings(storage.runs), 3);
    test_storage_sql(&storage, "INSERT INTO executions (id, name, command, status, created_at) VALUES "
                               "('../e', '', '', 'completed', '2025-08-01T10:00:00');");
    weir_log_list list;
    expect_ok(weir_runs_logs(storage.runs, "../e", NULL, &list, &err), &err);
    assert_int_equal(list.count, 0);
    weir_log_list_free(&list);
    int fd = -1;
    expect_code(weir__log_open(storage.runs, "..", "run.log", O_RDONLY, &fd, &err), WEIR_INVALID, &err);
    assert_int_equal(fd, -1);
}

static void test_symlinked_folder(void **state)
{
    (void)state;
    put("outside/step_0_s1.log", "[2025-08-01T10:00:00] secret\n");
    assert_int_equal(symlink("../outside", test_storage_at(&storage, "executions/e")), 0);
    assert_lines((weir_logs_query){.limit = 0}, "");
}

// A line beyond the limit is shown up to it; the next line is whole again.
static void test_long_line(void **state)
{
    enum { size = 3 * WEIR_RUNS_LOG_LINE_MAX };
    static const char prefix[] = "[2025-08-01T10:00:00] ";
    static const char suffix[] = "\n[2025-08-01T10:00:01] next\n";
    (void)state;
    char *const text = malloc(size + sizeof prefix + sizeof suffix);
    assert_non_null(text);
    memcpy(text, prefix, sizeof prefix - 1);
    memset(text + sizeof prefix - 1, 'x', size);
    memcpy(text + sizeof prefix - 1 + size, suffix, sizeof suffix - 1);
    test_storage_put(&storage, S1, text, sizeof prefix - 1 + size + sizeof suffix - 1);
    free(text);
    weir_log_list list;
    expect_ok(weir_runs_logs(storage.runs, "e", NULL, &list, &err), &err);
    assert_int_equal(list.count, 2);
    assert_in_range(list.items[0].content_size, WEIR_RUNS_LOG_LINE_MAX - 64, WEIR_RUNS_LOG_LINE_MAX + 64);
    assert_string_equal(list.items[1].content, "next");
    weir_log_list_free(&list);
}

static bool count_lines(void *context, const weir_log_line *line)
{
    uint64_t *const count = context;
    return line->number == (*count)++ && line->content_size > 0;
}

static bool stop_at_ten(void *context, const weir_log_line *line)
{
    *(uint64_t *)context = line->number;
    return line->number < 10;
}

static size_t heap_peak_kib(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss;
}

// 200,000 lines, 30 MB: streamed without holding them; as a list they are refused, or given in parts.
static void test_large_log(void **state)
{
    enum { lines = 200000, line_size = 150 };
    (void)state;
    weir__text text = {0};
    put(S1, "x");
    const int fd = open(test_storage_at(&storage, S1), O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int i = 0; i < lines; i++) {
        weir__text_printf(&text, "[2025-08-01T10:00:00.%06d] line %-*d.\n", i, line_size - 40, i);
        if (text.size > 60000 || i == lines - 1) {
            assert_int_equal(write(fd, text.data, text.size), text.size);
            weir__text_clear(&text);
        }
    }
    close(fd);
    weir__text_free(&text);
    const size_t before_kib = heap_peak_kib();
    uint64_t count = 0;
    uint64_t total = 0;
    expect_ok(weir_runs_read_logs(storage.runs, "e", NULL, count_lines, &count, &total, &err), &err);
    assert_int_equal(count, lines);
    assert_int_equal(total, lines);
    assert_in_range(heap_peak_kib() - before_kib, 0, 4 * 1024);
    uint64_t last = 0;
    expect_code(weir_runs_read_logs(storage.runs, "e", NULL, stop_at_ten, &last, NULL, &err), WEIR_CANCELLED,
                &err);
    assert_int_equal(last, 10);
    weir_log_list list;
    expect_code(weir_runs_logs(storage.runs, "e", NULL, &list, &err), WEIR_TOOBIG, &err);
    assert_null(list.items);
    const weir_logs_query tail = {.tail = 2000};
    expect_ok(weir_runs_logs(storage.runs, "e", &tail, &list, &err), &err);
    assert_int_equal(list.count, 2000);
    assert_int_equal(list.total, lines);
    assert_int_equal(list.items[1999].number, lines - 1);
    weir_log_list_free(&list);
}

int main(void)
{
#define WITH_STORAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),    WITH_STORAGE(test_tolerant_reader),
        WITH_STORAGE(test_order),         WITH_STORAGE(test_nothing_there),
        WITH_STORAGE(test_hostile_files), WITH_STORAGE(test_symlinked_folder),
        WITH_STORAGE(test_long_line),     WITH_STORAGE(test_large_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
