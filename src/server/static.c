// SPDX-License-Identifier: MIT
//
// See static.h. Each segment is opened relative to the folder before it and without following a link, so no path can
// leave its folder, whatever anybody does to the files meanwhile.
#include "server/static.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

typedef struct root {
    char *name; // NULL: the web interface
    int fd;
} root;

struct weir__static {
    root *roots;
    size_t roots_count;
};

static int add_root(weir__static *files, const char *name, size_t name_size, const char *directory,
                    weir_error *err)
{
    root *added = &files->roots[files->roots_count];
    *added = (root){.fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (added->fd < 0 && errno == ENOTDIR)
        return weir__error_set(err, WEIR_INVALID, "%s is no folder", directory);
    if (added->fd < 0)
        return weir__error_errno(err, errno, "cannot open the folder %s", directory);
    files->roots_count++;
    if (name != NULL && (added->name = strndup(name, name_size)) == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for static files");
    return WEIR_OK;
}

static int add_custom(weir__static *files, const char *entry, weir_error *err)
{
    const size_t name_size = strcspn(entry, "=");
    if (name_size == 0 || entry[name_size] == '\0' || entry[name_size + 1] == '\0' || entry[0] == '.' ||
        memchr(entry, '/', name_size) != NULL)
        return weir__error_set(err, WEIR_INVALID, "'%s' is not of the form NAME=DIR, NAME without a slash",
                               entry);
    return add_root(files, entry, name_size, entry + name_size + 1, err);
}

int weir__static_open(const char *webui, const weir__strings *custom, weir__static **files, weir_error *err)
{
    *files = NULL;
    weir__static *made = calloc(1, sizeof *made);
    if (made != NULL)
        made->roots = calloc(custom->count + 1, sizeof *made->roots);
    if (made == NULL || made->roots == NULL) {
        weir__static_close(made);
        return weir__error_set(err, WEIR_NOMEM, "no memory for static files");
    }
    int code = webui == NULL ? WEIR_OK : add_root(made, NULL, 0, webui, err);
    for (size_t i = 0; code == WEIR_OK && i < custom->count; i++)
        code = add_custom(made, custom->items[i], err);
    if (code != WEIR_OK) {
        weir__static_close(made);
        return code;
    }
    *files = made;
    return WEIR_OK;
}

void weir__static_close(weir__static *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < files->roots_count; i++) {
        (void)close(files->roots[i].fd);
        free(files->roots[i].name);
    }
    free(files->roots);
    free(files);
}

const char *weir__static_media_type(const char *name)
{
    static const struct {
        const char *end, *type;
    } known[] = {
        {"html", "text/html; charset=utf-8"},
        {"css", "text/css; charset=utf-8"},
        {"js", "text/javascript"},
        {"mjs", "text/javascript"},
        {"json", "application/json"},
        {"png", "image/png"},
        {"svg", "image/svg+xml"},
        {"ico", "image/x-icon"},
        {"woff2", "font/woff2"},
        {"woff", "application/font-woff"},
        {"ttf", "application/font-sfnt"},
    };
    const char *point = strrchr(name, '.');
    for (size_t i = 0; point != NULL && i < sizeof known / sizeof *known; i++)
        if (strcasecmp(point + 1, known[i].end) == 0)
            return known[i].type;
    return "application/octet-stream";
}

static bool may_be_served(const char *segment)
{
    return segment[0] != '\0' && segment[0] != '.' && strchr(segment, '/') == NULL;
}

// The folder that the path is in, and the first segment that counts there. NULL: none.
static const root *find_root(const weir__static *files, const weir__uri *uri, size_t *first)
{
    const bool custom = uri->segments_count >= 2 && strcmp(uri->segments[0], "pages") == 0;
    const root *found = NULL;
    *first = 0;
    for (size_t i = 0; i < files->roots_count; i++) {
        const root *candidate = &files->roots[i];
        if (candidate->name == NULL) {
            found = candidate;
        } else if (custom && strcmp(candidate->name, uri->segments[1]) == 0) {
            *first = 2;
            return candidate;
        }
    }
    return found;
}

// Opens `name` in a folder without following a link. Closes the folder.
static int open_below(int folder, const char *name)
{
    const int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    const int error = errno;
    (void)close(folder);
    errno = error;
    return fd;
}

static bool is_kind(int fd, mode_t kind)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

// The descriptor of what the segments lead to, or -1.
static int walk(const root *start, const weir__uri *uri, size_t first)
{
    int fd = fcntl(start->fd, F_DUPFD_CLOEXEC, 0);
    for (size_t i = first; fd >= 0 && i < uri->segments_count; i++) {
        if (!may_be_served(uri->segments[i])) {
            (void)close(fd);
            return -1;
        }
        fd = open_below(fd, uri->segments[i]);
    }
    return fd;
}

int weir__static_find(const weir__static *files, const weir__uri *uri, int *fd, const char **media_type,
                      weir_error *err)
{
    static const char index[] = "index.html";
    size_t first = 0;
    *fd = -1;
    const char *name = index;
    const root *start = uri->unclean ? NULL : find_root(files, uri, &first);
    int found = start == NULL ? -1 : walk(start, uri, first);
    if (is_kind(found, S_IFDIR))
        found = open_below(found, index);
    else if (first < uri->segments_count)
        name = uri->segments[uri->segments_count - 1];
    if (!is_kind(found, S_IFREG)) {
        if (found >= 0)
            (void)close(found);
        return weir__error_set(err, WEIR_NOTFOUND, "there is no such page");
    }
    *media_type = weir__static_media_type(name);
    *fd = found;
    return WEIR_OK;
}
