#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What must not happen to `weir serve --activity`: what it has said is stored is gone, one request stops the others,
memory grows with the data, a file comes to hold what ActivityWatch's own server dies of. Prints TAP.
"""

import json
import os
import re
import resource
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from activity import BUCKET, FIRST, JSON, T0, Activity, at, event, message
from server import PATIENCE, equal, read_answer, run_tests, wait_until

SANITIZED = os.environ.get("WEIR_SANITIZE", "none") != "none"
MANY = 60_000 if SANITIZED else 300_000


LASTING = None  # set at the end


def request(path, body=b"", method="POST", extra=""):
    head = f"{method} /api/0/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def status_of(data):
    return int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/1.1 ") else None


def raise_files(wanted):
    """How many files this process may open; more than that is not asked for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def fill(server, count, buckets=6, pad=60):
    """Events of one second each, put into the file while no server is there."""
    server.stop()
    connection = server.open()
    connection.execute("BEGIN")
    for number in range(buckets):
        connection.execute("INSERT INTO buckets (name, type, client, hostname, created, data) VALUES (?,?,?,?,?,?)",
                           (f"full-{number}", "t", "c", "h", "2018-01-01 00:00:00+00:00", "{}"))
    rows = {name: row for row, name in connection.execute("SELECT id, name FROM buckets")}
    connection.executemany(
        "INSERT INTO events (bucketrow, starttime, endtime, data) VALUES (?,?,?,?)",
        ((rows[f"full-{n % buckets}"], (T0 + n) * 10**9, (T0 + n + 1) * 10**9,
          '{"app":"%s","title":"%d"}' % ("x" * pad, n)) for n in range(count)))
    connection.execute("COMMIT")
    connection.close()
    server.start()


def is_alive(server):
    """Does it still read and write?"""
    server.bucket("alive")
    equal(server.beat(FIRST, name="alive").status, 200, "a heartbeat")
    equal(server.events("alive")[0]["data"], {}, "a read")
    equal(server.delete("buckets/alive").status, 200, "gone again")


# ----------------------------------------------------------------------------- acknowledged means stored (W1, W2, D10)


