"""Four streams of lines, each to its own place: access, messages, performance, security."""
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from support.larder import BINARY, DEADLINE_S, request, wait_until

COURSES = {"name": "courses", "match": "GET /api/courses",
           "key": ["query.organization_id", "query.semester"], "ttl": "1h"}
LOGIN = {"name": "login", "match": "POST /login", "key": ["json.username", {
    "param": "json.password", "secret": True}], "ttl": "6h"}
LEGACY = {"hit": "\u2705 Serving cached data", "miss": "\U0001f504 Fetching fresh data",
          "store": "\U0001f4be Cached data"}
CACHE = {"hit": "[CACHE] HIT: ${key}", "miss": "[CACHE] MISS: ${key}",
         "redis_hit": "[CACHE] Redis HIT: ${key}"}


def config(app, log, **more):
    return {"listen": "127.0.0.1:0", "control": {"listen": "127.0.0.1:0"}, "workers": 1, "log": log,
            "upstreams": {"app": {"server": f"127.0.0.1:{app.port}"}}, "routes": [COURSES, LOGIN],
            **more}


def lines(path):
    """Each is whole: a line that is torn is no JSON, or not ended."""
    text = pathlib.Path(path).read_bytes()
    assert not text or text.endswith(b"\n"), text[-200:]
    return [json.loads(line) for line in text.splitlines()]


class Process:
    """Larder whose messages go to a file, so that it is found ready there."""
    def __init__(self, tmp_path, config):
        (tmp_path / "larder.json").write_text(json.dumps(config))
        self.errors = tmp_path / "error.log"
        self.process = subprocess.Popen([BINARY, "-c", str(tmp_path / "larder.json")],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: self.messages("ready: ") or self.process.poll() is not None)
        ready = self.messages("ready: ")[0]
        self.port, self.control = (int(p) for p in re.findall(r"127.0.0.1:(\d+)", ready))

    def messages(self, text):
        if not self.errors.exists():
            return []
        found = [json.loads(line) for line in self.errors.read_bytes().split(b"\n")[:-1]]
        return [line["message"] for line in found if text in line["message"]]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0, err
        return out, err


@pytest.fixture
def start(tmp_path):
    running = []

    def run(config):
        running.append(Process(tmp_path, config))
        return running[-1]
    yield run
    for p in running:
        if p.process.poll() is None:
            p.process.kill()
            p.process.communicate()


def all_to_files(tmp_path):
    return {name: str(tmp_path / f"{name}.log") for name in
            ("error", "access", "performance", "security")}


def test_each_stream_goes_to_its_own_file_and_nothing_to_stderr(start, school_app, tmp_path):
    larder = start(config(school_app, all_to_files(tmp_path)))
    for _ in range(3):
        request(larder.port, "GET", "/api/courses?organization_id=1&semester=1")
    request(larder.control, "POST", "/api/cache/invalidate", body='{"all": true}')
    assert larder.stop() == (b"", b"")
    assert larder.messages("ready: ") and larder.messages("stopped")
    assert [line["larder.outcome"] for line in lines(tmp_path / "access.log")] == ["miss", "hit", "hit"]
    audit, = lines(tmp_path / "security.log")
    assert audit["event.action"] == "invalidate" and audit["client.ip"] == "127.0.0.1"
    assert audit["http.response.status_code"] == 200 and audit["url.original"] == "/api/cache/invalidate"
    assert audit["log.level"] == "info" and audit["message"].startswith("audit: invalidate by network")
    figures, = lines(tmp_path / "performance.log")  # at the stop at the latest
    assert figures["larder.route"] == "courses" and figures["larder.requests"] == 3
    assert (figures["larder.hits"], figures["larder.misses"]) == (2, 1)
    assert figures["larder.hit_ratio"] == pytest.approx(0.6667)
    times = figures["larder.latency_ms"]
    for name in ("hit", "miss", "all"):
        assert 0 < times[name]["p95"] <= times[name]["p99"] and times[name]["avg"] > 0
    assert times["hit"]["avg"] < times["all"]["avg"] < times["miss"]["avg"]


def test_performance_lines_come_by_the_interval_of_routes_that_had_requests(larder_factory,
                                                                            school_app, tmp_path):
    path = tmp_path / "performance.log"
    larder = larder_factory(config(school_app, {"performance": str(path),
                                                "performance_interval": "1s"}))
    larder.request("GET", "/api/courses?organization_id=1&semester=1")
    wait_until(lambda: path.read_bytes().endswith(b"\n"))
    larder.request("GET", "/api/courses?organization_id=1&semester=1")
    wait_until(lambda: path.read_bytes().count(b"\n") == 2)
    larder.request("GET", "/elsewhere")
    larder.stop()
    first, second, third = lines(path)
    assert (first["larder.misses"], first["larder.hits"]) == (1, 0)
    assert (second["larder.misses"], second["larder.hits"]) == (0, 1)
    assert second["larder.latency_ms"]["miss"] == {"avg": 0, "p95": 0, "p99": 0}
    assert third["larder.route"] == "pass"


