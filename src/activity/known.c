// SPDX-License-Identifier: MIT
//
// Crowds are kept in one open-addressed table: for each row the hash of its bucket, moment, end and canonical
// data; for each crowd the hash of the first three, as a mark that its rows are there. Equal hashes are
// settled by reading the row. An input that was made to collide would have many rows read for each event; so what
// the hash multiplies with is random, and it takes both halves of the product: which inputs collide cannot be known.
#include "activity/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "base/random.h"

__extension__ typedef unsigned __int128 product_of_two;

static uint64_t mix(const weir__known *known, uint64_t hash, uint64_t value)
{
    const product_of_two product = (product_of_two)(hash ^ value) * known->multiplier;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_moment(const weir__known *known, int64_t bucketrow, const weir_event *event)
{
    uint64_t hash = mix(known, known->seed, (uint64_t)bucketrow);
    hash = mix(known, hash, (uint64_t)event->start_ns);
    hash = mix(known, hash, (uint64_t)event->duration_ns);
    return hash != 0 ? hash : 1;
}

static uint64_t hash_data(const weir__known *known, uint64_t hash, const char *data, size_t size)
{
    uint64_t word = 0;
    size_t at = 0;
    for (; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, data + at, sizeof word);
        hash = mix(known, hash, word);
    }
    word = 0;
    memcpy(&word, data + at, size - at);
    hash = mix(known, mix(known, hash, word), size);
    return hash != 0 ? hash : 1;
}

// ------------------------------------------------------------------------------------------------ the table

// The slot of the hash, or the free one where it would be; `slot` SIZE_MAX begins, else goes on behind it.
static size_t probe(const weir__known *known, uint64_t hash, size_t slot)
{
    size_t at = slot == SIZE_MAX ? (size_t)hash & (known->capacity - 1) : (slot + 1) & (known->capacity - 1);
    while (known->slots[at].hash != 0 && known->slots[at].hash != hash)
        at = (at + 1) & (known->capacity - 1);
    return at;
}

static void put(weir__known *known, uint64_t hash, int64_t id)
{
    size_t at = (size_t)hash & (known->capacity - 1);
    while (known->slots[at].hash != 0)
        at = (at + 1) & (known->capacity - 1);
    known->slots[at] = (weir__known_slot){.hash = hash, .id = id};
    known->count++;
}

static int grow(weir__known *known, weir_error *err)
{
    const weir__known old = *known;
    const size_t capacity = old.capacity == 0 ? 1024 : old.capacity * 2;
    weir__known_slot *const slots = calloc(capacity, sizeof *slots);
    if (slots == NULL)
        return weir__activity_no_memory(err);
    known->slots = slots;
    known->capacity = capacity;
    known->count = 0;
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].hash != 0)
            put(known, old.slots[i].hash, old.slots[i].id);
    free(old.slots);
    return WEIR_OK;
}

static int remember(weir__known *known, uint64_t hash, int64_t id, weir_error *err)
{
    if (known->count == WEIR__KNOWN_MAX)
        return weir__error_set(
            err, WEIR_TOOBIG,
            "more than %d events begin and end at the same moments as more than %d others: "
            "import them in parts",
            WEIR__KNOWN_MAX, WEIR__KNOWN_FEW);
    int rc = WEIR_OK;
    if (known->count >= known->capacity / 4 * 3)
        rc = grow(known, err);
    if (rc == WEIR_OK)
        put(known, hash, id);
    return rc;
}

// -------------------------------------------------------------------------------------------------- the rows

// A row's data in canonical form; *data NULL where they are no JSON object.
static int row_data(weir__known *known, weir_stmt *row, const char **data, size_t *size, weir_error *err)
{
    *data = weir_column_text(row, 0);
    *size = weir_column_size(row, 0);
    if (*data == NULL || weir__json_is_canonical(*data, *size))
        return WEIR_OK;
    weir__text_clear(&known->canonical);
    const int rc = weir__json_canonical(*data, *size, WEIR__JSON_OBJECT, &known->canonical, NULL);
    *data = rc == WEIR_OK ? known->canonical.data : NULL;
    *size = known->canonical.size;
    return rc == WEIR_NOMEM ? weir__activity_no_memory(err) : WEIR_OK;
}

