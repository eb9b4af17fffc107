// SPDX-License-Identifier: MIT
//
// Randomness of two kinds. weir__random_* asks the kernel: for names and keys that nobody may guess.
// weir__rng is a small generator with a seed: for jitter, and for tests that must be repeatable. The first
// kind may be called from any thread; a weir__rng belongs to one thread at a time.
#ifndef WEIR_BASE_RANDOM_H
#define WEIR_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

enum { WEIR__UUID_SIZE = 37 }; // 36 characters and the NUL

// Fills bytes[size] from the kernel. Blocks only in the first moments after boot.
void weir__random_bytes(void *bytes, size_t size);
uint64_t weir__random_u64(void);

// A random UUID (version 4) in lower case: xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx.
void weir__uuid4(char out[WEIR__UUID_SIZE]);

typedef struct weir__rng {
    uint64_t state[4];
} weir__rng;

// The same seed gives the same sequence on every machine. Every seed is good, 0 too.
void weir__rng_init(weir__rng *rng, uint64_t seed);
uint64_t weir__rng_next(weir__rng *rng);

// Evenly distributed in 0 … limit - 1; limit must not be 0.
uint64_t weir__rng_below(weir__rng *rng, uint64_t limit);

#endif
