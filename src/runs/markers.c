// SPDX-License-Identifier: MIT
//
// Recognition and parameters by hand instead of regular expressions: the grammar is five words and three
// bracket forms, and every line of every script passes through here. Each parameter form is one scanner that
// either consumes a match at a position or moves on by one byte, which is what a regular expression's search
// does.
#include "runs/markers.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *token;
    weir__marker_kind kind;
} tokens[] = {
    {"STEP_START:", WEIR__MARKER_STEP_START},
    {"STEP_COMPLETE:", WEIR__MARKER_STEP_COMPLETE},
    {"STEP_ERROR:", WEIR__MARKER_STEP_ERROR},
    {"ARTIFACT:", WEIR__MARKER_ARTIFACT},
    {"META:", WEIR__MARKER_META},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

// Where the token counts, from `start` on.
static size_t token_find(weir__span line, const char *token, bool strict)
{
    if (!strict)
        return weir__span_find_caseless(line, token);
    for (size_t start = 0; start < line.size;) {
        const size_t found = weir__span_find(weir__span_from(line, start), token);
        if (found == SIZE_MAX)
            return SIZE_MAX;
        const size_t at = start + found;
        if (at == 0 || !is_word(line.data[at - 1]))
            return at;
        start = at + 1;
    }
    return SIZE_MAX;
}

weir__marker weir__marker_find(weir__span line, bool strict)
{
    // Every token ends in a colon, and most lines have none.
    if (line.size == 0 || memchr(line.data, ':', line.size) == NULL)
        return (weir__marker){0};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        const size_t at = token_find(line, tokens[i].token, strict);
        if (at == SIZE_MAX)
            continue;
        const weir__span content = weir__span_trim(weir__span_from(line, at + strlen(tokens[i].token)));
        if (content.size > 0)
            return (weir__marker){tokens[i].kind, content, at > 0 && is_word(line.data[at - 1])};
    }
    return (weir__marker){0};
}

// Bytes of the CSI sequence at the start of the span: ESC [ parameters 0x30-0x3F, intermediates 0x20-0x2F,
// one final byte 0x40-0x7E. 0 where there is none, or only a part.
static size_t csi_length(weir__span span)
{
    if (span.size < 3 || span.data[0] != '\x1B' || span.data[1] != '[')
        return 0;
    size_t at = 2;
    while (at < span.size && span.data[at] >= 0x30 && span.data[at] <= 0x3F)
        at++;
    while (at < span.size && span.data[at] >= 0x20 && span.data[at] <= 0x2F)
        at++;
    return at < span.size && span.data[at] >= 0x40 && span.data[at] <= 0x7E ? at + 1 : 0;
}

weir__span weir__markers_plain(weir__span line, weir__text *buffer)
{
    if (line.size == 0 || memchr(line.data, '\x1B', line.size) == NULL)
        return line;
    weir__text_clear(buffer);
    for (weir__span rest = line; rest.size > 0;) {
        const char *const escape = memchr(rest.data, '\x1B', rest.size);
        const size_t plain = escape != NULL ? (size_t)(escape - rest.data) : rest.size;
        weir__text_append(buffer, rest.data, plain);
        rest = weir__span_from(rest, plain);
        const size_t sequence = csi_length(rest);
        if (sequence == 0 && rest.size > 0)
            weir__text_char(buffer, rest.data[0]);
        rest = weir__span_from(rest, sequence > 0 ? sequence : 1);
    }
    return buffer->failed ? line : (weir__span){buffer->data, buffer->size};
}

weir__span weir__marker_step_name(weir__span content)
{
    weir__span name = content;
    name = weir__span_first(name, weir__span_find(name, "["));
    name = weir__span_first(name, weir__span_find(name, "{"));
    name = weir__span_first(name, weir__span_find(name, " --"));
    return weir__span_trim(name);
}

bool weir__marker_split(weir__span content, weir__span *left, weir__span *right)
{
    const size_t colon = weir__span_find(content, ":");
    *left = weir__span_first(content, colon);
    *right = weir__span_from(content, colon == SIZE_MAX ? SIZE_MAX : colon + 1);
    return colon != SIZE_MAX;
}

// ------------------------------------------------------------------------------------------- parameters

// A character of a key: beyond ASCII every byte counts as a letter.
static size_t key_length(weir__span span)
{
    size_t at = 0;
    while (at < span.size && (is_word(span.data[at]) || (unsigned char)span.data[at] >= 0x80))
        at++;
    return at;
}

static size_t nonspace_length(weir__span span)
{
    size_t at = 0;
    while (at < span.size && weir__span_space_length(weir__span_from(span, at)) == 0)
        at++;
    return at;
}

// One of the three forms: what opens it, what stands between key and value, what closes it (0: white space
// does).
typedef struct param_form {
    const char *open;
    char middle;
    char close;
} param_form;

static const param_form forms[] = {{"[", '=', ']'}, {"{", ':', '}'}, {"--", '=', '\0'}};

