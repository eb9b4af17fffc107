// SPDX-License-Identifier: MIT
//
// The VFS of --sync-delay-us for plain SQLite. This is the one place outside the store that looks into it:
// the comparison is fair only when both sides wait in the very same code, and a delay is nothing that a
// public interface for SQLite's own connections should offer. Without a delay the peers stand on SQLite's
// default VFS and carry no weight of ours.
#include "bench/commit.h"
#include "store/vfs.h"

int weir__bench_slow_open(uint32_t sync_delay_us, weir__vfs **vfs, const char **name, weir_error *err)
{
    *vfs = NULL;
    *name = NULL;
    if (sync_delay_us == 0)
        return WEIR_OK;
    const weir__vfs_config config = {.sync_delay_us = sync_delay_us};
    const int code = weir__vfs_create(&config, vfs, err);
    if (code == WEIR_OK)
        *name = weir__vfs_name(*vfs);
    return code;
}

void weir__bench_slow_close(weir__vfs *vfs)
{
    weir__vfs_destroy(vfs);
}
