// SPDX-License-Identifier: MIT
//
// TOML, right and wrong. What was read is printed back in one line, types and all, and compared with that.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "cli/toml.h"

static void print_value(weir__text *out, const weir__toml *value)
{
    const char *comma = "";
    switch (value->type) {
    case WEIR__TOML_STRING:
        weir__text_json_string(out, value->string, strlen(value->string));
        break;
    case WEIR__TOML_INTEGER:
        weir__text_printf(out, "%jd", (intmax_t)value->integer);
        break;
    case WEIR__TOML_FLOAT:
        weir__text_printf(out, "~%g", value->number);
        break;
    case WEIR__TOML_BOOLEAN:
        weir__text_add(out, value->boolean ? "yes" : "no");
        break;
    case WEIR__TOML_ARRAY:
    case WEIR__TOML_TABLE:
        weir__text_char(out, value->type == WEIR__TOML_TABLE ? '{' : '[');
        for (const weir__toml *member = value->first; member != NULL; member = member->next) {
            weir__text_add(out, comma);
            if (value->type == WEIR__TOML_TABLE)
                weir__text_printf(out, "%s:", member->key);
            print_value(out, member);
            comma = ",";
        }
        weir__text_char(out, value->type == WEIR__TOML_TABLE ? '}' : ']');
        break;
    }
}

static void check(const char *text, size_t size, const char *wanted)
{
    weir__toml_document document;
    weir_error err = WEIR_ERROR_INIT;
    weir__text got = {0};
    const int code = weir__toml_parse("f", text, size, &document, &err);
    if (code == WEIR_OK)
        print_value(&got, document.root);
    else
        weir__text_add(&got, err.text);
    if (strcmp(weir__text_string(&got), wanted) != 0)
        fail_msg("%s\n  gives %s\n  wanted %s", text, weir__text_string(&got), wanted);
    weir__text_free(&got);
    weir__toml_free(&document);
}

typedef struct sample {
    const char *text, *wanted;
} sample;

static void check_all(const sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(samples[i].text, strlen(samples[i].text), samples[i].wanted);
}
#define CHECK_ALL(samples) check_all((samples), sizeof(samples) / sizeof((samples)[0]))

static void test_keys_and_tables(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"", "{}"},
        {"\n# nothing\n \t\r\n", "{}"},
        {"\xEF\xBB\xBFport = 5600", "{port:5600}"},
        {"a=1\nb = 2 # two\r\nc\t=\t3", "{a:1,b:2,c:3}"},
        {"a.b.c = 1\na.b.d = 2\na . e = 3", "{a:{b:{c:1,d:2},e:3}}"},
        {"\"a b\" = 1\n'c\"d' = 2\n\"\" = 3\n1234 = 4\n-_- = 5", "{a b:1,c\"d:2,:3,1234:4,-_-:5}"},
        {"3.14 = 1", "{3:{14:1}}"},
        {"[auth]\napi_key = 'k'\n[custom_static]\n", "{auth:{api_key:\"k\"},custom_static:{}}"},
        {"[a.b.c]\nx=1\n[a]\ny=2\n[ a . 'd' ]#z\nz=3", "{a:{b:{c:{x:1}},y:2,d:{z:3}}}"},
        {"[fruit]\napple.color = 1\napple.taste.sweet = true\n[fruit.apple.texture]\nsmooth = true",
         "{fruit:{apple:{color:1,taste:{sweet:yes},texture:{smooth:yes}}}}"},
        {"t = {}\nu = { a = 1, b.c = 'x' , b.d = [ {e = 1} ] }", "{t:{},u:{a:1,b:{c:\"x\",d:[{e:1}]}}}"},
    };
    CHECK_ALL(samples);
}

static void test_values(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"a = [ ]\nb = [1,2]\nc = [ # one\n 'x', # two\n\n \"y\",\n]", "{a:[],b:[1,2],c:[\"x\",\"y\"]}"},
        {"a = [[1], ['x', true], {}]", "{a:[[1],[\"x\",yes],{}]}"},
        {"a = true\nb = false", "{a:yes,b:no}"},
        {"a = +99\nb = -17\nc = 0\nd = -0\ne = 1_000_0", "{a:99,b:-17,c:0,d:0,e:10000}"},
        {"a = 0xDEAD_beef\nb = 0o755\nc = 0b1101", "{a:3735928559,b:493,c:13}"},
        {"a = 9223372036854775807\nb = -9223372036854775808",
         "{a:9223372036854775807,b:-9223372036854775808}"},
        {"a = 1.5\nb = -0.25\nc = 5e+2\nd = 6.5E-1\ne = 1_0.0_1\nf = inf\ng = -inf\nh = 1e06",
         "{a:~1.5,b:~-0.25,c:~500,d:~0.65,e:~10.01,f:~inf,g:~-inf,h:~1e+06}"},
    };
    CHECK_ALL(samples);
}

