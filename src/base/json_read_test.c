// SPDX-License-Identifier: MIT
//
// The reader: what is JSON and what is not, said with the right byte; the same tokens however the input comes in
// pieces; an end to every input, cut off wherever it may be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// A text with everything in it: each kind of token, each kind of escape, characters of two, three and four bytes.
static const char rich[] =
    " {\"a\" : [1, -2.5e+3, 0, true,false ,null, {}, [ ]],\r\n\t\"k\\u00e9y\\n\":"
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\ud83d\\uDE00 \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\","
    "\"\":\"\",\"long\":\"0123456789012345678901234567890123456789\",\"n\":1e-7} ";

// Input that comes in pieces of at most `piece` bytes, and fails at `fails_at`.
typedef struct pieces {
    const char *bytes;
    size_t size;
    size_t piece;
    uint64_t fails_at;
    int calls;
} pieces;

static int read_pieces(void *context, uint64_t offset, void *buffer, size_t size, size_t *got,
                       weir_error *err)
{
    pieces *const in = context;
    in->calls++;
    assert_true(offset <= in->size);
    if (offset >= in->fails_at)
        return weir__error_set(err, WEIR_IO, "the disk is gone");
    size_t left = in->size - (size_t)offset;
    left = left < in->piece ? left : in->piece;
    *got = left < size ? left : size;
    memcpy(buffer, in->bytes + offset, *got);
    return WEIR_OK;
}

static char letter_of(weir__json_type type)
{
    return ".{}[]ksntfz"[type];
}

// Writes all tokens down, with their offsets and texts, and how the reading ended.
static int trace(weir__json_reader *reader, weir__text *out)
{
    weir__json_token token;
    weir_error err = WEIR_ERROR_INIT;
    int code = WEIR_OK;
    do {
        code = weir__json_reader_next(reader, &token, &err);
        if (code != WEIR_OK)
            break;
        weir__text_printf(out, "%c%d", letter_of(token.type), (int)token.offset);
        assert_int_equal(token.text[token.size], '\0');
        weir__text_json_string(out, token.text, token.size);
    } while (token.type != WEIR__JSON_END);
    if (code != WEIR_OK) {
        weir__text_printf(out, "!%s %s", weir_code_name(code), err.text);
        weir_error again = WEIR_ERROR_INIT;
        assert_int_equal(weir__json_reader_next(reader, &token, &again), code);
        assert_string_equal(again.text, err.text);
        assert_int_equal(weir__json_reader_skip(reader, NULL), code);
    }
    return code;
}

static int trace_memory(const char *bytes, size_t size, weir__text *out)
{
    weir__json_reader reader;
    char *const exact = malloc(size > 0 ? size : 1); // so that a sanitizer sees a read behind it
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    weir__json_reader_init(&reader, exact, size, 0);
    const int code = trace(&reader, out);
    weir__json_reader_fini(&reader);
    free(exact);
    return code;
}

static int trace_pieces(const char *bytes, size_t size, size_t piece, weir__text *out)
{
    pieces in = {.bytes = bytes, .size = size, .piece = piece, .fails_at = UINT64_MAX};
    weir__json_reader reader;
    weir__json_reader_init_source(&reader, read_pieces, &in, 0);
    const int code = trace(&reader, out);
    weir__json_reader_fini(&reader);
    return code;
}

static void every_token_is_told(void **state)
{
    (void)state;
    static const char input[] = "{\"a\":[1,true,false,null,\"\\u0041\"],\"b\":{}} ";
    static const char wanted[] =
        "{0\"\"k1\"a\"[5\"\"n6\"1\"t8\"\"f13\"\"z19\"\"s24\"A\"]32\"\"k34\"b\"{38\"\"}39\"\"}40\"\".42\"\"";
    weir__text text = {0};
    assert_int_equal(trace_memory(input, sizeof input - 1, &text), WEIR_OK);
    assert_string_equal(text.data, wanted);
    weir__text_free(&text);
}

