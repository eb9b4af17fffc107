// SPDX-License-Identifier: MIT
//
// Opening and closing: what is set, what is refused and with which words, what is left behind. Every place
// here is one that somebody has handed to a program as "the database".
#include "support/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "store/open.h"

enum { NOBODY = 65534, PATH_SIZE = 512 };

static const weir__fs_kind NFS = {.fs_class = WEIR__FS_NETWORK, .name = "nfs"};
static const weir__fs_kind FUSE = {.fs_class = WEIR__FS_FUSE, .name = "fuse"};
static const weir__fs_kind TMPFS = {.fs_class = WEIR__FS_MEMORY, .name = "tmpfs"};

static void put_file(const char *path, const void *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    assert_int_equal(close(fd), 0);
}

static char *get_file(const char *path, size_t *size)
{
    char *data = NULL;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir__fs_read_file(path, 1 << 24, &data, size, &err), &err);
    return data;
}

static void expect_file(const char *path, const void *data, size_t size)
{
    size_t now_size = 0;
    char *const now = get_file(path, &now_size);
    assert_int_equal(now_size, size);
    assert_memory_equal(now, data, size);
    free(now);
}

static int entries_of(const char *directory)
{
    DIR *const handle = opendir(directory);
    int count = 0;
    assert_non_null(handle);
    while (readdir(handle))
        count++;
    closedir(handle);
    return count;
}

// Opening must fail with this code and a sentence that names the path; nothing may be left behind.
static void expect_refused_with(const char *path, const weir_config *config, const weir__open_hooks *hooks,
                                int code, const char *part)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_store *store = (weir_store *)&err;
    const int descriptors = entries_of("/proc/self/fd");
    const int threads = entries_of("/proc/self/task");
    expect_code(weir__store_open(path, config, hooks, &store, &err), code, &err);
    assert_null(store);
    expect_contains(err.text, part);
    assert_true(weir__utf8_is_valid(err.text, strlen(err.text)));
    assert_int_equal(entries_of("/proc/self/fd"), descriptors);
    assert_int_equal(entries_of("/proc/self/task"), threads);
}

static void expect_refused(const char *path, const weir_config *config, int code)
{
    expect_refused_with(path, config, NULL, code, path);
}

static bool has_finding(weir_store *store, const char *name)
{
    weir_finding findings[16];
    const size_t size = weir_health(store, findings, 16);
    bool found = false;
    for (size_t i = 0; i < size; i++)
        found = found || strcmp(findings[i].name, name) == 0;
    return found;
}

static weir_stats stats_of(weir_store *store)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &stats, &err), &err);
    return stats;
}

// ------------------------------------------------------------------------------------------------- pragmas

static void expect_pragma(weir_tx *conn, const char *name, int64_t expected)
{
    char pragma[64];
    int64_t got = INT64_MIN;
    weir_error err = WEIR_ERROR_INIT;
    snprintf(pragma, sizeof pragma, "PRAGMA %s", name);
    expect_ok(weir__conn_pragma_int64(conn, pragma, &got, &err), &err);
    if (got != expected)
        fail_msg("%s on connection of kind %d: %lld, not %lld", pragma, (int)conn->kind, (long long)got,
                 (long long)expected);
}

static void every_pragma_is_set_on_every_connection(void **state)
{
    (void)state;
    static const int64_t SYNCHRONOUS[] = {2, 1, 1, 0};
    for (int policy = WEIR_DURABILITY_FULL; policy <= WEIR_DURABILITY_OFF; policy++) {
        scratch place;
        scratch_init(&place);
        const weir_config config = {.durability = (weir_durability)policy,
                                    .readers = 2,
                                    .cache_kib = 1234,
                                    .mmap_bytes = 1 << 20,
                                    .wal_limit_bytes = 5 << 20,
                                    .foreign_keys = policy % 2 == 1};
        weir_store *const store = must_open(place.database, &config);
        weir_tx *const conns[] = {store->writer.conn, store->checkpointer.conn, store->checkpointer.pin,
                                  store->pool.slots[0].conn, store->pool.slots[1].conn};
        for (size_t i = 0; i < sizeof conns / sizeof conns[0]; i++) {
            char mode[16];
            weir_error err = WEIR_ERROR_INIT;
            expect_ok(weir__conn_pragma_text(conns[i], "PRAGMA journal_mode", mode, sizeof mode, &err), &err);
            assert_string_equal(mode, "wal");
            expect_pragma(conns[i], "synchronous", SYNCHRONOUS[policy]);
            expect_pragma(conns[i], "cache_size", -1234); // negative: KiB, not pages
            expect_pragma(conns[i], "mmap_size", 1 << 20);
            expect_pragma(conns[i], "temp_store", 2);
            expect_pragma(conns[i], "wal_autocheckpoint", 0);
            expect_pragma(conns[i], "journal_size_limit", 5 << 20);
            expect_pragma(conns[i], "query_only", i >= 3);
            expect_pragma(conns[i], "trusted_schema", 0);
            expect_pragma(conns[i], "foreign_keys", policy % 2);
        }
        must_close(store);
        scratch_fini(&place);
    }
}

