// SPDX-License-Identifier: MIT
//
// Static files: the folder of a web interface, and folders of further pages that are served below /pages/NAME/.
//
// A path finds a regular file below its folder, or nothing: `..`, names that begin with a point, symbolic links inside
// the folder and everything that is no file are as if they were not there. A folder stands for its index.html. The
// folders are opened once; files are looked up anew each time, so a new build of the interface needs no restart.
// Immutable once open; any thread may look, and blocks for the disk.
#ifndef WEIR_SERVER_STATIC_H
#define WEIR_SERVER_STATIC_H

#include <weir/error.h>

#include "server/server.h"
#include "server/uri.h"

typedef struct weir__static weir__static;

// `webui` may be NULL; `custom` has entries NAME=DIR. INVALID: an entry that is none, a folder that is none; NOTFOUND,
// DENIED.
int weir__static_open(const char *webui, const weir__strings *custom, weir__static **files, weir_error *err);
void weir__static_close(weir__static *files); // NULL is fine

// Opens the file for a path that was parsed leniently. NOTFOUND: there is none.
int weir__static_find(const weir__static *files, const weir__uri *uri, int *fd, const char **media_type,
                      weir_error *err);

// The media type by the name's end. Browsers are told not to guess, so this table decides whether a page works.
const char *weir__static_media_type(const char *name);

#endif
