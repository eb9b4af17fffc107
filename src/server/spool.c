// SPDX-License-Identifier: MIT
//
// See spool.h. What is in memory moves to the file (scratch.h) whenever it passes WEIR__SPOOL_MEMORY_BYTES.
#include "server/spool.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static weir__scratch_pool answers = {.what = "large answers",
                                     .bytes_max = WEIR__SPOOL_ALL_BYTES_MAX,
                                     .free_bytes_min = WEIR__SCRATCH_FREE_BYTES_MIN};
static weir__scratch_pool exports = {.what = "exports",
                                     .bytes_max = WEIR__SPOOL_EXPORTS_BYTES_MAX,
                                     .free_bytes_min = WEIR__SCRATCH_FREE_BYTES_MIN};

static void init(weir__spool *spool, const char *directory, uint64_t bytes_max, weir__scratch_pool *pool)
{
    *spool = (weir__spool){.directory = directory, .bytes_max = bytes_max};
    weir__scratch_init(&spool->file, pool);
}

void weir__spool_init(weir__spool *spool, const char *directory)
{
    init(spool, directory, WEIR__SPOOL_BYTES_MAX, &answers);
}

void weir__spool_init_export(weir__spool *spool, const char *directory)
{
    init(spool, directory, WEIR__SPOOL_EXPORT_BYTES_MAX, &exports);
}

bool weir__spool_failed(const weir__spool *spool)
{
    return spool->error.code != WEIR_OK;
}

// Moves what is in memory to the file.
static void spill(weir__spool *spool)
{
    (void)weir__scratch_write(&spool->file, spool->directory, spool->text.data, spool->text.size,
                              &spool->error);
    weir__text_clear(&spool->text);
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
    if (!weir__spool_failed(spool) && spool->file.bytes > spool->bytes_max)
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
    if (spool->file.fd >= 0 && !weir__spool_failed(spool))
        spill(spool);
    if (weir__spool_failed(spool))
        weir__error_copy(err, &spool->error);
    return spool->error.code;
}

void weir__spool_free(weir__spool *spool)
{
    weir__text_free(&spool->text);
    weir__scratch_close(&spool->file);
    spool->error = (weir_error)WEIR_ERROR_INIT;
}

weir__scratch weir__spool_take_file(weir__spool *spool)
{
    const weir__scratch taken = spool->file;
    weir__scratch_init(&spool->file, taken.pool);
    return taken;
}
