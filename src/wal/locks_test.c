// SPDX-License-Identifier: MIT
//
// Locks: lines of /proc/locks as they come and as they should not, and a real database held by another
// process.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/random.h"
#include "wal/locks.h"
#include "weir/wal.h"

enum { holders_max = 8 };

#define BIT(lock) (UINT32_C(1) << (lock))

static weir__lock_file example_file(void)
{
    return (weir__lock_file){.device = makedev(0x00, 0x2a), .mount_device = makedev(0xfd, 1), .inode = 5678};
}

static void a_line_is_read(void **state)
{
    (void)state;
    const weir__lock_file file = example_file();
    weir__lock lock;
    assert_true(weir__lock_parse("1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 126 128", &file, &lock));
    assert_int_equal(lock.pid, 1234);
    assert_true(lock.exclusive);
    assert_int_equal(lock.first, 126);
    assert_int_equal(lock.last, 128);
    assert_true(weir__lock_parse("12: OFDLCK ADVISORY  READ -1 00:2a:5678 0 EOF", &file, &lock));
    assert_int_equal(lock.pid, -1);
    assert_false(lock.exclusive);
    assert_true(lock.last == UINT64_MAX);
}

static void other_lines_are_passed_over(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "garbage",
        "1: -> POSIX  ADVISORY  WRITE 1234 fd:01:5678 126 128", // waits
        "1:  -> POSIX  ADVISORY  WRITE 1234 fd:01:5678 126 128",
        "1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF",
        "1: LEASE  ACTIVE    READ 1234 fd:01:5678 0 EOF",
        "1: POSIX  ADVISORY  WRITE 1234 fd:01:5679 126 128", // another inode
        "1: POSIX  ADVISORY  WRITE 1234 fd:02:5678 126 128", // another device
        "1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 126",
        "1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 126 x",
        "1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 126 -1",
        "1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 126 120",
        "1: POSIX  ADVISORY  MAYBE 1234 fd:01:5678 126 128",
        "1: POSIX  ADVISORY  WRITE 1234 <none>:0 126 128",
    };
    const weir__lock_file file = example_file();
    weir__lock lock;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (weir__lock_parse(lines[i], &file, &lock))
            fail_msg("taken for a lock: %s", lines[i]);
    }
}

static void entries_are_restricted_sorted_and_listed_once(void **state)
{
    (void)state;
    static const char content[] = "1: POSIX  ADVISORY  READ 30 fd:01:5678 128 128\n"
                                  "2: POSIX  ADVISORY  WRITE 20 fd:01:5678 120 120\n"
                                  "3: POSIX  ADVISORY  READ 30 fd:01:5678 128 128\n"
                                  "4: POSIX  ADVISORY  READ 20 fd:01:5678 128 128\n"
                                  "5: POSIX  ADVISORY  READ 20 fd:01:5678 0 119\n"
                                  "6: POSIX  ADVISORY  READ 20 fd:01:5678 129 EOF\n"
                                  "7: POSIX  ADVISORY  READ 10 fd:01:5678 0 EOF";
    const weir__lock_file file = example_file();
    weir__lock *locks = NULL;
    size_t count = 0;
    assert_int_equal(weir__locks_parse(content, &file, 120, 128, &locks, &count, NULL), WEIR_OK);
    assert_int_equal(count, 4);
    static const int64_t pids[] = {10, 20, 20, 30};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(locks[i].pid, pids[i]);
    assert_true(locks[1].exclusive);
    assert_false(locks[2].exclusive);
    free(locks);
    assert_int_equal(weir__locks_parse("", &file, 120, 128, &locks, &count, NULL), WEIR_OK);
    assert_int_equal(count, 0);
    free(locks);
}

// A line with a few bytes changed is read or refused, and what is read makes sense; a text of such lines too.
static void changed_lines_do_no_harm(void **state)
{
    (void)state;
    static const char good[] = "1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 126 128";
    enum { seed = 11, rounds = 20000 };
    const weir__lock_file file = example_file();
    weir__rng rng;
    weir__rng_init(&rng, seed);
    size_t read_count = 0;
    for (int round = 0; round < rounds; round++) {
        char line[sizeof good];
        memcpy(line, good, sizeof good);
        for (uint64_t i = weir__rng_below(&rng, 4); i > 0; i--)
            line[weir__rng_below(&rng, sizeof good - 1)] = (char)weir__rng_below(&rng, 256);
        weir__lock lock;
        if (weir__lock_parse(line, &file, &lock)) {
            read_count++;
            if (lock.last < lock.first)
                fail_msg("seed %d, round %d: %s", seed, round, line);
        }
        weir__lock *locks = NULL;
        size_t count = 0;
        assert_int_equal(weir__locks_parse(line, &file, 0, UINT64_MAX, &locks, &count, NULL), WEIR_OK);
        assert_true(count <= sizeof good);
        free(locks);
    }
    assert_in_range(read_count, rounds / 4, rounds - 1);
}

static void locks_have_names(void **state)
{
    (void)state;
    assert_string_equal(weir_wal_lock_name(WEIR_WAL_LOCK_WRITE), "WRITE");
    assert_string_equal(weir_wal_lock_name(WEIR_WAL_LOCK_READ4), "READ4");
    assert_string_equal(weir_wal_lock_name(WEIR_WAL_LOCK_DMS), "DMS");
    assert_string_equal(weir_wal_lock_name(WEIR_WAL_LOCK_COUNT), "?");
    assert_string_equal(weir_wal_lock_name(-1), "?");
}

typedef struct fixture {
    char directory[64];
    char database[96];
} fixture;

