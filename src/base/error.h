// SPDX-License-Identifier: MIT
//
// Filling a weir_error. The lowest layer that knows what went wrong writes the sentence; those above pass it
// on. All of these accept err == NULL and may be called from any thread.
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

#include "weir/error.h"

// Sets code and text, clears sqlite_code and os_errno, and returns the code, so that `return
// weir__error_set(...)` reads well. A text that is too long is cut at a character boundary. The arguments may
// point into err->text.
int weir__error_set(weir_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

// The same for a failed system call: derives the code from os_errno, appends ": " and the system's words for
// it. The words are kept whole when the text is too long.
int weir__error_errno(weir_error *err, int os_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The code that stands for an errno: ENOSPC and EDQUOT are WEIR_FULL, EACCES, EPERM and EROFS WEIR_DENIED,
// and so on.
int weir__error_code_of_errno(int os_errno);

void weir__error_copy(weir_error *dst, const weir_error *src);
void weir__error_clear(weir_error *err);

// The analyser of clang-tidy sees one file at a time and would follow paths on which these return WEIR_OK.
#ifdef __clang_analyzer__
#define weir__error_set(err, code, ...) \
    (weir__error_set(err, code, __VA_ARGS__), (code) ? (code) : WEIR_INTERNAL)
#define weir__error_errno(...) (weir__error_errno(__VA_ARGS__), WEIR_IO)
#endif

#endif
