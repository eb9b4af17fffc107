// SPDX-License-Identifier: MIT
//
// Which origins are let in.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/cors.h"

enum { PORT = 5600 };

static const weir__strings none;

static weir__cors *make(const char *origin, const char *regex, bool testing)
{
    weir__cors *cors = NULL;
    weir_error err = WEIR_ERROR_INIT;
    const weir__strings origins = {&origin, origin != NULL}, regexes = {&regex, regex != NULL};
    if (weir__cors_create(&origins, &none, &regexes, PORT, testing, &cors, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return cors;
}

static void expect(const weir__cors *cors, const char *origin, weir__cors_verdict verdict)
{
    const weir__cors_verdict got = weir__cors_check(cors, origin);
    if (got != verdict)
        fail_msg("'%s': got %d, expected %d", origin, got, verdict);
}

static void our_own_pages_and_the_extensions_come_in(void **state)
{
    (void)state;
    weir__cors *cors = make(NULL, NULL, false);
    expect(cors, "http://127.0.0.1:5600", WEIR__CORS_ALLOWED);
    expect(cors, "http://LOCALHOST:5600", WEIR__CORS_ALLOWED);
    expect(cors, "moz-extension://0b7a3a4c-5a3e-4bd4-b6ca-111111111111", WEIR__CORS_ALLOWED);
    expect(cors, "chrome-extension://nglaklhklhcoonedhgnpgddginnjdadi", WEIR__CORS_ALLOWED);
    expect(cors, "https://localhost:5600", WEIR__CORS_REFUSED);
    expect(cors, "http://localhost:5601", WEIR__CORS_REFUSED);
    expect(cors, "http://localhost", WEIR__CORS_REFUSED);
    expect(cors, "http://localhost:27180", WEIR__CORS_REFUSED);
    expect(cors, "http://localhost.evil.example.org:5600", WEIR__CORS_REFUSED);
    expect(cors, "chrome-extension://aglaklhklhcoonedhgnpgddginnjdadi", WEIR__CORS_REFUSED);
    expect(cors, "https://evil.example.org", WEIR__CORS_REFUSED);
    expect(cors, "null", WEIR__CORS_REFUSED);
    weir__cors_destroy(cors);
}

static void what_is_no_origin_is_called_so(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",          "localhost", "http://", "http://a/b",      "http://a b",
                                        "http://a:", "://a",      "NULL",    "http://a:123456", "http://u@a"};
    weir__cors *cors = make(NULL, ".*", false);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(cors, wrong[i], WEIR__CORS_MALFORMED);
    expect(cors, "null", WEIR__CORS_REFUSED); // not even by an expression for everything
    weir__cors_destroy(cors);
}

static void testing_lets_more_in(void **state)
{
    (void)state;
    weir__cors *cors = make(NULL, NULL, true);
    expect(cors, "http://localhost:27180", WEIR__CORS_ALLOWED);
    expect(cors, "http://127.0.0.1:27180", WEIR__CORS_ALLOWED);
    expect(cors, "chrome-extension://aglaklhklhcoonedhgnpgddginnjdadi", WEIR__CORS_ALLOWED);
    expect(cors, "http://localhost:27181", WEIR__CORS_REFUSED);
    weir__cors_destroy(cors);
}

static void a_list_is_compared_by_its_parts(void **state)
{
    (void)state;
    weir__cors *cors = make("https://Weir.example.org/", NULL, false);
    expect(cors, "https://weir.example.org", WEIR__CORS_ALLOWED);
    expect(cors, "https://weir.example.org:443", WEIR__CORS_ALLOWED);
    expect(cors, "http://weir.example.org", WEIR__CORS_REFUSED);
    expect(cors, "https://weir.example.org:444", WEIR__CORS_REFUSED);
    weir__cors_destroy(cors);
    cors = make("http://[::1]:8080", NULL, false);
    expect(cors, "http://[::1]:8080", WEIR__CORS_ALLOWED);
    weir__cors_destroy(cors);
}

static void expressions_are_searched_for(void **state)
{
    (void)state;
    weir__cors *cors = make(NULL, "https://[a-z]+\\.example\\.org$", false);
    expect(cors, "https://a.example.org", WEIR__CORS_ALLOWED);
    expect(cors, "https://a.b.example.org", WEIR__CORS_REFUSED);
    expect(cors, "https://a.example.org.evil", WEIR__CORS_REFUSED);
    weir__cors_destroy(cors);
}

static void an_expression_without_end_does_not_match(void **state)
{
    (void)state;
    char origin[300] = "http://";
    weir__cors *cors = make(NULL, "(a+)+$", false);
    memset(origin + 7, 'a', 200);
    memcpy(origin + 207, "-b", 3);
    expect(cors, origin, WEIR__CORS_REFUSED);
    weir__cors_destroy(cors);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const char *const origin = "example.org", *const regex = "(a";
    const weir__strings one = {&origin, 1}, two = {&regex, 1};
    weir__cors *cors = NULL;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__cors_create(&one, &none, &none, PORT, false, &cors, &err), WEIR_INVALID);
    assert_non_null(strstr(err.text, "'example.org' is no origin"));
    assert_int_equal(weir__cors_create(&none, &one, &none, PORT, false, &cors, &err), WEIR_INVALID);
    assert_int_equal(weir__cors_create(&none, &none, &two, PORT, false, &cors, &err), WEIR_INVALID);
    assert_non_null(strstr(err.text, "'(a' is no regular expression"));
    assert_null(cors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_pages_and_the_extensions_come_in),
        cmocka_unit_test(what_is_no_origin_is_called_so),
        cmocka_unit_test(testing_lets_more_in),
        cmocka_unit_test(a_list_is_compared_by_its_parts),
        cmocka_unit_test(expressions_are_searched_for),
        cmocka_unit_test(an_expression_without_end_does_not_match),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
