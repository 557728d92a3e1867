"""004, Hillview school management: conf/legacy/school.json before tests/apps/school, item by item."""
import concurrent.futures
import json
import os
import signal
import subprocess

import pytest

from hillview import ENVIRONMENT, KEY, Person, mark_of, start
from items import ROOT, decides, missing, outside, proves
from steps import held, is_hit, is_stored, keys, prefixes, routes, status_of, together
from support.app import App
from support.larder import BINARY
from support_legacy import APPS

STUDENTS, ANALYTICS, CONFIGURATION = "/api/students/Grade1", "/api/analytics/Grade1", "/api/configuration"
NOT_A_PROXYS = ("Its task queue, the storage of its sessions, its SQL and how its database is split, and dictionaries "
                "inside its process stay the app's.")


@pytest.fixture
def app(legacy_app):
    return legacy_app("school", "app", "gunicorn", SECRET_KEY=KEY)


def workers(app):
    return [int(pid) for pid in subprocess.run(["ps", "--ppid", str(app.process.pid), "-o", "pid="], text=True,
                                               capture_output=True).stdout.split()]


def kill(app):
    """As when its machine ends."""
    family = [app.process.pid, *workers(app)]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    app.process.wait()


@pytest.fixture
def own_app():
    """For a test that is rough with it."""
    app = App("app", "gunicorn", directory=APPS / "school", environment={"SECRET_KEY": KEY, "LEGACY_DELAY": "0"})
    yield app
    if app.process.poll() is None:
        kill(app)


@pytest.fixture
def larder(larder_factory, app):
    return start(larder_factory, app)


@pytest.fixture
def teacher(larder):
    return Person(larder, "teacher1")


def is_one_call(app, function, ask):
    first, second = ask(), ask()
    assert first.status == second.status == 200, (first.body, second.body)
    assert is_stored(first) and is_hit(second), (status_of(first), status_of(second))
    assert second.body == first.body and app.count(function) == 1


def limits(larder, name="default"):
    return larder.stats()["rate_limits"][name]


# --- cache ---

def test_004_01_students_are_kept_for_1800_s(larder_factory, app, larder, teacher):
    is_one_call(app, "students", lambda: teacher.get(STUDENTS))
    assert routes(larder)["students"]["ttl_ms"] == 1800 * 1000
    assert teacher.get(STUDENTS).json()["students"][0]["name"] == "Pupil 0 of Grade1"
    soon = Person(start(larder_factory, app, routes={"students": {"ttl": "1s"}}), "teacher1")
    soon.get(STUDENTS)
    soon.at.wait_until(lambda: app.count("students") == 2 and not is_hit(soon.get(STUDENTS)))


def test_004_02_students_analytics_and_configuration_are_kinds_of_their_own(larder, app):
    head = Person(larder, "headteacher")
    for path, kind in ((STUDENTS, "students"), (ANALYTICS, "analytics"), (CONFIGURATION, "configuration")):
        is_one_call(app, kind, lambda: head.get(path))  # noqa: B023
    by_route = larder.stats()["routes"]
    assert [by_route[kind]["entries"] for kind in ("students", "analytics", "configuration")] == [1, 1, 1]


def test_004_03_the_key_holds_the_class(larder, teacher):
    for class_id in ("Grade1", "Grade2"):
        assert teacher.get(f"/api/students/{class_id}").json()["class"] == class_id
    assert sorted(k["key"] for k in keys(larder)) == ["students:Grade1", "students:Grade2"]


def test_004_04_warming_and_cleaning_up_happen_by_themselves(larder_factory, app):
    larder = start(larder_factory, app, routes={"configuration": {"ttl": "1s", "stale_if_error": "0s"}},
                   warm=[{"name": "configuration", "urls": [CONFIGURATION], "on": ["start", "every 55m"]}])
    larder.wait_for_counter("totals.stored", 1)  # nobody has asked
    larder.wait_until(lambda: larder.counter("cache.entries") == 0)  # nor for this
    assert larder.counter("totals.expired") == 1 and app.count("configuration") == 1


