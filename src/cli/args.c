// SPDX-License-Identifier: MIT
//
// A value is taken, checked by its kind and stored in one place, store_value(); the loop above it only finds
// out which option is meant. Nearness is the optimal string alignment distance: insert, delete, replace, swap
// two neighbours.
#include "cli/args.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/text.h"
#include "cli/number.h"
#include "cli/visible.h"

enum { name_size_max = 64, quote_size = 128, shown_size = 400 };

// What is being read, so that helpers need few arguments.
typedef struct parser {
    weir__options options;
    char **argv;
    int argc;
    int at; // next argument
    void *values;
    weir__common *common;
    const char *shown; // what to call the option; NULL: its name with two dashes
    uint64_t given;
    weir_error *err;
} parser;

static const char *const colour_choices[] = {"auto", "always", "never", NULL};

static const weir__option common_items[] = {
    {.name = "color",
     .kind = WEIR__OPTION_CHOICE,
     .offset = offsetof(weir__common, color),
     .value = "WHEN",
     .help = "colours: auto (on a terminal, unless $NO_COLOR is set), always or never",
     .choices = colour_choices},
    {.name = "help",
     .letter = 'h',
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(weir__common, help),
     .help = "this text"},
};

const weir__options weir__common_options = {common_items, sizeof common_items / sizeof common_items[0]};

static size_t min3(size_t a, size_t b, size_t c)
{
    const size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][name_size_max + 1];
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *const row = rows[i % 3];
        const size_t *const above = rows[(i + 2) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                const size_t swapped = rows[(i + 1) % 3][j - 2] + 1;
                row[j] = swapped < row[j] ? swapped : row[j];
            }
        }
    }
    return rows[a_size % 3][b_size];
}

const char *weir__args_nearest(const char *typed, const char *const *names)
{
    const size_t size = strlen(typed);
    const char *nearest = NULL;
    size_t least = size < 4 ? 1 : size < 8 ? 2 : 3; // how far away is still a slip
    if (size == 0 || size > name_size_max)
        return NULL;
    for (; *names != NULL; names++) {
        const size_t name_size = strlen(*names);
        const bool begins = size >= 3 && strncmp(*names, typed, size) == 0;
        const size_t far = begins ? 0 : distance(typed, size, *names, name_size);
        if (name_size <= name_size_max && far <= least && (nearest == NULL || far < least)) {
            nearest = *names;
            least = far;
        }
    }
    return nearest;
}

static int unknown_option(const parser *p, const char *typed)
{
    const char *names[64] = {"help", "color"};
    size_t count = 2;
    for (size_t i = 0; i < p->options.count && count + 1 < sizeof names / sizeof names[0]; i++)
        names[count++] = p->options.items[i].name;
    char quoted[quote_size];
    char name[name_size_max + 1];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(typed, "="), typed);
    const char *const nearest = weir__args_nearest(name + strspn(name, "-"), names);
    weir__visible_quote(typed, quoted, sizeof quoted);
    if (nearest == NULL)
        return weir__error_set(p->err, WEIR_INVALID, "unknown option \"%s\"", quoted);
    return weir__error_set(p->err, WEIR_INVALID, "unknown option \"%s\"; did you mean --%s?", quoted,
                           nearest);
}

static const char *shown_name(const parser *p, const weir__option *option, char shown[shown_size])
{
    if (p->shown != NULL)
        return p->shown;
    snprintf(shown, shown_size, "--%s", option->name);
    return shown;
}

static int wrong_value(const parser *p, const weir__option *option, const char *value, const char *wanted)
{
    char quoted[quote_size];
    char shown[shown_size];
    return weir__error_set(p->err, WEIR_INVALID, "%s takes %s, not \"%s\"", shown_name(p, option, shown),
                           wanted, weir__visible_quote(value, quoted, sizeof quoted));
}

static int wrong_number(const parser *p, const weir__option *option, const char *value)
{
    char wanted[quote_size];
    if (option->kind == WEIR__OPTION_DURATION)
        snprintf(wanted, sizeof wanted,
                 "a time such as 90, 1.5, 250ms, 10m or 2h (from %" PRIu64 ".%03" PRIu64 " to %" PRIu64
                 " seconds)",
                 option->min / 1000, option->min % 1000, option->max / 1000);
    else if (option->kind == WEIR__OPTION_SIZE)
        snprintf(wanted, sizeof wanted,
                 "a size such as 65536, 512K, 64M or 2G (from %" PRIu64 " to %" PRIu64 " bytes)", option->min,
                 option->max);
    else if (option->max == UINT64_MAX)
        snprintf(wanted, sizeof wanted, "a whole number from %" PRIu64, option->min);
    else
        snprintf(wanted, sizeof wanted, "a whole number from %" PRIu64 " to %" PRIu64, option->min,
                 option->max);
    return wrong_value(p, option, value, wanted);
}

static int store_choice(const parser *p, const weir__option *option, const char *value, int *slot)
{
    char wanted[quote_size] = "one of ";
    for (int i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], value) == 0) {
            *slot = i;
            return WEIR_OK;
        }
        const size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s%s", i > 0 ? ", " : "", option->choices[i]);
    }
    const char *const nearest = weir__args_nearest(value, option->choices);
    if (nearest == NULL)
        return wrong_value(p, option, value, wanted);
    char quoted[quote_size];
    char shown[shown_size];
    return weir__error_set(p->err, WEIR_INVALID, "%s takes %s, not \"%s\"; did you mean %s?",
                           shown_name(p, option, shown), wanted,
                           weir__visible_quote(value, quoted, sizeof quoted), nearest);
}

