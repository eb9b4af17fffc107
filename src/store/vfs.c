// SPDX-License-Identifier: MIT
//
// A shim VFS. Every sqlite3_file that SQLite gets from us is a `shim_file` with the file of the VFS below
// right behind it in the same allocation; each method does its own small thing and passes the call on. SQLite
// looks at iVersion to know which methods exist, so there is one method table per version, and a file gets
// the one that matches the file below.
//
// The checkpoint guard works on what SQLite's documentation says about WAL locks: a checkpoint takes CKPT,
// unless PASSIVE it asks for WRITE, and before it copies any frame into the database it takes READ0
// exclusively. When READ0 is refused with SQLITE_BUSY, it moves nothing and ends in peace. So the guard is
// one rule: an exclusive request for READ0 by a connection that does not hold WRITE is answered with
// SQLITE_BUSY.
//
// Threads: a shim_file belongs to its connection, as SQLite sees to; a journal file may be synced by another
// thread, which touches only its immutable fields. Counters are relaxed atomics. The sync histograms have one
// lock, held for the few nanoseconds of recording. The fault hook is published by its function pointer.
#include "store/vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

// SQLite's numbers of the WAL locks, as xShmLock gets them.
enum { lock_write = 0, lock_read0 = 3 };

enum { wal_index_block_size = 32768, name_size = 32 };

typedef struct role_counters {
    uint64_t sync_count;        // atomic, relaxed
    uint64_t sync_failed_count; // atomic, relaxed
    uint64_t sync_ns;           // atomic, relaxed
    uint64_t write_count;       // atomic, relaxed
    uint64_t write_bytes;       // atomic, relaxed
    weir__histogram sync_times; // recorded under histogram_lock
} role_counters;

struct weir__vfs {
    sqlite3_vfs vfs; // first: SQLite hands this pointer back to us
    sqlite3_vfs *below;
    weir__clock *clock;
    uint64_t sync_delay_ns;
    char name[name_size];
    unsigned open_files;    // atomic
    weir__vfs_fault *fault; // atomic: written after fault_context
    void *fault_context;    // atomic
    pthread_mutex_t histogram_lock;
    role_counters roles[WEIR__VFS_ROLES];
};

typedef struct shim_file {
    sqlite3_file file; // first
    weir__vfs *owner;
    weir__vfs_role role;
    bool shm_mapped; // SQLite has mapped the first block of the wal-index
    bool write_held; // holds the WRITE lock
    bool read0_held; // holds READ0 exclusively, that is: moves frames
    bool guarded;    // between guard_begin and guard_end
    weir__vfs_guard guard;
    weir__vfs_guard_report report;
} shim_file;

// The file below starts at the next boundary that suits any type.
enum {
    shim_file_size =
        (sizeof(shim_file) + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t)
};

static shim_file *shim_of(sqlite3_file *file)
{
    return (shim_file *)file;
}

static sqlite3_file *below_of(sqlite3_file *file)
{
    return (sqlite3_file *)((char *)file + shim_file_size);
}

static weir__vfs *owner_of(sqlite3_vfs *vfs)
{
    return (weir__vfs *)vfs;
}

static sqlite3_vfs *below_vfs(sqlite3_vfs *vfs)
{
    return owner_of(vfs)->below;
}