static void test_strings(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"a = \"\\b\\t\\n\\f\\r\\\"\\\\\"", "{a:\"\\u0008\\t\\n\\u000c\\r\\\"\\\\\"}"},
        {"a = \"\\u00e9\\u20AC\\U0001F600\\u007A\"", "{a:\"\u00e9\u20ac\U0001F600z\"}"},
        {"a = 'C:\\Users\\\"x\"'", "{a:\"C:\\\\Users\\\\\\\"x\\\"\"}"},
        {"a = \"\"\nb = ''", "{a:\"\",b:\"\"}"},
        {"a = \"\"\"\none\ntwo\"\"\"", "{a:\"one\\ntwo\"}"},
        {"a = \"\"\"one \\\n   \n  two \\  \r\n three\"\"\"", "{a:\"one two three\"}"},
        {"a = \"\"\"\"quoted\"\"\"\"", "{a:\"\\\"quoted\\\"\"}"},
        {"a = \"\"\"\"\"two\"\"\"\"\"", "{a:\"\\\"\\\"two\\\"\\\"\"}"},
        {"a = '''\r\nI [dw]on't \\need'''\nb = ''''''", "{a:\"I [dw]on't \\\\need\",b:\"\"}"},
        {"a = 'x\ty' # \xc3\xa9", "{a:\"x\\ty\"}"},
    };
    CHECK_ALL(samples);
}

static void test_refused_tables(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"a = 1\na = 2", "f:2:1: a is given twice, first in line 1"},
        {"a = 1\n'a' = 2", "f:2:1: a is given twice, first in line 1"},
        {"[a]\n[b]\n[a]", "f:3:2: a is given twice, first in line 1"},
        {"a = 1\n[a]", "f:2:2: a is given twice, first in line 1"},
        {"a = 1\n[a.b]", "f:2:2: a is an integer already, in line 1"},
        {"a = {}\n[a.b]", "f:2:2: the table a is complete already, in line 1"},
        {"a = {}\na.b = 1", "f:2:1: the table a is complete already, in line 1"},
        {"a.b = 1\n[a]", "f:2:2: a is given twice, first in line 1"},
        {"[a.b]\n[a]\nb.c = 1", "f:3:1: the table b is complete already, in line 1"},
        {"[a.b.c]\nz=9\n[a]\nb.c.t = 1", "f:4:1: the table b is complete already, in line 1"},
        {"a.b = 1\na.b.c = 2", "f:2:3: b is an integer already, in line 1"},
        {"[[a]]", "f:1:1: arrays of tables, [[\u2026]], are not understood here"},
        {"[a", "f:1:3: ] should stand behind the table's name, not the end of the file"},
        {"[]", "f:1:2: a key should stand here, not \"]\""},
        {"[a] b = 1", "f:1:5: \"b\" behind the table's name, where the line should end"},
        {"t = {a = 1,}", "f:1:12: a key should stand here, not \"}\""},
        {"t = {a = 1\n}", "f:1:11: a comma or } should stand here, not the end of the line"},
    };
    CHECK_ALL(samples);
}

static void test_refused_values(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"a", "f:1:2: = should stand behind the key a, not the end of the file"},
        {"a b = 1", "f:1:3: = should stand behind the key a, not \"b\""},
        {"\n = 1", "f:2:2: a key should stand here, not \"=\""},
        {"\u00e9 = 1", "f:1:1: a key should stand here, not \"?\""},
        {"a = ", "f:1:5: a value should stand here, not the end of the file"},
        {"a = 1 b = 2", "f:1:7: \"b\" behind the value, where the line should end"},
        {"a = [1 2]", "f:1:8: a comma or ] should stand here in the array of line 1, not \"2\""},
        {"a = [,]", "f:1:6: a value should stand here, not \",\""},
        {"a = [1,", "f:1:8: a value should stand here, not the end of the file"},
        {"a = yes", "f:1:5: \"yes\" is no number and no other value; text stands in quotes"},
        {"a = True", "f:1:5: \"True\" is no number and no other value; text stands in quotes"},
        {"a = 01", "f:1:5: \"01\" is no number and no other value; text stands in quotes"},
        {"a = 1.", "f:1:5: \"1.\" is no number and no other value; text stands in quotes"},
        {"a = .5", "f:1:5: \".5\" is no number and no other value; text stands in quotes"},
        {"a = 1__0", "f:1:5: \"1__0\" is no value; text stands in quotes"},
        {"a = 1e", "f:1:5: \"1e\" is no number and no other value; text stands in quotes"},
        {"a = +0x1", "f:1:5: \"+0x1\" is no number and no other value; text stands in quotes"},
        {"a = 0x-1", "f:1:5: \"0x-1\" is no number that fits into 64 bits"},
        {"a = 9223372036854775808", "f:1:5: 9223372036854775808 does not fit into 64 bits"},
        {"a = 2026-01-31", "f:1:5: dates and times are not understood here; write it as a string, in quotes"},
        {"a = 07:32:00", "f:1:5: dates and times are not understood here; write it as a string, in quotes"},
    };
    CHECK_ALL(samples);
}

