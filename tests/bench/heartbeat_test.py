#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs `weir bench heartbeat` very briefly: its shape, its bounds and what it leaves behind. Prints TAP.

The figures of a run as short as these say nothing, so none is judged. That every beat was stored, and merged as it
should be, is checked by the benchmark itself.
"""

import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tap import Tap

from briefly import WEIR, bench, complaints, is_number, left_behind, measured, stopped

ROWS = ["peer", "plain", "weir_inflight_8x64", "weir_http_16", "weir_day_idle", "weir_day_busy"]
FIGURES = ["inflight_per_s", "day_p99_busy_vs_idle", "export_grown_mb", "inflight_vs_peer", "inflight_vs_plain"]
SHORT = ["--seconds", "0.05", "--rounds", "1", "--events", "20000"]


def row_problems(row):
    """A row has its figures, and they are in order."""
    figures = ["per_s", "p50_us", "p99_us", "max_us"]
    problems = [f"{row['name']}: {name} is {row.get(name)!r}" for name in figures if not is_number(row.get(name))]
    if problems:
        return problems
    if row["per_s"] <= 0:
        problems.append(f"{row['name']}: nothing was done: {row}")
    order = [row["p50_us"], row["p99_us"], row["max_us"] * 33 / 32]
    if order != sorted(order):
        problems.append(f"{row['name']}: p50, p99 and max are not in order: {order}")
    return problems


def shape(place):
    """All rows once, as JSON; over HTTP only where wrk is there."""
    report, problems = measured("heartbeat", place, "per_s", "--events", "20000")
    if problems:
        return problems
    wrk = shutil.which("wrk") is not None
    rows = ROWS if wrk else [name for name in ROWS if name != "weir_http_16"]
    if [row["name"] for row in report["rows"]] != rows:
        problems.append(f"rows {[row['name'] for row in report['rows']]}, not {rows}")
    problems += [problem for row in report["rows"] for problem in row_problems(row)]
    wanted = FIGURES + (["http_per_s", "http_vs_peer"] if wrk else [])
    if sorted(report["figures"]) != sorted(wanted):
        problems.append(f"figures {sorted(report['figures'])}, not {sorted(wanted)}")
    if report["environment"]["wrk"] is not wrk:
        problems.append(f"wrk is {report['environment']['wrk']} though it is {wrk}")
    if report["export"]["bytes"] < 20000 * 100:
        problems.append(f"an export of 20,000 events in {report['export']['bytes']} bytes")
    return problems + left_behind(place)


def text(place):
    """The table names each row, has what is wanted and fits a terminal."""
    done = bench("heartbeat", place, *SHORT, "--rows", "peer,weir_inflight_8x64,export")
    problems = complaints(done)
    lines = done.stdout.split("\n")
    problems += [f"{len(line)} columns: {line}" for line in lines if len(line) > 90]
    for start in ("peer", "weir_inflight_8x64", "export", "inflight_per_s", "inflight_vs_peer"):
        if not any(line.startswith(start) for line in lines):
            problems.append(f"no line begins with {start}:\n{done.stdout}")
    if any(line.startswith("weir_day_idle") for line in lines):
        problems.append(f"a row that nobody asked for:\n{done.stdout}")
    return problems + left_behind(place)


def interrupted(place, number, row):
    command = [WEIR, "bench", "heartbeat", "--dir", place, "--events", "2000", "--seconds", "60", "--rounds", "10", "--rows", row]
    return stopped(place, number, command, lambda folder: any(folder.glob("*/bench.db-wal")))


def refused(place):
    """Wrong command lines end with status 2, one sentence, and no measurement."""
    problems = []
    for options in (["--rounds", "0"], ["--seconds", "nan"], ["--rows", "pear"], ["--rows", ""], ["--events", "999"], ["--what"],
                    ["more"]):
        done = bench("heartbeat", place, *options)
        problems += [f"{options}: {problem}" for problem in complaints(done, 2)]
        if done.stdout or not done.stderr.startswith("weir: "):
            problems.append(f"{options}: stdout {done.stdout!r}, stderr {done.stderr!r}")
    return problems + left_behind(place)


def main():
    tap = Tap()
    tests = [
        ("every row and figure is in the JSON", shape),
        ("the table fits a terminal", text),
        ("Ctrl-C ends it and nothing is left behind", lambda place: interrupted(place, signal.SIGINT, "weir_inflight_8x64")),
        ("SIGTERM ends the server and wrk, too", lambda place: interrupted(place, signal.SIGTERM, "weir_http_16")),
        ("a wrong command line is refused", refused),
    ]
    for name, test in tests:
        if "wrk" in name and shutil.which("wrk") is None:
            tap.result(name, [], skip="wrk is not installed")
            continue
        with tempfile.TemporaryDirectory(prefix="weir-test-") as place:
            tap.result(name, test(place))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
