# SPDX-License-Identifier: MIT
"""What the tests of the command share: a place of its own for each test, and output without what differs each time."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

ROOT = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2]))
WEIR = os.environ.get("WEIR_BIN", str(ROOT / "build" / "weir"))
DEADLINE_S = 240

DROPPED = ("COLUMNS", "NO_COLOR", "LC_ALL", "LC_CTYPE")
OF_THE_TESTS = ("WEIR_SOURCE", "WEIR_BUILD", "WEIR_BIN")
CHANGING = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "SHORT_ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{6})?"), "TIME"),
    (re.compile(r"\b\d+\.\d s\b"), "N.N s"),
]


def environment(**changes):
    """Return the environment without what changes how the command prints; None removes a variable."""
    env = {key: value for key, value in os.environ.items()
           if key not in DROPPED and not key.startswith("STEPFLOW_")
           and (key in OF_THE_TESTS or not key.startswith("WEIR_"))}
    env.update(LANG="C.UTF-8", TERM="xterm-256color")
    for key, value in changes.items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = value
    return env


def wait_for(condition, what):
    """Poll until the condition holds and return what it gave; an assertion names what was waited for."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {DEADLINE_S} s in vain for {what}")


class Place:
    """A directory in which the command is run, removed at the end."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="weir-cli-")).resolve()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def steady(self, text):
        """Replace what differs from run to run."""
        text = text.replace(str(self.path), "PLACE")
        for pattern, word in CHANGING:
            text = pattern.sub(word, text)
        return text

    def script(self, name, body):
        """Write a shell script and return what to call it."""
        path = self.path / name
        path.write_text("#!/bin/sh\n" + body, encoding="utf-8")
        path.chmod(0o755)
        return f"./{name}"

    def start(self, *args, env=None, **kwargs):
        """Start the command and do not wait."""
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([WEIR, *args], cwd=self.path, env=env or environment(), **kwargs)

    def weir(self, *args, env=None, **kwargs):
        """Run the command and return (exit code, stdout, stderr)."""
        process = self.start(*args, env=env, **kwargs)
        return self.finish(process)

    @staticmethod
    def finish(process):
        """Wait for a started command and return (exit code, stdout, stderr)."""
        try:
            out, err = process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err = (err or b"") + b"\n(killed by the test)"
        return process.returncode, (out or b"").decode("utf-8", "replace"), (err or b"").decode("utf-8", "replace")

    def check(self, args, wanted, **kwargs):
        """Compare (exit code, stdout, stderr) with what is wanted; return problems."""
        return differences(" ".join(map(repr, args)), wanted,
                           tuple(self.steady(x) if isinstance(x, str) else x for x in self.weir(*args, **kwargs)))


def differences(what, wanted, got):
    """Return a problem that shows both values for each of exit code, stdout and stderr that is not as wanted."""
    problems = []
    for name, want, have in zip(("exit code", "stdout", "stderr"), wanted, got):
        if want != have:
            problems.append(f"{what}: {name} is\n{have}\nand should be\n{want}")
    return problems


def run_tests(tap, tests):
    """Run each function in a place of its own; it returns problems. Its docstring is the test's name."""
    for test in tests:
        with Place() as place:
            try:
                problems = test(place) or []
            except AssertionError as failure:
                problems = [str(failure)]
        tap.result(test.__doc__, problems)
    return tap.finish()
