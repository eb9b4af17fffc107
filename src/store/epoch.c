// SPDX-License-Identifier: MIT
//
// The epoch of the writer's connection: a number that tells a job whether what earlier jobs remembered of the
// database still holds.
//
// Two things make memory wrong. Changes may be undone: a rollback of the transaction, whoever asked for it, is told by
// SQLite's rollback hook; a rollback to a savepoint is not, so statements that do it are known from the moment they
// are prepared (the authorizer names them) and counted when they run. And somebody else may commit: PRAGMA
// data_version, which leaves our own commits out, is read at the first question in each transaction, under the
// write lock, so nobody can commit between that look and the end of the transaction. Who never asks pays nothing.
//
// Every change takes a new number from one counter of the process, so no two stores and no two openings share
// one. Where something cannot be known (a statement of the raw connection, a failed look), each question gets a
// new number: too many are only slow, one too few would be a lie.
#include "base/assert.h"
#include "store/conn.h"

enum { UNKNOWN_VERSION = -1 };

static _Atomic uint64_t newest_epoch;

void weir__epoch_change(weir_tx *conn)
{
    conn->epoch = atomic_fetch_add_explicit(&newest_epoch, 1, memory_order_relaxed) + 1;
}

static void on_rollback(void *arg)
{
    weir_tx *conn = arg;
    weir__epoch_change(conn);
    conn->data_version_is_read = false;
}

int weir__epoch_init(weir_tx *conn)
{
    weir__epoch_change(conn);
    conn->data_version = UNKNOWN_VERSION;
    if (conn->kind != WEIR__CONN_WRITER)
        return SQLITE_OK;
    sqlite3_rollback_hook(conn->db, on_rollback, conn);
    return sqlite3_prepare_v3(conn->db, "PRAGMA data_version", -1, SQLITE_PREPARE_PERSISTENT,
                              &conn->data_version_stmt, NULL);
}

void weir__epoch_begin(weir_tx *conn)
{
    conn->data_version_is_read = false;
}

void weir__epoch_end_use(weir_tx *conn)
{
    if (conn->undo_unseen)
        weir__epoch_change(conn);
    conn->undo_unseen = false;
}

static int64_t read_data_version(weir_tx *conn)
{
    sqlite3_stmt *stmt = conn->data_version_stmt;
    const int64_t version =
        sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : UNKNOWN_VERSION;
    sqlite3_reset(stmt);
    return version;
}

uint64_t weir_tx_epoch(weir_tx *tx)
{
    if (tx->kind != WEIR__CONN_WRITER || tx->reading)
        return 0;
    if (!tx->data_version_is_read) {
        const int64_t before = tx->data_version;
        tx->data_version = read_data_version(tx);
        tx->data_version_is_read = tx->data_version != UNKNOWN_VERSION;
        if (tx->data_version != before || !tx->data_version_is_read)
            weir__epoch_change(tx);
    }
    if (tx->undo_unseen)
        weir__epoch_change(tx);
    WEIR_ASSERT(tx->epoch != 0);
    return tx->epoch;
}

int64_t weir_tx_changes_total(weir_tx *tx)
{
    return sqlite3_total_changes64(tx->db);
}
