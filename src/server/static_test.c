// SPDX-License-Identifier: MIT
//
// Which paths find a file, and that none finds one outside of its folder.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "server/static.h"

static char directory[64];

static const char *in(const char *name)
{
    static char path[256];
    assert_true(snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path);
    return path;
}

static void put(const char *name)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir__fs_write_atomic(in(name), name, strlen(name), 0600, &err) != WEIR_OK)
        fail_msg("%s", err.text);
}

// ui/ and extra/ are served, secret is not.
static int set_up(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof directory, "/tmp/weir-static-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    static const char *const folders[] = {"ui", "ui/js", "ui/js/deep", "ui/empty", "extra", "outside"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        assert_int_equal(mkdir(in(folders[i]), 0700), 0);
    static const char *const files[] = {"ui/index.html",  "ui/js/app.js", "ui/js/deep/x.css",
                                        "ui/.hidden",     "ui/a b.png",   "extra/index.html",
                                        "extra/page.mjs", "secret",       "outside/x.css"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        put(files[i]);
    assert_int_equal(symlink("../secret", in("ui/link")), 0);
    assert_int_equal(symlink("../outside", in("ui/linked")), 0);
    assert_int_equal(symlink("index.html", in("ui/inner.html")), 0);
    assert_int_equal(mkfifo(in("ui/pipe"), 0600), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return weir__fs_remove_tree(directory, NULL);
}

static weir__static *open_files(void)
{
    char ui[sizeof directory + 8], custom[sizeof directory + 16];
    const char *entry = custom;
    const weir__strings entries = {&entry, 1};
    weir__static *files = NULL;
    weir_error err = WEIR_ERROR_INIT;
    (void)snprintf(ui, sizeof ui, "%s/ui", directory);
    (void)snprintf(custom, sizeof custom, "more=%s/extra", directory);
    if (weir__static_open(ui, &entries, &files, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return files;
}

// `expected`: the file's content, which is its name; NULL: nothing is found.
static void expect(const weir__static *files, const char *target, const char *expected, const char *type)
{
    weir__uri uri;
    char content[64] = "nothing";
    const char *media_type = "";
    int fd = -1;
    assert_int_equal(weir__uri_parse_lenient(target, &uri, NULL), WEIR_OK);
    const int code = weir__static_find(files, &uri, &fd, &media_type, NULL);
    if (fd >= 0) {
        const ssize_t size = read(fd, content, sizeof content - 1);
        content[size < 0 ? 0 : size] = '\0';
        (void)close(fd);
    }
    if (code != (expected == NULL ? WEIR_NOTFOUND : WEIR_OK) ||
        strcmp(content, expected == NULL ? "nothing" : expected) != 0 || strcmp(media_type, type) != 0)
        fail_msg("%s: got %d, '%s', '%s'; expected '%s', '%s'", target, code, content, media_type, expected,
                 type);
    weir__uri_free(&uri);
}

static void paths_find_their_files(void **state)
{
    (void)state;
    weir__static *files = open_files();
    expect(files, "/", "ui/index.html", "text/html; charset=utf-8");
    expect(files, "/index.html?x=1", "ui/index.html", "text/html; charset=utf-8");
    expect(files, "/js/app.js", "ui/js/app.js", "text/javascript");
    expect(files, "//js//app.js", "ui/js/app.js", "text/javascript");
    expect(files, "/js/deep/x.css", "ui/js/deep/x.css", "text/css; charset=utf-8");
    expect(files, "/a%20b.png", "ui/a b.png", "image/png");
    expect(files, "/pages/more/", "extra/index.html", "text/html; charset=utf-8");
    expect(files, "/pages/more/page.mjs", "extra/page.mjs", "text/javascript");
    weir__static_close(files);
}

static void nothing_else_is_found(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "/nothing",
        "/js",
        "/empty/",
        "/js/app.js/x",
        "/../secret",
        "/js/../../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/js%2Fapp.js",
        "/./index.html",
        "/.hidden",
        "/link",
        "/linked/x.css",
        "/inner.html",
        "/pipe",
        "/pages/more/../page.mjs",
        "/pages/other/",
        "/pages/",
        "/index.html%00.png",
        "/%ff",
    };
    weir__static *files = open_files();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(files, wrong[i], NULL, "");
    weir__static_close(files);
}

static void without_an_interface_only_pages_are_found(void **state)
{
    (void)state;
    char custom[sizeof directory + 16];
    const char *entry = custom;
    const weir__strings entries = {&entry, 1};
    weir__static *files = NULL;
    (void)snprintf(custom, sizeof custom, "more=%s/extra", directory);
    assert_int_equal(weir__static_open(NULL, &entries, &files, NULL), WEIR_OK);
    expect(files, "/", NULL, "");
    expect(files, "/pages/more", "extra/index.html", "text/html; charset=utf-8");
    weir__static_close(files);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "more", "more=", "=/tmp", "a/b=/tmp", "..=/tmp"};
    const weir__strings none = {0};
    weir__static *files = NULL;
    weir_error err = WEIR_ERROR_INIT;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const weir__strings one = {&wrong[i], 1};
        assert_int_equal(weir__static_open(NULL, &one, &files, &err), WEIR_INVALID);
        assert_non_null(strstr(err.text, "NAME=DIR"));
    }
    assert_int_equal(weir__static_open("/nonexistent", &none, &files, &err), WEIR_NOTFOUND);
    assert_int_equal(weir__static_open(in("secret"), &none, &files, &err), WEIR_INVALID);
    assert_null(files);
}

static void types_go_by_the_end_of_the_name(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"a.html", "text/html; charset=utf-8"},
                                           {"a.min.CSS", "text/css; charset=utf-8"},
                                           {"a.js", "text/javascript"},
                                           {"manifest.json", "application/json"},
                                           {"a.svg", "image/svg+xml"},
                                           {"favicon.ico", "image/x-icon"},
                                           {"a.woff2", "font/woff2"},
                                           {"a.woff", "application/font-woff"},
                                           {"a.ttf", "application/font-sfnt"},
                                           {"a.map", "application/octet-stream"},
                                           {"LICENSE", "application/octet-stream"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_string_equal(weir__static_media_type(pairs[i][0]), pairs[i][1]);
}

int main(void)
{
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FILES(paths_find_their_files),
        WITH_FILES(nothing_else_is_found),
        WITH_FILES(without_an_interface_only_pages_are_found),
        WITH_FILES(mistakes_are_named),
        cmocka_unit_test(types_go_by_the_end_of_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
