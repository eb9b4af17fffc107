// SPDX-License-Identifier: MIT
//
// Lines of the access log: their form, and a reader that does not read.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/access.h"

static const weir__access_entry plain = {.address = "127.0.0.1",
                                         .method = "GET",
                                         .target = "/api",
                                         .user = "",
                                         .status = 200,
                                         .ms = 1.25,
                                         .complete = true};

static void expect_line(const weir__access_entry *entry, const char *expected)
{
    weir__text line = {0};
    weir__access_format(entry, INT64_C(784111777123456), &line);
    assert_string_equal(weir__text_string(&line), expected);
    weir__text_free(&line);
}

static void lines_have_one_form(void **state)
{
    (void)state;
    expect_line(&plain, "1994-11-06T08:49:37Z 127.0.0.1 \"GET /api\" 200 1.2ms \"\"\n");
    weir__access_entry entry = plain;
    entry.complete = false;
    entry.user = "ada";
    entry.status = 0;
    expect_line(&entry, "1994-11-06T08:49:37Z 127.0.0.1 \"GET /api\" 0 1.2ms \"ada\" broken-off\n");
}

static void a_client_cannot_forge_a_line(void **state)
{
    (void)state;
    weir__access_entry entry = plain;
    entry.target = "/\" 200\n\x1b[31m\xff";
    expect_line(
        &entry,
        "1994-11-06T08:49:37Z 127.0.0.1 \"GET /\\\" 200\\n\\u001b[31m\xef\xbf\xbd\" 200 1.2ms \"\"\n");
}

static void lines_fit_into_a_page(void **state)
{
    (void)state;
    char target[9000];
    weir__text line = {0};
    weir__access_entry entry = plain;
    memset(target, 'a', sizeof target - 1);
    target[sizeof target - 1] = '\0';
    entry.target = target;
    weir__access_format(&entry, 0, &line);
    assert_true(line.size < 1200);
    assert_non_null(strstr(line.data, "aaa...\""));
    weir__text_free(&line);
}

static void a_reader_that_does_not_read_holds_nobody_up(void **state)
{
    (void)state;
    static char drained[1 << 20];
    weir__access access = {0};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0); // blocking on purpose
    int written = 0;
    while (access.dropped == 0 && written < 100000) {
        weir__access_write(&access, ends[1], &plain);
        written++;
    }
    assert_int_equal(access.dropped, 1);
    weir__access_write(&access, ends[1], &plain);
    assert_int_equal(access.dropped, 2);
    assert_true(read(ends[0], drained, sizeof drained) > 0);
    weir__access_write(&access, ends[1], &plain);
    assert_int_equal(access.dropped, 0);
    const ssize_t got = read(ends[0], drained, sizeof drained - 1);
    assert_true(got > 0);
    drained[got] = '\0';
    assert_non_null(strstr(drained, "(2 lines were dropped"));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_one_form),
        cmocka_unit_test(a_client_cannot_forge_a_line),
        cmocka_unit_test(lines_fit_into_a_page),
        cmocka_unit_test(a_reader_that_does_not_read_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
