#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every route of `weir serve` that reads or removes, on a storage folder as StepFlow Monitor leaves it. Prints TAP."""

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from server import Server, equal, run_tests, wait_until

SCHEMA = """
CREATE TABLE executions (id TEXT PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL, working_directory TEXT,
  status TEXT NOT NULL, exit_code INTEGER, error_message TEXT, created_at TEXT NOT NULL, started_at TEXT,
  completed_at TEXT, environment TEXT, user_name TEXT, tags TEXT, total_steps INTEGER DEFAULT 0,
  completed_steps INTEGER DEFAULT 0, current_step_index INTEGER DEFAULT -1, metadata TEXT);
CREATE TABLE steps (id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT,
  step_index INTEGER NOT NULL, status TEXT NOT NULL, exit_code INTEGER, error_message TEXT, created_at TEXT NOT NULL,
  started_at TEXT, completed_at TEXT, estimated_duration REAL, stop_on_error BOOLEAN DEFAULT 0, metadata TEXT,
  FOREIGN KEY (execution_id) REFERENCES executions (id));
CREATE TABLE artifacts (id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, step_id TEXT, name TEXT NOT NULL,
  description TEXT, file_path TEXT NOT NULL, file_name TEXT, file_size INTEGER DEFAULT 0, mime_type TEXT,
  artifact_type TEXT, created_at TEXT NOT NULL, tags TEXT, is_public BOOLEAN DEFAULT 1, retention_days INTEGER,
  metadata TEXT, FOREIGN KEY (execution_id) REFERENCES executions (id), FOREIGN KEY (step_id) REFERENCES steps (id));
"""
CONTENT = bytes(range(256)) * 40
EXECUTION_KEYS = ["id", "name", "command", "working_directory", "status", "exit_code", "error_message", "created_at",
                  "started_at", "completed_at", "environment", "user", "tags", "total_steps", "completed_steps",
                  "current_step_index", "duration_seconds", "progress_percentage", "metadata"]
STEP_KEYS = ["id", "execution_id", "name", "description", "index", "status", "exit_code", "error_message", "created_at",
             "started_at", "completed_at", "estimated_duration", "duration_seconds", "logs", "metadata", "is_finished"]
ARTIFACT_KEYS = ["id", "execution_id", "step_id", "name", "description", "file_path", "file_name", "file_size",
                 "file_size_human", "mime_type", "artifact_type", "file_extension", "created_at", "tags", "metadata",
                 "is_public", "retention_days", "exists", "download_url", "is_expired"]


def fill(storage):
    """Twelve executions, oldest first run-0; run-11 has two steps with logs and two artifacts."""
    for name in ("database", "executions/run-11", "artifacts/run-11"):
        (storage / name).mkdir(parents=True)
    base = sqlite3.connect(storage / "database/stepflow.db")
    base.executescript(SCHEMA)
    for i in range(12):
        status = "failed" if i % 4 == 3 else "completed"
        user = "ada" if i % 2 else None
        base.execute("INSERT INTO executions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                     (f"run-{i}", f"name <{i}>", "true", ".", status, 0, None, f"2025-08-01T17:30:{i:02}.000001",
                      f"2025-08-01T17:30:{i:02}.000001", f"2025-08-01T17:31:{i:02}.000001", '{"K": "v"}', user,
                      '["t"]', 2, 2, 1, "{}"))
    for i in range(2):
        base.execute("INSERT INTO steps VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                     (f"step-{i}", "run-11", f"step {i}", "", i, "completed", 0, None, "2025-08-01T17:30:11.000001",
                      "2025-08-01T17:30:11.000001", "2025-08-01T17:30:12.000001", None, 0, "{}"))
        lines = "".join(f"[2025-08-01T17:30:11.{i:02}{n:04}] line {n} of {i}\n" for n in range(2500 if i == 0 else 3))
        (storage / f"executions/run-11/step_{i}_step-{i}.log").write_text(lines)
    for i, name in enumerate(('a "ré".bin', "gone.txt")):
        path = storage / f"artifacts/run-11/art-{i}_{name}"
        base.execute("INSERT INTO artifacts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                     (f"art-{i}", "run-11", "step-0", name, "", str(path), name, len(CONTENT),
                      "application/octet-stream" if i == 0 else "text/plain", "other",
                      f"2025-08-01T17:30:1{i}.000001", "[]", 1, None, "{}"))
        if i == 0:
            path.write_bytes(CONTENT)
    base.commit()
    base.close()


