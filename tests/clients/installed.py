# SPDX-License-Identifier: MIT
"""Where the real clients are: installed once, from the files beside this one, into build/clients of the source tree.

The first test that needs one installs it, others wait for it. What is there stays until its list of versions changes or
`make clean` removes it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACE = Path(os.environ.get("WEIR_SOURCE", HERE.parents[1])) / "build" / "clients"
ATTEMPTS = 3  # a registry may be slow or away for a moment
PATIENCE_S = 400


def run(command, **kwargs):
    """Run a program; what it said when it failed, None when not."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=PATIENCE_S, **kwargs)
    return None if done.returncode == 0 else f"{command[0]} exited with {done.returncode}: {done.stdout[-2000:]}"


def install_python(folder):
    return (run([sys.executable, "-m", "venv", folder]) or
            run([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"]))


def install_npm(folder):
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    return run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)


def wanted(files):
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in files)).hexdigest()


def ensure(name, files, install):
    """The folder of a client, complete."""
    folder, mark = PLACE / name, PLACE / f"{name}.installed"
    PLACE.mkdir(parents=True, exist_ok=True)
    with open(PLACE / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text(encoding="utf-8") == wanted(files):
            return folder
        for attempt in range(ATTEMPTS):
            shutil.rmtree(folder, ignore_errors=True)
            trouble = install(folder)
            if trouble is None:
                mark.write_text(wanted(files), encoding="utf-8")
                return folder
            print(f"# attempt {attempt + 1}: {trouble}", flush=True)
    raise AssertionError(f"{name}: cannot be installed: {trouble}")


def python():
    """The Python that has aw_client."""
    return ensure("python", ["requirements.txt"], install_python) / "bin" / "python"


def npm():
    """The folder that has the npm clients in its node_modules."""
    return ensure("npm", ["package.json", "package-lock.json"], install_npm)
