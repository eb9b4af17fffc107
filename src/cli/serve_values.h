// SPDX-License-Identifier: MIT
//
// The options of weir serve, put together from the configuration file, the environment and the command line,
// each winning over those before it. Beside our own names the file may have those of ActivityWatch's server:
// address, port, cors, cors_regex, [auth] api_key and [custom_static]. One thread.
#ifndef WEIR_CLI_SERVE_VALUES_H
#define WEIR_CLI_SERVE_VALUES_H

#include "cli/args.h"
#include "cli/settings.h"

typedef struct weir__serve_values {
    const char *listen, *host, *storage, *api_key_file, *durability;
    const char *activity, *webui, *activity_api_key_file, *device_id, *config;
    weir__list allow_hosts, allow_origins, redact, custom_static, cors, cors_regex;
    uint64_t port, drain_ms, running_max, connections_max, address_connections_max, body_bytes_max;
    uint64_t header_bytes_max, url_bytes_max, request_timeout_ms, idle_timeout_ms, workers;
    uint64_t activity_body_bytes_max;
    int ack; // a weir_ack
    bool insecure, access_log, testing;
} weir__serve_values;

enum { WEIR__SERVE_OPTIONS = 32 };
extern const weir__option weir__serve_option_items[WEIR__SERVE_OPTIONS];
extern const weir__serve_values weir__serve_value_defaults;

enum { WEIR__SERVE_LISTEN_SIZE = 320 };

// All of it. listen, host, port and activity_api_key_file of `values` are resolved into `listen` and `key`.
typedef struct weir__serve_gathered {
    weir__serve_values values;
    char listen[WEIR__SERVE_LISTEN_SIZE];
    const char *activity_api_key; // NULL: none
    weir__settings settings;      // keeps the strings
} weir__serve_gathered;

// `flags` with `given` come from the command line. The result is to be freed also after an error.
// *config_failed tells a wrong file from a wrong line: only for the latter is --help of use.
int weir__serve_gather(const weir__serve_values *flags, uint64_t given, weir__serve_gathered *gathered,
                       bool *config_failed, weir_error *err);
void weir__serve_gathered_free(weir__serve_gathered *gathered);

#endif
