// SPDX-License-Identifier: MIT
//
// The reader of JSON and those of dates on texts that nobody would write, made of good ones (see support/fuzz.h);
// what is checked is what must hold for any text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/json_read.h"
#include "support/fuzz.h"

enum { rounds_default = 30000 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char favourites[] =
    "{}[]\",:\\/ubnt0123456789+-.eEtfn \n\t\x01\x7F\x80\xC3\xA9\xED\xA0\xF0\xF4\xFFTZz";

typedef struct source {
    const char *bytes;
    size_t size;
    size_t piece_max;
} source;

static int read_piece(void *context, uint64_t offset, void *buffer, size_t size, size_t *got, weir_error *err)
{
    const source *const in = context;
    (void)err;
    assert_true(offset <= in->size);
    const size_t piece = 1 + (size_t)fuzz_below(in->piece_max);
    const size_t left = in->size - (size_t)offset;
    *got = left < piece ? left : piece;
    *got = *got < size ? *got : size;
    memcpy(buffer, in->bytes + offset, *got);
    return WEIR_OK;
}

// Writes down all tokens and how it ended. Each token takes a byte of the input or ends the reading.
static int trace(weir__json_reader *reader, size_t size, weir__text *out)
{
    weir__json_token token;
    weir_error err = WEIR_ERROR_INIT;
    for (size_t count = 0; count <= size + 1; count++) {
        const int code = fuzz_below(2) == 0 ? WEIR_OK : weir__json_reader_peek(reader, &token, &err);
        if (code != WEIR_OK || weir__json_reader_next(reader, &token, &err) != WEIR_OK) {
            weir__text_printf(out, "%s", err.text);
            return err.code;
        }
        assert_true(weir__utf8_is_valid(token.text, token.size));
        weir__text_printf(out, "%d %" PRIu64 " ", (int)token.type, token.offset);
        weir__text_json_string(out, token.text, token.size);
        if (token.type == WEIR__JSON_END)
            return WEIR_OK;
    }
    fail_msg("more tokens than bytes: %s", out->data);
    return WEIR_INTERNAL;
}

// The same tokens, or the same sentence, from memory and in pieces.
static int check_tokens(const char *json, size_t size)
{
    source in = {.bytes = json, .size = size, .piece_max = 1 + (size_t)fuzz_below(17)};
    weir__json_reader reader;
    weir__text whole = {0};
    weir__text pieces = {0};
    weir__json_reader_init(&reader, json, size, 0);
    const int code = trace(&reader, size, &whole);
    weir__json_reader_fini(&reader);
    weir__json_reader_init_source(&reader, read_piece, &in, 0);
    trace(&reader, size, &pieces);
    weir__json_reader_fini(&reader);
    if (strcmp(whole.data, pieces.data) != 0)
        fail_msg("%.*s\nfrom memory: %s\nin pieces: %s", (int)size, json, whole.data, pieces.data);
    weir__text_free(&pieces);
    weir__text_free(&whole);
    return code;
}

// What has tokens has a canonical form, which is its own; what has none is neither canonical nor passed over.
static void check_form(const char *json, size_t size, int tokens_code)
{
    weir__text first = {0};
    weir__text second = {0};
    const int code = weir__json_canonical(json, size, WEIR__JSON_END, &first, NULL);
    if (code != tokens_code)
        fail_msg("%.*s: %s as tokens, %s in canonical form", (int)size, json, weir_code_name(tokens_code),
                 weir_code_name(code));
    const bool is_same = code == WEIR_OK && first.size == size && memcmp(first.data, json, size) == 0;
    assert_int_equal(weir__json_is_canonical(json, size), is_same);
    weir__json_reader reader;
    weir__json_token token;
    weir__json_reader_init(&reader, json, size, 0);
    int skipped = weir__json_reader_skip(&reader, NULL);
    if (skipped == WEIR_OK)
        skipped = weir__json_reader_next(&reader, &token, NULL);
    assert_int_equal(skipped, code);
    weir__json_reader_fini(&reader);
    if (code == WEIR_OK) {
        assert_true(weir__json_is_canonical(first.data, first.size));
        assert_int_equal(weir__json_canonical(first.data, first.size, WEIR__JSON_END, &second, NULL),
                         WEIR_OK);
        assert_string_equal(first.data, second.data);
    }
    weir__text_free(&second);
    weir__text_free(&first);
}

static void test_json(void **state)
{
    static const char *const seeds[] = {
        "{\"id\": null, \"timestamp\": \"2018-01-01T01:01:01Z\", \"data\": {\"b\": 1, \"a\": 2}}",
        "[1,-2,3.5,1e16,0.1e-6,18446744073709551615,-9223372036854775808,-0.0]",
        "{\"\\u0000\":{},\"\\\"\":[],\"\xC3\xA9\":\"\xF0\x9F\x98\x80\",\"z\":{\"y\":{\"x\":1}}}",
        " [ \"\\ud83d\\ude00\" , true , false , null , [ ] , { } ] ",
        "{\"b\":1,\"a\":2,\"b\":3}",
        "1.7976931348623157e308",
        "\"0123456789abcdef\\/\"",
    };
    (void)state;
    for (uint64_t i = 0; i < fuzz_rounds(); i++) {
        size_t size = 0;
        char *const json = fuzz_mutate(seeds[fuzz_below(COUNT(seeds))], favourites, &size);
        const int code = check_tokens(json, size);
        check_form(json, size, code);
        free(json);
    }
}

// What the strict reader takes the lenient one takes as the same, and so it is written.
static void test_dates(void **state)
{
    static const char *const seeds[] = {
        "2018-01-01T01:01:01Z",
        "2018-01-01 01:01:01.123456789123+00:00",
        "1969-12-31t23:59:60.5-23:59",
        "2262-04-11T23:47:16.854775807Z",
        "1677-09-21T00:12:43.145224192Z",
        "+10000-2-29T00:00:00UTC",
        " 2000-02-29T23:59:59.9\u221201 : 00 ",
    };
    (void)state;
    for (uint64_t i = 0; i < fuzz_rounds(); i++) {
        size_t size = 0;
        char *const text = fuzz_mutate(seeds[fuzz_below(COUNT(seeds))], favourites, &size);
        int64_t strict = 0;
        int64_t lenient = 0;
        int64_t again = 0;
        const weir__date_result strict_result = weir__date_parse_strict(text, size, &strict);
        const weir__date_result lenient_result = weir__date_parse_lenient(text, size, &lenient);
        if (strict_result != WEIR__DATE_MALFORMED && (strict_result != lenient_result || strict != lenient))
            fail_msg("%.*s: strict %" PRId64 ", lenient %" PRId64, (int)size, text, strict, lenient);
        weir__date_parse_column(text, size, &again);
        if (lenient_result == WEIR__DATE_OK) {
            char out[WEIR__DATE_SIZE];
            assert_int_equal(again, lenient);
            const size_t out_size = weir__date_format(out, lenient);
            assert_int_equal(weir__date_parse_strict(out, out_size, &again), WEIR__DATE_OK);
            assert_int_equal(again, lenient);
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_dates),
    };
    fuzz_init(rounds_default);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
