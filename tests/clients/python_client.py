# SPDX-License-Identifier: MIT
"""What python_test.py runs inside the client's own environment: PORT SUPPORT. Prints TAP."""

import sys
import threading
import time
from datetime import datetime, timedelta, timezone

PORT, SUPPORT = sys.argv[1:]
sys.path.insert(0, SUPPORT)

import requests
from aw_client import ActivityWatchClient
from aw_core.models import Event

from server import equal, run_tests, wait_until

DAY = datetime(2026, 3, 1, 9, 0, 0, tzinfo=timezone.utc)


def client(name="weir-test"):
    return ActivityWatchClient(name, host="127.0.0.1", port=PORT, testing=True)


def at(seconds):
    return DAY + timedelta(seconds=seconds)


def event(seconds=0.0, duration=1.0, **data):
    return Event(timestamp=at(seconds), duration=timedelta(seconds=duration), data=data or {"app": "vim"})


def fails_with(status, function):
    try:
        function()
    except requests.HTTPError as error:
        equal(error.response.status_code, status, function)
        return error.response
    raise AssertionError(f"no error where {status} was expected")


def the_server_is_found():
    aw = client()
    aw.wait_for_start()
    info = aw.get_info()
    equal(sorted(info), ["device_id", "hostname", "testing", "version"], "info")
    equal(info["testing"], True, "testing")


def buckets_live_and_die():
    aw = client()
    aw.create_bucket("life", "currentwindow")
    aw.create_bucket("life", "currentwindow")  # 304, which is no error to it
    bucket = aw.get_buckets()["life"]
    equal((bucket["type"], bucket["client"], bucket["hostname"]), ("currentwindow", "weir-test", aw.client_hostname), "")
    aw.delete_bucket("life", force=True)
    equal("life" in aw.get_buckets(), False, "deleted")
    fails_with(404, lambda: aw.delete_bucket("life"))


def events_go_in_and_come_back():
    aw = client()
    aw.create_bucket("events", "test")
    aw.insert_event("events", event(0, 60, app="vim", title="Zürich – 京都"))
    aw.insert_events("events", [event(100, 1.234), event(200, 0.001), event(300, 8.2)])
    events = aw.get_events("events")
    equal([one.timestamp for one in events], [at(300), at(200), at(100), at(0)], "newest first")
    equal([one.duration.total_seconds() for one in events], [8.2, 0.001, 1.234, 60.0], "durations")
    equal(events[3].data, {"app": "vim", "title": "Zürich – 京都"}, "data")
    equal([one.timestamp for one in aw.get_events("events", limit=2)], [at(300), at(200)], "limit")
    inside = aw.get_events("events", start=at(50), end=at(250))
    equal([(one.timestamp, one.duration.total_seconds()) for one in inside],
          [(at(200), 0.001), (at(100), 1.234), (at(50), 10.0)], "clipped")
    equal(aw.get_events("events", start=at(301), end=at(302)), [event(301, 1, app="vim")], "inside one")
    equal(aw.get_eventcount("events"), 4, "count")
    equal(aw.get_eventcount("events", start=at(50), end=at(250)), 3, "count of a range")
    aw.delete_bucket("events")


def single_events_are_found_replaced_and_deleted():
    aw = client()
    aw.create_bucket("single", "test")
    aw.insert_events("single", [event(0, 1, n=0), event(0, 1, n=1), event(0, 1, n=2)])
    events = aw.get_events("single")
    equal([one.data["n"] for one in events], [0, 1, 2], "equal moments come in the order of insertion")
    middle = aw.get_event("single", events[1].id)
    equal((middle.id, middle.data), (events[1].id, {"n": 1}), "by its id")
    middle.data = {"n": "another"}
    aw.insert_event("single", middle)
    equal([one.data["n"] for one in aw.get_events("single")], [0, "another", 2], "replaced in its place")
    aw.delete_event("single", middle.id)
    aw.delete_event("single", middle.id)
    equal([one.data["n"] for one in aw.get_events("single")], [0, 2], "deleted")
    fails_with(404, lambda: aw.get_event("single", middle.id))
    aw.delete_bucket("single")