// Reads one parameter at the start of the span; returns how many bytes it takes, 0 when there is none.
static size_t match(const param_form *form, weir__span span, weir__span *key, weir__span *value)
{
    const size_t open = strlen(form->open);
    if (span.size < open || memcmp(span.data, form->open, open) != 0)
        return 0;
    *key = weir__span_from(span, open);
    *key = weir__span_first(*key, key_length(*key));
    const size_t middle = open + key->size;
    if (key->size == 0 || middle >= span.size || span.data[middle] != form->middle)
        return 0;
    const weir__span rest = weir__span_from(span, middle + 1);
    size_t length = 0;
    if (form->close == '\0') {
        length = nonspace_length(rest);
    } else {
        const char *const close = rest.size > 0 ? memchr(rest.data, form->close, rest.size) : NULL;
        length = close != NULL ? (size_t)(close - rest.data) : 0;
    }
    *value = weir__span_first(rest, length);
    return length > 0 ? middle + 1 + length + (form->close != '\0') : 0;
}

static weir__param_type type_of(weir__span value)
{
    size_t digits = 0;
    size_t dots = 0;
    for (size_t i = 0; i < value.size; i++) {
        digits += is_digit(value.data[i]);
        dots += value.data[i] == '.';
    }
    if (digits == value.size && digits > 0)
        return WEIR__PARAM_INTEGER;
    if (digits > 0 && dots == 1 && digits + 1 == value.size)
        return WEIR__PARAM_REAL;
    const bool is_true = value.size == 4 && strncasecmp(value.data, "true", 4) == 0;
    const bool is_false = value.size == 5 && strncasecmp(value.data, "false", 5) == 0;
    return is_true || is_false ? WEIR__PARAM_BOOL : WEIR__PARAM_TEXT;
}

static void put(weir__params *params, weir__span key, weir__span value)
{
    size_t i = 0;
    while (i < params->count && !weir__span_equals(params->items[i].key, key))
        i++;
    if (i == WEIR__PARAMS_MAX) {
        params->dropped++;
        return;
    }
    params->items[i] = (weir__param){key, value, type_of(value)};
    params->count += i == params->count;
}

void weir__params_parse(weir__span content, weir__params *params)
{
    params->count = 0;
    params->dropped = 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        // Behind the last closing character nothing can match; not to look there keeps the search from going to
        // the line's end at every opening one.
        const char *const last =
            content.size > 0 ? memrchr(content.data, forms[i].close, content.size) : NULL;
        const size_t size = last != NULL ? (size_t)(last - content.data) + 1 : 0;
        for (weir__span rest = weir__span_first(content, forms[i].close != '\0' ? size : SIZE_MAX);
             rest.size > 0;) {
            weir__span key = {0};
            weir__span value = {0};
            const size_t length = match(&forms[i], rest, &key, &value);
            if (length > 0)
                put(params, key, value);
            rest = weir__span_from(rest, length > 0 ? length : 1);
        }
    }
}

const weir__param *weir__params_get(const weir__params *params, const char *key)
{
    for (size_t i = 0; i < params->count; i++) {
        if (weir__span_is(params->items[i].key, key))
            return &params->items[i];
    }
    return NULL;
}

// strtod reads the locale's decimal point, so it is asked in the "C" locale. Digits of any number are read.
static double number_of(weir__span digits)
{
    static const char c_locale_name[] = "C";
    char *const copy = weir__span_copy(digits);
    locale_t locale = newlocale(LC_ALL_MASK, c_locale_name, (locale_t)0);
    double number = 0.0;
    if (copy != NULL && locale != (locale_t)0)
        number = strtod_l(copy, NULL, locale);
    if (locale != (locale_t)0)
        freelocale(locale);
    free(copy);
    return number;
}

bool weir__param_number(const weir__param *param, double *number)
{
    *number = 0.0;
    if (param->type != WEIR__PARAM_INTEGER && param->type != WEIR__PARAM_REAL)
        return false;
    *number = number_of(param->value);
    return true;
}

bool weir__param_truth(const weir__param *param)
{
    if (param == NULL)
        return false;
    double number = 0.0;
    if (weir__param_number(param, &number))
        return number != 0.0;
    static const char *const negative[] = {"no", "off", "false"};
    for (size_t i = 0; i < sizeof negative / sizeof *negative; i++) {
        if (param->value.size == strlen(negative[i]) &&
            strncasecmp(param->value.data, negative[i], param->value.size) == 0)
            return false;
    }
    return true;
}

json_t *weir__param_value(const weir__param *param)
{
    switch (param->type) {
    case WEIR__PARAM_BOOL:
        return json_boolean(param->value.size == 4);
    case WEIR__PARAM_INTEGER: {
        char digits[32] = "";
        if (param->value.size >= sizeof digits)
            break;
        memcpy(digits, param->value.data, param->value.size);
        errno = 0;
        const long long number = strtoll(digits, NULL, 10);
        if (errno == 0)
            return json_integer(number);
        break;
    }
    case WEIR__PARAM_REAL: {
        const double number = number_of(param->value);
        if (number <= DBL_MAX)
            return json_real(number);
        break;
    }
    case WEIR__PARAM_TEXT:
        break;
    }
    return json_stringn(param->value.data, param->value.size);
}
