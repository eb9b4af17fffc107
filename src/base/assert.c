// SPDX-License-Identifier: MIT
//
// The end of the line for a bug: one write(2), so that the message survives whatever state stdio is in, then
// abort().
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void weir__assert_failed(const char *file, int line, const char *function, const char *condition)
{
    char text[512];
    const int wanted = snprintf(text, sizeof text, "weir: bug: %s:%d: %s: assertion failed: %s\n", file, line,
                                function, condition);
    if (wanted > 0) {
        const size_t size = (size_t)wanted < sizeof text ? (size_t)wanted : sizeof text - 1;
        const ssize_t written = write(STDERR_FILENO, text, size);
        (void)written;
    }
    abort();
}
