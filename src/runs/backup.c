// SPDX-License-Identifier: MIT
//
// A copy of the database before it is rebuilt. This is the one file of runs/ that speaks to SQLite itself: a
// consistent copy of an open database needs its backup interface (VACUUM INTO is not possible inside a
// transaction, and a plain file copy would drop the process's locks and miss the log).
//
// The copy is made from a snapshot, so writers go on meanwhile, into a file that did not exist before.
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "runs/schema.h"

typedef struct backup {
    const char *path;
} backup;

static int copy_all(weir_tx *tx, void *arg, weir_error *err)
{
    const backup *const job = arg;
    sqlite3 *copy = NULL;
    int rc = sqlite3_open_v2(job->path, &copy, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_backup *const handle = sqlite3_backup_init(copy, "main", weir_tx_sqlite(tx), "main");
        rc = handle != NULL ? sqlite3_backup_step(handle, -1) : sqlite3_errcode(copy);
        const int finished = sqlite3_backup_finish(handle);
        rc = rc == SQLITE_DONE ? finished : rc;
    }
    const int code = (rc & 0xFF) == SQLITE_FULL ? WEIR_FULL : WEIR_IO;
    if (rc != SQLITE_OK) {
        weir__error_set(err, code, "cannot write the backup copy %s: %s; the database is unchanged",
                        job->path, sqlite3_errstr(rc));
        if (err != NULL)
            err->sqlite_code = rc;
    }
    sqlite3_close(copy);
    return rc == SQLITE_OK ? WEIR_OK : code;
}

// Reserves a name that nobody uses: <database>.bak-20250801T173000, then with -1, -2, …
static int create_new(const weir_runs *runs, char **path, weir_error *err)
{
    enum { attempts_max = 100 };
    char now[WEIR_LOCAL_TEXT_SIZE];
    weir_local_format(weir_local_now(), now);
    weir__text name = {0};
    for (int i = 0; i < attempts_max; i++) {
        weir__text_clear(&name);
        weir__text_printf(&name, "%s.bak-%.4s%.2s%.5s%.2s%.2s", runs->database, now, now + 5, now + 8,
                          now + 14, now + 17);
        if (i > 0)
            weir__text_printf(&name, "-%d", i);
        const int fd =
            open(weir__text_string(&name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd >= 0) {
            close(fd);
            *path = weir__text_take(&name);
            return *path != NULL ? WEIR_OK : weir__no_memory(err);
        }
        if (errno != EEXIST)
            break;
    }
    const int rc =
        weir__error_errno(err, errno, "cannot create the backup copy %s", weir__text_string(&name));
    weir__text_free(&name);
    return rc;
}

int weir__schema_backup(weir_runs *runs, char **path, weir_error *err)
{
    *path = NULL;
    char *target = NULL;
    int rc = create_new(runs, &target, err);
    if (rc != WEIR_OK)
        return rc;
    backup job = {.path = target};
    const weir_read_options options = {.deadline_ms = WEIR_NO_DEADLINE,
                                       .label = "runs: backup before a rebuild"};
    rc = weir_read(runs->store, copy_all, &job, &options, err);
    if (rc == WEIR_OK)
        rc = weir__fs_sync_parent(target, err);
    if (rc != WEIR_OK) {
        unlink(target);
        free(target);
        return rc;
    }
    *path = target;
    return WEIR_OK;
}
