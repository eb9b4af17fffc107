// SPDX-License-Identifier: MIT
//
// See uri.h. The target is copied once; decoding shrinks each piece in place, so all strings live in that
// copy.
#include "server/uri.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

// Decodes `piece` in place. `plus_is_space` is the rule of queries.
static int decode(char *piece, bool plus_is_space, weir_error *err)
{
    size_t size = 0;
    for (const char *from = piece; *from != '\0'; from++) {
        int byte = (unsigned char)*from;
        if (*from == '%') {
            const int high = hex_value(from[1]);
            const int low = high < 0 ? -1 : hex_value(from[2]);
            if (low < 0)
                return weir__error_set(err, WEIR_INVALID,
                                       "the URL has a %% that two hex digits do not follow");
            byte = high * 16 + low;
            from += 2;
            if (byte < 0x20 || byte == 0x7f)
                return weir__error_set(err, WEIR_INVALID, "the URL has a control character (%%%02X)", byte);
        } else if (*from == '+' && plus_is_space) {
            byte = ' ';
        }
        piece[size++] = (char)byte;
    }
    piece[size] = '\0';
    if (!weir__utf8_is_valid(piece, size))
        return weir__error_set(err, WEIR_INVALID, "the URL is not UTF-8 once it is decoded");
    return WEIR_OK;
}

static int parse_path(weir__uri *uri, char *path, weir_error *err)
{
    if (path[0] != '/')
        return weir__error_set(err, WEIR_INVALID, "the request target must start with a slash");
    if (path[1] == '\0')
        return WEIR_OK;
    for (char *rest = path + 1; rest != NULL;) {
        char *segment = rest;
        rest = strchr(segment, '/');
        if (rest != NULL)
            *rest++ = '\0';
        if (uri->segments_count == WEIR__URI_SEGMENTS_MAX)
            return weir__error_set(err, WEIR_NOTFOUND, "no such path");
        uri->segments[uri->segments_count++] = segment;
        const int code = decode(segment, false, err);
        if (code != WEIR_OK)
            return code;
    }
    return WEIR_OK;
}

static int add_param(weir__uri *uri, char *pair, weir_error *err)
{
    static char nothing[] = "";
    char *value = strchr(pair, '=');
    if (value != NULL)
        *value++ = '\0';
    else
        value = nothing;
    int code = decode(pair, true, err);
    if (code == WEIR_OK && *value != '\0')
        code = decode(value, true, err);
    if (code != WEIR_OK)
        return code;
    if (weir__uri_param(uri, pair) != NULL)
        return weir__error_set(err, WEIR_INVALID, "the parameter %s is given twice", pair);
    if (uri->params_count == WEIR__URI_PARAMS_MAX)
        return weir__error_set(err, WEIR_INVALID, "the query has more than %d parameters",
                               WEIR__URI_PARAMS_MAX);
    uri->params[uri->params_count++] = (weir__param){.name = pair, .value = value};
    return WEIR_OK;
}

static int parse_query(weir__uri *uri, char *query, weir_error *err)
{
    while (query != NULL) {
        char *pair = query;
        query = strchr(pair, '&');
        if (query != NULL)
            *query++ = '\0';
        if (*pair == '\0')
            continue;
        const int code = add_param(uri, pair, err);
        if (code != WEIR_OK)
            return code;
    }
    return WEIR_OK;
}

