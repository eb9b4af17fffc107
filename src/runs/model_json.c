// SPDX-License-Identifier: MIT
//
// Models as JSON objects: the keys of StepFlow Monitor in its order, then keys of our own. JSON columns are
// embedded as they are in memory; reading and saving have made sure that they are valid.
//
// No state, any thread.
#include <math.h> // NAN
#include <stdlib.h>
#include <string.h>

#include "runs/runs.h"

// Writes `"key": ` with the separator in front of all but an object's first key.
static void key(weir__text *text, const char *name)
{
    const char last = text->size > 0 ? text->data[text->size - 1] : '{';
    weir__text_printf(text, "%s\"%s\": ", last == '{' ? "" : ", ", name);
}

static void put_string(weir__text *text, const char *name, const char *value)
{
    key(text, name);
    if (value == NULL)
        weir__text_add(text, "null");
    else
        weir__json_string(text, value, strlen(value));
}

static void put_int64(weir__text *text, const char *name, bool present, int64_t value)
{
    key(text, name);
    if (present)
        weir__text_printf(text, "%lld", (long long)value);
    else
        weir__text_add(text, "null");
}

static void put_double(weir__text *text, const char *name, bool present, double value)
{
    key(text, name);
    weir__json_double(text, present ? value : NAN);
}

static void put_bool(weir__text *text, const char *name, bool value)
{
    key(text, name);
    weir__text_add(text, value ? "true" : "false");
}

static void put_time(weir__text *text, const char *name, weir_local_us value)
{
    char formatted[WEIR_LOCAL_TEXT_SIZE];
    weir_local_format(value, formatted);
    put_string(text, name, value != 0 ? formatted : NULL);
}

static void put_json(weir__text *text, const char *name, const char *json, const char *missing)
{
    key(text, name);
    weir__text_add(text, json != NULL && *json != '\0' ? json : missing);
}

static const char *status_word(weir_run_status status, const char *status_text)
{
    return status == WEIR_RUN_OTHER && status_text != NULL ? status_text : weir_run_status_name(status);
}

static void add_execution(weir__text *text, const weir_execution *execution,
                          const weir_run_json_options *options)
{
    double seconds = 0.0;
    const bool timed = weir_execution_duration(execution, options->now, &seconds);
    weir__text_char(text, '{');
    put_string(text, "id", execution->id);
    put_string(text, "name", execution->name);
    put_string(text, "command", execution->command);
    put_string(text, "working_directory", execution->working_directory);
    put_string(text, "status", status_word(execution->status, execution->status_text));
    put_int64(text, "exit_code", execution->has_exit_code, execution->exit_code);
    put_string(text, "error_message", execution->error_message);
    put_time(text, "created_at", execution->created_at);
    put_time(text, "started_at", execution->started_at);
    put_time(text, "completed_at", execution->completed_at);
    put_json(text, "environment", execution->environment_json, "{}");
    put_string(text, "user", execution->user);
    put_json(text, "tags", execution->tags_json, "[]");
    put_int64(text, "total_steps", true, execution->total_steps);
    put_int64(text, "completed_steps", true, execution->completed_steps);
    put_int64(text, "current_step_index", true, execution->current_step_index);
    put_double(text, "duration_seconds", timed, seconds);
    put_double(text, "progress_percentage", true, weir_execution_progress(execution));
    put_json(text, "metadata", execution->metadata_json, "{}");
    if (options->execution_id)
        put_string(text, "execution_id", execution->id);
    weir__text_char(text, '}');
}

static void add_step_log(weir__text *text, const weir_log_line *line)
{
    weir__text_char(text, '{');
    put_time(text, "timestamp", line->time);
    key(text, "content");
    weir__json_string(text, line->content, line->content_size);
    put_string(text, "level", "info");
    weir__text_char(text, '}');
}

static void add_step(weir__text *text, const weir_run_step *step, const weir_log_line *logs,
                     size_t logs_count, const weir_run_json_options *options)
{
    double seconds = 0.0;
    const bool timed = weir_run_step_duration(step, options->now, &seconds);
    weir__text_char(text, '{');
    put_string(text, "id", step->id);
    put_string(text, "execution_id", step->execution_id);
    put_string(text, "name", step->name);
    put_string(text, "description", step->description);
    put_int64(text, "index", true, step->index);
    put_string(text, "status", status_word(step->status, step->status_text));
    put_int64(text, "exit_code", step->has_exit_code, step->exit_code);
    put_string(text, "error_message", step->error_message);
    put_time(text, "created_at", step->created_at);
    put_time(text, "started_at", step->started_at);
    put_time(text, "completed_at", step->completed_at);
    put_double(text, "estimated_duration", step->has_estimated_duration, step->estimated_duration);
    put_double(text, "duration_seconds", timed, seconds);
    key(text, "logs");
    weir__text_char(text, '[');
    for (size_t i = 0; i < logs_count; i++) {
        weir__text_add(text, i > 0 ? ", " : "");
        add_step_log(text, &logs[i]);
    }
    weir__text_char(text, ']');
    put_json(text, "metadata", step->metadata_json, "{}");
    put_bool(text, "is_finished",
             step->status == WEIR_RUN_COMPLETED || step->status == WEIR_RUN_FAILED ||
                 step->status == WEIR_RUN_SKIPPED);
    put_bool(text, "stop_on_error", step->stop_on_error);
    if (options->logs_extra) {
        put_int64(text, "log_count", true, (int64_t)options->log_count);
        put_int64(text, "log_offset", true, (int64_t)options->log_offset);
        put_bool(text, "logs_truncated", logs_count + options->log_streamed < options->log_count);
    }
    weir__text_char(text, '}');
}

