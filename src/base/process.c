// SPDX-License-Identifier: MIT
//
// Reading /proc/PID/stat and its neighbours. The command in field 2 of stat may itself hold spaces,
// parentheses and newlines, so fields are counted from the *last* closing parenthesis. Everything else in
// that file is numbers and one letter.
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum {
    proc_read_max = 4096,
    environ_bytes_max = 256 * 1024,
};

// Reads at most capacity - 1 bytes of a file in /proc and terminates them. Returns the size, or -1 with errno
// set.
static ssize_t read_proc(const char *path, char *buffer, size_t capacity)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t size = 0;
    ssize_t got = 0;
    while (size < capacity - 1) {
        got = read(fd, buffer + size, capacity - 1 - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        size += (size_t)got;
    }
    const int read_errno = errno;
    close(fd);
    buffer[size] = '\0';
    errno = read_errno;
    return got < 0 ? -1 : (ssize_t)size;
}

int weir__process_boot_id(char out[WEIR__BOOT_ID_SIZE], weir_error *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    const ssize_t size = read_proc(path, out, WEIR__BOOT_ID_SIZE);
    if (size < 0)
        return weir__error_errno(err, errno, "cannot read %s; is /proc mounted?", path);
    if (size != WEIR__BOOT_ID_SIZE - 1)
        return weir__error_set(err, WEIR_IO, "%s holds no boot id", path);
    return WEIR_OK;
}

// A field of the content of /proc/PID/stat, from 3 (the state) on. NULL when it has not that many.
static const char *stat_field(const char *content, int wanted)
{
    const char *at = strrchr(content, ')');
    for (int field = 2; at != NULL && field < wanted; field++) {
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    return at;
}

static bool stat_number(const char *content, int field, uint64_t *number)
{
    const char *const at = stat_field(content, field);
    char *end = NULL;
    errno = 0;
    *number = at != NULL ? strtoull(at, &end, 10) : 0;
    return at != NULL && errno == 0 && end != at;
}

int weir__process_start_ticks(pid_t pid, uint64_t *start_ticks, weir_error *err)
{
    *start_ticks = 0;
    char path[64];
    char content[proc_read_max];
    snprintf(path, sizeof path, "/proc/%jd/stat", (intmax_t)pid);
    const ssize_t size = pid > 0 ? read_proc(path, content, sizeof content) : 0;
    if (pid <= 0 || (size < 0 && (errno == ENOENT || errno == ESRCH)))
        return weir__error_set(err, WEIR_NOTFOUND, "there is no process %jd", (intmax_t)pid);
    if (size < 0)
        return weir__error_errno(err, errno, "cannot read %s", path);
    const char *const at = stat_field(content, 3);
    if (at == NULL || !stat_number(content, 22, start_ticks))
        return weir__error_set(err, WEIR_IO, "%s has an unexpected form", path);
    const char state = *at;
    if (state == 'Z' || state == 'X' || state == 'x') {
        *start_ticks = 0;
        return weir__error_set(err, WEIR_NOTFOUND, "process %jd has ended", (intmax_t)pid);
    }
    return WEIR_OK;
}

int weir__process_self(weir__process_id *out, weir_error *err)
{
    *out = (weir__process_id){.pid = getpid()};
    const int rc = weir__process_boot_id(out->boot_id, err);
    if (rc != WEIR_OK)
        return rc;
    return weir__process_start_ticks(out->pid, &out->start_ticks, err);
}

bool weir__process_alive(pid_t pid, uint64_t start_ticks, const char *boot_id)
{
    char boot_id_now[WEIR__BOOT_ID_SIZE];
    if (weir__process_boot_id(boot_id_now, NULL) == WEIR_OK && strcmp(boot_id, boot_id_now) != 0)
        return false;
    uint64_t start_ticks_now = 0;
    const int rc = weir__process_start_ticks(pid, &start_ticks_now, NULL);
    if (rc == WEIR_NOTFOUND)
        return false;
    return rc != WEIR_OK || start_ticks_now == start_ticks;
}

bool weir__process_group_lives(pid_t pgid)
{
    DIR *const proc = opendir("/proc");
    bool zombies = false;
    bool lives = false;
    for (const struct dirent *entry; !lives && proc != NULL && (entry = readdir(proc)) != NULL;) {
        const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); // 0 for other names
        uint64_t start_ticks = 0;
        if (pid <= 0 || getpgid(pid) != pgid)
            continue;
        lives = weir__process_start_ticks(pid, &start_ticks, NULL) != WEIR_NOTFOUND;
        zombies = zombies || !lives;
    }
    if (proc != NULL)
        (void)closedir(proc);
    return lives || !zombies;
}

// Between the moment when execve gives a process its new memory, and posix_spawn returns, and the one when the
// environment is there, /proc/PID/environ is empty. The code's address (field 26) is noted last. A process
// without memory (field 23), a zombie or a thread of the kernel, executes nothing.
static bool is_in_execve(pid_t pid)
{
    char path[64];
    char content[proc_read_max];
    uint64_t memory_bytes = 0;
    uint64_t code = 0;
    snprintf(path, sizeof path, "/proc/%jd/stat", (intmax_t)pid);
    return read_proc(path, content, sizeof content) > 0 && stat_number(content, 23, &memory_bytes) &&
           stat_number(content, 26, &code) && memory_bytes > 0 && code == 0;
}

int weir__process_has_variable(pid_t pid, const char *variable, bool *has, weir_error *err)
{
    *has = false;
    char path[64];
    snprintf(path, sizeof path, "/proc/%jd/environ", (intmax_t)pid);
    char *const data = malloc(environ_bytes_max);
    if (data == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for the environment of process %jd",
                               (intmax_t)pid);
    int rc = WEIR_OK;
    ssize_t size = read_proc(path, data, environ_bytes_max);
    if (size == 0) { // none, or none yet, or it came just now
        if (is_in_execve(pid))
            rc = weir__error_set(err, WEIR_BUSY, "process %jd is being started", (intmax_t)pid);
        else
            size = read_proc(path, data, environ_bytes_max);
    }
    *has = size > 0 && memmem(data, (size_t)size, variable, strlen(variable) + 1) != NULL;
    free(data);
    return rc;
}

// Makes raw[size] readable in place: NULs between arguments become spaces, other control characters question
// marks.
static void make_readable(char *raw, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)raw[i];
        if (byte == 0)
            raw[i] = ' ';
        else if (byte < 0x20 || byte == 0x7F)
            raw[i] = '?';
    }
}

size_t weir__process_command(pid_t pid, char *out, size_t capacity)
{
    char path[64];
    char raw[proc_read_max];
    char framed[proc_read_max + 2];
    snprintf(path, sizeof path, "/proc/%jd/cmdline", (intmax_t)pid);
    ssize_t size = read_proc(path, raw, sizeof raw);
    while (size > 0 && raw[size - 1] == '\0')
        size--;
    if (size > 0) {
        make_readable(raw, (size_t)size);
        return weir__utf8_sanitize(out, capacity, raw, (size_t)size);
    }
    snprintf(path, sizeof path, "/proc/%jd/comm", (intmax_t)pid);
    size = read_proc(path, raw, sizeof raw);
    if (size <= 0)
        return weir__utf8_sanitize(out, capacity, "", 0);
    if (raw[size - 1] == '\n')
        size--;
    make_readable(raw, (size_t)size);
    const int framed_size = snprintf(framed, sizeof framed, "[%.*s]", (int)size, raw);
    return weir__utf8_sanitize(out, capacity, framed, framed_size > 0 ? (size_t)framed_size : 0);
}
