// SPDX-License-Identifier: MIT
//
// Hostile text in, harmless text of known width out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/visible.h"

typedef struct example {
    const char *in;
    size_t columns_max;
    const char *out;
    size_t columns;
} example;

static void check(const example *examples, size_t count, bool unicode)
{
    for (size_t i = 0; i < count; i++) {
        weir__text text = {0};
        const size_t columns =
            weir__visible(&text, examples[i].in, strlen(examples[i].in), examples[i].columns_max, unicode);
        assert_string_equal(weir__text_string(&text), examples[i].out);
        assert_int_equal(columns, examples[i].columns);
        if (examples[i].columns_max == WEIR__COLUMNS_ALL)
            assert_int_equal(weir__visible_columns(examples[i].in, strlen(examples[i].in), unicode), columns);
        weir__text_free(&text);
    }
}

static void test_control_characters_are_shown(void **state)
{
    (void)state;
    const example examples[] = {
        {"plain", WEIR__COLUMNS_ALL, "plain", 5},
        {"a\tb", WEIR__COLUMNS_ALL, "a       b", 9},
        {"1234567\t\t8", WEIR__COLUMNS_ALL, "1234567         8", 17},
        {"a\nb\rc", WEIR__COLUMNS_ALL, "a\\nb\\rc", 7},
        {"\x1b[1;31mred\x1b[m", WEIR__COLUMNS_ALL, "red", 3},
        {"\x1b[31", WEIR__COLUMNS_ALL, "\\e[31", 5},
        {"\x1b[2J\x1b[1A", WEIR__COLUMNS_ALL, "\\e[2J\\e[1A", 10},
        {"\x07\x7f", WEIR__COLUMNS_ALL, "\\x07\\x7f", 8},
        {"\xC2\x9B"
         "2J",
         WEIR__COLUMNS_ALL, "\\u009b2J", 8}, // CSI in one character
        {"a\xE2\x80\xAE"
         "gpj.exe",
         WEIR__COLUMNS_ALL, "a\\u202egpj.exe", 14},                 // right-to-left override
        {"\xE2\x80\x8B", WEIR__COLUMNS_ALL, "\\u200b", 6},          // zero width space
        {"\xF3\xA0\x81\x81", WEIR__COLUMNS_ALL, "\\U000e0041", 10}, // an invisible tag
        {"x\xFFy", WEIR__COLUMNS_ALL, "x\xEF\xBF\xBDy", 3},
        {"cut\xE2\x82", WEIR__COLUMNS_ALL, "cut\xEF\xBF\xBD", 4},
    };
    check(examples, sizeof examples / sizeof examples[0], true);
}

static void test_width_counts_columns(void **state)
{
    (void)state;
    const example examples[] = {
        {"\xC3\xA9t\xC3\xA9", WEIR__COLUMNS_ALL, "\xC3\xA9t\xC3\xA9", 3},
        {"\xE6\xBC\xA2\xE5\xAD\x97", WEIR__COLUMNS_ALL, "\xE6\xBC\xA2\xE5\xAD\x97", 4}, // two wide characters
        {"e\xCC\x81", WEIR__COLUMNS_ALL, "e\xCC\x81", 1},                               // a combining accent
    };
    check(examples, sizeof examples / sizeof examples[0], true);
}

static void test_cutting(void **state)
{
    (void)state;
    const example examples[] = {
        {"abcdef", 6, "abcdef", 6},
        {"abcdef", 5, "abcd\xE2\x80\xA6", 5},
        {"abcdef", 1, "\xE2\x80\xA6", 1},
        {"abcdef", 0, "", 0},
        {"\xE6\xBC\xA2\xE5\xAD\x97x", 4, "\xE6\xBC\xA2\xE2\x80\xA6",
         3},                                // half of a wide character does not fit
        {"ab\ncd", 4, "ab\xE2\x80\xA6", 3}, // an escape is not cut in its middle
        {"ab\xCC\x81"
         "c",
         2, "a\xE2\x80\xA6", 2},
    };
    check(examples, sizeof examples / sizeof examples[0], true);
}

static void test_ascii(void **state)
{
    (void)state;
    const example examples[] = {
        {"\xC3\xA9t\xC3\xA9", WEIR__COLUMNS_ALL, "?t?", 3},
        {"\xFF", WEIR__COLUMNS_ALL, "?", 1},
        {"abcdef", 4, "abc~", 4},
    };
    check(examples, sizeof examples / sizeof examples[0], false);
}

static void test_quote(void **state)
{
    (void)state;
    char out[8];
    assert_string_equal(weir__visible_quote("a\nb", out, sizeof out), "a\\nb");
    assert_string_equal(weir__visible_quote("abcdefghij", out, sizeof out), "abcdef~");
    assert_string_equal(weir__visible_quote("", out, sizeof out), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_characters_are_shown),
        cmocka_unit_test(test_width_counts_columns),
        cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_ascii),
        cmocka_unit_test(test_quote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
