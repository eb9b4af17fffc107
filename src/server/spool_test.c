// SPDX-License-Identifier: MIT
//
// Answers in memory, answers in a file, and answers that fail on the way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/spool.h"

static void small_answers_stay_in_memory(void **state)
{
    (void)state;
    weir__spool spool;
    weir__spool_init(&spool, "/nonexistent");
    weir__spool_add(&spool, "{\"a\":");
    weir__spool_json_string(&spool, "x\"y");
    weir__spool_printf(&spool, ",\"b\":%d,\"c\":", 7);
    weir__spool_json_string(&spool, NULL);
    weir__spool_take(&spool, strdup("}"));
    assert_int_equal(weir__spool_end(&spool, NULL), WEIR_OK);
    assert_int_equal(spool.file.fd, -1);
    assert_string_equal(weir__text_string(&spool.text), "{\"a\":\"x\\\"y\",\"b\":7,\"c\":null}");
    weir__spool_free(&spool);
}

static void large_answers_move_to_a_file(void **state)
{
    (void)state;
    weir__spool spool;
    char piece[1000];
    weir__spool_init(&spool, "/tmp");
    for (int i = 0; i < 3000; i++) {
        memset(piece, 'a' + i % 26, sizeof piece);
        weir__spool_append(&spool, piece, sizeof piece);
        assert_true(spool.text.size <= WEIR__SPOOL_MEMORY_BYTES);
    }
    assert_int_equal(weir__spool_end(&spool, NULL), WEIR_OK);
    assert_true(spool.file.fd >= 0);
    assert_int_equal(spool.file.bytes, 3000 * sizeof piece);
    for (int i = 0; i < 3000; i += 97) {
        assert_int_equal(pread(spool.file.fd, piece, 1, (off_t)i * (off_t)sizeof piece), 1);
        assert_int_equal(piece[0], 'a' + i % 26);
    }
    weir__spool_free(&spool);
    assert_int_equal(spool.file.fd, -1);
}

static void a_missing_folder_is_an_error_that_stays(void **state)
{
    (void)state;
    weir__spool spool;
    weir_error err = WEIR_ERROR_INIT;
    weir__spool_init(&spool, "/nonexistent");
    char *large = calloc(1, WEIR__SPOOL_MEMORY_BYTES + 2);
    assert_non_null(large);
    memset(large, 'x', WEIR__SPOOL_MEMORY_BYTES + 1);
    weir__spool_take(&spool, large);
    assert_true(weir__spool_failed(&spool));
    weir__spool_add(&spool, "more");
    assert_int_equal(weir__spool_end(&spool, &err), WEIR_NOTFOUND);
    assert_non_null(strstr(err.text, "/nonexistent"));
    weir__spool_free(&spool);
}

static void all_files_together_are_bounded(void **state)
{
    (void)state;
    static const uint64_t in_use = WEIR__SPOOL_ALL_BYTES_MAX - WEIR__SPOOL_MEMORY_BYTES - 1;
    weir__spool spool;
    weir_error err = WEIR_ERROR_INIT;
    char *large = calloc(1, WEIR__SPOOL_MEMORY_BYTES + 1);
    assert_non_null(large);
    weir__spool_init(&spool, "/tmp");
    weir__scratch others = {.pool = spool.file.pool, .fd = -1, .bytes = in_use};
    atomic_fetch_add(&others.pool->bytes, in_use);
    weir__spool_append(&spool, large, WEIR__SPOOL_MEMORY_BYTES + 1); // the last that fits
    assert_int_equal(weir__spool_end(&spool, &err), WEIR_OK);
    weir__scratch sent = weir__spool_take_file(&spool);
    assert_true(sent.fd >= 0);
    assert_int_equal(sent.bytes, WEIR__SPOOL_MEMORY_BYTES + 1);
    weir__spool_free(&spool);
    weir__spool_append(&spool, large, WEIR__SPOOL_MEMORY_BYTES + 1);
    assert_int_equal(weir__spool_end(&spool, &err), WEIR_BUSY);
    weir__spool_free(&spool);
    weir__scratch_close(&sent);
    weir__spool_append(&spool, large, WEIR__SPOOL_MEMORY_BYTES + 1);
    assert_int_equal(weir__spool_end(&spool, &err), WEIR_OK);
    weir__spool_free(&spool);
    weir__scratch_close(&others);
    assert_int_equal(spool.file.pool->bytes, 0);
    free(large);
}

static void exports_may_be_larger(void **state)
{
    (void)state;
    weir__spool answer, export;
    weir__spool_init(&answer, "/tmp");
    weir__spool_init_export(&export, "/tmp");
    assert_true(export.bytes_max > answer.bytes_max);
    assert_ptr_not_equal(export.file.pool, answer.file.pool);
    export.bytes_max = WEIR__SPOOL_MEMORY_BYTES;
    char *large = calloc(1, WEIR__SPOOL_MEMORY_BYTES + 1);
    assert_non_null(large);
    weir__spool_append(&export, large, WEIR__SPOOL_MEMORY_BYTES + 1);
    assert_int_equal(weir__spool_end(&export, NULL), WEIR_TOOBIG);
    weir__spool_free(&export);
    weir__spool_free(&answer);
    free(large);
}

static void lack_of_memory_is_noticed(void **state)
{
    (void)state;
    weir__spool spool;
    weir__spool_init(&spool, "/tmp");
    weir__spool_take(&spool, NULL);
    assert_int_equal(weir__spool_end(&spool, NULL), WEIR_NOMEM);
    weir__spool_free(&spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_answers_stay_in_memory),
        cmocka_unit_test(large_answers_move_to_a_file),
        cmocka_unit_test(a_missing_folder_is_an_error_that_stays),
        cmocka_unit_test(all_files_together_are_bounded),
        cmocka_unit_test(exports_may_be_larger),
        cmocka_unit_test(lack_of_memory_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
