#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whatever clients send, ActivityWatch's own server can open the file afterwards, and so can we. Prints TAP."""

import json
import os
import random
import sqlite3
import sys
import threading
from pathlib import Path
from urllib.parse import quote

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from activity import BUCKET, Activity, event
from activity_peer import complaints_of_the_peer
from server import equal, run_tests

SEED = int(os.environ.get("WEIR_SEED", "20260101"))
STEPS = 1500
NAMES = ["a", "b/c", "ü ", "%", "d"]
ANSWERS = {200, 201, 304, 400, 404, 409, 422}


def deep(count):
    return '{"a":' * count + "1" + "}" * count


# --------------------------------------------------------------------------------------------- the judge is judged


def every_fault_is_found():
    faults = {
        "user_version": "PRAGMA user_version = 4",
        "indexes": "DROP INDEX bucket_id_index",
        "columns": "ALTER TABLE key_value RENAME COLUMN value TO worth",
        "created is": "UPDATE buckets SET created = '2018-01-01 01:01'",
        "not UTF-8": "UPDATE buckets SET hostname = CAST(x'ff' AS TEXT)",
        "no object": "UPDATE buckets SET data = '[]'",
        "event 1: data": "UPDATE events SET data = 'no JSON'",
        "lone": "UPDATE events SET data = '{\"a\":\"\\ud800\"}'",
        "keys are": "UPDATE events SET data = '{\"b\":1,\"a\":2}'",
        "blanks": "UPDATE events SET data = '{\"b\": 1}'",
        "beyond a double": "UPDATE events SET data = '{\"b\":1e400}'",
        "beyond 64 bits": "UPDATE events SET data = '{\"b\":99999999999999999999}'",
        "NaN": "UPDATE events SET data = '{\"b\":NaN}'",
        "128 deep": f"UPDATE events SET data = '{deep(128)}'",
        "before 1970": "UPDATE events SET starttime = -1500000000",
        "no moment": "UPDATE events SET endtime = 'now'",
        "not text": "INSERT INTO key_value VALUES ('settings.x', NULL, 1)",
        "last_modified": "INSERT INTO key_value VALUES ('settings.x', '1', 'now')",
        "foreign_key_check": "PRAGMA foreign_keys = OFF; UPDATE events SET bucketrow = 77",
    }
    with Activity() as server:
        server.bucket()
        server.insert([event(0, 1.0, json.loads(deep(120)))])
        server.stop()
        whole = server.open()
        whole.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        equal(complaints_of_the_peer(server.database), [], "as it is")
        for words, sql in faults.items():
            copy = server.folder / "copy.db"
            other = sqlite3.connect(copy, isolation_level=None)
            whole.backup(other)
            other.executescript(sql)
            other.close()
            found = complaints_of_the_peer(copy)
            assert any(words in text or words == "lone" and "surrogate" in text for text in found), (words, found)
            copy.unlink()
        whole.close()


# --------------------------------------------------------------------------------------------------- by dice


