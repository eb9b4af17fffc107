#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""weir activity: what it prints, on a file and through a server, and what it does not let happen. Prints TAP."""

import json
import os
import signal
import socket
import sqlite3
import sys
import threading

from weir import DEADLINE_S, differences, environment, run_tests, wait_for
from tap import Tap

KEY = "0123456789abcdef"
EVENTS = [{"timestamp": "2026-01-31T12:00:00Z", "duration": 60, "data": {"cup": 1}},
          {"timestamp": "2026-01-31T13:00:00.5Z", "duration": 0.25, "data": {"cup": 2, "kind": "green"}}]
TABLE = """ID  START                DURATION  DATA
 2  2026-01-31 13:00:00     0.2 s  {"cup":2,"kind":"green"}
 1  2026-01-31 12:00:00    1m 00s  {"cup":1}
"""
HOSTILE = "\x1b[2J\u202ename\n"


def env(**changes):
    return environment(TZ="UTC", **changes)


class Target:
    """A database that commands reach as a file or through a server."""

    def __init__(self, place, served):
        self.place, self.served, self.server = place, served, None
        self.flags, self.env = ["--db", "a.db"], env()

    def __enter__(self):
        if self.served:
            self.server = self.place.start("serve", "--activity", "a.db", "--listen", "127.0.0.1:0",
                                           env=env(WEIR_ACTIVITY_API_KEY=KEY))
            os.set_blocking(self.server.stdout.fileno(), False)
            line = wait_for(self.server.stdout.read, "the server's first line").decode()
            self.flags, self.env = ["--url", line.split(",")[0].split(" ")[-1]], env(WEIR_ACTIVITY_API_KEY=KEY)
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.send_signal(signal.SIGTERM)
            self.server.communicate(timeout=DEADLINE_S)

    def weir(self, *words, **kwargs):
        """Run `weir activity WORDS` on the target; return (exit code, stdout, stderr)."""
        return self.place.weir("activity", *words, *self.flags, env=self.env, **kwargs)

    def fine(self, *words, **kwargs):
        """The same, for a command that must succeed and be silent on stderr; return stdout."""
        code, out, err = self.weir(*words, **kwargs)
        assert (code, err) == (0, ""), f"{words}: exit code {code}, stdout {out!r}, stderr {err!r}"
        return out


def write(place, name, value):
    text = value if isinstance(value, str) else json.dumps(value)
    (place.path / name).write_text(text, encoding="utf-8")
    return name


def both(test):
    """Make one test of two: with a file and with a server."""

    def run(place):
        problems = []
        for served in (False, True):
            (place.path / str(served)).mkdir()
            inner = type(place).__new__(type(place))
            inner.path = place.path / str(served)
            with Target(inner, served) as target:
                problems += [f"through a server: {x}" if served else x for x in test(target) or []]
        return problems

    run.__doc__ = test.__doc__
    return run


@both
def test_whole_life(target):
    """create, insert, look, heartbeat, export, import, delete: the same words on a file and through a server"""
    problems = []

    def want(wanted, *words, **kwargs):
        problems.extend(differences(words, (0, wanted, ""), target.weir(*words, **kwargs)))

    want("", "create", "tea", "--type", "cups", "--hostname", "kitchen")
    write(target.place, "events.json", EVENTS)
    want("2 events inserted\n", "insert", "tea", "events.json")
    want(TABLE, "events", "tea")
    want('BUCKET  TYPE  HOST     FROM                 UNTIL\n'
         'tea     cups  kitchen  2026-01-31 12:00:00  2026-01-31 13:00:00\n', "buckets")
    want('[{"id":1,"timestamp":"2026-01-31T12:00:30Z","duration":30.0,"data":{"cup":1}}]\n', "events", "tea", "--json",
         "--start", "2026-01-31T12:00:30Z", "--end", "2026-01-31 12:59")
    want('event 2: from 2026-01-31 13:00:00, 4.5 s\n', "heartbeat", "tea", '{"kind":"green", "cup":2}', "--at",
         "2026-01-31T13:00:05Z")
    want('{"id":3,"timestamp":"2026-01-31T14:00:00Z","duration":1.5,"data":{}}\n', "heartbeat", "tea", "--at",
         "2026-01-31 14:00", "--duration", "1.5", "--json")
    exported = json.loads(target.fine("export"))
    problems += differences("export", ([3, 2, 1],), ([e["id"] for e in exported["buckets"]["tea"]["events"]],))
    problems += differences("export of one bucket", (exported,), (json.loads(target.fine("export", "tea")),))
    want("", "delete", "tea", "3")
    want("", "delete", "tea", "3")
    want("", "delete", "tea", "--force")
    problems += differences("no buckets", (0, "", "No buckets.\n"), target.weir("buckets"))
    write(target.place, "export.json", exported)
    target.fine("import", "export.json")
    target.fine("import", "-", stdin=open(target.place.path / "export.json", "rb"))
    ids = [e["timestamp"] for e in json.loads(target.fine("events", "tea", "--json"))]
    return problems + differences("after two imports", (3,), (len(ids),))


