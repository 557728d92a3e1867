"""ALL: what holds for each of the five systems, with its own file and its own app."""
import contextlib
import json
import mmap
import pathlib
import re
import struct

import pytest

import campus
import hillview
import steps
from items import ROOT, decides
from steps import is_hit, is_stored, prefixes, status_of, together
from support.larder import BINARY
from support_legacy import APPS, legacy_config, merged, without_comments

JSON = {"Content-Type": "application/json"}
LOGIN = {"username": "ann", "password": "secret-of-ann"}


class System:
    """One of the five: its app, how larder starts before it, a request that is cached, and what the app counts."""

    def __init__(self, name, module, server, function, method, path, body=None, environment=None):
        self.name, self.module, self.server, self.function = name, module, server, function
        self.method, self.path, self.body = method, path, json.dumps(body) if body else None
        self.environment = environment or {}

    def ask(self, at):
        answer = at.request(self.method, self.path, headers=JSON if self.body else None, body=self.body)
        assert answer.status == 200, answer.body
        return answer

    def start(self, factory, app, **more):
        if self.name == "timetable":
            return campus.start(factory, app, **more)
        if self.name == "school":
            return hillview.start(factory, app, **more)
        return steps.start(factory, self.name, app, **more)

    def config(self, app, **more):
        """The file, in memory alone and without limits: for what is started otherwise."""
        config = legacy_config(self.name, app.port, warm=[], **more)
        for member in ("redis", "secret", "$profile", "$profiles", "rate_limit"):
            config.pop(member, None)
        for limited in config["routes"] + config["aliases"]:
            limited.pop("rate_limit", None)
        return config


SYSTEMS = [
    System("attendance", "main", "uvicorn", "login_and_fetch_attendance", "POST", "/login-and-fetch-attendance", LOGIN),
    System("timetable", "registry", "gunicorn", "rooms", "GET", campus.url("rooms", campus.SMALL)),
    System("monitoring", "monitoring_api", "uvicorn", "metrics_current", "GET", "/metrics/current"),
    System("risk", "app", "gunicorn", "assess", "GET", "/api/assess?model=oecd&country=USA&sector=C10T12",
           environment={"LEGACY_DELAY": "0.002"}),
    System("school", "app", "gunicorn", "configuration", "GET", "/api/configuration",
           environment={"SECRET_KEY": hillview.KEY}),
]
ALL_FIVE = pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.name)
ENVIRONMENT = {**steps.ENVIRONMENT, **campus.ENVIRONMENT, **hillview.ENVIRONMENT}


@pytest.fixture
def app(system, legacy_app):
    return legacy_app(system.name, system.module, system.server, **system.environment)


@pytest.fixture
def larder(system, app, larder_factory):
    return system.start(larder_factory, app)


def fields(answer):
    """What an app says, less what tells the time."""
    own = ("Date", "Server", "Content-Type", "Access-Control-Allow-Origin", "Vary")
    return {name: answer.headers[name] for name in own if name != "Date"}


def without_token(body):
    """The portal's session is another one each time."""
    return re.sub(rb'"token":"[^"]*"', b'"token":""', body)


@ALL_FIVE
def test_all_01_clients_see_what_they_saw(system, app, larder):
    """Status, bytes, type and CORS headers: of a miss, a hit, an error, a preflight; and bodies go up as they are."""
    origin = {"Origin": "http://front.example"}
    direct = app.request(system.method, system.path, headers={**JSON, **origin}, body=system.body)
    for _ in range(2):
        through = larder.request(system.method, system.path, headers={**JSON, **origin}, body=system.body)
        assert through.status == direct.status and fields(through) == fields(direct)
        if system.name != "monitoring":  # whose figures are new at each call
            assert without_token(through.body) == without_token(direct.body)
    for method, path, body in (("GET", "/no/such/route", None), ("POST", "/no/such/route", "{\"a\": 1}"),
                               ("OPTIONS", system.path, None), ("DELETE", system.path, None)):
        answers = [at.request(method, path, headers={**JSON, **origin}, body=body) for at in (app, larder)]
        assert answers[0].status == answers[1].status and answers[0].body == answers[1].body, (method, path)
        assert fields(answers[0]) == fields(answers[1])


