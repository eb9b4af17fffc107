// SPDX-License-Identifier: MIT
//
// Three layers are laid over each other in one struct. Two things cannot simply be overlaid, because each can
// be said in two ways: where to listen (whole, or host and port apart) and the key (itself, or its file). So
// they are taken out of the struct after each layer, see take_listen() and take_key().
#include "cli/serve_values.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "base/assert.h"
#include "base/log.h"
#include "cli/api_key.h"
#include "cli/cli.h"
#include "server/server.h"

enum {
    port_max = 65535,
    port_size = 8,
    drain_max_ms = 24 * 3600 * 1000,
    timeout_max_ms = 3600 * 1000,
};

static const uint64_t port_unset = UINT64_MAX;

// In the order of weir_ack.
static const char *const acks[] = {"durable", "committed", "applied", NULL};

const weir__option weir__serve_option_items[WEIR__SERVE_OPTIONS] = {
    {.name = "listen",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(weir__serve_values, listen),
     .value = "ADDR:PORT",
     .help = "where to listen (default " WEIR__SERVE_LISTEN "); port 0: any free one"},
    {.name = "host",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(weir__serve_values, host),
     .value = "ADDR",
     .help = "the address alone (or $STEPFLOW_HOST)",
     .variable = "STEPFLOW_HOST"},
    {.name = "port",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(weir__serve_values, port),
     .value = "N",
     .help = "the port alone (or $STEPFLOW_PORT)",
     .min = 0,
     .max = port_max,
     .variable = "STEPFLOW_PORT"},
    WEIR__OPTION_STORAGE(weir__serve_values),
    {.name = "activity",
     .kind = WEIR__OPTION_PATH,
     .offset = offsetof(weir__serve_values, activity),
     .value = "FILE",
     .help = "serve this ActivityWatch database; runs are served beside it only\n"
             "when --storage is given"},
    {.name = "ack",
     .kind = WEIR__OPTION_CHOICE,
     .offset = offsetof(weir__serve_values, ack),
     .value = "LEVEL",
     .help = "when writes of activity are answered: durable (default, on the\n"
             "disk), committed, or applied (before the commit)",
     .choices = acks},
    {.name = "webui",
     .kind = WEIR__OPTION_PATH,
     .offset = offsetof(weir__serve_values, webui),
     .value = "DIR",
     .help = "the built web interface of ActivityWatch, served at /"},
    {.name = "custom-static",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(weir__serve_values, custom_static),
     .value = "NAME=DIR",
     .help = "files of a custom visualisation, served at /pages/NAME/; may be\nrepeated"},
    {.name = "activity-api-key-file",
     .kind = WEIR__OPTION_PATH,
     .offset = offsetof(weir__serve_values, activity_api_key_file),
     .value = "FILE",
     .help = "a file whose first line is the key that /api/0 asks for (or the\n"
             "key itself in $WEIR_ACTIVITY_API_KEY)"},
    {.name = "cors",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(weir__serve_values, cors),
     .value = "ORIGIN",
     .help = "web pages of this origin may use /api/0; may be repeated"},
    {.name = "cors-regex",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(weir__serve_values, cors_regex),
     .value = "REGEX",
     .help = "the same for origins in which this is found; may be repeated"},
    {.name = "device-id",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(weir__serve_values, device_id),
     .value = "ID",
     .help = "of this machine (default: the file device_id beside the database)"},
    {.name = "testing",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(weir__serve_values, testing),
     .help = "say so in /api/0/info, and let development tools in"},
    {.name = "max-activity-body",
     .kind = WEIR__OPTION_SIZE,
     .offset = offsetof(weir__serve_values, activity_body_bytes_max),
     .value = "SIZE",
     .help = "bytes of a body for /api/0 (default 1000000000)",
     .min = 1024,
     .max = UINT64_C(1) << 40},
    {.name = "durability",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(weir__serve_values, durability),
     .value = "POLICY",
     .help = "what a power cut may take: full (default, nothing that was\n"
             "acknowledged), interval:MS, normal or off"},
    {.name = "api-key-file",
     .kind = WEIR__OPTION_PATH,
     .offset = offsetof(weir__serve_values, api_key_file),
     .value = "FILE",
     .help = "who may do what: lines of KEY ROLE [NAME], roles viewer, user\nand admin"},
    {.name = "insecure",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(weir__serve_values, insecure),
     .help = "allow an address beyond this machine without keys"},
    {.name = "allow-host",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(weir__serve_values, allow_hosts),
     .value = "HOST",
     .help = "answer to this name in the Host header; may be repeated"},
    {.name = "allow-origin",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(weir__serve_values, allow_origins),
     .value = "URL",
     .help = "let web pages of this origin change things; may be repeated"},
    {.name = "redact",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(weir__serve_values, redact),
     .value = "PATTERN",
     .help = "never send values of variables with such names, \"*TOKEN*\";\nmay be repeated"},
    {.name = "max-running",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(weir__serve_values, running_max),
     .value = "N",
     .help = "runs at the same time, the rest wait (default 512)",
     .min = 1,
     .max = 100000},
    {.name = "max-connections",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(weir__serve_values, connections_max),
     .value = "N",
     .help = "connections at the same time (default 4096)",
     .min = 1,
     .max = 1000000},
    {.name = "max-connections-per-address",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(weir__serve_values, address_connections_max),
     .value = "N",
     .help = "of these, from one address (default 2048)",
     .min = 1,
     .max = 1000000},
    {.name = "max-header",
     .kind = WEIR__OPTION_SIZE,
     .offset = offsetof(weir__serve_values, header_bytes_max),
     .value = "SIZE",
     .help = "bytes of a request's line and headers (default 32K)",
     .min = 4096,
     .max = 1 << 20},
    {.name = "max-url",
     .kind = WEIR__OPTION_SIZE,
     .offset = offsetof(weir__serve_values, url_bytes_max),
     .value = "SIZE",
     .help = "bytes of a request's URL (default 8K)",
     .min = 256,
     .max = 1 << 20},
    {.name = "max-body",
     .kind = WEIR__OPTION_SIZE,
     .offset = offsetof(weir__serve_values, body_bytes_max),
     .value = "SIZE",
     .help = "bytes of a request's body (default 1M)",
     .min = 1024,
     .max = 1 << 30},
    {.name = "request-timeout",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(weir__serve_values, request_timeout_ms),
     .value = "S",
     .help = "a request that has not come in full by then, however it drips,\nis dropped (default 30)",
     .min = 100,
     .max = timeout_max_ms},
    {.name = "idle-timeout",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(weir__serve_values, idle_timeout_ms),
     .value = "S",
     .help = "so long a connection may wait for its next request, or a client\n"
             "stop reading (default 60)",
     .min = 100,
     .max = timeout_max_ms},
    {.name = "workers",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(weir__serve_values, workers),
     .value = "N",
     .help = "threads that read for answers (default 4)",
     .min = 1,
     .max = 64},
    {.name = "drain",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(weir__serve_values, drain_ms),
     .value = "S",
     .help = "at SIGTERM, how long runs may go on before they are cancelled\n(default 0)",
     .min = 0,
     .max = drain_max_ms},
    {.name = "access-log",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(weir__serve_values, access_log),
     .help = "a line on stderr for each request"},
    // The last one, for a configuration file cannot name another.
    {.name = "config",
     .kind = WEIR__OPTION_PATH,
     .offset = offsetof(weir__serve_values, config),
     .value = "FILE",
     .help = "all of this in a file of TOML: max_body = \"4M\"; flags win over\n"
             "variables ($WEIR_MAX_BODY), variables over the file"},
};

