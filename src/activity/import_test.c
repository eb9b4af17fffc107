// SPDX-License-Identifier: MIT
//
// Import, export and buckets created from JSON: the peer's tests of them, what must come back the same, what
// must be refused before anything is written, and input that ends in the middle of anything.
#include "activity/flow_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define BUCKET(id, events)                                                                        \
    "{\"id\":\"" id                                                                               \
    "\",\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"created\":\"2018-01-01T00:00:00Z\"," \
    "\"data\":{},\"events\":" events "}"
#define EXPORT(id, events) "{\"buckets\":{\"" id "\":" BUCKET(id, events) "}}"
#define EVENT(time, duration, data) \
    "{\"id\":1,\"timestamp\":\"" time "\",\"duration\":" duration ",\"data\":" data "}"
#define NOON "2018-01-01T12:00:00Z"

static void expect_report(weir_activity_import_report got, weir_activity_import_report wanted)
{
    assert_int_equal(got.buckets_created, wanted.buckets_created);
    assert_int_equal(got.buckets_merged, wanted.buckets_merged);
    assert_int_equal(got.events_inserted, wanted.events_inserted);
    assert_int_equal(got.events_known, wanted.events_known);
    assert_int_equal(got.events_dropped, wanted.events_dropped);
    assert_int_equal(got.events_invalid, wanted.events_invalid);
}

// The peer's import_export.
static void import_merges_and_is_idempotent(void **state)
{
    desk *const d = *state;
    static const char one[] = EXPORT("b", "[" EVENT(NOON, "1", "{\"k\":1}") "]");
    static const char two[] =
        EXPORT("b", "[" EVENT(NOON, "1", "{\"k\":1}") "," EVENT("2018-01-01T12:00:01Z", "1.0", "{}") "]");
    static const char three[] = EXPORT("b", "[" EVENT("2018-01-01T11:59:45Z", "30", "{}") "]");
    expect_report(flow_import(d, one, WEIR_OK),
                  (weir_activity_import_report){.buckets_created = 1, .events_inserted = 1});
    expect_report(
        flow_import(d, two, WEIR_OK),
        (weir_activity_import_report){.buckets_merged = 1, .events_inserted = 1, .events_known = 1});
    expect_report(flow_import(d, two, WEIR_OK),
                  (weir_activity_import_report){.buckets_merged = 1, .events_known = 2});
    expect_report(flow_import(d, three, WEIR_OK),
                  (weir_activity_import_report){.buckets_merged = 1, .events_inserted = 1});
    char *const exported = flow_export(d, "b");
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_bucket_delete(d->activity, "b", &err), &err);
    expect_report(flow_import(d, exported, WEIR_OK),
                  (weir_activity_import_report){.buckets_created = 1, .events_inserted = 3});
    free(exported);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 3);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets"), 1);
}

// The text of an export without the ids of its events.
static char *without_ids(const char *json)
{
    weir__text out = {0};
    while (*json != '\0') {
        const char *const id = strstr(json, "{\"id\":");
        const char *const digits = id != NULL ? id + strlen("{\"id\":") : NULL;
        const size_t count = digits != NULL ? strspn(digits, "0123456789") : 0;
        weir__text_append(&out, json, digits != NULL ? (size_t)(digits - json) : strlen(json));
        json = digits != NULL ? digits + count : json + strlen(json);
    }
    char *const text = weir__text_take(&out);
    assert_non_null(text);
    return text;
}

