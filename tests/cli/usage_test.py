#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Command lines, right and wrong: help, versions, sentences, exit codes. Prints TAP."""

import json
import os
import re
import sys

from weir import ROOT, Place, differences, environment, run_tests
from tap import Tap

COMMANDS = ["run", "runs list", "runs show", "runs logs", "runs cancel", "runs delete", "runs cleanup", "runs repair",
            "activity buckets", "activity events", "activity create", "activity heartbeat", "activity insert",
            "activity delete", "activity export", "activity import", "activity settings", "serve", "stats",
            "wal info", "wal frames", "wal verify", "bench commit", "bench heartbeat", "version"]

# (arguments, stderr); all of them exit with 2 and print nothing to stdout.
WRONG = [
    ([], "weir: a command is missing\nTry \"weir --help\".\n"),
    (["rnu"], "weir: unknown command \"rnu\"; did you mean \"run\"?\nTry \"weir --help\".\n"),
    (["frobnicate"], "weir: unknown command \"frobnicate\"\nTry \"weir --help\".\n"),
    (["\x1b[2J"], "weir: unknown command \"\\e[2J\"\nTry \"weir --help\".\n"),
    ([b"\xff"], "weir: unknown command \"?\"\nTry \"weir --help\".\n"),
    ([""], "weir: unknown command \"\"\nTry \"weir --help\".\n"),
    (["--colour"], "weir: unknown option \"--colour\"; did you mean --color?\nTry \"weir --help\".\n"),
    (["help", "lst"], "weir: unknown command \"lst\"\nTry \"weir --help\".\n"),
    (["runs"], "weir: a command is missing after runs\nTry \"weir runs --help\".\n"),
    (["runs", "lsit"], "weir: unknown command \"runs lsit\"; did you mean \"runs list\"?\nTry \"weir runs --help\".\n"),
    (["runs", "show"], "weir: ID is missing\nTry \"weir runs show --help\".\n"),
    (["runs", "show", "a", "b"], "weir: \"b\" is one argument too many\nTry \"weir runs show --help\".\n"),
    (["runs", "list", "--limit", "-1"],
     "weir: --limit takes a whole number from 1 to 1000, not \"-1\"\nTry \"weir runs list --help\".\n"),
    (["runs", "list", "--limit", "99999999999999999999"],
     "weir: --limit takes a whole number from 1 to 1000, not \"99999999999999999999\"\n"
     "Try \"weir runs list --help\".\n"),
    (["runs", "list", "--status", "complete"],
     "weir: --status takes one of any, pending, running, completed, failed, cancelled, not \"complete\"; "
     "did you mean completed?\nTry \"weir runs list --help\".\n"),
    (["runs", "list", "--storage", ""], "weir: --storage must not be empty\nTry \"weir runs list --help\".\n"),
    (["runs", "list", "--user", b"\xff"],
     "weir: --user takes text in UTF-8, not \"?\"\nTry \"weir runs list --help\".\n"),
    (["runs", "cleanup", "--days", "0"],
     "weir: --days takes a whole number from 1 to 36500, not \"0\"\nTry \"weir runs cleanup --help\".\n"),
    (["run"], "weir: -- COMMAND [ARGUMENT...] is missing\nTry \"weir run --help\".\n"),
    (["run", "--timeout", "0", "--", "true"],
     "weir: --timeout takes a time such as 90, 1.5, 250ms, 10m or 2h (from 0.001 to 315360000 seconds), not \"0\"\n"
     "Try \"weir run --help\".\n"),
    (["run", "--env", "=x", "--", "true"],
     "weir: --env takes NAME=VALUE, not \"=x\"\nTry \"weir run --help\".\n"),
    (["run", "--env", "NAME", "--", "true"],
     "weir: --env takes NAME=VALUE, not \"NAME\"\nTry \"weir run --help\".\n"),
    (["run", "--json=yes", "--", "true"], "weir: --json takes no value\nTry \"weir run --help\".\n"),
    (["serve", "--port", "65536"],
     "weir: --port takes a whole number from 0 to 65535, not \"65536\"\nTry \"weir serve --help\".\n"),
    (["serve", "--listen", "127.0.0.1:0", "--port", "1"],
     "weir: --listen gives the address and the port, so --host and --port cannot be given beside it\n"
     "Try \"weir serve --help\".\n"),
    (["serve", "--durability", "interval:0"],
     "weir: --durability takes full, interval:MS (1 to 60000), normal or off, not \"interval:0\"\n"
     "Try \"weir serve --help\".\n"),
    (["activity", "evnets"],
     "weir: unknown command \"activity evnets\"; did you mean \"activity events\"?\nTry \"weir activity --help\".\n"),
    (["activity", "events"], "weir: BUCKET is missing\nTry \"weir activity events --help\".\n"),
    (["activity", "insert", "b"], "weir: FILE is missing\nTry \"weir activity insert --help\".\n"),
    (["activity", "events", "b", "--start", "soon"],
     "weir: --start takes a time such as TIMEZ, \"2026-01-31 12:00\", today or -2h, not \"soon\"\n"
     "Try \"weir activity events --help\".\n"),
    (["activity", "heartbeat", "b", "[]"],
     "weir: DATA must be a JSON object such as '{\"app\":\"vim\"}': an object was expected, not an array\nTry \"weir activity heartbeat --help\".\n"),
    (["activity", "delete", "b"],
     "weir: without an EVENT this deletes the whole bucket with all its events; --force does so\n"
     "Try \"weir activity delete --help\".\n"),
    (["activity", "delete", "b", "-1"],
     "weir: unknown option \"-1\"\nTry \"weir activity delete --help\".\n"),
    (["activity", "delete", "b", "x"],
     "weir: EVENT is the number of an event, as weir activity events shows it\nTry \"weir activity delete --help\".\n"),
    (["activity", "settings", "a", "text"],
     "weir: VALUE must be JSON, text in double quotes: at byte 0 of the JSON text: a value was expected, not 't'\n"
     "Try \"weir activity settings --help\".\n"),
    (["activity", "settings", "--unset"],
     "weir: --unset takes a NAME and no VALUE\nTry \"weir activity settings --help\".\n"),
    (["activity", "buckets", "--db", "a", "--url", "http://127.0.0.1"],
     "weir: --db and --url cannot both be given\nTry \"weir activity buckets --help\".\n"),
    (["activity", "buckets", "--api-key-file", "k"],
     "weir: --api-key-file is for --url\nTry \"weir activity buckets --help\".\n"),
    (["activity", "buckets", "--url", "ftp://host"],
     "weir: a URL of a server is such as http://127.0.0.1:5600, not \"ftp://host\"\n"
     "Try \"weir activity buckets --help\".\n"),
    (["activity", "buckets", "--url", "http://me:secret@host"],
     "weir: a URL with a name or password in it is not used; a key comes from --api-key-file\n"
     "Try \"weir activity buckets --help\".\n"),
    (["serve", "--activity", ""], "weir: --activity must not be empty\nTry \"weir serve --help\".\n"),
    (["serve", "--ack", "aplied"],
     "weir: --ack takes one of durable, committed, applied, not \"aplied\"; did you mean applied?\n"
     "Try \"weir serve --help\".\n"),
]


