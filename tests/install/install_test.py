#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `make install` puts on a system, and that a C program can use it. Prints TAP.

The shared library exports the public functions and nothing else, under its version; the examples compile and run
against the installed files, with the shared and with the static library.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from public_headers import functions
from stage import Stage
from tap import Tap, complaints_of, run

ROOT = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("WEIR_BUILD", ROOT / "build"))
VERSION_NODE = "WEIR_0"


def wrong_exports(listing, declared):
    """Hold the output of `nm -D --defined-only` against the declared names. Return complaints."""
    problems, exported = [], set()
    for line in listing.splitlines():
        symbol = line.split()[-1]
        if symbol == VERSION_NODE:
            continue
        name, _, version = symbol.partition("@@")
        exported.add(name)
        if not re.fullmatch(r"weir_[a-z0-9]\w*", name):
            problems.append(f"{name} is exported; only weir_x may be")
        elif name not in declared:
            problems.append(f"{name} is exported, but no public header declares it")
        if version != VERSION_NODE:
            problems.append(f"{name} has the version {version!r}, not {VERSION_NODE}")
    if VERSION_NODE not in listing:
        problems.append(f"the version {VERSION_NODE} is missing")
    return problems + [f"{name} is declared in a public header, but not exported" for name in sorted(declared - exported)]


def check_self():
    """wrong_exports finds what it is there to find."""
    good = "0 A WEIR_0\n0 T weir_open@@WEIR_0\n"
    cases = [
        (good, False),
        (good + "0 T weir__inner@@WEIR_0\n", True),
        (good + "0 T helper@@WEIR_0\n", True),
        (good + "0 T weir_secret@@WEIR_0\n", True),
        ("0 T weir_open\n", True),
        ("0 A WEIR_0\n", True),
    ]
    return [f"wanted a complaint: {bad}, for:\n{listing}" for listing, bad in cases
            if bool(wrong_exports(listing, {"weir_open"})) != bad]


def declared_functions():
    return {name for header in (ROOT / "include" / "weir").glob("*.h") for name in functions(header)}


def check_exports(stage):
    listing = run(["nm", "-D", "--defined-only", str(stage.library / "libweir.so")]).stdout
    return wrong_exports(listing, declared_functions())


def missing_files(stage):
    wanted = [f"include/weir/{header.name}" for header in (ROOT / "include" / "weir").glob("*.h")]
    wanted += [str((stage.library / name).relative_to(stage.prefix))
               for name in ("libweir.so", "libweir.so.0", "libweir.a", "pkgconfig/weir.pc")]
    if (BUILD / "weir").exists():
        wanted.append("bin/weir")
    return [f"{name} was not installed" for name in wanted if not (stage.prefix / name).exists()]


def check_example(stage, source, scratch, static):
    """Compile and run one example in a directory of its own."""
    directory = scratch / f"{source.stem}-{'static' if static else 'shared'}"
    directory.mkdir()
    program = directory / source.stem
    compiled = stage.compile(source, program, static)
    if compiled.returncode:
        return [compiled.stdout + compiled.stderr]
    problems = complaints_of([str(program)], cwd=directory, env=stage.environment(), timeout=60)
    needs_shared = "libweir.so" in run(["readelf", "-d", str(program)]).stdout
    if needs_shared == static:
        problems.append(f"linked with the shared library: {needs_shared}, wanted {not static}")
    return problems


def main():
    tap = Tap()
    tap.result("the test finds symbols that should not be exported", check_self())
    with tempfile.TemporaryDirectory(prefix="weir-install-") as directory:
        scratch = Path(directory)
        stage = Stage(BUILD, scratch / "stage")
        tap.result("installs into a directory of its own", [stage.problem] if stage.problem else [])
        if not stage.problem:
            tap.result("libraries, headers, weir.pc and the command are there", missing_files(stage))
            tap.result("libweir.so exports the public functions, all of them and nothing else", check_exports(stage))
            for source in sorted((ROOT / "examples").glob("*.c")):
                for static in (False, True):
                    kind = "static" if static else "shared"
                    tap.result(f"{source.name} works with the {kind} library",
                               check_example(stage, source, scratch, static))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