@proves("004-39")
def test_004_05_memory_goes_on_without_redis_and_redis_when_it_returns(larder_factory, app, own_redis):
    prefix = f"school-{next(prefixes)}"
    larder = start(larder_factory, app, "production", own_redis, prefix)
    teacher = Person(larder, "teacher1")
    teacher.get(STUDENTS)
    larder.wait_for_counter("redis.stores", 1)
    own_redis.kill()
    larder.wait_until(lambda: not larder.counter("redis.available"))
    assert is_hit(teacher.get(STUDENTS))
    is_one_call(app, "configuration", lambda: teacher.get(CONFIGURATION))
    own_redis.start()
    larder.wait_until(lambda: larder.counter("redis.available"))
    stores = larder.counter("redis.stores")
    teacher.get("/api/students/Grade2")
    larder.wait_for_counter("redis.stores", stores + 1)
    other = start(larder_factory, app, "production", own_redis, prefix)
    before = app.count("students")
    found = Person(other, **teacher.cookies).get("/api/students/Grade2")
    assert found.json()["class"] == "Grade2" and app.count("students") == before


def test_004_06_each_kind_has_its_ttl(larder):
    ttl_s = {name: route["ttl_ms"] / 1000 for name, route in routes(larder).items() if route["cached"]}
    assert ttl_s == {"students": 1800, "analytics": 900, "configuration": 3600, "reports": 3600}


def test_004_07_an_entry_can_be_read_and_put_anew(larder, app):
    """SchoolDataCache.get and .set: what the app says now is put there."""
    person = Person(larder)
    person.get(CONFIGURATION)
    body = larder.control("GET", "/api/cache/entry?key=configuration&body=1").json()["variants"][0]["body"]
    assert body == {"configuration": {"school": "Hillview School", "term": "3", "year": "2025"}}
    assert larder.invalidate(key="configuration", refresh=True)["matched"] == 1
    larder.wait_until(lambda: app.count("configuration") == 2)
    larder.wait_until(lambda: is_hit(person.get(CONFIGURATION)))
    assert app.count("configuration") == 2


# --- background tasks ---

def report(person, class_id="Grade1"):
    answer = person.post("/api/reports", {"class_id": class_id, "assessment_type": "CAT1"})
    assert answer.status == 202, answer.body
    return f"/api/reports/{answer.json()['task_id']}"


@outside(doc="README.md", says=NOT_A_PROXYS)
def test_004_08_the_task_queue_is_the_apps(larder, app, teacher):
    """Its routes pass."""
    path = report(teacher)
    larder.wait_until(lambda: teacher.get(path).json()["status"] == "done")
    assert app.count("report") == 1


def test_004_09_a_task_is_asked_for_until_it_is_done(larder, app, teacher):
    with held(app, "report"):
        first, second = report(teacher), report(teacher)  # one thread works: the second waits
        larder.wait_until(lambda: teacher.get(first).json()["status"] == "running")
        asked = app.count("status")
        for path, status in ((first, "running"), (second, "queued"), (first, "running")):
            answer = teacher.get(path)
            assert answer.json()["status"] == status and not is_hit(answer) and not is_stored(answer)
        assert app.count("status") == asked + 3
    larder.wait_until(lambda: is_hit(teacher.get(second)) and is_hit(teacher.get(first)))
    assert teacher.get(first).json()["result"]["class"] == "Grade1"
    assert Person(larder, "teacher2").get(first).status == 404  # another one's


