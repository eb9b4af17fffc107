// SPDX-License-Identifier: MIT
//
// Closing while another process keeps the database locked: it ends within its bound, says what is missing, and the
// next to open settles it. Takes as long as the bounds of closing do, so it is no quick test.
#include <stdio.h>
#include <string.h>

#include "support/peer.h"
#include "support/storage.h"

static void a_lock_that_stays_cannot_hold_closing(void **state)
{
    (void)state;
    enum { count = 5, bound_ms = 90000 };
    test_storage storage;
    weir_error err = WEIR_ERROR_INIT;
    char id[WEIR_ID_SIZE];
    char database[128];
    peer other;
    test_storage_init(&storage);
    test_storage_open(&storage, &(weir_runs_config){.cancel_grace_ms = 100});
    const weir_run_request request = {.command = "sh -c 'echo STEP_START:A; echo x; exec sleep 1000'"};
    for (int i = 0; i < count; i++)
        expect_ok(weir_runs_start(storage.runs, &request, id, NULL, &err), &err);
    (void)snprintf(database, sizeof database, "%s/database/stepflow.db", storage.path);
    peer_start(&other, database);
    peer_do(&other, "BEGIN IMMEDIATE");
    const uint64_t began_ms = now_ms();
    expect_code(weir_runs_close(storage.runs, 0, &err), WEIR_EXPIRED, &err);
    storage.runs = NULL;
    expect_contains(err.text, "the end of 5 runs could not be recorded in time");
    assert_in_range(now_ms() - began_ms, 0, bound_ms);
    peer_do(&other, "ROLLBACK");
    peer_stop(&other);
    test_storage_fini(&storage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_lock_that_stays_cannot_hold_closing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
