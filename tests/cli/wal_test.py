#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""weir wal info, frames, verify: on logs that SQLite wrote, whole, cut off and damaged, and on what is no log. Prints TAP."""

import json
import os
import sqlite3
import struct
import subprocess
import sys
import threading

from weir import Place, differences, run_tests
from tap import Tap

PAGE_SIZE = 4096
FRAME_SIZE = PAGE_SIZE + 24
TRANSACTIONS = 6


def make(place, name="a.db"):
    """Write a database with a log of some transactions; return the log's bytes. The connection is gone without closing."""
    program = f"""
import os, sqlite3
c = sqlite3.connect({str(place.path / name)!r}, isolation_level=None)
c.execute("PRAGMA page_size={PAGE_SIZE}")
c.execute("PRAGMA journal_mode=WAL")
c.execute("PRAGMA wal_autocheckpoint=0")
c.execute("CREATE TABLE t(a)")
for i in range({TRANSACTIONS - 1}):
    c.execute("INSERT INTO t VALUES(randomblob(9000))")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    return (place.path / f"{name}-wal").read_bytes()


def commits_of(log):
    """Return the numbers of the commit frames, read as the format says and not as Weir does."""
    count = (len(log) - 32) // FRAME_SIZE
    sizes = [struct.unpack_from(">I", log, 32 + i * FRAME_SIZE + 4)[0] for i in range(count)]
    return [i + 1 for i, size in enumerate(sizes) if size]


def big_endian(log):
    """Return the same log with checksums over big-endian words."""
    out, sums = bytearray(log), [0, 0]

    def add(data):
        words = struct.unpack(f">{len(data) // 4}I", data)
        for x, y in zip(words[::2], words[1::2]):
            sums[0] = (sums[0] + x + sums[1]) & 0xFFFFFFFF
            sums[1] = (sums[1] + y + sums[0]) & 0xFFFFFFFF

    struct.pack_into(">I", out, 0, 0x377F0683)
    add(out[:24])
    struct.pack_into(">II", out, 24, *sums)
    for at in range(32, len(out), FRAME_SIZE):
        add(out[at:at + 8])
        add(out[at + 24:at + FRAME_SIZE])
        struct.pack_into(">II", out, at + 16, *sums)
    return bytes(out)


def verify(place, name, log=None):
    """Return (exit code, the JSON object) of weir wal verify; the log is written first."""
    if log is not None:
        (place.path / name).write_bytes(log)
    code, out, err = place.weir("wal", "verify", "--json", name)
    return code, json.loads(out) if out else err


def expect(what, got, **wanted):
    """Return a problem for each member that is not as wanted; `code` is the exit code."""
    code, found = got
    if not isinstance(found, dict):
        return [f"{what}: exit code {code}, {found}"]
    found = dict(found, code=code)
    return [f"{what}: {key} is {found.get(key)!r} and should be {value!r}"
            for key, value in wanted.items() if found.get(key) != value]


def test_whole(place):
    """a log that SQLite wrote is whole, through the database, the log and a link, in both byte orders"""
    log = make(place)
    commits = commits_of(log)
    os.symlink("a.db", place.path / "link.db")
    problems = []
    for name in ("a.db", "a.db-wal", "link.db"):
        problems += expect(name, verify(place, name), code=0, verdict="whole", end="clean", size=len(log),
                           frames=commits[-1], transactions=TRANSACTIONS, valid_bytes=len(log))
    problems += expect("big-endian", verify(place, "big-wal", big_endian(log)), code=0, frames=commits[-1])
    sentence = f"a.db-wal: whole: {TRANSACTIONS} transactions in {commits[-1]} frames up to byte {len(log)}\n"
    problems += place.check(["wal", "verify", "a.db"], (0, sentence, ""))
    problems += place.check(["wal", "verify", "-q", "a.db"], (0, "", ""))
    return problems


def test_torn(place):
    """a log that was cut off is torn: status 1, and how much is whole"""
    log = make(place)
    commits = commits_of(log)
    problems = []
    for size in (len(log) - 1, len(log) - FRAME_SIZE, len(log) - FRAME_SIZE - 1, 32 + FRAME_SIZE, 33):
        kept = [c for c in commits if 32 + c * FRAME_SIZE <= size]
        problems += expect(f"{size} bytes", verify(place, "x-wal", log[:size]), code=1, verdict="torn",
                           transactions=len(kept), committed_bytes=32 + (kept[-1] * FRAME_SIZE if kept else 0))
    problems += expect("31 bytes", verify(place, "x-wal", log[:31]), code=1, transactions=0)
    for size, frames in ((32, 0), (32 + commits[1] * FRAME_SIZE, commits[1])):
        problems += expect(f"{size} bytes", verify(place, "x-wal", log[:size]), code=0, frames=frames)
    (place.path / "x-wal").write_bytes(log[:-1])
    whole, behind = 32 + commits[-2] * FRAME_SIZE, len(log) - 1 - (32 + commits[-2] * FRAME_SIZE)
    return problems + place.check(["wal", "verify", "x-wal"], (1, (
        f"x-wal: torn tail: {TRANSACTIONS - 1} transactions in {commits[-2]} frames are whole up to byte {whole}; "
        f"{behind:,} bytes behind were never committed as a whole (cut off, rolled back, or still being written), "
        "and SQLite ignores them\n"), ""))


def test_damaged(place):
    """damage in the middle is told with what is lost: status 2"""
    log = make(place)
    commits = commits_of(log)
    problems = []
    for frame in range(1, commits[-1]):
        broken = bytearray(log)
        broken[32 + (frame - 1) * FRAME_SIZE + 100] ^= 0x10
        problems += expect(f"frame {frame}", verify(place, "x-wal", broken), code=2, verdict="damaged", frames=frame - 1,
                           valid_bytes=32 + (frame - 1) * FRAME_SIZE,
                           behind={"offset": 32 + frame * FRAME_SIZE, "frames": commits[-1] - frame,
                                   "commits": len([c for c in commits if c > frame])})
    header = bytearray(log)
    header[20] ^= 1
    problems += expect("header", verify(place, "x-wal", header), code=2, end="header", frames=0)
    broken = bytearray(log)
    broken[32 + FRAME_SIZE] ^= 1
    (place.path / "x-wal").write_bytes(broken)
    return problems + place.check(["wal", "verify", "x-wal"], (2, (
        f"x-wal: damaged at byte {32 + FRAME_SIZE}, in frame 2: SQLite reads 0 transactions in 0 frames up to byte 32 "
        f"and loses at least {TRANSACTIONS - 1} transactions; {commits[-1] - 2} frames from byte {32 + 2 * FRAME_SIZE} "
        "on are still readable\n"), ""))


def test_older(place):
    """what an earlier generation left behind is no fault"""
    with sqlite3.connect(place.path / "a.db", isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t(a)")
        connection.execute("INSERT INTO t VALUES(randomblob(90000))")
        connection.execute("PRAGMA wal_checkpoint")
        connection.execute("INSERT INTO t VALUES(1)")
        problems = expect("restarted", verify(place, "a.db"), code=0, end="older", verdict="whole", transactions=1)
    connection.close()
    return problems + expect("closed", verify(place, "a.db"), code=0, verdict="whole", log=None)


def write_sparse(path, log):
    """Write the log and a hole of 1 TiB, less where the file system does not tell holes, so that they must be read; return the size."""
    with open(path, "wb") as file:
        file.write(log)
        file.truncate(1 << 26)
        try:
            os.lseek(file.fileno(), 1 << 25, os.SEEK_DATA)
        except OSError:  # no data from there on
            file.truncate(1 << 40)
    return path.stat().st_size


def test_hostile(place):
    """what is no log gets a sentence and status 3, what cannot be read status 4; nothing waits"""
    log = make(place)
    os.mkfifo(place.path / "fifo")
    (place.path / "dir").mkdir()
    (place.path / "random").write_bytes(b"\x00" + os.urandom(99999))
    size_3, version = bytearray(log), bytearray(log)
    struct.pack_into(">I", size_3, 8, 3)
    struct.pack_into(">I", version, 4, 1)
    problems = []
    for name, content, wanted, verdict in (("empty-wal", b"", 0, "whole"), ("noise", os.urandom(10), 1, "torn"),
                                           ("page-3", size_3, 2, "damaged"), ("version", version, 2, "damaged"),
                                           ("zeros", bytes(100000), 3, "not-a-log")):
        problems += expect(name, verify(place, name, content), code=wanted, verdict=verdict)
    problems += expect("random", verify(place, "random"), code=3, verdict="not-a-log")
    for name, wanted, sentence in (("fifo", 3, "fifo is not a regular file"), ("dir", 3, "dir is not a regular file"),
                                   ("missing", 4, "cannot open missing: No such file or directory")):
        problems += place.check(["wal", "verify", name], (wanted, "", f"weir: {sentence}\n"))
        for command in ("info", "frames"):
            problems += place.check(["wal", command, name], (1, "", f"weir: {sentence}\n"))
    size = write_sparse(place.path / "sparse-wal", log)
    problems += expect("sparse", verify(place, "sparse-wal"), code=1, size=size, transactions=TRANSACTIONS)
    problems += place.check(["wal", "info", "random"], (1, "", "weir: random: not a write-ahead log of SQLite\n"))
    return problems + place.check(["wal", "frames", "random"], (
        1, "      FRAME TRANSACTION        PAGE          OFFSET      COMMIT\n",
        "random: not a write-ahead log of SQLite\n"))


def test_unlinked(place):
    """a log that was unlinked while a program has it open can be looked at through the system's name of its descriptor"""
    log = make(place)
    fds = [os.open(place.path / name, os.O_RDONLY) for name in ("a.db-wal", "a.db")]
    for name in ("a.db-wal", "a.db"):
        os.unlink(place.path / name)
    names = [f"/proc/{os.getpid()}/fd/{fd}" for fd in fds]
    problems = expect("unlinked log", verify(place, names[0]), code=0, verdict="whole", end="clean", size=len(log),
                      transactions=TRANSACTIONS, log=names[0], database=None)
    problems += place.check(["wal", "verify", names[1]], (
        4, "", f"weir: {names[1]} is a database that was unlinked or moved, so its log cannot be found\n"))
    for fd in fds:
        os.close(fd)
    return problems


