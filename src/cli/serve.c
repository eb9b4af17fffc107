// SPDX-License-Identifier: MIT
//
// weir serve: the flags of the server. A flag wins over its STEPFLOW_ variable, and that over the default.
// Values from the environment are checked as strictly as flags, with the variable's name in the sentence.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/number.h"
#include "server/server.h"

enum {
    listen_size = 320,
    port_max = 65535,
    drain_max_ms = 24 * 3600 * 1000,
    timeout_max_ms = 3600 * 1000,
    interval_max_ms = 60000
};

typedef struct serve_values {
    const char *listen, *host, *storage, *api_key_file, *durability;
    weir__list allow_hosts, allow_origins, redact;
    uint64_t port, drain_ms, running_max, connections_max, address_connections_max, body_bytes_max;
    uint64_t header_bytes_max, url_bytes_max, request_timeout_ms, idle_timeout_ms, workers;
    bool insecure, access_log;
} serve_values;

static const uint64_t port_unset = UINT64_MAX;

static const weir__option options[] = {
    {.name = "listen",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(serve_values, listen),
     .value = "ADDR:PORT",
     .help = "where to listen (default " WEIR__SERVE_LISTEN "); port 0: any free one"},
    {.name = "host",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(serve_values, host),
     .value = "ADDR",
     .help = "the address alone (or $STEPFLOW_HOST)"},
    {.name = "port",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(serve_values, port),
     .value = "N",
     .help = "the port alone (or $STEPFLOW_PORT)",
     .min = 0,
     .max = port_max},
    WEIR__OPTION_STORAGE(serve_values),
    {.name = "durability",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(serve_values, durability),
     .value = "POLICY",
     .help = "what a power cut may take: full (default, nothing that was\n"
             "acknowledged), interval:MS, normal or off"},
    {.name = "api-key-file",
     .kind = WEIR__OPTION_PATH,
     .offset = offsetof(serve_values, api_key_file),
     .value = "FILE",
     .help = "who may do what: lines of KEY ROLE [NAME], roles viewer, user\nand admin"},
    {.name = "insecure",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(serve_values, insecure),
     .help = "allow an address beyond this machine without keys"},
    {.name = "allow-host",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(serve_values, allow_hosts),
     .value = "HOST",
     .help = "answer to this name in the Host header; may be repeated"},
    {.name = "allow-origin",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(serve_values, allow_origins),
     .value = "URL",
     .help = "let web pages of this origin change things; may be repeated"},
    {.name = "redact",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(serve_values, redact),
     .value = "PATTERN",
     .help = "never send values of variables with such names, \"*TOKEN*\";\nmay be repeated"},
    {.name = "max-running",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(serve_values, running_max),
     .value = "N",
     .help = "runs at the same time, the rest wait (default 512)",
     .min = 1,
     .max = 100000},
    {.name = "max-connections",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(serve_values, connections_max),
     .value = "N",
     .help = "connections at the same time (default 4096)",
     .min = 1,
     .max = 1000000},
    {.name = "max-connections-per-address",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(serve_values, address_connections_max),
     .value = "N",
     .help = "of these, from one address (default 2048)",
     .min = 1,
     .max = 1000000},
    {.name = "max-header",
     .kind = WEIR__OPTION_SIZE,
     .offset = offsetof(serve_values, header_bytes_max),
     .value = "SIZE",
     .help = "bytes of a request's line and headers (default 32K)",
     .min = 4096,
     .max = 1 << 20},
    {.name = "max-url",
     .kind = WEIR__OPTION_SIZE,
     .offset = offsetof(serve_values, url_bytes_max),
     .value = "SIZE",
     .help = "bytes of a request's URL (default 8K)",
     .min = 256,
     .max = 1 << 20},
    {.name = "max-body",
     .kind = WEIR__OPTION_SIZE,
     .offset = offsetof(serve_values, body_bytes_max),
     .value = "SIZE",
     .help = "bytes of a request's body (default 1M)",
     .min = 1024,
     .max = 1 << 30},
    {.name = "request-timeout",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(serve_values, request_timeout_ms),
     .value = "S",
     .help = "a request that has not come in full by then, however it drips,\nis dropped (default 30)",
     .min = 100,
     .max = timeout_max_ms},
    {.name = "idle-timeout",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(serve_values, idle_timeout_ms),
     .value = "S",
     .help = "so long a connection may wait for its next request, or a client\n"
             "stop reading (default 60)",
     .min = 100,
     .max = timeout_max_ms},
    {.name = "workers",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(serve_values, workers),
     .value = "N",
     .help = "threads that read for answers (default 4)",
     .min = 1,
     .max = 64},
    {.name = "drain",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(serve_values, drain_ms),
     .value = "S",
     .help = "at SIGTERM, how long runs may go on before they are cancelled\n(default 0)",
     .min = 0,
     .max = drain_max_ms},
    {.name = "access-log",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(serve_values, access_log),
     .help = "a line on stderr for each request"},
};

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

