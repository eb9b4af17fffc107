#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""weir run and weir runs: what they print, what they record and how they exit. Prints TAP."""

import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import urllib.request

from weir import DEADLINE_S, Place, differences, environment, run_tests, wait_for
from tap import Tap

STORAGE = "storage/database/stepflow.db"

DEPLOY = """
echo before
echo 'STEP_START:Build'
printf 'compiling\\033[31m red\\033[0m \\033]0;title\\007\\n'
echo hello > out.txt
echo 'ARTIFACT:out.txt:the result'
echo 'STEP_COMPLETE:Build'
echo 'META:version:1.2'
echo 'STEP_START:Test'
echo 'STEP_ERROR:1 of 2 failed'
exit 3
"""

DEPLOY_QUIET = """\
./deploy  SHORT_ID
▸ 1 Build
  ◆ out.txt  6 B  the result
✓ 1 Build  N.N s
▸ 2 Test
✗ 2 Test  N.N s  1 of 2 failed

✗ failed with exit code 3 after N.N s, 2 steps, 1 artifact
  recorded as ID in PLACE/storage
"""

SHOWN = """\
✗ ./deploy  failed with exit code 3 after N.N s
  id          ID
  directory   PLACE
  user        USER
  tags        blue, déjà vu
  created     TIME
  started     TIME
  ended       TIME
  environment COLOUR=red
  metadata    version=1.2

Steps
  ✓  1  Build  N.N s
  ✗  2  Test   N.N s  1 of 2 failed

Artifacts
  out.txt  6 B  the result  storage/artifacts/ID/ID_out.txt
"""


def runs(place, *args):
    """Return the runs that weir runs list --json knows."""
    return json.loads(place.weir("runs", "list", "--json", *args)[1])["executions"]


def only(place):
    """Return the id of the one run there is."""
    (run,) = runs(place)
    return run["id"]


def user():
    """Return the name of who runs this test."""
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def test_a_script(place):
    """a script is shown, recorded and found again"""
    script = place.script("deploy", DEPLOY)
    problems = place.check(["run", "-q", "--tag", "blue", "--tag", "déjà vu", "--env", "COLOUR=red", "--", script],
                           (3, DEPLOY_QUIET, ""))
    run = only(place)
    problems += place.check(["runs", "show", run[:8]], (0, SHOWN.replace("USER", user()), ""))
    problems += place.check(["runs", "list"], (0, "ID        STATUS    NAME      STEPS  STARTED              DURATION\n"
                                                  "SHORT_ID  ✗ failed  ./deploy    1/2  TIME     N.N s\n", ""))
    return problems


def test_logs(place):
    """weir runs logs gives what the script wrote, of all, of one step, the last lines, with times, as JSON"""
    script = place.script("deploy", DEPLOY)
    place.weir("run", "-q", "--", script)
    run = only(place)
    line = "compiling\x1b[31m red\x1b[0m \x1b]0;title\x07\n"
    logs = ["runs", "logs", run]
    problems = place.check(logs, (0, "before\n" + line, ""))
    for step in ("Build", "1"):
        problems += place.check([*logs, "--step", step], (0, line, ""))
    problems += place.check([*logs, "--tail", "1"], (0, line, ""))
    problems += place.check([*logs, "-f", "-n", "1"], (0, line, ""))
    problems += place.check([*logs, "-t", "-n", "2"], (0, "TIME before\nTIME " + line, ""))
    problems += place.check([*logs, "--step", "Deploy"],
                            (1, "", "weir: run ID has no step \"Deploy\"; weir runs show SHORT_ID lists them\n"))
    objects = [json.loads(text) for text in place.weir(*logs, "--json")[1].splitlines()]
    if [o["content"] for o in objects] != ["before", line[:-1]] or [o["step_name"] for o in objects] != [None, "Build"]:
        problems.append(f"--json gave {objects}")
    return problems


