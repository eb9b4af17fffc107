// SPDX-License-Identifier: MIT
//
// Reads: a pool of read-only connections, each of which serves one snapshot at a time.
//
// Who comes first is served first. A *reader gap* keeps everybody waiting for a moment: when no snapshot is
// open, nothing keeps the log from starting over; without such a moment, reads that overlap without end make
// it grow without end.
//
// A degraded store has no log, so nothing to read beside the writer: a snapshot there takes the writer's turn
// and its connection.
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "store/store.h"

// ----------------------------------------------------------------------------------- connections, in turn

static void open_link(weir__pool *pool, weir_snapshot *snapshot)
{
    weir_snapshot *const newest = pool->open.prev;
    snapshot->prev = newest;
    snapshot->next = &pool->open;
    newest->next = snapshot;
    pool->open.prev = snapshot;
    pool->open_size++;
}

static void open_unlink(weir__pool *pool, weir_snapshot *snapshot)
{
    snapshot->prev->next = snapshot->next;
    snapshot->next->prev = snapshot->prev;
    pool->open_size--;
}

// With the lock: marks a free connection as open.
static weir_snapshot *take_free(weir__pool *pool)
{
    weir_snapshot *snapshot = pool->free_first;
    WEIR_ASSERT(!snapshot->open);
    pool->free_first = snapshot->next;
    snapshot->open = true;
    snapshot->id = ++pool->next_id;
    open_link(pool, snapshot);
    return snapshot;
}

// With the lock: hands free connections to those who wait.
static void grant(weir__pool *pool)
{
    while (pool->gaps == 0 && pool->free_first && pool->wait_first) {
        weir__pool_wait *wait = pool->wait_first;
        pool->wait_first = wait->next;
        if (!pool->wait_first)
            pool->wait_last = &pool->wait_first;
        wait->snapshot = take_free(pool);
    }
    pthread_cond_broadcast(&pool->changed);
}

static void wait_unlink(weir__pool *pool, weir__pool_wait *wait)
{
    weir__pool_wait **link = &pool->wait_first;
    while (*link != wait)
        link = &(*link)->next;
    *link = wait->next;
    if (!*link)
        pool->wait_last = link;
}

// With the lock: waits in line for a connection.
static int wait_for_connection(weir_store *store, uint64_t deadline_ns, weir_snapshot **out, weir_error *err)
{
    weir__pool *pool = &store->pool;
    weir__pool_wait wait = {0};
    *pool->wait_last = &wait;
    pool->wait_last = &wait.next;
    pool->waited++;
    pool->waiting++;
    int rc = 0;
    while (!wait.snapshot && !pool->stop && rc != ETIMEDOUT)
        rc = weir__cond_wait_until(store->clock, &pool->changed, &pool->lock, deadline_ns);
    pool->waiting--;
    *out = wait.snapshot;
    if (wait.snapshot)
        return WEIR_OK;
    wait_unlink(pool, &wait);
    pthread_cond_broadcast(&pool->changed); // weir_close waits for the last one to leave
    if (pool->stop)
        return weir__error_set(err, WEIR_CLOSED, "%s: the store is closing", store->path);
    pool->expired++;
    return weir__error_set(err, WEIR_EXPIRED,
                           "%s: all %u read connections were in use until the deadline of this read",
                           store->path, pool->size);
}

static int take_connection(weir_store *store, uint64_t deadline_ns, weir_snapshot **out, weir_error *err)
{
    weir__pool *pool = &store->pool;
    int code = WEIR_OK;
    pthread_mutex_lock(&pool->lock);
    if (pool->stop)
        code = weir__error_set(err, WEIR_CLOSED, "%s: the store is closing", store->path);
    else if (pool->gaps == 0 && pool->free_first && !pool->wait_first)
        *out = take_free(pool);
    else
        code = wait_for_connection(store, deadline_ns, out, err);
    pthread_mutex_unlock(&pool->lock);
    return code;
}

static void give_connection(weir_snapshot *snapshot)
{
    weir_store *store = snapshot->store;
    weir__pool *pool = &store->pool;
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    pthread_mutex_lock(&pool->lock);
    WEIR_ASSERT(snapshot->open);
    snapshot->open = false;
    open_unlink(pool, snapshot);
    pool->reads++;
    pool->expired += snapshot->conn->expired;
    if (snapshot->opened_ns)
        weir__histogram_record(&pool->read_ns, now_ns - snapshot->opened_ns);
    snapshot->opened_ns = 0; // whoever takes it next is not as old as this
    snapshot->label = NULL;
    snapshot->salt = 0;
    snapshot->next = pool->free_first;
    pool->free_first = snapshot;
    if (pool->wait_first || pool->gaps || pool->stop)
        grant(pool);
    pthread_mutex_unlock(&pool->lock);
}

