// SPDX-License-Identifier: MIT
//
// The marker language, example by example.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "runs/markers.h"

static const char *const kind_names[] = {"log", "START", "COMPLETE", "ERROR", "ARTIFACT", "META"};

// "KIND content", or "log".
static void assert_marker(const char *line, bool strict, const char *expected)
{
    weir__text colours = {0};
    weir__text seen = {0};
    const weir__marker marker = weir__marker_find(weir__markers_plain(weir__span_of(line), &colours), strict);
    weir__text_add(&seen, kind_names[marker.kind]);
    if (marker.kind != WEIR__MARKER_NONE) {
        weir__text_char(&seen, ' ');
        weir__text_append(&seen, marker.content.data, marker.content.size);
    }
    assert_string_equal(weir__text_string(&seen), expected);
    weir__text_free(&colours);
    weir__text_free(&seen);
}

static void the_kind_decides_not_the_place(void **state)
{
    (void)state;
    assert_marker("// ARTIFACT:o.txt:x STEP_ERROR:zz", false, "ERROR zz");
    assert_marker("META:k:v STEP_START:a", false, "START a");
    assert_marker("prefix STEP_START:B STEP_COMPLETE:B", false, "START B STEP_COMPLETE:B");
    assert_marker("STEP_START:a STEP_START:b", false, "START a STEP_START:b");
    assert_marker("META:k:v STEP_START:", false, "META k:v STEP_START:");
}

static void lenient_matching_hits_anywhere(void **state)
{
    (void)state;
    assert_marker("Uploading artifact: foo.bin", false, "ARTIFACT foo.bin");
    assert_marker("SCHEMA_META:a:b", false, "META a:b");
    assert_marker("METADATA:x:y", false, "log");
    assert_marker("step_start: Build  ", false, "START Build");
    assert_marker("echo \"STEP_START:Quoted\"", false, "START Quoted\"");
    assert_marker("STEP_START:", false, "log");
    assert_marker("STEP_START:  \xC2\xA0", false, "log");
    assert_marker("STEP_START Build", false, "log");
    assert_marker("12:30:01 all is well", false, "log");
    assert_marker("", false, "log");
}

static void strict_matching_wants_a_token_of_its_own(void **state)
{
    (void)state;
    assert_marker("STEP_START:a", true, "START a");
    assert_marker("# STEP_START:a", true, "START a");
    assert_marker("\xE2\x86\x92STEP_START:a", true, "START a");
    assert_marker("step_start:a", true, "log");
    assert_marker("Uploading artifact: foo.bin", true, "log");
    assert_marker("SCHEMA_META:a:b", true, "log");
    assert_marker("SCHEMA_META:a META:b:c", true, "META b:c");
    assert_marker("STEP_START:", true, "log");
}

static void colours_do_not_hide_a_marker(void **state)
{
    (void)state;
    assert_marker("\x1B[32mSTEP_START:Foo\x1B[0m", false, "START Foo");
    assert_marker("\x1B[1;31mSTEP_ERROR:\x1B[0m \x1B[38;5;9mno\x1B[m", false, "ERROR no");
    assert_marker("STEP_\x1B[0mSTART:Foo", false, "START Foo");
    assert_marker("\x1B]0;t\x07STEP_START:Foo", false, "START Foo");
    assert_marker("STEP_START:a\x1B[", false, "START a\x1B[");
}

static void a_word_before_the_token_is_reported(void **state)
{
    (void)state;
    assert_true(weir__marker_find(weir__span_of("SCHEMA_META:a:b"), false).after_word);
    assert_false(weir__marker_find(weir__span_of(" META:a:b"), false).after_word);
    assert_false(weir__marker_find(weir__span_of("META:a:b"), false).after_word);
}

static void assert_name(const char *content, const char *expected)
{
    char *const name = weir__span_copy(weir__marker_step_name(weir__span_of(content)));
    assert_string_equal(name, expected);
    free(name);
}

static void names_end_at_the_first_parameter(void **state)
{
    (void)state;
    assert_name("Build it", "Build it");
    assert_name("Build [duration=5] rest", "Build");
    assert_name("Build {a:b} [c=d]", "Build");
    assert_name("Build --x=1", "Build");
    assert_name("Build--x=1", "Build--x=1");
    assert_name("[a=1]", "");
    assert_name("Foo\x1B[0m", "Foo\x1B");
}

static void assert_split(const char *content, bool expected, const char *left, const char *right)
{
    weir__span parts[2];
    assert_int_equal(weir__marker_split(weir__span_of(content), &parts[0], &parts[1]), expected);
    assert_true(weir__span_is(parts[0], left));
    assert_true(weir__span_is(parts[1], right));
}

static void contents_split_at_the_first_colon(void **state)
{
    (void)state;
    assert_split("a.txt : what : it is", true, "a.txt ", " what : it is");
    assert_split("a.txt", false, "a.txt", "");
    assert_split(":x", true, "", "x");
    assert_split("k:", true, "k", "");
}

// All parameters as a JSON object.
static void assert_params(const char *content, const char *expected)
{
    static weir__params params;
    weir__text seen = {0};
    weir__params_parse(weir__span_of(content), &params);
    for (size_t i = 0; i < params.count; i++) {
        weir__text_add(&seen, i > 0 ? ", " : "");
        weir__text_append(&seen, params.items[i].key.data, params.items[i].key.size);
        weir__text_char(&seen, '=');
        json_t *const value = weir__param_value(&params.items[i]);
        char *const json = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
        weir__text_add(&seen, json);
        free(json);
        json_decref(value);
    }
    assert_string_equal(weir__text_string(&seen), expected);
    weir__text_free(&seen);
}

