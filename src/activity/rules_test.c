// SPDX-License-Identifier: MIT
//
// Privacy rules: which lists are valid, what a rule does to an event, and that no pattern takes for ever.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "activity/rules.h"
#include "base/clock.h"

#define RULE(field, pattern, rest) \
    "{\"enabled\":true,\"field\":\"" field "\",\"pattern\":\"" pattern "\"," rest "}"
#define DROP "\"action\":\"drop\""
#define REDACT(with) "\"action\":\"redact\",\"replacement\":\"" with "\""

static weir__rules *must_parse(const char *json)
{
    weir__rules *rules = NULL;
    weir_error err = WEIR_ERROR_INIT;
    if (weir__rules_parse(json, strlen(json), &rules, &err) != WEIR_OK)
        fail_msg("%s: %s", json, err.text);
    return rules;
}

static void refuse(const char *json, int wanted, const char *words)
{
    weir__rules *rules = NULL;
    weir_error err = WEIR_ERROR_INIT;
    const int code = weir__rules_parse(json, strlen(json), &rules, &err);
    if (code != wanted || strstr(err.text, words) == NULL)
        fail_msg("%s: got %s \"%s\", wanted %s with \"%s\"", json, weir_code_name(code), err.text,
                 weir_code_name(wanted), words);
    assert_null(rules);
}

// `wanted`: the data afterwards; NULL: dropped.
static void expect(const char *list, const char *bucket, const char *data, const char *wanted)
{
    weir__rules *const rules = must_parse(list);
    weir__text redacted = {0};
    weir__privacy_verdict verdict;
    weir_error err = WEIR_ERROR_INIT;
    if (weir__rules_apply(rules, bucket, data, strlen(data), &redacted, &verdict, &err) != WEIR_OK)
        fail_msg("%s on %s: %s", list, data, err.text);
    if (wanted == NULL)
        assert_int_equal(verdict, WEIR__PRIVACY_DROP);
    else if (strcmp(wanted, data) == 0)
        assert_int_equal(verdict, WEIR__PRIVACY_KEEP);
    else {
        assert_int_equal(verdict, WEIR__PRIVACY_REDACTED);
        assert_string_equal(weir__text_string(&redacted), wanted);
    }
    weir__text_free(&redacted);
    weir__rules_free(rules);
}

static void nothing_is_done_without_rules(void **state)
{
    (void)state;
    expect("[]", "b", "{\"title\":\"secret\"}", "{\"title\":\"secret\"}");
}

static void a_match_drops(void **state)
{
    (void)state;
    const char *const list = "[" RULE("title", "secret", DROP) "]";
    expect(list, "b", "{\"app\":\"x\",\"title\":\"my secret page\"}", NULL);
    expect(list, "b", "{\"app\":\"secret\",\"title\":\"page\"}", "{\"app\":\"secret\",\"title\":\"page\"}");
}

static void a_match_redacts_the_whole_field(void **state)
{
    (void)state;
    expect("[" RULE("title", "secret", REDACT("gone")) "]", "b",
           "{\"app\":\"x\",\"title\":\"my secret page\",\"z\":1}",
           "{\"app\":\"x\",\"title\":\"gone\",\"z\":1}");
}

static void rules_that_are_not_enabled_do_nothing(void **state)
{
    (void)state;
    expect("[{\"enabled\":false,\"field\":\"title\",\"pattern\":\".\"," DROP "}]", "b", "{\"title\":\"x\"}",
           "{\"title\":\"x\"}");
}

static void a_rule_can_be_about_some_buckets(void **state)
{
    (void)state;
    const char *const list = "[" RULE("t", ".", "\"bucket_prefix\":\"aw-watcher-web\"," DROP) "]";
    expect(list, "aw-watcher-web-firefox", "{\"t\":\"x\"}", NULL);
    expect(list, "aw-watcher-web", "{\"t\":\"x\"}", NULL);
    expect(list, "aw-watcher-we", "{\"t\":\"x\"}", "{\"t\":\"x\"}");
    expect(list, "AW-watcher-web", "{\"t\":\"x\"}", "{\"t\":\"x\"}");
    expect("[" RULE("t", ".", "\"bucket_prefix\":null," DROP) "]", "any", "{\"t\":\"x\"}", NULL);
}