static void the_defaults_are_those_of_the_header(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, NULL);
    expect_pragma(store->writer.conn, "cache_size", -8192);
    expect_pragma(store->writer.conn, "mmap_size", 0);
    assert_string_equal(stats_of(store).durability, "full");
    assert_string_equal(stats_of(store).journal, "wal");
    assert_false(stats_of(store).degraded);
    assert_in_range(stats_of(store).readers_size, 1, 16);
    assert_int_equal(store->config.wal_limit_bytes, 64 << 20);
    assert_false(has_finding(store, "degraded"));
    must_close(store);
    scratch_fini(&place);
}

static void a_pragma_that_sqlite_does_not_accept_is_an_error(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    expect_refused(place.database, &(weir_config){.mmap_bytes = UINT64_C(1) << 50}, WEIR_UNSUPPORTED);
    scratch_fini(&place);
}

static void nonsense_in_the_config_is_refused(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    expect_refused(place.database, &(weir_config){.durability = (weir_durability)4}, WEIR_INVALID);
    expect_refused(place.database, &(weir_config){.readers = WEIR_READERS_MAX + 1}, WEIR_INVALID);
    expect_refused(place.database, &(weir_config){.cache_kib = UINT32_MAX}, WEIR_INVALID);
    expect_refused(place.database, &(weir_config){.retry_tries = 17}, WEIR_INVALID);
    assert_int_equal(file_bytes(place.database), -1);
    weir_store *store = NULL;
    assert_int_equal(
        weir_open(place.database, &(weir_config){.durability = (weir_durability)4}, &store, NULL),
        WEIR_INVALID); // err may be NULL
    scratch_fini(&place);
}

static void extreme_numbers_in_the_config_are_fine(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    const weir_config most = {.readers = WEIR_READERS_MAX,
                              .wal_limit_bytes = UINT64_MAX,
                              .busy_timeout_ms = WEIR_NO_DEADLINE,
                              .retry_tries = 16,
                              .retry_base_ms = UINT32_MAX,
                              .checkpoint_frames = UINT32_MAX,
                              .checkpoint_idle_ms = UINT32_MAX,
                              .reader_gap_ms = UINT32_MAX,
                              .open_deadline_ms = WEIR_NO_DEADLINE,
                              .write_deadline_ms = WEIR_NO_DEADLINE,
                              .read_deadline_ms = WEIR_NO_DEADLINE,
                              .queue_bytes_max = UINT64_MAX,
                              .queue_jobs_max = UINT32_MAX,
                              .statements_max = 1};
    const weir_config least = {.readers = 1,
                               .cache_kib = 1,
                               .wal_limit_bytes = 1,
                               .open_deadline_ms = 1,
                               .busy_timeout_ms = 1,
                               .retry_tries = 1,
                               .retry_base_ms = 1,
                               .checkpoint_frames = 1,
                               .reader_gap_ms = 1,
                               .queue_jobs_max = 1,
                               .queue_bytes_max = 1 << 16,
                               .group_jobs_max = 1,
                               .statements_max = 1};
    const weir_config *const both[] = {&most, &least};
    for (size_t i = 0; i < 2; i++) {
        weir_store *const store = must_open(place.database, both[i]);
        must_run_sql(store, "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1);");
        assert_int_equal(must_read_int64(store, "SELECT count(*) FROM t"), i + 1);
        must_close(store);
    }
    scratch_fini(&place);
}

