// SPDX-License-Identifier: MIT
//
// The line is written over itself: back to its beginning, the text, the rest of the line erased.
#include "cli/progress.h"

#include "base/clock.h"
#include "cli/format.h"

static const uint64_t frame_ns = 100000000;

bool weir__progress_tell(void *progress, const char *phase, uint64_t done, uint64_t total)
{
    weir__progress *const p = progress;
    const uint64_t now_ns = weir__clock_now_ns(weir__clock_system());
    weir__text bytes = {0};
    if (!p->screen->terminal || (p->drawn_ns != 0 && now_ns - p->drawn_ns < frame_ns))
        return true;
    p->drawn_ns = now_ns;
    weir__format_bytes(&bytes, done);
    weir__screen_printf(p->screen, "\r%s %s", phase, weir__text_string(&bytes));
    if (total > 0)
        weir__screen_printf(p->screen, ", %u %%", (unsigned)((double)done / (double)total * 100));
    weir__screen_add(p->screen, "\x1b[K");
    (void)weir__screen_flush(p->screen, NULL);
    weir__text_free(&bytes);
    return true;
}

void weir__progress_end(weir__progress *progress)
{
    if (progress->drawn_ns == 0)
        return;
    weir__screen_add(progress->screen, "\r\x1b[K");
    (void)weir__screen_flush(progress->screen, NULL);
    progress->drawn_ns = 0;
}
