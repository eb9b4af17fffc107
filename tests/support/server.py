# SPDX-License-Identifier: MIT
"""A really running `weir serve` for tests: on a port that the system chose, in a temporary folder, with raw sockets."""

import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE = 240.0  # seconds; nothing here takes long unless it hangs


def wait_until(condition, what, seconds=PATIENCE):
    """Poll until condition() is true and return its value; fail by name at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        select.select([], [], [], 0.01)


class Answer:
    """Status, headers and body of one answer."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Server:
    """`weir serve` in a child process. Use it in a `with`; the folder goes away with it unless one was given."""

    def __init__(self, *flags, storage=None, host="127.0.0.1", environment=None):
        self.flags, self.host = list(flags), host
        self.own_folder = None if storage else tempfile.mkdtemp(prefix="weir-serve-")
        self.storage = Path(storage or self.own_folder) / "storage" if not storage else Path(storage)
        self.environment = {**os.environ, **(environment or {})}
        self.process, self.port, self.errors = None, None, None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())  # nobody else calls it then
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        if self.own_folder:
            shutil.rmtree(self.own_folder, ignore_errors=True)

    def command(self, listen):
        binary = os.environ.get("WEIR_BIN", "weir")
        return [binary, "serve", "--listen", listen, "--storage", str(self.storage), *self.flags]

    def start(self):
        bracketed = f"[{self.host}]" if ":" in self.host else self.host
        command = self.command(f"{bracketed}:0")
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, env=self.environment)
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline().decode() if ready else ""
        if not line.startswith("listening on http://"):
            self.kill()
            raise AssertionError(f"{command} said {line!r}, then {self.stderr()!r}")
        self.port = int(line.split(",")[0].rsplit(":", 1)[1])
        self.line = line

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=PATIENCE):
        """The exit status; fails when the server does not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {seconds} s: {self.stderr()!r}") from None

    def stop(self, seconds=PATIENCE):
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        assert status == 0, f"exit status {status}: {self.stderr()!r}"

    def kill_process(self):
        self.process.kill()
        self.process.wait()

    def kill(self):
        if self.process:
            self.kill_process()
            self.process.stdout.close()

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    # ------------------------------------------------------------------------------------------ talking

    def connect(self, timeout=PATIENCE):
        return socket.create_connection((self.host, self.port), timeout)

    def ask(self, method, target, body=None, headers=None, timeout=PATIENCE):
        """One request on a connection of its own. A body that is not bytes or text is sent as JSON."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, target, **headers):
        return self.ask("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, target, body=None, headers=None):
        return self.ask("POST", target, body, headers)

    def raw(self, data, timeout=PATIENCE):
        """Send bytes as they are; everything that comes until the server closes or nothing more is expected."""
        with self.connect(timeout) as sock:
            sock.sendall(data)
            return read_answer(sock)


def read_answer(sock):
    """One answer from a socket, by its Content-Length; what came when the connection ends before."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            return data
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, value = line.split(b":", 1)
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = sock.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body


def is_closed_within(sock, seconds):
    """Does the server end this connection in time?"""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ready, _, _ = select.select([sock], [], [], max(0.0, deadline - time.monotonic()))
        if ready:
            try:
                if not sock.recv(65536):
                    return True
            except ConnectionResetError:
                return True
    return False


def equal(got, expected, what=""):
    assert got == expected, f"{what!s:.200}: got {got!r:.500}, expected {expected!r:.500}"


class Skip(Exception):
    """A test that cannot be run here, and why."""


def run_tests(tests):
    """Run functions, print TAP, return the exit code."""
    from tap import Tap

    tap = Tap()
    for test in tests:
        problems, skipped = [], None
        try:
            test()
        except Skip as reason:
            skipped = str(reason)
        except Exception as error:  # pylint: disable=broad-except
            import traceback

            problems = [f"{type(error).__name__}: {error}", traceback.format_exc(limit=-3)]
        tap.result(test.__name__.replace("_", " "), problems, skipped)
    return tap.finish()
