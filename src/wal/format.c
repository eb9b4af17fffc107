// SPDX-License-Identifier: MIT
//
// The checksum of the log: two sums over pairs of 32-bit words x, y, each modulo 2^32:
//     s0 += x + s1;  s1 += y + s0
#include "wal/format.h"

#include "base/assert.h"

bool weir__wal_page_size_is_valid(uint32_t page_size)
{
    if (page_size < WEIR__WAL_PAGE_SIZE_MIN || page_size > WEIR__WAL_PAGE_SIZE_MAX)
        return false;
    return (page_size & (page_size - 1)) == 0;
}

void weir__wal_checksum(const void *bytes, size_t size, bool big_endian, uint32_t sum[2])
{
    WEIR_ASSERT(size % 8 == 0);
    const unsigned char *const b = bytes;
    uint32_t s0 = sum[0];
    uint32_t s1 = sum[1];
    for (size_t i = 0; i < size; i += 8) {
        s0 += (big_endian ? weir__get_be32(b + i) : weir__get_le32(b + i)) + s1;
        s1 += (big_endian ? weir__get_be32(b + i + 4) : weir__get_le32(b + i + 4)) + s0;
    }
    sum[0] = s0;
    sum[1] = s1;
}
