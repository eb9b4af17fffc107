// SPDX-License-Identifier: MIT
//
// The live line needs no more of a terminal than carriage return, "erase below" and the eight colours. It is
// drawn from the cursor's row and the cursor goes back to its first column, so that erasing it works even
// when the terminal was made narrower in between and the line now takes two rows. Everything that stays is
// written above it: erase, write, draw again, in one write(2).
#include "cli/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/format.h"
#include "cli/records.h"

static const char *const spinner_unicode[] = {"\u280b", "\u2819", "\u2839", "\u2838", "\u283c",
                                              "\u2834", "\u2826", "\u2827", "\u2807", "\u280f"};
static const char *const spinner_ascii[] = {"|", "/", "-", "\\"};

enum {
    spinner_unicode_count = sizeof spinner_unicode / sizeof spinner_unicode[0],
    spinner_ascii_count = sizeof spinner_ascii / sizeof spinner_ascii[0],
    step_columns = 40, // times of steps stand in one column when names are shorter than this
    name_columns_min = 8,
};

void weir__show_init(weir__show *show, weir__screen *screen, weir__show_mode mode, bool quiet)
{
    *show = (weir__show){.screen = screen, .mode = mode, .quiet = quiet};
}

void weir__show_fini(weir__show *show)
{
    free(show->step_name);
    show->step_name = NULL;
}