static void count(uint64_t *counter, uint64_t amount)
{
    __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

static uint64_t counted(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static int ask_fault(weir__vfs *owner, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    weir__vfs_fault *const fault = __atomic_load_n(&owner->fault, __ATOMIC_ACQUIRE);
    if (fault == NULL)
        return SQLITE_OK;
    return fault(__atomic_load_n(&owner->fault_context, __ATOMIC_RELAXED), op, role, offset, size);
}

static int ask_file_fault(sqlite3_file *file, weir__vfs_op op, int64_t offset, int size)
{
    return ask_fault(shim_of(file)->owner, op, shim_of(file)->role, offset, size);
}

// ---- The file's methods ----

static int file_close(sqlite3_file *file)
{
    const int rc = below_of(file)->pMethods->xClose(below_of(file));
    __atomic_fetch_sub(&shim_of(file)->owner->open_files, 1, __ATOMIC_RELEASE);
    file->pMethods = NULL;
    return rc;
}

static int file_read(sqlite3_file *file, void *buffer, int size, sqlite3_int64 offset)
{
    const int fault = ask_file_fault(file, WEIR__VFS_READ, offset, size);
    if (fault != SQLITE_OK)
        return fault;
    return below_of(file)->pMethods->xRead(below_of(file), buffer, size, offset);
}

static int file_write(sqlite3_file *file, const void *buffer, int size, sqlite3_int64 offset)
{
    const int fault = ask_file_fault(file, WEIR__VFS_WRITE, offset, size);
    if (fault != SQLITE_OK)
        return fault;
    const int rc = below_of(file)->pMethods->xWrite(below_of(file), buffer, size, offset);
    if (rc == SQLITE_OK) {
        role_counters *const counters = &shim_of(file)->owner->roles[shim_of(file)->role];
        count(&counters->write_count, 1);
        count(&counters->write_bytes, (uint64_t)size);
    }
    return rc;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    const int fault = ask_file_fault(file, WEIR__VFS_TRUNCATE, size, 0);
    if (fault != SQLITE_OK)
        return fault;
    return below_of(file)->pMethods->xTruncate(below_of(file), size);
}

static void record_sync(weir__vfs *owner, weir__vfs_role role, uint64_t took_ns, bool failed)
{
    role_counters *const counters = &owner->roles[role];
    count(&counters->sync_count, 1);
    count(&counters->sync_failed_count, failed ? 1 : 0);
    count(&counters->sync_ns, took_ns);
    pthread_mutex_lock(&owner->histogram_lock);
    weir__histogram_record(&counters->sync_times, took_ns);
    pthread_mutex_unlock(&owner->histogram_lock);
}

static int file_sync(sqlite3_file *file, int flags)
{
    weir__vfs *const owner = shim_of(file)->owner;
    const uint64_t start_ns = weir__clock_now_ns(owner->clock);
    if (owner->sync_delay_ns > 0)
        weir__clock_sleep_until(owner->clock, weir__deadline_ns(start_ns, owner->sync_delay_ns));
    int rc = ask_file_fault(file, WEIR__VFS_SYNC, 0, flags);
    if (rc == SQLITE_OK)
        rc = below_of(file)->pMethods->xSync(below_of(file), flags);
    record_sync(owner, shim_of(file)->role, weir__clock_now_ns(owner->clock) - start_ns, rc != SQLITE_OK);
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return below_of(file)->pMethods->xFileSize(below_of(file), size);
}

static int file_lock(sqlite3_file *file, int level)
{
    const int fault = ask_file_fault(file, WEIR__VFS_LOCK, 0, level);
    if (fault != SQLITE_OK)
        return fault;
    return below_of(file)->pMethods->xLock(below_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level)
{
    return below_of(file)->pMethods->xUnlock(below_of(file), level);
}

static int file_check_reserved_lock(sqlite3_file *file, int *reserved)
{
    return below_of(file)->pMethods->xCheckReservedLock(below_of(file), reserved);
}

static int file_control(sqlite3_file *file, int op, void *argument)
{
    const int rc = below_of(file)->pMethods->xFileControl(below_of(file), op, argument);
    if (op != SQLITE_FCNTL_VFSNAME || rc != SQLITE_OK)
        return rc;
    char **const name = argument;
    char *const below_name = *name;
    *name = sqlite3_mprintf("%s/%z", shim_of(file)->owner->name, below_name); // %z frees its argument
    return SQLITE_OK;
}

static int file_sector_size(sqlite3_file *file)
{
    return below_of(file)->pMethods->xSectorSize(below_of(file));
}

static int file_device_characteristics(sqlite3_file *file)
{
    return below_of(file)->pMethods->xDeviceCharacteristics(below_of(file));
}

static int file_shm_map(sqlite3_file *file, int block, int block_size, int extend, void volatile **mapped)
{
    const int fault = ask_file_fault(file, WEIR__VFS_SHM_MAP, block, block_size);
    if (fault != SQLITE_OK) {
        *mapped = NULL;
        return fault;
    }
    const int rc = below_of(file)->pMethods->xShmMap(below_of(file), block, block_size, extend, mapped);
    if (rc == SQLITE_OK && block == 0 && *mapped != NULL)
        shim_of(file)->shm_mapped = true;
    return rc;
}

static bool covers(int first, int lock_count, int lock)
{
    return first <= lock && lock < first + lock_count;
}

// Notes a change of the two locks that matter to the guard.
static void note_locks(shim_file *shim, int first, int lock_count, bool held)
{
    if (covers(first, lock_count, lock_write))
        shim->write_held = held;
    if (covers(first, lock_count, lock_read0))
        shim->read0_held = held;
    if (!shim->guarded)
        return;
    shim->report.write_taken |= shim->write_held;
    shim->report.backfilled |= shim->read0_held;
    shim->report.backfilled_without_write |= shim->read0_held && !shim->write_held;
}

static bool guard_refuses(shim_file *shim, int first, int lock_count)
{
    if (!shim->guarded || shim->guard != WEIR__VFS_GUARD_LOCKED_ONLY || shim->write_held)
        return false;
    if (!covers(first, lock_count, lock_read0))
        return false;
    shim->report.backfill_refused = true;
    return true;
}

static int file_shm_lock(sqlite3_file *file, int first, int lock_count, int flags)
{
    shim_file *const shim = shim_of(file);
    const bool locking = (flags & SQLITE_SHM_LOCK) != 0;
    const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    if (locking) {
        const int fault = ask_file_fault(file, WEIR__VFS_SHM_LOCK, first, lock_count);
        if (fault != SQLITE_OK)
            return fault;
        if (exclusive && guard_refuses(shim, first, lock_count))
            return SQLITE_BUSY;
    }
    const int rc = below_of(file)->pMethods->xShmLock(below_of(file), first, lock_count, flags);
    if (exclusive && rc == SQLITE_OK)
        note_locks(shim, first, lock_count, locking);
    if (exclusive && locking && rc == SQLITE_BUSY && covers(first, lock_count, lock_write))
        shim->report.write_busy_count++;
    return rc;
}

static void file_shm_barrier(sqlite3_file *file)
{
    below_of(file)->pMethods->xShmBarrier(below_of(file));
}

static int file_shm_unmap(sqlite3_file *file, int delete_file)
{
    shim_of(file)->shm_mapped = false;
    return below_of(file)->pMethods->xShmUnmap(below_of(file), delete_file);
}

static int file_fetch(sqlite3_file *file, sqlite3_int64 offset, int size, void **page)
{
    return below_of(file)->pMethods->xFetch(below_of(file), offset, size, page);
}

static int file_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    return below_of(file)->pMethods->xUnfetch(below_of(file), offset, page);
}

enum { method_versions = 3 };

#define METHODS_1                                                                               \
    .xClose = file_close, .xRead = file_read, .xWrite = file_write, .xTruncate = file_truncate, \
    .xSync = file_sync, .xFileSize = file_size, .xLock = file_lock, .xUnlock = file_unlock,     \
    .xCheckReservedLock = file_check_reserved_lock, .xFileControl = file_control,               \
    .xSectorSize = file_sector_size, .xDeviceCharacteristics = file_device_characteristics
#define METHODS_2                                                                                   \
    METHODS_1, .xShmMap = file_shm_map, .xShmLock = file_shm_lock, .xShmBarrier = file_shm_barrier, \
               .xShmUnmap = file_shm_unmap

static const sqlite3_io_methods file_methods[method_versions] = {
    {.iVersion = 1, METHODS_1},
    {.iVersion = 2, METHODS_2},
    {.iVersion = 3, METHODS_2, .xFetch = file_fetch, .xUnfetch = file_unfetch},
};

// ---- The VFS's methods ----

static weir__vfs_role role_of_flags(int flags)
{
    if ((flags & SQLITE_OPEN_MAIN_DB) != 0)
        return WEIR__VFS_MAIN;
    if ((flags & SQLITE_OPEN_WAL) != 0)
        return WEIR__VFS_WAL;
    if ((flags & SQLITE_OPEN_MAIN_JOURNAL) != 0)
        return WEIR__VFS_JOURNAL;
    return WEIR__VFS_OTHER;
}

static bool ends_in(const char *name, const char *suffix)
{
    const size_t size = strlen(name);
    const size_t suffix_size = strlen(suffix);
    return size >= suffix_size && memcmp(name + size - suffix_size, suffix, suffix_size) == 0;
}

static weir__vfs_role role_of_name(const char *name)
{
    if (ends_in(name, "-wal"))
        return WEIR__VFS_WAL;
    return ends_in(name, "-journal") ? WEIR__VFS_JOURNAL : WEIR__VFS_OTHER;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_out)
{
    weir__vfs *const owner = owner_of(vfs);
    sqlite3_file *const below = below_of(file);
    memset(file, 0, shim_file_size);
    below->pMethods = NULL;
    shim_file *const shim = shim_of(file);
    shim->owner = owner;
    shim->role = role_of_flags(flags);
    int rc = ask_fault(owner, WEIR__VFS_OPEN, shim->role, 0, flags);
    if (rc != SQLITE_OK)
        return rc;
    rc = owner->below->xOpen(owner->below, name, below, flags, flags_out);
    if (rc != SQLITE_OK) {
        if (below->pMethods != NULL) // a file below may want to be closed although it did not open
            below->pMethods->xClose(below);
        return rc;
    }
    WEIR_ASSERT(below->pMethods->iVersion >= 1);
    const int version =
        below->pMethods->iVersion < method_versions ? below->pMethods->iVersion : method_versions;
    file->pMethods = &file_methods[version - 1];
    __atomic_fetch_add(&owner->open_files, 1, __ATOMIC_RELAXED);
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    const int fault = ask_fault(owner_of(vfs), WEIR__VFS_DELETE, role_of_name(name), 0, 0);
    if (fault != SQLITE_OK)
        return fault;
    return below_vfs(vfs)->xDelete(below_vfs(vfs), name, sync_dir);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
    return below_vfs(vfs)->xAccess(below_vfs(vfs), name, flags, result);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int capacity, char *out)
{
    return below_vfs(vfs)->xFullPathname(below_vfs(vfs), name, capacity, out);
}

static void *vfs_dl_open(sqlite3_vfs *vfs, const char *name)
{
    return below_vfs(vfs)->xDlOpen(below_vfs(vfs), name);
}

static void vfs_dl_error(sqlite3_vfs *vfs, int capacity, char *out)
{
    below_vfs(vfs)->xDlError(below_vfs(vfs), capacity, out);
}

static void (*vfs_dl_sym(sqlite3_vfs *vfs, void *library, const char *symbol))(void)
{
    return below_vfs(vfs)->xDlSym(below_vfs(vfs), library, symbol);
}

static void vfs_dl_close(sqlite3_vfs *vfs, void *library)
{
    below_vfs(vfs)->xDlClose(below_vfs(vfs), library);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    return below_vfs(vfs)->xRandomness(below_vfs(vfs), size, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return below_vfs(vfs)->xSleep(below_vfs(vfs), microseconds);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *now)
{
    return below_vfs(vfs)->xCurrentTime(below_vfs(vfs), now);
}

static int vfs_get_last_error(sqlite3_vfs *vfs, int capacity, char *out)
{
    return below_vfs(vfs)->xGetLastError(below_vfs(vfs), capacity, out);
}

static int vfs_current_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *now)
{
    return below_vfs(vfs)->xCurrentTimeInt64(below_vfs(vfs), now);
}

static int vfs_set_system_call(sqlite3_vfs *vfs, const char *name, sqlite3_syscall_ptr call)
{
    return below_vfs(vfs)->xSetSystemCall(below_vfs(vfs), name, call);
}

static sqlite3_syscall_ptr vfs_get_system_call(sqlite3_vfs *vfs, const char *name)
{
    return below_vfs(vfs)->xGetSystemCall(below_vfs(vfs), name);
}

static const char *vfs_next_system_call(sqlite3_vfs *vfs, const char *name)
{
    return below_vfs(vfs)->xNextSystemCall(below_vfs(vfs), name);
}

static sqlite3_vfs vfs_methods(const sqlite3_vfs *below)
{
    const int version = below->iVersion < 3 ? below->iVersion : 3;
    return (sqlite3_vfs){
        .iVersion = version,
        .szOsFile = shim_file_size + below->szOsFile,
        .mxPathname = below->mxPathname,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_pathname,
        .xDlOpen = vfs_dl_open,
        .xDlError = vfs_dl_error,
        .xDlSym = vfs_dl_sym,
        .xDlClose = vfs_dl_close,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_current_time,
        .xGetLastError = vfs_get_last_error,
        // Of these SQLite asks whether they are there.
        .xCurrentTimeInt64 = version >= 2 && below->xCurrentTimeInt64 != NULL ? vfs_current_time_int64 : NULL,
        .xSetSystemCall = version >= 3 && below->xSetSystemCall != NULL ? vfs_set_system_call : NULL,
        .xGetSystemCall = version >= 3 && below->xGetSystemCall != NULL ? vfs_get_system_call : NULL,
        .xNextSystemCall = version >= 3 && below->xNextSystemCall != NULL ? vfs_next_system_call : NULL,
    };
}

// ---- What the store calls ----

int weir__vfs_create(const weir__vfs_config *config, weir__vfs **vfs, weir_error *err)
{
    static unsigned next_number = 1; // atomic
    *vfs = NULL;
    sqlite3_vfs *const below = sqlite3_vfs_find(config->below);
    if (below == NULL)
        return weir__error_set(err, WEIR_UNSUPPORTED, "SQLite has no VFS named %s",
                               config->below != NULL ? config->below : "(default)");
    weir__vfs *const created = calloc(1, sizeof *created);
    if (created == NULL)
        return weir__error_set(err, WEIR_NOMEM, "out of memory while opening a store");
    created->vfs = vfs_methods(below);
    created->below = below;
    created->clock = config->clock != NULL ? config->clock : weir__clock_system();
    created->sync_delay_ns = config->sync_delay_us * WEIR__NS_PER_US;
    const unsigned number = __atomic_fetch_add(&next_number, 1, __ATOMIC_RELAXED);
    snprintf(created->name, sizeof created->name, "weir-%u", number);
    created->vfs.zName = created->name;
    const int mutex_rc = pthread_mutex_init(&created->histogram_lock, NULL);
    WEIR_ASSERT(mutex_rc == 0);
    const int rc = sqlite3_vfs_register(&created->vfs, 0);
    if (rc != SQLITE_OK) {
        pthread_mutex_destroy(&created->histogram_lock);
        free(created);
        return weir__error_set(err, WEIR_INTERNAL, "cannot register a VFS with SQLite: %s",
                               sqlite3_errstr(rc));
    }
    *vfs = created;
    return WEIR_OK;
}

void weir__vfs_destroy(weir__vfs *vfs)
{
    if (vfs == NULL)
        return;
    WEIR_ASSERT(weir__vfs_open_files(vfs) == 0);
    sqlite3_vfs_unregister(&vfs->vfs);
    pthread_mutex_destroy(&vfs->histogram_lock);
    free(vfs);
}

const char *weir__vfs_name(const weir__vfs *vfs)
{
    return vfs->name;
}

unsigned weir__vfs_open_files(const weir__vfs *vfs)
{
    return __atomic_load_n(&vfs->open_files, __ATOMIC_ACQUIRE);
}

void weir__vfs_set_fault(weir__vfs *vfs, weir__vfs_fault *fault, void *context)
{
    __atomic_store_n(&vfs->fault, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&vfs->fault_context, context, __ATOMIC_RELAXED);
    __atomic_store_n(&vfs->fault, fault, __ATOMIC_RELEASE);
}

void weir__vfs_stats_get(const weir__vfs *vfs, weir__vfs_stats *stats)
{
    for (int i = 0; i < WEIR__VFS_ROLES; i++) {
        const role_counters *const counters = &vfs->roles[i];
        stats->roles[i] = (weir__vfs_role_stats){
            .sync_count = counted(&counters->sync_count),
            .sync_failed_count = counted(&counters->sync_failed_count),
            .sync_ns = counted(&counters->sync_ns),
            .write_count = counted(&counters->write_count),
            .write_bytes = counted(&counters->write_bytes),
        };
    }
}

void weir__vfs_sync_histogram(const weir__vfs *vfs, weir__vfs_role role, weir__histogram_snapshot *snapshot)
{
    WEIR_ASSERT(role < WEIR__VFS_ROLES);
    weir__histogram_take(&vfs->roles[role].sync_times, snapshot);
}

static bool is_ours(const sqlite3_file *file)
{
    for (int i = 0; i < method_versions; i++) {
        if (file->pMethods == &file_methods[i])
            return true;
    }
    return false;
}

// The shim file of the connection's main database.
static int main_file(sqlite3 *db, shim_file **shim, weir_error *err)
{
    *shim = NULL;
    sqlite3_file *file = NULL;
    const int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc != SQLITE_OK || file == NULL || !is_ours(file))
        return weir__error_set(err, WEIR_INVALID, "this connection's main file was not opened by a store");
    *shim = shim_of(file);
    return WEIR_OK;
}

int weir__vfs_guard_begin(sqlite3 *db, weir__vfs_guard guard, weir_error *err)
{
    shim_file *shim = NULL;
    const int rc = main_file(db, &shim, err);
    if (rc != WEIR_OK)
        return rc;
    WEIR_ASSERT(!shim->guarded);
    shim->guard = guard;
    shim->report = (weir__vfs_guard_report){0};
    shim->guarded = true;
    return WEIR_OK;
}

int weir__vfs_guard_end(sqlite3 *db, weir__vfs_guard_report *report, weir_error *err)
{
    *report = (weir__vfs_guard_report){0};
    shim_file *shim = NULL;
    const int rc = main_file(db, &shim, err);
    if (rc != WEIR_OK)
        return rc;
    WEIR_ASSERT(shim->guarded);
    shim->guarded = false;
    *report = shim->report;
    return WEIR_OK;
}

int weir__vfs_wal_index(sqlite3 *db, const volatile void **wal_index, weir_error *err)
{
    *wal_index = NULL;
    sqlite3_mutex_enter(sqlite3_db_mutex(db));
    shim_file *shim = NULL;
    int rc = main_file(db, &shim, err);
    if (rc == WEIR_OK && shim->shm_mapped) { // else xShmMap would create the shared memory
        sqlite3_file *const below = below_of(&shim->file);
        void volatile *mapped = NULL;
        const int sqlite_rc = below->pMethods->xShmMap(below, 0, wal_index_block_size, 0, &mapped);
        if (sqlite_rc == SQLITE_OK)
            *wal_index = mapped;
        else
            rc = weir__error_set(err, WEIR_IO, "cannot look at the wal-index: %s", sqlite3_errstr(sqlite_rc));
    }
    sqlite3_mutex_leave(sqlite3_db_mutex(db));
    return rc;
}