static void test_refused_strings(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"a = \"x", "f:1:7: this string has no end: \" is missing"},
        {"a = 'x\n'", "f:1:7: this string has no end: ' is missing"},
        {"a = \"\"\"x\n", "f:2:1: this string has no end: \" is missing"},
        {"a = \"\\q\"",
         "f:1:6: an escape that TOML does not have; a backslash itself is \\\\, or use '\u2026'"},
        {"a = \"\\u12\"", "f:1:6: \\u takes 4 hexadecimal digits"},
        {"a = \"\\ud800\"", "f:1:6: d800 is not the number of a character"},
        {"a = \"\\u0000\"", "f:1:6: a NUL cannot be part of a string here"},
        {"a = \"\x07\"", "f:1:6: a control character (0x07) in a string"},
        {"a = 1 # \x7f", "f:1:9: a control character (0x7f) in a comment"},
        {"\"\"\"a\"\"\" = 1", "f:1:1: a key cannot be a string of several lines"},
        {"a = '\u00e9' \xff", "f:1:9: the byte 0xff is not UTF-8"},
        {"a = '''x''''''", "f:1:14: \"'\" behind the value, where the line should end"},
    };
    CHECK_ALL(samples);
    check("a = \"\0\"", 7, "f:1:6: a control character (0x00) in a string");
    check("\0", 1, "f:1:1: a key should stand here, not \"\"");
}

static void test_limits(void **state)
{
    (void)state;
    weir__text text = {0};
    weir__toml_document document;
    weir_error err = WEIR_ERROR_INIT;
    weir__text_add(&text, "a = ");
    for (int i = 0; i < WEIR__TOML_DEPTH_MAX + 1; i++)
        weir__text_char(&text, '[');
    assert_int_equal(weir__toml_parse("f", text.data, text.size, &document, &err), WEIR_INVALID);
    assert_string_equal(err.text, "f:1:21: arrays and tables are nested more than 16 deep");
    weir__text_clear(&text);
    for (int i = 0; i < WEIR__TOML_VALUES_MAX; i++)
        weir__text_printf(&text, "k%d=1\n", i);
    assert_int_equal(weir__toml_parse("f", text.data, text.size, &document, &err), WEIR_TOOBIG);
    assert_string_equal(err.text, "f:10000:1: more than 10000 values");
    while (text.size <= WEIR__TOML_BYTES_MAX)
        weir__text_add(&text, "#\n");
    assert_int_equal(weir__toml_parse("f", text.data, text.size, &document, &err), WEIR_TOOBIG);
    assert_string_equal(err.text, "f is larger than 1048576 bytes");
    weir__text_free(&text);
}

// Every beginning of a valid document is either valid or refused with a sentence, and nothing leaks.
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char text[] =
        "a.b = [1, {c = \"\\u00e9\"}]\n[x.'y']\nz = \"\"\"\n\\\n q\"\"\"\r\nw = -1.5e3 # end\n";
    for (size_t size = 0; size < sizeof text; size++) {
        weir__toml_document document;
        weir_error err = WEIR_ERROR_INIT;
        const int code = weir__toml_parse("f", text, size, &document, &err);
        assert_true(code == WEIR_OK || (code == WEIR_INVALID && strncmp(err.text, "f:", 2) == 0));
        if (code == WEIR_OK)
            assert_null(weir__toml_find(document.root, "nothing"));
        weir__toml_free(&document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_and_tables), cmocka_unit_test(test_values),
        cmocka_unit_test(test_strings),         cmocka_unit_test(test_refused_tables),
        cmocka_unit_test(test_refused_values),  cmocka_unit_test(test_refused_strings),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