static int store_text(const parser *p, const weir__option *option, const char *value, void *slot)
{
    weir__list *const list = slot;
    char shown[shown_size];
    if (value[0] == '\0')
        return weir__error_set(p->err, WEIR_INVALID, "%s must not be empty", shown_name(p, option, shown));
    if (option->kind != WEIR__OPTION_PATH && !weir__utf8_is_valid(value, strlen(value)))
        return wrong_value(p, option, value, "text in UTF-8");
    if (option->kind != WEIR__OPTION_LIST) {
        *(const char **)slot = value;
        return WEIR_OK;
    }
    if (list->count == WEIR__LIST_MAX)
        return weir__error_set(p->err, WEIR_INVALID, "%s may be given at most %d times",
                               shown_name(p, option, shown), WEIR__LIST_MAX);
    list->items[list->count++] = value;
    return WEIR_OK;
}

// `value` NULL: a flag that stands there.
static int store_flag(const parser *p, const weir__option *option, const char *value, bool *slot)
{
    static const char *const words[] = {"false", "true", "0", "1", "no", "yes"};
    if (value == NULL) {
        *slot = true;
        return WEIR_OK;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(words[i], value) == 0) {
            *slot = i % 2 == 1;
            return WEIR_OK;
        }
    }
    return wrong_value(p, option, value, "true or false");
}

static int store_value(parser *p, const weir__option *option, const char *value)
{
    const bool is_common = option >= common_items && option < common_items + weir__common_options.count;
    void *const slot = (is_common ? (char *)p->common : (char *)p->values) + option->offset;
    bool fine = true;
    if (!is_common && p->options.count > 0)
        p->given |= UINT64_C(1) << (option - p->options.items);
    switch (option->kind) {
    case WEIR__OPTION_FLAG:
        return store_flag(p, option, value, slot);
    case WEIR__OPTION_TEXT:
    case WEIR__OPTION_PATH:
    case WEIR__OPTION_LIST:
        return store_text(p, option, value, slot);
    case WEIR__OPTION_CHOICE:
        return store_choice(p, option, value, slot);
    case WEIR__OPTION_NUMBER:
        fine = weir__number_parse(value, option->min, option->max, slot);
        break;
    case WEIR__OPTION_DURATION:
        fine = weir__duration_parse(value, option->min, option->max, slot);
        break;
    case WEIR__OPTION_SIZE:
        fine = weir__size_parse(value, option->min, option->max, slot);
        break;
    }
    return fine ? WEIR_OK : wrong_number(p, option, value);
}

int weir__args_store(const weir__option *option, const char *shown, const char *value, void *values,
                     weir_error *err)
{
    parser p = {.values = values, .shown = shown, .err = err};
    return store_value(&p, option, value);
}

// The argument after this one is the value.
static int store_next(parser *p, const weir__option *option)
{
    if (p->at == p->argc)
        return weir__error_set(p->err, WEIR_INVALID, "--%s needs a value: --%s %s", option->name,
                               option->name, option->value);
    return store_value(p, option, p->argv[p->at++]);
}

// The option with this letter, or, when `letter` is 0, with the name name[size].
static const weir__option *find(const parser *p, char letter, const char *name, size_t size)
{
    const weir__options tables[] = {p->options, weir__common_options};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const weir__option *const option = &tables[t].items[i];
            if (letter != 0 ? option->letter == letter
                            : strlen(option->name) == size && strncmp(option->name, name, size) == 0)
                return option;
        }
    }
    return NULL;
}

// "--name", "--name=value".
static int parse_long(parser *p, const char *argument)
{
    const char *const name = argument + 2;
    const size_t size = strcspn(name, "=");
    const weir__option *const option = find(p, 0, name, size);
    if (option == NULL)
        return unknown_option(p, argument);
    if (name[size] == '\0')
        return option->kind == WEIR__OPTION_FLAG ? store_value(p, option, NULL) : store_next(p, option);
    if (option->kind == WEIR__OPTION_FLAG)
        return weir__error_set(p->err, WEIR_INVALID, "--%s takes no value", option->name);
    return store_value(p, option, name + size + 1);
}

// "-f", "-fq", "-n5", "-n 5".
static int parse_short(parser *p, const char *argument)
{
    for (const char *at = argument + 1; *at != '\0'; at++) {
        const weir__option *const option = find(p, *at, NULL, 0);
        if (option == NULL)
            return unknown_option(p, argument);
        if (option->kind != WEIR__OPTION_FLAG)
            return at[1] == '\0' ? store_next(p, option) : store_value(p, option, at + 1);
        (void)store_value(p, option, NULL);
    }
    return WEIR_OK;
}

int weir__args_parse(weir__options options, bool stop_at_operand, int argc, char **argv, void *values,
                     weir__common *common, weir__operands *operands, weir_error *err)
{
    parser p = {
        .options = options, .argv = argv, .argc = argc, .values = values, .common = common, .err = err};
    *operands = (weir__operands){.items = argv};
    WEIR_ASSERT(options.count <= WEIR__OPTIONS_MAX);
    while (p.at < argc) {
        char *const argument = argv[p.at++];
        int code = WEIR_OK;
        if (strcmp(argument, "--") == 0)
            break;
        if (strncmp(argument, "--", 2) == 0)
            code = parse_long(&p, argument);
        else if (argument[0] == '-' && argument[1] != '\0')
            code = parse_short(&p, argument);
        else
            argv[operands->count++] = argument;
        if (code != WEIR_OK)
            return code;
        if (stop_at_operand && operands->count > 0)
            break;
    }
    while (p.at < argc)
        argv[operands->count++] = argv[p.at++];
    argv[operands->count] = NULL;
    operands->given = p.given;
    return WEIR_OK;
}
