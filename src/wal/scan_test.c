// SPDX-License-Identifier: MIT
//
// The scan of a log: against logs that SQLite wrote, and against logs made here, of every page size and both byte
// orders, cut at every byte and changed at every byte. What is made here is laid out as the format says, with the
// checksum written down a second time, so that a mistake in the code under test does not cancel out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "wal/format.h"
#include "weir/wal.h"

enum { head = WEIR_WAL_HEADER_SIZE, frame_head = WEIR_WAL_FRAME_HEADER_SIZE };
#define COUNT(array) (sizeof(array) / sizeof *(array))

static char directory[64];
static char path[96];
static char database[96];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/weir-scan-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(database, sizeof database, "%s/test.db", directory);
    snprintf(path, sizeof path, "%s/test.db-wal", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    return weir__fs_remove_tree(directory, NULL);
}

// ------------------------------------------------------------------------------------------ logs made here

typedef struct log_bytes {
    unsigned char *bytes;
    size_t size;
    uint32_t page_size;
    bool big_endian;
    uint32_t salt[2];
    uint32_t sum[2];
} log_bytes;

static void put(unsigned char *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void sum_up(log_bytes *log, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint32_t word[2] = {0, 0};
        for (size_t b = 0; b < 8; b++)
            word[b / 4] |= (uint32_t)bytes[i + b] << (log->big_endian ? 24 - 8 * (b % 4) : 8 * (b % 4));
        log->sum[0] += word[0] + log->sum[1];
        log->sum[1] += word[1] + log->sum[0];
    }
}

static void log_begin(log_bytes *log, uint32_t page_size, bool big_endian, uint32_t salt)
{
    *log = (log_bytes){.page_size = page_size, .big_endian = big_endian, .salt = {salt, ~salt * 7}};
    log->bytes = calloc(1, head);
    assert_non_null(log->bytes);
    log->size = head;
    put(log->bytes, big_endian ? 0x377F0683 : 0x377F0682);
    put(log->bytes + 4, 3007000);
    put(log->bytes + 8, page_size);
    put(log->bytes + 12, 5);
    put(log->bytes + 16, log->salt[0]);
    put(log->bytes + 20, log->salt[1]);
    sum_up(log, log->bytes, 24);
    put(log->bytes + 24, log->sum[0]);
    put(log->bytes + 28, log->sum[1]);
}

static void log_frame(log_bytes *log, uint32_t page, uint32_t n_page)
{
    log->bytes = realloc(log->bytes, log->size + frame_head + log->page_size);
    assert_non_null(log->bytes);
    unsigned char *const frame = log->bytes + log->size;
    put(frame, page);
    put(frame + 4, n_page);
    put(frame + 8, log->salt[0]);
    put(frame + 12, log->salt[1]);
    for (size_t i = 0; i < log->page_size; i++)
        frame[frame_head + i] = (unsigned char)(page * 31 + i * 7 + i / 251 + log->salt[0]);
    sum_up(log, frame, 8);
    sum_up(log, frame + frame_head, log->page_size);
    put(frame + 16, log->sum[0]);
    put(frame + 20, log->sum[1]);
    log->size += frame_head + log->page_size;
}

// Transactions of 2, 1 and 3 frames.
enum { small_frames = 6, small_transactions = 3 };
static const unsigned small_commits[] = {0, 0, 1, 2, 2, 2, 3}; // committed within the first n frames

static void log_small(log_bytes *log, uint32_t page_size, bool big_endian, uint32_t salt)
{
    log_begin(log, page_size, big_endian, salt);
    log_frame(log, 1, 0);
    log_frame(log, 2, 2);
    log_frame(log, 2, 2);
    log_frame(log, 3, 0);
    log_frame(log, 1, 0);
    log_frame(log, 4, 4);
}

