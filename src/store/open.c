// SPDX-License-Identifier: MIT
//
// Opening and closing a store: look at the place before SQLite does, so that the sentence can say what is
// wrong; set every pragma and read it back; start the parts in an order in which each finds what it needs,
// and stop them in reverse.
//
// The main file is never opened here with plain calls: this process may have it open through SQLite already,
// and closing any descriptor of it would drop the locks. stat(2) and access(2) tell enough; SQLite tells the
// rest.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/text.h"
#include "store/open.h"

enum {
    READERS_MIN = 4,
    READERS_DEFAULT_MAX = 16,
    CLOSE_DEADLINE_MS = 30000,
    JOURNAL_RETRY_MS = 5, // between two attempts to change the journal mode
    CACHE_KIB_MAX = 1 << 30,
};

// ---------------------------------------------------------------------------------------------------- fork

static _Atomic uint64_t fork_generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void in_child(void)
{
    atomic_fetch_add(&fork_generation, 1);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

uint64_t weir__fork_generation(void)
{
    return atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

int weir__store_check(const weir_store *store, weir_error *err)
{
    if (!store)
        return weir__error_set(err, WEIR_INVALID, "the store is NULL");
    if (store->fork_generation != weir__fork_generation())
        return weir__error_set(
            err, WEIR_FORKED,
            "%s: this store was opened before fork(); the child must open the database itself", store->path);
    return WEIR_OK;
}

// -------------------------------------------------------------------------------------------- small things

uint64_t weir__store_deadline_from(uint64_t start_ns, uint32_t deadline_ms, uint32_t default_ms)
{
    const uint32_t ms = deadline_ms ? deadline_ms : default_ms;
    return ms == WEIR_NO_DEADLINE ? WEIR__FOREVER : weir__deadline_ns(start_ns, ms * WEIR__NS_PER_MS);
}

uint64_t weir__store_deadline(const weir_store *store, uint32_t deadline_ms, uint32_t default_ms)
{
    return weir__store_deadline_from(weir__clock_now_ns(store->clock), deadline_ms, default_ms);
}

bool weir__store_sample(weir_store *store, weir_wal_index *index)
{
    return store->wal_index && weir_wal_index_sample(store->wal_index, index, NULL) == WEIR_OK;
}

static char *joined(const char *path, const char *suffix)
{
    weir__text text = {0};
    weir__text_add(&text, path);
    weir__text_add(&text, suffix);
    return weir__text_take(&text);
}

static void default_u32(uint32_t *value, uint32_t standard)
{
    *value = *value ? *value : standard;
}

static void default_u64(uint64_t *value, uint64_t standard)
{
    *value = *value ? *value : standard;
}

static void fill_defaults(weir_config *config)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const uint32_t readers = cores < READERS_MIN           ? READERS_MIN
                             : cores > READERS_DEFAULT_MAX ? READERS_DEFAULT_MAX
                                                           : (uint32_t)cores;
    default_u32(&config->sync_interval_ms, 100);
    default_u32(&config->readers, readers);
    default_u32(&config->cache_kib, 8192);
    default_u32(&config->statements_max, 64);
    default_u32(&config->queue_jobs_max, WEIR__QUEUE_JOBS_DEFAULT);
    default_u64(&config->queue_bytes_max, 64ull << 20);
    default_u32(&config->group_jobs_max, WEIR__GROUP_JOBS_DEFAULT);
    default_u32(&config->applied_jobs_max, config->group_jobs_max);
    default_u32(&config->open_deadline_ms, WEIR_OPEN_DEADLINE_MS_DEFAULT);
    default_u32(&config->write_deadline_ms, 10000);
    default_u32(&config->read_deadline_ms, 30000);
    default_u32(&config->busy_timeout_ms, 250);
    default_u32(&config->retry_tries, 3);
    default_u32(&config->retry_base_ms, 100);
    default_u32(&config->checkpoint_frames, 1000);
    default_u32(&config->checkpoint_idle_ms, 1000);
    default_u64(&config->wal_limit_bytes, 64ull << 20);
    default_u32(&config->reader_gap_ms, 50);
    default_u64(&config->wal_warning_bytes, 50ull * 1000 * 1000);
    default_u64(&config->wal_error_bytes, 100ull * 1000 * 1000);
}

static int check_config(const char *path, const weir_config *config, weir_error *err)
{
    if (!path || !*path)
        return weir__error_set(err, WEIR_INVALID, "no path to a database was given");
    if (strlen(path) >= WEIR__PATH_MAX)
        return weir__error_set(err, WEIR_INVALID, "the path to the database is longer than %d bytes",
                               WEIR__PATH_MAX - 1);
    if ((unsigned)config->durability > WEIR_DURABILITY_OFF)
        return weir__error_set(err, WEIR_INVALID, "%s: there is no durability policy %d", path,
                               (int)config->durability);
    if (config->readers > WEIR_READERS_MAX)
        return weir__error_set(err, WEIR_INVALID, "%s: %u readers are more than %d", path, config->readers,
                               WEIR_READERS_MAX);
    if (config->cache_kib > CACHE_KIB_MAX)
        return weir__error_set(err, WEIR_INVALID, "%s: a page cache of %u KiB is more than %d", path,
                               config->cache_kib, CACHE_KIB_MAX);
    if (config->retry_tries > 16)
        return weir__error_set(err, WEIR_INVALID,
                               "%s: the pause between attempts may double at most 16 times", path);
    return WEIR_OK;
}

// ------------------------------------------------------------------------------- the place, before SQLite

// Other processes make and remove these files at any time: one that is gone when it is looked at again is fine.
static int check_side_file(const char *path, const char *suffix, bool read_only, weir_error *err)
{
    char *name = joined(path, suffix);
    struct stat file;
    int code = WEIR_OK;
    if (!name)
        return weir__error_set(err, WEIR_NOMEM, "%s: out of memory", path);
    if (faccessat(AT_FDCWD, name, read_only ? R_OK : R_OK | W_OK, AT_EACCESS) != 0 && errno != ENOENT &&
        stat(name, &file) == 0)
        code = weir__error_set(
            err, WEIR_DENIED,
            "%s belongs to user %u with mode %03o and cannot be %s by user %u: run as its owner, or let "
            "its owner close the database",
            name, (unsigned)file.st_uid, (unsigned)file.st_mode & 0777, read_only ? "read" : "written",
            (unsigned)geteuid());
    free(name);
    return code;
}

static int check_directory(const char *path, bool exists, bool read_only, weir_error *err)
{
    char copy[WEIR__PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    const char *directory = dirname(copy);
    if ((!exists || !read_only) && faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) != 0)
        return weir__error_errno(
            err, errno, "%s: its directory %s must be writable for the log and its index", path, directory);
    return WEIR_OK;
}

// The file's own name from the root: SQLite follows links and keeps the log beside the file that is meant, and
// a program may change its directory while the store is open.
static int resolve(const char *given, char **real, weir_error *err)
{
    weir__text parent = {0};
    weir__text path = {0};
    struct stat link;
    char *directory = NULL;
    int code = WEIR_OK;
    *real = realpath(given, NULL);
    if (!*real && errno == ENOENT && lstat(given, &link) == 0)
        *real = realpath(given, NULL); // another process has just made it, or it is a link to nowhere
    if (*real)
        return WEIR_OK;
    if (errno != ENOENT)
        return weir__error_errno(err, errno, "%s cannot be looked at", given);
    if (lstat(given, &link) == 0 && S_ISLNK(link.st_mode))
        return weir__error_set(err, WEIR_NOTFOUND, "%s is a link to a file that is not there", given);
    const char *slash = strrchr(given, '/');
    weir__fs_parent(&parent, given);
    directory = parent.data ? realpath(parent.data, NULL) : NULL;
    if (!directory) {
        code = weir__error_errno(err, parent.data ? errno : ENOMEM, "%s: its directory is not there", given);
        goto out;
    }
    weir__fs_join(&path, directory, slash ? slash + 1 : given);
    *real = weir__text_take(&path);
    if (!*real)
        code = weir__error_set(err, WEIR_NOMEM, "%s: out of memory", given);
out:
    free(directory);
    weir__text_free(&path);
    weir__text_free(&parent);
    return code;
}

static int check_file(const char *path, const weir_config *config, bool *exists, weir_error *err)
{
    struct stat file;
    *exists = stat(path, &file) == 0;
    if (!*exists && errno != ENOENT)
        return weir__error_errno(err, errno, "%s cannot be looked at", path);
    if (!*exists && (config->must_exist || config->read_only))
        return weir__error_set(err, WEIR_NOTFOUND, "%s: there is no such database", path);
    if (!*exists)
        return WEIR_OK;
    if (S_ISDIR(file.st_mode))
        return weir__error_set(err, WEIR_INVALID, "%s is a directory, not a database", path);
    if (!S_ISREG(file.st_mode))
        return weir__error_set(err, WEIR_INVALID, "%s is not a regular file", path);
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
        return weir__error_errno(err, errno, "%s belongs to user %u with mode %03o and cannot be read", path,
                                 (unsigned)file.st_uid, (unsigned)file.st_mode & 0777);
    if (!config->read_only && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0)
        return weir__error_errno(
            err, errno,
            "%s belongs to user %u with mode %03o and cannot be written; open it read-only, or "
            "change its mode",
            path, (unsigned)file.st_uid, (unsigned)file.st_mode & 0777);
    return WEIR_OK;
}

static int check_file_system(weir_store *store, const weir__open_hooks *hooks, weir_error *err)
{
    char copy[WEIR__PATH_MAX];
    snprintf(copy, sizeof copy, "%s", store->path);
    weir__fs_kind kind = {0};
    if (hooks && hooks->fs_kind)
        kind = *hooks->fs_kind;
    else {
        const int code = weir__fs_kind_of(dirname(copy), &kind, err);
        if (code != WEIR_OK)
            return code;
    }
    store->fs_kind = kind;
    if (kind.fs_class == WEIR__FS_NETWORK || kind.fs_class == WEIR__FS_FUSE)
        snprintf(
            store->degraded, sizeof store->degraded,
            "the file system is %s, where processes cannot share the memory that a write-ahead log needs",
            kind.name);
    return WEIR_OK;
}

// A read-only store still opens the files for writing where it may (with query_only on each connection): only
// then can it take the empty -wal and -shm away again that SQLite needs to read.
static void note_read_only(weir_store *store)
{
    char directory[WEIR__PATH_MAX];
    if (!store->config.read_only)
        return;
    snprintf(directory, sizeof directory, "%s", store->path);
    store->open_read_only = faccessat(AT_FDCWD, store->path, W_OK, AT_EACCESS) != 0 ||
                            faccessat(AT_FDCWD, dirname(directory), W_OK | X_OK, AT_EACCESS) != 0;
}

static int check_place(weir_store *store, const weir__open_hooks *hooks, bool *exists, weir_error *err)
{
    static const char *const SIDE_FILES[] = {"-wal", "-shm", "-journal"};
    const bool read_only = store->config.read_only;
    int code = check_file(store->path, &store->config, exists, err);
    if (code == WEIR_OK)
        code = check_directory(store->path, *exists, read_only, err);
    for (size_t i = 0; i < sizeof SIDE_FILES / sizeof SIDE_FILES[0] && code == WEIR_OK; i++)
        code = check_side_file(store->path, SIDE_FILES[i], read_only, err);
    if (code != WEIR_OK)
        return code;
    char *journal = joined(store->path, "-journal");
    struct stat file;
    store->hot_journal = journal && stat(journal, &file) == 0 && file.st_size > 0;
    free(journal);
    note_read_only(store);
    return check_file_system(store, hooks, err);
}

// -------------------------------------------------------------------------------------------------- pragmas

static int set_and_check(weir_tx *conn, const char *name, int64_t value, int64_t expected, weir_error *err)
{
    char pragma[96];
    int64_t got = 0;
    snprintf(pragma, sizeof pragma, "PRAGMA %s=%lld", name, (long long)value);
    int code = weir__conn_pragma_int64(conn, pragma, NULL, err);
    snprintf(pragma, sizeof pragma, "PRAGMA %s", name);
    if (code == WEIR_OK)
        code = weir__conn_pragma_int64(conn, pragma, &got, err);
    if (code == WEIR_OK && got != expected)
        code = weir__error_set(err, WEIR_UNSUPPORTED,
                               "%s: SQLite did not accept PRAGMA %s=%lld, it answers %lld", conn->path, name,
                               (long long)value, (long long)got);
    return code;
}

static int64_t synchronous_of(const weir_store *store)
{
    switch (store->config.durability) {
    case WEIR_DURABILITY_FULL:
        // Without a log a commit is a journal's removal, and that is on the disk when EXTRA has synced the directory.
        return store->wal || store->memory ? 2 : 3;
    case WEIR_DURABILITY_OFF:
        return 0;
    default:
        return 1;
    }
}

static int set_pragmas(weir_store *store, weir_tx *conn, weir_error *err)
{
    const weir_config *config = &store->config;
    // The file itself limits mmap_size to SQLITE_MAX_MMAP_SIZE; a database in memory answers nothing.
    const int64_t mmap = (int64_t)config->mmap_bytes;
    const int64_t limit = (int64_t)config->wal_limit_bytes;
    int code = set_and_check(conn, "synchronous", synchronous_of(store), synchronous_of(store), err);
    if (code == WEIR_OK)
        code =
            set_and_check(conn, "cache_size", -(int64_t)config->cache_kib, -(int64_t)config->cache_kib, err);
    if (code == WEIR_OK && !store->memory)
        code = set_and_check(conn, "mmap_size", mmap, mmap, err);
    if (code == WEIR_OK)
        code = set_and_check(conn, "temp_store", 2, 2, err);
    if (code == WEIR_OK)
        code = set_and_check(conn, "wal_autocheckpoint", 0, 0, err);
    if (code == WEIR_OK && store->wal)
        code = set_and_check(conn, "journal_size_limit", limit, limit, err);
    if (code == WEIR_OK && (conn->kind == WEIR__CONN_READER || config->read_only))
        code = set_and_check(conn, "query_only", 1, 1, err);
    if (code == WEIR_OK && config->foreign_keys)
        code = set_and_check(conn, "foreign_keys", 1, 1, err);
    return code;
}

static int connect_raw(weir_store *store, weir__conn_kind kind, weir_tx **conn, weir_error *err)
{
    const weir__conn_options options = {
        .path = store->path,
        .vfs = weir__vfs_name(store->vfs),
        .clock = store->clock,
        .kind = kind,
        .statements_max = store->config.statements_max,
        .busy_until_ns = weir__store_deadline(store, 0, store->config.open_deadline_ms),
        .read_only = store->open_read_only,
        .create = kind == WEIR__CONN_WRITER && !store->config.must_exist && !store->config.read_only,
    };
    return weir__conn_open(&options, conn, err);
}

int weir__store_connect(weir_store *store, weir__conn_kind kind, weir_tx **conn, weir_error *err)
{
    int code = connect_raw(store, kind, conn, err);
    if (code == WEIR_OK)
        code = set_pragmas(store, *conn, err);
    if (code != WEIR_OK) {
        weir__conn_close(*conn);
        *conn = NULL;
    }
    return code;
}

// SQLite does not wait for others when a change of the journal mode meets them half-way, where waiting could be a
// deadlock: it says BUSY at once. So it is asked again, for as long as opening may wait.
static int change_journal(weir_store *store, weir_tx *conn, const char *pragma, char *mode, size_t size,
                          weir_error *err)
{
    for (;;) {
        weir_error why = WEIR_ERROR_INIT;
        const int code = weir__conn_pragma_text(conn, pragma, mode, size, &why);
        const uint64_t now_ns = weir__clock_now_ns(store->clock);
        if (code == WEIR_BUSY && now_ns < conn->busy_until_ns) {
            weir__clock_sleep_until(store->clock, now_ns + JOURNAL_RETRY_MS * WEIR__NS_PER_MS);
            continue;
        }
        if (code != WEIR_OK)
            weir__error_copy(err, &why);
        return code;
    }
}

static int choose_journal(weir_store *store, weir_tx *conn, weir_error *err)
{
    char mode[16];
    int code = weir__conn_pragma_text(conn, "PRAGMA journal_mode", mode, sizeof mode, err);
    if (code == WEIR_DENIED && store->config.read_only)
        return weir__error_set(
            err, WEIR_DENIED,
            "%s: nobody has it open, and user %u may not create the -shm file beside it that "
            "readers need too: look while its program runs, or as its owner",
            conn->path, (unsigned)geteuid());
    if (code != WEIR_OK)
        return code;
    if (store->memory) {
        snprintf(store->degraded, sizeof store->degraded, "the database lives in memory");
        return WEIR_OK;
    }
    const bool wanted = store->degraded[0] == '\0';
    if (!store->config.read_only && wanted != (strcmp(mode, "wal") == 0))
        code = change_journal(store, conn, wanted ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE",
                              mode, sizeof mode, err);
    if (code != WEIR_OK)
        return code;
    store->wal = strcmp(mode, "wal") == 0;
    if (!wanted && store->wal)
        return weir__error_set(err, WEIR_UNSUPPORTED, "%s: it is in WAL mode and cannot leave it, but %s",
                               store->path, store->degraded);
    if (wanted && !store->wal)
        snprintf(store->degraded, sizeof store->degraded, "SQLite keeps journal_mode=%s%s", mode,
                 store->config.read_only ? ", which a read-only store cannot change" : "");
    return WEIR_OK;
}

// SQLite keeps it open for as long as the store lives.
static void remember_log(weir_store *store)
{
    struct stat log;
    if (!store->wal || stat(store->wal_path, &log) != 0)
        return;
    store->wal_device = log.st_dev;
    store->wal_inode = log.st_ino;
}

bool weir__store_is_log(const weir_store *store, const struct stat *file)
{
    return file->st_ino == store->wal_inode && file->st_dev == store->wal_device;
}

int weir__store_look_at_log(const weir_store *store, bool *removed, weir_error *err)
{
    struct stat now;
    *removed = false;
    if (store->wal_inode == 0)
        return WEIR_OK;
    if (stat(store->wal_path, &now) != 0) {
        if (errno != ENOENT)
            return WEIR_OK; // a look that fails says nothing
        *removed = true;
        return weir__error_set(
            err, WEIR_IO,
            "%s was removed while the store uses it; find out what removes files beside the "
            "database. What it held is moved into the database now",
            store->wal_path);
    }
    if (weir__store_is_log(store, &now))
        return WEIR_OK;
    return weir__error_set(
        err, WEIR_IO,
        "%s was replaced while the store uses it; keep the files as they are until you know by "
        "whom, and verify the database",
        store->wal_path);
}

static int open_writer(weir_store *store, weir_error *err)
{
    weir__writer *writer = &store->writer;
    int code = connect_raw(store, WEIR__CONN_WRITER, &writer->conn, err);
    if (code == WEIR_OK)
        code = choose_journal(store, writer->conn, err);
    if (!store->wal && store->config.durability == WEIR_DURABILITY_INTERVAL)
        store->config.durability = WEIR_DURABILITY_FULL; // there is no log to sync: each commit is
    if (code == WEIR_OK)
        code = set_pragmas(store, writer->conn, err);
    if (code == WEIR_OK)
        code = weir__conn_pragma_int64(writer->conn, "PRAGMA page_size", &store->page_size, err);
    if (code == WEIR_OK)
        code = weir__conn_pragma_int64(writer->conn, "SELECT count(*) FROM sqlite_schema", NULL, err);
    if (code == WEIR_OK && store->wal)
        code = weir__vfs_wal_index(writer->conn->db, &store->wal_index, err);
    if (code == WEIR_OK)
        remember_log(store);
    return code;
}

// ------------------------------------------------------------------------------------------- open and close

static int create_vfs(weir_store *store, weir_error *err)
{
    const weir__vfs_config config = {.clock = store->clock, .sync_delay_us = store->config.sync_delay_us};
    return weir__vfs_create(&config, &store->vfs, err);
}

static int open_parts(weir_store *store, const weir__open_hooks *hooks, weir_error *err)
{
    bool exists = false;
    int code = store->memory ? WEIR_OK : check_place(store, hooks, &exists, err);
    if (code == WEIR_OK)
        code = create_vfs(store, err);
    if (code == WEIR_OK)
        code = open_writer(store, err);
    if (code == WEIR_OK)
        code = weir__pool_start(store, err);
    if (code == WEIR_OK)
        code = weir__sync_start(store, err);
    if (code == WEIR_OK)
        code = weir__checkpoint_start(store, err);
    if (code == WEIR_OK)
        code = weir__writer_start(store, err);
    return code;
}

// Everything that was made, in reverse; the parts accept that they were never started.
static void dismantle(weir_store *store)
{
    struct stat log; // frames of others are not moved by a store that only reads
    const bool leave_log =
        store->config.read_only && store->wal_path && stat(store->wal_path, &log) == 0 && log.st_size > 0;
    weir__conn_close(store->checkpointer.pin);
    weir__conn_close(store->checkpointer.conn);
    if (leave_log && store->writer.conn)
        sqlite3_db_config(store->writer.conn->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    weir__conn_close(store->writer.conn); // the last one: SQLite empties and removes the log with it
    weir__vfs_destroy(store->vfs);
    weir__queue_fini(store);
    free(store->path);
    free(store->wal_path);
    free(store->shm_path);
    free(store);
}

static weir_store *store_create(const char *path, const weir_config *config, const weir__open_hooks *hooks)
{
    weir_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->config = *config;
    store->path = joined(path, "");
    store->wal_path = joined(path, "-wal");
    store->shm_path = joined(path, "-shm");
    store->clock = hooks && hooks->clock ? hooks->clock : weir__clock_system();
    store->memory = strcmp(path, ":memory:") == 0;
    weir_version_info version;
    weir_version(&version);
    store->fixed_sqlite =
        hooks && hooks->pretend_fixed ? hooks->pretend_fixed > 0 : version.has_wal_reset_fix;
    store->fork_generation = weir__fork_generation();
    weir__queue_init(store);
    weir__pool_init(store);
    weir__sync_init(store);
    weir__checkpoint_init(store);
    if (store->path && store->wal_path && store->shm_path)
        return store;
    dismantle(store);
    return NULL;
}

int weir__store_open(const char *path, const weir_config *given, const weir__open_hooks *hooks,
                     weir_store **out, weir_error *err)
{
    *out = NULL;
    pthread_once(&fork_once, watch_forks);
    weir_config config = given ? *given : (weir_config)WEIR_CONFIG_INIT;
    int code = check_config(path, &config, err);
    if (code != WEIR_OK)
        return code;
    fill_defaults(&config);
    char *real = NULL;
    if (strcmp(path, ":memory:") != 0)
        code = resolve(path, &real, err);
    if (code != WEIR_OK)
        return code;
    weir_store *store = store_create(real ? real : path, &config, hooks);
    free(real);
    if (!store)
        return weir__error_set(err, WEIR_NOMEM, "%s: out of memory", path);
    code = open_parts(store, hooks, err);
    if (code != WEIR_OK) {
        weir__checkpoint_stop(store);
        weir__sync_stop(store);
        weir__pool_stop(store, 0);
        dismantle(store);
        return code;
    }
    *out = store;
    return WEIR_OK;
}

int weir_open(const char *path, const weir_config *config, weir_store **store, weir_error *err)
{
    return weir__store_open(path, config, NULL, store, err);
}

int weir_close(weir_store *store, uint32_t deadline_ms, weir_error *err)
{
    int code = weir__store_check(store, err);
    if (code != WEIR_OK)
        return code;
    if (weir__writer_is_me())
        return weir__error_set(err, WEIR_INVALID, "%s: a job or a callback must not close the store",
                               store->path);
    pthread_mutex_lock(&store->queue.lock);
    const bool again = store->queue.stop;
    store->queue.stop = true;
    pthread_mutex_unlock(&store->queue.lock);
    if (again)
        return weir__error_set(err, WEIR_CLOSED, "%s: another thread is closing the store", store->path);
    const uint64_t deadline_ns = weir__store_deadline(store, deadline_ms, CLOSE_DEADLINE_MS);
    code = weir__writer_stop(store, deadline_ns, err);
    weir__sync_stop(store);
    weir__checkpoint_stop(store);
    weir__pool_stop(store, deadline_ns);
    weir__store_desert(store);
    weir__checkpoint_last(store);
    dismantle(store);
    return code;
}
