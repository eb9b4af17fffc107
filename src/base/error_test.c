// SPDX-License-Identifier: MIT
//
// Errors: every code has a name, texts are cut where a character ends, errno becomes the right code.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

static void every_code_has_its_own_name(void **state)
{
    (void)state;
    for (int code = WEIR_OK; code <= WEIR_MISMATCH; code++) {
        assert_int_equal(strncmp(weir_code_name(code), "WEIR_", 5), 0);
        for (int other = WEIR_OK; other < code; other++)
            assert_string_not_equal(weir_code_name(code), weir_code_name(other));
    }
    assert_string_equal(weir_code_name(WEIR_FENCED), "WEIR_FENCED");
    assert_string_equal(weir_code_name(-1), "WEIR_?");
    assert_string_equal(weir_code_name(WEIR_MISMATCH + 1), "WEIR_?");
}

static void set_fills_and_returns_the_code(void **state)
{
    (void)state;
    weir_error err = {.sqlite_code = 5, .os_errno = 3};
    assert_int_equal(weir__error_set(&err, WEIR_BUSY, "%s is locked", "a.db"), WEIR_BUSY);
    assert_int_equal(err.code, WEIR_BUSY);
    assert_int_equal(err.sqlite_code, 0);
    assert_int_equal(err.os_errno, 0);
    assert_string_equal(err.text, "a.db is locked");
    assert_int_equal(weir__error_set(NULL, WEIR_IO, "nobody listens"), WEIR_IO);
    assert_int_equal(weir__error_errno(NULL, ENOSPC, "nobody listens"), WEIR_FULL);
}

static void context_may_quote_the_text_itself(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    weir__error_set(&err, WEIR_IO, "inner");
    weir__error_set(&err, WEIR_IO, "outer: %s", err.text);
    assert_string_equal(err.text, "outer: inner");
}

static void a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "é", "€", "😀"};
    for (size_t kind = 0; kind < 4; kind++) {
        for (size_t shift = 0; shift < 4; shift++) {
            char long_text[1200] = "";
            memset(long_text, 'a', shift);
            size_t size = shift;
            const size_t step = strlen(characters[kind]);
            for (; size + step < sizeof long_text; size += step)
                memcpy(long_text + size, characters[kind], step);
            long_text[size] = '\0';
            weir_error err = WEIR_ERROR_INIT;
            weir__error_set(&err, WEIR_IO, "%s", long_text);
            const size_t kept = strlen(err.text);
            assert_true(weir__utf8_is_valid(err.text, kept));
            assert_in_range(kept, sizeof err.text - 4, sizeof err.text - 1);
            weir__error_errno(&err, EIO, "%s", long_text);
            assert_true(weir__utf8_is_valid(err.text, strlen(err.text)));
            assert_non_null(strstr(err.text, ": Input/output error"));
        }
    }
}

static void what_is_not_utf8_is_shown_as_such(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    weir__error_set(&err, WEIR_IO, "%s is odd", "/tmp/\xff\xfe.db");
    assert_string_equal(err.text, "/tmp/\xEF\xBF\xBD\xEF\xBF\xBD.db is odd");
    weir__error_errno(&err, ENOENT, "%s", "\xff");
    assert_string_equal(err.text, "\xEF\xBF\xBD: No such file or directory");
}

static void errno_becomes_a_code(void **state)
{
    (void)state;
    static const struct {
        int os_errno;
        int code;
    } cases[] = {
        {ENOSPC, WEIR_FULL},  {EDQUOT, WEIR_FULL},     {EACCES, WEIR_DENIED},   {EPERM, WEIR_DENIED},
        {EROFS, WEIR_DENIED}, {EEXIST, WEIR_EXISTS},   {ENOENT, WEIR_NOTFOUND}, {ENOMEM, WEIR_NOMEM},
        {EIO, WEIR_IO},       {ENOTDIR, WEIR_INVALID}, {ELOOP, WEIR_INVALID},   {ENAMETOOLONG, WEIR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir_error err = WEIR_ERROR_INIT;
        assert_int_equal(weir__error_errno(&err, cases[i].os_errno, "cannot open %s", "f"), cases[i].code);
        assert_int_equal(err.os_errno, cases[i].os_errno);
        assert_int_equal(strncmp(err.text, "cannot open f: ", 15), 0);
    }
}

static void copy_and_clear(void **state)
{
    (void)state;
    weir_error from = WEIR_ERROR_INIT;
    weir_error to = WEIR_ERROR_INIT;
    weir__error_set(&from, WEIR_CLOSED, "closed");
    weir__error_copy(&to, &from);
    assert_int_equal(to.code, WEIR_CLOSED);
    assert_string_equal(to.text, "closed");
    weir__error_copy(NULL, &from);
    weir__error_clear(&to);
    assert_int_equal(to.code, WEIR_OK);
    assert_string_equal(to.text, "");
    weir__error_clear(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_name),
        cmocka_unit_test(set_fills_and_returns_the_code),
        cmocka_unit_test(context_may_quote_the_text_itself),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(what_is_not_utf8_is_shown_as_such),
        cmocka_unit_test(errno_becomes_a_code),
        cmocka_unit_test(copy_and_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
