#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ActivityWatch's own Python client drives a running server through its whole life. Prints TAP.

This script starts the server and the client's Python, which runs python_client.py and prints the results.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

import installed
from activity import Activity


def main():
    interpreter = installed.python()
    with tempfile.TemporaryDirectory(prefix="weir-client-") as home, Activity("--testing") as server:
        folders = {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home,
                   "XDG_STATE_HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [interpreter, HERE / "python_client.py", str(server.port), HERE.parent / "support"]
        return subprocess.run(command, env={**server.environment, **folders}, check=False, timeout=540).returncode


if __name__ == "__main__":
    sys.exit(main())