// -------------------------------------------------------------------------------------------------- places

static void what_is_not_a_database_is_refused_and_left_alone(void **state)
{
    (void)state;
    static char noise[12288];
    static const char TEXT[] = "Dear diary,\ntoday I was opened as a database.\n";
    scratch place;
    scratch_init(&place);
    // A single byte is not among them: SQLite takes such a file for an empty one.
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 2654435761u >> 13);
    const struct {
        const void *data;
        size_t size;
    } contents[] = {{noise, sizeof noise}, {noise, 4096}, {noise, 100},           {noise, 2},
                    {TEXT, sizeof TEXT},   {"\0", 2},     {"SQLite format 3", 16}};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        put_file(place.database, contents[i].data, contents[i].size);
        expect_refused(place.database, NULL, WEIR_NOTADB);
        expect_refused(place.database, &(weir_config){.read_only = true}, WEIR_NOTADB);
        expect_file(place.database, contents[i].data, contents[i].size);
        assert_int_equal(entries_of(place.directory), 3); // ".", ".." and the file: nothing beside it
    }
    scratch_fini(&place);
}

static void an_empty_file_becomes_a_database(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    put_file(place.database, "", 0);
    weir_store *const store = must_open(place.database, &(weir_config){.must_exist = true});
    must_run_sql(store, "CREATE TABLE t(a)");
    must_close(store);
    must_be_intact(place.database);
    scratch_fini(&place);
}

// The end of the file was lost: the header promises more pages than there are.
static void a_database_cut_short_is_corrupt(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    naive_sql(place.database, "CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(50000));");
    assert_int_equal(truncate(place.database, 8192), 0);
    expect_refused(place.database, NULL, WEIR_CORRUPT);
    scratch_fini(&place);
}

static void what_is_not_a_regular_file_is_refused(void **state)
{
    (void)state;
    scratch place;
    char path[PATH_SIZE];
    scratch_init(&place);
    expect_refused(place.directory, NULL, WEIR_INVALID);
    expect_refused("/dev/null", NULL, WEIR_INVALID);
    expect_refused("/dev/zero", NULL, WEIR_INVALID);
    snprintf(path, sizeof path, "%s/fifo", place.directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(path, NULL, WEIR_INVALID); // and does not wait for the pipe's other end
    snprintf(path, sizeof path, "%s/none/x.db", place.directory);
    expect_refused(path, NULL, WEIR_NOTFOUND);
    put_file(place.database, "", 0);
    snprintf(path, sizeof path, "%s/below", place.database);
    expect_refused(path, NULL, WEIR_INVALID);
    scratch_fini(&place);
}

static void symbolic_links(void **state)
{
    (void)state;
    scratch place;
    char path[PATH_SIZE];
    scratch_init(&place);
    snprintf(path, sizeof path, "%s/loop", place.directory);
    assert_int_equal(symlink("loop", path), 0);
    expect_refused(path, NULL, WEIR_INVALID);
    snprintf(path, sizeof path, "%s/dangling", place.directory);
    assert_int_equal(symlink("nowhere.db", path), 0);
    expect_refused(path, NULL, WEIR_NOTFOUND);
    expect_refused(path, &(weir_config){.must_exist = true}, WEIR_NOTFOUND);
    scratch_fini(&place);
}

// SQLite keeps the log beside the file, not beside the link; so must we look for it there.
static void a_link_to_a_database_has_its_log_beside_the_database(void **state)
{
    (void)state;
    scratch place;
    scratch elsewhere;
    char link[PATH_SIZE];
    scratch_init(&place);
    scratch_init(&elsewhere);
    naive_sql(place.database, "CREATE TABLE t(a)");
    snprintf(link, sizeof link, "%s/link.db", elsewhere.directory);
    assert_int_equal(symlink(place.database, link), 0);
    const weir_config config = {.durability = WEIR_DURABILITY_INTERVAL, .sync_interval_ms = 1};
    weir_store *const store = must_open(link, &config);
    must_run_sql(store, "INSERT INTO t VALUES(1)");
    assert_true(file_bytes(place.wal) > 0);
    assert_int_equal(stats_of(store).wal_bytes, file_bytes(place.wal));
    assert_true(stats_of(store).shm_bytes > 0);
    assert_true(store->syncer.fd >= 0); // what was acknowledged as durable has been synced
    must_close(store);
    assert_int_equal(entries_of(elsewhere.directory), 3);
    scratch_fini(&elsewhere);
    scratch_fini(&place);
}

static void a_relative_path_survives_a_change_of_directory(void **state)
{
    (void)state;
    scratch place;
    char before[PATH_SIZE];
    scratch_init(&place);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(place.directory), 0);
    const weir_config config = {.durability = WEIR_DURABILITY_INTERVAL, .sync_interval_ms = 1};
    weir_store *const store = must_open("test.db", &config);
    assert_int_equal(chdir("/"), 0);
    must_run_sql(store, "CREATE TABLE t(a)");
    assert_true(stats_of(store).wal_bytes > 0);
    assert_true(stats_of(store).database_bytes > 0);
    assert_true(store->syncer.fd >= 0);
    assert_true(file_bytes(place.wal) > 0);
    must_close(store);
    assert_int_equal(chdir(before), 0);
    must_be_intact(place.database);
    scratch_fini(&place);
}

