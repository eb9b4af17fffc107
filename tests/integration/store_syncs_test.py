#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which system call makes what durable, and when, under each durability policy. Prints TAP.

strace follows a small program (commits_main.c) that says on standard output where it is. What it says and what it
writes and syncs stand in one trace, in order, so an acknowledgement can be compared with the last sync before it.
"""

import os
import re
import shutil
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tap import Tap, run

PROGRAM = Path(os.environ["WEIR_PROGRAMS"]) / "integration-commits"
CALLS = "fdatasync,fsync,sync_file_range,msync,write,pwrite64"
SYNCS = {"fdatasync", "fsync", "sync_file_range", "msync"}
INTERVAL_MS = 60

# What happened to which file: "wal", "main", "directory" or a word that the program said. `start` and `end` are positions
# in the trace; a call that another thread interrupts has them apart.
Event = namedtuple("Event", "call what start end time")

LINE = re.compile(r"^(?P<pid>\d+) +(?P<time>\d+\.\d+) (?P<rest>.*)$")
CALL = re.compile(r"^(?P<name>\w+)\((?P<fd>\d+)<(?P<path>[^>]*)>(?P<args>.*)$")
RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>")


def event_of(call, database, start, end, time):
    path = call["path"]
    kinds = {f"{database}-wal": "wal", str(database): "main", str(database.parent): "directory"}
    if call["name"] == "write" and call["fd"] == "1":
        said = re.match(r', "(\w+)', call["args"])
        return Event("say", said[1] if said else "?", start, end, time)
    return Event("sync" if call["name"] in SYNCS else "write", kinds.get(path, path), start, end, time)


def parse(trace, database):
    """Return the events in the order in which they ended."""
    events, pending = [], {}
    for position, text in enumerate(trace.split("\n")):
        line = LINE.match(text)
        if not line:
            continue
        call, resumed = CALL.match(line["rest"]), RESUMED.match(line["rest"])
        if call and "<unfinished" in line["rest"]:
            pending[line["pid"]] = (call, position, float(line["time"]))
        elif call:
            events.append(event_of(call, database, position, position, float(line["time"])))
        elif resumed and line["pid"] in pending:
            begun, start, time = pending.pop(line["pid"])
            events.append(event_of(begun, database, start, position, time))
    return events


def trace_of(policy):
    """Run the program under strace; return its events, or a reason why that cannot be done, or a complaint."""
    directory = Path(tempfile.mkdtemp(prefix="weir-syncs-")).resolve()
    try:
        database, log = directory / "test.db", directory / "trace"
        done = run(["strace", "-f", "-y", "-ttt", "-s", "32", "-o", log, "-e", f"trace={CALLS}", PROGRAM, database,
                    policy, str(INTERVAL_MS)], timeout=100)
        if re.search(r"ptrace|Operation not permitted", done.stderr):
            return [], done.stderr.strip().split("\n")[0], []
        if done.returncode:
            return [], None, [f"exit code {done.returncode}\n{done.stderr}"]
        return parse(log.read_text(errors="replace"), database), None, []
    finally:
        shutil.rmtree(directory)


# ---------------------------------------------------------------------------------------------------------------------
# Questions about a trace


def positions(events, word):
    return [e.start for e in events if e.call == "say" and e.what == word]


def at(events, word):
    return positions(events, word)[0]


def select(events, call, what, first, last):
    """Events that began after `first` and ended before `last`."""
    return [e for e in events if e.call == call and (what is None or e.what == what) and first < e.start and e.end < last]


def acks_without_sync(events):
    """Acknowledgements whose last write to the log was not synced before them."""
    complaints = []
    for number, (begin, end) in enumerate(zip(positions(events, "submit"), positions(events, "ack")), 1):
        writes = select(events, "write", "wal", begin, end)
        if not writes:
            complaints.append(f"write {number}: nothing was written to the log before its acknowledgement")
        elif not select(events, "sync", "wal", max(w.end for w in writes), end):
            complaints.append(f"write {number}: no sync between its last write to the log and its acknowledgement")
    return complaints


def expect(complaints, fact, sentence):
    if not fact:
        complaints.append(sentence)


def expect_count(complaints, found, low, high, name):
    expect(complaints, low <= len(found) <= high, f"{name}: {len(found)} times, not {low} to {high}")


def story_is_whole(events):
    words = [e.what for e in events if e.call == "say"]
    expected = ["opened", "burst", "settled", "idle", "awake", "checkpoint", "checkpointed", "closing", "closed"]
    complaints = [f"the program did not say {word}: {words}" for word in expected if word not in words]
    expect(complaints, words.count("ack") == 6, f"{words.count('ack')} acknowledgements, not 6")
    return complaints


def checkpoint_in_order(events):
    """The log is synced before the database is written, and the database after it."""
    complaints = []
    begin, end = at(events, "checkpoint"), at(events, "checkpointed")
    writes = select(events, "write", "main", begin, end)
    if not writes:
        return ["the checkpoint wrote nothing to the database"]
    expect(complaints, select(events, "sync", "wal", begin, min(w.start for w in writes)),
           "the log was not synced before its frames went to the database")
    expect(complaints, select(events, "sync", "main", max(w.end for w in writes), end),
           "the database was not synced after the frames had gone there")
    return complaints


def directory_once(events):
    """The log's name is made durable before the first acknowledgement and then no more (a checkpoint's connection, which
    SQLite let create the log as well, does it once of its own)."""
    complaints = []
    first_ack = at(events, "ack")
    expect(complaints, select(events, "sync", "directory", -1, first_ack),
           "the directory was not synced before the first acknowledgement")
    expect_count(complaints, select(events, "sync", "directory", first_ack, at(events, "checkpoint")), 0, 0,
                 "a sync of the directory after the first acknowledgement")
    return complaints


# ---------------------------------------------------------------------------------------------------------------------
# The policies


def full(events):
    complaints = acks_without_sync(events) + directory_once(events)
    expect(complaints, not positions(events, "refused"), "DURABLE was refused")
    burst = select(events, "sync", "wal", at(events, "burst"), at(events, "settled"))
    expect_count(complaints, burst, 60, 60, "syncs of the log for 60 commits, one after the other")
    expect_count(complaints, select(events, "sync", None, at(events, "idle"), at(events, "awake")), 0, 0,
                 "syncs while idle")
    return complaints


def interval(events):
    complaints = acks_without_sync(events) + directory_once(events)
    expect(complaints, not positions(events, "refused"), "DURABLE was refused")
    first = positions(events, "ack")[0]
    syncs = [e.time * 1000 for e in select(events, "sync", "wal", first, at(events, "burst"))]
    gaps = [later - earlier for earlier, later in zip(syncs, syncs[1:])]
    expect(complaints, gaps and min(gaps) > INTERVAL_MS * 0.8,
           f"syncs {[round(g) for g in gaps]} ms apart, with an interval of {INTERVAL_MS} ms")
    took = next(e.time for e in events if e.what == "settled") - next(e.time for e in events if e.what == "burst")
    most = int(took * 1000 / INTERVAL_MS) + 2  # and one for the flush at the end
    burst = select(events, "sync", "wal", at(events, "burst"), at(events, "settled"))
    expect_count(complaints, burst, 1, most, f"syncs of the log for 60 commits within {took * 1000:.0f} ms")
    last_write = max(w.end for w in select(events, "write", "wal", at(events, "burst"), at(events, "settled")))
    expect(complaints, select(events, "sync", "wal", last_write, at(events, "settled")),
           "weir_flush returned before the log was synced")
    expect_count(complaints, select(events, "sync", None, at(events, "idle"), at(events, "awake")), 0, 0,
                 "syncs while idle")
    return complaints


def normal(events):
    complaints = []
    expect(complaints, len(positions(events, "refused")) == 1, "DURABLE was not refused")
    commits = select(events, "write", "wal", at(events, "burst"), at(events, "settled"))
    expect(complaints, len(commits) >= 60, f"{len(commits)} writes to the log for 60 commits")
    expect_count(complaints, select(events, "sync", None, positions(events, "ack")[0], at(events, "checkpoint")), 0, 0,
                 "syncs between the first commit and the checkpoint")
    return complaints + checkpoint_in_order(events)


def off(events):
    complaints = []
    expect(complaints, len(positions(events, "refused")) == 1, "DURABLE was not refused")
    expect_count(complaints, select(events, "sync", None, at(events, "opened"), at(events, "closed")), 0, 0,
                 "syncs of any kind")
    expect(complaints, select(events, "write", "main", at(events, "checkpoint"), at(events, "checkpointed")),
           "the checkpoint wrote nothing to the database")
    return complaints


def main():
    tap = Tap()
    if not shutil.which("strace"):
        tap.result("syncs", [], skip="strace is not there")
        return tap.finish()
    for name, check in [("full", full), ("interval", interval), ("normal", normal), ("off", off)]:
        events, reason, complaints = trace_of(name)
        if reason:
            tap.result(name, [], skip=f"strace may not trace here: {reason}")
            continue
        complaints = complaints or story_is_whole(events) or check(events)
        tap.result(f"{name}: each sync where it belongs, and no other", complaints)
        if name in ("full", "interval"):
            tap.result(f"{name}: a checkpoint syncs the log before and the database after",
                       complaints and ["see above"] or checkpoint_in_order(events))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
