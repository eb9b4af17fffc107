// SPDX-License-Identifier: MIT
//
// The wal-index and the log's header against what SQLite itself wrote, and against damage at every byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "wal/format.h"
#include "weir/wal.h"

enum { wal_index_block_size = 32768, commits = 3000, wal_header_size = 32 };

typedef struct fixture {
    char directory[64];
    char database[96];
    char wal[128];
    sqlite3 *db;
} fixture;

static void must(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void fixture_init(fixture *fx, const char *page_size_sql)
{
    *fx = (fixture){.directory = "/tmp/weir-wal-XXXXXX"};
    assert_non_null(mkdtemp(fx->directory));
    snprintf(fx->database, sizeof fx->database, "%s/test.db", fx->directory);
    snprintf(fx->wal, sizeof fx->wal, "%s-wal", fx->database);
    assert_int_equal(sqlite3_open(fx->database, &fx->db), SQLITE_OK);
    must(fx->db, page_size_sql);
    must(fx->db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF");
    must(fx->db, "CREATE TABLE t(a)");
}

static void fixture_fini(fixture *fx)
{
    sqlite3_close(fx->db);
    assert_int_equal(weir__fs_remove_tree(fx->directory, NULL), WEIR_OK);
}

// The shared memory that SQLite has mapped; this process must not open the -shm itself.
static const volatile void *shared_of(const fixture *fx)
{
    sqlite3_file *file = NULL;
    void volatile *shared = NULL;
    assert_int_equal(sqlite3_file_control(fx->db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
    assert_int_equal(file->pMethods->xShmMap(file, 0, wal_index_block_size, 0, &shared), SQLITE_OK);
    assert_non_null((const void *)shared);
    return shared;
}

static weir_wal_index sample_of(const fixture *fx)
{
    weir_wal_index index;
    weir_error err = WEIR_ERROR_INIT;
    if (weir_wal_index_sample(shared_of(fx), &index, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return index;
}

static long long pragma_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const long long value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void a_sample_says_what_sqlite_says(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        uint32_t page_size;
    } sizes[] = {
        {"PRAGMA page_size=512", 512}, {"PRAGMA page_size=4096", 4096}, {"PRAGMA page_size=65536", 65536}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fixture fx;
        fixture_init(&fx, sizes[i].sql);
        must(fx.db, "INSERT INTO t VALUES(randomblob(200000))");
        const weir_wal_index before = sample_of(&fx);
        assert_int_equal(before.page_size, sizes[i].page_size);
        assert_int_equal(before.n_page, pragma_number(fx.db, "PRAGMA page_count"));
        assert_true(before.mx_frame > 0);
        assert_int_equal(before.n_backfill, 0);
        assert_int_equal(before.read_mark[0], 0);

        int log = 0;
        int moved = 0;
        assert_int_equal(sqlite3_wal_checkpoint_v2(fx.db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &moved),
                         SQLITE_OK);
        const weir_wal_index after = sample_of(&fx);
        assert_int_equal(after.mx_frame, (uint32_t)log);
        assert_int_equal(after.n_backfill, (uint32_t)moved);
        assert_int_equal(after.n_backfill_attempted, (uint32_t)moved);
        must(fx.db, "INSERT INTO t VALUES(1)"); // starts the log again
        const weir_wal_index restarted = sample_of(&fx);
        assert_true(restarted.mx_frame < after.mx_frame);
        assert_int_equal(restarted.change_count, after.change_count + 1);
        assert_int_equal(restarted.salt[0], after.salt[0] + 1);
        fixture_fini(&fx);
    }
}

static void a_reader_shows_in_its_mark(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, "");
    const weir_wal_index before = sample_of(&fx);
    must(fx.db, "BEGIN; SELECT * FROM t");
    sqlite3 *writer = NULL;
    assert_int_equal(sqlite3_open(fx.database, &writer), SQLITE_OK);
    must(writer, "INSERT INTO t VALUES(1)");
    const weir_wal_index after = sample_of(&fx);
    assert_true(after.mx_frame > before.mx_frame);
    bool found = false;
    for (size_t i = 1; i < WEIR_WAL_READ_MARKS; i++)
        found = found || after.read_mark[i] == before.mx_frame;
    assert_true(found);
    assert_int_equal(after.read_mark[WEIR_WAL_READ_MARKS - 1], WEIR_WAL_READ_MARK_UNUSED);
    sqlite3_close(writer);
    must(fx.db, "COMMIT");
    fixture_fini(&fx);
}

// Every change of a single byte is noticed, unless it is in what no checksum covers.
static void damage_of_any_header_byte_is_noticed(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, "");
    unsigned char good[WEIR_WAL_INDEX_SIZE];
    const volatile unsigned char *const shared = shared_of(&fx);
    for (size_t i = 0; i < sizeof good; i++)
        good[i] = shared[i];
    weir_wal_index index;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir_wal_index_decode(good, sizeof good, &index, &err), WEIR_OK);
    assert_int_equal(weir_wal_index_decode(good, sizeof good - 1, &index, &err), WEIR_INVALID);
    for (size_t i = 0; i < 48; i++) {
        unsigned char bad[WEIR_WAL_INDEX_SIZE];
        memcpy(bad, good, sizeof bad);
        bad[i] ^= 0x10;
        assert_int_equal(weir_wal_index_decode(bad, sizeof bad, &index, &err),
                         WEIR_BUSY); // the copies differ
        bad[48 + i] ^= 0x10;
        const int rc = weir_wal_index_decode(bad, sizeof bad, &index, &err);
        if (rc != (i < 4 ? WEIR_UNSUPPORTED : WEIR_CORRUPT))
            fail_msg("byte %zu: %s", i, weir_code_name(rc));
        assert_int_equal(index.mx_frame, 0);
    }
    unsigned char empty[WEIR_WAL_INDEX_SIZE] = {0};
    assert_int_equal(weir_wal_index_decode(empty, sizeof empty, &index, &err), WEIR_NOTFOUND);
    fixture_fini(&fx);
}

static void an_impossible_page_size_is_noticed(void **state)
{
    (void)state;
    static const uint16_t sizes[] = {0, 2, 256, 513, 1000, 0x8001};
    fixture fx;
    fixture_init(&fx, "");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char bytes[WEIR_WAL_INDEX_SIZE];
        const volatile unsigned char *const shared = shared_of(&fx);
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = shared[at];
        uint32_t sum[2] = {0, 0};
        memcpy(bytes + 14, &sizes[i], sizeof sizes[i]);
        weir__wal_checksum(bytes, 40, weir__is_big_endian(), sum);
        memcpy(bytes + 40, sum, sizeof sum);
        memcpy(bytes + 48, bytes, 48);
        weir_wal_index index;
        assert_int_equal(weir_wal_index_decode(bytes, sizeof bytes, &index, NULL), WEIR_CORRUPT);
    }
    fixture_fini(&fx);
}

static void a_header_that_is_never_steady_is_busy(void **state)
{
    (void)state;
    uint32_t torn[WEIR_WAL_INDEX_SIZE / 4] = {1};
    weir_wal_index index = {.mx_frame = 7};
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir_wal_index_sample(torn, &index, &err), WEIR_BUSY);
    assert_int_equal(index.mx_frame, 0);
    assert_string_not_equal(err.text, "");
}

