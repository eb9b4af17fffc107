// SPDX-License-Identifier: MIT
//
// WEIR_ASSERT(condition): for bugs of our own only; stays on in release builds. It prints file, line and
// condition to stderr and aborts. Failed input or output, damaged files and lack of memory are errors, never
// assertions. One condition per assertion, so that the message says which one it was.
#ifndef WEIR_BASE_ASSERT_H
#define WEIR_BASE_ASSERT_H

#define WEIR_ASSERT(condition) \
    ((condition) ? (void)0 : weir__assert_failed(__FILE__, __LINE__, __func__, #condition))

_Noreturn void weir__assert_failed(const char *file, int line, const char *function, const char *condition);

#endif
