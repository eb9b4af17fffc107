// SPDX-License-Identifier: MIT
//
// The start of the wal-index: two copies of a header, then what checkpoints and readers share. Native byte
// order.
//
//     offset size
//          0   48  header, copy 1          within a copy:   0  4  version, 3007000
//         48   48  header, copy 2                           4  4  unused
//         96    4  nBackfill                                8  4  change counter
//        100   20  read marks 0 to 4                       12  1  initialised
//        120    8  the lock bytes, no content              13  1  checksums of the log are big-endian
//        128    4  nBackfillAttempted                      14  2  page size, 1 for 65536
//        132    4  unused                                  16  4  mxFrame
//                                                          20  4  database size in pages
//                                                          24  8  checksum of the last frame
//                                                          32  8  salts, big-endian as in the log
//                                                          40  8  checksum of the 40 bytes before
//
// A writer changes copy 2, then copy 1; a reader takes copy 1, then copy 2. Equal copies with a right
// checksum are therefore one state of the header. nBackfill and the read marks change apart from it: a sample
// takes everything twice and wants both to be the same.
//
// Threads: the memory of a sample is changed meanwhile by SQLite, here and in other processes. It is read in
// whole aligned words by atomic loads with acquire order, which keeps them in order and tells the compiler
// (and the thread sanitizer) what is going on.
#include <stdalign.h>

#include "base/assert.h"
#include "base/error.h"
#include "wal/format.h"
#include "weir/wal.h"

enum {
    copy_size = 48,
    at_copy_1 = 0,
    at_copy_2 = at_copy_1 + copy_size,
    at_n_backfill = at_copy_2 + copy_size,
    at_read_marks = at_n_backfill + 4,
    at_locks = at_read_marks + 4 * WEIR_WAL_READ_MARKS,
    at_n_backfill_attempted = at_locks + 8,
    at_end = at_n_backfill_attempted + 8,

    in_copy_version = 0,
    in_copy_change = 8,
    in_copy_init = 12,
    in_copy_page_size = 14,
    in_copy_mx_frame = 16,
    in_copy_n_page = 20,
    in_copy_salt = 32,
    in_copy_checksum = 40,

    word_count = WEIR_WAL_INDEX_SIZE / 4,
    sample_tries_max = 100,
};

_Static_assert(at_n_backfill == 96, "the checkpoint information follows the two copies");
_Static_assert(at_locks == 120, "the lock bytes follow the read marks");
_Static_assert(at_n_backfill_attempted == 128, "the lock bytes are eight");
_Static_assert((int)at_end == (int)WEIR_WAL_INDEX_SIZE, "136 bytes");

static uint32_t decode_page_size(const unsigned char *copy)
{
    const uint32_t stored = weir__get_native16(copy + in_copy_page_size);
    return stored == 1 ? WEIR__WAL_PAGE_SIZE_MAX : stored;
}

static int check_copies(const unsigned char *bytes, weir_error *err)
{
    const unsigned char *const copy = bytes + at_copy_1;
    uint32_t sum[2] = {0, 0};
    if (memcmp(copy, bytes + at_copy_2, copy_size) != 0)
        return weir__error_set(err, WEIR_BUSY,
                               "the wal-index was being written while it was read; try again");
    if (copy[in_copy_init] == 0)
        return weir__error_set(err, WEIR_NOTFOUND,
                               "the wal-index is not initialised; it has not been used yet");
    const uint32_t version = weir__get_native32(copy + in_copy_version);
    if (version != WEIR__WAL_VERSION)
        return weir__error_set(err, WEIR_UNSUPPORTED, "the wal-index has version %u; only %d is known",
                               version, WEIR__WAL_VERSION);
    weir__wal_checksum(copy, in_copy_checksum, weir__is_big_endian(), sum);
    if (sum[0] != weir__get_native32(copy + in_copy_checksum) ||
        sum[1] != weir__get_native32(copy + in_copy_checksum + 4))
        return weir__error_set(err, WEIR_CORRUPT, "the header of the wal-index has a wrong checksum");
    const uint32_t page_size = decode_page_size(copy);
    if (!weir__wal_page_size_is_valid(page_size))
        return weir__error_set(err, WEIR_CORRUPT,
                               "the wal-index says that a page has %u bytes, which cannot be", page_size);
    return WEIR_OK;
}

int weir_wal_index_decode(const void *bytes, size_t size, weir_wal_index *index, weir_error *err)
{
    *index = (weir_wal_index){0};
    if (size < WEIR_WAL_INDEX_SIZE)
        return weir__error_set(err, WEIR_INVALID, "a wal-index has at least %d bytes, but these are %zu",
                               WEIR_WAL_INDEX_SIZE, size);
    const unsigned char *const b = bytes;
    const int rc = check_copies(b, err);
    if (rc != WEIR_OK)
        return rc;
    const unsigned char *const copy = b + at_copy_1;
    index->change_count = weir__get_native32(copy + in_copy_change);
    index->page_size = decode_page_size(copy);
    index->mx_frame = weir__get_native32(copy + in_copy_mx_frame);
    index->n_page = weir__get_native32(copy + in_copy_n_page);
    index->salt[0] = weir__get_be32(copy + in_copy_salt);
    index->salt[1] = weir__get_be32(copy + in_copy_salt + 4);
    index->n_backfill = weir__get_native32(b + at_n_backfill);
    for (size_t i = 0; i < WEIR_WAL_READ_MARKS; i++)
        index->read_mark[i] = weir__get_native32(b + at_read_marks + 4 * i);
    index->n_backfill_attempted = weir__get_native32(b + at_n_backfill_attempted);
    return WEIR_OK;
}

static void copy_shared(const volatile void *shared, uint32_t words[word_count])
{
    const volatile uint32_t *const from = shared;
    for (size_t i = 0; i < word_count; i++)
        words[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
}

int weir_wal_index_sample(const volatile void *shared, weir_wal_index *index, weir_error *err)
{
    WEIR_ASSERT((uintptr_t)shared % alignof(uint32_t) == 0);
    uint32_t copies[2][word_count];
    copy_shared(shared, copies[0]);
    for (unsigned i = 1; i <= sample_tries_max; i++) {
        copy_shared(shared, copies[i % 2]);
        if (memcmp(copies[0], copies[1], sizeof copies[0]) != 0)
            continue;
        const int rc = weir_wal_index_decode(copies[0], sizeof copies[0], index, err);
        if (rc != WEIR_BUSY)
            return rc;
    }
    *index = (weir_wal_index){0};
    return weir__error_set(err, WEIR_BUSY, "the wal-index kept changing while it was read; try again");
}
