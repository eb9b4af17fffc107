#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs over HTTP, and the server's end: starts, waits, cancels, a thousand at a time, signals, kill -9. Prints TAP."""

import http.client
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from server import PATIENCE, Server, equal, read_answer, run_tests, wait_until

STEPS = """
echo "STEP_START:build [duration=2]"
echo "compiling $THING"
echo "STEP_COMPLETE:build"
echo "STEP_START:pack"
echo packed > out.txt
echo "ARTIFACT:out.txt:the result"
echo "META:version:7"
echo "STEP_COMPLETE:pack"
"""


def start(server, body, target="/api/executions", status=201):
    answer = server.post(target, body)
    equal(answer.status, status, answer)
    return answer.json()


def status_of(server, run):
    return server.get(f"/api/executions/{run}").json()["execution"]["status"]


def wait_for_end(server, run):
    return wait_until(lambda: (lambda s: s if s not in ("pending", "running") else None)(status_of(server, run)),
                      f"the end of {run}")


def a_script_is_complete_in_api_database_and_files():
    with Server() as server, tempfile.TemporaryDirectory(prefix="weir-cwd-") as folder:
        body = {"command": ["sh", "-c", STEPS], "name": "whole", "working_directory": folder, "wait": True,
                "environment": {"THING": "it all"}, "tags": ["a", "b"], "metadata": {"k": [1, None]}, "user": "ada"}
        answer = start(server, body)
        equal((answer["status"], answer["name"], answer["message"]),
              ("completed", "whole", "Execution started successfully"), "answer")
        detail = server.get(f"/api/executions/{answer['id']}").json()
        execution = detail["execution"]
        equal((execution["status"], execution["exit_code"], execution["total_steps"], execution["completed_steps"],
               execution["tags"], execution["metadata"], execution["user"], execution["environment"]),
              ("completed", 0, 2, 2, ["a", "b"], {"k": [1, None]}, "ada", {"THING": "it all"}), "execution")
        equal([(s["name"], s["status"], [l["content"] for l in s["logs"]]) for s in detail["steps"]],
              [("build", "completed", ["compiling it all"]), ("pack", "completed", [])], "steps")
        equal(detail["steps"][1]["metadata"], {"version": "7"}, "metadata")
        artifact, = detail["artifacts"]
        equal(server.get(artifact["download_url"]).body, b"packed\n", "the file")
        base = sqlite3.connect(server.storage / "database/stepflow.db")
        equal(base.execute("SELECT status, exit_code FROM executions").fetchall(), [("completed", 0)], "the row")
        base.close()


def a_start_answers_at_once_and_a_wait_at_the_end():
    with Server() as server:
        answer = start(server, {"command": "sleep 600"})
        assert answer["status"] in ("running", "pending"), answer
        equal(answer["name"], "sleep 600", "name")
        active = server.get("/api/executions/active").json()
        equal((active["count"], active["executions"][0]["id"], "start_time" in active["active_executions"][0]),
              (1, answer["id"], True), "active")
        for target, body in (("/api/executions?wait=1", {"command": "sleep 0.3"}),
                             ("/api/executions", {"command": "sleep 0.3", "wait": True})):
            began = time.monotonic()
            equal(start(server, body, target)["status"], "completed", target)
            assert time.monotonic() - began >= 0.3, "not before its end"
        equal(start(server, {"command": ["sh", "-c", "exit 3"], "wait": True})["status"], "failed", "its status")


def names_follow_the_rules():
    with Server() as server:
        for body, name in (({"command": " true  x"}, " true  x"), ({"command": "true", "name": "n"}, "n"),
                           ({"command": " true  x", "name": ""}, "true x"), ({"command": "true  x", "name": None}, "true x"),
                           ({"command": ["true", "a b"]}, "true a b")):
            equal(start(server, body)["name"], name, body)


def a_start_that_fails_says_so():
    with Server() as server:
        answer = start(server, {"command": "/nonexistent/program", "wait": True})
        equal((answer["status"], answer["execution"]["exit_code"]), ("failed", 1), "no such program")
        assert "No such file" in answer["execution"]["error_message"], answer


