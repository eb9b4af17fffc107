// SPDX-License-Identifier: MIT
//
// What the server's files share: the server, an exchange (one request and its answer), routes, dialects.
//
// Two stores may stand behind one listener, runs and activity, each of which has its own clients with their own
// idea of HTTP: paths, errors, guards, headers. Such an idea is a *dialect*; the decoded path decides which one
// a request is in (dialect.c).
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

#include <weir/activity.h>
#include <weir/runs.h>
#include <weir/weir.h>

#include "base/text.h"
#include "server/access.h"
#include "server/cors.h"
#include "server/keys.h"
#include "server/listen.h"
#include "server/peers.h"
#include "server/server.h"
#include "server/spool.h"
#include "server/static.h"
#include "server/uri.h"
#include "server/workers.h"

typedef struct weir__server weir__server;
typedef struct weir__exchange weir__exchange;

typedef enum weir__outcome {
    WEIR__ANSWERED, // the answer stands in the exchange
    WEIR__LATER,    // somebody else will answer and call weir__exchange_finish()
} weir__outcome;

// Answers a request, on a thread of its route's lane.
typedef weir__outcome weir__handler(weir__exchange *exchange);

// Whose threads run a handler. Those that write (or check the whole file) may have to wait for another process's
// lock, and reads must not wait behind them. Starts do not write on a worker: the engine does that.
//
// A handler of the EVENT lane never waits for anything, a disk included: it runs on the event thread itself, which
// saves two changes of threads, unless its body is larger than WEIR__EVENT_BODY_BYTES_MAX (a WRITE worker then). It
// either answers at once, or calls weir__exchange_suspend(), hands the exchange to somebody who will call
// weir__exchange_finish(), and returns WEIR__LATER. What would have to wait after all goes to a worker with
// weir__exchange_hand_over().
typedef enum weir__lane {
    WEIR__LANE_READ,
    WEIR__LANE_WRITE,
    WEIR__LANES, // those that have workers
    WEIR__LANE_EVENT = WEIR__LANES,
} weir__lane;

enum { WEIR__EVENT_BODY_BYTES_MAX = 64 << 10 };

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

// The first route whose path and method both fit, or NULL.
const weir__route *weir__route_match(const weir__route *routes, size_t routes_count, const char *method,
                                     const weir__uri *uri);

// The first weir__routes_common_count need no runs.
extern const weir__route weir__routes[];
extern const size_t weir__routes_count, weir__routes_common_count;
extern const weir__route weir__activity_routes[];
extern const size_t weir__activity_routes_count;

// ---------------------------------------------------------------------------------------------- dialects

typedef struct weir__header {
    const char *name, *value;
} weir__header;

typedef struct weir__dialect {
    // The checks before a body is read, form aside: finds the route, or answers.
    void (*guard)(weir__exchange *exchange);
    // Writes the body of an error; returns its media type.
    const char *(*write_error)(const weir__exchange *exchange, unsigned status, const weir__text *sentence,
                               weir__text *body);
    unsigned (*status_of_code)(int code);
    const char *json_type;
    const weir__header *headers; // of every answer; the last has no name
} weir__dialect;

extern const weir__dialect weir__dialect_runs, weir__dialect_activity;

// Takes the target apart and decides its dialect. Errors: those of weir__uri_parse().
int weir__dialect_choose(weir__exchange *exchange, weir_error *err);

void weir__guard_runs(weir__exchange *exchange);
void weir__guard_activity(weir__exchange *exchange);
// Is a name from a Host header one of ours: loopback, the address that was connected to, one that was allowed?
bool weir__host_is_ours(const weir__exchange *exchange, const char *name);
// Sets the limit of the body, and refuses one that is announced to be larger.
bool weir__guard_size(weir__exchange *exchange, size_t bytes_max);

typedef enum weir__exchange_state {
    WEIR__EXCHANGE_NEW,       // the request line has come
    WEIR__EXCHANGE_RECEIVING, // the body comes
    WEIR__EXCHANGE_DRAINING,  // refused already, the rest of the body is thrown away
    WEIR__EXCHANGE_WORKING,   // suspended
    WEIR__EXCHANGE_ANSWERED,
} weir__exchange_state;

// The headers that somebody here asks for, and how often those came that may come once only. The strings belong
// to the library and live as long as the exchange.
typedef struct weir__headers {
    const char *host, *origin, *content_length, *content_type, *transfer_encoding, *authorization, *expect;
    unsigned hosts, content_lengths, transfer_encodings;
    bool malformed;
} weir__headers;

// What a body is, by its Content-Type.
typedef enum weir__media {
    WEIR__MEDIA_OTHER,
    WEIR__MEDIA_JSON,
    WEIR__MEDIA_FORM, // multipart/form-data
} weir__media;

struct weir__exchange {
    weir__server *server;
    struct MHD_Connection *connection;
    weir__peer *peer;
    weir__exchange_state state;
    char *target; // as it came, NULL: too long
    char method[16];
    const weir__dialect *dialect;
    weir__headers headers; // filled by the guard
    weir__media media;     // of the body; activity
    weir__uri uri;
    const weir__route *route;
    const weir__key *key;    // who asks; NULL: no keys are configured
    weir__text body;         // while it is small
    weir__scratch body_file; // all of it, when it is not; activity
    uint64_t kept_bytes;     // of `body`, as the server counts them
    size_t body_bytes_max;
    uint64_t received_bytes; // of the body, kept or not
    bool bodiless;           // its body is read and thrown away
    bool endless;            // nobody knows where its body ends: answer at once and close
    uint64_t began_ns;

