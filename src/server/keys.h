// SPDX-License-Identifier: MIT
//
// API keys: who may do what. The file has a line per key, `KEY ROLE [NAME]`, blank lines and lines that begin
// with `#` aside. A key has 16 to 256 visible ASCII characters, ROLE is viewer, user or admin, NAME (default
// "") is stored as the user of the runs that the key starts. Read once at the start; immutable afterwards, so
// any thread may look.
#ifndef WEIR_SERVER_KEYS_H
#define WEIR_SERVER_KEYS_H

#include <stddef.h>

#include <weir/error.h>

enum {
    WEIR__KEY_SIZE_MIN = 16,
    WEIR__KEY_SIZE_MAX = 256,
    WEIR__KEYS_MAX = 1024,
    WEIR__KEY_FILE_BYTES_MAX = 512 << 10
};

// Each may do what those before it may do.
typedef enum weir__role {
    WEIR__ROLE_NONE = 0,
    WEIR__ROLE_VIEWER = 1, // read
    WEIR__ROLE_USER = 2,   // and start and cancel runs
    WEIR__ROLE_ADMIN = 3,  // and delete, and maintain the store
} weir__role;

const char *weir__role_name(weir__role role);

typedef struct weir__key {
    char *key;
    char *name;
    weir__role role;
} weir__key;

typedef struct weir__keys {
    weir__key *items;
    size_t count;
} weir__keys;

// Errors: NOTFOUND, DENIED (others may read it or change it), INVALID (not a regular file, a line that is
// wrong, no key at all), TOOBIG, IO, NOMEM. Sentences name the line, never a key.
int weir__keys_load(const char *path, weir__keys *keys, weir_error *err);
void weir__keys_free(weir__keys *keys);

// The entry for a key that a client sent, or NULL. Looks at every entry in full.
const weir__key *weir__keys_find(const weir__keys *keys, const char *given);

#endif