def wrong_bodies_are_refused_by_name():
    with Server() as server:
        for body, words in (
            ("", "Invalid JSON"), ("{", "line 1"), ("[]", "JSON object"), ('{"command": "true"} x', "Invalid JSON"),
            ("{}", "Command is required"), ('{"command": ""}', "Command is required"),
            ('{"command": "  "}', "Command is required"), ('{"command": []}', "Command is required"),
            ('{"command": null}', "Command is required"),
            ('{"command": [""]}', "there is no command to run: give a program and its arguments"),
            ('{"command": 7}', "command must be"), ('{"command": ["a", 7]}', "command must be"),
            ('{"command": "a", "command": "b"}', "duplicate"), ('{"command": "a\\u0000b"}', "Invalid JSON"),
            (b'{"command": "\xff"}', "Invalid JSON"), (b'{"command": "a\0b"}', "Invalid JSON"),
            ('{"command": "true \'open"}', ""),
            ('{"command": "a", "name": 7}', "name must be"), ('{"command": "a", "timeout": 0}', "timeout must be"),
            ('{"command": "a", "timeout": "5"}', "timeout must be"), ('{"command": "a", "timeout": 1e30}', "timeout"),
            ('{"command": "a", "environment": []}', "environment must be"),
            ('{"command": "a", "environment": {"A": 1}}', "A must be a string"),
            ('{"command": "a", "environment": {"A=B": "1"}}', "cannot be"),
            ('{"command": "a", "tags": {}}', "tags must be"), ('{"command": "a", "tags": [1]}', "tags must be"),
            ('{"command": "a", "metadata": []}', "metadata must be"), ('{"command": "a", "wait": 1}', "wait must be"),
            ('{"command": "a", "working_directory": 1}', "working_directory must be"),
            ('{"command": ' + "[" * 200 + "]" * 200 + "}", "nested"),
        ):
            answer = server.post("/api/executions", body)
            equal((answer.status, answer.json()["status"]), (400, 400), body)
            assert words in answer.json()["error"], f"{body!r}: {answer.json()['error']!r} lacks {words!r}"
        equal(server.post("/api/executions?wait=perhaps", '{"command": "true"}').status, 400, "wait")
        equal(server.get("/api/executions").json()["count"], 0, "nothing was recorded")


def cancelling_ends_a_run():
    with Server() as server:
        run = start(server, {"command": "sleep 60"})["id"]
        answer = server.post(f"/api/executions/{run}/cancel")
        equal((answer.status, answer.json()), (200, {"message": "Execution cancelled", "status": 200}), "running")
        equal(wait_for_end(server, run), "cancelled", "its end")
        for target in (run, "none"):
            answer = server.post(f"/api/executions/{target}/cancel")
            equal((answer.status, answer.json()),
                  (404, {"error": "Execution not found or not running", "status": 404}), target)


def an_active_run_is_not_deleted():
    with Server() as server:
        run = start(server, {"command": "sleep 60"})["id"]
        equal(server.ask("DELETE", f"/api/executions/{run}").status, 409, "running")
        server.post(f"/api/executions/{run}/cancel")
        wait_for_end(server, run)
        equal(server.ask("DELETE", f"/api/executions/{run}").status, 200, "ended")


def secrets_in_the_environment_can_be_kept_back():
    with Server("--redact", "*TOKEN*") as server:
        body = {"command": ["sh", "-c", 'echo "META:seen:$MY_TOKEN"'], "wait": True,
                "environment": {"MY_TOKEN": "s3cret", "OTHER": "x"}}
        execution = start(server, body)["execution"]
        equal(execution["environment"], {"MY_TOKEN": "***", "OTHER": "x"}, "kept back")
        detail = server.get(f"/api/executions/{execution['id']}").json()["execution"]
        equal((detail["environment"]["MY_TOKEN"], detail["metadata"]), ("***", {"seen": "s3cret"}), "the script has it")


def the_key_names_the_user():
    handle, path = tempfile.mkstemp(prefix="weir-keys-")
    os.write(handle, b"user-key-0123456789 user ada\nplain-key-0123456789 user\n")
    os.close(handle)
    try:
        with Server("--api-key-file", path) as server:
            for key, body, user in (("user-key-0123456789", {"user": "mallory"}, "ada"),
                                    ("plain-key-0123456789", {"user": "bob"}, "bob"), ("plain-key-0123456789", {}, "")):
                answer = server.post("/api/executions", {"command": "true", **body}, {"x-api-key": key})
                equal((answer.status, answer.json()["execution"]["user"]), (201, user), body)
    finally:
        os.unlink(path)


