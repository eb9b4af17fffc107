// SPDX-License-Identifier: MIT
//
// The reader: a window on the input, and a machine that turns it into tokens.
//
// The window is either all of the input, where that lies in memory, or 64 KiB that are filled from a source. It never
// grows: a string or a number flows through it into a text, piece by piece, and what must be seen in one piece (a
// character of UTF-8, an escape, a literal) has at most 12 bytes; fill() moves such a beginning to the front and reads
// on behind it. Once the source has nothing more it is forgotten, so every wait for input ends.
//
// The machine knows what may come next and, for each open container, whether it is an object or an array:
//
//     value    a value                                  at the start, behind a colon
//     element  a value or ]                             behind [
//     member   a key or }                               behind {
//     more     a comma and what follows it, or the end  behind a value in a container
//     end      nothing                                  behind the outermost value
//
// A comma is read together with the token behind it, a key together with its colon.
//
// Inside, functions return false when the reading has ended; why stands in reader->error.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/json_parts.h"

enum state { expect_value, expect_element, expect_member, expect_more, expect_end };

enum { replacement = 0xFFFD };

// ---------------------------------------------------------------------------------------------------------
// Errors

bool weir__json_fail(weir__json_reader *reader, int code, uint64_t offset, const char *format, ...)
{
    if (reader->error.code != WEIR_OK)
        return false;
    char what[160];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    weir__error_set(&reader->error, code, "at byte %llu of the JSON text: %s", (unsigned long long)offset,
                    what);
    return false;
}

const char *weir__json_type_name(weir__json_type type)
{
    static const char *const names[] = {
        [WEIR__JSON_END] = "the end",
        [WEIR__JSON_OBJECT] = "an object",
        [WEIR__JSON_OBJECT_END] = "the end of an object",
        [WEIR__JSON_ARRAY] = "an array",
        [WEIR__JSON_ARRAY_END] = "the end of an array",
        [WEIR__JSON_KEY] = "a key",
        [WEIR__JSON_STRING] = "a string",
        [WEIR__JSON_NUMBER] = "a number",
        [WEIR__JSON_TRUE] = "true",
        [WEIR__JSON_FALSE] = "false",
        [WEIR__JSON_NULL] = "null",
    };
    return names[type];
}

bool weir__json_is_value(weir__json_type type)
{
    return type == WEIR__JSON_OBJECT || type == WEIR__JSON_ARRAY || type >= WEIR__JSON_STRING;
}

static uint64_t here(const weir__json_reader *reader)
{
    return reader->window_offset + reader->at;
}

// Says that something else was wanted than what stands here; c is its first byte, or -1 at the end.
static bool fail_here(weir__json_reader *reader, const char *wanted, int c)
{
    if (c < 0)
        return weir__json_fail(reader, WEIR_INVALID, here(reader), "it ends where %s was expected", wanted);
    if (c > 0x20 && c < 0x7F)
        return weir__json_fail(reader, WEIR_INVALID, here(reader), "%s was expected, not '%c'", wanted, c);
    return weir__json_fail(reader, WEIR_INVALID, here(reader), "%s was expected, not the byte 0x%02X", wanted,
                           (unsigned)c);
}

// ---------------------------------------------------------------------------------------------------------
// The window

void weir__json_reader_init(weir__json_reader *reader, const char *bytes, size_t size, size_t value_bytes_max)
{
    *reader = (weir__json_reader){
        .window = bytes,
        .window_size = size,
        .value_bytes_max = value_bytes_max > 0 ? value_bytes_max : SIZE_MAX,
        .depth_max = WEIR__JSON_DEPTH_MAX,
        .state = expect_value,
    };
}

void weir__json_reader_init_source(weir__json_reader *reader, weir__json_source_fn *source, void *context,
                                   size_t value_bytes_max)
{
    weir__json_reader_init(reader, "", 0, value_bytes_max);
    reader->source = source;
    reader->context = context;
}

void weir__json_reader_fini(weir__json_reader *reader)
{
    free(reader->memory);
    weir__text_free(&reader->text);
    *reader = (weir__json_reader){0};
}

