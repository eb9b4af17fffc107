// SPDX-License-Identifier: MIT
//
// What follows behind the last valid frame of a log? One of four things, told apart like this:
//
//   older      both salts of the next frame differ from the header's, and they are plausible as those of an
//              earlier generation: the first salt counts the restarts of the log, so it is a little smaller;
//              or the frame after it continues its checksum with the same salts. A flipped byte leaves one of
//              the salts as it was, and what never was written is zero, so neither looks like this.
//   damaged    somewhere behind, a frame with our salts continues the checksum that is stored in the frame
//              before it, and it or one after it of that kind is a commit frame. Without a commit nothing is
//              lost: frames of a transaction that was rolled back, or whose process died, stay in the file when
//              the next, shorter one is written over their beginning.
//   torn       anything else
//   clean      nothing
//
// The chain of checksums is broken at the first bad frame, so further on each frame is checked against what is
// stored in the one before it; right behind the first bad frame also against what that one should have stored,
// because it may be the checksum that is damaged.
//
// Everything behind is read, in the same window. Holes of a sparse file are jumped over: zeros are no frame.
#include <errno.h>
#include <unistd.h>

#include "wal/scan.h"

// A leftover of this many restarts ago is taken for one by its salt alone.
static const uint32_t restarts_max = 65536;

typedef struct look {
    weir_wal_scan *scan;
    weir_wal_end *end;
    uint64_t offset;
    uint32_t stored[2];   // checksum in the frame before `offset`
    uint32_t computed[2]; // what it should have been; only behind the first frame
    bool is_second;       // `offset` is that of the frame behind the first
    uint32_t first_salt[2];
    bool first_differs; // both salts of the first frame differ from ours
    bool first_is_older;
    uint64_t older_frames, older_offset;
} look;

static bool is_ours(const look *l, const weir__wal_frame_header *h)
{
    return h->salt[0] == l->scan->header.salt[0] && h->salt[1] == l->scan->header.salt[1] && h->page != 0;
}

static bool both_differ(const look *l, const weir__wal_frame_header *h)
{
    return h->salt[0] != l->scan->header.salt[0] && h->salt[1] != l->scan->header.salt[1] && h->page != 0;
}

static bool is_a_little_older(const look *l, const weir__wal_frame_header *h)
{
    return l->scan->header.salt[0] - h->salt[0] <= restarts_max;
}

static bool continues(const look *l, const unsigned char *frame, const uint32_t from[2])
{
    uint32_t sum[2] = {from[0], from[1]};
    return weir__wal_frame_continues(l->scan, frame, sum);
}

static void count_ours(look *l, const weir__wal_frame_header *h)
{
    if (l->end->behind_frames++ == 0)
        l->end->behind_offset = l->offset;
    l->end->behind_commits += h->n_page != 0;
}

// A frame behind the first.
static void look_at(look *l, const unsigned char *frame, const weir__wal_frame_header *h)
{
    if (is_ours(l, h)) {
        if (continues(l, frame, l->stored) || (l->is_second && continues(l, frame, l->computed)))
            count_ours(l, h);
        return;
    }
    if (!both_differ(l, h))
        return;
    if (l->is_second && l->first_differs && h->salt[0] == l->first_salt[0] && h->salt[1] == l->first_salt[1])
        l->first_is_older = l->first_is_older || continues(l, frame, l->stored);
    if (l->older_frames++ == 0)
        l->older_offset = l->offset;
}

// The frame that is not valid, of which there are `size` bytes.
static void look_at_first(look *l, const unsigned char *frame, size_t size)
{
    const weir__wal_frame_header h = weir__wal_frame_header_get(frame);
    l->first_salt[0] = h.salt[0];
    l->first_salt[1] = h.salt[1];
    l->first_differs = both_differ(l, &h);
    l->first_is_older = l->first_differs && is_a_little_older(l, &h);
    if (l->first_differs) {
        l->older_frames = 1;
        l->older_offset = l->offset;
    }
    l->computed[0] = l->scan->here.sum[0];
    l->computed[1] = l->scan->here.sum[1];
    if (size == weir__wal_frame_size(l->scan))
        (void)weir__wal_frame_continues(l->scan, frame, l->computed);
}

// Behind the hole that `offset` is in, on a frame's boundary; where it is in none, or nobody knows, stays.
static uint64_t behind_hole(const look *l, uint64_t offset)
{
    const uint64_t frame_size = weir__wal_frame_size(l->scan);
    const off_t data = lseek(l->scan->fd, (off_t)offset, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO && l->end->size > offset ? l->end->size : offset;
    return (uint64_t)data > offset ? offset + ((uint64_t)data - offset) / frame_size * frame_size : offset;
}

// To the next frame, `h` being the header of this one.
static void step(look *l, const weir__wal_frame_header *h)
{
    l->stored[0] = h->sum[0];
    l->stored[1] = h->sum[1];
    l->offset += weir__wal_frame_size(l->scan);
    l->is_second = l->offset == l->scan->here.offset + weir__wal_frame_size(l->scan);
    if (h->page == 0 && h->salt[0] == 0) {
        const uint64_t next = behind_hole(l, l->offset);
        l->is_second = l->is_second && next == l->offset;
        l->offset = next;
    }
}

static int walk(look *l, weir_error *err)
{
    const size_t frame_size = weir__wal_frame_size(l->scan);
    while (l->offset + frame_size <= l->end->size) {
        const unsigned char *frame = NULL;
        size_t size = 0;
        const int code = weir__wal_scan_window(l->scan, l->offset, &frame, &size, err);
        if (code != WEIR_OK || size < frame_size)
            return code;
        const weir__wal_frame_header h = weir__wal_frame_header_get(frame);
        look_at(l, frame, &h);
        step(l, &h);
    }
    return WEIR_OK;
}

static void conclude(look *l)
{
    weir_wal_end *const end = l->end;
    if (end->behind_commits > 0) {
        end->kind = WEIR_WAL_END_DAMAGED;
    } else if (l->first_is_older) {
        end->kind = WEIR_WAL_END_OLDER;
        end->behind_frames = l->older_frames;
        end->behind_offset = l->older_offset;
    } else {
        end->kind = WEIR_WAL_END_TORN;
    }
}

int weir__wal_look_ahead(weir_wal_scan *scan, weir_wal_end *end, weir_error *err)
{
    look l = {.scan = scan, .end = end, .offset = scan->here.offset};
    const unsigned char *frame = NULL;
    size_t size = 0;
    int code = weir__wal_scan_window(scan, l.offset, &frame, &size, err);
    end->kind = size == 0 ? WEIR_WAL_END_CLEAN : WEIR_WAL_END_TORN;
    if (code != WEIR_OK || size < WEIR_WAL_FRAME_HEADER_SIZE)
        return code;
    const weir__wal_frame_header h = weir__wal_frame_header_get(frame);
    look_at_first(&l, frame, size);
    if (size == weir__wal_frame_size(scan)) {
        if (is_ours(&l, &h) && l.computed[0] == h.sum[0] && l.computed[1] == h.sum[1]) {
            end->kind = WEIR_WAL_END_CLEAN; // it came after `next` had looked
            return WEIR_OK;
        }
        step(&l, &h);
        code = walk(&l, err);
    }
    if (code == WEIR_OK)
        conclude(&l);
    return code;
}
