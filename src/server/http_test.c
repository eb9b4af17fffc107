// SPDX-License-Identifier: MIT
//
// Dates, ranges, tags, dispositions, hosts and origins.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/http.h"

static void dates_go_out_and_come_back(void **state)
{
    (void)state;
    char text[WEIR__HTTP_DATE_SIZE];
    time_t when = 0;
    weir__http_date(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_true(weir__http_date_parse(text, &when));
    assert_int_equal(when, 784111777);
    assert_false(weir__http_date_parse("yesterday", &when));
    assert_false(weir__http_date_parse("Sun, 06 Nox 1994 08:49:37 GMT", &when));
    weir__http_date((time_t)INT64_MAX, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void ranges_follow_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t size;
        weir__range_kind kind;
        uint64_t first, length;
    } cases[] = {
        {NULL, 10, WEIR__RANGE_WHOLE, 0, 10},
        {"bytes=0-4", 10, WEIR__RANGE_PART, 0, 5},
        {"Bytes=3-", 10, WEIR__RANGE_PART, 3, 7},
        {"bytes=-3", 10, WEIR__RANGE_PART, 7, 3},
        {"bytes=-30", 10, WEIR__RANGE_PART, 0, 10},
        {"bytes=5-100", 10, WEIR__RANGE_PART, 5, 5},
        {"bytes=9-9", 10, WEIR__RANGE_PART, 9, 1},
        {"bytes=10-", 10, WEIR__RANGE_BEYOND, 0, 10},
        {"bytes=-0", 10, WEIR__RANGE_BEYOND, 0, 10},
        {"bytes=0-0", 0, WEIR__RANGE_BEYOND, 0, 0},
        {"bytes=5-4", 10, WEIR__RANGE_WHOLE, 0, 10},
        {"bytes=0-1,3-4", 10, WEIR__RANGE_WHOLE, 0, 10},
        {"bytes=--1", 10, WEIR__RANGE_WHOLE, 0, 10},
        {"bytes=", 10, WEIR__RANGE_WHOLE, 0, 10},
        {"bytes=-", 10, WEIR__RANGE_WHOLE, 0, 10},
        {"bytes=99999999999999999999-", 10, WEIR__RANGE_WHOLE, 0, 10},
        {"bytes=0-18446744073709551615", 10, WEIR__RANGE_PART, 0, 10},
        {"lines=0-4", 10, WEIR__RANGE_WHOLE, 0, 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        weir__range range;
        const weir__range_kind kind = weir__http_range(cases[i].header, cases[i].size, &range);
        if (kind != cases[i].kind || range.first != cases[i].first || range.size != cases[i].length)
            fail_msg("'%s' of %llu: kind %d [%llu, +%llu)", cases[i].header,
                     (unsigned long long)cases[i].size, (int)kind, (unsigned long long)range.first,
                     (unsigned long long)range.size);
    }
}

static void tags_are_found_in_lists(void **state)
{
    (void)state;
    char tag[WEIR__HTTP_ETAG_SIZE];
    weir__http_etag((struct timespec){.tv_sec = 1, .tv_nsec = 1}, 255, tag);
    assert_string_equal(tag, "\"3b9aca01-ff\"");
    assert_true(weir__http_etag_listed("\"3b9aca01-ff\"", tag));
    assert_true(weir__http_etag_listed("\"x\", W/\"3b9aca01-ff\" ,\"y\"", tag));
    assert_true(weir__http_etag_listed(" * ", tag));
    assert_false(weir__http_etag_listed("\"3b9aca01-f\"", tag));
    assert_false(weir__http_etag_listed("", tag));
    assert_false(weir__http_etag_listed(",,", tag));
}

static void expect_disposition(const char *name, const char *expected)
{
    weir__text out = {0};
    weir__http_disposition(&out, name);
    assert_string_equal(weir__text_string(&out), expected);
    weir__text_free(&out);
}

static void file_names_cannot_break_the_header(void **state)
{
    (void)state;
    expect_disposition("report.txt", "attachment; filename=\"report.txt\"");
    expect_disposition("a b.txt", "attachment; filename=\"a b.txt\"");
    expect_disposition("a\"b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc");
    expect_disposition(
        "x\r\nSet-Cookie: a",
        "attachment; filename=\"x__Set-Cookie: a\"; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20a");
    expect_disposition("\xc3\xa9", "attachment; filename=\"__\"; filename*=UTF-8''%C3%A9");
    expect_disposition("\xff", "attachment; filename=\"_\"; filename*=UTF-8''%EF%BF%BD");
}

static void media_types_are_checked(void **state)
{
    (void)state;
    assert_true(weir__http_media_type_ok("text/plain"));
    assert_true(weir__http_media_type_ok("text/plain; charset=utf-8"));
    assert_true(weir__http_media_type_ok("application/x-tar"));
    assert_false(weir__http_media_type_ok(""));
    assert_false(weir__http_media_type_ok("text"));
    assert_false(weir__http_media_type_ok("text/"));
    assert_false(weir__http_media_type_ok("text/plain\r\nX: y"));
    assert_false(weir__http_media_type_ok("text/plain; a=\"\n\""));
}

static void headers_must_not_hide_a_body(void **state)
{
    (void)state;
    assert_true(weir__http_header_ok("Content-Length", "18"));
    assert_true(weir__http_header_ok("x-api-key", "a\tb \xc3\xa4"));
    assert_true(weir__http_header_ok("Content-Language", ""));
    assert_false(weir__http_header_ok("", "x"));
    assert_false(weir__http_header_ok("Content-Length ", "18"));
    assert_false(weir__http_header_ok("Content-Length\t", "18"));
    assert_false(weir__http_header_ok("content-length18", ""));
    assert_false(weir__http_header_ok("Transfer-Encodingchunked", ""));
    assert_false(weir__http_header_ok("X\xc3", "y"));
    assert_false(weir__http_header_ok("X", "a\rTransfer-Encoding: chunked"));
    assert_false(weir__http_header_ok("X", "\x7f"));
}

static void hosts_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *name; // NULL: refused
    } cases[] = {
        {"LocalHost:9347", "localhost"},
        {"127.0.0.1", "127.0.0.1"},
        {"[::1]:1", "::1"},
        {"[::1]", "::1"},
        {"example.org.", "example.org"},
        {"", NULL},
        {":80", NULL},
        {"a:", NULL},
        {"a:b", NULL},
        {"a:123456", NULL},
        {"[::1", NULL},
        {"[::1]x", NULL},
        {"a@b", NULL},
        {"a/b", NULL},
        {"::1", NULL},
        {"a b", NULL},
        {"[]", NULL},
        {"\xc3\xa9", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[WEIR__HTTP_HOST_SIZE];
        const bool ok = weir__http_host(cases[i].header, name);
        if (ok != (cases[i].name != NULL) || (ok && strcmp(name, cases[i].name) != 0))
            fail_msg("'%s': got %d '%s'", cases[i].header, ok, name);
    }
    char long_host[600];
    char name[WEIR__HTTP_HOST_SIZE];
    memset(long_host, 'a', sizeof long_host - 1);
    long_host[sizeof long_host - 1] = '\0';
    assert_false(weir__http_host(long_host, name));
}

static void loopback_has_several_names(void **state)
{
    (void)state;
    assert_true(weir__http_host_is_loopback("localhost"));
    assert_true(weir__http_host_is_loopback("weir.localhost"));
    assert_true(weir__http_host_is_loopback("127.8.9.1"));
    assert_true(weir__http_host_is_loopback("::1"));
    assert_false(weir__http_host_is_loopback("localhost.example.org"));
    assert_false(weir__http_host_is_loopback("notlocalhost"));
    assert_false(weir__http_host_is_loopback("127.0.0.1.example.org"));
    assert_false(weir__http_host_is_loopback("10.0.0.1"));
    assert_false(weir__http_host_is_loopback("2130706433"));
}

static void only_the_same_origin_is_our_own(void **state)
{
    (void)state;
    assert_true(weir__http_origin_is_own("http://localhost:9347", "localhost:9347"));
    assert_true(weir__http_origin_is_own("http://LOCALHOST:9347", "localhost:9347"));
    assert_false(weir__http_origin_is_own("http://localhost:9348", "localhost:9347"));
    assert_false(weir__http_origin_is_own("https://localhost:9347", "localhost:9347"));
    assert_false(weir__http_origin_is_own("null", "localhost:9347"));
    assert_false(weir__http_origin_is_own("", ""));
    assert_false(weir__http_origin_is_own("http://localhost:9347.evil", "localhost:9347"));
}

static void listed_origins_have_no_path(void **state)
{
    (void)state;
    assert_true(weir__http_origin_ok("https://weir.example.org"));
    assert_true(weir__http_origin_ok("http://[::1]:80"));
    assert_false(weir__http_origin_ok("https://weir.example.org/"));
    assert_false(weir__http_origin_ok("weir.example.org"));
    assert_false(weir__http_origin_ok("://weir.example.org"));
    assert_false(weir__http_origin_ok("*"));
    assert_false(weir__http_origin_ok(""));
}

static void secrets_compare_whole(void **state)
{
    (void)state;
    assert_true(weir__http_equal_secret("abc", "abc"));
    assert_false(weir__http_equal_secret("abc", "abd"));
    assert_false(weir__http_equal_secret("abcabc", "abc"));
    assert_false(weir__http_equal_secret("ab", "abc"));
    assert_false(weir__http_equal_secret("", "abc"));
    assert_false(weir__http_equal_secret("abc", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_go_out_and_come_back),   cmocka_unit_test(ranges_follow_the_rfc),
        cmocka_unit_test(tags_are_found_in_lists),      cmocka_unit_test(file_names_cannot_break_the_header),
        cmocka_unit_test(media_types_are_checked),      cmocka_unit_test(hosts_are_taken_apart),
        cmocka_unit_test(loopback_has_several_names),   cmocka_unit_test(only_the_same_origin_is_our_own),
        cmocka_unit_test(listed_origins_have_no_path),  cmocka_unit_test(secrets_compare_whole),
        cmocka_unit_test(headers_must_not_hide_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
