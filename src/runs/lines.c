// SPDX-License-Identifier: MIT
//
// Line splitting. Bytes are collected raw and made valid only when a line is complete, so a character that
// two chunks share needs no state of its own. Pieces of an over-long line are cut before a character that is
// not complete yet. Memory beyond what ordinary lines need is given back after a long one: a thousand runs
// may each have one of these.
#include "runs/lines.h"

#include <string.h>

enum { keep_bytes = 16 * 1024 };

// Valid UTF-8 without NUL.
static void sanitize(weir__text *out, weir__span raw)
{
    while (raw.size > 0) {
        const char *const nul = memchr(raw.data, '\0', raw.size);
        const size_t plain = nul != NULL ? (size_t)(nul - raw.data) : raw.size;
        weir__text_utf8(out, raw.data, plain);
        if (nul == NULL)
            return;
        weir__text_add(out, "\xEF\xBF\xBD");
        raw = weir__span_from(raw, plain + 1);
    }
}

static void give_back(weir__text *text)
{
    if (text->capacity > keep_bytes)
        weir__text_free(text);
    else
        weir__text_clear(text);
}

// How much of a clean line is one piece: what was not valid has tripled in size.
static size_t piece_size(weir__span line)
{
    size_t size = line.size < (size_t)WEIR__LINE_BYTES_MAX ? line.size : (size_t)WEIR__LINE_BYTES_MAX;
    while (size < line.size && ((unsigned char)line.data[size] & 0xC0) == 0x80)
        size--; // not in the middle of a character
    return size;
}

// Hands out the first `size` bytes of what was collected.
static void hand_out(weir__lines *lines, size_t size, weir__line_fn *each, void *context)
{
    sanitize(&lines->clean, (weir__span){lines->raw.data, size});
    weir__span line = weir__span_trim_end((weir__span){lines->clean.data, lines->clean.size});
    if (lines->clean.failed || lines->raw.failed) {
        lines->lost++;
        line.size = 0;
    }
    while (line.size > 0) {
        const size_t piece = piece_size(line);
        each(context, weir__span_first(line, piece), !lines->continued);
        lines->continued = true;
        line = weir__span_from(line, piece);
    }
    give_back(&lines->clean);
}

static void end_line(weir__lines *lines, weir__line_fn *each, void *context)
{
    if (lines->raw.size > 0 || lines->raw.failed)
        hand_out(lines, lines->raw.size, each, context);
    give_back(&lines->raw);
    lines->continued = false;
}

// How many bytes at the end of `raw` could be the beginning of a character.
static size_t unfinished_size(weir__span raw)
{
    for (size_t tail = 1; tail <= 3 && tail <= raw.size; tail++) {
        const unsigned char byte = (unsigned char)raw.data[raw.size - tail];
        if ((byte & 0xC0) == 0x80)
            continue;
        const size_t need = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
        return need > tail ? tail : 0;
    }
    return 0;
}

static void cut_piece(weir__lines *lines, weir__line_fn *each, void *context)
{
    char tail[4] = {0};
    const size_t tail_size = unfinished_size((weir__span){lines->raw.data, lines->raw.size});
    if (tail_size > 0)
        memcpy(tail, lines->raw.data + lines->raw.size - tail_size, tail_size);
    hand_out(lines, lines->raw.size - tail_size, each, context);
    weir__text_clear(&lines->raw);
    weir__text_append(&lines->raw, tail, tail_size);
    lines->continued = true;
}

// Collects bytes that contain no line end.
static void collect(weir__lines *lines, weir__span part, weir__line_fn *each, void *context)
{
    while (part.size > 0) {
        const size_t room = (size_t)WEIR__LINE_BYTES_MAX - lines->raw.size;
        const size_t take = part.size < room ? part.size : room;
        weir__text_append(&lines->raw, part.data, take);
        part = weir__span_from(part, take);
        if (lines->raw.failed || lines->raw.size == (size_t)WEIR__LINE_BYTES_MAX)
            cut_piece(lines, each, context);
    }
}

static size_t until_line_end(weir__span rest)
{
    const char *const newline = memchr(rest.data, '\n', rest.size);
    const size_t size = newline != NULL ? (size_t)(newline - rest.data) : rest.size;
    const char *const carriage = memchr(rest.data, '\r', size);
    return carriage != NULL ? (size_t)(carriage - rest.data) : size;
}

size_t weir__lines_feed_line(weir__lines *lines, const char *chunk, size_t size, weir__line_fn *each,
                             void *context)
{
    const bool skip = size > 0 && lines->skip_newline && chunk[0] == '\n';
    const weir__span rest = {chunk + skip, size - skip};
    if (size > 0)
        lines->skip_newline = false;
    if (rest.size == 0)
        return size;
    const size_t length = until_line_end(rest);
    collect(lines, weir__span_first(rest, length), each, context);
    if (length == rest.size)
        return size;
    end_line(lines, each, context);
    lines->skip_newline = rest.data[length] == '\r';
    return skip + length + 1;
}

void weir__lines_feed(weir__lines *lines, const char *chunk, size_t size, weir__line_fn *each, void *context)
{
    for (size_t at = 0; at < size;)
        at += weir__lines_feed_line(lines, chunk + at, size - at, each, context);
}

void weir__lines_end(weir__lines *lines, weir__line_fn *each, void *context)
{
    end_line(lines, each, context);
    lines->skip_newline = false;
}

void weir__lines_free(weir__lines *lines)
{
    weir__text_free(&lines->raw);
    weir__text_free(&lines->clean);
}