// "8.0 B", "1.5 KB"; "0 B"
static void put_human_size(weir__text *text, const char *name, int64_t size)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    const size_t last = sizeof units / sizeof *units - 1;
    double value = (double)size;
    size_t unit = 0;
    for (; value >= 1024.0 && unit < last; unit++)
        value /= 1024.0;
    key(text, name);
    if (size == 0)
        weir__text_add(text, "\"0 B\"");
    else
        weir__text_printf(text, "\"%.1f %s\"", value, units[unit]);
}

static void put_extension(weir__text *text, const char *name, const char *file_name)
{
    weir__text lower = {0};
    for (const char *c = weir__file_extension(file_name != NULL ? file_name : ""); *c != '\0'; c++)
        weir__text_char(&lower, *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c);
    put_string(text, name, weir__text_string(&lower));
    text->failed = text->failed || lower.failed;
    weir__text_free(&lower);
}

static bool is_expired(const weir_artifact *artifact, weir_local_us now)
{
    const int64_t day_us = 86400 * WEIR__US_PER_S;
    if (!artifact->has_retention_days || artifact->retention_days == 0 || artifact->created_at == 0)
        return false;
    int64_t kept_us = 0;
    int64_t end = 0;
    if (__builtin_mul_overflow(artifact->retention_days, day_us, &kept_us) ||
        __builtin_add_overflow(artifact->created_at, kept_us, &end))
        return artifact->retention_days < 0;
    return (now != 0 ? now : weir_local_now()) > end;
}

static void add_artifact(weir__text *text, const weir_artifact *artifact,
                         const weir_run_json_options *options)
{
    weir__text_char(text, '{');
    put_string(text, "id", artifact->id);
    put_string(text, "execution_id", artifact->execution_id);
    put_string(text, "step_id", artifact->step_id);
    put_string(text, "name", artifact->name);
    put_string(text, "description", artifact->description);
    put_string(text, "file_path", artifact->file_path);
    put_string(text, "file_name", artifact->file_name);
    put_int64(text, "file_size", true, artifact->file_size);
    put_human_size(text, "file_size_human", artifact->file_size);
    put_string(text, "mime_type", artifact->mime_type);
    put_string(text, "artifact_type", artifact->artifact_type);
    put_extension(text, "file_extension", artifact->file_name);
    put_time(text, "created_at", artifact->created_at);
    put_json(text, "tags", artifact->tags_json, "[]");
    put_json(text, "metadata", artifact->metadata_json, "{}");
    put_bool(text, "is_public", artifact->is_public);
    put_int64(text, "retention_days", artifact->has_retention_days, artifact->retention_days);
    put_bool(text, "exists", artifact->exists);
    weir__text url = {0};
    weir__text_printf(&url, "/api/artifacts/%s/download", artifact->id != NULL ? artifact->id : "");
    put_string(text, "download_url", weir__text_string(&url));
    weir__text_free(&url);
    put_bool(text, "is_expired", is_expired(artifact, options->now));
    weir__text_char(text, '}');
}

static void add_log_line(weir__text *text, const weir_log_line *line)
{
    weir__text_char(text, '{');
    put_time(text, "timestamp", line->time);
    key(text, "content");
    weir__json_string(text, line->content, line->content_size);
    put_string(text, "level", "info");
    put_string(text, "step_id", line->step_id);
    put_string(text, "step_name", line->step_name);
    key(text, "message");
    weir__json_string(text, line->content, line->content_size);
    weir__text_char(text, '}');
}

// ------------------------------------------------------------------------------------------------ public

static const weir_run_json_options no_options;

char *weir_execution_to_json(const weir_execution *execution, const weir_run_json_options *options)
{
    weir__text text = {0};
    add_execution(&text, execution, options != NULL ? options : &no_options);
    return weir__text_take(&text);
}