// An export comes back from a new database the same but for the ids, to the nanosecond.
static void a_round_trip_is_exact(void **state)
{
    desk *const d = *state;
    desk other = {0};
    desk_init(&other, NULL);
    weir_error err = WEIR_ERROR_INIT;
    const weir_bucket odd = {
        .id = "an \"odd\" \\ id/ü😀\n",
        .type = "",
        .client = "\x7f",
        .hostname = "h",
        .has_created = true,
        .created_ns = 1514768461123456789,
        .data = "{\"b\":[1,1.0,-0.0,18446744073709551615,1e-7],\"a\":{\"\":null}}",
        .data_size = WEIR_TEXT_TERMINATED,
    };
    expect_ok(weir_activity_bucket_create(d->activity, &odd, &err), &err);
    must_create(d, "empty");
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 500; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        weir__text data = {0};
        weir__text_printf(&data, "{\"n\":%d,\"text\":\"\\\"\\\\\\u0001é😀\",\"x\":[{},[],%d.5]}", i, i);
        const weir_event event = {
            .start_ns = (int64_t)(seed >> 2),
            .duration_ns = i % 3 == 0 ? (int64_t)(seed % 1000) * 1000000 : (int64_t)(seed % 5000000000000000),
            .data = data.data,
            .data_size = data.size,
        };
        expect_ok(weir_activity_insert(d->activity, odd.id, &event, 1, NULL, &err), &err);
        weir__text_free(&data);
    }
    char *const first = flow_export(d, NULL);
    expect_report(flow_import(&other, first, WEIR_OK),
                  (weir_activity_import_report){.buckets_created = 2, .events_inserted = 500});
    char *const second = flow_export(&other, NULL);
    char *const first_plain = without_ids(first);
    char *const second_plain = without_ids(second);
    assert_string_equal(first_plain, second_plain);
    expect_report(flow_import(d, second, WEIR_OK),
                  (weir_activity_import_report){.buckets_merged = 2, .events_known = 500});
    free(first), free(second), free(first_plain), free(second_plain);
    desk_fini(&other);
}

static void the_deepest_data_come_back(void **state)
{
    desk *const d = *state;
    weir__text data = {0};
    for (int i = 0; i < WEIR_ACTIVITY_JSON_DEPTH_MAX; i++)
        weir__text_add(&data, "{\"a\":");
    weir__text_add(&data, "1");
    for (int i = 0; i < WEIR_ACTIVITY_JSON_DEPTH_MAX; i++)
        weir__text_char(&data, '}');
    must_create(d, "b");
    must_insert(d, "b", event_at(0, 1, weir__text_string(&data)));
    char *const json = flow_export(d, NULL);
    expect_report(flow_import(d, json, WEIR_OK),
                  (weir_activity_import_report){.buckets_merged = 1, .events_known = 1});
    weir__text deeper = {0};
    weir__text_printf(&deeper, EXPORT("b", "[" EVENT(NOON, "1", "{\"a\":%s}") "]"), weir__text_string(&data));
    flow_import(d, weir__text_string(&deeper), WEIR_INVALID);
    weir__text_clear(&deeper);
    weir__text_printf(&deeper,
                      "{\"buckets\":{\"n\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"data\":{"
                      "\"a\":{\"a\":%s}}}}}",
                      weir__text_string(&data));
    flow_import(d, weir__text_string(&deeper), WEIR_INVALID);
    free(json);
    weir__text_free(&deeper);
    weir__text_free(&data);
}

// Whatever happens to an export on its way: the import ends, with a code that says so.
static void mutated_imports_end(void **state)
{
    desk *const d = *state;
    static const char json[] =
        EXPORT("b", "[" EVENT(NOON, "1.5", "{\"a\":[1,\"\\ud83d\\ude00\"]}") ",7," EVENT(NOON, "2",
                                                                                         "{\"b\":{}}") "]");
    static const char alphabet[] = "{}[]:,\"\\ue0192-+.ntf \x00\x80\xff";
    uint64_t seed = 88172645463325252u;
    int taken = 0;
    for (int i = 0; i < 4000; i++) {
        char mutated[sizeof json];
        memcpy(mutated, json, sizeof json);
        for (int k = 0; k <= i % 3; k++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            mutated[seed % (sizeof json - 1)] = alphabet[(seed >> 32) % (sizeof alphabet - 1)];
        }
        const weir_activity_input input = {.bytes = mutated, .size = sizeof json - 1};
        weir_error err = WEIR_ERROR_INIT;
        const int code = weir_activity_import(d->activity, &input, NULL, NULL, NULL, &err);
        if (code != WEIR_OK && code != WEIR_INVALID && code != WEIR_MISMATCH)
            fail_msg("%s: %s: %s", mutated, weir_code_name(code), err.text);
        taken += code == WEIR_OK;
    }
    assert_in_range(taken, 10, 3990);
    free(flow_export(d, NULL));
    assert_int_equal(weir_activity_skipped(d->activity), 0);
}

