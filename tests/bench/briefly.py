# SPDX-License-Identifier: MIT
"""What the tests of benchmarks share: they run one very briefly and look at its shape and at what it leaves behind."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tap import run

WEIR = os.environ["WEIR_BIN"]


def bench(name, place, *options):
    """Run `weir bench NAME` with its files in `place`."""
    return run([WEIR, "bench", name, "--dir", place, *options], timeout=300)


def measured(name, place, figure, *options):
    """The report of all rows, and problems. On a busy machine one commit can take longer than a very short window, and
    then a row has nothing to show: the window becomes longer until every row's figure is more than 0."""
    report = {"rows": []}
    for seconds in ("0.05", "0.5", "5"):
        done = bench(name, place, "--seconds", seconds, "--rounds", "1", *options, "--json")
        if done.returncode != 0:
            return report, complaints(done)
        report = json.loads(done.stdout)
        if all(row.get(figure) != 0 for row in report["rows"]):
            break
    return report, []


def complaints(done, status=0):
    """What is wrong with how a run ended."""
    if done.returncode == status:
        return []
    return [f"exit status {done.returncode} instead of {status}\n{done.stdout}{done.stderr}"]


def left_behind(place):
    return [f"left behind: {name}" for name in os.listdir(place)]


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def stopped(place, number, command, has_begun):
    """A signal in the middle of a measurement: an end at once, nothing left behind."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not has_begun(Path(place)) and time.monotonic() < until and process.poll() is None:
            os.sched_yield()
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return [f"still there 60 s after signal {number}"]
    problems = [] if process.returncode == 128 + number else [f"exit status {process.returncode}: {out}{err}"]
    if out:
        problems.append(f"it printed results: {out}")
    return problems + left_behind(place)
