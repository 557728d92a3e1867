"""002, the monitoring API: conf/legacy/monitoring.json before tests/apps/monitoring, item by item."""
import concurrent.futures
import json
import re
import socket
import subprocess
import tempfile

import pytest

from items import ROOT, decides, missing, outside, proves
from steps import held, is_hit, is_stored, keys, routes, start, status_of, together, until_new, with_redis
from support.app import App
from support.larder import BINARY, request
from support.raw_upstream import free_port
from support_legacy import APPS, legacy_config, without_comments

CURRENT, SUMMARY, ALERTS, HISTORY = "/metrics/current", "/metrics/summary", "/alerts/active", "/metrics/history"
PATHS = {CURRENT: "metrics_current", SUMMARY: "metrics_summary", ALERTS: "alerts_active", HISTORY: "metrics_history"}
ENVIRONMENT = {"LEGACY_DELAY": "0.005", "UVICORN_TIMEOUT_KEEP_ALIVE": "310"}  # as the file's comment says
FILE = json.loads(without_comments((ROOT / "conf/legacy/monitoring.json").read_text()))
NO_REFRESH = {name: {"refresh_ahead": False} for name in ("metrics_current", "metrics_summary", "alerts",
                                                          "metrics_history")}

LONG = {name: dict(route, ttl="1h") for name, route in NO_REFRESH.items()}  # where calls are counted, however slow all is


@pytest.fixture
def app(legacy_app):
    return legacy_app("monitoring", "monitoring_api", "uvicorn", **ENVIRONMENT)


@pytest.fixture
def larder(larder_factory, app):
    return start(larder_factory, "monitoring", app, NO_REFRESH)


@pytest.fixture
def counting(larder_factory, app):
    return start(larder_factory, "monitoring", app, LONG)


def get(larder, path=CURRENT):
    return larder.request("GET", path)


def is_cached_for(larder, app, path, ttl_s, route):
    first, second = get(larder, path), get(larder, path)
    assert first.status == 200 and is_stored(first)
    assert int(status_of(first).split("ttl=")[1]) in (ttl_s - 1, ttl_s)
    assert is_hit(second) and second.body == first.body
    assert app.count(PATHS[path]) == 1 and routes(larder)[route]["ttl_ms"] == ttl_s * 1000


def three_of_four(larder):
    """One miss and three hits."""
    for _ in range(4):
        assert get(larder).status == 200
    larder.wait_until(lambda: larder.counter("totals.latency_ms.miss.count") == 1 and
                      larder.counter("upstreams.app.active") == 0)


# --- routes and lifetimes ---

def test_002_01_metrics_current_lives_5_s(larder, app):
    is_cached_for(larder, app, CURRENT, 5, "metrics_current")


def test_002_02_metrics_summary_lives_10_s(larder, app):
    is_cached_for(larder, app, SUMMARY, 10, "metrics_summary")


def test_002_03_alerts_active_lives_30_s(larder, app):
    is_cached_for(larder, app, ALERTS, 30, "alerts")


def test_002_04_metrics_history_lives_60_s(larder, app):
    is_cached_for(larder, app, HISTORY, 60, "metrics_history")


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json"])
def test_002_05_health_and_docs_pass(larder, app, path):
    direct = app.request("GET", path)
    for _ in range(2):
        answer = get(larder, path)
        assert (answer.status, answer.body) == (direct.status, direct.body)
        assert "fwd=bypass" in status_of(answer)
        assert answer.headers["Content-Type"] == direct.headers["Content-Type"]


def test_002_06_performance_cache_answers(larder):
    assert get(larder, "/performance/cache").json()["cache_enabled"] is True


def test_002_07_performance_connections_answers(larder):
    assert get(larder, "/performance/connections").json()["pool_enabled"] is True


def test_002_08_performance_summary_and_all_seven_answer_200(larder):
    seven = ["/health", CURRENT, SUMMARY, ALERTS, "/performance/cache", "/performance/connections",
             "/performance/summary"]
    assert [get(larder, path).status for path in seven] == [200] * 7


# --- exact shapes ---

def test_002_09_the_cache_answer_exactly(larder):
    three_of_four(larder)
    answer = get(larder, "/performance/cache")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body.strip() == (
        b'{"cache_enabled":true,"total_requests":4,"cache_hits":3,"cache_misses":1,"hit_rate":75.0,"cache_size":1,'
        b'"ttl_seconds":{"metrics_current":5,"metrics_summary":10,"alerts":30}}')