static void pieces_make_no_difference(void **state)
{
    (void)state;
    weir__text wanted = {0};
    assert_int_equal(trace_memory(rich, sizeof rich - 1, &wanted), WEIR_OK);
    for (size_t piece = 1; piece <= sizeof rich; piece++) {
        weir__text text = {0};
        assert_int_equal(trace_pieces(rich, sizeof rich - 1, piece, &text), WEIR_OK);
        assert_string_equal(text.data, wanted.data);
        weir__text_free(&text);
    }
    weir__text_free(&wanted);
}

static void what_is_cut_off_is_invalid(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof rich - 2; size++) { // the last blank may be missing
        weir__text wanted = {0};
        if (trace_memory(rich, size, &wanted) != WEIR_INVALID)
            fail_msg("%.*s was read as %s", (int)size, rich, wanted.data);
        for (size_t piece = 1; piece <= 17; piece++) {
            weir__text text = {0};
            assert_int_equal(trace_pieces(rich, size, piece, &text), WEIR_INVALID);
            assert_string_equal(text.data, wanted.data);
            weir__text_free(&text);
        }
        weir__text_free(&wanted);
    }
}

// A value that is longer than the window, and one that lies across its edge.
static void a_value_may_be_longer_than_the_window(void **state)
{
    (void)state;
    const size_t window = WEIR__JSON_WINDOW_BYTES;
    for (size_t before = window - 13; before <= window + 1; before++) {
        weir__text input = {0};
        weir__text text = {0};
        weir__text_char(&input, '"');
        while (input.size < before)
            weir__text_char(&input, 'x');
        weir__text_add(&input, "\\ud83d\\ude00\xF0\x9F\x98\x80");
        for (int i = 0; i < WEIR__JSON_WINDOW_BYTES; i++)
            weir__text_char(&input, 'y');
        weir__text_char(&input, '"');
        pieces in = {.bytes = input.data, .size = input.size, .piece = SIZE_MAX, .fails_at = UINT64_MAX};
        weir__json_reader reader;
        weir__json_token token;
        weir__json_reader_init_source(&reader, read_pieces, &in, 0);
        assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
        assert_int_equal(token.size, input.size - 2 - 8);
        assert_non_null(strstr(token.text, "x\xF0\x9F\x98\x80\xF0\x9F\x98\x80y"));
        assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
        assert_int_equal(token.type, WEIR__JSON_END);
        weir__json_reader_fini(&reader);
        weir__text_free(&text);
        weir__text_free(&input);
    }
}

