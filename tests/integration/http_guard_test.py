#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`weir serve` against hostile, slow and mistaken clients: limits, Host, Origin, keys, forms. Prints TAP."""

import os
import select
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from server import PATIENCE, Server, equal, is_closed_within, read_answer, run_tests, wait_until
from tap import run

VIEWER, USER, ADMIN = "viewer-key-0123456789", "user-key-0123456789", "admin-key-0123456789"


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def request(target="/api/health", host="localhost", extra="", method="GET"):
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode()


def key_file(text=f"# keys\n{VIEWER} viewer\n{USER} user ada\n{ADMIN} admin\n", mode=0o600):
    handle, path = tempfile.mkstemp(prefix="weir-keys-")
    os.write(handle, text.encode())
    os.close(handle)
    os.chmod(path, mode)
    return path


def start_that_fails(*flags):
    """What a server says that refuses to start."""
    with tempfile.TemporaryDirectory(prefix="weir-serve-") as folder:
        done = run([os.environ.get("WEIR_BIN", "weir"), "serve", "--storage", f"{folder}/storage", *flags], timeout=PATIENCE)
        assert done.returncode != 0, f"{flags}: started"
        equal(done.stdout, "", "stdout")
        return done.stderr


def the_ready_line_names_address_and_storage():
    with Server() as server:
        equal(server.line, f"listening on http://127.0.0.1:{server.port}, storage {server.storage}\n", "line")


def unknown_paths_and_methods_have_their_answers():
    with Server() as server:
        answer = server.get("/api/nothing")
        equal((answer.status, answer.json()), (404, {"error": "Not Found", "status": 404}), "below /api")
        equal(answer.headers["Content-Type"], "application/json; charset=utf-8", "type")
        answer = server.get("/nothing")
        equal((answer.status, answer.body), (404, b"404: Not Found"), "elsewhere")
        assert answer.headers["Content-Type"].startswith("text/plain"), answer.headers["Content-Type"]
        for target in ("/api/health/", "/api//health", "/api/executions/", "/api/executions/x/logs/", "/API/health"):
            equal(server.get(target).status, 404, target)
        for method, target, allow in (
            ("POST", "/api/health", "GET, HEAD"),
            ("PUT", "/api/executions", "GET, HEAD, POST"),
            ("OPTIONS", "/api/executions/x", "GET, HEAD, DELETE"),
            ("GET", "/api/executions/x/cancel", "POST"),
            ("BREW", "/api/store", "GET, HEAD"),
        ):
            answer = server.ask(method, target)
            equal((answer.status, answer.headers["Allow"]), (405, allow), f"{method} {target}")


def every_answer_carries_the_security_headers():
    with Server() as server:
        for target in ("/api/health", "/api/nothing", "/nothing", "/api/executions"):
            headers = server.get(target).headers
            equal(headers["X-Content-Type-Options"], "nosniff", target)
            equal(headers["Cache-Control"], "no-store", target)
            assert "default-src 'none'" in headers["Content-Security-Policy"], headers
            assert "Access-Control-Allow-Origin" not in headers, headers


def head_answers_as_get_without_the_body():
    with Server() as server:
        for target in ("/api/health", "/api/executions", "/api/store", "/api/executions/none", "/nothing"):
            got, head = server.get(target), server.ask("HEAD", target)
            equal((head.status, head.body), (got.status, b""), target)
            equal(head.headers["Content-Type"], got.headers["Content-Type"], target)
            assert int(head.headers["Content-Length"]) > 0, head.headers


