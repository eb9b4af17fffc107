// SPDX-License-Identifier: MIT
//
// weir_error: formatting, and the translation of errno. Text is formatted into a local buffer first, because
// a caller that adds context passes err->text as an argument. No state, any thread.
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

// Here the functions themselves are meant, not what stands for them in an analysis.
#undef weir__error_set
#undef weir__error_errno

static const char *const code_names[] = {
    [WEIR_OK] = "WEIR_OK",
    [WEIR_BUSY] = "WEIR_BUSY",
    [WEIR_EXPIRED] = "WEIR_EXPIRED",
    [WEIR_FULL] = "WEIR_FULL",
    [WEIR_IO] = "WEIR_IO",
    [WEIR_CORRUPT] = "WEIR_CORRUPT",
    [WEIR_NOTADB] = "WEIR_NOTADB",
    [WEIR_CONSTRAINT] = "WEIR_CONSTRAINT",
    [WEIR_INVALID] = "WEIR_INVALID",
    [WEIR_NOTFOUND] = "WEIR_NOTFOUND",
    [WEIR_EXISTS] = "WEIR_EXISTS",
    [WEIR_DENIED] = "WEIR_DENIED",
    [WEIR_CLOSED] = "WEIR_CLOSED",
    [WEIR_FENCED] = "WEIR_FENCED",
    [WEIR_FORKED] = "WEIR_FORKED",
    [WEIR_NOMEM] = "WEIR_NOMEM",
    [WEIR_UNSUPPORTED] = "WEIR_UNSUPPORTED",
    [WEIR_TOOBIG] = "WEIR_TOOBIG",
    [WEIR_SQL] = "WEIR_SQL",
    [WEIR_STATE] = "WEIR_STATE",
    [WEIR_CANCELLED] = "WEIR_CANCELLED",
    [WEIR_UNKNOWN] = "WEIR_UNKNOWN",
    [WEIR_INTERNAL] = "WEIR_INTERNAL",
    [WEIR_MISMATCH] = "WEIR_MISMATCH",
};

_Static_assert(sizeof code_names / sizeof *code_names == WEIR_MISMATCH + 1, "every code has a name");

const char *weir_code_name(int code)
{
    if (code < 0 || code > WEIR_MISMATCH)
        return "WEIR_?";
    return code_names[code];
}

// Ends `text` at `size` bytes or, where that would split a UTF-8 sequence, before the sequence. Returns the
// length.
static size_t cut_at_character(char *text, size_t size)
{
    size_t lead = size;
    while (lead > 0 && size - lead < 4) {
        const unsigned char byte = (unsigned char)text[lead - 1];
        lead--;
        if ((byte & 0xC0) == 0x80)
            continue;
        const size_t need = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
        if (need > size - lead)
            size = lead;
        break;
    }
    text[size] = '\0';
    return size;
}

// Formats into buffer[capacity] and returns the length. What does not fit is cut at a character boundary, and what
// is not UTF-8 (a file's name may be anything) is shown as U+FFFD.
static size_t format_text(char *buffer, size_t capacity, const char *format, va_list args)
{
    char raw[WEIR_ERROR_TEXT_SIZE];
    const int wanted = vsnprintf(raw, sizeof raw, format, args);
    if (wanted < 0) {
        buffer[0] = '\0';
        return 0;
    }
    const size_t size = (size_t)wanted < sizeof raw ? (size_t)wanted : cut_at_character(raw, sizeof raw - 1);
    return weir__utf8_sanitize(buffer, capacity, raw, size);
}

int weir__error_set(weir_error *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;
    char buffer[WEIR_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    const size_t size = format_text(buffer, sizeof buffer, format, args);
    va_end(args);
    err->code = code;
    err->sqlite_code = 0;
    err->os_errno = 0;
    memcpy(err->text, buffer, size + 1);
    return code;
}

int weir__error_errno(weir_error *err, int os_errno, const char *format, ...)
{
    const int code = weir__error_code_of_errno(os_errno);
    if (err == NULL)
        return code;
    char reason[128];
    const char *const words = strerror_r(os_errno, reason, sizeof reason);
    const size_t words_size = strnlen(words, sizeof reason);
    char buffer[WEIR_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    size_t size = format_text(buffer, sizeof buffer - words_size - 2, format, args);
    va_end(args);
    memcpy(buffer + size, ": ", 2);
    memcpy(buffer + size + 2, words, words_size);
    size += 2 + words_size;
    buffer[size] = '\0';
    err->code = code;
    err->sqlite_code = 0;
    err->os_errno = os_errno;
    memcpy(err->text, buffer, size + 1);
    return code;
}

int weir__error_code_of_errno(int os_errno)
{
    switch (os_errno) {
    case ENOSPC:
    case EDQUOT:
        return WEIR_FULL;
    case EACCES:
    case EPERM:
    case EROFS:
        return WEIR_DENIED;
    case ENOENT:
        return WEIR_NOTFOUND;
    case EEXIST:
        return WEIR_EXISTS;
    case ENOMEM:
        return WEIR_NOMEM;
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return WEIR_INVALID;
    default:
        return WEIR_IO;
    }
}

void weir__error_copy(weir_error *dst, const weir_error *src)
{
    if (dst != NULL && src != NULL && dst != src)
        *dst = *src;
}

void weir__error_clear(weir_error *err)
{
    if (err != NULL)
        *err = (weir_error)WEIR_ERROR_INIT;
}