static void a_field_is_a_dotted_path(void **state)
{
    (void)state;
    const char *const list = "[" RULE("a.b.c", "x", REDACT("-")) "]";
    expect(list, "b", "{\"a\":{\"b\":{\"c\":\"x\",\"d\":\"x\"},\"c\":\"x\"}}",
           "{\"a\":{\"b\":{\"c\":\"-\",\"d\":\"x\"},\"c\":\"x\"}}");
    expect(list, "b", "{\"a.b.c\":\"x\"}", "{\"a.b.c\":\"x\"}");
    expect(list, "b", "{\"a\":{\"b\":\"x\"}}", "{\"a\":{\"b\":\"x\"}}");
    expect(list, "b", "{\"a\":[{\"b\":{\"c\":\"x\"}}]}", "{\"a\":[{\"b\":{\"c\":\"x\"}}]}");
    expect(list, "b", "{\"c\":\"x\"}", "{\"c\":\"x\"}");
}

static void only_strings_are_looked_at(void **state)
{
    (void)state;
    const char *const list = "[" RULE("a", "1", DROP) "]";
    expect(list, "b", "{\"a\":1}", "{\"a\":1}");
    expect(list, "b", "{\"a\":[\"1\"]}", "{\"a\":[\"1\"]}");
    expect(list, "b", "{\"a\":{\"a\":\"1\"}}", "{\"a\":{\"a\":\"1\"}}");
    expect(list, "b", "{\"a\":null}", "{\"a\":null}");
    expect(list, "b", "{}", "{}");
    expect(list, "b", "{\"a\":\"21\"}", NULL);
}

static void rules_apply_in_order(void **state)
{
    (void)state;
    // The second sees what the first has left.
    expect("[" RULE("t", "bank", REDACT("private")) "," RULE("t", "private", DROP) "]", "b",
           "{\"t\":\"my bank\"}", NULL);
    expect("[" RULE("t", "bank", REDACT("one")) "," RULE("t", "bank", REDACT("two")) "]", "b",
           "{\"t\":\"my bank\"}", "{\"t\":\"one\"}");
    expect("[" RULE("t", "x", REDACT("longer than before")) "," RULE("u", "y", REDACT("-")) "]", "b",
           "{\"t\":\"x\",\"u\":\"y\"}", "{\"t\":\"longer than before\",\"u\":\"-\"}");
}

static void a_replacement_is_written_as_json(void **state)
{
    (void)state;
    expect("[" RULE("t", "x", REDACT("a\\\"b\\\\\\n\\u00e9\\ud83d\\ude00")) "]", "b", "{\"t\":\"x\"}",
           "{\"t\":\"a\\\"b\\\\\\né😀\"}");
}

static void strings_are_matched_decoded(void **state)
{
    (void)state;
    expect("[" RULE("t", "^a\\\"b$", DROP) "]", "b", "{\"t\":\"a\\\"b\"}", NULL);
    expect("[" RULE("t", "^a\\\"b\\\\\\\\$", REDACT("-")) "]", "b",
           "{\"s\":\"\\\\\",\"t\":\"a\\\"b\\\\\",\"u\":1}", "{\"s\":\"\\\\\",\"t\":\"-\",\"u\":1}");
}