static void fixture_init(fixture *fx)
{
    *fx = (fixture){.directory = "/tmp/weir-locks-XXXXXX"};
    assert_non_null(mkdtemp(fx->directory));
    snprintf(fx->database, sizeof fx->database, "%s/test.db", fx->directory);
}

static void fixture_fini(const fixture *fx)
{
    assert_int_equal(weir__fs_remove_tree(fx->directory, NULL), WEIR_OK);
}

// In the child: opens the database, runs the SQL, reports and stays until the pipe closes.
static void hold_in_child(const char *database, const char *sql, int ready_fd, int hold_fd)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open(database, &db);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    char byte = rc == SQLITE_OK ? 'y' : 'n';
    const bool told = write(ready_fd, &byte, 1) == 1;
    const bool released = read(hold_fd, &byte, 1) == 0;
    sqlite3_close(db);
    _exit(rc == SQLITE_OK && told && released ? 0 : 1);
}

// Starts a process that holds the database in the state that the SQL leaves; closing *hold ends it. This
// process must not have it open yet: a child inherits nothing of SQLite that it could use.
static pid_t start_holder(const fixture *fx, const char *sql, int *hold)
{
    int ready_pipe[2];
    int hold_pipe[2];
    assert_int_equal(pipe(ready_pipe), 0);
    assert_int_equal(pipe(hold_pipe), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(hold_pipe[1]);
        hold_in_child(fx->database, sql, ready_pipe[1], hold_pipe[0]);
    }
    close(ready_pipe[1]);
    close(hold_pipe[0]);
    char byte = 0;
    assert_int_equal(read(ready_pipe[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready_pipe[0]);
    *hold = hold_pipe[1];
    return child;
}

static void end_holder(pid_t child, int hold)
{
    int status = 0;
    close(hold);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static const weir_wal_lock_holder *find_pid(const weir_wal_lock_holder *holders, size_t count, int64_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (holders[i].pid == pid)
            return &holders[i];
    }
    fail_msg("process %lld is not among the holders", (long long)pid);
    return NULL;
}

static size_t holders_of(const char *database, weir_wal_lock_holder holders[holders_max])
{
    size_t count = 0;
    weir_error err = WEIR_ERROR_INIT;
    if (weir_wal_lock_holders(database, holders, holders_max, &count, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_true(count <= holders_max);
    return count;
}

static void another_process_is_seen_with_what_it_holds(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx);
    int hold = -1;
    const pid_t child = start_holder(
        &fx, "PRAGMA journal_mode=WAL; CREATE TABLE t(a); BEGIN IMMEDIATE; INSERT INTO t VALUES(1)", &hold);
    weir_wal_lock_holder holders[holders_max];
    size_t count = holders_of(fx.database, holders);
    assert_int_equal(count, 1);
    assert_int_equal(holders[0].pid, child);
    assert_int_equal(holders[0].exclusive, BIT(WEIR_WAL_LOCK_WRITE));
    assert_int_equal(holders[0].shared, BIT(WEIR_WAL_LOCK_READ1) | BIT(WEIR_WAL_LOCK_DMS));
    assert_non_null(strstr(holders[0].command, "locks"));
    assert_int_equal(weir_wal_lock_holders(fx.database, NULL, 0, &count, NULL), WEIR_OK);
    assert_int_equal(count, 1);
    end_holder(child, hold);
    fixture_fini(&fx);
}

static void own_locks_are_seen_and_survive_the_looking(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx);
    int hold = -1;
    const pid_t child = start_holder(&fx, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)", &hold);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fx.database, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    weir_wal_lock_holder holders[holders_max];
    for (int round = 0; round < 3; round++) {
        const size_t count = holders_of(fx.database, holders);
        assert_int_equal(count, 2);
        const weir_wal_lock_holder *const own = find_pid(holders, count, getpid());
        assert_int_equal(own->exclusive, 0);
        assert_int_equal(own->shared, BIT(WEIR_WAL_LOCK_READ1) | BIT(WEIR_WAL_LOCK_DMS));
        assert_int_equal(find_pid(holders, count, child)->shared, BIT(WEIR_WAL_LOCK_DMS));
    }
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    const size_t count = holders_of(fx.database, holders);
    assert_int_equal(find_pid(holders, count, getpid())->shared, BIT(WEIR_WAL_LOCK_DMS));
    sqlite3_close(db);
    end_holder(child, hold);
    fixture_fini(&fx);
}

static void a_link_to_the_database_leads_to_its_locks(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx);
    char link[96];
    snprintf(link, sizeof link, "%s/link.db", fx.directory);
    assert_int_equal(symlink("test.db", link), 0);
    int hold = -1;
    const pid_t child = start_holder(&fx, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)", &hold);
    weir_wal_lock_holder holders[holders_max];
    assert_int_equal(holders_of(link, holders), 1);
    assert_int_equal(holders[0].pid, child);
    end_holder(child, hold);
    fixture_fini(&fx);
}

static void no_wal_index_is_said_by_name(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx);
    size_t count = 1;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir_wal_lock_holders(fx.database, NULL, 0, &count, &err), WEIR_NOTFOUND);
    assert_int_equal(count, 0);
    assert_non_null(strstr(err.text, "test.db-shm"));
    fixture_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_read),
        cmocka_unit_test(other_lines_are_passed_over),
        cmocka_unit_test(entries_are_restricted_sorted_and_listed_once),
        cmocka_unit_test(changed_lines_do_no_harm),
        cmocka_unit_test(locks_have_names),
        cmocka_unit_test(another_process_is_seen_with_what_it_holds),
        cmocka_unit_test(own_locks_are_seen_and_survive_the_looking),
        cmocka_unit_test(a_link_to_the_database_leads_to_its_locks),
        cmocka_unit_test(no_wal_index_is_said_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
