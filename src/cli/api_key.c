// SPDX-License-Identifier: MIT
//
// The file is read whole, cut to its first line and wiped.
#include "cli/api_key.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"

enum { file_bytes_max = 4096, mode_bits = 0777 };

bool weir__api_key_is_well_formed(const char *key)
{
    const size_t size = strlen(key);
    for (const char *c = key; *c != '\0'; c++) {
        if (*c <= 0x20 || *c >= 0x7F)
            return false;
    }
    return size > 0 && size < WEIR__API_KEY_SIZE;
}

bool weir__api_key_is_exposed(const char *path, unsigned *mode)
{
    struct stat file;
    if (stat(path, &file) != 0)
        return false;
    *mode = file.st_mode & mode_bits;
    return (file.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0;
}

// The first line of text[size], which ends in a NUL; false when that is no key.
static bool take_key(char *text, size_t size, char key[WEIR__API_KEY_SIZE])
{
    static const char blanks[] = " \t\r";
    text[strcspn(text, "\n")] = '\0';
    char *const first = text + strspn(text, blanks);
    size_t length = strlen(first);
    while (length > 0 && strchr(blanks, first[length - 1]) != NULL)
        first[--length] = '\0';
    if (size == 0 || !weir__api_key_is_well_formed(first))
        return false;
    memcpy(key, first, length + 1);
    return true;
}

int weir__api_key_read(const char *path, char key[WEIR__API_KEY_SIZE], weir_error *err)
{
    char *text = NULL;
    size_t size = 0;
    unsigned mode = 0;
    int code = weir__fs_read_file(path, file_bytes_max, &text, &size, err);
    if (code == WEIR_OK && weir__api_key_is_exposed(path, &mode))
        code = weir__error_set(err, WEIR_DENIED,
                               "the key file %s can be read or changed by others (mode %03o): chmod 600 it",
                               path, mode);
    if (code == WEIR_OK && !take_key(text, size, key))
        code = weir__error_set(
            err, WEIR_INVALID,
            "the first line of the key file %s is not a key of 1 to %d visible ASCII characters", path,
            WEIR__API_KEY_SIZE - 1);
    if (text != NULL)
        explicit_bzero(text, size);
    free(text);
    return code;
}
