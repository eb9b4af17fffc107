// SPDX-License-Identifier: MIT
//
// The queue between the engine and the screen: order, copies, and what happens when nobody reads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>

#include "cli/events.h"

static int set_up(void **state)
{
    weir__events *const events = calloc(1, sizeof *events);
    *state = events;
    return events != NULL ? weir__events_init(events, NULL) : -1;
}

static int tear_down(void **state)
{
    weir__events_fini(*state);
    free(*state);
    return 0;
}

static void tell_line(weir__events *events, const char *content, size_t size)
{
    const weir_log_line line = {.content = content, .content_size = size};
    const weir_run_event event = {
        .kind = WEIR_RUN_EVENT_LOG, .execution_id = "run", .lines = &line, .lines_count = 1};
    weir__events_listener(events, &event);
}

static bool is_readable(const weir__events *events)
{
    struct pollfd ready = {.fd = events->fd, .events = POLLIN};
    return poll(&ready, 1, 0) == 1;
}

static void test_events_are_copies_in_order(void **state)
{
    weir__events *const events = *state;
    weir_execution execution;
    weir_run_step step;
    assert_int_equal(weir_execution_init(&execution, NULL), WEIR_OK);
    assert_int_equal(weir_run_step_init(&step, execution.id, NULL), WEIR_OK);
    const weir_log_line line = {.content = "hello there", .content_size = 5};
    const weir_run_event told[] = {
        {.kind = WEIR_RUN_EVENT_STARTED, .execution_id = execution.id, .execution = &execution},
        {.kind = WEIR_RUN_EVENT_LOG,
         .execution_id = execution.id,
         .step = &step,
         .lines = &line,
         .lines_count = 1},
    };
    assert_false(is_readable(events));
    weir__events_listener(events, &told[0]);
    weir__events_listener(events, &told[1]);
    char *const id = strdup(execution.id);
    weir_execution_free(&execution);
    weir_run_step_free(&step);

    assert_true(is_readable(events));
    weir__event *event = weir__events_take(events);
    assert_int_equal(event->kind, WEIR_RUN_EVENT_STARTED);
    assert_string_equal(event->execution_id, id);
    assert_string_equal(event->execution.id, id);
    assert_null(event->step.id);
    weir__event_free(event);
    event = weir__events_take(events);
    assert_int_equal(event->kind, WEIR_RUN_EVENT_LOG);
    assert_int_equal(event->lines_count, 1);
    assert_string_equal(event->lines[0].content, "hello");
    assert_ptr_equal(event->lines[0].step_id, event->step.id);
    weir__event_free(event);
    assert_null(weir__events_take(events));
    assert_false(is_readable(events));
    free(id);
}

static void test_lines_are_dropped_and_counted(void **state)
{
    weir__events *const events = *state;
    enum { line_size = 1 << 20, lines_told = 64 };
    char *const line = malloc(line_size);
    uint64_t kept = 0;
    uint64_t dropped = 0;
    memset(line, 'x', line_size);
    for (int i = 0; i < lines_told; i++)
        tell_line(events, line, line_size);
    assert_true(events->bytes < WEIR__EVENTS_BYTES_MAX + 2 * line_size);

    // An end is queued however full it is, and carries the number of those that were dropped before it.
    const weir_run_event end = {.kind = WEIR_RUN_EVENT_ENDED, .execution_id = "run"};
    weir__events_listener(events, &end);
    weir_run_event_kind last = WEIR_RUN_EVENT_QUEUED;
    for (weir__event *event; (event = weir__events_take(events)) != NULL; weir__event_free(event)) {
        kept += event->lines_count;
        dropped += event->lines_dropped;
        last = event->kind;
    }
    assert_int_equal(last, WEIR_RUN_EVENT_ENDED);
    assert_int_equal(kept + dropped, lines_told);
    assert_true(kept >= WEIR__EVENTS_BYTES_MAX / line_size);
    assert_true(dropped > 0);
    assert_int_equal(events->bytes, 0);

    // There is room again.
    tell_line(events, "short", 5);
    weir__event *const event = weir__events_take(events);
    assert_non_null(event);
    assert_int_equal(event->lines_dropped, 0);
    weir__event_free(event);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_events_are_copies_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lines_are_dropped_and_counted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
