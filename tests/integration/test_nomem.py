"""Larder's own allocations fail, each in turn and at random: it says so, or serves from the app;
it never crashes, leaks, answers wrongly or shows what was invalidated."""
import http.client
import itertools
import json
import mmap
import os
import pathlib
import signal
import struct
import subprocess

import pytest

from support.larder import BINARY, ROOT, Larder, Refused, wait_until
from support.redis import RedisServer
from support.tls import AnswerEnded, ask, connect

SEED = int(os.environ.get("SEED", "1"))
PROGRAM = pathlib.Path(BINARY).resolve().parents[1] / "tests/larder_nomem"


class Orders:
    """The file that says which allocations fail."""
    def __init__(self, directory):
        self.path = directory / "orders"
        self.path.write_bytes(bytes(16))
        with open(self.path, "r+b") as f:
            self.memory = mmap.mmap(f.fileno(), 16)
        self.environment = {"LARDER_NOMEM": str(self.path)}

    def set(self, at=0, one_in=0):
        self.memory[:12] = struct.pack("III", at, one_in, SEED)

    @property
    def failed(self):
        return struct.unpack("I", self.memory[12:])[0]


@pytest.fixture
def orders(tmp_path):
    return Orders(tmp_path)


def config(app):
    return {
        "listen": "127.0.0.1:0", "control": {"listen": "127.0.0.1:0"}, "workers": 2,
        "upstreams": {"app": {"server": f"127.0.0.1:{app.port}"}},
        "rate_limits": [{"name": "all", "limits": ["1000000/1h"]}], "rate_limit": "all",
        "routes": [
            {"name": "courses", "match": "GET /api/courses", "ttl": "1h",
             "key": ["query.organization_id"], "tags": ["org:{query.organization_id}"],
             "stale_while_revalidate": "1m", "stale_if_error": "1h"},
            {"name": "rooms", "match": "GET /api/rooms", "ttl": "1h", "tags":
             ["room:{response./rooms/*/id}"], "store_if": "status == 200 && /name == 'rooms'"},
            {"name": "room", "match": "GET /api/rooms/{id}", "ttl": "1h", "key": ["path.id"],
             "tags": ["room:{path.id}"]},
            {"name": "room-writes", "match": "PUT,DELETE /api/rooms/{id}",
             "on_write": {"tags": ["room:{path.id}"]}}],
        "aliases": [
            {"on": "POST /old/clear", "do": "invalidate", "open": True, "cors": "*",
             "expect": {"json.kind": ["courses", "rooms"]},
             "with": [{"route": "${json.kind}", "params": {"organization_id": "${json.org?}"}},
                      {"tag": "org:${json.org?}"}],
             "reply": {"message": "${json.kind} cleared", "n": "${removed}"}},
            {"on": "POST /old/warm", "do": "warm", "open": True,
             "with": {"urls": ["/api/courses?organization_id=${json.org}"]},
             "reply": {"name": "${result.courses/name}", "all": "${result.courses}"}},
            {"on": "GET /old/stats", "do": "stats", "open": True,
             "with": {"organization_id": "${query.org?}"},
             "reply": {"hits": "${hits}", "rate": "${hit_ratio|percent|1}", "now": "${now|local}",
                       "p99": "${latency.all.p99|1}", "window": "${stats/window}"}},
            {"on": "GET /api/rooms/merged", "do": "stats", "open": True, "merge": True,
             "reply": {"entries": "${entries}"}}]}


REDIS = {"secret": "0123456789abcdef", "upstreams": {"app": {"server": "127.0.0.1:8000"}},
         "redis": {"server": ["rediss://a/1", "b:6379"], "user": "u", "password": "p", "prefix": "x"},
         "routes": [{"name": "a", "match": "GET /a", "ttl": "1m", "shared": "full"}]}


PROFILES = {"$profile": {"env": "LARDER_TEST_PROFILE", "default": "small"},
            "$profiles": {"small": {"workers": {"env": "LARDER_TEST_WORKERS"}, "log": {"access": None}}},
            "upstreams": {"app": {"server": "${LARDER_TEST_HOST:-app}:$LARDER_TEST_WORKERS"}},
            "secret": {"env": "LARDER_TEST_SECRET", "default": "0123456789abcdef"}}


@pytest.fixture
def redis():
    server = RedisServer()
    yield server
    server.stop()


def shared(c, redis):
    """The same, with one cache for several."""
    more = {"shared": "full", "coalesce": "fleet", "first_byte_timeout": "1s"}
    return dict(c, secret="0123456789abcdef", redis={"server": redis.address},
                routes=[dict(r, **more) if "ttl" in r else r for r in c["routes"]])