def test_plain_output_shows_lines(place):
    """log lines are shown without what a terminal would obey, and the steps once more at the end"""
    script = place.script("deploy", DEPLOY)
    code, out, err = place.weir("run", "--name", "na\nme", "--", script)
    problems = differences("weir run", (3, ""), (code, err))
    for wanted in ("na\\nme  ", "\n  | before\n", "\n  | compiling red \\e]0;title\\x07\n", "\nSteps\n  ✓  1  Build",
                   "\nArtifacts\n  out.txt  6 B  the result\n"):
        if wanted not in out:
            problems.append(f"{wanted!r} is not in\n{out}")
    if "\x1b" in out:
        problems.append(f"an escape came through: {out!r}")
    return problems


def test_exit_codes(place):
    """weir run exits as the script did"""
    problems = []
    for args, wanted in ((["--", "true"], 0), (["--", "sh", "-c", "exit 7"], 7), (["sh", "-c", "exit 255"], 255),
                         (["--", "sh", "-c", "kill -9 $$"], 137), (["--", "sh", "-c", "kill $$"], 143),
                         (["--timeout", "100ms", "--", "sleep", "60"], 124), (["--", "./missing"], 127),
                         (["--", "."], 126), (["--cwd", "missing", "--", "true"], 127),
                         (["--", "sh", "-c", "echo STEP_START:a [stop_on_error=true]; echo STEP_ERROR:b; sleep 60"], 1)):
        code, out, err = place.weir("run", *args)
        if code != wanted or err:
            problems.append(f"weir run {args}: exit code {code} instead of {wanted}\n{out}{err}")
    return problems


def test_json_events(place):
    """weir run --json prints one object per line, from queued to summary"""
    script = place.script("deploy", DEPLOY)
    code, out, err = place.weir("run", "--json", "--", script)
    events = [json.loads(line) for line in out.splitlines()]
    problems = differences("weir run --json", (3, ""), (code, err))
    kinds = [event["event"] for event in events]
    kinds = [kind for kind in kinds if kind not in ("changed", "step_changed", "log")]
    wanted = ["queued", "started", "step_started", "artifact", "step_ended", "step_started", "step_ended", "ended", "summary"]
    if kinds != wanted:
        problems.append(f"events are {kinds} and should be {wanted}")
    contents = [line["content"] for event in events if event["event"] == "log" for line in event["lines"]]
    if sorted(contents) != ["before", "compiling\x1b[31m red\x1b[0m \x1b]0;title\x07"]:
        problems.append(f"lines are {contents}")
    last = events[-1]
    if last["execution"]["exit_code"] != 3 or len(last["steps"]) != 2 or len(last["artifacts"]) != 1 or \
            last["storage"] != str(place.path / "storage"):
        problems.append(f"the summary is {last}")
    return problems


def test_list_filters(place):
    """weir runs list filters, cuts and counts"""
    for name, command in (("one", "true"), ("two", "false"), ("three", "true")):
        place.weir("run", "--name", name, "--", command)
    problems = []
    for args, wanted in (([], ["three", "two", "one"]), (["--status", "failed"], ["two"]), (["--search", "ONE"], ["one"]),
                         (["--limit", "2"], ["three", "two"]), (["--user", "nobody-of-that-name"], []),
                         (["--status", "running"], [])):
        got = [run["name"] for run in runs(place, *args)]
        if got != wanted:
            problems.append(f"{args}: {got} instead of {wanted}")
    code, out, err = place.weir("runs", "list", "--limit", "2")
    if err != "The newest 2 of 3 runs; --limit N shows more.\n" or len(out.splitlines()) != 3:
        problems.append(f"--limit 2: {out}{err}")
    problems += place.check(["runs", "list", "--status", "running"], (0, "", "No runs.\n"))
    narrow = place.weir("runs", "list", env=environment(COLUMNS="60"))[1]
    problems += [f"a line of {len(line)} columns: {line}" for line in narrow.splitlines() if len(line) > 60]
    return problems