def test_004_10_larders_own_jobs_have_id_status_result_and_retry(larder_factory, app):
    larder = start(larder_factory, app)

    def control(method, path, body=None):
        return larder.control(method, path, json.dumps(body) if body else None).json()
    with held(app, "configuration"):
        job = control("POST", "/api/cache/warm", {"urls": [CONFIGURATION]})["job"]
        larder.wait_until(lambda: app.count("configuration") == 1)
        assert control("GET", f"/api/cache/jobs/{job['id']}")["state"] == "running"
    larder.wait_until(lambda: control("GET", f"/api/cache/jobs/{job['id']}")["state"] == "done")
    done = control("POST", "/api/cache/warm", {"urls": [CONFIGURATION], "wait": True, "bodies": True})["job"]
    assert done["items"][0]["body"]["configuration"]["school"] == "Hillview School"
    failed = control("POST", "/api/cache/warm", {"urls": ["/nothing/here"], "wait": True})["job"]
    assert (failed["failed"], failed["items"][0]["status"]) == (1, 404)
    assert control("POST", f"/api/cache/jobs/{failed['id']}/retry")["job"]["total"] == 1
    larder.wait_until(lambda: control("GET", f"/api/cache/jobs/{failed['id']}")["state"] not in ("queued", "running"))
    for _ in range(205):  # and old ones go by themselves
        control("POST", "/api/cache/warm", {"urls": [CONFIGURATION], "wait": True})
    left = control("GET", "/api/cache/jobs")["jobs"]
    assert len(left) < 205 and job["id"] not in {j["id"] for j in left}


# --- pool ---

def pool(larder):
    return larder.request("GET", "/health/scalability").json()["connection_pool"]


def test_004_11_the_pool_has_5_connections_at_least_and_20_at_most(larder, app, teacher):
    larder.wait_until(lambda: larder.counter("upstreams.app.idle") >= 5)  # before anybody needs them
    with held(app, "students"):
        asks = [larder.start("GET", f"/api/students/Grade1?page={n}", headers={"Cookie": cookie(teacher)})
                for n in range(30)]
        larder.wait_until(lambda: larder.counter("upstreams.app.waiting") == 10)
        assert larder.counter("upstreams.app.active") == 20 and app.count("students") <= 20
    assert {a.result().status for a in asks} == {200} and app.count("students") == 30


def cookie(person):
    return "; ".join(f"{name}={value}" for name, value in person.cookies.items())


def test_004_12_active_idle_and_failed_are_told(larder, app, teacher):
    with held(app, "students"):
        asks = [larder.start("GET", f"/api/students/Grade{n}", headers={"Cookie": cookie(teacher)}) for n in (1, 2)]
        larder.wait_until(lambda: app.count("students") == 2)
        assert larder.counter("upstreams.app.active") == 2
    for ask in asks:
        ask.result()
    assert set(pool(larder)) == {"max", "active", "idle", "failed"}
    larder.wait_until(lambda: pool(larder)["idle"] >= 5)
    assert pool(larder)["max"] == 20 and pool(larder)["failed"] == 0


def test_004_13_broken_connections_are_replaced(larder_factory, own_app):
    """The app's worker is another one meanwhile: all its connections have ended."""
    larder = start(larder_factory, own_app)
    teacher = Person(larder, "teacher1")
    teacher.get("/api/me")
    old = workers(own_app)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    larder.wait_until(lambda: set(workers(own_app)) - set(old))
    assert [teacher.get("/api/me").status for _ in range(10)] == [200] * 10
    larder.wait_until(lambda: larder.counter("upstreams.app.idle") >= 5)


# --- sessions ---

def test_004_14_sessions_and_csrf_tokens_are_never_stored(larder, app):
    one, other = Person(larder, "teacher1"), Person(larder, "teacher2")
    tokens = {one.csrf(), other.csrf(), one.csrf()}
    assert len(tokens) == 2 and app.count("csrf") == 3
    for person in (one, other):
        assert person.csrf() in person.get("/marks/upload").body.decode()
        for path in (STUDENTS, "/api/students/Grade2"):
            answer = person.get(path)
            assert answer.json()["seen_by"] == person.name and not answer.headers["Set-Cookie"]
    for key in keys(larder):
        entry = larder.control("GET", f"/api/cache/entry?key={key['key']}&body=1").body.decode()
        assert "Set-Cookie" not in entry
        assert not any(secret in entry for p in (one, other) for secret in (p.csrf(), *p.cookies.values()))
    # POSTs with a token pass untouched, as JSON and as forms
    assert one.mark("Grade1", 1, 51).json() == {"success": True, "stored": 1}
    form = f"csrf_token={one.csrf()}&marks=%5B%5D"
    answer = one.request("POST", "/api/marks/Grade1", {"Content-Type": "application/x-www-form-urlencoded"}, form)
    assert answer.json() == {"success": True, "stored": 0}
    assert one.post("/api/marks/Grade1", [], X_CSRFToken=other.csrf()).status == 403