// Has `wanted` unread bytes in the window, or all that are left.
static bool fill(weir__json_reader *reader, size_t wanted)
{
    while (reader->window_size - reader->at < wanted && reader->source != NULL) {
        if (reader->memory == NULL && (reader->memory = malloc(WEIR__JSON_WINDOW_BYTES)) == NULL)
            return weir__json_fail(reader, WEIR_NOMEM, here(reader), "no memory to read it");
        const size_t rest = reader->window_size - reader->at;
        memmove(reader->memory, reader->window + reader->at, rest);
        reader->window_offset += reader->at;
        reader->window = reader->memory;
        reader->window_size = rest;
        reader->at = 0;
        size_t got = 0;
        const size_t room = WEIR__JSON_WINDOW_BYTES - rest;
        const int code = reader->source(reader->context, reader->window_offset + rest, reader->memory + rest,
                                        room, &got, &reader->error);
        if (code != WEIR_OK) {
            reader->error.code = code;
            return false;
        }
        WEIR_ASSERT(got <= room);
        reader->window_size += got;
        if (got == 0)
            reader->source = NULL;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// Passes over blanks. The byte behind them, or -1 at the end.
static bool next_byte(weir__json_reader *reader, int *c)
{
    *c = -1;
    for (;;) {
        while (reader->at < reader->window_size && is_blank(reader->window[reader->at]))
            reader->at++;
        if (reader->at < reader->window_size) {
            *c = (unsigned char)reader->window[reader->at];
            return true;
        }
        if (reader->source == NULL)
            return true;
        if (!fill(reader, 1))
            return false;
    }
}

// ---------------------------------------------------------------------------------------------------------
// Strings

// Are these eight bytes all plain ASCII? Byte by byte: no high bit, not below 0x20, and not 0 once a quote or a
// backslash is cancelled out. A borrow may spoil a byte, but only behind one that is not plain.
static bool are_plain(const char *bytes)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t word = 0;
    memcpy(&word, bytes, sizeof word);
    const uint64_t quote = word ^ (ones * '"');
    const uint64_t backslash = word ^ (ones * '\\');
    const uint64_t bad = word | (word - ones * 0x20) | (quote - ones) | (backslash - ones);
    return (bad & (ones * 0x80)) == 0;
}

size_t weir__json_plain_length(const char *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        while (size - at >= sizeof(uint64_t) && are_plain(bytes + at))
            at += sizeof(uint64_t);
        if (at == size)
            break;
        const unsigned char c = (unsigned char)bytes[at];
        const size_t length = c < 0x80 ? 1 : weir__utf8_length(bytes + at, size - at);
        if (c < 0x20 || c == '"' || c == '\\' || length == 0)
            break;
        at += length;
    }
    return at;
}

size_t weir__json_escape(unsigned char c, char out[WEIR__JSON_ESCAPE_SIZE])
{
    static const char letters[] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = c < sizeof letters ? letters[c] : '\0';
    if (out[1] != '\0')
        return 2;
    memcpy(out + 1, "u00", 3);
    out[4] = digits[c >> 4];
    out[5] = digits[c & 0xF];
    return WEIR__JSON_ESCAPE_SIZE;
}

bool weir__json_sink_grow(weir__json_reader *reader, const weir__json_sink *sink, const char *bytes,
                          size_t size)
{
    if (size > reader->value_bytes_max - (sink->out->size - sink->start))
        return weir__json_fail(reader, WEIR_TOOBIG, here(reader), "a value is larger than %zu bytes",
                               reader->value_bytes_max);
    weir__text_append(sink->out, bytes, size);
    if (sink->out->failed)
        return weir__json_fail(reader, WEIR_NOMEM, here(reader), "no memory for a value");
    return true;
}

static size_t utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    const size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00U >> size) | code); // 110…, 1110…, 11110…
    return size;
}

