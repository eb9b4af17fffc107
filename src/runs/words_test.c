// SPDX-License-Identifier: MIT
//
// Word splitting: plain strings, quoting, what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"
#include "runs/words.h"

// Each word as <word>.
static void assert_words(const char *command, const char *expected)
{
    weir_error err = WEIR_ERROR_INIT;
    char **argv = NULL;
    size_t argc = 0;
    weir__text seen = {0};
    assert_int_equal(weir__words_split(command, &argv, &argc, &err), WEIR_OK);
    for (size_t i = 0; i < argc; i++)
        weir__text_printf(&seen, "<%s>", argv[i]);
    assert_null(argv[argc]);
    assert_string_equal(weir__text_string(&seen), expected);
    weir__text_free(&seen);
    weir__words_free(argv);
}

static void plain_strings_split_at_white_space(void **state)
{
    (void)state;
    assert_words("sh  build.sh\t-x\n", "<sh><build.sh><-x>");
    assert_words("echo $HOME *.c ; rm -rf ~", "<echo><$HOME><*.c><;><rm><-rf><~>");
    assert_words("a\xC2\xA0"
                 "b",
                 "<a><b>");
    assert_words("", "");
    assert_words(" \t ", "");
}

static void quotes_keep_words_together(void **state)
{
    (void)state;
    assert_words("python3 -c \"print(1, 2)\"", "<python3><-c><print(1, 2)>");
    assert_words("sh -c 'echo \"$x\" \\n'", "<sh><-c><echo \"$x\" \\n>");
    assert_words("a'b c'd\"e f\"", "<ab cde f>");
    assert_words("'' \"\" x", "<><><x>");
    assert_words("a\\ b c\\'d", "<a b><c'd>");
    assert_words("\"a\\\"b\\n\\$\\\\\"", "<a\"b\\n$\\>");
    assert_words("a\\\nb 'c\\\nd'", "<ab><c\\\nd>");
    assert_words("'a\xC2\xA0"
                 "b'",
                 "<a\xC2\xA0"
                 "b>");
}

static void many_words_fit(void **state)
{
    (void)state;
    weir__text command = {0};
    char **argv = NULL;
    size_t argc = 0;
    for (int i = 0; i < 1000; i++)
        weir__text_printf(&command, "w%d ", i);
    assert_int_equal(weir__words_split(weir__text_string(&command), &argv, &argc, NULL), WEIR_OK);
    assert_int_equal(argc, 1000);
    assert_string_equal(argv[999], "w999");
    weir__words_free(argv);
    weir__text_free(&command);
}

static void assert_refused(const char *command, const char *sentence)
{
    weir_error err = WEIR_ERROR_INIT;
    char **argv = NULL;
    size_t argc = 0;
    assert_int_equal(weir__words_split(command, &argv, &argc, &err), WEIR_INVALID);
    assert_string_equal(err.text, sentence);
    assert_null(argv);
}

static void unfinished_commands_are_refused(void **state)
{
    (void)state;
    assert_refused("echo 'a", "the command has a ' that is not closed: echo 'a");
    assert_refused("echo \"a'", "the command has a \" that is not closed: echo \"a'");
    assert_refused("echo a\\", "the command ends in a backslash: echo a\\");
    assert_words("echo a\\\\", "<echo><a\\>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_strings_split_at_white_space),
        cmocka_unit_test(quotes_keep_words_together),
        cmocka_unit_test(many_words_fit),
        cmocka_unit_test(unfinished_commands_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