// ---------------------------------------------------------------------------------------------- snapshots

// Notes which frames the snapshot will need: read before it begins, so never too few.
static void note_position(weir_snapshot *snapshot, uint64_t opened_ns, uint64_t deadline_ns,
                          const char *label)
{
    weir_store *store = snapshot->store;
    weir_wal_index index;
    const bool known = weir__store_sample(store, &index);
    pthread_mutex_lock(&store->pool.lock);
    snapshot->opened_ns = opened_ns;
    snapshot->deadline_ns = deadline_ns;
    snapshot->label = label;
    snapshot->frame = known ? (int64_t)index.mx_frame : 0;
    snapshot->salt = known ? index.salt[0] : 0;
    pthread_mutex_unlock(&store->pool.lock);
}

// BEGIN alone takes no snapshot: the first read does.
static int begin(weir_snapshot *snapshot, uint64_t deadline_ns, weir_error *err)
{
    weir_tx *conn = snapshot->conn;
    conn->busy_until_ns = deadline_ns;
    int rc = weir__conn_control(conn, "BEGIN");
    if (rc == SQLITE_OK)
        rc = weir__conn_control(conn, "SELECT 1 FROM sqlite_schema LIMIT 1");
    if (rc != SQLITE_OK) {
        weir__conn_error(conn, rc, "BEGIN", err);
        weir__conn_roll_back(conn);
        return weir__sqlite_code(rc);
    }
    weir__conn_use_begin(conn, deadline_ns);
    conn->reading = true;
    return WEIR_OK;
}

static void give_turn(weir_store *store)
{
    weir__conn_pragma_int64(store->writer.conn, "PRAGMA query_only=0", NULL, NULL);
    weir__turn_return(store);
}

// Once the connection is back in the pool, weir_close may take the store away, unless this thread has the turn.
static void give_back(weir_snapshot *snapshot)
{
    weir_store *store = snapshot->store;
    const bool holds_turn = !store->wal;
    give_connection(snapshot);
    if (holds_turn)
        give_turn(store);
}

static int take_turn(weir_store *store, uint64_t deadline_ns, weir_snapshot **out, weir_error *err)
{
    pthread_mutex_lock(&store->queue.lock);
    int code = store->queue.stop ? WEIR_CLOSED : weir__turn_take(store, deadline_ns);
    pthread_mutex_unlock(&store->queue.lock);
    if (code == WEIR_CLOSED)
        return weir__error_set(err, code, "%s: the store is closing", store->path);
    if (code != WEIR_OK)
        return weir__error_set(err, WEIR_EXPIRED,
                               "%s: the writer or another read was busy until the deadline of this read",
                               store->path);
    code = take_connection(store, deadline_ns, out, err);
    WEIR_ASSERT(code != WEIR_OK || (*out)->conn == store->writer.conn);
    if (code == WEIR_OK)
        code = weir__conn_pragma_int64(store->writer.conn, "PRAGMA query_only=1", NULL, err);
    if (code != WEIR_OK && *out)
        give_back(*out);
    else if (code != WEIR_OK)
        give_turn(store);
    return code;
}

static int check_read(weir_store *store, weir_error *err)
{
    const int code = weir__store_check(store, err);
    if (code == WEIR_OK && !store->wal && weir__writer_is_me())
        return weir__error_set(
            err, WEIR_INVALID,
            "%s: a job cannot open a read in a store without a log: read through the job's transaction",
            store->path);
    return code;
}

int weir_snapshot_open(weir_store *store, const weir_read_options *given, weir_snapshot **out,
                       weir_error *err)
{
    *out = NULL;
    const weir_read_options options = given ? *given : (weir_read_options)WEIR_READ_OPTIONS_INIT;
    int code = check_read(store, err);
    if (code != WEIR_OK)
        return code;
    const uint64_t start_ns = weir__clock_now_ns(store->clock);
    const uint64_t deadline_ns =
        weir__store_deadline_from(start_ns, options.deadline_ms, store->config.read_deadline_ms);
    if (!options.may_be_stale && atomic_load(&store->writer.applied_pending) > 0 && !weir__writer_is_me())
        code = weir__writer_flush(store, deadline_ns, true, err);
    if (code != WEIR_OK)
        return code;
    weir_snapshot *snapshot = NULL;
    code = store->wal ? take_connection(store, deadline_ns, &snapshot, err)
                      : take_turn(store, deadline_ns, &snapshot, err);
    if (code != WEIR_OK)
        return code;
    note_position(snapshot, start_ns, deadline_ns, options.label);
    code = begin(snapshot, deadline_ns, err);
    if (code != WEIR_OK) {
        give_back(snapshot);
        return code;
    }
    *out = snapshot;
    return WEIR_OK;
}

