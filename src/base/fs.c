// SPDX-License-Identifier: MIT
//
// Files and directories: reading with a limit, replacing atomically, copying, removing trees.
//
// A new content is written to a temporary file ".weir-<random>.tmp" in the same directory, synced, and
// renamed onto its name; on any failure the temporary file is removed. Trees are removed relative to open
// directories (openat, unlinkat, always O_NOFOLLOW), so that somebody who swaps a directory for a link
// meanwhile cannot lead us elsewhere.
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"

enum { copy_buffer_size = 64 * 1024, read_chunk_min = 4096 };

void weir__fs_join(weir__text *path, const char *directory, const char *name)
{
    const size_t size = strlen(directory);
    weir__text_append(path, directory, size);
    if (size > 0 && directory[size - 1] != '/')
        weir__text_char(path, '/');
    while (*name == '/' && size > 0)
        name++;
    weir__text_add(path, name);
}

void weir__fs_parent(weir__text *directory, const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    if (size == 0) {
        weir__text_char(directory, '.');
        return;
    }
    while (size > 1 && path[size - 1] == '/')
        size--;
    weir__text_append(directory, path, size);
}

static bool is_id_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool weir__fs_is_safe_id(const char *id, size_t size)
{
    if (size == 0 || size > WEIR__FS_ID_SIZE_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!is_id_char(id[i]))
            return false;
    }
    const bool only_dots = id[0] == '.' && (size == 1 || (size == 2 && id[1] == '.'));
    return !only_dots;
}

static int make_dir(const char *path, mode_t mode, weir_error *err)
{
    if (mkdir(path, mode) == 0)
        return WEIR_OK;
    const int mkdir_errno = errno;
    struct stat st;
    if (mkdir_errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return WEIR_OK;
    if (mkdir_errno == EEXIST)
        return weir__error_set(err, WEIR_EXISTS,
                               "cannot create directory %s: a file of that name is in the way", path);
    return weir__error_errno(err, mkdir_errno, "cannot create directory %s", path);
}

int weir__fs_mkdir_p(const char *path, mode_t mode, weir_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return WEIR_OK;
    if (path[0] == '\0')
        return weir__error_set(err, WEIR_INVALID, "cannot create a directory without a name");
    char *const copy = strdup(path);
    if (copy == NULL)
        return weir__error_set(err, WEIR_NOMEM, "out of memory while creating directory %s", path);
    int rc = WEIR_OK;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL && rc == WEIR_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(copy, &st) != 0 || !S_ISDIR(st.st_mode))
            rc = make_dir(copy, mode, err);
        *slash = '/';
    }
    if (rc == WEIR_OK)
        rc = make_dir(copy, mode, err);
    free(copy);
    return rc;
}

// Opens a regular file for reading. O_NONBLOCK so that a pipe without a writer does not hold us.
// `shown` is its name in sentences.
static int open_regular(const char *path, const char *shown, int *fd, struct stat *st, weir_error *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0)
        return weir__error_errno(err, errno, "cannot open %s", shown);
    int rc = WEIR_OK;
    if (fstat(*fd, st) != 0)
        rc = weir__error_errno(err, errno, "cannot examine %s", shown);
    else if (!S_ISREG(st->st_mode))
        rc = weir__error_set(err, WEIR_INVALID, "%s is not a regular file", shown);
    if (rc != WEIR_OK) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

static ssize_t read_some(int fd, void *buffer, size_t size)
{
    ssize_t got = 0;
    do {
        got = read(fd, buffer, size);
    } while (got < 0 && errno == EINTR);
    return got;
}

// Reads to the end into text, which may grow one byte beyond size_max: that is how "too big" shows.
static int read_to_end(int fd, const char *path, size_t size_max, weir__text *text, weir_error *err)
{
    char chunk[read_chunk_min];
    while (text->size <= size_max && !text->failed) {
        const size_t left = size_max - text->size;
        const size_t want = left < sizeof chunk ? left + 1 : sizeof chunk;
        const ssize_t got = read_some(fd, chunk, want);
        if (got < 0)
            return weir__error_errno(err, errno, "cannot read %s", path);
        if (got == 0)
            return WEIR_OK;
        weir__text_append(text, chunk, (size_t)got);
    }
    if (text->failed)
        return weir__error_set(err, WEIR_NOMEM, "out of memory while reading %s", path);
    return weir__error_set(err, WEIR_TOOBIG, "%s is larger than the limit of %zu bytes", path, size_max);
}