// W4: an export of another machine replaces nothing.
static void ids_are_ignored(void **state)
{
    desk *const d = *state;
    must_create(d, "mine");
    assert_int_equal(must_insert(d, "mine", event_at(0, 1, "{\"mine\":true}")), 1);
    flow_import(d, EXPORT("new", "[" EVENT(NOON, "1", "{}") "]"), WEIR_OK);
    flow_import(d, EXPORT("mine", "[" EVENT(NOON, "1", "{}") "]"), WEIR_OK);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events WHERE data='{\"mine\":true}' AND id=1"), 1);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 3);
}

static void the_id_of_a_bucket(void **state)
{
    desk *const d = *state;
    flow_import(
        d,
        "{\"more\":[1],\"buckets\":{\"key\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\"},"
        "\"other\":{\"events\":[" EVENT(
            NOON, "1", "{}") "],\"id\":\"inner\",\"type\":\"t\",\"client\":\"c\","
                             "\"hostname\":\"h\",\"metadata\":7,\"last_updated\":null,\"unknown\":[{}]}}}",
        WEIR_OK);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets WHERE name IN ('key', 'inner')"), 2);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets"), 2);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 1);
}

static void a_bucket_that_exists_keeps_what_it_is(void **state)
{
    desk *const d = *state;
    must_create(d, "b");
    weir_error err = WEIR_ERROR_INIT;
    weir_bucket *before = NULL, *after = NULL;
    expect_ok(weir_activity_bucket_get(d->activity, "b", &before, &err), &err);
    flow_import(
        d,
        "{\"buckets\":{\"b\":{\"id\":\"b\",\"type\":\"other\",\"client\":\"other\",\"hostname\":\"other\","
        "\"created\":\"2001-01-01T00:00:00Z\",\"data\":{\"x\":1},\"events\":[]}}}",
        WEIR_OK);
    expect_ok(weir_activity_bucket_get(d->activity, "b", &after, &err), &err);
    assert_string_equal(after->type, before->type);
    assert_string_equal(after->hostname, before->hostname);
    assert_string_equal(after->data, before->data);
    assert_int_equal(after->created_ns, before->created_ns);
    free(before), free(after);
}

// Equal is what is equal as JSON; 1 is not 1.0. Twice in one import is once.
static void what_is_the_same_event(void **state)
{
    desk *const d = *state;
    must_create(d, "b");
    must_run_sql(weir_activity_store(d->activity),
                 "INSERT INTO events (bucketrow, starttime, endtime, data) VALUES (1, 1514808000000000000, "
                 "1514808001000000000, '{ \"z\": 1, \"a\": \"\\u00e9\" }')");
    static const char json[] = EXPORT(
        "b",
        "[" EVENT(NOON, "1", "{\"a\":\"é\",\"z\":1}") "," EVENT(
            NOON, "1.0",
            "{\"a\":\"é\",\"z\":1.0}") "," EVENT("2018-01-01T13:00:00+01:00", "1e0",
                                                 "{\"z\":1.00,\"a\":\"é\"}") "," EVENT(NOON, "1.000000001",
                                                                                       "{\"a\":\"é\",\"z\":"
                                                                                       "1}") "]");
    expect_report(
        flow_import(d, json, WEIR_OK),
        (weir_activity_import_report){.buckets_merged = 1, .events_inserted = 2, .events_known = 2});
}

// Many events of one moment are found again, too, in about the time that as many others take.
static void crowds_are_known(void **state)
{
    desk *const d = *state;
    enum { CROWD = 30000 };
    weir__text json = {0};
    weir__text_add(&json,
                   "{\"buckets\":{\"b\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"events\":[");
    for (int i = 0; i < CROWD; i++) // each twice
        weir__text_printf(&json, "%s" EVENT(NOON, "1", "{\"number of an event\":%d}"), i > 0 ? "," : "",
                          i / 2);
    weir__text_add(&json, "," EVENT(NOON, "2", "{\"number of an event\":1}") "]}}}");
    expect_report(flow_import(d, weir__text_string(&json), WEIR_OK),
                  (weir_activity_import_report){
                      .buckets_created = 1, .events_inserted = CROWD / 2 + 1, .events_known = CROWD / 2});
    must_run_sql(weir_activity_store(d->activity),
                 "UPDATE events SET data = replace(data, ':', ' : ') WHERE id > 7");
    expect_report(flow_import(d, weir__text_string(&json), WEIR_OK),
                  (weir_activity_import_report){.buckets_merged = 1, .events_known = CROWD + 1});
    weir__text_free(&json);
}