def test_002_10_the_connections_answer_exactly(larder):
    three_of_four(larder)
    larder.wait_for_counter("upstreams.app.idle", 5)
    for _ in range(19):
        get(larder, "/health")
    larder.wait_until(lambda: larder.counter("upstreams.app.active") == 0)
    answer = get(larder, "/performance/connections")
    found = re.fullmatch(rb'\{"pool_enabled":true,"max_connections":20,"active_connections":0,"idle_connections":(\d+),'
                         rb'"total_requests":20,"connection_reuse_rate":(\d+\.\d)\}\n?', answer.body)
    assert found, answer.body
    assert int(found.group(1)) >= 5
    pool = larder.counter("upstreams.app")
    assert float(found.group(2)) == round(100 * pool["reused"] / pool["requests"], 1)


def test_002_11_the_summary_answer_exactly(larder):
    three_of_four(larder)
    answer = get(larder, "/performance/summary")
    found = re.fullmatch(rb'\{"cache":\{"hit_rate":75.0,"total_requests":4\},"connections":\{"reuse_rate":\d+\.\d,'
                         rb'"active":0\},"response_times":\{"avg_cached":(\d+),"avg_uncached":(\d+),'
                         rb'"speedup":"(\d+\.\d)x"\}\}\n?', answer.body)
    assert found, answer.body
    latency = larder.counter("totals.latency_ms")
    assert int(found.group(2)) == round(latency["miss"]["avg"])
    assert abs(float(found.group(3)) / (latency["miss"]["avg"] / latency["hit"]["avg"]) - 1) < 0.1  # stats round


# --- the pool ---

def many(larder, count):
    """Requests that no other's answer answers."""
    return [larder.start("GET", f"{CURRENT}?symbol=S{number}", timeout=60) for number in range(count)]


def test_002_12_at_most_20_connections(larder, app):
    with held(app, "metrics_current"):
        pending = many(larder, 30)
        larder.wait_for_counter("upstreams.app.waiting", 10)
        larder.wait_until(lambda: app.count("metrics_current") == 20)
        assert larder.counter("upstreams.app.active") == 20
        assert get(larder, "/performance/connections").json()["active_connections"] == 20
    assert [p.result().status for p in pending] == [200] * 30
    assert app.count("metrics_current") == 30


def test_002_13_at_least_5_are_kept_idle(larder):
    larder.wait_for_counter("upstreams.app.idle", 5)
    assert FILE["upstreams"]["app"]["min_idle"] == 5


def test_002_14_connect_timeout_30_s(larder_factory, app):
    assert FILE["upstreams"]["app"]["connect_timeout"] == "30s"
    with socket.socket() as full:  # whoever connects to it waits
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for s in waiting:
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        larder = start(larder_factory, "monitoring", app, upstream={
            "server": f"127.0.0.1:{port}", "connect_timeout": "300ms", "min_idle": 0})
        answer = get(larder)
        assert answer.status == 504 and "connection_timeout" in answer.headers["Proxy-Status"]
        for s in waiting:
            s.close()


def test_002_15_idle_timeout_300_s(larder_factory, app):
    assert FILE["upstreams"]["app"]["idle_timeout"] == "300s"
    larder = start(larder_factory, "monitoring", app, upstream={"idle_timeout": "300ms", "min_idle": 0})
    get(larder, "/health")
    larder.wait_for_counter("upstreams.app.connects", 1)
    larder.wait_until(lambda: larder.counter("upstreams.app.idle") == 0)
    get(larder, "/health")
    assert larder.counter("upstreams.app.connects") == 2


def test_002_16_exhaustion_queues_then_says_when_to_come_again(larder_factory, app):
    larder = start(larder_factory, "monitoring", app, NO_REFRESH,
                   upstream={"max": 1, "min_idle": 0, "queue": 1, "queue_timeout": "300ms"})
    with held(app, "metrics_current"):
        first = larder.start("GET", f"{CURRENT}?symbol=A")
        larder.wait_for_counter("upstreams.app.active", 1)
        second = larder.start("GET", f"{CURRENT}?symbol=B")
        assert second.result().status == 503 and "Retry-After" in second.result().headers
        assert second.result().headers["Content-Type"] == "application/problem+json"
        assert larder.counter("totals.errors") >= 1
    assert first.result().status == 200


@proves("002-24")
def test_002_17_more_than_90_percent_of_requests_find_a_connection_open(larder):
    for number in range(60):
        assert get(larder, f"{CURRENT}?symbol=S{number}").status == 200
    pool = larder.counter("upstreams.app")
    assert pool["requests"] == 60 and pool["reuse_rate"] > 0.9
    assert get(larder, "/performance/connections").json()["connection_reuse_rate"] > 90