def hosts_that_are_not_ours_are_refused():
    with Server("--allow-host", "weir.example.org") as server:
        for host, status in (
            ("localhost", 200),
            (f"127.0.0.1:{server.port}", 200),
            ("[::1]:1", 200),
            ("WEIR.example.ORG:80", 200),
            ("evil.example.org", 403),
            ("127.0.0.1.evil.example.org", 403),
            ("10.0.0.1", 403),
            ("a b", 400),
            ("", 400),
        ):
            answer = server.raw(request(host=host))
            equal(status_of(answer), status, f"Host {host!r}")
        equal(status_of(server.raw(b"GET /api/health HTTP/1.0\r\n\r\n")), 400, "no Host")
        twice = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.org\r\n\r\n"
        equal(status_of(server.raw(twice)), 400, "two Hosts")


def other_origins_may_not_change_anything():
    with Server("--allow-origin", "https://weir.example.org") as server:
        for headers, refused in (
            ({}, False),
            ({"Origin": f"http://127.0.0.1:{server.port}"}, False),
            ({"Origin": "https://weir.example.org"}, False),
            ({"Origin": "https://evil.example.org"}, True),
            ({"Origin": f"https://127.0.0.1:{server.port}"}, True),
            ({"Origin": "null"}, True),
            ({"Sec-Fetch-Site": "cross-site"}, True),
            ({"Sec-Fetch-Site": "same-site"}, True),
            ({"Sec-Fetch-Site": "same-origin"}, False),
        ):
            answer = server.post("/api/executions", "{}", headers)
            equal(answer.status, 403 if refused else 400, headers)
            equal(answer.json()["status"], answer.status, headers)
            equal(server.ask("GET", "/api/health", headers=headers).status, 200, f"GET with {headers}")


def keys_and_roles_decide():
    path = key_file()
    try:
        with Server("--api-key-file", path) as server:
            answer = server.get("/api/health")
            equal(answer.status, 401, "no key")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), answer.headers
            equal(server.get("/api/health", x_api_key="wrong-key-0123456789").status, 401, "wrong key")
            equal(server.get("/api/health", x_api_key=VIEWER).status, 200, "viewer")
            equal(server.get("/api/health", Authorization=f"Bearer {VIEWER}").status, 200, "bearer")
            equal(server.get("/api/health", Authorization=f"Basic {VIEWER}").status, 401, "another scheme")
            equal(server.get("/storage/artifacts/a/b").status, 401, "files need a key too")
            for key, post, delete in ((VIEWER, 403, 403), (USER, 400, 403), (ADMIN, 400, 404)):
                headers = {"x-api-key": key}
                equal(server.post("/api/executions", "{}", headers).status, post, f"POST {key}")
                equal(server.ask("DELETE", "/api/executions/none", headers=headers).status, delete, f"DELETE {key}")
            equal(server.get("/api/health/status", x_api_key=VIEWER).json()["services"]["auth_method"], "api_key", "")
    finally:
        os.unlink(path)


def keys_must_be_kept_private():
    path = key_file(mode=0o644)
    try:
        assert "chmod 600" in start_that_fails("--listen", "127.0.0.1:0", "--api-key-file", path)
    finally:
        os.unlink(path)


def another_address_needs_keys_or_courage():
    assert "--api-key-file" in start_that_fails("--listen", "0.0.0.0:0")
    assert "cannot listen" in start_that_fails("--listen", "example.org:80")
    with Server("--insecure", host="0.0.0.0") as server:
        equal(status_of(server.raw(request(host="127.0.0.1"))), 200, "its address")
        equal(status_of(server.raw(request(host="evil.example.org"))), 403, "another name")


def mistakes_are_named_at_the_start():
    for flags, words in ((("--allow-host", "a:80"), "without a port"), (("--allow-origin", "https://a/"), "no origin"),
                         (("--listen", "127.0.0.1"), "ADDRESS:PORT"), (("--api-key-file", "/nonexistent"), "key file"),
                         (("--storage", "/nonexistent/a/b"), "/nonexistent")):
        said = start_that_fails(*(() if "--listen" in flags else ("--listen", "127.0.0.1:0")), *flags)
        assert words in said, f"{flags}: {said!r} lacks {words!r}"


def a_taken_port_is_named():
    with Server() as server:
        assert "another program" in start_that_fails("--listen", f"127.0.0.1:{server.port}")