class Filled(Server):
    """A server on such a folder."""

    def __init__(self, *flags, **more):
        self.folder = tempfile.mkdtemp(prefix="weir-api-")
        fill(Path(self.folder) / "storage")
        super().__init__(*flags, storage=Path(self.folder) / "storage", **more)

    def __exit__(self, *args):
        super().__exit__(*args)
        shutil.rmtree(self.folder, ignore_errors=True)


def ids(answer):
    equal(answer.status, 200, answer)
    return [execution["id"] for execution in answer.json()["executions"]]


def the_list_is_newest_first_with_limit_and_offset():
    with Filled() as server:
        answer = server.get("/api/executions?limit=3&offset=1").json()
        equal([e["id"] for e in answer["executions"]], ["run-10", "run-9", "run-8"], "page")
        equal({k: answer[k] for k in ("limit", "offset", "count", "status")},
              {"limit": 3, "offset": 1, "count": 3, "status": 200}, "rest")
        equal(list(answer["executions"][0])[:len(EXECUTION_KEYS)], EXECUTION_KEYS, "keys")
        equal(server.get("/api/executions").json()["limit"], 50, "default")
        equal(server.get("/api/executions?limit=1000").json()["limit"], 200, "capped")
        equal(ids(server.get("/api/executions?limit=0")), [], "none")
        equal(ids(server.get("/api/executions?limit=-4")), [], "below none")
        equal(len(ids(server.get("/api/executions?offset=-4"))), 12, "offset below 0")
        equal(ids(server.get("/api/executions?limit=&status=&user="))[0], "run-11", "empty is not given")
        for wrong in ("limit=x", "offset=1.5", "limit=99999999999999999999", "total=maybe", "cursor=nonsense"):
            equal(server.get(f"/api/executions?{wrong}").status, 400, wrong)


def the_list_filters_and_pages_by_cursor():
    with Filled() as server:
        equal(ids(server.get("/api/executions?status=failed")), ["run-11", "run-7", "run-3"], "status")
        equal(len(ids(server.get("/api/executions?user=ada"))), 6, "user")
        equal(ids(server.get("/api/executions?status=failed&user=bob")), [], "both")
        answer = server.get("/api/executions?status=Failed")
        equal((answer.status, answer.json()["error"]), (400, "Invalid status: Failed"), "exact words")
        seen, cursor = [], ""
        while cursor is not None:
            page = server.get(f"/api/executions?limit=5&total=1&cursor={cursor}").json()
            equal(page["total"], 12, "total")
            seen += [e["id"] for e in page["executions"]]
            cursor = page["next_cursor"]
        equal(seen, [f"run-{i}" for i in range(11, -1, -1)], "all, once")


def detail_has_steps_logs_and_artifacts():
    with Filled() as server:
        detail = server.get("/api/executions/run-11").json()
        equal(detail["status"], 200, "")
        equal(detail["execution"]["duration_seconds"], 60.0, "duration")
        equal([s["id"] for s in detail["steps"]], ["step-0", "step-1"], "steps")
        step = detail["steps"][0]
        equal(list(step)[:len(STEP_KEYS)], STEP_KEYS, "keys of a step")
        equal((len(step["logs"]), step["log_count"], step["logs_truncated"]), (2000, 2500, True), "the tail")
        equal(step["logs"][-1]["content"], "line 2499 of 0", "last line")
        equal(list(detail["artifacts"][0])[:len(ARTIFACT_KEYS)], ARTIFACT_KEYS, "keys of an artifact")
        equal([a["exists"] for a in detail["artifacts"]], [True, False], "exists")
        for logs, count in (("all", 2500), ("none", 0), ("tail:7", 7), ("tail:0", 0)):
            steps = server.get(f"/api/executions/run-11?logs={logs}").json()["steps"]
            equal(len(steps[0]["logs"]), count, logs)
        for wrong in ("some", "tail:", "tail:x", "tail:-1", "tail:99999999999"):
            equal(server.get(f"/api/executions/run-11?logs={wrong}").status, 400, wrong)
        answer = server.get("/api/executions/none")
        equal((answer.status, answer.json()), (404, {"error": "Execution not found", "status": 404}), "unknown")