def test_ids(place):
    """an id may be shortened as long as it is one run's"""
    place.weir("run", "--", "true")
    run = only(place)
    with sqlite3.connect(place.path / STORAGE) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(executions)")]
        values = ", ".join("?" if name == "id" else name for name in columns)
        database.execute(f"INSERT INTO executions SELECT {values} FROM executions", [run[:8] + "-other"])
    problems = []
    for text, wanted in ((run, 0), (run[:9] + "o", 0), ("last", 0), (run[:8], 1), (run[:3], 1), ("ffff-none", 1), ("", 1), ("../..", 1)):
        code, _, err = place.weir("runs", "show", text)
        if code != wanted or (code != 0) != err.startswith("weir: "):
            problems.append(f"runs show {text!r}: exit code {code}, {err}")
    return problems


def test_last(place):
    """"last" is the newest run"""
    (place.path / "storage").mkdir()
    place.weir("run", "--name", "one", "--", "true")
    place.weir("run", "--name", "two", "--", "echo", "hello")
    problems = place.check(["runs", "logs", "last"], (0, "hello\n", ""))
    problems += place.check(["runs", "delete", "last"], (0, "removed 1 run, 0 steps, 0 artifacts, 1 file (35 B)\n", ""))
    if [run["name"] for run in runs(place)] != ["one"]:
        problems.append(f"runs are {runs(place)}")
    place.weir("runs", "delete", "last")
    return problems + place.check(["runs", "show", "last"],
                                  (1, "", "weir: there is no last run in PLACE/storage: nothing is recorded there yet\n"))


def start_script(place, body, *options, **kwargs):
    """Start weir run in another process; return it and the run's id once the script runs."""
    script = place.script("script", body)
    process = place.start("run", "--json", *options, "--", script, **kwargs)

    def running():
        if not (place.path / STORAGE).exists():
            return None
        code, out, _ = place.weir("runs", "list", "--json", "--status", "running")
        found = json.loads(out)["executions"] if code == 0 else []
        return found[0]["id"] if found else None

    return process, wait_for(running, "a running run")


def test_cancel_of_another_process(place):
    """weir runs cancel ends a run of another process"""
    process, run = start_script(place, "echo STEP_START:Wait\nsleep 600\n")
    problems = place.check(["runs", "cancel", run[:8]], (0, "SHORT_ID ./script: cancelled by signal 15, SIGTERM\n", ""))
    code, _, err = place.finish(process)
    problems += differences("weir run", (143, ""), (code, err))
    problems += place.check(["runs", "show", run, "--json"], (0,))
    code, _, err = place.weir("runs", "cancel", run)
    if code != 1 or not err.startswith("weir: "):
        problems.append(f"cancelled again: exit code {code}, {err}")
    return problems


def test_follow(place):
    """weir runs logs -f follows a run of another process to its end"""
    os.mkfifo(place.path / "go")
    process, run = start_script(place, "echo STEP_START:Wait\necho first\nread line < go\necho second\n"
                                       "echo STEP_COMPLETE:Wait\necho outside\n")
    follower = place.start("runs", "logs", "-f", run)
    first = follower.stdout.readline()
    with open(place.path / "go", "w", encoding="utf-8") as go:
        go.write("on\n")
    code, out, err = place.finish(follower)
    problems = differences("logs -f", (0, "first\nsecond\noutside\n", ""), (code, first.decode() + out, err))
    code, _, err = place.finish(process)
    return problems + differences("weir run", (0, ""), (code, err))


def test_two_at_once(place):
    """two weir run on one storage do not disturb each other"""
    os.mkfifo(place.path / "go")
    process, run = start_script(place, "read line < go\n")
    problems = differences("the second", (0, ""), place.weir("run", "--", "true")[::2])
    with open(place.path / "go", "w", encoding="utf-8") as go:
        go.write("on\n")
    code, _, err = place.finish(process)
    problems += differences("the first", (0, ""), (code, err))
    statuses = sorted(run["status"] for run in runs(place))
    return problems + ([] if statuses == ["completed", "completed"] else [f"statuses are {statuses}"])


