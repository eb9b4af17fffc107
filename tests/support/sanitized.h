// SPDX-License-Identifier: MIT
//
// Whether this program is built with a sanitizer that wants malloc for itself: a test that puts its own in front of the
// C library's can then only report that it was skipped, by returning skip_sanitized() from main.
#ifndef WEIR_SUPPORT_SANITIZED_H
#define WEIR_SUPPORT_SANITIZED_H

#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#else

static inline int skip_sanitized(void)
{
    puts("1..0 # SKIP under a sanitizer");
    return 77;
}

#endif

#endif
