"""Nobody gets another's answer, and credentials are found nowhere: not in what larder shows, says, stores, sends to
Redis or keeps for its next start, nor in its memory once a request is over."""
import concurrent.futures
import contextlib
import itertools
import json
import re
import signal
import socket
import threading

import pytest

import hillview
import steps
from hillview import KEY, Person
from items import ROOT, proves
from steps import held, is_hit, is_stored, keys, post
from support.larder import BINARY
from support_legacy import legacy_config, merged

STUDENTS, LOGIN = "/api/students/Grade1", "/login-and-fetch-attendance"
RIGHT = {"username": "ann", "password": "secret-of-ann"}


@pytest.fixture
def school(legacy_app):
    return legacy_app("school", "app", "gunicorn", SECRET_KEY=KEY)


@pytest.fixture
def attendance(legacy_app):
    return legacy_app("attendance", "main", "uvicorn")


# --- whose answer it is ---

@proves("004-14")
def test_many_at_once_each_get_their_own(larder_factory, school):
    """Also while all their fetches are on their way: nobody waits for another's."""
    larder = hillview.start(larder_factory, school)
    people = [Person(larder, name) for name in ("teacher1", "teacher2", "headteacher")] * 8
    with held(school, "students"):
        asks = [larder.start("GET", STUDENTS, headers={"Cookie": f"a={n}; session={p.cookies['session']}"})
                for n, p in enumerate(people)]
        larder.wait_for_counter("totals.coalesced_waiting", len(people) - 3)
    assert [a.result().json()["seen_by"] for a in asks] == [p.name for p in people]
    assert school.count("students") == 3
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda p: p.at.request("GET", STUDENTS, {"Cookie": f"session={p.cookies['session']}"}),
                                people * 10))
    assert [a.json()["seen_by"] for a in answers] == [p.name for p in people * 10]


def test_cookies_that_were_changed_or_swapped_open_nothing(larder_factory, school):
    larder = hillview.start(larder_factory, school)
    one, other = Person(larder, "teacher1"), Person(larder, "teacher2")
    for person in (one, other):
        person.get(STUDENTS)
    session, foreign = one.cookies["session"], other.cookies["session"]
    for cookies in ({"session": session[:-1]}, {"session": session + "x"}, {"session": session.swapcase()},
                    {"session": ""}, {"Session": session}, {"user": session}, {}):
        answer = Person(larder, **cookies).get(STUDENTS)
        assert answer.status == 401 and not is_hit(answer), cookies
    # one's session beside the other's token is one's session
    assert Person(larder, session=session, user=other.cookies["user"]).get(STUDENTS).json()["seen_by"] == "teacher1"
    for pair in itertools.permutations((session, foreign)):
        cookie = {"Cookie": "; ".join(f"session={value}" for value in pair)}
        said = school.request("GET", STUDENTS, headers=cookie).json()["seen_by"]
        assert larder.request("GET", STUDENTS, cookie).json()["seen_by"] == said
    assert [p.get(STUDENTS).json()["seen_by"] for p in (one, other)] == ["teacher1", "teacher2"]


def test_who_logs_in_where_somebody_was_logged_in_sees_nothing_of_him(larder_factory, school):
    """The school's sessions keep their id: the same cookie is another person's from then on."""
    larder = hillview.start(larder_factory, school)
    browser = Person(larder, "teacher1")
    session = browser.cookies["session"]
    assert browser.get(STUDENTS).json()["seen_by"] == "teacher1"
    browser.login("teacher2")
    assert browser.cookies["session"] == session
    assert browser.get(STUDENTS).json()["seen_by"] == "teacher2"
    with held(school, "students"):  # asked for by one, and on its way while the other logs in
        early = larder.start("GET", "/api/students/Grade2", headers={"Cookie": f"session={session}"})
        larder.wait_until(lambda: school.count("students") == 3)
        browser.login("headteacher")
    early.result()
    assert browser.get("/api/students/Grade2").json()["seen_by"] == "headteacher"


