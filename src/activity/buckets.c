// SPDX-License-Identifier: MIT
//
// Buckets: checking their fields, writing and reading their rows.
//
// The first start and the last end of a bucket are asked of the index at each reading, one by its first entry,
// the other by a pass over the bucket's entries: nothing is remembered that could be wrong.
//
// Rows of others may hold anything. One whose names are not text that JSON can show is left out and counted; a
// moment of creation or data that cannot be read are given as absent and {}.
#include <stdlib.h>
#include <string.h>

#include "activity/activity.h"
#include "base/clock.h"
#include "base/date.h"
#include "base/json_read.h"

enum { NS_PER_US = 1000 };

int weir__activity_no_bucket(const char *id, weir_error *err)
{
    return weir__error_set(err, WEIR_NOTFOUND, "The requested bucket '%s' does not exist", id);
}

int weir__activity_bucket_taken(const char *id, weir_error *err)
{
    return weir__error_set(err, WEIR_EXISTS, "Bucket '%s' already exists", id);
}

// ------------------------------------------------------------------------------------------------- checking

int weir__activity_check_name(const char *what, const char *name, weir_error *err)
{
    if (name == NULL)
        return weir__error_set(err, WEIR_INVALID, "the bucket has no %s", what);
    const size_t size = strnlen(name, WEIR_ACTIVITY_NAME_BYTES_MAX + 1);
    if (size > WEIR_ACTIVITY_NAME_BYTES_MAX)
        return weir__error_set(err, WEIR_INVALID, "the bucket's %s is longer than %d bytes", what,
                               WEIR_ACTIVITY_NAME_BYTES_MAX);
    if (!weir__utf8_is_valid(name, size))
        return weir__error_set(err, WEIR_INVALID, "the bucket's %s is not UTF-8", what);
    return WEIR_OK;
}

int weir__activity_bucket_check(const weir_bucket *bucket, weir__text *data, weir_bucket *out,
                                weir_error *err)
{
    *out = *bucket;
    int rc = weir__activity_check_name("id", bucket->id, err);
    if (rc == WEIR_OK)
        rc = weir__activity_check_name("type", bucket->type, err);
    if (rc == WEIR_OK)
        rc = weir__activity_check_name("client", bucket->client, err);
    if (rc == WEIR_OK)
        rc = weir__activity_check_name("hostname", bucket->hostname, err);
    if (rc == WEIR_OK)
        rc = weir__activity_check_data(bucket->data, bucket->data_size, data, &out->data, &out->data_size,
                                       err);
    return rc;
}

// ---------------------------------------------------------------------------------------------------- rows

// *row 0: there is none.
static int look_up(weir_tx *tx, const char *id, bool *exists, int64_t *row, weir_error *err)
{
    weir_stmt *stmt = NULL;
    *exists = false;
    *row = 0;
    int rc = weir_prepare(tx, "SELECT id FROM buckets WHERE name = $1", &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, id, WEIR_TEXT_TERMINATED);
    rc = weir_step(stmt, exists, err);
    if (rc == WEIR_OK && *exists)
        *row = weir_column_int64(stmt, 0);
    weir_reset(stmt);
    return rc;
}

int weir__activity_bucket_find(weir_tx *tx, const char *id, int64_t *row, weir_error *err)
{
    bool exists = false;
    const int rc = look_up(tx, id, &exists, row, err);
    return rc == WEIR_OK && !exists ? weir__activity_no_bucket(id, err) : rc;
}

static int expect_free(weir_tx *tx, const char *id, weir_error *err)
{
    bool exists = false;
    int64_t row = 0;
    const int rc = look_up(tx, id, &exists, &row, err);
    return rc == WEIR_OK && exists ? weir__activity_bucket_taken(id, err) : rc;
}

