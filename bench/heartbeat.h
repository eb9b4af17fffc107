// SPDX-License-Identifier: MIT
//
// `weir bench heartbeat`, inside: heartbeats into a database that holds years of somebody's time already, reads of
// a day beside them, and the export of all of it.
//
//   heartbeat.c        the command line, the rounds       heartbeat_work.c    what is written
//   heartbeat_peers.c  plain SQLite, as aw-server-rust    heartbeat_weir.c    the library: beats, reads, export
//   heartbeat_http.c   weir serve, driven by wrk          heartbeat_report.c  text and JSON
//
// The prepared events lie PREPARED_STEP_S apart in BUCKETS buckets. Beats go on from a later day, one second
// apart in each bucket, and say the same BEATS_PER_EVENT times in a row: three of four are merged.
#ifndef WEIR_BENCH_HEARTBEAT_H
#define WEIR_BENCH_HEARTBEAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/activity.h>

#include "bench/crew.h"
#include "bench/figures.h"
#include "bench/session.h"

enum {
    WEIR__BEAT_BUCKETS = 6,
    WEIR__BEATS_PER_EVENT = 4,
    WEIR__BEAT_EVENTS = 544000, // what aw-server-rust's own figures were measured with
    WEIR__BEAT_EVENTS_MAX = 100 * 1000 * 1000,
    WEIR__BEAT_PULSETIME_S = 5,
    WEIR__BEAT_DATA_SIZE = 160,
    WEIR__BEAT_BUCKET_SIZE = 32,
    WEIR__BEAT_PREPARED_STEP_S = 60,
    WEIR__BEAT_PEER_BATCH = 100, // writes that aw-server-rust commits together
    WEIR__BEAT_CONNECTIONS = 16,
    WEIR__BEAT_WRITERS = 8,
};

typedef enum weir__beat_row {
    WEIR__BEAT_PEER,      // plain SQLite, a commit for 100 beats, acknowledged before it
    WEIR__BEAT_PLAIN,     // plain SQLite, a commit for each
    WEIR__BEAT_IN_FLIGHT, // the library
    WEIR__BEAT_HTTP,      // the server
    WEIR__BEAT_DAY_IDLE,  // reads of a day
    WEIR__BEAT_DAY_BUSY,  // the same while beats run flat out
    WEIR__BEAT_ROWS,
} weir__beat_row;

typedef struct weir__beat_about {
    const char *name, *about;
} weir__beat_about;

extern const weir__beat_about weir__beat_rows[WEIR__BEAT_ROWS];

typedef struct weir__beat_options {
    const char *directory; // in which a fresh one is made; NULL: here, or else $TMPDIR
    uint64_t window_ns;
    unsigned rounds;
    uint64_t events;
    bool chosen[WEIR__BEAT_ROWS];
    bool export; // measure that, too
    bool json;
    bool help;
} weir__beat_options;

typedef struct weir__beat_export {
    uint64_t bytes, time_ns;
    uint64_t grown_bytes; // of the process's peak memory
} weir__beat_export;

typedef struct weir__beat_results {
    weir__bench_pace paces[WEIR__BEAT_ROWS][WEIR__BENCH_ROUNDS_MAX];
    unsigned rounds_done;
    bool without_wrk; // it is not installed: no WEIR__BEAT_HTTP
    weir__beat_export export;
} weir__beat_results;

// One round of one row.
typedef struct weir__beat_task {
    weir__bench_session *session;
    const char *database; // its own copy, prepared
    uint64_t events;      // in it
    uint64_t window_ns;
} weir__beat_task;

typedef int weir__beat_run(const weir__beat_task *task, weir__bench_pace *pace, weir_error *err);
weir__beat_run weir__beat_peer, weir__beat_plain, weir__beat_in_flight, weir__beat_http, weir__beat_day_idle,
    weir__beat_day_busy;
int weir__beat_export_run(const weir__beat_task *task, weir__beat_export *result, weir_error *err);

// ---- heartbeat_work.c
// The source of beats: which one comes next in each bucket.
typedef struct weir__beat_source {
    pthread_mutex_t lock[WEIR__BEAT_BUCKETS];
    uint64_t next[WEIR__BEAT_BUCKETS]; // guarded by the bucket's lock
} weir__beat_source;

typedef struct weir__beat {
    weir_event event; // data points into `data`
    char data[WEIR__BEAT_DATA_SIZE];
} weir__beat;

void weir__beat_source_init(weir__beat_source *source);
void weir__beat_source_fini(weir__beat_source *source);
// The next beat of a bucket. The bucket's lock is held, and until the beat has been handed in, so that beats come in
// order.
void weir__beat_next(weir__beat_source *source, unsigned bucket, weir__beat *beat);
void weir__beat_bucket_id(unsigned bucket, char id[WEIR__BEAT_BUCKET_SIZE]);
// The first moment of a day that has prepared events in every bucket; any `pick`.
int64_t weir__beat_day_ns(uint64_t events, uint64_t pick);

// A database of the peer's format with the prepared events.
int weir__beat_prepare(const weir__bench_session *session, const char *path, uint64_t events,
                       weir_error *err);
// WEIR_CORRUPT when what is in the database is not what all beats of `source`, each acknowledged, must have left.
int weir__beat_verify(const char *path, uint64_t events, weir__beat_source *source, weir_error *err);

// ---- heartbeat_report.c
void weir__beat_report_text(const weir__bench_session *session, const weir__beat_options *options,
                            const weir__beat_results *results, weir__text *out);
void weir__beat_report_json(const weir__bench_session *session, const weir__beat_options *options,
                            const weir__beat_results *results, weir__text *out);

#endif