def logs_come_whole_or_in_part():
    with Filled() as server:
        answer = server.get("/api/executions/run-11/logs").json()
        equal((len(answer["logs"]), answer["execution_id"], answer["total"]), (2503, "run-11", 2503), "all")
        line = answer["logs"][0]
        equal((line["content"], line["message"], line["level"], line["step_id"], line["step_name"]),
              ("line 0 of 0", "line 0 of 0", "info", "step-0", "step 0"), "a line")
        answer = server.get("/api/executions/run-11/logs?step_id=step-1").json()
        equal(([l["content"] for l in answer["logs"]], answer["step_id"]),
              (["line 0 of 1", "line 1 of 1", "line 2 of 1"], "step-1"), "a step")
        part = server.get("/api/executions/run-11/logs?step_id=step-0&offset=10&limit=2").json()
        equal([l["content"] for l in part["logs"]], ["line 10 of 0", "line 11 of 0"], "part")
        part = server.get("/api/executions/run-11/logs?step_id=step-0&tail=1").json()
        equal([l["content"] for l in part["logs"]], ["line 2499 of 0"], "tail")
        for none in ("limit=0", "tail=0", "limit=-1", "offset=99999"):
            part = server.get(f"/api/executions/run-11/logs?step_id=step-0&{none}").json()
            equal((part["logs"], part["total"]), ([], 2500), none)
        for target, error in (("run-11/logs?step_id=none", "Step not found"), ("none/logs", "Execution not found"),
                              ("none/logs?step_id=step-1", "Execution not found")):
            answer = server.get(f"/api/executions/{target}")
            equal((answer.status, answer.json()["error"]), (404, error), target)
        equal(server.get("/api/executions/run-11/logs?limit=x").status, 400, "limit")


def large_logs_do_not_live_in_memory():
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"  # freed memory must not count
    with Filled(environment={"ASAN_OPTIONS": sanitizer}) as server:
        path = server.storage / "executions/run-11/step_0_step-0.log"
        with path.open("w") as log:
            for n in range(400_000):
                log.write(f"[2025-08-01T17:30:11.000001] {n} {'x' * 60}\n")
        before = peak_kib(server)
        answer = server.get("/api/executions/run-11/logs?step_id=step-0")
        equal((answer.status, len(answer.json()["logs"])), (200, 400_000), "all of it")
        grown = peak_kib(server) - before
        assert len(answer.body) > 80e6, len(answer.body)
        if os.environ.get("WEIR_SANITIZE", "none") == "none":  # a sanitizer keeps freed memory for a while
            assert grown < 30_000, f"{grown} KiB for an answer of {len(answer.body)} bytes"
        left = [entry for entry in server.storage.iterdir() if entry.name not in ("database", "executions", "artifacts")]
        equal(left, [], "nothing is left behind")


def long_lines_do_not_live_in_memory_either():
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    with Filled(environment={"ASAN_OPTIONS": sanitizer}) as server:
        with (server.storage / "executions/run-11/step_0_step-0.log").open("w") as log:
            for _ in range(150):
                log.write(f"[2025-08-01T17:30:11.000001] {'x' * 500_000}\n")
        before = peak_kib(server)
        step = server.get("/api/executions/run-11").json()["steps"][0]
        grown = peak_kib(server) - before
        equal((len(step["logs"]), step["log_count"], step["log_offset"], step["logs_truncated"]), (150, 150, 0, False), "")
        assert grown < 30_000, f"{grown} KiB for 75 MB of lines"


def peak_kib(server):
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


def statistics_and_active_have_their_shapes():
    with Filled() as server:
        answer = server.get("/api/executions/statistics").json()
        equal((answer["total_executions"], answer["active_now"], answer["success_rate"], answer["avg_duration"]),
              (12, 0, "75.0%", "60.0s"), "statistics")
        equal((answer["status_breakdown"]["completed"], answer["status_breakdown"]["failed"]), (9, 3), "breakdown")
        answer = server.get("/api/executions/active").json()
        equal(answer, {"active_executions": [], "executions": [], "count": 0, "status": 200}, "active")


def artifacts_are_listed_and_shown():
    with Filled() as server:
        answer = server.get("/api/artifacts/art-0").json()
        equal((answer["status"], answer["artifact"]["file_name"]), (200, 'a "ré".bin'), "one")
        equal(answer["artifact"]["download_url"], "/api/artifacts/art-0/download", "url")
        answer = server.get("/api/artifacts/execution/run-11").json()
        equal(([a["id"] for a in answer["artifacts"]], answer["execution_id"], answer["count"], answer["status"]),
              (["art-0", "art-1"], "run-11", 2, 200), "of a run")
        equal(server.get("/api/artifacts/execution/none").json()["count"], 0, "of none")
        answer = server.get("/api/artifacts/none")
        equal((answer.status, answer.json()), (404, {"error": "Artifact not found", "status": 404}), "unknown")