int weir__activity_bucket_insert(weir_activity *activity, weir_tx *tx, const weir_bucket *bucket,
                                 int64_t now_ns, int64_t *row, weir_error *err)
{
    char created[WEIR__DATE_COLUMN_SIZE];
    weir_stmt *stmt = NULL;
    bool has = false;
    (void)activity;
    int rc = expect_free(tx, bucket->id, err);
    if (rc == WEIR_OK)
        rc = weir_prepare(tx,
                          "INSERT INTO buckets (name, type, client, hostname, created, data) "
                          "VALUES ($1, $2, $3, $4, $5, $6)",
                          &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir__date_format_column(created, bucket->has_created ? bucket->created_ns : now_ns);
    weir_bind_text(stmt, 1, bucket->id, WEIR_TEXT_TERMINATED);
    weir_bind_text(stmt, 2, bucket->type, WEIR_TEXT_TERMINATED);
    weir_bind_text(stmt, 3, bucket->client, WEIR_TEXT_TERMINATED);
    weir_bind_text(stmt, 4, bucket->hostname, WEIR_TEXT_TERMINATED);
    weir_bind_text(stmt, 5, created, WEIR_TEXT_TERMINATED);
    weir_bind_text(stmt, 6, bucket->data, bucket->data_size);
    rc = weir_step(stmt, &has, err);
    *row = weir_last_insert_rowid(tx);
    return rc;
}

// -------------------------------------------------------------------------------------------------- reading

#define BUCKET_COLUMNS                                                                        \
    "SELECT id, name, type, client, hostname, created, data, "                                \
    "(SELECT starttime FROM events WHERE bucketrow = b.id AND typeof(starttime) = 'integer' " \
    "ORDER BY starttime LIMIT 1), "                                                           \
    "(SELECT max(CASE typeof(endtime) WHEN 'integer' THEN endtime END) FROM events "          \
    "WHERE bucketrow = b.id) FROM buckets AS b "

// The text of a column; NULL when it holds none.
static int read_text(weir_stmt *stmt, int column, const char **text, size_t *size, weir_error *err)
{
    *text = weir_column_text(stmt, column);
    *size = weir_column_size(stmt, column);
    return *text == NULL && weir_column_type(stmt, column) != WEIR_TYPE_NULL ? weir__activity_no_memory(err)
                                                                             : WEIR_OK;
}

static int read_names(weir_stmt *stmt, weir_bucket *bucket, bool *readable, weir_error *err)
{
    const char **const names[] = {&bucket->id, &bucket->type, &bucket->client, &bucket->hostname};
    int rc = WEIR_OK;
    *readable = true;
    for (int i = 0; rc == WEIR_OK && i < 4; i++) {
        size_t size = 0;
        rc = read_text(stmt, i + 1, names[i], &size, err);
        *readable = *readable && *names[i] != NULL && strlen(*names[i]) == size &&
                    weir__utf8_is_valid(*names[i], size);
    }
    return rc;
}

static int read_created(weir_stmt *stmt, weir_bucket *bucket, weir_error *err)
{
    const char *text = NULL;
    size_t size = 0;
    const int rc = read_text(stmt, 5, &text, &size, err);
    bucket->has_created =
        text != NULL && weir__date_parse_column(text, size, &bucket->created_ns) == WEIR__DATE_OK;
    return rc;
}

static int read_data(weir_stmt *stmt, weir__text *scratch, weir_bucket *bucket, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    const char *text = NULL;
    size_t size = 0;
    bucket->data = "{}";
    bucket->data_size = 2;
    weir__text_clear(scratch);
    int rc = read_text(stmt, 6, &text, &size, err);
    if (rc != WEIR_OK || text == NULL)
        return rc;
    rc = weir__json_canonical(text, size, WEIR__JSON_OBJECT, scratch, &why);
    if (rc == WEIR_NOMEM)
        return weir__activity_no_memory(err);
    if (rc == WEIR_OK) {
        bucket->data = weir__text_string(scratch);
        bucket->data_size = scratch->size;
    }
    return WEIR_OK;
}

static int read_bucket(weir_stmt *stmt, weir__text *scratch, weir_bucket *bucket, bool *readable,
                       weir_error *err)
{
    *bucket = (weir_bucket){0};
    int rc = read_names(stmt, bucket, readable, err);
    if (rc == WEIR_OK)
        rc = read_created(stmt, bucket, err);
    if (rc == WEIR_OK)
        rc = read_data(stmt, scratch, bucket, err);
    bucket->has_start = weir_column_type(stmt, 7) == WEIR_TYPE_INTEGER;
    bucket->start_ns = weir_column_int64(stmt, 7);
    bucket->has_end = weir_column_type(stmt, 8) == WEIR_TYPE_INTEGER;
    bucket->end_ns = weir_column_int64(stmt, 8);
    return rc;
}

// Gives all rows of a statement; *count says how many there were, readable or not.
static int read_rows(weir_activity *activity, weir_tx *tx, weir_stmt *stmt, weir__activity_bucket_fn *each,
                     void *context, size_t *count, weir_error *err)
{
    weir__text scratch = {0};
    bool has = false;
    int rc = WEIR_OK;
    while (rc == WEIR_OK && (rc = weir_step(stmt, &has, err)) == WEIR_OK && has) {
        const int64_t row = weir_column_int64(stmt, 0);
        weir_bucket bucket;
        bool readable = false;
        ++*count;
        rc = read_bucket(stmt, &scratch, &bucket, &readable, err);
        if (rc == WEIR_OK && readable)
            rc = each(context, tx, &bucket, row, err);
        else if (rc == WEIR_OK)
            weir__activity_skip(activity, "buckets", row);
    }
    weir_reset(stmt);
    weir__text_free(&scratch);
    return rc;
}

int weir__activity_bucket_read(weir_activity *activity, weir_tx *tx, const char *id,
                               weir__activity_bucket_fn *each, void *context, weir_error *err)
{
    weir_stmt *stmt = NULL;
    size_t count = 0;
    int rc = weir_prepare(tx, BUCKET_COLUMNS "WHERE name = $1", &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, id, WEIR_TEXT_TERMINATED);
    rc = read_rows(activity, tx, stmt, each, context, &count, err);
    return rc == WEIR_OK && count == 0 ? weir__activity_no_bucket(id, err) : rc;
}

int weir__activity_buckets_read(weir_activity *activity, weir_tx *tx, weir__activity_bucket_fn *each,
                                void *context, weir_error *err)
{
    weir_stmt *stmt = NULL;
    size_t count = 0;
    const int rc = weir_prepare(tx, BUCKET_COLUMNS "ORDER BY name", &stmt, err);
    return rc == WEIR_OK ? read_rows(activity, tx, stmt, each, context, &count, err) : rc;
}

typedef struct listing {
    weir_activity *activity;
    weir_bucket_fn *each;
    void *context;
} listing;

static int give_bucket(void *context, weir_tx *tx, const weir_bucket *bucket, int64_t row, weir_error *err)
{
    const listing *const l = context;
    (void)tx, (void)row;
    return l->each(l->context, bucket, err);
}

static int list_buckets(weir_tx *tx, void *arg, weir_error *err)
{
    listing *const l = arg;
    return weir__activity_buckets_read(l->activity, tx, give_bucket, l, err);
}

int weir_activity_buckets(weir_activity *activity, weir_bucket_fn *each, void *context, weir_error *err)
{
    listing l = {.activity = activity, .each = each, .context = context};
    const weir_read_options options = {.label = "activity: list buckets"};
    return weir_read(activity->store, list_buckets, &l, &options, err);
}

// Copies the bytes behind *end and moves it.
static const char *copy_bytes(char **end, const char *bytes, size_t size)
{
    char *const copy = *end;
    memcpy(copy, bytes, size);
    copy[size] = '\0';
    *end += size + 1;
    return copy;
}

static weir_bucket *copy_bucket(const weir_bucket *bucket)
{
    const size_t sizes[] = {strlen(bucket->id), strlen(bucket->type), strlen(bucket->client),
                            strlen(bucket->hostname)};
    weir_bucket *const copy =
        malloc(sizeof *copy + sizes[0] + sizes[1] + sizes[2] + sizes[3] + bucket->data_size + 5);
    if (copy == NULL)
        return NULL;
    char *end = (char *)(copy + 1);
    *copy = *bucket;
    copy->id = copy_bytes(&end, bucket->id, sizes[0]);
    copy->type = copy_bytes(&end, bucket->type, sizes[1]);
    copy->client = copy_bytes(&end, bucket->client, sizes[2]);
    copy->hostname = copy_bytes(&end, bucket->hostname, sizes[3]);
    copy->data = copy_bytes(&end, bucket->data, bucket->data_size);
    return copy;
}

typedef struct getting {
    weir_activity *activity;
    const char *id;
    weir_bucket *bucket;
} getting;

static int keep_bucket(void *context, weir_tx *tx, const weir_bucket *bucket, int64_t row, weir_error *err)
{
    getting *const job = context;
    (void)tx, (void)row;
    job->bucket = copy_bucket(bucket);
    return job->bucket != NULL ? WEIR_OK : weir__activity_no_memory(err);
}

static int get_bucket(weir_tx *tx, void *arg, weir_error *err)
{
    getting *const job = arg;
    return weir__activity_bucket_read(job->activity, tx, job->id, keep_bucket, job, err);
}

int weir_activity_bucket_get(weir_activity *activity, const char *bucket_id, weir_bucket **bucket,
                             weir_error *err)
{
    getting job = {.activity = activity, .id = bucket_id};
    const weir_read_options options = {.label = "activity: one bucket"};
    *bucket = NULL;
    int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc == WEIR_OK)
        rc = weir_read(activity->store, get_bucket, &job, &options, err);
    if (rc == WEIR_OK && job.bucket == NULL)
        rc = weir__error_set(err, WEIR_CORRUPT, "the row of bucket '%s' cannot be read", bucket_id);
    if (rc == WEIR_OK)
        *bucket = job.bucket;
    else
        free(job.bucket);
    return rc;
}

