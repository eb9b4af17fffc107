// SPDX-License-Identifier: MIT
//
// Local time goes through mktime(3) and localtime_r(3), which know the zone; everything with an offset through
// base/date.h, which does not need one.
#include "cli/moment.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/date.h"
#include "cli/format.h"
#include "cli/number.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

// Seconds since 1970, rounded down.
static int64_t seconds_of(int64_t ns)
{
    return ns / NS_PER_S - (ns % NS_PER_S < 0 ? 1 : 0);
}

static bool from_local(struct tm *local, int64_t *ns)
{
    const struct tm asked = *local;
    local->tm_isdst = -1;
    const time_t seconds = mktime(local);
    // A day that does not exist becomes another one: February 30.
    return local->tm_mday == asked.tm_mday && local->tm_mon == asked.tm_mon &&
           !__builtin_mul_overflow((int64_t)seconds, NS_PER_S, ns);
}

// Two digits, or four, up to max.
static bool scan(const char **at, int digits, int max, int *value)
{
    *value = 0;
    for (; digits > 0; digits--, ++*at) {
        if (**at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return *value <= max;
}

static bool expect(const char **at, char c)
{
    if (**at != c)
        return false;
    ++*at;
    return true;
}

// "2026-01-31", "2026-01-31 12:00", "2026-01-31T12:00:00".
static bool parse_local(const char *at, int64_t *ns)
{
    enum { epoch_year = 1900, year_max = 9999, month_max = 12, day_max = 31, hour_max = 23, minute_max = 59 };
    struct tm local = {0};
    if (!scan(&at, 4, year_max, &local.tm_year) || !expect(&at, '-') ||
        !scan(&at, 2, month_max, &local.tm_mon) || !expect(&at, '-') ||
        !scan(&at, 2, day_max, &local.tm_mday) || local.tm_mon == 0 || local.tm_mday == 0)
        return false;
    local.tm_year -= epoch_year;
    local.tm_mon--;
    if (*at == '\0')
        return from_local(&local, ns);
    if ((*at != ' ' && *at != 'T') || !scan((at++, &at), 2, hour_max, &local.tm_hour) || !expect(&at, ':') ||
        !scan(&at, 2, minute_max, &local.tm_min))
        return false;
    if (*at == ':' && !scan((at++, &at), 2, minute_max, &local.tm_sec))
        return false;
    return *at == '\0' && from_local(&local, ns);
}

static bool start_of_day(int64_t now_ns, int days_ago, int64_t *ns)
{
    const time_t now = (time_t)seconds_of(now_ns);
    struct tm local;
    if (localtime_r(&now, &local) == NULL)
        return false;
    local.tm_hour = local.tm_min = local.tm_sec = 0;
    local.tm_mday -= days_ago;
    local.tm_isdst = -1;
    return !__builtin_mul_overflow((int64_t)mktime(&local), NS_PER_S, ns);
}

bool weir__moment_parse(const char *text, int64_t now_ns, int64_t *ns)
{
    uint64_t ago_ms = 0;
    *ns = now_ns;
    if (strcmp(text, "now") == 0)
        return true;
    if (strcmp(text, "today") == 0)
        return start_of_day(now_ns, 0, ns);
    if (strcmp(text, "yesterday") == 0)
        return start_of_day(now_ns, 1, ns);
    if (text[0] == '-')
        return weir__duration_parse(text + 1, 0, (uint64_t)(INT64_MAX / NS_PER_MS), &ago_ms) &&
               !__builtin_sub_overflow(now_ns, (int64_t)ago_ms * NS_PER_MS, ns);
    return parse_local(text, ns) || weir__date_parse_strict(text, strlen(text), ns) == WEIR__DATE_OK;
}

const char *weir__moment_text(int64_t ns, char out[WEIR__MOMENT_SIZE])
{
    const time_t seconds = (time_t)seconds_of(ns);
    struct tm local;
    if (localtime_r(&seconds, &local) == NULL ||
        strftime(out, WEIR__MOMENT_SIZE, "%Y-%m-%d %H:%M:%S", &local) == 0)
        snprintf(out, WEIR__MOMENT_SIZE, "?");
    return out;
}

void weir__moment_duration(weir__text *text, int64_t ns)
{
    const uint64_t size = ns < 0 ? UINT64_C(0) - (uint64_t)ns : (uint64_t)ns;
    if (ns < 0)
        weir__text_char(text, '-');
    weir__format_duration(text, size / (uint64_t)NS_PER_MS);
}
