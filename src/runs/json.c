// SPDX-License-Identifier: MIT
//
// JSON as Python writes it. Columns of the database hold what json.dumps gives with its default arguments,
// and answers carry numbers as Python prints them; jansson's own output differs in both (spaces, 17 digits),
// so values are written here and only parsed there. Depth is bounded by jansson's parser (2048), so the
// recursion of the writer is too.
//
// No state, any thread.
#include <ctype.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runs/runs.h"

enum { digits_max = 17 };

// ------------------------------------------------------------------------------------------------ writing

// The shortest digits that read back as `value`, and the exponent of the first one.
static size_t shortest_digits(double value, char digits[digits_max + 1], int *exponent)
{
    char text[40];
    for (int precision = 1; precision <= digits_max; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
        if (strtod(text, NULL) == value)
            break;
    }
    size_t count = 0;
    const char *at = text;
    for (; *at != 'e'; at++) // skips the decimal point, whatever the locale makes of it
        if (isdigit((unsigned char)*at) && count < digits_max)
            digits[count++] = *at;
    digits[count] = '\0';
    *exponent = (int)strtol(at + 1, NULL, 10);
    return count;
}

void weir__json_double(weir__text *text, double value)
{
    if (!isfinite(value)) {
        weir__text_add(text, "null");
        return;
    }
    if (signbit(value))
        weir__text_char(text, '-');
    char digits[digits_max + 1];
    int exponent = 0;
    const size_t count = shortest_digits(fabs(value), digits, &exponent);
    if (exponent < -4 || exponent >= 16) {
        weir__text_char(text, digits[0]);
        if (count > 1)
            weir__text_printf(text, ".%s", digits + 1);
        weir__text_printf(text, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    if (exponent < 0) {
        weir__text_printf(text, "0.%.*s%s", -exponent - 1, "0000", digits);
        return;
    }
    for (size_t i = 0; i < count || i <= (size_t)exponent + 1; i++) {
        if (i == (size_t)exponent + 1)
            weir__text_char(text, '.');
        weir__text_char(text, i < count ? digits[i] : '0');
    }
}

static void escape_code_point(weir__text *text, uint32_t code)
{
    static const char names[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    if (code < sizeof names && names[code] != 0)
        weir__text_printf(text, "\\%c", names[code]);
    else if (code >= 0x20 && code < 0x7F)
        weir__text_char(text, (char)code);
    else if (code < 0x10000)
        weir__text_printf(text, "\\u%04x", code);
    else
        weir__text_printf(text, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                          0xDC00 + ((code - 0x10000) & 0x3FF));
}

void weir__json_string(weir__text *text, const char *string, size_t size)
{
    weir__text_char(text, '"');
    for (size_t at = 0; at < size;) {
        size_t plain = at;
        while (plain < size && string[plain] >= 0x20 && string[plain] < 0x7F && string[plain] != '"' &&
               string[plain] != '\\')
            plain++;
        weir__text_append(text, string + at, plain - at);
        at = plain;
        if (at == size)
            break;
        size_t length = 0;
        const int32_t code = weir__utf8_decode(string + at, size - at, &length);
        escape_code_point(text, code < 0 ? 0xFFFD : (uint32_t)code);
        at += length;
    }
    weir__text_char(text, '"');
}

static void dump_container(weir__text *text, const json_t *value)
{
    bool first = true;
    if (json_is_array(value)) {
        weir__text_char(text, '[');
        for (size_t i = 0; i < json_array_size(value); i++, first = false) {
            weir__text_add(text, first ? "" : ", ");
            weir__json_dump(text, json_array_get(value, i));
        }
        weir__text_char(text, ']');
        return;
    }
    weir__text_char(text, '{');
    json_t *const object =
        (json_t *)(uintptr_t)value; // jansson's iterators want it writable; nothing is written
    for (void *at = json_object_iter(object); at != NULL;
         at = json_object_iter_next(object, at), first = false) {
        const char *const key = json_object_iter_key(at);
        weir__text_add(text, first ? "" : ", ");
        weir__json_string(text, key, strlen(key));
        weir__text_add(text, ": ");
        weir__json_dump(text, json_object_iter_value(at));
    }
    weir__text_char(text, '}');
}

void weir__json_dump(weir__text *text, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        dump_container(text, value);
        break;
    case JSON_STRING:
        weir__json_string(text, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        weir__text_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        weir__json_double(text, json_real_value(value));
        break;
    case JSON_TRUE:
        weir__text_add(text, "true");
        break;
    case JSON_FALSE:
        weir__text_add(text, "false");
        break;
    case JSON_NULL:
        weir__text_add(text, "null");
        break;
    }
}

// ------------------------------------------------------------------------------------------------ reading

static bool starts_with(const char *text, size_t size, const char *word)
{
    const size_t length = strlen(word);
    return size >= length && memcmp(text, word, length) == 0;
}

// Python writes NaN, Infinity and -Infinity, which are no JSON: outside strings they become null.
static void replace_nonfinite(weir__text *out, const char *text, size_t size)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    bool in_string = false;
    for (size_t at = 0; at < size;) {
        const char *word = NULL;
        for (size_t i = 0; !in_string && i < sizeof words / sizeof *words && word == NULL; i++)
            if (starts_with(text + at, size - at, words[i]))
                word = words[i];
        if (word != NULL) {
            weir__text_add(out, "null");
            at += strlen(word);
            continue;
        }
        if (in_string && text[at] == '\\' && at + 1 < size)
            weir__text_char(out, text[at++]);
        else if (text[at] == '"')
            in_string = !in_string;
        weir__text_char(out, text[at++]);
    }
}

static bool has_nonfinite(const char *text, size_t size)
{
    return memmem(text, size, "NaN", 3) != NULL || memmem(text, size, "Infinity", 8) != NULL;
}

// jansson names every error of the text; where it names none, an allocation has failed.
static bool is_no_memory(const json_error_t *why)
{
    const enum json_error_code code = json_error_code(why);
    return code == json_error_unknown || code == json_error_out_of_memory;
}

// An integer beyond 64 bits is a float at the second attempt.
static int parse_text(const char *text, size_t size, json_t **value)
{
    json_error_t why = {0}; // jansson leaves the code unset when it names no error
    *value = json_loadb(text, size, JSON_ALLOW_NUL, &why);
    if (*value == NULL && json_error_code(&why) == json_error_numeric_overflow) {
        why = (json_error_t){0};
        *value = json_loadb(text, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    }
    if (*value != NULL)
        return WEIR_OK;
    return is_no_memory(&why) ? WEIR_NOMEM : WEIR_INVALID;
}

int weir__json_parse(const char *text, size_t size, json_type wanted, json_t **value)
{
    weir__text valid = {0};
    weir__text finite = {0};
    *value = NULL;
    if (text == NULL || size > WEIR_RUNS_JSON_MAX)
        return WEIR_INVALID;
    if (!weir__utf8_is_valid(text, size)) {
        weir__text_utf8(&valid, text, size);
        text = weir__text_string(&valid);
        size = valid.size;
    }
    if (has_nonfinite(text, size)) {
        replace_nonfinite(&finite, text, size);
        text = weir__text_string(&finite);
        size = finite.size;
    }
    int rc = valid.failed || finite.failed ? WEIR_NOMEM : parse_text(text, size, value);
    weir__text_free(&finite);
    weir__text_free(&valid);
    if (rc == WEIR_OK && json_typeof(*value) != wanted) {
        json_decref(*value);
        *value = NULL;
        rc = WEIR_INVALID;
    }
    return rc;
}

json_t *weir__json_load(const char *text, size_t size, json_type wanted)
{
    json_t *value = NULL;
    weir__json_parse(text, size, wanted, &value);
    return value;
}

// ----------------------------------------------------------------------------------------------- changing

static int dump_to_string(const json_t *value, char **out, weir_error *err)
{
    weir__text text = {0};
    weir__json_dump(&text, value);
    if (text.size > WEIR_RUNS_JSON_MAX) {
        weir__text_free(&text);
        return weir__error_set(err, WEIR_TOOBIG, "a JSON column would exceed %d bytes", WEIR_RUNS_JSON_MAX);
    }
    char *const string = weir__text_take(&text);
    if (string == NULL)
        return weir__no_memory(err);
    *out = string;
    return WEIR_OK;
}

int weir__json_put(char **object_json, const char *key, json_t *value, weir_error *err)
{
    const char *const old = *object_json != NULL ? *object_json : "{}";
    json_t *object = NULL;
    int rc = weir__json_parse(old, strlen(old), JSON_OBJECT, &object);
    if (rc != WEIR_OK) {
        json_decref(value);
        return rc == WEIR_NOMEM ? weir__no_memory(err)
                                : weir__error_set(err, rc, "metadata is not a JSON object");
    }
    if (value == NULL || json_object_set_new(object, key, value) != 0) {
        json_decref(object);
        return weir__error_set(err, WEIR_INVALID, "metadata \"%s\" cannot be set: not valid UTF-8", key);
    }
    char *json = NULL;
    rc = dump_to_string(object, &json, err);
    json_decref(object);
    if (rc != WEIR_OK)
        return rc;
    free(*object_json);
    *object_json = json;
    return WEIR_OK;
}

static bool matches(char *const *patterns, const char *name)
{
    for (size_t i = 0; patterns != NULL && patterns[i] != NULL; i++)
        if (fnmatch(patterns[i], name, FNM_CASEFOLD) == 0)
            return true;
    return false;
}

int weir__json_redact(const weir_runs *runs, const char *environment_json, char **redacted, weir_error *err)
{
    *redacted = NULL;
    const char *const text = environment_json != NULL ? environment_json : "{}";
    json_t *object = NULL;
    int rc = weir__json_parse(text, strlen(text), JSON_OBJECT, &object);
    if (rc != WEIR_OK)
        return rc == WEIR_NOMEM ? weir__no_memory(err)
                                : weir__error_set(err, rc, "environment is not a JSON object");
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at))
        if (matches(runs->redact, json_object_iter_key(at)) &&
            json_object_iter_set_new(object, at, json_string("***")) != 0) {
            json_decref(object); // better no row than one with the secret in it
            return weir__no_memory(err);
        }
    rc = dump_to_string(object, redacted, err);
    json_decref(object);
    return rc;
}