// Adds the character that an escape stands for.
static bool put_code(weir__json_reader *reader, const weir__json_sink *sink, uint32_t code)
{
    char bytes[WEIR__JSON_ESCAPE_SIZE];
    if (sink->is_canonical && (code < 0x20 || code == '"' || code == '\\')) {
        const size_t size = weir__json_escape((unsigned char)code, bytes);
        return weir__json_sink_put(reader, sink, bytes, size);
    }
    const size_t size = utf8_encode(code, bytes);
    return weir__json_sink_put(reader, sink, bytes, size);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
        return (c | 0x20) - 'a' + 10;
    return -1;
}

// Reads \uXXXX.
static bool read_hex(weir__json_reader *reader, uint32_t *code)
{
    enum { size = 6 };
    *code = 0;
    if (!fill(reader, size))
        return false;
    const char *const escape = reader->window + reader->at;
    const size_t left = reader->window_size - reader->at;
    for (size_t i = 2; i < size; i++) {
        const int digit = i < left ? hex_digit(escape[i]) : -1;
        if (digit < 0)
            return weir__json_fail(reader, WEIR_INVALID, here(reader), "\\u needs four hexadecimal digits");
        *code = *code << 4 | (uint32_t)digit;
    }
    reader->at += size;
    return true;
}

// Reads \uXXXX, or two of them that are one character.
static bool read_unicode(weir__json_reader *reader, uint32_t *code)
{
    const uint64_t offset = here(reader);
    if (!read_hex(reader, code))
        return false;
    if (*code < 0xD800 || *code > 0xDFFF)
        return true;
    if (!fill(reader, 2))
        return false;
    const char *const next = reader->window + reader->at;
    const bool is_followed = reader->window_size - reader->at >= 2 && next[0] == '\\' && next[1] == 'u';
    uint32_t low = 0;
    if (*code < 0xDC00 && is_followed && !read_hex(reader, &low))
        return false;
    if (low >= 0xDC00 && low <= 0xDFFF) {
        *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    } else if (reader->takes_halves) {
        reader->halves++;
        *code = replacement;
    } else {
        return weir__json_fail(reader, WEIR_INVALID, offset, "half of a surrogate pair");
    }
    return true;
}

static bool read_escape(weir__json_reader *reader, const weir__json_sink *sink)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (!fill(reader, 2))
        return false;
    if (reader->window_size - reader->at < 2)
        return weir__json_fail(reader, WEIR_INVALID, here(reader), "it ends inside a string");
    const char letter = reader->window[reader->at + 1];
    uint32_t code = 0;
    if (letter == 'u')
        return read_unicode(reader, &code) && put_code(reader, sink, code);
    const char *const found = memchr(letters, letter, sizeof letters - 1);
    if (found == NULL)
        return weir__json_fail(reader, WEIR_INVALID, here(reader), "no such escape");
    reader->at += 2;
    return put_code(reader, sink, (uint32_t)meanings[found - letters]);
}

// Reads what a run of plain characters ended at. Sets *is_end behind the closing quote.
static bool read_special(weir__json_reader *reader, const weir__json_sink *sink, bool *is_end)
{
    enum { character_size_max = 4 };
    if (!fill(reader, character_size_max))
        return false;
    const char *const next = reader->window + reader->at;
    const size_t left = reader->window_size - reader->at;
    if (left == 0)
        return weir__json_fail(reader, WEIR_INVALID, here(reader), "it ends inside a string");
    if (*next == '\\')
        return read_escape(reader, sink);
    if (*next == '"') {
        reader->at++;
        *is_end = true;
        return true;
    }
    if ((unsigned char)*next < 0x20)
        return weir__json_fail(reader, WEIR_INVALID, here(reader), "a control character in a string");
    if (weir__utf8_length(next, left) == 0)
        return weir__json_fail(reader, WEIR_INVALID, here(reader), "not UTF-8");
    return true;
}