@ALL_FIVE
def test_all_02_the_app_says_nothing_of_caching(system, app, larder):
    direct = system.ask(app)
    assert not any(direct.headers[name] for name in ("Cache-Control", "Expires", "ETag", "Last-Modified", "Age",
                                                     "Surrogate-Key", "Cache-Tag"))
    assert is_stored(system.ask(larder)) and is_hit(system.ask(larder))
    source = "".join(p.read_text() for p in (APPS / system.name).rglob("*.py"))
    assert not re.search(r"lru_cache|cachetools|flask_caching|redis|CacheManager\(|cache_page", source)


TOKENS = {"attendance": {"Authorization": f"Bearer {steps.ENVIRONMENT['LARDER_TOKEN']}"},
          "timetable": {"Authorization": f"Bearer {campus.TOKEN}"}}
OLD_ROUTES = [  # system, method, path, body, what the answer looks like
    ("attendance", "GET", "/health", None,
     r'"cache_info":\{"attendance_cache_entries":\d+,"datewise_cache_entries":\d+,"tilldate_cache_entries":\d+,'
     r'"cache_duration_hours":6,"server_time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"\}'),
    ("attendance", "POST", "/clear-cache", None, r"\{.*\}"),
    ("timetable", "GET", "/api/cache/stats", None, r'"redis_hit_rate":[01]\.\d+'),
    ("timetable", "POST", "/api/cache/invalidate", {"organization_id": "123", "resource_type": "rooms"},
     r'\{"status":"success","message":"rooms cache invalidated","organization_id":"123"\}'),
    ("timetable", "POST", "/api/cache/warm", {"organization_id": "123"},
     r'\{"status":"success","message":"Cache warmed successfully","result":\{"config":'),
    ("monitoring", "GET", "/performance/cache", None, r'"hit_rate":\d+\.\d,"cache_size":\d+,"ttl_seconds":'),
    ("monitoring", "GET", "/performance/connections", None, r'"connection_reuse_rate":\d+\.\d\}'),
    ("monitoring", "GET", "/performance/summary", None, r'"speedup":"\d+\.\dx"'),
    ("risk", "GET", "/api/cache/stats", None, r'\{"cache_stats":\{"hits":\d+,.*"hit_rate_percent":\d+\.\d,'),
    ("risk", "POST", "/api/cache/clear", None, r'\{"success":true,"message":"Cache cleared successfully"\}'),
    ("school", "GET", "/health/scalability", None, r'"cache":\{"hit_rate":\d+\.\d,'),
]


@ALL_FIVE
def test_all_03_control_routes_answer_at_their_old_paths(system, app, larder):
    """In their units: a share (001), per cent (002), per cent by another name (003)."""
    for _ in range(4):
        system.ask(larder)
    told = {"timetable": lambda: larder.request("GET", "/api/cache/stats").json()["stats"]["redis_hit_rate"] == 0.75,
            "monitoring": lambda: larder.request("GET", "/performance/cache").json()["hit_rate"] == 75.0,
            "risk": lambda: larder.request("GET", "/api/cache/stats").json()["cache_stats"]["hit_rate_percent"] == 75.0}
    assert system.name not in told or told[system.name]()
    for name, method, path, body, shape in OLD_ROUTES:
        if name == system.name:
            answer = larder.request(method, path, headers={**JSON, **TOKENS.get(name, {})} if method == "POST" else None,
                                    body=json.dumps(body) if body else None)
            assert answer.status == 200 and answer.headers["Content-Type"].startswith("application/json"), path
            assert re.search(shape, answer.body.decode()), (path, answer.body)


@ALL_FIVE
def test_all_04_a_hit_is_told_from_a_miss_by_header_and_log(system, larder):
    miss, hit = system.ask(larder), system.ask(larder)
    assert status_of(miss).startswith("larder; fwd=uri-miss") and status_of(hit).startswith("larder; hit")
    assert "Age" not in miss.headers or miss.headers["Age"] == "0"
    lines = [line for line in larder.access_lines(2) if system.path.split("?")[0] in line["url.original"]]
    assert sorted(line["larder.outcome"] for line in lines) == ["hit", "miss"]


