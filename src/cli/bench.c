// SPDX-License-Identifier: MIT
//
// weir bench: where the benchmarks are hung into the table of commands. Each reads its own command line.
#include "bench/bench.h"
#include "cli/cli.h"

const weir__command weir__command_bench_commit = {
    .name = "bench commit",
    .summary = "commits per second of Weir and of plain SQLite on this disk",
    .raw = weir__bench_commit,
};

const weir__command weir__command_bench_heartbeat = {
    .name = "bench heartbeat",
    .summary = "heartbeats per second, reads beside them, the export's memory",
    .raw = weir__bench_heartbeat,
};