int weir__fs_read_file(const char *path, size_t size_max, char **data, size_t *size, weir_error *err)
{
    *data = NULL;
    *size = 0;
    weir__text text = {0};
    struct stat st;
    int fd = -1;
    int rc = open_regular(path, path, &fd, &st, err);
    if (rc != WEIR_OK)
        return rc;
    rc = read_to_end(fd, path, size_max, &text, err);
    close(fd);
    if (rc != WEIR_OK) {
        weir__text_free(&text);
        return rc;
    }
    *size = text.size;
    *data = weir__text_take(&text);
    if (*data == NULL) {
        *size = 0;
        return weir__error_set(err, WEIR_NOMEM, "out of memory while reading %s", path);
    }
    return WEIR_OK;
}

// Creates ".weir-<random>.tmp" beside `path`, open for writing. *name is malloc'd.
static int temp_create(const char *path, mode_t mode, int *fd, char **name, weir_error *err)
{
    *fd = -1;
    weir__text directory = {0};
    weir__text temp = {0};
    weir__fs_parent(&directory, path);
    weir__fs_join(&temp, weir__text_string(&directory), ".weir-");
    weir__text_printf(&temp, "%016" PRIx64 ".tmp", weir__random_u64());
    *name = directory.failed ? NULL : weir__text_take(&temp);
    weir__text_free(&temp);
    weir__text_free(&directory);
    if (*name == NULL)
        return weir__error_set(err, WEIR_NOMEM, "out of memory while writing %s", path);
    *fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (*fd >= 0)
        return WEIR_OK;
    const int rc = weir__error_errno(err, errno, "cannot create a temporary file for %s", path);
    free(*name);
    *name = NULL;
    return rc;
}

int weir__fs_write_all(int fd, const char *name, const void *data, size_t size, weir_error *err)
{
    const char *at = data;
    while (size > 0) {
        const ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return weir__error_errno(err, errno, "cannot write %s", name);
        at += written;
        size -= (size_t)written;
    }
    return WEIR_OK;
}

// Syncs and closes the temporary file and gives it its name; removes it when that, or what came before (rc),
// failed.
static int temp_finish(const char *path, int fd, char *name, int rc, weir_error *err)
{
    if (rc == WEIR_OK && fsync(fd) != 0)
        rc = weir__error_errno(err, errno, "cannot sync %s", path);
    if (close(fd) != 0 && rc == WEIR_OK)
        rc = weir__error_errno(err, errno, "cannot write %s", path);
    if (rc == WEIR_OK && rename(name, path) != 0)
        rc = weir__error_errno(err, errno, "cannot replace %s", path);
    if (rc != WEIR_OK)
        unlink(name);
    free(name);
    return rc;
}

int weir__fs_write_atomic(const char *path, const void *data, size_t size, mode_t mode, weir_error *err)
{
    int fd = -1;
    char *name = NULL;
    int rc = temp_create(path, mode, &fd, &name, err);
    if (rc != WEIR_OK)
        return rc;
    rc = weir__fs_write_all(fd, path, data, size, err);
    rc = temp_finish(path, fd, name, rc, err);
    return rc == WEIR_OK ? weir__fs_sync_parent(path, err) : rc;
}

int weir__fs_sync_dir(const char *directory, weir_error *err)
{
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return weir__error_errno(err, errno, "cannot open directory %s", directory);
    int rc = WEIR_OK;
    if (fsync(fd) != 0 && errno != EINVAL) // EINVAL: this file system has no sync of directories
        rc = weir__error_errno(err, errno, "cannot sync directory %s", directory);
    close(fd);
    return rc;
}

int weir__fs_sync_parent(const char *path, weir_error *err)
{
    weir__text directory = {0};
    weir__fs_parent(&directory, path);
    const int rc = directory.failed ? weir__error_set(err, WEIR_NOMEM, "out of memory while syncing %s", path)
                                    : weir__fs_sync_dir(weir__text_string(&directory), err);
    weir__text_free(&directory);
    return rc;
}

