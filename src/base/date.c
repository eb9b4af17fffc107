// SPDX-License-Identifier: MIT
//
// Dates are read by a cursor that knows how far it got and whether it failed; each reader below is a list of what has
// to come. What they read goes into one struct of fields, and one function checks the fields and counts nanoseconds.
//
// Days are counted with eras of 400 years that begin on 1 March, so that the leap day is the last of its year: then a
// month's first day is a linear function of the month, and no table is needed.
//
// What is a date is decided by its fields (a year as far away as chrono's), and only then whether 64 bits can hold it.
#include "base/date.h"

#include <limits.h>
#include <string.h>

static const int64_t second_ns = 1000000000;

enum {
    day_seconds = 86400,
    era_years = 400,
    era_days = 146097,
    march_days = 719468, // from 0000-03-01 to 1970-01-01
    year_min = -262143,  // of chrono
    year_max = 262142,
};

typedef struct date_fields {
    int64_t year;
    int month, day, hour, minute, second;
    int ns;
    int offset_seconds; // of local time, east of UTC
} date_fields;

// ---------------------------------------------------------------------------------------------------------
// Counting

// Days since 1970-01-01.
static int64_t days_of(int64_t year, int month, int day)
{
    const int64_t shifted = year - (month <= 2); // the year in which that March was
    const int64_t era = (shifted >= 0 ? shifted : shifted - (era_years - 1)) / era_years;
    const int64_t year_of_era = shifted - era * era_years;
    const int month_of_year = (month + 9) % 12; // March is 0
    const int64_t day_of_year = (153 * month_of_year + 2) / 5 + day - 1;
    const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * era_days + day_of_era - march_days;
}

static void date_of(int64_t days, date_fields *fields)
{
    const int64_t shifted = days + march_days;
    const int64_t era = (shifted >= 0 ? shifted : shifted - (era_days - 1)) / era_days;
    const int64_t day_of_era = shifted - era * era_days;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_of_year = (5 * day_of_year + 2) / 153;
    fields->day = (int)(day_of_year - (153 * month_of_year + 2) / 5 + 1);
    fields->month = (int)(month_of_year < 10 ? month_of_year + 3 : month_of_year - 9);
    fields->year = year_of_era + era * era_years + (fields->month <= 2);
}

