// SPDX-License-Identifier: MIT
//
// Heartbeats on a disk that fails or is full: what was acknowledged is in the file, once; what failed has left
// no trace, in the file or in the writer's memory. Faults come from the store's own VFS.
#include "support/activity.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

#define A "{\"app\":\"a\"}"
#define B "{\"app\":\"b\"}"

// Which writes of the log fail: `length` of them from number `first` on.
typedef struct plan {
    int result;
    _Atomic int first, length;
    _Atomic int seen, hits;
} plan;

static int fault(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    plan *const p = context;
    (void)offset, (void)size;
    if (op != WEIR__VFS_WRITE || role != WEIR__VFS_WAL)
        return SQLITE_OK;
    const int number = atomic_fetch_add(&p->seen, 1);
    if (number < p->first || number - p->first >= p->length)
        return SQLITE_OK;
    atomic_fetch_add(&p->hits, 1);
    return p->result;
}

static void break_disk(desk *d, plan *p, int result, int first, int length)
{
    *p = (plan){.result = result, .first = first, .length = length};
    weir__vfs_set_fault(weir_activity_store(d->activity)->vfs, fault, p);
}

// The hook stays: it may be removed only while nobody works.
static void mend_disk(plan *p)
{
    atomic_store(&p->length, 0);
}

static const weir_config QUICK = {.readers = 1,
                                  .retry_base_ms = 1,
                                  .busy_timeout_ms = 5,
                                  .checkpoint_frames = 1u << 20,
                                  .checkpoint_idle_ms = 1u << 20};

// A commit that fails takes the heartbeat with it, and what the writer remembers of it.
static void a_heartbeat_whose_commit_failed_is_not_remembered(void **state)
{
    (void)state;
    const weir_activity_config config = {.store = &QUICK};
    desk d;
    plan p;
    weir_error err = WEIR_ERROR_INIT;
    desk_init(&d, &config);
    must_create(&d, "b");
    must_beat(&d, "b", event_at(0, 1, A), 10);
    break_disk(&d, &p, SQLITE_IOERR_WRITE, 0, 1000000);
    const weir_event longer = event_at(5, 0, A);
    const weir_event other = event_at(6, 0, B);
    expect_code(weir_activity_heartbeat(d.activity, "b", &longer, 10, NULL, &err), WEIR_IO, &err);
    assert_true(p.hits > 0);
    mend_disk(&p);
    // Within the window of what failed, but not of what is there.
    assert_int_equal(must_beat(&d, "b", event_at(12, 0, A), 8).id, 2);
    atomic_store(&p.seen, 0);
    atomic_store(&p.length, 1000000);
    expect_code(weir_activity_heartbeat(d.activity, "b", &other, 10, NULL, &err), WEIR_IO, &err);
    mend_disk(&p);
    assert_int_equal(must_beat(&d, "b", event_at(13, 0, A), 8).id, 2);
    expect_events(&d, "b", NULL, "2:12+1 " A "; 1:0+1 " A);
    desk_close(&d);
    must_be_intact(d.place.database);
    desk_fini(&d);
}

// Heartbeats that were acknowledged as applied run again until their commit succeeds: as one event, once.
static void applied_heartbeats_survive_commits_that_fail(void **state)
{
    (void)state;
    const weir_activity_config config = {
        .store = &QUICK, .ack = WEIR_ACK_APPLIED, .applied_linger_ms = 60000, .applied_jobs_max = 4};
    bool hit = true;
    int k = 0;
    for (; hit; k++) {
        desk d;
        plan p;
        weir_error err = WEIR_ERROR_INIT;
        desk_init(&d, &config);
        must_create(&d, "b");
        break_disk(&d, &p, k % 2 == 0 ? SQLITE_FULL : SQLITE_IOERR_WRITE, k, 1 + k % 3);
        for (int i = 0; i < 10; i++) {
            const weir_event beat = event_at(i, 0, i < 5 ? A : B);
            expect_ok(weir_activity_heartbeat(d.activity, "b", &beat, 10, NULL, &err), &err);
        }
        weir_flush(weir_activity_store(d.activity), 0, NULL);
        hit = p.hits > 0;
        mend_disk(&p);
        expect_events(&d, "b", NULL, "2:5+4 " B "; 1:0+4 " A);
        assert_int_equal(must_beat(&d, "b", event_at(10, 0, B), 10).id, 2);
        desk_close(&d);
        assert_int_equal(naive_int64(d.place.database, "SELECT count(*) FROM events"), 2);
        assert_int_equal(
            naive_int64(d.place.database, "SELECT sum(endtime - starttime) / 1000000000 FROM events"), 9);
        desk_fini(&d);
    }
    assert_true(k > 3);
}

// -------------------------------------------------------------------------------------- a crash while migrating

// Opens the database in a process that is killed when one of its files would grow beyond `bytes`. Returns
// whether it came through.
static bool open_and_die(const char *database, rlim_t bytes)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
        const struct rlimit no_core = {0};
        weir_activity *activity = NULL;
        setrlimit(RLIMIT_CORE, &no_core);
        setrlimit(RLIMIT_FSIZE, &limit);
        sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        _exit(weir_activity_open(database, NULL, &activity, NULL) == WEIR_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        assert_int_equal(WTERMSIG(status), SIGXFSZ);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void a_crash_at_any_growth_of_a_file_while_migrating(void **state)
{
    (void)state;
    enum { STEP = 2048, LIMIT = 1 << 20 };
    bool whole = false;
    int crashes = 0;
    for (rlim_t bytes = 0; !whole && bytes < LIMIT; bytes += STEP) {
        desk d = {0};
        scratch_init(&d.place);
        naive_sql(d.place.database,
                  "CREATE TABLE buckets (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL, "
                  "type TEXT NOT NULL, client TEXT NOT NULL, hostname TEXT NOT NULL, created TEXT NOT NULL);"
                  "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, bucketrow INTEGER NOT NULL, "
                  "starttime INTEGER NOT NULL, endtime INTEGER NOT NULL, data TEXT NOT NULL, "
                  "FOREIGN KEY (bucketrow) REFERENCES buckets(id));"
                  "INSERT INTO buckets VALUES (1, 'old', 't', 'c', 'h', '2018-01-01 01:01:01+00:00');"
                  "INSERT INTO events VALUES (1, 1, 1514768461000000000, 1514768462000000000, '{}');"
                  "PRAGMA user_version = 1");
        whole = open_and_die(d.place.database, bytes);
        crashes += !whole;
        must_be_intact(d.place.database);
        desk_open(&d, NULL);
        expect_events(&d, "old", NULL, "1:0+1 {}");
        assert_int_equal(must_read_int64(weir_activity_store(d.activity), "PRAGMA user_version"), 5);
        desk_fini(&d);
    }
    assert_true(whole);
    assert_true(crashes > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_growth_of_a_file_while_migrating), // first: it forks
        cmocka_unit_test(a_heartbeat_whose_commit_failed_is_not_remembered),
        cmocka_unit_test(applied_heartbeats_survive_commits_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
