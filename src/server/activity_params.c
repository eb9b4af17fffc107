// SPDX-License-Identifier: MIT
//
// The grammar of numbers in URLs, as the peer has it; see activity_params.h.
#include "server/activity_params.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/date.h"
#include "base/error.h"

static const char digits[] = "0123456789";

static const char *behind_sign(const char *text)
{
    return text + (*text == '+' || *text == '-');
}

static bool is_word(const char *text)
{
    return strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0 || strcasecmp(text, "nan") == 0;
}

// Digits, with a point before, between or behind them, and an exponent.
static bool is_decimal(const char *text)
{
    size_t count = strspn(text, digits);
    text += count;
    if (*text == '.') {
        const size_t fraction = strspn(++text, digits);
        text += fraction;
        count += fraction;
    }
    if (count == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text = behind_sign(text + 1);
        const size_t exponent = strspn(text, digits);
        if (exponent == 0)
            return false;
        text += exponent;
    }
    return *text == '\0';
}

bool weir__activity_double(const char *text, double *value)
{
    const char *const unsigned_text = behind_sign(text);
    if (!is_word(unsigned_text) && !is_decimal(unsigned_text))
        return false;
    *value = strtod(text, NULL);
    return true;
}

// Is it one or more digits and nothing else?
static bool is_whole(const char *text)
{
    return *text != '\0' && text[strspn(text, digits)] == '\0';
}

bool weir__activity_id(const char *text, int64_t *id)
{
    if (!is_whole(behind_sign(text)))
        return false;
    errno = 0;
    *id = strtoll(text, NULL, 10);
    return errno == 0;
}

static bool parse_limit(const char *text, uint64_t *limit)
{
    if (!is_whole(text + (*text == '+')))
        return false;
    errno = 0;
    *limit = strtoull(text, NULL, 10);
    return errno == 0 && *limit <= INT64_MAX;
}

// `name` is what the parameter is called in the sentence, which clients know in these words.
static int parse_date(const char *text, const char *name, int64_t *ns, weir_error *err)
{
    switch (weir__date_parse_strict(text, strlen(text), ns)) {
    case WEIR__DATE_OK:
        return WEIR_OK;
    case WEIR__DATE_BEYOND:
        return weir__error_set(
            err, WEIR_INVALID,
            "Failed to parse %s, datetime needs to be in rfc3339 format: '%s' is not between "
            "1677-09-21 and 2262-04-11, where events can be",
            name, text);
    case WEIR__DATE_MALFORMED:
    default:
        return weir__error_set(err, WEIR_INVALID,
                               "Failed to parse %s, datetime needs to be in rfc3339 format: '%s' is not one, "
                               "as 2018-01-01T01:01:01Z is",
                               name, text);
    }
}

int weir__activity_range(const weir__uri *uri, weir_event_query *query, weir_error *err)
{
    const char *const start = weir__uri_param(uri, "start");
    const char *const end = weir__uri_param(uri, "end");
    const char *const limit = weir__uri_param(uri, "limit");
    int code = WEIR_OK;
    *query = (weir_event_query){.has_start = start != NULL, .has_end = end != NULL};
    if (start != NULL)
        code = parse_date(start, "starttime", &query->start_ns, err);
    if (code == WEIR_OK && end != NULL)
        code = parse_date(end, "endtime", &query->end_ns, err);
    query->has_limit = limit != NULL && parse_limit(limit, &query->limit);
    return code;
}
