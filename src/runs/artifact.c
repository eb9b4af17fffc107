// SPDX-License-Identifier: MIT
//
// Artifact files. A script names a file; a copy goes to artifacts/<execution>/<artifact id>_<name>, complete
// and synced before the row that speaks of it is committed, so a crash leaves a file without a row (the sweep
// finds it) and never a row without its file.
//
// The one file that must not be copied, nor even opened, is this process's own database: closing any descriptor
// of it, or of its -shm, would drop the locks that SQLite holds through others. So a source is pinned with O_PATH,
// which takes and drops no locks, and looked at before it is opened.
//
// Any thread; copying blocks for as long as the file is large.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "runs/runs.h"

enum { stored_name_max = 240 }; // leaves room for what a temporary name adds to it

// "<id>_<name>", in UTF-8 as its row will say it; the name's beginning is cut off where the whole would be too
// long, so that the extension stays.
static void stored_name(weir__text *out, const char *id, const char *name)
{
    const size_t room = stored_name_max - strlen(id) - 1;
    weir__text valid = {0};
    weir__text_utf8(&valid, name, strlen(name));
    const char *kept = weir__text_string(&valid) + (valid.size > room ? valid.size - room : 0);
    while (((unsigned char)*kept & 0xC0) == 0x80) // not in the middle of a character
        kept++;
    weir__text_printf(out, "%s_%s", id, kept);
    out->failed = out->failed || valid.failed;
    weir__text_free(&valid);
}

// Whether file_path already is the copy that storing would make.
static bool is_stored(const weir_runs *runs, const weir_artifact *artifact, bool *is_our_path)
{
    struct stat st;
    const char *const name = weir__path_name(artifact->file_path);
    const size_t id_size = strlen(artifact->id);
    *is_our_path = strncmp(name, artifact->id, id_size) == 0 && name[id_size] == '_';
    if (!*is_our_path)
        return false;
    weir__text path = {0};
    weir__text_printf(&path, "%s/artifacts/%s/%s", runs->path, artifact->execution_id, name);
    const bool stored = !path.failed && lstat(weir__text_string(&path), &st) == 0 && S_ISREG(st.st_mode);
    weir__text_free(&path);
    return stored;
}

static int set_file_fields(weir_artifact *artifact, const char *file_name, int64_t size,
                           const char *mime_type, weir_error *err)
{
    int rc = weir__replace_string(&artifact->file_name, file_name, err);
    if (rc == WEIR_OK)
        rc = weir__replace_string(&artifact->mime_type, mime_type, err);
    if (rc == WEIR_OK && (artifact->name == NULL || *artifact->name == '\0'))
        rc = weir__replace_string(&artifact->name, file_name, err);
    artifact->file_size = size;
    return rc;
}

// The last component, also of "dir/" and "dir/.".
static int name_of_directory(const char *path, char **name, weir_error *err)
{
    char *const resolved = realpath(path, NULL);
    const char *const last = weir__path_name(resolved != NULL ? resolved : path);
    const bool copied = weir__copy_string(*last != '\0' ? last : "/", name);
    free(resolved);
    return copied ? WEIR_OK : weir__no_memory(err);
}

static int take_directory(weir_artifact *artifact, weir_error *err)
{
    char *name = NULL;
    int rc = name_of_directory(artifact->file_path, &name, err);
    if (rc == WEIR_OK)
        rc = set_file_fields(artifact, name, 0, "inode/directory", err);
    if (rc == WEIR_OK)
        rc = weir__json_put(&artifact->metadata_json, "kind", json_string("directory"), err);
    free(name);
    artifact->exists = rc == WEIR_OK;
    return rc;
}

static int take_missing(weir_artifact *artifact, weir_error *err)
{
    artifact->exists = false;
    if (artifact->name == NULL || *artifact->name == '\0') {
        const int rc = weir__replace_string(&artifact->name, weir__path_name(artifact->file_path), err);
        if (rc != WEIR_OK)
            return rc;
    }
    return set_file_fields(artifact, "", 0, "", err);
}

// Copies, then makes file_path the copy's: the storage folder as it was given, so that relative stays
// relative.
static int take_file(weir_runs *runs, int pinned, weir_artifact *artifact, weir_error *err)
{
    int dir = -1;
    int rc = weir__runs_dir_open(runs, WEIR__DIR_ARTIFACTS, artifact->execution_id, true, &dir, err);
    if (rc != WEIR_OK)
        return rc;
    weir__text name = {0};
    weir__text to = {0};
    weir__text path = {0};
    stored_name(&name, artifact->id, weir__path_name(artifact->file_path));
    weir__text_printf(&to, "%s/artifacts/%s/%s", runs->path, artifact->execution_id,
                      weir__text_string(&name));
    weir__text_add(&path, runs->given);
    while (path.size > 1 && path.data[path.size - 1] == '/')
        path.data[--path.size] = '\0';
    weir__text_printf(&path, "/artifacts/%s/%s", artifact->execution_id, weir__text_string(&name));
    rc = name.failed || to.failed || path.failed
             ? weir__no_memory(err)
             : weir__fs_copy_pinned(pinned, artifact->file_path, to.data, err);
    if (rc == WEIR_OK && fsync(dir) != 0)
        rc = weir__error_errno(err, errno, "cannot sync the folder of %s", to.data);
    if (rc == WEIR_OK)
        rc = weir__replace_string(&artifact->file_path, path.data, err);
    artifact->exists = rc == WEIR_OK || artifact->exists;
    weir__text_free(&path);
    weir__text_free(&to);
    weir__text_free(&name);
    close(dir);
    return rc;
}