static const struct {
    const char *json;
    const char *sentence;
} wrong[] = {
    {"", "at byte 0 of the JSON text: it ends where a value was expected"},
    {"  ", "at byte 2 of the JSON text: it ends where a value was expected"},
    {"\xEF\xBB\xBF{}", "at byte 0 of the JSON text: a value was expected, not the byte 0xEF"},
    {"{} x", "at byte 3 of the JSON text: nothing more was expected, not 'x'"},
    {"1 2", "at byte 2 of the JSON text: nothing more was expected, not '2'"},
    {"[1,]", "at byte 3 of the JSON text: a value was expected, not ']'"},
    {"[,1]", "at byte 1 of the JSON text: a value was expected, not ','"},
    {"[1 2]", "at byte 3 of the JSON text: a comma or ] was expected, not '2'"},
    {"[1}", "at byte 2 of the JSON text: a comma or ] was expected, not '}'"},
    {"{\"a\":1,}", "at byte 7 of the JSON text: a key was expected, not '}'"},
    {"{a:1}", "at byte 1 of the JSON text: a key was expected, not 'a'"},
    {"{\"a\" 1}", "at byte 5 of the JSON text: a colon was expected, not '1'"},
    {"{\"a\":}", "at byte 5 of the JSON text: a value was expected, not '}'"},
    {"{\"a\":1]", "at byte 6 of the JSON text: a comma or } was expected, not ']'"},
    {"]", "at byte 0 of the JSON text: a value was expected, not ']'"},
    {"tru", "at byte 0 of the JSON text: a value was expected, not 't'"},
    {"nul]", "at byte 0 of the JSON text: a value was expected, not 'n'"},
    {"truee", "at byte 4 of the JSON text: nothing more was expected, not 'e'"},
    {"NaN", "at byte 0 of the JSON text: a value was expected, not 'N'"},
    {"'a'", "at byte 0 of the JSON text: a value was expected, not '''"},
    {"/**/1", "at byte 0 of the JSON text: a value was expected, not '/'"},
    {"[1,\x7F", "at byte 3 of the JSON text: a value was expected, not the byte 0x7F"},
    {"\v1", "at byte 0 of the JSON text: a value was expected, not the byte 0x0B"},
    {"01", "at byte 0 of the JSON text: not a number"},
    {"[ -]", "at byte 2 of the JSON text: not a number"},
    {"1.", "at byte 0 of the JSON text: not a number"},
    {"1.e5", "at byte 0 of the JSON text: not a number"},
    {"1e", "at byte 0 of the JSON text: not a number"},
    {"1e+", "at byte 0 of the JSON text: not a number"},
    {"--1", "at byte 0 of the JSON text: not a number"},
    {"+1", "at byte 0 of the JSON text: a value was expected, not '+'"},
    {".5", "at byte 0 of the JSON text: a value was expected, not '.'"},
    {"0x10", "at byte 1 of the JSON text: nothing more was expected, not 'x'"},
    {"-Infinity", "at byte 0 of the JSON text: not a number"},
    {"1e400", "at byte 0 of the JSON text: a number beyond the range of a double"},
    {"-1e309", "at byte 0 of the JSON text: a number beyond the range of a double"},
    {"1e99999999999999999999", "at byte 0 of the JSON text: a number beyond the range of a double"},
    {"\"abc", "at byte 4 of the JSON text: it ends inside a string"},
    {"\"abc\\", "at byte 4 of the JSON text: it ends inside a string"},
    {"\"a\tb\"", "at byte 2 of the JSON text: a control character in a string"},
    {"\"\\x41\"", "at byte 1 of the JSON text: no such escape"},
    {"\"\\u12g4\"", "at byte 1 of the JSON text: \\u needs four hexadecimal digits"},
    {"\"\\u12", "at byte 1 of the JSON text: \\u needs four hexadecimal digits"},
    {"\"\\ud800\"", "at byte 1 of the JSON text: half of a surrogate pair"},
    {"\"\\ud800x\"", "at byte 1 of the JSON text: half of a surrogate pair"},
    {"\"\\ud800\\n\"", "at byte 1 of the JSON text: half of a surrogate pair"},
    {"\"\\ud800\\ud800\"", "at byte 1 of the JSON text: half of a surrogate pair"},
    {"\"\\udc00\\ud800\"", "at byte 1 of the JSON text: half of a surrogate pair"},
    {"\"\xC0\x80\"", "at byte 1 of the JSON text: not UTF-8"},
    {"\"\xED\xA0\x80\"", "at byte 1 of the JSON text: not UTF-8"},
    {"\"12345678\xFF\"", "at byte 9 of the JSON text: not UTF-8"},
    {"\"\xE2\x82", "at byte 1 of the JSON text: not UTF-8"},
};

static void what_is_wrong_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        for (size_t piece = 1; piece < 4; piece++) {
            pieces in = {.bytes = wrong[i].json,
                         .size = strlen(wrong[i].json),
                         .piece = piece,
                         .fails_at = UINT64_MAX};
            weir__json_reader reader;
            weir__json_token token = {0};
            weir_error err = WEIR_ERROR_INIT;
            weir__json_reader_init_source(&reader, read_pieces, &in, 0);
            do
                if (weir__json_reader_next(&reader, &token, &err) != WEIR_OK)
                    break;
            while (token.type != WEIR__JSON_END);
            weir__json_reader_fini(&reader);
            assert_int_equal(err.code, WEIR_INVALID);
            assert_string_equal(err.text, wrong[i].sentence);
        }
    }
}

