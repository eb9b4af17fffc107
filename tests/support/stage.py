# SPDX-License-Identifier: MIT
"""Installs a build into a directory of its own and compiles C programs against it, the way a user would: through
pkg-config, knowing nothing of the source tree."""

import os
import subprocess

from tap import run

WARNINGS = ["-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


class Stage:
    """A staged installation below `directory`. `problem` says why it could not be made."""

    def __init__(self, build, directory):
        self.directory = directory
        done = run(["meson", "install", "-C", str(build), "--no-rebuild", "--destdir", str(directory)])
        self.problem = done.stdout + done.stderr if done.returncode else None
        found = sorted(directory.rglob("weir.pc"))
        if not self.problem and not found:
            self.problem = "weir.pc was not installed"
        if not self.problem:
            self.pkgconfig = found[0].parent
            self.library = self.pkgconfig.parent
            self.prefix = next(d for d in found[0].parents if (d / "include").is_dir())

    def pkg_config(self, *arguments):
        """What pkg-config answers with the staged prefix."""
        env = dict(os.environ, PKG_CONFIG_PATH=str(self.pkgconfig))
        command = ["pkg-config", f"--define-variable=prefix={self.prefix}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        return done.stdout.split()

    def flags(self, static):
        """Compiler flags. With `static`, libweir.a and what weir.pc says it needs, these shared as the system has them
        (a wholly static program would also want what SQLite was built with)."""
        flags = self.pkg_config("--cflags", "--libs", "weir")
        if not static:
            return flags
        needed = self.pkg_config("--print-requires-private", "weir")
        names = [word for word in needed if word[0].isalpha()]
        flags = ["-l:libweir.a" if flag == "-lweir" else flag for flag in flags]
        return [*flags, *self.pkg_config("--libs", *names), "-pthread", "-lm"]

    def compile(self, source, output, static=False):
        """Compile one C file. Return the finished compiler process."""
        return run(["cc", *WARNINGS, "-o", str(output), str(source), *self.flags(static)])

    def environment(self):
        """The environment in which programs find the staged shared library."""
        return dict(os.environ, LD_LIBRARY_PATH=str(self.library))
