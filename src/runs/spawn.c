// SPDX-License-Identifier: MIT
//
// posix_spawn with everything settled beforehand. The working directory is opened first, so that its error
// can be told from the program's, and given to the child as a descriptor. The program's candidates are tried
// in PATH's order; as in Python's child, an error other than ENOENT and ENOTDIR is remembered but does not
// end the search.
//
// A raised RLIMIT_NOFILE must not reach scripts (programs that close every descriptor up to the limit get
// slow, those that use select() break), but posix_spawn has no attribute for limits. So the limit of the
// child is put back from here, right after it has started; a program that asks in its very first instructions
// may still see ours.
#include "runs/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/process.h"
#include "base/span.h"
#include "base/text.h"

extern char **environ;

static const char default_path[] = "/bin:/usr/bin"; // as Python's os.defpath

static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rlimit limit_before; // under limit_lock
static bool limit_raised;          // under limit_lock

void weir__spawn_raise_limits(void)
{
    pthread_mutex_lock(&limit_lock);
    struct rlimit limit;
    if (!limit_raised && getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit_before = limit;
        limit.rlim_cur = limit.rlim_max;
        limit_raised = setrlimit(RLIMIT_NOFILE, &limit) == 0;
    }
    pthread_mutex_unlock(&limit_lock);
}

static void limit_restore(pid_t pid)
{
    pthread_mutex_lock(&limit_lock);
    if (limit_raised)
        (void)prlimit(pid, RLIMIT_NOFILE, &limit_before, NULL);
    pthread_mutex_unlock(&limit_lock);
}

// In Python's words; `name` is what it shows in quotes.
static int os_error(weir_error *err, int error, const char *name)
{
    const int rc = weir__error_set(err, weir__error_code_of_errno(error), "[Errno %d] %s: '%s'", error,
                                   strerrordesc_np(error), name);
    if (err != NULL)
        err->os_errno = error;
    return rc;
}

// A descriptor that is none of 0, 1 and 2, which the child's file actions overwrite.
static int above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    (void)close(fd);
    errno = error;
    return moved;
}

static int pipe_open(int ends[2], weir_error *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return weir__error_errno(err, errno, "cannot make a pipe for a script's output");
    }
    ends[0] = above_standard(ends[0]);
    ends[1] = above_standard(ends[1]);
    if (ends[0] < 0 || ends[1] < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
        return weir__error_errno(err, errno, "cannot make a pipe for a script's output");
    return WEIR_OK;
}

// ---------------------------------------------------------------------------------------------- spawning

typedef struct child_setup {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
} child_setup;

// Calls of posix_spawn_* return an error number; the only one possible here is ENOMEM.
static int child_init(child_setup *child, int directory_fd, int output_fd)
{
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    const short flags = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    int error = posix_spawn_file_actions_init(&child->actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&child->attributes);
    if (error != 0) {
        (void)posix_spawn_file_actions_destroy(&child->actions);
        return error;
    }
    if (error == 0)
        error = posix_spawn_file_actions_addfchdir_np(&child->actions, directory_fd);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&child->actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&child->actions, output_fd, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&child->actions, output_fd, STDERR_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(&child->actions, STDERR_FILENO + 1);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(&child->attributes, &all);
    if (error == 0)
        error = posix_spawnattr_setsigmask(&child->attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setflags(&child->attributes, flags);
    return error;
}

static void child_fini(child_setup *child)
{
    (void)posix_spawn_file_actions_destroy(&child->actions);
    (void)posix_spawnattr_destroy(&child->attributes);
}

static int try_program(const char *path, const weir__spawn_request *request, const child_setup *child,
                       pid_t *pid)
{
    // posix_spawn changes neither the arguments nor the environment; its type only says so less clearly.
    union {
        const char *const *constant;
        char *const *plain;
    } argv = {request->argv}, environment = {request->environment};
    return posix_spawn(pid, path, &child->actions, &child->attributes, argv.plain, environment.plain);
}

static const char *path_of(const char *const *environment)
{
    const char *path = default_path;
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, "PATH=", 5) == 0)
            path = *environment + 5;
    }
    return path;
}

// Tries the program in every directory of PATH. Returns 0 or the error number to report.
static int search_path(const weir__spawn_request *request, const child_setup *child, int directory_fd,
                       pid_t *pid)
{
    int first_error = 0;
    int error = ENOENT;
    weir__text candidate = {0};
    for (const char *path = path_of(request->environment); path != NULL;) {
        const char *const colon = strchr(path, ':');
        const size_t size = colon != NULL ? (size_t)(colon - path) : strlen(path);
        weir__text_clear(&candidate);
        weir__text_append(&candidate, path, size);
        if (size > 0 && path[size - 1] != '/')
            weir__text_char(&candidate, '/');
        weir__text_add(&candidate, request->argv[0]);
        if (candidate.failed)
            error = ENOMEM;
        else if (faccessat(directory_fd, candidate.data, F_OK, 0) != 0) // spares a process for most of them
            error = errno;
        else
            error = try_program(candidate.data, request, child, pid);
        if (error == 0)
            break;
        if (error != ENOENT && error != ENOTDIR && first_error == 0)
            first_error = error;
        path = colon != NULL ? colon + 1 : NULL;
    }
    weir__text_free(&candidate);
    return error != 0 && first_error != 0 ? first_error : error;
}

