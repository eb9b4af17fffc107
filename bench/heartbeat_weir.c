// SPDX-License-Identifier: MIT
//
// The library: clients that keep 64 heartbeats in flight each, a reader of days alone and beside them, and the export.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/flight.h"
#include "bench/heartbeat.h"

enum { DAY_S = 86400, STATUS_BYTES = 8192 };

static const int64_t SECOND_NS = INT64_C(1000000000);

typedef struct weir_task {
    const weir__beat_task *task;
    weir_activity *activity;
    weir__beat_source source;
} weir_task;

// -------------------------------------------------------------------------------------------------- beats

// On the thread that committed.
static void on_done(void *context, const weir_error *result, const weir_event *event)
{
    (void)event;
    weir__flight_landed(context, result);
}

static int submit(weir__worker *worker, weir__flight_write *write, weir_error *err)
{
    weir_task *t = worker->context;
    const unsigned bucket = worker->number % WEIR__BEAT_BUCKETS;
    char id[WEIR__BEAT_BUCKET_SIZE];
    weir__beat beat;
    weir__beat_bucket_id(bucket, id);
    pthread_mutex_lock(&t->source.lock[bucket]);
    weir__beat_next(&t->source, bucket, &beat);
    const int code = weir_activity_heartbeat_submit(t->activity, id, &beat.event, WEIR__BEAT_PULSETIME_S,
                                                    on_done, write, err);
    pthread_mutex_unlock(&t->source.lock[bucket]);
    return code;
}

static void write_beats(weir__worker *worker)
{
    weir__flight_run(worker, submit);
}

// -------------------------------------------------------------------------------------------------- reads

static int count_event(void *context, const weir_event *event, weir_error *err)
{
    uint64_t *count = context;
    (void)err;
    *count += event->data_size > 0;
    return WEIR_OK;
}

static int read_day(weir_activity *activity, uint64_t events, uint64_t pick, weir_error *err)
{
    const int64_t start_ns = weir__beat_day_ns(events, pick / WEIR__BEAT_BUCKETS);
    const weir_event_query query = {
        .has_start = true, .start_ns = start_ns, .has_end = true, .end_ns = start_ns + DAY_S * SECOND_NS - 1};
    char id[WEIR__BEAT_BUCKET_SIZE];
    uint64_t count = 0;
    weir__beat_bucket_id((unsigned)(pick % WEIR__BEAT_BUCKETS), id);
    const int code = weir_activity_events(activity, id, &query, count_event, &count, err);
    if (code == WEIR_OK && count == 0)
        return weir__error_set(err, WEIR_CORRUPT, "%s: a day without events, though all days had some", id);
    return code;
}

static void read_days(weir__worker *worker)
{
    weir_task *t = worker->context;
    uint64_t pick = 0;
    weir__worker_ready(worker);
    while (weir__worker_goes_on(worker)) {
        weir_error err = WEIR_ERROR_INIT;
        const uint64_t start_ns = weir__worker_now_ns();
        const int code = read_day(t->activity, t->task->events, pick, &err);
        if (code != WEIR_OK)
            weir__worker_fail(worker, code, &err);
        else
            weir__worker_acknowledge(worker, 1, 0, weir__worker_now_ns() - start_ns);
        pick += 7919; // all days, in no order that a cache could learn
    }
}

static void read_beside_beats(weir__worker *worker)
{
    if (worker->number == WEIR__BEAT_WRITERS)
        read_days(worker);
    else
        write_beats(worker);
}

// ------------------------------------------------------------------------------------------------- rounds

typedef struct shape {
    unsigned threads;
    weir__crew_work *work;
    unsigned counted_first, counted; // the workers whose pace it is
} shape;

static int run_shape(const weir__beat_task *task, const shape *s, weir__bench_pace *pace, weir_error *err)
{
    weir_task t = {.task = task};
    weir__crew crew = {0};
    int code = weir_activity_open(task->database, NULL, &t.activity, err);
    if (code != WEIR_OK)
        return code;
    weir__beat_source_init(&t.source);
    code = weir__crew_run(&crew, s->threads, s->work, &t, task->window_ns, &task->session->signals,
                          &task->session->signal_number, err);
    if (code == WEIR_OK)
        weir__bench_pace_of(&crew, s->counted_first, s->counted, pace);
    weir__crew_fini(&crew);
    const int close_code = weir_activity_close(t.activity, 0, code == WEIR_OK ? err : NULL);
    code = code == WEIR_OK ? close_code : code;
    if (code == WEIR_OK)
        code = weir__beat_verify(task->database, task->events, &t.source, err);
    weir__beat_source_fini(&t.source);
    return code;
}

int weir__beat_in_flight(const weir__beat_task *task, weir__bench_pace *pace, weir_error *err)
{
    static const shape s = {WEIR__BEAT_WRITERS, write_beats, 0, WEIR__BEAT_WRITERS};
    return run_shape(task, &s, pace, err);
}

int weir__beat_day_idle(const weir__beat_task *task, weir__bench_pace *pace, weir_error *err)
{
    static const shape s = {1, read_days, 0, 1};
    return run_shape(task, &s, pace, err);
}

int weir__beat_day_busy(const weir__beat_task *task, weir__bench_pace *pace, weir_error *err)
{
    static const shape s = {WEIR__BEAT_WRITERS + 1, read_beside_beats, WEIR__BEAT_WRITERS, 1};
    return run_shape(task, &s, pace, err);
}

// ------------------------------------------------------------------------------------------------- export

// Forgets the process's peak memory so far; false where the kernel does not let us.
static bool reset_peak(void)
{
    const int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    const bool done = fd >= 0 && write(fd, "5", 1) == 1;
    if (fd >= 0)
        (void)close(fd);
    return done;
}

// "VmHWM" of /proc/self/status, 0 when it cannot be read.
static uint64_t peak_bytes(void)
{
    char status[STATUS_BYTES];
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd >= 0 ? read(fd, status, sizeof status - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    if (size <= 0)
        return 0;
    status[size] = '\0';
    const char *line = strstr(status, "VmHWM:");
    return line ? strtoull(line + strlen("VmHWM:"), NULL, 10) * 1024 : 0;
}

static int count_bytes(void *context, const void *bytes, size_t size, weir_error *err)
{
    uint64_t *sum = context;
    (void)bytes;
    (void)err;
    *sum += size;
    return WEIR_OK;
}

int weir__beat_export_run(const weir__beat_task *task, weir__beat_export *result, weir_error *err)
{
    weir_activity *activity = NULL;
    *result = (weir__beat_export){0};
    int code = weir_activity_open(task->database, NULL, &activity, err);
    if (code != WEIR_OK)
        return code;
    const bool measured = reset_peak();
    const uint64_t before_bytes = peak_bytes();
    const uint64_t start_ns = weir__worker_now_ns();
    code = weir_activity_export(activity, NULL, 0, count_bytes, &result->bytes, err);
    result->time_ns = weir__worker_now_ns() - start_ns;
    const uint64_t after_bytes = peak_bytes();
    result->grown_bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
    if (code == WEIR_OK && (!measured || before_bytes == 0))
        code = weir__error_set(err, WEIR_UNSUPPORTED,
                               "/proc/self does not tell the peak of this process's memory");
    const int close_code = weir_activity_close(activity, 0, code == WEIR_OK ? err : NULL);
    return code == WEIR_OK ? close_code : code;
}
