// SPDX-License-Identifier: MIT
//
// The canonical form: cases by hand, and what must hold for every text: it is stable, it is told from what is not
// canonical, and neither the pieces of the input nor a look ahead change it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/json_read.h"
#include "base/random.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int read_byte(void *context, uint64_t offset, void *buffer, size_t size, size_t *got, weir_error *err)
{
    const weir__text *const in = context;
    (void)size;
    (void)err;
    *got = offset < in->size;
    if (*got > 0)
        memcpy(buffer, in->data + offset, 1);
    return WEIR_OK;
}

// The canonical form of `json`, which is checked in all the ways there are to get it. The caller frees it.
static weir__text canonical(const char *json, size_t size)
{
    weir__text first = {0};
    weir_error err = WEIR_ERROR_INIT;
    if (weir__json_canonical(json, size, WEIR__JSON_END, &first, &err) != WEIR_OK)
        fail_msg("%.*s: %s", (int)size, json, err.text);
    const bool is_same = size == first.size && memcmp(json, first.data, size) == 0;
    if (weir__json_is_canonical(json, size) != is_same)
        fail_msg("%.*s is %s", (int)size, json, is_same ? "canonical" : "not canonical");
    if (!weir__json_is_canonical(first.data, first.size))
        fail_msg("%s was written, but is not canonical", first.data);
    for (int peek = 0; peek < 2; peek++) {
        weir__text in = {.data = (char *)(uintptr_t)json, .size = size};
        weir__text again = {0};
        weir__json_reader reader;
        weir__json_token token;
        weir__text_add(&again, "kept:");
        weir__json_reader_init_source(&reader, read_byte, &in, 0);
        if (peek == 1)
            assert_int_equal(weir__json_reader_peek(&reader, &token, NULL), WEIR_OK);
        assert_int_equal(weir__json_reader_canonical(&reader, &again, NULL), WEIR_OK);
        assert_int_equal(weir__json_reader_next(&reader, &token, NULL), WEIR_OK);
        assert_int_equal(token.type, WEIR__JSON_END);
        assert_memory_equal(again.data, "kept:", 5);
        assert_string_equal(again.data + 5, first.data);
        weir__json_reader_fini(&reader);
        weir__text_free(&again);
    }
    return first;
}

