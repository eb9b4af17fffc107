// SPDX-License-Identifier: MIT
//
// What the tests of import, export, settings and filters share: a store in a directory of its own, and its
// content as the JSON of an export. Only for tests.
#ifndef WEIR_ACTIVITY_FLOW_TEST_H
#define WEIR_ACTIVITY_FLOW_TEST_H

#include "support/activity.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "weir/activity.h"

static inline int flow_setup(void **state)
{
    static const weir_config store = {.durability = WEIR_DURABILITY_OFF};
    static const weir_activity_config config = {.store = &store};
    desk *const made = calloc(1, sizeof *made);
    assert_non_null(made);
    desk_init(made, &config);
    *state = made;
    return 0;
}

static inline int flow_teardown(void **state)
{
    desk_fini(*state);
    free(*state);
    return 0;
}

static inline int flow_take(void *context, const void *bytes, size_t size, weir_error *err)
{
    (void)err;
    weir__text_append(context, bytes, size);
    return WEIR_OK;
}

// The export of one bucket or all; free() it.
static inline char *flow_export(desk *d, const char *bucket)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__text out = {0};
    expect_ok(weir_activity_export(d->activity, bucket, 0, flow_take, &out, &err), &err);
    char *const json = weir__text_take(&out);
    assert_non_null(json);
    return json;
}

static inline weir_activity_input flow_input(const char *json)
{
    return (weir_activity_input){.bytes = json, .size = strlen(json)};
}

// Imports; what it returned is not what was wanted: fails.
static inline weir_activity_import_report flow_import(desk *d, const char *json, int wanted)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_activity_import_report report = {.events_inserted = 12345};
    const weir_activity_input input = flow_input(json);
    const int code = weir_activity_import(d->activity, &input, NULL, NULL, &report, &err);
    if (code != wanted)
        fail_msg("import of %.200s: got %s \"%s\", wanted %s", json, weir_code_name(code), err.text,
                 weir_code_name(wanted));
    return report;
}

static inline int64_t flow_count(desk *d, const char *sql)
{
    return must_read_int64(weir_activity_store(d->activity), sql);
}

static inline void flow_set(desk *d, const char *name, const char *json)
{
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_setting_set(d->activity, name, json, strlen(json), &err), &err);
}

#endif
