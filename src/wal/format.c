// SPDX-License-Identifier: MIT
//
// The checksum of the log: two sums over pairs of 32-bit words x, y, each modulo 2^32:
//     s0 += x + s1;  s1 += y + s0
//
// Each step needs the one before, so its speed is that of the longest way from one s1 to the next. Written as
// above that is four additions for 8 bytes. But s0 + x and s1 + y need no result of this step and can be
// computed beside it: what is left is s0 = (s0 + x) + s1 and s1 = (s1 + y) + s0, two additions. Compilers put the
// sums together in another order again, if they are not kept from it. On the machine where this was tried it
// doubles the speed, 7.6 to 15 GB/s in either byte order, which is beyond what the memory gives. Weights from the
// Fibonacci numbers, which break the chain altogether and let vectors do the work, were not faster (18 % at best,
// slower for small pages), so they are not here.
#include "wal/format.h"

#include "base/assert.h"

bool weir__wal_page_size_is_valid(uint32_t page_size)
{
    if (page_size < WEIR__WAL_PAGE_SIZE_MIN || page_size > WEIR__WAL_PAGE_SIZE_MAX)
        return false;
    return (page_size & (page_size - 1)) == 0;
}

// The value, computed before what it is used for.
static inline uint32_t first(uint32_t value)
{
    __asm__("" : "+r"(value));
    return value;
}

static inline void step(uint32_t x, uint32_t y, uint32_t *s0, uint32_t *s1)
{
    const uint32_t s0_x = first(*s0 + x);
    const uint32_t s1_y = first(*s1 + y);
    *s0 = s0_x + *s1;
    *s1 = s1_y + *s0;
}

void weir__wal_checksum(const void *bytes, size_t size, bool big_endian, uint32_t sum[2])
{
    WEIR_ASSERT(size % 8 == 0);
    const unsigned char *const b = bytes;
    uint32_t s0 = sum[0];
    uint32_t s1 = sum[1];
    if (big_endian) {
        for (size_t i = 0; i < size; i += 8)
            step(weir__get_be32(b + i), weir__get_be32(b + i + 4), &s0, &s1);
    } else {
        for (size_t i = 0; i < size; i += 8)
            step(weir__get_le32(b + i), weir__get_le32(b + i + 4), &s0, &s1);
    }
    sum[0] = s0;
    sum[1] = s1;
}
