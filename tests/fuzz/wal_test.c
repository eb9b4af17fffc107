// SPDX-License-Identifier: MIT
//
// The scan of a log against SQLite's own recovery, on logs that nobody would write: good ones, cut off, with bits
// flipped, ranges zeroed, filled with noise, swapped, doubled. However bad it is, the scan ends, what it tells is
// consistent, and the committed frames are those that SQLite accepts. The seed is printed and can be given as
// $WEIR_FUZZ_SEED; $WEIR_FUZZ_ROUNDS makes it longer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/random.h"
#include "weir/wal.h"

enum { rounds_default = 2000, changes_max = 3, path_size = 96 };

static weir__rng rng;
static uint64_t rounds = rounds_default;
static char directory[64];

static uint64_t below(uint64_t limit)
{
    return weir__rng_below(&rng, limit);
}

static void path_of(const char *name, char path[path_size])
{
    snprintf(path, path_size, "%s/%s", directory, name);
}

static void save(const char *name, const void *bytes, size_t size)
{
    char path[path_size];
    path_of(name, path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

typedef struct content {
    char *bytes;
    size_t size;
} content;

static content load(const char *name)
{
    char path[path_size];
    content c = {0};
    path_of(name, path);
    assert_int_equal(weir__fs_read_file(path, SIZE_MAX / 2, &c.bytes, &c.size, NULL), WEIR_OK);
    return c;
}

// A database and its log as SQLite writes them: leftovers of an older generation behind some, transactions that
// were rolled back behind others.
static void make_log(content *database, content *log)
{
    char path[path_size];
    char sql[256];
    sqlite3 *db = NULL;
    path_of("made.db", path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    snprintf(sql, sizeof sql,
             "PRAGMA page_size=%u; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; "
             "PRAGMA synchronous=OFF; PRAGMA cache_size=2; CREATE TABLE t(a); PRAGMA wal_checkpoint(RESTART)",
             512U << below(4));
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    for (uint64_t i = 2 + below(6); i > 0; i--) {
        const char *const end = below(4) == 0 ? "ROLLBACK" : "COMMIT";
        snprintf(sql, sizeof sql, "BEGIN; INSERT INTO t VALUES(randomblob(%u)); %s", (unsigned)below(9000),
                 end);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        if (below(8) == 0)
            assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint", NULL, NULL, NULL), SQLITE_OK);
    }
    *database =
        load("made.db"); // closing it in this process while it is open harms nobody: no one else uses it
    *log = load("made.db-wal");
    sqlite3_close(db);
    assert_int_equal(unlink(path), 0);
}

static void change(content *log)
{
    const size_t at = (size_t)below(log->size);
    const size_t left = log->size - at;
    const size_t range = 1 + (size_t)below(left < 2000 ? left : 2000);
    const size_t other = (size_t)below(log->size - range + 1);
    switch (below(7)) {
    case 0:
        log->size = at + 1;
        break;
    case 1:
        memset(log->bytes + at, 0, range);
        break;
    case 2:
        weir__random_bytes(log->bytes + at, range);
        break;
    case 3:
        memmove(log->bytes + at, log->bytes + other, range);
        break;
    case 4:
        log->bytes[below(log->size < 56 ? log->size : 56)] ^= (char)(1 << below(8));
        break;
    default:
        log->bytes[at] ^= (char)(1 << below(8));
    }
}

// What must hold for any file. Returns the committed frames.
static uint64_t scan(const char *name, size_t size)
{
    char path[path_size];
    weir_wal_scan *opened = NULL;
    weir_wal_frame frame;
    weir_wal_end end;
    weir_error err = WEIR_ERROR_INIT;
    uint64_t count = 0;
    uint64_t commits = 0;
    uint64_t transactions = 0;
    weir_wal_transaction transaction;
    path_of(name, path);
    assert_int_equal(weir_wal_scan_open(path, &opened, &err), WEIR_OK);
    for (;;) {
        assert_int_equal(weir_wal_scan_next(opened, &frame, &err), WEIR_OK);
        if (frame.number == 0)
            break;
        assert_int_equal(frame.number, ++count);
        assert_int_equal(frame.transaction, commits + 1);
        assert_true(frame.page != 0);
        commits += frame.n_page != 0;
    }
    assert_int_equal(weir_wal_scan_end(opened, &end, &err), WEIR_OK);
    assert_int_equal(end.size, size);
    assert_int_equal(end.frames, count);
    assert_int_equal(end.transactions, commits);
    assert_true(end.frames_committed <= end.frames);
    assert_true(end.offset <= end.size);
    assert_int_equal(end.kind == WEIR_WAL_END_DAMAGED, end.behind_commits > 0);
    assert_true(end.behind_offset < end.size || end.size == 0);
    if (weir_wal_scan_header(opened) == NULL && size >= WEIR_WAL_HEADER_SIZE)
        assert_int_equal(end.kind, WEIR_WAL_END_HEADER);
    weir_wal_scan_close(opened);

    assert_int_equal(weir_wal_scan_open(path, &opened, &err), WEIR_OK);
    for (uint64_t offset = WEIR_WAL_HEADER_SIZE;; offset = transaction.offset_end) {
        assert_int_equal(weir_wal_scan_next_transaction(opened, &transaction, &err), WEIR_OK);
        if (transaction.number == 0)
            break;
        assert_int_equal(transaction.number, ++transactions);
        assert_int_equal(transaction.offset, offset);
    }
    assert_int_equal(transactions, commits);
    weir_wal_scan_close(opened);
    return end.frames_committed;
}

// The frames that SQLite accepts; -1 where it refuses the log or the database that comes out.
static int accepted(const char *name)
{
    char path[path_size];
    sqlite3 *db = NULL;
    int frames = -1;
    int moved = -1;
    path_of(name, path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    (void)sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0; SELECT * FROM sqlite_master",
                       NULL, NULL, NULL);
    if (sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved) != SQLITE_OK)
        frames = -1;
    sqlite3_close(db);
    return frames;
}

static void the_scan_agrees_with_sqlite(void **state)
{
    (void)state;
    uint64_t compared = 0;
    content database = {0};
    content made = {0};
    for (uint64_t round = 0; round < rounds; round++) {
        if (round % 20 == 0) {
            free(database.bytes);
            free(made.bytes);
            make_log(&database, &made);
        }
        content log = {.bytes = malloc(made.size), .size = made.size};
        assert_non_null(log.bytes);
        memcpy(log.bytes, made.bytes, made.size);
        for (uint64_t i = below(changes_max + 1); i > 0; i--)
            change(&log);
        save("copy.db", database.bytes, database.size);
        save("copy.db-wal", log.bytes, log.size);
        const uint64_t ours = scan("copy.db-wal", log.size);
        const int theirs = accepted("copy.db");
        if (theirs >= 0 && (uint64_t)theirs != ours)
            fail_msg("round %" PRIu64 ": SQLite accepts %d frames, the scan %" PRIu64, round, theirs, ours);
        compared += theirs >= 0;
        free(log.bytes);
    }
    free(database.bytes);
    free(made.bytes);
    if (compared < rounds / 2)
        fail_msg("only %" PRIu64 " of %" PRIu64 " rounds compared something", compared, rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_scan_agrees_with_sqlite)};
    const char *const seed_text = getenv("WEIR_FUZZ_SEED");
    const char *const rounds_text = getenv("WEIR_FUZZ_ROUNDS");
    const uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 0) : weir__random_u64();
    if (rounds_text != NULL)
        rounds = strtoull(rounds_text, NULL, 0);
    printf("# WEIR_FUZZ_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    weir__rng_init(&rng, seed);
    snprintf(directory, sizeof directory, "/tmp/weir-wal-fuzz-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return weir__fs_remove_tree(directory, NULL) == WEIR_OK ? failed : 1;
}