@pytest.mark.parametrize("given, least", [("example", 100), ("redis", 20), ("profiles", 10)])
def test_a_config_is_tested_whole_or_the_want_of_memory_is_told(orders, given, least, tmp_path):
    example = str(ROOT / "conf/larder.example.json")
    if given != "example":
        example = tmp_path / "larder.json"
        example.write_text(json.dumps(REDIS if given == "redis" else PROFILES))
    environment = dict(orders.environment, UBSAN_OPTIONS="halt_on_error=1", LARDER_TEST_WORKERS="2")
    for at in range(1, 1000):
        orders.set(at=at)
        run = subprocess.run([PROGRAM, "-t", "-c", example], capture_output=True, text=True,
                             env=environment, check=False)
        if orders.failed < at:
            break
        assert run.returncode == 1 and "memory" in run.stderr, (at, run.stderr)
        assert "Sanitizer" not in run.stderr and "runtime error" not in run.stderr, run.stderr
    assert run.returncode == 0 and at > least


def test_certificates_are_read_whole_or_the_want_of_memory_is_told(orders, school_app, authority, pair,
                                                                    tmp_path):
    pair = pair.config()
    path = tmp_path / "larder.json"
    c = config(school_app)
    c["listen"] = {"address": "127.0.0.1:0", "tls": {"certificates": [pair, pair]}}
    c["upstreams"]["app"]["tls"] = {"ca": str(authority.certificate), **pair}
    path.write_text(json.dumps(c))
    for at in range(1, 1000):
        orders.set(at=at)
        run = subprocess.run([PROGRAM, "-t", "-c", path], capture_output=True, text=True,
                             env=orders.environment | {"UBSAN_OPTIONS": "halt_on_error=1"},
                             check=False)
        if orders.failed < at:
            break
        assert run.returncode == 1 and "memory" in run.stderr, (at, run.stderr)
        assert "Sanitizer" not in run.stderr and "runtime error" not in run.stderr, run.stderr
    assert run.returncode == 0 and at > 50


def test_tls_goes_on_while_memory_is_short(larder_factory, orders, school_app, authority, pair):
    c = config(school_app)
    listener = {"address": "127.0.0.1:0", "tls": {"certificates": [pair.config()]}}
    inner = larder_factory(dict(c, listen=["127.0.0.1:0", listener], routes=[], aliases=[]))
    c["listen"] = ["127.0.0.1:0", listener]
    c["upstreams"] = {"app": {"server": f"https://127.0.0.1:{inner.tls_port}",
                              "tls": {"ca": str(authority.certificate), **pair.config()}}}
    larder = larder_factory(c, PROGRAM, orders.environment)
    context, failed = authority.client_context(), []

    def talk(i):
        with connect(larder.tls_port, context) as s:
            for path in (f"/api/rooms?n={i % 40}", "/api/rooms?n=3000", f"/api/rooms/{i}"):
                head, body = ask(s, path)
                if " 200 " in head:
                    assert json.loads(body) and b"}" in body
                else:
                    assert any(f" {status} " in head for status in (500, 501, 502, 503)), head

    for one_in in (1000, 100, 30, 10):
        orders.set(one_in=one_in)
        for i in range(200):
            try:
                talk(i)
            except TimeoutError:
                raise AssertionError("no answer, and no end") from None
            except (OSError, AnswerEnded):
                pass
            if i % 8 == 0:
                os.kill(larder.process.pid, signal.SIGHUP)
        failed.append(orders.failed)
    assert failed[-1] > 10, failed
    orders.set()
    talk(1)


