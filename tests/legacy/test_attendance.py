"""000, UPASTHIT attendance: conf/legacy/attendance.json before tests/apps/attendance, item by item."""
import concurrent.futures
import contextlib
import datetime
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import pytest

from items import ROOT, decides
from steps import (ENVIRONMENT, by_outcome, held, is_hit, is_stored, keys, post, routes, start, status_of, together,
                   until_new, with_redis)
from support.larder import BINARY, request, wait_until
from support.raw_upstream import free_port
from support.redis import RedisServer
from support_legacy import APPS, without_comments

LOGIN, DATE_WISE, TILL_DATE = "/login-and-fetch-attendance", "/dateWise", "/getDateWiseAttendance"
SIX_HOURS_MS = 6 * 3600 * 1000
SHORT = {name: {"ttl": "1s"} for name in ("attendance", "datewise", "tilldate")}


@pytest.fixture
def app(legacy_app):
    return legacy_app("attendance", "main", "uvicorn")


@pytest.fixture
def larder(larder_factory, app):
    return start(larder_factory, "attendance", app)


def password_of(student):
    return f"secret-of-{student}"


def login(larder, student="ann", password=None, **more):
    return post(larder, LOGIN, {"username": student, "password": password or password_of(student)}, **more)


def token_of(larder, student="ann"):
    return login(larder, student).json()["token"]


def by_parameter(larder, path, token, student="ann", **more):
    return larder.request("GET", f"{path}?username={student}&token={token}", **more)


def by_header(larder, path, token, student="ann"):
    return larder.request("GET", f"{path}?username={student}", headers={"Authorization": f"Bearer {token}"})


def by_cookie(larder, path, token, student="ann"):
    return larder.request("GET", f"{path}?username={student}", headers={"Cookie": f"session={token}; theme=dark"})


WAYS = [by_parameter, by_header, by_cookie]


def portal(app, **change):
    answer = app.request("POST", "/_portal", headers={"Content-Type": "application/json"}, body=json.dumps(change))
    assert answer.status == 200


def is_one_call(larder, app, function, ask):
    """Two requests, one call; the second has the first one's bytes."""
    first, second = ask(), ask()
    assert first.status == second.status == 200
    assert is_stored(first) and is_hit(second), (status_of(first), status_of(second))
    assert second.body == first.body
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert app.count(function) == 1


# --- routes ---

def test_000_01_post_login_is_cached(larder, app):
    is_one_call(larder, app, "login_and_fetch_attendance", lambda: login(larder))
    direct = app.request("POST", LOGIN, headers={"Content-Type": "application/json"},
                         body=json.dumps({"username": "ann", "password": password_of("ann")}))
    assert login(larder).json()["attendance"] == direct.json()["attendance"]
    assert login(larder).headers["Content-Type"] == direct.headers["Content-Type"]


def test_000_02_date_wise_is_cached(larder, app):
    token = token_of(larder)
    is_one_call(larder, app, "date_wise", lambda: by_header(larder, DATE_WISE, token))


def test_000_03_get_date_wise_attendance_is_cached(larder, app):
    token = token_of(larder)
    is_one_call(larder, app, "get_date_wise_attendance", lambda: by_header(larder, TILL_DATE, token))


def test_000_04_health_gives_statistics_and_is_never_stored(larder, app):
    times = []
    for entries in (0, 1):
        answer = larder.request("GET", "/health")
        assert answer.status == 200 and "Age" not in answer.headers
        info = answer.json()["cache_info"]
        assert info["attendance_cache_entries"] == entries
        times.append(info["server_time"])
        login(larder)
    assert times[0] < times[1]
    assert app.count("health") == 2 and not any("health" in k["key"] for k in keys(larder))


def test_000_05_clear_cache_empties_everything(larder_factory, app):
    """The operator's token is asked of everybody, for behind a proxy all come from loopback."""
    larder = start(larder_factory, "attendance", app)
    token = token_of(larder)
    by_header(larder, DATE_WISE, token)
    assert larder.request("POST", "/clear-cache").status == 401
    assert is_hit(login(larder)) and is_hit(by_header(larder, DATE_WISE, token))
    answer = larder.request("POST", "/clear-cache",
                            headers={"Authorization": f"Bearer {ENVIRONMENT['LARDER_TOKEN']}"})
    assert answer.status == 200 and answer.json() == {"status": "success", "message": "Cache cleared", "cleared": 2}
    assert is_stored(by_header(larder, DATE_WISE, token)) and is_stored(login(larder))


