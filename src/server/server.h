// SPDX-License-Identifier: MIT
//
// The HTTP server of `weir serve`: one call that opens a storage folder, an activity database or both, serves
// them on one address and returns when it was told to stop.
//
// The command's front end fills weir__serve_options from its flags and calls weir__serve() on the main
// thread.
#ifndef WEIR_SERVER_SERVER_H
#define WEIR_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/activity.h>
#include <weir/weir.h>

#define WEIR__SERVE_LISTEN "127.0.0.1:9347"

// Defaults of the limits; zero in an option means the default.
enum {
    WEIR__SERVE_BODY_BYTES_MAX = 1 << 20,
    WEIR__SERVE_HEADER_BYTES_MAX = 32 << 10, // request line and headers together
    WEIR__SERVE_URL_BYTES_MAX = 8 << 10,
    WEIR__SERVE_CONNECTIONS_MAX = 4096, // fewer when the process may not open that many files
    WEIR__SERVE_ADDRESS_CONNECTIONS_MAX = 2048,
    WEIR__SERVE_REQUEST_TIMEOUT_MS = 30000,
    WEIR__SERVE_IDLE_TIMEOUT_MS = 60000,
    WEIR__SERVE_WORKERS = 4,
    WEIR__SERVE_QUEUE_MAX = 2048, // requests that may wait for a worker; more get 503
    WEIR__SERVE_ACTIVITY_BODY_BYTES_MAX = 1000 * 1000 * 1000,
    WEIR__SERVE_PROGRESS_BYTES = 64 << 10, // of a body: for each the request timeout begins anew
};
// Bodies that are too large for memory, all together.
#define WEIR__SERVE_BODIES_BYTES_MAX (UINT64_C(4) << 30)

// A list of strings that belong to the caller.
typedef struct weir__strings {
    const char *const *items;
    size_t count;
} weir__strings;

// Beside each member the flag of `weir serve` that sets it. Times are given as 30, 1.5, 250ms, 2m; sizes as
// 1048576, 512K, 4M.
typedef struct weir__serve_options {
    const char *listen;  // --listen: ADDR:PORT, [ADDR6]:PORT, localhost:PORT; port 0 lets the system choose
    const char *storage; // --storage: the storage folder of runs; NULL: no runs, then activity must be given
    weir_config store;   // --durability and so on: as for weir_open()
    const char *api_key_file; // --api-key-file: lines of `KEY ROLE [NAME]`; NULL: everybody may do everything
    bool insecure;            // --insecure: allow an address beyond loopback without a key file
    bool access_log;          // --access-log: a line per request to stderr
    weir__strings allow_hosts; // --allow-host NAME, again and again: besides loopback and the address itself
    weir__strings allow_origins; // --allow-origin ORIGIN, likewise: may change state, besides our own
    weir__strings redact; // --redact PATTERN, likewise: environment variables whose values are not stored
                          // and never sent; `*` and `?` allowed

    uint32_t drain_ms; // --drain TIME: at the first signal, how long runs may go on before they are cancelled
    uint32_t running_max; // --max-running N: runs at the same time, the rest waits as pending

    size_t body_bytes_max;            // --max-body SIZE
    size_t header_bytes_max;          // --max-header SIZE
    size_t url_bytes_max;             // --max-url SIZE
    uint32_t connections_max;         // --max-connections N
    uint32_t address_connections_max; // --max-connections-per-address N
    uint32_t request_timeout_ms; // --request-timeout TIME: for a whole request to arrive, even if it drips
    uint32_t
        idle_timeout_ms; // --idle-timeout TIME: between two requests, and for a client that stopped reading
    uint32_t workers;    // --workers N: threads that read the database for answers

    const char *activity;                 // --activity FILE: the database; NULL: no activity
    weir_activity_config activity_config; // --ack applied sets .ack; .store is ignored, `store` above counts
    const char
        *activity_api_key; // --activity-api-key-file FILE (its first line), [auth] api_key; NULL, "": none
    const char
        *device_id; // --device-id ID; NULL: from the file device_id beside the database, made when missing
    bool testing;   // --testing: says so in /api/0/info, and lets more origins in
    weir__strings cors;             // --cors ORIGIN, again and again; [cors]: origins that may use the API
    weir__strings cors_regex;       // --cors-regex REGEX, likewise: PCRE2, found anywhere in the origin
    const char *webui;              // --webui DIR: static files of the web interface; NULL: none
    weir__strings custom_static;    // --custom-static NAME=DIR, likewise: served at /pages/NAME/
    size_t activity_body_bytes_max; // --max-activity-body SIZE: of POST /api/0/…; default 1000 MB
} weir__serve_options;

#define WEIR__SERVE_OPTIONS_INIT WEIR_ALL_DEFAULTS

// Serves until SIGTERM or SIGINT, then stops accepting, answers what is in flight, lets runs go on for
// drain_ms, cancels the rest and closes the storage. A second signal cancels at once, one more exits at once.
// Prints one line to stdout when it is ready:
//     listening on http://127.0.0.1:9347, storage /var/lib/weir, activity /var/lib/weir/sqlite.db
// (without ", storage …" or ", activity …" where that is not served).
// Takes over the process: blocks SIGTERM, SIGINT and SIGHUP in the calling thread (threads started later
// inherit that), ignores SIGPIPE. Errors: INVALID (an option), DENIED (an address beyond loopback without
// keys, a key file that others can read), EXISTS (the address is in use), and those of weir_runs_open().
int weir__serve(const weir__serve_options *options, weir_error *err);

#endif
