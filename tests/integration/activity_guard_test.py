#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`weir serve --activity` against pages of strangers, hostile and slow clients, large bodies; its static files. Prints TAP."""

import json
import os
import re
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from activity import FIRST, JSON, Activity, event, message
from server import Server, equal, is_closed_within, read_answer, run_tests, wait_until
from tap import run

KEY = "the-key-of-this-test"
HEADERS = {"Server": "Rocket", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN",
           "Permissions-Policy": "interest-cohort=()"}
MEGABYTE = 1 << 20


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def request(target="/api/0/info", host="localhost", extra="", method="GET"):
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode()


def post(target, extra="", media="application/json"):
    return request(target, method="POST", extra=f"Content-Type: {media}\r\n{extra}")


class KeyFile:
    """A file with a key in its first line."""

    def __init__(self, text=f"{KEY}\n"):
        handle, self.path = tempfile.mkstemp(prefix="weir-key-")
        os.write(handle, text.encode())
        os.close(handle)

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        os.unlink(self.path)


def start_that_fails(*flags):
    """What a server says that refuses to start."""
    with tempfile.TemporaryDirectory(prefix="weir-activity-") as folder:
        command = [os.environ.get("WEIR_BIN", "weir"), "serve", "--activity", f"{folder}/sqlite.db", "--listen"]
        done = run([*command, "127.0.0.1:0", *flags], timeout=60)
        assert done.returncode != 0, f"{flags}: started"
        return done.stderr


# ---------------------------------------------------------------------------------------------- every answer


def every_answer_carries_the_headers_of_the_peer():
    with Activity() as server:
        server.bucket()
        for method, target in (("GET", "/api/0/info"), ("GET", "/api/0/none"), ("GET", "/"), ("GET", "/none"),
                               ("OPTIONS", "/x"), ("PUT", "/api/0/info"), ("HEAD", "/api/0/buckets"),
                               ("POST", "/api/0/buckets/b"), ("DELETE", "/api/0/buckets/none")):
            answer = server.ask(method, target, "{}", JSON)
            equal({name: answer.headers[name] for name in HEADERS}, HEADERS, f"{method} {target}")
            equal(answer.headers["Content-Security-Policy"], None, f"{method} {target}: would break pages")


def unknown_paths_and_methods_are_not_there():
    with Activity() as server:
        for method, target in (("GET", "/api/0/nothing"), ("GET", "/api/1/info"), ("GET", "/api"), ("GET", "/nothing"),
                               ("PUT", "/api/0/buckets/b"), ("DELETE", "/api/0/info"), ("BREW", "/api/0/info"),
                               ("POST", "/"), ("GET", "/api/0/import"), ("GET", "/api/executions"),
                               ("GET", "/storage/artifacts/a/b"), ("GET", "/" + "a/" * 40)):
            message(server.ask(method, target, headers=JSON), 404)


def options_are_answered_for_every_path():
    with Activity() as server:
        for target in ("/", "/api/0/info", "/api/0/buckets/x/events", "/nothing", "/api/health", "*"):
            if target in ("/api/health", "*"):
                continue  # the first speaks the other dialect, the second is no path
            answer = server.ask("OPTIONS", target)
            equal((answer.status, answer.body, answer.headers["Content-Type"]), (200, b"", None), target)


def paths_are_what_they_mean():
    with Activity() as server:
        server.bucket("a%2Fb")
        server.bucket("a+b")
        for target in ("/api/0/buckets/a%2Fb", "//api//0/buckets/a%2fb/", "/%61pi/%30/bucket%73/a%2Fb"):
            equal(server.get(target).json()["id"], "a/b", target)
        equal(server.get("/api/0/buckets/a+b").json()["id"], "a+b", "a plus stays one")
        equal(server.get("/api/0/buckets/a/b").status, 404, "a slash is no letter")
        for target in ("/api/0/buckets/%ff", "/api/0/buckets/a%00b"):
            message(server.get(target), 422)
        equal(server.get("/api/0/buckets/%25").status, 404, "a percent sign")
        equal(status_of(server.raw(request("/api/0/info?%=%&a=%ff&b&b&=&&"))), 200, "queries are forgiving")
        for target in ("api/0/info", "*", "/api/\x7f"):
            equal(status_of(server.raw(request(target))), 400, target)
        equal(server.get("/api/0/" + "a" * 9000).status, 414, "and have an end")