// -------------------------------------------------------------------------------------------------- writing

int64_t weir__activity_now_ns(void)
{
    return weir__clock_wall_us(weir__clock_system()) * NS_PER_US;
}

typedef struct creating {
    weir_bucket bucket;
    int64_t now_ns;
} creating;

static int create_bucket(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    const creating *const job = arg;
    int64_t row = 0;
    return weir__activity_bucket_insert(activity, tx, &job->bucket, job->now_ns, &row, err);
}

int weir_activity_bucket_create(weir_activity *activity, const weir_bucket *bucket, weir_error *err)
{
    creating job = {.now_ns = weir__activity_now_ns()};
    weir__text data = {0};
    int rc = weir__activity_bucket_check(bucket, &data, &job.bucket, err);
    if (rc == WEIR_OK)
        rc = weir__activity_write(activity, create_bucket, &job, "activity: create a bucket", err);
    weir__text_free(&data);
    return rc;
}

static int delete_bucket(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    const char *const id = arg;
    int64_t row = 0;
    int rc = weir__activity_bucket_find(tx, id, &row, err);
    if (rc == WEIR_OK)
        rc = weir_exec(tx, err, "DELETE FROM events WHERE bucketrow = $1", "i", row);
    if (rc == WEIR_OK)
        rc = weir_exec(tx, err, "DELETE FROM buckets WHERE id = $1", "i", row);
    weir__activity_forget_all(activity);
    return rc;
}