def test_rotation_loses_and_tears_no_line_of_any_stream(start, school_app, tmp_path):
    larder = start(config(school_app, all_to_files(tmp_path)))
    url = "/api/courses?organization_id=1&semester=1"
    rotations, each = 5, 40
    for n in range(rotations):
        for _ in range(each):
            assert request(larder.port, "GET", url).status == 200
        for _ in range(3):
            request(larder.control, "POST", "/api/cache/explain", body="{}")
            assert request(larder.control, "POST", "/api/cache/routes/courses",
                           body='{"enabled": true}').status == 200
        for name in ("error", "access", "performance", "security"):
            os.rename(tmp_path / f"{name}.log", tmp_path / f"{name}.log.{n}")
        os.kill(larder.process.pid, signal.SIGUSR1)
        wait_until(lambda: all((tmp_path / f"{name}.log").exists() for name in
                               ("error", "access", "performance", "security")))
    stats = request(larder.control, "GET", "/api/cache/stats").json()
    assert stats["log_dropped"] == 0
    larder.stop()

    def whole(name):
        return [line for path in sorted(tmp_path.glob(f"{name}.log*")) for line in lines(path)]
    assert len(whole("access")) == rotations * each
    assert len([m for m in whole("security") if m["message"].startswith("audit:")]) == rotations * 3
    assert sum(line["larder.requests"] for line in whole("performance")) == rotations * each
    assert len([m for m in whole("error") if m["message"] in ("stopped",)]) == 1


def test_streams_of_one_file_share_it(start, school_app, tmp_path):
    log = dict.fromkeys(("error", "access", "performance", "security"), str(tmp_path / "error.log"))
    larder = start(config(school_app, log))
    for i in range(50):
        request(larder.port, "GET", f"/api/courses?organization_id={i}&semester=1")
    larder.stop()
    assert len([line for line in lines(larder.errors) if "larder.outcome" in line]) == 50


def test_streams_that_are_off_say_nothing(start, school_app, tmp_path):
    larder = start(config(school_app, {"error": str(tmp_path / "error.log"), "access": "off",
                                       "security": "off", "performance": "off"}))
    request(larder.port, "GET", "/api/courses")
    request(larder.control, "POST", "/api/cache/invalidate", body='{"all": true}')
    assert larder.stop() == (b"", b"")
    assert not larder.messages("audit")


def test_a_stream_that_cannot_be_opened_is_told_at_the_start(larder_refuses, school_app, tmp_path):
    larder_refuses(config(school_app, {"security": str(tmp_path)}),
                   f"{tmp_path}: the security log cannot be opened")


def test_a_configs_words_tell_of_a_miss_a_store_and_a_hit(larder_factory, school_app):
    larder = larder_factory(config(school_app, {"words": LEGACY}))
    for _ in range(2):
        larder.request("GET", "/api/courses?organization_id=1&semester=1")
    larder.request("GET", "/elsewhere")
    miss, hit, other = larder.access_lines(3)
    assert miss["message"] == "\U0001f504 Fetching fresh data; \U0001f4be Cached data"
    assert hit["message"] == "\u2705 Serving cached data"
    assert "message" not in other  # no words for what bypasses


def test_words_reach_the_log_as_the_bytes_they_are(start, school_app, tmp_path):
    larder = start(config(school_app, {**all_to_files(tmp_path), "words": LEGACY}))
    for _ in range(2):
        request(larder.port, "GET", "/api/courses?organization_id=1&semester=1")
    larder.stop()
    text = (tmp_path / "access.log").read_bytes()
    for word in ("\u2705 Serving cached data", "\U0001f504 Fetching fresh data",
                 "\U0001f4be Cached data"):
        assert text.count(word.encode()) == 1


def test_words_have_the_readable_key_in_them(larder_factory, school_app, redis):
    shared = {"secret": "0123456789abcdef", "redis": {"server": redis.address},
              "routes": [dict(COURSES, shared="full")]}
    one, other = (larder_factory(config(school_app, {"words": CACHE}, **shared)) for _ in range(2))
    for larder in (one, other):
        wait_until(lambda l=larder: l.stats()["redis"]["available"])
    url, key = "/api/courses?organization_id=1&semester=1", "courses:organization_id=1:semester=1"
    one.request("GET", url)
    one.wait_for_counter("redis.stores", 1)
    other.request("GET", url)
    other.request("GET", url)
    assert one.access_lines(1)[0]["message"] == f"[CACHE] MISS: {key}"
    assert [line["message"] for line in other.access_lines(2)] == [
        f"[CACHE] Redis HIT: {key}", f"[CACHE] HIT: {key}"]