static void elements_that_are_no_events_are_left_out(void **state)
{
    desk *const d = *state;
    expect_report(
        flow_import(
            d,
            EXPORT(
                "b",
                "[1,{},[]," EVENT(
                    NOON, "1",
                    "{}") ",\"\\ud800\","
                          "{\"timestamp\":\"yesterday\",\"data\":{}}," EVENT(NOON, "\"1\"", "{}") "," EVENT(
                              NOON, "1", "{\"a\":\"\\ud800\"}") "," EVENT(NOON, "2", "{}") "]"),
            WEIR_OK),
        (weir_activity_import_report){.buckets_created = 1, .events_inserted = 2, .events_invalid = 7});
}

static void bad_imports_write_nothing(void **state)
{
    desk *const d = *state;
    static const struct {
        const char *json;
        int wanted;
    } cases[] = {
        {"", WEIR_INVALID},
        {"[]", WEIR_MISMATCH},
        {"{}", WEIR_MISMATCH},
        {"{\"buckets\":null}", WEIR_MISMATCH},
        {"{\"buckets\":[]}", WEIR_MISMATCH},
        {"{\"buckets\":{},\"buckets\":{}}", WEIR_MISMATCH},
        {"{\"buckets\":{\"b\":null}}", WEIR_MISMATCH},
        {"{\"buckets\":{\"b\":{\"type\":\"t\",\"client\":\"c\"}}}", WEIR_MISMATCH},
        {"{\"buckets\":{\"b\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":null}}}", WEIR_MISMATCH},
        {"{\"buckets\":{\"a\":" BUCKET("a", "[]") ",\"b\":" BUCKET("b", "{}") "}}", WEIR_MISMATCH},
        {"{\"buckets\":{\"a\":" BUCKET("a", "[]") ",\"b\":" BUCKET("b",
                                                                   "[" EVENT(NOON, "1", "{}") "]") "}} x",
         WEIR_INVALID},
        {EXPORT("b", "[" EVENT(NOON, "1", "{\"a\":NaN}") "]"), WEIR_INVALID},
        {EXPORT("b", "[" EVENT(NOON, "1e400", "{}") "]"), WEIR_INVALID},
        {EXPORT("b", "[" EVENT("3000-01-01T00:00:00Z", "1", "{}") "]"), WEIR_INVALID},
        {EXPORT("b", "[" EVENT("2262-04-11T00:00:00Z", "1e6", "{}") "]"), WEIR_INVALID},
        {EXPORT("b", "[" EVENT(NOON, "1", "{}") ",]"), WEIR_INVALID},
        {EXPORT("b\\u0000c", "[]"), WEIR_INVALID},
        {"{\"buckets\":{\"b\":{\"id\":\"b\",\"id\":\"b\",\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\"}}"
         "}",
         WEIR_MISMATCH},
        {"{\"buckets\":{\"b\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"data\":null}}}",
         WEIR_MISMATCH},
        {"{\"buckets\":{\"b\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"created\":\"x\"}}}",
         WEIR_MISMATCH},
        {"{\"buckets\":{\"b\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"last_updated\":1}}}",
         WEIR_MISMATCH},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_report(flow_import(d, cases[i].json, cases[i].wanted), (weir_activity_import_report){0});
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets"), 0);
}

// W13: an end of input anywhere ends the import, too.
static void every_truncation_ends(void **state)
{
    desk *const d = *state;
    static const char json[] =
        EXPORT("b", "[" EVENT(NOON, "1", "{\"a\":[1,\"x\"]}") ",7," EVENT(NOON, "2", "{}") "]");
    weir_error err = WEIR_ERROR_INIT;
    for (size_t size = 0; size < sizeof json - 1; size++) {
        char *const cut = malloc(size + 1);
        assert_non_null(cut);
        memcpy(cut, json, size);
        const weir_activity_input input = {.bytes = cut, .size = size};
        expect_code(weir_activity_import(d->activity, &input, NULL, NULL, NULL, &err), WEIR_INVALID, &err);
        free(cut);
    }
    static const char bucket[] = BUCKET("b", "[" EVENT(NOON, "1", "{}") ",7," EVENT(NOON, "2", "{}") "]");
    for (size_t size = 0; size < sizeof bucket - 1; size++) {
        const weir_activity_input input = {.bytes = bucket, .size = size};
        expect_code(weir_activity_bucket_create_json(d->activity, "b", &input, NULL, &err), WEIR_INVALID,
                    &err);
    }
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets"), 0);
}

