// SPDX-License-Identifier: MIT
//
// See http.h. Each grammar is a few lines over plain strings, without allocation where the result has a
// bound.
#include "server/http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void weir__http_date(time_t when, char out[WEIR__HTTP_DATE_SIZE])
{
    struct tm tm;
    if (gmtime_r(&when, &tm) == NULL || tm.tm_year < 0 || tm.tm_year > 8099)
        tm = (struct tm){.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
    char text[96];
    (void)snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                   months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    (void)snprintf(out, WEIR__HTTP_DATE_SIZE, "%.29s", text);
}

bool weir__http_date_parse(const char *text, time_t *when)
{
    struct tm tm = {0};
    char month[4];
    int end = 0;
    if (strlen(text) != WEIR__HTTP_DATE_SIZE - 1)
        return false;
    if (sscanf(text, "%*3c, %2d %3c %4d %2d:%2d:%2d GMT%n", &tm.tm_mday, month, &tm.tm_year, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &end) != 6 ||
        end != WEIR__HTTP_DATE_SIZE - 1)
        return false;
    tm.tm_year -= 1900;
    for (tm.tm_mon = 0; tm.tm_mon < 12; tm.tm_mon++)
        if (memcmp(month, months[tm.tm_mon], 3) == 0)
            break;
    if (tm.tm_mon == 12)
        return false;
    *when = timegm(&tm);
    return true;
}

void weir__http_etag(struct timespec mtime, uint64_t size, char out[WEIR__HTTP_ETAG_SIZE])
{
    const uint64_t ns = (uint64_t)mtime.tv_sec * UINT64_C(1000000000) + (uint64_t)mtime.tv_nsec;
    (void)snprintf(out, WEIR__HTTP_ETAG_SIZE, "\"%llx-%llx\"", (unsigned long long)ns,
                   (unsigned long long)size);
}

bool weir__http_etag_listed(const char *list, const char *etag)
{
    while (*list != '\0') {
        list += strspn(list, " \t,");
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        const size_t size = strcspn(list, ",");
        size_t end = size;
        while (end > 0 && (list[end - 1] == ' ' || list[end - 1] == '\t'))
            end--;
        if (end == strlen(etag) && memcmp(list, etag, end) == 0)
            return true;
        list += size;
    }
    return false;
}

// Digits at *text, which moves behind them. False when there are none or they do not fit.
static bool take_number(const char **text, uint64_t *number)
{
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    char *end = NULL;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

weir__range_kind weir__http_range(const char *header, uint64_t size, weir__range *range)
{
    *range = (weir__range){.first = 0, .size = size};
    if (header == NULL || strncasecmp(header, "bytes=", 6) != 0)
        return WEIR__RANGE_WHOLE;
    const char *at = header + 6;
    uint64_t first = 0, last = 0;
    const bool suffix = *at == '-';
    if (!suffix && !take_number(&at, &first))
        return WEIR__RANGE_WHOLE;
    if (*at++ != '-')
        return WEIR__RANGE_WHOLE;
    const bool open = !suffix && *at == '\0';
    if (!open && (!take_number(&at, &last) || *at != '\0' || (!suffix && last < first)))
        return WEIR__RANGE_WHOLE;
    if (suffix) {
        if (last == 0 || size == 0)
            return WEIR__RANGE_BEYOND;
        *range = (weir__range){.first = last < size ? size - last : 0, .size = last < size ? last : size};
        return WEIR__RANGE_PART;
    }
    if (first >= size)
        return WEIR__RANGE_BEYOND;
    *range = (weir__range){.first = first, .size = open || last >= size ? size - first : last - first + 1};
    return WEIR__RANGE_PART;
}

void weir__http_disposition(weir__text *out, const char *name)
{
    bool same = true;
    weir__text_add(out, "attachment; filename=\"");
    for (const char *c = name; *c != '\0'; c++) {
        const bool plain = *c >= 0x20 && *c < 0x7f && strchr("\"\\%/", *c) == NULL;
        weir__text_char(out, plain ? *c : '_');
        same = same && plain;
    }
    weir__text_add(out, "\"");
    if (same)
        return;
    weir__text clean = {0};
    weir__text_utf8(&clean, name, strlen(name));
    weir__text_add(out, "; filename*=UTF-8''");
    for (const char *c = weir__text_string(&clean); *c != '\0'; c++) {
        const unsigned char byte = (unsigned char)*c;
        if (byte < 0x80 && (isalnum(byte) || strchr("!#$&+-.^_`|~", byte) != NULL))
            weir__text_char(out, *c);
        else
            weir__text_printf(out, "%%%02X", byte);
    }
    weir__text_free(&clean);
}

bool weir__http_media_type_ok(const char *type)
{
    static const char token[] = "!#$&-^_.+0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const size_t main_size = strspn(type, token);
    if (main_size == 0 || type[main_size] != '/')
        return false;
    const char *rest = type + main_size + 1;
    const size_t sub_size = strspn(rest, token);
    if (sub_size == 0 || strlen(type) > 200)
        return false;
    rest += sub_size;
    if (*rest == '\0')
        return true;
    if (*rest != ';')
        return false;
    for (rest++; *rest != '\0'; rest++)
        if (*rest != ' ' && *rest != '=' && *rest != ';' && strchr(token, *rest) == NULL)
            return false;
    return true;
}

// libmicrohttpd 0.9 adds a folded line to the *name* of the header before it: "Content-Length:" and " 18" become
// the header "Content-Length18", and the body would pass for the next request.
static bool hides_a_body(const char *name)
{
    static const char *const framing[] = {"Content-Length", "Transfer-Encoding"};
    for (size_t i = 0; i < sizeof framing / sizeof *framing; i++) {
        const size_t size = strlen(framing[i]);
        if (strncasecmp(name, framing[i], size) == 0 && name[size] != '\0')
            return true;
    }
    return false;
}

bool weir__http_header_ok(const char *name, const char *value)
{
    if (*name == '\0' || hides_a_body(name))
        return false;
    for (const char *c = name; *c != '\0'; c++) {
        const unsigned char byte = (unsigned char)*c;
        if (byte >= 0x80 || (!isalnum(byte) && strchr("!#$%&'*+-.^_`|~", byte) == NULL))
            return false;
    }
    for (const char *c = value; *c != '\0'; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return false;
    return true;
}

static bool is_port(const char *text)
{
    const size_t size = strspn(text, "0123456789");
    return size > 0 && size <= 5 && text[size] == '\0';
}

bool weir__http_host(const char *header, char name[WEIR__HTTP_HOST_SIZE])
{
    name[0] = '\0';
    const bool bracket = header[0] == '[';
    const char *start = header + bracket;
    size_t size = bracket ? strcspn(start, "]") : strcspn(start, ":");
    const char *rest = start + size;
    if (size == 0 || size >= WEIR__HTTP_HOST_SIZE || (bracket && *rest++ != ']'))
        return false;
    if (*rest != '\0' && (*rest != ':' || !is_port(rest + 1)))
        return false;
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)start[i];
        if (c >= 0x80 || (!isalnum(c) && strchr(bracket ? ":." : "-._", c) == NULL))
            return false;
        name[i] = (char)tolower(c);
    }
    if (!bracket && size > 1 && name[size - 1] == '.')
        size--;
    name[size] = '\0';
    return true;
}

bool weir__http_host_is_loopback(const char *name)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, name, &four) == 1)
        return (ntohl(four.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, name, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six);
    static const char suffix[] = ".localhost";
    const size_t size = strlen(name), suffix_size = sizeof suffix - 1;
    return strcmp(name, "localhost") == 0 ||
           (size > suffix_size && strcmp(name + size - suffix_size, suffix) == 0);
}

