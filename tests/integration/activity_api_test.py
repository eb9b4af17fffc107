#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ActivityWatch's API as `weir serve --activity` speaks it: every endpoint, its errors, what clients send. Prints TAP.

The first tests are those of ActivityWatch's own server, one for each of them.
"""

import datetime
import json
import re
import socket
import sys
import urllib.parse
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from activity import BUCKET, FIRST, JSON, Activity, at, event, message
from server import equal, read_answer, run_tests

NO_BUCKET = "The requested bucket 'id' does not exist"
BUCKET_KEYS = ["id", "type", "client", "hostname", "created", "data", "metadata", "events", "last_updated"]


def empty(answer, status=200):
    """A success without a body, which has no type either."""
    equal((answer.status, answer.body, answer.headers["Content-Type"]), (status, b"", None), answer)


def quoted(text):
    return urllib.parse.quote(text, safe="")


def form(content, field="buckets.json", boundary="----WebKitFormBoundary7MA4YWxkTrZu0gW"):
    """A file in a form as a browser sends it: the body and its Content-Type."""
    head = (f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="export.json"\r\n'
            "Content-Type: application/json\r\n\r\n")
    return f"{head}{content}\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


# ------------------------------------------------------------------------------- what the peer's own tests look at


def peer_bucket():
    with Activity() as server:
        equal(server.api("buckets/").json(), {}, "no buckets")
        equal(message(server.api("buckets/id"), 404), NO_BUCKET, "unknown")
        body = {"id": "id", "type": "type", "client": "client", "hostname": "hostname"}
        empty(server.send("buckets/id", body))
        again = server.send("buckets/id", body)
        equal((again.status, again.body), (304, b""), "again")
        bucket = server.api("buckets/id").json()
        equal(list(bucket), BUCKET_KEYS, "members")
        equal({key: bucket[key] for key in body}, body, "fields")
        equal((bucket["data"], bucket["events"], bucket["last_updated"]), ({}, None, None), "rest")
        equal(bucket["metadata"], {"start": None, "end": None}, "metadata")
        created = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1Z", bucket["created"]))
        age = datetime.datetime.now(datetime.timezone.utc) - created
        assert datetime.timedelta(seconds=-1) < age < datetime.timedelta(seconds=60), (bucket["created"], age)
        equal(server.api("buckets").json(), {"id": bucket}, "list")
        empty(server.delete("buckets/id"))
        equal(message(server.api("buckets/id"), 404), NO_BUCKET, "deleted")
        equal(message(server.delete("buckets/id"), 404), NO_BUCKET, "deleted again")
        equal(server.api("buckets").body, b"{}", "empty again")


def peer_events():
    with Activity() as server:
        server.bucket("id")
        answer = server.send("buckets/id/events", [FIRST])
        equal((answer.status, answer.body),
              (200, b'[{"id":1,"timestamp":"2018-01-01T01:01:01Z","duration":1.0,"data":{}}]'), "insert")
        equal(answer.headers["Content-Type"], "application/json", "type")
        equal(server.api("buckets/id/events").body, answer.body, "get")
        merged = server.send("buckets/id/heartbeat?pulsetime=2",
                             {"timestamp": "2018-01-01T01:01:02Z", "duration": 1.0, "data": {}})
        expected = b'{"id":1,"timestamp":"2018-01-01T01:01:01Z","duration":2.0,"data":{}}'
        equal((merged.status, merged.body), (200, expected), "heartbeat")
        equal(merged.headers["Content-Type"], "application/json", "type of a heartbeat's answer")
        equal(server.api("buckets/id/events").body, b"[" + expected + b"]", "after the heartbeat")
        equal(server.api("buckets/id/events/1").body, expected, "single")
        empty(server.delete("buckets/id/events/1"))
        equal(server.api("buckets/id/events/count").body, b"0", "count")
        empty(server.delete("buckets/id"))


def peer_import_export():
    def exported(*events):
        return {"buckets": {"id1": {"id": "id1", "type": "type", "client": "client", "hostname": "hostname",
                                    "created": None, "data": {}, "metadata": {"start": None, "end": None},
                                    "events": list(events), "last_updated": None}}}

    first = {"timestamp": "2000-01-01T00:00:00Z", "duration": 1.0, "data": {}}
    second = {"timestamp": "2000-01-01T00:00:10Z", "duration": 30.0, "data": {"k": 1}}
    third = {"timestamp": "2000-01-01T00:00:12Z", "duration": 30.0, "data": {"k": 1}}
    with Activity() as server:
        empty(server.send("import", exported(first)))
        equal(server.count("id1"), 1, "first import")
        empty(server.send("import", exported(first, second)))
        equal(server.count("id1"), 2, "merged")
        empty(server.send("import", exported(first, second)))
        equal(server.count("id1"), 2, "again")
        empty(server.send("import", exported(third)))
        equal(server.count("id1"), 3, "inside another")
        export = server.api("buckets/id1/export").body
        empty(server.delete("buckets/id1"))
        empty(server.send("import", *form(export.decode())))
        equal(list(server.api("buckets").json()), ["id1"], "there again")
        everything = server.api("export").json()
        equal(list(everything), ["buckets"], "members")
        equal([len(bucket["events"]) for bucket in everything["buckets"].values()], [3], "all events")


def peer_illegally_long_key():
    with Activity() as server:
        long, longest = "k" * 128, "k" * 127
        for answer in (server.send(f"settings/{long}", 1), server.api(f"settings/{long}"),
                       server.delete(f"settings/{long}"), server.api("settings/" + quoted("é" * 64))):
            equal(message(answer, 400), "Too long key", "128 bytes")
        empty(server.send(f"settings/{longest}", 1), 201)
        equal(server.api(f"settings/{longest}").body, b"1", "127 bytes")


def peer_settings():
    values = ["s", "", 1, 1.5, True, False, None, [1, "two", [3]], {"b": {"d": 1, "c": "ü/\"\\"}, "a": []}]
    with Activity() as server:
        unset = server.api("settings/unset")
        equal((unset.status, unset.body, unset.headers["Content-Type"]), (200, b"null", "application/json"), "unset")
        equal(server.api("settings").body, b"{}", "none")
        for value in values:
            empty(server.send("settings/k", json.dumps(value)), 201)
            equal(server.api("settings/k").json(), value, "round trip")
        empty(server.send("settings/other", "[1]"), 201)
        equal(server.api("settings").json(), {"k": values[-1], "other": [1]}, "all")
        equal(server.api("settings/").json(), server.api("settings").json(), "with a slash")
        empty(server.delete("settings/k"))
        equal(server.api("settings/k").body, b"null", "deleted")
        empty(server.delete("settings/k"))
        message(server.send("settings/k", "{"), 400)
        message(server.send("settings/k", ""), 400)
        equal(server.api("settings").json(), {"other": [1]}, "left")


def peer_cors_catching():
    with Activity() as server:
        for path in ("buckets", "", "no/such/path"):
            answer = server.ask("OPTIONS", f"/api/0/{path}")
            equal((answer.status, answer.body), (200, b""), path)


# ------------------------------------------------------------------------------------------------------ all routes


def info_says_who_answers():
    with Activity() as server:
        info = server.api("info").json()
        equal(list(info), ["hostname", "version", "testing", "device_id"], "members")
        equal((info["hostname"], info["testing"]), (socket.gethostname(), False), "values")
        assert re.fullmatch(r"v\d+\.\d+\.\d+( .*)?", info["version"]), info
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", info["device_id"]), info
        server.stop()
        server.start()
        equal(server.api("info/").json(), info, "after a restart")


def unknown_buckets_are_404_everywhere():
    with Activity() as server:
        for answer in (server.api("buckets/id"), server.delete("buckets/id"), server.api("buckets/id/events"),
                       server.send("buckets/id/events", [FIRST]), server.api("buckets/id/events/count"),
                       server.api("buckets/id/events/1"), server.delete("buckets/id/events/1"),
                       server.beat(FIRST, name="id"), server.api("buckets/id/export")):
            equal(message(answer, 404), NO_BUCKET, answer)
        answer = server.send("buckets/id/events", [])
        equal((answer.status, answer.body), (200, b"[]"), "nothing, into nothing")


def unknown_paths_and_wrong_methods_are_404():
    with Activity() as server:
        server.bucket()
        for method, path in (("GET", ""), ("GET", "nothing"), ("PUT", "buckets/b"), ("PATCH", "buckets/b"),
                             ("POST", "buckets"), ("DELETE", "buckets"), ("GET", "buckets/b/heartbeat"),
                             ("GET", "buckets/b/nothing"), ("GET", "buckets/b/events/1/2"), ("POST", "info"),
                             ("POST", "buckets/b/events/1"), ("GET", "import"), ("POST", "export"),
                             ("DELETE", "settings"), ("POST", "settings"), ("GET", "query")):
            message(server.ask(method, f"/api/0/{path}", b"{}" if method == "POST" else None, JSON), 404)


def posts_need_their_content_type():
    with Activity() as server:
        server.bucket()
        body, form_type = form('{"buckets":{}}')
        for path, content in (("buckets/new", BUCKET), ("buckets/b/events", []), ("settings/k", 1),
                              ("buckets/b/heartbeat?pulsetime=1", FIRST), ("import", {"buckets": {}}), ("query", {})):
            for content_type in ("text/plain", "application/json2", "application/jso", form_type):
                if path != "import" or content_type != form_type:
                    message(server.send(path, content, content_type), 404)
            message(server.ask("POST", f"/api/0/{path}", json.dumps(content)), 404)
        for content_type in ("application/json; charset=utf-8", "Application/JSON", "application/json;x=y"):
            empty(server.send("settings/k", "1", content_type), 201)
        empty(server.send("import", body, form_type))


def every_answer_has_the_headers_of_the_peer():
    with Activity() as server:
        server.bucket()
        for answer in (server.api("info"), server.api("buckets/none"), server.api("nothing"), server.api("buckets"),
                       server.send("buckets/b", BUCKET), server.send("settings/k", "1"), server.beat(FIRST),
                       server.send("buckets/b/events", "["), server.ask("OPTIONS", "/api/0/info")):
            headers = {name: answer.headers[name]
                       for name in ("Server", "X-Content-Type-Options", "X-Frame-Options", "Permissions-Policy")}
            equal(headers, {"Server": "Rocket", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN",
                            "Permissions-Policy": "interest-cohort=()"}, answer)


def paths_are_taken_as_clients_write_them():
    with Activity() as server:
        server.bucket()
        for path in ("//api/0/buckets/", "/api//0///buckets", "/%61pi/0/bucket%73/", "/api/0/buckets/b/",
                     "/api/0/info/", "/api/0/buckets/b/events/", "//api/0/buckets//b//events//count/",
                     "/api/0/settings/?x=1&x=2&&=",
                     "/api/0/export/", "/api/0/buckets/b/export/"):
            equal(server.get(path).status, 200, path)
        equal(server.ask("POST", "//api/0/buckets/b/heartbeat/?pulsetime=1", FIRST, JSON).status, 200, "heartbeat")
        for name in ("a/b", "a b", "ü", "a+b", "%", "..", "a?b=c&d", "a\"b\\c", "<script>", "count", "tab\there"):
            empty(server.send(f"buckets/{quoted(name)}", {**BUCKET, "id": "other"}))
            equal(server.api(f"buckets/{quoted(name)}").json()["id"], name, "id")
            server.insert([event()], quoted(name))
            equal(len(server.events(quoted(name))), 1, name)
        equal(server.api("buckets/a+b").json()["id"], "a+b", "a plus in a path is a plus")
        names = list(server.api("buckets").json())
        equal((len(names), names), (12, sorted(names, key=str.encode)), "sorted")


def a_head_is_a_get_without_its_body():
    with Activity() as server:
        server.bucket()
        server.insert([event()])
        for path in ("info", "buckets", "buckets/b", "buckets/b/events", "buckets/b/events/count", "export", "settings",
                     "buckets/none"):
            get, head = server.api(path), server.ask("HEAD", f"/api/0/{path}")
            equal((head.status, head.body), (get.status, b""), path)
            equal(head.headers["Content-Length"], get.headers["Content-Length"], path)
            equal(head.headers["Content-Type"], get.headers["Content-Type"], path)


def connections_are_kept_and_bodies_come_as_they_like():
    body = json.dumps(event()).encode()
    head = ("POST /api/0/buckets/b/heartbeat?pulsetime=5 HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/json\r\n")
    with Activity() as server, server.connect() as sock:
        def status(data):
            sock.sendall(data)
            return int(read_answer(sock).split(b" ", 2)[1])

        create = json.dumps(BUCKET).encode()
        post = (f"POST /api/0/buckets/b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(create)}\r\n\r\n").encode() + create
        equal(status(post), 200, "create")
        sock.sendall(post)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(65536)
        equal((answer.split(b" ", 2)[1], answer.partition(b"\r\n\r\n")[2]), (b"304", b""), "no bytes behind a 304")
        equal(status(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body), 200, "behind it")
        chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[i:i + 1]) for i in range(len(body))) + b"0\r\n\r\n"
        equal(status(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks), 200, "chunked")
        sock.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        equal(sock.recv(65536).split(b" ", 2)[1], b"100", "goes on")
        equal(status(body), 200, "with Expect")
        remove = b"DELETE /api/0/buckets/b?force=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
        equal((status(remove), status(remove)), (200, 404), "a body on DELETE is read and ignored")


# ------------------------------------------------------------------------------------------------------- buckets


def a_bucket_is_made_of_what_its_body_says():
    with Activity() as server:
        empty(server.send("buckets/b", {**BUCKET, "id": "not this", "created": "2017-01-02T03:04:05.6+01:00",
                                        "data": {"z": 1, "a": {"y": 2, "x": [1.0, 1]}}, "last_updated": None,
                                        "metadata": {"start": "x"}, "unknown": 1, "events": None}))
        text = server.api("buckets/b").body.decode()
        equal(text, '{"id":"b","type":"test-type","client":"test","hostname":"host",'
              '"created":"2017-01-02T02:04:05.600Z","data":{"a":{"x":[1.0,1],"y":2},"z":1},'
              '"metadata":{"start":null,"end":null},"events":null,'
              '"last_updated":null}', "exactly")
        empty(server.send("buckets/c", {**BUCKET, "created": None}))
        events = [event(), "no event", {"timestamp": 1}, event(5, 2.0, {"a": 1}, id=77), None, {**event(9), "data": []}]
        empty(server.send("buckets/d", {**BUCKET, "events": events}))
        equal([e["timestamp"] for e in server.events("d")], [at(5), at(0)], "those that are events")
        equal(server.api("buckets/d").json()["metadata"], {"start": at(0), "end": at(7)}, "metadata")


def a_bucket_of_this_machine_gets_its_names():
    with Activity() as server:
        info = server.api("info").json()
        empty(server.send("buckets/b", {**BUCKET, "hostname": "!local"}))
        bucket = server.api("buckets/b").json()
        equal((bucket["hostname"], bucket["data"]), (info["hostname"], {"device_id": info["device_id"]}), "local")


def bodies_that_are_no_bucket():
    with Activity() as server:
        server.bucket("taken")
        for body in ("", "{", "nothing", '{"type":"t"', json.dumps(BUCKET) + "x", "\ufeff" + json.dumps(BUCKET)):
            message(server.send("buckets/b", body.encode()), 400)
        wrong = [{}, [], 1, "x", None, {**BUCKET, "type": 1}, {**BUCKET, "hostname": None}, {**BUCKET, "data": []},
                 {**BUCKET, "data": None}, {**BUCKET, "created": "yesterday"}, {**BUCKET, "created": 1},
                 {**BUCKET, "events": {}}, {**BUCKET, "id": 1}]
        wrong += [{key: value for key, value in BUCKET.items() if key != gone} for gone in BUCKET]
        for body in wrong:
            message(server.send("buckets/b", json.dumps(body)), 422)
        doubled = '{"type":"t","type":"t","client":"c","hostname":"h"}'
        message(server.send("buckets/b", doubled), 422)
        message(server.send("buckets/b", {**BUCKET, "created": "3000-01-01T00:00:00Z"}), 400)
        equal(list(server.api("buckets").json()), ["taken"], "none came into being")


# -------------------------------------------------------------------------------------------------------- events


def ranges_are_inclusive_newest_first_and_clipped():
    with Activity() as server:
        server.bucket()
        server.insert([event(0, 10.0), event(20, 0.0), event(30, 10.0)])

        def seen(query):
            return [(e["id"], e["timestamp"], e["duration"]) for e in server.events(query=query)]

        whole = [(3, at(30), 10.0), (2, at(20), 0.0), (1, at(0), 10.0)]
        equal(seen(""), whole, "all")
        equal(seen(f"?start={at(0)}&end={at(40)}"), whole, "exactly")
        equal(seen(f"?start={at(5)}&end={at(35)}"), [(3, at(30), 5.0), (2, at(20), 0.0), (1, at(5), 5.0)], "clipped")
        equal(seen(f"?start={at(20)}&end={at(20)}"), [(2, at(20), 0.0)], "an instant")
        equal(seen(f"?start={at(10)}"), [(3, at(30), 10.0), (2, at(20), 0.0), (1, at(10), 0.0)], "touched")
        equal(seen(f"?end={at(30)}"), [(3, at(30), 0.0), (2, at(20), 0.0), (1, at(0), 10.0)], "touched at the end")
        equal(seen(f"?start={at(11)}&end={at(19)}"), [], "between")
        equal(seen(f"?start={at(40)}&end={at(0)}"), [], "backwards")
        equal(seen("?limit=2"), whole[:2], "limit")
        equal(seen(f"?limit=1&end={at(25)}"), whole[1:2], "limit in a range")
        equal(seen("?limit=0"), [], "none")
        for query in ("?limit=-1", "?limit=", "?limit=1.5", "?limit=x", "?limit=99999999999999999999",
                      "?limit=1&limit=2", f"?start={at(40)}&start={at(40)}", "?other=1&starttime=x"):
            equal(seen(query), whole, query)
        as_python = quoted("2018-01-01T02:01:26.000000+01:00")
        equal(seen(f"?start={as_python}&limit=-1"), [(3, at(30), 10.0)], "as Python asks")


def equal_starts_come_in_the_order_of_insertion():
    with Activity() as server:
        server.bucket()
        server.insert([event(0, 0.0, {"n": n}) for n in range(3)])
        server.insert([event(0, 1.0), event(1, 0.0)])
        equal([e["id"] for e in server.events()], [5, 1, 2, 3, 4], "newest start, then shortest, then id")


def counts_honour_their_range():
    with Activity() as server:
        server.bucket()
        server.insert([event(0, 10.0), event(20, 0.0), event(30, 10.0)])
        for query, expected in (("", 3), ("?limit=1", 3), (f"?start={at(20)}", 2), (f"?end={at(20)}", 2),
                                (f"?start={at(12)}&end={at(25)}", 1), (f"?start={at(20)}&end={at(20)}", 0),
                                (f"?start={at(30)}&end={at(20)}", 0), ("?starttime=x&endtime=y", 3)):
            equal(server.count(query=query), expected, query)
        message(server.api("buckets/b/events/count?start=x"), 400)


def single_events_are_whole():
    with Activity() as server:
        server.bucket()
        server.bucket("other")
        server.insert([{"timestamp": "1969-12-31T23:59:50Z", "duration": 20.0, "data": {"a": 1}}])
        equal(server.api("buckets/b/events/1").body,
              b'{"id":1,"timestamp":"1969-12-31T23:59:50Z","duration":20.0,"data":{"a":1}}', "single")
        ranged = [(e["timestamp"], e["duration"]) for e in server.events()]
        equal(ranged, [("1970-01-01T00:00:00Z", 10.0)], "in a range")
        for path in ("buckets/b/events/2", "buckets/other/events/1", "buckets/b/events/-1"):
            message(server.api(path), 404)
        for number in ("x", "1.0", "9223372036854775808", "1x", "%201"):
            message(server.api(f"buckets/b/events/{number}"), 422)
            message(server.delete(f"buckets/b/events/{number}"), 422)
        for path in ("buckets/b/events/2", "buckets/other/events/1"):
            empty(server.delete(path))
        equal(server.count(), 1, "not deleted through another bucket")
        empty(server.delete("buckets/b/events/1"))
        equal(server.count(), 0, "deleted")


def ids_replace_and_are_chosen():
    with Activity() as server:
        server.bucket()
        three = server.insert([{**event(), "id": None} for _ in range(3)])
        equal([e["id"] for e in three], [1, 2, 3], "in order")
        server.insert([three[1]])
        equal(server.events(), three, "unchanged")
        changed = server.insert([{**three[1], "data": {"new": 1}}])
        equal(server.events(), [three[0], changed[0], three[2]], "replaced in place")
        equal([e["id"] for e in server.insert([event(1, id=41), event(2)])], [41, 42], "an id of the client's")


def bodies_that_are_no_events():
    good = json.dumps(event())
    deep = '{"timestamp":"2018-01-01T01:01:01Z","data":{"a":%s1%s}}'
    head = '{"timestamp":"2018-01-01T01:01:01Z",'
    malformed = ["", "{", good[:-1], good + "}", f"{good} x", "\ufeff" + good, "nul", head + '"data":{"a":1e400}}',
                 head + '"data":{"a":}}', head + '"data":{"a":"\\ud83d"}}', head + '"data":{"\\ud800":1}}',
                 head + '"data":{},}', head + "'data':{}}", head + '"duration":NaN,"data":{}}',
                 head + '"duration":01,"data":{}}', head + '"duration":+1,"data":{}}',
                 head + '"duration":.5,"data":{}}', head + '"data":{"a":"\t"}}', head + '/**/"data":{}}',
                 deep % ("[" * 200, "]" * 200), '{"a":' * 100_000]
    malformed = [body.encode() for body in malformed]
    malformed += [head.encode() + b'"data":{"a":"%s"}}' % bad
                  for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x00")]
    misshapen = [good, "{}", "1", "null", '"x"', "[1]", "[null]", "[[]]", '["\\ud83d\\ude00"]',
                 '[{"data":{}}]', '[{"timestamp":"2018-01-01T01:01:01Z"}]']
    misshapen += [f"[{json.dumps({**event(), **change})}]" for change in (
        {"data": []}, {"data": None}, {"data": "x"}, {"duration": None}, {"duration": "1"}, {"duration": []},
        {"id": 1.0}, {"id": "1"}, {"id": True}, {"timestamp": 1}, {"timestamp": None}, {"timestamp": "now"})]
    misshapen += ['[{"timestamp":"2018-01-01T01:01:01Z","data":{},"data":{}}]']
    with Activity() as server:
        server.bucket()
        for body in malformed:
            message(server.beat(body), 400)
            message(server.send("buckets/b/events", b"[%s]" % body if body else b""), 400)
            message(server.send("buckets/b/events", b"[%s,%s]" % (good.encode(), body)), 400)
        for body in ("[", f"[{good}", f"[{good},", f"[{good},]", f"[{good}]x", "\ufeff[]"):
            message(server.send("buckets/b/events", body.encode()), 400)
        for body in misshapen:
            message(server.send("buckets/b/events", body), 422)
            if body.startswith("["):
                message(server.send("buckets/b/events", f"[{good},{body[1:]}"), 422)
        equal(server.count(), 0, "nothing was stored, not even what came before the fault")
        for body in ["[]", f"[{good}]"] + [b[1:-1] for b in misshapen if b.startswith("[{")]:
            message(server.beat(body), 422)
        equal(server.count(), 0, "nor by a heartbeat")


def dates_are_read_strictly_in_queries_and_leniently_in_bodies():
    both = {"2018-01-01T01:01:01Z": "01Z", "2018-01-01t01:01:01z": "01Z", "2018-01-01 01:01:01Z": "01Z",
            "2018-01-01T01:01:01+00:00": "01Z", "2018-01-01T00:01:01-01:00": "01Z", "2018-01-01T01:01:01-00:00": "01Z",
            "2018-01-01T00:01:01\u221201:00": "01Z", "2017-12-31T01:02:01-23:59": "01Z",
            "2018-01-01T01:01:01.1Z": "01.100Z", "2018-01-01T01:01:01.000001Z": "01.000001Z",
            "2018-01-01T01:01:01.123456789987Z": "01.123456789Z", "2018-01-01T01:00:60Z": "01:00Z"}
    lenient = {"2018-01-01T01:01:01+0000": "01Z", "2018-01-01T01:01:01 +00:00": "01Z",
               "2018-01-01T01:01:01UTC": "01Z", "2018-1-1T1:1:1Z": "01Z", " 2018-01-01T01:01:01Z ": "01Z",
               "+2018-01-01T01:01:01Z": "01Z"}
    neither = ["2018-01-01T01:01:01", "2018-01-01", "2018-01-01T01:01Z", "2018-01-01T01:01:01+00", "",
               "2018-01-01T01:01:01,5Z", "2018-01-01T01:01:01.Z", "2018-01-01T24:00:00Z", "2018-02-30T01:01:01Z",
               "2018-01-01T01:01:01+24:00", "now", "1514768461", "2018-13-01T00:00:00Z", "2018-01-01T01:61:01Z"]
    beyond = ["3000-01-01T00:00:00Z", "1677-09-21T00:12:43Z", "2262-04-11T23:47:17Z", "0001-01-01T00:00:00Z"]
    far = ["+10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z"]
    prefix = "2018-01-01T01:01:"
    with Activity() as server:
        server.bucket()
        for text in both:
            for name in ("start", "end"):
                equal(server.api(f"buckets/b/events?{name}={quoted(text)}").status, 200, text)
        for name, word in (("start", "starttime"), ("end", "endtime")):
            for text in list(lenient) + neither + beyond + far:
                sentence = message(server.api(f"buckets/b/events?{name}={quoted(text)}"), 400)
                expected = f"Failed to parse {word}, datetime needs to be in rfc3339 format: "
                assert sentence.startswith(expected), sentence
        message(server.api("buckets/b/events?start=2018-01-01T01:01:01+00:00"), 400)
        for text, expected in {**both, **lenient}.items():
            got = server.insert([{**FIRST, "timestamp": text}])[0]["timestamp"]
            assert got in (prefix + expected, f"2018-01-01T01:{expected}"), (text, got)
        for text in neither:
            message(server.send("buckets/b/events", [{**FIRST, "timestamp": text}]), 422)
            message(server.beat({**FIRST, "timestamp": text}), 422)
        for text in beyond + far:
            message(server.send("buckets/b/events", [{**FIRST, "timestamp": text}]), 400)
            message(server.beat({**FIRST, "timestamp": text}), 400)


def dates_and_durations_are_written_as_short_as_they_are_exact():
    moments = ["01Z", "01.100Z", "01.000001Z", "01.000000001Z", "59.999999999Z"]
    durations = [("1", "1.0"), ("0", "0.0"), ("8.2", "8.2"), ("8.25", "8.25"), ("1e-6", "1e-6"), ("1e-9", "1e-9"),
                 ("-5.5", "-5.5"), ("1E2", "100.0"), ("0.1", "0.1"), ("123456.789", "123456.789"), ("1e-10", "0.0"),
                 ("-0", "0.0"), ("0.30000000000000004", "0.3"), ("86399.999", "86399.999")]
    with Activity() as server:
        server.bucket()
        for moment in moments:
            equal(server.insert([{**FIRST, "timestamp": f"2018-01-01T01:01:{moment}"}])[0]["timestamp"],
                  f"2018-01-01T01:01:{moment}", moment)
        for given, expected in durations:
            body = '[{"timestamp":"2018-01-01T01:01:01Z","duration":%s,"data":{}}]' % given
            text = server.send("buckets/b/events", body).body.decode()
            equal(re.search(r'"duration":([^,]*)', text)[1], expected, given)
        answer = server.send("buckets/b/events", '[{"timestamp":"2018-01-01T01:01:01Z","data":{}}]')
        assert b'"duration":0.0' in answer.body, answer
        for huge in ("1e300", "-1e300"):
            body = '[{"timestamp":"2018-01-01T01:01:01Z","duration":%s,"data":{}}]' % huge
            message(server.send("buckets/b/events", body), 400)


def data_come_back_as_they_were_with_sorted_keys():
    given = ('{"z":1,"b":-9223372036854775808,"a":18446744073709551615,"c":18446744073709551616,"d":-0,"e":1.0,'
             '"f":1e2,"é":"ü/\\/\\u00e9\\ud83d\\ude00\\n\\u0001","A":{"y":[{"k":1,"j":2}],"x":null},'
             '"dup":1,"dup":2,"":true}')
    expected = ('{"":true,"A":{"x":null,"y":[{"j":2,"k":1}]},"a":18446744073709551615,'
                '"b":-9223372036854775808,"c":1.8446744073709552e19,"d":-0.0,"dup":2,"e":1.0,"f":100.0,'
                '"z":1,"é":"ü//é😀\\n\\u0001"}')
    with Activity() as server:
        server.bucket()
        body = '[ {"data" : %s , "unknown":[], "timestamp":"2018-01-01T01:01:01Z"} ]\n' % given
        answer = server.send("buckets/b/events", body.encode())
        echo = '[{"id":1,"timestamp":"2018-01-01T01:01:01Z","duration":0.0,"data":%s}]' % expected
        equal(answer.body.decode(), echo, "echo")
        server.stop()
        equal(server.rows("SELECT data FROM events"), [(expected,)], "in the file")


# ------------------------------------------------------------------------------------------------------ heartbeats


def heartbeats_merge_within_their_pulsetime():
    with Activity() as server:
        server.bucket()
        steps = [  # moment, duration, data, pulsetime -> id, start, duration
            ((0, 0.0, {"a": 1}, "5"), (1, 0, 0.0)),
            ((5, 0.0, {"a": 1}, "5"), (1, 0, 5.0)),
            ((5, 2.0, {"a": 1}, "0"), (1, 0, 7.0)),
            ((6, 0.0, {"a": 1}, "1"), (1, 0, 7.0)),
            ((13, 0.0, {"a": 1}, "5"), (2, 13, 0.0)),
            ((14, 0.0, {"a": 2}, "5"), (3, 14, 0.0)),
            ((15, 0.0, {"a": 2.0}, "5"), (4, 15, 0.0)),
            ((1000, 0.0, {"a": 2.0}, "inf"), (4, 15, 985.0)),
            ((1001, 0.0, {"a": 2.0}, "NaN"), (5, 1001, 0.0)),
            ((1001, 0.0, {"a": 2.0}, "nan"), (5, 1001, 0.0)),
            ((1002, 0.0, {"a": 2.0}, "1.0"), (5, 1001, 1.0)),
            ((1003, 0.0, {"a": 2.0}, "+1e0"), (5, 1001, 2.0)),
            ((1003, 0.0, {"a": 2.0}, "-1"), (6, 1003, 0.0)),
            ((1005, 0.0, {"a": 2.0}, "2."), (6, 1003, 2.0)),
            ((1006, 0.0, {"a": 2.0}, "1e400"), (6, 1003, 3.0)),
            ((900, 0.0, {"a": 2.0}, "60"), (7, 900, 0.0)),  # late: an event of its own
            ((1007, 0.0, {"a": 2.0}, "60"), (6, 1003, 4.0)),  # and the newest goes on
        ]
        for (moment, duration, data, pulsetime), (number, start, length) in steps:
            answer = server.beat(event(moment, duration, data), quoted(pulsetime))
            equal(answer.status, 200, answer)
            equal(answer.json(), {"id": number, "timestamp": at(start), "duration": length, "data": data},
                  (moment, data, pulsetime))
        equal(server.count(), 7, "events")
        equal(server.beat({"timestamp": at(1008), "data": {"a": 2.0}}).json()["duration"], 5.0, "without a duration")
        equal(server.beat(event(1010, 0.0, {"b": 1}, id=3)).json()["id"], 3, "an id replaces when it is inserted")


def heartbeats_need_a_pulsetime():
    with Activity() as server:
        server.bucket()
        for query in ("", "?", "?pulsetime", "?pulsetime=", "?pulsetime=x", "?pulsetime=1s", "?pulsetime=0x10",
                      "?pulsetime=1&pulsetime=1", "?Pulsetime=1", "?pulsetime=+1", "?pulsetime=1_0", "?pulsetime=1e"):
            message(server.send(f"buckets/b/heartbeat{query}", FIRST), 422)
        equal(server.count(), 0, "none")


# ------------------------------------------------------------------------------------------------ export and import


def exports_are_files():
    with Activity() as server:
        answer = server.api("export")
        equal((answer.status, answer.body), (200, b'{"buckets":{}}'), "nothing")
        equal((answer.headers["Content-Disposition"], answer.headers["Content-Type"]),
              ("attachment; filename=aw-buckets-export.json", None), "nothing")
        server.bucket("b", created="2018-01-01T00:00:00Z")
        server.insert([event(0, 1.0, {"a": 1}), event(5, 0.0)])
        expected = ('{"buckets":{"b":{"id":"b","type":"test-type","client":"test","hostname":"host",'
                    '"created":"2018-01-01T00:00:00Z","data":{},"metadata":{"start":"2018-01-01T01:01:01Z",'
                    '"end":"2018-01-01T01:01:06Z"},"events":[{"id":2,"timestamp":"2018-01-01T01:01:06Z","duration":0.0,'
                    '"data":{}},{"id":1,"timestamp":"2018-01-01T01:01:01Z","duration":1.0,"data":{"a":1}}],'
                    '"last_updated":null}}}')
        for path in ("export", "buckets/b/export"):
            answer = server.api(path)
            equal((answer.status, answer.body.decode()), (200, expected), path)
            equal((answer.headers["Content-Disposition"], answer.headers["Content-Type"]),
                  ("attachment; filename=aw-bucket-export_b.json", None), path)
        server.bucket("c")
        answer = server.api("export")
        equal(answer.headers["Content-Disposition"], "attachment; filename=aw-buckets-export.json", "two")
        equal(list(answer.json()["buckets"]), ["b", "c"], "two")
        name = server.bucket(quoted('x"; y=ü\n'))
        disposition = server.api(f"buckets/{name}/export").headers["Content-Disposition"]
        assert re.fullmatch(r'attachment; filename="[^"\\]*"; filename\*=UTF-8\'\'[!-~]*', disposition), disposition


def imports_take_what_exports_give():
    with Activity() as server, Activity() as other:
        for name in ("a", "b/c", "ü"):
            server.bucket(quoted(name), data={"k": name}, created="2018-01-01T00:00:00.5Z")
            server.insert([event(n, n + 0.001 * n, {"n": n}) for n in range(50)], quoted(name))
        export = server.api("export")
        empty(other.send("import", export.body))
        again = other.api("export")
        counts = {name: len(bucket["events"]) for name, bucket in again.json()["buckets"].items()}
        equal(counts, {"a": 50, "b/c": 50, "ü": 50}, "events")

        def without_ids(answer):
            return re.sub(r'"id":\d+', '"id":0', answer.body.decode())

        equal(without_ids(again), without_ids(export), "the same but for ids")
        for body, content_type in ((export.body, "application/json"), form(export.body.decode()),
                                   form(export.body.decode(), "buckets"), form(export.body.decode(), "buckets.x", "y")):
            empty(other.send("import", body, content_type))
        equal(other.api("export").body, again.body, "nothing twice")


def imports_follow_their_rules():
    def bucket(name, *events, **more):
        return {"type": "t", "client": "c", "hostname": "h", "events": list(events), **({"id": name} if name else {}),
                **more}

    with Activity() as server:
        server.bucket("kept", data={"mine": 1})
        server.insert([event(0, id=5)], "kept")
        body = {"buckets": {"x": bucket("inner", event(0, id=5), event(0, id=6)),
                            "key": bucket(None, event(1)),
                            "kept": bucket("kept", event(0, id=9), event(1, id=5), data={"other": 1})}}
        empty(server.send("import", body))
        equal(list(server.api("buckets").json()), ["inner", "kept", "key"], "the inner id counts, else the key")
        equal(server.events("inner")[0]["timestamp"], at(0), "ids are not taken")
        equal(server.count("inner"), 1, "equal events of one import are one")
        equal([e["timestamp"] for e in server.events("kept")], [at(1), at(0)], "merged")
        equal(server.events("kept")[1]["id"], 5, "what was there stays")
        equal(server.api("buckets/kept").json()["data"], {"mine": 1}, "attributes stay")


def imports_are_all_or_nothing():
    good = {"type": "t", "client": "c", "hostname": "h", "events": [event()]}
    whole = json.dumps({"buckets": {"a": good, "b": good}})
    with Activity() as server:
        for body in ("", "{", whole[:-1], whole[:-2], whole + "x", whole.replace("2018", "20\x00")):
            message(server.send("import", body), 400)
        for body in ("[]", "{}", "1", '{"buckets":[]}', '{"buckets":{"a":1}}', '{"buckets":{"a":{}}}',
                     json.dumps({"buckets": {"a": good, "b": {**good, "events": 1}}}),
                     json.dumps({"buckets": {"a": good, "b": {**good, "type": 1}}})):
            message(server.send("import", body), 422)
        content, content_type = form(whole)
        message(server.send("import", *form(whole, "other")), 422)
        message(server.send("import", content[:-40], content_type), 400)
        message(server.send("import", content, "multipart/form-data"), 400)
        message(server.send("import", *form(whole[:-3])), 400)
        equal(server.api("buckets").json(), {}, "nothing")
        empty(server.send("import", whole))
        equal(list(server.api("buckets").json()), ["a", "b"], "all")


def queries_are_not_there_yet():
    with Activity() as server:
        for path in ("query", "query/", "query/?name=x&cache=1"):
            sentence = message(server.send(path, {"timeperiods": [], "query": ["return 1;"]}), 501)
            assert "query" in sentence, sentence


def large_events_go_and_come():
    """Bodies that are kept in memory, that go to a worker, and that go to a file."""
    with Activity() as server:
        server.bucket()
        for number, size in enumerate((1000, 100_000, 3_000_000), 1):
            data = {"text": "ü" * (size // 2)}
            equal(server.insert([event(number, 1.0, data)])[0]["data"], data, size)
            answer = server.beat(event(number + 1, 1.0, data), "5")
            equal((answer.status, answer.json()["duration"]), (200, 2.0), size)
            empty(server.send("settings/large", json.dumps(data)), 201)
            equal(server.api("settings/large").json(), data, size)
        many = [event(n % 3000, 1.0, {"n": n, "pad": "x" * 100}) for n in range(20_000)]
        echoed = server.insert(many)
        equal([{k: v for k, v in e.items() if k != "id"} for e in echoed], many, "20,000 at once")
        equal(len(server.events()), 20_003, "all")


if __name__ == "__main__":
    sys.exit(run_tests([
        peer_bucket, peer_events, peer_import_export, peer_illegally_long_key, peer_settings, peer_cors_catching,
        info_says_who_answers, unknown_buckets_are_404_everywhere, unknown_paths_and_wrong_methods_are_404,
        posts_need_their_content_type, every_answer_has_the_headers_of_the_peer, paths_are_taken_as_clients_write_them,
        a_head_is_a_get_without_its_body, connections_are_kept_and_bodies_come_as_they_like,
        a_bucket_is_made_of_what_its_body_says, a_bucket_of_this_machine_gets_its_names, bodies_that_are_no_bucket,
        ranges_are_inclusive_newest_first_and_clipped, equal_starts_come_in_the_order_of_insertion,
        counts_honour_their_range, single_events_are_whole, ids_replace_and_are_chosen, bodies_that_are_no_events,
        dates_are_read_strictly_in_queries_and_leniently_in_bodies,
        dates_and_durations_are_written_as_short_as_they_are_exact, data_come_back_as_they_were_with_sorted_keys,
        heartbeats_merge_within_their_pulsetime, heartbeats_need_a_pulsetime, exports_are_files,
        imports_take_what_exports_give, imports_follow_their_rules, imports_are_all_or_nothing,
        queries_are_not_there_yet, large_events_go_and_come,
    ]))
