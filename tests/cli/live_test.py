#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""weir run on a terminal: the line that lives, Ctrl-C, colours, narrow and changing widths. Prints TAP.

The command gets a pseudo-terminal, and what it writes goes through a small terminal of our own, so that tests see the screen
and not the bytes. That terminal knows what the command may use (carriage return, line feed, erase below, erase to the
end of the line, colours) and calls everything else a failure.
"""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
import unicodedata

from weir import DEADLINE_S, WEIR, Place, environment, run_tests
from tap import Tap

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")


def width(character):
    """Return the columns of a character."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    """A terminal of a given width and no end of rows; each row is a list of cells."""

    def __init__(self, columns):
        self.columns, self.row, self.column = columns, 0, 0
        self.rows, self.problems, self.rest = [[]], [], ""

    def put(self, character):
        wide = width(character)
        if wide == 0:
            return
        if self.column + wide > self.columns:
            self.feed_line()
            self.column = 0
        row = self.rows[self.row]
        row.extend(" " * (self.column + wide - len(row)))
        row[self.column:self.column + wide] = [character] + [""] * (wide - 1)
        self.column += wide

    def feed_line(self):
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def obey(self, parameters, letter):
        if letter == "J" and parameters in ("", "0"):
            del self.rows[self.row + 1:]
            del self.rows[self.row][self.column:]
        elif letter == "K" and parameters in ("", "0"):
            del self.rows[self.row][self.column:]
        elif letter != "m":
            self.problems.append(f"the sequence ESC [ {parameters} {letter}")

    def feed(self, text):
        """Take what the command wrote."""
        text, self.rest = self.rest + text, ""
        at = 0
        while at < len(text):
            character = text[at]
            found = SEQUENCE.match(text, at)
            if found:
                self.obey(*found.groups())
                at = found.end()
                continue
            if character == "\x1b":
                if len(text) - at < 12:
                    self.rest = text[at:]
                    return
                self.problems.append(f"an escape: {text[at:at + 12]!r}")
            elif character == "\r":
                self.column = 0
            elif character == "\n":
                self.feed_line()
            elif ord(character) < 32 or 127 <= ord(character) < 160:
                self.problems.append(f"the control character {character!r}")
            else:
                self.put(character)
            at += 1

    def lines(self):
        return ["".join(row).rstrip() for row in self.rows]

    def text(self):
        return "\n".join(self.lines()) + "\n"


class Terminal:
    """The command on a pseudo-terminal."""

    def __init__(self, place, args, columns=80, env=None):
        self.screen, self.raw, self.code = Screen(columns), "", None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.set_size(0, columns)
            os.chdir(place.path)
            os.execve(WEIR, [WEIR, *args], env or environment())
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @staticmethod
    def set_size(fd, columns):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def resize(self, columns):
        self.screen.columns = columns
        self.set_size(self.fd, columns)

    def type(self, keys):
        os.write(self.fd, keys)

    def read(self, seconds):
        """Take what comes; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        text = self.decoder.decode(data)
        self.raw += text
        self.screen.feed(text)
        return bool(data)

    def wait_for(self, pattern):
        """Read until the pattern is on the screen; returns the match."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            found = re.search(pattern, self.screen.text(), re.MULTILINE)
            if found:
                return found
            if not self.read(0.1):
                break
        raise AssertionError(f"{pattern!r} did not appear; the screen is\n{self.screen.text()}")

    def finish(self):
        """Read to the end; returns the exit code."""
        while self.read(DEADLINE_S):
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        self.code = os.waitstatus_to_exitcode(status)
        return self.code


def gated(place, body):
    """Return a script that waits for the test at each `gate`, and what opens the next one.

    Each gate is a pipe of its own: a script that came to a second one quickly could find the writer of the first."""
    gates = []

    def gate(_):
        gates.append(place.path / f"gate{len(gates)}")
        os.mkfifo(gates[-1])
        return f"read line < {gates[-1].name}\n"

    script = place.script("script", re.sub(r"gate\n", gate, body))

    def open_gate():
        gates.pop(0).write_text("go\n", encoding="utf-8")

    return script, open_gate


STEPS = """
echo 'STEP_START:Build'
gate
echo 'STEP_COMPLETE:Build'
echo 'STEP_START:Test'
echo 'hello'
gate
echo 'STEP_ERROR:it broke'
exit 3
"""

STEPS_SCREEN = """\
./script  SHORT_ID
  ✓ Build                                        N.N s
  ▸ Test
    │ hello
  ✗ Test                                         N.N s  it broke

Steps
  ✓  1  Build  N.N s
  ✗  2  Test   N.N s  it broke

✗ failed with exit code 3 after N.N s, 2 steps
  recorded as ID in PLACE/storage
