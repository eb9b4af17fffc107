// SPDX-License-Identifier: MIT
//
// For tests that feed a reader with texts that nobody would write: a number of rounds, each with a good text that was
// changed. The seed is printed and can be given as $WEIR_FUZZ_SEED; $WEIR_FUZZ_ROUNDS makes it longer. One thread.
#ifndef WEIR_SUPPORT_FUZZ_H
#define WEIR_SUPPORT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

// First: takes and prints the seed. `rounds`: how many there are unless the environment says so.
void fuzz_init(uint64_t rounds);
uint64_t fuzz_rounds(void);
// Any number below `limit`.
uint64_t fuzz_below(uint64_t limit);
// A copy of `text`, cut off, with bytes changed, dropped or added, most of them from `favourites`. It stands in a block
// of exactly its size, without a NUL behind it, so that a sanitizer sees what reads on. To be freed.
char *fuzz_mutate(const char *text, const char *favourites, size_t *size);

#endif
