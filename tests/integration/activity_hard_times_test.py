#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`weir serve --activity` in hard times: bodies of a gigabyte, a full disk, answers that nobody reads, a stop or a kill
in the middle of everything, a process that stands still. Prints TAP.
"""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from activity import BUCKET, FIRST, Activity, at, event, message
from activity_peer import complaints_of_the_peer
from server import Skip, PATIENCE, equal, read_answer, run_tests, wait_until
from tap import run

SANITIZED = os.environ.get("WEIR_SANITIZE", "none") != "none"
BODY = 30_000_000 if SANITIZED else 999_000_000
GROWTH_KIB = 64 << 10  # of the server's memory, whatever comes


def request(path, size, method="POST"):
    head = f"{method} /api/0/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {size}\r\n\r\n".encode()


def post(path, body):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(path, len(body)) + body


def status_of(data):
    return int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/1.1 ") else None


def peak_kib(server):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())[1])


def is_alive(server):
    server.bucket("alive")
    equal(server.beat(FIRST, name="alive").status, 200, "a heartbeat")
    equal(server.events("alive")[0]["data"], {}, "a read")
    equal(server.delete("buckets/alive").status, 200, "gone again")


# ------------------------------------------------------------------------------------------------ a gigabyte


def send_large(server, path, head, piece, tail, size):
    """One body of `size` bytes: the head, the piece again and again, blanks, the tail. It is never held."""
    block = piece * max(1, (1 << 20) // len(piece))
    blocks, rest = divmod(size - len(head) - len(tail), len(block))
    with server.connect(10 * PATIENCE) as sock:
        try:
            sock.sendall(request(path, size) + head)
            for _ in range(blocks):
                sock.sendall(block)
            sock.sendall(b" " * rest + tail)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        return read_answer(sock)


def a_gigabyte_takes_no_memory():
    one = b'{"timestamp":"2018-01-01T01:01:01Z","duration":1.0,"data":{"a":"%s"}}' % (b"x" * 1_000_000)
    bucket = b'{"type":"t","client":"c","hostname":"h","events":['
    whole = b'{"buckets":{"i":' + bucket
    bodies = {  # path, head, what is repeated, tail, status, and a tenth is enough
        "an import of large events": ("import", whole + one, b"," + one, b"]}}}", 200, False),
        "an import that is cut off": ("import", whole + one, b"," + one, b",{", 400, True),
        "blanks": ("import", b'{"buckets":{}', b" ", b"}", 200, True),
        "an array with an end that is none": ("buckets/b/events", b"[" + one, b"," + one, b"]]", 400, False),
        "one string": ("buckets/b/events", b'[{"data":{"a":"', b"x", b'"}}]', 413, True),
        "one number": ("buckets/b/events", b"[1", b"0", b"]", 413, True),
        "one heartbeat": ("buckets/b/heartbeat?pulsetime=1", b'{"data":{"a":"', b"x", b'"}}', 413, False),
        "a bucket": ("buckets/new", bucket + one, b",[]", b"]}", 200, True),
    }
    with Activity() as server:
        size = min(BODY, shutil.disk_usage(server.folder).free // 4)
        server.bucket()
        equal(server.insert([event()])[0]["id"], 1, "something is there")
        before = peak_kib(server)
        for what, (path, head, piece, tail, expected, is_tenth) in bodies.items():
            wanted = max(size // 10, 20_000_000) if is_tenth else size
            answer = send_large(server, path, head, piece, tail, wanted)
            equal(status_of(answer), expected, f"{what}: {answer[-300:]}")
            if not SANITIZED:  # sanitizers keep what is freed
                grown = peak_kib(server) - before
                assert grown < GROWTH_KIB, f"{what} of {wanted} bytes took {grown} KiB"
            is_alive(server)
        equal((server.count(), server.count("i"), server.count("new")), (1, 1, 1), "what is stored: nothing twice")


def bodies_that_stop_half_way_take_no_memory():
    """Each is small enough for memory, all together are not."""
    piece = b"[" + b" " * 900_000
    with Activity() as server:
        server.bucket()
        before = peak_kib(server)
        socks = [server.connect() for _ in range(400)]
        for sock in socks:
            sock.sendall(request("buckets/b/events", 1_000_000) + piece)
        for number in range(20):
            equal(server.beat(event(number, 0.0), "5").status, 200, "a heartbeat beside them")
        grown = peak_kib(server) - before
        assert SANITIZED or grown < 200 << 10, f"{len(socks)} of {len(piece)} bytes took {grown} KiB"
        for sock in socks[:20]:
            sock.sendall(b" " * (1_000_000 - len(piece) - 1) + b"]")
            equal(read_answer(sock)[-2:], b"[]", "the rest of it")
        for sock in socks:
            sock.close()
        is_alive(server)


# --------------------------------------------------------------------------------- stopped, killed, standing still


class Clients:
    """Eight that send heartbeats, one after the other, until the connection ends; and what they were told."""

    def __init__(self, server, count=8):
        self.server, self.told = server, {f"c{n}": [] for n in range(count)}
        for name in self.told:
            server.bucket(name)
        self.threads = [threading.Thread(target=self.run, args=(name,)) for name in self.told]
        for thread in self.threads:
            thread.start()
        wait_until(lambda: min(map(len, self.told.values())) >= 30, "heartbeats of all")

    def run(self, name):
        answers = self.told[name]
        try:
            with self.server.connect() as sock:
                for number in range(3000):
                    sock.sendall(post(f"buckets/{name}/heartbeat?pulsetime=1", event(number, 0.5, {"n": number // 3})))
                    answer = read_answer(sock)
                    if status_of(answer) != 200:
                        return
                    answers.append(json.loads(answer.partition(b"\r\n\r\n")[2]))
        except OSError:
            pass

    def expect_all(self, server):
        """What each was told last of each event is in the database, and nothing beside it but one unanswered."""
        for thread in self.threads:
            thread.join()
        for name, answers in self.told.items():
            stored = {one["id"]: one for one in server.events(name)}
            last = {one["id"]: one for one in answers}
            for answer in last.values():
                row = stored.get(answer["id"])
                assert row and row["duration"] >= answer["duration"], f"{answer} was acknowledged; there is {row}"
            assert len(stored) - len(last) in (0, 1), f"{len(stored)} rows, {len(last)} were acknowledged"
            equal(len({one["timestamp"] for one in stored.values()}), len(stored), "nothing twice")
            newest = server.events(name, "?limit=1")[0]
            equal(server.beat(newest, "1", name).json()["id"], newest["id"], "the next one merges")


def a_stop_among_heartbeats_keeps_what_was_answered():
    for flags in ((), ("--ack", "committed"), ("--ack", "applied")):
        with Activity(*flags) as server:
            clients = Clients(server)
            server.stop()
            for thread in clients.threads:
                thread.join()
            equal(complaints_of_the_peer(server.database), [], flags)
            assert not os.path.exists(f"{server.database}-wal"), flags
            server.start()
            clients.expect_all(server)


def an_import_is_whole_or_not_at_all():
    """Stopped or killed at once when its body has come, and stopped before it has come in full."""
    count = 5_000 if SANITIZED else 40_000
    events = [event(n % 3000, 1.0, {"n": n}) for n in range(count)]
    body = json.dumps({"buckets": {"i": {**BUCKET, "id": "i", "events": events}}}).encode()
    for number, sent in ((signal.SIGTERM, len(body)), (signal.SIGKILL, len(body)), (signal.SIGTERM, len(body) // 2)):
        with Activity("--request-timeout", "2") as server:
            server.bucket()
            with server.connect() as sock:
                sock.sendall(request("import", len(body)) + body[:sent])
                server.signal(number)
                answer = read_answer(sock)
            status = server.wait()
            equal(status, 0 if number == signal.SIGTERM else -number, "exit status")
            server.start()
            there = server.api("buckets/i").status == 200 and server.count("i")
            assert there in (False, count), f"{there} of {count} events"
            assert there == count or status_of(answer) != 200, "told that it is stored, but it is not"
            assert sent == len(body) or there is False, "half of it"
            is_alive(server)


def a_server_that_stands_still_answers_afterwards():
    with Activity() as server:
        server.bucket()
        with server.connect() as kept:
            kept.sendall(post("buckets/b/heartbeat?pulsetime=60", event(0, 0.0)))
            equal(status_of(read_answer(kept)), 200, "before")
            server.signal(signal.SIGSTOP)
            waiting = [kept] + [server.connect() for _ in range(40)]
            for number, sock in enumerate(waiting):
                sock.sendall(post("buckets/b/heartbeat?pulsetime=60", event(number, 0.0)))
            equal(select.select(waiting, [], [], 5.0)[0], [], "nobody answers")
            server.signal(signal.SIGCONT)
            for sock in waiting:
                equal(status_of(read_answer(sock)), 200, "after")
                sock.close()
        equal(server.api("buckets/b").json()["metadata"], {"start": at(0), "end": at(40)}, "all of them")
        is_alive(server)


LOOK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60)
for _ in sys.stdin:
    print(connection.execute("SELECT count(*) FROM events").fetchone()[0], flush=True)
"""


