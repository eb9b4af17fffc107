// SPDX-License-Identifier: MIT
//
// Whole numbers only: a rounding of floating point that turns 59.96 s into "60.0 s" cannot happen.
#include "cli/format.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { ms_per_s = 1000, s_per_minute = 60, s_per_hour = 3600, s_per_day = 86400 };

void weir__format_duration(weir__text *text, uint64_t duration_ms)
{
    const uint64_t s = duration_ms / ms_per_s;
    if (s < s_per_minute)
        weir__text_printf(text, "%" PRIu64 ".%" PRIu64 " s", s, duration_ms % ms_per_s / 100);
    else if (s < s_per_hour)
        weir__text_printf(text, "%" PRIu64 "m %02" PRIu64 "s", s / s_per_minute, s % s_per_minute);
    else if (s < s_per_day)
        weir__text_printf(text, "%" PRIu64 "h %02" PRIu64 "m", s / s_per_hour, s % s_per_hour / s_per_minute);
    else
        weir__text_printf(text, "%" PRIu64 "d %02" PRIu64 "h", s / s_per_day, s % s_per_day / s_per_hour);
}

void weir__format_bytes(weir__text *text, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        weir__text_printf(text, "%" PRIu64 " B", bytes);
        return;
    }
    size_t unit = 0;
    uint64_t scale = 1024;
    while (bytes / scale >= 1024) {
        scale *= 1024;
        unit++;
    }
    weir__text_printf(text, "%" PRIu64 ".%" PRIu64 " %s", bytes / scale, bytes % scale * 10 / scale,
                      units[unit]);
}

void weir__format_count(weir__text *text, uint64_t count)
{
    if (count >= 1000) {
        weir__format_count(text, count / 1000);
        weir__text_printf(text, ",%03" PRIu64, count % 1000);
    } else {
        weir__text_printf(text, "%" PRIu64, count);
    }
}

// Whether `stored` begins as the pattern does, where 0 stands for any digit.
static bool looks_like(const char *stored, const char *pattern)
{
    for (; *pattern != '\0'; pattern++, stored++) {
        if (*pattern == '0' ? !isdigit((unsigned char)*stored) : *stored != *pattern)
            return false;
    }
    return true;
}

void weir__format_time(weir__text *text, const char *stored)
{
    enum { date_size = 10, time_size = 8 };
    if (looks_like(stored, "0000-00-00T00:00:00"))
        weir__text_printf(text, "%.*s %.*s", date_size, stored, time_size, stored + date_size + 1);
    else
        weir__text_add(text, stored);
}