weir_tx *weir_snapshot_tx(weir_snapshot *snapshot)
{
    return snapshot->conn;
}

void weir_snapshot_close(weir_snapshot *snapshot)
{
    if (!snapshot || weir__store_check(snapshot->store, NULL) != WEIR_OK)
        return;
    weir_tx *conn = snapshot->conn;
    weir__conn_use_end(conn);
    weir__conn_roll_back(conn);
    give_back(snapshot);
}

int weir_read(weir_store *store, weir_read_fn *read, void *arg, const weir_read_options *options,
              weir_error *err)
{
    weir_snapshot *snapshot = NULL;
    int code = weir_snapshot_open(store, options, &snapshot, err);
    if (code != WEIR_OK)
        return code;
    code = read(snapshot->conn, arg, err);
    weir_snapshot_close(snapshot);
    return code;
}

// ---------------------------------------------------------------------------------------------------- gap

// A snapshot from before the log started over was opened when everything had been moved: it reads the database file
// alone, and while it does nothing may be moved there.
int64_t weir__snapshot_pins(const weir_snapshot *snapshot, const weir_wal_index *index)
{
    const bool same_log = snapshot->salt == index->salt[0];
    return (int64_t)index->mx_frame - (same_log ? snapshot->frame : 0);
}

// With the lock: a snapshot that has been open for longer than the gap may last is not likely to be closed in it, and
// all others would wait in vain.
static bool is_hopeless(const weir__pool *pool, uint64_t now_ns, uint64_t until_ns)
{
    const weir_snapshot *oldest = pool->open.next;
    const uint64_t gap_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    return pool->open_size > 0 && oldest->opened_ns && oldest->opened_ns + gap_ns < now_ns;
}

bool weir__pool_gap_begin(weir_store *store, uint64_t until_ns)
{
    weir__pool *pool = &store->pool;
    pthread_mutex_lock(&pool->lock);
    pool->gaps++;
    pool->gap_count += pool->open_size > 0;
    const bool hopeless = is_hopeless(pool, weir__clock_now_ns(store->clock), until_ns);
    while (pool->open_size > 0 && !hopeless)
        if (weir__cond_wait_until(store->clock, &pool->changed, &pool->lock, until_ns) == ETIMEDOUT)
            break;
    const bool empty = pool->open_size == 0;
    pthread_mutex_unlock(&pool->lock);
    return empty;
}

void weir__pool_gap_end(weir_store *store)
{
    weir__pool *pool = &store->pool;
    pthread_mutex_lock(&pool->lock);
    WEIR_ASSERT(pool->gaps > 0);
    pool->gaps--;
    grant(pool);
    pthread_mutex_unlock(&pool->lock);
}

// ---------------------------------------------------------------------------------------- start and stop

static int add_reader(weir_store *store, weir_error *err)
{
    weir__pool *pool = &store->pool;
    weir_snapshot *slot = &pool->slots[pool->size];
    weir_tx *conn = store->writer.conn;
    if (store->wal) {
        const int code = weir__store_connect(store, WEIR__CONN_READER, &conn, err);
        if (code != WEIR_OK)
            return code;
    }
    *slot = (weir_snapshot){.store = store, .conn = conn, .next = pool->free_first};
    pool->free_first = slot;
    pool->size++;
    return WEIR_OK;
}

void weir__pool_init(weir_store *store)
{
    weir__pool *pool = &store->pool;
    pthread_mutex_init(&pool->lock, NULL);
    weir__cond_init(&pool->changed);
    pool->wait_last = &pool->wait_first;
    pool->open.next = pool->open.prev = &pool->open;
}

int weir__pool_start(weir_store *store, weir_error *err)
{
    weir__pool *pool = &store->pool;
    const uint32_t wanted = store->wal ? store->config.readers : 1;
    int code = WEIR_OK;
    while (code == WEIR_OK && pool->size < wanted)
        code = add_reader(store, err);
    return code;
}

void weir__pool_stop(weir_store *store, uint64_t deadline_ns)
{
    weir__pool *pool = &store->pool;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->changed);
    while (pool->open_size > 0 || pool->waiting > 0) {
        if (weir__cond_wait_until(store->clock, &pool->changed, &pool->lock, deadline_ns) != ETIMEDOUT)
            continue;
        for (uint32_t i = 0; i < pool->size; i++)
            atomic_store(&pool->slots[i].conn->interrupt, true);
        deadline_ns = WEIR__FOREVER;
    }
    const uint32_t size = pool->size;
    pool->size = 0; // who looks at the pool from now on finds no connection
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < size && store->wal; i++)
        weir__conn_close(pool->slots[i].conn);
}
