// SPDX-License-Identifier: MIT
//
// Reading a log from its beginning to its end, through a window of a fixed size that moves forwards.
//
//     offset size                                a frame's header:   0  4  page number
//          0   32  header (header.c)                                 4  4  size of the database after a
//         32   24  header of frame 1                                       commit, else 0
//         56    P  page                                              8  8  salts, as in the log's header
//     56 + P   24  header of frame 2 …                              16  8  running checksum
//
// The checksum of a frame goes over the first 8 bytes of its header and its page, and begins with that of the
// frame before, the first with the header's. So a frame can only be valid when all before it are.
//
// Invariants: `committed` is never beyond `here`; the window is a copy and may be older than the file, so it is
// dropped whenever the scan is to see what is new. The header is read once per generation and compared again at
// the end: the log may have begun again meanwhile, and its first frames been overwritten behind our back. As
// each frame's checksum is computed over the copy, a frame that is returned was in the log as it is.
//
// Threads: one at a time per scan; nothing is shared between scans.
#include "wal/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "wal/file.h"

enum { at_page = 0, at_n_page = 4, at_salt = 8, at_sum = 16, summed_of_header = 8, at_header_sum = 24 };

_Static_assert((int)at_sum + 8 == (int)WEIR_WAL_FRAME_HEADER_SIZE, "the checksum ends the frame's header");

// ------------------------------------------------------------------------------------------------- frames

weir__wal_frame_header weir__wal_frame_header_get(const unsigned char *bytes)
{
    return (weir__wal_frame_header){
        .page = weir__get_be32(bytes + at_page),
        .n_page = weir__get_be32(bytes + at_n_page),
        .salt = {weir__get_be32(bytes + at_salt), weir__get_be32(bytes + at_salt + 4)},
        .sum = {weir__get_be32(bytes + at_sum), weir__get_be32(bytes + at_sum + 4)},
    };
}

bool weir__wal_frame_continues(const weir_wal_scan *scan, const unsigned char *frame, uint32_t sum[2])
{
    const bool big_endian = scan->header.big_endian_checksum;
    weir__wal_checksum(frame, summed_of_header, big_endian, sum);
    weir__wal_checksum(frame + WEIR_WAL_FRAME_HEADER_SIZE, scan->header.page_size, big_endian, sum);
    return sum[0] == weir__get_be32(frame + at_sum) && sum[1] == weir__get_be32(frame + at_sum + 4);
}

int weir__wal_scan_window(weir_wal_scan *scan, uint64_t offset, const unsigned char **frame, size_t *size,
                          weir_error *err)
{
    const size_t wanted = weir__wal_frame_size(scan);
    const uint64_t window_end = scan->window_offset + scan->window_size;
    WEIR_ASSERT(wanted <= WEIR__WAL_WINDOW_SIZE);
    *frame = scan->window;
    *size = 0;
    if (offset < scan->window_offset || offset + wanted > window_end) {
        scan->window_offset = offset;
        const int code = weir__wal_file_read(scan->fd, scan->path, scan->window, WEIR__WAL_WINDOW_SIZE,
                                             offset, &scan->window_size, err);
        if (code != WEIR_OK) {
            scan->window_size = 0;
            return code;
        }
    }
    const size_t at = (size_t)(offset - scan->window_offset);
    const size_t left = scan->window_size - at;
    *frame = scan->window + at;
    *size = left < wanted ? left : wanted;
    return WEIR_OK;
}

// ---------------------------------------------------------------------------------------- opening, closing

int weir_wal_scan_open(const char *wal_path, weir_wal_scan **scan, weir_error *err)
{
    *scan = NULL;
    int fd = -1;
    const int code = weir__wal_file_open(wal_path, &fd, err);
    if (code != WEIR_OK)
        return code;
    weir_wal_scan *const opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        goto no_memory;
    opened->fd = fd;
    opened->path = strdup(wal_path);
    opened->window = malloc(WEIR__WAL_WINDOW_SIZE);
    if (opened->path == NULL || opened->window == NULL)
        goto no_memory;
    *scan = opened;
    return WEIR_OK;

no_memory:
    if (opened != NULL)
        weir_wal_scan_close(opened);
    else
        close(fd);
    return weir__error_set(err, WEIR_NOMEM, "not enough memory to read %s", wal_path);
}

