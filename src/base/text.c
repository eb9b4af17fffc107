// SPDX-License-Identifier: MIT
//
// Growable text by doubling, and a UTF-8 decoder. The decoder follows Unicode's "maximal subpart" practice: a
// broken sequence is replaced once, for the longest prefix that could have begun a valid character, and
// decoding resumes behind it.
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static const char replacement[] = "\xEF\xBF\xBD"; // U+FFFD
enum { replacement_size = sizeof replacement - 1, capacity_first = 64 };

// Makes room for `more` bytes and the NUL.
static bool reserve(weir__text *text, size_t more)
{
    if (text->failed)
        return false;
    if (more < text->capacity - text->size)
        return true;
    if (more >= SIZE_MAX / 2 - text->size) {
        text->failed = true;
        return false;
    }
    size_t capacity = text->capacity > 0 ? text->capacity : capacity_first;
    while (capacity <= text->size + more)
        capacity *= 2;
    char *const data = realloc(text->data, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void weir__text_append(weir__text *text, const void *bytes, size_t size)
{
    if (!reserve(text, size))
        return;
    if (size > 0)
        memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

char *weir__text_room(weir__text *text, size_t size)
{
    return reserve(text, size) ? text->data + text->size : NULL;
}

void weir__text_added(weir__text *text, size_t size)
{
    WEIR_ASSERT(!text->failed && size < text->capacity - text->size);
    text->size += size;
    text->data[text->size] = '\0';
}

void weir__text_add(weir__text *text, const char *string)
{
    weir__text_append(text, string, strlen(string));
}

void weir__text_char(weir__text *text, char c)
{
    weir__text_append(text, &c, 1);
}

void weir__text_vprintf(weir__text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    const int wanted = vsnprintf(NULL, 0, format, args);
    if (wanted < 0) {
        text->failed = true;
    } else if (reserve(text, (size_t)wanted)) {
        vsnprintf(text->data + text->size, (size_t)wanted + 1, format, again);
        text->size += (size_t)wanted;
    }
    va_end(again);
}

void weir__text_printf(weir__text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    weir__text_vprintf(text, format, args);
    va_end(args);
}

static void json_escape(weir__text *text, char c)
{
    switch (c) {
    case '"':
        weir__text_append(text, "\\\"", 2);
        break;
    case '\\':
        weir__text_append(text, "\\\\", 2);
        break;
    case '\n':
        weir__text_append(text, "\\n", 2);
        break;
    case '\r':
        weir__text_append(text, "\\r", 2);
        break;
    case '\t':
        weir__text_append(text, "\\t", 2);
        break;
    default:
        weir__text_printf(text, "\\u%04x", (unsigned)(unsigned char)c);
        break;
    }
}

static bool json_is_plain(char c)
{
    const unsigned char byte = (unsigned char)c;
    return byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\';
}

void weir__text_json_string(weir__text *text, const char *string, size_t size)
{
    weir__text_char(text, '"');
    size_t at = 0;
    while (at < size && !text->failed) {
        size_t plain = at;
        while (plain < size && json_is_plain(string[plain]))
            plain++;
        weir__text_append(text, string + at, plain - at);
        at = plain;
        if (at == size)
            break;
        size_t length = 0;
        const int32_t code = weir__utf8_decode(string + at, size - at, &length);
        if (code < 0)
            weir__text_append(text, replacement, replacement_size);
        else if (code < 0x80)
            json_escape(text, string[at]);
        else
            weir__text_append(text, string + at, length);
        at += length;
    }
    weir__text_char(text, '"');
}

void weir__text_utf8(weir__text *text, const char *string, size_t size)
{
    size_t at = 0;
    while (at < size && !text->failed) {
        size_t length = 0;
        if (weir__utf8_decode(string + at, size - at, &length) < 0)
            weir__text_append(text, replacement, replacement_size);
        else
            weir__text_append(text, string + at, length);
        at += length;
    }
}

const char *weir__text_string(const weir__text *text)
{
    return text->data != NULL ? text->data : "";
}

void weir__text_clear(weir__text *text)
{
    text->size = 0;
    text->failed = false;
    if (text->data != NULL)
        text->data[0] = '\0';
}

char *weir__text_take(weir__text *text)
{
    weir__text_append(text, "", 0); // an empty text, too, is a string
    if (text->failed) {
        weir__text_free(text);
        return NULL;
    }
    char *const data = text->data;
    *text = (weir__text){0};
    return data;
}

void weir__text_free(weir__text *text)
{
    free(text->data);
    *text = (weir__text){0};
}

// What the first byte of a character says: how many bytes follow, and the range that the second byte must be
// in, which is what excludes overlong forms, surrogates and everything beyond U+10FFFF. (Table 3-7 of the
// Unicode standard.)
typedef struct utf8_lead {
    size_t tail;
    unsigned char second_min;
    unsigned char second_max;
} utf8_lead;

static bool utf8_lead_of(unsigned char byte, utf8_lead *lead)
{
    *lead = (utf8_lead){.tail = 0, .second_min = 0x80, .second_max = 0xBF};
    if (byte < 0x80)
        return true;
    if (byte < 0xC2 || byte > 0xF4)
        return false;
    lead->tail = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
    if (byte == 0xE0)
        lead->second_min = 0xA0;
    else if (byte == 0xED)
        lead->second_max = 0x9F;
    else if (byte == 0xF0)
        lead->second_min = 0x90;
    else if (byte == 0xF4)
        lead->second_max = 0x8F;
    return true;
}

int32_t weir__utf8_decode(const char *string, size_t size, size_t *length)
{
    *length = size > 0 ? 1 : 0;
    utf8_lead lead;
    if (size == 0 || !utf8_lead_of((unsigned char)string[0], &lead))
        return -1;
    const unsigned char first = (unsigned char)string[0];
    int32_t code = lead.tail == 0 ? first : first & (0x3F >> lead.tail);
    for (size_t i = 1; i <= lead.tail; i++) {
        if (i == size)
            return -1;
        const unsigned char byte = (unsigned char)string[i];
        const unsigned char min = i == 1 ? lead.second_min : 0x80;
        const unsigned char max = i == 1 ? lead.second_max : 0xBF;
        if (byte < min || byte > max)
            return -1;
        code = code << 6 | (byte & 0x3F);
        *length = i + 1;
    }
    return code;
}

size_t weir__utf8_length(const char *string, size_t size)
{
    size_t length = 0;
    return weir__utf8_decode(string, size, &length) < 0 ? 0 : length;
}

bool weir__utf8_is_valid(const char *string, size_t size)
{
    size_t at = 0;
    while (at < size) {
        const size_t length = weir__utf8_length(string + at, size - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

size_t weir__utf8_sanitize(char *out, size_t capacity, const char *string, size_t size)
{
    size_t written = 0;
    size_t at = 0;
    while (at < size) {
        size_t length = 0;
        const bool valid = weir__utf8_decode(string + at, size - at, &length) >= 0;
        const char *const from = valid ? string + at : replacement;
        const size_t from_size = valid ? length : replacement_size;
        if (from_size > capacity - 1 - written)
            break;
        memcpy(out + written, from, from_size);
        written += from_size;
        at += length;
    }
    out[written] = '\0';
    return written;
}