@proves("000-10", "000-27")
def test_a_wrong_password_never_gets_what_the_right_one_got(larder_factory, attendance):
    larder = steps.start(larder_factory, "attendance", attendance)
    right = post(larder, LOGIN, RIGHT)
    assert right.status == 200 and is_hit(post(larder, LOGIN, RIGHT))
    for change in ({"password": "secret-of-ANN"}, {"password": "secret-of-ann "}, {"password": "secret-of-an"},
                   {"password": ""}, {"password": None}, {"password": ["secret-of-ann"]}, {"username": "bob"},
                   {"password": "secret-of-bob"}, {"username": "secret-of-ann", "password": "ann"},
                   {"password": "secret-of-ann\u0000"}, {"password": {"": "secret-of-ann"}}):
        answer = post(larder, LOGIN, {**RIGHT, **change})
        assert answer.status in (401, 422) and not is_hit(answer) and not is_stored(answer), change
    json_type = {"Content-Type": "application/json"}
    for body in (b'{"username":"ann","password":"secret-of-ann","password":"wrong"}',
                 b'{"username":"ann","password":"wrong","password":"secret-of-ann"}',
                 b'{"username":"ann","Password":"secret-of-ann"}', b'["ann","secret-of-ann"]', b'', b'{'):
        through, direct = (at.request("POST", LOGIN, headers=json_type, body=body) for at in (larder, attendance))
        assert through.status == direct.status, body
    assert is_hit(post(larder, LOGIN, RIGHT))


def test_right_and_wrong_at_once(larder_factory, attendance):
    larder = steps.start(larder_factory, "attendance", attendance)
    who = [(f"student{n % 6}", f"secret-of-student{n % 6}" if n % 2 else f"secret-of-student{(n + 1) % 6}")
           for n in range(24)]
    with held(attendance, "login_and_fetch_attendance"):
        asks = [larder.pool.submit(post, larder, LOGIN, {"username": name, "password": password})
                for name, password in who]
        larder.wait_for_counter("totals.coalesced_waiting", 12)
    for (name, password), ask in zip(who, asks):
        answer = ask.result()
        if password == f"secret-of-{name}":
            assert answer.json()["username"] == name
        else:
            assert answer.status == 401 and b"attendance" not in answer.body


# --- credentials, in clear ---

class Traffic:
    """Two people's requests, and the secrets that they sent."""

    def __init__(self, larder):
        one, other = Person(larder, "teacher1"), Person(larder, "teacher2")
        csrf = one.csrf()
        for _ in range(3):
            one.get(STUDENTS)
            other.get(STUDENTS)
        one.mark("Grade1", 3, 61)
        one.get(STUDENTS)
        headers = {"Authorization": "Bearer bearer-of-a-client-5521", "X-Api-Key": "api-key-of-a-client-7719"}
        for _ in range(2):
            larder.request("GET", "/api/me?keyed=1", headers=headers)
        one.get("/api/me?token=token-in-a-query-3311")
        other.post("/logout", {})
        Person(larder).login("teacher1", "a-wrong-password-9911")
        self.secrets = [*hillview.PASSWORDS.values(), "a-wrong-password-9911", csrf, one.cookies["session"],
                        one.cookies["user"], "bearer-of-a-client-5521", "api-key-of-a-client-7719"]

    def found_in(self, text, where):
        text = text if isinstance(text, bytes) else text.encode()
        return [(where, secret) for secret in self.secrets if secret.encode() in text]


KEYED = {"name": "keyed", "match": "GET /api/me", "ttl": "1h", "identity": ["auth", "header.X-Api-Key"],
         "set_cookie": "ignore", "vary": "ignore", "tags": ["who:{header.X-Api-Key}"]}


def school_with_keys(app, **more):
    """The school's file, and a route for clients with a key."""
    config = merged(legacy_config("school", app.port, warm=[]), more)
    config["routes"] = [KEYED, *config["routes"]]
    return config


@contextlib.contextmanager
def monitored(redis):
    """What Redis is told meanwhile, as MONITOR shows it: a list of bytes."""
    told = []
    with socket.create_connection(("127.0.0.1", redis.port)) as s:
        s.sendall(b"MONITOR\r\n")
        assert s.recv(5) == b"+OK\r\n"

        def read():
            while piece := s.recv(65536):
                told.append(piece)
        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield told
        finally:
            s.shutdown(socket.SHUT_RDWR)
            thread.join()


def all_of(redis):
    """Names and values, of all kinds."""
    with redis.client() as client:
        for key in client.scan_iter(count=1000):
            kind = client.type(key)
            value = {b"string": client.get, b"hash": client.hgetall, b"stream": client.xrange,
                     b"zset": lambda k: client.zrange(k, 0, -1, withscores=True)}[kind](key)
            yield repr(key) + repr(value)