static int make_file(const desk *d, const char *json)
{
    char path[128];
    snprintf(path, sizeof path, "%s/input.json", d->place.directory);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, json, strlen(json)), strlen(json));
    return fd;
}

// A region of a file, as an HTTP server has it of a form.
static void a_region_of_a_file_is_read(void **state)
{
    desk *const d = *state;
    static const char json[] = EXPORT("b", "[" EVENT(NOON, "1", "{}") "," EVENT(NOON, "2", "{}") "]");
    weir__text file = {0};
    weir__text_add(&file, "--boundary\r\n");
    for (int i = 0; i < 70000; i++)
        weir__text_char(&file, ' ');
    const size_t offset = file.size;
    weir__text_add(&file, json);
    weir__text_add(&file, "\r\n--boundary--");
    const int fd = make_file(d, weir__text_string(&file));
    const weir_activity_input input = {.fd = fd, .offset = offset, .size = sizeof json - 1};
    weir_activity_import_report report;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_import(d->activity, &input, NULL, NULL, &report, &err), &err);
    expect_report(report, (weir_activity_import_report){.buckets_created = 1, .events_inserted = 2});
    const weir_activity_input longer = {.fd = fd, .offset = offset, .size = 1 << 20};
    expect_code(weir_activity_import(d->activity, &longer, NULL, NULL, NULL, &err), WEIR_INVALID, &err);
    close(fd);
    const int directory = open(d->place.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const weir_activity_input none = {.fd = directory, .size = 100};
    expect_code(weir_activity_import(d->activity, &none, NULL, NULL, NULL, &err), WEIR_INVALID, &err);
    assert_int_equal(err.os_errno, EISDIR);
    close(directory);
    weir__text_free(&file);
}

static bool stop_writing(void *context, const char *phase, uint64_t done, uint64_t total)
{
    int *const calls = context;
    assert_true(done <= total);
    ++*calls;
    return strcmp(phase, "write") != 0;
}

static void an_import_can_be_cancelled(void **state)
{
    desk *const d = *state;
    weir__text json = {0};
    weir__text_add(&json,
                   "{\"buckets\":{\"b\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"events\":[");
    for (int i = 0; i < 10000; i++)
        weir__text_printf(&json, "%s" EVENT(NOON, "%d", "{}"), i > 0 ? "," : "", i);
    weir__text_add(&json, "]}}}");
    const weir_activity_input input = flow_input(weir__text_string(&json));
    int calls = 0;
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_activity_import(d->activity, &input, stop_writing, &calls, NULL, &err), WEIR_CANCELLED,
                &err);
    assert_true(calls > 2);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets"), 0);
    weir__text_free(&json);
}

typedef struct bystander {
    desk *d;
    bool is_submitted;
    atomic_int done; // 0: not yet, 1: fine, -1: not
} bystander;

static void beat_done(void *context, const weir_error *result, const weir_event *event)
{
    bystander *const other = context;
    atomic_store(&other->done, result->code == WEIR_OK && event != NULL ? 1 : -1);
}

static bool beat_meanwhile(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    bystander *const other = context;
    if (other->is_submitted || strcmp(phase, "write") != 0)
        return true;
    other->is_submitted = true;
    const weir_event beat = event_at(0, 0, "{}");
    weir_error err = WEIR_ERROR_INIT;
    if (weir_activity_heartbeat_submit(other->d->activity, "mine", &beat, 10, beat_done, other, &err) !=
        WEIR_OK)
        atomic_store(&other->done, -1);
    return true;
}

static bool is_done(void *arg)
{
    return atomic_load(&((bystander *)arg)->done) != 0;
}

