#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""weir serve from a file, from the environment and from its command line, and which of them wins. Prints TAP."""

import http.client
import json
import os
import signal
import sys

from weir import DEADLINE_S, differences, environment, run_tests, wait_for
from tap import Tap

KEY = "0123456789abcdef"


class Serving:
    """A server that was started in a place; it must say where it listens."""

    def __init__(self, place, *flags, **variables):
        self.process = place.start("serve", *flags, env=environment(**variables))

    def __enter__(self):
        os.set_blocking(self.process.stdout.fileno(), False)
        pieces = []

        def whole_line():
            pieces.append(self.process.stdout.read() or b"")
            return b"\n" in pieces[-1] or self.process.poll() is not None

        wait_for(whole_line, "the line that says where the server listens")
        self.line = b"".join(pieces).decode()
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.process.stderr.read().decode()}")
        self.host, _, port = self.line.split(",")[0].split("//")[-1].rpartition(":")
        self.port = int(port)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_S)
        self.errors = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()

    def get(self, path, **headers):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE_S)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body


def write(place, name, text, mode=0o600):
    path = place.path / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return name


def test_who_wins(place):
    """a flag wins over a variable, a variable over the file, the file over the default"""
    write(place, "weir.toml", 'activity = "a.db"\nlisten = "127.0.0.2:0"\ndevice_id = "file"\n')
    problems = []
    for flags, variables, wanted in [
            ([], {}, ("127.0.0.2", "file")),
            ([], {"WEIR_LISTEN": "127.0.0.3:0"}, ("127.0.0.3", "file")),
            ([], {"STEPFLOW_HOST": "127.0.0.3", "WEIR_DEVICE_ID": "variable"}, ("127.0.0.3", "variable")),
            (["--host", "127.0.0.4"], {"WEIR_HOST": "127.0.0.3"}, ("127.0.0.4", "file")),
            (["--listen", "127.0.0.4:0", "--device-id", "flag"], {"WEIR_PORT": "1", "WEIR_DEVICE_ID": "variable"},
             ("127.0.0.4", "flag"))]:
        with Serving(place, "--config", "weir.toml", *flags, **variables) as server:
            got = (server.host, json.loads(server.get("/api/0/info")[1])["device_id"])
        if got != wanted:
            problems.append(f"{flags} {variables}: {got}, should be {wanted}; {server.errors}")
    return problems


def test_file_of_the_peer(place):
    """a configuration file of ActivityWatch's server is understood, key and all"""
    write(place, "config.toml", f'address = "127.0.0.1"\nport = 0\ncors = ["http://a.example"]\ncors_regex = []\n'
                                f'[auth]\napi_key = "{KEY}"\n[custom_static]\nmine = "{place.path}"\n')
    problems = []
    with Serving(place, "--activity", "a.db", WEIR_CONFIG="config.toml") as server:
        problems += differences("the first line", (f"listening on http://127.0.0.1:{server.port}, activity a.db\n",),
                                (server.line,))
        problems += differences("without the key", (401,), (server.get("/api/0/buckets")[0],))
        if server.get("/api/0/buckets", Authorization=f"Bearer {KEY}")[0] == 401:
            problems.append("the key is refused")
    return problems + differences("stderr", ("",), (server.errors,))


def test_exposed_key(place):
    """a file with a key that others can read is told, and used"""
    write(place, "config.toml", f'port = 0\n[auth]\napi_key = "{KEY}"\n', 0o644)
    with Serving(place, "--activity", "a.db", "--config", "config.toml") as server:
        status = server.get("/api/0/buckets")[0]
    warned = ("warning: config.toml has an API key in it and can be read or changed by others (mode 644): "
              "chmod 600 it\n") in server.errors
    return [] if (status, warned) == (401, True) else [f"status {status}, stderr {server.errors}"]


def test_key_file(place):
    """the key may come from a file of its own or from a variable"""
    write(place, "key", f"  {KEY}  \nsecond line\n")
    problems = []
    for flags, variables in ((["--activity-api-key-file", "key"], {}), ([], {"WEIR_ACTIVITY_API_KEY": KEY}),
                             (["--activity-api-key-file", "key"], {"WEIR_ACTIVITY_API_KEY": "another"})):
        with Serving(place, "--activity", "a.db", "--port", "0", *flags, **variables) as server:
            got = tuple(server.get("/api/0/buckets", Authorization=f"Bearer {key}")[0] == 401
                        for key in (KEY, "another", ""))
        problems += differences(f"{flags} {variables}", ((False, True, True),), (got,))
    return problems


