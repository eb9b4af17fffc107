// SPDX-License-Identifier: MIT
//
// The header of the log. Everything is big-endian; the last bit of the magic number says whether the *words
// that are summed up* are big-endian as well.
//
//     offset size
//          0    4  magic, 0x377f0682, or 0x377f0683 for checksums over big-endian words
//          4    4  version, 3007000
//          8    4  page size
//         12    4  checkpoint sequence
//         16    8  salts
//         24    8  checksum of the 24 bytes before
#include <unistd.h>

#include "base/error.h"
#include "wal/file.h"
#include "wal/format.h"
#include "weir/wal.h"

enum {
    at_magic = 0,
    at_version = 4,
    at_page_size = 8,
    at_sequence = 12,
    at_salt = 16,
    at_checksum = 24,
};

_Static_assert((int)at_checksum + 8 == (int)WEIR_WAL_HEADER_SIZE, "the checksum ends the header");

static const uint32_t magic_base = 0x377F0682;

int weir__wal_header_decode(const unsigned char bytes[WEIR_WAL_HEADER_SIZE], weir_wal_header *header)
{
    const uint32_t magic = weir__get_be32(bytes + at_magic);
    uint32_t sum[2] = {0, 0};
    *header = (weir_wal_header){
        .page_size = weir__get_be32(bytes + at_page_size),
        .sequence = weir__get_be32(bytes + at_sequence),
        .salt = {weir__get_be32(bytes + at_salt), weir__get_be32(bytes + at_salt + 4)},
        .big_endian_checksum = (magic & 1) != 0,
    };
    if ((magic & ~UINT32_C(1)) != magic_base)
        return WEIR_NOTADB;
    weir__wal_checksum(bytes, at_checksum, header->big_endian_checksum, sum);
    header->checksum_valid =
        sum[0] == weir__get_be32(bytes + at_checksum) && sum[1] == weir__get_be32(bytes + at_checksum + 4);
    if (!weir__wal_page_size_is_valid(header->page_size) || !header->checksum_valid)
        return WEIR_CORRUPT;
    return weir__get_be32(bytes + at_version) == WEIR__WAL_VERSION ? WEIR_OK : WEIR_UNSUPPORTED;
}

// The sentence for a header that cannot be used. A version is told before a wrong checksum, which another
// version may compute in its own way.
static int explain(const char *path, const unsigned char *bytes, int code, const weir_wal_header *header,
                   weir_error *err)
{
    const uint32_t version = weir__get_be32(bytes + at_version);
    if (code == WEIR_NOTADB)
        return weir__error_set(err, WEIR_NOTADB, "%s is not a write-ahead log of SQLite", path);
    if (version != WEIR__WAL_VERSION)
        return weir__error_set(err, WEIR_UNSUPPORTED, "%s has version %u; only %d is known", path, version,
                               WEIR__WAL_VERSION);
    if (!weir__wal_page_size_is_valid(header->page_size))
        return weir__error_set(err, WEIR_CORRUPT, "%s says that a page has %u bytes, which cannot be", path,
                               header->page_size);
    return WEIR_OK;
}

int weir_wal_header_read(const char *wal_path, weir_wal_header *header, weir_error *err)
{
    unsigned char bytes[WEIR_WAL_HEADER_SIZE] = {0};
    weir_wal_header decoded;
    size_t got = 0;
    int fd = -1;
    *header = (weir_wal_header){0};
    int rc = weir__wal_file_open(wal_path, &fd, err);
    if (rc != WEIR_OK)
        return rc;
    rc = weir__wal_file_read(fd, wal_path, bytes, sizeof bytes, 0, &got, err);
    close(fd);
    if (rc != WEIR_OK)
        return rc;
    if (got < sizeof bytes)
        return weir__error_set(err, WEIR_NOTFOUND, "%s holds no log: it has only %zu bytes", wal_path, got);
    const int code = weir__wal_header_decode(bytes, &decoded);
    rc = explain(wal_path, bytes, code, &decoded, err);
    if (rc == WEIR_OK)
        *header = decoded;
    return rc;
}