def orders(path):
    """For the build of tests/nomem: one allocation in <n> fails."""
    path.write_bytes(bytes(16))
    with open(path, "r+b") as f:
        memory = mmap.mmap(f.fileno(), 16)

    def fail(one_in):
        memory[:12] = struct.pack("III", 0, one_in, 7)
    return fail


@decides("a failure of Redis or of the store ends in a fetch. Where larder itself has no memory for a request, that one "
         "gets a clean error, or its connection ends, and the next goes on")
@ALL_FIVE
def test_all_05_a_broken_cache_does_not_break_the_app(system, app, larder_factory, own_redis, tmp_path):
    """Redis gone, in the middle of it; no room to store anything; no memory."""
    if system.name in ("timetable", "school"):
        more = {"redis": own_redis, **({"profile": "production"} if system.name == "school" else {})}
    else:
        more = steps.with_redis(own_redis)
    larder = system.start(larder_factory, app, **more)
    system.ask(larder)
    own_redis.kill()
    assert [system.ask(larder).status for _ in range(10)] == [200] * 10
    invalidated = larder.control("POST", "/api/cache/invalidate", '{"all": true}')
    assert invalidated.status == 202  # it holds here, and there later
    assert system.ask(larder).status == 200
    larder.stop()

    no_room = {"max_bytes": "1KiB", "max_object_bytes": "1KiB"}
    tiny = larder_factory(system.config(app, cache=no_room), BINARY, ENVIRONMENT)
    assert [system.ask(tiny).status for _ in range(3)] == [200] * 3
    tiny.stop()

    fail = orders(tmp_path / "orders")
    program = pathlib.Path(BINARY).resolve().parents[1] / "tests/larder_nomem"
    short = larder_factory(system.config(app), program, {**ENVIRONMENT, "LARDER_NOMEM": str(tmp_path / "orders")})
    for one_in in (1000, 100):
        fail(one_in)
        for n in range(30):
            with contextlib.suppress(OSError):
                answer = short.request(system.method, f"{system.path}{'&' if '?' in system.path else '?'}n={n}",
                                       headers=JSON if system.body else None, body=system.body)
                assert answer.status in (200, 500, 502, 503)  # not even the request could be read
    fail(0)
    assert [system.ask(short).status for _ in range(3)] == [200] * 3


@ALL_FIVE
def test_all_06_concurrent_misses_are_one_call(system, app, larder):
    answers = together(larder, app, system.function, 20 * [lambda: system.ask(larder)], 1)
    assert {a.status for a in answers} == {200} and len({a.body for a in answers}) == 1
    assert app.count(system.function) == 1


@ALL_FIVE
def test_all_07_a_restart_does_not_lose_the_cache(system, app, larder_factory, redis, tmp_path):
    """By Redis, answers themselves; alone, by the hottest keys of state_dir, which are fetched again at the start."""
    prefix = f"restart-{next(prefixes)}"
    if system.name in ("timetable", "school"):
        more = {"redis": redis, "prefix": prefix, **({"profile": "production"} if system.name == "school" else {})}
    else:
        more = steps.with_redis(redis)
    first = system.start(larder_factory, app, **more)
    before = system.ask(first)
    first.wait_for_counter("redis.stores", 1)
    first.stop()
    second = system.start(larder_factory, app, **more)
    assert system.ask(second).body == before.body and app.count(system.function) == 1
    second.stop()

    config = merged(system.config(app), {"state_dir": str(tmp_path),
                                         "warm": [{"name": "last", "hottest": 10, "on": "start"}]})
    one = larder_factory(config, BINARY, ENVIRONMENT)
    system.ask(one)
    one.stop()
    saved = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert b"secret-of-ann" not in saved
    if system.name == "attendance":
        return  # what is asked for with a password is not asked for again without its owner
    calls = app.count(system.function)
    two = larder_factory(config, BINARY, ENVIRONMENT)
    two.wait_until(lambda: two.counter("totals.stored") == 1)
    assert is_hit(system.ask(two)) and app.count(system.function) == calls + 1


