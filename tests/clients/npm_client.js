// SPDX-License-Identifier: MIT
//
// What npm_test.py runs: node npm_client.js URL PACKAGE. One line of JSON for each test: its name and its problems.
"use strict";

const assert = require("assert");
const [baseURL, name] = process.argv.slice(2);
const { AWClient } = require(name);

const DAY = Date.UTC(2026, 2, 1, 9);
const at = (seconds) => new Date(DAY + seconds * 1000);
const event = (seconds, duration, data) => ({ timestamp: at(seconds), duration, data });
const plain = (events) => events.map((one) => [(one.timestamp - DAY) / 1000, one.duration, one.data]);
const client = new AWClient("weir-test", { baseURL });

async function failsWith(status, promise) {
  const error = await promise.then(() => null, (reason) => reason);
  assert.strictEqual(error && error.response && error.response.status, status);
  return error.response;
}

const tests = {
  "the server is found": async () => {
    const info = await client.getInfo();
    assert.deepStrictEqual(Object.keys(info).sort(), ["device_id", "hostname", "testing", "version"]);
    assert.match(info.version, /^v\d+\.\d+\.\d+/);
  },

  "a bucket is ensured, twice": async () => {
    assert.deepStrictEqual(await client.ensureBucket("b", "test", "host"), { alreadyExist: false });
    assert.deepStrictEqual(await client.ensureBucket("b", "test", "host"), { alreadyExist: true });
    const buckets = await client.getBuckets();
    assert.strictEqual(buckets.b.type, "test");
    assert.ok(Math.abs(Date.now() - buckets.b.created) < 600000);
    const bucket = await client.getBucketInfo("b");
    assert.strictEqual(bucket.id, "b");
    assert.deepStrictEqual(bucket.data, {});
    await failsWith(304, client.createBucket("b", "test", "host"));
    await failsWith(404, client.getBucketInfo("none"));
  },

  "events are inserted, counted, replaced and deleted": async () => {
    await client.insertEvents("b", [event(0, 1, { n: 0 }), event(0, 1, { n: 1 })]);
    await client.insertEvent("b", { timestamp: at(10), data: { n: 2 } });
    const events = await client.getEvents("b");
    assert.deepStrictEqual(plain(events), [[10, 0, { n: 2 }], [0, 1, { n: 0 }], [0, 1, { n: 1 }]]);
    assert.strictEqual(await client.countEvents("b"), 3);
    await client.replaceEvent("b", { ...events[1], data: { n: "new" } });
    assert.deepStrictEqual((await client.getEvent("b", events[1].id)).data, { n: "new" });
    assert.strictEqual(await client.countEvents("b", at(-5), at(5)), 3); // as `starttime` and `endtime`, which nobody knows
    await client.deleteEvent("b", events[0].id);
    assert.deepStrictEqual(plain(await client.getEvents("b", { limit: -1 })), [[0, 1, { n: "new" }], [0, 1, { n: 1 }]]);
    await failsWith(404, client.getEvent("b", events[0].id));
  },

  "a range takes in both of its ends": async () => {
    await client.ensureBucket("range", "test", "host");
    await client.insertEvents("range", [event(0, 0, {}), event(60, 0, {}), event(120, 0, {})]);
    const between = async (from, to) => plain(await client.getEvents("range", { start: at(from), end: at(to) }));
    assert.deepStrictEqual(await between(0, 60), [[60, 0, {}], [0, 0, {}]]);
    assert.deepStrictEqual(await between(60, 120), [[120, 0, {}], [60, 0, {}]]);
    assert.deepStrictEqual(plain(await client.getEvents("range", { limit: 1 })), [[120, 0, {}]]);
  },

  "rapid heartbeats become one event": async () => {
    await client.ensureBucket("beats", "test", "host");
    const beats = [...Array(10).keys()].map((second) => client.heartbeat("beats", 5, event(second, 0, { label: "beat" })));
    await Promise.all(beats);
    assert.deepStrictEqual(plain(await client.getEvents("beats")), [[0, 9, { label: "beat" }]]);
    await client.heartbeat("beats", 5, { timestamp: new Date(Date.UTC(1980, 0, 1)), duration: 0, data: { label: "late" } });
    assert.strictEqual(await client.countEvents("beats"), 2);
    await client.heartbeat("beats", 5, event(12, 0, { label: "beat" }));
    assert.deepStrictEqual(plain(await client.getEvents("beats", { limit: 1 })), [[0, 12, { label: "beat" }]]);
  },

  "settings keep what they get": async () => {
    const value = { views: [{ id: "summary", n: 1 }], on: true };
    await client.set_setting("weir", value);
    assert.deepStrictEqual(await client.get_setting("weir"), value);
    await client.set_setting("list", [1, "two", null]);
    assert.deepStrictEqual(await client.get_settings(), { list: [1, "two", null], weir: value });
  },

  "an export can be imported": async () => {
    const exported = await client.req.get("/0/export").then((answer) => answer.data);
    assert.deepStrictEqual(Object.keys(exported.buckets), ["b", "beats", "range"]);
    await client.deleteBucket("range");
    await client.req.post("/0/import", exported);
    assert.deepStrictEqual(plain(await client.getEvents("range")), [[120, 0, {}], [60, 0, {}], [0, 0, {}]]);
    assert.strictEqual(await client.countEvents("b"), 2);
  },

  "queries say that they are not there yet": async () => {
    const response = await failsWith(501, client.query([{ start: at(0), end: at(60) }], ["RETURN = 1;"]));
    assert.strictEqual(typeof response.data.message, "string");
  },

  "a bucket is deleted": async () => {
    await client.deleteBucket("b");
    await failsWith(404, client.getBucketInfo("b"));
  },
};

(async () => {
  for (const [test, run] of Object.entries(tests)) {
    const problems = [];
    await run().catch((error) => problems.push(String(error.stack || error)));
    console.log(JSON.stringify({ name: test, problems }));
  }
})();