static void *commit_many(void *argument)
{
    sqlite3 *const db = argument;
    sqlite3_stmt *insert = NULL;
    sqlite3_prepare_v2(db, "INSERT INTO t VALUES(1)", -1, &insert, NULL);
    for (int i = 0; i < commits; i++) {
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    return NULL;
}

static void samples_beside_a_writer_are_whole(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, "");
    sqlite3 *writer = NULL;
    assert_int_equal(sqlite3_open(fx.database, &writer), SQLITE_OK);
    must(writer, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF");
    const volatile void *const shared = shared_of(&fx);
    const weir_wal_index before = sample_of(&fx);
    pthread_t thread;
    pthread_create(&thread, NULL, commit_many, writer);
    uint32_t mx_frame = before.mx_frame;
    while (mx_frame < before.mx_frame + commits) {
        weir_wal_index index;
        const int rc = weir_wal_index_sample(shared, &index, NULL);
        if (rc == WEIR_BUSY)
            continue;
        assert_int_equal(rc, WEIR_OK);
        assert_true(index.mx_frame >= mx_frame);
        // One frame and one change per commit: a torn header would break this.
        if (index.change_count - before.change_count > index.mx_frame - before.mx_frame)
            fail_msg("%u changes but %u frames", index.change_count - before.change_count,
                     index.mx_frame - before.mx_frame);
        mx_frame = index.mx_frame;
    }
    pthread_join(thread, NULL);
    sqlite3_close(writer);
    fixture_fini(&fx);
}

static void the_log_header_agrees_with_the_wal_index(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, "PRAGMA page_size=1024");
    weir_wal_header first;
    weir_wal_header second;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir_wal_header_read(fx.wal, &first, &err), WEIR_OK);
    assert_true(first.checksum_valid);
    assert_int_equal(first.page_size, 1024);
    const weir_wal_index index = sample_of(&fx);
    assert_int_equal(first.salt[0], index.salt[0]);
    assert_int_equal(first.salt[1], index.salt[1]);
    must(fx.db, "PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES(1)");
    assert_int_equal(weir_wal_header_read(fx.wal, &second, &err), WEIR_OK);
    assert_int_equal(second.sequence, first.sequence + 1);
    assert_int_not_equal(second.salt[1], first.salt[1]);
    fixture_fini(&fx);
}