def test_wrong_lines(place):
    """a wrong command line gets a sentence and exit code 2"""
    problems = []
    for args, stderr in WRONG:
        problems += place.check(args, (2, "", stderr))
    if any(place.path.iterdir()):
        problems.append(f"something was created: {list(place.path.iterdir())}")
    return problems


def test_variables(place):
    """a wrong STEPFLOW_ variable is told by its name"""
    problems = place.check(["serve"], (2, "", "weir: STEPFLOW_PORT takes a whole number from 0 to 65535, not \"http\"\n"
                                              "Try \"weir serve --help\".\n"), env=environment(STEPFLOW_PORT="http"))
    problems += place.check(["serve"], (2, "", "weir: STEPFLOW_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not \"loud\"\n"
                                               "Try \"weir serve --help\".\n"),
                            env=environment(STEPFLOW_LOG_LEVEL="loud"))
    return problems


def test_help(place):
    """every command has help with options, exit codes and examples, and both ways to ask give the same"""
    problems = []
    for command in COMMANDS:
        words = command.split()
        code, text, err = place.weir(*words, "--help")
        if code != 0 or err:
            problems.append(f"weir {command} --help: exit code {code}, stderr {err}")
        if (code, text, err) != place.weir("help", *words):
            problems.append(f"weir help {command} differs from weir {command} --help")
        if not text.startswith(f"Usage: weir {command} "):
            problems.append(f"weir {command} --help begins with {text[:60]!r}")
        for heading in ("\nOptions:\n", "\nExit status:\n", "\nExamples:\n  weir "):
            if heading not in text:
                problems.append(f"weir {command} --help: {heading.strip()} is missing")
        problems += [f"weir {command} --help: a long line: {line}" for line in text.splitlines() if len(line) > 118]
    return problems


