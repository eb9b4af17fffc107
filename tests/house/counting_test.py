#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/test counts honestly: what crashed, hung or ran nothing is a failure. Prints TAP."""

import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tap import Tap

ROOT = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2]))
CMOCKA = "[==========] Running 3 test(s).\n[ RUN      ] a\n[       OK ] a\n[==========] 3 test(s) run.\n"
PASSED, FAILED, SKIPPED = "[  PASSED  ] {} test(s).\n", "[  FAILED  ] {} test(s), listed below:\n", "[  SKIPPED ] {} test(s).\n"

# (what, result in Meson's log, stdout, stderr, (passed, failed, skipped))
CASES = [
    ("cmocka, all passed", "OK", "", CMOCKA + PASSED.format(3), (3, 0, 0)),
    ("cmocka on two streams", "FAIL", PASSED.format(2), CMOCKA + FAILED.format(1), (2, 1, 0)),
    ("cmocka, two groups", "OK", "", (CMOCKA + PASSED.format(3)) * 2, (6, 0, 0)),
    ("cmocka, some skipped", "OK", "", CMOCKA + PASSED.format(1) + SKIPPED.format(2), (1, 0, 2)),
    ("crash before the end", "FAIL", "", "[==========] Running 3 test(s).\n[       OK ] a\n", (0, 1, 0)),
    ("crash after all passed", "FAIL", "", CMOCKA + PASSED.format(3), (3, 1, 0)),
    ("time-out", "TIMEOUT", "", CMOCKA, (0, 1, 0)),
    ("a program without tests", "OK", "", "[==========] Running 0 test(s).\n" + PASSED.format(0), (0, 1, 0)),
    ("no output at all", "OK", "", "", (0, 1, 0)),
    ("TAP, all skipped", "SKIP", "1..0 # SKIP why\n", "", (0, 0, 1)),
    ("TAP", "OK", "ok 1 - a\nok 2 - b # SKIP why\n1..2\n", "", (1, 0, 1)),
    ("TAP with a failure", "FAIL", "ok 1\nnot ok 2 - b\n1..2\n", "", (1, 1, 0)),
    ("TAP that ended early", "ERROR", "ok 1\n", "", (1, 1, 0)),
]


def load():
    """Import script/test, whose name has no suffix."""
    loader = SourceFileLoader("script_test", str(ROOT / "script" / "test"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("script_test", loader))
    loader.exec_module(module)
    return module


def main():
    tap, script = Tap(), load()
    for what, result, stdout, stderr, wanted in CASES:
        count = script.count_program({"result": result, "stdout": stdout, "stderr": stderr})
        got = (count.passed, count.failed, count.skipped)
        tap.result(what, [] if got == wanted else [f"wanted {wanted}, got {got}"])
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