static const weir__options all_options = {weir__serve_option_items, WEIR__SERVE_OPTIONS};
const weir__serve_values weir__serve_value_defaults = {.port = UINT64_MAX};

// What the layers said so far of what can be said in two ways.
typedef struct gathering {
    weir__serve_gathered *result;
    const char *listen, *host;
    uint64_t port;
    const char *key, *key_file;
    weir_error *err;
} gathering;

// What a layer calls the options that exclude each other.
typedef struct layer {
    const char *listen, *host, *port, *key, *key_file;
} layer;

static const layer in_file = {"listen", "host (or address)", "port", "[auth] api_key",
                              "activity_api_key_file"};
static const layer in_environment = {"WEIR_LISTEN", "WEIR_HOST (or STEPFLOW_HOST)",
                                     "WEIR_PORT (or STEPFLOW_PORT)", "WEIR_ACTIVITY_API_KEY",
                                     "WEIR_ACTIVITY_API_KEY_FILE"};
static const layer in_flags = {"--listen", "--host", "--port", NULL, "--activity-api-key-file"};

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "not enough memory for the settings");
}

// Takes "ADDR:PORT" of a lower layer apart, because this one changes only one of the two.
static int split_listen(gathering *g)
{
    const char *const colon = g->listen != NULL ? strrchr(g->listen, ':') : NULL;
    char *end = NULL;
    if (colon == NULL)
        return WEIR_OK;
    g->host = weir__settings_keep(&g->result->settings, g->listen, (size_t)(colon - g->listen));
    g->port = strtoull(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || g->port > port_max)
        return weir__error_set(g->err, WEIR_INVALID, "where to listen must be ADDR:PORT, not \"%s\"",
                               g->listen);
    g->listen = NULL;
    return g->host != NULL ? WEIR_OK : no_memory(g->err);
}

