// SPDX-License-Identifier: MIT
//
// Every value goes through weir__args_store() as text, as if it had been typed; only what to call it in a
// sentence differs.
#include "cli/settings.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/visible.h"

enum { name_size = 64, shown_size = 400, number_size = 32, names_max = 96, quote_size = 80 };

struct weir__settings_string {
    struct weir__settings_string *next;
    char text[];
};

void weir__settings_free(weir__settings *settings)
{
    while (settings->strings != NULL) {
        struct weir__settings_string *const string = settings->strings;
        settings->strings = string->next;
        explicit_bzero(string->text, strlen(string->text)); // it may be a key
        free(string);
    }
    weir__toml_free(&settings->file);
}

const char *weir__settings_keep(weir__settings *settings, const char *text, size_t size)
{
    struct weir__settings_string *const string = malloc(sizeof *string + size + 1);
    if (string == NULL)
        return NULL;
    memcpy(string->text, text, size);
    string->text[size] = '\0';
    string->next = settings->strings;
    settings->strings = string;
    return string->text;
}

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "not enough memory for the settings");
}

// "max-body" as "max_body" behind `prefix`, in capitals where the prefix is.
static void derive_name(const char *option, const char *prefix, char name[name_size])
{
    const size_t prefix_size = strlen(prefix);
    snprintf(name, name_size, "%s%s", prefix, option);
    for (char *c = name + prefix_size; *c != '\0'; c++) {
        if (*c == '-')
            *c = '_';
        else if (prefix_size > 0 && *c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    }
}

static void clear_list(const weir__option *option, void *values)
{
    if (option->kind == WEIR__OPTION_LIST)
        ((weir__list *)(void *)((char *)values + option->offset))->count = 0;
}

// ----------------------------------------------------------------------------------------------- environment

static const char *variable_of(const weir__option *option, char name[name_size])
{
    derive_name(option->name, "WEIR_", name);
    const char *value = getenv(name);
    if ((value == NULL || value[0] == '\0') && option->variable != NULL) {
        snprintf(name, name_size, "%s", option->variable);
        value = getenv(name);
    }
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int store_words(weir__settings *settings, const weir__option *option, const char *name,
                       const char *value, void *values, weir_error *err)
{
    static const char blanks[] = " \t\r\n";
    clear_list(option, values);
    for (const char *at = value + strspn(value, blanks); *at != '\0'; at += strspn(at, blanks)) {
        const size_t size = strcspn(at, blanks);
        const char *const word = weir__settings_keep(settings, at, size);
        const int code = word != NULL ? weir__args_store(option, name, word, values, err) : no_memory(err);
        if (code != WEIR_OK)
            return code;
        at += size;
    }
    return WEIR_OK;
}

int weir__settings_environment(weir__settings *settings, weir__options options, void *values, uint64_t *given,
                               weir_error *err)
{
    if (given != NULL)
        *given = 0;
    for (size_t i = 0; i < options.count; i++) {
        const weir__option *const option = &options.items[i];
        char name[name_size];
        const char *const value = variable_of(option, name);
        if (value == NULL)
            continue;
        const int code = option->kind == WEIR__OPTION_LIST
                             ? store_words(settings, option, name, value, values, err)
                             : weir__args_store(option, name, value, values, err);
        if (code != WEIR_OK)
            return code;
        if (given != NULL)
            *given |= UINT64_C(1) << i;
    }
    return WEIR_OK;
}

// ------------------------------------------------------------------------------------------------------ file

typedef struct file_reader {
    weir__settings *settings;
    weir__options options;
    const char *const *others;
    void *values;
    weir_error *err;
} file_reader;

static int unknown_key(const file_reader *r, const weir__toml *value)
{
    static char names[names_max][name_size]; // one thread
    const char *known[names_max + 1];
    char quoted[quote_size];
    size_t count = 0;
    for (size_t i = 0; i < r->options.count; i++, count++) {
        derive_name(r->options.items[i].name, "", names[count]);
        known[count] = names[count];
    }
    for (size_t i = 0; r->others[i] != NULL; i++)
        known[count++] = r->others[i];
    WEIR_ASSERT(count <= names_max);
    known[count] = NULL;
    const char *const nearest = weir__args_nearest(value->key, known);
    weir__visible_quote(value->key, quoted, sizeof quoted);
    if (nearest == NULL)
        return weir__toml_complain(&r->settings->file, value, r->err, "unknown key \"%s\"", quoted);
    return weir__toml_complain(&r->settings->file, value, r->err, "unknown key \"%s\"; did you mean %s?",
                               quoted, nearest);
}

static const weir__option *find_option(weir__options options, const char *key)
{
    const weir__option *option = options.items;
    char name[name_size];
    for (size_t i = 0; i < options.count; i++, option++) {
        derive_name(option->name, "", name);
        if (strcmp(name, key) == 0)
            return option;
    }
    return NULL;
}

static bool is_in(const char *const *names, const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0)
            return true;
    }
    return false;
}

