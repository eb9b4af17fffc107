// SPDX-License-Identifier: MIT
//
// Who else has a hand on the database: names the process that holds one of its locks, for the sentences of
// errors and reports. Reads /proc only; asks for no lock.
#include <stdio.h>
#include <unistd.h>

#include "store/store.h"

enum {
    HOLDERS_MAX = 32,
};

int64_t weir__store_holder(weir_store *store, int lock_first, int lock_last, char *out, size_t size)
{
    weir_wal_lock_holder holders[HOLDERS_MAX];
    size_t count = 0;
    uint32_t wanted = 0;
    out[0] = '\0';
    for (int lock = lock_first; lock <= lock_last; lock++)
        wanted |= 1u << lock;
    if (store->memory || weir_wal_lock_holders(store->path, holders, HOLDERS_MAX, &count, NULL) != WEIR_OK)
        return 0;
    for (size_t i = 0; i < count && i < HOLDERS_MAX; i++) {
        const weir_wal_lock_holder *holder = &holders[i];
        if (holder->pid == (int64_t)getpid() || !((holder->shared | holder->exclusive) & wanted))
            continue;
        if (holder->pid < 0)
            snprintf(out, size, "held by a process that the system does not name");
        else
            snprintf(out, size, "held by process %lld (%.100s)", (long long)holder->pid, holder->command);
        return holder->pid;
    }
    return 0;
}
