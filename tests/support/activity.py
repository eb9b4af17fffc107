# SPDX-License-Identifier: MIT
"""A really running `weir serve --activity FILE` for tests, and what ActivityWatch's clients send to it."""

import json
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from server import Server, equal

JSON = {"Content-Type": "application/json"}
T0 = 1514768461  # 2018-01-01T01:01:01Z in seconds
FIRST = {"timestamp": "2018-01-01T01:01:01Z", "duration": 1.0, "data": {}}
BUCKET = {"client": "test", "type": "test-type", "hostname": "host"}


class Activity(Server):
    """A server on one activity database and nothing else."""

    def __init__(self, *flags, **more):
        self.folder = Path(tempfile.mkdtemp(prefix="weir-activity-"))
        self.database = self.folder / "sqlite.db"
        super().__init__(*flags, storage=self.folder / "storage", **more)

    def __exit__(self, kind, *rest):
        try:
            if kind is None and self.process.poll() is None:
                self.stop()  # what a sanitizer has to say comes at the end
        finally:
            super().__exit__(kind, *rest)
            shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, listen):
        binary = os.environ.get("WEIR_BIN", "weir")
        return [binary, "serve", "--listen", listen, "--activity", str(self.database), *self.flags]

    # ------------------------------------------------------------------------------------------ talking

    def send(self, path, body, content_type="application/json", method="POST"):
        """A request with a body; what is not text or bytes is sent as JSON."""
        return self.ask(method, f"/api/0/{path}", body, {"Content-Type": content_type})

    def api(self, path):
        return self.get(f"/api/0/{path}")

    def delete(self, path):
        return self.ask("DELETE", f"/api/0/{path}")

    def bucket(self, name="b", **fields):
        answer = self.send(f"buckets/{name}", {**BUCKET, **fields})
        equal((answer.status, answer.body), (200, b""), f"create {name}")
        return name

    def insert(self, events, name="b"):
        answer = self.send(f"buckets/{name}/events", events)
        equal(answer.status, 200, answer)
        return answer.json()

    def events(self, name="b", query=""):
        answer = self.api(f"buckets/{name}/events{query}")
        equal(answer.status, 200, answer)
        return answer.json()

    def count(self, name="b", query=""):
        answer = self.api(f"buckets/{name}/events/count{query}")
        equal(answer.status, 200, answer)
        return answer.json()

    def beat(self, event, pulsetime="60", name="b"):
        return self.send(f"buckets/{name}/heartbeat?pulsetime={pulsetime}", event)

    # ----------------------------------------------------------------------------------- beside the server

    def open(self, timeout=60.0):
        """The database as another process sees it. Never on a server of this process."""
        return sqlite3.connect(self.database, timeout=timeout, isolation_level=None)

    def rows(self, sql, *values):
        connection = self.open()
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


def at(seconds, fraction=""):
    """A moment after 2018-01-01T01:01:01Z, at most an hour less a minute later."""
    minutes, rest = divmod(61 + seconds, 60)
    assert 0 <= minutes < 60, seconds
    return f"2018-01-01T01:{minutes:02}:{rest:02}{fraction}Z"


def event(seconds=0, duration=1.0, data=None, **more):
    return {"timestamp": at(seconds), "duration": duration, "data": {} if data is None else data, **more}


def message(answer, status):
    """The sentence of an error in the form that the web interface reads."""
    equal(answer.status, status, answer)
    equal(answer.headers["Content-Type"], "application/json", "type of an error")
    body = json.loads(answer.body)
    equal(list(body), ["message"], "members of an error")
    assert body["message"], answer
    return body["message"]