def test_signals(place):
    """SIGINT and SIGTERM cancel the script and leave a complete record; a second one kills it"""
    problems = []
    for number, again, wanted in ((signal.SIGINT, False, 130), (signal.SIGTERM, False, 143), (signal.SIGHUP, False, 129),
                                  (signal.SIGINT, True, 130)):
        with Place() as other:
            trap = "trap '' TERM\n" if again else ""
            process, run = start_script(other, trap + "echo STEP_START:Wait\necho ready\nwhile :; do sleep 600; done\n")
            logs = lambda: "ready" in other.weir("runs", "logs", run)[1]
            wait_for(logs, "the script's first line")
            process.send_signal(number)
            if again:
                process.send_signal(number)
            code, _, err = other.finish(process)
            detail = json.loads(other.weir("runs", "show", run, "--json")[1])
        execution, (step,) = detail["execution"], detail["steps"]
        got = (code, err, execution["status"], execution["exit_code"], step["status"], step["error_message"])
        if got != (wanted, "", "cancelled", -9 if again else -15, "failed", "cancelled"):
            problems.append(f"{number!r}, again {again}: {got}")
    return problems


def test_reader_goes_away(place):
    """the run goes on when nobody reads what weir run prints"""
    script = place.script("script", "for i in 1 2 3 4 5 6 7 8; do echo line $i; done\nexit 5\n")
    read_end, write_end = os.pipe()
    os.close(read_end)
    code, _, err = place.weir("run", "--", script, stdout=write_end)
    os.close(write_end)
    problems = differences("weir run", (5, ""), (code, err))
    lines = place.weir("runs", "logs", only(place))[1].splitlines()
    return problems + ([] if len(lines) == 8 else [f"{len(lines)} lines are recorded"])


def test_start_hints(place):
    """a command that cannot be started for the usual reasons comes with what to do"""
    problems = []
    (place.path / "plain").write_text("#!/bin/sh\n", encoding="utf-8")
    (place.path / "headless").write_text("true\n", encoding="utf-8")
    (place.path / "headless").chmod(0o755)
    for command, wanted_code, hint in (("./plain", 126, "chmod +x"), ("./headless", 126, "#!/bin/sh"),
                                       ("echo two words", 127, "leave them out"), ("nothing-of-this-name", 127, None)):
        code, out, err = place.weir("run", "--", command)
        hinted = hint in out.splitlines()[-1] if hint else out.splitlines()[-1].startswith("  recorded as ")
        if (code, err, hinted) != (wanted_code, "", True):
            problems.append(f"{command}: {code}, {out}{err}")
    return problems


def test_full_disk(place):
    """a disk that is full where the output goes does not end the script, and is told at the end"""
    script = place.script("script", "for i in 1 2 3 4 5 6 7 8; do echo line $i; done\ntouch done\n")
    with open("/dev/full", "wb") as full:
        got = place.weir("run", "--", script, stdout=full)
    problems = differences("weir run", (1, "", "weir: cannot write to standard output: No space left on device\n"), got)
    lines = place.weir("runs", "logs", only(place))[1].splitlines()
    if len(lines) != 8 or not (place.path / "done").exists():
        problems.append(f"{len(lines)} lines are recorded, the script reached its end: {(place.path / 'done').exists()}")
    return problems