def ipv6_works():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return  # no IPv6 on this machine
    with Server(host="::1") as server:
        assert server.line.startswith("listening on http://[::1]:"), server.line
        equal(status_of(server.raw(request(host=f"[::1]:{server.port}"))), 200, "")


def wrong_targets_are_refused():
    with Server() as server:
        for target in ("/api/%", "/api/%zz", "/api/executions/%00", "/api/executions/%ff", "/api/health?a=1&a=2",
                       "/api/health?a=%0a", "api/health", "*", "/api/\x7f"):
            equal(status_of(server.raw(request(target))), 400, target)
        equal(server.get("/api/executions/..%2f..%2fetc%2fpasswd").status, 404, "an id is only an id")
        equal(server.get("/storage/artifacts/..%2f../x").status, 404, "and so is a name")


def limits_on_url_header_and_body_hold():
    with Server("--max-url", "1K", "--max-body", "1024", "--max-header", "8K") as server:
        equal(server.get("/api/" + "a" * 1100).status, 414, "URL")
        answer = server.raw(request(extra="X: " + "y" * 20000 + "\r\n"))
        assert status_of(answer) in (413, 431), answer[:100]
        equal(server.post("/api/executions", "x" * 1024).status, 400, "a body at the limit")
        answer = server.post("/api/executions", "x" * 1025)
        equal((answer.status, answer.json()["status"]), (413, 413), "a byte more")
        equal(server.post("/api/executions", "x" * (2 << 20)).status, 413, "far more, sent in full")
        equal(server.get("/api/health").status, 200, "and the server goes on")


def an_announced_giant_is_refused_before_it_comes():
    with Server() as server:
        head = request("/api/executions", method="POST", extra="Content-Length: 10000000000\r\n")
        equal(status_of(server.raw(head, 5)), 413, "announced")
        head = request("/api/executions", method="POST", extra="Content-Length: 99999999999999999999999\r\n")
        assert status_of(server.raw(head, 5)) in (400, 413, None), "beyond 64 bits"
        head = request("/api/executions", method="POST", extra="Expect: 100-continue\r\nContent-Length: 9000000\r\n")
        equal(status_of(server.raw(head, 5)), 413, "with Expect")


def a_body_in_pieces_is_limited_while_it_comes():
    with Server("--max-body", "1K") as server:
        with server.connect() as sock:
            sock.sendall(request("/api/executions", method="POST", extra="Transfer-Encoding: chunked\r\n"))
            for _ in range(20):
                sock.sendall(b"64\r\n" + b"x" * 100 + b"\r\n")
            equal(status_of(read_answer(sock)), 413, "before its end")
        chunked = request("/api/executions", method="POST", extra="Transfer-Encoding: chunked\r\n")
        equal(status_of(server.raw(chunked + b"2\r\n{}\r\n0\r\n\r\n")), 400, "a small one is read")
        both = request("/api/executions", method="POST", extra="Transfer-Encoding: chunked\r\nContent-Length: 2\r\n")
        assert status_of(server.raw(both + b"2\r\n{}\r\n0\r\n\r\n")) == 400, "two lengths"
        twice = request("/api/executions", method="POST", extra="Content-Length: 2\r\nContent-Length: 3\r\n")
        equal(status_of(server.raw(twice + b"{}x")), 400, "two Content-Lengths")
        other = request("/api/executions", method="POST", extra="Transfer-Encoding: gzip, chunked\r\n")
        assert status_of(server.raw(other + b"2\r\n{}\r\n0\r\n\r\n")) in (400, 501), "another coding"


