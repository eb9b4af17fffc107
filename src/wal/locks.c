// SPDX-License-Identifier: MIT
//
// Who holds what, from /proc/locks. A line there reads
//
//     1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 126 128
//     2: -> POSIX  ADVISORY  READ 1235 fd:01:5678 120 120        (a request that waits)
//     3: OFDLCK ADVISORY  READ -1 fd:01:5678 128 EOF
//
// with the device in hexadecimal and everything else in decimal. The kernel merges neighbouring ranges of one
// process, so a lock byte is held when a range *contains* it. While locks come and go the file can repeat
// entries; they are listed once.
//
// The file itself is never opened: closing a descriptor of a -shm would drop this process's own locks on it.
// statx(2) tells device, inode and mount without opening.
#include "wal/locks.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/assert.h"
#include "base/fs.h"
#include "base/process.h"
#include "base/text.h"
#include "weir/wal.h"

enum {
    lock_byte_first = 120, // WRITE
    lock_byte_last = lock_byte_first + WEIR_WAL_LOCK_COUNT - 1,
    line_size_max = 256,
    proc_file_size_max = 16 * 1024 * 1024,
};

_Static_assert(lock_byte_last == 128, "DMS is byte 128");

static const char *const lock_names[] = {
    [WEIR_WAL_LOCK_WRITE] = "WRITE", [WEIR_WAL_LOCK_CKPT] = "CKPT",   [WEIR_WAL_LOCK_RECOVER] = "RECOVER",
    [WEIR_WAL_LOCK_READ0] = "READ0", [WEIR_WAL_LOCK_READ1] = "READ1", [WEIR_WAL_LOCK_READ2] = "READ2",
    [WEIR_WAL_LOCK_READ3] = "READ3", [WEIR_WAL_LOCK_READ4] = "READ4", [WEIR_WAL_LOCK_DMS] = "DMS",
};

_Static_assert(sizeof lock_names / sizeof *lock_names == WEIR_WAL_LOCK_COUNT, "every lock has a name");

const char *weir_wal_lock_name(int lock)
{
    return lock >= 0 && lock < WEIR_WAL_LOCK_COUNT ? lock_names[lock] : "?";
}

// The device of mount `id`, from lines like "36 35 98:0 /mnt1 /mnt2 rw,noatime …".
static bool device_of_mount(const char *mountinfo, uint64_t id, dev_t *device)
{
    for (const char *line = mountinfo; line != NULL && *line != '\0';) {
        uint64_t line_id = 0;
        unsigned device_major = 0;
        unsigned device_minor = 0;
        if (sscanf(line, "%" SCNu64 " %*u %u:%u ", &line_id, &device_major, &device_minor) == 3 &&
            line_id == id) {
            *device = makedev(device_major, device_minor);
            return true;
        }
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return false;
}

int weir__lock_file_of(const char *path, weir__lock_file *file, weir_error *err)
{
    *file = (weir__lock_file){0};
    struct statx st;
    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_MNT_ID, &st) != 0)
        return weir__error_errno(err, errno, "cannot examine %s", path);
    file->inode = (ino_t)st.stx_ino;
    file->device = makedev(st.stx_dev_major, st.stx_dev_minor);
    file->mount_device = file->device;
    if ((st.stx_mask & STATX_MNT_ID) == 0)
        return WEIR_OK; // a kernel before 5.8
    char *mountinfo = NULL;
    size_t size = 0;
    if (weir__fs_read_file("/proc/self/mountinfo", proc_file_size_max, &mountinfo, &size, NULL) == WEIR_OK)
        device_of_mount(mountinfo, st.stx_mnt_id, &file->mount_device);
    free(mountinfo);
    return WEIR_OK;
}

bool weir__lock_parse(const char *line, const weir__lock_file *file, weir__lock *lock)
{
    char kind[16];
    char access[16];
    char last[32];
    unsigned device_major = 0;
    unsigned device_minor = 0;
    uint64_t inode = 0;
    *lock = (weir__lock){0};
    const int fields =
        sscanf(line, "%*u: %15s %*15s %15s %" SCNd64 " %x:%x:%" SCNu64 " %" SCNu64 " %31s", kind, access,
               &lock->pid, &device_major, &device_minor, &inode, &lock->first, last);
    if (fields != 8 || (strcmp(kind, "POSIX") != 0 && strcmp(kind, "OFDLCK") != 0))
        return false;
    const dev_t device = makedev(device_major, device_minor);
    if (inode != file->inode || (device != file->device && device != file->mount_device))
        return false;
    lock->exclusive = strcmp(access, "WRITE") == 0;
    if (!lock->exclusive && strcmp(access, "READ") != 0)
        return false;
    if (strcmp(last, "EOF") == 0) {
        lock->last = UINT64_MAX;
        return true;
    }
    char *end = NULL;
    errno = 0;
    lock->last = strtoull(last, &end, 10);
    return errno == 0 && isdigit((unsigned char)last[0]) && *end == '\0' && lock->last >= lock->first;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_locks(const void *left, const void *right)
{
    const weir__lock *const a = left;
    const weir__lock *const b = right;
    if (a->pid != b->pid)
        return a->pid < b->pid ? -1 : 1;
    if (a->exclusive != b->exclusive)
        return a->exclusive ? -1 : 1;
    const int by_first = compare_u64(a->first, b->first);
    return by_first != 0 ? by_first : compare_u64(a->last, b->last);
}

// Sorts and drops repetitions. Returns how many are left.
static size_t sort_and_dedupe(weir__lock *locks, size_t count)
{
    if (count == 0)
        return 0;
    qsort(locks, count, sizeof *locks, compare_locks);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (compare_locks(&locks[i], &locks[kept - 1]) != 0)
            locks[kept++] = locks[i];
    }
    return kept;
}