@outside(doc="README.md", says=NOT_A_PROXYS)
def test_004_15_sessions_are_kept_by_the_app(larder, teacher):
    """Login, session and logout go through; nothing of them is larder's."""
    assert teacher.get("/api/me").json() == {"user": "teacher1", "role": "teacher"}
    teacher.post("/logout", {})
    assert teacher.get("/api/me").json() == {"user": None, "role": None}


# --- logging and monitoring ---

def test_004_16_each_line_of_the_log_is_json(larder, teacher):
    for _ in range(2):
        teacher.get(STUDENTS)
    lines = larder.access_lines(3)  # that it could be read says that it is JSON
    assert {"@timestamp", "http.request.method", "url.original"} <= set(lines[0]), lines[0]


def test_004_17_average_p95_and_p99_are_told(larder, teacher):
    for _ in range(3):
        teacher.get(STUDENTS)
    latency = larder.stats()["routes"]["students"]["latency_ms"]
    assert {"avg", "p95", "p99"} <= set(latency["hit"]) and latency["hit"]["count"] == 2
    told = larder.request("GET", "/health/scalability").json()["response_times"]
    assert set(told) == {"avg_ms", "p95_ms", "p99_ms"} and told["p99_ms"] >= told["avg_ms"] > 0


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def streams(tmp_path, **more):
    """Production's files where a test may write them; errors go to stderr, where it waits for larder's first words."""
    log = {name: str(tmp_path / f"{name}.log") for name in ("access", "performance", "security")}
    return {"$profiles": {"production": {"log": {**log, **more}}}}


def test_004_18_security_events_are_told(larder_factory, app, tmp_path):
    """Violations of limits, and control calls that were denied."""
    larder = start(larder_factory, app, "testing", control={"token": {"env": "LARDER_TOKEN"}, "allow": []},
                   environment={"LARDER_TOKEN": "the-operators-token"}, log={"security": str(tmp_path / "security.log")})
    assert larder.control("POST", "/api/cache/invalidate", '{"all": true}').status == 401
    assert [Person(larder).login("teacher1", "wrong").status for _ in range(11)] == [401] * 10 + [429]
    larder.wait_until(lambda: len(events(tmp_path / "security.log")) >= 2)
    text = (tmp_path / "security.log").read_text()
    assert "/api/cache/invalidate" in text and "login" in text and "wrong" not in text


def test_004_19_there_are_streams_for_application_performance_errors_and_security(larder_factory, app, redis, tmp_path):
    larder = start(larder_factory, app, "production", redis, **streams(tmp_path, performance_interval="1s"))
    teacher = Person(larder, "teacher1")
    teacher.get(STUDENTS)
    larder.wait_until(lambda: any("students" in json.dumps(e) for e in events(tmp_path / "performance.log")))
    larder.wait_until(lambda: any(e.get("url.original") == STUDENTS for e in events(tmp_path / "access.log")))
    line = next(e for e in events(tmp_path / "performance.log") if "students" in json.dumps(e))
    assert "p95" in json.dumps(line) and "p99" in json.dumps(line)
    assert larder.log_says("ready: ")
    assert (tmp_path / "security.log").exists()


def test_004_20_logs_are_rotated_by_the_system(larder_factory, app, tmp_path):
    larder = start(larder_factory, app, log={"access": str(tmp_path / "access.log")})
    Person(larder).get(CONFIGURATION)
    larder.wait_until(lambda: len(events(tmp_path / "access.log")) == 1)
    os.rename(tmp_path / "access.log", tmp_path / "access.log.1")
    larder.process.send_signal(signal.SIGUSR1)
    larder.wait_until(lambda: (tmp_path / "access.log").exists())
    Person(larder).get(CONFIGURATION)
    larder.wait_until(lambda: len(events(tmp_path / "access.log")) == 1)
    assert len(events(tmp_path / "access.log.1")) == 1


# --- rate limits: the profile "testing" has those of the file ---

@pytest.fixture
def limited(larder_factory, app):
    return lambda **more: start(larder_factory, app, "testing", log={"access": "stdout"}, **more)


