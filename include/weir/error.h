// SPDX-License-Identifier: MIT
//
// What every fallible call of Weir reports: an int (WEIR_OK or one of the codes below) and, where the caller
// hands over a `weir_error`, one sentence that says what happened, to which file, and what to do about it.
//
// The struct belongs to the caller, is plain data and needs no release. Start with WEIR_ERROR_INIT; a call
// that succeeds leaves it as it was, so look at the returned code first. Wherever a function takes a
// `weir_error *`, NULL is allowed. Nothing here blocks; everything may be called from any thread.
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

// The codes are part of the ABI: a number never changes its meaning, new ones go to the end.
enum {
    WEIR_OK = 0,
    WEIR_BUSY = 1,         // a lock was held, or a queue was full, beyond the deadline
    WEIR_EXPIRED = 2,      // the deadline passed while the work was under way
    WEIR_FULL = 3,         // no space left on the device, or a quota is used up
    WEIR_IO = 4,           // the operating system reported an input or output error
    WEIR_CORRUPT = 5,      // a file is damaged
    WEIR_NOTADB = 6,       // a file is not an SQLite database
    WEIR_CONSTRAINT = 7,   // a UNIQUE, NOT NULL, CHECK or foreign key constraint refused the change
    WEIR_INVALID = 8,      // a bad argument or a call in the wrong place: a mistake of the caller
    WEIR_NOTFOUND = 9,     // no such file, row or object
    WEIR_EXISTS = 10,      // it is already there
    WEIR_DENIED = 11,      // permission denied, or read-only
    WEIR_CLOSED = 12,      // the store is closed or closing
    WEIR_FENCED = 13,      // a sync failed earlier; only closing and opening again ends this
    WEIR_FORKED = 14,      // the handle was made by the parent process and must not be used in the child
    WEIR_NOMEM = 15,       // out of memory
    WEIR_UNSUPPORTED = 16, // this file system, SQLite library or build cannot do it
    WEIR_TOOBIG = 17,      // larger than a limit allows
    WEIR_SQL = 18,         // wrong SQL, or a schema that does not fit it
    WEIR_STATE = 19,       // the object's state does not allow this transition
    WEIR_CANCELLED = 20,   // cancelled before it was done
    WEIR_UNKNOWN = 21,     // whether it took effect is not known until the store has been opened again
    WEIR_INTERNAL = 22,    // a bug in Weir
    WEIR_MISMATCH = 23     // well-formed, but not of the shape or type that is wanted
};

enum { WEIR_ERROR_TEXT_SIZE = 512 };

typedef struct weir_error {
    int code;                        // one of the codes above
    int sqlite_code;                 // SQLite's extended result code, 0 where SQLite was not involved
    int os_errno;                    // errno of the failed system call, 0 where there was none
    char text[WEIR_ERROR_TEXT_SIZE]; // one sentence in UTF-8, NUL-terminated, shortened if it has to be
} weir_error;

// The initialiser of every options struct: all members 0, each language's way of saying so without a warning.
// clang-format off
#ifdef __cplusplus
#define WEIR_ALL_DEFAULTS {}
#else
#define WEIR_ALL_DEFAULTS {0}
#endif
// clang-format on

#define WEIR_ERROR_INIT WEIR_ALL_DEFAULTS

// The name of a code as written above, "WEIR_BUSY" for example; "WEIR_?" for a number that is none. Static
// storage.
const char *weir_code_name(int code);

#ifdef __cplusplus
}
#endif

#endif