// The address to listen on, put together from its parts where it was not given whole.
static int find_listen(const serve_values *v, char listen[listen_size], weir_error *err)
{
    const char *const host_variable = from_environment("STEPFLOW_HOST");
    const char *const port_variable = from_environment("STEPFLOW_PORT");
    const char *const host = v->host != NULL ? v->host : host_variable;
    const char *const colon = strrchr(WEIR__SERVE_LISTEN, ':');
    uint64_t port = v->port;
    if (v->listen != NULL && (v->host != NULL || v->port != port_unset))
        return weir__error_set(err, WEIR_INVALID,
                               "--listen gives the address and the port, so --host and --port "
                               "cannot be given beside it");
    if (v->listen == NULL && port == port_unset && port_variable != NULL &&
        !weir__number_parse(port_variable, 0, port_max, &port))
        return weir__error_set(err, WEIR_INVALID,
                               "STEPFLOW_PORT must be a whole number from 0 to %d, not \"%s\"", port_max,
                               port_variable);
    if (v->listen != NULL) {
        snprintf(listen, listen_size, "%s", v->listen);
        return WEIR_OK;
    }
    const bool bare_v6 = host != NULL && strchr(host, ':') != NULL && host[0] != '[';
    const int host_size = host != NULL ? (int)strlen(host) : (int)(colon - WEIR__SERVE_LISTEN);
    char port_text[24];
    snprintf(port_text, sizeof port_text, "%ju", (uintmax_t)port);
    const int size = snprintf(listen, listen_size, "%s%.*s%s:%s", bare_v6 ? "[" : "", host_size,
                              host != NULL ? host : WEIR__SERVE_LISTEN, bare_v6 ? "]" : "",
                              port == port_unset ? colon + 1 : port_text);
    return size < listen_size ? WEIR_OK : weir__error_set(err, WEIR_INVALID, "the host name is too long");
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

static int serve(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    (void)operands;
    const serve_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    char listen[listen_size];
    weir__serve_options o = {
        .listen = listen,
        .storage = weir__cli_storage(v->storage),
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
    };
    if (find_listen(v, listen, &err) != WEIR_OK ||
        parse_durability(v->durability, &o.store, &err) != WEIR_OK || set_log_level(&err) != WEIR_OK)
        return weir__cli_usage(cli, command, &err);
    const int code = weir__serve(&o, &err);
    if (code == WEIR_INVALID && err.os_errno == 0) // an option, not a file
        return weir__cli_usage(cli, command, &err);
    return code == WEIR_OK ? WEIR__EXIT_FINE : weir__cli_failed(cli, &err);
}

const weir__command weir__command_serve = {
    .name = "serve",
    .operands = "",
    .summary = "serve runs over HTTP: start, follow, cancel, download",
    .about = "Prints one line when it is ready. SIGTERM or Ctrl-C: no new requests, what is in flight is "
             "answered, runs may go\n"
             "on for --drain seconds and are cancelled then. A second signal skips every wait. An address "
             "that other\n"
             "machines can reach needs --api-key-file or --insecure. Other Weir processes may use the "
             "storage meanwhile.",
    .examples = "weir serve\n"
                "weir serve --listen 0.0.0.0:9347 --api-key-file keys.txt --allow-host weir.example.org\n"
                "weir serve --storage /var/lib/weir --drain 30",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const serve_values){.port = UINT64_MAX},
    .values_size = sizeof(serve_values),
    .run = serve,
};
