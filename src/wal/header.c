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
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "wal/format.h"
#include "weir/wal.h"

enum {
    at_magic = 0,
    at_version = 4,
    at_page_size = 8,
    at_sequence = 12,
    at_salt = 16,
    at_checksum = 24,
    header_size = 32,
};

_Static_assert(at_checksum + 8 == header_size, "the checksum ends the header");

static const uint32_t magic_base = 0x377F0682;

// Reads the first bytes of a regular file. Never waits for the other end of a pipe.
static int read_head(const char *path, unsigned char bytes[header_size], weir_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return weir__error_errno(err, errno, "cannot open %s", path);
    int rc = WEIR_OK;
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = weir__error_set(err, WEIR_INVALID, "%s is not a regular file", path);
        goto out;
    }
    ssize_t got = 0;
    do {
        got = pread(fd, bytes, header_size, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        rc = weir__error_errno(err, errno, "cannot read %s", path);
    else if (got < header_size)
        rc = weir__error_set(err, WEIR_NOTFOUND, "%s holds no log: it has only %zd bytes", path, got);
out:
    close(fd);
    return rc;
}

static int decode(const char *path, const unsigned char bytes[header_size], weir_wal_header *header,
                  weir_error *err)
{
    const uint32_t magic = weir__get_be32(bytes + at_magic);
    if ((magic & ~UINT32_C(1)) != magic_base)
        return weir__error_set(err, WEIR_NOTADB, "%s is not a write-ahead log of SQLite", path);
    const uint32_t version = weir__get_be32(bytes + at_version);
    if (version != WEIR__WAL_VERSION)
        return weir__error_set(err, WEIR_UNSUPPORTED, "%s has version %u; only %d is known", path, version,
                               WEIR__WAL_VERSION);
    const uint32_t page_size = weir__get_be32(bytes + at_page_size);
    if (!weir__wal_page_size_is_valid(page_size))
        return weir__error_set(err, WEIR_CORRUPT, "%s says that a page has %u bytes, which cannot be", path,
                               page_size);
    uint32_t sum[2] = {0, 0};
    header->big_endian_checksum = (magic & 1) != 0;
    weir__wal_checksum(bytes, at_checksum, header->big_endian_checksum, sum);
    header->checksum_valid =
        sum[0] == weir__get_be32(bytes + at_checksum) && sum[1] == weir__get_be32(bytes + at_checksum + 4);
    header->page_size = page_size;
    header->sequence = weir__get_be32(bytes + at_sequence);
    header->salt[0] = weir__get_be32(bytes + at_salt);
    header->salt[1] = weir__get_be32(bytes + at_salt + 4);
    return WEIR_OK;
}

int weir_wal_header_read(const char *wal_path, weir_wal_header *header, weir_error *err)
{
    *header = (weir_wal_header){0};
    unsigned char bytes[header_size];
    const int rc = read_head(wal_path, bytes, err);
    return rc == WEIR_OK ? decode(wal_path, bytes, header, err) : rc;
}
