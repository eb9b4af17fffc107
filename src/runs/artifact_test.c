// SPDX-License-Identifier: MIT
//
// Artifacts: copying, sources that are none, and what may be downloaded.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runs/runs.h"
#include "support/storage.h"

static test_storage storage;
static weir_error err;
static weir_artifact artifact;

#define ID "11111111-2222-4333-8444-555555555555"

static int set_up(void **state)
{
    (void)state;
    test_storage_init(&storage);
    test_storage_open(&storage, NULL);
    expect_ok(weir_artifact_init(&artifact, "e", &err), &err);
    expect_ok(weir__replace_string(&artifact.id, ID, &err), &err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir_artifact_free(&artifact);
    test_storage_fini(&storage);
    return 0;
}

static void set_source(const char *name)
{
    expect_ok(weir__replace_string(&artifact.file_path, test_storage_at(&storage, name), &err), &err);
}

// A stored artifact, content "hello", from source/<name>.
static void store_hello(const char *name)
{
    char source[300];
    snprintf(source, sizeof source, "source/%s", name);
    test_storage_put(&storage, source, "hello", 5);
    set_source(source);
    expect_ok(weir_runs_save_artifact(storage.runs, &artifact, &err), &err);
}

static void test_copy(void **state)
{
    struct stat from;
    struct stat to;
    (void)state;
    test_storage_put(&storage, "source/report.JSON", "{}", 2);
    assert_int_equal(chmod(test_storage_at(&storage, "source/report.JSON"), 0640), 0);
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, test_storage_at(&storage, "source/report.JSON"), times, 0), 0);
    set_source("source/report.JSON");
    expect_ok(weir_runs_save_artifact(storage.runs, &artifact, &err), &err);
    assert_string_equal(artifact.file_path, test_storage_at(&storage, "artifacts/e/" ID "_report.JSON"));
    assert_string_equal(artifact.file_name, "report.JSON");
    assert_string_equal(artifact.name, "report.JSON");
    assert_string_equal(artifact.mime_type, "application/json");
    assert_int_equal(artifact.file_size, 2);
    assert_true(artifact.exists);
    assert_int_equal(stat(test_storage_at(&storage, "source/report.JSON"), &from), 0);
    assert_int_equal(stat(artifact.file_path, &to), 0);
    assert_int_equal(to.st_mode, from.st_mode);
    assert_int_equal(to.st_mtim.tv_sec, 1000000000);
    assert_string_equal(test_storage_value(&storage, "SELECT file_path FROM artifacts"), artifact.file_path);
}

static void test_second_save_does_not_copy(void **state)
{
    struct stat first;
    struct stat second;
    (void)state;
    store_hello("a.txt");
    char *const path = strdup(artifact.file_path);
    assert_int_equal(stat(path, &first), 0);
    expect_ok(weir__replace_string(&artifact.description, "now with words", &err), &err);
    expect_ok(weir_runs_save_artifact(storage.runs, &artifact, &err), &err);
    assert_string_equal(artifact.file_path, path);
    assert_int_equal(stat(path, &second), 0);
    assert_int_equal(second.st_ino, first.st_ino);
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) || description FROM artifacts"),
                        "1now with words");
    assert_string_equal(artifact.file_name, "a.txt");
    free(path);
}

// A storage folder given as a relative path gives relative paths, as the other program writes them.
static void test_relative_storage(void **state)
{
    char *const before = getcwd(NULL, 0);
    const weir_runs_config config = {.no_engine = true};
    (void)state;
    test_storage_close(&storage);
    assert_int_equal(chdir(storage.root), 0);
    expect_ok(weir_runs_open("storage/", &config, &storage.runs, &err), &err);
    store_hello("a.txt");
    assert_string_equal(artifact.file_path, "storage/artifacts/e/" ID "_a.txt");
    assert_int_equal(chdir("/"),
                     0); // the row's path no longer leads anywhere; the copy is found all the same
    weir_artifact read_back;
    expect_ok(weir_runs_get_artifact(storage.runs, ID, &read_back, &err), &err);
    assert_true(read_back.exists);
    weir_artifact_free(&read_back);
    int fd = -1;
    expect_ok(weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err), &err);
    close(fd);
    assert_int_equal(chdir(before), 0);
    free(before);
}

static void test_missing_source(void **state)
{
    int fd = -1;
    (void)state;
    expect_ok(weir__replace_string(&artifact.file_path, "./missing.bin", &err), &err);
    expect_ok(weir_runs_save_artifact(storage.runs, &artifact, &err), &err);
    assert_string_equal(test_storage_value(&storage,
                                           "SELECT name || '|' || file_path || '|' || file_name || '|' || "
                                           "file_size || '|' || mime_type FROM artifacts"),
                        "missing.bin|./missing.bin||0|");
    assert_false(artifact.exists);
    expect_code(weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err), WEIR_NOTFOUND, &err);
    assert_int_equal(err.os_errno, ENOENT);
    assert_int_equal(fd, -1);
}