void weir_wal_scan_close(weir_wal_scan *scan)
{
    if (scan == NULL)
        return;
    close(scan->fd);
    free(scan->path);
    free(scan->window);
    free(scan);
}

const weir_wal_header *weir_wal_scan_header(const weir_wal_scan *scan)
{
    return scan->has_header ? &scan->header : NULL;
}

// ------------------------------------------------------------------------------------------------ the scan

// Begins a generation, if there is a header for it.
static int begin(weir_wal_scan *scan, weir_error *err)
{
    scan->here = (weir__wal_place){.offset = WEIR_WAL_HEADER_SIZE};
    scan->committed = scan->here;
    scan->transactions = 0;
    scan->n_page = 0;
    scan->window_size = 0;
    scan->has_header = false;
    scan->header_code = WEIR_OK;
    memset(scan->header_bytes, 0, sizeof scan->header_bytes);
    const int code = weir__wal_file_read(scan->fd, scan->path, scan->header_bytes, sizeof scan->header_bytes,
                                         0, &scan->header_got, err);
    if (code != WEIR_OK || scan->header_got < sizeof scan->header_bytes)
        return code;
    scan->header_code = weir__wal_header_decode(scan->header_bytes, &scan->header);
    scan->has_header = scan->header_code == WEIR_OK;
    scan->here.sum[0] = weir__get_be32(scan->header_bytes + at_header_sum);
    scan->here.sum[1] = weir__get_be32(scan->header_bytes + at_header_sum + 4);
    scan->committed = scan->here;
    return WEIR_OK;
}

// The frame behind `here`, NULL where it is not valid, and the checksum behind it. A copy that was made for the
// frames before may be too old to say that, so the file is asked again.
static int find_valid(weir_wal_scan *scan, const unsigned char **found, uint32_t sum[2], weir_error *err)
{
    *found = NULL;
    for (bool fresh = false; *found == NULL && !fresh;) {
        const unsigned char *bytes = NULL;
        size_t size = 0;
        const int code = weir__wal_scan_window(scan, scan->here.offset, &bytes, &size, err);
        if (code != WEIR_OK || size < weir__wal_frame_size(scan))
            return code;
        const weir__wal_frame_header h = weir__wal_frame_header_get(bytes);
        sum[0] = scan->here.sum[0];
        sum[1] = scan->here.sum[1];
        if (h.salt[0] == scan->header.salt[0] && h.salt[1] == scan->header.salt[1] && h.page != 0 &&
            weir__wal_frame_continues(scan, bytes, sum))
            *found = bytes;
        fresh = scan->window_offset == scan->here.offset;
        if (*found == NULL)
            scan->window_size = 0;
    }
    return WEIR_OK;
}

// Fills *frame if there is a valid one behind `here`, which then moves behind it.
static int advance(weir_wal_scan *scan, weir_wal_frame *frame, weir_error *err)
{
    const unsigned char *bytes = NULL;
    uint32_t sum[2];
    const int code = find_valid(scan, &bytes, sum, err);
    if (code != WEIR_OK || bytes == NULL)
        return code;
    const weir__wal_frame_header h = weir__wal_frame_header_get(bytes);
    *frame = (weir_wal_frame){
        .number = scan->here.frames + 1,
        .offset = scan->here.offset,
        .transaction = scan->transactions + 1,
        .page = h.page,
        .n_page = h.n_page,
        .content = bytes + WEIR_WAL_FRAME_HEADER_SIZE,
    };
    scan->here.offset += weir__wal_frame_size(scan);
    scan->here.frames++;
    scan->here.sum[0] = sum[0];
    scan->here.sum[1] = sum[1];
    if (h.n_page != 0) {
        scan->committed = scan->here;
        scan->transactions++;
        scan->n_page = h.n_page;
    }
    return WEIR_OK;
}

int weir_wal_scan_next(weir_wal_scan *scan, weir_wal_frame *frame, weir_error *err)
{
    *frame = (weir_wal_frame){0};
    if (scan->ended)
        return WEIR_OK;
    int code = WEIR_OK;
    if (!scan->has_header)
        code = begin(scan, err);
    if (code == WEIR_OK && scan->has_header)
        code = advance(scan, frame, err);
    if (code == WEIR_OK && frame->number == 0)
        scan->ended = true;
    return code;
}