"""


def compare(place, terminal, wanted, code):
    """Compare the final screen and the exit code."""
    problems = list(terminal.screen.problems)
    got = place.steady(terminal.screen.text().rstrip("\n") + "\n")
    if got != wanted:
        problems.append(f"the screen is\n{got}\nand should be\n{wanted}")
    if terminal.code != code:
        problems.append(f"exit code {terminal.code} instead of {code}")
    return problems


def test_steps(place):
    """the step that runs is the last line, with its time; what is done stays above"""
    script, open_gate = gated(place, STEPS)
    terminal = Terminal(place, ["run", "--", script], columns=100)
    first = terminal.wait_for(rf"^  [{SPINNER}] Build  (\d+\.\d) s$")[1]
    terminal.wait_for(rf"^  [{SPINNER}] Build  (?!{re.escape(first)} )(\d+\.\d) s$")
    open_gate()
    terminal.wait_for(rf"^  ▸ Test\n    │ hello\n  [{SPINNER}] Test  \d+\.\d s$")
    open_gate()
    terminal.finish()
    return compare(place, terminal, STEPS_SCREEN, 3)


def test_quiet(place):
    """--quiet keeps only the last log line, beside the step"""
    script, open_gate = gated(place, STEPS)
    terminal = Terminal(place, ["run", "--quiet", "--", script], columns=100)
    open_gate()
    terminal.wait_for(rf"^  [{SPINNER}] Test  \d+\.\d s  hello$")
    open_gate()
    terminal.finish()
    wanted = STEPS_SCREEN.replace("  ▸ Test\n    │ hello\n", "")
    return compare(place, terminal, re.sub(r"\nSteps\n(.*\n){2}", "", wanted), 3)


def test_interrupt(place):
    """Ctrl-C cancels, says so, and waits for the record"""
    terminal = Terminal(place, ["run", "--", place.script("script", "trap '' TERM\necho STEP_START:Wait\necho ready\n"
                                                          "while :; do sleep 600; done\n")])
    terminal.wait_for("│ ready$")
    terminal.type(b"\x03")
    terminal.wait_for(r"cancelling \(Ctrl-C again to kill\)")
    terminal.type(b"\x03")
    terminal.wait_for("^⊘ cancelled by signal 9, SIGKILL after ")
    code = terminal.finish()
    return terminal.screen.problems + ([] if code == 130 else [f"exit code {code} instead of 130"])


def test_narrow(place):
    """nothing that lives is wider than the terminal, also when that changes"""
    long = "a very long name of a step — 漢字漢字漢字漢字漢字漢字漢字漢字"
    script, open_gate = gated(place, f"echo 'STEP_START:{long}'\ngate\necho 'STEP_COMPLETE:{long}'\n")
    terminal = Terminal(place, ["run", "--", script], columns=40)
    problems = []
    for columns in (40, 24, 90, 33):
        terminal.resize(columns)
        live = terminal.wait_for(rf"^  [{SPINNER}] (a very[^\n]*)  \d+\.\d s$")
        terminal.raw = ""
        terminal.wait_for(rf"^  (?!{live[0].strip()[0]})[{SPINNER}] a very[^\n]*  \d+\.\d s$")
        if (columns == 90) != ("漢字  " in terminal.screen.text()):
            problems.append(f"at {columns} columns the screen is\n{terminal.screen.text()}")
    open_gate()
    terminal.finish()
    alive = [line for line in terminal.screen.lines() if any(frame in line for frame in SPINNER)]
    if alive or terminal.code != 0:
        problems.append(f"left over: {alive}, exit code {terminal.code}")
    return problems + terminal.screen.problems


def test_colours(place):
    """colours come on a terminal, not with NO_COLOR or --color=never; TERM=dumb gets plain lines"""
    problems = []
    for env, args, coloured, live in ((environment(), [], True, True), (environment(NO_COLOR="1"), [], False, True),
                                      (environment(), ["--color=never"], False, True),
                                      (environment(NO_COLOR="1"), ["--color=always"], True, True),
                                      (environment(TERM="dumb"), [], False, False), (environment(TERM=None), [], False, False)):
        with Place() as other:
            script, open_gate = gated(other, "echo STEP_START:Wait\ngate\n")
            terminal = Terminal(other, ["run", *args, "--", script], env=env)
            terminal.wait_for(rf"^  [{SPINNER}] Wait" if live else "^▸ 1 Wait")
            open_gate()
            code = terminal.finish()
        got = (re.search(r"\x1b\[[0-9;]*m", terminal.raw) is not None, "\r\x1b[J" in terminal.raw, code)
        if got != (coloured, live, 0):
            problems.append(f"{args}: colours, live, exit code are {got}, should be {(coloured, live, 0)}")
        problems += terminal.screen.problems
    return problems


def test_ascii(place):
    """a terminal that does not speak UTF-8 gets ASCII"""
    script, open_gate = gated(place, "echo 'STEP_START:Ünï'\necho ready\ngate\n")
    terminal = Terminal(place, ["run", "--", script], env=environment(LANG="C"))
    terminal.wait_for(r"^  > \?n\?\n    \| ready\n  [-|/\\] \?n\?  \d")
    open_gate()
    terminal.finish()
    return terminal.screen.problems + ([] if terminal.raw.isascii() else [f"not ASCII: {terminal.raw!r}"])


def test_hostile_output(place):
    """what a script prints cannot move the cursor or hide"""
    terminal = Terminal(place, ["run", "--", place.script("script", r"printf '\033[2J\033[H\033]0;x\007\302\2332J\b\n'" "\n")])
    code = terminal.finish()
    problems = list(terminal.screen.problems)
    if "  │ \\e[2J\\e[H\\e]0;x\\x07\\u009b2J\\x08" not in terminal.screen.lines() or code != 0:
        problems.append(f"exit code {code}, the screen is\n{terminal.screen.text()}")
    return problems


def test_tables(place):
    """tables of weir runs list fit the terminal"""
    name = "a long name " * 10
    place.weir("run", "--name", name, "--", "true")
    problems = []
    for columns in (50, 60, 80, 200):
        terminal = Terminal(place, ["runs", "list"], columns=columns)
        terminal.finish()
        lines = [line for line in terminal.screen.lines() if line]
        if len(lines) != 2 or any(len(line) > columns for line in lines) or (columns == 200) != (name.strip() in lines[1]):
            problems.append(f"at {columns} columns: {lines}")
    return problems


if __name__ == "__main__":
    sys.exit(run_tests(Tap(), [test_steps, test_quiet, test_interrupt, test_narrow, test_colours, test_ascii,
                               test_hostile_output, test_tables]))
