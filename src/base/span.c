// SPDX-License-Identifier: MIT
//
// Spans. White space is what Python's str.isspace() says for a single character; going backwards, a
// multi-byte space is found by looking at the two or three bytes before the end.
#include "base/span.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static bool is_space(int32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= '\t' && code <= '\r') || (code >= 0x1C && code <= 0x1F);
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
           code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

weir__span weir__span_of(const char *string)
{
    return (weir__span){string, strlen(string)};
}

weir__span weir__span_from(weir__span span, size_t start)
{
    const size_t skip = start < span.size ? start : span.size;
    return (weir__span){span.data + skip, span.size - skip};
}

weir__span weir__span_first(weir__span span, size_t size)
{
    return (weir__span){span.data, size < span.size ? size : span.size};
}

size_t weir__span_space_length(weir__span span)
{
    size_t length = 0;
    const int32_t code = span.size > 0 ? weir__utf8_decode(span.data, span.size, &length) : -1;
    return code >= 0 && is_space(code) ? length : 0;
}

weir__span weir__span_trim_start(weir__span span)
{
    size_t length;
    while ((length = weir__span_space_length(span)) > 0)
        span = weir__span_from(span, length);
    return span;
}

// Bytes of the white space character at the end of the span.
static size_t last_space_length(weir__span span)
{
    for (size_t length = 1; length <= 3 && length <= span.size; length++) {
        if (weir__span_space_length(weir__span_from(span, span.size - length)) == length)
            return length;
    }
    return 0;
}

weir__span weir__span_trim_end(weir__span span)
{
    size_t length;
    while ((length = last_space_length(span)) > 0)
        span.size -= length;
    return span;
}

weir__span weir__span_trim(weir__span span)
{
    return weir__span_trim_end(weir__span_trim_start(span));
}

bool weir__span_equals(weir__span a, weir__span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool weir__span_is(weir__span span, const char *string)
{
    return weir__span_equals(span, weir__span_of(string));
}

size_t weir__span_find(weir__span span, const char *needle)
{
    const size_t length = strlen(needle);
    if (length == 0)
        return 0;
    const char *const at = span.size > 0 ? memmem(span.data, span.size, needle, length) : NULL;
    return at != NULL ? (size_t)(at - span.data) : SIZE_MAX;
}

size_t weir__span_find_caseless(weir__span span, const char *needle)
{
    const size_t length = strlen(needle);
    for (size_t at = 0; length <= span.size && at <= span.size - length; at++) {
        if (strncasecmp(span.data + at, needle, length) == 0)
            return at;
    }
    return SIZE_MAX;
}

char *weir__span_copy(weir__span span)
{
    char *const copy = malloc(span.size + 1);
    if (copy == NULL)
        return NULL;
    if (span.size > 0)
        memcpy(copy, span.data, span.size);
    copy[span.size] = '\0';
    return copy;
}