# --- behaviour ---

def test_002_18_an_expired_entry_is_gone_and_fetched_anew(larder_factory, app):
    larder = start(larder_factory, "monitoring", app, dict(NO_REFRESH, metrics_current={
        "ttl": "1s", "refresh_ahead": False, "stale_if_error": "0s"}))
    old = get(larder)
    with held(app, "metrics_current"):  # a hit never touches the app
        assert is_hit(get(larder)) and app.count("metrics_current") == 1
    new = until_new(larder, lambda: get(larder), old)
    assert is_stored(new) and app.count("metrics_current") == 2
    larder.wait_until(lambda: larder.counter("cache.entries") == 0)  # and nobody need ask for it to go


def test_002_19_concurrent_requests(larder, app):
    for path, function in PATHS.items():
        answers = together(larder, app, function, [lambda path=path: get(larder, path)] * 25, 1)
        assert {a.status for a in answers} == {200} and len({a.body for a in answers}) == 1
        assert app.count(function) == 1


def test_002_20_a_route_clears_the_cache(larder):
    before = get(larder)
    assert is_hit(get(larder))
    answer = larder.request("POST", "/performance/cache/clear")
    assert answer.status == 200 and answer.json() == {"status": "success", "cleared": 1}
    after = get(larder)
    assert is_stored(after) and after.body != before.body


def test_002_21_what_is_asked_for_is_refreshed_ahead_and_all_are_hits(larder_factory, app):
    """The query's share of the lifetime is small here, so beta is large: what counts is that nobody waits."""
    larder = start(larder_factory, "monitoring", app, {"metrics_current": {"ttl": "3s", "refresh_ahead": 100}})
    assert is_stored(get(larder))
    seen = set()

    def is_refreshed_twice():
        answer = get(larder)
        assert is_hit(answer), status_of(answer)
        seen.add(answer.body)
        return len(seen) >= 3
    larder.wait_until(is_refreshed_twice)
    assert larder.counter("routes.metrics_current.refreshes_ahead") >= 2
    assert all(route["refresh_ahead"] for route in FILE["routes"])


# --- figures ---

def test_002_22_a_hit_waits_for_no_query(counting, app):
    """The speed-up is the bench's, and /performance/summary's; why it is so: nobody is asked."""
    for path, function in PATHS.items():
        first = get(counting, path)
        with held(app, function):
            assert get(counting, path).body == first.body
    summary = get(counting, "/performance/summary").json()["response_times"]
    assert summary["avg_uncached"] >= summary["avg_cached"]


def test_002_23_hit_rate_above_70_percent(counting, app):
    for _ in range(10):
        for path in PATHS:
            get(counting, path)
    assert counting.counter("totals.hit_ratio") == 0.9
    assert sum(app.count(function) for function in PATHS.values()) == 4


def test_002_25_answers_while_the_app_is_away(larder_factory):
    """How many nines that makes is the app's affair; its outages are hidden for as long as the file says."""
    app = App("monitoring_api", "uvicorn", directory=APPS / "monitoring", environment=ENVIRONMENT)
    try:
        larder = start(larder_factory, "monitoring", app, {"metrics_current": {"ttl": "1s", "refresh_ahead": False}})
        old = get(larder)
    finally:
        app.stop()
    answers = []

    def is_stale():
        answers.append(get(larder))
        return "detail=stale-if-error" in status_of(answers[-1])
    larder.wait_until(is_stale)
    assert {a.status for a in answers} == {200} and {a.body for a in answers} == {old.body}
    assert get(larder, ALERTS).status == 502, "what it never had it does not invent"


def test_002_26_ten_users_cost_what_one_does(counting, app):
    """30 % of the calls, and 10 times the users: here each of 10 users looks at all four."""
    with concurrent.futures.ThreadPoolExecutor(10) as users:
        statuses = users.map(lambda path: get(counting, path).status, list(PATHS) * 10)
        assert list(statuses) == [200] * 40
    assert sum(app.count(function) for function in PATHS.values()) == 4
    assert counting.counter("totals.saved.upstream_calls") == 36


def shared_pair(larder_factory, app, redis):
    shared = with_redis(redis)
    return lambda: start(larder_factory, "monitoring", app, NO_REFRESH, **shared)


