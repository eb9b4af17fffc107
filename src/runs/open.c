// SPDX-License-Identifier: MIT
//
// Opening and closing a storage folder. Order of opening: folders, store, schema, files whose rows are gone,
// engine; closing goes the other way round.
//
// One thread opens, one closes; in between the handle is read by every thread without a lock.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "runs/clean.h"
#include "runs/schema.h"

enum { dir_mode = 0777 };

static uint32_t or_default(uint32_t value, uint32_t standard)
{
    return value != 0 ? value : standard;
}

static int copy_patterns(weir_runs *runs, const char *const *patterns, weir_error *err)
{
    size_t count = 0;
    while (patterns != NULL && patterns[count] != NULL)
        count++;
    runs->redact = calloc(count + 1, sizeof *runs->redact);
    if (runs->redact == NULL)
        return weir__no_memory(err);
    for (size_t i = 0; i < count; i++)
        if (!weir__copy_string(patterns[i], &runs->redact[i]))
            return weir__no_memory(err);
    return WEIR_OK;
}

static int configure(weir_runs *runs, const weir_runs_config *config, weir_error *err)
{
    const weir_durability durability =
        config->store != NULL ? config->store->durability : WEIR_DURABILITY_FULL;
    const bool durable = durability == WEIR_DURABILITY_FULL || durability == WEIR_DURABILITY_INTERVAL;
    runs->must_exist = config->must_exist || config->read_only;
    runs->read_only = config->read_only;
    runs->no_engine = config->no_engine || config->read_only;
    runs->strict_markers = config->strict_markers;
    runs->wait_for_eof = config->wait_for_eof;
    runs->max_running = or_default(config->max_running, WEIR_RUNS_MAX_RUNNING_DEFAULT);
    runs->max_queued = or_default(config->max_queued, WEIR_RUNS_MAX_QUEUED_DEFAULT);
    runs->idle_grace_ms = or_default(config->idle_grace_ms, WEIR_RUNS_IDLE_GRACE_MS_DEFAULT);
    runs->cancel_grace_ms = or_default(config->cancel_grace_ms, WEIR_RUNS_CANCEL_GRACE_MS_DEFAULT);
    runs->open_deadline_ms = or_default(config->store != NULL ? config->store->open_deadline_ms : 0,
                                        WEIR_OPEN_DEADLINE_MS_DEFAULT);
    runs->ack = config->ack == WEIR_ACK_DURABLE && !durable ? WEIR_ACK_COMMITTED : config->ack;
    return copy_patterns(runs, config->redact, err);
}

static int make_dir(const char *path, const char *name, weir_error *err)
{
    weir__text full = {0};
    weir__fs_join(&full, path, name);
    int rc = WEIR_OK;
    if (mkdir(weir__text_string(&full), dir_mode) != 0 && errno != EEXIST)
        rc = weir__error_errno(err, errno, "cannot create the folder %s", weir__text_string(&full));
    weir__text_free(&full);
    return rc;
}