def open_posts(server, count, body):
    """So many POSTs that wait, each on a connection of its own."""
    text = json.dumps(body).encode()
    request = (b"POST /api/executions?wait=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(text)) + text
    socks = []
    for _ in range(count):
        sock = server.connect()
        sock.sendall(request)
        socks.append(sock)
    return socks


def a_thousand_waiting_requests_need_no_threads():
    with Server("--max-running", "20") as server:
        equal(start(server, {"command": "true", "wait": True})["status"], "completed", "warm")
        threads = server.threads()
        socks = open_posts(server, 1000, {"command": "sleep 600"})
        wait_until(lambda: server.get("/api/health/metrics").json()["active_runs"] == 1000, "a thousand runs")
        assert server.threads() <= threads + 2, f"{threads} threads became {server.threads()}"
        equal(server.get("/api/executions?limit=10").json()["count"], 10, "others are served")
        server.signal(signal.SIGTERM)
        answers = [read_answer(sock) for sock in socks]
        bad = [answer[:200] for answer in answers if not answer.startswith(b"HTTP/1.1 201") or b'"cancelled"' not in answer]
        equal((len(bad), bad[:1]), (0, []), "each got its answer")
        equal(server.wait(), 0, server.stderr())
        for sock in socks:
            sock.close()
        base = sqlite3.connect(server.storage / "database/stepflow.db")
        rows = base.execute("SELECT status, count(*) FROM executions GROUP BY status ORDER BY status").fetchall()
        base.close()
        equal(rows, [("cancelled", 1000), ("completed", 1)], "and all are recorded")


def a_thousand_starts_at_once_are_all_answered():
    with Server() as server:
        text = json.dumps({"command": "true"}).encode()
        request = (b"POST /api/executions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(text)) + text
        socks = [server.connect() for _ in range(1000)]
        for sock in socks:
            sock.sendall(request)
        for sock in socks:
            answer = read_answer(sock)
            assert answer.startswith(b"HTTP/1.1 201"), answer[:200]
            sock.close()
        equal(server.get("/api/executions?limit=1&total=1").json()["total"], 1000, "rows")


def a_client_that_hangs_up_does_not_stop_its_run():
    with Server() as server:
        sock, = open_posts(server, 1, {"command": "sleep 0.4"})
        wait_until(lambda: server.get("/api/executions/active").json()["count"] == 1, "the run")
        sock.close()
        run = server.get("/api/executions").json()["executions"][0]["id"]
        equal(wait_for_end(server, run), "completed", "its end")


def a_client_that_hangs_up_frees_its_connection():
    with Server() as server:
        socks = open_posts(server, 30, {"command": "sleep 600"})
        wait_until(lambda: server.get("/api/health/metrics").json()["active_runs"] == 30, "the runs")
        for sock in socks:
            sock.close()
        wait_until(lambda: server.get("/api/health/metrics").json()["system"]["open_connections"] == 1, "connections")
        equal(server.get("/api/executions/active").json()["count"], 30, "the runs go on")


def reads_do_not_wait_behind_writes():
    with Server() as server:
        run = start(server, {"command": "true", "wait": True})["id"]
        base = sqlite3.connect(server.storage / "database/stepflow.db", isolation_level=None)
        base.execute("BEGIN IMMEDIATE")
        socks = []
        for method, target in (("DELETE", f"/api/executions/{run}"), ("GET", "/api/health"),
                               ("POST", "/api/executions/none/cancel"), ("POST", "/api/health/optimize")):
            for _ in range(10):
                sock = server.connect()
                sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                socks.append(sock)
        posts = open_posts(server, 10, {"command": "true"})
        for _ in range(20):
            began = time.monotonic()
            equal(server.get("/api/executions").status, 200, "a read")
            assert time.monotonic() - began < 5, f"after {time.monotonic() - began} s"
        base.execute("ROLLBACK")
        base.close()
        for sock in posts:
            answer = read_answer(sock)
            assert answer.startswith((b"HTTP/1.1 201", b"HTTP/1.1 503")), answer[:100]
        for sock in socks + posts:
            sock.close()


def sigterm_cancels_runs_and_leaves_a_clean_folder():
    with Server() as server:
        runs = [start(server, {"command": "sleep 600"})["id"] for _ in range(20)]
        server.stop()
        files = sorted(path.name for path in (server.storage / "database").iterdir())
        equal([name for name in files if name.endswith(("-wal", "-shm"))], [], "no log is left")
        server.start()
        equal({status_of(server, run) for run in runs}, {"cancelled"}, "recorded")


def sigterm_lets_runs_end_within_the_drain():
    with Server("--drain", "20") as server:
        run = start(server, {"command": "sleep 0.7"})["id"]
        server.signal(signal.SIGTERM)
        equal(server.wait(), 0, "status")
        server.start()
        equal(status_of(server, run), "completed", "it ended by itself")


def a_second_signal_ends_the_drain():
    with Server("--drain", "600") as server:
        run = start(server, {"command": "sleep 600"})["id"]
        server.signal(signal.SIGTERM)
        wait_until(lambda: not can_connect(server), "no new connections")
        server.signal(signal.SIGINT)
        equal(server.wait(), 0, "status")
        server.start()
        equal(status_of(server, run), "cancelled", "cancelled")


def can_connect(server):
    try:
        server.connect(5).close()
        return True
    except OSError:
        return False


def while_draining_reads_are_answered_and_starts_refused():
    with Server("--drain", "600") as server:
        start(server, {"command": "sleep 600"})
        kept = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
        kept.connect()
        reader = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
        reader.connect()
        equal(server.get("/api/health").status, 200, "both are accepted before the signal")
        server.signal(signal.SIGTERM)
        wait_until(lambda: not can_connect(server), "no new connections")
        reader.request("GET", "/api/executions")
        answer = reader.getresponse()
        equal((answer.status, answer.getheader("Connection")), (200, "close"), "a read")
        kept.request("POST", "/api/executions", '{"command": "true"}')
        equal(kept.getresponse().status, 503, "a start")
        kept.close()
        reader.close()
        server.signal(signal.SIGTERM)
        equal(server.wait(), 0, "status")


def kill_9_loses_nothing_that_was_answered():
    with Server() as server:
        done = [start(server, {"command": "true", "wait": True})["id"] for _ in range(5)]
        running = [start(server, {"command": "sleep 600"})["id"] for _ in range(5)]
        server.kill()
        server.start()
        equal({status_of(server, run) for run in done}, {"completed"}, "what had ended")
        detail = [server.get(f"/api/executions/{run}").json()["execution"] for run in running]
        equal({(e["status"], e["error_message"], e["exit_code"]) for e in detail},
              {("failed", "interrupted by server restart", None)}, "what was running")
        equal(start(server, {"command": "true", "wait": True})["status"], "completed", "and on it goes")


def kill_9_in_the_middle_of_starts_loses_no_answered_one():
    with Server() as server:
        for round_number in range(3):
            text = json.dumps({"command": "true", "name": f"round {round_number}"}).encode()
            head = b"POST /api/executions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(text)
            socks = [server.connect() for _ in range(100)]
            for sock in socks:
                sock.sendall(head + text)
            answered = [read_answer(sock) for sock in socks[:5 + 30 * round_number]]
            server.kill_process()
            answered += [read_answer(sock) for sock in socks[len(answered):]]
            server.start()
            ids = [json.loads(answer.split(b"\r\n\r\n", 1)[1])["id"] for answer in answered if b" 201 " in answer[:20]]
            assert len(ids) >= 5, f"{len(ids)} were answered"
            for run in ids:
                assert status_of(server, run) in ("completed", "failed"), run
            for sock in socks:
                sock.close()


def one_more_signal_ends_it_at_once_and_the_next_start_settles():
    with Server("--drain", "600") as server, tempfile.TemporaryDirectory(prefix="weir-pid-") as folder:
        pid_file = Path(folder) / "pid"
        script = f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep 1; done"
        run = start(server, {"command": ["sh", "-c", script]})["id"]
        pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), "the script's pid"))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            server.signal(number)
        assert server.wait(15) != 0, "an end that says that it was not a clean one"
        server.start()
        execution = server.get(f"/api/executions/{run}").json()["execution"]
        equal((execution["status"], execution["error_message"]), ("failed", "interrupted by server restart"), "the run")
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the script that was left")


