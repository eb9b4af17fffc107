#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs `weir bench commit` very briefly: its shape, its bounds and what it leaves behind. Prints TAP.

The figures of a run as short as these say nothing, so none is judged.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tap import Tap

from briefly import WEIR, bench, complaints, is_number, left_behind, measured, stopped

ROWS = ["rollback_full", "wal_full", "wal_normal", "wal_full_64", "bulk_1000",
        "weir_blocking_1", "weir_blocking_64", "weir_blocking_500", "weir_inflight_8x64"]
RATIOS = {"inflight_vs_bulk": ("weir_inflight_8x64", "bulk_1000"),
          "inflight_vs_full": ("weir_inflight_8x64", "wal_full"),
          "inflight_vs_normal": ("weir_inflight_8x64", "wal_normal"),
          "blocking64_vs_naive64": ("weir_blocking_64", "wal_full_64"),
          "blocking1_vs_naive": ("weir_blocking_1", "wal_full")}
SHORT = ["--seconds", "0.05", "--rounds", "1"]


def row_problems(row):
    """A row has its figures, and they are in order."""
    figures = ["tx_per_s", "p50_us", "p99_us", "p999_us", "max_us", "spread", "gave_up", "threads"]
    problems = [f"{row['name']}: {name} is {row.get(name)!r}" for name in figures if not is_number(row.get(name))]
    if problems:
        return problems
    if row["tx_per_s"] <= 0:
        problems.append(f"{row['name']}: nothing was written: {row}")
    # Medians of rounds and quantiles with a bucket's error of 1/32: in order but for that.
    order = [row["p50_us"], row["p99_us"], row["p999_us"], row["max_us"] * 33 / 32]
    if order != sorted(order):
        problems.append(f"{row['name']}: p50, p99, p99.9 and max are not in order: {order}")
    if row["name"].startswith("weir_") and row.get("group_jobs_p50", 0) < 1:
        problems.append(f"{row['name']}: no size of its groups: {row}")
    return problems


def shape(place):
    """All rows once, as JSON."""
    report, problems = measured("commit", place, "tx_per_s")
    if problems:
        return problems
    names = [row["name"] for row in report["rows"]]
    if names != ROWS:
        problems.append(f"rows {names}, not {ROWS}")
    problems += [problem for row in report["rows"] for problem in row_problems(row)]
    if set(report["ratios"]) != set(RATIOS):
        problems.append(f"ratios {sorted(report['ratios'])}, not {sorted(RATIOS)}")
    if problems:
        return problems + left_behind(place)
    figures = {row["name"]: row["tx_per_s"] for row in report["rows"]}
    for name, (row, by) in RATIOS.items():
        wanted, got = figures[row] / figures[by], report["ratios"][name]
        if not is_number(got) or abs(got - wanted) > 0.01 * wanted + 0.001:
            problems.append(f"{name} is {got!r}, but {row} / {by} is {wanted}")
    environment = report["environment"]
    for name, kind in {"sqlite": str, "file_system": str, "cores": int, "sync_delay_us": int, "page_size": int,
                       "text_bytes": int}.items():
        if not isinstance(environment.get(name), kind):
            problems.append(f"environment: {name} is {environment.get(name)!r}")
    return problems + left_behind(place)


def text(place):
    """The table names each row, has its ratios and fits a terminal."""
    done = bench("commit", place, *SHORT, "--rows", "wal_full,weir_blocking_1")
    problems = complaints(done)
    lines = done.stdout.split("\n")
    problems += [f"{len(line)} columns: {line}" for line in lines if len(line) > 80]
    for start in ("wal_full", "weir_blocking_1", "blocking1_vs_naive"):
        if not any(line.startswith(start) for line in lines):
            problems.append(f"no line begins with {start}:\n{done.stdout}")
    if any(line.startswith("bulk_1000") for line in lines):
        problems.append(f"a row that nobody asked for:\n{done.stdout}")
    return problems + left_behind(place)


def delay(place):
    """A delay of every sync slows both sides, and no commit is faster than one sync."""
    delay_us = 4000
    done = bench("commit", place, "--seconds", "0.2", "--rounds", "1", "--sync-delay-us", str(delay_us),
                 "--rows", "rollback_full,wal_full,bulk_1000,weir_blocking_1,weir_blocking_64", "--json")
    problems = complaints(done)
    if problems:
        return problems
    report = json.loads(done.stdout)
    for row in report["rows"]:
        if row["p50_us"] < delay_us:
            problems.append(f"{row['name']}: p50 of {row['p50_us']} us, less than the delay of {delay_us} us")
    if report["environment"]["sync_delay_us"] != delay_us:
        problems.append(f"sync_delay_us is {report['environment']['sync_delay_us']}, not {delay_us}")
    if report["ratios"]["inflight_vs_bulk"] is not None:
        problems.append(f"a ratio of a row that was not measured: {report['ratios']}")
    return problems + left_behind(place)


def interrupted(place, number):
    """While 64 threads wait for a lock, in a window that is longer than we wait."""
    command = [WEIR, "bench", "commit", "--dir", place, "--seconds", "60", "--rounds", "10", "--rows", "wal_full_64"]
    return stopped(place, number, command, lambda folder: any(folder.glob("*/bench.db-wal")))


def ignored(place):
    """A signal that was ignored when the command started, as nohup does it, does not end it."""
    command = [WEIR, "bench", "commit", "--dir", place, "--seconds", "0.3", "--rounds", "1", "--rows", "wal_full"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        until = time.monotonic() + 60
        while not any(Path(place).glob("*/bench.db-wal")) and time.monotonic() < until and process.poll() is None:
            os.sched_yield()
        process.send_signal(signal.SIGHUP)
        out, err = process.communicate(timeout=60)
    problems = [] if process.returncode == 0 else [f"exit status {process.returncode}: {out}{err}"]
    return problems + left_behind(place)


def refused(place):
    """Wrong command lines end with status 2, one sentence, and no measurement."""
    problems = []
    for options in (["--rounds", "0"], ["--rounds", "x"], ["--seconds", "-1"], ["--seconds", "nan"], ["--seconds"],
                    ["--rows", "wal"], ["--rows", ""], ["--text-bytes", "2001"], ["--sync-delay-us", "99999999999999999999"], ["--what"], ["more"]):
        done = bench("commit", place, *options)
        problems += [f"{options}: {problem}" for problem in complaints(done, 2)]
        if done.stdout or not done.stderr.startswith("weir: "):
            problems.append(f"{options}: stdout {done.stdout!r}, stderr {done.stderr!r}")
    problems += complaints(bench("commit", os.path.join(place, "missing"), *SHORT), 1)
    return problems + left_behind(place)


def main():
    tap = Tap()
    tests = [
        ("every row and ratio is in the JSON", shape),
        ("the table fits 80 columns", text),
        ("--sync-delay-us slows everybody", delay),
        ("Ctrl-C ends it and nothing is left behind", lambda place: interrupted(place, signal.SIGINT)),
        ("SIGTERM does so, too", lambda place: interrupted(place, signal.SIGTERM)),
        ("a signal that is ignored stays ignored", ignored),
        ("a wrong command line is refused", refused),
    ]
    for name, test in tests:
        with tempfile.TemporaryDirectory(prefix="weir-test-") as place:
            tap.result(name, test(place))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