static void every_control_character_is_refused(void **state)
{
    (void)state;
    for (int c = 0; c < 0x80; c++) {
        const char json[] = {'"', (char)c, 'x', '"'};
        const bool is_plain = c >= 0x20 && c != '"' && c != '\\';
        weir__text text = {0};
        if ((trace_memory(json, sizeof json, &text) == WEIR_OK) != is_plain)
            fail_msg("the character 0x%02X: %s", (unsigned)c, text.data);
        weir__text_free(&text);
    }
}

// Half of a pair is counted where the caller wants to go on.
static void halves_may_be_taken(void **state)
{
    (void)state;
    static const char json[] = "[\"\\ud800\",\"\\udc00x\",\"\\ud83d\\ude00\",\"\\ud83dx\"]";
    static const char *const wanted[] = {"\xEF\xBF\xBD", "\xEF\xBF\xBDx", "\xF0\x9F\x98\x80",
                                         "\xEF\xBF\xBDx"};
    weir__json_reader reader;
    weir__json_token token;
    weir__json_reader_init(&reader, json, sizeof json - 1, 0);
    reader.takes_halves = true;
    assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
        assert_string_equal(token.text, wanted[i]);
    }
    assert_int_equal(reader.halves, 3);
    weir__json_reader_fini(&reader);
}

static void a_nul_ends_nothing(void **state)
{
    (void)state;
    weir__text text = {0};
    assert_int_equal(trace_memory("\"a\0b\"", 5, &text), WEIR_INVALID);
    assert_int_equal(trace_memory("1\0", 2, &text), WEIR_INVALID);
    assert_int_equal(trace_memory("\"a\\u0000b\"", 10, &text), WEIR_OK);
    weir__text_free(&text);
}

static int nested(int depth, weir_error *err)
{
    weir__text text = {0};
    weir__json_reader reader;
    for (int i = 0; i < depth; i++)
        weir__text_add(&text, i % 2 == 0 ? "[" : "{\"a\":");
    weir__text_add(&text, "1");
    for (int i = depth; i-- > 0;)
        weir__text_add(&text, i % 2 == 0 ? "]" : "}");
    weir__json_reader_init(&reader, text.data, text.size, 0);
    const int code = weir__json_reader_skip(&reader, err);
    weir__json_reader_fini(&reader);
    weir__text_free(&text);
    return code;
}

static void depth_is_bounded(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(nested(WEIR__JSON_DEPTH_MAX, &err), WEIR_OK);
    assert_int_equal(nested(WEIR__JSON_DEPTH_MAX + 1, &err), WEIR_INVALID);
    assert_string_equal(err.text, "at byte 384 of the JSON text: nested deeper than 128");
}

static void peeking_moves_nothing(void **state)
{
    (void)state;
    weir__json_reader reader;
    weir__json_reader_init(&reader, rich, sizeof rich - 1, 0);
    weir__text peeked = {0};
    weir__text read = {0};
    weir__json_token token;
    do {
        assert_int_equal(weir__json_reader_peek(&reader, &token, NULL), WEIR_OK);
        assert_int_equal(weir__json_reader_peek(&reader, &token, NULL), WEIR_OK);
        weir__text_printf(&peeked, "%c%d%s ", letter_of(token.type), (int)token.offset, token.text);
        assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
        weir__text_printf(&read, "%c%d%s ", letter_of(token.type), (int)token.offset, token.text);
    } while (token.type != WEIR__JSON_END);
    assert_string_equal(peeked.data, read.data);
    weir__json_reader_fini(&reader);
    weir__text_free(&peeked);
    weir__text_free(&read);
}