static void strange_names_are_only_names(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "\xff\xfe\x80.db", "a b\tc\n.db", "file:x.db?mode=memory", "x.db?vfs=none", "%41.db",
        "'; DROP.db",      "-wal"};
    scratch place;
    scratch_init(&place);
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s", place.directory, NAMES[i]);
        weir_store *const store = must_open(path, NULL);
        must_run_sql(store, "CREATE TABLE t(a); INSERT INTO t VALUES(7);");
        char *const json = weir_stats_json(store);
        assert_true(weir__utf8_is_valid(json, strlen(json)));
        free(json);
        must_close(store);
        assert_true(file_bytes(path) > 0);
        assert_int_equal(naive_int64(path, "SELECT a FROM t"), 7);
    }
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/\xff\xfe/none.db", place.directory);
    expect_refused_with(path, NULL, NULL, WEIR_NOTFOUND, "none.db"); // a sentence in UTF-8 all the same
    scratch_fini(&place);
}

static void a_path_can_be_too_long(void **state)
{
    (void)state;
    static char path[WEIR__PATH_MAX + 10];
    weir_store *store = NULL;
    weir_error err = WEIR_ERROR_INIT;
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    expect_refused_with(path, NULL, NULL, WEIR_INVALID, "longer");
    path[WEIR__PATH_MAX - 1] = '\0'; // short enough as a path, too long as a name
    expect_refused_with(path, NULL, NULL, WEIR_INVALID, "xxx");
    expect_code(weir_open("", NULL, &store, &err), WEIR_INVALID, &err);
    expect_code(weir_open(NULL, NULL, &store, &err), WEIR_INVALID, &err);
}

static void what_must_exist_is_not_created(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    expect_refused(place.database, &(weir_config){.must_exist = true}, WEIR_NOTFOUND);
    expect_refused(place.database, &(weir_config){.read_only = true}, WEIR_NOTFOUND);
    assert_int_equal(entries_of(place.directory), 2);
    scratch_fini(&place);
}

// ------------------------------------------------------------------------------------------- someone else's

static void become(uid_t user)
{
    if (user != 0)
        assert_int_equal(setegid(user), 0);
    assert_int_equal(seteuid(user), 0);
    if (user == 0)
        assert_int_equal(setegid(0), 0);
}

static void someone_elses_files(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("not root: cannot become somebody else\n");
        skip();
    }
    scratch place;
    scratch_init(&place);
    naive_sql(place.database, "PRAGMA journal_mode=WAL; CREATE TABLE t(a);");
    assert_int_equal(chmod(place.directory, 0777), 0);

    become(NOBODY);
    expect_refused(place.database, NULL, WEIR_DENIED); // may be read, not written
    become(0);
    assert_int_equal(chmod(place.database, 0600), 0);
    become(NOBODY);
    expect_refused(place.database, NULL, WEIR_DENIED);
    expect_refused(place.database, &(weir_config){.read_only = true}, WEIR_DENIED);
    become(0);
    assert_int_equal(chmod(place.database, 0666), 0);
    put_file(place.wal, "", 0);
    assert_int_equal(chmod(place.wal, 0600), 0);
    become(NOBODY);
    expect_refused(place.database, NULL, WEIR_DENIED);
    expect_refused_with(place.database, NULL, NULL, WEIR_DENIED, "-wal belongs to user 0");
    become(0);
    assert_int_equal(unlink(place.wal), 0);
    assert_int_equal(chmod(place.directory, 0755), 0);
    become(NOBODY);
    expect_refused(place.database, NULL, WEIR_DENIED); // no log can be made here
    expect_refused_with(place.database, &(weir_config){.read_only = true}, NULL, WEIR_DENIED,
                        "may not create the -shm file beside it");
    become(0);
    assert_int_equal(chmod(place.directory, 0700), 0);
    become(NOBODY);
    expect_refused(place.database, NULL, WEIR_DENIED); // not even to be looked at
    become(0);
    assert_int_equal(entries_of(place.directory), 3);
    scratch_fini(&place);
}

