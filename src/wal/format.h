// SPDX-License-Identifier: MIT
//
// What the log and the wal-index have in common: reading numbers of a given byte order, the checksum, the
// page size. The log is big-endian throughout, except that its header's magic number says in which order the
// checksum takes its words; the wal-index is in the byte order of the machine. No state, any thread.
#ifndef WEIR_WAL_FORMAT_H
#define WEIR_WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "weir/wal.h"

enum {
    WEIR__WAL_VERSION = 3007000,
    WEIR__WAL_PAGE_SIZE_MIN = 512,
    WEIR__WAL_PAGE_SIZE_MAX = 65536,
};

static inline uint32_t weir__get_be32(const void *bytes)
{
    const unsigned char *const b = bytes;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

static inline uint32_t weir__get_le32(const void *bytes)
{
    const unsigned char *const b = bytes;
    return (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | (uint32_t)b[0];
}

static inline uint32_t weir__get_native32(const void *bytes)
{
    uint32_t value = 0;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint16_t weir__get_native16(const void *bytes)
{
    uint16_t value = 0;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline bool weir__is_big_endian(void)
{
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
}

enum {
    WEIR__WAL_FRAME_SIZE_MAX = WEIR_WAL_FRAME_HEADER_SIZE + WEIR__WAL_PAGE_SIZE_MAX,
};

// A power of two from 512 to 65536.
bool weir__wal_page_size_is_valid(uint32_t page_size);

// Continues the checksum in sum[2] over bytes[size]; size must be a multiple of 8. Starts from {0, 0}.
void weir__wal_checksum(const void *bytes, size_t size, bool big_endian, uint32_t sum[2]);

// Reads the header as SQLite's recovery does. WEIR_NOTADB: not a log. WEIR_CORRUPT: an impossible page size
// or a wrong checksum (then checksum_valid is false). WEIR_UNSUPPORTED: another version, the checksum is right.
// What could be read is in *header whatever is returned; no sentence is written.
int weir__wal_header_decode(const unsigned char bytes[WEIR_WAL_HEADER_SIZE], weir_wal_header *header);

#endif
