// SPDX-License-Identifier: MIT
//
// What `weir bench heartbeat` measured, for people and for programs. A figure is the median of the rounds; a ratio
// is the median of the rounds' ratios.
#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "bench/heartbeat.h"

// What is wanted of this machine as it is.
#define IN_FLIGHT_WANTED 80000.0
#define HTTP_WANTED 30000.0
#define DAY_WANTED 2.0
#define EXPORT_WANTED_MB 32.0

static const double MB = 1e6;

typedef double field_fn(const weir__bench_pace *pace);

static double per_s(const weir__bench_pace *pace)
{
    return pace->per_s;
}

static double p50_us(const weir__bench_pace *pace)
{
    return (double)pace->p50_ns / (double)WEIR__NS_PER_US;
}

static double p99_us(const weir__bench_pace *pace)
{
    return (double)pace->p99_ns / (double)WEIR__NS_PER_US;
}

static double max_us(const weir__bench_pace *pace)
{
    return (double)pace->max_ns / (double)WEIR__NS_PER_US;
}

static double median_of(const weir__beat_results *results, weir__beat_row row, field_fn *field)
{
    double values[WEIR__BENCH_ROUNDS_MAX];
    for (unsigned i = 0; i < results->rounds_done; i++)
        values[i] = field(&results->paces[row][i]);
    return weir__bench_median(values, results->rounds_done);
}

// One of the things that are wanted; false where it was not measured.
typedef struct goal {
    const char *name;
    double value, wanted;
    bool at_most;
} goal;

static bool ratio_of(const weir__beat_options *options, const weir__beat_results *results, weir__beat_row row,
                     weir__beat_row by, field_fn *field, double *value)
{
    double values[WEIR__BENCH_ROUNDS_MAX];
    if (!options->chosen[row] || !options->chosen[by])
        return false;
    for (unsigned i = 0; i < results->rounds_done; i++) {
        const double divisor = field(&results->paces[by][i]);
        if (divisor <= 0)
            return false;
        values[i] = field(&results->paces[row][i]) / divisor;
    }
    *value = weir__bench_median(values, results->rounds_done);
    return true;
}

enum { GOALS_MAX = 8 };

static size_t goals_of(const weir__beat_options *options, const weir__beat_results *results,
                       goal goals[GOALS_MAX])
{
    size_t count = 0;
    double value;
    if (options->chosen[WEIR__BEAT_IN_FLIGHT])
        goals[count++] = (goal){"inflight_per_s", median_of(results, WEIR__BEAT_IN_FLIGHT, per_s),
                                IN_FLIGHT_WANTED, false};
    if (options->chosen[WEIR__BEAT_HTTP])
        goals[count++] = (goal){"http_per_s", median_of(results, WEIR__BEAT_HTTP, per_s), HTTP_WANTED, false};
    if (ratio_of(options, results, WEIR__BEAT_DAY_BUSY, WEIR__BEAT_DAY_IDLE, p99_us, &value))
        goals[count++] = (goal){"day_p99_busy_vs_idle", value, DAY_WANTED, true};
    if (options->export)
        goals[count++] =
            (goal){"export_grown_mb", (double)results->export.grown_bytes / MB, EXPORT_WANTED_MB, true};
    if (ratio_of(options, results, WEIR__BEAT_IN_FLIGHT, WEIR__BEAT_PEER, per_s, &value))
        goals[count++] = (goal){"inflight_vs_peer", value, 0, false};
    if (ratio_of(options, results, WEIR__BEAT_IN_FLIGHT, WEIR__BEAT_PLAIN, per_s, &value))
        goals[count++] = (goal){"inflight_vs_plain", value, 0, false};
    if (ratio_of(options, results, WEIR__BEAT_HTTP, WEIR__BEAT_PEER, per_s, &value))
        goals[count++] = (goal){"http_vs_peer", value, 0, false};
    return count;
}

static bool is_met(const goal *g)
{
    return g->at_most ? g->value <= g->wanted : g->value >= g->wanted;
}

// -------------------------------------------------------------------------------------------------- people

static void add_goals(const weir__beat_options *options, const weir__beat_results *results, weir__text *out)
{
    goal goals[GOALS_MAX];
    const size_t count = goals_of(options, results, goals);
    weir__text_printf(out, "\n%-23s%12s%12s\n", "", "measured", "wanted");
    for (size_t i = 0; i < count; i++) {
        weir__text_printf(out, "%-23s%12.2f", goals[i].name, goals[i].value);
        if (goals[i].wanted > 0)
            weir__text_printf(out, "%3s%9.0f  %s", goals[i].at_most ? "<=" : ">=", goals[i].wanted,
                              is_met(&goals[i]) ? "met" : "not met");
        weir__text_char(out, '\n');
    }
}

