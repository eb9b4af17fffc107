// SPDX-License-Identifier: MIT
//
// What was measured, for people and for programs.
//
// A figure of a row is the median of its rounds; its spread is the range of the rounds' throughputs as a part
// of that median. A ratio of two rows is the median of the ratios of each round: both had their turn within
// seconds of each other there, and a machine that is busy for a while is so for both.
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "bench/commit.h"

typedef struct ratio {
    const char *name;
    const char *row, *by;
    double wanted; // 0: nothing is asked for
} ratio;

static const ratio RATIOS[] = {
    {"inflight_vs_bulk", "weir_inflight_8x64", "bulk_1000", 0.65},
    {"inflight_vs_full", "weir_inflight_8x64", "wal_full", 30},
    {"inflight_vs_normal", "weir_inflight_8x64", "wal_normal", 0},
    {"blocking64_vs_naive64", "weir_blocking_64", "wal_full_64", 20},
    {"blocking1_vs_naive", "weir_blocking_1", "wal_full", 0.9},
};
enum { RATIOS_SIZE = sizeof RATIOS / sizeof RATIOS[0] };

// ------------------------------------------------------------------------------------------------- medians

typedef double field_fn(const weir__bench_round *round);

static double rows_per_s(const weir__bench_round *round)
{
    return round->pace.per_s;
}

static double p50_us(const weir__bench_round *round)
{
    return (double)round->pace.p50_ns / (double)WEIR__NS_PER_US;
}

static double p99_us(const weir__bench_round *round)
{
    return (double)round->pace.p99_ns / (double)WEIR__NS_PER_US;
}

static double p999_us(const weir__bench_round *round)
{
    return (double)round->pace.p999_ns / (double)WEIR__NS_PER_US;
}

static double group_jobs_p50(const weir__bench_round *round)
{
    return (double)round->group_jobs_p50;
}

static double median_of(const weir__bench_results *results, size_t row, field_fn *field)
{
    double values[WEIR__BENCH_ROUNDS_MAX];
    for (unsigned i = 0; i < results->rounds_done; i++)
        values[i] = field(&results->rounds[row][i]);
    return weir__bench_median(values, results->rounds_done);
}

static double max_us(const weir__bench_results *results, size_t row)
{
    uint64_t max_ns = 0;
    for (unsigned i = 0; i < results->rounds_done; i++)
        if (results->rounds[row][i].pace.max_ns > max_ns)
            max_ns = results->rounds[row][i].pace.max_ns;
    return (double)max_ns / (double)WEIR__NS_PER_US;
}

static uint64_t gave_up(const weir__bench_results *results, size_t row)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < results->rounds_done; i++)
        sum += results->rounds[row][i].pace.gave_up;
    return sum;
}