static void three_forms_of_parameters(void **state)
{
    (void)state;
    assert_params("Build [a=1] {b:x y} --c=z", "a=1, b=\"x y\", c=\"z\"");
    assert_params("x [a=1,b=2]", "a=\"1,b=2\"");
    assert_params("x --a=1 {a:2} [a=3]", "a=1"); // -- is collected last
    assert_params("x [a=1] [b=2] [a=3]", "a=3, b=2");
    assert_params("x [[a=1] [b=] [=c] [d e=f] [g", "a=1");
    assert_params("x {a=1} {b:} [c:1] --d --=e -f=1 ---g=2", "g=2");
    assert_params("x [a= 7 ]", "a=\" 7 \"");
    assert_params("x [schl\xC3\xBCssel=w\xC3\xA9]", "schl\xC3\xBCssel=\"w\\u00E9\"");
    assert_params("no parameters", "");
}

static void parameters_have_types(void **state)
{
    (void)state;
    assert_params("[a=true] [b=FALSE] [c=truex]", "a=true, b=false, c=\"truex\"");
    assert_params("[a=007] [b=0] [c=000] [d=123456789012345678901234567890] [e=9223372036854775808]",
                  "a=7, b=0, c=0, d=\"123456789012345678901234567890\", e=\"9223372036854775808\"");
    assert_params("[a=.5] [b=1.] [c=2.50] [d=.]", "a=0.5, b=1.0, c=2.5, d=\".\"");
    assert_params("[a=-5] [b=1e3] [c=1.2.3] [d=0x1]", "a=\"-5\", b=\"1e3\", c=\"1.2.3\", d=\"0x1\"");
    assert_params("[a=\"q\\] [b=\xF0\x9F\x98\x80]", "a=\"\\\"q\\\\\", b=\"\\uD83D\\uDE00\"");
}

static bool truth(const char *content)
{
    static weir__params params;
    weir__params_parse(weir__span_of(content), &params);
    return weir__param_truth(weir__params_get(&params, "stop_on_error"));
}

static void stop_on_error_understands_people(void **state)
{
    (void)state;
    assert_true(truth("[stop_on_error=true]"));
    assert_true(truth("[stop_on_error=yes]"));
    assert_true(truth("[stop_on_error=1]"));
    assert_true(truth("[stop_on_error=0.5]"));
    assert_false(truth("[stop_on_error=FALSE]"));
    assert_false(truth("[stop_on_error=No]"));
    assert_false(truth("[stop_on_error=off]"));
    assert_false(truth("[stop_on_error=0]"));
    assert_false(truth("[stop_on_error=0.0]"));
    assert_false(truth("x"));
}

static void numbers_are_numbers_only(void **state)
{
    (void)state;
    static weir__params params;
    double number = -1.0;
    weir__params_parse(weir__span_of("[a=60] [b=1.5] [c=60s] [d=true]"), &params);
    assert_true(weir__param_number(weir__params_get(&params, "a"), &number));
    assert_true(number == 60.0);
    assert_true(weir__param_number(weir__params_get(&params, "b"), &number));
    assert_true(number == 1.5);
    assert_false(weir__param_number(weir__params_get(&params, "c"), &number));
    assert_false(weir__param_number(weir__params_get(&params, "d"), &number));
    assert_null(weir__params_get(&params, "e"));
}

static void too_many_parameters_are_counted(void **state)
{
    (void)state;
    static weir__params params;
    weir__text content = {0};
    for (int i = 0; i < WEIR__PARAMS_MAX + 5; i++)
        weir__text_printf(&content, "[k%d=1]", i);
    weir__params_parse((weir__span){content.data, content.size}, &params);
    assert_int_equal(params.count, WEIR__PARAMS_MAX);
    assert_int_equal(params.dropped, 5);
    weir__text_free(&content);
}

// One line of a hostile script must not hold up the scripts of everybody else.
static void parameters_that_never_end_take_no_time(void **state)
{
    (void)state;
    static weir__params params;
    static const char *const forms[] = {"[a=", "{a:", "[a={a:", "--a"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        weir__text content = {0};
        while (content.size < 1024 * 1024)
            weir__text_add(&content, forms[i]);
        const clock_t before = clock();
        weir__params_parse((weir__span){content.data, content.size}, &params);
        assert_int_equal(params.count, 0);
        assert_in_range((clock() - before) * 1000 / CLOCKS_PER_SEC, 0, 1000);
        weir__text_free(&content);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kind_decides_not_the_place),
        cmocka_unit_test(lenient_matching_hits_anywhere),
        cmocka_unit_test(strict_matching_wants_a_token_of_its_own),
        cmocka_unit_test(colours_do_not_hide_a_marker),
        cmocka_unit_test(a_word_before_the_token_is_reported),
        cmocka_unit_test(names_end_at_the_first_parameter),
        cmocka_unit_test(contents_split_at_the_first_colon),
        cmocka_unit_test(three_forms_of_parameters),
        cmocka_unit_test(parameters_have_types),
        cmocka_unit_test(stop_on_error_understands_people),
        cmocka_unit_test(numbers_are_numbers_only),
        cmocka_unit_test(too_many_parameters_are_counted),
        cmocka_unit_test(parameters_that_never_end_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