static void the_dialect(void **state)
{
    (void)state;
    expect("[" RULE("t", "(?i)BANK", DROP) "]", "b", "{\"t\":\"my bank\"}", NULL);
    expect("[" RULE("t", "^\\\\w+$", DROP) "]", "b", "{\"t\":\"Müller\"}", NULL);
    expect("[" RULE("t", "x$", DROP) "]", "b", "{\"t\":\"x\\n\"}", "{\"t\":\"x\\n\"}");
    expect("[" RULE("t", "a.b", DROP) "]", "b", "{\"t\":\"a\\nb\"}", "{\"t\":\"a\\nb\"}");
    expect("[" RULE("t", "a.b", DROP) "]", "b", "{\"t\":\"a\\rb\"}", NULL);
    expect("[" RULE("t", "^\\\\u00e9\\\\u{1f600}$", DROP) "]", "b", "{\"t\":\"é😀\"}", NULL);
    expect("[" RULE("t", "(?<!no )bank", DROP) "]", "b", "{\"t\":\"a bank\"}", NULL);
    expect("[" RULE("t", "^.$", DROP) "]", "b", "{\"t\":\"😀\"}", NULL);
}

static void invalid_lists(void **state)
{
    (void)state;
    refuse("", WEIR_INVALID, "");
    refuse("null", WEIR_MISMATCH, "array");
    refuse("{}", WEIR_MISMATCH, "array");
    refuse("[1]", WEIR_MISMATCH, "filter 1");
    refuse("[{}]", WEIR_MISMATCH, "filter 1 has no");
    refuse("[" RULE("t", "x", DROP) "," RULE("t", "x", "\"action\":\"keep\"") "]", WEIR_MISMATCH, "filter 2");
    refuse("[" RULE("t", "x", "\"action\":\"redact\"") "]", WEIR_MISMATCH, "replacement");
    refuse("[" RULE("t", "x", REDACT("")) "]", WEIR_MISMATCH, "replacement");
    refuse("[" RULE("t", "x", "\"replacement\":null,\"action\":\"redact\"") "]", WEIR_MISMATCH,
           "replacement");
    refuse("[{\"enabled\":true,\"pattern\":\"x\"," DROP "}]", WEIR_MISMATCH, "\"field\"");
    refuse("[{\"enabled\":true,\"field\":null,\"pattern\":\"x\"," DROP "}]", WEIR_MISMATCH, "\"field\"");
    refuse("[{\"field\":\"t\",\"pattern\":\"x\"," DROP "}]", WEIR_MISMATCH, "\"enabled\"");
    refuse("[{\"enabled\":1,\"field\":\"t\",\"pattern\":\"x\"," DROP "}]", WEIR_MISMATCH, "\"enabled\"");
    refuse("[{\"enabled\":true,\"field\":\"t\",\"pattern\":7," DROP "}]", WEIR_MISMATCH, "\"pattern\"");
    refuse("[" RULE("t", "(", DROP) "]", WEIR_INVALID, "filter 1");
    refuse("[{\"enabled\":false,\"field\":\"t\",\"pattern\":\"[\"," DROP "}]", WEIR_INVALID, "filter 1");
    refuse("[" RULE("t", "x", DROP "," DROP) "]", WEIR_MISMATCH, "twice");
    refuse("[" RULE("t", "x", DROP) "]]", WEIR_INVALID, "");
    refuse("[" RULE("t", "x", DROP), WEIR_INVALID, "");
    refuse("[" RULE("t", "\\\\C", DROP) "]", WEIR_INVALID, "filter 1");
    weir__rules_free(must_parse("[" RULE("t", "x", "\"name\":[1,{}]," DROP) "]"));
}

static void lists_are_bounded(void **state)
{
    (void)state;
    weir__text list = {0};
    weir__text_char(&list, '[');
    for (int i = 0; i <= WEIR__RULES_MAX; i++)
        weir__text_printf(&list, "%s" RULE("t", "x", DROP), i > 0 ? "," : "");
    weir__text_char(&list, ']');
    refuse(weir__text_string(&list), WEIR_TOOBIG, "privacy filters");
    weir__text_clear(&list);
    weir__text_add(&list, "[{\"enabled\":true,\"field\":\"t\"," DROP ",\"pattern\":\"");
    for (int i = 0; i <= WEIR__RULE_PATTERN_BYTES_MAX; i++)
        weir__text_char(&list, 'x');
    weir__text_add(&list, "\"}]");
    refuse(weir__text_string(&list), WEIR_INVALID, "filter 1");
    weir__text_free(&list);
}

