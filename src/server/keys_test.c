// SPDX-License-Identifier: MIT
//
// Key files: what is read from them, and which files are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/keys.h"

#define KEY_A "aaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbb"

static char path[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/weir-keys-XXXXXX");
    const int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void put(const char *content, size_t size, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void expect_refused(const char *content, int expected)
{
    weir__keys keys;
    weir_error err = WEIR_ERROR_INIT;
    put(content, strlen(content), 0600);
    const int code = weir__keys_load(path, &keys, &err);
    if (code != expected)
        fail_msg("'%s': got %d, expected %d", content, code, expected);
    assert_int_equal(keys.count, 0);
    assert_null(strstr(err.text, KEY_A));
}

static void keys_are_found_with_their_roles(void **state)
{
    (void)state;
    static const char content[] = "# ours\n\n  " KEY_A " viewer\r\n" KEY_B "\tadmin  ada\n";
    weir__keys keys;
    put(content, sizeof content - 1, 0640);
    assert_int_equal(weir__keys_load(path, &keys, NULL), WEIR_OK);
    assert_int_equal(keys.count, 2);
    const weir__key *key = weir__keys_find(&keys, KEY_A);
    assert_non_null(key);
    assert_int_equal(key->role, WEIR__ROLE_VIEWER);
    assert_string_equal(key->name, "");
    key = weir__keys_find(&keys, KEY_B);
    assert_non_null(key);
    assert_int_equal(key->role, WEIR__ROLE_ADMIN);
    assert_string_equal(key->name, "ada");
    assert_null(weir__keys_find(&keys, ""));
    assert_null(weir__keys_find(&keys, KEY_A "a"));
    weir__keys_free(&keys);
}

static void wrong_lines_are_named_without_their_key(void **state)
{
    (void)state;
    expect_refused("", WEIR_INVALID);
    expect_refused("# nothing\n", WEIR_INVALID);
    expect_refused("short viewer\n", WEIR_INVALID);
    expect_refused(KEY_A "\n", WEIR_INVALID);
    expect_refused(KEY_A " root\n", WEIR_INVALID);
    expect_refused(KEY_A " none\n", WEIR_INVALID);
    expect_refused(KEY_A " user a b\n", WEIR_INVALID);
    expect_refused(KEY_A " user\n" KEY_A " admin\n", WEIR_INVALID);
    expect_refused(KEY_A "\x01 user\n", WEIR_INVALID);
    expect_refused(KEY_A " user \xff\n", WEIR_INVALID);
}

static void files_that_are_not_private_are_refused(void **state)
{
    (void)state;
    weir__keys keys;
    weir_error err = WEIR_ERROR_INIT;
    static const char content[] = KEY_A " viewer\n";
    put(content, sizeof content - 1, 0604);
    assert_int_equal(weir__keys_load(path, &keys, &err), WEIR_DENIED);
    assert_non_null(strstr(err.text, "chmod 600"));
    put(content, sizeof content - 1, 0620);
    assert_int_equal(weir__keys_load(path, &keys, &err), WEIR_DENIED);
    assert_int_equal(weir__keys_load("/tmp", &keys, &err), WEIR_INVALID);
    assert_int_equal(weir__keys_load("/nonexistent/keys", &keys, &err), WEIR_NOTFOUND);
    put("a\0b\n", 4, 0600);
    assert_int_equal(weir__keys_load(path, &keys, &err), WEIR_INVALID);
}

static void a_huge_file_is_refused(void **state)
{
    (void)state;
    weir__keys keys;
    put("", 0, 0600);
    assert_int_equal(truncate(path, WEIR__KEY_FILE_BYTES_MAX + 1), 0);
    assert_int_equal(weir__keys_load(path, &keys, NULL), WEIR_TOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_found_with_their_roles, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_lines_are_named_without_their_key, setup, teardown),
        cmocka_unit_test_setup_teardown(files_that_are_not_private_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_huge_file_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