// Whether the file, under whatever name, is our database or its shared memory.
static bool is_our_database(const weir_runs *runs, const struct stat *file)
{
    static const char *const suffixes[] = {"", "-shm"};
    bool found = false;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        struct stat st;
        weir__text path = {0};
        weir__text_printf(&path, "%s%s", runs->database, suffixes[i]);
        if (path.failed)
            found = true; // not known: better no copy than lost locks
        else if (stat(path.data, &st) == 0)
            found = found || (st.st_dev == file->st_dev && st.st_ino == file->st_ino);
        weir__text_free(&path);
    }
    return found;
}

static int take_pinned(weir_runs *runs, int pinned, weir_artifact *artifact, weir_error *err)
{
    struct stat st;
    if (fstat(pinned, &st) != 0)
        return weir__error_errno(err, errno, "cannot look at the artifact %s", artifact->file_path);
    if (S_ISDIR(st.st_mode))
        return take_directory(artifact, err);
    artifact->exists = true;
    const char *const name = weir__path_name(artifact->file_path);
    const int rc = set_file_fields(artifact, name, (int64_t)st.st_size, weir__mime_type(name), err);
    if (rc != WEIR_OK)
        return rc;
    if (!S_ISREG(st.st_mode))
        return weir__error_set(err, WEIR_INVALID, "the artifact %s is not a regular file",
                               artifact->file_path);
    if (is_our_database(runs, &st))
        return weir__error_set(err, WEIR_INVALID,
                               "the artifact %s is the database that this run is recorded in; copy it with "
                               "VACUUM INTO and name the copy",
                               artifact->file_path);
    return take_file(runs, pinned, artifact, err);
}

int weir__artifact_store(weir_runs *runs, weir_artifact *artifact, weir_error *err)
{
    bool is_our_path = false;
    if (artifact->id == NULL || !weir__fs_is_safe_id(artifact->id, strlen(artifact->id)) ||
        artifact->execution_id == NULL ||
        !weir__fs_is_safe_id(artifact->execution_id, strlen(artifact->execution_id)) ||
        artifact->file_path == NULL)
        return weir__error_set(err, WEIR_INVALID, "an artifact needs an id, an execution and a path");
    if (is_stored(runs, artifact, &is_our_path)) {
        artifact->exists = true;
        return WEIR_OK;
    }
    const int pinned = open(artifact->file_path, O_PATH | O_CLOEXEC);
    if (pinned < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return take_missing(artifact, err);
        artifact->exists = false;
        return weir__error_errno(err, errno, "cannot look at the artifact %s", artifact->file_path);
    }
    const int rc = take_pinned(runs, pinned, artifact, err);
    close(pinned);
    return rc;
}

int weir_runs_save_artifact(weir_runs *runs, weir_artifact *artifact, weir_error *err)
{
    if (runs->read_only)
        return weir__error_set(err, WEIR_DENIED, "%s is open for reading only", runs->path);
    const int stored = weir__artifact_store(runs, artifact, err);
    const weir_save_item item = {.kind = WEIR_SAVE_ARTIFACT, .artifact = artifact};
    const int saved = weir_runs_save(runs, &item, 1, NULL, stored == WEIR_OK ? err : NULL);
    return stored != WEIR_OK ? stored : saved;
}

int weir_runs_artifact_open(weir_runs *runs, const char *artifact_id, int *fd, weir_artifact *out,
                            weir_error *err)
{
    weir_artifact artifact;
    struct stat st;
    int dir = -1;
    int file = -1;
    *fd = -1;
    if (out != NULL)
        *out = (weir_artifact){0};
    int rc = weir_runs_get_artifact(runs, artifact_id, &artifact, err);
    if (rc != WEIR_OK)
        return rc;
    const char *const name = weir__path_name(artifact.file_path);
    rc = weir__runs_dir_open(runs, WEIR__DIR_ARTIFACTS, artifact.execution_id, false, &dir, NULL);
    if (rc == WEIR_OK && *name != '\0')
        file = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 || fstat(file, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = weir__error_errno(err, ENOENT, "the artifact %s has no stored file", artifact_id);
        if (file >= 0)
            close(file);
        weir_artifact_free(&artifact);
    } else {
        *fd = file;
        if (out != NULL)
            *out = artifact;
        else
            weir_artifact_free(&artifact);
    }
    if (dir >= 0)
        close(dir);
    return rc;
}