static int take_listen(gathering *g, const layer *names)
{
    weir__serve_values *const v = &g->result->values;
    int code = WEIR_OK;
    if (v->listen != NULL && (v->host != NULL || v->port != port_unset))
        return weir__error_set(g->err, WEIR_INVALID,
                               "%s gives the address and the port, so %s and %s cannot be given beside it",
                               names->listen, names->host, names->port);
    if (v->listen != NULL) {
        g->listen = v->listen;
        g->host = NULL;
        g->port = port_unset;
    } else if (v->host != NULL || v->port != port_unset) {
        code = split_listen(g);
        g->host = v->host != NULL ? v->host : g->host;
        g->port = v->port != port_unset ? v->port : g->port;
    }
    v->listen = v->host = NULL;
    v->port = port_unset;
    return code;
}

// `key`: given itself; NULL: not. "" means that there is none, and wins over what lower layers say.
static int take_key(gathering *g, const layer *names, const char *key)
{
    weir__serve_values *const v = &g->result->values;
    if (key != NULL && v->activity_api_key_file != NULL)
        return weir__error_set(g->err, WEIR_INVALID, "%s and %s cannot both be given", names->key,
                               names->key_file);
    if (key != NULL && key[0] != '\0' && !weir__api_key_is_well_formed(key))
        return weir__error_set(g->err, WEIR_INVALID, "%s must have 1 to %d visible ASCII characters",
                               names->key, WEIR__API_KEY_SIZE - 1);
    if (key != NULL || v->activity_api_key_file != NULL) {
        g->key = key;
        g->key_file = v->activity_api_key_file;
    }
    v->activity_api_key_file = NULL;
    return WEIR_OK;
}

// ------------------------------------------------------------------------- what the peer's file has besides

static int want_string(const gathering *g, const weir__toml *value, const char *name)
{
    if (value->type == WEIR__TOML_STRING)
        return WEIR_OK;
    return weir__toml_complain(&g->result->settings.file, value, g->err, "%s takes a string, not %s", name,
                               weir__toml_type_name(value->type));
}

static int want_table(const gathering *g, const weir__toml *value, const char *name)
{
    if (value->type == WEIR__TOML_TABLE)
        return WEIR_OK;
    return weir__toml_complain(&g->result->settings.file, value, g->err, "%s is a table, [%s], not %s", name,
                               name, weir__toml_type_name(value->type));
}

// address = "127.0.0.1"
static int read_address(gathering *g, const weir__toml *value)
{
    weir__serve_values *const v = &g->result->values;
    if (value == NULL)
        return WEIR_OK;
    if (v->host != NULL)
        return weir__toml_complain(&g->result->settings.file, value, g->err,
                                   "address and host mean the same; give one of them");
    const int code = want_string(g, value, "address");
    if (code == WEIR_OK && value->string[0] == '\0')
        return weir__toml_complain(&g->result->settings.file, value, g->err, "address must not be empty");
    v->host = value->string;
    return code;
}

// [auth] api_key = "…"
static int read_auth(const gathering *g, const weir__toml *table, const char **key)
{
    unsigned mode = 0;
    *key = NULL;
    if (table == NULL)
        return WEIR_OK;
    int code = want_table(g, table, "auth");
    for (const weir__toml *value = table->first; code == WEIR_OK && value != NULL; value = value->next) {
        if (strcmp(value->key, "api_key") != 0)
            return weir__toml_complain(&g->result->settings.file, value, g->err,
                                       "unknown key \"%s\" in [auth], which has api_key only", value->key);
        code = want_string(g, value, "api_key");
        *key = value->string;
    }
    const char *const path = g->result->settings.file.name;
    if (code == WEIR_OK && *key != NULL && (*key)[0] != '\0' && weir__api_key_is_exposed(path, &mode))
        weir__log(WEIR__LOG_WARNING,
                  "%s has an API key in it and can be read or changed by others (mode %03o): chmod 600 it",
                  path, mode);
    return code;
}

// [custom_static] name = "dir", as NAME=DIR.
static int read_custom_static(gathering *g, const weir__toml *table)
{
    weir__list *const list = &g->result->values.custom_static;
    if (table == NULL)
        return WEIR_OK;
    int code = want_table(g, table, "custom_static");
    for (const weir__toml *value = table->first; code == WEIR_OK && value != NULL; value = value->next) {
        weir__text text = {0};
        code = want_string(g, value, value->key);
        if (code == WEIR_OK && list->count == WEIR__LIST_MAX)
            code = weir__toml_complain(&g->result->settings.file, value, g->err,
                                       "custom_static may have at most %d entries", WEIR__LIST_MAX);
        if (code != WEIR_OK)
            return code;
        weir__text_printf(&text, "%s=%s", value->key, value->string);
        const char *const entry =
            text.failed ? NULL : weir__settings_keep(&g->result->settings, text.data, text.size);
        weir__text_free(&text);
        if (entry == NULL)
            return no_memory(g->err);
        list->items[list->count++] = entry;
    }
    return code;
}