// ------------------------------------------------------------------------------------------------ read-only

static void a_read_only_store_changes_nothing(void **state)
{
    (void)state;
    static const char *const JOURNALS[] = {"PRAGMA journal_mode=WAL", "PRAGMA journal_mode=DELETE"};
    for (size_t i = 0; i < 2; i++) {
        scratch place;
        size_t size = 0;
        weir_error err = WEIR_ERROR_INIT;
        weir_checkpoint_report report;
        weir_optimize_report optimized;
        scratch_init(&place);
        naive_sql(place.database, JOURNALS[i]);
        naive_sql(place.database, "CREATE TABLE t(a); INSERT INTO t VALUES(1);");
        char *const before = get_file(place.database, &size);
        weir_store *const store = must_open(place.database, &(weir_config){.read_only = true});
        assert_true(stats_of(store).read_only);
        assert_int_equal(must_read_int64(store, "SELECT a FROM t"), 1);
        expect_code(run_sql(store, "INSERT INTO t VALUES(2)", NULL, &err), WEIR_DENIED, &err);
        expect_code(weir_checkpoint(store, WEIR_CHECKPOINT_FULL, 0, &report, &err), WEIR_UNSUPPORTED, &err);
        expect_code(weir_optimize(store, NULL, &optimized, &err), WEIR_DENIED, &err);
        weir_snapshot *snapshot = NULL;
        expect_ok(weir_snapshot_open(store, NULL, &snapshot, &err), &err);
        expect_code(weir_exec(weir_snapshot_tx(snapshot), &err, "INSERT INTO t VALUES(3)", ""), WEIR_DENIED,
                    &err);
        weir_snapshot_close(snapshot);
        must_close(store);
        expect_file(place.database, before, size);
        assert_int_equal(file_bytes(place.wal), -1);
        assert_int_equal(file_bytes(place.shm), -1);
        free(before);
        scratch_fini(&place);
    }
}

// Frames that nobody has moved yet are not moved by somebody who only reads.
static void a_read_only_store_leaves_the_log_of_others(void **state)
{
    (void)state;
    scratch place;
    size_t size = 0;
    scratch_init(&place);
    naive_sql(place.database, "PRAGMA journal_mode=WAL");
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(place.database, &other), SQLITE_OK);
    assert_int_equal(sqlite3_db_config(other, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "CREATE TABLE t(a); INSERT INTO t VALUES(7)", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    char *const before = get_file(place.wal, &size);
    assert_true(size > 0);
    weir_store *const store = must_open(place.database, &(weir_config){.read_only = true});
    assert_int_equal(must_read_int64(store, "SELECT a FROM t"), 7);
    must_close(store);
    expect_file(place.wal, before, size);
    free(before);
    scratch_fini(&place);
}

// ----------------------------------------------------------------------------------------------- degraded

static void expect_works_degraded(weir_store *store, const char *journal)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_checkpoint_report report;
    assert_true(stats_of(store).degraded);
    assert_string_equal(stats_of(store).journal, journal);
    assert_true(has_finding(store, "degraded"));
    must_run_sql(store, "CREATE TABLE IF NOT EXISTS t(a)");
    const int64_t before = must_read_int64(store, "SELECT count(*) FROM t");
    for (int i = 0; i < 10; i++)
        must_run_sql(store, "INSERT INTO t VALUES(1)");
    assert_int_equal(must_read_int64(store, "SELECT count(*) FROM t"), before + 10);
    expect_ok(weir_flush(store, 0, &err), &err);
    expect_code(weir_checkpoint(store, WEIR_CHECKPOINT_PASSIVE, 0, &report, &err), WEIR_UNSUPPORTED, &err);
    assert_int_equal(report.log_frames, -1);
    weir_optimize_report optimized;
    expect_ok(weir_optimize(store, NULL, &optimized, &err), &err);
    assert_true(optimized.intact);
}

