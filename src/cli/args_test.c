// SPDX-License-Identifier: MIT
//
// Command lines, right and wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/args.h"

typedef struct values {
    bool follow, quiet;
    const char *name, *path;
    weir__list tags;
    uint64_t count, timeout_ms;
    int choice;
} values;

static const char *const choices[] = {"full", "normal", "off", NULL};

static const weir__option items[] = {
    {.name = "follow", .letter = 'f', .kind = WEIR__OPTION_FLAG, .offset = offsetof(values, follow)},
    {.name = "quiet", .letter = 'q', .kind = WEIR__OPTION_FLAG, .offset = offsetof(values, quiet)},
    {.name = "name", .kind = WEIR__OPTION_TEXT, .offset = offsetof(values, name), .value = "NAME"},
    {.name = "path", .kind = WEIR__OPTION_PATH, .offset = offsetof(values, path), .value = "DIR"},
    {.name = "tag", .kind = WEIR__OPTION_LIST, .offset = offsetof(values, tags), .value = "TAG"},
    {.name = "count",
     .letter = 'n',
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(values, count),
     .value = "N",
     .min = 1,
     .max = 100},
    {.name = "timeout",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(values, timeout_ms),
     .value = "S",
     .min = 1,
     .max = 3600000},
    {.name = "durability",
     .kind = WEIR__OPTION_CHOICE,
     .offset = offsetof(values, choice),
     .value = "P",
     .choices = choices},
};
static const weir__options options = {items, sizeof items / sizeof items[0]};

enum { argc_max = 16 };

typedef struct parsed {
    int code;
    values v;
    weir__common common;
    char *argv[argc_max];
    weir__operands operands;
    weir_error err;
} parsed;