@pytest.mark.parametrize("words, says", [
    ({"hit": "${ky}"}, "only ${key}"), ({"hit": "${key} ${key}"}, "once"),
    ({"hits": "x"}, 'did you mean "hit"?'), ({"hit": ""}, "not empty"), ({"hit": "x" * 600}, "512")])
def test_words_that_could_not_be_written_are_refused(larder_refuses, school_app, words, says):
    larder_refuses(config(school_app, {"words": words}), says)


def security(larder, action):
    return [line for line in larder.log_lines if line.get("event.action") == action]


def test_a_denied_control_call_is_a_security_event(larder_factory, school_app):
    larder = larder_factory(config(school_app, {}, control={
        "listen": "127.0.0.1:0", "allow": [], "tokens": [
            {"name": "ci", "token": "s3cret-of-ci", "scopes": ["read"]}]}))
    bearer = {"Authorization": "Bearer wrong-token"}
    assert larder.control("POST", "/api/cache/invalidate", '{"all":true}').status == 401
    assert larder.control("GET", "/api/cache/stats?tag=hidden", headers=bearer).status == 403
    bearer = {"Authorization": "Bearer s3cret-of-ci"}
    assert larder.control("POST", "/api/cache/warm", "{}", bearer).status == 403
    larder._wait_for(lambda: len(security(larder, "control-denied")) == 3)
    first, second, third = security(larder, "control-denied")
    assert first["http.response.status_code"] == 401 and first["event.reason"] == "invalidate"
    assert first["http.request.method"] == "POST" and first["log.level"] == "warn"
    assert second["http.response.status_code"] == 403 and second["url.original"] == "/api/cache/stats"
    assert third["user.name"] == "ci"
    log = json.dumps(larder.log_lines)
    assert "wrong-token" not in log and "s3cret-of-ci" not in log and "hidden" not in log


def test_a_refused_head_is_a_security_event_and_a_flood_of_them_is_bounded(larder_factory,
                                                                          school_app):
    larder = larder_factory(config(school_app, {}))
    assert b" 400 " in larder.raw(b"GET / HTTP/1.1\r\nA b: \x01secret\r\n\r\n").split(b"\r\n")[0]
    larder._wait_for(lambda: security(larder, "bad-request"))
    event, = security(larder, "bad-request")
    assert event["client.ip"] == "127.0.0.1" and event["http.response.status_code"] == 400
    assert event["event.reason"] and "secret" not in json.dumps(event)
    n = 1000
    for _ in range(n):
        larder.raw(b"nonsense\r\n\r\n")
    larder.wait_for_counter("totals.bad_requests", n + 1)

    def told():
        events = security(larder, "bad-request")
        return sum(e.get("larder.suppressed", 1) for e in events)
    larder._wait_for(lambda: told() == n + 1)


def test_refused_heads_of_the_control_listener_are_told_too(larder_factory, school_app):
    larder = larder_factory(config(school_app, {}))
    larder.raw(b"nonsense\r\n\r\n", port=larder.control_port)
    larder._wait_for(lambda: security(larder, "bad-request"))


def test_stats_have_the_latency_of_all_and_figures_of_jobs(larder_factory, school_app):
    larder = larder_factory(config(school_app, {}))
    for _ in range(3):
        larder.request("GET", "/api/courses?organization_id=1&semester=1")
    stats = larder.stats()
    for figures in (stats["totals"], stats["routes"]["courses"], stats["totals"]["minute"],
                    stats["routes"]["courses"]["hour"]):
        times = figures["latency_ms"]
        assert times["all"]["count"] == times["hit"]["count"] + times["miss"]["count"] == 3
        assert times["hit"]["avg"] < times["all"]["avg"] < times["miss"]["avg"]
        assert times["all"]["p50"] <= times["all"]["p95"] <= times["all"]["p99"]
    assert stats["jobs"] == {"queued": 0, "running": 0, "done": 0, "failed": 0, "cancelled": 0,
                             "items_waiting": 0, "duration_ms": {"count": 0, "avg": 0, "p50": 0,
                                                                 "p95": 0, "p99": 0}}
    job = larder.control("POST", "/api/cache/warm", json.dumps({
        "urls": [f"/api/courses?organization_id={i}&semester=2" for i in range(4)], "wait": True}))
    assert job.json()["warmed"] == 4
    jobs = larder.stats()["jobs"]
    assert jobs["done"] == 1 and jobs["duration_ms"]["count"] == 1 and jobs["duration_ms"]["avg"] > 0
