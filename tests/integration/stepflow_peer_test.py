#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One storage folder, two programs: what StepFlow Monitor writes, Weir opens unchanged, and the other way round."""

import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

TESTS = Path(os.environ.get("WEIR_SOURCE", Path(__file__).resolve().parents[2])) / "tests"
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "cli")]

from stepflow import StepFlow  # noqa: E402
from tap import Tap  # noqa: E402
from weir import run_tests, wait_for  # noqa: E402

E1, E2 = "0b5f2a4e-0000-4000-8000-000000000001", "0b5f2a4e-0000-4000-8000-000000000002"
S1, S2 = "5e7e0000-0000-4000-8000-000000000001", "5e7e0000-0000-4000-8000-000000000002"
A1 = "a57f0000-0000-4000-8000-000000000001"
START = datetime(2025, 8, 1, 17, 30, 0)  # no microseconds: written with 19 characters


def at(seconds):
    """A time after START."""
    return START + timedelta(seconds=seconds)


def fill(peer):
    """Two finished executions as the peer leaves them; the first one's second step is stale."""
    peer.save_execution(id=E1, name="Déploy \U0001F600", command="./deploy.sh --all", working_directory=".",
                        status="completed", exit_code=0, created_at=START, started_at=at(1), completed_at=at(3.5),
                        environment={"LANG": "ä"}, tags=["x", "y"], total_steps=3, completed_steps=1,
                        current_step_index=1, metadata={"k": "v", "n": float("nan")})
    peer.save_step(id=S1, execution_id=E1, name="Build", index=0, status="completed", exit_code=0, created_at=at(1),
                   started_at=at(1), completed_at=at(2), estimated_duration=60, stop_on_error=True,
                   metadata={"duration": 60, "stop_on_error": True},
                   logs=[(at(1), "compiling"), (at(1.25), "dönë [ok] 100%")])
    peer.save_step(id=S2, execution_id=E1, name="Test", index=1, status="running", created_at=at(2),
                   started_at=at(2.000001), stop_on_error="yes", estimated_duration="60s")
    folder = peer.root / "artifacts" / E1
    folder.mkdir()
    (folder / f"{A1}_report.json").write_text("{}")
    peer.save_artifact(id=A1, execution_id=E1, step_id=S1, name="report.json", description="the report",
                       file_path=f"storage/artifacts/{E1}/{A1}_report.json", file_name="report.json", file_size=2,
                       mime_type="application/json", created_at=at(2), retention_days=7)
    peer.save_execution(id=E2, name="n", command="c", status="failed", exit_code=-15, error_message="oh",
                        created_at=at(10))


def ask(place, *args):
    """Run the command, which must succeed, and read its JSON."""
    code, out, err = place.weir(*args, "--json")
    assert code == 0, f"weir {' '.join(args)}: exit code {code}\n{out}{err}"
    return json.loads(out)


def compare(wanted, got, what):
    """Return a problem for each key of `wanted` that differs."""
    return [f"{what}: {key} is {got.get(key)!r} and should be {value!r}"
            for key, value in wanted.items() if got.get(key) != value]