static const char *wanted_by(weir__option_kind kind)
{
    switch (kind) {
    case WEIR__OPTION_FLAG:
        return "true or false";
    case WEIR__OPTION_LIST:
        return "an array of strings";
    case WEIR__OPTION_NUMBER:
        return "an integer";
    case WEIR__OPTION_DURATION:
        return "seconds, or a string such as \"250ms\"";
    case WEIR__OPTION_SIZE:
        return "bytes, or a string such as \"64M\"";
    case WEIR__OPTION_TEXT:
    case WEIR__OPTION_PATH:
    case WEIR__OPTION_CHOICE:
        break;
    }
    return "a string";
}

// The value as it would be typed; NULL when its type does not fit the option.
static const char *as_typed(const weir__toml *value, weir__option_kind kind, char number[number_size])
{
    const bool is_number =
        kind == WEIR__OPTION_NUMBER || kind == WEIR__OPTION_DURATION || kind == WEIR__OPTION_SIZE;
    switch (value->type) {
    case WEIR__TOML_STRING:
        return kind != WEIR__OPTION_FLAG && kind != WEIR__OPTION_NUMBER ? value->string : NULL;
    case WEIR__TOML_BOOLEAN:
        return kind != WEIR__OPTION_FLAG ? NULL : value->boolean ? "true" : "false";
    case WEIR__TOML_INTEGER:
        snprintf(number, number_size, "%" PRIi64, value->integer);
        return is_number ? number : NULL;
    case WEIR__TOML_FLOAT:
        if (kind != WEIR__OPTION_DURATION || !isfinite(value->number) || fabs(value->number) > 1e15)
            return NULL;
        snprintf(number, number_size, "%.3f", value->number);
        return number;
    case WEIR__TOML_TABLE:
    case WEIR__TOML_ARRAY:
        break;
    }
    return NULL;
}

static int store_one(const file_reader *r, const weir__option *option, const weir__toml *value,
                     const char *key)
{
    char number[number_size];
    char shown[shown_size];
    const char *const text = as_typed(value, option->kind, number);
    if (text == NULL)
        return weir__toml_complain(&r->settings->file, value, r->err, "%s takes %s, not %s", key,
                                   wanted_by(option->kind), weir__toml_type_name(value->type));
    snprintf(shown, sizeof shown, "%s:%u:%u: %s", r->settings->file.name, value->line, value->column, key);
    return weir__args_store(option, shown, text, r->values, r->err);
}

static int store_key(const file_reader *r, const weir__option *option, const weir__toml *value)
{
    int code = WEIR_OK;
    clear_list(option, r->values);
    if (option->kind != WEIR__OPTION_LIST || value->type != WEIR__TOML_ARRAY)
        return store_one(r, option, value, value->key);
    for (const weir__toml *item = value->first; code == WEIR_OK && item != NULL; item = item->next)
        code = store_one(r, option, item, value->key);
    return code;
}

int weir__settings_file(weir__settings *settings, weir__options options, const char *const *others,
                        const char *path, void *values, uint64_t *given, weir_error *err)
{
    const file_reader r = {settings, options, others, values, err};
    int code = weir__toml_read(path, &settings->file, err);
    if (given != NULL)
        *given = 0;
    if (code != WEIR_OK)
        return code;
    for (const weir__toml *value = settings->file.root->first; value != NULL; value = value->next) {
        const weir__option *const option = find_option(options, value->key);
        if (is_in(others, value->key))
            continue;
        code = option != NULL ? store_key(&r, option, value) : unknown_key(&r, value);
        if (code != WEIR_OK)
            return code;
        if (given != NULL)
            *given |= UINT64_C(1) << (option - options.items);
    }
    return WEIR_OK;
}

// --------------------------------------------------------------------------------------------------- overlay

static size_t size_of_value(weir__option_kind kind)
{
    switch (kind) {
    case WEIR__OPTION_FLAG:
        return sizeof(bool);
    case WEIR__OPTION_LIST:
        return sizeof(weir__list);
    case WEIR__OPTION_NUMBER:
    case WEIR__OPTION_DURATION:
    case WEIR__OPTION_SIZE:
        return sizeof(uint64_t);
    case WEIR__OPTION_CHOICE:
        return sizeof(int);
    case WEIR__OPTION_TEXT:
    case WEIR__OPTION_PATH:
        break;
    }
    return sizeof(const char *);
}

void weir__settings_overlay(weir__options options, uint64_t given, const void *from, void *to)
{
    for (size_t i = 0; i < options.count; i++) {
        const weir__option *const option = &options.items[i];
        if ((given >> i & 1) != 0)
            memcpy((char *)to + option->offset, (const char *)from + option->offset,
                   size_of_value(option->kind));
    }
}

bool weir__settings_has(weir__options options, uint64_t given, const char *name)
{
    for (size_t i = 0; i < options.count; i++) {
        if (strcmp(options.items[i].name, name) == 0)
            return (given >> i & 1) != 0;
    }
    return false;
}