bool weir__http_origin_is_own(const char *origin, const char *host_header)
{
    static const char scheme[] = "http://";
    const size_t scheme_size = sizeof scheme - 1;
    return strncasecmp(origin, scheme, scheme_size) == 0 &&
           strcasecmp(origin + scheme_size, host_header) == 0;
}

static unsigned port_of_scheme(const char *scheme)
{
    return strcmp(scheme, "http") == 0 ? 80 : strcmp(scheme, "https") == 0 ? 443 : 0;
}

bool weir__http_origin_parse(const char *text, weir__origin *origin)
{
    char rest[WEIR__HTTP_HOST_SIZE + 8];
    *origin = (weir__origin){0};
    const size_t scheme_size = strcspn(text, ":");
    if (scheme_size == 0 || scheme_size >= sizeof origin->scheme ||
        strncmp(text + scheme_size, "://", 3) != 0)
        return false;
    for (size_t i = 0; i < scheme_size; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || (!isalnum(c) && strchr("+-.", c) == NULL))
            return false;
        origin->scheme[i] = (char)tolower(c);
    }
    const char *host = text + scheme_size + 3;
    const size_t size = strcspn(host, "/");
    if (size >= sizeof rest || (host[size] == '/' && host[size + 1] != '\0'))
        return false;
    memcpy(rest, host, size);
    rest[size] = '\0';
    if (!weir__http_host(rest, origin->host))
        return false;
    const char *colon = strrchr(rest, ':');
    const bool has_port = colon != NULL && strchr(colon, ']') == NULL;
    origin->port = has_port ? (unsigned)strtoul(colon + 1, NULL, 10) : port_of_scheme(origin->scheme);
    return true;
}

bool weir__http_origin_ok(const char *origin)
{
    char name[WEIR__HTTP_HOST_SIZE];
    const size_t scheme_size = strspn(origin, "abcdefghijklmnopqrstuvwxyz");
    return scheme_size > 0 && strncmp(origin + scheme_size, "://", 3) == 0 &&
           weir__http_host(origin + scheme_size + 3, name);
}

bool weir__http_equal_secret(const char *given, const char *expected)
{
    const size_t given_size = strlen(given), expected_size = strlen(expected);
    volatile unsigned char differs = given_size != expected_size;
    for (size_t i = 0; i < given_size; i++) {
        const char other = expected_size == 0 ? '\0' : expected[i % expected_size];
        differs = (unsigned char)(differs | (unsigned char)(given[i] ^ other));
    }
    return differs == 0;
}
