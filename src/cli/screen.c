// SPDX-License-Identifier: MIT
//
// Styles are the eight colours and attributes that every terminal since the VT100's successors has; the
// user's theme decides what they look like. Whether UTF-8 is welcome is read from the locale variables in the
// order in which the C library reads them; nothing set counts as UTF-8 only where output is no terminal, so
// files are the same everywhere.
#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/number.h"
#include "cli/visible.h"

// At this much collected text a screen is flushed on its own; the error, if any, waits for the next flush.
enum { flush_size = 1 << 16, columns_limit = 4096 };

static bool set(const char *value)
{
    return value != NULL && value[0] != '\0';
}

static bool locale_is_utf8(void)
{
    const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *const value = getenv(names[i]);
        if (set(value))
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}

static bool wants_colour(const weir__screen *screen, weir__colour_when when)
{
    if (when != WEIR__COLOUR_AUTO)
        return when == WEIR__COLOUR_ALWAYS;
    return screen->terminal && !set(getenv("NO_COLOR"));
}

void weir__screen_measure(weir__screen *screen)
{
    uint64_t columns = 0;
    struct winsize size = {0};
    const char *const given = getenv("COLUMNS");
    if (set(given) && weir__number_parse(given, 1, columns_limit, &columns))
        screen->columns = (size_t)columns;
    else if (!screen->terminal)
        screen->columns = WEIR__COLUMNS_ALL;
    else if (ioctl(screen->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        screen->columns = size.ws_col;
    else
        screen->columns = WEIR__COLUMNS_DEFAULT;
    if (screen->columns < WEIR__COLUMNS_MIN)
        screen->columns = WEIR__COLUMNS_MIN;
}

void weir__screen_init(weir__screen *screen, int fd, weir__colour_when when)
{
    const char *const term = getenv("TERM");
    *screen = (weir__screen){.fd = fd};
    screen->terminal = isatty(fd) && set(term) && strcmp(term, "dumb") != 0;
    screen->colour = wants_colour(screen, when);
    screen->unicode = locale_is_utf8() || !isatty(fd);
    weir__screen_measure(screen);
}

void weir__screen_fini(weir__screen *screen)
{
    weir__text_free(&screen->text);
}

static void flush_when_large(weir__screen *screen)
{
    if (screen->text.size >= flush_size)
        (void)weir__screen_flush(screen, NULL);
}

void weir__screen_add(weir__screen *screen, const char *text)
{
    weir__text_add(&screen->text, text);
    flush_when_large(screen);
}

void weir__screen_printf(weir__screen *screen, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    weir__text_vprintf(&screen->text, format, args);
    va_end(args);
    flush_when_large(screen);
}

void weir__screen_style(weir__screen *screen, weir__style style)
{
    static const char *const codes[] = {
        [WEIR__STYLE_PLAIN] = "\x1b[0m",   [WEIR__STYLE_BOLD] = "\x1b[1m", [WEIR__STYLE_DIM] = "\x1b[2m",
        [WEIR__STYLE_GOOD] = "\x1b[32m",   [WEIR__STYLE_BAD] = "\x1b[31m", [WEIR__STYLE_WARN] = "\x1b[33m",
        [WEIR__STYLE_ACTIVE] = "\x1b[36m",
    };
    if (screen->colour)
        weir__text_add(&screen->text, codes[style]);
}

void weir__screen_styled(weir__screen *screen, weir__style style, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (style != WEIR__STYLE_PLAIN)
        weir__screen_style(screen, style);
    weir__text_vprintf(&screen->text, format, args);
    if (style != WEIR__STYLE_PLAIN)
        weir__screen_style(screen, WEIR__STYLE_PLAIN);
    va_end(args);
}

size_t weir__screen_visible(weir__screen *screen, const char *string, size_t columns_max)
{
    const size_t columns = weir__visible(&screen->text, string, strlen(string), columns_max, screen->unicode);
    flush_when_large(screen);
    return columns;
}

void weir__screen_take(weir__screen *screen, char *string)
{
    screen->text.failed |= string == NULL;
    if (string != NULL)
        weir__screen_add(screen, string);
    free(string);
}

const char *weir__screen_glyph(const weir__screen *screen, const char *unicode, const char *ascii)
{
    return screen->unicode ? unicode : ascii;
}

// Writes all of it, waiting where the other end is a non-blocking pipe that is full. 0 or an errno.
static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t written = write(fd, data, size);
        if (written >= 0) {
            data += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            (void)poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int weir__screen_flush(weir__screen *screen, weir_error *err)
{
    int code = WEIR_OK;
    const char *const name = screen->fd == STDERR_FILENO ? "standard error" : "standard output";
    if (screen->text.failed)
        code = weir__error_set(err, WEIR_NOMEM, "not enough memory to write to %s", name);
    const bool writes = !screen->gone && !screen->text.failed; // half a text could be taken for a whole one
    const int os_errno =
        writes ? write_all(screen->fd, weir__text_string(&screen->text), screen->text.size) : 0;
    weir__text_clear(&screen->text);
    if (os_errno == 0)
        return code;
    screen->gone = true;
    if (os_errno == EPIPE)
        return code;
    return weir__error_errno(err, os_errno, "cannot write to %s", name);
}