static void test_directory(void **state)
{
    (void)state;
    test_storage_put(&storage, "source/dir/file", "x", 1);
    set_source("source/dir/");
    expect_ok(weir_runs_save_artifact(storage.runs, &artifact, &err), &err);
    assert_string_equal(artifact.name, "dir");
    assert_string_equal(artifact.artifact_type, "other");
    assert_string_equal(artifact.metadata_json, "{\"kind\": \"directory\"}");
    assert_string_equal(artifact.file_path, test_storage_at(&storage, "source/dir/"));
    assert_true(artifact.exists);
    assert_false(test_storage_has(&storage, "artifacts/e"));
    int fd = -1;
    expect_code(weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err), WEIR_NOTFOUND, &err);
}

// The row is there, with its source, and the caller is told.
static void test_failed_copy(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(test_storage_at(&storage, "pipe"), 0666), 0);
    set_source("pipe");
    expect_code(weir_runs_save_artifact(storage.runs, &artifact, &err), WEIR_INVALID, &err);
    assert_string_equal(test_storage_value(&storage, "SELECT file_path FROM artifacts"),
                        test_storage_at(&storage, "pipe"));
    // The folder for the copy cannot be made.
    assert_int_equal(rmdir(test_storage_at(&storage, "artifacts")), 0);
    test_storage_put(&storage, "artifacts", "in the way", 10);
    test_storage_put(&storage, "source/a", "x", 1);
    set_source("source/a");
    assert_int_not_equal(weir_runs_save_artifact(storage.runs, &artifact, &err), WEIR_OK);
    assert_string_equal(test_storage_value(&storage, "SELECT file_path FROM artifacts"),
                        test_storage_at(&storage, "source/a"));
}

// A copy that does not fit: nothing of it is left, the row is there, and so is the code.
static void test_copy_without_room(void **state)
{
    enum { size = 4 << 20, room = 2 << 20 };
    struct rlimit before;
    (void)state;
    char *const data = calloc(1, size);
    assert_non_null(data);
    test_storage_put(&storage, "source/large", data, size);
    free(data);
    set_source("source/large");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGXFSZ, &ignore, NULL), 0);
    const struct rlimit small = {.rlim_cur = room, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const int rc = weir_runs_save_artifact(storage.runs, &artifact, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_not_equal(rc, WEIR_OK);
    assert_string_equal(test_storage_value(&storage, "SELECT file_path FROM artifacts"),
                        test_storage_at(&storage, "source/large"));
    DIR *const dir = opendir(test_storage_at(&storage, "artifacts/e"));
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            fail_msg("%s is left", entry->d_name);
    closedir(dir);
}

static void test_long_name(void **state)
{
    char name[256];
    (void)state;
    memset(name, 'n', 255);
    memcpy(name + 250, ".json", 6);
    store_hello(name);
    assert_string_equal(artifact.file_name, name);
    assert_true(strlen(weir__path_name(artifact.file_path)) <= 255);
    assert_string_equal(weir__file_extension(artifact.file_path), ".json");
    int fd = -1;
    expect_ok(weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err), &err);
    close(fd);
}

// A name that is not UTF-8 is stored under one that is, so that row and file agree.
static void test_name_that_is_not_utf8(void **state)
{
    int fd = -1;
    (void)state;
    char name[240];
    memset(name, '\xFF', sizeof name); // three bytes each, once they are valid
    memcpy(name + sizeof name - 5, ".txt", 5);
    store_hello(name);
    expect_ok(weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err), &err);
    close(fd);
    test_storage_sql(&storage, "DELETE FROM artifacts");
    store_hello("a\xFF.txt");
    expect_ok(weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err), &err);
    close(fd);
    assert_string_equal(test_storage_value(&storage, "SELECT hex(file_name) FROM artifacts"),
                        "61EFBFBD2E747874");
}

// Whether this process holds a lock on the file, seen from a child, because asking here would drop it.
static bool is_locked(const char *name)
{
    const char *const path = test_storage_at(&storage, name);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        const int fd = open(path, O_RDWR);
        _exit(fd < 0 || fcntl(fd, F_GETLK, &lock) != 0 ? 2 : lock.l_type != F_UNLCK);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_in_range(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0, 1);
    return WEXITSTATUS(status) == 1;
}