@proves("000-11", "004-14")
def test_credentials_are_in_nothing_that_larder_shows_says_or_keeps(larder_factory, school, own_redis, tmp_path):
    streams = {name: str(tmp_path / f"{name}.log") for name in ("access", "performance", "security")}
    state = tmp_path / "state"
    state.mkdir()
    config = school_with_keys(school, redis={"server": own_redis.address, "command_timeout": "5s"}, state_dir=str(state),
                              **{"$profiles": {"production": {"log": {**streams, "error": "stderr", "level": "debug",
                                                                      "performance_interval": "1s"}}}})
    with monitored(own_redis) as told:
        larder = larder_factory(config, BINARY, {**hillview.ENVIRONMENT, "FLASK_ENV": "production"})
        larder.wait_until(lambda: larder.counter("redis.in_contact"))
        traffic = Traffic(larder)
        larder.wait_for_counter("redis.stores", 3)
        found = []
        pages = ["/api/cache/keys", "/api/cache/stats", "/api/cache/routes", "/api/cache/jobs", "/health/ready",
                 "/api/cache/stats?tag=class:Grade1"]
        pages += [f"/api/cache/entry?key={k['key']}&body=1" for k in keys(larder)]
        assert len(pages) > 7
        for page in pages:
            answer = larder.control("GET", page)
            assert answer.status == 200, page
            found += traffic.found_in(answer.body, page)
        question = {"url": STUDENTS, "headers": {"Cookie": f"session={traffic.secrets[6]}"}}
        found += traffic.found_in(larder.control("POST", "/api/cache/explain", json.dumps(question)).body, "explain")
        larder.invalidate(tag="class:Grade1")  # the audit has it
        found += traffic.found_in("".join(all_of(own_redis)), "redis")
        larder.wait_until(lambda: (tmp_path / "performance.log").stat().st_size > 0)
        found += traffic.found_in(json.dumps(larder.log_lines) + "".join(larder.raw_stderr), "messages")
        larder.stop()
    told = b"".join(told)
    assert b"EVALSHA" in told.upper()
    found += traffic.found_in(told, "MONITOR")
    for path in [*tmp_path.glob("*.log"), *state.iterdir()]:
        assert path.stat().st_size > 0 or path.name == "security.log", path
        found += traffic.found_in(path.read_bytes(), path.name)
    assert found == []


# --- memory ---

def plain_binary():
    """Without a sanitizer, whose quarantine keeps what was freed."""
    trees = [ROOT / f"build/{tree}/proxy/larder" for tree in ("release", "clang")]
    found = [tree for tree in trees if tree.exists()]
    if not found:
        pytest.skip("there is no build without a sanitizer")
    return str(max(found, key=lambda tree: tree.stat().st_mtime))


def memory_of(pid):
    """All that it may write to."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            first, last, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if "rw" in rights:
                memory.seek(int(first, 16))
                with contextlib.suppress(OSError):
                    yield memory.read(int(last, 16) - int(first, 16))


def others_pass(larder):
    """Requests of others that use the buffers again."""
    for n in range(20):
        larder.request("GET", f"/api/configuration?n={n}")
        larder.request("GET", STUDENTS, {"Cookie": f"session=somebody-{n}"})


def started_plain(larder_factory, school, **more):
    config = school_with_keys(school, redis=None, secret=None, log={"access": "off"}, **more)
    return larder_factory(config, plain_binary(), {**hillview.ENVIRONMENT, "FLASK_ENV": "testing"})


@proves("000-11")
def test_credentials_are_not_in_memory_once_a_request_is_over(larder_factory, school):
    """Neither in the index of keys nor in what was freed. (Entries hold what the app says; the configuration its own
    tokens.)"""
    larder = started_plain(larder_factory, school)
    traffic = Traffic(larder)
    others_pass(larder)
    assert len(keys(larder)) > 2
    found = {secret for piece in memory_of(larder.process.pid) for _, secret in traffic.found_in(piece, "memory")}
    assert found == set()


def ended_by_abort(larder):
    larder.process.send_signal(signal.SIGABRT)
    larder.process.wait()
    larder.close()


def cores_are_files():
    with open("/proc/sys/kernel/core_pattern") as f:
        pattern = f.read().strip()
    return not pattern.startswith("|") and "/" not in pattern


@pytest.mark.skipif(not cores_are_files(), reason="the system takes cores elsewhere")
def test_a_core_is_left_only_where_the_file_wants_it_and_has_no_credentials(larder_factory, school, tmp_path,
                                                                            monkeypatch):
    """All answers are in it: that is why."""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("no core is possible here")
    monkeypatch.chdir(tmp_path)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        for wanted in (False, True):
            larder = started_plain(larder_factory, school, core_dumps=wanted)
            traffic = Traffic(larder)
            body = Person(larder, "teacher1").get(STUDENTS).body
            others_pass(larder)
            ended_by_abort(larder)
            cores = list(tmp_path.glob("core*"))
            assert len(cores) == wanted
        core = cores[0].read_bytes()
        assert body in core and traffic.found_in(core, "core") == []
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