    unsigned status; // of the answer, or of the refusal; 0: none yet
    struct MHD_Response *response;
    bool kept; // there is no response yet: it is to be made of kept_json, which may be NULL
    char *kept_json;
    size_t kept_size;
    weir__scratch spooled; // what the answer's file counts; the file itself belongs to `response`
    weir__text refusal;    // the sentence of the last error

    const char *cors_origin; // may read the answer; NULL: nobody asked
    weir__handler *then;     // weir__exchange_hand_over()

    bool wait; // POST /api/executions: answer when the run has ended
    char run_id[WEIR_ID_SIZE];
    weir__exchange *next_waiting; // server's lock
};

typedef struct weir__machine_sample {
    uint64_t busy, total; // jiffies
} weir__machine_sample;

typedef struct weir__component {
    uint64_t read_ns, write_ns;
    weir_error error;
} weir__component;

typedef struct weir__health_probe {
    uint64_t at_ns;                 // 0: never
    weir__component runs, activity; // of those that are served
} weir__health_probe;

struct weir__server {
    weir__serve_options options; // defaults filled in; immutable
    const char **redact;         // NULL-terminated, for weir_runs_open; immutable
    weir_runs *runs;             // NULL: not served
    weir_activity *activity;     // NULL: not served
    char *activity_directory;    // where its temporary files go; immutable
    weir_activity_local local;   // this machine, for activity; the strings are the next two; immutable
    char *hostname, *device_id;
    weir__cors *cors;                    // for activity; immutable
    weir__static *files;                 // for activity; immutable
    pthread_mutex_t event_gate;          // held by the event thread while it runs a handler
    bool event_shut;                     // event_gate: the activity store is closing
    weir__keys keys;                     // immutable
    weir__key activity_key;              // .key NULL: none; immutable
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
    uint64_t kept_bytes;        // of bodies in memory; the event thread's
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
// Takes `bytes` (malloc'd; NULL: no memory). `type` NULL: no Content-Type.
void weir__answer_bytes(weir__exchange *exchange, unsigned status, const char *type, char *bytes,
                        size_t size);
// A 200 with JSON (taken; NULL: no memory) that becomes a response on the event thread: a thread that commits for
// everybody has better things to do.
void weir__answer_json_kept(weir__exchange *exchange, char *json, size_t size);
// Does that, if there is something kept. Event thread.
void weir__answer_make_kept(weir__exchange *exchange);
// Neither body nor Content-Type.
void weir__answer_empty(weir__exchange *exchange, unsigned status);
// The sentence in the form of the dialect: {"error":…} for runs, {"message":…} for activity. With the status 304
// nothing but the status is sent.
void weir__answer_error(weir__exchange *exchange, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// With the status that belongs to the code.
void weir__answer_code(weir__exchange *exchange, const weir_error *error);
void weir__answer_header(weir__exchange *exchange, const char *name, const char *value);
// Bytes of a file; takes the descriptor. `name`: to be kept under it; NULL: to be shown. Understands Range, If-Range,
// If-None-Match, If-Modified-Since.
void weir__answer_file(weir__exchange *exchange, int fd, const char *media_type, const char *name);

// As weir__answer_code(), with the words that clients know for what is not there.
void weir__answer_missing(weir__exchange *exchange, const weir_error *error, const char *words);

// A segment of the path that the route has a `*` for.
const char *weir__exchange_segment(const weir__exchange *exchange, size_t index);
weir__spool weir__exchange_spool(const weir__exchange *exchange);
// The same for an answer that may have gigabytes: bounded by WEIR__SPOOL_EXPORT_BYTES_MAX and by free space.
weir__spool weir__exchange_export_spool(const weir__exchange *exchange);
// The body, or the part of a form that an import wants. INVALID where there is no such part, or the form is no form.
int weir__exchange_input(const weir__exchange *exchange, weir_activity_input *input, weir_error *err);
// A request header, or NULL.
const char *weir__exchange_header(const weir__exchange *exchange, const char *name);
// Before an EVENT handler hands the exchange to somebody who finishes it. Fine on a worker, too.
void weir__exchange_suspend(weir__exchange *exchange);
// Has a worker of `lane` (READ or WRITE) run `handler`, and returns what the caller has to return.
weir__outcome weir__exchange_hand_over(weir__exchange *exchange, weir__lane lane, weir__handler *handler);
// The answer is complete: the event thread sends it. The exchange must not be touched after it. Any thread.
void weir__exchange_finish(weir__exchange *exchange);

// ------------------------------------------------------------------------------------------------ parts

int weir__stores_open(weir__server *server, weir_error *err);
// Answers what waits for them. Workers must have stopped.
int weir__stores_close(weir__server *server, weir_error *err);
void weir__stores_free(weir__server *server);

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

weir__handler weir__get_front, weir__get_page;
weir__handler weir__activity_get_info;

#endif