def what_is_answered_before_its_commit_gets_it_by_the_clock():
    with Activity("--ack", "applied") as server:
        server.bucket()
        with subprocess.Popen([sys.executable, "-c", LOOK, str(server.database)], text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as other:
            def committed():
                other.stdin.write("\n")
                other.stdin.flush()
                return int(other.stdout.readline())

            equal(server.beat(FIRST).status, 200, "answered")
            wait_until(lambda: committed() == 1, "the commit, without a further request")
            other.stdin.close()


# ------------------------------------------------------------------------------------------------- a full disk


class Small(Activity):
    """On a disk of its own. Others see it through /proc."""

    ENTER = 'mount -t tmpfs -o "size=$0" weir-test "$1" && shift && exec "$@"'
    UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ENTER]

    def __init__(self, megabytes, *flags):
        self.size = f"{megabytes}m"
        super().__init__(*flags)

    def command(self, listen):
        return [*self.UNSHARE, self.size, str(self.folder), *super().command(listen)]

    def filler(self):
        return Path(f"/proc/{self.process.pid}/root{self.folder}/filler")

    @staticmethod
    def need():
        """Not everybody may have namespaces."""
        with tempfile.TemporaryDirectory(prefix="weir-small-") as folder:
            done = run([*Small.UNSHARE, "1m", folder, "true"])
        if done.returncode != 0:
            raise Skip(f"no disk of our own: {done.stderr.strip()}")


