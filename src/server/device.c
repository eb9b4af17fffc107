// SPDX-License-Identifier: MIT
//
// See device.h. The file is replaced whole, never written in place: a crash leaves none or a complete one. An empty
// one counts as missing.
#include "server/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/text.h"

static int read_id(const char *path, char **id, weir_error *err)
{
    size_t size = 0;
    const int code = weir__fs_read_file(path, WEIR__DEVICE_ID_BYTES_MAX, id, &size, err);
    if (code != WEIR_OK || memchr(*id, '\0', size) == NULL)
        return code;
    free(*id);
    *id = NULL;
    return weir__error_set(err, WEIR_INVALID, "%s has a NUL byte in it, which no id has", path);
}

static int make_id(const char *path, char **id, weir_error *err)
{
    char made[WEIR__UUID_SIZE];
    weir__uuid4(made);
    const int code = weir__fs_write_atomic(path, made, strlen(made), 0644, err);
    return code == WEIR_OK ? read_id(path, id, err) : code;
}

int weir__device_id(const char *directory, char **id, weir_error *err)
{
    weir_error looked = WEIR_ERROR_INIT;
    weir__text path = {0};
    *id = NULL;
    weir__fs_join(&path, directory, "device_id");
    if (path.failed)
        return weir__error_set(err, WEIR_NOMEM, "no memory for a path");
    int code = read_id(path.data, id, &looked);
    if (code == WEIR_NOTFOUND || (code == WEIR_OK && **id == '\0')) {
        free(*id);
        *id = NULL;
        code = make_id(path.data, id, err);
    } else if (code != WEIR_OK) {
        weir__error_copy(err, &looked);
    }
    weir__text_free(&path);
    return code;
}
