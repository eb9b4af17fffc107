// SPDX-License-Identifier: MIT
//
// One table of options, filled from the environment and from a file.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "cli/settings.h"

typedef struct values {
    const char *name;
    weir__list hosts;
    uint64_t workers, drain_ms, body;
    int ack;
    bool loud;
} values;

static const char *const acks[] = {"durable", "applied", NULL};
static const weir__option items[] = {
    {.name = "name", .kind = WEIR__OPTION_TEXT, .offset = offsetof(values, name), .variable = "OLD_NAME"},
    {.name = "allow-host", .kind = WEIR__OPTION_LIST, .offset = offsetof(values, hosts)},
    {.name = "workers", .kind = WEIR__OPTION_NUMBER, .offset = offsetof(values, workers), .min = 1, .max = 9},
    {.name = "drain", .kind = WEIR__OPTION_DURATION, .offset = offsetof(values, drain_ms), .max = 60000},
    {.name = "max-body", .kind = WEIR__OPTION_SIZE, .offset = offsetof(values, body), .min = 1, .max = 4096},
    {.name = "ack", .kind = WEIR__OPTION_CHOICE, .offset = offsetof(values, ack), .choices = acks},
    {.name = "loud", .kind = WEIR__OPTION_FLAG, .offset = offsetof(values, loud)},
};
static const weir__options options = {items, sizeof items / sizeof items[0]};
static const char *const others[] = {"auth", NULL};
enum { all_given = 0x7F };