// Reads a string from its opening quote.
static bool read_string(weir__json_reader *reader, const weir__json_sink *sink)
{
    reader->at++;
    if (sink->is_canonical && !weir__json_sink_put(reader, sink, "\"", 1))
        return false;
    for (bool is_end = false; !is_end;) {
        const char *const run = reader->window + reader->at;
        const size_t length = weir__json_plain_length(run, reader->window_size - reader->at);
        if (!weir__json_sink_put(reader, sink, run, length))
            return false;
        reader->at += length;
        if (!read_special(reader, sink, &is_end))
            return false;
    }
    return !sink->is_canonical || weir__json_sink_put(reader, sink, "\"", 1);
}

// ---------------------------------------------------------------------------------------------------------
// Numbers and literals

// Reads a number into the reader's own text, whatever the sink; writes it in canonical form if that is wanted.
static bool read_number(weir__json_reader *reader, const weir__json_sink *sink)
{
    const uint64_t offset = here(reader);
    const weir__json_sink own = {.out = &reader->text};
    weir__text_clear(&reader->text);
    do {
        const char *const run = reader->window + reader->at;
        const size_t left = reader->window_size - reader->at;
        size_t length = 0;
        while (length < left && weir__json_is_of_number(run[length]))
            length++;
        if (!weir__json_sink_put(reader, &own, run, length))
            return false;
        reader->at += length;
        if (length < left)
            break;
        if (!fill(reader, 1))
            return false;
    } while (reader->at < reader->window_size);
    const weir__text *const text = &reader->text;
    weir__json_decimal decimal;
    if (!weir__json_decimal_parse(text->data, text->size, &decimal))
        return weir__json_fail(reader, WEIR_INVALID, offset, "not a number");
    if (!weir__json_decimal_is_finite(&decimal, text->data, text->size))
        return weir__json_fail(reader, WEIR_INVALID, offset, "a number beyond the range of a double");
    if (!sink->is_canonical)
        return true;
    char canonical[WEIR__JSON_NUMBER_SIZE];
    return weir__json_sink_put(reader, sink, canonical,
                               weir__json_decimal_format(&decimal, text->data, text->size, canonical));
}

static bool read_literal(weir__json_reader *reader, const weir__json_sink *sink, const char *literal)
{
    const size_t size = strlen(literal);
    if (!fill(reader, size))
        return false;
    const char *const next = reader->window + reader->at;
    if (reader->window_size - reader->at < size || memcmp(next, literal, size) != 0)
        return fail_here(reader, "a value", *next);
    reader->at += size;
    return !sink->is_canonical || weir__json_sink_put(reader, sink, literal, size);
}

// ---------------------------------------------------------------------------------------------------------
// The machine

static bool is_in_object(const weir__json_reader *reader)
{
    return reader->depth > 0 && reader->stack[reader->depth - 1] == WEIR__JSON_OBJECT;
}

static bool open_container(weir__json_reader *reader, weir__json_type type)
{
    if (reader->depth >= reader->depth_max)
        return weir__json_fail(reader, WEIR_INVALID, here(reader), "nested deeper than %u",
                               reader->depth_max);
    reader->stack[reader->depth++] = (uint8_t)type;
    reader->state = type == WEIR__JSON_OBJECT ? expect_member : expect_element;
    reader->at++;
    return true;
}

static bool close_container(weir__json_reader *reader, weir__json_token *token)
{
    token->type = is_in_object(reader) ? WEIR__JSON_OBJECT_END : WEIR__JSON_ARRAY_END;
    reader->depth--;
    reader->state = reader->depth > 0 ? expect_more : expect_end;
    reader->at++;
    return true;
}

// Reads the value that starts with c.
static bool read_value(weir__json_reader *reader, const weir__json_sink *sink, int c, weir__json_token *token)
{
    reader->state = reader->depth > 0 ? expect_more : expect_end;
    switch (c) {
    case '{':
        token->type = WEIR__JSON_OBJECT;
        return open_container(reader, token->type);
    case '[':
        token->type = WEIR__JSON_ARRAY;
        return open_container(reader, token->type);
    case '"':
        token->type = WEIR__JSON_STRING;
        return read_string(reader, sink);
    case 't':
        token->type = WEIR__JSON_TRUE;
        return read_literal(reader, sink, "true");
    case 'f':
        token->type = WEIR__JSON_FALSE;
        return read_literal(reader, sink, "false");
    case 'n':
        token->type = WEIR__JSON_NULL;
        return read_literal(reader, sink, "null");
    default:
        token->type = WEIR__JSON_NUMBER;
        if (c != '-' && (c < '0' || c > '9'))
            return fail_here(reader, "a value", c);
        return read_number(reader, sink);
    }
}

