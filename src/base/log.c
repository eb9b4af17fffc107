// SPDX-License-Identifier: MIT
//
// The log. A line is formatted into a buffer on the caller's stack (longer messages are cut) and then given
// to the sink under one lock. The level is an atomic, so that a message below it costs one load.
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { message_size_max = 2048, line_size_max = message_size_max + 64, level_unset = -1 };

static const char *const level_names[] = {
    [WEIR__LOG_ERROR] = "error",
    [WEIR__LOG_WARNING] = "warning",
    [WEIR__LOG_INFO] = "info",
    [WEIR__LOG_DEBUG] = "debug",
};

static int current_level = level_unset; // atomic, relaxed
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static weir__log_sink *current_sink; // under sink_lock
static void *current_context;        // under sink_lock

bool weir__log_level_parse(const char *name, weir__log_level *level)
{
    for (int i = WEIR__LOG_ERROR; i <= WEIR__LOG_DEBUG; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (weir__log_level)i;
            return true;
        }
    }
    return false;
}

void weir__log_set_level(weir__log_level level)
{
    __atomic_store_n(&current_level, (int)level, __ATOMIC_RELAXED);
}

void weir__log_set_sink(weir__log_sink *sink, void *context)
{
    pthread_mutex_lock(&sink_lock);
    current_sink = sink;
    current_context = context;
    pthread_mutex_unlock(&sink_lock);
}

static int level_from_environment(void)
{
    weir__log_level level = WEIR__LOG_WARNING;
    const char *const name = getenv("WEIR_LOG");
    if (name != NULL)
        weir__log_level_parse(name, &level);
    return (int)level;
}

bool weir__log_enabled(weir__log_level level)
{
    int limit = __atomic_load_n(&current_level, __ATOMIC_RELAXED);
    if (limit == level_unset) {
        const int fresh = level_from_environment();
        if (__atomic_compare_exchange_n(&current_level, &limit, fresh, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            limit = fresh;
    }
    return (int)level <= limit;
}

// Replaces what could end or forge a line; tabs become spaces.
static void replace_controls(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte == 0x7F)
            text[i] = ' ';
    }
}

// Writes "time level: " and returns its length.
static size_t format_head(char *line, size_t capacity, weir__log_level level)
{
    const int64_t wall_us = weir__clock_wall_us(weir__clock_system());
    const time_t seconds = (time_t)(wall_us / WEIR__US_PER_S);
    struct tm utc = {0};
    gmtime_r(&seconds, &utc);
    const int size = snprintf(line, capacity, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s: ", utc.tm_year + 1900,
                              utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                              (int)(wall_us % WEIR__US_PER_S / WEIR__US_PER_MS), level_names[level]);
    return size > 0 && (size_t)size < capacity ? (size_t)size : 0;
}

static void write_to_stderr(const char *line, size_t size)
{
    ssize_t written = 0;
    do {
        written = write(STDERR_FILENO, line, size);
    } while (written < 0 && errno == EINTR);
}

void weir__log(weir__log_level level, const char *format, ...)
{
    if (!weir__log_enabled(level))
        return;
    const int errno_before = errno; // logging must not disturb the error path that logs
    char message[message_size_max];
    va_list args;
    va_start(args, format);
    const int wanted = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (wanted >= 0) {
        const size_t message_size = (size_t)wanted < sizeof message ? (size_t)wanted : sizeof message - 1;
        char line[line_size_max];
        size_t size = format_head(line, sizeof line, level);
        size += weir__utf8_sanitize(line + size, sizeof line - 1 - size, message, message_size);
        replace_controls(line, size);
        line[size++] = '\n';
        pthread_mutex_lock(&sink_lock);
        if (current_sink != NULL)
            current_sink(current_context, level, line, size);
        else
            write_to_stderr(line, size);
        pthread_mutex_unlock(&sink_lock);
    }
    errno = errno_before;
}