static void what_it_looks_like(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *wanted;
    } cases[] = {
        {" [ ] ", "[]"},
        {"{ }", "{}"},
        {" [ 1 , [ ] , { } , \"\" ] ", "[1,[],{},\"\"]"},
        {"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
        {"{\"a\":1,\"b\":{\"d\":[{\"z\":0,\"y\":0}],\"c\":2}}",
         "{\"a\":1,\"b\":{\"c\":2,\"d\":[{\"y\":0,\"z\":0}]}}"},
        {"{\"b\":{\"y\":1,\"x\":2},\"a\":{\"y\":3,\"x\":4}}",
         "{\"a\":{\"x\":4,\"y\":3},\"b\":{\"x\":2,\"y\":1}}"},
        // the last of equal keys stays
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
        {"{\"a\":1,\"b\":3,\"\\u0061\":2,\"a\":{\"x\":1}}", "{\"a\":{\"x\":1},\"b\":3}"},
        // bytewise: by what the keys stand for, a prefix first, no collation
        {"{\"aa\":1,\"a\":2,\"\":3,\"B\":4}", "{\"\":3,\"B\":4,\"a\":2,\"aa\":1}"},
        {"{\"a\":1,\"\\\"\":2,\"\\\\\":3,\"[\":4,\"]\":5}",
         "{\"\\\"\":2,\"[\":4,\"\\\\\":3,\"]\":5,\"a\":1}"},
        {"{\"\xF0\x9F\x98\x80\":1,\"\xEF\xBF\xBD\":2,\"\xC3\xA9\":3,\"z\":4,\"\\u0000\":5,\"\\n\":6}",
         "{\"\\u0000\":5,\"\\n\":6,\"z\":4,\"\xC3\xA9\":3,\"\xEF\xBF\xBD\":2,\"\xF0\x9F\x98\x80\":1}"},
        {"{\"\\u001f\":1,\"\\u000b\":2,\"\\f\":3}", "{\"\\u000b\":2,\"\\f\":3,\"\\u001f\":1}"},
        // strings
        {"\"\\u0041\\/\\u00e9\\ud83d\\ude00\"", "\"A/\xC3\xA9\xF0\x9F\x98\x80\""},
        {"\"\\u0022\\u005C\\u0008\\u000C\\u000A\\u000D\\u0009\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
        {"\"\\u0000\\u001F\\u007f\x7F\"", "\"\\u0000\\u001f\x7F\x7F\""},
        // numbers
        {"[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615]",
         "[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615]"},
        {"[-0,18446744073709551616,-9223372036854775809,1E2]",
         "[-0.0,1.8446744073709552e19,-9.223372036854776e18,100.0]"},
        {"[true,false,null]", "[true,false,null]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weir__text text = canonical(cases[i].json, strlen(cases[i].json));
        assert_string_equal(text.data, cases[i].wanted);
        weir__text_free(&text);
    }
}

static void what_is_not_canonical(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        " 1",
        "1 ",
        "[1, 2]",
        "{\"a\": 1}",
        "{\"a\" :1}",
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":1}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{,}",
        "[1",
        "{\"a\":1",
        "{\"a\":",
        "{\"a\"",
        "{",
        "[",
        "\"",
        "\"a",
        "\"\\",
        "\"\\u",
        "\"\\u00",
        "\"\\u001",
        "\"\\u001\"",
        "\"\\u001f",
        "\"\\u0041\"",
        "\"\\u001F\"",
        "\"\\u000a\"",
        "\"\\/\"",
        "\"\\u001g\"",
        "\"\\u00fg\"",
        "\"\\u001\xF0\"",
        "\"\\u0\xF0\xF0\xF0\"",
        "\"\\x\"",
        "\"\n\"",
        "\"\xFF\"",
        "1.50",
        "1e5",
        "1.0e0",
        "-0",
        "01",
        "+1",
        "1.",
        "-",
        "tru",
        "nulll",
        "NaN",
        "18446744073709551616",
        "1e400",
        "0.0000010",
        "1E-6",
        "1e-06",
        "{}{}",
        "[]]",
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (weir__json_is_canonical(cases[i], strlen(cases[i])))
            fail_msg("%s passes as canonical", cases[i]);
    assert_false(weir__json_is_canonical("\"\0\"", 3));
    assert_false(weir__json_is_canonical("1\0", 2));
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (size_t depth = WEIR__JSON_VALUE_DEPTH_MAX; depth <= WEIR__JSON_VALUE_DEPTH_MAX + 1; depth++) {
        const bool fits = depth == WEIR__JSON_VALUE_DEPTH_MAX;
        weir__text json = {0};
        weir__text out = {0};
        for (size_t i = 0; i < depth; i++)
            weir__text_add(&json, "{\"b\":1,\"a\":");
        weir__text_add(&json, "1");
        for (size_t i = 0; i < depth; i++)
            weir__text_add(&json, "}");
        assert_int_equal(weir__json_canonical(json.data, json.size, WEIR__JSON_END, &out, NULL),
                         fits ? WEIR_OK : WEIR_INVALID);
        assert_int_equal(out.size, fits ? json.size : 0);
        weir__text_clear(&json);
        for (size_t i = 0; i < depth; i++)
            weir__text_add(&json, "[");
        for (size_t i = 0; i < depth; i++)
            weir__text_add(&json, "]");
        assert_int_equal(weir__json_is_canonical(json.data, json.size), fits);
        weir__text_free(&out);
        weir__text_free(&json);
    }
}

// So many that they do not fit into what is at hand, in the worst order, twice.
static void many_members_are_sorted(void **state)
{
    (void)state;
    weir__text json = {0};
    weir__text wanted = {0};
    for (int i = 9999; i >= 1000; i--)
        weir__text_printf(&json, "%c\"%d\":0,\"%d\": [%d]", i == 9999 ? '{' : ',', i, i, i);
    for (int i = 1000; i <= 9999; i++)
        weir__text_printf(&wanted, "%c\"%d\":[%d]", i == 1000 ? '{' : ',', i, i);
    weir__text_add(&json, "}");
    weir__text_add(&wanted, "}");
    weir__text text = canonical(json.data, json.size);
    assert_string_equal(text.data, wanted.data);
    weir__text_free(&text);
    weir__text_free(&wanted);
    weir__text_free(&json);
}

static void the_wanted_type(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        weir__json_type wanted;
        int code;
    } cases[] = {
        {"{}", WEIR__JSON_OBJECT, WEIR_OK},        {" { } ", WEIR__JSON_OBJECT, WEIR_OK},
        {"[]", WEIR__JSON_OBJECT, WEIR_MISMATCH},  {" [ ] ", WEIR__JSON_OBJECT, WEIR_MISMATCH},
        {"null", WEIR__JSON_ARRAY, WEIR_MISMATCH}, {"1", WEIR__JSON_STRING, WEIR_MISMATCH},
        {"[", WEIR__JSON_OBJECT, WEIR_INVALID},    {"[] x", WEIR__JSON_OBJECT, WEIR_INVALID},
        {"1e400", WEIR__JSON_END, WEIR_INVALID},   {"\"x\"", WEIR__JSON_END, WEIR_OK},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        weir__text out = {0};
        weir_error err = WEIR_ERROR_INIT;
        weir__text_add(&out, "kept");
        assert_int_equal(
            weir__json_canonical(cases[i].json, strlen(cases[i].json), cases[i].wanted, &out, &err),
            cases[i].code);
        if (cases[i].code != WEIR_OK)
            assert_string_equal(weir__text_string(&out), "kept");
        if (cases[i].code == WEIR_MISMATCH)
            assert_non_null(strstr(err.text, " was expected, not "));
        weir__text_free(&out);
    }
}

static void what_is_written_is_bounded(void **state)
{
    (void)state;
    static const char *const cases[] = {"[[],[],[],[]]",     "\"abcdefghij\"",         "[1,2,3,4,5,6]",
                                        "{\"a\":1,\"b\":2}", "\"\\n\\n\\n\\n\\n\\n\"", "[1e15]",
                                        "[true,true,true]"};
    for (size_t i = 0; i < COUNT(cases); i++) {
        weir__text whole = canonical(cases[i], strlen(cases[i]));
        for (size_t max = 1; max <= whole.size + 1; max++) {
            weir__text out = {0};
            weir__json_reader reader;
            weir__text_add(&out, "kept");
            weir__json_reader_init(&reader, cases[i], strlen(cases[i]), max);
            const int code = weir__json_reader_canonical(&reader, &out, NULL);
            if (code != (max < whole.size ? WEIR_TOOBIG : WEIR_OK))
                fail_msg("%s in %zu bytes: %s, %s", cases[i], max, weir_code_name(code), out.data);
            assert_int_equal(out.size, code == WEIR_OK ? 4 + whole.size : 4);
            weir__json_reader_fini(&reader);
            weir__text_free(&out);
        }
        weir__text_free(&whole);
    }
}

// ---------------------------------------------------------------------------------------------------------
// Texts at random

static void add_string(weir__rng *rng, weir__text *out)
{
    static const char *const pieces[] = {
        "a",          "b",       "\\n",     "\\u0000",  "\\\"",           "\\\\",
        "\\/",        "\\u0061", "\\u00e9", "\xC3\xA9", "\\ud83d\\ude00", "\\u001b",
        "plain text", "A",       "\x7F"};
    weir__text_char(out, '"');
    for (uint64_t i = weir__rng_below(rng, 4); i > 0; i--)
        weir__text_add(out, pieces[weir__rng_below(rng, COUNT(pieces))]);
    weir__text_char(out, '"');
}

static void add_blanks(weir__rng *rng, weir__text *out)
{
    static const char *const blanks[] = {"", "", "", " ", "\n\t", "\r\n"};
    weir__text_add(out, blanks[weir__rng_below(rng, COUNT(blanks))]);
}

static void add_value(weir__rng *rng, int depth, weir__text *out)
{
    static const char *const scalars[] = {"0",
                                          "-1",
                                          "-0",
                                          "1.50",
                                          "1e3",
                                          "0.1",
                                          "18446744073709551616",
                                          "true",
                                          "false",
                                          "null",
                                          "1E-9",
                                          "12345678901234567890.5"};
    const uint64_t kind = weir__rng_below(rng, depth > 0 ? 4 : 2);
    add_blanks(rng, out);
    if (kind == 0) {
        weir__text_add(out, scalars[weir__rng_below(rng, COUNT(scalars))]);
    } else if (kind == 1) {
        add_string(rng, out);
    } else {
        weir__text_char(out, kind == 2 ? '[' : '{');
        add_blanks(rng, out);
        const uint64_t count = weir__rng_below(rng, 5);
        for (uint64_t i = 0; i < count; i++) {
            if (i > 0)
                weir__text_char(out, ',');
            add_blanks(rng, out);
            if (kind == 3) {
                add_string(rng, out);
                add_blanks(rng, out);
                weir__text_char(out, ':');
            }
            add_value(rng, depth - 1, out);
        }
        weir__text_char(out, kind == 2 ? ']' : '}');
    }
    add_blanks(rng, out);
}

static void the_form_is_stable(void **state)
{
    (void)state;
    weir__rng rng;
    weir__rng_init(&rng, 20250801);
    for (int i = 0; i < 2000; i++) {
        weir__text json = {0};
        add_value(&rng, 4, &json);
        weir__text first = canonical(json.data, json.size);
        weir__text second = canonical(first.data, first.size);
        if (strcmp(first.data, second.data) != 0)
            fail_msg("%s\nbecomes %s\nbecomes %s", json.data, first.data, second.data);
        weir__text_free(&second);
        weir__text_free(&first);
        weir__text_free(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_looks_like), cmocka_unit_test(what_is_not_canonical),
        cmocka_unit_test(depth_is_bounded),   cmocka_unit_test(many_members_are_sorted),
        cmocka_unit_test(the_wanted_type),    cmocka_unit_test(what_is_written_is_bounded),
        cmocka_unit_test(the_form_is_stable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