void weir__show_erase(weir__show *show)
{
    if (show->drawn)
        weir__screen_add(show->screen, "\r\x1b[J");
    show->drawn = false;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Columns that are left in a row behind `used` ones; a row never fills the last column, where terminals
// differ.
static size_t left_in_row(const weir__show *show, size_t used)
{
    const size_t all = show->screen->columns - 1;
    return used < all ? all - used : 0;
}

// --------------------------------------------------------------------------------------------- the live line

static const char *spinner(const weir__show *show)
{
    if (show->screen->unicode)
        return spinner_unicode[show->frame % spinner_unicode_count];
    return spinner_ascii[show->frame % spinner_ascii_count];
}

// What stands behind the step's name: "  3.2 s of ~60.0 s".
static void format_elapsed(const weir__show *show, uint64_t now_ns, weir__text *text)
{
    const uint64_t start_ns = show->in_step ? show->step_start_ns : show->run_start_ns;
    weir__text_add(text, "  ");
    weir__format_duration(text, (now_ns - start_ns) / WEIR__NS_PER_MS);
    if (show->in_step && show->estimate_s > 0 && show->estimate_s < 1e9) {
        weir__text_add(text, " of ~");
        weir__format_duration(text, (uint64_t)(show->estimate_s * 1000));
    }
}

void weir__show_draw(weir__show *show, uint64_t now_ns)
{
    if (show->mode != WEIR__SHOW_LIVE || !show->running)
        return;
    weir__screen *const screen = show->screen;
    weir__text elapsed = {0};
    const char *const name = show->interrupts > 1    ? "killing"
                             : show->interrupts == 1 ? "cancelling (Ctrl-C again to kill)"
                             : show->waiting         ? "waiting for its turn"
                             : show->in_step         ? show->step_name
                                                     : "running";
    weir__show_erase(show);
    format_elapsed(show, now_ns, &elapsed);
    size_t used = 4;
    weir__screen_add(screen, "  ");
    weir__screen_styled(screen, show->interrupts > 0 ? WEIR__STYLE_WARN : WEIR__STYLE_ACTIVE, "%s",
                        spinner(show));
    weir__screen_add(screen, " ");
    const size_t for_name = left_in_row(show, used + elapsed.size);
    used += weir__screen_visible(screen, name != NULL ? name : "",
                                 for_name > name_columns_min ? for_name : name_columns_min);
    weir__screen_style(screen, WEIR__STYLE_DIM);
    used += weir__screen_visible(screen, weir__text_string(&elapsed), left_in_row(show, used));
    if (show->last[0] != '\0' && left_in_row(show, used) > name_columns_min) {
        weir__screen_add(screen, "  ");
        weir__screen_visible(screen, show->last, left_in_row(show, used + 2));
    }
    weir__screen_style(screen, WEIR__STYLE_PLAIN);
    weir__screen_add(screen, "\x1b[K\r");
    weir__text_free(&elapsed);
    show->frame++;
    show->drawn = true;
}

void weir__show_cancelling(weir__show *show, int count)
{
    show->interrupts = count;
    if (show->mode == WEIR__SHOW_PLAIN)
        weir__screen_printf(show->screen, "%s\n",
                            count == 1 ? "cancelling; a second signal kills it" : "killing");
}

// ------------------------------------------------------------------------------------------- what happens

// Says whose lines follow, when that is another step than before.
static void print_log_heading(weir__show *show, const weir_run_step *step)
{
    weir__screen *const screen = show->screen;
    if (show->mode != WEIR__SHOW_LIVE || step->id == NULL || strcmp(step->id, show->headed) == 0)
        return;
    snprintf(show->headed, sizeof show->headed, "%s", step->id);
    weir__screen_style(screen, WEIR__STYLE_BOLD);
    weir__screen_printf(screen, "  %s ", weir__screen_glyph(screen, "\u25b8", ">"));
    weir__screen_visible(screen, step->name, left_in_row(show, 4));
    weir__screen_style(screen, WEIR__STYLE_PLAIN);
    weir__screen_add(screen, "\n");
}

static void print_logs(weir__show *show, const weir__event *event)
{
    weir__screen *const screen = show->screen;
    const bool outside = event->step.id == NULL;
    const char *const bar = show->mode == WEIR__SHOW_LIVE ? weir__screen_glyph(screen, "\u2502", "|") : "|";
    if (show->quiet) {
        if (show->mode == WEIR__SHOW_LIVE && event->lines_count > 0)
            snprintf(show->last, sizeof show->last, "%s", event->lines[event->lines_count - 1].content);
        return;
    }
    print_log_heading(show, &event->step);
    for (size_t i = 0; i < event->lines_count; i++) {
        weir__screen_style(screen, WEIR__STYLE_DIM);
        weir__screen_printf(screen, "%s%s ", show->mode == WEIR__SHOW_LIVE && !outside ? "    " : "  ", bar);
        weir__screen_visible(screen, event->lines[i].content, WEIR__COLUMNS_ALL);
        weir__screen_style(screen, WEIR__STYLE_PLAIN);
        weir__screen_add(screen, "\n");
    }
    show->lines_shown |= event->lines_count > 0;
}

static void begin(weir__show *show, const weir_execution *execution, uint64_t now_ns)
{
    weir__screen *const screen = show->screen;
    if (!show->began)
        show->run_start_ns = now_ns;
    if (!show->began) {
        weir__screen_style(screen, WEIR__STYLE_BOLD);
        weir__screen_visible(screen, execution->name,
                             show->mode == WEIR__SHOW_LIVE ? left_in_row(show, 2 + WEIR__ID_SHORT)
                                                           : WEIR__COLUMNS_ALL);
        weir__screen_style(screen, WEIR__STYLE_PLAIN);
        weir__screen_styled(screen, WEIR__STYLE_DIM, "  %.*s", WEIR__ID_SHORT, execution->id);
        weir__screen_add(screen, "\n");
    }
    show->began = true;
    show->running = !weir_run_status_is_final(execution->status);
}

static void step_started(weir__show *show, const weir_run_step *step, uint64_t now_ns)
{
    free(show->step_name);
    show->step_name = strdup(step->name);
    show->step_start_ns = now_ns;
    show->in_step = true;
    show->estimate_s = step->has_estimated_duration ? step->estimated_duration : 0;
    show->last[0] = '\0';
    if (show->mode == WEIR__SHOW_PLAIN) {
        weir__screen_printf(show->screen, "%s %" PRIi64 " ", weir__screen_glyph(show->screen, "\u25b8", ">"),
                            step->index + 1);
        weir__screen_visible(show->screen, step->name, WEIR__COLUMNS_ALL);
        weir__screen_add(show->screen, "\n");
    }
}

static void step_ended(weir__show *show, const weir_run_step *step)
{
    weir__screen *const screen = show->screen;
    const bool live = show->mode == WEIR__SHOW_LIVE;
    const weir__style style = weir__status_style(step->status);
    char text[32];
    double seconds = 0;
    const bool known = weir_run_step_duration(step, 0, &seconds);
    const char *const duration = weir__seconds_text(known, seconds, text, sizeof text);
    weir__screen_add(screen, live ? "  " : "");
    weir__screen_styled(screen, style, "%s", weir__status_glyph(screen, step->status));
    weir__screen_printf(screen, " ");
    if (!live)
        weir__screen_printf(screen, "%" PRIi64 " ", step->index + 1);
    const size_t room = live ? left_in_row(show, 4 + 10) : WEIR__COLUMNS_ALL;
    const size_t used = weir__screen_visible(screen, step->name, room);
    const size_t column = live ? least(step_columns, room) : 0;
    weir__screen_printf(screen, "%*s", (int)(used < column ? column - used : 0), "");
    weir__screen_styled(screen, live ? WEIR__STYLE_DIM : WEIR__STYLE_PLAIN, live ? " %9s" : "  %s", duration);
    if (step->error_message != NULL) {
        weir__screen_add(screen, "  ");
        weir__screen_style(screen, style);
        weir__screen_visible(screen, step->error_message, WEIR__COLUMNS_ALL);
        weir__screen_style(screen, WEIR__STYLE_PLAIN);
    }
    weir__screen_add(screen, "\n");
    show->in_step = false;
    show->last[0] = '\0';
}

static void artifact_stored(weir__show *show, const weir_artifact *artifact)
{
    weir__screen *const screen = show->screen;
    weir__screen_add(screen, show->mode == WEIR__SHOW_LIVE ? "    " : "  ");
    weir__screen_styled(screen, WEIR__STYLE_ACTIVE, "%s ", weir__screen_glyph(screen, "\u25c6", "*"));
    weir__screen_visible(screen, artifact->name, WEIR__COLUMNS_ALL);
    weir__screen_style(screen, WEIR__STYLE_DIM);
    weir__screen_add(screen, "  ");
    if (artifact->exists)
        weir__format_bytes(&screen->text, artifact->file_size > 0 ? (uint64_t)artifact->file_size : 0);
    else
        weir__screen_add(screen, "missing");
    weir__screen_style(screen, WEIR__STYLE_PLAIN);
    if (artifact->description[0] != '\0') {
        weir__screen_add(screen, "  ");
        weir__screen_visible(screen, artifact->description, WEIR__COLUMNS_ALL);
    }
    weir__screen_add(screen, "\n");
}

static void show_lines(weir__show *show, const weir__event *event, uint64_t now_ns)
{
    weir__show_erase(show);
    if (event->lines_dropped > 0 && !show->quiet)
        weir__screen_styled(show->screen, WEIR__STYLE_DIM, "  (%" PRIu64 " lines are only in the record)\n",
                            event->lines_dropped);
    switch (event->kind) {
    case WEIR_RUN_EVENT_QUEUED:
    case WEIR_RUN_EVENT_STARTED:
        show->waiting = event->kind == WEIR_RUN_EVENT_QUEUED;
        begin(show, &event->execution, now_ns);
        break;
    case WEIR_RUN_EVENT_ENDED:
        show->running = false;
        break;
    case WEIR_RUN_EVENT_STEP_STARTED:
        step_started(show, &event->step, now_ns);
        break;
    case WEIR_RUN_EVENT_STEP_CHANGED:
        show->estimate_s = event->step.has_estimated_duration ? event->step.estimated_duration : 0;
        break;
    case WEIR_RUN_EVENT_STEP_ENDED:
        step_ended(show, &event->step);
        break;
    case WEIR_RUN_EVENT_ARTIFACT:
        artifact_stored(show, &event->artifact);
        break;
    case WEIR_RUN_EVENT_LOG:
        print_logs(show, event);
        break;
    case WEIR_RUN_EVENT_CHANGED:
        break;
    }
}

// ---------------------------------------------------------------------------------------------------- JSON

static const char *event_name(weir_run_event_kind kind)
{
    static const char *const names[] = {
        [WEIR_RUN_EVENT_QUEUED] = "queued",
        [WEIR_RUN_EVENT_STARTED] = "started",
        [WEIR_RUN_EVENT_CHANGED] = "changed",
        [WEIR_RUN_EVENT_ENDED] = "ended",
        [WEIR_RUN_EVENT_STEP_STARTED] = "step_started",
        [WEIR_RUN_EVENT_STEP_CHANGED] = "step_changed",
        [WEIR_RUN_EVENT_STEP_ENDED] = "step_ended",
        [WEIR_RUN_EVENT_ARTIFACT] = "artifact",
        [WEIR_RUN_EVENT_LOG] = "log",
    };
    return names[kind];
}

static void show_json(weir__show *show, const weir__event *event)
{
    weir__screen *const screen = show->screen;
    const bool is_log = event->kind == WEIR_RUN_EVENT_LOG;
    if (event->lines_dropped > 0 && !show->quiet)
        weir__screen_printf(screen, "{\"event\":\"gap\",\"lines\":%" PRIu64 "}\n", event->lines_dropped);
    if (is_log && show->quiet)
        return;
    weir__screen_printf(screen, "{\"event\":\"%s\",\"execution_id\":", event_name(event->kind));
    weir__text_json_string(&screen->text, event->execution_id, strlen(event->execution_id));
    if (event->execution.id != NULL) {
        weir__screen_add(screen, ",\"execution\":");
        weir__screen_take(screen, weir_execution_to_json(&event->execution, NULL));
    }
    if (event->step.id != NULL && !is_log) {
        weir__screen_add(screen, ",\"step\":");
        weir__screen_take(screen, weir_run_step_to_json(&event->step, NULL, 0, NULL));
    }
    if (event->artifact.id != NULL) {
        weir__screen_add(screen, ",\"artifact\":");
        weir__screen_take(screen, weir_artifact_to_json(&event->artifact, NULL));
    }
    for (size_t i = 0; i < event->lines_count; i++) {
        weir__screen_add(screen, i == 0 ? ",\"lines\":[" : ",");
        weir__screen_take(screen, weir_log_line_to_json(&event->lines[i]));
    }
    weir__screen_add(screen, event->lines_count > 0 ? "]}\n" : "}\n");
}

void weir__show_event(weir__show *show, const weir__event *event, uint64_t now_ns)
{
    if (show->mode == WEIR__SHOW_JSON)
        show_json(show, event);
    else
        show_lines(show, event, now_ns);
}

// -------------------------------------------------------------------------------------------------- the end

static void add_counted(weir__screen *screen, size_t count, const char *noun)
{
    if (count > 0)
        weir__screen_printf(screen, ", %zu %s%s", count, noun, count == 1 ? "" : "s");
}

static void print_outcome(weir__screen *screen, const weir_run_detail *detail)
{
    const weir_execution *const execution = &detail->execution;
    weir__text outcome = {0};
    char text[32];
    double seconds = 0;
    weir__outcome(&outcome, execution);
    weir__screen_style(screen, weir__status_style(execution->status));
    weir__screen_printf(screen, "%s ", weir__status_glyph(screen, execution->status));
    weir__screen_visible(screen, weir__text_string(&outcome), WEIR__COLUMNS_ALL);
    weir__screen_style(screen, WEIR__STYLE_PLAIN);
    if (weir__start_errno(execution) == 0 && weir_execution_duration(execution, 0, &seconds))
        weir__screen_printf(screen, " %s %s", execution->status == WEIR_RUN_COMPLETED ? "in" : "after",
                            weir__seconds_text(true, seconds, text, sizeof text));
    add_counted(screen, detail->steps.count, "step");
    add_counted(screen, detail->artifacts.count, "artifact");
    weir__screen_add(screen, "\n");
    if (execution->error_message != NULL && execution->error_message[0] != '\0' &&
        !weir__timed_out(execution)) {
        weir__screen_add(screen, "  ");
        weir__screen_visible(screen, execution->error_message, WEIR__COLUMNS_ALL);
        weir__screen_add(screen, "\n");
    }
    weir__text_free(&outcome);
}

void weir__show_summary(weir__show *show, const weir_run_detail *detail, const char *storage)
{
    weir__screen *const screen = show->screen;
    weir__show_erase(show);
    show->running = false;
    if (show->mode == WEIR__SHOW_JSON) {
        weir__screen_add(screen, "{\"event\":\"summary\",\"storage\":");
        weir__text_json_string(&screen->text, storage, strlen(storage));
        weir__screen_add(screen, ",");
        weir__detail_json(screen, detail);
        weir__screen_add(screen, "}\n");
        return;
    }
    if (show->lines_shown) { // what was shown of the steps may have scrolled away
        weir__print_steps(screen, &detail->steps);
        weir__print_artifacts(screen, &detail->artifacts, WEIR__ARTIFACT_PATHS_NO);
    }
    weir__screen_add(screen, "\n");
    print_outcome(screen, detail);
    weir__screen_style(screen, WEIR__STYLE_DIM);
    weir__screen_printf(screen, "  recorded as %s in ", detail->execution.id);
    weir__screen_visible(screen, storage, WEIR__COLUMNS_ALL);
    weir__screen_style(screen, WEIR__STYLE_PLAIN);
    weir__screen_add(screen, "\n");
}