// Who writes beside an import waits for it and does not fail.
static void a_heartbeat_waits_for_an_import(void **state)
{
    desk *const d = *state;
    must_create(d, "mine");
    weir__text json = {0};
    weir__text_add(&json,
                   "{\"buckets\":{\"b\":{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\",\"events\":[");
    for (int i = 0; i < 5000; i++)
        weir__text_printf(&json, "%s" EVENT(NOON, "%d", "{}"), i > 0 ? "," : "", i);
    weir__text_add(&json, "]}}}");
    const weir_activity_input input = flow_input(weir__text_string(&json));
    bystander other = {.d = d};
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_activity_import(d->activity, &input, beat_meanwhile, &other, NULL, &err), &err);
    assert_true(other.is_submitted);
    assert_true(await(is_done, &other));
    assert_int_equal(atomic_load(&other.done), 1);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 5001);
    weir__text_free(&json);
}

static void an_export_is_clipped_sorted_and_exact(void **state)
{
    desk *const d = *state;
    weir_error err = WEIR_ERROR_INIT;
    char *json = flow_export(d, NULL);
    assert_string_equal(json, "{\"buckets\":{}}");
    free(json);
    const weir_activity_input b = flow_input(BUCKET("b", "null")), a = flow_input(BUCKET("a", "[]"));
    expect_ok(weir_activity_bucket_create_json(d->activity, "b", &b, NULL, &err), &err);
    expect_ok(weir_activity_bucket_create_json(d->activity, "a", &a, NULL, &err), &err);
    must_run_sql(
        weir_activity_store(d->activity),
        "INSERT INTO events (bucketrow, starttime, endtime, data) VALUES (1, -1000000000, 1500000000, '{}'),"
        "(1, -9000000000, -8000000000, '{}'), (1, 5000000000, 5000000000, '{\"x\":1}')");
    json = flow_export(d, NULL);
    assert_string_equal(
        json,
        "{\"buckets\":{\"a\":{\"id\":\"a\",\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\","
        "\"created\":\"2018-01-01T00:00:00Z\",\"data\":{},\"metadata\":{\"start\":null,\"end\":null},"
        "\"events\":[],\"last_updated\":null},"
        "\"b\":{\"id\":\"b\",\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\","
        "\"created\":\"2018-01-01T00:00:00Z\",\"data\":{},"
        "\"metadata\":{\"start\":\"1969-12-31T23:59:51Z\",\"end\":\"1970-01-01T00:00:05Z\"},"
        "\"events\":[{\"id\":3,\"timestamp\":\"1970-01-01T00:00:05Z\",\"duration\":0.0,\"data\":{\"x\":1}},"
        "{\"id\":1,\"timestamp\":\"1970-01-01T00:00:00Z\",\"duration\":1.5,\"data\":{}}],"
        "\"last_updated\":null}}}");
    free(json);
    expect_code(weir_activity_export(d->activity, "none", 0, flow_take, NULL, &err), WEIR_NOTFOUND, &err);
}

static int full_sink(void *context, const void *bytes, size_t size, weir_error *err)
{
    (void)bytes, (void)size;
    ++*(int *)context;
    return weir__error_set(err, WEIR_FULL, "no more");
}

static void a_sink_can_end_an_export(void **state)
{
    desk *const d = *state;
    must_create(d, "b");
    int calls = 0;
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_activity_export(d->activity, NULL, 0, full_sink, &calls, &err), WEIR_FULL, &err);
    assert_string_equal(err.text, "no more");
    assert_int_equal(calls, 1);
}

static int take_piece(void *context, const void *bytes, size_t size, weir_error *err)
{
    size_t *const largest = context;
    (void)bytes, (void)err;
    *largest = size > *largest ? size : *largest;
    return WEIR_OK;
}

// Buckets without events are no reason to hold more than a piece, either.
static void an_export_of_many_buckets_comes_in_pieces(void **state)
{
    desk *const d = *state;
    weir_error err = WEIR_ERROR_INIT;
    static char name[WEIR_ACTIVITY_NAME_BYTES_MAX + 1];
    memset(name, 'n', sizeof name - 1);
    for (int i = 0; i < 40; i++) {
        name[0] = (char)('0' + i);
        const weir_bucket bucket = {.id = name, .type = name, .client = name, .hostname = name};
        expect_ok(weir_activity_bucket_create(d->activity, &bucket, &err), &err);
    }
    size_t largest = 0;
    expect_ok(weir_activity_export(d->activity, NULL, 0, take_piece, &largest, &err), &err);
    assert_in_range(largest, 1, 100 << 10);
}