# --- lifetimes, room, keys ---

def test_000_06_six_hours_and_one_value_to_change(larder_factory, app):
    names = ("attendance", "datewise", "tilldate")
    larder = start(larder_factory, "attendance", app)
    assert [routes(larder)[name]["ttl_ms"] for name in names] == [SIX_HOURS_MS] * 3
    other = start(larder_factory, "attendance", app, environment={"CACHE_DURATION": "4h"})
    assert [routes(other)[name]["ttl_ms"] for name in names] == [SIX_HOURS_MS * 4 // 6] * 3
    assert other.request("GET", "/health").json()["cache_info"]["cache_duration_hours"] == 4


def test_000_07_three_caches_are_counted_apart(larder):
    token = token_of(larder)
    login(larder, "ann", "wrong")  # no entry: what was refused is none
    for date in (1, 2):
        larder.request("GET", f"{DATE_WISE}?username=ann&token={token}&date={date}")
    for till in (1, 2, 3):
        larder.request("GET", f"{TILL_DATE}?username=ann&token={token}&till={till}")
    counts = larder.stats()["routes"]
    assert [counts[name]["entries"] for name in ("attendance", "datewise", "tilldate")] == [1, 2, 3]
    assert [counts[name]["misses"] for name in ("attendance", "datewise", "tilldate")] == [2, 2, 3]


def test_000_08_an_expired_entry_is_refreshed_at_the_next_request(larder_factory, app):
    larder = start(larder_factory, "attendance", app, SHORT)
    old = login(larder)
    portal(app, held=41)
    new = until_new(larder, lambda: login(larder), old)
    assert is_stored(new) and new.json()["attendance"][0]["held"] == 41
    assert app.count("login_and_fetch_attendance") == 2


def test_000_09_capacity_is_bounded(larder_factory, app):
    larder = start(larder_factory, "attendance", app)
    limits = larder.stats()["cache"]
    assert limits["max_bytes"] == 64 << 20 and limits["max_entries"] == 20000
    small = start(larder_factory, "attendance", app, cache={"max_entries": 3})
    for student in "abcdef":
        assert is_stored(login(small, student))
    cache = small.stats()["cache"]
    assert cache["entries"] == 3 and cache["evicted"] == 3


def test_000_10_the_post_is_keyed_by_its_credentials(larder, app):
    right, other = login(larder), login(larder, "bob")
    assert is_stored(right) and is_stored(other) and right.body != other.body
    for student, password in (("ann", "wrong"), ("ann", password_of("bob")), ("bob", password_of("ann")),
                              ("ann", ""), ("", password_of("ann")), ("ANN", password_of("ann")),
                              ("ann", password_of("ann") + " "), ("ann" + password_of("ann"), "")):
        answer = post(larder, LOGIN, {"username": student, "password": password})
        assert not is_hit(answer) and "attendance" not in answer.json(), (student, password)
        assert answer.status == 401
    assert login(larder).body == right.body and login(larder, "bob").body == other.body
    assert app.count("login_and_fetch_attendance") == 2 + 8


def all_that_larder_shows(larder):
    """Every reading of the control interface, of the public routes, and of the logs."""
    texts = []
    for path in ("keys", "stats", "routes", "jobs"):
        texts.append(larder.control("GET", f"/api/cache/{path}").body)
    for key in keys(larder):
        texts.append(larder.control("GET", f"/api/cache/entry?key={key['key']}").body)
    for body in ({"url": LOGIN, "method": "POST"}, {"url": f"{DATE_WISE}?username=ann"}):
        texts.append(larder.control("POST", "/api/cache/explain", body=json.dumps(body)).body)
    texts.append(larder.control("POST", "/api/cache/invalidate",
                                body=json.dumps({"all": True, "dry_run": True})).body)
    texts.append(larder.request("GET", "/health").body)
    return texts


def use_it(larder, secrets):
    """All ways to show a credential, right and wrong; <secrets> gets each of them."""
    token = token_of(larder)
    for way in WAYS:
        for path in (DATE_WISE, TILL_DATE):
            assert is_stored(way(larder, path, token)) and is_hit(way(larder, path, token))
    login(larder, "ann", "wrong-but-secret")
    by_parameter(larder, DATE_WISE, "stolen-token")
    larder.request("GET", f"{DATE_WISE}?username=ann&tok%65n={token}", headers={"Cookie": "session=stolen-cookie"})
    larder.request("POST", LOGIN, headers={"Content-Type": "application/json"},
                   body='{"username": "ann", "password": "half-a-pass')
    larder.control("POST", "/api/cache/invalidate",
                   body=json.dumps({"route": "attendance", "params": {"password": password_of("ann")},
                                    "dry_run": True}))
    secrets += [password_of("ann"), token, "wrong-but-secret", "stolen-token", "stolen-cookie", "half-a-pass"]


def assert_nowhere(secrets, texts):
    for secret in secrets:
        for text in texts:
            assert secret.encode() not in text, (secret, text[:300])


def test_000_11_credentials_never_appear_in_clear(larder_factory, app, redis, tmp_path):
    """Not in keys, entries, stats, explanations, audit, access log and messages (at debug), nor in Redis, its
    names, values and log, nor in what is kept for the next start. (The bodies of answers are the app's own: a token that
    the app put there is in them, in memory and on request, and sealed in Redis.)"""
    larder = start(larder_factory, "attendance", app, state_dir=str(tmp_path), log={"level": "debug"},
                   **with_redis(redis))
    secrets = []
    use_it(larder, secrets)
    larder.wait_until(lambda: larder.counter("redis.stores") >= 7)
    texts = all_that_larder_shows(larder)
    with redis.client() as client:
        for key in client.scan_iter():
            texts += [key, client.dump(key)]
            if client.type(key) == b"stream":
                texts.append(repr(client.xrange(key)).encode())
    requests = larder.counter("totals.requests")
    texts.append(json.dumps(larder.access_lines(requests)).encode())
    texts.append(json.dumps(larder.whole_log()).encode())
    texts += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert_nowhere(secrets, texts)


@pytest.mark.parametrize("failure_status", ["401", "200"])
def test_000_12_login_failures_are_never_cached(larder_factory, legacy_app, failure_status):
    app = legacy_app("attendance", "main", "uvicorn", LOGIN_FAILURE_STATUS=failure_status)
    larder = start(larder_factory, "attendance", app)
    for _ in range(3):
        answer = login(larder, "ann", "wrong")
        assert answer.status == int(failure_status)
        assert answer.json() == {"success": False, "message": "Invalid username or password"}
        assert not is_stored(answer) and not is_hit(answer)
    assert app.count("login_and_fetch_attendance") == 3 and keys(larder) == []
    portal(app, passwords={"ann": "wrong"})  # from now on it is the right one
    assert is_stored(login(larder, "ann", "wrong")) and is_hit(login(larder, "ann", "wrong"))


@pytest.mark.parametrize("path, function", [(DATE_WISE, "date_wise"), (TILL_DATE, "get_date_wise_attendance")])
@pytest.mark.parametrize("way", WAYS)
def test_000_13_the_two_gets_are_per_student(larder, app, way, path, function):
    tokens = {student: token_of(larder, student) for student in ("ann", "bob")}
    answers = {student: way(larder, path, tokens[student], student) for student in tokens}
    for student, answer in answers.items():
        assert answer.json()["username"] == student
        again = way(larder, path, tokens[student], student)
        assert is_hit(again) and again.body == answer.body
    assert app.count(function) == 2
    assert way(larder, path, tokens["bob"], "ann").status == 401  # bob's session shows nothing of ann's
    assert larder.request("GET", f"{path}?username=ann").status == 401
    assert way(larder, path, "no-such-session", "ann").status == 401


def test_000_14_the_health_answer_exactly(larder_factory, app):
    larder = start(larder_factory, "attendance", app, environment={"TZ": "Asia/Kolkata"})
    token = token_of(larder)
    for date in (1, 2):
        larder.request("GET", f"{DATE_WISE}?username=ann&token={token}&date={date}")
    answer = larder.request("GET", "/health")
    assert answer.headers["Content-Type"] == "application/json"
    found = re.fullmatch(
        r'\{"status":"healthy","message":"API is running with 6-hour caching for Heroku optimization",'
        r'"cache_info":\{"attendance_cache_entries":1,"datewise_cache_entries":2,"tilldate_cache_entries":0,'
        r'"cache_duration_hours":6,"server_time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})"\}\}\n?', answer.body.decode())
    assert found, answer.body
    there = datetime.datetime.fromisoformat(found.group(1)) - datetime.timedelta(hours=5, minutes=30)
    assert abs(datetime.datetime.utcnow() - there) < datetime.timedelta(minutes=5)


# --- failures ---

@pytest.mark.parametrize("how", ["no Redis", "no room"])
def test_000_15_a_cache_error_falls_back_to_a_fresh_fetch(larder_factory, app, own_redis, how):
    if how == "no room":
        larder = start(larder_factory, "attendance", app, cache={"max_object_bytes": 100})
    else:
        larder = start(larder_factory, "attendance", app, **with_redis(own_redis))
        own_redis.kill()
    answer = login(larder)
    assert answer.status == 200 and answer.json()["success"] is True
    assert app.count("login_and_fetch_attendance") == 1


def test_000_16_the_apps_own_word_of_a_network_error_passes_and_is_not_stored(larder, app):
    token = token_of(larder)
    portal(app, is_up=False)
    for answer in (login(larder, "bob"), by_header(larder, DATE_WISE, token)):
        assert answer.status == 503 and not is_stored(answer)
        assert answer.json() == {"success": False,
                                 "message": "College portal is not reachable, please try again later"}
    portal(app, is_up=True)
    assert is_stored(login(larder, "bob")) and is_stored(by_header(larder, DATE_WISE, token))


def test_000_17_while_the_portal_is_down_stale_is_served_and_marked(larder_factory, app):
    larder = start(larder_factory, "attendance", app, SHORT)
    old = login(larder)
    portal(app, is_up=False)
    answers = []

    def is_stale():
        answers.append(login(larder))
        return "detail=stale-if-error" in status_of(answers[-1])
    larder.wait_until(is_stale)
    assert {a.status for a in answers} == {200} and {a.body for a in answers} == {old.body}
    assert larder.counter("routes.attendance.stale_if_error") >= 1
    portal(app, is_up=True, passwords={"ann": "changed"})  # no failure of the portal's: told as it is
    larder.wait_until(lambda: login(larder).status == 401)


# --- logs ---

def test_000_18_the_log_says_it_in_the_old_words(larder):
    login(larder)
    login(larder)
    login(larder, "ann", "wrong")
    lines = by_outcome(larder, 3)
    assert [line["message"] for line in lines["hit"]] == ["✅ Serving cached data"]
    assert sorted(line["message"] for line in lines["miss"]) == ["🔄 Fetching fresh data",
                                                                 "🔄 Fetching fresh data; 💾 Cached data"]


def test_000_19_each_hit_and_miss_is_logged_in_detail(larder):
    login(larder)
    login(larder)
    lines = by_outcome(larder, 2)
    [miss], [hit] = lines["miss"], lines["hit"]
    assert miss["larder.reason"] == "absent"
    for line in (miss, hit):
        assert line["larder.route"] == "attendance" and line["larder.key"].startswith("attendance:username=hmac-")
        assert line["url.original"] == LOGIN and line["http.response.status_code"] == 200
    assert miss["larder.upstream_ms"] > 0 and hit["larder.upstream_ms"] == 0


# --- figures ---

def test_000_20_a_hit_takes_no_time_of_the_portals(larder, app):
    """The figure itself (seconds to milliseconds) is the bench's; why it is so: nobody is asked."""
    first = login(larder)
    with held(app, "login_and_fetch_attendance"):
        assert login(larder).body == first.body
    for kind in ("hit", "miss"):
        larder.wait_for_counter(f"routes.attendance.latency_ms.{kind}.count", 1)


def test_000_21_seventy_five_percent_fewer_fresh_calls(larder, app):
    """40 logins of 10 students, as in a break between lessons."""
    for _ in range(4):
        for number in range(10):
            assert login(larder, f"student-{number}").status == 200
    assert app.count("login_and_fetch_attendance") == 10
    route = larder.counter("routes.attendance")
    assert route["hit_ratio"] == 0.75 and route["saved"]["upstream_calls"] == 30


# --- deployment ---

@contextlib.contextmanager
def dyno(port):
    """The Procfile's line out of the file's comment, as Heroku runs it: by a shell, with $PORT, in the app's
    directory; but for the ports that are fixed there."""
    text = (ROOT / "conf/legacy/attendance.json").read_text()
    line = re.search(r"^ *// web: (.*)$", text, re.M).group(1)
    private = free_port()
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory)
        for source in (APPS / "attendance").glob("*.py"):
            (path / source.name).write_text(source.read_text())
        (path / "attendance.json").write_text(text.replace("127.0.0.1:8000", f"127.0.0.1:{private}")
                                              .replace("127.0.0.1:8081", "127.0.0.1:0"))
        environment = {**os.environ, **ENVIRONMENT, "PORT": str(port), "LEGACY_DELAY": "0.02",
                       "PATH": f"{pathlib.Path(BINARY).resolve().parent}:/usr/bin:/bin",
                       "PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(["/bin/bash", "-c", line.replace("8000", str(private))], cwd=path, env=environment,
                                   start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # its own session: the shell, larder and uvicorn
            process.wait(20)


def test_000_22_one_dyno_with_procfile_and_port():
    """Which Python the dyno has is the app's affair: larder is a program of its own."""
    port = free_port()

    def is_healthy():
        assert process.poll() is None, "the dyno ended"
        with contextlib.suppress(OSError):
            return request(port, "GET", "/health", timeout=2).status == 200
    with dyno(port) as process:
        wait_until(is_healthy, 60)
        assert request(port, "GET", "/health").json()["status"] == "healthy"
        body = json.dumps({"username": "ann", "password": password_of("ann")})
        answers = [request(port, "POST", LOGIN, {"Content-Type": "application/json"}, body) for _ in range(2)]
        assert is_stored(answers[0]) and is_hit(answers[1])
        assert process.poll() is None


def test_000_23_entries_survive_a_restart(larder_factory, app, redis):
    shared = with_redis(redis)
    first = start(larder_factory, "attendance", app, **shared)
    answer = login(first)
    first.wait_until(lambda: first.counter("redis.stores") >= 1)
    first.stop()
    second = start(larder_factory, "attendance", app, **shared)
    again = login(second)
    assert is_hit(again) and "detail=redis" in status_of(again) and again.body == answer.body
    assert app.count("login_and_fetch_attendance") == 1


def test_000_24_the_duration_is_adjusted_while_running(larder):
    answer = larder.control("POST", "/api/cache/routes/attendance", body=json.dumps({"ttl": "2h"}))
    assert answer.status == 200
    assert is_stored(login(larder)) and routes(larder)["attendance"]["ttl_ms"] == SIX_HOURS_MS // 3


@pytest.fixture
def guarded_redis():
    """With a user and a password, as a host's add-on is."""
    server = RedisServer(prefix="production")
    yield server
    server.stop()


def test_000_25_redis_in_production(larder_factory, app, guarded_redis):
    """Two dynos, one cache, one REDIS_URL: what one has cleared is gone from both."""
    shared = with_redis(guarded_redis, "production", "larder:sesame@")
    both = [start(larder_factory, "attendance", app, **shared) for _ in range(2)]
    answer = login(both[0], "carl")
    both[0].wait_until(lambda: both[0].counter("redis.stores") >= 1)
    assert is_hit(login(both[1], "carl")) and login(both[1], "carl").body == answer.body
    cleared = both[0].control("POST", "/api/cache/invalidate", body=json.dumps({"all": True, "wait": "all"}))
    assert cleared.json()["not_applied_by"] == []
    assert is_stored(login(both[1], "carl"))


def test_000_26_hit_rate_response_time_and_saved_calls_are_told(larder):
    """What a dyno costs Heroku's bill says; the calls that were saved stand here."""
    for _ in range(4):
        login(larder)
    minute = larder.counter("routes.attendance.minute")
    assert minute["hit_ratio"] == 0.75 and minute["latency_ms"]["miss"]["count"] == 1
    assert larder.counter("routes.attendance.saved")["upstream_calls"] == 3


# --- traps ---

@decides("A student's answers are that student's alone: the session, or name and password, are part of the key, as HMAC. "
         "\u201cSubsequent users get instant responses\u201d holds for one student's devices, not for the next student.")
def test_000_27_student_b_never_gets_as_answer(larder, app):
    students = [f"student-{number}" for number in range(8)]
    tokens = {student: token_of(larder, student) for student in students}
    for way in WAYS:  # all at once, each five times: nobody waits for another's fetch
        before = app.count("date_wise")
        asks = [lambda s=student: (s, way(larder, DATE_WISE, tokens[s], s)) for student in students * 5]
        answers = together(larder, app, "date_wise", asks, before + len(students))
        assert all(answer.json()["username"] == student for student, answer in answers)
        assert app.count("date_wise") == before + len(students)
    asks = [lambda s=student: (s, login(larder, s)) for student in students]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(answer.json()["username"] == student for student, answer in pool.map(lambda ask: ask(), asks))


@decides("GET /getDateWiseAttendance is the till-date summary: the document names three routes and three caches, and this "
         "is the third of both.")
def test_000_28_the_till_date_cache_is_that_of_get_date_wise_attendance(larder):
    token = token_of(larder)
    by_header(larder, TILL_DATE, token)
    info = larder.request("GET", "/health").json()["cache_info"]
    assert info["tilldate_cache_entries"] == 1 and info["datewise_cache_entries"] == 0


@decides("The login's Set-Cookie goes to nobody and is not stored, its token stays in the body; POST /logout takes back all "
         "answers of the student. A password that was changed at the portal itself is known there only: the old one's "
         "answer ends with its six hours, or by /clear-cache.")
def test_000_29_a_login_is_replayed_without_its_cookie_and_not_after_logout(larder, app):
    answers = together(larder, app, "login_and_fetch_attendance", [lambda: login(larder)] * 5, 1)
    answers.append(login(larder))
    assert not any("Set-Cookie" in answer.headers for answer in answers)
    token = answers[0].json()["token"]
    assert is_stored(by_header(larder, DATE_WISE, token)) and is_stored(by_parameter(larder, TILL_DATE, token))
    other = token_of(larder, "bob")
    by_header(larder, DATE_WISE, other, "bob")
    assert post(larder, "/logout", {"username": "ann", "token": token}).status == 200
    assert by_header(larder, DATE_WISE, token).status == 401
    assert by_parameter(larder, TILL_DATE, token).status == 401
    assert token_of(larder) != token
    assert is_hit(by_header(larder, DATE_WISE, other, "bob")), "nobody else's is taken back"


@decides("larder waits 25 s for the app's first byte: its own 504, which says what happened, or a stale answer, comes before "
         "Heroku's H12 at 30 s.")
def test_000_30_an_answer_comes_before_heroku_gives_up(larder_factory, app):
    text = without_comments((ROOT / "conf/legacy/attendance.json").read_text())
    assert json.loads(text)["upstreams"]["app"]["first_byte_timeout"] == "25s"
    larder = start(larder_factory, "attendance", app, SHORT, upstream={"first_byte_timeout": "500ms"})
    old = login(larder)
    with held(app, "login_and_fetch_attendance"):
        late = login(larder, "bob")
        assert late.status == 504 and late.headers["Content-Type"] == "application/problem+json"
        larder.wait_until(lambda: "detail=stale-if-error" in status_of(login(larder)))
        assert login(larder).body == old.body