static int add_file(gathering *g, const char *path)
{
    static const char *const others[] = {"address", "auth", "custom_static", NULL};
    const weir__options without_config = {weir__serve_option_items, WEIR__SERVE_OPTIONS - 1};
    weir__settings *const settings = &g->result->settings;
    const char *key = NULL;
    WEIR_ASSERT(strcmp(weir__serve_option_items[WEIR__SERVE_OPTIONS - 1].name, "config") == 0);
    int code = weir__settings_file(settings, without_config, others, path, &g->result->values, NULL, g->err);
    if (code != WEIR_OK)
        return code;
    const weir__toml *const root = settings->file.root;
    code = read_address(g, weir__toml_find(root, "address"));
    if (code == WEIR_OK)
        code = read_custom_static(g, weir__toml_find(root, "custom_static"));
    if (code == WEIR_OK)
        code = read_auth(g, weir__toml_find(root, "auth"), &key);
    if (code == WEIR_OK)
        code = take_listen(g, &in_file);
    return code == WEIR_OK ? take_key(g, &in_file, key) : code;
}

// --------------------------------------------------------------------------------------------- putting it together

static int add_environment(gathering *g)
{
    const char *const key = getenv("WEIR_ACTIVITY_API_KEY");
    int code =
        weir__settings_environment(&g->result->settings, all_options, &g->result->values, NULL, g->err);
    if (code == WEIR_OK)
        code = take_listen(g, &in_environment);
    return code == WEIR_OK ? take_key(g, &in_environment, key != NULL && key[0] != '\0' ? key : NULL) : code;
}

static int add_flags(gathering *g, const weir__serve_values *flags, uint64_t given)
{
    weir__settings_overlay(all_options, given, flags, &g->result->values);
    const int code = take_listen(g, &in_flags);
    return code == WEIR_OK ? take_key(g, &in_flags, NULL) : code;
}

// The address to listen on, put together from its parts where it was not given whole.
static int finish_listen(const gathering *g)
{
    const char *const colon = strrchr(WEIR__SERVE_LISTEN, ':');
    char *const listen = g->result->listen;
    char port[port_size];
    if (g->listen != NULL) {
        snprintf(listen, WEIR__SERVE_LISTEN_SIZE, "%s", g->listen);
        return WEIR_OK;
    }
    const bool bare_v6 = g->host != NULL && strchr(g->host, ':') != NULL && g->host[0] != '[';
    const int host_size = g->host != NULL ? (int)strlen(g->host) : (int)(colon - WEIR__SERVE_LISTEN);
    snprintf(port, sizeof port, "%" PRIu64, g->port);
    const int size = snprintf(listen, WEIR__SERVE_LISTEN_SIZE, "%s%.*s%s:%s", bare_v6 ? "[" : "", host_size,
                              g->host != NULL ? g->host : WEIR__SERVE_LISTEN, bare_v6 ? "]" : "",
                              g->port == port_unset ? colon + 1 : port);
    return size < WEIR__SERVE_LISTEN_SIZE
               ? WEIR_OK
               : weir__error_set(g->err, WEIR_INVALID, "the host name is too long");
}

static int finish_key(const gathering *g)
{
    char key[WEIR__API_KEY_SIZE];
    g->result->activity_api_key = g->key;
    if (g->key_file == NULL)
        return WEIR_OK;
    const int code = weir__api_key_read(g->key_file, key, g->err);
    if (code != WEIR_OK)
        return code;
    g->result->activity_api_key = weir__settings_keep(&g->result->settings, key, strlen(key));
    explicit_bzero(key, sizeof key);
    return g->result->activity_api_key != NULL ? WEIR_OK : no_memory(g->err);
}

int weir__serve_gather(const weir__serve_values *flags, uint64_t given, weir__serve_gathered *gathered,
                       bool *config_failed, weir_error *err)
{
    const char *const variable = getenv("WEIR_CONFIG");
    const char *const config = flags->config != NULL                     ? flags->config
                               : variable != NULL && variable[0] != '\0' ? variable
                                                                         : NULL;
    gathering g = {.result = gathered, .port = port_unset, .err = err};
    *gathered = (weir__serve_gathered){.values = weir__serve_value_defaults};
    int code = config != NULL ? add_file(&g, config) : WEIR_OK;
    *config_failed = code != WEIR_OK;
    if (code == WEIR_OK)
        code = add_environment(&g);
    if (code == WEIR_OK)
        code = add_flags(&g, flags, given);
    if (code == WEIR_OK)
        code = finish_listen(&g);
    return code == WEIR_OK ? finish_key(&g) : code;
}

void weir__serve_gathered_free(weir__serve_gathered *gathered)
{
    weir__settings_free(&gathered->settings);
}
