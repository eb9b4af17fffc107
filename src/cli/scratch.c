// SPDX-License-Identifier: MIT
//
// O_TMPFILE where the file system has it, a random name that is removed otherwise. link(2) never replaces a
// file, so two commands that write to one name cannot both believe that they made it; to overwrite takes
// rename(2) instead, which needs a name to come from.
#include "cli/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/random.h"
#include "base/text.h"

enum { mode_secret = 0600, mode_result = 0666, tries_max = 16 };

static int open_nameless(const char *directory)
{
    const int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, mode_secret);
    if (fd >= 0)
        return fd;
    weir__text name = {0};
    weir__fs_join(&name, directory, "weir-XXXXXX");
    const int named = name.failed ? -1 : mkostemp(name.data, O_CLOEXEC);
    if (named >= 0)
        (void)unlink(name.data);
    weir__text_free(&name);
    return named;
}

int weir__scratch_open(int *fd, weir_error *err)
{
    const char *const chosen = getenv("TMPDIR");
    const char *const directories[] = {chosen != NULL && chosen[0] != '\0' ? chosen : "/var/tmp", "/var/tmp",
                                       "/tmp"};
    int reason = 0;
    *fd = -1;
    for (size_t i = 0; *fd < 0 && i < sizeof directories / sizeof directories[0]; i++) {
        *fd = open_nameless(directories[i]);
        if (*fd < 0 && reason == 0)
            reason = errno;
    }
    return *fd >= 0 ? WEIR_OK
                    : weir__error_errno(err, reason,
                                        "cannot make a temporary file in %s ($TMPDIR names another place)",
                                        directories[0]);
}

// ---------------------------------------------------------------------------------------------------- results

// "PATH.weir-0123456789abcdef", which nobody else has. The caller frees it.
static char *temporary_name(const char *path)
{
    weir__text name = {0};
    weir__text_printf(&name, "%s.weir-%016jx", path, (uintmax_t)weir__random_u64());
    return weir__text_take(&name);
}

static int open_named(weir__result *result)
{
    for (int i = 0; result->fd < 0 && i < tries_max; i++) {
        free(result->temporary);
        result->temporary = temporary_name(result->path);
        if (result->temporary == NULL)
            return errno = ENOMEM, -1;
        result->fd = open(result->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode_result);
        if (result->fd < 0 && errno != EEXIST)
            break;
    }
    if (result->fd < 0) {
        free(result->temporary);
        result->temporary = NULL;
    }
    return result->fd;
}

static int already_there(const weir__result *result, weir_error *err)
{
    return weir__error_set(err, WEIR_EXISTS, "%s exists already; --force overwrites it", result->path);
}

int weir__result_create(const char *path, bool overwrite, weir__result *result, weir_error *err)
{
    struct stat file;
    weir__text directory = {0};
    *result = (weir__result){.fd = -1, .path = path, .overwrite = overwrite};
    if (lstat(path, &file) == 0) {
        if (!overwrite)
            return already_there(result, err);
        if (!S_ISREG(file.st_mode) && !S_ISLNK(file.st_mode))
            return weir__error_set(err, WEIR_INVALID, "%s is not a file that could be overwritten", path);
    }
    weir__fs_parent(&directory, path);
    if (!directory.failed)
        result->fd = open(directory.data, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode_result);
    if (result->fd < 0 && !directory.failed)
        (void)open_named(result);
    const int code = result->fd >= 0 ? WEIR_OK : weir__error_errno(err, errno, "cannot create %s", path);
    weir__text_free(&directory);
    return code;
}

int weir__result_append(weir__result *result, const void *bytes, size_t size, weir_error *err)
{
    result->bytes += size;
    return weir__fs_write_all(result->fd, result->path, bytes, size, err);
}

// Gives the nameless file a name; 0 or an errno.
static int link_as(const weir__result *result, const char *name)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", result->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

static int name_it(weir__result *result)
{
    if (result->overwrite) {
        for (int i = 0; result->temporary == NULL && i < tries_max; i++) {
            char *const name = temporary_name(result->path);
            const int reason = name != NULL ? link_as(result, name) : ENOMEM;
            if (reason == 0)
                result->temporary = name;
            else
                free(name);
            if (reason != 0 && reason != EEXIST)
                return reason;
        }
        if (result->temporary == NULL)
            return EEXIST;
        if (rename(result->temporary, result->path) != 0)
            return errno;
        free(result->temporary);
        result->temporary = NULL;
        return 0;
    }
    if (result->temporary == NULL)
        return link_as(result, result->path);
    return link(result->temporary, result->path) == 0 ? 0 : errno; // closing removes the other name
}

int weir__result_publish(weir__result *result, weir_error *err)
{
    if (fsync(result->fd) != 0)
        return weir__error_errno(err, errno, "cannot bring %s to the disk", result->path);
    const int reason = name_it(result);
    if (reason == EEXIST)
        return already_there(result, err);
    if (reason != 0)
        return weir__error_errno(err, reason, "cannot create %s", result->path);
    return weir__fs_sync_parent(result->path, err);
}

void weir__result_close(weir__result *result)
{
    if (result->temporary != NULL)
        (void)unlink(result->temporary);
    free(result->temporary);
    if (result->fd >= 0)
        (void)close(result->fd);
    *result = (weir__result)WEIR__RESULT_INIT;
}
