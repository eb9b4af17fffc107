// SPDX-License-Identifier: MIT
//
// See spool.h. The file is opened with O_TMPFILE: it has no name, so nothing is left behind whatever happens.
#include "server/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

static _Atomic uint64_t all_file_bytes;

void weir__spool_init(weir__spool *spool, const char *directory)
{
    *spool = (weir__spool){.directory = directory, .bytes_max = WEIR__SPOOL_BYTES_MAX, .fd = -1};
}

bool weir__spool_failed(const weir__spool *spool)
{
    return spool->error.code != WEIR_OK;
}

static void open_file(weir__spool *spool)
{
    spool->fd = open(spool->directory, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (spool->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EROFS || errno == EACCES))
        spool->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (spool->fd < 0)
        (void)weir__error_errno(&spool->error, errno, "cannot make a temporary file in %s for a large answer",
                                spool->directory);
}

// Moves what is in memory to the file.
static void spill(weir__spool *spool)
{
    if (spool->fd < 0)
        open_file(spool);
    size_t done = 0;
    while (!weir__spool_failed(spool) && done < spool->text.size) {
        const ssize_t wrote = write(spool->fd, spool->text.data + done, spool->text.size - done);
        if (wrote < 0 && errno != EINTR)
            (void)weir__error_errno(&spool->error, errno,
                                    "cannot write the temporary file of a large answer");
        else if (wrote > 0)
            done += (size_t)wrote;
    }
    spool->file_bytes += done;
    weir__text_clear(&spool->text);
    if (atomic_fetch_add(&all_file_bytes, done) + done > WEIR__SPOOL_ALL_BYTES_MAX &&
        !weir__spool_failed(spool))
        (void)weir__error_set(&spool->error, WEIR_BUSY, "too many large answers are under way; try again");
}

// After each append: notices lack of memory, moves on to the file, keeps the bound.
static void settle(weir__spool *spool)
{
    if (weir__spool_failed(spool))
        return;
    if (spool->text.failed) {
        (void)weir__error_set(&spool->error, WEIR_NOMEM, "no memory for the answer");
        return;
    }
    if (spool->text.size > WEIR__SPOOL_MEMORY_BYTES)
        spill(spool);
    if (spool->file_bytes > spool->bytes_max)
        (void)weir__error_set(
            &spool->error, WEIR_TOOBIG,
            "the answer is larger than %llu bytes: ask for a part with offset, limit or tail",
            (unsigned long long)spool->bytes_max);
}

void weir__spool_append(weir__spool *spool, const void *bytes, size_t size)
{
    if (weir__spool_failed(spool))
        return;
    weir__text_append(&spool->text, bytes, size);
    settle(spool);
}

void weir__spool_add(weir__spool *spool, const char *string)
{
    weir__spool_append(spool, string, strlen(string));
}

void weir__spool_printf(weir__spool *spool, const char *format, ...)
{
    if (weir__spool_failed(spool))
        return;
    va_list args;
    va_start(args, format);
    weir__text_vprintf(&spool->text, format, args);
    va_end(args);
    settle(spool);
}

void weir__spool_json_string(weir__spool *spool, const char *string)
{
    if (weir__spool_failed(spool))
        return;
    if (string == NULL)
        weir__text_add(&spool->text, "null");
    else
        weir__text_json_string(&spool->text, string, strlen(string));
    settle(spool);
}

void weir__spool_take(weir__spool *spool, char *json)
{
    if (json == NULL && !weir__spool_failed(spool))
        (void)weir__error_set(&spool->error, WEIR_NOMEM, "no memory for the answer");
    if (json != NULL)
        weir__spool_add(spool, json);
    free(json);
}

int weir__spool_end(weir__spool *spool, weir_error *err)
{
    if (spool->fd >= 0 && !weir__spool_failed(spool))
        spill(spool);
    if (weir__spool_failed(spool))
        weir__error_copy(err, &spool->error);
    return spool->error.code;
}

void weir__spool_free(weir__spool *spool)
{
    weir__text_free(&spool->text);
    if (spool->fd >= 0)
        (void)close(spool->fd);
    weir__spool_return_bytes(spool->file_bytes);
    weir__spool_init(spool, spool->directory);
}

int weir__spool_take_file(weir__spool *spool, uint64_t *bytes)
{
    const int fd = spool->fd;
    *bytes = fd < 0 ? 0 : spool->file_bytes;
    if (fd >= 0)
        spool->file_bytes = 0;
    spool->fd = -1;
    return fd;
}

void weir__spool_return_bytes(uint64_t bytes)
{
    atomic_fetch_sub(&all_file_bytes, bytes);
}
