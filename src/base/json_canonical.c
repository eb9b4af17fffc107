// SPDX-License-Identifier: MIT
//
// The canonical form of a value, as the header describes it.
//
// A value is written while it is read, its members in the order in which they come. For each open object the keys are
// compared as they come, too; most objects that we meet were written by a program with sorted keys, or by us, and are
// done when they end. The others are put in order then: their members are sorted by key, copied in that order to a
// scratch text, and copied back. So a member moves once for each open object that was out of order, at most
// WEIR__JSON_VALUE_DEPTH_MAX times.
//
// Keys are compared as the bytes they stand for, which is not the order of their texts: a quote is written with a
// backslash, which is greater than most letters.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/json_parts.h"

// A member "key":value in the text that is being written. There can be one for every five bytes of input.
typedef struct member {
    size_t start;
    size_t size; // known when its object ends
} member;

enum { members_few = 32 };

typedef struct json_writer {
    weir__json_reader *reader;
    weir__json_sink sink;
    member *members; // of all open objects, the outermost's first
    size_t member_count, member_capacity;
    size_t first[WEIR__JSON_VALUE_DEPTH_MAX]; // for each open container: where its members start
    bool is_unsorted[WEIR__JSON_VALUE_DEPTH_MAX];
    unsigned depth;
    member few[members_few]; // enough for almost all
} json_writer;

// ---------------------------------------------------------------------------------------------------------
// Keys