def a_body_cannot_pass_for_another_request():
    hidden = b"DELETE /api/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    length = f"{len(hidden)}"
    with Server() as server:
        for extra in (f"Content-Length : {length}", f"Content-Length\t: {length}", f"Content-Length:\r\n {length}",
                      f"Content-Length: {length[0]}\r\n\t{length[1:]}", "Transfer-Encoding : chunked",
                      f"Content-Length: {length}\r\n Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked",
                      f"X: y\rContent-Length: 0\r\nContent-Length: {length}"):
            with server.connect() as sock:
                sock.sendall(request("/api/health/optimize", method="POST", extra=f"{extra}\r\n") + hidden)
                answers = b""
                while piece := sock.recv(65536):
                    answers += piece
            equal((status_of(answers), answers.count(b"HTTP/1.1 ")), (400, 1), extra)


def expect_continue_is_honoured():
    with Server() as server:
        with server.connect() as sock:
            extra = "Expect: 100-continue\r\nContent-Length: 2\r\n"
            sock.sendall(request("/api/executions", method="POST", extra=extra))
            data = b""
            while b"100 Continue\r\n\r\n" not in data:
                piece = sock.recv(100)
                assert piece, f"closed after {data!r}"
                data += piece
            sock.sendall(b"{}")
            equal(status_of(read_answer(sock)), 400, "the body was read")


def drip(server, data, pause):
    """Send byte by byte until the server has enough; the seconds that took."""
    began = time.monotonic()
    with server.connect() as sock:
        for i in range(len(data)):
            try:
                sock.sendall(data[i:i + 1])
            except OSError:
                break
            if is_closed_within(sock, pause):
                break
        else:
            raise AssertionError("the server took it all")
    return time.monotonic() - began


def slow_clients_are_let_go():
    with Server("--request-timeout", "600ms") as server:
        body = request("/api/executions", method="POST", extra="Content-Length: 500\r\n")
        for what, data in (("line", b"GET /" + b"a" * 500), ("header", request()[:-2] + b"X: " + b"y" * 500)):
            seconds = drip(server, data, 0.05)
            assert 0.3 < seconds < PATIENCE, f"{what}: {seconds}"
        with server.connect() as sock:
            sock.sendall(body + b"x")
            assert is_closed_within(sock, PATIENCE), "body"
        with server.connect() as sock:
            assert is_closed_within(sock, PATIENCE), "not a byte"
        equal(server.get("/api/health").status, 200, "others are served")


def half_open_connections_cost_nothing():
    with Server("--request-timeout", "700ms") as server:
        socks = [server.connect() for _ in range(300)]
        for sock in socks[:150]:
            sock.sendall(b"POST /api/executions HTTP/1.1\r\nHost: local")
        equal(server.get("/api/health").status, 200, "served beside them")
        for sock in socks:
            assert is_closed_within(sock, PATIENCE), "let go"
            sock.close()


def idle_connections_end():
    with Server("--idle-timeout", "3s") as server:
        with server.connect() as sock:
            sock.sendall(request())
            equal(status_of(read_answer(sock)), 200, "first")
            sock.sendall(request())
            equal(status_of(read_answer(sock)), 200, "the connection is kept")
            assert is_closed_within(sock, PATIENCE), "and ended"


def a_reader_that_stops_is_let_go():
    with Server("--idle-timeout", "3s") as server:
        socks = []
        for _ in range(20):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((server.host, server.port))
            for _ in range(200):
                try:
                    sock.send(request("/api/store"), socket.MSG_DONTWAIT)
                except OSError:
                    break
            socks.append(sock)
        equal(server.get("/api/health").status, 200, "others are served")
        wait_until(lambda: server.get("/api/health/metrics").json()["system"]["open_connections"] == 1, "all let go")
        for sock in socks:
            sock.close()


def connections_of_one_address_are_limited():
    with Server("--max-connections-per-address", "10") as server:
        socks = [server.connect() for _ in range(10)]
        for sock in socks:
            sock.sendall(request())
            equal(status_of(read_answer(sock)), 200, "within the limit")
        with server.connect() as sock:
            assert is_closed_within(sock, PATIENCE), "one more is closed"
        socks.pop().close()

        def served():
            with server.connect() as fresh:
                try:
                    fresh.sendall(request())
                    return status_of(read_answer(fresh)) == 200
                except OSError:
                    return False

        wait_until(served, "a place that became free")
        for sock in socks:
            sock.close()


