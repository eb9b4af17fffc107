// SPDX-License-Identifier: MIT
//
// From the body of POST /api/executions to a weir_run_request. Strings stay in the parsed JSON, which the
// order keeps; what the request wants in another form (argv, environment, JSON text) is made beside it. Keys
// that are not known are ignored, as StepFlow Monitor does; known ones must have the right type.
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "server/core.h"

enum { DEPTH_MAX = 64 };
#define TIMEOUT_S_MAX (366.0 * 86400.0)

// The parser recurses: refuse what nests deeply before it sees it. Brackets in strings do not count.
static bool nests_too_deeply(const char *text, size_t size)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (in_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && (text[i] == '{' || text[i] == '['))
            depth++;
        else if (!in_string && (text[i] == '}' || text[i] == ']') && depth > 0)
            depth--;
        if (depth > DEPTH_MAX)
            return true;
    }
    return false;
}

static int load(const char *body, size_t size, json_t **json, weir_error *err)
{
    json_error_t error;
    *json = NULL;
    if (nests_too_deeply(body, size))
        return weir__error_set(err, WEIR_INVALID, "Invalid JSON: nested deeper than %d", DEPTH_MAX);
    *json = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
    if (*json == NULL)
        return weir__error_set(err, WEIR_INVALID, "Invalid JSON: %s (line %d, column %d)", error.text,
                               error.line, error.column);
    if (!json_is_object(*json))
        return weir__error_set(err, WEIR_INVALID, "the body must be a JSON object");
    return WEIR_OK;
}

// A key that may be missing or null; NULL then. INVALID when it has another type.
static int optional(const json_t *object, const char *key, json_type type, const char *type_name,
                    json_t **value, weir_error *err)
{
    *value = json_object_get(object, key);
    if (*value == NULL || json_is_null(*value)) {
        *value = NULL;
        return WEIR_OK;
    }
    if (json_typeof(*value) != type)
        return weir__error_set(err, WEIR_INVALID, "%s must be %s", key, type_name);
    return WEIR_OK;
}

static int take_string(const json_t *object, const char *key, const char **value, weir_error *err)
{
    json_t *found = NULL;
    const int code = optional(object, key, JSON_STRING, "a string", &found, err);
    *value = found == NULL ? NULL : json_string_value(found);
    return code;
}

