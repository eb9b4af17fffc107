// SPDX-License-Identifier: MIT
//
// Reading rows that anybody may have written. SQLite's columns hold any type and any bytes; one odd field
// must cost neither its row nor the list that the row is in. So every accessor here has an answer for every
// content, and notes that it had to make one up.
//
// Any thread, inside its read.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "runs/rows.h"

typedef struct reader {
    weir_stmt *stmt;
    int column;   // the next one
    unsigned odd; // fields that were not what they should be
    bool failed;  // no memory
} reader;

char *weir__row_text(weir_stmt *stmt, int column, const char *missing, bool *failed)
{
    const char *const stored = weir_column_text(stmt, column);
    if (stored == NULL && missing == NULL)
        return NULL;
    weir__text text = {0};
    if (stored != NULL)
        weir__text_utf8(&text, stored, weir_column_size(stmt, column));
    else
        weir__text_add(&text, missing);
    if (text.data == NULL && !text.failed) // an empty string is a string too
        weir__text_add(&text, "");
    char *const taken = weir__text_take(&text);
    *failed = *failed || taken == NULL;
    return taken;
}

weir_local_us weir__row_time(weir_stmt *stmt, int column, bool *odd)
{
    weir_local_us time = 0;
    const char *const stored = weir_column_text(stmt, column);
    if (stored != NULL && *stored != '\0' && !weir_local_parse(stored, weir_column_size(stmt, column), &time))
        *odd = true;
    return time;
}

static char *read_text(reader *r, const char *missing)
{
    return weir__row_text(r->stmt, r->column++, missing, &r->failed);
}

static weir_local_us read_time(reader *r)
{
    bool odd = false;
    const weir_local_us time = weir__row_time(r->stmt, r->column++, &odd);
    r->odd += odd;
    return time;
}

// An integer, a float without a fraction's loss of meaning, or text that SQLite can read as a number.
static bool read_int64(reader *r, int64_t missing, int64_t *value)
{
    const int column = r->column++;
    const weir_type type = weir_column_type(r->stmt, column);
    *value = missing;
    if (type == WEIR_TYPE_NULL)
        return false;
    if (type == WEIR_TYPE_INTEGER || type == WEIR_TYPE_REAL) {
        *value = weir_column_int64(r->stmt, column);
        return true;
    }
    const char *const text = weir_column_text(r->stmt, column);
    char *end = NULL;
    const long long parsed = text != NULL ? strtoll(text, &end, 10) : 0;
    if (text == NULL || end == text || *end != '\0') {
        r->odd++;
        return false;
    }
    *value = parsed;
    return true;
}

// NULL, 0 and empty text are false, everything else is true.
static bool read_truth(reader *r)
{
    const int column = r->column++;
    const weir_type type = weir_column_type(r->stmt, column);
    if (type == WEIR_TYPE_INTEGER || type == WEIR_TYPE_REAL)
        return weir_column_double(r->stmt, column) != 0.0;
    return type != WEIR_TYPE_NULL && weir_column_size(r->stmt, column) > 0;
}

static bool read_number(reader *r, double *value)
{
    const int column = r->column++;
    const weir_type type = weir_column_type(r->stmt, column);
    const bool numeric = type == WEIR_TYPE_INTEGER || type == WEIR_TYPE_REAL;
    *value = numeric ? weir_column_double(r->stmt, column) : 0.0;
    r->odd += !numeric && type != WEIR_TYPE_NULL;
    return numeric;
}

static char *read_json(reader *r, json_type wanted)
{
    const int column = r->column++;
    const char *const missing = wanted == JSON_ARRAY ? "[]" : "{}";
    const char *const stored = weir_column_text(r->stmt, column);
    weir__text text = {0};
    if (stored != NULL && *stored != '\0' && strcmp(stored, missing) != 0) {
        json_t *value = NULL;
        const int rc = weir__json_parse(stored, weir_column_size(r->stmt, column), wanted, &value);
        if (rc == WEIR_OK)
            weir__json_dump(&text, value);
        r->odd += rc == WEIR_INVALID;
        text.failed = text.failed || rc == WEIR_NOMEM;
        json_decref(value);
    }
    if (text.size == 0 && !text.failed)
        weir__text_add(&text, missing);
    char *const taken = weir__text_take(&text);
    r->failed = r->failed || taken == NULL;
    return taken;
}

static weir_run_status read_status(reader *r, char **other)
{
    char *word = read_text(r, "");
    weir_run_status status = WEIR_RUN_OTHER;
    *other = NULL;
    if (word != NULL && !weir_run_status_parse(word, &status)) {
        r->odd++;
        *other = word;
        word = NULL;
    }
    free(word);
    return status;
}

static int finish(weir_runs *runs, const reader *r, weir_error *err)
{
    if (r->odd > 0)
        atomic_fetch_add_explicit(&runs->warnings, r->odd, memory_order_relaxed);
    return r->failed ? weir__no_memory(err) : WEIR_OK;
}

