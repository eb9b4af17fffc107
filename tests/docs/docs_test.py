#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs what the documents show. Prints TAP.

In README.md, CONTRIBUTING.md and docs/*.md every fenced block is looked at by its info string:

    ```console                      `$ command` lines (continued with `> `) and what they print
    ```console skip-test: REASON    the same, only checked for shell syntax
    ```LANGUAGE file=NAME           becomes the file NAME, executable, for the commands that follow
    ```c example                    a C program: must compile against the installed headers and library
    ```c same-as=FILE               must be word for word what FILE of this project contains

In the expected output `…` stands for any text within a line, and a line `...` for any number of lines. The commands of
one document run in one shell, in an empty directory, in the order of the document; `weir` is the one just built. A
program left in the background is stopped at the end. Blocks in `sh` or `bash` are refused: nobody would run them.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from stage import Stage
from tap import Tap, run

ROOT = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("WEIR_BUILD", ROOT / "build"))
DOCUMENT_TIMEOUT_S = 120
MARK = "--8<-- end of command"

# ---------------------------------------------------------------------------------------------------------------------
# Reading a document


class Block:
    """A fenced block: its line, language, the rest of the info string, and its text."""

    def __init__(self, line, info, text):
        self.line, self.text = line, text
        self.language, _, self.options = info.partition(" ")
        self.options = self.options.strip()

    def value(self, key):
        match = re.search(rf"(?:^|\s){key}=(\S+)", self.options)
        return match[1] if match else None


def blocks_of(text):
    """Return the fenced blocks of a Markdown text."""
    blocks, opened, lines = [], None, []
    for number, line in enumerate(text.split("\n"), 1):
        if opened is None and line.startswith("```"):
            opened, lines = (number, line[3:].strip()), []
        elif opened is not None and line.rstrip() == "```":
            blocks.append(Block(*opened, "".join(f"{x}\n" for x in lines)))
            opened = None
        elif opened is not None:
            lines.append(line)
    return blocks


class Command:
    """A command of a console block and the lines it is expected to print."""

    def __init__(self, line, text):
        self.line, self.text, self.expected = line, text, []


def commands_of(block):
    """Return the commands of a console block."""
    commands = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            commands.append(Command(number, line[2:]))
        elif line.startswith("> ") and commands and not commands[-1].expected:
            commands[-1].text += "\n" + line[2:]
        elif commands:
            commands[-1].expected.append(line)
    return commands


def matches(expected, printed):
    """Tell whether the printed lines are the expected ones, with `…` and `...` standing for anything."""
    pattern = ""
    for line in expected:
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*".join(re.escape(piece) for piece in line.rstrip().split("…")) + r"[ \t]*\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


# ---------------------------------------------------------------------------------------------------------------------
# Running it


def shell_script(blocks):
    """Return the bash program of a whole document, and its commands in order."""
    script, commands = ["exec 2>&1 </dev/null"], []
    for block in blocks:
        name = block.value("file")
        if name:
            script.append(f"cat > '{name}' <<'{MARK}'\n{block.text}{MARK}\nchmod +x '{name}'")
        elif block.language == "console" and not block.options:
            for command in commands_of(block):
                commands.append(command)
                script.append(f"{{ {command.text}\n}}\n__code=$?; printf '\\n%s %s\\n' '{MARK}' $__code; (exit $__code)")
    return "\n".join(script) + "\n", commands


# Inside a network of its own a document can use the default port, whatever else runs on the machine.
LOOPBACK_UP = ("import fcntl, socket, struct; "
               "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 0x49))")


def own_network(command):
    """Return the command so that it runs in an own network namespace, where that is allowed."""
    isolated = ["unshare", "--map-root-user", "--net", "--", "sh", "-c",
                f'{sys.executable} -c "{LOOPBACK_UP}" && exec "$@"', "sh"]
    if shutil.which("unshare") and run([*isolated, "true"]).returncode == 0:
        return [*isolated, *command]
    return command


def run_script(script, directory):
    """Run a document's commands. Return what they printed."""
    env = dict(os.environ, HOME=str(directory), LC_ALL="C.UTF-8", TZ="UTC", TERM="dumb",
               PATH=f"{BUILD}:{os.environ['PATH']}")
    path, output = directory.parent / "script", directory.parent / "output"
    path.write_text(script, encoding="utf-8")
    with open(output, "wb") as out:
        process = subprocess.Popen(own_network(["bash", str(path)]), cwd=directory, env=env, stdout=out, stderr=out,
                                   start_new_session=True)
        try:
            process.wait(DOCUMENT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            out.write(b"\nthe commands of this document took too long\n")
        stop(process)
    return output.read_text(encoding="utf-8", errors="replace")


def stop(process):
    """End what is left of a session, politely first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            pass
    process.wait()


def compare(name, commands, output):
    """Hold the output of a document's shell against its text. Return complaints."""
    parts = re.split(rf"\n{re.escape(MARK)} \d+\n", output)
    problems = []
    for index, command in enumerate(commands):
        if index >= len(parts) - 1:
            rest = parts[-1] if parts else ""
            problems.append(f"{name}:{command.line}: this command did not end:\n  $ {command.text}\n{rest}")
            break
        printed = parts[index].splitlines()
        if not matches(command.expected, printed):
            problems.append(f"{name}:{command.line}: $ {command.text}\n--- the document says\n"
                            + "\n".join(command.expected) + "\n--- it printed\n" + "\n".join(printed))
    return problems


def check_console(name, blocks):
    """Run all commands of a document."""
    script, commands = shell_script(blocks)
    if not commands:
        return []
    with tempfile.TemporaryDirectory(prefix="weir-docs-") as directory:
        work = Path(directory) / "work"
        work.mkdir()
        return compare(name, commands, run_script(script, work))


# ---------------------------------------------------------------------------------------------------------------------
# What can be said without running


def check_form(name, blocks):
    """Complain about blocks that would escape the tests, and about shell syntax."""
    problems = []
    for block in blocks:
        where = f"{name}:{block.line}"
        if block.language in ("sh", "bash", "shell") and not block.value("file"):
            problems.append(f"{where}: use ```console with `$ ` before each command, so that it is run as a test")
        if block.language != "console":
            continue
        if block.options and not re.match(r"skip-test: \S+ \S+", block.options):
            problems.append(f"{where}: write ```console, or ```console skip-test: and the reason in a few words")
        if not commands_of(block):
            problems.append(f"{where}: a console block without a `$ ` command")
        for command in commands_of(block):
            syntax = run(["bash", "-n"], input=command.text + "\n")
            if syntax.returncode:
                problems.append(f"{name}:{command.line}: {syntax.stderr.strip()}")
    return problems


def check_c(name, blocks, stage):
    """Compile the C examples of a document, hold copies against their originals."""
    problems = []
    for block in blocks:
        if block.language != "c":
            continue
        where, original = f"{name}:{block.line}", block.value("same-as")
        if original and not (ROOT / original).is_file():
            problems.append(f"{where}: {original} does not exist")
        elif original and (ROOT / original).read_text(encoding="utf-8") != block.text:
            problems.append(f"{where}: not the same as {original}")
        if block.options == "example":
            problems += [f"{where}: {problem}" for problem in compile_block(block, stage())]
    return problems


def compile_block(block, stage):
    if stage.problem:
        return [stage.problem]
    with tempfile.TemporaryDirectory(prefix="weir-docs-") as directory:
        source = Path(directory) / "example.c"
        source.write_text(block.text, encoding="utf-8")
        done = stage.compile(source, Path(directory) / "example")
        return [done.stderr] if done.returncode else []


# ---------------------------------------------------------------------------------------------------------------------
# Testing the test

GOOD = """
```sh file=hello.sh
#!/bin/sh
echo hello $1
```
```console
$ ./hello.sh world; false
hello world
$ echo $? \\
> then
1 then
$ printf 'a\\nb 12 ms\\nc\\n'
a
b … ms
c
$ seq 5
1
...
5
$ cd / && sleep 100 &
```
```console
$ pwd; echo error >&2
/…/work
error
```
```console skip-test: needs a network
$ make serve
```
"""

# (document, what a complaint must contain)
BAD = [
    ("```console\n$ echo one\ntwo\n```\n", "it printed\none"),
    ("```console\n$ echo one\n```\n", "it printed\none"),
    ("```console\n$ true\none\n```\n", "the document says\none"),
    ("```console\n$ exit 3\n$ echo one\none\n```\n", "did not end"),
    ("```console\n$ echo (\n```\n", "syntax error"),
    ("```console\n$ seq 3\n1\n...\n4\n```\n", "it printed\n1\n2\n3"),
    ("```console skip-test\n$ make serve\n```\n", "the reason"),
    ("```console skip-test: slow\n$ make serve\n```\n", "the reason"),
    ("```sh\nmake serve\n```\n", "use ```console"),
    ("```console\nmake serve\n```\n", "without a `$ ` command"),
    ("```c same-as=LICENSE\nint x;\n```\n", "not the same as LICENSE"),
    ("```c same-as=nowhere.c\nint x;\n```\n", "does not exist"),
    ("```c example\nint main(void) { return weir_nonsense(); }\n```\n", "weir_nonsense"),
]


def check_document(name, text, stage):
    blocks = blocks_of(text)
    form = check_form(name, blocks)
    return form + check_c(name, blocks, stage) + (check_console(name, blocks) if not form else [])


def check_self(stage):
    problems = [f"complained without reason:\n{problem}" for problem in check_document("good", GOOD, stage)]
    for text, wanted in BAD:
        got = check_document("bad", text, stage)
        if not any(wanted in problem for problem in got):
            problems.append(f"wanted a complaint with {wanted!r}, got {got} for:\n{text}")
    return problems


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="weir-docs-") as directory:
        made = []

        def stage():
            if not made:
                made.append(Stage(BUILD, Path(directory) / "stage"))
            return made[0]

        tap.result("the test finds wrong documents", check_self(stage))
        documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
        for document in documents:
            if document.is_file():
                name = str(document.relative_to(ROOT))
                tap.result(name, check_document(name, document.read_text(encoding="utf-8"), stage))
    return tap.finish()


if __name__ == "__main__":
    sys.exit(main())
