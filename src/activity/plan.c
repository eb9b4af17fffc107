// SPDX-License-Identifier: MIT
//
// Reading buckets into a plan. Attributes go into one text, behind one another, and are remembered as offsets,
// for the text moves as it grows.
#include "activity/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "activity/json.h"

enum { TICK_EVENTS = 4096 };

enum {
    ID = 1,
    TYPE = 2,
    CLIENT = 4,
    HOSTNAME = 8,
    CREATED = 16,
    DATA = 32,
    EVENTS = 64,
    LAST_UPDATED = 128,
};

static const weir__json_field fields[] = {
    {"id", ID},
    {"type", TYPE},
    {"client", CLIENT},
    {"hostname", HOSTNAME},
    {"created", CREATED},
    {"data", DATA},
    {"events", EVENTS},
    {"last_updated", LAST_UPDATED},
    {NULL, 0}, // "metadata" is passed over
};

// ---------------------------------------------------------------------------------------------- attributes

static int check_size(const weir__plan *plan, weir_error *err)
{
    if (plan->strings.failed)
        return weir__activity_no_memory(err);
    if (plan->strings.size + plan->count * sizeof *plan->buckets > WEIR__PLAN_BYTES_MAX)
        return weir__error_set(err, WEIR_TOOBIG,
                               "the attributes of all buckets take more than %d MiB: send them in parts",
                               WEIR__PLAN_BYTES_MAX >> 20);
    return WEIR_OK;
}

// Appends a string and its NUL.
static int keep(weir__plan *plan, const char *string, size_t size, size_t *where, weir_error *err)
{
    *where = plan->strings.size;
    weir__text_append(&plan->strings, string, size);
    weir__text_char(&plan->strings, '\0');
    return check_size(plan, err);
}

static int read_string(weir__plan *plan, weir__json_reader *reader, unsigned bit, size_t *where,
                       weir_error *err)
{
    weir__json_token token;
    const int rc = weir__json_reader_next(reader, &token, err);
    if (rc != WEIR_OK)
        return rc;
    if (token.type != WEIR__JSON_STRING)
        return weir__error_set(err, WEIR_MISMATCH,
                               "the %s of a bucket must be a string (at byte %" PRIu64 ")",
                               weir__json_field_name(fields, bit), token.offset);
    if (memchr(token.text, '\0', token.size) != NULL)
        return weir__error_set(err, WEIR_INVALID, "the %s of a bucket must not hold the character U+0000",
                               weir__json_field_name(fields, bit));
    return keep(plan, token.text, token.size, where, err);
}

static int read_data(weir__plan *plan, weir__json_reader *reader, weir__plan_bucket *bucket, weir_error *err)
{
    weir__json_token token;
    int rc = weir__json_reader_peek(reader, &token, err);
    if (rc != WEIR_OK)
        return rc;
    if (token.type != WEIR__JSON_OBJECT)
        return weir__error_set(err, WEIR_MISMATCH,
                               "the data of a bucket must be a JSON object (at byte %" PRIu64 ")",
                               token.offset);
    bucket->data = plan->strings.size;
    rc = weir__json_reader_canonical(reader, &plan->strings, err);
    if (rc != WEIR_OK)
        return rc;
    bucket->data_size = plan->strings.size - bucket->data;
    weir__text_char(&plan->strings, '\0');
    return check_size(plan, err);
}

// -------------------------------------------------------------------------------------------------- events

static int check_events(weir__plan *plan, weir__json_reader *reader, weir_error *err)
{
    int rc = WEIR_OK;
    while (rc == WEIR_OK) {
        weir__event_found found;
        weir_event event, checked;
        rc = weir__event_read_lenient(reader, &found, &event, &plan->data, err);
        if (rc != WEIR_OK || found == WEIR__EVENT_END)
            break;
        plan->invalid += found == WEIR__EVENT_INVALID;
        plan->events += found == WEIR__EVENT_FOUND;
        if (found == WEIR__EVENT_FOUND)
            rc = weir__activity_event_check(&event, &plan->checked, &checked, err);
        if (rc == WEIR_OK && plan->tick != NULL && (plan->events + plan->invalid) % TICK_EVENTS == 0)
            rc = plan->tick(plan->context, plan->events, reader->window_offset + reader->at, err);
    }
    return rc;
}

