// SPDX-License-Identifier: MIT
//
// See keys.h. The file is read into memory once, cut into lines and words, and wiped.
#include "server/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "server/http.h"

static const char *const role_names[] = {"none", "viewer", "user", "admin"};

const char *weir__role_name(weir__role role)
{
    return role_names[role];
}

static weir__role role_of_name(const char *name)
{
    for (int role = WEIR__ROLE_VIEWER; role <= WEIR__ROLE_ADMIN; role++)
        if (strcmp(name, role_names[role]) == 0)
            return (weir__role)role;
    return WEIR__ROLE_NONE;
}

static int check_file(const char *path, int fd, weir_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return weir__error_errno(err, errno, "cannot look at the key file %s", path);
    if (!S_ISREG(st.st_mode))
        return weir__error_set(err, WEIR_INVALID, "the key file %s is not a regular file", path);
    if ((st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
        return weir__error_set(err, WEIR_DENIED,
                               "the key file %s can be read or changed by others (mode %03o): chmod 600 it",
                               path, (unsigned)(st.st_mode & 0777));
    if (st.st_size > WEIR__KEY_FILE_BYTES_MAX)
        return weir__error_set(err, WEIR_TOOBIG, "the key file %s is larger than %d bytes", path,
                               WEIR__KEY_FILE_BYTES_MAX);
    return WEIR_OK;
}

static int read_all(const char *path, int fd, weir__text *text, weir_error *err)
{
    char buffer[4096];
    for (;;) {
        const ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return weir__error_errno(err, errno, "cannot read the key file %s", path);
        if (got == 0)
            break;
        weir__text_append(text, buffer, (size_t)got);
        if (text->size > WEIR__KEY_FILE_BYTES_MAX)
            return weir__error_set(err, WEIR_TOOBIG, "the key file %s grew while it was read", path);
    }
    if (text->failed)
        return weir__error_set(err, WEIR_NOMEM, "no memory for the key file %s", path);
    if (text->size > 0 && memchr(text->data, '\0', text->size) != NULL)
        return weir__error_set(err, WEIR_INVALID, "the key file %s has a NUL byte in it", path);
    return WEIR_OK;
}

static bool key_is_well_formed(const char *key)
{
    const size_t size = strlen(key);
    if (size < WEIR__KEY_SIZE_MIN || size > WEIR__KEY_SIZE_MAX)
        return false;
    for (const char *c = key; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            return false;
    return true;
}

static int add_key(weir__keys *keys, const char *key, weir__role role, const char *name, weir_error *err)
{
    if (keys->count == WEIR__KEYS_MAX)
        return weir__error_set(err, WEIR_TOOBIG, "the key file has more than %d keys", WEIR__KEYS_MAX);
    weir__key *items = realloc(keys->items, (keys->count + 1) * sizeof *items);
    if (items == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for API keys");
    keys->items = items;
    weir__key *item = &items[keys->count++];
    *item = (weir__key){.key = strdup(key), .name = strdup(name), .role = role};
    if (item->key == NULL || item->name == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for API keys");
    return WEIR_OK;
}

// One line, without its newline: KEY ROLE [NAME].
static int parse_line(const char *path, int number, char *line, weir__keys *keys, weir_error *err)
{
    static const char blank[] = " \t\r";
    char *rest = line;
    char *key = strtok_r(rest, blank, &rest);
    if (key == NULL || key[0] == '#')
        return WEIR_OK;
    const char *role_name = strtok_r(NULL, blank, &rest);
    const char *name = strtok_r(NULL, blank, &rest);
    if (!key_is_well_formed(key))
        return weir__error_set(err, WEIR_INVALID, "%s line %d: a key has %d to %d visible ASCII characters",
                               path, number, WEIR__KEY_SIZE_MIN, WEIR__KEY_SIZE_MAX);
    const weir__role role = role_name == NULL ? WEIR__ROLE_NONE : role_of_name(role_name);
    if (role == WEIR__ROLE_NONE)
        return weir__error_set(err, WEIR_INVALID, "%s line %d: after the key comes viewer, user or admin",
                               path, number);
    if (strtok_r(NULL, blank, &rest) != NULL)
        return weir__error_set(err, WEIR_INVALID, "%s line %d: more than KEY ROLE NAME", path, number);
    if (name != NULL && !weir__utf8_is_valid(name, strlen(name)))
        return weir__error_set(err, WEIR_INVALID, "%s line %d: the name is not UTF-8", path, number);
    if (weir__keys_find(keys, key) != NULL)
        return weir__error_set(err, WEIR_INVALID, "%s line %d: this key stands above already", path, number);
    return add_key(keys, key, role, name == NULL ? "" : name, err);
}

static int parse_lines(const char *path, char *text, weir__keys *keys, weir_error *err)
{
    int number = 0;
    for (char *line = text; line != NULL;) {
        char *next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        const int code = parse_line(path, ++number, line, keys, err);
        if (code != WEIR_OK)
            return code;
        line = next;
    }
    if (keys->count == 0)
        return weir__error_set(err, WEIR_INVALID, "the key file %s has no key in it", path);
    return WEIR_OK;
}

int weir__keys_load(const char *path, weir__keys *keys, weir_error *err)
{
    *keys = (weir__keys){0};
    weir__text text = {0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return weir__error_errno(err, errno, "cannot open the key file %s", path);
    int code = check_file(path, fd, err);
    if (code == WEIR_OK)
        code = read_all(path, fd, &text, err);
    if (code == WEIR_OK && text.size == 0)
        code = weir__error_set(err, WEIR_INVALID, "the key file %s is empty", path);
    if (code == WEIR_OK)
        code = parse_lines(path, text.data, keys, err);
    if (text.data != NULL)
        explicit_bzero(text.data, text.capacity);
    weir__text_free(&text);
    (void)close(fd);
    if (code != WEIR_OK)
        weir__keys_free(keys);
    return code;
}

void weir__keys_free(weir__keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->items[i].key != NULL)
            explicit_bzero(keys->items[i].key, strlen(keys->items[i].key));
        free(keys->items[i].key);
        free(keys->items[i].name);
    }
    free(keys->items);
    *keys = (weir__keys){0};
}

const weir__key *weir__keys_find(const weir__keys *keys, const char *given)
{
    const weir__key *found = NULL;
    for (size_t i = 0; i < keys->count; i++)
        if (weir__http_equal_secret(given, keys->items[i].key))
            found = &keys->items[i];
    return found;
}