def test_folder_opens(place):
    """Weir shows what StepFlow Monitor wrote"""
    peer = StepFlow(place.path / "storage")
    fill(peer)
    listed = ask(place, "runs", "list")["executions"]
    problems = [] if [e["id"] for e in listed] == [E2, E1] else [f"listed: {listed}"]
    shown = ask(place, "runs", "show", E1)
    problems += compare(
        {"name": "Déploy \U0001F600", "command": "./deploy.sh --all", "status": "completed", "exit_code": 0,
         "created_at": "2025-08-01T17:30:00.000000", "completed_at": "2025-08-01T17:30:03.500000",
         "environment": {"LANG": "ä"}, "tags": ["x", "y"], "metadata": {"k": "v", "n": None}, "user": "",
         "duration_seconds": 2.5, "progress_percentage": 1 / 3 * 100}, shown["execution"], "execution")
    build, test = shown["steps"]
    problems += compare({"id": S1, "estimated_duration": 60.0, "stop_on_error": True, "is_finished": True,
                         "duration_seconds": 1.0}, build, "first step")
    problems += compare({"id": S2, "status": "running", "estimated_duration": None, "stop_on_error": True,
                         "is_finished": False}, test, "second step")
    problems += compare({"id": A1, "exists": True, "file_size": 2, "retention_days": 7, "is_expired": True},
                        shown["artifacts"][0], "artifact")
    code, out, err = place.weir("runs", "logs", E1, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    wanted = [("2025-08-01T17:30:01.000000", "compiling", "Build"),
              ("2025-08-01T17:30:01.250000", "dönë [ok] 100%", "Build")]
    if code or [(x["timestamp"], x["content"], x["step_name"]) for x in lines] != wanted:
        problems.append(f"logs: exit code {code}\n{out}{err}")
    peer.close()
    return problems


def test_unchanged(place):
    """looking at a folder and running scripts in it leave the peer's rows, tables and files as they were"""
    peer = StepFlow(place.path / "storage")
    fill(peer)
    before, schema = peer.dump(), peer.schema()
    files = {path: path.read_bytes() for path in peer.root.rglob("*")
             if path.is_file() and "stepflow.db" not in path.name}
    ask(place, "runs", "list")
    ask(place, "runs", "show", E1)
    code, out, err = place.weir("run", "--", "true")
    assert code == 0, out + err
    after = peer.dump()
    problems = [f"{table}: {rows} became {after[table]}" for table, rows in before.items()
                if after[table][:len(rows)] != rows]
    if peer.schema() != schema:
        problems.append(f"schema: {schema} became {peer.schema()}")
    problems += [f"{path} changed" for path, content in files.items() if path.read_bytes() != content]
    peer.close()
    return problems


SCRIPT = """echo 'before any step'
echo 'STEP_START:Büild [duration=1.5] [stop_on_error=true]'
echo '   indented'
printf 'not \\377 utf-8\\n'
echo 'META:colour:röt'
echo hello > out.txt
echo 'ARTIFACT:out.txt:the output'
echo 'STEP_COMPLETE:Büild'
echo 'STEP_START:Second'
exit 3
"""


def test_peer_reads_ours(place):
    """StepFlow Monitor reads by position what Weir wrote"""
    place.script("s.sh", SCRIPT)
    code, out, err = place.weir("run", "--name", "ours \U0001F600", "--env", "K=ü", "--", "./s.sh")
    assert code == 3, f"exit code {code}\n{out}{err}"
    peer = StepFlow(place.path / "storage")
    (run,) = peer.executions()
    problems = compare({"name": "ours \U0001F600", "command": "./s.sh", "status": "failed", "exit_code": 3,
                        "total_steps": 2, "current_step_index": 1, "tags": [], "metadata": {}}, run, "execution")
    if run["environment"].get("K") != "ü" or not run["created_at"] <= run["started_at"] <= run["completed_at"]:
        problems.append(f"execution: {run}")
    steps = peer.steps(run["id"])
    problems += compare({"name": "Büild", "index": 0, "status": "completed", "exit_code": 0, "stop_on_error": True,
                         "estimated_duration": 1.5, "metadata": {"duration": 1.5, "stop_on_error": True,
                                                                  "colour": "röt"}}, steps[0], "first step")
    problems += compare({"name": "Second", "index": 1, "status": "failed", "exit_code": 3}, steps[1], "second step")
    # The reader strips a line's ends, so the indentation survives behind the time.
    contents = [content for _, content in steps[0]["logs"]]
    if contents != ["  indented".rjust(11), "not \ufffd utf-8"]:
        problems.append(f"logs: {contents}")
    (artifact,) = peer.artifacts(run["id"])
    problems += compare({"name": "out.txt", "description": "the output", "file_name": "out.txt", "file_size": 6,
                         "mime_type": "text/plain", "artifact_type": "other", "step_id": steps[0]["id"],
                         "file_path": f"storage/artifacts/{run['id']}/{artifact['id']}_out.txt"}, artifact, "artifact")
    if (place.path / artifact["file_path"]).read_text() != "hello\n":
        problems.append("the artifact's copy differs")
    peer.close()
    return problems


def test_odd_rows(place):
    """one odd row hides no other"""
    peer = StepFlow(place.path / "storage")
    fill(peer)
    peer.db.execute("INSERT INTO executions (id, name, command, status, created_at, exit_code, environment, tags) "
                    "VALUES ('odd', CAST(x'FF' AS TEXT), '', 'paused', 'yesterday', 'x', '{', '{}')")
    peer.db.execute("INSERT INTO steps (id, execution_id, name, step_index, status, created_at, metadata) "
                    "VALUES ('odd-step', ?, '', 'ninth', 'odd', '', '[')", (E1,))
    peer.db.commit()
    listed = {e["id"]: e for e in ask(place, "runs", "list")["executions"]}
    problems = [] if set(listed) == {E1, E2, "odd"} else [f"listed: {sorted(listed)}"]
    problems += compare({"status": "paused", "environment": {}, "tags": [], "created_at": None}, listed["odd"], "odd")
    steps = ask(place, "runs", "show", E1)["steps"]
    if len(steps) != 3:
        problems.append(f"{len(steps)} steps are shown of 3")
    peer.close()
    return problems


def test_old_database(place):
    """an old database without steps.stop_on_error is rebuilt, and StepFlow Monitor can save steps again"""
    peer = StepFlow(place.path / "storage", old=True)
    peer.db.execute("INSERT INTO executions (id, name, command, status, created_at) VALUES (?, '', '', 'completed', ?)",
                    (E1, START.isoformat()))
    peer.db.execute("INSERT INTO steps (id, execution_id, name, step_index, status, created_at, metadata) "
                    "VALUES (?, ?, 'old', 0, 'completed', ?, '{\"k\": 1}')", (S1, E1, START.isoformat()))
    peer.db.commit()
    peer.close()
    code, out, err = place.weir("run", "--", "true")
    assert code == 0, out + err
    peer = StepFlow(place.path / "storage")
    peer.save_step(id=S2, execution_id=E1, name="new", index=1, status="completed", created_at=START,
                   stop_on_error=True, metadata={"k": 2})
    steps = peer.steps(E1)
    problems = [] if len(steps) == 2 else [f"{len(steps)} steps, not 2"]
    for step, name, stop, k in zip(steps, ("old", "new"), (False, True), (1, 2)):
        problems += compare({"name": name, "stop_on_error": stop, "metadata": {"k": k}}, step, "step")
    if len(list((peer.root / "database").glob("stepflow.db.bak-*"))) != 1:
        problems.append("there is not one backup copy")
    peer.close()
    return problems


def run_at_once(place, count):
    """Start so many commands together; return a problem for each that failed."""
    started = [place.start("run", "--name", f"n{i}", "--", "true") for i in range(count)]
    done = [place.finish(process) for process in started]
    return [f"exit code {code}\n{out}{err}" for code, out, err in done if code]


def test_new_folder_at_once(place):
    """several commands may make the same new folder together"""
    problems = run_at_once(place, 6)
    peer = StepFlow(place.path / "storage")
    states = [e["status"] for e in peer.executions()]
    if states != ["completed"] * 6:
        problems.append(f"recorded: {states}")
    peer.close()
    return problems


def test_old_database_at_once(place):
    """several commands may meet an old database together: it is rebuilt once, and no row is lost or doubled"""
    peer = StepFlow(place.path / "storage", old=True)
    peer.db.executemany("INSERT INTO steps (id, execution_id, name, step_index, status, created_at, metadata) "
                        "VALUES (?, 'e', 'old', ?, 'completed', ?, '{}')",
                        [(f"step-{i}", i, START.isoformat()) for i in range(2000)])
    peer.db.commit()
    peer.close()
    problems = run_at_once(place, 4)
    peer = StepFlow(place.path / "storage")
    columns = [row[1] for row in peer.db.execute("PRAGMA table_info(steps)")]
    if columns[-2:] != ["stop_on_error", "metadata"] or len(columns) != 14:
        problems.append(f"columns: {columns}")
    if len(peer.steps("e")) != 2000:
        problems.append(f"{len(peer.steps('e'))} steps, not 2000")
    if not list((peer.root / "database").glob("stepflow.db.bak-*")):
        problems.append("there is no backup copy")
    peer.close()
    return problems


def test_both_at_once(place):
    """StepFlow Monitor saves while a script runs under Weir, in the same database"""
    place.script("s.sh", "echo STEP_START:Wait\ntouch started\nuntil [ -e go ]; do sleep 0.01; done\necho done\n")
    process = place.start("run", "--", "./s.sh")
    wait_for((place.path / "started").exists, "the script's start")
    peer = StepFlow(place.path / "storage")
    running = wait_for(lambda: [e for e in peer.executions() if e["status"] == "running"], "the running row")
    for i in range(50):
        peer.save_execution(id=f"peer-{i}", name="p", command="c", status="completed", created_at=at(i))
    (place.path / "go").touch()
    code, out, err = place.finish(process)
    assert code == 0, out + err
    rows = {e["id"]: e for e in peer.executions()}
    problems = [] if len(rows) == 51 else [f"{len(rows)} executions, not 51"]
    problems += compare({"status": "completed", "exit_code": 0, "total_steps": 1, "completed_steps": 1},
                        rows[running[0]["id"]], "ours")
    peer.close()
    return problems


def test_repair(place):
    """repair settles the peer's stale step, and nothing but repair does"""
    peer = StepFlow(place.path / "storage")
    fill(peer)
    ask(place, "runs", "list")
    code, out, err = place.weir("run", "--", "true")
    assert code == 0, out + err
    problems = compare({"status": "running"}, peer.steps(E1)[1], "before")
    code, out, err = place.weir("runs", "repair")
    assert code == 0, out + err
    problems += compare({"status": "completed", "exit_code": 0, "completed_at": at(3.5)}, peer.steps(E1)[1], "after")
    problems += compare({"completed_steps": 2}, next(e for e in peer.executions() if e["id"] == E1), "execution")
    peer.close()
    return problems


if __name__ == "__main__":
    sys.exit(run_tests(Tap(), [test_folder_opens, test_unchanged, test_peer_reads_ours, test_odd_rows,
                               test_old_database, test_new_folder_at_once, test_old_database_at_once,
                               test_both_at_once, test_repair]))