static void set(const char *const *pairs)
{
    static const char *const all[] = {"WEIR_NAME",  "OLD_NAME",      "WEIR_ALLOW_HOST", "WEIR_WORKERS",
                                      "WEIR_DRAIN", "WEIR_MAX_BODY", "WEIR_ACK",        "WEIR_LOUD"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        assert_int_equal(unsetenv(all[i]), 0);
    for (; *pairs != NULL; pairs += 2)
        assert_int_equal(setenv(pairs[0], pairs[1], 1), 0);
}

static void check_all(const values *v)
{
    assert_string_equal(v->name, "weir");
    assert_int_equal(v->hosts.count, 2);
    assert_string_equal(v->hosts.items[0], "a");
    assert_string_equal(v->hosts.items[1], "b.example");
    assert_int_equal(v->workers, 3);
    assert_int_equal(v->drain_ms, 1500);
    assert_int_equal(v->body, 2048);
    assert_int_equal(v->ack, 1);
    assert_true(v->loud);
}

static void test_environment(void **state)
{
    (void)state;
    weir__settings settings = {0};
    weir_error err = WEIR_ERROR_INIT;
    uint64_t given = 0;
    values v = {.hosts = {{"lower"}, 1}};
    set((const char *const[]){"WEIR_NAME", "weir", "OLD_NAME", "old", "WEIR_ALLOW_HOST", " a  b.example\n",
                              "WEIR_WORKERS", "3", "WEIR_DRAIN", "1.5", "WEIR_MAX_BODY", "2K", "WEIR_ACK",
                              "applied", "WEIR_LOUD", "YES", NULL});
    assert_int_equal(weir__settings_environment(&settings, options, &v, &given, &err), WEIR_OK);
    check_all(&v);
    assert_int_equal(given, all_given);
    set((const char *const[]){"WEIR_NAME", "", "OLD_NAME", "old", "WEIR_LOUD", "0", NULL});
    assert_int_equal(weir__settings_environment(&settings, options, &v, &given, &err), WEIR_OK);
    assert_string_equal(v.name, "old");
    assert_false(v.loud);
    assert_int_equal(given, 0x41);
    assert_true(weir__settings_has(options, given, "loud"));
    assert_false(weir__settings_has(options, given, "ack"));
    set((const char *const[]){NULL});
    weir__settings_free(&settings);
}

static void test_wrong_environment(void **state)
{
    (void)state;
    static const char *const samples[][3] = {
        {"WEIR_WORKERS", "ten", "WEIR_WORKERS takes a whole number from 1 to 9, not \"ten\""},
        {"WEIR_LOUD", "maybe", "WEIR_LOUD takes true or false, not \"maybe\""},
        {"WEIR_ACK", "aplied",
         "WEIR_ACK takes one of durable, applied, not \"aplied\"; did you mean applied?"},
        {"OLD_NAME", "\xff", "OLD_NAME takes text in UTF-8, not \"?\""},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        weir__settings settings = {0};
        weir_error err = WEIR_ERROR_INIT;
        values v = {0};
        set((const char *const[]){samples[i][0], samples[i][1], NULL});
        assert_int_equal(weir__settings_environment(&settings, options, &v, NULL, &err), WEIR_INVALID);
        assert_string_equal(err.text, samples[i][2]);
        weir__settings_free(&settings);
    }
    set((const char *const[]){NULL});
}

static int read_file(weir__settings *settings, const char *text, values *v, uint64_t *given, weir_error *err)
{
    char directory[] = "/tmp/weir-settings-XXXXXX";
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(weir__fs_write_atomic("f", text, strlen(text), 0600, NULL), WEIR_OK);
    const int code = weir__settings_file(settings, options, others, "f", v, given, err);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(weir__fs_remove_tree(directory, NULL), WEIR_OK);
    return code;
}

static void test_file(void **state)
{
    (void)state;
    weir__settings settings = {0};
    weir_error err = WEIR_ERROR_INIT;
    uint64_t given = 0;
    values v = {.hosts = {{"lower"}, 1}};
    const char *const text = "name = 'weir'\nallow_host = ['a', 'b.example']\nworkers = 3\ndrain = 1.5\n"
                             "max_body = '2K'\nack = 'applied'\nloud = true\n[auth]\napi_key = 'k'\n";
    assert_int_equal(read_file(&settings, text, &v, &given, &err), WEIR_OK);
    check_all(&v);
    assert_int_equal(given, all_given);
    const weir__toml *const auth = weir__toml_find(settings.file.root, "auth");
    assert_string_equal(weir__toml_find(auth, "api_key")->string, "k");
    weir__settings_free(&settings);
}

static void test_wrong_file(void **state)
{
    (void)state;
    static const char *const samples[][2] = {
        {"\nworker = 3", "f:2:1: unknown key \"worker\"; did you mean workers?"},
        {"allow-host = []", "f:1:1: unknown key \"allow-host\"; did you mean allow_host?"},
        {"auht = 1", "f:1:1: unknown key \"auht\"; did you mean auth?"},
        {"xyzzy = 1", "f:1:1: unknown key \"xyzzy\""},
        {"workers = 10", "f:1:1: workers takes a whole number from 1 to 9, not \"10\""},
        {"workers = -1", "f:1:1: workers takes a whole number from 1 to 9, not \"-1\""},
        {"workers = '3'", "f:1:1: workers takes an integer, not a string"},
        {"workers = 3.0", "f:1:1: workers takes an integer, not a number with a fraction"},
        {"name = 3", "f:1:1: name takes a string, not an integer"},
        {"name = ''", "f:1:1: name must not be empty"},
        {"loud = 'yes'", "f:1:1: loud takes true or false, not a string"},
        {"allow_host = ['a', 1]", "f:1:20: allow_host takes an array of strings, not an integer"},
        {"[name]", "f:1:2: name takes a string, not a table"},
        {"drain = nan",
         "f:1:1: drain takes seconds, or a string such as \"250ms\", not a number with a fraction"},
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        weir__settings settings = {0};
        weir_error err = WEIR_ERROR_INIT;
        values v = {0};
        assert_int_equal(read_file(&settings, samples[i][0], &v, NULL, &err), WEIR_INVALID);
        assert_string_equal(err.text, samples[i][1]);
        weir__settings_free(&settings);
    }
}

static void test_overlay(void **state)
{
    (void)state;
    const values upper = {.name = "upper", .hosts = {{"h"}, 1}, .workers = 9, .drain_ms = 0, .loud = false};
    values lower = {.name = "lower", .workers = 1, .drain_ms = 30, .body = 5, .loud = true};
    weir__settings_overlay(options, 0x4A, &upper, &lower); // allow-host, drain, loud
    assert_string_equal(lower.name, "lower");
    assert_int_equal(lower.hosts.count, 1);
    assert_string_equal(lower.hosts.items[0], "h");
    assert_int_equal(lower.workers, 1);
    assert_int_equal(lower.drain_ms, 0);
    assert_int_equal(lower.body, 5);
    assert_false(lower.loud);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment), cmocka_unit_test(test_wrong_environment),
        cmocka_unit_test(test_file),        cmocka_unit_test(test_wrong_file),
        cmocka_unit_test(test_overlay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