static int take_argv(const json_t *array, weir__run_order *order, weir_error *err)
{
    const size_t count = json_array_size(array);
    order->argv = calloc(count + 1, sizeof *order->argv);
    if (order->argv == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for the command");
    for (size_t i = 0; i < count; i++) {
        order->argv[i] = json_string_value(json_array_get(array, i));
        if (order->argv[i] == NULL)
            return weir__error_set(err, WEIR_INVALID, "command must be a string or an array of strings");
    }
    order->request.argv = order->argv;
    return WEIR_OK;
}

static int take_command(const json_t *object, weir__run_order *order, weir_error *err)
{
    const json_t *command = json_object_get(object, "command");
    const char *text = json_string_value(command);
    const bool is_array = json_is_array(command);
    if (command != NULL && !json_is_null(command) && text == NULL && !is_array)
        return weir__error_set(err, WEIR_INVALID, "command must be a string or an array of strings");
    if (is_array ? json_array_size(command) == 0 : text == NULL || text[strspn(text, " \t\r\n")] == '\0')
        return weir__error_set(err, WEIR_INVALID, "Command is required");
    order->request.command = text;
    return is_array ? take_argv(command, order, err) : WEIR_OK;
}

static int take_environment(const json_t *object, weir__run_order *order, weir_error *err)
{
    json_t *environment = NULL, *value = NULL;
    const char *name = NULL;
    size_t count = 0;
    const int code = optional(object, "environment", JSON_OBJECT, "an object", &environment, err);
    if (code != WEIR_OK || environment == NULL)
        return code;
    order->environment = calloc(json_object_size(environment) + 1, sizeof *order->environment);
    if (order->environment == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for the environment");
    json_object_foreach(environment, name, value)
    {
        weir__text pair = {0};
        if (name[0] == '\0' || strchr(name, '=') != NULL)
            return weir__error_set(err, WEIR_INVALID, "environment: '%s' cannot be a variable's name", name);
        if (!json_is_string(value))
            return weir__error_set(err, WEIR_INVALID, "environment: the value of %s must be a string", name);
        weir__text_add(&pair, name);
        weir__text_char(&pair, '=');
        weir__text_add(&pair, json_string_value(value));
        order->environment[count] = weir__text_take(&pair);
        if (order->environment[count++] == NULL)
            return weir__error_set(err, WEIR_NOMEM, "no memory for the environment");
    }
    order->request.environment = (const char *const *)order->environment;
    return WEIR_OK;
}

static int take_timeout(const json_t *object, weir__run_order *order, weir_error *err)
{
    const json_t *timeout = json_object_get(object, "timeout");
    if (timeout == NULL || json_is_null(timeout))
        return WEIR_OK;
    const double seconds = json_number_value(timeout);
    if (!json_is_number(timeout) || !(seconds > 0) || seconds > TIMEOUT_S_MAX)
        return weir__error_set(err, WEIR_INVALID, "timeout must be a number of seconds above 0, at most %.0f",
                               TIMEOUT_S_MAX);
    order->request.timeout_ms = (uint64_t)ceil(seconds * 1000.0);
    return WEIR_OK;
}

static int dump(const json_t *value, char **text, weir_error *err)
{
    *text = json_dumps(value, JSON_ENSURE_ASCII);
    return *text == NULL ? weir__error_set(err, WEIR_NOMEM, "no memory for the request") : WEIR_OK;
}

static int take_tags(const json_t *object, weir__run_order *order, weir_error *err)
{
    json_t *tags = NULL;
    const int code = optional(object, "tags", JSON_ARRAY, "an array of strings", &tags, err);
    if (code != WEIR_OK || tags == NULL)
        return code;
    for (size_t i = 0; i < json_array_size(tags); i++)
        if (!json_is_string(json_array_get(tags, i)))
            return weir__error_set(err, WEIR_INVALID, "tags must be an array of strings");
    return dump(tags, &order->tags, err);
}

static int take_metadata(const json_t *object, weir__run_order *order, weir_error *err)
{
    json_t *metadata = NULL;
    const int code = optional(object, "metadata", JSON_OBJECT, "an object", &metadata, err);
    return code != WEIR_OK || metadata == NULL ? code : dump(metadata, &order->metadata, err);
}

// A missing name is the command as sent; null and "" are the stored command.
static int take_name(const json_t *object, weir__run_order *order, weir_error *err)
{
    const int code = take_string(object, "name", &order->request.name, err);
    if (code == WEIR_OK && order->request.name == NULL && json_object_get(object, "name") != NULL)
        order->request.name = "";
    return code;
}

// The name that belongs to the key counts; without one, whom the client names.
static int take_user(const json_t *object, const char *key_user, weir__run_order *order, weir_error *err)
{
    const int code = take_string(object, "user", &order->request.user, err);
    if (key_user[0] != '\0')
        order->request.user = key_user;
    else if (order->request.user == NULL)
        order->request.user = "";
    return code;
}

static int take_wait(const json_t *object, weir__run_order *order, weir_error *err)
{
    const json_t *wait = json_object_get(object, "wait");
    if (wait != NULL && !json_is_null(wait) && !json_is_boolean(wait))
        return weir__error_set(err, WEIR_INVALID, "wait must be true or false");
    order->wait = json_is_true(wait);
    return WEIR_OK;
}

int weir__run_order_parse(const char *body, size_t size, const char *user, weir__run_order *order,
                          weir_error *err)
{
    *order = (weir__run_order){0};
    json_t *json = NULL;
    int code = load(body, size, &json, err);
    order->json = json;
    if (code == WEIR_OK)
        code = take_command(json, order, err);
    if (code == WEIR_OK)
        code = take_name(json, order, err);
    if (code == WEIR_OK)
        code = take_string(json, "working_directory", &order->request.working_directory, err);
    if (code == WEIR_OK)
        code = take_environment(json, order, err);
    if (code == WEIR_OK)
        code = take_timeout(json, order, err);
    if (code == WEIR_OK)
        code = take_tags(json, order, err);
    if (code == WEIR_OK)
        code = take_metadata(json, order, err);
    if (code == WEIR_OK)
        code = take_user(json, user, order, err);
    if (code == WEIR_OK)
        code = take_wait(json, order, err);
    order->request.tags_json = order->tags;
    order->request.metadata_json = order->metadata;
    if (code != WEIR_OK)
        weir__run_order_free(order);
    return code;
}

void weir__run_order_free(weir__run_order *order)
{
    for (char **pair = order->environment; pair != NULL && *pair != NULL; pair++)
        free(*pair);
    free(order->environment);
    free(order->argv);
    free(order->tags);
    free(order->metadata);
    json_decref(order->json);
    *order = (weir__run_order){0};
}
