// SPDX-License-Identifier: MIT
//
// Inputs: a reader over memory, or over a region of a file with pread(2), so that the descriptor's position
// is nobody's business.
#include "activity/input.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "activity/json.h"
#include "base/assert.h"

static int read_file(void *context, uint64_t offset, void *buffer, size_t size, size_t *got, weir_error *err)
{
    const weir_activity_input *const from = context;
    *got = 0;
    if (offset >= from->size)
        return WEIR_OK;
    if (size > from->size - offset)
        size = (size_t)(from->size - offset);
    for (;;) {
        const ssize_t count = pread(from->fd, buffer, size, (off_t)(from->offset + offset));
        if (count >= 0) {
            *got = (size_t)count;
            return WEIR_OK;
        }
        if (errno != EINTR)
            return weir__error_errno(err, errno, "the input cannot be read");
    }
}

void weir__input_open(weir__input *input, const weir_activity_input *from, uint64_t offset, unsigned frame)
{
    input->from = *from;
    if (from->bytes != NULL) {
        weir__json_reader_init(&input->reader, from->bytes + offset, (size_t)(from->size - offset),
                               WEIR_ACTIVITY_DATA_BYTES_MAX);
    } else {
        input->from.offset += offset;
        input->from.size -= offset;
        weir__json_reader_init_source(&input->reader, read_file, &input->from, WEIR_ACTIVITY_DATA_BYTES_MAX);
    }
    WEIR_ASSERT(frame <= WEIR__JSON_FRAME_MAX);
    input->reader.depth_max += frame;
}

void weir__input_close(weir__input *input)
{
    weir__json_reader_fini(&input->reader);
}

// ------------------------------------------------------------------------------------------ lists of events

static int open_list(weir__input_events *events, weir_error *err)
{
    weir__input_open(&events->input, events->from, events->offset, events->frame);
    events->is_open = true;
    events->invalid = 0;
    weir__json_token token;
    const int rc = weir__json_reader_next(&events->input.reader, &token, err);
    if (rc == WEIR_OK && token.type != WEIR__JSON_ARRAY)
        return weir__error_set(err, WEIR_MISMATCH, "events must be a JSON array (at byte %" PRIu64 ")",
                               events->offset + token.offset);
    return rc;
}

static int next_strict(weir__input_events *events, weir_event *event, bool *has, weir_error *err)
{
    weir__json_reader *const reader = &events->input.reader;
    weir__json_token token;
    const int rc = weir__json_reader_peek(reader, &token, err);
    if (rc != WEIR_OK)
        return rc;
    *has = token.type != WEIR__JSON_ARRAY_END;
    weir__text_clear(&events->data);
    return *has ? weir__event_read(reader, event, &events->data, err)
                : weir__json_reader_next(reader, &token, err);
}

static int next_lenient(weir__input_events *events, weir_event *event, bool *has, weir_error *err)
{
    weir__event_found found = WEIR__EVENT_INVALID;
    int rc = WEIR_OK;
    while (rc == WEIR_OK && found == WEIR__EVENT_INVALID) {
        rc = weir__event_read_lenient(&events->input.reader, &found, event, &events->data, err);
        events->invalid += rc == WEIR_OK && found == WEIR__EVENT_INVALID;
    }
    *has = found == WEIR__EVENT_FOUND;
    return rc;
}

int weir__input_events_next(weir__input_events *events, weir_event *event, bool *has, weir_error *err)
{
    *has = false;
    weir_event read;
    int rc = events->is_open ? WEIR_OK : open_list(events, err);
    if (rc == WEIR_OK)
        rc =
            events->is_lenient ? next_lenient(events, &read, has, err) : next_strict(events, &read, has, err);
    if (rc != WEIR_OK || !*has)
        return rc;
    events->position = events->offset + events->input.reader.window_offset + events->input.reader.at;
    if (!events->takes_ids) {
        read.has_id = false;
        read.id = 0;
    }
    return weir__activity_event_check(&read, &events->checked, event, err);
}

void weir__input_events_rewind(weir__input_events *events)
{
    if (events->is_open)
        weir__input_close(&events->input);
    events->is_open = false;
}

void weir__input_events_fini(weir__input_events *events)
{
    weir__input_events_rewind(events);
    weir__text_free(&events->data);
    weir__text_free(&events->checked);
}

static int source_next(void *context, weir_event *event, bool *has, weir_error *err)
{
    return weir__input_events_next(context, event, has, err);
}

static int source_rewind(void *context, weir_error *err)
{
    (void)err;
    weir__input_events_rewind(context);
    return WEIR_OK;
}

weir__activity_source weir__input_events_source(weir__input_events *events)
{
    return (weir__activity_source){.next = source_next, .rewind = source_rewind, .context = events};
}
