// SPDX-License-Identifier: MIT
//
// weir serve: what serve_values.h put together becomes the options of the server.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/number.h"
#include "cli/serve_values.h"
#include "server/server.h"

enum { interval_max_ms = 60000 };

// The variable's value; NULL when it is not set or empty.
static const char *from_environment(const char *name)
{
    const char *const value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

// "full", "interval:MS", "normal", "off".
static int parse_durability(const char *text, weir_config *config, weir_error *err)
{
    static const char interval[] = "interval:";
    static const char *const names[] = {
        [WEIR_DURABILITY_FULL] = "full",
        [WEIR_DURABILITY_INTERVAL] = "interval",
        [WEIR_DURABILITY_NORMAL] = "normal",
        [WEIR_DURABILITY_OFF] = "off",
    };
    uint64_t ms = 0;
    if (text == NULL)
        return WEIR_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            config->durability = (weir_durability)i;
            return WEIR_OK;
        }
    }
    if (strncmp(text, interval, sizeof interval - 1) == 0 &&
        weir__number_parse(text + sizeof interval - 1, 1, interval_max_ms, &ms)) {
        config->durability = WEIR_DURABILITY_INTERVAL;
        config->sync_interval_ms = (uint32_t)ms;
        return WEIR_OK;
    }
    return weir__error_set(err, WEIR_INVALID,
                           "--durability takes full, interval:MS (1 to %d), normal or off, not \"%s\"",
                           interval_max_ms, text);
}

// STEPFLOW_LOG_LEVEL takes Python's names in either case.
static int set_log_level(weir_error *err)
{
    const char *const name = from_environment("STEPFLOW_LOG_LEVEL");
    weir__log_level level = WEIR__LOG_WARNING;
    char lower[16] = "";
    if (name == NULL || from_environment("WEIR_LOG") != NULL)
        return WEIR_OK;
    for (size_t i = 0; name[i] != '\0' && i + 1 < sizeof lower; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    if (strcmp(lower, "critical") == 0)
        level = WEIR__LOG_ERROR;
    else if (!weir__log_level_parse(lower, &level))
        return weir__error_set(err, WEIR_INVALID,
                               "STEPFLOW_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not \"%s\"", name);
    weir__log_set_level(level);
    return WEIR_OK;
}

static weir__strings strings_of(const weir__list *list)
{
    return (weir__strings){list->items, list->count};
}

static weir__serve_options options_of(const weir__serve_gathered *gathered)
{
    const weir__serve_values *const v = &gathered->values;
    return (weir__serve_options){
        .listen = gathered->listen,
        .storage = v->storage != NULL || v->activity == NULL ? weir__cli_storage(v->storage) : NULL,
        .api_key_file = v->api_key_file,
        .insecure = v->insecure,
        .access_log = v->access_log,
        .allow_hosts = strings_of(&v->allow_hosts),
        .allow_origins = strings_of(&v->allow_origins),
        .redact = strings_of(&v->redact),
        .drain_ms = (uint32_t)v->drain_ms,
        .running_max = (uint32_t)v->running_max,
        .connections_max = (uint32_t)v->connections_max,
        .address_connections_max = (uint32_t)v->address_connections_max,
        .body_bytes_max = (size_t)v->body_bytes_max,
        .header_bytes_max = (size_t)v->header_bytes_max,
        .url_bytes_max = (size_t)v->url_bytes_max,
        .request_timeout_ms = (uint32_t)v->request_timeout_ms,
        .idle_timeout_ms = (uint32_t)v->idle_timeout_ms,
        .workers = (uint32_t)v->workers,
        .activity = v->activity,
        .activity_config = {.ack = (weir_ack)v->ack},
        .activity_api_key = gathered->activity_api_key,
        .device_id = v->device_id,
        .testing = v->testing,
        .cors = strings_of(&v->cors),
        .cors_regex = strings_of(&v->cors_regex),
        .webui = v->webui,
        .custom_static = strings_of(&v->custom_static),
        .activity_body_bytes_max = (size_t)v->activity_body_bytes_max,
    };
}

static int serve_gathered(weir__cli *cli, const weir__command *command, const weir__serve_gathered *gathered)
{
    weir_error err = WEIR_ERROR_INIT;
    weir__serve_options o = options_of(gathered);
    if (parse_durability(gathered->values.durability, &o.store, &err) != WEIR_OK ||
        set_log_level(&err) != WEIR_OK)
        return weir__cli_usage(cli, command, &err);
    const int code = weir__serve(&o, &err);
    if (code == WEIR_INVALID && err.os_errno == 0) // an option, not a file
        return weir__cli_usage(cli, command, &err);
    return code == WEIR_OK ? WEIR__EXIT_FINE : weir__cli_failed(cli, &err);
}

static int serve(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    weir_error err = WEIR_ERROR_INIT;
    int status = WEIR__EXIT_FAILED;
    bool config_failed = false;
    weir__serve_gathered *const gathered = malloc(sizeof *gathered);
    if (gathered == NULL) {
        weir__error_set(&err, WEIR_NOMEM, "not enough memory");
        return weir__cli_failed(cli, &err);
    }
    const int code = weir__serve_gather(values, operands->given, gathered, &config_failed, &err);
    if (code == WEIR_OK)
        status = serve_gathered(cli, command, gathered);
    else if (code == WEIR_INVALID && !config_failed)
        status = weir__cli_usage(cli, command, &err);
    else
        status = weir__cli_failed(cli, &err);
    weir__serve_gathered_free(gathered);
    free(gathered);
    return status;
}

const weir__command weir__command_serve = {
    .name = "serve",
    .operands = "",
    .summary = "serve runs, an ActivityWatch database, or both over HTTP",
    .about =
        "Prints one line when it is ready. SIGTERM or Ctrl-C: no new requests, what is in flight is "
        "answered, runs may go\n"
        "on for --drain seconds and are cancelled then. A second signal skips every wait. An address "
        "that other\n"
        "machines can reach needs --api-key-file or --insecure. Other Weir processes may use the "
        "files meanwhile.\n"
        "\n"
        "Every option is also a variable (--max-body: $WEIR_MAX_BODY) and a key of the file that --config "
        "names\n"
        "(max_body); options win over variables, variables over the file. The file may be that of "
        "ActivityWatch's\n"
        "server: address, port, cors, cors_regex, [auth] api_key and [custom_static] are understood.",
    .examples = "weir serve\n"
                "weir serve --listen 0.0.0.0:9347 --api-key-file keys.txt --allow-host weir.example.org\n"
                "weir serve --storage /var/lib/weir --drain 30\n"
                "weir serve --listen 127.0.0.1:5600 --activity "
                "~/.local/share/activitywatch/aw-server-rust/sqlite.db\n"
                "weir serve --activity sqlite.db --config ~/.config/activitywatch/aw-server-rust/config.toml",
    .options = WEIR__OPTIONS(weir__serve_option_items),
    .defaults = &weir__serve_value_defaults,
    .values_size = sizeof(weir__serve_values),
    .run = serve,
};
