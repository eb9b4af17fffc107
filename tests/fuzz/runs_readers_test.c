// SPDX-License-Identifier: MIT
//
// The tolerant readers of runs/ on texts that nobody would write: times, JSON columns, log lines, file names. Each
// text is a mutation of a good one; what is checked is what must hold for any text. The seed is printed and can be
// given as $WEIR_FUZZ_SEED; $WEIR_FUZZ_ROUNDS makes it longer.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "runs/runs.h"
#include "support/store.h"

enum { rounds_default = 20000, text_max = 96 };

static weir__rng rng;
static uint64_t rounds = rounds_default;

// Copies `seed` and changes, drops, doubles or adds a few bytes. Returns the size.
static size_t mutate(const char *seed, char text[text_max + 1])
{
    static const char favourites[] = "0123456789-:T. Z+[]{}\",\\eE\n\r\xFF\xC3\xF0NaNInfinity";
    size_t size = strlen(seed);
    memcpy(text, seed, size);
    for (uint64_t i = weir__rng_below(&rng, 5); i > 0; i--) {
        const size_t at = (size_t)weir__rng_below(&rng, size + 1);
        const char byte = favourites[weir__rng_below(&rng, sizeof favourites - 1)];
        const uint64_t kind = weir__rng_below(&rng, 3);
        if (kind == 0 && at < size) {
            text[at] = byte;
        } else if (kind == 1 && at < size) {
            memmove(text + at, text + at + 1, size - at - 1);
            size--;
        } else if (size < text_max) {
            memmove(text + at + 1, text + at, size - at);
            text[at] = byte;
            size++;
        }
    }
    text[size] = '\0';
    return size;
}

static const char *pick(const char *const *seeds, size_t count)
{
    return seeds[weir__rng_below(&rng, count)];
}

#define PICK(seeds) pick(seeds, sizeof(seeds) / sizeof *(seeds))

// What was understood is written so that it is understood as the same.
static void test_times(void **state)
{
    static const char *const seeds[] = {"2025-08-01T17:30:00.123456", "2025-08-01 17:30:00Z",
                                        "0001-01-01T00:00",           "9999-12-31T23:59:59.999999+23:59",
                                        "2024-02-29T00:00:00-0530",   ""};
    (void)state;
    for (uint64_t i = 0; i < rounds; i++) {
        char text[text_max + 1];
        char written[WEIR_LOCAL_TEXT_SIZE];
        weir_local_us time = 1;
        weir_local_us again = 1;
        const size_t size = mutate(PICK(seeds), text);
        if (!weir_local_parse(text, size, &time)) {
            assert_int_equal(time, 0);
            continue;
        }
        weir_local_format(time, written);
        if (time == 0 ||
            strncmp(written, "9999-12-31T23:59:59", 19) == 0) // none, or beyond what a text can say
            continue;
        if (!weir_local_parse(written, strlen(written), &again) || again != time)
            fail_msg("\"%s\" is %lld, written as %s, which is %lld", text, (long long)time, written,
                     (long long)again);
    }
}

static bool is_plain_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < 0x20 || *text > 0x7E)
            return false;
    return true;
}

// What was read is written in ASCII, and reads as the same again.
static void test_json(void **state)
{
    static const char *const seeds[] = {"{\"a\": [1, 2.5e3, NaN, -Infinity], \"b\": {\"\\u00e9\": null}}",
                                        "{\"k\": 123456789012345678901234567890}",
                                        "{\"NaN\": \"Infinity\\\"\"}",
                                        "{\"\xC3\xA9\": \"\xF0\x9F\x98\x80\", \"t\": true}", "{}"};
    (void)state;
    for (uint64_t i = 0; i < rounds; i++) {
        char text[text_max + 1];
        const size_t size = mutate(PICK(seeds), text);
        json_t *const value = weir__json_load(text, size, JSON_OBJECT);
        if (value == NULL)
            continue;
        weir__text first = {0};
        weir__text second = {0};
        weir__json_dump(&first, value);
        json_t *const again = weir__json_load(first.data, first.size, JSON_OBJECT);
        if (again == NULL || !is_plain_ascii(first.data))
            fail_msg("%s was written as %s", text, first.data);
        weir__json_dump(&second, again);
        assert_string_equal(first.data, second.data);
        json_decref(again);
        json_decref(value);
        weir__text_free(&second);
        weir__text_free(&first);
    }
}

// Whatever is logged is one line, and reads back as what was logged, but for what a line cannot hold.
static void test_log_lines(void **state)
{
    static const char *const seeds[] = {
        "[2025-08-01T17:30:00.5]  indented] x",    "[no time] text", "text", "[] ", "[x]",
        "\xFF\xFE] [2025-08-01T17:30:00] \xE2\x82"};
    weir_local_us now = 0;
    (void)state;
    assert_true(weir_local_parse("2025-08-01T17:30:00", 19, &now));
    for (uint64_t i = 0; i < rounds; i++) {
        char text[text_max + 1];
        weir_local_us time = 0;
        const char *content = NULL;
        size_t content_size = 0;
        const size_t size = mutate(PICK(seeds), text);
        const bool is_entry = weir__log_parse(text, size, &time, &content, &content_size);
        assert_true(content >= text && content + content_size <= text + size);
        assert_true(is_entry || time == 0);
        weir__text line = {0};
        weir__log_format(&line, now, text, size);
        assert_true(memchr(line.data, '\n', line.size) == line.data + line.size - 1);
        assert_true(weir__utf8_is_valid(line.data, line.size));
        if (weir__log_parse(line.data, line.size - 1, &time, &content, &content_size))
            assert_int_equal(time, now);
        else // nothing but blanks
            assert_true(strspn(line.data + 29, " \t\n\v\f\r\x1c\x1d\x1e\x1f") == line.size - 29);
        weir__text_free(&line);
    }
}

static void test_names(void **state)
{
    static const char *const seeds[] = {"a/b.tar.gz", ".bashrc", "..", "/", "x.", "dir.d/", ""};
    (void)state;
    for (uint64_t i = 0; i < rounds; i++) {
        char text[text_max + 1];
        const size_t size = mutate(PICK(seeds), text);
        const char *const name = weir__path_name(text);
        const char *const extension = weir__file_extension(text);
        assert_true(name >= text && name <= text + size && strchr(name, '/') == NULL);
        assert_true(extension >= name && extension <= text + size);
        assert_true(*extension == '\0' || (*extension == '.' && extension > name && extension[1] != '\0'));
        assert_non_null(strchr(weir__mime_type(text), '/'));
    }
}

static uint64_t number_from(const char *variable, uint64_t standard)
{
    const char *const text = getenv(variable);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : standard;
}

int main(void)
{
    const uint64_t seed = number_from("WEIR_FUZZ_SEED", weir__random_u64());
    rounds = number_from("WEIR_FUZZ_ROUNDS", rounds_default);
    print_message("WEIR_FUZZ_SEED=%llu\n", (unsigned long long)seed);
    weir__rng_init(&rng, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_log_lines),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
