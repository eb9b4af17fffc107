// SPDX-License-Identifier: MIT
//
// From a POST's body to the request of a run: what is taken over, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/core.h"

static void everything_is_taken_over(void **state)
{
    (void)state;
    static const char body[] =
        "{\"command\":[\"sh\",\"-c\",\"echo \\u00e9\"],\"name\":\"n\",\"working_directory\":\"/tmp\","
        "\"environment\":{\"A\":\"1\",\"B\":\"\"},\"timeout\":1.5,\"tags\":[\"x\",\"\\u00e9\"],"
        "\"metadata\":{\"k\":[1,null]},\"user\":\"bob\",\"wait\":true,\"unknown\":{}}";
    weir__run_order order;
    assert_int_equal(weir__run_order_parse(body, sizeof body - 1, "", &order, NULL), WEIR_OK);
    assert_null(order.request.command);
    assert_string_equal(order.request.argv[2], "echo \xc3\xa9");
    assert_null(order.request.argv[3]);
    assert_string_equal(order.request.name, "n");
    assert_string_equal(order.request.working_directory, "/tmp");
    assert_string_equal(order.request.environment[0], "A=1");
    assert_string_equal(order.request.environment[1], "B=");
    assert_null(order.request.environment[2]);
    assert_int_equal(order.request.timeout_ms, 1500);
    assert_string_equal(order.request.tags_json, "[\"x\", \"\\u00E9\"]");
    assert_string_equal(order.request.metadata_json, "{\"k\": [1, null]}");
    assert_string_equal(order.request.user, "bob");
    assert_true(order.wait);
    weir__run_order_free(&order);
}

static void what_is_missing_has_its_default(void **state)
{
    (void)state;
    static const char body[] = "{\"command\":\"true\",\"timeout\":null,\"tags\":null,\"name\":null}";
    weir__run_order order;
    assert_int_equal(weir__run_order_parse(body, sizeof body - 1, "", &order, NULL), WEIR_OK);
    assert_string_equal(order.request.command, "true");
    assert_null(order.request.argv);
    assert_string_equal(order.request.name, "");
    assert_string_equal(order.request.user, "");
    assert_null(order.request.environment);
    assert_null(order.request.tags_json);
    assert_null(order.request.metadata_json);
    assert_int_equal(order.request.timeout_ms, 0);
    assert_false(order.wait);
    weir__run_order_free(&order);
    static const char nameless[] = "{\"command\":\"true\"}";
    assert_int_equal(weir__run_order_parse(nameless, sizeof nameless - 1, "", &order, NULL), WEIR_OK);
    assert_null(order.request.name);
    weir__run_order_free(&order);
}

static void the_key_decides_about_the_user(void **state)
{
    (void)state;
    static const char body[] = "{\"command\":\"true\",\"user\":\"mallory\"}";
    weir__run_order order;
    assert_int_equal(weir__run_order_parse(body, sizeof body - 1, "ada", &order, NULL), WEIR_OK);
    assert_string_equal(order.request.user, "ada");
    weir__run_order_free(&order);
}

static void depth_counts_outside_strings_only(void **state)
{
    (void)state;
    char body[600];
    weir__run_order order;
    (void)snprintf(body, sizeof body, "{\"command\":\"[[[[\\\"[[[[\",\"metadata\":{\"a\":\"%.*s\"}}", 200,
                   "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
    assert_int_equal(weir__run_order_parse(body, strlen(body), "", &order, NULL), WEIR_OK);
    weir__run_order_free(&order);
    weir_error err = WEIR_ERROR_INIT;
    memset(body, '[', 100);
    assert_int_equal(weir__run_order_parse(body, 100, "", &order, &err), WEIR_INVALID);
    assert_non_null(strstr(err.text, "nested"));
}

static void refusals_free_everything(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "{",
                                        "null",
                                        "{}",
                                        "{\"command\":[\"a\",1]}",
                                        "{\"command\":\"a\",\"environment\":{\"A\":\"1\",\"B\":2}}",
                                        "{\"command\":\"a\",\"tags\":[\"x\"],\"metadata\":7}",
                                        "{\"command\":\"a\",\"timeout\":-1}",
                                        "{\"command\":\"a\",\"environment\":{\"\":\"1\"}}",
                                        "{\"command\":\"a\",\"wait\":\"yes\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        weir__run_order order;
        const int code = weir__run_order_parse(wrong[i], strlen(wrong[i]), "", &order, NULL);
        if (code != WEIR_INVALID)
            fail_msg("'%s': got %d", wrong[i], code);
        assert_null(order.json);
        assert_null(order.environment);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_taken_over),       cmocka_unit_test(what_is_missing_has_its_default),
        cmocka_unit_test(the_key_decides_about_the_user), cmocka_unit_test(depth_counts_outside_strings_only),
        cmocka_unit_test(refusals_free_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
