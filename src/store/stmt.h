// SPDX-License-Identifier: MIT
//
// The statement cache of a connection, as its other files use it.
#ifndef WEIR_STORE_STMT_H
#define WEIR_STORE_STMT_H

#include "store/conn.h"

// The statement for `sql`, from the cache or prepared now; not yet counted as used. Returns SQLite's extended
// code, or SQLITE_MISUSE when the text holds more than one statement, or none.
int weir__stmt_get(weir_tx *conn, const char *sql, weir_stmt **stmt);
// Gives back one that never counted as used: finalizes it if the cache had no room for it.
void weir__stmt_put(weir_stmt *stmt);

// Resets everything that this use of the connection prepared.
void weir__stmt_release_used(weir_tx *conn);

// Finalizes everything.
void weir__stmt_cache_clear(weir_tx *conn);

#endif
