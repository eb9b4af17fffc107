// SPDX-License-Identifier: MIT
//
// One event as JSON. The writer fills a buffer whose size is known beforehand; the reader goes through the
// tokens once and copies nothing but the canonical data. For weir_event_parse() these are appended behind the
// space for the struct, so that event and data are one block from the start.
#include "activity/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/date.h"
#include "base/error.h"

// The names and punctuation of the four fields, an id, a date and a number of seconds, generously.
enum { FRAME_BYTES = 64 + 20 + WEIR__DATE_SIZE + WEIR__JSON_SECONDS_SIZE };

enum { FIELD_ID = 1, FIELD_TIMESTAMP = 2, FIELD_DURATION = 4, FIELD_DATA = 8, FIELD_OTHER = 0 };

static const char empty_object[] = "{}";

// ------------------------------------------------------------------------------------------------- writing

static void data_of(const weir_event *event, const char **data, size_t *size)
{
    *data = event->data != NULL ? event->data : empty_object;
    if (event->data == NULL)
        *size = sizeof empty_object - 1;
    else
        *size = event->data_size == WEIR_TEXT_TERMINATED ? strlen(event->data) : event->data_size;
}

size_t weir_event_json_size(const weir_event *event)
{
    const char *data;
    size_t size;
    data_of(event, &data, &size);
    return FRAME_BYTES + size;
}

static char *put(char *out, const char *bytes, size_t size)
{
    memcpy(out, bytes, size);
    return out + size;
}

#define PUT(out, literal) put((out), (literal), sizeof(literal) - 1)

static char *put_id(char *out, const weir_event *event)
{
    if (!event->has_id)
        return PUT(out, "null");
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%" PRId64, event->id);
    WEIR_ASSERT(length > 0 && (size_t)length < sizeof digits);
    return put(out, digits, (size_t)length);
}

size_t weir_event_json(const weir_event *event, char *out)
{
    const char *data;
    size_t size;
    data_of(event, &data, &size);
    char date[WEIR__DATE_SIZE], seconds[WEIR__JSON_SECONDS_SIZE];
    const size_t date_size = weir__date_format(date, event->start_ns);
    const size_t seconds_size = weir__json_seconds(seconds, event->duration_ns);

    char *at = PUT(out, "{\"id\":");
    at = put_id(at, event);
    at = PUT(at, ",\"timestamp\":\"");
    at = put(at, date, date_size);
    at = PUT(at, "\",\"duration\":");
    at = put(at, seconds, seconds_size);
    at = PUT(at, ",\"data\":");
    at = put(at, data, size);
    at = PUT(at, "}");
    const size_t length = (size_t)(at - out);
    WEIR_ASSERT(length <= FRAME_BYTES + size);
    return length;
}

// ------------------------------------------------------------------------------------------------- reading

static bool is(const weir__json_token *token, const char *name, size_t size)
{
    return token->size == size && memcmp(token->text, name, size) == 0;
}

static unsigned field_of(const weir__json_token *key)
{
    if (is(key, "timestamp", 9))
        return FIELD_TIMESTAMP;
    if (is(key, "duration", 8))
        return FIELD_DURATION;
    if (is(key, "data", 4))
        return FIELD_DATA;
    return is(key, "id", 2) ? FIELD_ID : FIELD_OTHER;
}

static int read_id(weir__json_reader *reader, weir_event *event, weir_error *err)
{
    weir__json_token token;
    const int code = weir__json_reader_next(reader, &token, err);
    if (code != WEIR_OK || token.type == WEIR__JSON_NULL)
        return code;
    event->has_id = token.type == WEIR__JSON_NUMBER && weir__json_int64(token.text, &event->id);
    if (event->has_id)
        return WEIR_OK;
    return weir__error_set(err, WEIR_MISMATCH,
                           "the id of an event must be a 64-bit integer or null (at byte %" PRIu64 ")",
                           token.offset);
}

static int read_duration(weir__json_reader *reader, weir_event *event, weir_error *err)
{
    weir__json_token token;
    const int code = weir__json_reader_next(reader, &token, err);
    if (code != WEIR_OK)
        return code;
    if (token.type != WEIR__JSON_NUMBER)
        return weir__error_set(err, WEIR_MISMATCH,
                               "the duration of an event must be a number of seconds (at byte %" PRIu64 ")",
                               token.offset);
    event->duration_ns = weir__json_seconds_to_ns(token.text);
    return WEIR_OK;
}

static int read_data(weir__json_reader *reader, weir__text *data, weir_error *err)
{
    weir__json_token token;
    const int code = weir__json_reader_peek(reader, &token, err);
    if (code != WEIR_OK)
        return code;
    if (token.type != WEIR__JSON_OBJECT)
        return weir__error_set(err, WEIR_MISMATCH,
                               "the data of an event must be a JSON object (at byte %" PRIu64 ")",
                               token.offset);
    return weir__json_reader_canonical(reader, data, err);
}