static size_t count_lines(const char *content)
{
    size_t count = 1; // the last may lack its end
    for (const char *at = strchr(content, '\n'); at != NULL; at = strchr(at + 1, '\n'))
        count++;
    return count;
}

int weir__locks_parse(const char *content, const weir__lock_file *file, uint64_t first, uint64_t last,
                      weir__lock **locks, size_t *count, weir_error *err)
{
    *count = 0;
    *locks = calloc(count_lines(content), sizeof **locks);
    if (*locks == NULL)
        return weir__error_set(err, WEIR_NOMEM, "out of memory while reading /proc/locks");
    size_t found = 0;
    for (const char *line = content; *line != '\0';) {
        const size_t size = strcspn(line, "\n");
        char one[line_size_max];
        if (size < sizeof one) {
            memcpy(one, line, size);
            one[size] = '\0';
            weir__lock *const lock = &(*locks)[found];
            found += weir__lock_parse(one, file, lock) && lock->first <= last && lock->last >= first;
        }
        line += size + (line[size] == '\n');
    }
    *count = sort_and_dedupe(*locks, found);
    return WEIR_OK;
}

// The lock bytes that first … last contains, as bits.
static uint32_t lock_bits(const weir__lock *lock)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < WEIR_WAL_LOCK_COUNT; i++) {
        if (lock->first <= lock_byte_first + i && lock->last >= lock_byte_first + i)
            bits |= UINT32_C(1) << i;
    }
    return bits;
}

// The -shm of the database: SQLite follows symbolic links of the database's name first.
static int shm_path_of(const char *db_path, weir__text *path, weir_error *err)
{
    char *const real = realpath(db_path, NULL);
    weir__text_add(path, real != NULL ? real : db_path);
    weir__text_add(path, "-shm");
    free(real);
    if (path->failed)
        return weir__error_set(err, WEIR_NOMEM, "out of memory while looking at the locks of %s", db_path);
    return WEIR_OK;
}

// Gathers the locks, which are ordered by pid, into one holder per process.
static size_t gather(const weir__lock *locks, size_t lock_count, weir_wal_lock_holder *holders,
                     size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < lock_count; i++) {
        const bool is_new = i == 0 || locks[i].pid != locks[i - 1].pid;
        count += is_new;
        if (count > capacity)
            continue;
        weir_wal_lock_holder *const holder = &holders[count - 1];
        if (is_new) {
            *holder = (weir_wal_lock_holder){.pid = locks[i].pid};
            if (holder->pid > 0 && holder->pid <= INT_MAX)
                weir__process_command((pid_t)holder->pid, holder->command, sizeof holder->command);
        }
        if (locks[i].exclusive)
            holder->exclusive |= lock_bits(&locks[i]);
        else
            holder->shared |= lock_bits(&locks[i]);
    }
    return count;
}

int weir_wal_lock_holders(const char *db_path, weir_wal_lock_holder *holders, size_t capacity, size_t *count,
                          weir_error *err)
{
    *count = 0;
    weir__text path = {0};
    weir__lock_file file;
    char *content = NULL;
    weir__lock *locks = NULL;
    size_t size = 0;
    size_t lock_count = 0;
    int rc = shm_path_of(db_path, &path, err);
    if (rc != WEIR_OK)
        goto out;
    rc = weir__lock_file_of(weir__text_string(&path), &file, err);
    if (rc == WEIR_NOTFOUND)
        weir__error_set(err, rc, "there is no %s: nobody has the database open in WAL mode",
                        weir__text_string(&path));
    if (rc != WEIR_OK)
        goto out;
    rc = weir__fs_read_file("/proc/locks", proc_file_size_max, &content, &size, err);
    if (rc == WEIR_NOTFOUND || rc == WEIR_DENIED) // a sandbox; not to be mixed up with "no wal-index"
        rc = weir__error_set(err, WEIR_UNSUPPORTED,
                             "cannot tell who holds locks: /proc/locks cannot be read here");
    if (rc != WEIR_OK)
        goto out;
    rc = weir__locks_parse(content, &file, lock_byte_first, lock_byte_last, &locks, &lock_count, err);
    if (rc == WEIR_OK)
        *count = gather(locks, lock_count, holders, capacity);
out:
    free(locks);
    free(content);
    weir__text_free(&path);
    return rc;
}