def files_are_downloaded_whole_and_in_ranges():
    with Filled() as server:
        url = "/api/artifacts/art-0/download"
        answer = server.get(url)
        equal((answer.status, answer.body == CONTENT), (200, True), "whole")
        equal(answer.headers["Content-Type"], "application/octet-stream", "type")
        equal(answer.headers["Content-Disposition"],
              "attachment; filename=\"a _r___.bin\"; filename*=UTF-8''a%20%22r%C3%A9%22.bin",
              "disposition")
        equal(answer.headers["X-Content-Type-Options"], "nosniff", "nosniff")
        for header, part, content_range in (("bytes=0-9", CONTENT[:10], "bytes 0-9/10240"),
                                            ("bytes=10000-", CONTENT[10000:], "bytes 10000-10239/10240"),
                                            ("bytes=-5", CONTENT[-5:], "bytes 10235-10239/10240")):
            got = server.get(url, Range=header)
            equal((got.status, got.body, got.headers["Content-Range"]), (206, part, content_range), header)
        got = server.get(url, Range="bytes=10240-")
        equal((got.status, got.headers["Content-Range"], got.json()["status"]), (416, "bytes */10240", 416), "beyond")
        equal(server.get(url, Range="bytes=5-1").status, 200, "nonsense is ignored")
        etag, modified = answer.headers["ETag"], answer.headers["Last-Modified"]
        equal(server.get(url, If_None_Match=etag).status, 304, "same tag")
        equal(server.get(url, If_None_Match='"other"').status, 200, "another tag")
        equal(server.get(url, If_Modified_Since=modified).status, 304, "not modified")
        equal(server.get(url, Range="bytes=0-0", If_Range=etag).status, 206, "same file")
        equal(server.get(url, Range="bytes=0-0", If_Range='"old"').status, 200, "another file")
        head = server.ask("HEAD", url)
        equal((head.status, head.headers["Content-Length"], head.body), (200, "10240", b""), "HEAD")


def files_that_are_missing_have_their_words():
    with Filled() as server:
        for target, error in (("/api/artifacts/none/download", "Artifact not found"),
                              ("/api/artifacts/art-1/download", "Artifact file not found")):
            answer = server.get(target)
            equal((answer.status, answer.json()), (404, {"error": error, "status": 404}), target)


def only_stored_copies_leave_the_folder():
    with Filled() as server:
        url = "/storage/artifacts/run-11/art-0_a%20%22r%C3%A9%22.bin"
        answer = server.get(url)
        equal((answer.status, answer.body == CONTENT), (200, True), "the copy")
        assert answer.headers["Content-Disposition"].startswith("attachment"), answer.headers
        (server.storage / "artifacts/run-11/other.txt").write_text("no row")
        (server.storage / "artifacts/run-11/art-2_link").symlink_to("/etc/passwd")
        base = sqlite3.connect(server.storage / "database/stepflow.db")
        for name, path in (("art-2", server.storage / "artifacts/run-11/art-2_link"), ("art-3", "/etc/passwd")):
            base.execute("INSERT INTO artifacts (id, execution_id, name, file_path, created_at) VALUES (?,?,?,?,?)",
                         (name, "run-11", "x", str(path), "2025-08-01T17:30:11.000001"))
        base.commit()
        base.close()
        for target in ("/storage/artifacts/run-11/other.txt", "/storage/artifacts/run-11/..",
                       "/storage/artifacts/run-11/..%2f..%2fdatabase%2fstepflow.db", "/storage/database/stepflow.db",
                       "/storage/artifacts/../database/stepflow.db", "/storage/artifacts/run-11/art-2_link",
                       "/api/artifacts/art-2/download", "/api/artifacts/art-3/download"):
            equal(server.get(target).status, 404, target)


def health_is_a_real_probe():
    with Filled() as server:
        answer = server.get("/api/health")
        body = answer.json()
        equal((answer.status, list(body)[:3], body["status"], body["service"]),
              (200, ["status", "service", "timestamp"], "healthy", "StepFlow Monitor"), "healthy")
        assert body["components"]["database"]["write_ms"] > 0, body
        base = sqlite3.connect(server.storage / "database/stepflow.db", isolation_level=None)
        base.execute("BEGIN IMMEDIATE")
        answer = wait_until(lambda: (lambda a: a if a.status != 200 else None)(server.get("/api/health")), "unhealthy")
        equal((answer.status, answer.json()["status"]), (503, "unhealthy"), "another process keeps the write lock")
        equal(len(ids(server.get("/api/executions"))), 12, "reads go on")
        base.execute("ROLLBACK")
        base.close()
        wait_until(lambda: server.get("/api/health").status == 200, "healthy again")