static int month_days(int64_t year, int month)
{
    if (month == 2)
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static weir__date_result count(const date_fields *fields, int64_t *ns)
{
    if (fields->year < year_min || fields->year > year_max || fields->month < 1 || fields->month > 12 ||
        fields->day < 1 || fields->day > month_days(fields->year, fields->month))
        return WEIR__DATE_MALFORMED;
    if (fields->hour > 23 || fields->minute > 59 || fields->second > 60)
        return WEIR__DATE_MALFORMED;
    if (fields->offset_seconds <= -day_seconds || fields->offset_seconds >= day_seconds)
        return WEIR__DATE_MALFORMED;
    const int64_t days = days_of(fields->year, fields->month, fields->day);
    int64_t seconds = days * day_seconds + fields->hour * 3600 + fields->minute * 60 + fields->second;
    seconds -= fields->offset_seconds;
    int64_t fraction = fields->ns;
    if (seconds < 0 && fraction > 0) { // so that the first second of all can be counted
        seconds++;
        fraction -= second_ns;
    }
    int64_t counted = 0;
    if (__builtin_mul_overflow(seconds, second_ns, &counted) ||
        __builtin_add_overflow(counted, fraction, &counted))
        return WEIR__DATE_BEYOND;
    *ns = counted;
    return WEIR__DATE_OK;
}

// ---------------------------------------------------------------------------------------------------------
// Reading: each of these takes what it is named after, or marks the cursor as failed and takes nothing

typedef struct date_cursor {
    const char *at;
    const char *end;
    bool has_failed;
} date_cursor;

static bool is_digit(const date_cursor *cursor)
{
    return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

// One of the characters in `set`; which one, or NUL.
static char take_one(date_cursor *cursor, const char *set)
{
    if (!cursor->has_failed && cursor->at < cursor->end && *cursor->at != '\0' &&
        strchr(set, *cursor->at) != NULL)
        return *cursor->at++;
    cursor->has_failed = true;
    return '\0';
}

static bool take_if(date_cursor *cursor, const char *word)
{
    const size_t size = strlen(word);
    if (cursor->has_failed || (size_t)(cursor->end - cursor->at) < size ||
        memcmp(cursor->at, word, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

// A number of `min` to `max` digits. Saturates far beyond any field.
static int64_t take_number(date_cursor *cursor, int min, int max)
{
    static const int64_t limit = 1000000000;
    int64_t value = 0;
    int count = 0;
    for (; count < max && is_digit(cursor); count++, cursor->at++)
        value = value < limit ? value * 10 + (*cursor->at - '0') : value;
    if (count < min)
        cursor->has_failed = true;
    return value;
}

// A fraction of a second, its point included, if there is one; digits past the ninth are dropped.
static int take_fraction(date_cursor *cursor)
{
    if (!take_if(cursor, "."))
        return 0;
    const char *const start = cursor->at;
    int64_t ns = take_number(cursor, 1, 9);
    for (int64_t digits = cursor->at - start; digits < 9; digits++)
        ns *= 10;
    while (is_digit(cursor))
        cursor->at++;
    return (int)ns;
}

static bool take_wide_blank(date_cursor *cursor)
{
    static const char *const blanks[] = {
        "\xC2\x85", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
        "\u2007",   "\u2008", "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000",
    };
    for (size_t i = 0; i < sizeof blanks / sizeof *blanks; i++)
        if (take_if(cursor, blanks[i]))
            return true;
    return false;
}

// Blanks as Unicode has them, if there are any.
static void take_blanks(date_cursor *cursor)
{
    while (cursor->at < cursor->end) {
        const unsigned char c = (unsigned char)*cursor->at;
        if (c == ' ' || (c >= '\t' && c <= '\r'))
            cursor->at++;
        else if (c < 0x80 || !take_wide_blank(cursor))
            break;
    }
}

// ---------------------------------------------------------------------------------------------------------
// Offsets from UTC

typedef enum offset_rules {
    OFFSET_STRICT,  // Z or +HH:MM
    OFFSET_LENIENT, // UTC too; any number of colons and blanks, or none, for the colon
    OFFSET_COLUMN,  // and the minutes, or all of it, may be missing
} offset_rules;

static void take_separator(date_cursor *cursor, offset_rules rules)
{
    if (rules == OFFSET_STRICT) {
        take_one(cursor, ":");
        return;
    }
    do
        take_blanks(cursor);
    while (take_if(cursor, ":"));
}

static bool take_utc(date_cursor *cursor)
{
    date_cursor ahead = *cursor;
    take_one(&ahead, "Uu");
    take_one(&ahead, "Tt");
    take_one(&ahead, "Cc");
    if (!ahead.has_failed)
        *cursor = ahead;
    return !ahead.has_failed;
}

static int take_offset(date_cursor *cursor, offset_rules rules)
{
    if (rules != OFFSET_STRICT)
        take_blanks(cursor);
    if (rules == OFFSET_COLUMN && cursor->at == cursor->end)
        return 0;
    if (take_if(cursor, "Z") || take_if(cursor, "z") || (rules != OFFSET_STRICT && take_utc(cursor)))
        return 0;
    const bool is_west = take_if(cursor, "-") || take_if(cursor, "\u2212");
    if (!is_west)
        take_one(cursor, "+");
    const int hours = (int)take_number(cursor, 2, 2);
    if (rules == OFFSET_COLUMN && cursor->at == cursor->end)
        return is_west ? -hours * 3600 : hours * 3600;
    take_separator(cursor, rules);
    const int minutes = (int)take_number(cursor, 2, 2);
    if (minutes > 59)
        cursor->has_failed = true;
    const int seconds = hours * 3600 + minutes * 60;
    return is_west ? -seconds : seconds;
}

// ---------------------------------------------------------------------------------------------------------
// Dates

static weir__date_result finish(const date_cursor *cursor, const date_fields *fields, int64_t *ns)
{
    *ns = 0;
    return cursor->has_failed || cursor->at != cursor->end ? WEIR__DATE_MALFORMED : count(fields, ns);
}

weir__date_result weir__date_parse_strict(const char *text, size_t size, int64_t *ns)
{
    date_cursor cursor = {.at = text, .end = text + size};
    date_fields fields;
    fields.year = take_number(&cursor, 4, 4);
    take_one(&cursor, "-");
    fields.month = (int)take_number(&cursor, 2, 2);
    take_one(&cursor, "-");
    fields.day = (int)take_number(&cursor, 2, 2);
    take_one(&cursor, "Tt ");
    fields.hour = (int)take_number(&cursor, 2, 2);
    take_one(&cursor, ":");
    fields.minute = (int)take_number(&cursor, 2, 2);
    take_one(&cursor, ":");
    fields.second = (int)take_number(&cursor, 2, 2);
    fields.ns = take_fraction(&cursor);
    fields.offset_seconds = take_offset(&cursor, OFFSET_STRICT);
    return finish(&cursor, &fields, ns);
}

// A year of up to four digits, or of any number of digits behind a sign.
static int64_t take_year(date_cursor *cursor)
{
    take_blanks(cursor);
    if (take_if(cursor, "-"))
        return -take_number(cursor, 1, INT_MAX);
    return take_number(cursor, 1, take_if(cursor, "+") ? INT_MAX : 4);
}

// One or two digits, with blanks in front.
static int take_field(date_cursor *cursor)
{
    take_blanks(cursor);
    return (int)take_number(cursor, 1, 2);
}

// A separator between two fields, with blanks in front.
static void take_between(date_cursor *cursor, const char *separator)
{
    take_blanks(cursor);
    take_one(cursor, separator);
}

static weir__date_result parse_lenient(const char *text, size_t size, offset_rules rules, int64_t *ns)
{
    date_cursor cursor = {.at = text, .end = text + size};
    date_fields fields;
    fields.year = take_year(&cursor);
    take_between(&cursor, "-");
    fields.month = take_field(&cursor);
    take_between(&cursor, "-");
    fields.day = take_field(&cursor);
    take_one(&cursor, "Tt ");
    fields.hour = take_field(&cursor);
    take_between(&cursor, ":");
    fields.minute = take_field(&cursor);
    take_between(&cursor, ":");
    fields.second = take_field(&cursor);
    fields.ns = take_fraction(&cursor);
    fields.offset_seconds = take_offset(&cursor, rules);
    take_blanks(&cursor);
    return finish(&cursor, &fields, ns);
}

weir__date_result weir__date_parse_lenient(const char *text, size_t size, int64_t *ns)
{
    return parse_lenient(text, size, OFFSET_LENIENT, ns);
}

weir__date_result weir__date_parse_column(const char *text, size_t size, int64_t *ns)
{
    return parse_lenient(text, size, OFFSET_COLUMN, ns);
}

// ---------------------------------------------------------------------------------------------------------
// Writing

// Writes `value` with `count` digits; returns what is behind them.
static char *put_number(char *out, int64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + count;
}

static char *put_fraction(char *out, int64_t ns)
{
    if (ns == 0)
        return out;
    *out++ = '.';
    if (ns % 1000 != 0)
        return put_number(out, ns, 9);
    if (ns % 1000000 != 0)
        return put_number(out, ns / 1000, 6);
    return put_number(out, ns / 1000000, 3);
}

// Writes date, time and zone; years are of four digits in the range that 64 bits can hold.
static size_t format(char *out, int64_t ns, char separator, const char *zone)
{
    int64_t seconds = ns / second_ns;
    int64_t fraction = ns % second_ns;
    if (fraction < 0) {
        fraction += second_ns;
        seconds--;
    }
    int64_t days = seconds / day_seconds;
    int64_t second = seconds % day_seconds;
    if (second < 0) {
        second += day_seconds;
        days--;
    }
    date_fields fields;
    date_of(days, &fields);
    char *at = put_number(out, fields.year, 4);
    *at++ = '-';
    at = put_number(at, fields.month, 2);
    *at++ = '-';
    at = put_number(at, fields.day, 2);
    *at++ = separator;
    at = put_number(at, second / 3600, 2);
    *at++ = ':';
    at = put_number(at, second / 60 % 60, 2);
    *at++ = ':';
    at = put_number(at, second % 60, 2);
    at = put_fraction(at, fraction);
    const size_t zone_size = strlen(zone);
    memcpy(at, zone, zone_size + 1);
    return (size_t)(at - out) + zone_size;
}

size_t weir__date_format(char out[WEIR__DATE_SIZE], int64_t ns)
{
    return format(out, ns, 'T', "Z");
}

size_t weir__date_format_column(char out[WEIR__DATE_COLUMN_SIZE], int64_t ns)
{
    return format(out, ns, ' ', "+00:00");
}
