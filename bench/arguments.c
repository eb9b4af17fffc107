// SPDX-License-Identifier: MIT
//
// Values on the command lines of benchmarks.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/session.h"

#define SECONDS_MIN 0.01
#define SECONDS_MAX 60.0

int weir__bench_parse_count(const char *name, const char *text, unsigned long min, unsigned long max,
                            unsigned long *value, weir_error *err)
{
    char *end = NULL;
    errno = 0;
    *value = strtoul(text, &end, 10);
    const bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (!digits || *value < min || *value > max)
        return weir__error_set(err, WEIR_INVALID, "--%s takes a number from %lu to %lu, not \"%.40s\"", name,
                               min, max, text);
    return WEIR_OK;
}

int weir__bench_parse_seconds(const char *text, uint64_t *time_ns, weir_error *err)
{
    char *end = NULL;
    const double seconds = strtod(text, &end);
    const bool digits = (text[0] >= '0' && text[0] <= '9') || text[0] == '.';
    if (!digits || *end != '\0' || !(seconds >= SECONDS_MIN && seconds <= SECONDS_MAX))
        return weir__error_set(err, WEIR_INVALID, "--seconds takes a time from %g to %g, not \"%.40s\"",
                               SECONDS_MIN, SECONDS_MAX, text);
    *time_ns = (uint64_t)(seconds * (double)WEIR__NS_PER_S);
    return WEIR_OK;
}

// What getopt_long() did not understand.
static int bad_option(int option, int argc, char **argv, weir_error *err)
{
    const char *const given = optind > 0 && optind <= argc ? argv[optind - 1] : "?";
    if (option == ':')
        return weir__error_set(err, WEIR_INVALID, "\"%.60s\" needs a value", given);
    return weir__error_set(err, WEIR_INVALID, "there is no option \"%.60s\", or it takes no value", given);
}

int weir__bench_read_line(const char *name, int argc, char **argv, const struct option *table,
                          weir__bench_take_option *take, void *options, weir_error *err)
{
    int option;
    optind = 0; // glibc: start afresh
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        const int code =
            option == '?' || option == ':' ? bad_option(option, argc, argv, err) : take(option, options, err);
        if (code != WEIR_OK)
            return code;
    }
    if (optind < argc)
        return weir__error_set(err, WEIR_INVALID, "weir %s does not take \"%.60s\"", name, argv[optind]);
    return WEIR_OK;
}