static int read_events(weir__plan *plan, weir__json_reader *reader, weir__plan_bucket *bucket,
                       weir_error *err)
{
    weir__json_token token;
    const int rc = weir__json_reader_next(reader, &token, err);
    if (rc != WEIR_OK || token.type == WEIR__JSON_NULL)
        return rc;
    if (token.type != WEIR__JSON_ARRAY)
        return weir__error_set(err, WEIR_MISMATCH,
                               "the events of a bucket must be a JSON array or null (at byte %" PRIu64 ")",
                               token.offset);
    bucket->has_events = true;
    bucket->events_offset = token.offset;
    return check_events(plan, reader, err);
}

// ------------------------------------------------------------------------------------------------- buckets

static int read_field(weir__plan *plan, weir__json_reader *reader, unsigned bit, weir__plan_bucket *bucket,
                      weir_error *err)
{
    bool present = false;
    int64_t unused = 0;
    switch (bit) {
    case ID:
        return read_string(plan, reader, bit, &bucket->id, err);
    case TYPE:
        return read_string(plan, reader, bit, &bucket->type, err);
    case CLIENT:
        return read_string(plan, reader, bit, &bucket->client, err);
    case HOSTNAME:
        return read_string(plan, reader, bit, &bucket->hostname, err);
    case CREATED:
        return weir__json_date(reader, "\"created\" of a bucket", &bucket->has_created, &bucket->created_ns,
                               err);
    case LAST_UPDATED:
        return weir__json_date(reader, "\"last_updated\" of a bucket", &present, &unused, err);
    case DATA:
        return read_data(plan, reader, bucket, err);
    case EVENTS:
        return read_events(plan, reader, bucket, err);
    default:
        return weir__json_reader_skip(reader, err);
    }
}

static int read_fields(weir__plan *plan, weir__json_reader *reader, weir__plan_bucket *bucket, unsigned *seen,
                       weir_error *err)
{
    weir__json_token token;
    int rc = weir__json_reader_next(reader, &token, err);
    if (rc == WEIR_OK && token.type != WEIR__JSON_OBJECT)
        return weir__error_set(err, WEIR_MISMATCH, "a bucket must be a JSON object (at byte %" PRIu64 ")",
                               token.offset);
    while (rc == WEIR_OK && (rc = weir__json_reader_next(reader, &token, err)) == WEIR_OK &&
           token.type != WEIR__JSON_OBJECT_END) {
        const unsigned bit = weir__json_field_of(fields, &token);
        if ((*seen & bit) != 0)
            return weir__error_set(err, WEIR_MISMATCH, "a bucket has \"%s\" twice (at byte %" PRIu64 ")",
                                   weir__json_field_name(fields, bit), token.offset);
        *seen |= bit;
        rc = read_field(plan, reader, bit, bucket, err);
    }
    static const unsigned needed[] = {TYPE, CLIENT, HOSTNAME};
    for (size_t i = 0; rc == WEIR_OK && i < sizeof needed / sizeof needed[0]; i++) {
        if ((*seen & needed[i]) == 0)
            rc = weir__error_set(err, WEIR_MISMATCH, "a bucket has no \"%s\"",
                                 weir__json_field_name(fields, needed[i]));
    }
    return rc;
}

