// SPDX-License-Identifier: MIT
//
// The device id: made once, kept, taken as it is.
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

#include "base/fs.h"
#include "server/device.h"

static char directory[32];
static char path[sizeof directory + 16];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof directory, "/tmp/weir-device-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/device_id", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return weir__fs_remove_tree(directory, NULL);
}

static void write_file(const char *content, size_t size)
{
    assert_int_equal(weir__fs_write_atomic(path, content, size, 0600, NULL), WEIR_OK);
}

static void expect_id(const char *expected)
{
    char *id = NULL;
    weir_error err = WEIR_ERROR_INIT;
    if (weir__device_id(directory, &id, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(id, expected);
    free(id);
}

static void an_id_is_made_once(void **state)
{
    (void)state;
    char *id = NULL;
    assert_int_equal(weir__device_id(directory, &id, NULL), WEIR_OK);
    assert_int_equal(strlen(id), 36);
    assert_int_equal(id[14], '4');
    expect_id(id);
    free(id);
}

static void an_id_is_taken_as_it_is(void **state)
{
    (void)state;
    write_file("My machine\n", 11);
    expect_id("My machine\n");
}

static void an_empty_file_is_no_id(void **state)
{
    (void)state;
    char *id = NULL;
    write_file("", 0);
    assert_int_equal(weir__device_id(directory, &id, NULL), WEIR_OK);
    assert_int_equal(strlen(id), 36);
    free(id);
}

static void what_is_no_id_is_refused(void **state)
{
    (void)state;
    char *id = NULL;
    static char large[WEIR__DEVICE_ID_BYTES_MAX + 1];
    write_file("a\0b", 3);
    assert_int_equal(weir__device_id(directory, &id, NULL), WEIR_INVALID);
    assert_null(id);
    memset(large, 'x', sizeof large);
    write_file(large, sizeof large);
    assert_int_equal(weir__device_id(directory, &id, NULL), WEIR_TOOBIG);
    assert_null(id);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(weir__device_id(directory, &id, NULL), WEIR_INVALID);
    assert_null(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_id_is_made_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_id_is_taken_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_file_is_no_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_id_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