def test_002_27_with_redis_a_scanner_finds_what_another_fetched(larder_factory, app, redis):
    new = shared_pair(larder_factory, app, redis)
    first, scanner = new(), new()
    symbols = [f"{HISTORY}?hours={hours}" for hours in range(1, 6)]
    bodies = [get(first, path).body for path in symbols]
    first.wait_for_counter("redis.stores", len(symbols))
    answers = [get(scanner, path) for path in symbols]
    assert [a.body for a in answers] == bodies and all("detail=redis" in status_of(a) for a in answers)
    assert app.count("metrics_history") == len(symbols)


# --- what was planned ---

def test_002_28_ttls_are_watched_and_adjusted_without_a_restart(larder):
    three_of_four(larder)
    assert larder.control("GET", "/api/cache/stats?window=hour").json()["routes"]["metrics_current"]["hit_ratio"] == 0.75
    post_answer = larder.control("POST", "/api/cache/routes/metrics_summary", body=json.dumps({"ttl": "20s"}))
    assert post_answer.status == 200 and is_stored(get(larder, SUMMARY))
    assert routes(larder)["metrics_summary"]["ttl_ms"] == 20_000
    assert get(larder, "/performance/cache").json()["ttl_seconds"]["metrics_summary"] == 20


def test_002_29_a_load_test_is_answered_whole(counting, app):
    with concurrent.futures.ThreadPoolExecutor(20) as users:
        answers = list(users.map(lambda path: get(counting, path), list(PATHS) * 100))
    assert {a.status for a in answers} == {200}
    assert len({a.body for a in answers}) == sum(app.count(function) for function in PATHS.values())
    assert counting.counter("totals.requests") == 400


@missing("larder draws no dashboard yet; the frontend's own finds the state in each answer and at /performance/cache")
def test_002_30_a_dashboard_finds_the_caches_state_in_each_answer(larder):
    assert is_stored(get(larder))
    hit = get(larder)
    assert status_of(hit).startswith("larder; hit; ttl=") and hit.headers["Age"].isdigit()
    assert get(larder, "/performance/cache").json()["cache_hits"] == 1


def test_002_31_with_redis_answers_survive_a_restart(larder_factory, app, redis):
    new = shared_pair(larder_factory, app, redis)
    first = new()
    body = get(first, HISTORY).body
    first.wait_for_counter("redis.stores", 1)
    first.stop()
    again = get(new(), HISTORY)
    assert again.body == body and "detail=redis" in status_of(again)


@outside(doc="docs/SCOPE.md", says="What a client shows while it waits, or has no network, is the client's")
def test_002_32_a_frontend_can_show_what_an_answer_is(larder):
    assert "fwd=uri-miss" in status_of(get(larder)) and is_hit(get(larder))


def test_002_33_popular_symbols_are_warmed(larder_factory, app, tmp_path):
    """The dashboard's four at start; and what was asked for most in the last run."""
    more = {"warm": FILE["warm"], "state_dir": str(tmp_path)}
    larder = start(larder_factory, "monitoring", app, NO_REFRESH, **more)
    larder.wait_until(lambda: len(keys(larder)) == 4)
    assert all(is_hit(get(larder, path)) for path in PATHS)
    for _ in range(3):
        get(larder, f"{HISTORY}?hours=48")
    larder.stop()
    larder = start(larder_factory, "monitoring", app, NO_REFRESH, **more)
    larder.wait_until(lambda: any("hours=48" in key["key"] for key in keys(larder)))
    assert is_hit(get(larder, f"{HISTORY}?hours=48"))


@missing("larder refreshes ahead what is asked for, and warms what was asked for most; it guesses no request that nobody "
         "has made")
def test_002_34_what_is_hot_is_fetched_before_it_is_asked_for_again(larder_factory, app):
    larder = start(larder_factory, "monitoring", app, {"metrics_summary": {"ttl": "3s", "refresh_ahead": 100}})
    get(larder, SUMMARY)
    larder.wait_until(lambda: get(larder, SUMMARY) and app.count("metrics_summary") >= 2)
    assert larder.counter("routes.metrics_summary.misses") == 1
    assert app.count("metrics_history") == 0, "nobody has asked for that one"


def test_002_35_analytics_by_route_window_and_value(larder):
    for symbol in ("AAPL", "AAPL", "MSFT"):
        get(larder, f"{CURRENT}?symbol={symbol}")
    route = larder.counter("routes.metrics_current")
    assert (route["hits"], route["misses"], route["miss_absent"]) == (1, 2, 2)
    assert route["minute"]["requests"] == route["hour"]["requests"] == 3
    assert sum(k["hits"] for k in keys(larder) if "AAPL" in k["key"]) == 1