static int add(weir__plan *plan, const weir__plan_bucket *bucket, weir_error *err)
{
    if (plan->count == plan->capacity) {
        const size_t capacity = plan->capacity == 0 ? 8 : plan->capacity * 2;
        weir__plan_bucket *const grown = realloc(plan->buckets, capacity * sizeof *grown);
        if (grown == NULL)
            return weir__activity_no_memory(err);
        plan->buckets = grown;
        plan->capacity = capacity;
    }
    plan->buckets[plan->count++] = *bucket;
    return check_size(plan, err);
}

int weir__plan_read(weir__plan *plan, weir__json_reader *reader, const char *id, bool is_forced,
                    weir_error *err)
{
    weir__plan_bucket bucket = {0};
    unsigned seen = 0;
    int rc = read_fields(plan, reader, &bucket, &seen, err);
    if (rc != WEIR_OK)
        return rc;
    if ((seen & DATA) == 0) {
        bucket.data_size = 2;
        rc = keep(plan, "{}", 2, &bucket.data, err);
    }
    const bool is_named = (seen & ID) != 0 && plan->strings.data[bucket.id] != '\0';
    if (rc == WEIR_OK && id != NULL && (is_forced || !is_named))
        rc = keep(plan, id, strlen(id), &bucket.id, err);
    else if (rc == WEIR_OK && (seen & ID) == 0)
        rc = keep(plan, "", 0, &bucket.id, err);
    if (rc == WEIR_OK)
        rc = add(plan, &bucket, err);
    if (rc != WEIR_OK)
        return rc;
    const weir_bucket given = weir__plan_at(plan, plan->count - 1);
    weir_bucket checked; // the same: its data are canonical
    return weir__activity_bucket_check(&given, &plan->checked, &checked, err);
}

weir_bucket weir__plan_at(const weir__plan *plan, size_t index)
{
    const weir__plan_bucket *const bucket = &plan->buckets[index];
    const char *const strings = plan->strings.data;
    return (weir_bucket){
        .id = strings + bucket->id,
        .type = strings + bucket->type,
        .client = strings + bucket->client,
        .hostname = strings + bucket->hostname,
        .has_created = bucket->has_created,
        .created_ns = bucket->created_ns,
        .data = strings + bucket->data,
        .data_size = bucket->data_size,
    };
}

// The data with "device_id" set: of equal keys the last one counts.
static int add_device(weir__plan *plan, weir__plan_bucket *bucket, const char *device_id, weir_error *err)
{
    weir__text open = {0};
    weir__text_append(&open, plan->strings.data + bucket->data, bucket->data_size - 1);
    weir__text_add(&open, bucket->data_size > 2 ? ",\"device_id\":" : "\"device_id\":");
    weir__text_json_string(&open, device_id, strlen(device_id));
    weir__text_char(&open, '}');
    bucket->data = plan->strings.size;
    int rc = open.failed ? weir__activity_no_memory(err)
                         : weir__json_canonical(open.data, open.size, WEIR__JSON_OBJECT, &plan->strings, err);
    bucket->data_size = plan->strings.size - bucket->data;
    weir__text_char(&plan->strings, '\0');
    weir__text_free(&open);
    return rc == WEIR_OK ? check_size(plan, err) : rc;
}

int weir__plan_localize(weir__plan *plan, size_t index, const weir_activity_local *local, weir_error *err)
{
    weir__plan_bucket *const bucket = &plan->buckets[index];
    if (local == NULL || strcmp(plan->strings.data + bucket->hostname, "!local") != 0)
        return WEIR_OK;
    int rc = WEIR_OK;
    if (local->hostname != NULL)
        rc = keep(plan, local->hostname, strlen(local->hostname), &bucket->hostname, err);
    if (rc == WEIR_OK && local->device_id != NULL)
        rc = add_device(plan, bucket, local->device_id, err);
    return rc;
}

void weir__plan_free(weir__plan *plan)
{
    weir__text_free(&plan->strings);
    weir__text_free(&plan->data);
    weir__text_free(&plan->checked);
    free(plan->buckets);
    *plan = (weir__plan){0};
}