int weir_activity_bucket_delete(weir_activity *activity, const char *bucket_id, weir_error *err)
{
    const int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc != WEIR_OK)
        return rc;
    return weir__activity_write_alone(activity, delete_bucket, (void *)bucket_id, "activity: delete a bucket",
                                      err);
}

typedef struct renaming {
    const char *id, *new_id;
} renaming;

static int rename_bucket(weir_activity *activity, weir_tx *tx, void *arg, weir_error *err)
{
    const renaming *const job = arg;
    int64_t row = 0;
    int rc = weir__activity_bucket_find(tx, job->id, &row, err);
    if (rc != WEIR_OK || strcmp(job->id, job->new_id) == 0)
        return rc;
    rc = expect_free(tx, job->new_id, err);
    if (rc == WEIR_OK)
        rc = weir_exec(tx, err, "UPDATE buckets SET name = $1 WHERE id = $2", "ti", job->new_id, row);
    weir__activity_forget_all(activity);
    return rc;
}

int weir_activity_bucket_rename(weir_activity *activity, const char *bucket_id, const char *new_id,
                                weir_error *err)
{
    renaming job = {.id = bucket_id, .new_id = new_id};
    int rc = weir__activity_check_name("id", bucket_id, err);
    if (rc == WEIR_OK)
        rc = weir__activity_check_name("new id", new_id, err);
    return rc == WEIR_OK
               ? weir__activity_write(activity, rename_bucket, &job, "activity: rename a bucket", err)
               : rc;
}
