// SPDX-License-Identifier: MIT
//
// The other process itself: reads lines, runs them on a plain SQLite connection, answers each with a line.
// The commands stand in peer.h. It ends when its input does, so it never outlives the test.
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_SIZE = 4096, BUSY_MS = 20000 };

static int first_value(void *arg, int columns, char **values, char **names)
{
    (void)names;
    char *answer = arg;
    if (!answer[0] && columns > 0)
        snprintf(answer, LINE_SIZE, "%s", values[0] ? values[0] : "null");
    return 0;
}

static void complain(sqlite3 *db)
{
    printf("error %d: %s\n", sqlite3_extended_errcode(db), sqlite3_errmsg(db));
}

static void run(sqlite3 *db, const char *sql)
{
    char answer[LINE_SIZE] = "";
    if (sqlite3_exec(db, sql, first_value, answer, NULL) == SQLITE_OK)
        printf("%s\n", answer[0] ? answer : "ok");
    else
        complain(db);
}

// Somebody has said something; our input is not buffered.
static bool is_told(void)
{
    struct pollfd in = {.fd = 0, .events = POLLIN};
    return poll(&in, 1, 0) != 0;
}

static bool read_line(char *line)
{
    if (!fgets(line, LINE_SIZE, stdin))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

// The line that ends it is its own command, and nothing more.
static void repeat(sqlite3 *db, const char *sql)
{
    char line[LINE_SIZE];
    long long done = 0;
    printf("ok\n");
    while (!is_told()) {
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
            read_line(line);
            complain(db);
            return;
        }
        done++;
    }
    if (read_line(line))
        printf("%lld\n", done);
}

// Never closed: that would drop the locks that SQLite holds for this process.
static void lock_byte(const char *database, int byte)
{
    char path[LINE_SIZE];
    snprintf(path, sizeof path, "%s-shm", database);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fd < 0 || fcntl(fd, F_SETLK, &lock) != 0)
        printf("error 0: cannot lock byte %d of %s\n", byte, path);
    else
        printf("ok\n");
}

int main(int argc, char **argv)
{
    static char line[LINE_SIZE];
    sqlite3 *db = NULL;
    if (argc != 2)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);
    if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        return 3;
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_wal_autocheckpoint(db, 0);
    printf("ready\n");
    while (read_line(line)) {
        if (strcmp(line, ".naive") == 0)
            printf("%s\n", sqlite3_wal_autocheckpoint(db, 1000) == SQLITE_OK ? "ok" : "error 0");
        else if (strncmp(line, ".repeat ", 8) == 0)
            repeat(db, line + 8);
        else if (strncmp(line, ".lock ", 6) == 0)
            lock_byte(argv[1], (int)strtol(line + 6, NULL, 10));
        else
            run(db, line);
    }
    return sqlite3_close(db) == SQLITE_OK ? 0 : 4;
}