static void a_file_system_without_shared_memory_is_degraded(void **state)
{
    (void)state;
    const weir__fs_kind *const kinds[] = {&NFS, &FUSE};
    for (size_t i = 0; i < 2; i++) {
        scratch place;
        weir_store *store = NULL;
        weir_error err = WEIR_ERROR_INIT;
        const weir__open_hooks hooks = {.fs_kind = kinds[i]};
        scratch_init(&place);
        expect_ok(weir__store_open(place.database, NULL, &hooks, &store, &err), &err);
        expect_works_degraded(store, "delete");
        expect_contains(store->degraded, kinds[i]->name);
        assert_int_equal(file_bytes(place.wal), -1);
        assert_int_equal(file_bytes(place.shm), -1);
        must_close(store);
        must_be_intact(place.database);
        scratch_fini(&place);
    }
}

static void a_database_with_a_log_on_a_network_loses_the_log_not_the_rows(void **state)
{
    (void)state;
    scratch place;
    weir_store *store = NULL;
    weir_error err = WEIR_ERROR_INIT;
    const weir__open_hooks hooks = {.fs_kind = &NFS};
    scratch_init(&place);
    naive_sql(place.database, "PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(5);");
    weir_store *const local = must_open(place.database, NULL);
    const weir_config brief = {.open_deadline_ms = 100};
    const int code = weir__store_open(place.database, &brief, &hooks, &store, &err);
    assert_true(code == WEIR_UNSUPPORTED || code == WEIR_BUSY); // somebody uses the log
    must_run_sql(local, "INSERT INTO t VALUES(6)");
    must_close(local);
    expect_ok(weir__store_open(place.database, NULL, &hooks, &store, &err), &err);
    assert_int_equal(must_read_int64(store, "SELECT sum(a) FROM t"), 11);
    expect_works_degraded(store, "delete");
    must_close(store);
    must_be_intact(place.database);
    scratch_fini(&place);
}

static void a_file_system_in_memory_works_and_is_mentioned(void **state)
{
    (void)state;
    scratch place;
    weir_store *store = NULL;
    weir_error err = WEIR_ERROR_INIT;
    const weir__open_hooks hooks = {.fs_kind = &TMPFS};
    scratch_init(&place);
    expect_ok(weir__store_open(place.database, NULL, &hooks, &store, &err), &err);
    assert_false(stats_of(store).degraded);
    assert_true(has_finding(store, "memory-file-system"));
    must_close(store);
    scratch_fini(&place);
}

static void a_database_in_memory_works_and_says_what_it_is(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    weir_store *const store = must_open(":memory:", NULL);
    weir_store *const another = must_open(":memory:", NULL);
    expect_works_degraded(store, "memory");
    const weir_write_options durable = {.ack = WEIR_ACK_DURABLE};
    expect_code(run_sql(store, "INSERT INTO t VALUES(1)", &durable, &err), WEIR_UNSUPPORTED, &err);
    assert_int_equal(must_read_int64(another, "SELECT count(*) FROM sqlite_schema"), 0);
    must_close(another);
    must_close(store);
    assert_int_equal(file_bytes(":memory:"), -1);
}

// -------------------------------------------------------------------------------------------------- closing

static void nothing_is_left_after_closing(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    const int descriptors = entries_of("/proc/self/fd");
    const int threads = entries_of("/proc/self/task");
    for (int policy = WEIR_DURABILITY_FULL; policy <= WEIR_DURABILITY_OFF; policy++) {
        const weir_config config = {.durability = (weir_durability)policy};
        weir_store *const store = must_open(place.database, &config);
        must_run_sql(store, "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1);");
        assert_true(file_bytes(place.wal) > 0);
        must_close(store);
        assert_int_equal(entries_of(place.directory), 3);
        assert_int_equal(entries_of("/proc/self/fd"), descriptors);
        assert_int_equal(entries_of("/proc/self/task"), threads);
    }
    assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM t"), 4);
    must_be_intact(place.database);
    scratch_fini(&place);
}