static void save(const void *bytes, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

// ---------------------------------------------------------------------------------------------- scanning

static weir_wal_scan *open_scan(void)
{
    weir_wal_scan *scan = NULL;
    weir_error err = WEIR_ERROR_INIT;
    if (weir_wal_scan_open(path, &scan, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return scan;
}

static weir_wal_frame next(weir_wal_scan *scan)
{
    weir_wal_frame frame;
    weir_error err = WEIR_ERROR_INIT;
    if (weir_wal_scan_next(scan, &frame, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return frame;
}

static weir_wal_transaction next_transaction(weir_wal_scan *scan)
{
    weir_wal_transaction transaction;
    weir_error err = WEIR_ERROR_INIT;
    if (weir_wal_scan_next_transaction(scan, &transaction, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return transaction;
}

static weir_wal_end end_of(weir_wal_scan *scan)
{
    weir_wal_end end;
    weir_error err = WEIR_ERROR_INIT;
    if (weir_wal_scan_end(scan, &end, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return end;
}

static weir_wal_end scan_all(void)
{
    weir_wal_scan *const scan = open_scan();
    while (next(scan).number != 0) {
    }
    const weir_wal_end end = end_of(scan);
    weir_wal_scan_close(scan);
    return end;
}

static void every_page_size_and_byte_order(void **state)
{
    (void)state;
    for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
        for (int big_endian = 0; big_endian < 2; big_endian++) {
            log_bytes log;
            log_small(&log, page_size, big_endian != 0, 77);
            save(log.bytes, log.size);
            weir_wal_scan *const scan = open_scan();
            assert_null(weir_wal_scan_header(scan));
            for (unsigned i = 1; i <= small_frames; i++) {
                const weir_wal_frame frame = next(scan);
                const uint64_t offset = head + (i - 1) * (uint64_t)(frame_head + page_size);
                assert_int_equal(frame.number, i);
                assert_int_equal(frame.offset, offset);
                assert_int_equal(frame.transaction, small_commits[i - 1] + 1);
                assert_int_equal(frame.page, weir__get_be32(log.bytes + offset));
                assert_int_equal(frame.n_page, weir__get_be32(log.bytes + offset + 4));
                assert_memory_equal(frame.content, log.bytes + offset + frame_head, page_size);
            }
            assert_int_equal(next(scan).number, 0);
            assert_int_equal(weir_wal_scan_header(scan)->page_size, page_size);
            assert_int_equal(weir_wal_scan_header(scan)->big_endian_checksum, big_endian);
            const weir_wal_end end = end_of(scan);
            assert_int_equal(end.kind, WEIR_WAL_END_CLEAN);
            assert_int_equal(end.offset, log.size);
            assert_int_equal(end.size, log.size);
            assert_int_equal(end.transactions, small_transactions);
            assert_int_equal(end.frames_committed, small_frames);
            assert_int_equal(end.n_page, 4);
            weir_wal_scan_close(scan);
            free(log.bytes);
        }
    }
}

static void transactions_have_their_bounds(void **state)
{
    (void)state;
    static const struct {
        uint64_t first, last;
        uint32_t n_page;
    } wanted[] = {{1, 2, 2}, {3, 3, 2}, {4, 6, 4}};
    log_bytes log;
    log_small(&log, 1024, false, 9);
    log_frame(&log, 9, 0); // and one that was not committed
    save(log.bytes, log.size);
    weir_wal_scan *const scan = open_scan();
    for (size_t i = 0; i < COUNT(wanted); i++) {
        const weir_wal_transaction t = next_transaction(scan);
        assert_int_equal(t.number, i + 1);
        assert_int_equal(t.first_frame, wanted[i].first);
        assert_int_equal(t.last_frame, wanted[i].last);
        assert_int_equal(t.n_page, wanted[i].n_page);
        assert_int_equal(t.offset, head + (wanted[i].first - 1) * (frame_head + 1024));
        assert_int_equal(t.offset_end, head + wanted[i].last * (frame_head + 1024));
    }
    assert_int_equal(next_transaction(scan).number, 0);
    const weir_wal_end end = end_of(scan);
    assert_int_equal(end.kind, WEIR_WAL_END_CLEAN);
    assert_int_equal(end.frames, small_frames + 1);
    assert_int_equal(end.frames_committed, small_frames);
    assert_int_equal(end.offset_committed, end.offset - frame_head - 1024);
    weir_wal_scan_close(scan);
    free(log.bytes);
}

static void the_end_is_not_told_before_it_is_reached(void **state)
{
    (void)state;
    log_bytes log;
    weir_wal_end end;
    weir_error err = WEIR_ERROR_INIT;
    log_small(&log, 512, false, 1);
    save(log.bytes, log.size);
    weir_wal_scan *const scan = open_scan();
    next(scan);
    assert_int_equal(weir_wal_scan_end(scan, &end, &err), WEIR_STATE);
    assert_non_null(strstr(err.text, path));
    weir_wal_scan_close(scan);
    free(log.bytes);
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    log_bytes log;
    log_small(&log, 512, true, 3);
    for (size_t size = 0; size <= log.size; size++) {
        save(log.bytes, size);
        const weir_wal_end end = scan_all();
        const size_t frames = size < head ? 0 : (size - head) / (frame_head + 512);
        const size_t whole = size < head ? 0 : head + frames * (frame_head + 512);
        const weir_wal_end_kind kind = size == whole ? WEIR_WAL_END_CLEAN : WEIR_WAL_END_TORN;
        if (end.kind != kind || end.frames != frames || end.offset != whole || end.size != size ||
            end.transactions != small_commits[frames])
            fail_msg("cut at %zu: kind %d, not %d; %d frames, not %zu", size, (int)end.kind, (int)kind,
                     (int)end.frames, frames);
    }
    free(log.bytes);
}

// Each bit of each byte in turn. What was whole before it stays; what was behind it is told.
static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    const size_t frame_size = frame_head + 512;
    log_bytes log;
    log_small(&log, 512, false, 12345);
    for (size_t i = 0; i < log.size; i++) {
        log.bytes[i] ^= (unsigned char)(1 << i % 8);
        save(log.bytes, log.size);
        log.bytes[i] ^= (unsigned char)(1 << i % 8);
        const weir_wal_end end = scan_all();
        const size_t frame = i < head ? 0 : (i - head) / frame_size;
        weir_wal_end_kind kind = frame + 1 < small_frames ? WEIR_WAL_END_DAMAGED : WEIR_WAL_END_TORN;
        if (i < head)
            kind = WEIR_WAL_END_HEADER;
        const uint64_t offset = i < head ? 0 : head + frame * frame_size;
        if (end.kind != kind || end.frames != frame || end.offset != offset)
            fail_msg("byte %zu: kind %d, not %d; frame %d, not %zu", i, (int)end.kind, (int)kind,
                     (int)end.frames, frame);
        if (kind == WEIR_WAL_END_DAMAGED) {
            assert_int_equal(end.behind_offset, offset + frame_size);
            assert_int_equal(end.behind_frames, small_frames - frame - 1);
            const unsigned lost = small_transactions - small_commits[frame + 1];
            assert_int_equal(end.behind_commits, lost);
        }
        if (kind == WEIR_WAL_END_HEADER)
            assert_int_equal(end.header_code, i < 4 ? WEIR_NOTADB : WEIR_CORRUPT);
    }
    free(log.bytes);
}

static void headers_that_cannot_be_used(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
        int code;
    } cases[] = {{0, 0x53514C69, WEIR_NOTADB}, {4, 3007001, WEIR_UNSUPPORTED}, {8, 3, WEIR_CORRUPT},
                 {8, 0, WEIR_CORRUPT},         {8, 131072, WEIR_CORRUPT},      {8, 0xFFFFFFFF, WEIR_CORRUPT}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        log_bytes log;
        log_small(&log, 512, false, 1);
        put(log.bytes + cases[i].at, cases[i].value);
        log.sum[0] = log.sum[1] = 0;
        sum_up(&log, log.bytes, 24); // the checksum is right
        put(log.bytes + 24, log.sum[0]);
        put(log.bytes + 28, log.sum[1]);
        save(log.bytes, log.size);
        const weir_wal_end end = scan_all();
        assert_int_equal(end.kind, WEIR_WAL_END_HEADER);
        assert_int_equal(end.header_code, cases[i].code);
        free(log.bytes);
    }
}

// A new generation of 1 to 6 frames over the beginning of an old one.
static void older_generations_are_told_from_damage(void **state)
{
    (void)state;
    const size_t frame_size = frame_head + 512;
    for (uint32_t frames = 0; frames <= small_frames; frames++) {
        static const uint32_t salts[] = {101, 0x7FFFFFFF}; // the latter is known only by the chain behind it
        for (size_t s = 0; s < COUNT(salts); s++) {
            const uint32_t salt = salts[s];
            log_bytes old;
            log_bytes new;
            log_small(&old, 512, false, 100);
            log_begin(&new, 512, false, salt);
            for (uint32_t i = 0; i < frames; i++)
                log_frame(&new, 50 + i, 60);
            memcpy(old.bytes, new.bytes, new.size);
            save(old.bytes, old.size);
            const weir_wal_end end = scan_all();
            const bool is_known = salt == 101 || small_frames - frames > 1;
            weir_wal_end_kind kind = is_known ? WEIR_WAL_END_OLDER : WEIR_WAL_END_TORN;
            if (frames == small_frames)
                kind = WEIR_WAL_END_CLEAN;
            assert_int_equal(end.kind, kind);
            assert_int_equal(end.frames, frames);
            assert_int_equal(end.behind_frames, kind == WEIR_WAL_END_OLDER ? small_frames - frames : 0);
            assert_int_equal(end.behind_offset, kind == WEIR_WAL_END_OLDER ? head + frames * frame_size : 0);
            free(old.bytes);
            free(new.bytes);
        }
    }
}

static void what_was_rolled_back_is_no_damage(void **state)
{
    (void)state;
    log_bytes log;
    log_bytes shorter;
    log_begin(&log, 512, false, 1);
    log_frame(&log, 1, 1);
    for (uint32_t i = 0; i < 5; i++)
        log_frame(&log, 2 + i, 0);
    log_begin(&shorter, 512, false, 1);
    log_frame(&shorter, 1, 1);
    log_frame(&shorter, 9, 9);
    memcpy(log.bytes, shorter.bytes, shorter.size);
    save(log.bytes, log.size);
    const weir_wal_end end = scan_all();
    assert_int_equal(end.kind, WEIR_WAL_END_TORN);
    assert_int_equal(end.frames, 2);
    assert_int_equal(end.behind_commits, 0);
    assert_int_equal(end.behind_frames, 3);
    free(shorter.bytes);
    free(log.bytes);
}

static void zeros_behind_are_a_torn_tail_however_many(void **state)
{
    (void)state;
    log_bytes log;
    log_small(&log, 4096, false, 1);
    save(log.bytes, log.size);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0); // 1 TiB of a hole
    weir_wal_end end = scan_all();
    assert_int_equal(end.kind, WEIR_WAL_END_TORN);
    assert_int_equal(end.frames, small_frames);
    assert_int_equal(end.size, UINT64_C(1) << 40);
    // and a frame that was written far behind it
    const int fd = open(path, O_WRONLY);
    const size_t frame_size = frame_head + 4096;
    const uint64_t far = head + (UINT64_C(1) << 27) * frame_size;
    assert_int_equal(pwrite(fd, log.bytes + head, 4 * frame_size, (off_t)far), 4 * frame_size);
    close(fd);
    end = scan_all();
    assert_int_equal(end.kind, WEIR_WAL_END_DAMAGED);
    assert_int_equal(end.behind_offset, far + frame_size);
    assert_int_equal(end.behind_frames, 3);
    assert_int_equal(end.behind_commits, 2);
    free(log.bytes);
}

// --------------------------------------------------------------------------------------- a log that changes

static void a_follower_reads_on(void **state)
{
    (void)state;
    log_bytes log;
    log_small(&log, 2048, false, 4);
    save(log.bytes, 0);
    weir_wal_scan *const scan = open_scan();
    uint64_t transactions = 0;
    for (size_t size = 0; size <= log.size; size += size == log.size ? 1 : 1 + (log.size - size) / 9) {
        save(log.bytes, size);
        assert_int_equal(weir_wal_scan_resume(scan, NULL), WEIR_OK);
        for (weir_wal_transaction t = next_transaction(scan); t.number != 0; t = next_transaction(scan))
            assert_int_equal(t.number, ++transactions);
        const size_t frames = size < head ? 0 : (size - head) / (frame_head + 2048);
        assert_int_equal(transactions, small_commits[frames]);
        assert_int_equal(end_of(scan).size, size);
    }
    assert_int_equal(transactions, small_transactions);
    weir_wal_scan_close(scan);
    free(log.bytes);
}

// SQLite overwrites frames of its open transaction when a page changes again, so they come again.
static void frames_that_are_not_committed_come_again(void **state)
{
    (void)state;
    log_bytes log;
    log_begin(&log, 512, false, 4);
    log_frame(&log, 1, 1);
    const log_bytes before = log;
    log_frame(&log, 2, 0);
    save(log.bytes, log.size);
    weir_wal_scan *const scan = open_scan();
    assert_int_equal(next(scan).page, 1);
    assert_int_equal(next(scan).page, 2);
    assert_int_equal(next(scan).number, 0);
    log.size = before.size;
    log.sum[0] = before.sum[0];
    log.sum[1] = before.sum[1];
    log_frame(&log, 3, 3);
    save(log.bytes, log.size);
    assert_int_equal(next(scan).number, 0);
    assert_int_equal(weir_wal_scan_resume(scan, NULL), WEIR_OK);
    const weir_wal_frame frame = next(scan);
    assert_int_equal(frame.number, 2);
    assert_int_equal(frame.page, 3);
    assert_int_equal(frame.transaction, 2);
    weir_wal_scan_close(scan);
    free(log.bytes);
}

static void a_log_that_begins_again_is_noticed(void **state)
{
    (void)state;
    log_bytes old;
    log_bytes new;
    log_small(&old, 512, false, 4);
    log_small(&new, 1024, true, 5);
    save(old.bytes, old.size);
    weir_wal_scan *const scan = open_scan();
    assert_int_equal(next_transaction(scan).number, 1);
    save(new.bytes, new.size);
    while (next(scan).number != 0) {
    }
    assert_int_equal(end_of(scan).kind, WEIR_WAL_END_RESTARTED);
    assert_int_equal(weir_wal_scan_resume(scan, NULL), WEIR_OK);
    for (unsigned i = 1; i <= small_frames; i++)
        assert_int_equal(next(scan).number, i);
    assert_int_equal(next(scan).number, 0);
    assert_int_equal(end_of(scan).kind, WEIR_WAL_END_CLEAN);
    assert_int_equal(weir_wal_scan_header(scan)->page_size, 1024);

    assert_int_equal(truncate(path, head + 3 * (frame_head + 1024)), 0);
    assert_int_equal(end_of(scan).kind, WEIR_WAL_END_RESTARTED);
    assert_int_equal(weir_wal_scan_resume(scan, NULL), WEIR_OK);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(next(scan).number, i);
    assert_int_equal(next(scan).number, 0);
    assert_int_equal(end_of(scan).kind, WEIR_WAL_END_CLEAN);

    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(end_of(scan).kind, WEIR_WAL_END_RESTARTED);
    assert_int_equal(weir_wal_scan_resume(scan, NULL), WEIR_OK);
    assert_int_equal(next_transaction(scan).number, 0);
    assert_int_equal(end_of(scan).kind, WEIR_WAL_END_CLEAN);
    assert_false(end_of(scan).is_unlinked);
    assert_int_equal(unlink(path), 0);
    assert_true(end_of(scan).is_unlinked);
    weir_wal_scan_close(scan);
    free(new.bytes);
    free(old.bytes);
}

// ------------------------------------------------------------------------------------- logs SQLite wrote

static void must(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void sqlite_wrote_it(void **state)
{
    (void)state;
    for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
        sqlite3 *db = NULL;
        char sql[64];
        int log = 0;
        int moved = 0;
        assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
        snprintf(sql, sizeof sql, "PRAGMA page_size=%u", (unsigned)page_size);
        must(db, sql);
        must(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF");
        must(db, "CREATE TABLE t(a); INSERT INTO t VALUES(randomblob(300000)); DELETE FROM t");
        weir_wal_scan *const scan = open_scan();
        for (uint64_t i = 1; i <= 3; i++)
            assert_int_equal(next_transaction(scan).number, i);
        assert_int_equal(next_transaction(scan).number, 0);
        const weir_wal_end first = end_of(scan);
        assert_int_equal(first.kind, WEIR_WAL_END_CLEAN);
        assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &moved),
                         SQLITE_OK);
        assert_int_equal(first.frames, log);

        must(db, "INSERT INTO t VALUES(1)"); // begins the log again
        assert_int_equal(end_of(scan).kind, WEIR_WAL_END_RESTARTED);
        assert_int_equal(weir_wal_scan_resume(scan, NULL), WEIR_OK);
        assert_int_equal(next_transaction(scan).number, 1);
        assert_int_equal(next_transaction(scan).number, 0);
        weir_wal_end end = end_of(scan);
        assert_int_equal(end.kind, WEIR_WAL_END_OLDER);
        assert_int_equal(end.behind_frames, first.frames - end.frames);

        must(db, "PRAGMA cache_size=1; BEGIN; INSERT INTO t VALUES(randomblob(200000)); ROLLBACK");
        must(db, "INSERT INTO t VALUES(2)");
        assert_int_equal(weir_wal_scan_resume(scan, NULL), WEIR_OK);
        assert_int_equal(next_transaction(scan).number, 2);
        assert_int_equal(next_transaction(scan).number, 0);
        end = end_of(scan);
        assert_int_not_equal(end.kind, WEIR_WAL_END_DAMAGED);
        weir_wal_scan_close(scan);
        sqlite3_close(db);
        assert_int_equal(unlink(database), 0);
    }
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    weir_wal_scan *scan = NULL;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir_wal_scan_open(directory, &scan, &err), WEIR_INVALID);
    assert_null(scan);
    assert_int_equal(weir_wal_scan_open(path, &scan, &err), WEIR_NOTFOUND);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(weir_wal_scan_open(path, &scan, &err), WEIR_INVALID);
    assert_non_null(strstr(err.text, path));
    weir_wal_scan_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
        TEST(every_page_size_and_byte_order),
        TEST(transactions_have_their_bounds),
        TEST(the_end_is_not_told_before_it_is_reached),
        TEST(cut_at_every_byte),
        TEST(every_flipped_bit_is_found),
        TEST(headers_that_cannot_be_used),
        TEST(older_generations_are_told_from_damage),
        TEST(what_was_rolled_back_is_no_damage),
        TEST(zeros_behind_are_a_torn_tail_however_many),
        TEST(a_follower_reads_on),
        TEST(frames_that_are_not_committed_come_again),
        TEST(a_log_that_begins_again_is_noticed),
        TEST(sqlite_wrote_it),
        TEST(what_is_no_file_is_refused),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