def heartbeats_are_merged():
    aw = client()
    aw.create_bucket("beats", "test")
    for second in range(10):
        aw.heartbeat("beats", event(second, 0, app="vim"), pulsetime=1.5)
    aw.heartbeat("beats", event(20, 0, app="vim"), pulsetime=1.5)
    aw.heartbeat("beats", event(21, 0, app="firefox"), pulsetime=1.5)
    equal([(one.timestamp, one.duration.total_seconds(), one.data["app"]) for one in aw.get_events("beats")],
          [(at(21), 0.0, "firefox"), (at(20), 0.0, "vim"), (at(0), 9.0, "vim")], "events")
    aw.delete_bucket("beats")


def heartbeats_through_the_queue_arrive():
    """As watchers send them: merged by the client first, queued on its disk, sent by a thread of its own."""
    aw = client("weir-queue")
    aw.create_bucket("queue", "test", queued=True)
    with aw:
        wait_until(lambda: "queue" in client().get_buckets(), "the queue makes its bucket")
        for second in range(60):
            aw.heartbeat("queue", event(second, 0, page=second // 20), pulsetime=5, queued=True, commit_interval=4)
        aw.heartbeat("queue", event(100, 0, page="end"), pulsetime=5, queued=True, commit_interval=4)
        wait_until(lambda: aw.get_eventcount("queue") >= 3 and aw.request_queue._persistqueue.qsize() == 0, "they arrive")
        wait_until(lambda: aw.get_events("queue", limit=1)[0].data == {"page": 2}, "the last of them")
    events = aw.get_events("queue")
    equal([one.data["page"] for one in events], [2, 1, 0], "an event for each page")
    equal([one.timestamp for one in events], [at(40), at(20), at(0)], "beginnings")
    equal([one.duration.total_seconds() for one in events], [19.0, 19.0, 19.0], "durations")
    aw.delete_bucket("queue")


def many_clients_at_once():
    """Every heartbeat that was answered is there."""
    aw = client()
    clients, beats = 8, 25

    def work(number):
        mine = client(f"weir-many-{number}")
        mine.create_bucket(f"many-{number}", "test")
        for second in range(beats):
            mine.heartbeat(f"many-{number}", event(second * 10, 0, n=second), pulsetime=5)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(clients):
        equal([one.data["n"] for one in aw.get_events(f"many-{number}")], list(reversed(range(beats))), number)
        aw.delete_bucket(f"many-{number}")


def settings_keep_what_they_get():
    aw = client()
    for value in ("text", 7, 1.5, True, None, ["a", {"b": [1]}], {"z": 1, "a": {"d": 2, "c": "ü"}}):
        aw.set_setting("weir", value)
        equal(aw.get_setting("weir"), value, "a setting")
    equal(aw.get_setting()["weir"], {"z": 1, "a": {"d": 2, "c": "ü"}}, "all settings")
    equal(aw.get_setting("unset"), None, "unset")


def exports_can_be_imported():
    aw = client()
    aw.create_bucket("moved", "test")
    aw.insert_events("moved", [event(second, 0.7, n=second) for second in range(50)])
    exported = aw.export_bucket("moved")["buckets"]["moved"]
    equal(len(exported["events"]), 50, "events in the export")
    everything = aw.export_all()
    equal(everything["buckets"]["moved"]["events"], exported["events"], "the export of all")
    aw.import_bucket(exported)  # there already
    equal(aw.get_eventcount("moved"), 50, "nothing twice")
    aw.delete_bucket("moved")
    aw.import_bucket(exported)
    again = aw.export_bucket("moved")["buckets"]["moved"]
    strip = lambda bucket: [{**one, "id": None} for one in bucket["events"]]
    equal(strip(again), strip(exported), "the same but for its ids")
    equal(again["created"], exported["created"], "created")
    aw.delete_bucket("moved")


def queries_say_that_they_are_not_there_yet():
    aw = client()
    response = fails_with(501, lambda: aw.query("RETURN = 1;", [(at(0), at(1))]))
    equal(isinstance(response.json()["message"], str), True, response.text)


def main():
    started = time.monotonic()
    code = run_tests([
        the_server_is_found, buckets_live_and_die, events_go_in_and_come_back,
        single_events_are_found_replaced_and_deleted, heartbeats_are_merged, heartbeats_through_the_queue_arrive,
        many_clients_at_once, settings_keep_what_they_get, exports_can_be_imported, queries_say_that_they_are_not_there_yet,
    ])
    print(f"# {time.monotonic() - started:.1f} s")
    return code


sys.exit(main())
