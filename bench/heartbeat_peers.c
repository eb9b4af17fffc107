// SPDX-License-Identifier: MIT
//
// Plain SQLite with the tables and the ways of aw-server-rust: one connection, one thread, the newest event of each
// bucket kept in memory, an UPDATE for a beat that merges and an INSERT for one that does not, FULL, SQLite's own
// checkpoints. That server commits when more than 100 writes have come, and has acknowledged them by then; the other
// row commits each before it is acknowledged. No HTTP and no JSON: what its database alone allows.
#include <sqlite3.h>
#include <string.h>

#include "base/clock.h"
#include "bench/heartbeat.h"

typedef struct last_event {
    int64_t id, start_ns, end_ns;
    char data[WEIR__BEAT_DATA_SIZE];
} last_event;

typedef struct peer {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *insert, *update;
    int64_t rows[WEIR__BEAT_BUCKETS]; // ids of the buckets
    last_event last[WEIR__BEAT_BUCKETS];
    unsigned pending;
} peer;

typedef struct peer_task {
    const weir__beat_task *task;
    unsigned batch;
    weir__beat_source source;
} peer_task;

static int failed(const peer *p, const peer_task *t, weir_error *err)
{
    return weir__error_set(err, WEIR_IO, "%s: %s", t->task->database, sqlite3_errmsg(p->db));
}

static bool run_to_end(sqlite3_stmt *stmt)
{
    return sqlite3_step(stmt) == SQLITE_DONE && sqlite3_reset(stmt) == SQLITE_OK;
}

static bool find_buckets(peer *p)
{
    sqlite3_stmt *stmt = NULL;
    bool fine =
        sqlite3_prepare_v2(p->db, "SELECT id FROM buckets WHERE name = ?1", -1, &stmt, NULL) == SQLITE_OK;
    for (unsigned i = 0; i < WEIR__BEAT_BUCKETS && fine; i++) {
        char id[WEIR__BEAT_BUCKET_SIZE];
        weir__beat_bucket_id(i, id);
        fine = sqlite3_bind_text(stmt, 1, id, -1, SQLITE_TRANSIENT) == SQLITE_OK &&
               sqlite3_step(stmt) == SQLITE_ROW;
        p->rows[i] = fine ? sqlite3_column_int64(stmt, 0) : 0;
        (void)sqlite3_reset(stmt);
    }
    (void)sqlite3_finalize(stmt);
    return fine;
}

static bool peer_open(peer *p, const char *path)
{
    return sqlite3_open_v2(path, &p->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
           sqlite3_exec(p->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON",
                        NULL, NULL, NULL) == SQLITE_OK &&
           find_buckets(p) &&
           sqlite3_prepare_v2(p->db, "BEGIN IMMEDIATE", -1, &p->begin, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(p->db, "COMMIT", -1, &p->commit, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(
               p->db, "INSERT INTO events(bucketrow, starttime, endtime, data) VALUES (?1, ?2, ?3, ?4)", -1,
               &p->insert, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(
               p->db,
               "UPDATE events SET starttime = ?2, endtime = ?3, data = ?4 WHERE bucketrow = ?1 AND id = ?5",
               -1, &p->update, NULL) == SQLITE_OK;
}

static void peer_close(peer *p)
{
    (void)sqlite3_finalize(p->begin);
    (void)sqlite3_finalize(p->commit);
    (void)sqlite3_finalize(p->insert);
    (void)sqlite3_finalize(p->update);
    (void)sqlite3_close(p->db);
}

static bool store(peer *p, unsigned bucket, const weir__beat *beat, bool merges)
{
    last_event *last = &p->last[bucket];
    sqlite3_stmt *stmt = merges ? p->update : p->insert;
    if (!merges)
        *last = (last_event){.start_ns = beat->event.start_ns};
    last->end_ns = beat->event.start_ns + beat->event.duration_ns;
    (void)sqlite3_bind_int64(stmt, 1, p->rows[bucket]);
    (void)sqlite3_bind_int64(stmt, 2, last->start_ns);
    (void)sqlite3_bind_int64(stmt, 3, last->end_ns);
    (void)sqlite3_bind_text(stmt, 4, beat->data, (int)beat->event.data_size, SQLITE_STATIC);
    if (merges)
        (void)sqlite3_bind_int64(stmt, 5, last->id);
    if (!run_to_end(stmt))
        return false;
    if (!merges) {
        last->id = sqlite3_last_insert_rowid(p->db);
        memcpy(last->data, beat->data, beat->event.data_size + 1);
    }
    return true;
}

static bool take_beat(peer *p, unsigned bucket, const weir__beat *beat, unsigned batch)
{
    const last_event *last = &p->last[bucket];
    const bool merges =
        last->id != 0 && strcmp(last->data, beat->data) == 0 &&
        beat->event.start_ns <= last->end_ns + WEIR__BEAT_PULSETIME_S * (int64_t)WEIR__NS_PER_S;
    if (p->pending == 0 && !run_to_end(p->begin))
        return false;
    if (!store(p, bucket, beat, merges))
        return false;
    if (++p->pending < batch)
        return true;
    p->pending = 0;
    return run_to_end(p->commit);
}

static void work(weir__worker *worker)
{
    peer_task *t = worker->context;
    peer p = {0};
    weir_error err = WEIR_ERROR_INIT;
    const bool opened = peer_open(&p, t->task->database);
    weir__worker_ready(worker);
    if (!opened)
        weir__worker_fail(worker, failed(&p, t, &err), &err);
    for (unsigned bucket = 0; weir__worker_goes_on(worker); bucket = (bucket + 1) % WEIR__BEAT_BUCKETS) {
        weir__beat beat;
        pthread_mutex_lock(&t->source.lock[bucket]);
        weir__beat_next(&t->source, bucket, &beat);
        pthread_mutex_unlock(&t->source.lock[bucket]);
        const uint64_t start_ns = weir__worker_now_ns();
        if (take_beat(&p, bucket, &beat, t->batch))
            weir__worker_acknowledge(worker, 1, 0, weir__worker_now_ns() - start_ns);
        else
            weir__worker_fail(worker, failed(&p, t, &err), &err);
    }
    if (p.pending > 0 && !run_to_end(p.commit))
        weir__worker_fail(worker, failed(&p, t, &err), &err);
    peer_close(&p);
}

static int run(const weir__beat_task *task, unsigned batch, weir__bench_pace *pace, weir_error *err)
{
    peer_task t = {.task = task, .batch = batch};
    weir__crew crew = {0};
    weir__beat_source_init(&t.source);
    int code = weir__crew_run(&crew, 1, work, &t, task->window_ns, &task->session->signals,
                              &task->session->signal_number, err);
    if (code == WEIR_OK)
        weir__bench_pace_of(&crew, 0, crew.size, pace);
    weir__crew_fini(&crew);
    if (code == WEIR_OK)
        code = weir__beat_verify(task->database, task->events, &t.source, err);
    weir__beat_source_fini(&t.source);
    return code;
}

int weir__beat_peer(const weir__beat_task *task, weir__bench_pace *pace, weir_error *err)
{
    return run(task, WEIR__BEAT_PEER_BATCH + 1, pace, err);
}

int weir__beat_plain(const weir__beat_task *task, weir__bench_pace *pace, weir_error *err)
{
    return run(task, 1, pace, err);
}
