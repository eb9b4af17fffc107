// SPDX-License-Identifier: MIT
//
// See access.h. A pipe that poll(2) calls writable has a free page, and a line is shorter than that, so the
// write cannot block; files never do.
#include "server/access.h"

#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

void weir__access_format(const weir__access_entry *entry, int64_t wall_us, weir__text *line)
{
    weir__text request = {0};
    struct tm tm = {0};
    const time_t seconds = (time_t)(wall_us / WEIR__US_PER_S);
    const size_t size = strlen(entry->target);
    (void)gmtime_r(&seconds, &tm);
    weir__text_printf(&request, "%s %.*s%s", entry->method, WEIR__ACCESS_TARGET_MAX, entry->target,
                      size > WEIR__ACCESS_TARGET_MAX ? "..." : "");
    weir__text_printf(line, "%04d-%02d-%02dT%02d:%02d:%02dZ %s ", tm.tm_year + 1900, tm.tm_mon + 1,
                      tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, entry->address);
    weir__text_json_string(line, weir__text_string(&request), request.size);
    weir__text_printf(line, " %u %.1fms ", entry->status, entry->ms);
    weir__text_json_string(line, entry->user, strlen(entry->user));
    weir__text_add(line, entry->complete ? "\n" : " broken-off\n");
    weir__text_free(&request);
}

static bool has_room(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    return poll(&poller, 1, 0) == 1 && (poller.revents & POLLOUT) != 0;
}

void weir__access_write(weir__access *access, int fd, const weir__access_entry *entry)
{
    weir__text line = {0};
    if (!has_room(fd)) {
        access->dropped++;
        return;
    }
    if (access->dropped > 0)
        weir__text_printf(&line, "(%llu lines were dropped: stderr was not read)\n",
                          (unsigned long long)access->dropped);
    weir__access_format(entry, weir__clock_wall_us(weir__clock_system()), &line);
    const bool written = !line.failed && write(fd, line.data, line.size) == (ssize_t)line.size;
    access->dropped = written ? 0 : access->dropped + 1;
    weir__text_free(&line);
}