@ALL_FIVE
def test_all_08_control_is_for_who_may_and_open_doors_are_told(system, app, larder_factory):
    """Only loopback, or a token; an alias that the file opens, and that changes something, is warned of at start."""
    text = without_comments((ROOT / f"conf/legacy/{system.name}.json").read_text())
    config = json.loads(text)
    assert config["control"]["listen"].startswith("127.0.0.1:")
    assert set(config["control"].get("allow", [])) <= {"127.0.0.1", "::1"}
    larder = system.start(larder_factory, app, control={"allow": ["192.0.2.0/24"]})
    assert larder.control("POST", "/api/cache/invalidate", '{"all": true}').status == 401
    assert larder.control("GET", "/api/cache/keys").status == 401
    opened = [a["on"] for a in config["aliases"] if a.get("open") is True and a["do"] != "stats"]
    for on in opened:
        assert larder.log_says(f'the alias "{on}" is open')
    warnings = [line["message"] for line in larder.log_lines if "is open" in line["message"]]
    assert len(warnings) == len(opened), warnings
    for alias in config["aliases"]:
        if alias["do"] != "stats" and alias["on"] not in opened:
            method, path = alias["on"].split()
            assert larder.request(method, path, headers=JSON, body="{}").status == 401


@ALL_FIVE
def test_all_09_bytes_are_limited(system, app, larder_factory):
    """In each file; and it holds."""
    config = json.loads(without_comments((ROOT / f"conf/legacy/{system.name}.json").read_text()))
    assert re.fullmatch(r"\d+MiB", config["cache"]["max_bytes"])
    larder = larder_factory(system.config(app, cache={"max_bytes": "64KiB", "max_object_bytes": "32KiB"}), BINARY,
                            ENVIRONMENT)
    for n in range(60):
        separator = "&" if "?" in system.path else "?"
        if system.name == "attendance":
            larder.request("GET", f"/dateWise?username=ann&date={n}&token=none")
        else:
            larder.request(system.method, f"{system.path}{separator}n={n}")
    assert larder.counter("cache.bytes") <= 64 << 10
    assert larder.counter("cache.max_bytes") == 64 << 10


@decides("larder answers where the route was the cache's own (001, 002, 003 and 000's clear-cache): the app need not "
         "have it any more. Where it is the app's health (000 /health, 004 /health/scalability) the app is asked, and "
         "larder's figures are merged into its answer.")
@ALL_FIVE
def test_all_10_who_answers_a_stats_route_is_decided_for_each(system, app, larder):
    config = json.loads(without_comments((ROOT / f"conf/legacy/{system.name}.json").read_text()))
    for alias in config["aliases"]:
        method, path = alias["on"].split()
        if alias["do"] != "stats":
            continue
        own = app.request(method, path)
        answer = larder.request(method, path)
        assert answer.status == 200 and "stored" not in (answer.headers["Cache-Status"] or "")
        if alias.get("merge"):
            assert own.status == 200 and set(own.json()) <= set(answer.json())
        else:
            assert own.status == 404


@decides("as it was: a lifetime counts from when an answer was stored, however often it is used.")
@ALL_FIVE
def test_all_11_a_lifetime_is_not_prolonged_by_use(system, app, larder_factory):
    short = {"ttl": "1s", "stale_if_error": "0s", "stale_while_revalidate": "0s", "refresh_ahead": False}
    config = system.config(app)
    for route in config["routes"]:
        if "ttl" in route:
            route.update(short)
    larder = larder_factory(config, BINARY, ENVIRONMENT)
    system.ask(larder)
    uses = []
    larder.wait_until(lambda: uses.append(is_hit(system.ask(larder))) or app.count(system.function) == 2)
    assert any(uses), "it was used meanwhile"


@ALL_FIVE
def test_all_12_there_is_a_file_and_a_test_for_each(system, larder):
    """conf/legacy/NAME.json, short, and tests/legacy/test_NAME.py before a real gunicorn or uvicorn."""
    text = (ROOT / f"conf/legacy/{system.name}.json").read_text()
    assert len(text.splitlines()) < 80
    assert (ROOT / f"tests/legacy/test_{system.name}.py").exists()
    assert is_stored(system.ask(larder))
