// SPDX-License-Identifier: MIT
//
// A bucket as JSON, with the fields and their order that the peer's clients know. "last_updated" is always
// null: they take it from the metadata.
#include "activity/json.h"

#include <string.h>

#include "base/date.h"

static void add_string(weir__text *out, const char *name, const char *value)
{
    weir__text_add(out, name);
    weir__text_json_string(out, value, strlen(value));
}

static void add_date(weir__text *out, const char *name, bool has, int64_t ns)
{
    weir__text_add(out, name);
    if (!has) {
        weir__text_add(out, "null");
        return;
    }
    char date[WEIR__DATE_SIZE];
    const size_t size = weir__date_format(date, ns);
    weir__text_char(out, '"');
    weir__text_append(out, date, size);
    weir__text_char(out, '"');
}

void weir__bucket_json_begin(weir__text *out, const weir_bucket *bucket)
{
    add_string(out, "{\"id\":", bucket->id);
    add_string(out, ",\"type\":", bucket->type);
    add_string(out, ",\"client\":", bucket->client);
    add_string(out, ",\"hostname\":", bucket->hostname);
    add_date(out, ",\"created\":", bucket->has_created, bucket->created_ns);
    weir__text_add(out, ",\"data\":");
    if (bucket->data == NULL)
        weir__text_add(out, "{}");
    else if (bucket->data_size == WEIR_TEXT_TERMINATED)
        weir__text_add(out, bucket->data);
    else
        weir__text_append(out, bucket->data, bucket->data_size);
    add_date(out, ",\"metadata\":{\"start\":", bucket->has_start, bucket->start_ns);
    add_date(out, ",\"end\":", bucket->has_end, bucket->end_ns);
    weir__text_add(out, "},\"events\":");
}

void weir__bucket_json_end(weir__text *out)
{
    weir__text_add(out, ",\"last_updated\":null}");
}

char *weir_bucket_json(const weir_bucket *bucket)
{
    weir__text out = {0};
    weir__bucket_json_begin(&out, bucket);
    weir__text_add(&out, "null");
    weir__bucket_json_end(&out);
    char *const json = weir__text_take(&out);
    weir__text_free(&out);
    return json;
}