# ------------------------------------------------------------------------------------------------- strangers


def names_that_are_not_ours_are_refused():
    with Activity("--allow-host", "weir.example.org") as server:
        for host, status in (("localhost", 200), (f"127.0.0.1:{server.port}", 200), ("LOCALHOST:1", 200),
                             ("[::1]:5600", 200), ("Weir.Example.org", 200), ("evil.example.org", 400),
                             ("127.0.0.1.evil.example.org", 400), ("localhost.evil.example.org", 400),
                             ("10.0.0.1", 400), ("a b", 400), ("", 400)):
            answer = server.raw(request(host=host))
            equal(status_of(answer), status, f"Host {host!r}")
            assert status == 200 or b'{"message":"Host header is invalid"}' in answer, answer
        for method, target in (("GET", "/"), ("OPTIONS", "/x"), ("DELETE", "/api/0/buckets/x"), ("PUT", "/nothing")):
            equal(status_of(server.raw(request(target, "evil.example.org", method=method))), 400, f"{method} {target}")
        equal(status_of(server.raw(b"GET /api/0/info HTTP/1.0\r\n\r\n")), 400, "no Host")
        twice = b"GET /api/0/info HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.org\r\n\r\n"
        equal(status_of(server.raw(twice)), 400, "two Hosts")


def names_are_checked_on_ipv6_too():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return  # no IPv6 on this machine
    with Activity(host="::1") as server:
        equal(status_of(server.raw(request(host=f"[::1]:{server.port}"))), 200, "its own")
        equal(status_of(server.raw(request(host="evil.example.org"))), 400, "another")


def an_open_address_takes_any_name_and_needs_courage():
    said = start_that_fails("--listen", "0.0.0.0:0")
    assert "--insecure" in said, said
    with Activity("--insecure", host="0.0.0.0") as server:
        equal(status_of(server.raw(request(host="any.example.org"))), 200, "any name")
        equal(status_of(server.raw(b"GET /api/0/info HTTP/1.0\r\n\r\n")), 200, "none at all")
        own = f"http://any.example.org:{server.port}"
        answer = server.raw(request(host=f"any.example.org:{server.port}", extra=f"Origin: {own}\r\n"))
        equal(status_of(answer), 403, "a page whose name was rebound to this address")


def pages_of_strangers_are_refused():
    with Activity("--cors", "https://one.example.org", "--cors", "http://[::1]:8080", "--cors-regex",
                  r"^https://[a-z]+\.two\.example\.org$") as server:
        for origin, status in (
            (f"http://127.0.0.1:{server.port}", 200), (f"http://localhost:{server.port}", 200),
            ("https://one.example.org", 200), ("https://one.example.org:443", 200), ("http://[::1]:8080", 200),
            ("https://a.two.example.org", 200), ("moz-extension://0b7a3a4c-5a3e-4bd4-b6ca-111111111111", 200),
            ("chrome-extension://nglaklhklhcoonedhgnpgddginnjdadi", 200),
            ("chrome-extension://aglaklhklhcoonedhgnpgddginnjdadi", 403), ("http://one.example.org", 403),
            ("https://a.two.example.org.evil", 403), ("http://localhost:27180", 403), ("http://localhost", 403),
            (f"https://localhost:{server.port}", 403), ("null", 403), ("nonsense", 400), ("http://", 400),
        ):
            for method, target in (("GET", "/api/0/info"), ("POST", "/api/0/settings/x"), ("GET", "/")):
                answer = server.ask(method, target, "1", {"Origin": origin, **JSON})
                wanted = 201 if status == 200 and method == "POST" else status
                equal(answer.status, wanted, f"{method} from {origin}")
                equal(answer.headers["Access-Control-Allow-Origin"], origin if status == 200 else None, origin)
        equal(server.get("/api/0/info").headers["Access-Control-Allow-Origin"], None, "nobody asked")
        answer = server.get("/api/0/none", Origin="https://one.example.org")
        equal((answer.status, answer.headers["Access-Control-Allow-Origin"]), (404, "https://one.example.org"), "404")