@proves("004-24")
def test_004_21_a_token_bucket_lets_a_burst_through(limited):
    person = Person(limited())
    statuses = [person.get(f"/api/me?n={n}").status for n in range(70)]  # the 61st is one too many for a minute in any case
    assert statuses[:20] == [200] * 20 and 429 in statuses  # 20 at once, then 10 a second
    refused = next(a for a in iter(lambda: person.get("/api/me"), None) if a.status == 429)
    assert refused.json()["violated-policies"] in (["default-burst"], ["default-1m"])


@proves("004-23")
def test_004_22_a_sliding_window_of_30_a_minute_and_500_an_hour(limited):
    head = Person(limited(), "headteacher")
    statuses = [head.get(f"/api/analytics/Grade1?n={n}").status for n in range(31)]
    assert statuses == [200] * 30 + [429]
    policy = head.get("/api/analytics/Grade1?n=31").headers["RateLimit-Policy"]
    assert '"api-1m";q=30;w=60' in policy and '"api-1h";q=500;w=3600' in policy
    assert '"default-1m";q=60;w=60' in Person(head.at).get("/api/me").headers["RateLimit-Policy"]


def test_004_25_answers_tell_of_the_limit(limited):
    answer = Person(limited()).get("/api/me")
    assert answer.headers["X-RateLimit-Limit"] and answer.headers["X-RateLimit-Remaining"]
    assert "r=" in answer.headers["RateLimit"]


def test_004_26_violations_are_logged_and_counted(limited):
    larder = limited()
    person = Person(larder)
    while person.login("teacher1", "wrong").status != 429:
        pass
    assert limits(larder, "login")["refused"] == 1
    assert larder.log_says("login")


def test_004_27_each_type_of_user_has_its_limits(limited):
    """The type stands in a token that the app has signed: nobody makes himself a headteacher."""
    larder = limited()
    for name, quota in (("student1", 60), ("teacher1", 120), ("headteacher", 240)):
        assert f";q={quota};w=60" in Person(larder, name).get("/api/me").headers["RateLimit-Policy"]
    liar = Person(larder, user=Person(larder, "student1").cookies["user"][:-3] + "AAA")
    assert ";q=60;w=60" in liar.get("/api/me").headers["RateLimit-Policy"]


# --- configuration ---

def explained(profile, **environment):
    """What larder -t says of the file itself."""
    return subprocess.run([BINARY, "-t", "-c", str(ROOT / "conf/legacy/school.json")], capture_output=True, text=True,
                          env={**os.environ, **ENVIRONMENT, "FLASK_ENV": profile, **environment})


def test_004_28_there_are_profiles_for_development_production_and_testing(larder_factory, app, redis):
    for profile in ("development", "production", "testing"):
        tested = explained(profile)
        assert tested.returncode == 0 and profile in tested.stdout + tested.stderr
    wrong = explained("staging")
    assert wrong.returncode == 1 and "production" in wrong.stderr
    development = start(larder_factory, app, "development")
    assert "redis" not in development.stats()
    assert "q=6000;" in Person(development).get("/api/me").headers["RateLimit-Policy"]
    assert "redis" in start(larder_factory, app, "production", redis).stats()


def test_004_29_the_environment_says_where_redis_is(larder_factory, app, redis, tmp_path):
    larder = start(larder_factory, app, "production", environment={"REDIS_HOST": "127.0.0.1",
                                                                   "REDIS_PORT": str(redis.port)})
    larder.wait_until(lambda: larder.counter("redis.in_contact"))
    assert larder.counter("redis.server") == f"127.0.0.1:{redis.port}"
    teacher = Person(larder, "teacher1")  # SECRET_KEY: the app's tokens are understood
    assert ";q=120;w=60" in teacher.get("/api/me").headers["RateLimit-Policy"]


def test_004_30_the_keys_of_old_are_variables(limited):
    larder = limited(environment={"DB_MIN_CONNECTIONS": "2", "DB_MAX_CONNECTIONS": "7", "RATE_LIMIT_PER_MINUTE": "90"})
    assert larder.counter("upstreams.app.max_connections") == 7
    larder.wait_until(lambda: larder.counter("upstreams.app.idle") >= 2)
    assert ";q=90;w=60" in Person(larder).get("/api/me").headers["RateLimit-Policy"]