static int is_same(weir__known *known, weir_stmt *row, const weir_event *event, bool *same, weir_error *err)
{
    const char *data;
    size_t size;
    const int rc = row_data(known, row, &data, &size, err);
    *same = rc == WEIR_OK && data != NULL && size == event->data_size && memcmp(data, event->data, size) == 0;
    return rc;
}

static int rows_of_moment(weir_tx *tx, int64_t bucketrow, const weir_event *event, weir_stmt **stmt,
                          weir_error *err)
{
    const int rc = weir_prepare(
        tx, "SELECT data, id FROM events WHERE bucketrow = $1 AND starttime = $2 AND endtime = $3", stmt,
        err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(*stmt, 1, bucketrow);
    weir_bind_int64(*stmt, 2, event->start_ns);
    weir_bind_int64(*stmt, 3, event->start_ns + event->duration_ns);
    return WEIR_OK;
}

// Looks at the first few rows. *more: there are others.
static int find_in_few(weir__known *known, weir_tx *tx, int64_t bucketrow, const weir_event *event,
                       bool *exists, bool *more, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = rows_of_moment(tx, bucketrow, event, &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    for (int i = 0; !*exists && (rc = weir_step(stmt, &row, err)) == WEIR_OK && row; i++) {
        *more = i == WEIR__KNOWN_FEW;
        if (*more || (rc = is_same(known, stmt, event, exists, err)) != WEIR_OK)
            break;
    }
    weir_reset(stmt);
    return rc;
}

static int remember_crowd(weir__known *known, weir_tx *tx, int64_t bucketrow, const weir_event *event,
                          uint64_t moment, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = rows_of_moment(tx, bucketrow, event, &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    while (rc == WEIR_OK && (rc = weir_step(stmt, &row, err)) == WEIR_OK && row) {
        const char *data;
        size_t size;
        rc = row_data(known, stmt, &data, &size, err);
        if (rc == WEIR_OK && data != NULL)
            rc = remember(known, hash_data(known, moment, data, size), weir_column_int64(stmt, 1), err);
    }
    weir_reset(stmt);
    return rc == WEIR_OK ? remember(known, moment, 0, err) : rc;
}

static int find_in_crowd(weir__known *known, weir_tx *tx, const weir_event *event, bool *exists,
                         weir_error *err)
{
    int rc = WEIR_OK;
    size_t at = SIZE_MAX;
    while (rc == WEIR_OK && !*exists && known->slots[at = probe(known, known->hash, at)].hash != 0) {
        weir_stmt *stmt = NULL;
        bool row = false;
        rc = weir_prepare(tx, "SELECT data FROM events WHERE id = $1", &stmt, err);
        if (rc != WEIR_OK)
            return rc;
        weir_bind_int64(stmt, 1, known->slots[at].id);
        rc = weir_step(stmt, &row, err);
        if (rc == WEIR_OK && row)
            rc = is_same(known, stmt, event, exists, err);
        weir_reset(stmt);
    }
    return rc;
}

// ---------------------------------------------------------------------------------------------------- asking

void weir__known_begin(weir__known *known)
{
    weir__known_end(known);
    known->seed = weir__random_u64();
    known->multiplier = weir__random_u64() | 1;
}

void weir__known_end(weir__known *known)
{
    free(known->slots);
    weir__text_free(&known->canonical);
    *known = (weir__known){0};
}

int weir__known_find(weir__known *known, weir_tx *tx, int64_t bucketrow, const weir_event *event,
                     bool *exists, weir_error *err)
{
    *exists = false;
    const uint64_t moment = hash_moment(known, bucketrow, event);
    const bool is_remembered = known->count > 0 && known->slots[probe(known, moment, SIZE_MAX)].hash != 0;
    known->is_crowd = is_remembered;
    int rc = WEIR_OK;
    if (!is_remembered)
        rc = find_in_few(known, tx, bucketrow, event, exists, &known->is_crowd, err);
    if (rc != WEIR_OK || !known->is_crowd)
        return rc;
    if (!is_remembered)
        rc = remember_crowd(known, tx, bucketrow, event, moment, err);
    known->hash = hash_data(known, moment, event->data, event->data_size);
    return rc == WEIR_OK ? find_in_crowd(known, tx, event, exists, err) : rc;
}

int weir__known_add(weir__known *known, int64_t id, weir_error *err)
{
    return known->is_crowd ? remember(known, known->hash, id, err) : WEIR_OK;
}
