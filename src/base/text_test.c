// SPDX-License-Identifier: MIT
//
// Text grows, fails once and for all, and never lets invalid UTF-8 out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define FFFD "\xEF\xBF\xBD"

static void appending_grows(void **state)
{
    (void)state;
    weir__text text = {0};
    assert_string_equal(weir__text_string(&text), "");
    weir__text_add(&text, "a");
    weir__text_char(&text, 'b');
    weir__text_printf(&text, "%d-%s", 42, "c");
    weir__text_append(&text, "xyz", 2);
    assert_string_equal(text.data, "ab42-cxy");
    assert_int_equal(text.size, 8);
    for (int i = 0; i < 5000; i++)
        weir__text_printf(&text, "%d,", i);
    assert_int_equal(text.size, strlen(text.data));
    assert_false(text.failed);
    weir__text_clear(&text);
    assert_int_equal(text.size, 0);
    char *const taken = weir__text_take(&text);
    assert_string_equal(taken, "");
    free(taken);
    assert_null(text.data);
    weir__text_free(&text);
}

static void every_size_around_the_capacity_fits(void **state)
{
    (void)state;
    char bytes[300];
    memset(bytes, 'x', sizeof bytes);
    for (size_t first = 0; first < 130; first++) {
        weir__text text = {0};
        weir__text_append(&text, bytes, first);
        weir__text_append(&text, bytes, sizeof bytes - first);
        assert_int_equal(text.size, sizeof bytes);
        assert_int_equal(strlen(text.data), sizeof bytes);
        weir__text_free(&text);
    }
}

static void a_failure_sticks_until_cleared(void **state)
{
    (void)state;
    weir__text text = {0};
    weir__text_add(&text, "ok");
    weir__text_append(&text, "x", SIZE_MAX / 2); // refused before a byte is read
    assert_true(text.failed);
    weir__text_add(&text, "more");
    assert_int_equal(text.size, 2);
    assert_null(weir__text_take(&text));
    assert_false(text.failed);
    assert_null(text.data);
}

static void assert_json(const char *input, size_t size, const char *wanted)
{
    weir__text text = {0};
    weir__text_json_string(&text, input, size);
    assert_string_equal(weir__text_string(&text), wanted);
    weir__text_free(&text);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    assert_json("", 0, "\"\"");
    assert_json("plain", 5, "\"plain\"");
    assert_json("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    assert_json("\n\r\t\b\x01\x7F", 6, "\"\\n\\r\\t\\u0008\\u0001\\u007f\"");
    assert_json("a\0b", 3, "\"a\\u0000b\"");
    assert_json("é€😀", strlen("é€😀"), "\"é€😀\"");
    assert_json("a\xFFz", 3, "\"a" FFFD "z\"");
    assert_json("\xE2\x82", 2, "\"" FFFD "\"");
}

static void what_is_valid_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length; // 0: invalid
        size_t skip;   // bytes that one U+FFFD stands for
        int32_t code;
    } cases[] = {
        {"a", 1, 1, 'a'},
        {"\xC2\x80", 2, 2, 0x80},
        {"\xDF\xBF", 2, 2, 0x7FF},
        {"\xE0\xA0\x80", 3, 3, 0x800},
        {"\xEF\xBF\xBF", 3, 3, 0xFFFF},
        {"\xF0\x90\x80\x80", 4, 4, 0x10000},
        {"\xF4\x8F\xBF\xBF", 4, 4, 0x10FFFF},
        {"\x80", 0, 1, -1},             // continuation alone
        {"\xC0\x80", 0, 1, -1},         // overlong NUL
        {"\xC1\xBF", 0, 1, -1},         // overlong
        {"\xE0\x9F\xBF", 0, 1, -1},     // overlong
        {"\xED\xA0\x80", 0, 1, -1},     // surrogate
        {"\xF0\x8F\xBF\xBF", 0, 1, -1}, // overlong
        {"\xF4\x90\x80\x80", 0, 1, -1}, // beyond U+10FFFF
        {"\xF5\x80\x80\x80", 0, 1, -1},
        {"\xE2\x82", 0, 2, -1},     // cut short
        {"\xF0\x9F\x98", 0, 3, -1}, // cut short
        {"\xE2\x82z", 0, 2, -1},
        {"\xFF", 0, 1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t size = strlen(cases[i].bytes);
        size_t skip = 0;
        assert_int_equal(weir__utf8_length(cases[i].bytes, size), cases[i].length);
        assert_int_equal(weir__utf8_decode(cases[i].bytes, size, &skip), cases[i].code);
        assert_int_equal(skip, cases[i].skip);
        assert_int_equal(weir__utf8_is_valid(cases[i].bytes, size), cases[i].length > 0);
    }
    assert_true(weir__utf8_is_valid("", 0));
    assert_int_equal(weir__utf8_length("", 0), 0);
}

static void sanitizing_fits_and_splits_nothing(void **state)
{
    (void)state;
    char out[64];
    assert_int_equal(weir__utf8_sanitize(out, sizeof out, "a\xFF€", 5), 7);
    assert_string_equal(out, "a" FFFD "€");
    for (size_t capacity = 1; capacity < 12; capacity++) {
        const size_t size = weir__utf8_sanitize(out, capacity, "€\x80😀x", strlen("€\x80😀x"));
        assert_true(size < capacity);
        assert_int_equal(strlen(out), size);
        assert_true(weir__utf8_is_valid(out, size));
    }
    weir__text text = {0};
    weir__text_utf8(&text, "\xC0\xC0ok\xE2", 5);
    assert_string_equal(weir__text_string(&text), FFFD FFFD "ok" FFFD);
    weir__text_free(&text);
}

static void room_is_written_into(void **state)
{
    (void)state;
    weir__text text = {0};
    weir__text_add(&text, "a");
    char *const room = weir__text_room(&text, 1000);
    assert_non_null(room);
    memcpy(room, "bcd", 3);
    weir__text_added(&text, 2);
    assert_string_equal(text.data, "abc");
    assert_int_equal(text.size, 3);
    text.failed = true;
    assert_null(weir__text_room(&text, 1));
    weir__text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending_grows),
        cmocka_unit_test(every_size_around_the_capacity_fits),
        cmocka_unit_test(a_failure_sticks_until_cleared),
        cmocka_unit_test(room_is_written_into),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(what_is_valid_utf8),
        cmocka_unit_test(sanitizing_fits_and_splits_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