static int read_field(weir__json_reader *reader, unsigned field, weir_event *event, weir__text *data,
                      weir_error *err)
{
    switch (field) {
    case FIELD_ID:
        return read_id(reader, event, err);
    case FIELD_TIMESTAMP:
        return weir__json_date(reader, "the timestamp of an event", NULL, &event->start_ns, err);
    case FIELD_DURATION:
        return read_duration(reader, event, err);
    case FIELD_DATA:
        return read_data(reader, data, err);
    default:
        return weir__json_reader_skip(reader, err);
    }
}

static int missing(const char *field, weir_error *err)
{
    return weir__error_set(err, WEIR_MISMATCH, "an event has no \"%s\"", field);
}

int weir__event_read(weir__json_reader *reader, weir_event *event, weir__text *data, weir_error *err)
{
    *event = (weir_event){0};
    const size_t data_at = data->size;
    weir__json_token token;
    int code = weir__json_reader_next(reader, &token, err);
    if (code == WEIR_OK && token.type != WEIR__JSON_OBJECT)
        return weir__error_set(err, WEIR_MISMATCH, "an event must be a JSON object (at byte %" PRIu64 ")",
                               token.offset);
    unsigned seen = 0;
    while (code == WEIR_OK) {
        code = weir__json_reader_next(reader, &token, err);
        if (code != WEIR_OK || token.type == WEIR__JSON_OBJECT_END)
            break;
        const unsigned field = field_of(&token);
        if ((seen & field) != 0)
            return weir__error_set(err, WEIR_MISMATCH, "an event has two fields \"%s\" (at byte %" PRIu64 ")",
                                   token.text, token.offset);
        seen |= field;
        code = read_field(reader, field, event, data, err);
    }
    if (code != WEIR_OK)
        return code;
    if ((seen & FIELD_TIMESTAMP) == 0)
        return missing("timestamp", err);
    if ((seen & FIELD_DATA) == 0)
        return missing("data", err);
    if (data->failed)
        return weir__error_set(err, WEIR_NOMEM, "out of memory");
    event->data = data->data + data_at;
    event->data_size = data->size - data_at;
    return WEIR_OK;
}

int weir_event_parse(const char *json, size_t size, weir_event **event, weir_error *err)
{
    *event = NULL;
    weir__json_reader reader;
    weir__json_reader_init(&reader, json, size == WEIR_TEXT_TERMINATED ? strlen(json) : size,
                           WEIR_ACTIVITY_DATA_BYTES_MAX);
    weir_event read = {0};
    weir__text block = {0};
    weir__text_append(&block, &read, sizeof read); // its place
    int code = weir__event_read(&reader, &read, &block, err);
    weir__json_token token;
    if (code == WEIR_OK)
        code = weir__json_reader_next(&reader, &token, err); // the end, or an error
    weir__json_reader_fini(&reader);
    if (code == WEIR_OK) {
        *event = (weir_event *)(void *)weir__text_take(&block);
        read.data = (const char *)*event + sizeof read;
        **event = read;
    }
    weir__text_free(&block);
    return code;
}

// -------------------------------------------------------------------------------------------------- lists

// Reads one element, of which half a surrogate pair makes no event either.
static int read_element(weir__json_reader *reader, weir__event_found *found, weir_event *event,
                        weir__text *data, weir_error *err)
{
    const unsigned depth = reader->depth;
    weir__json_token token;
    int code = weir__json_reader_peek(reader, &token, err);
    if (code != WEIR_OK)
        return code;
    if (token.type == WEIR__JSON_ARRAY_END) {
        *found = WEIR__EVENT_END;
        return weir__json_reader_next(reader, &token, err);
    }
    if (token.type != WEIR__JSON_OBJECT)
        return weir__json_reader_skip(reader, err);
    code = weir__event_read(reader, event, data, err);
    if (code == WEIR_OK)
        *found = WEIR__EVENT_FOUND;
    return code == WEIR_MISMATCH ? weir__json_leave(reader, depth, err) : code;
}

int weir__event_read_lenient(weir__json_reader *reader, weir__event_found *found, weir_event *event,
                             weir__text *data, weir_error *err)
{
    *found = WEIR__EVENT_INVALID;
    weir__text_clear(data);
    reader->takes_halves = true;
    reader->halves = 0;
    const int code = read_element(reader, found, event, data, err);
    reader->takes_halves = false;
    if (*found == WEIR__EVENT_FOUND && reader->halves > 0)
        *found = WEIR__EVENT_INVALID;
    return code;
}