static double spread(const weir__bench_results *results, size_t row)
{
    double low = results->rounds[row][0].pace.per_s;
    double high = low;
    for (unsigned i = 1; i < results->rounds_done; i++) {
        const double value = results->rounds[row][i].pace.per_s;
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    const double middle = median_of(results, row, rows_per_s);
    return middle > 0 ? (high - low) / middle : 0;
}

static size_t row_index(const char *name)
{
    size_t i = 0;
    while (strcmp(weir__bench_rows[i].name, name) != 0)
        i++;
    return i;
}

// False when one of the two rows was not measured.
static bool ratio_value(const weir__bench_options *options, const weir__bench_results *results,
                        const ratio *wanted, double *value)
{
    const size_t row = row_index(wanted->row);
    const size_t by = row_index(wanted->by);
    double values[WEIR__BENCH_ROUNDS_MAX];
    if (!options->chosen[row] || !options->chosen[by])
        return false;
    for (unsigned i = 0; i < results->rounds_done; i++) {
        if (results->rounds[by][i].pace.per_s <= 0)
            return false;
        values[i] = results->rounds[row][i].pace.per_s / results->rounds[by][i].pace.per_s;
    }
    *value = weir__bench_median(values, results->rounds_done);
    return true;
}

// -------------------------------------------------------------------------------------------------- people

static void add_row(const weir__bench_results *results, size_t row, weir__text *out)
{
    weir__text_printf(out, "%-19s", weir__bench_rows[row].name);
    weir__bench_add_count(out, median_of(results, row, rows_per_s));
    weir__text_printf(out, "%6.0f %%", 100 * spread(results, row));
    weir__bench_add_time(out, median_of(results, row, p50_us), 10);
    weir__bench_add_time(out, median_of(results, row, p99_us), 10);
    weir__bench_add_time(out, max_us(results, row), 10);
    const double group = median_of(results, row, group_jobs_p50);
    if (group > 0)
        weir__text_printf(out, "%8.0f", group);
    weir__text_char(out, '\n');
    if (gave_up(results, row))
        weir__text_printf(out, "%19s %" PRIu64 " writes gave up: the database was locked for too long\n", "",
                          gave_up(results, row));
}

static void add_ratios(const weir__bench_options *options, const weir__bench_results *results,
                       weir__text *out)
{
    bool any = false;
    for (size_t i = 0; i < RATIOS_SIZE; i++) {
        const ratio *wanted = &RATIOS[i];
        double value;
        if (!ratio_value(options, results, wanted, &value))
            continue;
        if (!any)
            weir__text_printf(out, "\n%-23s%10s%8s\n", "ratio", "measured", "wanted");
        any = true;
        weir__text_printf(out, "%-23s%10.2f", wanted->name, value);
        if (wanted->wanted > 0 && options->sync_delay_us == 0)
            weir__text_printf(out, "%8.2f  %s", wanted->wanted, value >= wanted->wanted ? "met" : "not met");
        weir__text_char(out, '\n');
    }
    if (any && options->sync_delay_us)
        weir__text_add(out, "What is wanted is wanted of the disk as it is, without --sync-delay-us.\n");
}

static void add_head(const weir__bench_session *session, const weir__bench_options *options,
                     const weir__bench_results *results, weir__text *out)
{
    weir__text_printf(out, "SQLite %s, %u cores, %s, texts of %u bytes; medians of %u round%s of %g s\n",
                      sqlite3_libversion(), session->cores, session->fs_kind.name, options->text_bytes,
                      results->rounds_done, results->rounds_done == 1 ? "" : "s",
                      (double)options->window_ns / (double)WEIR__NS_PER_S);
    weir__text_add(out, "writing and syncing 4 KiB takes ");
    weir__bench_add_time(out, (double)session->sync_ns / (double)WEIR__NS_PER_US, 0);
    if (options->sync_delay_us)
        weir__text_printf(out, " here; every sync waits %" PRIu32 " us more", options->sync_delay_us);
    weir__text_char(out, '\n');
    if (results->cut_short)
        weir__text_printf(out, "not %u rounds as usual, because this machine is slow\n", options->rounds);
}

void weir__bench_report_text(const weir__bench_session *session, const weir__bench_options *options,
                             const weir__bench_results *results, weir__text *out)
{
    add_head(session, options, results, out);
    weir__text_printf(out, "\n%-19s%10s%8s%10s%10s%10s%8s\n", "", "rows/s", "spread", "p50", "p99", "max",
                      "group");
    for (size_t i = 0; i < WEIR__BENCH_ROWS; i++)
        if (options->chosen[i])
            add_row(results, i, out);
    add_ratios(options, results, out);
    weir__text_add(out, "\nEvery row is one durable transaction of its own, unless it says otherwise:\n");
    for (size_t i = 0; i < WEIR__BENCH_ROWS; i++)
        if (options->chosen[i])
            weir__text_printf(out, "  %-19s %s\n", weir__bench_rows[i].name, weir__bench_rows[i].about);
    weir__text_add(out, "p50, p99, max: from handing a transaction over to its acknowledgement.\n"
                        "group: transactions that shared a commit and its sync, the median.\n");
}

// ------------------------------------------------------------------------------------------------ programs

static void json_row(const weir__bench_results *results, size_t row, weir__text *out)
{
    const weir__bench_row *about = &weir__bench_rows[row];
    weir__text_printf(out,
                      "{\"name\":\"%s\",\"threads\":%u,\"rows_per_transaction\":%u,\"tx_per_s\":%.1f,"
                      "\"spread\":%.3f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
                      "\"gave_up\":%" PRIu64,
                      about->name, about->threads, about->rows_per_transaction,
                      median_of(results, row, rows_per_s), spread(results, row),
                      median_of(results, row, p50_us), median_of(results, row, p99_us),
                      median_of(results, row, p999_us), max_us(results, row), gave_up(results, row));
    const double group = median_of(results, row, group_jobs_p50);
    if (group > 0)
        weir__text_printf(out, ",\"group_jobs_p50\":%.0f", group);
    weir__text_add(out, ",\"rounds\":[");
    for (unsigned i = 0; i < results->rounds_done; i++)
        weir__text_printf(out, "%s%.1f", i ? "," : "", results->rounds[row][i].pace.per_s);
    weir__text_add(out, "]}");
}

static void json_ratios(const weir__bench_options *options, const weir__bench_results *results,
                        weir__text *out)
{
    weir__text_add(out, ",\"ratios\":{");
    for (size_t i = 0; i < RATIOS_SIZE; i++) {
        double value;
        weir__text_printf(out, "%s\"%s\":", i ? "," : "", RATIOS[i].name);
        if (ratio_value(options, results, &RATIOS[i], &value))
            weir__text_printf(out, "%.4f", value);
        else
            weir__text_add(out, "null");
    }
    weir__text_add(out, "}");
}

static void json_environment(const weir__bench_session *session, const weir__bench_options *options,
                             const weir__bench_results *results, weir__text *out)
{
    weir__text_printf(out,
                      ",\"environment\":{\"weir\":\"%s\",\"sqlite\":\"%s\",\"cores\":%u,\"file_system\":",
                      WEIR_VERSION, sqlite3_libversion(), session->cores);
    weir__text_json_string(out, session->fs_kind.name, strlen(session->fs_kind.name));
    weir__text_printf(
        out,
        ",\"sync_us\":%.1f,\"sync_delay_us\":%" PRIu32
        ",\"page_size\":%d,\"text_bytes\":%u,\"synchronous\":\"full\",\"seconds\":%g,\"rounds\":%u}",
        (double)session->sync_ns / (double)WEIR__NS_PER_US, options->sync_delay_us, WEIR__BENCH_PAGE_BYTES,
        options->text_bytes, (double)options->window_ns / (double)WEIR__NS_PER_S, results->rounds_done);
}

void weir__bench_report_json(const weir__bench_session *session, const weir__bench_options *options,
                             const weir__bench_results *results, weir__text *out)
{
    bool any = false;
    weir__text_add(out, "{\"rows\":[");
    for (size_t i = 0; i < WEIR__BENCH_ROWS; i++) {
        if (!options->chosen[i])
            continue;
        if (any)
            weir__text_char(out, ',');
        json_row(results, i, out);
        any = true;
    }
    weir__text_char(out, ']');
    json_ratios(options, results, out);
    json_environment(session, options, results, out);
    weir__text_add(out, "}\n");
}
