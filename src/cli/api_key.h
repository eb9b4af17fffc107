// SPDX-License-Identifier: MIT
//
// The one API key of an activity server, from a file of its own. Any thread.
#ifndef WEIR_CLI_API_KEY_H
#define WEIR_CLI_API_KEY_H

#include <stdbool.h>

#include "base/error.h"

enum { WEIR__API_KEY_SIZE = 257 }; // with its NUL

// 1 to 256 visible ASCII characters.
bool weir__api_key_is_well_formed(const char *key);

// The first line of a file without the blanks around it. DENIED: others can read or change the file. INVALID:
// no such key in it. Sentences name the file, never the key.
int weir__api_key_read(const char *path, char key[WEIR__API_KEY_SIZE], weir_error *err);

// Whether users other than the owner and the group can read it, or others than the owner change it; *mode are
// its permission bits. False when it cannot be looked at.
bool weir__api_key_is_exposed(const char *path, unsigned *mode);

#endif
