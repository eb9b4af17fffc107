// SPDX-License-Identifier: MIT
//
// Temporary files: content, the bound of their pool, room on the disk.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/scratch.h"

static int put(weir__scratch *scratch, const char *text)
{
    return weir__scratch_write(scratch, "/tmp", text, strlen(text), NULL);
}

static void what_is_written_is_there(void **state)
{
    (void)state;
    char got[16] = "";
    weir__scratch_pool pool = {.what = "tests", .bytes_max = 100};
    weir__scratch scratch;
    weir__scratch_init(&scratch, &pool);
    assert_int_equal(put(&scratch, "one"), WEIR_OK);
    assert_int_equal(put(&scratch, " two"), WEIR_OK);
    assert_int_equal(scratch.bytes, 7);
    assert_int_equal(pread(scratch.fd, got, sizeof got, 0), 7);
    assert_string_equal(got, "one two");
    assert_int_equal(pool.bytes, 7);
    weir__scratch_close(&scratch);
    assert_int_equal(pool.bytes, 0);
    assert_int_equal(scratch.fd, -1);
    weir__scratch_close(&scratch);
    assert_int_equal(pool.bytes, 0);
}

static void a_pool_bounds_all_of_its_files(void **state)
{
    (void)state;
    weir__scratch_pool pool = {.what = "tests", .bytes_max = 10};
    weir__scratch one, two;
    weir__scratch_init(&one, &pool);
    weir__scratch_init(&two, &pool);
    assert_int_equal(put(&one, "123456"), WEIR_OK);
    assert_int_equal(put(&two, "12345"), WEIR_BUSY);
    assert_int_equal(put(&two, "1234"), WEIR_OK);
    assert_int_equal(put(&one, "1"), WEIR_BUSY);
    weir__scratch_close(&two);
    assert_int_equal(put(&one, "1234"), WEIR_OK);
    weir__scratch_close(&one);
    assert_int_equal(pool.bytes, 0);
}

static void the_disk_keeps_some_room(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    weir__scratch_pool pool = {.what = "tests", .bytes_max = 10, .free_bytes_min = UINT64_MAX};
    weir__scratch scratch;
    weir__scratch_init(&scratch, &pool);
    assert_int_equal(weir__scratch_write(&scratch, "/tmp", "x", 1, &err), WEIR_FULL);
    assert_non_null(strstr(err.text, "temporary files of tests"));
    weir__scratch_close(&scratch);
    assert_int_equal(pool.bytes, 0);
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    weir__scratch_pool pool = {.what = "tests", .bytes_max = 10};
    weir__scratch scratch;
    weir__scratch_init(&scratch, &pool);
    assert_int_equal(weir__scratch_write(&scratch, "/nonexistent", "x", 1, &err), WEIR_NOTFOUND);
    assert_non_null(strstr(err.text, "/nonexistent"));
    weir__scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_there),
        cmocka_unit_test(a_pool_bounds_all_of_its_files),
        cmocka_unit_test(the_disk_keeps_some_room),
        cmocka_unit_test(a_directory_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