int weir_wal_scan_next_transaction(weir_wal_scan *scan, weir_wal_transaction *transaction, weir_error *err)
{
    *transaction = (weir_wal_transaction){0};
    weir_wal_frame frame = {0};
    weir__wal_place start;
    do {
        start = scan->committed;
        const int code = weir_wal_scan_next(scan, &frame, err);
        if (code != WEIR_OK || frame.number == 0)
            return code;
        if (frame.number == 1)
            start = (weir__wal_place){.offset = WEIR_WAL_HEADER_SIZE};
    } while (frame.n_page == 0);
    *transaction = (weir_wal_transaction){
        .number = frame.transaction,
        .first_frame = start.frames + 1,
        .last_frame = frame.number,
        .offset = start.offset,
        .offset_end = scan->here.offset,
        .n_page = frame.n_page,
    };
    return WEIR_OK;
}

// ------------------------------------------------------------------------------------------- the end of it

// Whether the first bytes of the file are still those that the scan goes by.
static int header_changed(const weir_wal_scan *scan, bool *changed, weir_error *err)
{
    unsigned char now[WEIR_WAL_HEADER_SIZE] = {0};
    size_t got = 0;
    const int code = weir__wal_file_read(scan->fd, scan->path, now, sizeof now, 0, &got, err);
    *changed = got != scan->header_got || memcmp(now, scan->header_bytes, sizeof now) != 0;
    return code;
}

// The kind where no frame can be read because of the header.
static weir_wal_end_kind kind_without_header(const weir_wal_scan *scan)
{
    if (scan->header_got == 0)
        return WEIR_WAL_END_CLEAN; // empty, as a log is that is not in use
    return scan->header_got < WEIR_WAL_HEADER_SIZE ? WEIR_WAL_END_TORN : WEIR_WAL_END_HEADER;
}

int weir_wal_scan_end(weir_wal_scan *scan, weir_wal_end *end, weir_error *err)
{
    *end = (weir_wal_end){0};
    if (!scan->ended)
        return weir__error_set(err, WEIR_STATE, "the end of %s has not been reached yet", scan->path);
    struct stat st;
    bool changed = false;
    if (fstat(scan->fd, &st) != 0)
        return weir__error_errno(err, errno, "cannot look at %s", scan->path);
    int code = header_changed(scan, &changed, err);
    if (code != WEIR_OK)
        return code;
    *end = (weir_wal_end){
        .header_code = scan->header_code,
        .is_unlinked = st.st_nlink == 0,
        .size = (uint64_t)st.st_size,
        .offset = scan->has_header ? scan->here.offset : 0,
        .frames = scan->here.frames,
        .frames_committed = scan->committed.frames,
        .offset_committed = scan->has_header ? scan->committed.offset : 0,
        .transactions = scan->transactions,
        .n_page = scan->n_page,
    };
    if (changed || end->size < end->offset) {
        end->kind = WEIR_WAL_END_RESTARTED;
        return WEIR_OK;
    }
    if (!scan->has_header) {
        end->kind = kind_without_header(scan);
        return WEIR_OK;
    }
    scan->window_size = 0;
    code = weir__wal_look_ahead(scan, end, err);
    if (code == WEIR_OK)
        code = header_changed(scan, &changed, err);
    if (code == WEIR_OK && changed)
        end->kind = WEIR_WAL_END_RESTARTED;
    return code;
}

int weir_wal_scan_resume(weir_wal_scan *scan, weir_error *err)
{
    struct stat st;
    bool changed = false;
    if (fstat(scan->fd, &st) != 0)
        return weir__error_errno(err, errno, "cannot look at %s", scan->path);
    const int code = header_changed(scan, &changed, err);
    if (code != WEIR_OK)
        return code;
    scan->ended = false;
    scan->window_size = 0;
    scan->here = scan->committed;
    if (changed || (uint64_t)st.st_size < scan->committed.offset) // cut off, if the header is the same
        scan->has_header = false;
    return WEIR_OK;
}