static int start(const weir__spawn_request *request, int directory_fd, int output_fd, pid_t *pid)
{
    child_setup child;
    int error = child_init(&child, directory_fd, output_fd);
    if (error != 0)
        return error;
    error = strchr(request->argv[0], '/') != NULL ? try_program(request->argv[0], request, &child, pid)
                                                  : search_path(request, &child, directory_fd, pid);
    child_fini(&child);
    return error;
}

static int open_directory(const char *path, int *fd, weir_error *err)
{
    *fd = above_standard(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_PATH));
    if (*fd < 0)
        return os_error(err, errno, path);
    if (faccessat(*fd, ".", X_OK, AT_EACCESS) != 0)
        return os_error(err, errno, path);
    return WEIR_OK;
}

// Without a pidfd its end could not be noticed: undo the start.
static int watch(pid_t pid, int *pidfd, weir_error *err)
{
    *pidfd = pidfd_open(pid, 0);
    if (*pidfd >= 0)
        return WEIR_OK;
    const int error = errno;
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return weir__error_errno(err, error, "cannot watch a script that was started");
}

int weir__spawn(const weir__spawn_request *request, weir__spawned *spawned, weir_error *err)
{
    *spawned = (weir__spawned){.pid = -1, .pidfd = -1, .output = -1};
    int directory_fd = -1;
    int ends[2] = {-1, -1};
    pid_t pid = -1;
    int pidfd = -1;
    int rc = open_directory(request->working_directory, &directory_fd, err);
    if (rc == WEIR_OK)
        rc = pipe_open(ends, err);
    if (rc != WEIR_OK)
        goto out;
    const int error = start(request, directory_fd, ends[1], &pid);
    if (error != 0) {
        rc = os_error(err, error, request->argv[0]);
        goto out;
    }
    rc = watch(pid, &pidfd, err);
    if (rc != WEIR_OK)
        goto out;
    limit_restore(pid);
    *spawned = (weir__spawned){.pid = pid, .pidfd = pidfd, .output = ends[0]};
    ends[0] = -1;
    if (weir__process_start_ticks(pid, &spawned->start_ticks, NULL) != WEIR_OK)
        spawned->start_ticks = 0; // it has ended already
out:
    if (ends[1] >= 0)
        (void)close(ends[1]);
    if (ends[0] >= 0)
        (void)close(ends[0]);
    if (directory_fd >= 0)
        (void)close(directory_fd);
    return rc;
}

// ------------------------------------------------------------------------------------------- environment

// Whether some entry of `list` sets the same name as `entry`.
static bool sets_name_of(const char *const *list, const char *entry)
{
    const char *const equals = strchr(entry, '=');
    const size_t size = equals != NULL ? (size_t)(equals - entry) + 1 : strlen(entry);
    for (; list != NULL && *list != NULL; list++) {
        if (strncmp(*list, entry, size) == 0)
            return true;
    }
    return false;
}

static int append_copy(char **environment, size_t *count, const char *entry, weir_error *err)
{
    environment[*count] = strdup(entry);
    if (environment[*count] == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for a script's environment");
    (*count)++;
    return WEIR_OK;
}

int weir__environment_overlay(const char *const *overlay, char ***out, weir_error *err)
{
    *out = NULL;
    size_t size = 1;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
        size++;
    for (const char *const *entry = overlay; entry != NULL && *entry != NULL; entry++, size++) {
        if (strchr(*entry, '=') == NULL || **entry == '=')
            return weir__error_set(err, WEIR_INVALID,
                                   "an environment variable is written as NAME=VALUE, not '%s'", *entry);
    }
    char **const environment = calloc(size, sizeof *environment);
    if (environment == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for a script's environment");
    size_t count = 0;
    int rc = WEIR_OK;
    for (char **entry = environ; rc == WEIR_OK && entry != NULL && *entry != NULL; entry++) {
        if (!sets_name_of(overlay, *entry))
            rc = append_copy(environment, &count, *entry, err);
    }
    // Of a name given twice the last one counts.
    for (const char *const *entry = overlay; rc == WEIR_OK && entry != NULL && *entry != NULL; entry++) {
        if (!sets_name_of(entry + 1, *entry))
            rc = append_copy(environment, &count, *entry, err);
    }
    if (rc != WEIR_OK) {
        weir__environment_free(environment);
        return rc;
    }
    *out = environment;
    return WEIR_OK;
}

void weir__environment_free(char **environment)
{
    for (char **entry = environment; entry != NULL && *entry != NULL; entry++)
        free(*entry);
    free(environment);
}