@both
def test_failures(target):
    """what cannot be done is told in one sentence with exit code 1"""
    target.fine("create", "tea")
    write(target.place, "cut.json", '{"buckets":{"a":{"id":"a","type":"t","client":"c","hostname":"h","events":[{"timest')
    write(target.place, "shape.json", {"timestamp": "2026-01-31T12:00:00Z", "data": {}})
    problems = []
    for words, part in ((["create", "tea"], "already"), (["events", "coffee"], "coffee"),
                        (["heartbeat", "coffee"], "coffee"), (["delete", "coffee", "1"], "coffee"),
                        (["delete", "coffee", "--force"], "coffee"), (["export", "coffee"], "coffee"),
                        (["insert", "tea", "shape.json"], ""), (["insert", "tea", "cut.json"], ""),
                        (["import", "cut.json"], ""), (["import", "missing.json"], "missing.json"),
                        (["insert", "tea", "."], "directory"), (["import", "."], "directory")):
        code, out, err = target.weir(*words)
        if code != 1 or out or not err.startswith("weir: ") or part not in err or err.count("\n") != 1:
            problems.append(f"{words}: exit code {code}, stdout {out!r}, stderr {err!r}")
    return problems + differences("events afterwards", ("[]\n",), (target.fine("events", "tea", "--json"),))


@both
def test_hostile_names(target):
    """names and data of others do not reach the terminal as they are"""
    target.fine("create", HOSTILE, "--type", HOSTILE, "--hostname", HOSTILE)
    target.fine("heartbeat", HOSTILE, json.dumps({HOSTILE: HOSTILE}, ensure_ascii=False))
    problems = []
    for words in (["buckets"], ["events", HOSTILE], ["create", HOSTILE], ["delete", HOSTILE + "x", "1"]):
        code, out, err = target.weir(*words)
        lines = (out + err).count("\n")
        if any(c in out + err for c in "\x1b\u202e") or lines != (1 if code else 2):
            problems.append(f"{words}: exit code {code}, {lines} lines: {out!r} {err!r}")
    (bucket,) = json.loads(target.fine("buckets", "--json")).values()
    return problems + differences("as JSON", (HOSTILE, HOSTILE), (bucket["id"], bucket["type"]))


@both
def test_limit(target):
    """a table says when there is more than its limit, JSON stays JSON"""
    target.fine("create", "tea")
    write(target.place, "many.json", [{"timestamp": f"2026-01-31T12:00:{i:02}Z", "data": {"i": i}} for i in range(30)])
    target.fine("insert", "tea", "many.json")
    problems = []
    for flags, count, more in (([], 20, True), (["-n", "30"], 30, False), (["--limit=29"], 29, True)):
        said = f"The newest {count} events; --limit N shows more.\n" if more else ""
        code, out, err = target.weir("events", "tea", *flags)
        problems += differences(flags, (0, count + 1, said), (code, out.count("\n"), err))
        code, out, err = target.weir("events", "tea", "--json", *flags)
        problems += differences(flags, (0, count, said), (code, len(json.loads(out)), err))
    return problems


