// SPDX-License-Identifier: MIT
//
// Opening and closing. Order of opening: a look at what is there, the store, the schema; a file that is not
// ours is refused before anything of it was changed, its journal mode included.
//
// One thread opens, one closes; in between `path`, `store`, `ack` and `read_only` are read by every thread
// without a lock.
#include <stdlib.h>
#include <string.h>

#include "activity/activity.h"

enum { APPLIED_LINGER_MS_DEFAULT = 15000, APPLIED_JOBS_DEFAULT = 100 };

static weir_config store_config(const weir_activity_config *given)
{
    weir_config config = WEIR_CONFIG_INIT;
    if (given->store != NULL)
        config = *given->store;
    config.foreign_keys = true;
    config.applied_linger_ms =
        given->applied_linger_ms != 0 ? given->applied_linger_ms : APPLIED_LINGER_MS_DEFAULT;
    config.applied_jobs_max = given->applied_jobs_max != 0 ? given->applied_jobs_max : APPLIED_JOBS_DEFAULT;
    return config;
}

static bool gives_durable(const char *path, const weir_config *config)
{
    return strcmp(path, ":memory:") != 0 &&
           (config->durability == WEIR_DURABILITY_FULL || config->durability == WEIR_DURABILITY_INTERVAL);
}

static void release(weir_activity *activity)
{
    weir__privacy_destroy(activity);
    weir__activity_cache_destroy(activity->cache);
    weir__text_free(&activity->scratch);
    free(activity->path);
    free(activity);
}

static int open_parts(weir_activity *activity, const weir_activity_config *given, weir_error *err)
{
    const weir_config config = store_config(given);
    activity->read_only = config.read_only;
    activity->ack = given->ack == WEIR_ACK_DURABLE && !gives_durable(activity->path, &config)
                        ? WEIR_ACK_COMMITTED
                        : given->ack;
    int rc = weir__activity_cache_create(&activity->cache, err);
    if (rc == WEIR_OK)
        rc = weir__activity_schema_look(activity->path, &config, err);
    if (rc == WEIR_OK)
        rc = weir_open(activity->path, &config, &activity->store, err);
    if (rc == WEIR_OK)
        rc = weir__activity_schema_prepare(activity, err);
    return rc;
}

int weir_activity_open(const char *path, const weir_activity_config *config, weir_activity **activity,
                       weir_error *err)
{
    static const weir_activity_config defaults;
    *activity = NULL;
    if (path == NULL || *path == '\0')
        return weir__error_set(err, WEIR_INVALID, "no database was given");
    weir_activity *const made = calloc(1, sizeof *made);
    if (made == NULL)
        return weir__activity_no_memory(err);
    made->path = strdup(path);
    int rc = made->path == NULL ? weir__activity_no_memory(err)
                                : open_parts(made, config != NULL ? config : &defaults, err);
    if (rc == WEIR_OK) {
        *activity = made;
        return WEIR_OK;
    }
    if (made->store != NULL)
        weir_close(made->store, 0, NULL);
    release(made);
    return rc;
}

int weir_activity_close(weir_activity *activity, uint32_t deadline_ms, weir_error *err)
{
    if (activity == NULL)
        return WEIR_OK;
    const int rc = weir_close(activity->store, deadline_ms, err);
    if (rc != WEIR_FORKED) // the parent's; nothing of it may be touched here
        release(activity);
    return rc;
}

weir_store *weir_activity_store(weir_activity *activity)
{
    return activity->store;
}

const char *weir_activity_path(const weir_activity *activity)
{
    return activity->path;
}

uint64_t weir_activity_skipped(const weir_activity *activity)
{
    return atomic_load_explicit(&activity->skipped, memory_order_relaxed);
}

int weir__activity_no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "out of memory");
}