// A pattern that would take for ever ends, and counts as one that matches: in doubt nothing leaks.
static void a_search_is_bounded_and_fails_closed(void **state)
{
    (void)state;
    static const char *const patterns[] = {"^(a+)+$", "(a|aa)+$", "(?:a*)*b", "a*a*a*a*c",
                                           "(a)(?:\\\\1|x)+y"};
    enum { SIZE = 100000 };
    weir__text data = {0};
    weir__text_add(&data, "{\"t\":\"");
    for (int i = 0; i < SIZE; i++)
        weir__text_char(&data, 'a');
    weir__text_add(&data, "!\"}");
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        weir__text list = {0};
        weir__text_printf(&list, "[{\"enabled\":true,\"field\":\"t\",\"pattern\":\"%s\"," DROP "}]",
                          patterns[i]);
        const uint64_t begun_ns = weir__clock_now_ns(weir__clock_system());
        weir__rules *const rules = must_parse(weir__text_string(&list));
        weir__text redacted = {0};
        weir__privacy_verdict verdict;
        assert_int_equal(weir__rules_apply(rules, "b", data.data, data.size, &redacted, &verdict, NULL),
                         WEIR_OK);
        const uint64_t took_ms = (weir__clock_now_ns(weir__clock_system()) - begun_ns) / WEIR__NS_PER_MS;
        print_message("%s: %s after %llu ms\n", patterns[i],
                      verdict == WEIR__PRIVACY_DROP ? "dropped" : "kept", (unsigned long long)took_ms);
        if (took_ms > 30000)
            fail_msg("%s took %llu ms", patterns[i], (unsigned long long)took_ms);
        weir__rules_free(rules);
        weir__text_free(&redacted);
        weir__text_free(&list);
    }
    expect("[" RULE("t", "^(a+)+$", DROP) "]", "b", data.data, NULL);
    // An ordinary search of a long text finds what is not there to be not there.
    expect("[" RULE("t", "(?i)bank|insurance", DROP) "]", "b", data.data, data.data);
    expect("[" RULE("t", ".*bank.*", DROP) "]", "b", data.data, data.data);
    weir__text_free(&data);
}

static void a_text_beyond_the_limit_counts_as_a_match(void **state)
{
    (void)state;
    weir__text data = {0};
    weir__text_add(&data, "{\"t\":\"");
    for (int i = 0; i <= WEIR__RULE_TEXT_BYTES_MAX; i++)
        weir__text_char(&data, 'a');
    weir__text_add(&data, "\"}");
    expect("[" RULE("t", "bank", REDACT("too long")) "]", "b", data.data, "{\"t\":\"too long\"}");
    weir__text_free(&data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_done_without_rules),
        cmocka_unit_test(a_match_drops),
        cmocka_unit_test(a_match_redacts_the_whole_field),
        cmocka_unit_test(rules_that_are_not_enabled_do_nothing),
        cmocka_unit_test(a_rule_can_be_about_some_buckets),
        cmocka_unit_test(a_field_is_a_dotted_path),
        cmocka_unit_test(only_strings_are_looked_at),
        cmocka_unit_test(rules_apply_in_order),
        cmocka_unit_test(a_replacement_is_written_as_json),
        cmocka_unit_test(strings_are_matched_decoded),
        cmocka_unit_test(the_dialect),
        cmocka_unit_test(invalid_lists),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(a_search_is_bounded_and_fails_closed),
        cmocka_unit_test(a_text_beyond_the_limit_counts_as_a_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
