#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ActivityWatch's own JavaScript client, in two versions, drives a running server through its whole life. Prints TAP.

This script starts the server and node, which runs npm_client.js; each line of its output is the result of one test.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

import installed
from activity import Activity
from tap import Tap

VERSIONS = ["0.3.5", "0.3.7"]


def drive(tap, folder, version):
    with Activity() as server:
        command = ["node", str(HERE / "npm_client.js"), f"http://127.0.0.1:{server.port}", f"aw-client-{version}"]
        done = subprocess.run(command, env={**os.environ, "NODE_PATH": str(folder / "node_modules")}, capture_output=True,
                              text=True, check=False, timeout=250)
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for result in results:
        tap.result(f"{version}: {result['name']}", result["problems"])
    problems = [] if done.returncode == 0 and len(results) >= 7 else [f"{len(results)} results, exit status {done.returncode}",
                                                                      done.stdout, done.stderr]
    tap.result(f"{version}: all of its tests ran", problems)


def main():
    tap = Tap()
    folder = installed.npm()
    for version in VERSIONS:
        drive(tap, folder, version)
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