static void a_bucket_is_created_with_events(void **state)
{
    desk *const d = *state;
    weir_error err = WEIR_ERROR_INIT;
    const weir_activity_input input = flow_input("{\"events\":[" EVENT(NOON, "1", "{}") ",8," EVENT(
        NOON, "1", "{}") "],\"id\":\"body\","
                         "\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\"}");
    expect_ok(weir_activity_bucket_create_json(d->activity, "path", &input, NULL, &err), &err);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets WHERE name='path'"), 1);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 2);
    expect_code(weir_activity_bucket_create_json(d->activity, "path", &input, NULL, &err), WEIR_EXISTS, &err);
    assert_string_equal(err.text, "Bucket 'path' already exists");
    expect_ok(weir_activity_bucket_create_json(d->activity, NULL, &input, NULL, &err), &err);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets WHERE name='body'"), 1);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 4);
}

static void this_machine_is_filled_in(void **state)
{
    desk *const d = *state;
    weir_error err = WEIR_ERROR_INIT;
    const weir_activity_local local = {.hostname = "desk", .device_id = "some-id"};
    static const char *const data[] = {"{}", "{\"a\":1,\"z\":2}", "{\"device_id\":\"other\"}"};
    static const char *const wanted[] = {"{\"device_id\":\"some-id\"}",
                                         "{\"a\":1,\"device_id\":\"some-id\",\"z\":2}",
                                         "{\"device_id\":\"some-id\"}"};
    for (size_t i = 0; i < 3; i++) {
        weir__text json = {0};
        weir__text_printf(&json, "{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"!local\",\"data\":%s}",
                          data[i]);
        const weir_activity_input input = flow_input(weir__text_string(&json));
        const char id[] = {(char)('a' + i), '\0'};
        expect_ok(weir_activity_bucket_create_json(d->activity, id, &input, &local, &err), &err);
        weir_bucket *bucket = NULL;
        expect_ok(weir_activity_bucket_get(d->activity, id, &bucket, &err), &err);
        assert_string_equal(bucket->hostname, "desk");
        assert_string_equal(bucket->data, wanted[i]);
        free(bucket);
        weir__text_free(&json);
    }
    const weir_activity_input input = flow_input("{\"type\":\"t\",\"client\":\"c\",\"hostname\":\"h\"}");
    expect_ok(weir_activity_bucket_create_json(d->activity, "d", &input, &local, &err), &err);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM buckets WHERE hostname='h' AND data='{}'"), 1);
}

static int list_event(void *context, const weir_event *event, weir_error *err)
{
    (void)err;
    char out[512];
    assert_true(weir_event_json_size(event) <= sizeof out);
    const size_t size = weir_event_json(event, out);
    weir__text *const list = context;
    weir__text_char(list, list->size > 0 ? ',' : '[');
    weir__text_append(list, out, size);
    return WEIR_OK;
}

static int insert(desk *d, const char *json, weir__text *told, weir_error *err)
{
    const weir_activity_input input = flow_input(json);
    weir__text_clear(told);
    return weir_activity_insert_json(d->activity, "b", &input, list_event, told, err);
}