static void no_store_is_an_error_not_a_crash(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    weir_stats stats;
    expect_code(weir_close(NULL, 0, &err), WEIR_INVALID, &err);
    expect_code(weir_stats_read(NULL, &stats, &err), WEIR_INVALID, &err);
    assert_int_equal(weir_health(NULL, NULL, 0), 0);
    assert_int_equal(weir_readers(NULL, NULL, 0), 0);
    weir_snapshot_close(NULL);
}

typedef struct coming_and_going {
    const char *path;
    atomic_bool stop;
} coming_and_going;

static void *come_and_go(void *arg)
{
    coming_and_going *const file = arg;
    while (!atomic_load(&file->stop)) {
        const int fd = open(file->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0)
            close(fd);
        unlink(file->path);
    }
    return NULL;
}

// Opens the database again and again while one of its files comes and goes, until the answer holds these words.
static void open_beside_coming_and_going(const scratch *place, const char *path, const weir_config *config,
                                         const char *never)
{
    pthread_t thread;
    weir_store *store = NULL;
    weir_error err = WEIR_ERROR_INIT;
    coming_and_going file = {.path = path};
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &file), 0);
    for (int i = 0; i < 3000 && strstr(err.text, never) == NULL; i++) {
        weir__error_set(&err, WEIR_OK, "it was opened");
        if (weir_open(place->database, config, &store, &err) == WEIR_OK)
            weir_close(store, 0, NULL);
    }
    atomic_store(&file.stop, true);
    pthread_join(thread, NULL);
    if (strstr(err.text, never) != NULL)
        fail_msg("%s", err.text);
}

// As other processes make and remove them while they open and close the same database.
static void a_side_file_that_vanishes_meanwhile_is_no_trouble(void **state)
{
    (void)state;
    static const char NOISE[] = "this is no database, and is not looked at for long";
    scratch place;
    scratch_init(&place);
    put_file(place.database, NOISE, sizeof NOISE);
    open_beside_coming_and_going(&place, place.journal, NULL, "belongs to");
    scratch_fini(&place);
}

static void a_database_that_appears_meanwhile_is_no_link(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    const weir_config config = {.read_only = true, .readers = 1};
    open_beside_coming_and_going(&place, place.database, &config, "is a link");
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pragma_is_set_on_every_connection),
        cmocka_unit_test(the_defaults_are_those_of_the_header),
        cmocka_unit_test(a_pragma_that_sqlite_does_not_accept_is_an_error),
        cmocka_unit_test(nonsense_in_the_config_is_refused),
        cmocka_unit_test(extreme_numbers_in_the_config_are_fine),
        cmocka_unit_test(what_is_not_a_database_is_refused_and_left_alone),
        cmocka_unit_test(an_empty_file_becomes_a_database),
        cmocka_unit_test(a_database_cut_short_is_corrupt),
        cmocka_unit_test(what_is_not_a_regular_file_is_refused),
        cmocka_unit_test(symbolic_links),
        cmocka_unit_test(a_link_to_a_database_has_its_log_beside_the_database),
        cmocka_unit_test(a_relative_path_survives_a_change_of_directory),
        cmocka_unit_test(strange_names_are_only_names),
        cmocka_unit_test(a_path_can_be_too_long),
        cmocka_unit_test(what_must_exist_is_not_created),
        cmocka_unit_test(someone_elses_files),
        cmocka_unit_test(a_read_only_store_changes_nothing),
        cmocka_unit_test(a_read_only_store_leaves_the_log_of_others),
        cmocka_unit_test(a_file_system_without_shared_memory_is_degraded),
        cmocka_unit_test(a_database_with_a_log_on_a_network_loses_the_log_not_the_rows),
        cmocka_unit_test(a_file_system_in_memory_works_and_is_mentioned),
        cmocka_unit_test(a_database_in_memory_works_and_says_what_it_is),
        cmocka_unit_test(nothing_is_left_after_closing),
        cmocka_unit_test(no_store_is_an_error_not_a_crash),
        cmocka_unit_test(a_side_file_that_vanishes_meanwhile_is_no_trouble),
        cmocka_unit_test(a_database_that_appears_meanwhile_is_no_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