class Dice:
    """Requests of every kind, most of them as clients send them, some of them not."""

    def __init__(self, server, seed=SEED):
        self.server, self.random, self.ids = server, random.Random(seed), [1]

    def moment(self):
        pick = self.random
        day = pick.choice(["1677-09-22", "1960-02-29", "1969-12-31", "1970-01-01", "2018-01-01", "2018-01-01",
                           "2018-01-01", "2262-04-11", "3000-01-01", "0001-01-01"])
        fraction = pick.choice(["", "", ".5", ".000000001", ".123456789", ".999"])
        return f"{day}T{pick.randrange(24):02}:{pick.randrange(60):02}:{pick.randrange(61):02}{fraction}Z"

    def duration(self):
        return self.random.choice([0, 0, 1, 1.0, 0.001, 8.2, -1.5, -0.1, 1e-9, 3600, 1e9, 9e9, -9e9, 1e300])

    def value(self, depth=0):
        pick = self.random
        if depth < 4 and pick.random() < 0.4:
            size = pick.randrange(4)
            if pick.random() < 0.5:
                return [self.value(depth + 1) for _ in range(size)]
            return {self.text(): self.value(depth + 1) for _ in range(size)}
        return pick.choice([None, True, False, 0, -1, 2**64 - 1, -2**63, 2**64, 10**30, 0.1, -0.0, 1e-300, 1e308,
                            self.text(), self.text()])

    def text(self):
        return "".join(self.random.choice(["a", "B", "é", "😀", "\"", "\\", "\n", "\0", "/", "~", "\x7f", "\u2028"])
                       for _ in range(self.random.randrange(4)))

    def data(self):
        if self.random.random() < 0.02:
            return json.loads(deep(self.random.choice([100, 122, 123, 125])))
        if self.random.random() < 0.5:
            return {"app": self.random.choice("xy")}
        return {self.text(): self.value() for _ in range(self.random.randrange(3))}

    def event(self):
        made = {"timestamp": self.moment(), "duration": self.duration(), "data": self.data()}
        if self.random.random() < 0.15:
            made["id"] = self.random.choice([*self.ids[-20:], None, 0, -5, 2**40])
        return made

    def events(self):
        """Few, and within the range more often than each of them would be."""
        made = [self.event() for _ in range(self.random.randrange(4))]
        if self.random.random() < 0.7:
            for one in made:
                one["timestamp"], one["duration"] = self.moment().replace("3000", "2018").replace("0001", "1950"), 1.25
        return made

    def bucket(self, name):
        hostname = self.random.choice(["h", "!local", "ü"])
        made = {**BUCKET, "type": self.text(), "hostname": hostname, "data": self.data()}
        if self.random.random() < 0.5:
            made["created"] = self.moment()
        if self.random.random() < 0.5:
            made["events"] = self.events()
        return {**made, "id": name}

    def step(self):
        server, pick = self.server, self.random
        name = pick.choice(NAMES)
        path = f"buckets/{quote(name, safe='')}"
        kind = pick.choices(["heartbeat", "insert", "create", "delete event", "delete", "setting", "unset", "import"],
                            [40, 20, 10, 10, 1, 6, 2, 5])[0]
        if kind == "heartbeat":
            return server.send(f"{path}/heartbeat?pulsetime={pick.choice(['0', '1', '60', '1e9', 'inf', '-1', 'NaN'])}",
                               self.event())
        if kind == "insert":
            answer = server.send(f"{path}/events", self.events())
            if answer.status == 200:
                self.ids += [one["id"] for one in answer.json()]
            return answer
        if kind == "create":
            return server.send(path, self.bucket(name))
        if kind == "delete event":
            return server.delete(f"{path}/events/{pick.choice(self.ids)}")
        if kind == "delete":
            return server.delete(path)
        if kind == "setting":
            return server.send(f"settings/{quote(self.text() or 'k', safe='')}", json.dumps(self.value()))
        if kind == "unset":
            return server.delete(f"settings/{quote(self.text() or 'k', safe='')}")
        return server.send("import", {"buckets": {other: self.bucket(other) for other in pick.sample(NAMES, 2)}})


def all_there_is(server):
    """Everything that clients can see."""
    seen = [server.api(path).body for path in ("buckets", "export", "settings")]
    names = [quote(name, safe="") for name in server.api("buckets").json()]
    return seen + [server.api(f"buckets/{name}/{what}").body for name in names for what in ("events", "events/count")]


def whatever_comes_the_peer_can_open_the_file():
    with Activity() as server:
        dice, answers = Dice(server), {}
        for number in range(STEPS):
            answer = dice.step()
            answers[answer.status] = answers.get(answer.status, 0) + 1
            assert answer.status in ANSWERS, f"seed {SEED}, step {number}: {answer}"
        assert answers[200] > STEPS // 3, f"seed {SEED}: {answers}"
        before = all_there_is(server)
        server.stop()
        equal(complaints_of_the_peer(server.database)[:10], [], f"seed {SEED}")
        server.start()
        equal(all_there_is(server), before, f"seed {SEED}, after a restart")
        exports = []
        for _ in range(3):  # an event across 1970 is exported as what it is from there on, which the first import adds
            exports.append(server.api("export").body)
            equal(server.send("import", exports[-1]).status, 200, "its own export")
        equal(exact(exports[2]), exact(exports[1]), f"seed {SEED}: nothing is new in it")