// The storage folder itself, one level: a wrong path should not leave a tree of folders behind.
static int open_root(weir_runs *runs, weir_error *err)
{
    if (!runs->must_exist && mkdir(runs->given, dir_mode) == 0) {
        const int rc = weir__fs_sync_parent(runs->given, err);
        if (rc != WEIR_OK)
            return rc;
    } else if (!runs->must_exist && errno != EEXIST) {
        return weir__error_errno(err, errno, "cannot create the storage folder %s", runs->given);
    }
    runs->root_fd = open(runs->given, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (runs->root_fd < 0)
        return weir__error_errno(err, errno, "cannot open the storage folder %s", runs->given);
    runs->path = realpath(runs->given, NULL);
    if (runs->path == NULL)
        return weir__error_errno(err, errno, "cannot resolve the storage folder %s", runs->given);
    return WEIR_OK;
}

static int make_folders(weir_runs *runs, weir_error *err)
{
    static const char *const names[] = {"database", "executions", "artifacts"};
    int rc = WEIR_OK;
    for (size_t i = 0; !runs->must_exist && rc == WEIR_OK && i < sizeof names / sizeof *names; i++)
        rc = make_dir(runs->path, names[i], err);
    if (rc == WEIR_OK && !runs->must_exist)
        rc = weir__fs_sync_dir(runs->path, err);
    weir__text database = {0};
    weir__fs_join(&database, runs->path, "database/stepflow.db");
    runs->database = weir__text_take(&database);
    return rc == WEIR_OK && runs->database == NULL ? weir__no_memory(err) : rc;
}

static int open_store(weir_runs *runs, const weir_config *given, weir_error *err)
{
    weir_config config = {0};
    if (given != NULL)
        config = *given;
    config.must_exist = runs->must_exist;
    config.read_only = runs->read_only;
    return weir_open(runs->database, &config, &runs->store, err);
}

// Everything but the engine.
static void release(weir_runs *runs)
{
    if (runs->root_fd >= 0)
        close(runs->root_fd);
    for (size_t i = 0; runs->redact != NULL && runs->redact[i] != NULL; i++)
        free(runs->redact[i]);
    free(runs->redact);
    free(runs->database);
    free(runs->path);
    free(runs->given);
    free(runs);
}

static int open_records(weir_runs *runs, const weir_runs_config *config, weir_error *err)
{
    int rc = configure(runs, config, err);
    if (rc == WEIR_OK)
        rc = open_root(runs, err);
    if (rc == WEIR_OK)
        rc = make_folders(runs, err);
    if (rc == WEIR_OK)
        rc = open_store(runs, config->store, err);
    if (rc == WEIR_OK)
        rc = weir__schema_prepare(runs, err);
    return rc;
}

// What an earlier process did not get to remove. A failure here is no reason not to open: it is tried again.
static void finish_removals(weir_runs *runs)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir__clean_pending(runs, NULL, &err) != WEIR_OK)
        weir__log(WEIR__LOG_WARNING, "cannot remove files of deleted runs: %s", err.text);
}

int weir_runs_open(const char *storage, const weir_runs_config *config, weir_runs **runs, weir_error *err)
{
    static const weir_runs_config defaults;
    *runs = NULL;
    if (storage == NULL || *storage == '\0')
        return weir__error_set(err, WEIR_INVALID, "no storage folder was given");
    weir_runs *const made = calloc(1, sizeof *made);
    if (made == NULL)
        return weir__no_memory(err);
    made->root_fd = -1;
    if (!weir__copy_string(storage, &made->given)) {
        release(made);
        return weir__no_memory(err);
    }
    int rc = open_records(made, config != NULL ? config : &defaults, err);
    if (rc == WEIR_OK && !made->read_only)
        finish_removals(made);
    if (rc == WEIR_OK && !made->no_engine)
        rc = weir__runs_engine_open(made, &made->engine, err);
    if (rc == WEIR_OK) {
        *runs = made;
        return WEIR_OK;
    }
    if (made->store != NULL)
        weir_close(made->store, 0, NULL);
    release(made);
    return rc;
}

int weir_runs_close(weir_runs *runs, uint32_t grace_ms, weir_error *err)
{
    if (runs == NULL)
        return WEIR_OK;
    int rc = WEIR_OK;
    if (runs->engine != NULL)
        rc = weir__runs_engine_close(runs->engine, grace_ms, err);
    if (rc == WEIR_FORKED)
        return rc;
    const int closed = weir_close(runs->store, 0, rc == WEIR_OK ? err : NULL);
    if (closed == WEIR_FORKED) // the parent's; nothing of it may be touched here
        return closed;
    if (runs->engine != NULL)
        weir__runs_engine_destroy(runs->engine);
    release(runs);
    return rc != WEIR_OK ? rc : closed;
}

weir_store *weir_runs_store(weir_runs *runs)
{
    return runs->store;
}

const char *weir_runs_storage_path(const weir_runs *runs)
{
    return runs->path;
}

bool weir_runs_is_read_only(const weir_runs *runs)
{
    return runs->read_only;
}

uint64_t weir_runs_warnings(const weir_runs *runs)
{
    return atomic_load_explicit(&runs->warnings, memory_order_relaxed);
}
