// SPDX-License-Identifier: MIT
//
// Reading JSON without memory: the k-th allocation fails, for k = 0, 1, 2 … until the reading succeeds. Each time it
// has to say WEIR_NOMEM, leave what was in the text before, and keep nothing.
#include "support/nomem.h"

#include <string.h>

#include "base/json_read.h"

#if IS_SANITIZED

int main(void)
{
    return skip_sanitized();
}

#else

// Out of order at every level, with more members than there is room for on the stack, and strings that grow.
static char json[20000];
static size_t json_size;

static int setup(void **state)
{
    (void)state;
    size_t at = 0;
    for (int i = 400; i > 0; i--)
        at += (size_t)snprintf(json + at, sizeof json - at, "%s\"%03d\":{\"b\":%d.5,\"a\":\"\\u00e9 text\"}",
                               i == 400 ? "{" : ", ", i, i);
    at += (size_t)snprintf(json + at, sizeof json - at, "}");
    json_size = at;
    return at < sizeof json ? 0 : -1;
}

static int read_json(void *context, uint64_t offset, void *buffer, size_t size, size_t *got, weir_error *err)
{
    (void)context;
    (void)err;
    const size_t left = json_size - (size_t)offset;
    *got = left < size ? left : size;
    memcpy(buffer, json + offset, *got);
    return WEIR_OK;
}

static int tokens(weir_error *err)
{
    weir__json_reader reader;
    weir__json_token token = {.type = WEIR__JSON_NULL};
    int code = WEIR_OK;
    weir__json_reader_init_source(&reader, read_json, NULL, 0);
    while (code == WEIR_OK && token.type != WEIR__JSON_END)
        code = weir__json_reader_next(&reader, &token, err);
    weir__json_reader_fini(&reader);
    return code;
}

static int canonical(weir_error *err)
{
    weir__text out = {0};
    weir__text_add(&out, "kept");
    const bool is_ready = !out.failed;
    const int code = weir__json_canonical(json, json_size, WEIR__JSON_OBJECT, &out, err);
    if (is_ready && code != WEIR_OK)
        assert_string_equal(out.data, "kept");
    if (code == WEIR_OK)
        assert_non_null(strstr(out.data, "kept{\"001\":{\"a\":"));
    weir__text_free(&out);
    return is_ready ? code : WEIR_NOMEM;
}

// Canonical already: it is copied.
static int copied(weir_error *err)
{
    weir__text out = {0};
    const int code = weir__json_canonical("{\"a\":[1]}", 9, WEIR__JSON_OBJECT, &out, err);
    if (code == WEIR_OK)
        assert_string_equal(out.data, "{\"a\":[1]}");
    weir__text_free(&out);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    NOMEM_WALK(tokens, true);
    NOMEM_WALK(canonical, true);
    NOMEM_WALK(copied, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

#endif