def test_info(place):
    """weir wal info says what the header says"""
    log = make(place)
    salts = struct.unpack_from(">II", log, 16)
    commits = commits_of(log)
    largest = max(b - a for a, b in zip([0, *commits], commits))
    pages = struct.unpack_from(">I", log, len(log) - FRAME_SIZE + 4)[0]
    code, out, err = place.weir("wal", "info", "--json", "a.db")
    found = json.loads(out)
    wanted = {"page_size": PAGE_SIZE, "sequence": 0, "salts": list(salts), "checksums": "little-endian"}
    problems = expect("info", (code, found), code=0, header=wanted, frames=commits[-1], transactions=TRANSACTIONS,
                      largest_transaction_frames=largest, database_pages=pages, log="a.db-wal", database="a.db")
    text = (f"log                   a.db-wal\ndatabase              a.db\nsize                  {len(log):,} bytes\n"
            f"page size             4,096 bytes\ncheckpoint sequence   0\n"
            f"salts                 {salts[0]:08x} {salts[1]:08x}\nchecksums             little-endian words\n"
            f"transactions          {TRANSACTIONS}\nframes                {commits[-1]}\n"
            f"largest transaction   {largest} frames\ndatabase afterwards   {pages} pages\n"
            f"state                 whole: {TRANSACTIONS} transactions in {commits[-1]} frames up to byte {len(log)}\n")
    return problems + ([err] if err else []) + differences("info", (0, text, ""), place.weir("wal", "info", "a.db"))