# --- control ---

def test_004_31_health_scalability_is_the_apps_answer_and_larders_figures(larder, app):
    answer = larder.request("GET", "/health/scalability")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("application/json")
    own = app.request("GET", "/health/scalability").json()
    told = answer.json()
    assert told["status"] == "healthy" and set(own) < set(told) and "Age" not in answer.headers


def test_004_32_health_has_the_documents_metrics(larder, teacher):
    teacher.get(STUDENTS)
    teacher.get(STUDENTS)
    told = larder.request("GET", "/health/scalability").json()
    assert set(told) == {"status", "response_times", "connection_pool", "cache", "rate_limiting", "background_tasks",
                         "sessions", "warm_jobs"}
    assert told["cache"]["hit_rate"] == 50.0 and told["cache"]["entries"] == 1
    assert told["rate_limiting"]["requests"] > 0 and told["rate_limiting"]["violations"] == 0
    assert {"queue_size", "avg_ms"} <= set(told["background_tasks"])  # the app's own
    assert {"active", "cleaned"} == set(told["sessions"]) and told["sessions"]["active"] >= 1


# --- figures claimed: what they rest on ---

def test_004_33_two_hundred_users_at_once_are_all_answered(larder_factory, app):
    larder = start(larder_factory, app)
    teachers = [Person(larder, name) for name in ("teacher1", "teacher2", "headteacher")]
    ask = [lambda p=p: p.at.request("GET", STUDENTS, {"Cookie": cookie(p)}) for p in teachers]
    answers = together(larder, app, "students", [ask[n % 3] for n in range(60)], 3)
    with concurrent.futures.ThreadPoolExecutor(80) as together_:
        answers += together_.map(lambda n: ask[n % 3](), range(200))
    assert {a.status for a in answers} == {200} and app.count("students") == 3


def test_004_34_what_takes_seconds_is_done_once(larder, app):
    head = Person(larder, "headteacher")
    for _ in range(10):
        assert head.get(ANALYTICS).status == 200
    assert app.count("analytics") == 1


def test_004_35_of_ten_requests_the_database_sees_two(larder, app, teacher):
    for n in range(20):
        teacher.get(f"/api/students/Grade{n % 4 + 1}")
    assert app.count("students") == 4 and larder.counter("totals.hits") == 16  # 80 % less


def test_004_36_connections_are_used_again(larder, teacher):
    for n in range(50):
        teacher.get(f"/api/me?n={n}")
    assert larder.counter("upstreams.app.reuse_rate") > 0.7


def test_004_37_memory_is_bounded(larder_factory, app):
    larder = start(larder_factory, app, cache={"max_bytes": "256KiB", "max_object_bytes": "64KiB"})
    teacher = Person(larder, "teacher1")
    for n in range(120):
        teacher.get(f"/api/students/Grade{n % 9 + 1}?page={n}")
    assert larder.counter("cache.bytes") <= 256 << 10 and larder.counter("totals.evicted") > 0


def test_004_38_an_app_that_fails_is_not_noticed_where_something_is_stored(larder_factory, own_app):
    larder = start(larder_factory, own_app, routes={"configuration": {"ttl": "1s"}})
    person = Person(larder)
    before = person.get(CONFIGURATION)
    kill(own_app)
    larder.wait_until(lambda: "stale-if-error" in status_of(person.get(CONFIGURATION)))
    answers = [person.get(CONFIGURATION) for _ in range(50)]
    assert {a.status for a in answers} == {200} and {a.body for a in answers} == {before.body}


# --- failure ---

