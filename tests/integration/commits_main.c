// SPDX-License-Identifier: MIT
//
// Opens a store with a durability policy, writes, waits, checkpoints and closes, and says at each step on standard
// output, with one write(2) each, where it is. A test traces its system calls and compares.
//
// usage: commits DATABASE POLICY INTERVAL_MS
// It says: opened; refused (DURABLE is not given); then for each write: submit, ack; burst, settled (many COMMITTED
// writes); idle, awake; checkpoint, checkpointed; closing, closed.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "weir/weir.h"

enum { WRITES = 6, BURST = 60, IDLE_INTERVALS = 6 };

static const char *const POLICIES[] = {"full", "interval", "normal", "off"};

static void say(const char *word)
{
    char line[64];
    const int size = snprintf(line, sizeof line, "%s\n", word);
    if (write(1, line, (size_t)size) != size)
        exit(4);
}

static void must(int code, const weir_error *err)
{
    if (code == WEIR_OK)
        return;
    fprintf(stderr, "%s: %s\n", weir_code_name(code), err->text);
    exit(3);
}

static int insert(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec_script(tx, "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1);", err);
}

static void write_rows(weir_store *store)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_write_options options = {.ack = WEIR_ACK_DURABLE};
    for (int i = 0; i < WRITES; i++) {
        say("submit");
        int code = weir_write(store, insert, NULL, &options, &err);
        if (code == WEIR_UNSUPPORTED) {
            say("refused");
            options.ack = WEIR_ACK_COMMITTED;
            code = weir_write(store, insert, NULL, &options, &err);
        }
        must(code, &err);
        say("ack");
    }
    say("burst");
    options.ack = WEIR_ACK_COMMITTED;
    for (int i = 0; i < BURST; i++)
        must(weir_write(store, insert, NULL, &options, &err), &err);
    must(weir_flush(store, 0, &err), &err);
    say("settled");
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    weir_config config = {.checkpoint_idle_ms = 3600 * 1000, .checkpoint_frames = 1000000};
    config.sync_interval_ms = (uint32_t)strtoul(argv[3], NULL, 10);
    for (size_t i = 0; i < sizeof POLICIES / sizeof POLICIES[0]; i++)
        if (strcmp(argv[2], POLICIES[i]) == 0)
            config.durability = (weir_durability)i;
    weir_error err = WEIR_ERROR_INIT;
    weir_store *store = NULL;
    must(weir_open(argv[1], &config, &store, &err), &err);
    say("opened");
    write_rows(store);

    say("idle");
    weir__clock *const clock = weir__clock_system();
    weir__clock_sleep_until(clock, weir__clock_now_ns(clock) +
                                       config.sync_interval_ms * IDLE_INTERVALS * WEIR__NS_PER_MS);
    say("awake");
    say("checkpoint");
    weir_checkpoint_report report;
    must(weir_checkpoint(store, WEIR_CHECKPOINT_FULL, 0, &report, &err), &err);
    say(report.blocker == WEIR_BLOCKER_NONE ? "checkpointed" : report.why);
    say("closing");
    must(weir_close(store, 0, &err), &err);
    say("closed");
    return 0;
}