static int header_of_bytes(const char *path, const unsigned char *bytes, size_t size, weir_wal_header *header)
{
    assert_int_equal(weir__fs_write_atomic(path, bytes, size, 0644, NULL), WEIR_OK);
    return weir_wal_header_read(path, header, NULL);
}

static void a_bad_log_header_is_named(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, "");
    char *good = NULL;
    size_t size = 0;
    assert_int_equal(weir__fs_read_file(fx.wal, 1 << 20, &good, &size, NULL), WEIR_OK);
    unsigned char bytes[wal_header_size];
    char path[128];
    snprintf(path, sizeof path, "%s/copy-wal", fx.directory);
    weir_wal_header header;
    for (size_t i = 0; i < wal_header_size; i++) {
        memcpy(bytes, good, sizeof bytes);
        bytes[i] ^= 0x40;
        const int rc = header_of_bytes(path, bytes, sizeof bytes, &header);
        const int wanted = i < 4 ? WEIR_NOTADB : i < 8 ? WEIR_UNSUPPORTED : i < 12 ? WEIR_CORRUPT : WEIR_OK;
        if (rc != wanted)
            fail_msg("byte %zu: %s instead of %s", i, weir_code_name(rc), weir_code_name(wanted));
        assert_false(header.checksum_valid);
    }
    // The same header with checksums over words of the other order.
    memcpy(bytes, good, sizeof bytes);
    bytes[3] ^= 1;
    uint32_t sum[2] = {0, 0};
    weir__wal_checksum(bytes, 24, (bytes[3] & 1) != 0, sum);
    for (size_t i = 0; i < 8; i++)
        bytes[24 + i] = (unsigned char)(sum[i / 4] >> (24 - 8 * (i % 4)));
    assert_int_equal(header_of_bytes(path, bytes, sizeof bytes, &header), WEIR_OK);
    assert_true(header.checksum_valid);
    assert_int_equal(header.big_endian_checksum, (bytes[3] & 1) != 0);
    for (size_t cut = 0; cut < wal_header_size; cut++)
        assert_int_equal(header_of_bytes(path, bytes, cut, &header), WEIR_NOTFOUND);
    free(good);

    snprintf(path, sizeof path, "%s/pipe-wal", fx.directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(weir_wal_header_read(path, &header, NULL), WEIR_INVALID);
    assert_int_equal(weir_wal_header_read(fx.directory, &header, NULL), WEIR_INVALID);
    snprintf(path, sizeof path, "%s/none-wal", fx.directory);
    assert_int_equal(weir_wal_header_read(path, &header, NULL), WEIR_NOTFOUND);
    fixture_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_says_what_sqlite_says),
        cmocka_unit_test(a_reader_shows_in_its_mark),
        cmocka_unit_test(damage_of_any_header_byte_is_noticed),
        cmocka_unit_test(an_impossible_page_size_is_noticed),
        cmocka_unit_test(a_header_that_is_never_steady_is_busy),
        cmocka_unit_test(samples_beside_a_writer_are_whole),
        cmocka_unit_test(the_log_header_agrees_with_the_wal_index),
        cmocka_unit_test(a_bad_log_header_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