// Rows that were stored without our patterns, by another program or before, are read with them.
static void hide_secrets(const weir_runs *runs, reader *r, char **environment_json)
{
    char *redacted = NULL;
    if (runs->redact == NULL || runs->redact[0] == NULL || *environment_json == NULL)
        return;
    r->failed = weir__json_redact(runs, *environment_json, &redacted, NULL) != WEIR_OK || r->failed;
    free(*environment_json);
    *environment_json = redacted;
}

int weir__row_execution(weir_runs *runs, weir_stmt *stmt, weir_execution *out, weir_error *err)
{
    reader r = {.stmt = stmt};
    *out = (weir_execution){0};
    out->id = read_text(&r, "");
    out->name = read_text(&r, "");
    out->command = read_text(&r, "");
    out->working_directory = read_text(&r, "");
    out->status = read_status(&r, &out->status_text);
    out->has_exit_code = read_int64(&r, 0, &out->exit_code);
    out->error_message = read_text(&r, NULL);
    out->created_at = read_time(&r);
    out->started_at = read_time(&r);
    out->completed_at = read_time(&r);
    out->environment_json = read_json(&r, JSON_OBJECT);
    hide_secrets(runs, &r, &out->environment_json);
    out->user = read_text(&r, NULL);
    out->tags_json = read_json(&r, JSON_ARRAY);
    read_int64(&r, 0, &out->total_steps);
    read_int64(&r, 0, &out->completed_steps);
    read_int64(&r, -1, &out->current_step_index);
    out->metadata_json = read_json(&r, JSON_OBJECT);
    const int rc = finish(runs, &r, err);
    if (rc != WEIR_OK)
        weir_execution_free(out);
    return rc;
}

int weir__row_step(weir_runs *runs, weir_stmt *stmt, weir_run_step *out, weir_error *err)
{
    reader r = {.stmt = stmt};
    *out = (weir_run_step){0};
    out->id = read_text(&r, "");
    out->execution_id = read_text(&r, "");
    out->name = read_text(&r, "");
    out->description = read_text(&r, "");
    read_int64(&r, 0, &out->index);
    out->status = read_status(&r, &out->status_text);
    out->has_exit_code = read_int64(&r, 0, &out->exit_code);
    out->error_message = read_text(&r, NULL);
    out->created_at = read_time(&r);
    out->started_at = read_time(&r);
    out->completed_at = read_time(&r);
    out->has_estimated_duration = read_number(&r, &out->estimated_duration);
    out->stop_on_error = read_truth(&r);
    out->metadata_json = read_json(&r, JSON_OBJECT);
    const int rc = finish(runs, &r, err);
    if (rc != WEIR_OK)
        weir_run_step_free(out);
    return rc;
}

static bool is_artifact_type(const char *type)
{
    static const char *const types[] = {"log", "report", "data", "image", "document", "archive", "other"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static bool file_exists(const weir_runs *runs, const weir_artifact *artifact)
{
    struct stat st;
    if (*artifact->file_path == '\0')
        return false;
    if (stat(artifact->file_path, &st) == 0)
        return true;
    const char *const name = weir__path_name(artifact->file_path);
    if (*name == '\0' || strcmp(name, "..") == 0 ||
        !weir__fs_is_safe_id(artifact->execution_id, strlen(artifact->execution_id)))
        return false;
    weir__text path = {0};
    weir__text_printf(&path, "%s/artifacts/%s/%s", runs->path, artifact->execution_id, name);
    const bool exists = !path.failed && stat(weir__text_string(&path), &st) == 0;
    weir__text_free(&path);
    return exists;
}

int weir__row_artifact(weir_runs *runs, weir_stmt *stmt, weir_artifact *out, weir_error *err)
{
    reader r = {.stmt = stmt};
    *out = (weir_artifact){0};
    out->id = read_text(&r, "");
    out->execution_id = read_text(&r, "");
    out->step_id = read_text(&r, NULL);
    out->name = read_text(&r, "");
    out->description = read_text(&r, "");
    out->file_path = read_text(&r, "");
    out->file_name = read_text(&r, "");
    read_int64(&r, 0, &out->file_size);
    out->mime_type = read_text(&r, "");
    out->artifact_type = read_text(&r, "other");
    out->created_at = read_time(&r);
    out->tags_json = read_json(&r, JSON_ARRAY);
    out->is_public = read_truth(&r);
    out->has_retention_days = read_int64(&r, 0, &out->retention_days);
    out->metadata_json = read_json(&r, JSON_OBJECT);
    if (!r.failed && !is_artifact_type(out->artifact_type)) {
        r.odd++;
        r.failed = weir__replace_string(&out->artifact_type, "other", NULL) != WEIR_OK;
    }
    const int rc = finish(runs, &r, err);
    if (rc != WEIR_OK)
        weir_artifact_free(out);
    return rc;
}

void weir__artifact_look(const weir_runs *runs, weir_artifact *artifacts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        artifacts[i].exists = file_exists(runs, &artifacts[i]);
}
