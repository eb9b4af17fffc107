// SPDX-License-Identifier: MIT
//
// For tests without memory: the k-th allocation of the test's thread fails, for k = 0, 1, 2 … until a call succeeds
// without meeting it.
//
// The program's own malloc stands in front of the C library's. So this is included by the one file of a test program
// and by no library. A sanitizer wants to be there itself: see support/sanitized.h.
#ifndef WEIR_SUPPORT_NOMEM_H
#define WEIR_SUPPORT_NOMEM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/sanitized.h"
#include "weir/error.h"

#if !IS_SANITIZED

// Of this thread: allocations until one fails (below 0: none does), whether it did, and blocks that are in use.
static _Thread_local long nomem_countdown = -1;
static _Thread_local bool nomem_has_failed;
static _Thread_local long nomem_live;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

static bool nomem_must_fail(void)
{
    if (nomem_countdown < 0 || nomem_countdown-- > 0)
        return false;
    nomem_has_failed = true;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    void *const block = nomem_must_fail() ? NULL : __libc_malloc(size);
    nomem_live += block != NULL;
    return block;
}

void *calloc(size_t count, size_t size)
{
    void *const block = nomem_must_fail() ? NULL : __libc_calloc(count, size);
    nomem_live += block != NULL;
    return block;
}

void *realloc(void *block, size_t size)
{
    void *const grown = nomem_must_fail() ? NULL : __libc_realloc(block, size);
    nomem_live += block == NULL && grown != NULL;
    return grown;
}

void free(void *block)
{
    nomem_live -= block != NULL;
    __libc_free(block);
}

// One call and its checks; frees what the call gave. Returns its code.
typedef int nomem_body(weir_error *err);

// `is_exact`: no cache below the call may keep blocks. Once without a failure first, which fills the caches, so
// that the walk meets our own allocations and not only those of a statement's preparation.
static void nomem_walk(nomem_body *call, bool is_exact, const char *name)
{
    enum { k_max = 20000 };
    weir_error err = WEIR_ERROR_INIT;
    if (call(&err) != WEIR_OK)
        fail_msg("%s: %s: %s", name, weir_code_name(err.code), err.text);
    for (long k = 0; k < k_max; k++) {
        const long before = nomem_live;
        nomem_has_failed = false;
        nomem_countdown = k;
        const int rc = call(&err);
        nomem_countdown = -1;
        if (rc != WEIR_OK && rc != WEIR_NOMEM)
            fail_msg("%s, allocation %ld: %s: %s", name, k, weir_code_name(rc), err.text);
        if (is_exact && nomem_live != before)
            fail_msg("%s, allocation %ld: %ld blocks before, %ld after", name, k, before, nomem_live);
        if (!nomem_has_failed) {
            assert_int_equal(rc, WEIR_OK);
            assert_true(k > 0);
            return;
        }
    }
    fail_msg("%s: no end after %d allocations", name, k_max);
}

#define NOMEM_WALK(call, is_exact) nomem_walk(call, is_exact, #call)

#endif
#endif