static int copy_by_reading(int from_fd, int to_fd, const char *from, const char *to, off_t left,
                           weir_error *err)
{
    char *const buffer = malloc(copy_buffer_size);
    if (buffer == NULL)
        return weir__error_set(err, WEIR_NOMEM, "out of memory while copying %s", from);
    int rc = WEIR_OK;
    while (left > 0 && rc == WEIR_OK) {
        const size_t want = left < copy_buffer_size ? (size_t)left : copy_buffer_size;
        const ssize_t got = read_some(from_fd, buffer, want);
        if (got < 0)
            rc = weir__error_errno(err, errno, "cannot read %s", from);
        if (got <= 0)
            break;
        rc = weir__fs_write_all(to_fd, to, buffer, (size_t)got, err);
        left -= got;
    }
    free(buffer);
    return rc;
}

// The kernel copies (and shares blocks where it can); what it cannot copy, and the rest behind an error, is
// read and written. A genuine error shows again there, with its own sentence.
static int copy_content(int from_fd, int to_fd, const char *from, const char *to, off_t size, weir_error *err)
{
    off_t left = size;
    while (left > 0) {
        const ssize_t copied = copy_file_range(from_fd, NULL, to_fd, NULL, (size_t)left, 0);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied <= 0)
            break;
        left -= copied;
    }
    return copy_by_reading(from_fd, to_fd, from, to, left, err);
}

static int copy_attributes(int to_fd, const char *to, const struct stat *st, weir_error *err)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (fchmod(to_fd, st->st_mode & 0777) != 0 || futimens(to_fd, times) != 0)
        return weir__error_errno(err, errno, "cannot set the mode and time of %s", to);
    return WEIR_OK;
}

static int copy_file(const char *path, const char *from, const char *to, weir_error *err)
{
    struct stat st;
    int from_fd = -1;
    int to_fd = -1;
    char *name = NULL;
    int rc = open_regular(path, from, &from_fd, &st, err);
    if (rc != WEIR_OK)
        return rc;
    rc = temp_create(to, 0600, &to_fd, &name, err);
    if (rc != WEIR_OK)
        goto out;
    rc = copy_content(from_fd, to_fd, from, to, st.st_size, err);
    if (rc == WEIR_OK)
        rc = copy_attributes(to_fd, to, &st, err);
    rc = temp_finish(to, to_fd, name, rc, err);
out:
    close(from_fd);
    return rc;
}

int weir__fs_copy_file(const char *from, const char *to, weir_error *err)
{
    return copy_file(from, from, to, err);
}

int weir__fs_copy_pinned(int from_fd, const char *from, const char *to, weir_error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", from_fd);
    return copy_file(path, from, to, err);
}

static int remove_at(int parent_fd, const char *name, const char *top, int depth, weir_error *err);

static int remove_children(DIR *dir, const char *top, int depth, weir_error *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *const entry = readdir(dir);
        if (entry == NULL && errno != 0)
            return weir__error_errno(err, errno, "cannot list a directory in %s", top);
        if (entry == NULL)
            return WEIR_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        const int rc = remove_at(dirfd(dir), entry->d_name, top, depth, err);
        if (rc != WEIR_OK)
            return rc;
    }
}

static int remove_dir_at(int parent_fd, const char *name, const char *top, int depth, weir_error *err)
{
    if (depth == WEIR__FS_DEPTH_MAX)
        return weir__error_set(err, WEIR_TOOBIG, "cannot remove %s: directories are nested deeper than %d",
                               top, WEIR__FS_DEPTH_MAX);
    const int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return weir__error_errno(err, errno, "cannot open directory %s in %s", name, top);
    DIR *const dir = fdopendir(fd);
    if (dir == NULL) {
        const int rc = weir__error_errno(err, errno, "cannot list directory %s in %s", name, top);
        close(fd);
        return rc;
    }
    const int rc = remove_children(dir, top, depth + 1, err);
    closedir(dir);
    if (rc != WEIR_OK)
        return rc;
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return weir__error_errno(err, errno, "cannot remove directory %s in %s", name, top);
    return WEIR_OK;
}

static int remove_at(int parent_fd, const char *name, const char *top, int depth, weir_error *err)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
        return WEIR_OK;
    if (errno != EISDIR)
        return weir__error_errno(err, errno, "cannot remove %s in %s", name, top);
    return remove_dir_at(parent_fd, name, top, depth, err);
}

int weir__fs_remove_tree(const char *path, weir_error *err)
{
    return remove_at(AT_FDCWD, path, path, 0, err);
}
