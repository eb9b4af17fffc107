// SPDX-License-Identifier: MIT
//
// The benchmarks that `weir bench NAME` starts. Each takes a command line as main() does (argv[0] is its name
// and is not looked at, options follow), prints its results on stdout and everything else on stderr, and
// returns an exit status: 0 fine, 1 failed, 2 a wrong command line, 128 + N stopped by signal N.
//
// They block for as long as they measure and may be called once at a time, from the main thread, before any
// other thread is started: they wait for signals themselves while they run.
#ifndef WEIR_BENCH_BENCH_H
#define WEIR_BENCH_BENCH_H

// Durable single-row writes: plain SQLite in its usual configurations against Weir.
int weir__bench_commit(int argc, char **argv);

// Heartbeats, reads and the export of an ActivityWatch database.
int weir__bench_heartbeat(int argc, char **argv);

#endif