static void skipping_passes_over_one_value(void **state)
{
    (void)state;
    static const char *const values[] = {
        "1", "\"a\\n\"", "true", "null", "{}", "[]", "[[1],{\"a\":[2]}]", "{\"b\":{\"c\":[]}}"};
    for (size_t i = 0; i < COUNT(values); i++) {
        for (int peek = 0; peek < 2; peek++) {
            weir__text json = {0};
            weir__text_printf(&json, "{\"a\": %s ,\"z\":7}", values[i]);
            weir__json_reader reader;
            weir__json_token token;
            weir__json_reader_init(&reader, json.data, json.size, 0);
            assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
            assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
            if (peek == 1)
                assert_int_equal(weir__json_reader_peek(&reader, &token, NULL), WEIR_OK);
            assert_int_equal(weir__json_reader_skip(&reader, NULL), WEIR_OK);
            assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
            assert_int_equal(token.type, WEIR__JSON_KEY);
            assert_string_equal(token.text, "z");
            weir__json_reader_fini(&reader);
            weir__text_free(&json);
        }
    }
}

static void what_is_no_value_is_not_skipped(void **state)
{
    (void)state;
    weir__json_reader reader;
    weir__json_token token;
    weir_error err = WEIR_ERROR_INIT;
    weir__json_reader_init(&reader, "[ ]", 3, 0);
    assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
    assert_int_equal(weir__json_reader_skip(&reader, &err), WEIR_INVALID);
    assert_string_equal(err.text,
                        "at byte 2 of the JSON text: a value was expected, not the end of an array");
    weir__json_reader_fini(&reader);
}

static void values_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        size_t max;
        int code;
    } cases[] = {
        {"\"12345\"", 5, WEIR_OK},
        {"\"123456\"", 5, WEIR_TOOBIG},
        {"12345", 5, WEIR_OK},
        {"123456", 5, WEIR_TOOBIG},
        {"\"1234\\n\"", 5, WEIR_OK},
        {"\"12345\\n\"", 5, WEIR_TOOBIG},
        {"\"1234\xC3\xA9\"", 5, WEIR_TOOBIG},
        {"[1,2,3,4,5,6,7]", 5, WEIR_OK},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weir__json_reader reader;
        weir__json_token token;
        weir_error err = WEIR_ERROR_INIT;
        weir__json_reader_init(&reader, cases[i].json, strlen(cases[i].json), cases[i].max);
        assert_int_equal(weir__json_reader_next(&reader, &token, &err), cases[i].code);
        if (cases[i].code != WEIR_OK)
            assert_non_null(strstr(err.text, "a value is larger than 5 bytes"));
        weir__json_reader_fini(&reader);
        weir__json_reader_init(&reader, cases[i].json, strlen(cases[i].json), cases[i].max);
        if (cases[i].json[0] == '"') // nothing of it is kept
            assert_int_equal(weir__json_reader_skip(&reader, NULL), WEIR_OK);
        weir__json_reader_fini(&reader);
    }
}

static void an_error_of_the_source_ends_the_reading(void **state)
{
    (void)state;
    for (uint64_t fails_at = 0; fails_at < sizeof rich; fails_at++) {
        pieces in = {.bytes = rich, .size = sizeof rich - 1, .piece = 7, .fails_at = fails_at};
        weir__json_reader reader;
        weir__text text = {0};
        weir__json_reader_init_source(&reader, read_pieces, &in, 0);
        assert_int_equal(trace(&reader, &text), WEIR_IO);
        assert_non_null(strstr(text.data, "!WEIR_IO the disk is gone"));
        const int calls = in.calls;
        trace(&reader, &text);
        assert_int_equal(in.calls, calls);
        weir__json_reader_fini(&reader);
        weir__text_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_is_told),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(what_is_cut_off_is_invalid),
        cmocka_unit_test(a_value_may_be_longer_than_the_window),
        cmocka_unit_test(what_is_wrong_and_where),
        cmocka_unit_test(every_control_character_is_refused),
        cmocka_unit_test(halves_may_be_taken),
        cmocka_unit_test(a_nul_ends_nothing),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(peeking_moves_nothing),
        cmocka_unit_test(skipping_passes_over_one_value),
        cmocka_unit_test(what_is_no_value_is_not_skipped),
        cmocka_unit_test(values_are_bounded),
        cmocka_unit_test(an_error_of_the_source_ends_the_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
