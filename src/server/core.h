// SPDX-License-Identifier: MIT
//
// What the server's files share: the server, an exchange (one request and its answer), routes.
//
// Threads. The HTTP library's event thread owns all sockets. It creates an exchange when a request line has
// come, collects the body, and then suspends the connection and hands the exchange to a worker. From there
// the exchange belongs to whoever works on it: a worker, or the engine's thread when the answer waits for a
// write or for the end of a run; the last one calls weir__exchange_finish(), which gives it back to the event
// thread. So an exchange needs no lock.
#ifndef WEIR_SERVER_CORE_H
#define WEIR_SERVER_CORE_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/runs.h>
#include <weir/weir.h>

#include "base/text.h"
#include "server/access.h"
#include "server/keys.h"
#include "server/listen.h"
#include "server/peers.h"
#include "server/server.h"
#include "server/spool.h"
#include "server/uri.h"
#include "server/workers.h"

typedef struct weir__server weir__server;
typedef struct weir__exchange weir__exchange;

typedef enum weir__outcome {
    WEIR__ANSWERED, // the answer stands in the exchange
    WEIR__LATER,    // somebody else will answer and call weir__exchange_finish()
} weir__outcome;

// Answers a request, on a worker thread.
typedef weir__outcome weir__handler(weir__exchange *exchange);

// Whose threads run a handler. Those that write (or check the whole file) may have to wait for another process's
// lock, and reads must not wait behind them. Starts do not write on a worker: the engine does that.
typedef enum weir__lane {
    WEIR__LANE_READ,
    WEIR__LANE_WRITE,
    WEIR__LANES,
} weir__lane;

typedef struct weir__route {
    const char *method; // GET also serves HEAD
    const char *path;   // segments, `*` for any one of them
    weir__handler *handler;
    weir__role role; // that it takes
    weir__lane lane;
} weir__route;

// The route for a method and path. NULL: no such path (*allow is empty), or not with this method (*allow
// lists those that are).
enum { WEIR__ALLOW_SIZE = 64 };
const weir__route *weir__route_find(const weir__route *routes, size_t routes_count, const char *method,
                                    const weir__uri *uri, char allow[WEIR__ALLOW_SIZE]);

extern const weir__route weir__routes[];
extern const size_t weir__routes_count;

typedef enum weir__exchange_state {
    WEIR__EXCHANGE_NEW,       // the request line has come
    WEIR__EXCHANGE_RECEIVING, // the body comes
    WEIR__EXCHANGE_DRAINING,  // refused already, the rest of the body is thrown away
    WEIR__EXCHANGE_WORKING,   // suspended
    WEIR__EXCHANGE_ANSWERED,
} weir__exchange_state;

struct weir__exchange {
    weir__server *server;
    struct MHD_Connection *connection;
    weir__peer *peer;
    weir__exchange_state state;
    char *target; // as it came, NULL: too long
    char method[16];
    weir__uri uri;
    const weir__route *route;
    const weir__key *key; // who asks; NULL: no keys are configured
    weir__text body;
    size_t drained_bytes;
    bool endless; // nobody knows where its body ends: answer at once and close
    uint64_t began_ns;

    unsigned status; // of the answer, or of the refusal; 0: none yet
    struct MHD_Response *response;
    uint64_t spooled_bytes; // of the answer, in a file

    bool wait; // POST /api/executions: answer when the run has ended
    char run_id[WEIR_ID_SIZE];
    weir__exchange *next_waiting; // server's lock
};

typedef struct weir__machine_sample {
    uint64_t busy, total; // jiffies
} weir__machine_sample;

typedef struct weir__health_probe {
    uint64_t at_ns; // 0: never
    weir_runs_probe_report report;
    weir_error error;
} weir__health_probe;

