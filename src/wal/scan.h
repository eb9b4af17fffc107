// SPDX-License-Identifier: MIT
//
// What the scan of a log and the look behind its end share. The public side is weir_wal_scan_x() in weir/wal.h.
#ifndef WEIR_WAL_SCAN_H
#define WEIR_WAL_SCAN_H

#include "wal/format.h"
#include "weir/wal.h"

enum { WEIR__WAL_WINDOW_SIZE = 1 << 20 };
_Static_assert((int)WEIR__WAL_WINDOW_SIZE >= (int)WEIR__WAL_FRAME_SIZE_MAX, "a frame fits");

// A place between two frames and what came before it.
typedef struct weir__wal_place {
    uint64_t offset;
    uint64_t frames;
    uint32_t sum[2]; // running checksum
} weir__wal_place;

struct weir_wal_scan {
    int fd;
    char *path;
    bool has_header;
    bool ended; // `next` has found no frame; the same until resumed
    int header_code;
    size_t header_got; // bytes of the header that there are
    unsigned char header_bytes[WEIR_WAL_HEADER_SIZE];
    weir_wal_header header;
    weir__wal_place here;      // behind the last frame that was read
    weir__wal_place committed; // behind the last commit frame
    uint64_t transactions;     // committed up to `here`
    uint32_t n_page;           // after the last of them
    uint64_t window_offset;    // what the window holds a copy of
    size_t window_size;
    unsigned char *window; // WEIR__WAL_WINDOW_SIZE bytes
};

static inline size_t weir__wal_frame_size(const weir_wal_scan *scan)
{
    return WEIR_WAL_FRAME_HEADER_SIZE + (size_t)scan->header.page_size;
}

// The header of a frame.
typedef struct weir__wal_frame_header {
    uint32_t page, n_page, salt[2], sum[2];
} weir__wal_frame_header;

weir__wal_frame_header weir__wal_frame_header_get(const unsigned char *bytes);

// Whether `frame`, header and page, continues the running checksum `sum`, which in any case becomes what the
// checksum behind it should be.
bool weir__wal_frame_continues(const weir_wal_scan *scan, const unsigned char *frame, uint32_t sum[2]);

// *frame points to up to one frame at `offset`, *size to how many bytes of it there are.
int weir__wal_scan_window(weir_wal_scan *scan, uint64_t offset, const unsigned char **frame, size_t *size,
                          weir_error *err);

// Says what follows behind scan->here in a file of end->size bytes: kind and behind_x.
int weir__wal_look_ahead(weir_wal_scan *scan, weir_wal_end *end, weir_error *err);

#endif