def connections_beyond_the_limit_wait_for_a_place():
    with Server("--max-connections", "10") as server:
        socks = [server.connect() for _ in range(10)]
        for sock in socks:
            sock.sendall(request())
            equal(status_of(read_answer(sock)), 200, "within the limit")
        with server.connect() as late:
            late.sendall(request())
            ready, _, _ = select.select([late], [], [], 0.3)
            equal(ready, [], "nothing yet")
            socks.pop().close()
            equal(status_of(read_answer(late)), 200, "its turn")
        for sock in socks:
            sock.close()


def pipelined_requests_are_answered_in_order():
    with Server() as server:
        with server.connect() as sock:
            sock.sendall(request("/api/nothing") + request("/api/health") + request("/nothing"))
            data = b""
            while data.count(b"HTTP/1.1 ") < 3 or not data.endswith(b"404: Not Found"):
                piece = sock.recv(65536)
                assert piece, f"closed after {data!r}"
                data += piece
            statuses = [part[:3] for part in data.split(b"HTTP/1.1 ")[1:]]
            equal(statuses, [b"404", b"200", b"404"], "statuses")


def noise_does_not_end_the_server():
    with Server("--request-timeout", "2s") as server:
        for noise in (b"\0" * 1000, b"\xff" * 1000, b"\r\n" * 1000, b"GET", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                      b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
                      request("/api/executions", method="POST", extra="Content-Length: -1\r\n"),
                      request("/api/executions", method="POST", extra="Transfer-Encoding: chunked\r\n") + b"zz\r\n",
                      request(extra="X\0Y: z\r\n")):
            with server.connect() as sock:
                sock.sendall(noise)
                sock.shutdown(socket.SHUT_WR)
                assert is_closed_within(sock, PATIENCE), f"{noise[:40]!r} keeps the connection"
            equal(server.get("/api/health").status, 200, f"after {noise[:40]!r}")


def the_access_log_cannot_be_forged():
    with Server("--access-log") as server:
        server.raw(request('/api/"%0aforged"\x1b[31m'))
        equal(server.get("/api/health").status, 200, "")
        lines = wait_until(lambda: [l for l in server.stderr().split("\n") if "127.0.0.1" in l][1:] or None, "two lines")
        assert "\x1b" not in server.stderr(), "an escape sequence"
        assert '"GET /api/health" 200' in lines[0], lines
    with Server() as server:
        server.get("/api/health")
        equal(server.stderr(), "", "no log unless asked for")


if __name__ == "__main__":
    sys.exit(run_tests([
        the_ready_line_names_address_and_storage,
        unknown_paths_and_methods_have_their_answers,
        every_answer_carries_the_security_headers,
        head_answers_as_get_without_the_body,
        hosts_that_are_not_ours_are_refused,
        other_origins_may_not_change_anything,
        keys_and_roles_decide,
        keys_must_be_kept_private,
        another_address_needs_keys_or_courage,
        mistakes_are_named_at_the_start,
        a_taken_port_is_named,
        ipv6_works,
        wrong_targets_are_refused,
        limits_on_url_header_and_body_hold,
        an_announced_giant_is_refused_before_it_comes,
        a_body_in_pieces_is_limited_while_it_comes,
        a_body_cannot_pass_for_another_request,
        expect_continue_is_honoured,
        slow_clients_are_let_go,
        half_open_connections_cost_nothing,
        idle_connections_end,
        a_reader_that_stops_is_let_go,
        connections_of_one_address_are_limited,
        connections_beyond_the_limit_wait_for_a_place,
        pipelined_requests_are_answered_in_order,
        noise_does_not_end_the_server,
        the_access_log_cannot_be_forged,
    ]))