struct weir__server {
    weir__serve_options options; // defaults filled in; immutable
    const char **redact;         // NULL-terminated, for weir_runs_open; immutable
    weir_runs *runs;
    weir__keys keys;                     // immutable
    weir__workers *workers[WEIR__LANES]; // immutable while the event thread lives
    weir__peers peers;
    struct MHD_Daemon *daemon;
    weir__address address; // immutable
    uint64_t started_ns;   // immutable
    uint64_t listener_id;
    atomic_bool stopping; // no more keep-alive
    pthread_mutex_t lock;
    pthread_cond_t idle;        // lock: in_flight fell to 0
    size_t in_flight;           // lock: exchanges that exist
    weir__exchange *waiting;    // lock: for the end of their run
    weir__access access;        // event thread
    bool optimizing;            // lock
    weir__machine_sample cpu;   // lock: the last one taken
    weir__health_probe probe;   // probe_lock
    pthread_mutex_t probe_lock; // held while probing, so that a crowd of checks costs one write
};

// ------------------------------------------------------------------------------------------- answering

// Each of these sets the answer; the last one counts.
void weir__answer_spool(weir__exchange *exchange, unsigned status, weir__spool *spool); // takes the content
void weir__answer_json(weir__exchange *exchange, unsigned status, char *json); // takes it; NULL: no memory
void weir__answer_error(weir__exchange *exchange, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// With the status that belongs to the code.
void weir__answer_code(weir__exchange *exchange, const weir_error *error);
void weir__answer_header(weir__exchange *exchange, const char *name, const char *value);
// Bytes of a file; takes the descriptor. Understands Range, If-Range, If-None-Match, If-Modified-Since.
void weir__answer_file(weir__exchange *exchange, int fd, const char *media_type, const char *name);

// As weir__answer_code(), with the words that clients know for what is not there.
void weir__answer_missing(weir__exchange *exchange, const weir_error *error, const char *words);

unsigned weir__status_of_code(int code);
// A segment of the path that the route has a `*` for.
const char *weir__exchange_segment(const weir__exchange *exchange, size_t index);
weir__spool weir__exchange_spool(const weir__exchange *exchange);
// A request header, or NULL.
const char *weir__exchange_header(const weir__exchange *exchange, const char *name);
// The answer is complete: the event thread sends it. The exchange must not be touched after it. Any thread.
void weir__exchange_finish(weir__exchange *exchange);

// ------------------------------------------------------------------------------------------------ parts

// The checks before a body is read: sets status and an error answer when the request is refused.
void weir__guard(weir__exchange *exchange);

// A run of this process has ended: answers those who wait for it. On the engine's thread.
void weir__runs_event(void *context, const weir_run_event *event);
// Answers those who still wait when the server stops.
void weir__runs_release_waiting(weir__server *server);
// Ends the waiting of clients that have closed their side: the library does not look at suspended connections.
void weir__runs_release_gone(weir__server *server);

typedef struct weir__machine {
    double cpu_percent, memory_percent, disk_percent;
    double memory_used_mb, disk_used_gb;
} weir__machine;
// How busy the machine is; what cannot be read is 0.
void weir__machine_read(weir__server *server, weir__machine *machine);
double weir__server_uptime_s(const weir__server *server);

// The start of a run from the body of a POST. Release with weir__run_order_free().
typedef struct weir__run_order {
    void *json; // what the strings below belong to
    const char **argv;
    char **environment;
    char *tags, *metadata;
    bool wait;
    weir_run_request request;
} weir__run_order;
int weir__run_order_parse(const char *body, size_t size, const char *user, weir__run_order *order,
                          weir_error *err);
void weir__run_order_free(weir__run_order *order);

weir__handler weir__get_executions, weir__post_execution, weir__get_active, weir__get_statistics,
    weir__get_execution, weir__delete_execution, weir__cancel_execution, weir__get_logs;
weir__handler weir__get_artifact, weir__download_artifact, weir__get_run_artifacts, weir__get_stored_file;
weir__handler weir__get_health, weir__get_health_status, weir__get_health_metrics, weir__get_health_database,
    weir__post_optimize, weir__get_store;

#endif
