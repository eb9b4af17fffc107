// SPDX-License-Identifier: MIT
//
// The reader of TOML on texts that nobody would write, made of good ones (see support/fuzz.h). Whatever a text is,
// it is read into a tree whose parts know where they stand, or refused with a sentence that says where; the same
// each time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/toml.h"
#include "support/fuzz.h"

enum { rounds_default = 30000 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const seeds[] = {
    "address = \"127.0.0.1\"\nport = 5600\ncors = []\ncors_regex = ['^https://.*']\n"
    "[auth]\napi_key = \"k\"\n[custom_static]\nmy-page = \"/srv/page\"\n",
    "a.b.c = 1\na.b.d = {x = 1, y.z = [1, 2,\n# more\n 3]}\n[t.u]\nv = true\n[t]\nw = -1.5e+10\n",
    "s = \"\"\"\r\none \\\r\n   two\\u00e9\\U0001F600\"\"\"\"\"\r\nl = '''x'y''z'''\r\n\"q \\\"k\" = "
    "\"\\b\\t\\\\\"\r\n",
    "\xEF\xBB\xBFn = [0xff, 0o17, 0b101, 1_000, +7, -0, inf, -nan, 0.5, 9223372036854775807]\n",
    "d = [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\ni = {a={a={a={a={a={a={}}}}}}}\n",
    "max_body = \"4M\" # of a request\ndrain = 2.5\ntesting = false\nwhen = 2026-01-31\n[[x]]\n",
};
static const char favourites[] =
    "[]{}\"'=.,#_-+\\ubtnfrxo0123456789eE \n\r\t\x01\x7F\x80\xC3\xA9\xED\xA0\xF0\xF4\xFF";

// Writes down what was read, and checks what holds for each part of it.
static void trace(const weir__toml *value, const weir__toml *parent, size_t *values, weir__text *out)
{
    assert_true(++*values <= WEIR__TOML_VALUES_MAX);
    assert_true(value->line > 0 && value->column > 0);
    assert_true(weir__utf8_is_valid(value->key, strlen(value->key)));
    if (parent != NULL && parent->type == WEIR__TOML_TABLE)
        assert_ptr_equal(weir__toml_find(parent, value->key), value);
    weir__text_printf(out, "%s:%s@%u:%u", value->key, weir__toml_type_name(value->type), value->line,
                      value->column);
    if (value->type == WEIR__TOML_STRING) {
        assert_true(weir__utf8_is_valid(value->string, strlen(value->string)));
        weir__text_add(out, value->string);
    }
    for (const weir__toml *member = value->first; member != NULL; member = member->next)
        trace(member, value, values, out);
    weir__text_char(out, '.');
}

static void read_once(const char *text, size_t size, weir__text *out)
{
    weir__toml_document document;
    weir_error err = WEIR_ERROR_INIT;
    size_t values = 0;
    if (weir__toml_parse("f", text, size, &document, &err) == WEIR_OK) {
        trace(document.root, NULL, &values, out);
        weir__toml_free(&document);
        return;
    }
    unsigned line = 0, column = 0;
    assert_null(document.pieces);
    if (sscanf(err.text, "f:%u:%u: ", &line, &column) != 2 || line == 0 || column == 0)
        fail_msg("%.*s\nis refused with: %s", (int)size, text, err.text);
    assert_true(weir__utf8_is_valid(err.text, strlen(err.text)));
    weir__text_add(out, err.text);
}

static void test_toml(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < fuzz_rounds(); i++) {
        size_t size = 0;
        char *const text = fuzz_mutate(seeds[fuzz_below(COUNT(seeds))], favourites, &size);
        weir__text first = {0}, second = {0};
        read_once(text, size, &first);
        read_once(text, size, &second);
        assert_string_equal(first.data, second.data);
        weir__text_free(&first);
        weir__text_free(&second);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_toml)};
    fuzz_init(rounds_default);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
