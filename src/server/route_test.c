// SPDX-License-Identifier: MIT
//
// Which route a path finds, and what is allowed where no route is found.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/core.h"

static void expect_route(const char *method, const char *target, const char *path, const char *allowed)
{
    weir__uri uri;
    char allow[WEIR__ALLOW_SIZE];
    assert_int_equal(weir__uri_parse(target, &uri, NULL), WEIR_OK);
    const weir__route *route = weir__route_find(weir__routes, weir__routes_count, method, &uri, allow);
    const char *found = route == NULL ? "none" : route->path;
    if (strcmp(found, path == NULL ? "none" : path) != 0 || strcmp(allow, allowed) != 0)
        fail_msg("%s %s: got %s (allow '%s'), expected %s (allow '%s')", method, target, found, allow,
                 path == NULL ? "none" : path, allowed);
    weir__uri_free(&uri);
}

static void paths_find_their_routes(void **state)
{
    (void)state;
    expect_route("GET", "/api/executions", "api/executions", "");
    expect_route("HEAD", "/api/executions", "api/executions", "");
    expect_route("GET", "/api/executions/active", "api/executions/active", "");
    expect_route("GET", "/api/executions/statistics", "api/executions/statistics", "");
    expect_route("GET", "/api/executions/activex", "api/executions/*", "");
    expect_route("GET", "/api/executions/%61ctive", "api/executions/active", "");
    expect_route("DELETE", "/api/executions/7", "api/executions/*", "GET, HEAD");
    expect_route("GET", "/api/artifacts/execution/7", "api/artifacts/execution/*", "");
    expect_route("GET", "/api/artifacts/execution/download", "api/artifacts/execution/*", "");
    expect_route("GET", "/api/artifacts/7/download", "api/artifacts/*/download", "");
    expect_route("GET", "/", "", "");
    expect_route("GET", "/storage/artifacts/a/b", "storage/artifacts/*/*", "");
}

static void other_paths_find_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"/api",
                                        "/api/executions/",
                                        "/api/executions//logs",
                                        "/api//executions",
                                        "/api/executions/7/logs/",
                                        "/api/executions/7/other",
                                        "/storage/artifacts/a",
                                        "/storage/artifacts/a/",
                                        "/api%2Fexecutions"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect_route("GET", wrong[i], NULL, "");
}

static void other_methods_learn_what_is_allowed(void **state)
{
    (void)state;
    expect_route("PUT", "/api/executions", NULL, "GET, HEAD, POST");
    expect_route("POST", "/api/executions/7", NULL, "GET, HEAD, DELETE");
    expect_route("HEAD", "/api/executions/7/cancel", NULL, "POST");
    expect_route("get", "/api/health", NULL, "GET, HEAD");
}

static void changing_routes_take_more_than_a_viewer(void **state)
{
    (void)state;
    for (size_t i = 0; i < weir__routes_count; i++) {
        const bool reads = strcmp(weir__routes[i].method, "GET") == 0;
        assert_int_equal(reads, weir__routes[i].role == WEIR__ROLE_VIEWER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_find_their_routes),
        cmocka_unit_test(other_paths_find_none),
        cmocka_unit_test(other_methods_learn_what_is_allowed),
        cmocka_unit_test(changing_routes_take_more_than_a_viewer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