def a_full_disk_loses_nothing_that_was_acknowledged():
    """Heartbeats of some kilobytes until the disk is full: the last one waits as long as a write may, in vain."""
    Small.need()
    with Small(4) as server:
        server.bucket()
        with server.filler().open("wb") as filler:
            filler.write(b"x" * (3 << 20))
        told, answer = [], None
        while answer is None or answer.status == 200:
            number = len(told)
            assert number < 3000, "heartbeats of 5 KB on a disk of 4 MB"
            answer = server.beat(event(number, 0.0, {"n": number, "pad": "x" * 5000}), "0")
            told += [number] if answer.status == 200 else []
        message(answer, 503)
        assert told, "there was room at first"
        equal([one["data"]["n"] for one in server.events()], told[::-1], "all of them can be read on a full disk")
        with server.connect() as sock:
            sock.sendall(post("settings/k", b'"' + b"x" * 100_000 + b'"'))
            equal(select.select([sock], [], [], 1.0)[0], [], "a setting waits, too")
            server.filler().unlink()
            equal(status_of(read_answer(sock)), 201, "and is stored as soon as there is room")
        equal(server.beat(event(3000, 0.0, {"n": -1}), "0").status, 200, "there is room again")
        equal([one["data"]["n"] for one in server.events()], [-1, *told[::-1]], "each once")
        equal(len(server.api("settings/k").body), 100_002, "the setting")


def answers_that_nobody_reads_leave_room_on_the_disk():
    """Exports are files until they are sent. Many of them are refused before the disk is full."""
    Small.need()
    with Small(160) as server:
        server.bucket()
        server.insert([event(n, 1.0, {"pad": "x" * 100_000}) for n in range(120)])
        socks = [server.connect() for _ in range(40)]
        for sock in socks:
            sock.sendall(request("export", 0, "GET"))
        statuses = [status_of(sock.recv(64, socket.MSG_PEEK)) for sock in socks]
        assert set(statuses) <= {200, 503, 507} and 200 in statuses and {503, 507} & set(statuses), statuses
        for number in range(50):
            equal(server.beat(event(1000 + number, 0.0), "5").status, 200, "a heartbeat beside them")
        for sock in socks:
            sock.close()
        wait_until(lambda: server.api("export").status == 200, "room for an export again")


class Beside(threading.Thread):
    """A test that waits for a clock, beside the others."""

    def __init__(self, test):
        super().__init__()
        self.test, self.failure, self.__name__ = test, None, test.__name__
        self.start()

    def run(self):
        try:
            self.test()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def __call__(self):
        self.join()
        if self.failure:
            raise self.failure


if __name__ == "__main__":
    CLOCK = Beside(what_is_answered_before_its_commit_gets_it_by_the_clock)
    DISK = Beside(a_full_disk_loses_nothing_that_was_acknowledged)
    sys.exit(run_tests([
        a_stop_among_heartbeats_keeps_what_was_answered,
        an_import_is_whole_or_not_at_all,
        a_server_that_stands_still_answers_afterwards,
        answers_that_nobody_reads_leave_room_on_the_disk,
        a_gigabyte_takes_no_memory,
        bodies_that_stop_half_way_take_no_memory,
        CLOCK,
        DISK,
    ]))
