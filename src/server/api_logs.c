// SPDX-License-Identifier: MIT
//
// Everything that carries log lines: an execution in detail, and its logs. Lines go one by one from the log
// file into the spool, so memory stays bounded however long and many they are.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "server/core.h"

enum { TAIL_DEFAULT = 2000 };

static weir__outcome answer_code(weir__exchange *exchange, const weir_error *err)
{
    weir__answer_code(exchange, err);
    return WEIR__ANSWERED;
}

static weir__outcome answer_spool(weir__exchange *exchange, weir__spool *spool)
{
    weir__answer_spool(exchange, MHD_HTTP_OK, spool);
    return WEIR__ANSWERED;
}

// ----------------------------------------------------------------------------------------------- detail

typedef struct log_choice {
    bool none;
    uint64_t tail; // 0: all
} log_choice;

// ?logs=all|none|tail:N
static int read_log_choice(const weir__exchange *exchange, log_choice *choice, weir_error *err)
{
    const char *text = weir__uri_param(&exchange->uri, "logs");
    *choice = (log_choice){.tail = TAIL_DEFAULT};
    if (text == NULL || text[0] == '\0')
        return WEIR_OK;
    if (strcmp(text, "none") == 0) {
        choice->none = true;
        return WEIR_OK;
    }
    if (strcmp(text, "all") == 0) {
        choice->tail = 0;
        return WEIR_OK;
    }
    const char *digits = text + 5;
    if (strncmp(text, "tail:", 5) != 0 || *digits == '\0' || strlen(digits) > 9 ||
        digits[strspn(digits, "0123456789")] != '\0')
        return weir__error_set(err, WEIR_INVALID, "logs must be all, none or tail:N, not '%s'", text);
    choice->tail = strtoull(digits, NULL, 10);
    choice->none = choice->tail == 0;
    return WEIR_OK;
}

typedef struct log_writer {
    weir__spool *spool;
    uint64_t count;
} log_writer;

// A line as it stands in a step: {"timestamp","content","level"}.
static bool write_step_line(void *context, const weir_log_line *line)
{
    log_writer *writer = context;
    char time[WEIR_LOCAL_TEXT_SIZE];
    weir_local_format(line->time, time);
    weir__spool_add(writer->spool, writer->count++ > 0 ? ", {\"timestamp\": " : "{\"timestamp\": ");
    weir__spool_json_string(writer->spool, line->time != 0 ? time : NULL);
    weir__spool_add(writer->spool, ", \"content\": ");
    weir__spool_json_string(writer->spool, line->content);
    weir__spool_add(writer->spool, ", \"level\": \"info\"}");
    return !weir__spool_failed(writer->spool);
}

// Where the array of a step's lines begins, behind its bracket. In front of it are only strings and numbers,
// and a quote in a string is escaped, so the first "logs" is the key.
static char *behind_logs_bracket(char *json)
{
    char *key = strstr(json, "\"logs\"");
    WEIR_ASSERT(key != NULL);
    char *bracket = strchr(key, '[');
    WEIR_ASSERT(bracket != NULL);
    return bracket + 1;
}

// The object of a step up to its lines, then the lines one by one, then the rest: lines may be long and many.
static int add_step(const weir__exchange *exchange, weir__spool *spool, const weir_run_step *step,
                    log_choice choice, weir_error *err)
{
    weir_run_json_options options = {.logs_extra = !choice.none};
    log_writer writer = {.spool = spool};
    uint64_t total = 0;
    int code = WEIR_OK;
    char *json = weir_run_step_to_json(step, NULL, 0, &options);
    if (json != NULL)
        *behind_logs_bracket(json) = '\0';
    weir__spool_take(spool, json);
    if (!choice.none) {
        const weir_logs_query query = {.step_id = step->id, .tail = choice.tail};
        code = weir_runs_read_logs(exchange->server->runs, step->execution_id, &query, write_step_line,
                                   &writer, &total, err);
    }
    if (code != WEIR_OK && code != WEIR_NOTFOUND && code != WEIR_CANCELLED) // removed meanwhile: no logs
        return code;
    options.log_count = total;
    options.log_offset = total > writer.count ? total - writer.count : 0;
    options.log_streamed = writer.count;
    json = weir_run_step_to_json(step, NULL, 0, &options);
    if (json == NULL)
        weir__spool_take(spool, NULL); // counts as lack of memory
    else
        weir__spool_add(spool, behind_logs_bracket(json));
    free(json);
    return WEIR_OK;
}