@both
def test_settings(target):
    """settings are set, shown and removed, and a privacy filter is in force at once"""
    target.fine("create", "tea")
    rule = [{"enabled": True, "field": "title", "pattern": "secret", "action": "redact", "replacement": "(private)"}]
    problems = []
    for words, wanted in ((["settings"], "{}\n"), (["settings", "a/b"], "null\n"), (["settings", "a/b", '{"y":1,"x":[]}'], ""),
                          (["settings", "a/b"], '{"x":[],"y":1}\n'), (["settings", "c", "2.50"], ""),
                          (["settings"], '{"a/b":{"x":[],"y":1},"c":2.5}\n'), (["settings", "c", "--unset"], ""),
                          (["settings", "c", "--unset"], ""), (["settings", "c", "--json"], "null\n"),
                          (["settings", "privacy_filters", json.dumps(rule)], "")):
        problems += differences(words, (0, wanted, ""), target.weir(*words))
    target.fine("heartbeat", "tea", '{"title":"my secret"}')
    (event,) = json.loads(target.fine("events", "tea", "--json"))
    problems += differences("a long name", (1, ""), target.weir("settings", "n" * 128)[:2])
    return problems + differences("filtered", ({"title": "(private)"},), (event["data"],))


@both
def test_export_to_file(target):
    """an exported file appears whole, and none is overwritten unasked"""
    target.fine("create", "tea")
    target.fine("heartbeat", "tea")
    problems = []
    size = len(target.fine("export").encode())
    problems += differences("-o", (0, f'{{"file":"e.json","bytes":{size}}}\n', ""), target.weir("export", "-o", "e.json", "--json"))
    (target.place.path / "e.json").write_text("mine", encoding="utf-8")
    problems += differences("again", (1, "", "weir: e.json exists already; --force overwrites it\n"),
                            target.weir("export", "-o", "e.json"))
    problems += differences("untouched", ("mine",), ((target.place.path / "e.json").read_text(encoding="utf-8"),))
    problems += differences("forced", (0, f"wrote e.json ({size} B)\n", ""), target.weir("export", "-f", "-o", "e.json"))
    problems += differences("a bucket that is not there", (1,), target.weir("export", "coffee", "-o", "c.json")[:1])
    problems += differences("a folder that is not there", (1,), target.weir("export", "-o", "no/e.json")[:1])
    (target.place.path / "folder").mkdir()
    problems += differences("a folder", (1, "", "weir: folder is not a file that could be overwritten\n"),
                            target.weir("export", "--force", "-o", "folder"))
    left = sorted(x.name for x in target.place.path.iterdir() if "a.db" not in x.name and x.name != "device_id")
    problems += differences("files", (["e.json", "folder"],), (left,))
    with open("/dev/full", "wb") as full:
        problems += differences("a full disk", (1, "", "weir: cannot write to standard output: No space left on device\n"),
                                target.weir("export", stdout=full))
    read_end, write_end = os.pipe()
    os.close(read_end)
    problems += differences("a reader that went away", (0, "", ""), target.weir("export", stdout=write_end))
    os.close(write_end)
    return problems


def test_strange_files(place):
    """what is no database of ActivityWatch is told so, and left as it is"""
    (place.path / "folder").mkdir()
    write(place, "text.db", "hello, this is no database at all\n" * 100)
    place.weir("activity", "create", "tea", "--db", "v6.db")
    for name, statement in (("v6.db", "PRAGMA user_version = 6"), ("other.db", "CREATE TABLE notes (body)")):
        with sqlite3.connect(place.path / name) as connection:
            connection.execute(statement)
        connection.close()
    problems = []
    for name, part in (("folder", "is a directory"), ("text.db", "not a database"), ("v6.db", "version 6"),
                       ("other.db", "not one of ActivityWatch"), ("missing.db", "there is no such database"),
                       ("no/a.db", "no/a.db")):
        for words in (["buckets"], ["export"], ["heartbeat", "tea"]):
            code, out, err = place.weir("activity", *words, "--db", name)
            if code != 1 or out or part not in err or err.count("\n") != 1:
                problems.append(f"{words} {name}: exit code {code}, stdout {out!r}, stderr {err!r}")
    return problems + differences("missing.db", (False,), ((place.path / "missing.db").exists(),))