// Opening and closing it would drop SQLite's locks, and other processes could damage it.
static void test_own_database_is_left_alone(void **state)
{
    static const char *const names[] = {"database/stepflow.db", "database/stepflow.db-shm", "other-name.db",
                                        "link"};
    (void)state;
    test_storage_put(&storage, "source/x", "x", 1);
    assert_int_equal(
        link(test_storage_at(&storage, "database/stepflow.db"), test_storage_at(&storage, "other-name.db")),
        0);
    assert_int_equal(symlink("database/stepflow.db-shm", test_storage_at(&storage, "link")), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_true(is_locked("database/stepflow.db"));
        assert_true(is_locked("database/stepflow.db-shm"));
        set_source(names[i]);
        expect_code(weir_runs_save_artifact(storage.runs, &artifact, &err), WEIR_INVALID, &err);
        expect_contains(err.text, "is the database that this run is recorded in");
        if (!is_locked("database/stepflow.db") || !is_locked("database/stepflow.db-shm"))
            fail_msg("%s as an artifact has dropped the locks", names[i]);
    }
    assert_int_equal(unlink(test_storage_at(&storage, "other-name.db")), 0);
}

static void test_open(void **state)
{
    weir_artifact found;
    char data[16] = "";
    int fd = -1;
    (void)state;
    store_hello("a.txt");
    expect_ok(weir_runs_artifact_open(storage.runs, ID, &fd, &found, &err), &err);
    assert_int_equal(read(fd, data, sizeof data), 5);
    assert_string_equal(data, "hello");
    assert_string_equal(found.file_name, "a.txt");
    close(fd);
    weir_artifact_free(&found);
    expect_ok(weir_runs_find_artifact(storage.runs, "e", ID "_a.txt", &found, &err), &err);
    assert_string_equal(found.id, ID);
    weir_artifact_free(&found);
    expect_code(weir_runs_find_artifact(storage.runs, "e", "a.txt", &found, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_find_artifact(storage.runs, "e", "", &found, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_artifact_open(storage.runs, "nobody", &fd, NULL, &err), WEIR_NOTFOUND, &err);
    assert_int_equal(err.os_errno, 0);
}

// What a row says is no reason to hand out a file that is not a stored copy.
static void test_open_stays_inside(void **state)
{
    static const char *const paths[] = {
        "/etc/passwd", "../../secret", "artifacts/e/..", "artifacts/e/.", "artifacts/e/", "",
        "link",        "pipe",         "folder",
    };
    (void)state;
    test_storage_put(&storage, "secret", "secret", 6);
    test_storage_put(&storage, "artifacts/e/folder/file", "x", 1);
    assert_int_equal(symlink("../../secret", test_storage_at(&storage, "artifacts/e/link")), 0);
    assert_int_equal(mkfifo(test_storage_at(&storage, "artifacts/e/pipe"), 0666), 0);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int fd = -1;
        expect_ok(weir__replace_string(&artifact.file_path, paths[i], &err), &err);
        const weir_save_item item = {.kind = WEIR_SAVE_ARTIFACT, .artifact = &artifact};
        expect_ok(weir_runs_save(storage.runs, &item, 1, NULL, &err), &err);
        const int rc = weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err);
        if (rc != WEIR_NOTFOUND || fd != -1)
            fail_msg("\"%s\" was opened: %s", paths[i], weir_code_name(rc));
    }
    // Nor through an execution's id, or a linked folder.
    expect_ok(weir__replace_string(&artifact.execution_id, "..", &err), &err);
    expect_ok(weir__replace_string(&artifact.file_path, "secret", &err), &err);
    const weir_save_item item = {.kind = WEIR_SAVE_ARTIFACT, .artifact = &artifact};
    expect_ok(weir_runs_save(storage.runs, &item, 1, NULL, &err), &err);
    int fd = -1;
    expect_code(weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err), WEIR_NOTFOUND, &err);
    assert_int_equal(symlink("..", test_storage_at(&storage, "artifacts/linked")), 0);
    expect_ok(weir__replace_string(&artifact.execution_id, "linked", &err), &err);
    expect_ok(weir_runs_save(storage.runs, &item, 1, NULL, &err), &err);
    expect_code(weir_runs_artifact_open(storage.runs, ID, &fd, NULL, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_save_artifact(storage.runs, &artifact, &err), WEIR_OK,
                &err); // a missing source: the row only
    test_storage_put(&storage, "source/a", "x", 1);
    set_source("source/a");
    assert_int_not_equal(weir_runs_save_artifact(storage.runs, &artifact, &err),
                         WEIR_OK); // not written through it
    assert_false(test_storage_has(&storage, ID "_a"));
}

int main(void)
{
#define WITH_STORAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_STORAGE(test_copy),
        WITH_STORAGE(test_second_save_does_not_copy),
        WITH_STORAGE(test_relative_storage),
        WITH_STORAGE(test_missing_source),
        WITH_STORAGE(test_directory),
        WITH_STORAGE(test_failed_copy),
        WITH_STORAGE(test_copy_without_room),
        WITH_STORAGE(test_long_name),
        WITH_STORAGE(test_name_that_is_not_utf8),
        WITH_STORAGE(test_own_database_is_left_alone),
        WITH_STORAGE(test_open),
        WITH_STORAGE(test_open_stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
