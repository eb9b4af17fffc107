// SPDX-License-Identifier: MIT
//
// Matching a path against a table of routes: segment by segment, the first path that fits. Tables are short,
// so this is a plain search.
#include <stdio.h>
#include <string.h>

#include "server/core.h"

// Does `pattern` ("api/executions/*") fit the segments? `*` stands for any one that is not empty.
static bool path_fits(const char *pattern, const weir__uri *uri)
{
    for (size_t i = 0; i < uri->segments_count; i++) {
        const size_t size = strcspn(pattern, "/");
        const char *segment = uri->segments[i];
        const bool any = size == 1 && *pattern == '*';
        if (size == 0 ||
            (any ? *segment == '\0' : strlen(segment) != size || memcmp(segment, pattern, size) != 0))
            return false;
        pattern += size;
        if (*pattern == '/')
            pattern++;
    }
    return *pattern == '\0';
}

static void add_allowed(const char *method, char allow[WEIR__ALLOW_SIZE])
{
    const size_t used = strlen(allow);
    (void)snprintf(allow + used, WEIR__ALLOW_SIZE - used, "%s%s", used > 0 ? ", " : "",
                   strcmp(method, "GET") == 0 ? "GET, HEAD" : method);
}

const weir__route *weir__route_find(const weir__route *routes, size_t routes_count, const char *method,
                                    const weir__uri *uri, char allow[WEIR__ALLOW_SIZE])
{
    const char *path = NULL; // the pattern that decides
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    allow[0] = '\0';
    for (size_t i = 0; i < routes_count; i++) {
        if (path == NULL ? !path_fits(routes[i].path, uri) : strcmp(path, routes[i].path) != 0)
            continue;
        path = routes[i].path;
        if (strcmp(routes[i].method, wanted) == 0)
            return &routes[i];
        add_allowed(routes[i].method, allow);
    }
    return NULL;
}

const weir__route *weir__route_match(const weir__route *routes, size_t routes_count, const char *method,
                                     const weir__uri *uri)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (size_t i = 0; i < routes_count; i++)
        if (strcmp(routes[i].method, wanted) == 0 && path_fits(routes[i].path, uri))
            return &routes[i];
    return NULL;
}