def status_metrics_database_and_store_have_their_shapes():
    with Filled() as server:
        status = server.get("/api/health/status").json()
        equal(sorted(status), ["database", "services", "status", "system", "timestamp"], "status")
        equal(status["database"], {"total_executions": 12, "running_executions": 0, "completed_executions": 9,
                                   "failed_executions": 3}, "counts")
        assert 0 < status["system"]["memory_percent"] < 100, status
        metrics = server.get("/api/health/metrics").json()
        for key in ("database_size_bytes", "database_size_mb", "wal_size_bytes", "shm_size_bytes", "total_size_mb",
                    "table_counts", "wal_mode", "cache_size", "page_size", "storage_path"):
            assert key in metrics["database"], (key, metrics)
        equal(metrics["database"]["table_counts"], {"executions": 12, "steps": 2, "artifacts": 2}, "tables")
        assert metrics["system"]["open_connections"] >= 1 and metrics["uptime_seconds"] > 0, metrics
        database = server.get("/api/health/database").json()
        equal((database["total_executions"], database["total_steps"], database["total_artifacts"],
               database["oldest_execution"], database["newest_execution"]),
              (12, 2, 2, "2025-08-01T17:30:00.000001", "2025-08-01T17:30:11.000001"), "database")
        store = server.get("/api/store").json()
        equal((store["status"], isinstance(store["findings"], list)), (200, True), "store")
        assert store["store"], store


def optimizing_reports_what_it_did():
    with Filled() as server:
        answer = server.post("/api/health/optimize")
        equal((answer.status, answer.json()["status"], answer.json()["intact"], answer.json()["check"]),
              (200, "optimization_completed", True, "ok"), answer)
        assert "database_size_bytes" in answer.json()["metrics"], answer
        equal(server.post("/api/health/optimize?full=maybe").status, 400, "")


def executions_are_deleted_with_their_files():
    with Filled() as server:
        answer = server.ask("DELETE", "/api/executions/run-11")
        equal((answer.status, answer.json()), (200, {"message": "Execution deleted successfully", "status": 200}), "")
        for target in ("/api/executions/run-11", "/api/artifacts/art-0", "/api/executions/run-11/logs"):
            equal(server.get(target).status, 404, target)
        wait_until(lambda: not (server.storage / "artifacts/run-11").exists(), "its files are removed")
        answer = server.ask("DELETE", "/api/executions/run-11")
        equal((answer.status, answer.json()["error"]), (404, "Execution not found"), "again")


def secrets_that_others_stored_are_kept_back_too():
    with Filled("--redact", "k") as server:
        execution = server.get("/api/executions/run-5").json()["execution"]
        equal(execution["environment"], {"K": "***"}, "detail")
        equal({e["environment"]["K"] for e in server.get("/api/executions").json()["executions"]}, {"***"}, "list")


def odd_rows_do_not_spoil_a_list():
    with Filled() as server:
        base = sqlite3.connect(server.storage / "database/stepflow.db")
        base.execute("UPDATE executions SET tags='{bad', environment='[1', metadata=NULL, total_steps=NULL, "
                     "started_at='yesterday', status='odd' WHERE id='run-5'")
        base.commit()
        base.close()
        equal(len(ids(server.get("/api/executions"))), 12, "all there")
        execution = server.get("/api/executions/run-5").json()["execution"]
        equal((execution["status"], execution["tags"], execution["environment"], execution["total_steps"]),
              ("odd", [], {}, 0), "as well as it can be")


def text_is_escaped_not_believed():
    with Filled() as server:
        base = sqlite3.connect(server.storage / "database/stepflow.db")
        base.execute("UPDATE executions SET name=CAST(x'ff22003c' AS TEXT), command=? WHERE id='run-5'", ('"\\\x01\u2028',))
        base.commit()
        base.close()
        execution = json.loads(server.get("/api/executions/run-5").body)["execution"]
        equal(execution["command"], '"\\\x01\u2028', "command")
        assert execution["name"].startswith("\ufffd\""), execution["name"]


if __name__ == "__main__":
    sys.exit(run_tests([
        the_list_is_newest_first_with_limit_and_offset,
        the_list_filters_and_pages_by_cursor,
        detail_has_steps_logs_and_artifacts,
        logs_come_whole_or_in_part,
        large_logs_do_not_live_in_memory,
        long_lines_do_not_live_in_memory_either,
        statistics_and_active_have_their_shapes,
        artifacts_are_listed_and_shown,
        files_are_downloaded_whole_and_in_ranges,
        files_that_are_missing_have_their_words,
        only_stored_copies_leave_the_folder,
        health_is_a_real_probe,
        status_metrics_database_and_store_have_their_shapes,
        optimizing_reports_what_it_did,
        executions_are_deleted_with_their_files,
        secrets_that_others_stored_are_kept_back_too,
        odd_rows_do_not_spoil_a_list,
        text_is_escaped_not_believed,
    ]))