// Reads the key that starts with c, and the colon behind it.
static bool read_key(weir__json_reader *reader, const weir__json_sink *sink, int c, weir__json_token *token)
{
    token->type = WEIR__JSON_KEY;
    if (c != '"')
        return fail_here(reader, "a key", c);
    if (!read_string(reader, sink) || !next_byte(reader, &c))
        return false;
    if (c != ':')
        return fail_here(reader, "a colon", c);
    reader->at++;
    reader->state = expect_value;
    return true;
}

bool weir__json_read(weir__json_reader *reader, const weir__json_sink *sink, weir__json_token *token)
{
    *token = (weir__json_token){.text = ""};
    int c = 0;
    if (reader->error.code != WEIR_OK || !next_byte(reader, &c))
        return false;
    token->offset = here(reader);
    const bool is_object = is_in_object(reader);
    const int closing = is_object ? '}' : ']';
    if (reader->state == expect_end) {
        token->type = WEIR__JSON_END;
        return c < 0 || fail_here(reader, "nothing more", c);
    }
    if (reader->state != expect_value && c == closing)
        return close_container(reader, token);
    if (reader->state == expect_more) {
        if (c != ',')
            return fail_here(reader, is_object ? "a comma or }" : "a comma or ]", c);
        reader->at++;
        if (!next_byte(reader, &c))
            return false;
        token->offset = here(reader);
        return is_object ? read_key(reader, sink, c, token) : read_value(reader, sink, c, token);
    }
    if (reader->state == expect_member)
        return read_key(reader, sink, c, token);
    return read_value(reader, sink, c, token);
}

// ---------------------------------------------------------------------------------------------------------
// Tokens

int weir__json_reader_next(weir__json_reader *reader, weir__json_token *token, weir_error *err)
{
    if (reader->has_peeked) {
        *token = reader->peeked;
        reader->has_peeked = false;
        return WEIR_OK;
    }
    weir__text_clear(&reader->text);
    const weir__json_sink own = {.out = &reader->text};
    if (!weir__json_read(reader, &own, token)) {
        weir__error_copy(err, &reader->error);
        return reader->error.code;
    }
    if (token->type == WEIR__JSON_KEY || token->type == WEIR__JSON_STRING ||
        token->type == WEIR__JSON_NUMBER) {
        token->text = weir__text_string(&reader->text);
        token->size = reader->text.size;
    }
    return WEIR_OK;
}

int weir__json_reader_peek(weir__json_reader *reader, weir__json_token *token, weir_error *err)
{
    const int code = weir__json_reader_next(reader, token, err);
    if (code == WEIR_OK) {
        reader->peeked = *token;
        reader->has_peeked = true;
    }
    return code;
}

int weir__json_reader_skip(weir__json_reader *reader, weir_error *err)
{
    const weir__json_sink nowhere = {0};
    weir__json_token token = reader->peeked;
    if (!reader->has_peeked && !weir__json_read(reader, &nowhere, &token))
        goto fail;
    reader->has_peeked = false;
    if (!weir__json_is_value(token.type)) {
        weir__json_fail(reader, WEIR_INVALID, token.offset, "a value was expected, not %s",
                        weir__json_type_name(token.type));
        goto fail;
    }
    const unsigned depth = reader->depth;
    const bool is_container = token.type == WEIR__JSON_OBJECT || token.type == WEIR__JSON_ARRAY;
    while (is_container && reader->depth >= depth)
        if (!weir__json_read(reader, &nowhere, &token))
            goto fail;
    return WEIR_OK;

fail:
    weir__error_copy(err, &reader->error);
    return reader->error.code;
}