@pytest.mark.parametrize("kind", ["alone", "with redis"])
def test_a_start_succeeds_or_says_that_memory_is_short(orders, school_app, redis, kind):
    refused = 0
    c = config(school_app) if kind == "alone" else shared(config(school_app), redis)
    for at in range(1, 400, 3):
        orders.set(at=at)
        try:
            Larder(c, PROGRAM, orders.environment).stop()
        except Refused as refusal:
            refusal.check("memory")
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("kind", ["alone", "beside another"])
def test_answers_stay_right_and_invalidations_final_while_memory_is_short(
        larder_factory, orders, school_app, redis, kind):
    c, other = config(school_app), None
    if kind != "alone":
        c = shared(c, redis)
        other = larder_factory(c)
    larder = larder_factory(c, PROGRAM, orders.environment)
    seen = {"right": 0, "refused": 0}
    versions = [0] * 5

    def ask(method, path, body=None, control=False):
        """None: larder could not, and said so or hung up."""
        try:
            answer = (larder.control if control else larder.request)(method, path, body=body)
        except TimeoutError:
            raise AssertionError(f"no answer to {method} {path} {body}") from None
        except (OSError, http.client.HTTPException):
            seen["refused"] += 1
            return None
        # 413 and 501: evhttp's own, on a connection that found no memory for its gate
        is_right = answer.status in (200, 202) or (control and answer.status == 404)
        assert is_right or answer.status in (413, 500, 501, 502, 503), (path, answer.body)
        seen["right" if is_right else "refused"] += 1
        return answer.json() if is_right else None

    def mix(i):
        room = i % 5
        if other:  # it has enough, and fetches for both
            for path in (f"rooms/{room}", f"courses?organization_id={i % 3}", f"rooms?n={i % 40}"):
                assert other.request("GET", f"/api/{path}").status == 200
        written = ask("PUT", f"/api/rooms/{room}") if i % 7 == 0 else None
        if written:
            versions[room] = written["version"]
        answer = ask("GET", f"/api/rooms/{room}")
        assert not answer or (answer["name"] == f"room-{room}" and
                              answer["version"] >= versions[room])
        answer = ask("GET", f"/api/courses?organization_id={i % 3}")
        assert not answer or answer["name"] == f"courses-{i % 3}"
        answer = ask("GET", f"/api/rooms?n={i % 40}")
        assert not answer or len(answer["rooms"]) == i % 40
        calls = [("POST", "invalidate", {"tag": f"org:{i % 3}", "mode": "soft"}),
                 ("POST", "invalidate", {"all_of": [f"org:{i % 3}", "courses"]}),
                 ("POST", "invalidate", {"path": "/api/rooms/{id}", "dry_run": True}),
                 ("POST", "invalidate", {"url": "/api/courses?organization_id=1"}),
                 ("POST", "warm", {"route": "courses", "params": {"organization_id": [7, 8]}}),
                 ("POST", "warm", {"hottest": 5, "wait": True, "bodies": True}),
                 ("POST", "routes/rooms", {"ttl": "10m"}),
                 ("GET", "stats?organization_id=1&window=minute", None),
                 ("GET", "entry?url=/api/rooms/1", None),
                 ("POST", "invalidate", {"route": "courses", "params": {"organization_id": "1"}}),
                 ("POST", "invalidate", {"glob": "rooms*", "refresh": True}),
                 ("POST", "warm", {"urls": ["/api/rooms/1", "/api/rooms/2"], "wait": True}),
                 ("POST", "explain", {"url": "/api/rooms/3"}),
                 ("GET", "stats", None), ("GET", "keys", None), ("GET", "jobs", None)]
        for method, path, body, member in (
                ("POST", "clear", {"kind": "courses", "org": str(i % 3)}, "n"),
                ("POST", "warm", {"org": str(i % 3)}, "all"),
                ("GET", f"stats?org={i % 3}", None, "p99")):
            answer = ask(method, f"/old/{path}", json.dumps(body) if body else None)
            assert not answer or member in answer
            assert not answer or answer.get("name", f"courses-{i % 3}") == f"courses-{i % 3}"
        answer = ask("GET", "/api/rooms/merged")
        assert not answer or answer["name"] == "room-merged" and answer["entries"] >= 0
        method, name, body = calls[i % len(calls)]
        ask(method, f"/api/cache/{name}", json.dumps(body) if body else None, control=True)

    for one_in in (1000, 100, 30, 10):
        orders.set(one_in=one_in)
        for i in range(64):
            mix(i)
    orders.set()
    failed, refused = orders.failed, seen["refused"]
    for i in range(16):
        mix(i)
    assert seen["refused"] == refused, "all is well again"
    wait_until(lambda: "hit" in larder.request("GET", "/api/rooms/0").headers["Cache-Status"])
    assert failed > 100 and seen["right"] > 100
    if other:
        check_sharing(larder, other)


def check_sharing(larder, other):
    """What another has fetched is found in Redis, and what larder fetches goes there."""
    numbers = itertools.count(50)

    def get(asker, organization):
        path = f"/api/courses?organization_id={organization}"
        assert asker.request("GET", path).status == 200

    def grows(counter):
        before, n = larder.stats()["redis"][counter], next(numbers)
        get(other, n)
        get(larder, n - 1)       # other has had time to write it
        get(larder, f"own-{n}")  # nobody has it
        return larder.stats()["redis"][counter] > before

    get(other, 49)
    for counter in ("hits", "leases_led", "stores"):
        wait_until(lambda counter=counter: grows(counter))
