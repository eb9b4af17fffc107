// SPDX-License-Identifier: MIT
//
// Each character is first turned into its visible form (a few bytes and a width), then appended while there
// is room. When text has to be cut, one column is kept for the ellipsis: the position where it would have to
// start is remembered while appending, so that one pass suffices.
#include "cli/visible.h"

#include <locale.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

// One character as it will be shown.
typedef struct shown {
    char bytes[16];
    size_t size;
    size_t columns;
} shown;

enum { tab_columns = 8 };

static locale_t utf8_locale;
static pthread_once_t utf8_once = PTHREAD_ONCE_INIT;

static void make_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

// Columns of a printable character; -1 for one that must not reach a terminal as it is.
static int columns_of(int32_t c)
{
    pthread_once(&utf8_once, make_locale);
    if (utf8_locale == (locale_t)0)
        return 1;
    const locale_t before = uselocale(utf8_locale);
    const int columns = wcwidth((wchar_t)c);
    uselocale(before);
    return columns;
}

// Marks that change how their neighbours are shown, or are not seen at all.
static bool is_deceptive(int32_t c)
{
    return (c >= 0x80 && c < 0xA0) || c == 0xAD || c == 0x61C || c == 0x180E ||
           (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) ||
           c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

static shown shown_text(const char *bytes, size_t size, size_t columns)
{
    shown result = {.size = size, .columns = columns};
    memcpy(result.bytes, bytes, size);
    return result;
}

static shown shown_escape(int32_t c)
{
    if (c == '\n')
        return shown_text("\\n", 2, 2);
    if (c == '\r')
        return shown_text("\\r", 2, 2);
    if (c == 0x1B)
        return shown_text("\\e", 2, 2);
    shown result = {0};
    const int size = c < 0x80     ? snprintf(result.bytes, sizeof result.bytes, "\\x%02x", (unsigned)c)
                     : c > 0xFFFF ? snprintf(result.bytes, sizeof result.bytes, "\\U%08x", (unsigned)c)
                                  : snprintf(result.bytes, sizeof result.bytes, "\\u%04x", (unsigned)c);
    result.size = result.columns = (size_t)size;
    return result;
}

static shown shown_invalid(bool unicode)
{
    return unicode ? shown_text("\xEF\xBF\xBD", 3, 1) : shown_text("?", 1, 1);
}

// The length of a colour sequence at the start of string[size], 0 where there is none.
static size_t colour_length(const char *string, size_t size)
{
    if (size < 3 || string[0] != '\x1b' || string[1] != '[')
        return 0;
    size_t at = 2;
    while (at < size && ((string[at] >= '0' && string[at] <= '9') || string[at] == ';' || string[at] == ':'))
        at++;
    return at < size && string[at] == 'm' ? at + 1 : 0;
}

// The visible form of the character at string[size], which will stand in column `column`; how many bytes it takes there
// in *used.
static shown show(const char *string, size_t size, size_t column, bool unicode, size_t *used)
{
    const size_t colour = colour_length(string, size);
    if (colour > 0) {
        *used = colour;
        return shown_text("", 0, 0);
    }
    const int32_t c = weir__utf8_decode(string, size, used);
    if (c < 0)
        return shown_invalid(unicode);
    if (c == '\t') {
        const size_t blanks = tab_columns - column % tab_columns;
        return shown_text("        ", blanks, blanks);
    }
    if (c < 0x20 || c == 0x7F || is_deceptive(c))
        return shown_escape(c);
    if (c < 0x7F)
        return shown_text(string, 1, 1);
    if (!unicode)
        return shown_text("?", 1, 1);
    const int columns = columns_of(c);
    return columns < 0 ? shown_escape(c) : shown_text(string, *used, (size_t)columns);
}

size_t weir__visible(weir__text *text, const char *string, size_t size, size_t columns_max, bool unicode)
{
    const shown ellipsis = unicode ? shown_text("\xE2\x80\xA6", 3, 1) : shown_text("~", 1, 1);
    size_t columns = 0;
    size_t cut_size = text->size; // where the ellipsis would go, and
    size_t cut_columns = 0;       // how many columns are before it
    for (size_t at = 0, used = 0; at < size; at += used) {
        const shown next = show(string + at, size - at, columns, unicode, &used);
        if (next.columns > columns_max - columns) {
            if (text->failed || columns_max == 0)
                return columns;
            text->size = cut_size;
            weir__text_append(text, ellipsis.bytes, ellipsis.size);
            return cut_columns + ellipsis.columns;
        }
        weir__text_append(text, next.bytes, next.size);
        columns += next.columns;
        if (columns < columns_max) {
            cut_size = text->size;
            cut_columns = columns;
        }
    }
    return columns;
}

size_t weir__visible_columns(const char *string, size_t size, bool unicode)
{
    size_t columns = 0;
    for (size_t at = 0, used = 0; at < size; at += used)
        columns += show(string + at, size - at, columns, unicode, &used).columns;
    return columns;
}

const char *weir__visible_quote(const char *string, char *out, size_t capacity)
{
    weir__text text = {0};
    weir__visible(&text, string, strlen(string), capacity - 1, false);
    snprintf(out, capacity, "%s", weir__text_string(&text));
    weir__text_free(&text);
    return out;
}
