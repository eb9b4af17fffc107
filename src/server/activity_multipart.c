// SPDX-License-Identifier: MIT
//
// See activity_multipart.h. The body is searched for its delimiter lines through a window that moves over it;
// the windows overlap by the length of a delimiter, so none is missed between two.
//
//      --BOUNDARY CRLF  headers CRLF CRLF  content  CRLF --BOUNDARY CRLF  …  CRLF --BOUNDARY--
//      ^                                            ^
//      at offset 0, or behind a preamble and CRLF   the delimiter that ends the content
#include "server/activity_multipart.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"

enum {
    BOUNDARY_BYTES_MAX = 70,
    DELIMITER_SIZE = BOUNDARY_BYTES_MAX + 5, // CRLF, two dashes, NUL
    WINDOW_BYTES = 64 << 10,
    HEADERS_BYTES_MAX = 8 << 10,
    NAME_SIZE = 256,
    PARTS_MAX = 1000,
};

typedef struct part_scanner {
    const weir_activity_input *body;
    char delimiter[DELIMITER_SIZE];
    size_t delimiter_size;
    char window[WINDOW_BYTES];
} part_scanner;

bool weir__multipart_is(const char *content_type)
{
    static const char wanted[] = "multipart/form-data";
    const size_t size = sizeof wanted - 1;
    return content_type != NULL && strncasecmp(content_type, wanted, size) == 0 &&
           strchr("; \t", content_type[size]) != NULL;
}

// ------------------------------------------------------------------------------------------- parameters

// Copies a parameter's value, a token or a quoted string, to out. False when it is not there or too long.
static bool take_value(const char *text, char *out, size_t out_size)
{
    const bool quoted = *text == '"';
    size_t size = 0;
    for (text += quoted; *text != '\0' && (quoted ? *text != '"' : strchr("; \t", *text) == NULL); text++) {
        if (quoted && *text == '\\' && text[1] != '\0')
            text++;
        if (size + 1 == out_size)
            return false;
        out[size++] = *text;
    }
    out[size] = '\0';
    return !quoted || *text == '"';
}

// Behind the value that starts at `text`.
static const char *skip_value(const char *text)
{
    if (*text != '"')
        return text + strcspn(text, ";");
    for (text++; *text != '\0' && *text != '"'; text++)
        if (*text == '\\' && text[1] != '\0')
            text++;
    return text + strcspn(text, ";");
}

// The parameter `name` of a header's value: "form-data; name=\"buckets.json\"; filename=\"x\"".
static bool find_parameter(const char *value, const char *name, char *out, size_t out_size)
{
    const size_t name_size = strlen(name);
    for (value += strcspn(value, ";"); *value == ';';) {
        value += 1 + strspn(value + 1, " \t");
        const size_t size = strcspn(value, "=;");
        if (value[size] != '=') {
            value += size;
            continue;
        }
        if (size == name_size && strncasecmp(value, name, size) == 0)
            return take_value(value + size + 1, out, out_size);
        value = skip_value(value + size + 1);
    }
    return false;
}

// ------------------------------------------------------------------------------------------------- body

// Reads at most `size` bytes at `offset` of the body; fewer only at its end.
static int read_at(const weir_activity_input *body, uint64_t offset, char *out, size_t size, size_t *got,
                   weir_error *err)
{
    *got = 0;
    if (offset >= body->size)
        return WEIR_OK;
    if (size > body->size - offset)
        size = (size_t)(body->size - offset);
    if (body->bytes != NULL) {
        memcpy(out, body->bytes + offset, size);
        *got = size;
        return WEIR_OK;
    }
    while (*got < size) {
        const ssize_t count = pread(body->fd, out + *got, size - *got, (off_t)(body->offset + offset + *got));
        if (count < 0 && errno != EINTR)
            return weir__error_errno(err, errno, "cannot read the request's body back");
        if (count == 0)
            return weir__error_set(err, WEIR_IO, "the request's body is shorter than it was");
        if (count > 0)
            *got += (size_t)count;
    }
    return WEIR_OK;
}

static int cut_short(weir_error *err)
{
    return weir__error_set(err, WEIR_INVALID, "the multipart body is cut short or not well-formed");
}