def preflights_are_answered():
    with Activity("--cors", "https://one.example.org") as server:
        asks = {"Origin": "https://one.example.org", "Access-Control-Request-Method": "DELETE",
                "Access-Control-Request-Headers": "content-type, x-y"}
        answer = server.ask("OPTIONS", "/api/0/buckets/x", headers=asks)
        equal((answer.status, answer.body), (200, b""), "allowed")
        equal(answer.headers["Access-Control-Allow-Origin"], "https://one.example.org", "origin")
        equal(sorted(re.split(", *", answer.headers["Access-Control-Allow-Methods"])), ["DELETE", "GET", "POST"], "")
        equal(answer.headers["Access-Control-Allow-Headers"], "content-type, x-y", "headers")
        for changed, status in (({"Access-Control-Request-Method": "PUT"}, 403), ({"Origin": "null"}, 403),
                                ({"Access-Control-Request-Method": None}, 400)):
            headers = {name: value for name, value in {**asks, **changed}.items() if value}
            answer = server.ask("OPTIONS", "/api/0/buckets/x", headers=headers)
            equal((answer.status, answer.headers["Access-Control-Allow-Origin"]), (status, None), changed)


def testing_lets_more_in_and_says_so():
    with Activity("--testing", "--device-id", "my id") as server:
        equal(server.api("info").json()["testing"], True, "testing")
        equal(server.api("info").json()["device_id"], "my id", "device id")
        for origin in ("http://localhost:27180", "http://127.0.0.1:27180", "chrome-extension://abcdef"):
            equal(server.get("/api/0/info", Origin=origin).status, 200, origin)
        equal(server.get("/api/0/info", Origin="https://evil.example.org").status, 403, "not everybody")


def the_device_id_stays():
    with Activity() as server:
        first = server.api("info").json()["device_id"]
        assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first), first
        equal((server.folder / "device_id").read_text(), first, "file")
        server.stop()
        (server.folder / "device_id").write_text("what stood there\n")
        server.start()
        equal(server.api("info").json()["device_id"], "what stood there\n", "taken as it is")


def a_key_guards_the_api():
    with KeyFile() as path, Activity("--activity-api-key-file", path) as server:
        words = "Missing or invalid API key. Set 'Authorization: Bearer <key>' header."
        for target in ("/api/0/buckets", "//api/0/buckets/", "/%61pi/0/buckets", "/api/%30/buckets", "/api//0/buckets",
                       "/api/0/none", "/api/", "/api/0/infox"):
            for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": f"Bearer {KEY[:-1]}"},
                            {"Authorization": f"Basic {KEY}"}, {"Authorization": KEY}, {"Authorization": "Bearer "}):
                equal(message(server.ask("GET", target, headers=headers), 401), words, f"{target} {headers}")
        right = {"Authorization": f"Bearer {KEY}"}
        equal(server.ask("GET", "/api/0/buckets", headers=right).json(), {}, "the right one")
        equal(server.ask("GET", "/api/health", headers=right).status, 200, "opens the rest, too")
        equal(server.get("/api/health").status, 401, "which is guarded")
        equal(server.get("/api/0/info").status, 200, "info is open")
        equal(server.ask("OPTIONS", "/api/0/buckets").status, 200, "OPTIONS is open")
        equal(server.get("/").status, 200, "pages are open")
        equal(server.ask("POST", "/api/0/buckets/b", "x" * 100000, JSON).status, 401, "with a body")


def an_empty_key_is_none():
    for key, status in (("", 200), (KEY, 401)):
        with KeyFile(f'[auth]\napi_key = "{key}"\n') as path, Activity("--config", path) as server:
            equal(server.get("/api/0/buckets").status, status, f"api_key {key!r}")


def keys_with_roles_hold_for_activity_too():
    viewer, user = "viewer-key-0123456789", "user-key-0123456789"
    with KeyFile(f"{viewer} viewer\n{user} user\n") as path, Activity("--api-key-file", path) as server:
        for key, get, create in ((None, 401, 401), (viewer, 200, 403), (user, 200, 201)):
            headers = {**JSON, **({"Authorization": f"Bearer {key}"} if key else {})}
            equal(server.ask("GET", "/api/0/settings", headers=headers).status, get, f"GET {key}")
            equal(server.ask("POST", "/api/0/settings/x", "1", headers).status, create, f"POST {key}")


def mistakes_are_named_at_the_start():
    for flags, words in ((("--cors", "example.org"), "no origin"), (("--cors-regex", "(a"), "regular expression"),
                         (("--webui", "/nonexistent"), "/nonexistent"), (("--custom-static", "x"), "NAME=DIR"),
                         (("--activity", "/nonexistent/a.db"), "/nonexistent")):
        said = start_that_fails(*flags)
        assert words in said, f"{flags}: {said!r} lacks {words!r}"


