// SPDX-License-Identifier: MIT
//
// What the readers of events, buckets and privacy rules share.
#include "activity/json.h"

#include <inttypes.h>
#include <string.h>

#include "base/date.h"
#include "base/error.h"

unsigned weir__json_field_of(const weir__json_field fields[], const weir__json_token *key)
{
    for (size_t i = 0; fields[i].name != NULL; i++) {
        if (strlen(fields[i].name) == key->size && memcmp(fields[i].name, key->text, key->size) == 0)
            return fields[i].bit;
    }
    return 0;
}

const char *weir__json_field_name(const weir__json_field fields[], unsigned bit)
{
    for (size_t i = 0; fields[i].name != NULL; i++) {
        if (fields[i].bit == bit)
            return fields[i].name;
    }
    return "?";
}

int weir__json_date(weir__json_reader *reader, const char *what, bool *present, int64_t *ns, weir_error *err)
{
    weir__json_token token;
    const int code = weir__json_reader_next(reader, &token, err);
    if (code != WEIR_OK)
        return code;
    if (present != NULL) {
        *present = token.type != WEIR__JSON_NULL;
        if (!*present)
            return WEIR_OK;
    }
    const char *const form = "2018-01-01T01:01:01Z";
    if (token.type != WEIR__JSON_STRING)
        return weir__error_set(err, WEIR_MISMATCH,
                               "%s must be a date in a string, such as \"%s\" (at byte %" PRIu64 ")", what,
                               form, token.offset);
    switch (weir__date_parse_lenient(token.text, token.size, ns)) {
    case WEIR__DATE_OK:
        return WEIR_OK;
    case WEIR__DATE_BEYOND:
        return weir__error_set(err, WEIR_INVALID,
                               "%s is \"%.64s\", but dates must lie between 1677-09-21 and 2262-04-11", what,
                               token.text);
    case WEIR__DATE_MALFORMED:
        break;
    }
    return weir__error_set(err, WEIR_MISMATCH,
                           "%s is \"%.64s\", which is no date with an offset, such as \"%s\"", what,
                           token.text, form);
}

int weir__json_leave(weir__json_reader *reader, unsigned depth, weir_error *err)
{
    int code = WEIR_OK;
    weir__json_token token;
    while (code == WEIR_OK && reader->depth > depth)
        code = weir__json_reader_next(reader, &token, err);
    return code;
}