static void an_array_is_inserted(void **state)
{
    desk *const d = *state;
    weir_error err = WEIR_ERROR_INIT;
    weir__text told = {0};
    expect_ok(insert(d, "[]", &told, &err), &err); // whatever the bucket
    expect_code(insert(d, "[{\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{}}]", &told, &err),
                WEIR_NOTFOUND, &err);
    must_create(d, "b");
    expect_ok(insert(d, "[{\"timestamp\":\"2018-01-01T01:01:01Z\",\"duration\":1,\"data\":{}}]", &told, &err),
              &err);
    assert_string_equal(weir__text_string(&told),
                        "[{\"id\":1,\"timestamp\":\"2018-01-01T01:01:01Z\",\"duration\":1.0,\"data\":{}}");
    expect_ok(insert(d,
                     "[{\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{\"n\":1}},"
                     "{\"id\":1,\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{\"n\":2}},"
                     "{\"id\":7,\"timestamp\":\"1969-12-31T23:59:58.5Z\",\"data\":{\"n\":3}},"
                     "{\"id\":null,\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{\"n\":4}}]",
                     &told, &err),
              &err);
    assert_string_equal(
        weir__text_string(&told),
        "[{\"id\":2,\"timestamp\":\"2018-01-01T01:01:01Z\",\"duration\":0.0,\"data\":{\"n\":1}},"
        "{\"id\":1,\"timestamp\":\"2018-01-01T01:01:01Z\",\"duration\":0.0,\"data\":{\"n\":2}},"
        "{\"id\":7,\"timestamp\":\"1969-12-31T23:59:58Z\",\"duration\":0.0,\"data\":{\"n\":3}},"
        "{\"id\":8,\"timestamp\":\"2018-01-01T01:01:01Z\",\"duration\":0.0,\"data\":{\"n\":4}}");
    static const char *const mismatches[] = {"{}", "[1]", "[{}]", "null",
                                             "[{\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{}},{}]"};
    for (size_t i = 0; i < sizeof mismatches / sizeof mismatches[0]; i++)
        expect_code(insert(d, mismatches[i], &told, &err), WEIR_MISMATCH, &err);
    expect_code(insert(d, "[] x", &told, &err), WEIR_INVALID, &err);
    expect_code(insert(d, "[{\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{}}", &told, &err), WEIR_INVALID,
                &err);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 4);
    const weir_activity_input one = flow_input("[{\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{}}]");
    expect_code(weir_activity_insert_json(d->activity, "\xff", &one, NULL, NULL, &err), WEIR_INVALID, &err);
    expect_code(weir_activity_insert_json(d->activity, NULL, &one, NULL, NULL, &err), WEIR_INVALID, &err);
    weir__text_free(&told);
}

// 0 is an id like any other, and an array may name one twice.
static void the_ids_that_were_given_are_told(void **state)
{
    desk *const d = *state;
    weir_error err = WEIR_ERROR_INIT;
    weir__text told = {0};
    must_create(d, "b");
    expect_ok(insert(d,
                     "[{\"id\":0,\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{}},"
                     "{\"id\":0,\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{}}]",
                     &told, &err),
              &err);
    assert_string_equal(weir__text_string(&told),
                        "[{\"id\":0,\"timestamp\":\"2018-01-01T01:01:01Z\",\"duration\":0.0,\"data\":{}},"
                        "{\"id\":0,\"timestamp\":\"2018-01-01T01:01:01Z\",\"duration\":0.0,\"data\":{}}");
    weir__text_free(&told);
}

// One that fails in the middle takes the others along.
static void an_array_is_all_or_nothing(void **state)
{
    desk *const d = *state;
    weir_error err = WEIR_ERROR_INIT;
    weir__text told = {0};
    must_create(d, "b");
    must_create(d, "other");
    const int64_t id = must_insert(d, "other", event_at(0, 1, "{}"));
    weir__text json = {0};
    weir__text_printf(&json,
                      "[{\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{}},"
                      "{\"id\":%lld,\"timestamp\":\"2018-01-01T01:01:01Z\",\"data\":{}}]",
                      (long long)id);
    expect_code(insert(d, weir__text_string(&json), &told, &err), WEIR_CONSTRAINT, &err);
    assert_int_equal(told.size, 0);
    assert_int_equal(flow_count(d, "SELECT count(*) FROM events"), 1);
    weir__text_free(&json);
    weir__text_free(&told);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, flow_setup, flow_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(import_merges_and_is_idempotent),
        TEST(a_round_trip_is_exact),
        TEST(the_deepest_data_come_back),
        TEST(mutated_imports_end),
        TEST(ids_are_ignored),
        TEST(the_id_of_a_bucket),
        TEST(a_bucket_that_exists_keeps_what_it_is),
        TEST(what_is_the_same_event),
        TEST(crowds_are_known),
        TEST(elements_that_are_no_events_are_left_out),
        TEST(bad_imports_write_nothing),
        TEST(every_truncation_ends),
        TEST(a_region_of_a_file_is_read),
        TEST(an_import_can_be_cancelled),
        TEST(a_heartbeat_waits_for_an_import),
        TEST(an_export_is_clipped_sorted_and_exact),
        TEST(a_sink_can_end_an_export),
        TEST(an_export_of_many_buckets_comes_in_pieces),
        TEST(a_bucket_is_created_with_events),
        TEST(this_machine_is_filled_in),
        TEST(an_array_is_inserted),
        TEST(the_ids_that_were_given_are_told),
        TEST(an_array_is_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