char *weir_run_step_to_json(const weir_run_step *step, const weir_log_line *logs, size_t logs_count,
                            const weir_run_json_options *options)
{
    weir__text text = {0};
    add_step(&text, step, logs, logs_count, options != NULL ? options : &no_options);
    return weir__text_take(&text);
}

char *weir_artifact_to_json(const weir_artifact *artifact, const weir_run_json_options *options)
{
    weir__text text = {0};
    add_artifact(&text, artifact, options != NULL ? options : &no_options);
    return weir__text_take(&text);
}

char *weir_log_line_to_json(const weir_log_line *line)
{
    weir__text text = {0};
    add_log_line(&text, line);
    return weir__text_take(&text);
}

char *weir_execution_list_to_json(const weir_execution_list *list, const weir_run_json_options *options)
{
    weir__text text = {0};
    weir__text_char(&text, '[');
    for (size_t i = 0; i < list->count; i++) {
        weir__text_add(&text, i > 0 ? ", " : "");
        add_execution(&text, &list->items[i], options != NULL ? options : &no_options);
    }
    weir__text_char(&text, ']');
    return weir__text_take(&text);
}

char *weir_artifact_list_to_json(const weir_artifact_list *list, const weir_run_json_options *options)
{
    weir__text text = {0};
    weir__text_char(&text, '[');
    for (size_t i = 0; i < list->count; i++) {
        weir__text_add(&text, i > 0 ? ", " : "");
        add_artifact(&text, &list->items[i], options != NULL ? options : &no_options);
    }
    weir__text_char(&text, ']');
    return weir__text_take(&text);
}

char *weir_log_list_to_json(const weir_log_list *list)
{
    weir__text text = {0};
    weir__text_char(&text, '[');
    for (size_t i = 0; i < list->count; i++) {
        weir__text_add(&text, i > 0 ? ", " : "");
        add_log_line(&text, &list->items[i]);
    }
    weir__text_char(&text, ']');
    return weir__text_take(&text);
}

static void put_percent(weir__text *text, double percent)
{
    key(text, "success_rate");
    weir__text_printf(text, "\"%.1f%%\"", percent);
}

char *weir_runs_statistics_to_json(const weir_runs_statistics *statistics)
{
    weir__text text = {0};
    weir__text_char(&text, '{');
    put_int64(&text, "total_executions", true, (int64_t)statistics->total);
    put_int64(&text, "active_now", true, (int64_t)statistics->active);
    put_percent(&text, statistics->success_percent);
    key(&text, "avg_duration");
    if (statistics->timed > 0)
        weir__text_printf(&text, "\"%.1fs\"", statistics->average_s);
    else
        weir__text_add(&text, "\"-\"");
    key(&text, "status_breakdown");
    weir__text_char(&text, '{');
    for (unsigned i = 0; i < sizeof statistics->by_status / sizeof *statistics->by_status; i++)
        if (i <= WEIR_RUN_CANCELLED || statistics->by_status[i] > 0)
            put_int64(&text, weir_run_status_name((weir_run_status)i), true,
                      (int64_t)statistics->by_status[i]);
    weir__text_add(&text, "}}");
    return weir__text_take(&text);
}

// With two decimals.
static double megabytes(uint64_t bytes)
{
    const uint64_t mib = 1024 * 1024;
    const uint64_t hundredths = bytes / mib * 100 + (bytes % mib * 100 + mib / 2) / mib;
    return (double)hundredths / 100.0;
}

char *weir_runs_metrics_to_json(const weir_runs *runs, const weir_runs_metrics *metrics)
{
    const uint64_t total = metrics->database_bytes + metrics->wal_bytes + metrics->shm_bytes;
    weir__text text = {0};
    weir__text_char(&text, '{');
    put_int64(&text, "database_size_bytes", true, (int64_t)metrics->database_bytes);
    put_double(&text, "database_size_mb", true, megabytes(metrics->database_bytes));
    put_int64(&text, "wal_size_bytes", true, (int64_t)metrics->wal_bytes);
    put_int64(&text, "shm_size_bytes", true, (int64_t)metrics->shm_bytes);
    put_double(&text, "total_size_mb", true, megabytes(total));
    key(&text, "table_counts");
    weir__text_char(&text, '{');
    put_int64(&text, "executions", true, (int64_t)metrics->executions);
    put_int64(&text, "steps", true, (int64_t)metrics->steps);
    put_int64(&text, "artifacts", true, (int64_t)metrics->artifacts);
    weir__text_char(&text, '}');
    put_string(&text, "wal_mode", metrics->journal_mode);
    put_int64(&text, "cache_size", true, metrics->cache_size);
    put_int64(&text, "page_size", true, metrics->page_size);
    put_string(&text, "storage_path", runs->path);
    weir__text_char(&text, '}');
    return weir__text_take(&text);
}
