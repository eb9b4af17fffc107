# SPDX-License-Identifier: MIT
"""Could ActivityWatch's own server open this database, and read every row of it?

That server (aw-server-rust) gives up for good on rows that it does not expect: a moment of creation that is no date,
data that are not a JSON object, a moment before 1970 with a fraction of a second, a setting that is NULL. So what we
write is looked at here by other means than those that wrote it: sqlite3 and json of Python, and nothing of ours.
"""

import datetime
import json
import re
import sqlite3

NS = 10**9
DEPTH_MAX = 127  # of containers, which is where serde_json stops
COLUMNS = {
    "buckets": [("id", "INTEGER"), ("name", "TEXT"), ("type", "TEXT"), ("client", "TEXT"), ("hostname", "TEXT"),
                ("created", "TEXT"), ("data", "TEXT")],  # and data_deprecated, where there is one
    "events": [("id", "INTEGER"), ("bucketrow", "INTEGER"), ("starttime", "INTEGER"), ("endtime", "INTEGER"),
               ("data", "TEXT")],
    "key_value": [("key", "TEXT"), ("value", "TEXT"), ("last_modified", "NUMBER")],
}
INDEXES = {"bucket_id_index", "events_bucketrow_starttime_endtime_index"}
CREATED = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.(?:\d{3}|\d{6}|\d{9}))?\+00:00")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Unreadable(Exception):
    """What is wrong with a text that should be JSON."""


def constant(name):
    raise Unreadable(f"{name} is no JSON")


def real(text):
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Unreadable(f"{text} is beyond a double")
    return value


def integer(text):
    value = int(text)
    if not -2**63 <= value < 2**64:
        raise Unreadable(f"{text} is beyond 64 bits and has no point")
    return value


def sorted_object(pairs):
    keys = [key.encode() for key, _ in pairs]  # a lone surrogate cannot be encoded
    if keys != sorted(set(keys)):
        raise Unreadable(f"keys are {keys}")
    return dict(pairs)


def json_of(text):
    """The value of a JSON text in the form in which the peer writes it."""
    if not isinstance(text, bytes):
        raise Unreadable("it is not text")
    try:
        text = text.decode()
        value = json.loads(text, parse_constant=constant, parse_float=real, parse_int=integer,
                           object_pairs_hook=sorted_object)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError as error:
        raise Unreadable(str(error)) from None
    frame = STRING.sub("", text)
    if re.search(r"\s", frame):
        raise Unreadable("there are blanks between its tokens")
    depth = deepest = 0
    for letter in frame:
        depth += (letter in "[{") - (letter in "]}")
        deepest = max(deepest, depth)
    if deepest > DEPTH_MAX:
        raise Unreadable(f"it is {deepest} deep")
    return value


def complaint(what, text, wants_object=True):
    try:
        value = json_of(text)
    except Unreadable as error:
        return [f"{what}: {error}: {text!r:.200}"]
    return [] if isinstance(value, dict) or not wants_object else [f"{what}: no object: {text!r:.200}"]


def complaints_about_schema(rows):
    found = []
    (version,), = rows("PRAGMA user_version")
    if version != 5:
        found.append(f"user_version is {version}")
    for table, wanted in COLUMNS.items():
        columns = [(name.decode(), kind.decode()) for name, kind in
                   rows("SELECT name, type FROM pragma_table_info(?)", table)]
        columns = [column for column in columns if column[0] != "data_deprecated"]
        if columns != wanted:
            found.append(f"{table} has the columns {columns}")
    there = {name.decode() for name, in rows("SELECT name FROM sqlite_schema WHERE type = 'index'")}
    if not INDEXES <= there:
        found.append(f"the indexes are {sorted(there)}")
    for pragma, wanted in (("integrity_check", [(b"ok",)]), ("foreign_key_check", [])):
        got = rows(f"PRAGMA {pragma}")
        if got != wanted:
            found.append(f"{pragma} says {got}")
    return found


def complaints_about_bucket(row):
    number, *names, created, data = row
    found = complaint(f"bucket {number}: data", data)
    for name in names:
        try:
            name.decode()
        except (AttributeError, UnicodeDecodeError):
            found.append(f"bucket {number}: {name!r} is not UTF-8 text")
    match = CREATED.fullmatch(created.decode(errors="replace")) if isinstance(created, bytes) else None
    try:
        datetime.datetime.fromisoformat(match[1])
    except (TypeError, ValueError):
        found.append(f"bucket {number}: created is {created!r}")
    return found


def complaints_about_event(row):
    number, start, end, data = row
    found = complaint(f"event {number}: data", data)
    for moment in (start, end):
        if not isinstance(moment, int):
            found.append(f"event {number}: {moment!r} is no moment")
        elif moment < 0 and moment % NS:
            found.append(f"event {number}: {moment} is before 1970 with a fraction of a second")
    return found


def complaints_about_setting(row):
    key, value, modified = row
    found = [] if isinstance(modified, int) else [f"setting {key}: last_modified is {modified!r}"]
    return found + complaint(f"setting {key}", value, wants_object=False)


def complaints_of_the_peer(database):
    """[] when it could open this file and read all of it. No server may have it open."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.text_factory = bytes
    try:
        def rows(sql, *values):
            return connection.execute(sql, values).fetchall()

        found = complaints_about_schema(rows)
        if found:
            return found
        for row in rows("SELECT id, name, type, client, hostname, created, data FROM buckets"):
            found += complaints_about_bucket(row)
        for row in connection.execute("SELECT id, starttime, endtime, data FROM events"):
            found += complaints_about_event(row)
        for row in rows("SELECT key, value, last_modified FROM key_value"):
            found += complaints_about_setting(row)
        return found
    finally:
        connection.close()