weir__outcome weir__get_execution(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_run_detail detail;
    log_choice choice;
    if (read_log_choice(exchange, &choice, &err) != WEIR_OK ||
        weir_runs_get_detail(exchange->server->runs, weir__exchange_segment(exchange, 2), &detail, &err) !=
            WEIR_OK) {
        weir__answer_missing(exchange, &err, "Execution not found");
        return WEIR__ANSWERED;
    }
    weir__spool spool = weir__exchange_spool(exchange);
    int code = WEIR_OK;
    weir__spool_add(&spool, "{\"execution\":");
    weir__spool_take(&spool, weir_execution_to_json(&detail.execution, NULL));
    weir__spool_add(&spool, ",\"steps\":[");
    for (size_t i = 0; code == WEIR_OK && i < detail.steps.count && !weir__spool_failed(&spool); i++) {
        weir__spool_add(&spool, i > 0 ? "," : "");
        code = add_step(exchange, &spool, &detail.steps.items[i], choice, &err);
    }
    weir__spool_add(&spool, "],\"artifacts\":");
    weir__spool_take(&spool, weir_artifact_list_to_json(&detail.artifacts, NULL));
    weir__spool_add(&spool, ",\"status\":200}");
    weir_run_detail_free(&detail);
    if (code == WEIR_OK)
        return answer_spool(exchange, &spool);
    weir__spool_free(&spool);
    return answer_code(exchange, &err);
}

// ------------------------------------------------------------------------------------------------- logs

static bool write_line(void *context, const weir_log_line *line)
{
    log_writer *writer = context;
    weir__spool_add(writer->spool, writer->count++ > 0 ? "," : "");
    weir__spool_take(writer->spool, weir_log_line_to_json(line));
    return !weir__spool_failed(writer->spool);
}

static int read_count(const weir__exchange *exchange, const char *name, uint64_t *count, weir_error *err)
{
    int64_t value = 0;
    const int code = weir__uri_param_int(&exchange->uri, name, 0, &value, err);
    *count = value < 0 ? 0 : (uint64_t)value;
    return code;
}

// For the store 0 means all, for a client it means none, unless it says nothing.
static bool asks_for_none(const weir__exchange *exchange, const char *name)
{
    int64_t value = 1;
    return weir__uri_param_int(&exchange->uri, name, 1, &value, NULL) == WEIR_OK && value <= 0;
}

static int read_logs_query(const weir__exchange *exchange, weir_logs_query *query, weir_error *err)
{
    *query = (weir_logs_query){.step_id = weir__uri_param(&exchange->uri, "step_id")};
    if (query->step_id != NULL && query->step_id[0] == '\0')
        query->step_id = NULL;
    int code = read_count(exchange, "offset", &query->offset, err);
    if (code == WEIR_OK)
        code = read_count(exchange, "limit", &query->limit, err);
    if (code == WEIR_OK)
        code = read_count(exchange, "tail", &query->tail, err);
    if (code == WEIR_OK && (asks_for_none(exchange, "limit") || asks_for_none(exchange, "tail"))) {
        query->offset = INT64_MAX; // none, but their number
        query->tail = 0;
    }
    return code;
}

// The two things that can be missing have different words.
static weir__outcome answer_no_logs(weir__exchange *exchange, bool of_step, const weir_error *err)
{
    weir_execution execution = {0};
    const bool step = of_step && weir_runs_get(exchange->server->runs, weir__exchange_segment(exchange, 2),
                                               &execution, NULL) == WEIR_OK;
    weir_execution_free(&execution);
    weir__answer_missing(exchange, err, step ? "Step not found" : "Execution not found");
    return WEIR__ANSWERED;
}

weir__outcome weir__get_logs(weir__exchange *exchange)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_logs_query query;
    uint64_t total = 0;
    if (read_logs_query(exchange, &query, &err) != WEIR_OK)
        return answer_code(exchange, &err);
    weir__spool spool = weir__exchange_spool(exchange);
    log_writer writer = {.spool = &spool};
    weir__spool_add(&spool, "{\"logs\":[");
    const int code = weir_runs_read_logs(exchange->server->runs, weir__exchange_segment(exchange, 2), &query,
                                         write_line, &writer, &total, &err);
    if (code != WEIR_OK && !weir__spool_failed(&spool)) {
        weir__spool_free(&spool);
        return answer_no_logs(exchange, query.step_id != NULL, &err);
    }
    weir__spool_add(&spool, query.step_id != NULL ? "],\"step_id\":" : "],\"execution_id\":");
    weir__spool_json_string(&spool,
                            query.step_id != NULL ? query.step_id : weir__exchange_segment(exchange, 2));
    weir__spool_printf(&spool, ",\"total\":%llu,\"status\":200}", (unsigned long long)total);
    return answer_spool(exchange, &spool);
}