def two_servers_may_share_a_folder():
    with Server() as first, Server(storage=first.storage) as second:
        run = start(first, {"command": "sleep 600"})["id"]
        equal(status_of(second, run), "running", "seen by the other")
        equal(second.post(f"/api/executions/{run}/cancel").status, 200, "cancelled by the other")
        equal(wait_for_end(second, run), "cancelled", "its end")


if __name__ == "__main__":
    sys.exit(run_tests([
        a_script_is_complete_in_api_database_and_files,
        a_start_answers_at_once_and_a_wait_at_the_end,
        names_follow_the_rules,
        a_start_that_fails_says_so,
        wrong_bodies_are_refused_by_name,
        cancelling_ends_a_run,
        an_active_run_is_not_deleted,
        secrets_in_the_environment_can_be_kept_back,
        the_key_names_the_user,
        a_thousand_waiting_requests_need_no_threads,
        a_thousand_starts_at_once_are_all_answered,
        a_client_that_hangs_up_does_not_stop_its_run,
        a_client_that_hangs_up_frees_its_connection,
        reads_do_not_wait_behind_writes,
        sigterm_cancels_runs_and_leaves_a_clean_folder,
        sigterm_lets_runs_end_within_the_drain,
        a_second_signal_ends_the_drain,
        while_draining_reads_are_answered_and_starts_refused,
        kill_9_loses_nothing_that_was_answered,
        kill_9_in_the_middle_of_starts_loses_no_answered_one,
        one_more_signal_ends_it_at_once_and_the_next_start_settles,
        two_servers_may_share_a_folder,
    ]))