int weir__uri_parse(const char *target, weir__uri *uri, weir_error *err)
{
    *uri = (weir__uri){0};
    for (const char *c = target; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7f || *c == '#')
            return weir__error_set(err, WEIR_INVALID, "the URL has a character that must be percent-encoded");
    uri->memory = strdup(target);
    if (uri->memory == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for the URL");
    char *query = strchr(uri->memory, '?');
    if (query != NULL)
        *query++ = '\0';
    int code = parse_path(uri, uri->memory, err);
    if (code == WEIR_OK)
        code = parse_query(uri, query, err);
    if (code != WEIR_OK)
        weir__uri_free(uri);
    return code;
}

// ---------------------------------------------------------------------------------------------- lenient

// Decodes `piece` in place. False: it is not UTF-8 then, or a decoded NUL cuts it short.
static bool decode_lenient(char *piece, bool plus_is_space)
{
    size_t size = 0;
    bool clean = true;
    for (const char *from = piece; *from != '\0'; from++) {
        const int high = *from == '%' ? hex_value(from[1]) : -1;
        const int low = high < 0 ? -1 : hex_value(from[2]);
        char byte = *from == '+' && plus_is_space ? ' ' : *from;
        if (low >= 0) {
            byte = (char)(high * 16 + low);
            clean = clean && byte != '\0';
            from += 2;
        }
        piece[size++] = byte;
    }
    piece[size] = '\0';
    return clean && weir__utf8_is_valid(piece, size);
}

static int parse_path_lenient(weir__uri *uri, char *path, weir_error *err)
{
    for (char *rest = path; rest != NULL;) {
        char *segment = rest;
        rest = strchr(segment, '/');
        if (rest != NULL)
            *rest++ = '\0';
        if (*segment == '\0')
            continue;
        if (uri->segments_count == WEIR__URI_SEGMENTS_MAX)
            return weir__error_set(err, WEIR_NOTFOUND, "no such path");
        uri->segments[uri->segments_count++] = segment;
        uri->unclean = !decode_lenient(segment, false) || uri->unclean;
    }
    return WEIR_OK;
}

static int add_param_lenient(weir__uri *uri, char *pair, weir_error *err)
{
    static char nothing[] = "";
    char *value = strchr(pair, '=');
    if (value != NULL)
        *value++ = '\0';
    else
        value = nothing;
    (void)decode_lenient(pair, true);
    if (*value != '\0')
        (void)decode_lenient(value, true);
    for (size_t i = 0; i < uri->params_count; i++) {
        if (strcmp(uri->params[i].name, pair) == 0) {
            uri->params[i].value = NULL;
            return WEIR_OK;
        }
    }
    if (uri->params_count == WEIR__URI_PARAMS_MAX)
        return weir__error_set(err, WEIR_INVALID, "the query has more than %d parameters",
                               WEIR__URI_PARAMS_MAX);
    uri->params[uri->params_count++] = (weir__param){.name = pair, .value = value};
    return WEIR_OK;
}

int weir__uri_parse_lenient(const char *target, weir__uri *uri, weir_error *err)
{
    *uri = (weir__uri){0};
    for (const char *c = target; *c != '\0'; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return weir__error_set(err, WEIR_INVALID, "the URL has a character that must be percent-encoded");
    if (target[0] != '/')
        return weir__error_set(err, WEIR_INVALID, "the request target must start with a slash");
    uri->memory = strdup(target);
    if (uri->memory == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for the URL");
    char *query = strchr(uri->memory, '?');
    if (query != NULL)
        *query++ = '\0';
    int code = parse_path_lenient(uri, uri->memory, err);
    while (code == WEIR_OK && query != NULL) {
        char *pair = query;
        query = strchr(pair, '&');
        if (query != NULL)
            *query++ = '\0';
        if (*pair != '\0')
            code = add_param_lenient(uri, pair, err);
    }
    if (code != WEIR_OK)
        weir__uri_free(uri);
    return code;
}

void weir__uri_free(weir__uri *uri)
{
    free(uri->memory);
    *uri = (weir__uri){0};
}

const char *weir__uri_param(const weir__uri *uri, const char *name)
{
    for (size_t i = 0; i < uri->params_count; i++)
        if (strcmp(uri->params[i].name, name) == 0)
            return uri->params[i].value;
    return NULL;
}

int weir__uri_param_int(const weir__uri *uri, const char *name, int64_t fallback, int64_t *value,
                        weir_error *err)
{
    *value = fallback;
    const char *text = weir__uri_param(uri, name);
    if (text == NULL || *text == '\0')
        return WEIR_OK;
    const char *digits = text + (*text == '-' || *text == '+');
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
        return weir__error_set(err, WEIR_INVALID, "the parameter %s must be a whole number, not '%s'", name,
                               text);
    errno = 0;
    *value = strtoll(text, NULL, 10);
    if (errno == ERANGE)
        return weir__error_set(err, WEIR_INVALID, "the parameter %s does not fit: %s", name, text);
    return WEIR_OK;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcasecmp(text, *words) == 0)
            return true;
    return false;
}

int weir__uri_param_bool(const weir__uri *uri, const char *name, bool *value, weir_error *err)
{
    static const char *const yes[] = {"", "1", "true", "yes", "on", NULL};
    static const char *const no[] = {"0", "false", "no", "off", NULL};
    *value = false;
    const char *text = weir__uri_param(uri, name);
    if (text == NULL || is_one_of(text, no))
        return WEIR_OK;
    if (!is_one_of(text, yes))
        return weir__error_set(err, WEIR_INVALID, "the parameter %s must be 1 or 0, not '%s'", name, text);
    *value = true;
    return WEIR_OK;
}