static void add_row(const weir__beat_results *results, weir__beat_row row, weir__text *out)
{
    weir__text_printf(out, "%-19s", weir__beat_rows[row].name);
    weir__bench_add_count(out, median_of(results, row, per_s));
    weir__bench_add_time(out, median_of(results, row, p50_us), 12);
    weir__bench_add_time(out, median_of(results, row, p99_us), 12);
    weir__bench_add_time(out, median_of(results, row, max_us), 12);
    weir__text_char(out, '\n');
}

static void add_export(const weir__beat_export *export, weir__text *out)
{
    const double seconds = (double)export->time_ns / (double)WEIR__NS_PER_S;
    weir__text_printf(out, "%-19s%8.0f MB in %.2f s; the process grew by %.1f MB\n", "export",
                      (double)export->bytes / MB, seconds, (double)export->grown_bytes / MB);
}

void weir__beat_report_text(const weir__bench_session *session, const weir__beat_options *options,
                            const weir__beat_results *results, weir__text *out)
{
    weir__text_printf(
        out, "SQLite %s, %u cores, %s, %" PRIu64 " events before; medians of %u round%s of %g s\n",
        sqlite3_libversion(), session->cores, session->fs_kind.name, options->events, results->rounds_done,
        results->rounds_done == 1 ? "" : "s", (double)options->window_ns / (double)WEIR__NS_PER_S);
    weir__text_add(out, "writing and syncing 4 KiB takes ");
    weir__bench_add_time(out, (double)session->sync_ns / (double)WEIR__NS_PER_US, 0);
    weir__text_printf(out, "\n\n%-19s%10s%12s%12s%12s\n", "", "per s", "p50", "p99", "max");
    for (int i = 0; i < WEIR__BEAT_ROWS; i++)
        if (options->chosen[i])
            add_row(results, (weir__beat_row)i, out);
    if (options->export)
        add_export(&results->export, out);
    add_goals(options, results, out);
    weir__text_char(out, '\n');
    for (int i = 0; i < WEIR__BEAT_ROWS; i++)
        if (options->chosen[i])
            weir__text_printf(out, "  %-19s %s\n", weir__beat_rows[i].name, weir__beat_rows[i].about);
    if (results->without_wrk)
        weir__text_printf(out, "%s was left out: wrk is not installed (apt-get install wrk).\n",
                          weir__beat_rows[WEIR__BEAT_HTTP].name);
}

// ------------------------------------------------------------------------------------------------ programs

static void json_rows(const weir__beat_options *options, const weir__beat_results *results, weir__text *out)
{
    bool any = false;
    for (int i = 0; i < WEIR__BEAT_ROWS; i++) {
        const weir__beat_row row = (weir__beat_row)i;
        if (!options->chosen[i])
            continue;
        weir__text_printf(out,
                          "%s{\"name\":\"%s\",\"per_s\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
                          "\"rounds\":[",
                          any ? "," : "", weir__beat_rows[i].name, median_of(results, row, per_s),
                          median_of(results, row, p50_us), median_of(results, row, p99_us),
                          median_of(results, row, max_us));
        for (unsigned r = 0; r < results->rounds_done; r++)
            weir__text_printf(out, "%s%.1f", r ? "," : "", results->paces[i][r].per_s);
        weir__text_add(out, "]}");
        any = true;
    }
}

void weir__beat_report_json(const weir__bench_session *session, const weir__beat_options *options,
                            const weir__beat_results *results, weir__text *out)
{
    goal goals[GOALS_MAX];
    const size_t count = goals_of(options, results, goals);
    weir__text_add(out, "{\"rows\":[");
    json_rows(options, results, out);
    weir__text_add(out, "],\"figures\":{");
    for (size_t i = 0; i < count; i++)
        weir__text_printf(out, "%s\"%s\":%.4f", i ? "," : "", goals[i].name, goals[i].value);
    weir__text_add(out, "},");
    if (options->export)
        weir__text_printf(out,
                          "\"export\":{\"bytes\":%" PRIu64 ",\"seconds\":%.3f,\"grown_bytes\":%" PRIu64 "},",
                          results->export.bytes, (double)results->export.time_ns / (double)WEIR__NS_PER_S,
                          results->export.grown_bytes);
    weir__text_printf(out, "\"environment\":{\"weir\":\"%s\",\"sqlite\":\"%s\",\"cores\":%u,\"file_system\":",
                      WEIR_VERSION, sqlite3_libversion(), session->cores);
    weir__text_json_string(out, session->fs_kind.name, strlen(session->fs_kind.name));
    weir__text_printf(out,
                      ",\"sync_us\":%.1f,\"events\":%" PRIu64 ",\"seconds\":%g,\"rounds\":%u,\"wrk\":%s}}\n",
                      (double)session->sync_ns / (double)WEIR__NS_PER_US, options->events,
                      (double)options->window_ns / (double)WEIR__NS_PER_S, results->rounds_done,
                      results->without_wrk ? "false" : "true");
}
