// SPDX-License-Identifier: MIT
//
// Files of the command's own: nameless ones for what must be read twice or from any place (a pipe, an answer
// that may be large), and results that appear whole under their name or not at all. One thread.
#ifndef WEIR_CLI_SCRATCH_H
#define WEIR_CLI_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

// A nameless file in $TMPDIR, or else /var/tmp or /tmp; gone when it is closed.
int weir__scratch_open(int *fd, weir_error *err);

// A result: written beside `path` without a name where the file system can, and given its name by
// weir__result_publish(). Starts as {.fd = -1}.
typedef struct weir__result {
    int fd;
    const char *path; // the caller's
    char *temporary;  // the name it has meanwhile; NULL: none
    bool overwrite;
    uint64_t bytes;
} weir__result;

#define WEIR__RESULT_INIT \
    {                     \
        .fd = -1          \
    }

// EXISTS: there is such a file already, and `overwrite` is not set. A symbolic link is replaced, not followed.
int weir__result_create(const char *path, bool overwrite, weir__result *result, weir_error *err);
int weir__result_append(weir__result *result, const void *bytes, size_t size, weir_error *err);
// Syncs and names it. EXISTS: somebody else made such a file meanwhile.
int weir__result_publish(weir__result *result, weir_error *err);
// Closes it; what was not published is gone.
void weir__result_close(weir__result *result);

#endif