// The next delimiter at or behind *at; *at moves there. INVALID: there is none.
static int find_delimiter(part_scanner *scanner, uint64_t *at, weir_error *err)
{
    for (;;) {
        size_t got = 0;
        const int code = read_at(scanner->body, *at, scanner->window, sizeof scanner->window, &got, err);
        if (code != WEIR_OK)
            return code;
        const char *const found = memmem(scanner->window, got, scanner->delimiter, scanner->delimiter_size);
        if (found != NULL) {
            *at += (uint64_t)(found - scanner->window);
            return WEIR_OK;
        }
        if (got < sizeof scanner->window)
            return cut_short(err);
        *at += got - (scanner->delimiter_size - 1);
    }
}

// The part whose delimiter line goes on at *at: copies its name ("" where it has none) and moves *at to its
// content; *last when it is the closing delimiter instead.
static int read_headers(part_scanner *scanner, uint64_t *at, bool *last, char name[NAME_SIZE],
                        weir_error *err)
{
    static const char field[] = "Content-Disposition:";
    size_t got = 0;
    *last = false;
    name[0] = '\0';
    const int code = read_at(scanner->body, *at, scanner->window, HEADERS_BYTES_MAX, &got, err);
    if (code != WEIR_OK)
        return code;
    *last = got >= 2 && memcmp(scanner->window, "--", 2) == 0;
    if (*last)
        return WEIR_OK;
    size_t line = 0;
    while (line < got && (scanner->window[line] == ' ' || scanner->window[line] == '\t'))
        line++;
    for (bool first = true;; first = false) {
        char *const text = scanner->window + line;
        char *const end = memmem(text, got - line, "\r\n", 2);
        if (end == NULL || (first && end != text))
            return cut_short(err);
        *end = '\0';
        line = (size_t)(end - scanner->window) + 2;
        if (!first && *text == '\0')
            break;
        if (strncasecmp(text, field, sizeof field - 1) == 0 &&
            !find_parameter(text + sizeof field - 1, "name", name, NAME_SIZE))
            name[0] = '\0';
    }
    *at += line;
    return WEIR_OK;
}

static bool is_field(const char *name, const char *field)
{
    const size_t size = strlen(field);
    return strncmp(name, field, size) == 0 && (name[size] == '\0' || name[size] == '.');
}

static int init_scanner(part_scanner *scanner, const weir_activity_input *body, const char *content_type,
                        weir_error *err)
{
    char boundary[BOUNDARY_BYTES_MAX + 1];
    if (!find_parameter(content_type, "boundary", boundary, sizeof boundary) || boundary[0] == '\0')
        return weir__error_set(err, WEIR_INVALID,
                               "the Content-Type multipart/form-data needs a boundary of 1 to %d characters",
                               BOUNDARY_BYTES_MAX);
    scanner->body = body;
    scanner->delimiter_size =
        (size_t)snprintf(scanner->delimiter, sizeof scanner->delimiter, "\r\n--%s", boundary);
    return WEIR_OK;
}

// Moves *at behind the first delimiter, which may stand at the very start, where its CRLF is missing.
static int find_first(part_scanner *scanner, uint64_t *at, weir_error *err)
{
    size_t got = 0;
    int code = read_at(scanner->body, 0, scanner->window, scanner->delimiter_size - 2, &got, err);
    if (code != WEIR_OK)
        return code;
    if (got == scanner->delimiter_size - 2 && memcmp(scanner->window, scanner->delimiter + 2, got) == 0) {
        *at = got;
        return WEIR_OK;
    }
    code = find_delimiter(scanner, at, err);
    *at += scanner->delimiter_size;
    return code;
}

int weir__multipart_find(const weir_activity_input *body, const char *content_type, const char *field,
                         weir_activity_input *part, weir_error *err)
{
    part_scanner scanner;
    char name[NAME_SIZE];
    uint64_t at = 0;
    bool last = false;
    *part = (weir_activity_input){.fd = -1};
    int code = init_scanner(&scanner, body, content_type, err);
    if (code == WEIR_OK)
        code = find_first(&scanner, &at, err);
    for (unsigned count = 0; code == WEIR_OK && count < PARTS_MAX; count++) {
        code = read_headers(&scanner, &at, &last, name, err);
        if (code != WEIR_OK || last)
            break;
        const uint64_t content = at;
        code = find_delimiter(&scanner, &at, err);
        if (code == WEIR_OK && is_field(name, field)) {
            *part = *body;
            part->size = at - content;
            if (body->bytes != NULL)
                part->bytes += content;
            else
                part->offset += content;
            return WEIR_OK;
        }
        at += scanner.delimiter_size;
    }
    return code != WEIR_OK
               ? code
               : weir__error_set(err, WEIR_MISMATCH, "the form has no file in a field named %s", field);
}