// Reads the words given, up to NULL.
static parsed *parse(parsed *p, bool stop_at_operand, const char *const *words)
{
    int argc = 0;
    *p = (parsed){0};
    for (; words[argc] != NULL; argc++)
        p->argv[argc] = (char *)(uintptr_t)words[argc];
    p->code =
        weir__args_parse(options, stop_at_operand, argc, p->argv, &p->v, &p->common, &p->operands, &p->err);
    return p;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static parsed *fine(parsed *p, const char *const *words)
{
    parse(p, false, words);
    if (p->code != WEIR_OK)
        fail_msg("refused: %s", p->err.text);
    return p;
}

static void test_every_way_to_give_a_value(void **state)
{
    (void)state;
    parsed p;
    assert_string_equal(fine(&p, WORDS("--name", "a"))->v.name, "a");
    assert_string_equal(fine(&p, WORDS("--name=a=b"))->v.name, "a=b");
    assert_string_equal(fine(&p, WORDS("--name", "--quiet"))->v.name, "--quiet");
    assert_int_equal(fine(&p, WORDS("-n", "7"))->v.count, 7);
    assert_int_equal(fine(&p, WORDS("-n7"))->v.count, 7);
    assert_int_equal(fine(&p, WORDS("--timeout", "1.5"))->v.timeout_ms, 1500);
    assert_int_equal(fine(&p, WORDS("--durability=off"))->v.choice, 2);
    assert_string_equal(fine(&p, WORDS("--path", "\xFF/x"))->v.path, "\xFF/x");
    fine(&p, WORDS("-fq"));
    assert_true(p.v.follow);
    assert_true(p.v.quiet);
    fine(&p, WORDS("-fn9"));
    assert_true(p.v.follow);
    assert_int_equal(p.v.count, 9);
    fine(&p, WORDS("--tag", "x", "--tag=y"));
    assert_int_equal(p.v.tags.count, 2);
    assert_string_equal(p.v.tags.items[1], "y");
}

static void test_common_options(void **state)
{
    (void)state;
    parsed p;
    assert_true(fine(&p, WORDS("-h"))->common.help);
    assert_true(fine(&p, WORDS("x", "--help"))->common.help);
    assert_int_equal(fine(&p, WORDS("--color=never"))->common.color, 2);
    assert_false(fine(&p, WORDS("--", "--help"))->common.help);
}

static void test_operands(void **state)
{
    (void)state;
    parsed p;
    fine(&p, WORDS("a", "-f", "b", "--", "-q", "--"));
    assert_int_equal(p.operands.count, 4);
    assert_string_equal(p.operands.items[0], "a");
    assert_string_equal(p.operands.items[1], "b");
    assert_string_equal(p.operands.items[2], "-q");
    assert_string_equal(p.operands.items[3], "--");
    assert_null(p.operands.items[4]);
    assert_string_equal(fine(&p, WORDS("-"))->operands.items[0], "-");
    parse(&p, true, WORDS("-f", "ls", "-q", "--", "x"));
    assert_int_equal(p.code, WEIR_OK);
    assert_false(p.v.quiet);
    assert_int_equal(p.operands.count, 4);
    assert_string_equal(p.operands.items[2], "--");
}

static void refused(const char *const *words, const char *sentence)
{
    parsed p;
    parse(&p, false, words);
    assert_int_equal(p.code, WEIR_INVALID);
    assert_string_equal(p.err.text, sentence);
}

static void test_wrong_lines(void **state)
{
    (void)state;
    refused(WORDS("--folow"), "unknown option \"--folow\"; did you mean --follow?");
    refused(WORDS("--colour=never"), "unknown option \"--colour=never\"; did you mean --color?");
    refused(WORDS("--xyzzy"), "unknown option \"--xyzzy\"");
    refused(WORDS("-x"), "unknown option \"-x\"");
    refused(WORDS("--follow=1"), "--follow takes no value");
    refused(WORDS("--name"), "--name needs a value: --name NAME");
    refused(WORDS("--name", ""), "--name must not be empty");
    refused(WORDS("--path="), "--path must not be empty");
    refused(WORDS("--name", "\xFF"), "--name takes text in UTF-8, not \"?\"");
    refused(WORDS("--tag", "\xC3"), "--tag takes text in UTF-8, not \"?\"");
    refused(WORDS("-n", "0"), "--count takes a whole number from 1 to 100, not \"0\"");
    refused(WORDS("-n", "-1"), "--count takes a whole number from 1 to 100, not \"-1\"");
    refused(WORDS("-n", "99999999999999999999"),
            "--count takes a whole number from 1 to 100, not \"99999999999999999999\"");
    refused(WORDS("--timeout", "\x1b[2J"),
            "--timeout takes a time such as 90, 1.5, 250ms, 10m or 2h (from 0.001 to 3600 "
            "seconds), not \"\\e[2J\"");
    refused(WORDS("--durability", "ful"),
            "--durability takes one of full, normal, off, not \"ful\"; did you mean full?");
    refused(WORDS("--durability", "best"), "--durability takes one of full, normal, off, not \"best\"");
}

static void test_a_list_has_a_bound(void **state)
{
    (void)state;
    char *argv[WEIR__LIST_MAX + 2];
    static char word[] = "--tag=x";
    for (size_t i = 0; i <= WEIR__LIST_MAX; i++)
        argv[i] = word;
    static values v;
    weir__common common = {0};
    weir__operands operands;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__args_parse(options, false, WEIR__LIST_MAX, argv, &v, &common, &operands, &err),
                     WEIR_OK);
    assert_int_equal(v.tags.count, WEIR__LIST_MAX);
    argv[0] = word; // reading put an end there
    assert_int_equal(weir__args_parse(options, false, 1, argv, &v, &common, &operands, &err), WEIR_INVALID);
    assert_string_equal(err.text, "--tag may be given at most 1024 times");
}

static void test_nearest(void **state)
{
    (void)state;
    const char *const names[] = {"run", "runs", "serve", "stats", "version", NULL};
    assert_string_equal(weir__args_nearest("rnu", names), "run");
    assert_string_equal(weir__args_nearest("sevre", names), "serve");
    assert_string_equal(weir__args_nearest("vers", names), "version");
    assert_string_equal(weir__args_nearest("status", names), "stats");
    assert_null(weir__args_nearest("", names));
    assert_null(weir__args_nearest("frobnicate", names));
    char huge[4096];
    memset(huge, 'r', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_null(weir__args_nearest(huge, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_way_to_give_a_value),
        cmocka_unit_test(test_common_options),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_wrong_lines),
        cmocka_unit_test(test_a_list_has_a_bound),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