def limit_files():
    """In the child: a file ends at 1 MiB, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


def test_cancel_on_full_disk(place):
    """a run whose log cannot be written, and whose output waits for that, can still be cancelled"""
    script = place.script("script", "echo STEP_START:Much\nseq 1 200000\nexec sleep 600\n")
    process = place.start("run", "--quiet", "--", script, preexec_fn=limit_files)
    wait_for(lambda: any(f.stat().st_size == 1 << 20 for f in place.path.glob("storage/executions/*/*.log")), "a full log")
    run = only(place)
    process.send_signal(signal.SIGTERM)
    code, _, _ = place.finish(process)
    execution = json.loads(place.weir("runs", "show", run, "--json")[1])["execution"]
    return [] if (code, execution["status"]) == (143, "cancelled") else [f"exit code {code}, {execution}"]


def test_leave_full_disk(place):
    """a third signal ends weir run where the end of the run cannot be recorded"""
    process, run = start_script(place, "echo STEP_START:Wait\necho ready\nexec sleep 600\n", preexec_fn=limit_files)
    wait_for(lambda: "ready" in place.weir("runs", "logs", run)[1], "the script's first line")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    wait_for(lambda: process.poll() is not None or process.send_signal(signal.SIGINT), "the end of weir run")
    code, _, err = place.finish(process)
    problems = [] if code == 1 and f"weir: gave up waiting for the end of run {run}; " in err else [f"{code}, {err}"]
    if err.count(" checkpoint: ") > 1:
        problems.append(f"each failing checkpoint is told again: {err}")
    place.weir("run", "--", "true")
    execution = json.loads(place.weir("runs", "show", run, "--json")[1])["execution"]
    if execution["status"] != "failed":
        problems.append(f"the next run left {execution}")
    return problems


def age(place, days):
    """Make all runs older."""
    with sqlite3.connect(place.path / STORAGE) as database:
        database.execute("UPDATE executions SET created_at = strftime('%Y-%m-%dT%H:%M:%f000', created_at, ?)", [f"-{days} days"])


def test_cleanup(place):
    """weir runs cleanup and delete remove rows and files, with --dry-run nothing"""
    script = place.script("deploy", DEPLOY)
    place.weir("run", "-q", "--", script)
    age(place, 40)
    place.weir("run", "-q", "--", script)
    new = runs(place)[0]["id"]
    code, said, err = place.weir("runs", "cleanup", "--days", "30", "--dry-run", "--json")
    said = json.loads(said)
    problems = differences("--dry-run", (0, ""), (code, err))
    if (said["dry_run"], said["executions"], said["steps"], said["artifacts"]) != (True, 1, 2, 1) or len(runs(place)) != 2:
        problems.append(f"--dry-run says {said}, {len(runs(place))} runs are left")
    code, out, err = place.weir("runs", "cleanup", "--days", "30")
    if code != 0 or not out.startswith("removed 1 run, 2 steps, 1 artifact, ") or [r["id"] for r in runs(place)] != [new]:
        problems.append(f"cleanup: exit code {code}, {out}{err}, {len(runs(place))} runs are left")
    code, out, err = place.weir("runs", "delete", new[:8])
    left = [path for path in (place.path / "storage").rglob("*") if path.is_file() and "database" not in path.parts]
    if code != 0 or not out.startswith("removed 1 run, 2 steps, 1 artifact, ") or left:
        problems.append(f"delete: exit code {code}, {out}{err}, left {left}")
    return problems


def test_repair(place):
    """weir runs repair settles steps that StepFlow Monitor left running"""
    script = place.script("deploy", DEPLOY)
    place.weir("run", "-q", "--", script)
    with sqlite3.connect(place.path / STORAGE) as database:
        database.execute("UPDATE steps SET status = 'running', completed_at = NULL, exit_code = NULL")
    problems = place.check(["runs", "repair", "--dry-run"],
                           (0, "would set 1 step to completed, 1 step to failed\n", ""))
    problems += place.check(["runs", "repair"], (0, "set 1 step to completed, 1 step to failed\n", ""))
    problems += place.check(["runs", "repair"], (0, "set 0 steps to completed, 0 steps to failed\n", ""))
    return problems


def test_storage(place):
    """--storage wins over STEPFLOW_STORAGE_PATH, which wins over ./storage"""
    problems = []
    env = environment(STEPFLOW_STORAGE_PATH="from-variable")
    for args, variables, wanted in (([], None, "storage"), ([], env, "from-variable"),
                                    (["--storage", "from-flag"], env, "from-flag")):
        code, out, err = place.weir("run", *args, "--", "true", env=variables)
        if code != 0 or f" in {place.path / wanted}\n" not in out or not (place.path / wanted).is_dir():
            problems.append(f"{args}: exit code {code}, {out}{err}")
    return problems


def test_storage_that_cannot_be(place):
    """every command tells why a storage folder cannot be used, and starts nothing"""
    (place.path / "file").write_text("not a folder", encoding="utf-8")
    (place.path / "broken" / "database").mkdir(parents=True)
    (place.path / "broken" / "database" / "stepflow.db").write_text("no database\n" * 100, encoding="utf-8")
    problems = []
    for storage in ("missing/too", "file", "/dev/null", "broken", b"\xff/x"):
        for command in (["run"], ["runs", "list"], ["runs", "logs", "last"], ["runs", "cancel", "last"], ["runs", "cleanup"],
                        ["runs", "repair"], ["serve", "--port", "0"]):
            foreign = ["--", "touch", place.path / "started"] if command == ["run"] else []
            code, out, err = place.weir(*command, "--storage", storage, *foreign)
            if code != 1 or out or not re.fullmatch(r"weir: [^\n]+\n", err):
                problems.append(f"weir {command} --storage {storage}: exit code {code}, stdout {out!r}, stderr {err!r}")
    if (place.path / "started").exists():
        problems.append("a script was started")
    return problems


def serve(place, *args, env=None):
    """Start weir serve and return it and its address, once it is ready."""
    process = place.start("serve", *args, env=env)
    line = process.stdout.readline().decode()
    found = re.fullmatch(r"listening on (http://\S+), storage (.*)\n", line)
    if not found:
        process.kill()
        raise AssertionError(f"weir serve said {line!r} and {process.communicate()[1]!r}")
    return process, found[1], found[2]


def test_beside_serve(place):
    """weir run and weir runs work beside weir serve on one storage"""
    server, address, _ = serve(place, "--port", "0")
    problems = differences("weir run", (0, ""), place.weir("run", "--name", "local", "--", "true")[::2])
    body = json.dumps({"command": ["sh", "-c", "echo STEP_START:Wait; exec sleep 600"], "name": "over HTTP"}).encode()
    request = urllib.request.Request(address + "/api/executions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        run = json.load(answer)["id"]
    follower = place.start("runs", "logs", "-f", run)
    problems += place.check(["runs", "cancel", run], (0, "SHORT_ID over HTTP: cancelled by signal 15, SIGTERM\n", ""))
    problems += differences("logs -f", (0, "", ""), place.finish(follower))
    with urllib.request.urlopen(address + "/api/executions", timeout=DEADLINE_S) as answer:
        seen = [(e["name"], e["status"]) for e in json.load(answer)["executions"]]
    if seen != [("over HTTP", "cancelled"), ("local", "completed")]:
        problems.append(f"the server sees {seen}")
    server.send_signal(signal.SIGTERM)
    code, _, err = place.finish(server)
    return problems + differences("weir serve", (0, ""), (code, err))


def test_serve_flags(place):
    """flags of weir serve win over STEPFLOW_ variables, and these over defaults"""
    problems = []
    env = environment(STEPFLOW_HOST="127.0.0.2", STEPFLOW_PORT="0", STEPFLOW_STORAGE_PATH="elsewhere")
    for args, host, storage in (([], "127.0.0.2", "elsewhere"), (["--host", "127.0.0.1"], "127.0.0.1", "elsewhere"),
                                (["--listen", "127.0.0.1:0", "--storage", "here"], "127.0.0.1", "here")):
        server, address, path = serve(place, *args, env=env)
        server.send_signal(signal.SIGTERM)
        code, _, err = place.finish(server)
        if code != 0 or err or not address.startswith(f"http://{host}:") or path != str(place.path / storage):
            problems.append(f"{args}: {address}, {path}, exit code {code}, {err}")
    return problems


def test_hostile_names(place):
    """names, steps and artifacts cannot forge what is shown"""
    name = "a\x1b[2J\nID  forged\u202e"
    script = place.script("script", "printf 'STEP_START:s\\033[2J\\302\\233tep\\n'\nprintf '\\377\\376 bytes\\n'\n")
    place.weir("run", "-q", "--name", name, "--", script)
    problems = []
    for args in (["runs", "list"], ["runs", "show", only(place)]):
        code, out, err = place.weir(*args)
        bad = [c for c in out if (ord(c) < 32 and c != "\n") or c in "\u202e\u009b"]
        if code != 0 or err or bad or "\nID  forged" in out:
            problems.append(f"{args}: {bad} in {out!r} {err}")
    return problems


def test_stats(place):
    """weir stats describes a store without changing it"""
    process, run = start_script(place, "sleep 600\n")
    code, out, err = place.weir("stats", "--json")
    said = json.loads(out)
    problems = differences("stats --json", (0, ""), (code, err))
    tables = {table["name"]: table["rows"] for table in said["tables"]}
    if tables["executions"] != 1 or said["settings"]["journal_mode"] != "wal":
        problems.append(f"tables are {tables}, settings {said['settings']}")
    if process.pid not in [holder["pid"] for holder in said["processes"]]:
        problems.append(f"process {process.pid} is not among {said['processes']}")
    code, out, err = place.weir("stats", str(place.path / STORAGE))
    problems += differences("stats", (0, ""), (code, err))
    for wanted in (f"{place.path / STORAGE}\n", "\nFiles\n", "\nProcesses\n", "\nTables\n", "\nSettings\n", "\nHealth\n"):
        if wanted not in out:
            problems.append(f"{wanted!r} is not in\n{out}")
    process.send_signal(signal.SIGINT)
    place.finish(process)
    database = place.path / "plain.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    before = database.read_bytes()
    code, out, err = place.weir("stats", "plain.db", "--json")
    if code != 0 or json.loads(out)["settings"]["journal_mode"] != "delete" or database.read_bytes() != before or \
            sorted(p.name for p in place.path.glob("plain.db*")) != ["plain.db"]:
        problems.append(f"plain.db: exit code {code}, {out}{err}, {sorted(place.path.glob('plain.db*'))}")
    (place.path / "text").write_text("no database at all, but long enough to have had a header, had it been one\n" * 20,
                                     encoding="utf-8")
    code, out, err = place.weir("stats", "text")
    if code != 1 or out or not err.startswith("weir: "):
        problems.append(f"a text file: exit code {code}, {out}{err}")
    (place.path / "folder").mkdir()
    return problems + place.check(["stats", "folder"],
                                  (1, "", "weir: folder is a folder without database/stepflow.db: name a database file, "
                                          "or the storage folder of weir run or weir serve\n"))


def test_stats_log(place):
    """weir stats counts frames in the log, moved and pinned, and names who pins them"""
    path = place.path / "app.db"
    writer = sqlite3.connect(path, isolation_level=None)
    for sql in ("PRAGMA journal_mode = wal", "CREATE TABLE t (a)", "PRAGMA wal_checkpoint(PASSIVE)", "INSERT INTO t VALUES (1)"):
        writer.execute(sql).fetchall()
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    writer.execute("INSERT INTO t VALUES (2)")
    code, out, err = place.weir("stats", "app.db", "--json")
    said = json.loads(out)
    problems = differences("stats", (0, ""), (code, err))
    frames = (os.stat(f"{path}-wal").st_size - 32) // (24 + 4096)
    if said["log"] != {"frames": 2, "moved": 0, "pinned": 1} or frames < 2:
        problems.append(f"log is {said['log']}, the file has {frames} frames")
    mine = [holder for holder in said["processes"] if holder["pid"] == os.getpid()]
    if not mine or not any(lock.startswith("READ") for lock in mine[0]["shared"]) or "python" not in mine[0]["command"]:
        problems.append(f"processes are {said['processes']}")
    reader.close()
    writer.close()
    return problems


if __name__ == "__main__":
    sys.exit(run_tests(Tap(), [test_a_script, test_logs, test_plain_output_shows_lines, test_exit_codes, test_json_events,
                               test_list_filters, test_ids, test_last, test_cancel_of_another_process, test_follow, test_two_at_once,
                               test_signals, test_reader_goes_away, test_full_disk, test_cancel_on_full_disk,
                               test_leave_full_disk, test_start_hints,
                               test_cleanup, test_repair, test_storage, test_storage_that_cannot_be, test_beside_serve, test_serve_flags,
                               test_hostile_names, test_stats, test_stats_log]))