def test_help_lists_all(place):
    """weir --help and weir runs --help name every command"""
    problems = []
    for group, args in (("", []), ("runs ", ["runs"])):
        code, text, err = place.weir(*args, "--help")
        listed = re.findall(r"^  ([a-z]+)  ", text.split("Commands:")[1].split("\n\n")[0], re.MULTILINE)
        names = {c.removeprefix(group).split()[0] for c in COMMANDS if c.startswith(group)}
        missing = names - set(listed)
        if code != 0 or err or missing:
            problems.append(f"weir {group}--help: exit code {code}, {err}, misses {missing}")
    return problems


def test_version(place):
    """weir version says what is loaded"""
    problems = []
    code, text, err = place.weir("version")
    said = json.loads(place.weir("version", "--json")[1])
    wanted = re.search(r'WEIR_VERSION "(.*)"', (ROOT / "include/weir/weir.h").read_text(encoding="utf-8"))[1]
    if code != 0 or err or not text.startswith(f"weir {wanted}\nSQLite {said['sqlite']} ({said['sqlite_source_id']})\n"):
        problems.append(f"exit code {code}: {text}{err}")
    fix = "has the fix of the WAL-reset bug" if said["has_wal_reset_fix"] else "has the WAL-reset bug"
    if fix not in text:
        problems.append(f"{said['has_wal_reset_fix']=} and {text}")
    if place.weir("--version")[1] != text:
        problems.append("weir --version says something else")
    return problems


def test_colour(place):
    """colours come when asked for, and not by themselves where no terminal is"""
    problems = []
    for args, coloured in ((["--help"], False), (["--color=always", "--help"], True), (["--help", "--color", "never"], False),
                           (["version", "--help", "--color=always"], True)):
        text = place.weir(*args)[1]
        if ("\x1b[" in text) != coloured:
            problems.append(f"{args}: {text[:80]!r}")
    return problems


def test_output_that_fails(place):
    """a reader that went away is no error, a full disk is"""
    read_end, write_end = os.pipe()
    os.close(read_end)
    problems = differences("a closed pipe", (0, "", ""), place.weir("version", stdout=write_end))
    os.close(write_end)
    with open("/dev/full", "wb") as full:
        problems += differences("/dev/full", (1, "", "weir: cannot write to standard output: No space left on device\n"),
                                place.weir("version", stdout=full))
    closed = place.start("version", preexec_fn=lambda: os.close(1))
    return problems + differences("closed stdout", (0, "", ""), place.finish(closed))


def test_nothing_there(place):
    """commands that read do not create what is missing"""
    problems = []
    for args in (["runs", "list"], ["runs", "show", "abcd"], ["stats"], ["stats", "missing.db"]):
        code, out, err = place.weir(*args)
        if code != 1 or out or not re.fullmatch(r"weir: [^\n]+\n", err):
            problems.append(f"{args}: exit code {code}, stdout {out!r}, stderr {err!r}")
    if any(place.path.iterdir()):
        problems.append(f"something was created: {list(place.path.iterdir())}")
    return problems


if __name__ == "__main__":
    sys.exit(run_tests(Tap(), [test_wrong_lines, test_variables, test_help, test_help_lists_all, test_version, test_colour,
                               test_output_that_fails, test_nothing_there]))