def what_was_acknowledged_survives_a_kill():
    """Eight clients send heartbeats until the server is killed; whatever they were told is there after it."""
    told, lock, stop = {n: [] for n in range(8)}, threading.Lock(), threading.Event()

    def client(server, number):
        sent = 0
        try:
            with server.connect() as sock:
                while not stop.is_set() and sent < 6000:
                    body = json.dumps(event(sent // 2, 0.5, {"n": sent // 4})).encode()
                    sock.sendall(request(f"buckets/c{number}/heartbeat?pulsetime=1", body))
                    answer = read_answer(sock)
                    if status_of(answer) != 200:
                        return
                    with lock:
                        told[number].append(json.loads(answer.partition(b"\r\n\r\n")[2]))
                    sent += 1
        except OSError:
            pass

    with Activity() as server:
        for number in told:
            server.bucket(f"c{number}")
        threads = [threading.Thread(target=client, args=(server, number)) for number in told]
        for thread in threads:
            thread.start()
        wait_until(lambda: min(len(answers) for answers in told.values()) >= 40, "heartbeats of all", 60)
        server.kill_process()
        stop.set()
        for thread in threads:
            thread.join()
        server.process.stdout.close()
        server.start()
        for number, answers in told.items():
            stored = {e["id"]: e for e in server.events(f"c{number}")}
            last = {answer["id"]: answer for answer in answers}
            for answer in last.values():
                row = stored.get(answer["id"])
                assert row, f"{answer} was acknowledged and is gone"
                equal((row["timestamp"], row["data"]), (answer["timestamp"], answer["data"]), "its row")
                assert row["duration"] >= answer["duration"], f"{row} is shorter than {answer}, which was acknowledged"
            assert len(stored) - len(last) in (0, 1), f"{len(stored)} rows, {len(last)} were acknowledged"
            keys = [(e["timestamp"], json.dumps(e["data"])) for e in stored.values()]
            equal(len(set(keys)), len(keys), "nothing twice")
            newest = server.events(f"c{number}", "?limit=1")[0]
            merged = server.beat(newest, "1", f"c{number}").json()
            equal(merged["id"], newest["id"], "the first heartbeat after it merges")


def a_stop_keeps_everything_and_leaves_no_log():
    with Activity() as server:
        server.bucket()
        server.insert([event()])
        equal(server.beat(event(1), "5").json()["duration"], 2.0, "merged")
        equal(server.send("settings/k", "1").status, 201, "setting")
        server.stop()
        equal(server.rows("SELECT bucketrow, starttime, endtime, data FROM events"),
              [(1, T0 * 10**9, (T0 + 2) * 10**9, "{}")], "in the file")
        equal([row[:2] for row in server.rows("SELECT key, value, typeof(last_modified) FROM key_value")],
              [("settings.k", "1")], "in the file")
        for suffix in ("-wal", "-shm"):
            assert not os.path.exists(f"{server.database}{suffix}"), suffix


def what_is_answered_before_its_commit_is_seen_and_kept_by_a_stop():
    with Activity("--ack", "applied") as server:
        server.bucket()
        for number in range(150):  # more than a batch
            equal(server.beat(event(number, 0.0, {"n": number // 3}), "5").status, 200, number)
            equal(server.count(), number // 3 + 1, "seen by the next request")
        server.insert([event(500)])
        equal(server.events()[0]["timestamp"], at(500), "an insert, too")
        server.stop()
        equal(server.rows("SELECT count(*) FROM events"), [(51,)], "in the file")


# --------------------------------------------------------------------------------- beside other processes (W3, §6.1)

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
for line in sys.stdin:
    print(connection.execute(line).fetchall(), flush=True)
"""


class Other:
    """Another process with the database open."""

    def __init__(self, server):
        self.process = subprocess.Popen([sys.executable, "-c", OTHER, str(server.database)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self, sql):
        self.process.stdin.write(sql + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def others_can_write_and_are_seen():
    with Activity() as server:
        server.bucket()
        equal(server.beat(event(0, 1.0), "5").json()["id"], 1, "first")
        with Other(server) as other:
            equal(other.run("UPDATE events SET endtime = endtime + 4000000000"), "[]", "while it is idle")
            equal(server.events()[0]["duration"], 5.0, "seen")
            equal(server.beat(event(7, 1.0), "5").json(), event(0, 8.0, id=1), "and merged with")
            equal(other.run("DELETE FROM events"), "[]", "delete")
            equal(server.beat(event(8, 1.0), "5").json()["duration"], 1.0, "not merged with what is gone")
            equal(other.run("UPDATE buckets SET name = 'renamed'"), "[]", "rename")
            message(server.beat(event(9)), 404)
            equal(server.beat(event(9), "5", "renamed").json()["duration"], 2.0, "under its new name")


def anothers_lock_delays_and_loses_nothing():
    """Python's client drops a heartbeat for good on any error: it must wait, and so must all else that writes."""
    with Activity() as server:
        server.bucket()
        with Other(server) as other:
            other.run("BEGIN IMMEDIATE")
            waiting = []
            for number in range(20):
                sock = server.connect()
                body = json.dumps(event(number, 0.0, {"n": number % 2})).encode()
                sock.sendall(request("buckets/b/heartbeat?pulsetime=0", body) if number % 4 else
                             request("buckets/b/events", b"[%s]" % body))
                waiting.append(sock)
            equal(server.events(), [], "reads go on")
            equal(server.api("info").status, 200, "and so does the rest")
            equal(select.select(waiting, [], [], 0.5)[0], [], "nobody has an answer")
            other.run("COMMIT")
            for sock in waiting:
                equal(status_of(read_answer(sock)), 200, "stored")
                sock.close()
            equal(server.count(), 20, "all of them")


def a_full_queue_delays_and_loses_nothing():
    """Behind another process's lock, heartbeats of 60 KB until no more fit into the queue; those beyond wait, too."""
    count = raise_files(3000) - 100
    with Activity() as server:
        server.bucket()
        with Other(server) as other:
            other.run("BEGIN IMMEDIATE")
            waiting, began, is_full = [], time.monotonic(), False
            while not is_full and len(waiting) < count and time.monotonic() - began < 10:
                for _ in range(50):
                    waiting.append(server.connect())
                    body = json.dumps(event(len(waiting), 0.0, {"pad": "x" * 60_000}))
                    waiting[-1].sendall(request("buckets/b/heartbeat?pulsetime=0", body.encode()))
                is_full = server.get("/api/store").json()["activity"]["queue_full"] > 0
            other.run("COMMIT")
        for sock in waiting:
            equal(status_of(read_answer(sock)), 200, "stored")
            sock.close()
        equal(server.count(), len(waiting), "all of them")


class LastingLock(threading.Thread):
    """Another process that keeps the lock. It takes as long as a write may wait, so it runs beside the other tests."""

    def __init__(self):
        super().__init__()
        self.answers, self.rest, self.failure = [], None, None

    def run(self):
        try:
            with Activity() as server:
                server.bucket()
                with Other(server) as other:
                    other.run("BEGIN IMMEDIATE")
                    began = time.monotonic()
                    socks = [server.connect() for _ in range(2)]
                    socks[0].sendall(request("buckets/b/heartbeat?pulsetime=0", json.dumps(FIRST).encode()))
                    socks[1].sendall(request("buckets/b/events", json.dumps([FIRST]).encode()))
                    for sock in socks:
                        self.answers.append((read_answer(sock), time.monotonic() - began))
                        sock.close()
                    other.run("COMMIT")
                self.rest = server.beat(event(5)), server.count()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error


def a_lasting_lock_is_told_at_the_deadline():
    LASTING.join()
    assert LASTING.failure is None, LASTING.failure
    for answer, seconds in LASTING.answers:
        equal(status_of(answer), 503, answer)
        assert b"\r\nRetry-After: " in answer and b'{"message":"' in answer, answer
        assert seconds > 20, f"after {seconds} s"
    equal((LASTING.rest[0].status, LASTING.rest[1]), (200, 1), "what was refused is not stored")


# ------------------------------------------------------------------------------------------ ids of others (W4, D3)


def an_id_of_another_bucket_is_refused():
    with Activity() as server:
        server.bucket("mine")
        server.bucket("theirs")
        kept = server.insert([event(0, 1.0, {"theirs": 1}), event(1, 1.0, {"theirs": 2})], "theirs")
        message(server.send("buckets/mine/events", [event(5), event(6, id=kept[0]["id"]), event(7)]), 409)
        message(server.send("buckets/mine/heartbeat?pulsetime=1", event(5, id=kept[1]["id"])), 409)
        equal(server.count("mine"), 0, "nothing of the batch")
        equal(server.events("theirs"), kept[::-1], "untouched")
        theirs = server.api("buckets/theirs/export").json()
        theirs["buckets"]["theirs"]["id"] = "copy"
        equal(server.send("import", theirs).status, 200, "an import with ids")
        equal(server.send("buckets/new", {**BUCKET, "events": kept}).status, 200, "a bucket with ids")
        equal((server.events("theirs"), server.count("copy"), server.count("new")), (kept[::-1], 2, 2), "untouched")


# ----------------------------------------------------------------------------- what is remembered of buckets (W5, W6)


def a_heartbeat_never_meets_what_is_gone():
    with Activity() as server:
        server.bucket()
        for number in range(5):
            answer = server.beat(event(number, 0.0), "5")
            equal((answer.status, answer.json()["duration"]), (200, 0.0), "a new event")
            equal(server.delete(f"buckets/b/events/{answer.json()['id']}").status, 200, "deleted")
        server.beat(event(10, 0.0), "5")
        equal(server.delete("buckets/b").status, 200, "the bucket")
        message(server.beat(event(11, 0.0), "5"), 404)
        server.bucket()
        equal(server.beat(event(12, 0.0), "5").json()["duration"], 0.0, "in the new one")
        inserted = server.insert([event(20, 1.0)])[0]
        equal(server.beat(event(21, 1.0), "5").json()["id"], inserted["id"], "merges with what was inserted")
        server.insert([event(20, 0.5, {"changed": 1}, id=inserted["id"])])
        answer = server.beat(event(22, 0.0, {"changed": 1}), "5").json()
        equal((answer["id"], answer["duration"]), (inserted["id"], 2.0), "merges with what was replaced")


def metadata_are_those_of_the_events_there_are():
    with Activity() as server:
        server.bucket()

        def metadata():
            found = server.api("buckets/b").json()["metadata"]
            equal(server.api("buckets").json()["b"]["metadata"], found, "in the list")
            return found["start"], found["end"]

        equal(metadata(), (None, None), "empty")
        first, second, third = server.insert([event(0, 1.0), event(10, 50.0), event(20, 1.0)])
        equal(metadata(), (at(0), at(60)), "three")
        server.delete(f"buckets/b/events/{second['id']}")
        equal(metadata(), (at(0), at(21)), "the longest deleted")
        server.insert([{**third, "duration": 0.5}])
        equal(metadata(), (at(0), at(20, ".500")), "shrunk")
        server.delete(f"buckets/b/events/{first['id']}")
        equal(metadata(), (at(20), at(20, ".500")), "the first deleted")
        before = metadata()
        server.stop()
        server.start()
        equal(metadata(), before, "after a restart")
        server.delete(f"buckets/b/events/{third['id']}")
        equal(metadata(), (None, None), "empty again")


# --------------------------------------------------------------------------------------------------- filters (W7)


def filters_apply_from_the_request_that_sets_them():
    rules = [{"enabled": True, "field": "title", "pattern": "(?i)secret", "action": "redact", "replacement": "***"},
             {"enabled": True, "bucket_prefix": "b", "field": "app", "pattern": "^bank$", "action": "drop"},
             {"enabled": False, "field": "app", "pattern": ".", "action": "drop"}]
    with Activity() as server:
        server.bucket()
        equal(server.send("settings/privacy_filters", rules).status, 201, "set")
        for restarted in (False, True):
            if restarted:
                server.stop()
                server.start()
            kept = server.insert([event(0, 1.0, {"title": "My SECRET"}), event(1, 1.0, {"app": "bank"}),
                                  event(2, 1.0, {"app": "banks"})])
            equal([e["data"] for e in kept], [{"title": "***"}, {"app": "banks"}], "inserted")
            equal(server.beat(event(3, 0.0, {"title": "a secret!"}), "0").json()["data"], {"title": "***"}, "heartbeat")
            dropped = server.beat(event(9, 0.0, {"app": "bank"}), "0")
            equal((dropped.status, dropped.json()["data"]), (200, {"title": "***"}), "answered with the newest")
        imported = {"buckets": {"b2": {**BUCKET, "id": "b2", "events": [event(0, 1.0, {"app": "bank"}),
                                                                        event(1, 1.0, {"title": "secret"})]}}}
        equal(server.send("import", imported).status, 200, "import")
        equal([e["data"] for e in server.events("b2")], [{"title": "***"}], "imported")
        server.bucket("b3", events=imported["buckets"]["b2"]["events"])
        equal([e["data"] for e in server.events("b3")], [{"title": "***"}], "created with events")
        equal(server.delete("settings/privacy_filters").status, 200, "deleted")
        equal(server.insert([event(30, 1.0, {"app": "bank"})])[0]["data"], {"app": "bank"}, "no rules")


# ----------------------------------------------------------------------- one request is one request (W8, W9, W13)


def no_request_stops_the_server():
    """Each of these ends the worker of ActivityWatch's server, or one of its threads, for good."""
    cut = '{"buckets":{"a":{"type":"t","client":"c","hostname":"h","events":[' + json.dumps(event())
    with Activity() as server:
        server.bucket()
        for query in ("end=3000-01-01T00:00:00Z", "start=1600-01-01T00:00:00Z", "end=9999-12-31T23:59:59Z"):
            message(server.api(f"buckets/b/events?{query}"), 400)
            is_alive(server)
        for timestamp in ("1600-01-01T00:00:00Z", "2300-01-01T00:00:00Z", "-9999-01-01T00:00:00Z"):
            message(server.send("buckets/b/events", [{**FIRST, "timestamp": timestamp}]), 400)
            message(server.beat({**FIRST, "timestamp": timestamp}), 400)
        beyond = {**FIRST, "timestamp": "2262-04-11T23:47:16Z", "duration": 10.0}
        message(server.send("buckets/b/events", [beyond]), 400)
        is_alive(server)
        for body in (cut, cut + ",", cut + ",{", cut + "]", cut + ',"', cut + ",x]}}}"):
            message(server.send("import", body), 400)
        created = json.dumps(BUCKET)[:-1] + ',"events":[{"timestamp":'
        for body in (created, created + "}", created + '"x"'):
            message(server.send("buckets/new", body), 400)
        is_alive(server)
        with Other(server) as other:
            other.run("INSERT INTO events (bucketrow, starttime, endtime, data) VALUES (1, 1, 2, 'no json'), "
                      "(1, 3, 4, '[]'), (1, 5, 6, '{\"fine\":1}'), (1, 7, 8, x'ff')")
            other.run("INSERT INTO key_value VALUES ('settings.bad', '{', 1), ('settings.none', NULL, 1), "
                      "('settings.x', '1', 1)")
        equal([e["data"] for e in server.events()], [{"fine": 1}], "rows that are none are left out")
        for path in ("export", "buckets/b/export", "settings", "settings/none", "buckets"):
            answer = server.api(path)
            equal(answer.status, 200, answer)
            answer.json()
        message(server.api("settings/bad"), 500)
        is_alive(server)
        equal(server.api("settings/x").body, b"1", "the others")


def moments_before_1970_are_kept_so_that_the_peer_can_read_them():
    with Activity() as server:
        server.bucket()
        for timestamp, duration in (("1969-12-31T23:59:58.5Z", 1.0), ("1960-01-01T00:00:00.000000001Z", 0.25),
                                    ("1677-09-21T00:12:44.5Z", 0.0)):
            server.insert([{"timestamp": timestamp, "duration": duration, "data": {}}])
            equal(server.beat({"timestamp": timestamp, "duration": duration, "data": {"n": 1}}).status, 200, timestamp)
        exported = [{"timestamp": "1969-07-20T20:17:40.123Z", "duration": 0.5, "data": {}}]
        equal(server.send("import", {"buckets": {"moon": {**BUCKET, "events": exported}}}).status, 200, "import")
        server.stop()
        bad = server.rows("SELECT starttime, endtime FROM events WHERE starttime < 0 AND starttime % 1000000000 <> 0 "
                          "OR endtime < 0 AND endtime % 1000000000 <> 0")
        equal(bad, [], "fractions before 1970")
        server.start()
        for name in ("b", "moon"):
            equal(server.api(f"buckets/{name}").status, 200, name)
        is_alive(server)


def hostile_bodies_leave_nothing_behind():
    bodies = [b"[" * 1_000_000, b'{"a":' * 500_000, b'"' + b"\\" * 999_999, b"[" + b"1," * 500_000,
              b'[{"timestamp":"' + b"9" * 1_000_000 + b'","data":{}}]', b"-" * 1_000_000, bytes(range(256)) * 4000,
              b"[" + b'{"timestamp":"2018-01-01T01:01:01Z","data":{"' + b"a" * 17_000_000 + b'":1}}]',
              b"1" * 1_000_000, b"[1e" + b"9" * 1_000_000 + b"]"]
    with Activity() as server:
        server.bucket()
        for body in bodies:
            for path in ("buckets/b/events", "buckets/x", "buckets/b/heartbeat?pulsetime=1", "import"):
                answer = server.send(path, body)
                assert answer.status in (400, 413, 422), (path, body[:40], answer)
                message(answer, answer.status)
        equal((server.count(), list(server.api("buckets").json())), (0, ["b"]), "nothing")
        is_alive(server)


def bodies_beyond_the_limit_are_refused_before_they_come():
    with Activity() as server:
        for size in (1_000_000_001, 10**12, 2**64):
            head = "POST /api/0/import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            answer = server.raw(f"{head}Content-Length: {size}\r\n\r\n".encode())
            assert status_of(answer) in ((413,) if size < 2**63 else (400, 413)), answer
        is_alive(server)


# --------------------------------------------------------------------------------------- durations are exact (W10)


def exports_come_back_exactly():
    """All of these lose a nanosecond when seconds are cut instead of rounded."""
    durations = [n / 1000 for n in range(1, 2000, 7)] + [8.2, 1.001, 4.35, 0.57, 1.1, 2.3, 16.1, 9007199.254740993]
    with Activity() as server:
        server.bucket()
        echoed = server.insert([event(0, duration, {"n": n}) for n, duration in enumerate(durations)])
        equal([e["duration"] for e in echoed], durations[:-1] + [9007199.254740993], "echoed")
        export = server.api("export").body
        equal(server.send("import", export).status, 200, "into itself")
        equal(server.count(), len(durations), "known already")
        server.delete("buckets/b")
        equal(server.send("import", export).status, 200, "anew")
        equal(re.sub(rb'"id":\d+', b"", server.api("export").body), re.sub(rb'"id":\d+', b"", export), "the same")


# --------------------------------------------------------------------------------------------- guards (W11, W12)


def the_host_is_checked_on_both_loopbacks():
    hosts = (("127.0.0.1:5600", 200), ("localhost:5600", 200), ("localhost", 200), ("LOCALHOST", 200),
             ("evil.example.org", 400), ("127.0.0.1.evil.example.org", 400), ("", 400), ("localhost.evil:80", 400))
    for address in ("127.0.0.1", "::1"):
        try:
            socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
        except OSError:
            continue
        with Activity(host=address) as server:
            for host, expected in hosts:
                data = f"GET /api/0/info HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
                equal(status_of(server.raw(data)), expected, f"{host} on {address}")
            equal(status_of(server.raw(b"GET /api/0/info HTTP/1.1\r\n\r\n")), 400, "none")


def no_spelling_of_a_path_gets_past_the_key():
    with Activity() as server:
        key = server.folder / "key"
        key.write_text("a-key-of-some-length\n")
        key.chmod(0o600)
        server.stop()
        server.flags += ["--activity-api-key-file", str(key)]
        server.start()
        right = {"Authorization": "Bearer a-key-of-some-length"}
        equal(server.api("info").status, 200, "open")
        for path in ("/api/0/buckets", "//api/0/buckets/", "/%61pi/0/buckets", "/api/%30/buckets", "/a%70i/0//buckets",
                     "/api/0/%62uckets", "///%61%70%69/0/export", "/api/0/settings/x"):
            equal(message(server.get(path), 401),
                  "Missing or invalid API key. Set 'Authorization: Bearer <key>' header.", path)
            equal(server.ask("GET", path, headers=right).status, 200, path)
        for wrong in ("Bearer wrong", "Basic a-key-of-some-length", "Bearer ", "Bearer a-key-of-some-lengt", "Bearer"):
            message(server.ask("GET", "/api/0/buckets", headers={"Authorization": wrong}), 401)
        message(server.ask("POST", "/api/0/buckets/b", json.dumps(BUCKET), JSON), 401)


# -------------------------------------------------------------------------------- reads beside writes (W14, W15, W16)


def heartbeats_go_on_beside_slow_readers():
    """More clients than there are workers ask for everything and do not read it."""
    with Activity() as server:
        fill(server, 40_000)
        server.bucket()
        slow = []
        for number in range(12):
            sock = server.connect()
            sock.sendall(request("export" if number % 2 else "buckets/full-0/events", method="GET"))
            slow.append(sock)
        for number in range(200):
            equal(server.beat(event(number, 0.0), "5").status, 200, number)
        equal(server.events()[0]["duration"], 199.0, "all merged")
        for sock in slow:
            equal(status_of(read_answer(sock)), 200, "complete")
            sock.close()


def peak_kib(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def large_answers_and_bodies_take_bounded_memory():
    with Activity() as server:
        fill(server, MANY)
        server.bucket()
        server.insert([event()])
        server.events("full-0", "?limit=2000")
        before = peak_kib(server)
        export = server.api("export").body
        assert len(export) > MANY * 100, len(export)
        after_export = peak_kib(server)
        one = server.api("buckets/full-0/events").body
        equal(one.count(b'"id":'), MANY // 6, "a bucket's events")
        after_range = peak_kib(server)
        if not SANITIZED:  # sanitizers keep what is freed
            grown = after_export - before
            assert grown < 32 << 10, f"an export of {len(export)} bytes took {grown} KiB"
            grown = after_range - before
            assert grown < 32 << 10, f"a range of {len(one)} bytes took {grown} KiB"
        equal(server.send("import", export).status, 200, "everything again")
        after_import = peak_kib(server)
        if not SANITIZED:
            grown = after_import - before
            assert grown < 100 << 10, f"an import of {len(export)} bytes took {grown} KiB"
        equal(server.count("full-1"), MANY // 6, "nothing twice")


def answers_have_one_order():
    with Activity() as server:
        for name in ("z", "a", "m", "B", "é", "10", "9"):
            server.bucket(urllib.parse.quote(name))
        expected = sorted(("z", "a", "m", "B", "é", "10", "9"), key=str.encode)
        for path in ("buckets", "export"):
            found = server.api(path).json()
            equal(list(found.get("buckets", found)), expected, path)
        for name in ("z", "a"):
            server.send(f"settings/{name}", "1")
        equal(server.api("settings").body, b'{"a":1,"z":1}', "settings")


def many_clients_are_all_answered():
    """Keep-alive clients that send as fast as they can, on one bucket and on their own."""
    failures = []

    def client(server, number):
        try:
            with server.connect() as sock:
                for n in range(100):
                    name = "shared" if n % 2 else f"own-{number}"
                    body = json.dumps(event(n, 0.0, {"client": number})).encode()
                    sock.sendall(request(f"buckets/{name}/heartbeat?pulsetime=10", body))
                    answer = read_answer(sock)
                    if status_of(answer) != 200:
                        failures.append(answer)
        except OSError as error:
            failures.append(error)

    with Activity() as server:
        server.bucket("shared")
        for number in range(16):
            server.bucket(f"own-{number}")
        threads = [threading.Thread(target=client, args=(server, number)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [], "answers")
        for number in range(16):
            equal([e["duration"] for e in server.events(f"own-{number}")], [98.0], "merged")
        equal(sum(1 for _ in server.events("shared")) >= 16, True, "each client has its own in the shared one")


def requests_in_a_row_are_answered_in_a_row():
    """Two hundred heartbeats in one piece, before the first answer."""
    with Activity() as server:
        server.bucket()
        with server.connect() as sock:
            bodies = [json.dumps(event(number, 0.0)).encode() for number in range(200)]
            sock.sendall(b"".join(request("buckets/b/heartbeat?pulsetime=5", body) for body in bodies))
            came = b""
            while came.count(b'"data":{}}') < len(bodies):
                piece = sock.recv(65536)
                assert piece, came[-500:]
                came += piece
        durations = [float(number) for number in re.findall(rb'"duration":([^,]*),', came)]
        equal(durations, [float(number) for number in range(200)], "each merged with the one before")


def half_open_connections_keep_nobody_out():
    """Ten thousand from one address, which send half a request; a watcher comes from another one."""
    count = min(10_000, raise_files(11_000) - 500)
    with Activity() as server:
        server.bucket()
        socks = []
        for number in range(count):
            sock = socket.socket()
            sock.bind(("127.0.0.2", 0))
            sock.settimeout(PATIENCE)
            socks.append(sock)
            try:
                sock.connect((server.host, server.port))
                sock.sendall(b"POST /api/0/buckets/b/heartbeat?pulsetime=1 HTTP/1.1\r\nHost: local")
            except OSError:
                continue  # refused: there are too many of them
            if number % 1000 == 0:
                equal(server.beat(event(number // 1000, 0.0), "5").status, 200, f"beside {number}")
        equal(server.beat(event(11, 0.0), "5").status, 200, "beside all")
        equal(server.count(), 1, "merged")
        for sock in socks:
            sock.close()


if __name__ == "__main__":
    LASTING = LastingLock()
    LASTING.start()
    sys.exit(run_tests([
        what_was_acknowledged_survives_a_kill, a_stop_keeps_everything_and_leaves_no_log,
        what_is_answered_before_its_commit_is_seen_and_kept_by_a_stop, others_can_write_and_are_seen,
        anothers_lock_delays_and_loses_nothing, a_full_queue_delays_and_loses_nothing,
        an_id_of_another_bucket_is_refused, a_heartbeat_never_meets_what_is_gone,
        metadata_are_those_of_the_events_there_are, filters_apply_from_the_request_that_sets_them,
        no_request_stops_the_server, moments_before_1970_are_kept_so_that_the_peer_can_read_them,
        hostile_bodies_leave_nothing_behind, bodies_beyond_the_limit_are_refused_before_they_come,
        exports_come_back_exactly, the_host_is_checked_on_both_loopbacks, no_spelling_of_a_path_gets_past_the_key,
        heartbeats_go_on_beside_slow_readers, large_answers_and_bodies_take_bounded_memory, answers_have_one_order,
        many_clients_are_all_answered, requests_in_a_row_are_answered_in_a_row, half_open_connections_keep_nobody_out,
        a_lasting_lock_is_told_at_the_deadline,
    ]))
