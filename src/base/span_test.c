// SPDX-License-Identifier: MIT
//
// Spans: trimming with Unicode white space, finding, borders.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/span.h"

static void assert_span(weir__span actual, const char *expected)
{
    char *const text = weir__span_copy(actual);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void trims_as_python_does(void **state)
{
    (void)state;
    assert_span(weir__span_trim(weir__span_of(" \t\v\x1c x y \r\n")), "x y");
    assert_span(weir__span_trim(weir__span_of("\xC2\xA0\xE3\x80\x80x\xE2\x80\xA9\xC2\x85")), "x");
    assert_span(weir__span_trim_start(weir__span_of("  x ")), "x ");
    assert_span(weir__span_trim_end(weir__span_of("  x ")), "  x");
    assert_span(weir__span_trim(weir__span_of(" \n ")), "");
    assert_span(weir__span_trim(weir__span_of("")), "");
}

// U+200B is not white space for Python, and a byte of another character must not be taken for one.
static void keeps_what_is_no_space(void **state)
{
    (void)state;
    assert_span(weir__span_trim(weir__span_of("\xE2\x80\x8B")), "\xE2\x80\x8B");
    assert_span(weir__span_trim(weir__span_of("\xF0\x9F\x98\x80")), "\xF0\x9F\x98\x80");
    assert_span(weir__span_trim(weir__span_of("\x85")), "\x85");
}

static void finds(void **state)
{
    (void)state;
    const weir__span text = weir__span_of("a Step_start:b STEP_START:c");
    assert_int_equal(weir__span_find(text, "STEP_START:"), 15);
    assert_int_equal(weir__span_find_caseless(text, "STEP_START:"), 2);
    assert_true(weir__span_find(text, "META:") == SIZE_MAX);
    assert_true(weir__span_find_caseless(weir__span_of("ST"), "STEP") == SIZE_MAX);
    assert_int_equal(weir__span_find(weir__span_of(""), ""), 0);
}

static void stays_inside(void **state)
{
    (void)state;
    assert_span(weir__span_from(weir__span_of("abc"), 9), "");
    assert_span(weir__span_first(weir__span_of("abc"), 9), "abc");
    assert_true(weir__span_is(weir__span_first(weir__span_of("abc"), 2), "ab"));
    assert_false(weir__span_is(weir__span_of("abc"), "ab"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trims_as_python_does),
        cmocka_unit_test(keeps_what_is_no_space),
        cmocka_unit_test(finds),
        cmocka_unit_test(stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
