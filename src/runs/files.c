// SPDX-License-Identifier: MIT
//
// The folders of a storage: executions/<id>/ and artifacts/<id>/, and the names in them. Ids come from a
// database that others write too, so a path is built only from ids that are safe, one component at a time
// from the storage folder's descriptor, and never through a symbolic link.
//
// Any thread. Blocks for the file system.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "runs/runs.h"

enum {
    dir_mode = 0777,
    file_mode = 0666
}; // the umask decides, as for the program that we share the folder with

static const char *const dir_names[] = {"executions", "artifacts"};

static int bad_id(const char *id, weir_error *err)
{
    char shown[64];
    weir__utf8_sanitize(shown, sizeof shown, id, strlen(id));
    return weir__error_set(
        err, WEIR_INVALID,
        "the id \"%s\" cannot be part of a file name: only letters, digits, '.', '_' and '-' can", shown);
}

// Makes (when `create`) and opens one directory below another.
static int open_below(int parent, const char *name, bool create, const char *shown, int *fd, weir_error *err)
{
    if (create && mkdirat(parent, name, dir_mode) == 0) {
        const int synced = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (synced >= 0) {
            fsync(synced); // without the name the files in it are lost too; their own sync reports a broken
                           // disk
            close(synced);
        }
    } else if (create && errno != EEXIST) {
        return weir__error_errno(err, errno, "cannot create the folder %s", shown);
    }
    *fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd >= 0)
        return WEIR_OK;
    if (errno == ENOENT)
        return weir__error_errno(err, ENOENT, "there is no folder %s", shown);
    return weir__error_errno(err, errno, "cannot open the folder %s (symbolic links are not followed)",
                             shown);
}

int weir__runs_dir_open(weir_runs *runs, weir__runs_dir dir, const char *execution_id, bool create, int *fd,
                        weir_error *err)
{
    *fd = -1;
    if (!weir__fs_is_safe_id(execution_id, strlen(execution_id)))
        return bad_id(execution_id, err);
    weir__text shown = {0};
    weir__text_printf(&shown, "%s/%s", runs->path, dir_names[dir]);
    int parent = -1;
    int rc = open_below(runs->root_fd, dir_names[dir], create, weir__text_string(&shown), &parent, err);
    if (rc == WEIR_OK) {
        weir__text_printf(&shown, "/%s", execution_id);
        rc = open_below(parent, execution_id, create, weir__text_string(&shown), fd, err);
        close(parent);
    }
    weir__text_free(&shown);
    return rc;
}

int weir__log_name(char name[WEIR__LOG_NAME_SIZE], int64_t step_index, const char *step_id, weir_error *err)
{
    if (step_id == NULL) {
        snprintf(name, WEIR__LOG_NAME_SIZE, "run.log");
        return WEIR_OK;
    }
    if (!weir__fs_is_safe_id(step_id, strlen(step_id)))
        return bad_id(step_id, err);
    snprintf(name, WEIR__LOG_NAME_SIZE, "step_%" PRId64 "_%s.log", step_index, step_id);
    return WEIR_OK;
}

// Refuses what is not a regular file; O_NONBLOCK on opening has kept a pipe from holding us.
static int check_regular(int fd, const char *name, weir_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return weir__error_errno(err, errno, "cannot look at %s", name);
    if (!S_ISREG(st.st_mode))
        return weir__error_set(err, WEIR_INVALID, "%s is not a regular file", name);
    return WEIR_OK;
}

int weir__log_open(weir_runs *runs, const char *execution_id, const char *name, int flags, int *fd,
                   weir_error *err)
{
    *fd = -1;
    int dir = -1;
    int rc = weir__runs_dir_open(runs, WEIR__DIR_EXECUTIONS, execution_id, (flags & O_CREAT) != 0, &dir, err);
    if (rc != WEIR_OK)
        return rc;
    const int file = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, file_mode);
    const int saved = errno;
    close(dir);
    if (file < 0)
        return weir__error_errno(err, saved, "cannot open the log %s/executions/%s/%s", runs->path,
                                 execution_id, name);
    rc = check_regular(file, name, err);
    if (rc != WEIR_OK) {
        close(file);
        return rc;
    }
    *fd = file;
    return WEIR_OK;
}

const char *weir__path_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

const char *weir__file_extension(const char *file_name)
{
    const char *const name = weir__path_name(file_name);
    const char *const dot = strrchr(name, '.');
    return dot == NULL || dot == name || dot[1] == '\0' ? name + strlen(name) : dot;
}

const char *weir__mime_type(const char *file_name)
{
    static const struct {
        const char *extension, *type;
    } types[] = {
        {".txt", "text/plain"},      {".log", "text/plain"},        {".html", "text/html"},
        {".xml", "text/xml"},        {".json", "application/json"}, {".csv", "text/csv"},
        {".pdf", "application/pdf"}, {".zip", "application/zip"},   {".tar", "application/x-tar"},
        {".gz", "application/gzip"}, {".png", "image/png"},         {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},     {".gif", "image/gif"},
    };
    const char *const extension = weir__file_extension(file_name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcasecmp(extension, types[i].extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}