def test_frames(place):
    """weir wal frames lists every frame and every transaction, as text and as JSON"""
    log = make(place)
    commits = commits_of(log)
    code, out, err = place.weir("wal", "frames", "--json", "a.db")
    *frames, end = [json.loads(line) for line in out.splitlines()]
    problems = [f"exit code {code}, {err}"] if code or err else []
    for i, frame in enumerate(frames):
        page, size = struct.unpack_from(">II", log, 32 + i * FRAME_SIZE)
        wanted = {"frame": i + 1, "transaction": 1 + len([c for c in commits if c <= i]), "page": page,
                  "offset": 32 + i * FRAME_SIZE, "database_pages": size or None}
        if frame != wanted:
            problems.append(f"frame is {frame} and should be {wanted}")
    if len(frames) != commits[-1] or end["end"] != "clean":
        problems.append(f"{len(frames)} frames, not {commits[-1]}; {end}")
    out = place.weir("wal", "frames", "--json", "-t", "a.db")[1]
    *transactions, end = [json.loads(line) for line in out.splitlines()]
    bounds = [(t["transaction"], t["first_frame"], t["last_frame"], t["offset_end"]) for t in transactions]
    wanted = [(i + 1, first + 1, last, 32 + last * FRAME_SIZE)
              for i, (first, last) in enumerate(zip([0, *commits], commits))]
    if bounds != wanted:
        problems.append(f"transactions are {bounds} and should be {wanted}")
    sentence = f"a.db-wal: whole: {TRANSACTIONS} transactions in {commits[-1]} frames up to byte {len(log)}\n"
    for options, lines in ((["--transactions"], TRANSACTIONS + 1), ([], commits[-1] + 1)):
        code, out, err = place.weir("wal", "frames", "a.db", *options)
        if code or err != sentence or len(out.splitlines()) != lines:
            problems.append(f"{options}: exit code {code}, {len(out.splitlines())} lines, not {lines}; {err}")
    return problems


