// SPDX-License-Identifier: MIT
//
// getrandom(2), and xoshiro256** (Blackman and Vigna, 2018) whose state is filled by splitmix64 from one
// word, as its authors advise: splitmix never yields the all-zero state in which xoshiro would be stuck.
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/assert.h"

void weir__random_bytes(void *bytes, size_t size)
{
    unsigned char *at = bytes;
    while (size > 0) {
        const ssize_t got = getrandom(at, size, 0);
        WEIR_ASSERT(got >= 0 || errno == EINTR);
        if (got < 0)
            continue;
        at += got;
        size -= (size_t)got;
    }
}

uint64_t weir__random_u64(void)
{
    uint64_t value = 0;
    weir__random_bytes(&value, sizeof value);
    return value;
}

void weir__uuid4(char out[WEIR__UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];
    weir__random_bytes(bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | 0x40); // version 4
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80); // variant 1
    char *at = out;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 0x0F];
    }
    *at = '\0';
    WEIR_ASSERT(at - out == WEIR__UUID_SIZE - 1);
}

static uint64_t splitmix(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void weir__rng_init(weir__rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        rng->state[i] = splitmix(&seed);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

uint64_t weir__rng_next(weir__rng *rng)
{
    uint64_t *const s = rng->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t weir__rng_below(weir__rng *rng, uint64_t limit)
{
    WEIR_ASSERT(limit > 0);
    const uint64_t surplus =
        (UINT64_MAX % limit + 1) % limit; // values at the top that would favour the low results
    uint64_t value = 0;
    do {
        value = weir__rng_next(rng);
    } while (value > UINT64_MAX - surplus);
    return value % limit;
}