def test_runs_beside(place):
    """runs are served beside activity only when their folder is named"""
    problems = []
    for flags, variables, wanted in ((["--activity", "a.db"], {}, ", activity a.db\n"),
                                     (["--activity", "a.db", "--storage", "s"], {}, ", storage PLACE/s, activity a.db\n"),
                                     ([], {"WEIR_ACTIVITY": "a.db", "STEPFLOW_STORAGE_PATH": "s"},
                                      ", storage PLACE/s, activity a.db\n"),
                                     ([], {}, ", storage PLACE/storage\n")):
        with Serving(place, "--listen", "127.0.0.1:0", *flags, **variables) as server:
            problems += differences(f"{flags} {variables}", (f"listening on http://127.0.0.1:{server.port}{wanted}",),
                                    (place.steady(server.line),))
    return problems


# (text of the file, the sentence behind "weir: ")
WRONG = [
    ("port = 5600\nprot = 1\n", 'weir.toml:2:1: unknown key "prot"; did you mean port?'),
    ("port = 65536\n", 'weir.toml:1:1: port takes a whole number from 0 to 65535, not "65536"'),
    ("address = 1\n", "weir.toml:1:1: address takes a string, not an integer"),
    ('address = "a"\nhost = "b"\n', "weir.toml:1:1: address and host mean the same; give one of them"),
    ('listen = "127.0.0.1:0"\nport = 1\n',
     "listen gives the address and the port, so host (or address) and port cannot be given beside it"),
    ('[auth]\nkey = "x"\n', 'weir.toml:2:1: unknown key "key" in [auth], which has api_key only'),
    ('[auth]\napi_key = "two words"\n', "[auth] api_key must have 1 to 256 visible ASCII characters"),
    ("auth = 1\n", "weir.toml:1:1: auth is a table, [auth], not an integer"),
    ('custom_static = ["a=b"]\n', "weir.toml:1:1: custom_static is a table, [custom_static], not an array"),
    ("[custom_static]\na = 1\n", "weir.toml:2:1: a takes a string, not an integer"),
    ('config = "x"\n', 'weir.toml:1:1: unknown key "config"'),
    ('cors = "x\n', 'weir.toml:1:10: this string has no end: " is missing'),
    ("\x1b[2J", 'weir.toml:1:1: a key should stand here, not "\\e[2J"'),
]


def test_wrong_files(place):
    """what is wrong in a file is told with its line and column"""
    problems = []
    for text, sentence in WRONG:
        write(place, "weir.toml", text)
        problems += place.check(["serve", "--config", "weir.toml"], (1, "", f"weir: {sentence}\n"))
    (place.path / "folder").mkdir()
    for name in ("missing.toml", "folder"):
        code, out, err = place.weir("serve", "--config", name)
        if code != 1 or out or not err.startswith("weir: ") or name not in err or err.count("\n") != 1:
            problems.append(f"{name}: exit code {code}, stdout {out!r}, stderr {err!r}")
    return problems


def test_wrong_keys(place):
    """a key that is none, or not secret, is refused, and never printed"""
    write(place, "empty", "")
    write(place, "wrong", "two words\n")
    write(place, "open", KEY, 0o644)
    lines = {"empty": "the first line of the key file empty is not a key of 1 to 256 visible ASCII characters",
             "wrong": "the first line of the key file wrong is not a key of 1 to 256 visible ASCII characters",
             "open": "the key file open can be read or changed by others (mode 644): chmod 600 it"}
    problems = []
    for name, sentence in lines.items():
        code, out, err = place.weir("serve", "--activity", "a.db", "--activity-api-key-file", name)
        if code not in (1, 2) or out or not err.startswith(f"weir: {sentence}\n"):
            problems.append(f"{name}: exit code {code}, {out!r}, {err!r}")
    problems += place.check(["serve"], (2, "", "weir: WEIR_ACTIVITY_API_KEY and WEIR_ACTIVITY_API_KEY_FILE cannot both be "
                                               "given\nTry \"weir serve --help\".\n"),
                            env=environment(WEIR_ACTIVITY_API_KEY=KEY, WEIR_ACTIVITY_API_KEY_FILE="key"))
    return problems


if __name__ == "__main__":
    sys.exit(run_tests(Tap(), [test_who_wins, test_file_of_the_peer, test_exposed_key, test_key_file, test_runs_beside,
                               test_wrong_files, test_wrong_keys]))
