#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""script/bootstrap on systems that lack things. Prints TAP.

Each case runs the script with a $PATH of its own, made of small programs that pretend: a pkg-config that knows some
libraries, an apt-get that writes down how it was called and "installs" by creating the tools.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tap import Tap, run

ROOT = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2]))
BUILD_TOOLS = ["cc", "c++", "python3", "meson", "ninja", "pkg-config"]
TEST_TOOLS = ["clang", "clang-format", "clang-tidy", "cppcheck", "curl", "sqlite3", "wrk", "node", "npm", "strace"]
APT = """#!/bin/sh
echo "$*" >> {log}
[ "$1" = update ] && {{ touch {lists}; exit 0; }}
[ -e {lists} ] || exit 100
for tool in {tools}; do printf '#!/bin/sh\\n' > {bin}/$tool; chmod +x {bin}/$tool; done
"""


class System:
    """A pretended system: the programs in its `bin`, and what its apt-get was asked."""

    def __init__(self, directory, tools, apt=True, user="0", lists=True, sudo=False, broken=False):
        self.bin, self.log, self.lists = directory / "bin", directory / "log", directory / "lists"
        self.bin.mkdir()
        if lists:
            self.lists.touch()
        for real in ("sh", "env", "mktemp", "rm", "cat", "touch", "chmod"):
            (self.bin / real).symlink_to(shutil.which(real))
        for tool in tools:
            self.program(tool, "#!/bin/sh\n")
        self.program("id", f"#!/bin/sh\necho {user}\n")
        if apt:
            installed = [] if broken else BUILD_TOOLS + TEST_TOOLS
            self.program("apt-get", APT.format(log=self.log, lists=self.lists, bin=self.bin, tools=" ".join(installed)))
        if sudo:
            self.program("sudo", f'#!/bin/sh\necho "sudo" >> {self.log}\nexec "$@"\n')

    def program(self, name, text):
        path = self.bin / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def bootstrap(self, *arguments):
        return run([str(ROOT / "script" / "bootstrap"), *arguments], env={"PATH": str(self.bin)})

    def asked(self):
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


def differs(what, got, wanted):
    return [] if got == wanted else [f"{what}: wanted {wanted!r}, got {got!r}"]


def lacks(what, text, *wanted):
    return [f"{what} does not say {word!r}: {text!r}" for word in wanted if word not in text]


def nothing_missing(directory):
    done = System(directory, BUILD_TOOLS + TEST_TOOLS).bootstrap()
    return differs("exit code", done.returncode, 0) + differs("output", done.stdout + done.stderr, "")


def build_needs_no_test_tools(directory):
    system = System(directory, BUILD_TOOLS)
    done = system.bootstrap("build")
    return differs("exit code", done.returncode, 0) + differs("calls of apt-get", system.asked(), [])


def bare_system(directory):
    system = System(directory, [], lists=False)
    done = system.bootstrap("test")
    problems = differs("exit code", done.returncode, 0) + lacks("output", done.stdout, "libsqlite3-dev", "strace")
    problems += differs("calls of apt-get", [call.split()[0] for call in system.asked()], ["install", "update", "install"])
    again = system.bootstrap("test")
    problems += differs("second exit code", again.returncode, 0) + differs("second output", again.stdout, "")
    return problems + differs("calls after the second run", len(system.asked()), 3)


def only_what_is_missing(directory):
    system = System(directory, BUILD_TOOLS + [tool for tool in TEST_TOOLS if tool != "strace"])
    system.bootstrap()
    return differs("calls of apt-get", system.asked(), ["install -y -q --no-install-recommends strace"])


def no_apt(directory):
    done = System(directory, [tool for tool in BUILD_TOOLS if tool != "meson"], apt=False).bootstrap("build")
    return differs("exit code", done.returncode, 1) + lacks("stdout", done.stdout, "meson") + lacks(
        "stderr", done.stderr, "no apt-get")


def no_apt_but_nothing_missing(directory):
    done = System(directory, BUILD_TOOLS, apt=False).bootstrap("build")
    return differs("exit code", done.returncode, 0)


def user_with_sudo(directory):
    system = System(directory, [], user="1000", sudo=True)
    done = system.bootstrap()
    return differs("exit code", done.returncode, 0) + differs("first call", system.asked()[:1], ["sudo"])


def user_without_sudo(directory):
    system = System(directory, [], user="1000")
    done = system.bootstrap()
    return differs("exit code", done.returncode, 1) + lacks("stderr", done.stderr, "become root") + differs(
        "calls of apt-get", system.asked(), [])


def apt_installs_nothing(directory):
    done = System(directory, [], broken=True).bootstrap()
    return differs("exit code", done.returncode, 1) + lacks("stderr", done.stderr, "still missing", "meson")


def wrong_argument(directory):
    done = System(directory, []).bootstrap("everything")
    return differs("exit code", done.returncode, 2) + lacks("stderr", done.stderr, "usage")


CASES = [nothing_missing, build_needs_no_test_tools, bare_system, only_what_is_missing, no_apt,
         no_apt_but_nothing_missing, user_with_sudo, user_without_sudo, apt_installs_nothing, wrong_argument]


def main():
    tap = Tap()
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="weir-bootstrap-") as directory:
            tap.result(case.__name__.replace("_", " "), case(Path(directory)))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