// The next byte of what a canonical string stands for. `at` is inside the quotes. (An escape that is not canonical
// gives some byte, and pass_escape() finds out.)
static unsigned char decode(const char **at)
{
    static const char letters[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";
    const char c = *(*at)++;
    if (c != '\\')
        return (unsigned char)c;
    const char letter = *(*at)++;
    if (letter == 'u') { // 00xx
        const char *const digits = *at + 2;
        *at += 4;
        const int low = digits[1] <= '9' ? digits[1] - '0' : digits[1] - 'a' + 10;
        return (unsigned char)((digits[0] - '0') * 16 + low);
    }
    const char *const found = memchr(letters, letter, sizeof letters - 1);
    return (unsigned char)(found != NULL ? meanings[found - letters] : letter);
}

// Compares two canonical strings, from their opening quotes, by what they stand for.
static int compare_keys(const char *a, const char *b)
{
    a++;
    b++;
    while (*a != '"' && *b != '"') {
        const unsigned char a_byte = decode(&a);
        const unsigned char b_byte = decode(&b);
        if (a_byte != b_byte)
            return a_byte < b_byte ? -1 : 1;
    }
    return (*a != '"') - (*b != '"');
}

static int compare_members(const void *left, const void *right, void *text)
{
    const member *const a = left;
    const member *const b = right;
    const char *const bytes = text;
    const int order = compare_keys(bytes + a->start, bytes + b->start);
    return order != 0 ? order : (a->start > b->start) - (a->start < b->start);
}

// ---------------------------------------------------------------------------------------------------------
// Objects

static bool fail_nomem(weir__json_reader *reader)
{
    return weir__json_fail(reader, WEIR_NOMEM, reader->window_offset + reader->at, "no memory for a value");
}

// Forgets what is behind the first `size` bytes.
static void cut(weir__text *out, size_t size)
{
    out->size = size;
    if (out->data != NULL)
        out->data[size] = '\0';
}

// Puts the members of the object that is about to end in order; of equal keys the last stays.
static bool sort_members(json_writer *writer)
{
    weir__text *const out = writer->sink.out;
    weir__text *const scratch = &writer->reader->text; // no token is in it now
    member *const members = writer->members + writer->first[writer->depth - 1];
    member *const end = writer->members + writer->member_count;
    const size_t start = members->start;
    for (member *m = members; m < end; m++)
        m->size = (m + 1 < end ? m[1].start - 1 : out->size) - m->start;
    qsort_r(members, (size_t)(end - members), sizeof *members, compare_members, out->data);
    weir__text_clear(scratch);
    for (const member *m = members; m < end; m++) {
        if (m + 1 < end && compare_keys(out->data + m->start, out->data + m[1].start) == 0)
            continue;
        if (scratch->size > 0)
            weir__text_char(scratch, ',');
        weir__text_append(scratch, out->data + m->start, m->size);
    }
    if (scratch->failed)
        return fail_nomem(writer->reader);
    memcpy(out->data + start, scratch->data, scratch->size);
    cut(out, start + scratch->size);
    return true;
}

static bool grow_members(json_writer *writer)
{
    const bool is_first = writer->members == writer->few;
    const size_t capacity = writer->member_capacity * 2;
    member *const grown = realloc(is_first ? NULL : writer->members, capacity * sizeof *grown);
    if (grown == NULL)
        return fail_nomem(writer->reader);
    if (is_first)
        memcpy(grown, writer->few, sizeof writer->few);
    writer->members = grown;
    writer->member_capacity = capacity;
    return true;
}

// Adds the member whose key has just been written behind `start`.
static bool add_member(json_writer *writer, size_t start)
{
    if (writer->member_count == writer->member_capacity && !grow_members(writer))
        return false;
    const char *const text = writer->sink.out->data;
    WEIR_ASSERT(writer->depth > 0);
    const bool has_previous = writer->member_count > writer->first[writer->depth - 1];
    member *const m = &writer->members[writer->member_count++];
    m->start = start;
    if (has_previous && compare_keys(text + m[-1].start, text + start) >= 0)
        writer->is_unsorted[writer->depth - 1] = true;
    return true;
}

// ---------------------------------------------------------------------------------------------------------
// Values

static bool put(const json_writer *writer, const char *bytes, size_t size)
{
    return weir__json_sink_put(writer->reader, &writer->sink, bytes, size);
}

// Behind a value in a container stands a comma, until it proves to be the last.
static bool end_value(const json_writer *writer)
{
    return writer->depth == 0 || put(writer, ",", 1);
}

static bool open_container(json_writer *writer, char opening)
{
    if (writer->depth == WEIR__JSON_VALUE_DEPTH_MAX) // within a deeper document
        return weir__json_fail(writer->reader, WEIR_INVALID,
                               writer->reader->window_offset + writer->reader->at, "nested deeper than %d",
                               WEIR__JSON_VALUE_DEPTH_MAX);
    writer->first[writer->depth] = writer->member_count;
    writer->is_unsorted[writer->depth] = false;
    writer->depth++;
    return put(writer, &opening, 1);
}

static bool close_container(json_writer *writer, char closing)
{
    weir__text *const out = writer->sink.out;
    WEIR_ASSERT(writer->depth > 0);
    if (out->data[out->size - 1] == ',')
        cut(out, out->size - 1);
    if (writer->is_unsorted[writer->depth - 1] && !sort_members(writer))
        return false;
    writer->depth--;
    writer->member_count = writer->first[writer->depth];
    return put(writer, &closing, 1) && end_value(writer);
}

// Does what a token asks for beyond its own text, which stands behind `start` already.
static bool take_token(json_writer *writer, weir__json_type type, size_t start)
{
    switch (type) {
    case WEIR__JSON_OBJECT:
        return open_container(writer, '{');
    case WEIR__JSON_OBJECT_END:
        return close_container(writer, '}');
    case WEIR__JSON_ARRAY:
        return open_container(writer, '[');
    case WEIR__JSON_ARRAY_END:
        return close_container(writer, ']');
    case WEIR__JSON_KEY:
        return add_member(writer, start) && put(writer, ":", 1);
    default:
        return end_value(writer);
    }
}

// Writes a string that was decoded already.
static bool put_string(const json_writer *writer, const char *bytes, size_t size)
{
    size_t at = 0;
    bool is_put = put(writer, "\"", 1);
    while (is_put && at < size) {
        char escape[WEIR__JSON_ESCAPE_SIZE];
        const size_t plain = weir__json_plain_length(bytes + at, size - at);
        is_put = put(writer, bytes + at, plain);
        at += plain;
        if (is_put && at < size)
            is_put = put(writer, escape, weir__json_escape((unsigned char)bytes[at++], escape));
    }
    return is_put && put(writer, "\"", 1);
}

// Writes the text of a token that was peeked at.
static bool put_peeked(const json_writer *writer, const weir__json_token *token)
{
    char number[WEIR__JSON_NUMBER_SIZE];
    weir__json_decimal decimal;
    const char *text = "";
    size_t size = 0;
    switch (token->type) {
    case WEIR__JSON_STRING:
        return put_string(writer, token->text, token->size);
    case WEIR__JSON_NUMBER:
        weir__json_decimal_parse(token->text, token->size, &decimal);
        text = number;
        size = weir__json_decimal_format(&decimal, token->text, token->size, number);
        break;
    case WEIR__JSON_TRUE:
    case WEIR__JSON_FALSE:
    case WEIR__JSON_NULL:
        text = weir__json_type_name(token->type);
        size = strlen(text);
        break;
    default:
        break;
    }
    return put(writer, text, size);
}

static bool write_value(json_writer *writer)
{
    weir__json_reader *const reader = writer->reader;
    weir__json_token token = reader->peeked;
    size_t start = writer->sink.start;
    const bool is_read =
        reader->has_peeked ? put_peeked(writer, &token) : weir__json_read(reader, &writer->sink, &token);
    reader->has_peeked = false;
    if (!is_read)
        return false;
    if (!weir__json_is_value(token.type))
        return weir__json_fail(reader, WEIR_INVALID, token.offset, "a value was expected, not %s",
                               weir__json_type_name(token.type));
    while (take_token(writer, token.type, start)) {
        if (writer->depth == 0)
            return true;
        start = writer->sink.out->size;
        if (!weir__json_read(reader, &writer->sink, &token))
            return false;
    }
    return false;
}

int weir__json_reader_canonical(weir__json_reader *reader, weir__text *out, weir_error *err)
{
    json_writer writer;
    writer.reader = reader;
    writer.sink = (weir__json_sink){.out = out, .start = out->size, .is_canonical = true};
    writer.members = writer.few;
    writer.member_count = 0;
    writer.member_capacity = members_few;
    writer.depth = 0;
    const bool is_written = write_value(&writer);
    if (writer.members != writer.few)
        free(writer.members);
    if (is_written)
        return WEIR_OK;
    cut(out, writer.sink.start);
    weir__error_copy(err, &reader->error);
    return reader->error.code;
}

int weir__json_canonical(const char *json, size_t size, weir__json_type wanted, weir__text *out,
                         weir_error *err)
{
    const size_t start = out->size;
    weir__json_reader reader;
    weir__json_token token;
    weir__json_reader_init(&reader, json, size, 0);
    int code = weir__json_reader_peek(&reader, &token, err);
    const weir__json_type type = token.type;
    if (code == WEIR_OK && weir__json_is_canonical(json, size)) {
        weir__text_append(out, json, size);
        if (out->failed)
            code = weir__error_set(err, WEIR_NOMEM, "no memory for a JSON value");
    } else if (code == WEIR_OK) {
        code = weir__json_reader_canonical(&reader, out, err);
        if (code == WEIR_OK)
            code = weir__json_reader_next(&reader, &token, err); // the end, and nothing else
    }
    if (code == WEIR_OK && wanted != WEIR__JSON_END && type != wanted)
        code = weir__error_set(err, WEIR_MISMATCH, "%s was expected, not %s", weir__json_type_name(wanted),
                               weir__json_type_name(type));
    if (code != WEIR_OK)
        cut(out, start);
    weir__json_reader_fini(&reader);
    return code;
}

// ---------------------------------------------------------------------------------------------------------
// Is it canonical?

// Each passes over what it is named after, from `at`, and returns where that ends; NULL if it is not canonical.
static const char *pass_value(const char *at, const char *end, unsigned depth);

static const char *pass_escape(const char *at, const char *end)
{
    const bool is_long = end - at >= WEIR__JSON_ESCAPE_SIZE;
    if (end - at < 2 || (at[1] == 'u' && !is_long))
        return NULL;
    const char *next = at;
    const unsigned char c = decode(&next);
    if (at[1] == 'u' && c >= 0x20)
        return NULL;
    char wanted[WEIR__JSON_ESCAPE_SIZE];
    const size_t size = weir__json_escape(c, wanted);
    return next == at + size && memcmp(at, wanted, size) == 0 ? next : NULL;
}

static const char *pass_string(const char *at, const char *end)
{
    if (at == end || *at != '"')
        return NULL;
    at++;
    while (at != NULL) {
        at += weir__json_plain_length(at, (size_t)(end - at));
        if (at == end)
            return NULL;
        if (*at == '"')
            return at + 1;
        at = *at == '\\' ? pass_escape(at, end) : NULL;
    }
    return NULL;
}

static const char *pass_number(const char *at, const char *end)
{
    const char *next = at;
    while (next < end && weir__json_is_of_number(*next))
        next++;
    const size_t size = (size_t)(next - at);
    char canonical[WEIR__JSON_NUMBER_SIZE];
    weir__json_decimal decimal;
    if (size >= sizeof canonical || !weir__json_decimal_parse(at, size, &decimal) ||
        !weir__json_decimal_is_finite(&decimal, at, size))
        return NULL;
    const size_t canonical_size = weir__json_decimal_format(&decimal, at, size, canonical);
    return canonical_size == size && memcmp(at, canonical, size) == 0 ? next : NULL;
}

static const char *pass_literal(const char *at, const char *end, const char *literal)
{
    const size_t size = strlen(literal);
    return (size_t)(end - at) >= size && memcmp(at, literal, size) == 0 ? at + size : NULL;
}

// From behind the [.
static const char *pass_array(const char *at, const char *end, unsigned depth)
{
    if (at < end && *at == ']')
        return at + 1;
    while ((at = pass_value(at, end, depth)) != NULL) {
        if (at == end)
            return NULL;
        if (*at == ']')
            return at + 1;
        if (*at++ != ',')
            return NULL;
    }
    return NULL;
}

// From behind the {.
static const char *pass_object(const char *at, const char *end, unsigned depth)
{
    const char *previous = NULL;
    if (at < end && *at == '}')
        return at + 1;
    for (;;) {
        const char *const key = at;
        at = pass_string(at, end);
        if (at == NULL || at == end || *at != ':')
            return NULL;
        if (previous != NULL && compare_keys(previous, key) >= 0)
            return NULL;
        previous = key;
        at = pass_value(at + 1, end, depth);
        if (at == NULL || at == end)
            return NULL;
        if (*at == '}')
            return at + 1;
        if (*at++ != ',')
            return NULL;
    }
}

static const char *pass_value(const char *at, const char *end, unsigned depth)
{
    if (at == end)
        return NULL;
    switch (*at) {
    case '{':
        return depth < WEIR__JSON_VALUE_DEPTH_MAX ? pass_object(at + 1, end, depth + 1) : NULL;
    case '[':
        return depth < WEIR__JSON_VALUE_DEPTH_MAX ? pass_array(at + 1, end, depth + 1) : NULL;
    case '"':
        return pass_string(at, end);
    case 't':
        return pass_literal(at, end, "true");
    case 'f':
        return pass_literal(at, end, "false");
    case 'n':
        return pass_literal(at, end, "null");
    default:
        return pass_number(at, end);
    }
}

bool weir__json_is_canonical(const char *json, size_t size)
{
    const char *const end = json + size;
    return pass_value(json, end, 0) == end;
}
