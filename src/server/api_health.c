// SPDX-License-Identifier: MIT
//
// Health, metrics and maintenance over HTTP.
//
// Healthy means: a read and a durable write have just worked, and the store has no finding of the worst kind.
// The probe's result stands for a second, and those who ask meanwhile wait for one probe, so that a crowd of
// monitors does not become load.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "server/core.h"

enum { PROBE_DEADLINE_MS = 2000, FINDINGS_MAX = 32 };
#define PROBE_LIFE_NS WEIR__NS_PER_S
#define TIMESTAMP_SIZE 32

static void utc_now(char out[TIMESTAMP_SIZE])
{
    struct tm tm;
    const time_t now = time(NULL);
    out[0] = '\0';
    if (gmtime_r(&now, &tm) != NULL)
        (void)strftime(out, TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static weir__outcome answer_code(weir__exchange *exchange, const weir_error *err)
{
    weir__answer_code(exchange, err);
    return WEIR__ANSWERED;
}

static int look_at_nothing(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "SELECT count(*) FROM sqlite_schema", "");
}

static void probe_activity(weir_store *store, bool read_only, weir__component *component)
{
    weir__clock *clock = weir__clock_system();
    const weir_read_options read = {.deadline_ms = PROBE_DEADLINE_MS};
    const weir_write_options write = {.deadline_ms = PROBE_DEADLINE_MS};
    const uint64_t began = weir__clock_now_ns(clock);
    int code = weir_read(store, look_at_nothing, NULL, &read, &component->error);
    const uint64_t was_read = weir__clock_now_ns(clock);
    if (code == WEIR_OK && !read_only)
        code = weir_write(store, look_at_nothing, NULL, &write, &component->error);
    component->read_ns = was_read - began;
    component->write_ns = code == WEIR_OK ? weir__clock_now_ns(clock) - was_read : 0;
}

static void probe_runs(weir_runs *runs, weir__component *component)
{
    weir_runs_probe_report report = {0};
    (void)weir_runs_probe(runs, PROBE_DEADLINE_MS, &report, &component->error);
    component->read_ns = report.read_ns;
    component->write_ns = report.write_ns;
}

static weir__health_probe probe(weir__server *server)
{
    pthread_mutex_lock(&server->probe_lock);
    const uint64_t now = weir__clock_now_ns(weir__clock_system());
    if (server->probe.at_ns == 0 || now - server->probe.at_ns > PROBE_LIFE_NS) {
        server->probe = (weir__health_probe){0};
        if (server->runs != NULL)
            probe_runs(server->runs, &server->probe.runs);
        if (server->activity != NULL)
            probe_activity(weir_activity_store(server->activity), server->options.store.read_only,
                           &server->probe.activity);
        server->probe.at_ns = weir__clock_now_ns(weir__clock_system());
    }
    const weir__health_probe result = server->probe;
    pthread_mutex_unlock(&server->probe_lock);
    return result;
}

static void add_findings(weir__spool *spool, const weir_finding *findings, size_t count)
{
    static const char *const severities[] = {"info", "warning", "error"};
    weir__spool_add(spool, "[");
    for (size_t i = 0; i < count; i++) {
        weir__spool_add(spool, i > 0 ? ",{\"severity\":" : "{\"severity\":");
        weir__spool_json_string(spool, severities[findings[i].severity]);
        weir__spool_add(spool, ",\"name\":");
        weir__spool_json_string(spool, findings[i].name);
        weir__spool_add(spool, ",\"seen\":");
        weir__spool_json_string(spool, findings[i].seen);
        weir__spool_add(spool, ",\"meaning\":");
        weir__spool_json_string(spool, findings[i].meaning);
        weir__spool_add(spool, ",\"remedy\":");
        weir__spool_json_string(spool, findings[i].remedy);
        weir__spool_add(spool, "}");
    }
    weir__spool_add(spool, "]");
}

// Of all stores; the worst of each come first.
static size_t read_findings(const weir__server *server, weir_finding findings[FINDINGS_MAX])
{
    size_t count = 0;
    if (server->runs != NULL)
        count = weir_runs_health(server->runs, findings, FINDINGS_MAX);
    count = count < FINDINGS_MAX ? count : FINDINGS_MAX;
    if (server->activity != NULL)
        count += weir_health(weir_activity_store(server->activity), findings + count, FINDINGS_MAX - count);
    return count < FINDINGS_MAX ? count : FINDINGS_MAX;
}

static bool any_is_an_error(const weir_finding *findings, size_t count)
{
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found = found || findings[i].severity == WEIR_SEVERITY_ERROR;
    return found;
}

static void add_component(weir__spool *spool, const char *name, const weir__component *component)
{
    const bool working = component->error.code == WEIR_OK;
    weir__spool_printf(spool, "\"%s\":{\"status\":\"%s\",\"read_ms\":%.3f,\"write_ms\":%.3f,\"error\":", name,
                       working ? "healthy" : "unhealthy", (double)component->read_ns / 1e6,
                       (double)component->write_ns / 1e6);
    weir__spool_json_string(spool, working ? NULL : component->error.text);
    weir__spool_add(spool, "},");
}

weir__outcome weir__get_health(weir__exchange *exchange)
{
    const weir__server *server = exchange->server;
    weir_finding findings[FINDINGS_MAX];
    char now[TIMESTAMP_SIZE];
    const weir__health_probe probed = probe(exchange->server);
    const size_t count = read_findings(server, findings);
    const bool working = probed.runs.error.code == WEIR_OK && probed.activity.error.code == WEIR_OK;
    const bool healthy = working && !any_is_an_error(findings, count);
    weir__spool spool = weir__exchange_spool(exchange);
    utc_now(now);
    weir__spool_printf(&spool, "{\"status\":\"%s\",\"service\":\"%s\",\"timestamp\":\"%s\",\"components\":{",
                       healthy ? "healthy" : "unhealthy", server->runs != NULL ? "StepFlow Monitor" : "Weir",
                       now);
    if (server->runs != NULL)
        add_component(&spool, "database", &probed.runs);
    if (server->activity != NULL)
        add_component(&spool, "activity", &probed.activity);
    weir__spool_add(&spool, "\"websocket\":{\"status\":\"disabled\"}},\"findings\":");
    add_findings(&spool, findings, count);
    weir__spool_printf(&spool, ",\"version\":\"%s\"}", WEIR_VERSION);
    weir__answer_spool(exchange, healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, &spool);
    return WEIR__ANSWERED;
}

static void add_services(weir__spool *spool, const weir__server *server)
{
    const bool keys = server->keys.count > 0;
    weir__spool_printf(
        spool,
        "\"services\":{\"websocket_clients\":0,\"websocket_running\":false,\"auth_enabled\":%s,"
        "\"auth_method\":\"%s\"}",
        keys ? "true" : "false", keys ? "api_key" : "disabled");
}

weir__outcome weir__get_health_status(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_runs_statistics statistics;
    weir__machine machine;
    char now[TIMESTAMP_SIZE];
    if (weir_runs_read_statistics(exchange->server->runs, &statistics, &err) != WEIR_OK)
        return answer_code(exchange, &err);
    weir__machine_read(exchange->server, &machine);
    weir__spool spool = weir__exchange_spool(exchange);
    utc_now(now);
    weir__spool_printf(&spool,
                       "{\"system\":{\"uptime_seconds\":%.3f,\"cpu_percent\":%.1f,\"memory_percent\":%.1f,"
                       "\"disk_percent\":%.1f,\"memory_used_mb\":%.1f,\"disk_used_gb\":%.2f},",
                       weir__server_uptime_s(exchange->server), machine.cpu_percent, machine.memory_percent,
                       machine.disk_percent, machine.memory_used_mb, machine.disk_used_gb);
    add_services(&spool, exchange->server);
    weir__spool_printf(
        &spool,
        ",\"database\":{\"total_executions\":%llu,\"running_executions\":%llu,"
        "\"completed_executions\":%llu,\"failed_executions\":%llu},\"timestamp\":\"%s\",\"status\":200}",
        (unsigned long long)statistics.total, (unsigned long long)statistics.by_status[WEIR_RUN_RUNNING],
        (unsigned long long)statistics.by_status[WEIR_RUN_COMPLETED],
        (unsigned long long)statistics.by_status[WEIR_RUN_FAILED], now);
    weir__answer_spool(exchange, MHD_HTTP_OK, &spool);
    return WEIR__ANSWERED;
}

weir__outcome weir__get_health_metrics(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__server *server = exchange->server;
    weir_runs_metrics metrics;
    weir__machine machine;
    char now[TIMESTAMP_SIZE];
    if (weir_runs_read_metrics(server->runs, &metrics, &err) != WEIR_OK)
        return answer_code(exchange, &err);
    weir__machine_read(server, &machine);
    weir__spool spool = weir__exchange_spool(exchange);
    utc_now(now);
    weir__spool_printf(&spool, "{\"timestamp\":\"%s\",\"database\":", now);
    weir__spool_take(&spool, weir_runs_metrics_to_json(server->runs, &metrics));
    weir__spool_printf(
        &spool,
        ",\"system\":{\"cpu_percent\":%.1f,\"memory_percent\":%.1f,\"disk_usage_percent\":%.1f,"
        "\"open_connections\":%zu},\"uptime_seconds\":%.3f,\"active_runs\":%zu,\"store\":",
        machine.cpu_percent, machine.memory_percent, machine.disk_percent, weir__peers_count(&server->peers),
        weir__server_uptime_s(server), weir_runs_active_count(server->runs));
    weir__spool_take(&spool, weir_stats_json(weir_runs_store(server->runs)));
    weir__spool_add(&spool, "}");
    weir__answer_spool(exchange, MHD_HTTP_OK, &spool);
    return WEIR__ANSWERED;
}

// "…" or null.
static void add_time(weir__spool *spool, const char *key, weir_local_us time)
{
    char text[WEIR_LOCAL_TEXT_SIZE];
    weir_local_format(time, text);
    weir__spool_printf(spool, ",\"%s\":", key);
    weir__spool_json_string(spool, time == 0 ? NULL : text);
}

weir__outcome weir__get_health_database(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_runs_metrics metrics;
    char now[TIMESTAMP_SIZE];
    if (weir_runs_read_metrics(exchange->server->runs, &metrics, &err) != WEIR_OK)
        return answer_code(exchange, &err);
    weir__spool spool = weir__exchange_spool(exchange);
    utc_now(now);
    weir__spool_printf(&spool,
                       "{\"total_executions\":%llu,\"running_executions\":%llu,\"completed_executions\":%llu,"
                       "\"failed_executions\":%llu,\"total_steps\":%llu,\"total_artifacts\":%llu,"
                       "\"database_size_mb\":%.2f",
                       (unsigned long long)metrics.executions, (unsigned long long)metrics.running,
                       (unsigned long long)metrics.completed, (unsigned long long)metrics.failed,
                       (unsigned long long)metrics.steps, (unsigned long long)metrics.artifacts,
                       (double)metrics.database_bytes / (1024.0 * 1024.0));
    add_time(&spool, "oldest_execution", metrics.oldest);
    add_time(&spool, "newest_execution", metrics.newest);
    weir__spool_printf(&spool, ",\"timestamp\":\"%s\",\"status\":200}", now);
    weir__answer_spool(exchange, MHD_HTTP_OK, &spool);
    return WEIR__ANSWERED;
}

// ------------------------------------------------------------------------------------------ maintenance

// One at a time: the check reads the whole file.
static bool claim_optimizing(weir__server *server, bool claim)
{
    pthread_mutex_lock(&server->lock);
    const bool free = !server->optimizing;
    if (!claim || free)
        server->optimizing = claim;
    pthread_mutex_unlock(&server->lock);
    return free;
}

static void answer_optimized(weir__exchange *exchange, const weir_optimize_report *report,
                             const weir_runs_metrics *metrics)
{
    weir__spool spool = weir__exchange_spool(exchange);
    char now[TIMESTAMP_SIZE];
    utc_now(now);
    weir__spool_printf(&spool,
                       "{\"status\":\"optimization_completed\",\"timestamp\":\"%s\",\"intact\":%s,"
                       "\"optimize_ms\":%.3f,\"check_ms\":%.3f,\"check\":",
                       now, report->intact ? "true" : "false", (double)report->optimize_ns / 1e6,
                       (double)report->check_ns / 1e6);
    weir__spool_json_string(&spool, report->check);
    weir__spool_printf(&spool,
                       ",\"checkpoint\":{\"busy\":%d,\"log\":%lld,\"checkpointed\":%lld,\"ms\":%.3f,\"why\":",
                       report->checkpoint.busy, (long long)report->checkpoint.log_frames,
                       (long long)report->checkpoint.moved_frames, (double)report->checkpoint_ns / 1e6);
    weir__spool_json_string(&spool, report->checkpoint.why);
    weir__spool_add(&spool, "},\"metrics\":");
    weir__spool_take(&spool, weir_runs_metrics_to_json(exchange->server->runs, metrics));
    weir__spool_add(&spool, "}");
    weir__answer_spool(exchange, MHD_HTTP_OK, &spool);
}

// A server that stops does not wait for the end of a check.
static bool go_on(void *context, const char *phase, uint64_t done, uint64_t total)
{
    const weir__server *server = context;
    (void)phase;
    (void)done;
    (void)total;
    return !atomic_load(&server->stopping);
}

weir__outcome weir__post_optimize(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__server *server = exchange->server;
    weir_optimize_report report;
    weir_runs_metrics metrics;
    weir_optimize_options options = {.progress = go_on, .context = server};
    if (weir__uri_param_bool(&exchange->uri, "full", &options.full_check, &err) != WEIR_OK)
        return answer_code(exchange, &err);
    if (!claim_optimizing(server, true)) {
        weir__answer_error(exchange, MHD_HTTP_CONFLICT, "an optimization is under way already");
        return WEIR__ANSWERED;
    }
    int code = weir_optimize(weir_runs_store(server->runs), &options, &report, &err);
    if (code == WEIR_OK)
        code = weir_runs_read_metrics(server->runs, &metrics, &err);
    (void)claim_optimizing(server, false);
    if (code != WEIR_OK)
        return answer_code(exchange, &err);
    answer_optimized(exchange, &report, &metrics);
    return WEIR__ANSWERED;
}

weir__outcome weir__get_store(weir__exchange *exchange)
{
    const weir__server *server = exchange->server;
    weir_finding findings[FINDINGS_MAX];
    const size_t count = read_findings(server, findings);
    weir__spool spool = weir__exchange_spool(exchange);
    weir__spool_add(&spool, "{");
    if (server->runs != NULL) {
        weir__spool_add(&spool, "\"store\":");
        weir__spool_take(&spool, weir_stats_json(weir_runs_store(server->runs)));
        weir__spool_add(&spool, ",");
    }
    if (server->activity != NULL) {
        weir__spool_add(&spool, "\"activity\":");
        weir__spool_take(&spool, weir_stats_json(weir_activity_store(server->activity)));
        weir__spool_add(&spool, ",");
    }
    weir__spool_add(&spool, "\"findings\":");
    add_findings(&spool, findings, count);
    weir__spool_add(&spool, ",\"status\":200}");
    weir__answer_spool(exchange, MHD_HTTP_OK, &spool);
    return WEIR__ANSWERED;
}