@outside(doc="docs/SCOPE.md", says="larder sends no alerts, and draws no dashboard yet. What watches it reads "
                                   "`GET /api/cache/stats?window=minute`")
def test_002_36_who_watches_the_hit_rate_reads_it_over_the_last_minute(larder):
    three_of_four(larder)
    assert larder.control("GET", "/api/cache/stats?window=minute").json()["totals"]["hit_ratio"] == 0.75
    for number in range(4):
        get(larder, f"{CURRENT}?symbol=S{number}")
    assert larder.control("GET", "/api/cache/stats?window=minute").json()["totals"]["hit_ratio"] == 0.375


def test_002_37_the_pools_use_is_told(larder, app):
    with held(app, "metrics_current"):
        pending = many(larder, 3)
        larder.wait_for_counter("upstreams.app.active", 3)
        pool = larder.counter("upstreams.app")
        assert pool["max_connections"] == 20 and pool["waiting"] == 0
    assert [p.result().status for p in pending] == [200] * 3


def test_002_38_trends_are_the_last_minute_beside_the_last_hour(larder):
    three_of_four(larder)
    route = larder.counter("routes.metrics_current")
    for window in ("minute", "hour"):
        assert route[window]["latency_ms"]["hit"]["count"] == 3 and route[window]["latency_ms"]["miss"]["p99"] > 0


@outside(doc="docs/SCOPE.md", says="Where the app and larder run, and what that costs, is the host's affair")
def test_002_39_aws_needs_nothing_but_other_addresses():
    """ElastiCache speaks TLS with a user and a password: the file takes them."""
    config = legacy_config("monitoring", 8000, redis={"server": "rediss://cache.example:6379", "user": "larder",
                                                      "password": "a password"}, secret="a secret of all instances")
    for name in ("aliases", "$profiles"):
        config.pop(name)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        said = subprocess.run([BINARY, "-t", "-c", file.name], capture_output=True, text=True)
    assert said.returncode == 0 and "cache.example" in said.stdout, said.stderr


@outside(doc="docs/SCOPE.md", says="What a client shows while it waits, or has no network, is the client's")
def test_002_40_a_mobile_client_is_served_as_any_other(larder):
    """It asks whether what it kept offline still holds, although the app has no ETag of its own."""
    first = get(larder)
    again = larder.request("GET", CURRENT, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304 and again.body == b""


# --- traps ---

@decides("larder listens on IPv6 and IPv4: \u201clocalhost\u201d is ::1 first to many clients, and falling back to 127.0.0.1 "
         "costs some of them two seconds for each request.")
def test_002_41_localhost_is_answered_by_either_protocol(app, tmp_path):
    assert FILE["listen"] == ":8003"
    port = free_port()
    config = legacy_config("monitoring", app.port, warm=[])
    for name in ("aliases", "$profiles"):
        config.pop(name)
    config["listen"] = FILE["listen"].replace("8003", str(port))
    path = tmp_path / "larder.json"
    path.write_text(json.dumps(config))
    process = subprocess.Popen([BINARY, "-c", str(path)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        assert b"ready: " in process.stderr.readline()
        assert request(port, "GET", CURRENT).status == 200
        with socket.create_connection(("::1", port), 20) as s:
            s.sendall(b"GET /metrics/current HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: s.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"larder; hit" in answer
    finally:
        process.terminate()
        process.stderr.read()
        process.stderr.close()
        assert process.wait(20) == 0


@decides("ttl_seconds shows the three that it always showed, `alerts` being that of /alerts/active; all four are in "
         "GET /api/cache/routes.")
def test_002_42_three_of_four_ttls_are_shown(larder):
    shown = get(larder, "/performance/cache").json()["ttl_seconds"]
    assert shown == {"metrics_current": 5, "metrics_summary": 10, "alerts": 30}
    ttls = {name: r["ttl_ms"] // 1000 for name, r in routes(larder).items() if r["cached"]}
    assert ttls == dict(shown, metrics_history=60)


@decides("A connection is one to the app: 20 of them bound what the app is asked at once, and so how many of its own "
         "database connections it can need. The pool to the database stays the app's.")
def test_002_43_connections_are_those_to_the_app(larder, app):
    with held(app, "alerts_active"):
        pending = larder.start("GET", ALERTS)
        larder.wait_until(lambda: app.count("alerts_active") == 1)
        assert get(larder, "/performance/connections").json()["active_connections"] == 1
    assert pending.result().status == 200