def many_at_once_do_no_harm_either():
    """The same from six clients at the same time, on the same buckets, with filters that come and go."""
    failures = []
    rules = [{"enabled": True, "field": "app", "pattern": "^x$", "action": "redact", "replacement": "r"}]

    def client(server, number):
        dice = Dice(server, SEED + number)
        try:
            for step in range(STEPS // 6):
                answer = dice.step()
                assert answer.status in ANSWERS, f"client {number}, step {step}: {answer}"
                if number == 0 and step % 20 == 0:
                    server.send("settings/privacy_filters", rules if step % 40 else [])
                if number == 1 and step % 20 == 0:
                    equal(server.api("export").status, 200, "an export beside it")
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    with Activity() as server:
        threads = [threading.Thread(target=client, args=(server, number)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [], f"seed {SEED}")
        before = all_there_is(server)
        server.stop()
        equal(complaints_of_the_peer(server.database)[:10], [], f"seed {SEED}")
        server.start()
        equal(all_there_is(server), before, f"seed {SEED}, after a restart")


def exact(export):
    """The events whose duration a double can hold to the nanosecond, which are those of less than a hundred days."""
    return {name: [one for one in bucket["events"] if abs(one["duration"]) < 8_000_000]
            for name, bucket in json.loads(export)["buckets"].items()}


def the_deepest_data_can_be_read_again():
    """127 containers are as many as the peer reads back."""
    head = b'{"timestamp":"2018-01-01T01:01:01Z","data":%s}'
    whole = b'{"buckets":{"i":{"type":"t","client":"c","hostname":"h","events":[%s]}}}'
    with Activity() as server:
        server.bucket()
        for depth, accepted in ((127, True), (128, False), (200, False)):
            data = deep(depth).encode()
            name = f"buckets/made-{depth}"
            bucket = json.dumps(BUCKET).encode()[:-1] + b',"data":%s}' % data
            for path, body, status in (("buckets/b/heartbeat?pulsetime=0", head % data, 200), (name, bucket, 200),
                                       (f"settings/deep-{depth}", data, 201), ("import", whole % (head % data), 200)):
                answer = server.send(path, body)
                equal(answer.status, status if accepted else 400, f"{path}, {depth} deep")
        server.stop()
        equal(complaints_of_the_peer(server.database), [], "after it")


def the_odd_things_of_others_hold_nobody_up():
    """Rows that the peer dies of, or that we would not write, are left out or given as what they can be."""
    rows = """
        INSERT INTO buckets (name, type, client, hostname, created, data) VALUES
            ('undated', 't', 'c', 'h', 'some day', '{}'),
            ('spaced', 't', 'c', 'h', '2018-01-01T01:01:01.5+0100', '{}'),
            ('odd', 't', 'c', 'h', '2018-01-01 01:01:01', 'no JSON'),
            ('list', 't', 'c', 'h', '2018-01-01 01:01:01+00', '[1]');
        INSERT INTO events (bucketrow, starttime, endtime, data) VALUES
            (1, -1500000000, -500000000, '{}'), (1, 1, 2, 'no JSON'), (1, 3, 4, 'null'), (1, 5, 6, '[]'),
            (1, 7, 8, '{ "b" : 1, "a" : 2 }'), (2, 'x', 9, '{}'), (2, 10, 1.5, '{}');
        INSERT INTO key_value VALUES ('settings.none', NULL, 1), ('settings.fine', '[1, 2]', 1), ('other', '1', 1),
            ('SETTINGS.loud', '1', 1);
    """
    with Activity() as server:
        server.stop()
        connection = server.open()
        connection.executescript(rows)
        connection.close()
        server.start()
        buckets = server.api("buckets").json()
        equal({name: (bucket["created"], bucket["data"]) for name, bucket in buckets.items()},
              {"undated": (None, {}), "spaced": ("2018-01-01T00:01:01.500Z", {}), "odd": ("2018-01-01T01:01:01Z", {}),
               "list": ("2018-01-01T01:01:01Z", {})}, "buckets")
        equal([one["data"] for one in server.events("undated")], [{"a": 2, "b": 1}], "its events")
        equal(server.events("spaced"), [], "no moments")
        settings = server.api("settings").json()
        assert settings["fine"] == [1, 2] and not {"loud", "SETTINGS.loud", "other"} & set(settings), settings
        equal(server.api("settings/none").body, b"null", "NULL")
        for name in buckets:
            equal(server.beat(event(), name=name).status, 200, f"a heartbeat into {name}")
            equal(server.api(f"buckets/{name}/export").status, 200, f"export of {name}")
            equal(server.delete(f"buckets/{name}").status, 200, f"{name} deleted")


if __name__ == "__main__":
    sys.exit(run_tests([
        every_fault_is_found,
        whatever_comes_the_peer_can_open_the_file,
        many_at_once_do_no_harm_either,
        the_deepest_data_can_be_read_again,
        the_odd_things_of_others_hold_nobody_up,
    ]))
