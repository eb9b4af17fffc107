// SPDX-License-Identifier: MIT
//
// Naive local time. The database of the program that we share it with holds local times without a zone, so
// the calendar of the reading process is the only one there is: a weir_local_us counts microseconds on that
// calendar as if every day had 24 hours, and differences of two of them are what that program would compute.
//
// Any thread. Changing TZ while the process runs is not supported.
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runs/runs.h"

enum { date_time_size = 16 /* YYYY-MM-DDTHH:MM */, year_max = 9999 };

// Whole seconds, rounded down, and the microseconds above them.
static time_t split(int64_t us, int64_t *us_of_s)
{
    const int64_t rest = us % WEIR__US_PER_S;
    *us_of_s = rest < 0 ? rest + WEIR__US_PER_S : rest;
    return (time_t)(us / WEIR__US_PER_S - (rest < 0));
}

weir_local_us weir_local_from_utc(int64_t utc_us)
{
    int64_t us_of_s = 0;
    const time_t seconds = split(utc_us, &us_of_s);
    struct tm local;
    if (localtime_r(&seconds, &local) == NULL)
        return utc_us;
    return (int64_t)timegm(&local) * WEIR__US_PER_S + us_of_s;
}

weir_local_us weir_local_now(void)
{
    return weir_local_from_utc(weir__clock_wall_us(weir__clock_system()));
}

void weir_local_format(weir_local_us time, char text[WEIR_LOCAL_TEXT_SIZE])
{
    text[0] = '\0';
    if (time == 0)
        return;
    int64_t us_of_s = 0;
    const time_t seconds = split(time, &us_of_s);
    struct tm tm;
    const bool known = gmtime_r(&seconds, &tm) != NULL;
    if (!known || tm.tm_year + 1900 > year_max || tm.tm_year + 1900 < 1) {
        memcpy(text, time < 0 ? "0001-01-01T00:00:00.000000" : "9999-12-31T23:59:59.999999",
               WEIR_LOCAL_TEXT_SIZE);
        return;
    }
    // The bounds above make every field as wide as its format; the remainders tell the compiler so.
    snprintf(text, WEIR_LOCAL_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06u",
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, (unsigned)us_of_s % 1000000);
}

// A decimal number of exactly `digits` digits at text[*at]; moves *at behind it. -1 when there is none.
static int number(const char *text, size_t size, size_t *at, size_t digits)
{
    if (size - *at < digits)
        return -1;
    int value = 0;
    for (size_t i = 0; i < digits; i++) {
        const char c = text[*at + i];
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    *at += digits;
    return value;
}

static bool literal(const char *text, size_t size, size_t *at, char c)
{
    if (*at >= size || text[*at] != c)
        return false;
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

// YYYY-MM-DD[T ]HH:MM
static bool parse_date_time(const char *text, size_t size, size_t *at, struct tm *tm)
{
    const int year = number(text, size, at, 4);
    if (year < 1 || !literal(text, size, at, '-'))
        return false;
    const int month = number(text, size, at, 2);
    if (month < 1 || month > 12 || !literal(text, size, at, '-'))
        return false;
    const int day = number(text, size, at, 2);
    if (day < 1 || day > days_in_month(year, month))
        return false;
    if (!literal(text, size, at, 'T') && !literal(text, size, at, ' '))
        return false;
    tm->tm_hour = number(text, size, at, 2);
    if (tm->tm_hour < 0 || tm->tm_hour > 23 || !literal(text, size, at, ':'))
        return false;
    tm->tm_min = number(text, size, at, 2);
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;
    return tm->tm_min >= 0 && tm->tm_min <= 59;
}

// .f to .ffffff…; digits beyond the sixth are dropped.
static bool parse_fraction(const char *text, size_t size, size_t *at, int *us)
{
    *us = 0;
    if (!literal(text, size, at, '.'))
        return true;
    int unit = 100000;
    const size_t start = *at;
    for (; *at < size && text[*at] >= '0' && text[*at] <= '9'; (*at)++, unit /= 10)
        *us += unit * (text[*at] - '0');
    return *at > start;
}

// Z, +hh:mm, +hhmm or +hh
static bool parse_zone(const char *text, size_t size, size_t *at, bool *given, int *offset_s)
{
    *given = *at < size;
    *offset_s = 0;
    if (*at >= size || literal(text, size, at, 'Z') || literal(text, size, at, 'z'))
        return true;
    const int sign = text[*at] == '-' ? -1 : 1;
    if (!literal(text, size, at, '+') && !literal(text, size, at, '-'))
        return false;
    const int hours = number(text, size, at, 2);
    literal(text, size, at, ':');
    const int minutes = *at < size ? number(text, size, at, 2) : 0;
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return hours >= 0 && hours <= 23 && minutes >= 0 && minutes <= 59;
}

bool weir_local_parse(const char *text, size_t size, weir_local_us *time)
{
    *time = 0;
    struct tm tm = {0};
    size_t at = 0;
    if (text == NULL || size < date_time_size || !parse_date_time(text, size, &at, &tm))
        return false;
    int us = 0;
    if (literal(text, size, &at, ':')) {
        tm.tm_sec = number(text, size, &at, 2);
        if (tm.tm_sec < 0 || tm.tm_sec > 59 || !parse_fraction(text, size, &at, &us))
            return false;
    }
    bool zoned = false;
    int offset_s = 0;
    if (!parse_zone(text, size, &at, &zoned, &offset_s) || at != size)
        return false;
    const int64_t naive_us = (int64_t)timegm(&tm) * WEIR__US_PER_S + us;
    *time = zoned ? weir_local_from_utc(naive_us - offset_s * WEIR__US_PER_S) : naive_us;
    return true;
}