# --------------------------------------------------------------------------------------------- static files


def static_files_are_served():
    with tempfile.TemporaryDirectory(prefix="weir-ui-") as folder:
        root = Path(folder)
        files = {"ui/index.html": "text/html; charset=utf-8", "ui/css/a.css": "text/css; charset=utf-8",
                 "ui/js/a.js": "text/javascript", "ui/js/a.mjs": "text/javascript", "ui/manifest.json": "application/json",
                 "ui/logo.png": "image/png", "ui/logo.svg": "image/svg+xml", "ui/favicon.ico": "image/x-icon",
                 "ui/fonts/a.woff2": "font/woff2", "ui/fonts/a.woff": "application/font-woff",
                 "ui/fonts/a.ttf": "application/font-sfnt", "ui/static/x": "application/octet-stream"}
        for name in (*files, "my/index.html", "my/x.js", "secret.txt", "ui/.git/config"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
        (root / "ui/link.css").symlink_to("../secret.txt")
        (root / "ui/out").symlink_to("..")
        with Activity("--webui", f"{root}/ui", "--custom-static", f"mine={root}/my") as server:
            for name, media in files.items():
                answer = server.get(name[2:])
                equal((answer.status, answer.body.decode(), answer.headers["Content-Type"]), (200, name, media), name)
                equal(answer.headers["X-Content-Type-Options"], "nosniff", name)
                head = server.ask("HEAD", name[2:])
                equal((head.status, head.body, head.headers["Content-Length"]), (200, b"", str(len(name))), name)
            equal(server.get("/").body, b"ui/index.html", "the front page")
            for target, name in (("/pages/mine/", b"my/index.html"), ("/pages/mine/x.js?a=1", b"my/x.js"),
                                 ("//pages//mine", b"my/index.html")):
                equal(server.get(target).body, name, target)
            for target in ("/none", "/js/none.js", "/js/", "/link.css", "/out/secret.txt", "/.git/config", "/pages/none/",
                           "/../secret.txt", "/js/../index.html", "/..%2fsecret.txt", "/%2e%2e/secret.txt",
                           "/js%2fa.js", "/index.html%00", "/pages/mine/../ui/index.html", "/api/index.html"):
                equal(status_of(server.raw(request(target))), 404, target)
            tag = server.get("/js/a.js").headers["ETag"]
            answer = server.get("/js/a.js", If_None_Match=tag)
            equal((answer.status, answer.body), (304, b""), "not modified")
            (root / "ui/js/a.js").write_text("a new build")
            equal(server.get("/js/a.js", If_None_Match=tag).body, b"a new build", "modified")
            equal(server.post("/js/a.js", "{}", JSON).status, 404, "files are for reading")


def without_a_web_interface_the_front_page_tells_what_there_is():
    with Activity() as server:
        answer = server.get("/")
        equal((answer.status, answer.headers["Content-Type"]), (200, "text/plain; charset=utf-8"), "activity")
        assert b"/api/0/info" in answer.body and b"/api/executions" not in answer.body, answer
    with Server() as server:
        assert b"/api/executions" in server.get("/").body, "runs"
        equal(server.get("/api/0/info").json(), {"error": "Not Found", "status": 404}, "no activity")


# ---------------------------------------------------------------------------------------------------- bodies


def other_media_types_find_no_route():
    with Activity() as server:
        server.bucket()
        for media, status in (("application/json", 201), ("application/json; charset=utf-8", 201),
                              ("Application/JSON", 201), ("text/plain", 404), ("application/jsonx", 404),
                              ("application/x-www-form-urlencoded", 404), ("multipart/form-data; boundary=x", 404)):
            equal(server.send("settings/x", "1", media).status, status, media)
        equal(server.ask("POST", "/api/0/settings/x", "1").status, 404, "none")
        equal(server.send("import", "{}", "text/plain").status, 404, "import")
        equal(server.ask("DELETE", "/api/0/settings/x", "{}", {"Content-Type": "text/plain"}).status, 200, "DELETE")


def a_body_of_a_delete_is_read_and_ignored():
    with Activity() as server, server.connect() as sock:
        for body in (b"{}", b"not JSON", b"x" * 3 * MEGABYTE):
            head = request("/api/0/settings/none", method="DELETE", extra=f"Content-Length: {len(body)}\r\n")
            sock.sendall(head + body)
            equal(status_of(read_answer(sock)), 200, f"{len(body)} bytes, and the connection goes on")


def large_bodies_are_taken():
    value = json.dumps("x" * (3 * MEGABYTE))
    with Activity() as server:
        equal(server.send("settings/large", value).status, 201, "by its length")
        equal(server.api("settings/large").body, value.encode(), "comes back")
        pieces = [value[i:i + 700000].encode() for i in range(0, len(value), 700000)]
        with server.connect() as sock:
            sock.sendall(post("/api/0/settings/chunked", "Transfer-Encoding: chunked\r\n"))
            for piece in pieces:
                sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")
            equal(status_of(read_answer(sock)), 201, "in pieces")
        equal(server.api("settings/chunked").body, value.encode(), "comes back")
        events = [event(i % 3000, data={"i": i, "pad": "y" * 500}) for i in range(10000)]
        export = {"buckets": {"b": {"id": "b", "type": "t", "client": "c", "hostname": "h", "events": events}}}
        equal(server.send("import", export).status, 200, "an import")
        equal(server.count(), 10000, "events")
        body = server.api("export").body
        assert len(body) > 5 * MEGABYTE, len(body)
        equal(len(json.loads(body)["buckets"]["b"]["events"]), 10000, "a large answer")


def bodies_beyond_the_limit_are_refused():
    with Activity("--max-activity-body", "2M") as server:
        head = post("/api/0/settings/x", "Content-Length: 10000000000\r\n")
        equal(status_of(server.raw(head)), 413, "announced")
        equal(status_of(server.raw(post("/api/0/settings/x", "Expect: 100-continue\r\nContent-Length: 9000000\r\n"))), 413,
              "with Expect")
        answer = server.send("settings/x", json.dumps("x" * (3 * MEGABYTE)))
        message(answer, 413)
        equal({name: answer.headers[name] for name in HEADERS}, HEADERS, "as every answer")
        with server.connect() as sock:
            sock.sendall(post("/api/0/settings/x", "Transfer-Encoding: chunked\r\n"))
            for _ in range(3):
                sock.sendall(b"100000\r\n" + b"x" * MEGABYTE + b"\r\n")
            answer = read_answer(sock)
            equal(status_of(answer), 413, "in pieces")
            assert b'{"message":' in answer, answer
        equal(server.send("settings/x", json.dumps("x" * MEGABYTE)).status, 201, "and the server goes on")


def a_large_body_with_the_wrong_key_is_told_so():
    with KeyFile() as path, Activity("--activity-api-key-file", path) as server, server.connect() as sock:
        sock.sendall(post("/api/0/import", f"Content-Length: {100 * MEGABYTE}\r\n"))
        try:
            for _ in range(18):
                sock.sendall(b"x" * MEGABYTE)
        except OSError:
            pass
        equal(status_of(read_answer(sock)), 401, "before it has all come")


def expect_continue_is_honoured():
    with Activity() as server, server.connect() as sock:
        sock.sendall(post("/api/0/settings/x", "Expect: 100-continue\r\nContent-Length: 1\r\n"))
        data = b""
        while b"100 Continue\r\n\r\n" not in data:
            piece = sock.recv(100)
            assert piece, f"closed after {data!r}"
            data += piece
        sock.sendall(b"1")
        equal(status_of(read_answer(sock)), 201, "")


def temporary_files(server):
    folder = Path(f"/proc/{server.process.pid}/fd")
    return [name for name in os.listdir(folder) if int(name) > 2 and "/#" in link_of(folder / name)]


def link_of(path):
    try:
        return os.readlink(path)
    except FileNotFoundError:
        return ""


def truncated_bodies_leave_nothing_behind():
    with Activity() as server:
        server.bucket()
        for size in (10, 3 * MEGABYTE):
            for framing in (f"Content-Length: {size + 10}\r\n", "Transfer-Encoding: chunked\r\n"):
                with server.connect() as sock:
                    body = b"[" + b" " * size
                    sock.sendall(post("/api/0/buckets/b/events", framing))
                    sock.sendall(body if "Length" in framing else b"%x\r\n%s" % (size + 10, body))
        for truncated in ('{"buckets":{"b":{"events":[', '{"buckets":{"b":{"events":[{"timestamp":', '{"buckets'):
            message(server.send("import", truncated), 400)
        message(server.send("buckets/c", '{"client":"c","type":"t","hostname":"h","events":['), 400)
        wait_until(lambda: not temporary_files(server), "the files are closed")
        equal(server.count(), 0, "nothing was inserted")


def forms_are_taken_by_import():
    export = json.dumps({"buckets": {"b": {"id": "b", "type": "t", "client": "c", "hostname": "h", "events": [FIRST]}}})
    pad = " " * (2 * MEGABYTE)
    with Activity() as server:
        for field, text, status in (("buckets.json", export, 200), ("buckets", export + pad, 200), ("other", export, None)):
            body = (f'--XX\r\nContent-Disposition: form-data; name="{field}"; filename="e.json"\r\n'
                    f"Content-Type: application/json\r\n\r\n{text}\r\n--XX--\r\n")
            answer = server.send("import", body, "multipart/form-data; boundary=XX")
            if status:
                equal((answer.status, answer.body), (status, b""), field)
            else:
                assert answer.status in (400, 422), answer
        equal(server.count(), 1, "events")
        for body in ("", "--XX", "--XX\r\n\r\n", '--XX\r\nContent-Disposition: form-data; name="buckets"\r\n\r\n{}'):
            answer = server.send("import", body, "multipart/form-data; boundary=XX")
            assert answer.status in (400, 422), f"{body}: {answer}"


# -------------------------------------------------------------------------------------------- slow and many


def a_slow_upload_goes_on_while_it_makes_progress():
    value = json.dumps("x" * MEGABYTE).encode()
    with Activity("--request-timeout", "1") as server, server.connect() as sock:
        sock.sendall(post("/api/0/settings/slow", f"Content-Length: {len(value)}\r\n"))
        began = time.monotonic()
        for i in range(0, len(value), 1 << 17):
            assert not is_closed_within(sock, 0.3), f"let go after {i} bytes"  # and a pause
            sock.sendall(value[i:i + (1 << 17)])
        seconds = time.monotonic() - began
        assert seconds > 2, seconds
        equal(status_of(read_answer(sock)), 201, f"after {seconds:.1f} s")


def a_body_that_drips_is_let_go():
    with Activity("--request-timeout", "1") as server, server.connect() as sock:
        sock.sendall(post("/api/0/settings/slow", f"Content-Length: {MEGABYTE}\r\n") + b"x" * 1000)
        assert is_closed_within(sock, 60), "let go"
        equal(server.get("/api/0/info").status, 200, "others are served")


def half_open_connections_cost_nothing():
    with Activity("--request-timeout", "2") as server:
        server.bucket()
        socks = [server.connect() for _ in range(300)]
        for sock in socks[:150]:
            sock.sendall(b"POST /api/0/buckets/b/heartbeat?pulsetime=1 HTTP/1.1\r\nHost: local")
        for sock in socks[150:250]:
            sock.sendall(post("/api/0/buckets/b/events", "Content-Length: 2000000\r\n") + b"[")
        equal(server.beat(FIRST).status, 200, "served beside them")
        for sock in socks:
            assert is_closed_within(sock, 60), "let go"
            sock.close()
        equal(server.beat(FIRST).status, 200, "and after them")


def a_body_cannot_pass_for_another_request():
    hidden = b"DELETE /api/0/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    length = f"{len(hidden)}"
    with Activity() as server:
        for extra in (f"Content-Length : {length}", f"Content-Length:\r\n {length}", "Transfer-Encoding : chunked",
                      f"Content-Length: {length}\r\nTransfer-Encoding: chunked",
                      f"Content-Length: {length}\r\nContent-Length: {length}"):
            with server.connect() as sock:
                sock.sendall(request("/api/0/settings/x", method="POST", extra=f"{extra}\r\n") + hidden)
                answers = b""
                while piece := sock.recv(65536):
                    answers += piece
            equal((status_of(answers), answers.count(b"HTTP/1.1 ")), (400, 1), extra)


def a_bad_url_does_not_hide_a_bad_body():
    hidden = b"DELETE /api/0/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    length = f"{len(hidden)}"
    with Activity() as server:
        for target in ("/" + "a/" * 60, "/" + "a" * 9000, "/api/health/%zz", "*"):
            for extra, body in ((f"Content-Length:\r\n {length}", hidden),
                                (f"Content-Length: {length}\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + hidden)):
                with server.connect() as sock:
                    sock.sendall(request(target, method="POST", extra=f"{extra}\r\n") + body)
                    sock.shutdown(socket.SHUT_WR)
                    answers = b""
                    while piece := sock.recv(65536):
                        answers += piece
                equal((status_of(answers), answers.count(b"HTTP/1.1 ")), (400, 1), f"{target[:20]} {extra}")


def heartbeats_in_a_row_keep_their_order():
    beats = 200
    with Activity() as server, server.connect() as sock:
        server.bucket()
        for i in range(beats):
            body = json.dumps({"timestamp": f"2018-01-01T01:{i // 60:02}:{i % 60:02}Z", "data": {}}).encode()
            sock.sendall(post("/api/0/buckets/b/heartbeat?pulsetime=5", f"Content-Length: {len(body)}\r\n") + body)
        stream = sock.makefile("rb")
        for i in range(beats):
            equal(stream.readline().split()[1], b"200", f"answer {i}")
            length = 0
            while (line := stream.readline()) != b"\r\n":
                name, value = line.split(b":", 1)
                length = int(value) if name.lower() == b"content-length" else length
            equal(json.loads(stream.read(length))["duration"], float(i), f"answer {i}")
        equal(len(server.events()), 1, "one event")


# ---------------------------------------------------------------------------------------------- both stores


class Both(Activity):
    """Runs and activity on one address."""

    def command(self, listen):
        return [*super().command(listen), "--storage", str(self.folder / "storage")]


def two_stores_share_an_address():
    with Both() as server:
        equal(server.line, f"listening on http://127.0.0.1:{server.port}, storage {server.folder}/storage, "
                           f"activity {server.database}\n", "line")
        equal(server.api("buckets").json(), {}, "activity")
        equal(server.get("/api/executions").json()["executions"], [], "runs")
        equal(server.get("/api/none").json(), {"error": "Not Found", "status": 404}, "a path of runs")
        message(server.get("/api/0/none"), 404)
        equal(server.get("/api/executions/").status, 404, "paths of runs are strict")
        equal(server.ask("POST", "/api/0/info").status, 404, "no 405 here")
        equal(server.ask("POST", "/api/health").status, 405, "but there")
        parts = server.get("/api/health").json()["components"]
        equal((parts["database"]["status"], parts["activity"]["status"]), ("healthy", "healthy"), "health")
        store = server.get("/api/store").json()
        assert "store" in store and "activity" in store, list(store)
        answer = server.get("/api/executions", Host="evil.example.org")
        equal(answer.status, 403, "runs check names in their way")
        equal(server.get("/api/0/info", Host="evil.example.org").status, 400, "activity in its own")


def health_speaks_of_activity_alone():
    with Activity() as server:
        health = server.get("/api/health").json()
        equal((health["status"], list(health["components"])), ("healthy", ["activity", "websocket"]), "health")
        equal(sorted(server.get("/api/store").json()), ["activity", "findings", "status"], "store")
        equal(server.get("/api/health/metrics").status, 404, "what is about runs is not there")


if __name__ == "__main__":
    sys.exit(run_tests([
        every_answer_carries_the_headers_of_the_peer,
        unknown_paths_and_methods_are_not_there,
        options_are_answered_for_every_path,
        paths_are_what_they_mean,
        names_that_are_not_ours_are_refused,
        names_are_checked_on_ipv6_too,
        an_open_address_takes_any_name_and_needs_courage,
        pages_of_strangers_are_refused,
        preflights_are_answered,
        testing_lets_more_in_and_says_so,
        the_device_id_stays,
        a_key_guards_the_api,
        an_empty_key_is_none,
        keys_with_roles_hold_for_activity_too,
        mistakes_are_named_at_the_start,
        static_files_are_served,
        without_a_web_interface_the_front_page_tells_what_there_is,
        other_media_types_find_no_route,
        a_body_of_a_delete_is_read_and_ignored,
        large_bodies_are_taken,
        bodies_beyond_the_limit_are_refused,
        a_large_body_with_the_wrong_key_is_told_so,
        expect_continue_is_honoured,
        truncated_bodies_leave_nothing_behind,
        forms_are_taken_by_import,
        a_slow_upload_goes_on_while_it_makes_progress,
        a_body_that_drips_is_let_go,
        half_open_connections_cost_nothing,
        a_body_cannot_pass_for_another_request,
        a_bad_url_does_not_hide_a_bad_body,
        heartbeats_in_a_row_keep_their_order,
        two_stores_share_an_address,
        health_speaks_of_activity_alone,
    ]))