def test_default_path(place):
    """without --db it is $WEIR_ACTIVITY, or ActivityWatch's own place"""
    folder = place.path / "data" / "activitywatch" / "aw-server-rust"
    folder.mkdir(parents=True)
    home = place.path / ".local" / "share"
    problems = []
    for words, changes in ((["create", "named"], {"WEIR_ACTIVITY": "named.db"}),
                           (["create", "shared"], {"XDG_DATA_HOME": str(place.path / "data")})):
        problems += differences(words, (0, "", ""), place.weir("activity", *words, env=env(**changes)))
    code, out, err = place.weir("activity", "buckets", env=env(HOME=str(place.path), XDG_DATA_HOME="relative"))
    if code != 1 or out or str(home / "activitywatch" / "aw-server-rust" / "sqlite.db") not in err or "--url" not in err:
        problems.append(f"exit code {code}, stdout {out!r}, stderr {err!r}")
    for path in (place.path / "named.db", folder / "sqlite.db"):
        if not path.exists():
            problems.append(f"{path} was not made")
    return problems + place.check(["activity", "buckets"], (1, "", "weir: $HOME is not set; --db names the database\n"),
                                  env=env(HOME=None, XDG_DATA_HOME=None))


def test_locked(place):
    """a database that another program keeps locked can be read, and a write tells who has the lock"""
    place.weir("activity", "create", "tea", "--db", "a.db")
    holder = sqlite3.connect(place.path / "a.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    problems = []
    code, out, err = place.weir("activity", "heartbeat", "tea", "--db", "a.db", "--timeout", "200ms")
    if code != 1 or out or "lock" not in err or "--url http://127.0.0.1:5600" not in err:
        problems.append(f"exit code {code}, stdout {out!r}, stderr {err!r}")
    code, out, err = place.weir("activity", "buckets", "--db", "a.db")
    holder.close()
    return problems + differences("buckets", (0, True, ""), (code, "tea" in out, err))


def test_beside_a_server(place):
    """a file that weir serve has open can be read and changed meanwhile"""
    with Target(place, True) as target:
        target.fine("create", "tea")
        code, out, err = place.weir("activity", "heartbeat", "tea", '{"a":1}', "--db", "a.db", env=env())
        problems = differences("heartbeat", (0, ""), (code, err))
        (event,) = json.loads(target.fine("events", "tea", "--json"))
        return problems + differences("seen by the server", ({"a": 1},), (event["data"],))


def test_keys(place):
    """a key comes from a file or a variable; without it the server's refusal is told, and the key never"""
    write(place, "key", KEY + "\n")
    write(place, "wrong", "another-key-entirely\n")
    write(place, "open", KEY + "\n")
    (place.path / "key").chmod(0o600)
    (place.path / "wrong").chmod(0o600)
    (place.path / "open").chmod(0o644)
    problems = []
    with Target(place, True) as target:
        for flags, code, part in (([], 1, "--api-key-file gives the key"), (["--api-key-file", "key"], 0, "No buckets."),
                                  (["--api-key-file", "wrong"], 1, "the server's key is another one"),
                                  (["--api-key-file", "open"], 1, "chmod 600 it"),
                                  (["--api-key-file", "missing"], 1, "missing")):
            got, out, err = place.weir("activity", "buckets", *target.flags, *flags, env=env())
            if got != code or out or part not in err or KEY in err or "entirely" in err:
                problems.append(f"{flags}: exit code {got}, stdout {out!r}, stderr {err!r}")
    return problems


class Answering:
    """A server for one connection that sends given bytes to whatever is asked, and remembers the question."""

    def __init__(self, answer):
        self.answer, self.asked = answer, b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run)

    def run(self):
        self.socket.settimeout(DEADLINE_S)
        connection, _ = self.socket.accept()
        connection.settimeout(DEADLINE_S)
        with connection:
            while b"\r\n\r\n" not in self.asked:
                self.asked += connection.recv(65536)
            try:
                connection.sendall(self.answer)
                if not self.answer:
                    connection.recv(1)  # silent until the client has enough
            except OSError:
                pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join(DEADLINE_S)
        self.socket.close()


