// SPDX-License-Identifier: MIT
//
// What the server serves: opens and closes the stores, and what belongs to each. Main thread.
//
// Closing. Handlers on workers have ended before. Those on the event thread have not: connections that are kept
// alive go on to send requests. So each of them takes the event gate, and closing shuts it before the activity
// store goes.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fs.h"
#include "server/core.h"
#include "server/device.h"

// ActivityWatch's Python client gives a heartbeat up for good when it is answered with an error, and waits for an
// answer for as long as it takes; the one for JavaScript waits 30 s.
enum { ACTIVITY_WRITE_DEADLINE_MS = 25000 };

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "no memory for the server");
}

static int open_runs(weir__server *server, weir_error *err)
{
    const weir__strings *redact = &server->options.redact;
    server->redact = calloc(redact->count + 1, sizeof *server->redact);
    if (server->redact == NULL)
        return no_memory(err);
    for (size_t i = 0; i < redact->count; i++)
        server->redact[i] = redact->items[i];
    const weir_runs_config config = {.store = &server->options.store,
                                     .max_running = server->options.running_max,
                                     .redact = server->redact};
    const int code = weir_runs_open(server->options.storage, &config, &server->runs, err);
    return code != WEIR_OK
               ? code
               : weir_runs_listen(server->runs, weir__runs_event, server, &server->listener_id, err);
}

// Name and device id, as clients see them.
static int name_this_machine(weir__server *server, weir_error *err)
{
    char name[HOST_NAME_MAX + 1] = "";
    const char *given = server->options.device_id;
    if (gethostname(name, sizeof name) != 0 || name[0] == '\0')
        (void)snprintf(name, sizeof name, "unknown");
    name[sizeof name - 1] = '\0'; // a longer name is cut
    server->hostname = strdup(name);
    int code = WEIR_OK;
    if (given != NULL)
        server->device_id = strdup(given);
    else
        code = weir__device_id(server->activity_directory, &server->device_id, err);
    if (code == WEIR_OK && (server->hostname == NULL || server->device_id == NULL))
        code = no_memory(err);
    server->local = (weir_activity_local){.hostname = server->hostname, .device_id = server->device_id};
    return code;
}

static int open_cors(weir__server *server, weir_error *err)
{
    const weir__serve_options *options = &server->options;
    return weir__cors_create(&options->cors, &options->allow_origins, &options->cors_regex,
                             weir__address_port(&server->address), options->testing, &server->cors, err);
}

static int open_activity(weir__server *server, weir_error *err)
{
    weir__text directory = {0};
    const char *path = server->options.activity;
    weir_activity_config config = server->options.activity_config;
    weir_config store = server->options.store;
    if (store.write_deadline_ms == 0)
        store.write_deadline_ms = ACTIVITY_WRITE_DEADLINE_MS;
    config.store = &store;
    weir__fs_parent(&directory, path);
    server->activity_directory = weir__text_take(&directory);
    if (server->activity_directory == NULL)
        return no_memory(err);
    int code = open_cors(server, err);
    if (code == WEIR_OK)
        code = weir__static_open(server->options.webui, &server->options.custom_static, &server->files, err);
    if (code == WEIR_OK)
        code = weir_activity_open(path, &config, &server->activity, err);
    return code == WEIR_OK ? name_this_machine(server, err) : code;
}

int weir__stores_open(weir__server *server, weir_error *err)
{
    int code = server->options.storage == NULL ? WEIR_OK : open_runs(server, err);
    if (code == WEIR_OK && server->options.activity != NULL)
        code = open_activity(server, err);
    return code;
}

int weir__stores_close(weir__server *server, weir_error *err)
{
    int code = WEIR_OK;
    pthread_mutex_lock(&server->event_gate);
    server->event_shut = true;
    pthread_mutex_unlock(&server->event_gate);
    if (server->runs != NULL)
        code = weir_runs_close(server->runs, 0, err);
    const int activity_code = weir_activity_close(server->activity, 0, code == WEIR_OK ? err : NULL);
    return code != WEIR_OK ? code : activity_code;
}

void weir__stores_free(weir__server *server)
{
    free(server->redact);
    weir__static_close(server->files);
    weir__cors_destroy(server->cors);
    free(server->activity_directory);
    free(server->hostname);
    free(server->device_id);
}
