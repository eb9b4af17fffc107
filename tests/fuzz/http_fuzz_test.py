#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random and damaged requests, pipelined, split, cut off and reset, against a running `weir serve`. Prints TAP.

The server must live, serve others, and end cleanly. The seed is printed; $WEIR_FUZZ_SEED repeats a run,
$WEIR_FUZZ_REQUESTS makes it longer.
"""

import os
import random
import socket
import struct
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from server import Server, equal, run_tests

METHODS = ["GET", "POST", "HEAD", "DELETE", "PUT", "OPTIONS", "X" * 30]
TARGETS = ["/", "/api/health", "/api/executions", "/api/executions/x", "/api/executions/x/logs?tail=3", "/api/store",
           "/api/artifacts/x/download", "/api/executions?limit=1&offset=%32", "/api/executions?cursor=zzz",
           "/storage/artifacts/a/b", "/api/health/optimize", "/api/executions/x/cancel", "/api/executions?status=%ff"]
HEADERS = ["Host: localhost", "Host: x", "Content-Length: 5", "Content-Length: 99999999999", "Connection: close",
           "Transfer-Encoding: chunked", "Expect: 100-continue", "Range: bytes=0-1", "Origin: null", "x-api-key: a",
           "Authorization: Bearer x", "If-None-Match: *", ": x", "A:\0", "X: " + "y" * 3000]
ACTIVITY = ["/api/0/info", "//api//0/buckets/", "/api/0/buckets/b", "/api/0/buckets/b/events?limit=-1&start=%32",
            "/api/0/buckets/b/events/count", "/api/0/buckets/b/events/7", "/api/0/buckets/b/heartbeat?pulsetime=1e1",
            "/api/0/export", "/api/0/import", "/api/0/settings/%ff", "/api/0/settings/x", "/js/../x.js", "/%00", "/pages/x/"]
ACTIVITY_HEADERS = ["Content-Type: application/json", "Content-Type: application/json",
                    "Content-Type: multipart/form-data; boundary=X", "Origin: http://localhost:1", "Origin: moz-extension://a",
                    "Access-Control-Request-Method: POST", "Content-Length: 65", "Content-Length: 2000000"]
ACTIVITY_BODIES = [b'{"timestamp":"2018-01-01T01:01:01Z","duration":1.0,"data":{"a":1}}', b"[" * 200, b'{"buckets":{}}',
                   b'{"client":"c","type":"t","hostname":"h"}',
                   b'--X\r\nContent-Disposition: form-data; name="buckets"\r\n\r\n{"buckets":{}}\r\n--X--\r\n']
BODIES = [b"", b"{}", b'{"command": ["true"]}', b"5\r\nhello\r\n0\r\n\r\n", b"ffffffff\r\n", bytes(range(0, 250, 7))]
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def some_requests(rng, targets, headers, bodies):
    """One to three requests in a row, some of them damaged."""
    data = b""
    for _ in range(rng.randint(1, 3)):
        lines = [f"{rng.choice(METHODS)} {rng.choice(targets)} HTTP/1.{rng.randint(0, 1)}"]
        lines += ["Host: localhost"] * (rng.random() < 0.8) + rng.sample(headers, rng.randint(0, 4))
        body = rng.choice(bodies)
        if rng.random() < 0.5:  # whole requests, so that what they ask for is done, too
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        data += "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    if rng.random() < 0.4:
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        data = bytes(damaged)
    return data


def talk(server, rng, *what):
    """Send them on one connection, whole or in two pieces, read a little, close politely or not."""
    data = some_requests(rng, *what)
    cut = rng.randrange(len(data)) if rng.random() < 0.3 else len(data)
    with server.connect(10) as sock:
        try:
            sock.sendall(data[:cut])
            sock.settimeout(rng.choice([0.001, 0.005, 0.02]))
            sock.recv(65536 if cut == len(data) else 1)
        except OSError:
            pass  # no answer yet, or none at all
        try:
            sock.sendall(data[cut:])
        except OSError:
            pass  # the server has closed already
        if rng.random() < 0.2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


def trouble(flags, healthy, *what):
    """Damaged requests against a server with these flags, which must live, answer and end without a word."""
    seed = int(os.environ.get("WEIR_FUZZ_SEED", time.time_ns() % 1_000_000_000))
    count = int(os.environ.get("WEIR_FUZZ_REQUESTS", 1500))
    print(f"# seed {seed}", flush=True)
    rng = random.Random(seed)
    with Server("--request-timeout", "500ms", "--idle-timeout", "1s", *flags) as server:
        for _ in range(count):
            talk(server, rng, *what)
            equal(server.process.poll(), None, f"alive, seed {seed}")
        equal(server.get(healthy).status, 200, f"seed {seed}")
        server.stop()
        equal(server.stderr(), "", f"nothing to complain about, seed {seed}")


def damaged_requests_do_not_harm_the_server():
    trouble([], "/api/health", TARGETS, HEADERS, BODIES)


def nor_do_those_for_activity():
    with tempfile.TemporaryDirectory(prefix="weir-fuzz-") as folder:
        trouble(["--activity", f"{folder}/sqlite.db", "--webui", folder], "/api/0/info", TARGETS[:4] + ACTIVITY,
                HEADERS[:8] + ACTIVITY_HEADERS, BODIES + ACTIVITY_BODIES)


if __name__ == "__main__":
    sys.exit(run_tests([damaged_requests_do_not_harm_the_server, nor_do_those_for_activity]))