def answer(status, body=b"", *headers):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


# (what the server sends, words of the command, what the sentence must contain)
STRANGE = [
    (answer("302 Found", b"", "Location: http://127.0.0.1:1/else"), ["buckets"], "leads on to http://127.0.0.1:1/else"),
    (answer("200 OK", b"<html>hello"), ["buckets"], "is not what was expected"),
    (answer("200 OK", b"[]"), ["buckets"], "is not what was expected"),
    (answer("200 OK", b'{"b":1}'), ["buckets"], "is not what was expected"),
    (answer("200 OK", b'{"b":{}'), ["buckets"], "is not what was expected"),
    (answer("200 OK", b'[{"id":1}]'), ["events", "b"], "is not what was expected"),
    (answer("200 OK", b"{}"), ["events", "b"], "is not what was expected"),
    (answer("200 OK", b"[" * 1000), ["events", "b"], "is not what was expected"),
    (answer("404 Not Found", b"<html>"), ["buckets"], "answered with status 404; is it a server of ActivityWatch"),
    (answer("503 Busy", b'{"message":"later.\x1b[2J"}'.replace(b"\x1b", b"\\u001b")), ["buckets"], "says: later.\\e[2J"),
    (answer("500 No", b'{"message":"' + b"x" * 2000000 + b'"}'), ["buckets"], "status 500"),
    (answer("200 OK", b"{}").replace(b": 2", b": 200"), ["buckets"], "broke off"),
    (answer("200 OK", b'{"bu').replace(b": 4", b": 200"), ["export", "-o", "e.json"], "broke off"),
    (b"HTTP/1.1 200 OK\r\n\r\n{}", ["export", "-o", "e.json"], "does not say how long it is"),
    (b"HTTP/1.0 200 OK\r\n\r\n{}", ["buckets"], "does not say how long it is"),
    (answer("200 OK", b'{"buckets":\x1b[2J{}}'), ["export", "-o", "e.json"], "it is no JSON"),
    (answer("200 OK", b'{"buckets":\0{}}'), ["export", "-o", "e.json"], "it is no JSON"),
    (b"hello\r\n\r\n", ["buckets"], "http://127.0.0.1:"),
    (b"", ["buckets", "--timeout", "1"], "was silent for too long"),
]


def test_strange_servers(place):
    """answers that no server of ActivityWatch gives end in one sentence, and nothing half done is left"""
    problems = []
    for sent, words, part in STRANGE:
        with Answering(sent) as server:
            code, out, err = place.weir("activity", *words, "--url", server.url, env=env(WEIR_ACTIVITY_API_KEY=KEY))
        if code != 1 or out or part not in err or err.count("\n") != 1 or KEY in err:
            problems.append(f"{sent[:80]!r}: exit code {code}, stdout {out!r}, stderr {err!r}")
        if "keeps its database locked" in err:
            problems.append(f"{sent[:80]!r}: there is no lock to explain: {err!r}")
        if f"Authorization: Bearer {KEY}\r\n".encode() not in server.asked:
            problems.append(f"the key was not sent: {server.asked!r}")
    left = [x.name for x in place.path.iterdir()]
    return problems + differences("files", ([],), (left,))


if __name__ == "__main__":
    sys.exit(run_tests(Tap(), [test_whole_life, test_failures, test_hostile_names, test_limit, test_settings, test_export_to_file,
                               test_strange_files, test_default_path, test_locked, test_beside_a_server, test_keys,
                               test_strange_servers]))
