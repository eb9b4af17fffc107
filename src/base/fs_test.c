// SPDX-License-Identifier: MIT
//
// Files, with the hostile ones among them: pipes, links that lead outside, directories where files should be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/weir-fs-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return weir__fs_remove_tree(root, NULL);
}

// The path of `name` in the temporary directory; four may be in use at a time.
static const char *at(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *const path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void put(const char *name, const char *content)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir__fs_write_atomic(at(name), content, strlen(content), 0644, &err) != WEIR_OK)
        fail_msg("%s", err.text);
}

static void assert_content(const char *name, const char *wanted)
{
    char *data = NULL;
    size_t size = 0;
    weir_error err = WEIR_ERROR_INIT;
    if (weir__fs_read_file(at(name), 1 << 20, &data, &size, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(size, strlen(wanted));
    assert_string_equal(data, wanted);
    free(data);
}

static size_t count_entries(void)
{
    DIR *const dir = opendir(root);
    assert_non_null(dir);
    size_t count = 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2; // "." and ".."
}

static void assert_parent(const char *path, const char *wanted)
{
    weir__text text = {0};
    weir__fs_parent(&text, path);
    assert_string_equal(weir__text_string(&text), wanted);
    weir__text_free(&text);
}

static void assert_joined(const char *directory, const char *name, const char *wanted)
{
    weir__text text = {0};
    weir__fs_join(&text, directory, name);
    assert_string_equal(weir__text_string(&text), wanted);
    weir__text_free(&text);
}

static void paths_join_and_part(void **state)
{
    (void)state;
    assert_joined("a", "b", "a/b");
    assert_joined("a/", "b", "a/b");
    assert_joined("/", "b", "/b");
    assert_joined("a", "/b", "a/b");
    assert_joined("", "b", "b");
    assert_joined("", "/b", "/b");
    assert_parent("a", ".");
    assert_parent("a/b", "a");
    assert_parent("a//b//", "a");
    assert_parent("/a", "/");
    assert_parent("/", "/");
    assert_parent("//", "/");
    assert_parent("", ".");
}

static void ids_that_are_safe(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "a/b", "../x", "a b", "é", "a\n", "a\\b", "~", "a:b"};
    static const char *const good[] = {"a", "A-9_.", "...", ".hidden", "step.1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(weir__fs_is_safe_id(bad[i], strlen(bad[i])));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(weir__fs_is_safe_id(good[i], strlen(good[i])));
    assert_false(weir__fs_is_safe_id("a\0b", 3));
    char long_id[WEIR__FS_ID_SIZE_MAX + 1];
    memset(long_id, 'x', sizeof long_id);
    assert_true(weir__fs_is_safe_id(long_id, WEIR__FS_ID_SIZE_MAX));
    assert_false(weir__fs_is_safe_id(long_id, WEIR__FS_ID_SIZE_MAX + 1));
}

static void directories_are_made_with_their_parents(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    struct stat st;
    assert_int_equal(weir__fs_mkdir_p(at("a/b//c/"), 0777, &err), WEIR_OK);
    assert_int_equal(stat(at("a/b/c"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(weir__fs_mkdir_p(at("a/b/c"), 0777, &err), WEIR_OK);
    put("a/file", "x");
    assert_int_equal(weir__fs_mkdir_p(at("a/file"), 0777, &err), WEIR_EXISTS);
    assert_int_not_equal(weir__fs_mkdir_p(at("a/file/d"), 0777, &err), WEIR_OK);
    assert_non_null(strstr(err.text, "a/file"));
    assert_int_equal(weir__fs_mkdir_p("", 0777, &err), WEIR_INVALID);
}

static void reading_keeps_its_limit(void **state)
{
    (void)state;
    char *data = NULL;
    size_t size = 0;
    weir_error err = WEIR_ERROR_INIT;
    put("five", "12345");
    assert_int_equal(weir__fs_read_file(at("five"), 5, &data, &size, &err), WEIR_OK);
    assert_string_equal(data, "12345");
    free(data);
    assert_int_equal(weir__fs_read_file(at("five"), 4, &data, &size, &err), WEIR_TOOBIG);
    assert_null(data);
    assert_int_equal(weir__fs_read_file(at("none"), 4, &data, &size, &err), WEIR_NOTFOUND);
    assert_non_null(strstr(err.text, "none"));
    put("empty", "");
    assert_content("empty", "");
}

static void reading_refuses_what_is_no_file(void **state)
{
    (void)state;
    char *data = NULL;
    size_t size = 0;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    assert_int_equal(weir__fs_read_file(at("pipe"), 4, &data, &size, &err), WEIR_INVALID);
    assert_int_equal(weir__fs_read_file(root, 4, &data, &size, &err), WEIR_INVALID);
    assert_int_equal(weir__fs_read_file("/dev/zero", 4, &data, &size, &err), WEIR_INVALID);
    assert_int_equal(weir__fs_copy_file(at("pipe"), at("copy"), &err), WEIR_INVALID);
}

static void writing_replaces_a_link_and_leaves_no_litter(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    put("target", "old");
    assert_int_equal(symlink("target", at("link")), 0);
    const size_t entries = count_entries();
    put("link", "new");
    assert_content("target", "old");
    assert_content("link", "new");
    assert_int_equal(mkdir(at("directory"), 0700), 0);
    assert_int_not_equal(weir__fs_write_atomic(at("directory"), "x", 1, 0644, &err), WEIR_OK);
    assert_int_equal(weir__fs_write_atomic(at("none/file"), "x", 1, 0644, &err), WEIR_NOTFOUND);
    assert_int_equal(count_entries(), entries + 1); // the directory
    assert_int_equal(weir__fs_sync_dir(at("none"), &err), WEIR_NOTFOUND);
    assert_int_equal(weir__fs_sync_parent(at("file"), &err), WEIR_OK);
}

static void a_copy_has_content_mode_and_time(void **state)
{
    (void)state;
    enum { big_size = 300000 };
    weir_error err = WEIR_ERROR_INIT;
    char *const big = malloc(big_size);
    assert_non_null(big);
    for (size_t i = 0; i < big_size; i++)
        big[i] = (char)(i * 7 + i / 256);
    assert_int_equal(weir__fs_write_atomic(at("from"), big, big_size, 0600, &err), WEIR_OK);
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000, .tv_nsec = 5000}};
    assert_int_equal(utimensat(AT_FDCWD, at("from"), times, 0), 0);
    assert_int_equal(chmod(at("from"), 0751), 0);
    put("to", "overwritten");
    assert_int_equal(weir__fs_copy_file(at("from"), at("to"), &err), WEIR_OK);
    struct stat st;
    assert_int_equal(stat(at("to"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0751);
    assert_int_equal(st.st_mtim.tv_sec, 2000);
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(weir__fs_read_file(at("to"), big_size, &data, &size, &err), WEIR_OK);
    assert_int_equal(size, big_size);
    assert_memory_equal(data, big, big_size);
    free(data);
    free(big);
    assert_int_equal(weir__fs_copy_file(at("none"), at("to2"), &err), WEIR_NOTFOUND);
    assert_int_not_equal(access(at("to2"), F_OK), 0);
}

static void what_the_kernel_cannot_copy_is_read(void **state)
{
    (void)state;
    char *data = NULL;
    size_t size = 0;
    weir_error err = WEIR_ERROR_INIT;
    // In /proc a file has size 0 whatever it holds; a copy takes the size at the start.
    assert_int_equal(weir__fs_copy_file("/proc/self/stat", at("proc"), &err), WEIR_OK);
    assert_content("proc", "");
    assert_int_equal(weir__fs_read_file("/proc/self/stat", 1 << 16, &data, &size, &err), WEIR_OK);
    assert_true(size > 0);
    free(data);
}

static void removing_a_tree_stays_inside(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__fs_mkdir_p(at("outside"), 0777, &err), WEIR_OK);
    put("outside/keep", "kept");
    assert_int_equal(weir__fs_mkdir_p(at("tree/x/y"), 0777, &err), WEIR_OK);
    put("tree/x/y/file", "1");
    assert_int_equal(symlink("../outside", at("tree/link")), 0);
    assert_int_equal(symlink("/nowhere", at("tree/dangling")), 0);
    assert_int_equal(weir__fs_remove_tree(at("tree"), &err), WEIR_OK);
    assert_int_not_equal(access(at("tree"), F_OK), 0);
    assert_content("outside/keep", "kept");
    assert_int_equal(symlink("outside", at("top-link")), 0);
    assert_int_equal(weir__fs_remove_tree(at("top-link"), &err), WEIR_OK);
    assert_content("outside/keep", "kept");
    assert_int_equal(weir__fs_remove_tree(at("tree"), &err), WEIR_OK); // already gone
    put("single", "x");
    assert_int_equal(weir__fs_remove_tree(at("single"), &err), WEIR_OK);
    assert_int_not_equal(access(at("single"), F_OK), 0);
}

static void a_tree_too_deep_is_refused_by_name(void **state)
{
    (void)state;
    weir_error err = WEIR_ERROR_INIT;
    weir__text path = {0};
    weir__text_add(&path, at("deep"));
    for (int i = 1; i < WEIR__FS_DEPTH_MAX + 1; i++)
        weir__text_add(&path, "/d");
    assert_int_equal(weir__fs_mkdir_p(weir__text_string(&path), 0777, &err), WEIR_OK);
    assert_int_equal(weir__fs_remove_tree(at("deep"), &err), WEIR_TOOBIG);
    assert_int_equal(weir__fs_remove_tree(at("deep/d"), &err), WEIR_OK);
    assert_int_equal(weir__fs_remove_tree(at("deep"), &err), WEIR_OK);
    weir__text_free(&path);
}

static void file_systems_are_told_apart(void **state)
{
    (void)state;
    weir__fs_kind kind;
    weir_error err = WEIR_ERROR_INIT;
    weir__fs_kind_of_magic(0x6969, &kind);
    assert_int_equal(kind.fs_class, WEIR__FS_NETWORK);
    assert_string_equal(kind.name, "nfs");
    weir__fs_kind_of_magic((unsigned long)(long)(int)0xFF534D42,
                           &kind); // sign-extended, as a 32-bit kernel word comes
    assert_string_equal(kind.name, "cifs");
    weir__fs_kind_of_magic(0xEF53, &kind);
    assert_int_equal(kind.fs_class, WEIR__FS_LOCAL);
    weir__fs_kind_of_magic(0x65735546, &kind);
    assert_int_equal(kind.fs_class, WEIR__FS_FUSE);
    weir__fs_kind_of_magic(0x01021994, &kind);
    assert_int_equal(kind.fs_class, WEIR__FS_MEMORY);
    weir__fs_kind_of_magic(0x1234, &kind);
    assert_int_equal(kind.fs_class, WEIR__FS_UNKNOWN);
    assert_string_equal(kind.name, "0x1234");
    assert_int_equal(weir__fs_kind_of(root, &kind, &err), WEIR_OK);
    assert_string_not_equal(kind.name, "");
    assert_int_equal(weir__fs_kind_of(at("none"), &kind, &err), WEIR_NOTFOUND);
}

#define FS_TEST(function) cmocka_unit_test_setup_teardown(function, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_join_and_part),
        cmocka_unit_test(ids_that_are_safe),
        FS_TEST(directories_are_made_with_their_parents),
        FS_TEST(reading_keeps_its_limit),
        FS_TEST(reading_refuses_what_is_no_file),
        FS_TEST(writing_replaces_a_link_and_leaves_no_litter),
        FS_TEST(a_copy_has_content_mode_and_time),
        FS_TEST(what_the_kernel_cannot_copy_is_read),
        FS_TEST(removing_a_tree_stays_inside),
        FS_TEST(a_tree_too_deep_is_refused_by_name),
        FS_TEST(file_systems_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