def test_004_40_an_exhausted_pool_is_told_and_its_size_is_a_variable(larder_factory, app):
    def at_once(**more):
        larder = start(larder_factory, app, **more)
        teacher = Person(larder, "teacher1")
        app.reset()
        with held(app, "students"):
            asks = [larder.start("GET", f"/api/students/Grade1?page={n}", headers={"Cookie": cookie(teacher)})
                    for n in range(3)]
            larder.wait_until(lambda: app.count("students") + sum(a.done() for a in asks) == 3)
            refused = [a.result() for a in asks if a.done()]
        return refused, [a.result().status for a in asks]
    small = {"upstreams": {"app": {"min_idle": 0, "queue": 0}}}
    refused, statuses = at_once(environment={"DB_MAX_CONNECTIONS": "2"}, **small)
    assert [a.status for a in refused] == [503] and refused[0].headers["Retry-After"]
    assert sorted(statuses) == [200, 200, 503]
    assert at_once(environment={"DB_MAX_CONNECTIONS": "3"}, **small) == ([], [200] * 3)


def test_004_41_less_memory_shorter_ttl_and_cleaning_up(larder, app, teacher):
    """While it runs: a shorter TTL; in the file: cache.max_bytes (004-37)."""
    switched = larder.control("POST", "/api/cache/routes/students", '{"ttl": "1s"}').json()
    assert (switched["ttl_ms"], switched["config_ttl_ms"]) == (1000, 1800 * 1000)
    teacher.get(STUDENTS)
    assert larder.counter("cache.entries") == 1
    larder.wait_until(lambda: larder.counter("cache.entries") == 0)


def test_004_42_limits_are_adjusted_and_violations_watched(limited):
    """dry_run counts whom a limit would refuse, before it does."""
    larder = limited(rate_limits=[{"name": "default", "limits": ["5/1m"], "dry_run": True},
                                  {"name": "api", "limits": ["30/1m"]}, {"name": "login", "limits": ["2/1m"]}])
    person = Person(larder)
    assert {person.get("/api/me").status for _ in range(9)} == {200}
    assert limits(larder)["would_refuse"] == 4
    assert [person.login("teacher1", "wrong").status for _ in range(3)] == [401, 401, 429]
    assert limits(larder, "login")["refused"] == 1
    roomy = limited(environment={"RATE_LIMIT_PER_MINUTE": "600"})
    assert ";q=600;w=60" in Person(roomy).get("/api/me").headers["RateLimit-Policy"]


# --- future work it lists ---

@outside(doc="README.md", says=NOT_A_PROXYS)
def test_004_43_how_a_database_is_split_is_the_apps(larder, app, teacher):
    """Each class is asked for by its own request, wherever its rows are."""
    assert [teacher.get(f"/api/students/Grade{n}").json()["class"] for n in (1, 9)] == ["Grade1", "Grade9"]


def test_004_44_requests_are_spread_over_instances_of_the_app(larder_factory, app, own_app):
    """Each is asked; where one has ended, the others answer."""
    two = {"upstreams": {"app": {"server": None, "servers": [f"127.0.0.1:{a.port}" for a in (app, own_app)]}}}
    larder = start(larder_factory, app, **two)
    for n in range(20):
        assert Person(larder).get(f"/api/me?n={n}").status == 200
    assert app.count("me") > 0 and own_app.count("me") > 0 and app.count("me") + own_app.count("me") == 20
    kill(own_app)
    assert {Person(larder).get(f"/api/me?n={n}").status for n in range(20)} == {200}


def test_004_45_a_cdn_in_front_can_ask_whether_its_copy_holds(larder, app):
    """Answers bear ETag and Age; a CDN's question costs the app nothing."""
    first = Person(larder).get(CONFIGURATION)
    again = Person(larder).get(CONFIGURATION, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"") and again.headers["Age"] is not None
    assert app.count("configuration") == 1


def test_004_46_services_behind_one_address(larder_factory, app, own_app):
    """Each path to its own upstream."""
    larder = start(larder_factory, app, upstreams={"reports": {"server": f"127.0.0.1:{own_app.port}"}},
                   default_upstream="app", routes={"configuration": {"upstream": "reports"}})
    person = Person(larder)
    person.get(CONFIGURATION)
    person.get("/api/me")
    assert (app.count("configuration"), own_app.count("configuration"), app.count("me")) == (0, 1, 1)


@missing("upstreams are named in the file, and a change takes a restart; one that is gone is passed over, one that "
         "returns is used again")
