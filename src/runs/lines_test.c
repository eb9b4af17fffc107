// SPDX-License-Identifier: MIT
//
// Line splitting: every terminator, every place where a chunk may end, bytes that are no text, the cap.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runs/lines.h"

// Each line is written as <line> or, where it is not the first piece, as +<line>.
static void note(void *context, weir__span line, bool first)
{
    weir__text_add(context, first ? "<" : "+<");
    weir__text_append(context, line.data, line.size);
    weir__text_char(context, '>');
}

// Feeds `input` in chunks of `chunk` bytes.
static void assert_lines(const char *input, size_t size, size_t chunk, const char *expected)
{
    weir__lines lines = {0};
    weir__text seen = {0};
    for (size_t at = 0; at < size; at += chunk)
        weir__lines_feed(&lines, input + at, size - at < chunk ? size - at : chunk, note, &seen);
    weir__lines_end(&lines, note, &seen);
    assert_string_equal(weir__text_string(&seen), expected);
    assert_int_equal(lines.lost, 0);
    weir__text_free(&seen);
    weir__lines_free(&lines);
}

static void assert_lines_in_any_chunks(const char *input, size_t size, const char *expected)
{
    for (size_t chunk = 1; chunk <= size + 1; chunk++)
        assert_lines(input, size, chunk, expected);
}

#define ASSERT_LINES(input, expected) assert_lines_in_any_chunks((input), sizeof(input) - 1, (expected))

static void every_terminator_counts(void **state)
{
    (void)state;
    ASSERT_LINES("a\nb\n", "<a><b>");
    ASSERT_LINES("a\r\nb\r\n", "<a><b>");
    ASSERT_LINES("10%\r20%\r30%\n", "<10%><20%><30%>");
    ASSERT_LINES("a\rb\r\nc\n\rd", "<a><b><c><d>");
    ASSERT_LINES("a\n\n\r\n\r\rb", "<a><b>");
    ASSERT_LINES("no end", "<no end>");
    ASSERT_LINES("", "");
}

static void blank_lines_vanish_and_indentation_stays(void **state)
{
    (void)state;
    ASSERT_LINES("  a  \n \t \n\xC2\xA0\n\tb\xE3\x80\x80\n", "<  a><\tb>");
}

static void what_is_no_text_is_replaced(void **state)
{
    (void)state;
    ASSERT_LINES("a\xFF"
                 "b\n\xC3\xA9\n",
                 "<a\xEF\xBF\xBD"
                 "b><\xC3\xA9>");
    ASSERT_LINES("\xE2\x82\n\xE2\x82\xAC", "<\xEF\xBF\xBD><\xE2\x82\xAC>");
    ASSERT_LINES("a\0b\n", "<a\xEF\xBF\xBD"
                           "b>");
    ASSERT_LINES("\xED\xA0\x80", "<\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD>");
}

static void a_carriage_return_ends_its_line_at_once(void **state)
{
    (void)state;
    weir__lines lines = {0};
    weir__text seen = {0};
    weir__lines_feed(&lines, "50%\r", 4, note, &seen);
    assert_string_equal(weir__text_string(&seen), "<50%>");
    weir__lines_feed(&lines, "\n", 1, note, &seen);
    weir__lines_end(&lines, note, &seen);
    assert_string_equal(weir__text_string(&seen), "<50%>");
    weir__text_free(&seen);
    weir__lines_free(&lines);
}

// A line of the cap and one character of three bytes across it: the character stays whole, in the second
// piece.
static void long_lines_come_in_pieces(void **state)
{
    (void)state;
    const size_t cap = WEIR__LINE_BYTES_MAX;
    const size_t size = cap + 4;
    char *const input = malloc(size);
    assert_non_null(input);
    memset(input, 'x', size);
    memcpy(input + cap - 1, "\xE2\x82\xACy\n", 5);
    for (size_t chunk = 4093; chunk <= size; chunk = chunk * 16 + 1) {
        weir__lines lines = {0};
        weir__text seen = {0};
        for (size_t at = 0; at < size; at += chunk)
            weir__lines_feed(&lines, input + at, size - at < chunk ? size - at : chunk, note, &seen);
        assert_int_equal(seen.size, cap - 1 + 2 + 4 + 3);
        assert_string_equal(weir__text_string(&seen) + cap + 1, "+<\xE2\x82\xACy>");
        assert_true(lines.raw.capacity < cap); // given back
        weir__text_free(&seen);
        weir__lines_free(&lines);
    }
    free(input);
}

static void note_size(void *context, weir__span line, bool first)
{
    weir__text_printf(context, "%zu%s ", line.size, first ? "" : "+");
}

// Every byte becomes three: a piece is what a reader of the log takes for one line.
static void what_is_no_text_keeps_to_the_limit_too(void **state)
{
    (void)state;
    const size_t size = WEIR__LINE_BYTES_MAX;
    char *const input = malloc(size);
    assert_non_null(input);
    memset(input, 0xFF, size);
    weir__lines lines = {0};
    weir__text seen = {0};
    weir__lines_feed(&lines, input, size, note_size, &seen);
    weir__lines_feed(&lines, "x\ny", 3, note_size, &seen);
    weir__lines_end(&lines, note_size, &seen);
    assert_string_equal(weir__text_string(&seen), "1048575 1048575+ 1048575+ 4+ 1 ");
    weir__text_free(&seen);
    weir__lines_free(&lines);
    free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_terminator_counts),
        cmocka_unit_test(blank_lines_vanish_and_indentation_stays),
        cmocka_unit_test(what_is_no_text_is_replaced),
        cmocka_unit_test(a_carriage_return_ends_its_line_at_once),
        cmocka_unit_test(long_lines_come_in_pieces),
        cmocka_unit_test(what_is_no_text_keeps_to_the_limit_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