def test_no_effect(place):
    """looking changes nothing, and sees a log that is being written"""
    path = place.path / "a.db"
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=50")
    writer.execute("PRAGMA synchronous=OFF")
    writer.execute("CREATE TABLE t(a)")
    stop, problems, codes = threading.Event(), [], set()

    def write():
        while not stop.is_set():
            writer.execute("INSERT INTO t VALUES(randomblob(5000))")

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(20):
        code, found = verify(place, "a.db")
        codes.add(code)
        # a writer that is kept waiting in the middle of a transaction leaves what looks like a torn tail meanwhile
        if code not in (0, 1, 4) or (code == 4 and found["end"] != "restarted"):
            problems.append(f"while it is written: exit code {code}, {found}")
    stop.set()
    thread.join()
    if 0 not in codes:
        problems.append(f"never whole, exit codes {codes}")
    before = picture(place)
    for command in ("info", "frames", "verify"):
        if place.weir("wal", command, "a.db")[0] != 0:
            problems.append(f"weir wal {command} failed")
    if picture(place) != before:
        problems.append(f"files were {before} and are {picture(place)}")
    writer.close()
    return problems


def test_progress(place):
    """on a terminal a line says how far it is, and is gone at the end"""
    make(place)
    terminal, other_end = os.openpty()
    code, out, _ = place.weir("wal", "verify", "a.db", stderr=other_end)
    os.close(other_end)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError: # all of it was read, and the other end is closed
            break
        shown += piece
    os.close(terminal)
    if code != 0 or not shown.startswith(b"\rreading the log: ") or not shown.endswith(b"\r\x1b[K"):
        return [f"exit code {code}, {out}, on the terminal: {shown!r}"]
    return []


def test_names(place):
    """a name that could move the cursor is shown, not done, and one that is no UTF-8 is no trouble"""
    make(place)
    os.rename(place.path / "a.db-wal", place.path / "x\x1b[2J\n-wal")
    code, out, err = place.weir("wal", "verify", "x\x1b[2J\n-wal")
    problems = [] if code == 0 and out.startswith("x\\e[2J\\n-wal: whole: ") and not err else [f"{code}, {out!r}, {err!r}"]
    os.rename(place.path / "x\x1b[2J\n-wal", os.fsencode(place.path) + b"/\xff-wal")
    code, out, err = place.weir("wal", "verify", "--json", b"\xff-wal")
    if code != 0 or json.loads(out)["log"] != "\ufffd-wal" or err:
        problems.append(f"{code}, {out!r}, {err!r}")
    return problems


def picture(place):
    """Return the name, content and times of all files; read by a child, as a descriptor here would drop SQLite's locks."""
    program = ("import hashlib, os, sys\nfor n in sorted(os.listdir('.')):\n"
               "    s = os.stat(n); print(n, s.st_mtime_ns, s.st_ctime_ns, hashlib.sha256(open(n, 'rb').read()).hexdigest())")
    return subprocess.run([sys.executable, "-c", program], cwd=place.path, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(run_tests(Tap(), [test_whole, test_torn, test_damaged, test_older, test_hostile, test_unlinked, test_info,
                               test_frames, test_no_effect, test_progress, test_names]))