def test_004_47_an_instance_that_goes_and_comes_back(larder_factory, app, own_app):
    """What there is instead."""
    two = {"upstreams": {"app": {"server": None, "servers": [f"127.0.0.1:{a.port}" for a in (app, own_app)]}}}
    larder = start(larder_factory, app, **two)
    kill(own_app)
    assert {Person(larder).get(f"/api/me?n={n}").status for n in range(10)} == {200}
    assert app.count("me") == 10


@missing("no OTLP and no text for Prometheus yet: an agent reads the logs (JSON lines with ECS names) and the JSON of "
         "/api/cache/stats")
def test_004_48_what_a_monitoring_service_can_read(larder, teacher):
    teacher.get(STUDENTS)
    line = larder.access_lines(2)[1]
    assert line["url.original"] == STUDENTS and line["http.response.status_code"] == 200 and "event.duration" in line
    assert larder.stats()["routes"]["students"]["misses"] == 1


# --- traps ---

@decides("hits are free: a limit guards the app, and a hit costs it nothing. \"count_hits\": true counts them too.")
def test_004_49_hits_do_not_use_up_a_limit(larder_factory, app):
    larder = start(larder_factory, app, "testing", log={"access": "stdout"})
    person = Person(larder)
    statuses = {person.get("/api/students/Grade1").status for _ in range(5)}
    assert statuses == {401}
    head = Person(larder, "headteacher")
    head.get(ANALYTICS)
    allowed = limits(larder, "api")["allowed"]
    assert {head.get(ANALYTICS).status for _ in range(100)} == {200}
    assert limits(larder, "api")["allowed"] == allowed and app.count("analytics") == 1


@decides("the session's cookie, by its name, says whose an answer is: part of the key, as an HMAC. Other cookies and "
         "Vary: Cookie tell nothing apart, and the cookie that Flask sends anew is not stored. Another session is "
         "another entry, and logging in or out takes its own back.")
def test_004_50_sessions_are_cached_each_for_itself(larder, app):
    one, other = Person(larder, "teacher1", _ga="1"), Person(larder, "teacher2")
    for n in range(10):
        one.cookies["_ga"] = str(n)  # an analytics cookie that changes with each request
        assert one.get(STUDENTS).json()["seen_by"] == "teacher1"
        assert other.get(STUDENTS).json()["seen_by"] == "teacher2"
    assert app.count("students") == 2 and larder.counter("totals.hits") == 18
    direct = Person(app, **one.cookies).get(STUDENTS)
    assert direct.headers["Vary"] == "Cookie" and "session=" in direct.headers["Set-Cookie"]  # as Flask does it
    one.post("/logout", {})
    assert one.get(STUDENTS).status == 401
    thief = Person(larder, session=direct.headers["Set-Cookie"].split(";")[0].split("=", 1)[1])
    assert thief.get(STUDENTS).status == 401  # the cookie of a session that has ended
    assert is_hit(other.get(STUDENTS))


@proves("004-50")
def test_flasks_own_sessions_whose_cookie_changes_each_second(larder_factory, legacy_app):
    """What a cached answer brings is not a new cookie, so the old one goes on finding it."""
    app = legacy_app("school", "app", "gunicorn", SECRET_KEY=KEY, SCHOOL_SESSIONS="cookie")
    larder = start(larder_factory, app)
    one, other = Person(larder, "teacher1"), Person(larder, "teacher2")
    for _ in range(5):
        assert one.get(STUDENTS).json()["seen_by"] == "teacher1"
        assert other.get(STUDENTS).json()["seen_by"] == "teacher2"
    assert app.count("students") == 2 and larder.counter("totals.hits") == 8


def test_uploaded_marks_are_seen_by_all_who_look(larder, app):
    """004-01's students, and what a write takes back."""
    one, other = Person(larder, "teacher1"), Person(larder, "teacher2")
    old = [mark_of(p.get(STUDENTS), 5) for p in (one, other)]
    one.mark("Grade1", 5, 99 - old[0])
    assert [mark_of(p.get(STUDENTS), 5) for p in (one, other)] == [99 - old[0]] * 2
