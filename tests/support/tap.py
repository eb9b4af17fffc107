# SPDX-License-Identifier: MIT
"""What the test scripts in Python share: results in TAP, and programs that are run with their output captured."""

import subprocess


class Tap:
    """Prints one result line per test and counts."""

    def __init__(self):
        self.count, self.failed = 0, 0

    def result(self, name, problems, skip=None):
        """One test; it passed when the list of problems is empty."""
        self.count += 1
        if problems:
            self.failed += 1
        mark = "not ok" if problems else "ok"
        print(f"{mark} {self.count} - {name}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        for problem in problems:
            for line in problem.rstrip("\n").split("\n"):
                print(f"# {line}", flush=True)

    def finish(self):
        """Print the plan and return the exit code."""
        print(f"1..{self.count}")
        return 1 if self.failed or not self.count else 0


def run(command, **kwargs):
    """Run a program, capture what it says, never raise for its exit code."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def complaints_of(command, **kwargs):
    """Return [] when a program succeeds, else what it said."""
    done = run(command, **kwargs)
    if done.returncode == 0:
        return []
    return [f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stdout}{done.stderr}"]
