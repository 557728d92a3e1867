"""Calls as nobody should make them: each gets a clear answer, none breaks larder."""
import http.client
import json
import random
import urllib.parse

import pytest

from test_caching import config
from test_invalidation import COURSES, ROOM, ROOMS

WORDS = ["", "a", "courses", "rooms", "room", "org:1", "*", "/", "/api/rooms/17", "/api/*", "{id}",
         "/api/rooms/{id}", "http://", "http://a", "http://a/api/rooms?n=1", "a b", "a\r\nb: c", "\0",
         "\u202e", "ä", "%00", "%", "//", "..", "x" * 300, "x" * 9000, "hard", "soft", "true",
         "organization_id=1", "courses:organization_id=1:semester=2", "10m", "-1", "1e400"]
NAMES = ["key", "url", "path", "glob", "tag", "tags", "all_of", "route", "params", "all", "mode",
         "dry_run", "refresh", "limit", "urls", "hottest", "job", "rate", "headers", "wait",
         "bodies", "concurrency", "method", "body", "enabled", "ttl", "max", "file", "from",
         "pointer", "organization_id", "semester", "id", "nope"]
CALLS = ["invalidate", "warm", "explain", "routes/courses", "routes/nope", "jobs/job-1/retry"]
GETS = ["stats", "keys", "entry", "jobs", "jobs/job-1", "jobs/x", "routes", "nope", ""]


def value(r, depth=0):
    kind = r.randrange(9 if depth < 3 else 6)
    if kind < 3:
        return r.choice(WORDS)
    if kind == 3:
        return r.choice([0, 1, -1, 2 ** 31, 2 ** 63, 2 ** 64, 1.5, 1e300, 3])
    if kind == 4:
        return r.choice([True, False, None])
    if kind == 5:
        return str(r.randrange(100))
    if kind == 6:
        return [value(r, depth + 1) for _ in range(r.randrange(4))]
    return members(r, depth + 1)


def members(r, depth=0):
    return {r.choice(NAMES): value(r, depth) for _ in range(r.randrange(4))}


def mangle(r, text):
    if r.random() < 0.9 or not text:
        return text
    at = r.randrange(len(text))
    return text[:at] + r.choice(["", "\"", "{", "]", "\\u00", ",,", "\n"]) + text[at + 1:]


@pytest.mark.parametrize("seed", range(4))
def test_each_odd_call_has_a_clear_answer(larder_factory, school_app, tmp_path, seed):
    larder = larder_factory(config(school_app, COURSES, ROOMS, ROOM, warm_dir=str(tmp_path)))
    r = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", larder.control_port, timeout=20)

    def call(method, path, body=None):
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        text = answer.read()
        shown = (method, path, body, answer.status, text[:300])
        assert answer.status in (200, 202, 400, 404, 405, 409, 413, 414, 422), shown
        told = json.loads(text) if method != "HEAD" and "stream" not in answer.headers.get(
            "Content-Type", "") else {}
        if answer.status >= 400 and method != "HEAD":
            assert told["status"] == answer.status and len(told["detail"]) > 5, shown
        return told
    for n in range(400):
        if n % 3:
            call("POST", f"/api/cache/{r.choice(CALLS)}", mangle(r, json.dumps(members(r))))
        else:
            query = urllib.parse.urlencode(
                {r.choice(NAMES + ["window", "cursor", "body"]): r.choice(WORDS)
                 for _ in range(r.randrange(3))})
            method = r.choice(["GET", "GET", "GET", "HEAD", "DELETE", "PUT"])
            call(method, f"/api/cache/{r.choice(GETS)}?{query}")
        if n % 50 == 0:
            larder.request("GET", f"/api/courses?organization_id={n % 3}")
            larder.request("GET", f"/api/rooms/{n % 20}")
    connection.close()
    assert larder.control("GET", "/health/ready").status == 200
    larder.invalidate(all=True)
    assert larder.request("GET", "/api/rooms/1").json()["name"] == "room-1"
