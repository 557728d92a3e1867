"""What one larder reads of another's answers: as good as if it had been there, for whom it is
meant, and never waited for without an end. Two larders before one scripted app."""
import contextlib
import itertools
import json
import re
import socket
import threading
import time

import pytest

from support.fleet import PATIENT, SECRET
from support.larder import DEADLINE_S, Larder, wait_until
from support.script import Reply, Script, Site, dated

WAIT_S = 3.0
ROUTES = [
    {"name": "plain", "match": "GET /plain/*", "ttl": "1h"},
    {"name": "slow", "match": "GET /slow/*", "ttl": "1h", "coalesce": "fleet"},
    {"name": "late", "match": "GET /late/*", "ttl": "500ms", "stale_if_error": "1h",
     "deadline": "200ms"},
    {"name": "brief", "match": "GET /brief/*", "ttl": "1s", "stale_while_revalidate": "1h",
     "refresh_ahead": 100},
    {"name": "posts", "match": "POST /posts/{rest...}", "ttl": "1h",
     "key": ["path.rest", "json.id"]},
    {"name": "mine", "match": "GET /mine/*", "ttl": "1h",
     "identity": "header.Authorization"},
    {"name": "all", "match": "/*", "mode": "http"},
]


class Pair:
    """Two larders with one config."""
    prefixes = itertools.count(1)

    def __init__(self, app, redis, *, routes=ROUTES, more=None, **redis_more):
        self.redis, self.prefix = redis, f"pair-{next(self.prefixes)}"
        self.config = {
            "listen": "127.0.0.1:0", "workers": 1, "control": {"listen": "127.0.0.1:0"},
            "secret": SECRET, "upstreams": {"app": {"server": f"127.0.0.1:{app.port}"}},
            "cache": {"wait_timeout": f"{int(WAIT_S * 1000)}ms"},
            "redis": {"server": redis.address, "prefix": self.prefix, **PATIENT, **redis_more},
            "routes": [{**route, "shared": "full"} for route in routes], **(more or {})}
        with contextlib.ExitStack() as stack:
            self.sites = []
            for _ in range(2):
                self.sites.append(Site(Larder(self.config), app))
                stack.callback(self.sites[-1].larder.stop)
            wait_until(lambda: all(self.is_ready(self.redis_stats(i)) for i in range(2)))
            self.stack = stack.pop_all()

    @staticmethod
    def is_ready(stats):
        """The log is followed, and the worker may ask, too."""
        return stats["available"] and stats["connections"] == 3

    def redis_stats(self, i):
        return self.sites[i].larder.stats()["redis"]

    def wait_stored(self):
        """Until what both write behind has been written."""
        wait_until(lambda: not any(self.redis_stats(i)["queued"] for i in range(2)))

    def stores(self):
        return self.redis_stats(0)["stores"]

    def path(self, *replies, under=""):
        return self.sites[0].path(*replies, under=under)

    def asked(self, path):
        return len(self.sites[0].asked(path))

    def fill(self, path, fields=(), **more):
        """The first larder fetches it, and Redis has it."""
        stores = self.stores()
        answer = self.sites[0].ask(path, fields, **more)
        wait_until(lambda: self.stores() > stores)
        self.wait_stored()
        return answer

    def then(self, path, fields=(), **more):
        return self.sites[1].ask(path, fields, **more)

    def stop(self):
        self.stack.close()


def is_found(answer):
    return "hit" in answer.get("Cache-Status") and "detail=redis" in answer.get("Cache-Status")


@pytest.fixture(scope="module")
def app():
    with Script() as app:
        yield app


@pytest.fixture(scope="module")
def pair(app, redis):
    pair = Pair(app, redis)
    yield pair
    pair.stop()


@pytest.fixture
def pair_factory(app, redis):
    with contextlib.ExitStack() as stack:
        def start(redis=redis, **more):
            pair = Pair(app, redis, **more)
            stack.callback(pair.stop)
            return pair
        yield start


# --- what is shared, and for whom ---

@pytest.mark.parametrize("cache_control, request_fields, is_shared", [
    ("max-age=60", (), True), ("s-maxage=60", (), True), ("public, s-maxage=0", (), False),
    ("no-cache", (), False), ("no-store", (), False), ("private, max-age=60", (), False),
    ("max-age=0, must-revalidate", (), False),
    ("max-age=60", [("Authorization", "Bearer x")], False),
    ("public, max-age=60", [("Authorization", "Bearer x")], True)])
def test_only_what_is_anybodys_is_read_by_another(pair, cache_control, request_fields, is_shared):
    """RFC 9111 sections 3.5 and 5.2.2."""
    path = pair.path(Reply([("Cache-Control", cache_control), ("ETag", '"v"')]))
    pair.sites[0].ask(path, request_fields)
    pair.sites[0].ask(path, request_fields)
    pair.wait_stored()
    count = pair.asked(path)
    answer = pair.then(path)
    assert is_found(answer) == is_shared, answer.pairs
    assert pair.asked(path) - count == (not is_shared)


def test_credentials_do_not_get_what_was_stored_for_anybody(pair):
    """RFC 9111 section 3.5: nor does a request without them get another's."""
    path = pair.path(Reply([("Cache-Control", "max-age=60")]))
    pair.fill(path)
    assert not is_found(pair.then(path, [("Authorization", "Bearer x")]))
    mine = pair.path(Reply(), under="/mine")
    pair.fill(mine, [("Authorization", "Bearer a")])
    assert not is_found(pair.then(mine, [("Authorization", "Bearer b")]))
    assert is_found(pair.then(mine, [("Authorization", "Bearer a")]))
    assert not is_found(pair.then(mine))


@pytest.mark.parametrize("wish, is_enough", [
    ("no-cache", False), ("max-age=0", False), ("max-age=5", False), ("max-age=3600", True),
    ("min-fresh=3600", False), ("min-fresh=5", True)])
def test_what_a_client_wants_is_held_against_what_redis_has(pair, wish, is_enough):
    path = pair.path(Reply([("Cache-Control", "max-age=600"), ("Age", "100")]))
    pair.fill(path)
    assert is_found(pair.then(path, [("Cache-Control", wish)])) == is_enough
    assert pair.asked(path) == (1 if is_enough else 2)


def test_age_and_dates_go_on_where_they_were(pair):
    """RFC 9111 section 4.2.3."""
    path = pair.path(Reply([("Cache-Control", "max-age=600"), ("Age", "100"), ("Date", 0)]))
    first = pair.fill(path)
    second = pair.then(path)
    assert is_found(second)
    assert 100 <= int(second.get("Age")) <= 110
    assert first.get("Date") == second.get("Date") and first.get("ETag") == second.get("ETag")
    third = pair.then(path)
    assert not is_found(third) and third.is_hit and int(third.get("Age")) >= 100


@pytest.mark.parametrize("fields, conditional", [
    ([], []), ([("ETag", '"v1"')], ["If-None-Match"]),
    ([("Last-Modified", -9000)], ["If-Modified-Since"])])
def test_what_came_from_redis_is_validated_by_what_the_app_has_said(pair, fields, conditional):
    """An ETag of larder's own is for clients: the app does not know it."""
    fields = dated(fields)  # the same Last-Modified both times
    path = pair.path(Reply([("Cache-Control", "max-age=2"), *fields]),
                     Reply([("Cache-Control", "max-age=600"), *fields], 304 if fields else 200))
    first = pair.fill(path)
    found = pair.then(path)
    assert is_found(found)
    etag = found.get("ETag")
    assert etag == first.get("ETag")
    assert pair.then(path, [("If-None-Match", etag)]).status == 304
    pair.sites[1].wait_until_stale(path)
    again = pair.then(path)
    assert again.status == 200 and again.body
    names = [n for n, _ in pair.sites[0].asked(path)[-1].pairs if n.lower().startswith("if-")]
    assert names == conditional


@pytest.mark.parametrize("parts, status, body", [
    ("bytes=2-4", 206, b"swe"), ("bytes=-2", 206, b"er"), ("bytes=900-", 416, None)])
def test_a_part_of_what_redis_has_is_not_asked_for(pair, parts, status, body):
    path = pair.path(Reply(body=b"answer"), under="/plain")
    pair.fill(path)
    answer = pair.then(path, [("Range", parts)])
    assert answer.status == status and (body is None or answer.body == body)
    assert pair.asked(path) == 1


def test_a_head_finds_what_a_get_has_stored(pair_factory):
    pair = pair_factory(routes=[{"name": "any", "match": "GET,HEAD /any/*", "ttl": "1h"}])
    path = pair.path(Reply(body=b"answer"), under="/any")
    pair.fill(path, method="HEAD")
    answer = pair.then(path, method="HEAD")
    assert is_found(answer) and answer.get("Content-Length") == "6" and not answer.body
    assert pair.then(path).body == b"answer"
    assert pair.asked(path) == 1


def test_a_post_is_found_by_its_body(pair):
    path = pair.path(Reply(), under="/posts")
    json_field = [("Content-Type", "application/json")]

    def ask(site, number):
        return pair.sites[site].ask(path, json_field, "POST", json.dumps({"id": number}).encode())
    bodies = [ask(0, n).body for n in (1, 2)]
    wait_until(lambda: not pair.redis_stats(0)["queued"])
    answers = [ask(1, n) for n in (1, 2, 3)]
    assert [is_found(a) for a in answers] == [True, True, False]
    assert [a.body for a in answers[:2]] == bodies
    bodies = [json.loads(r.body) for r in pair.sites[0].asked(path)]
    assert bodies == [{"id": 1}, {"id": 2}, {"id": 3}]


# --- variants ---

def test_each_variant_is_found_by_whom_it_is_for(pair):
    path = pair.path(Reply([("Cache-Control", "max-age=60"), ("Vary", "Accept-Language")]))
    bodies = {lang: pair.fill(path, [("Accept-Language", lang)]).body for lang in ("de", "fr")}
    before = pair.redis_stats(1)
    for lang in ("fr", "de", "fr"):
        answer = pair.then(path, [("Accept-Language", lang)])
        assert answer.is_hit and answer.body == bodies[lang]
    assert not pair.then(path, [("Accept-Language", "it")]).is_hit
    assert pair.asked(path) == 3
    now = pair.redis_stats(1)
    assert [now[k] - before[k] for k in ("hits", "misses")] == [2, 1], "that it varies is no answer"


def test_a_variant_that_redis_has_not_is_asked_for_by_the_names_that_it_knows(pair):
    """Those of the marker are kept, though the answer names others (and nothing leaks)."""
    def vary(names):
        return Reply([("Cache-Control", "max-age=60"), ("Vary", names)])
    path = pair.path(vary("X-A"), vary("X-B"))
    pair.fill(path, [("X-A", "1")])
    assert pair.then(path, [("X-A", "2")]).body == b"answer 2"
    assert pair.then(path, [("X-A", "2")]).body == b"answer 2"
    assert pair.then(path, [("X-A", "3")]).body == b"answer 3"


def test_names_that_change_are_known_to_both(pair):
    def vary(names):
        return Reply([("Cache-Control", "max-age=60"), ("Vary", names)])
    path = pair.path(vary("X-A"), vary("X-A, X-B"))
    pair.fill(path, [("X-A", "1")])
    assert is_found(pair.then(path, [("X-A", "1")]))
    pair.fill(path, [("X-A", "2"), ("X-B", "1")])
    assert not is_found(pair.then(path, [("X-A", "2"), ("X-B", "2")]))


def test_those_who_wait_for_one_variant_do_not_get_another(pair_factory, own_redis):
    pair = pair_factory(own_redis)
    path = pair.path(Reply([("Cache-Control", "max-age=60"), ("Vary", "X-A")]))
    bodies = {a: pair.fill(path, [("X-A", a)]).body for a in "12"}
    own_redis.freeze()
    pending = [(a, pair.sites[1].start(path, [("X-A", a)])) for a in "1212"]
    pair.sites[1].larder.wait_for_counter("totals.coalesced_waiting", 3)
    own_redis.thaw()
    for a, answer in pending:
        assert answer.result().body == bodies[a]
    assert pair.asked(path) == 2


def test_an_origin_gets_what_is_for_it(pair):
    path = pair.path(Reply([("Cache-Control", "max-age=60")]),
                     Reply([("Cache-Control", "max-age=60"),
                            ("Access-Control-Allow-Origin", "http://a")]))
    pair.fill(path)
    assert not is_found(pair.then(path, [("Origin", "http://a")]))
    assert pair.asked(path) == 2


# --- who waits for Redis waits no longer than is said ---

def test_a_stale_answer_keeps_its_deadline_while_redis_says_nothing(pair_factory, own_redis):
    pair = pair_factory(own_redis)
    path = pair.path(Reply(), under="/late")
    body = pair.then(path).body
    own_redis.freeze()
    try:
        answer = None
        while not answer or "hit" in answer.get("Cache-Status"):  # until it is stale
            began = time.monotonic()
            answer = pair.then(path)
        assert time.monotonic() - began < 4
        assert "detail=deadline" in answer.get("Cache-Status") and answer.body == body
    finally:
        own_redis.thaw()


def test_a_client_that_leaves_while_redis_is_asked_harms_nobody(pair_factory, own_redis):
    pair = pair_factory(own_redis)
    path = pair.path(Reply(), under="/plain")
    own_redis.freeze()
    larder = pair.sites[1].larder
    s = socket.create_connection(("127.0.0.1", larder.public_port))
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: site\r\n\r\n".encode())
    larder.wait_for_counter("totals.active", 1)
    s.close()
    larder.wait_for_counter("totals.clients_gone", 1)
    own_redis.thaw()
    assert pair.then(path).status == 200
    assert pair.asked(path) == 1


@pytest.mark.parametrize("under", ["/plain", "/slow"])
def test_who_is_drained_while_redis_is_asked_is_answered(pair_factory, own_redis, under):
    pair = pair_factory(own_redis, command_timeout="2s")
    path = pair.path(Reply(), under=under)
    own_redis.freeze()
    larder = pair.sites[1].larder
    pending = pair.sites[1].start(path)
    larder.wait_for_counter("totals.active", 1)
    larder.process.terminate()
    assert pending.result().status == 200
    assert larder.process.wait(DEADLINE_S) == 0


def test_who_is_stopped_while_a_lease_is_waited_for_ends_clean(pair_factory):
    pair = pair_factory(more={"drain_timeout": "100ms", "cache": {"wait_timeout": "1m"}})
    gate = threading.Event()
    path = pair.path(Reply(gate=gate), under="/slow")
    first = pair.sites[0].start(path)
    wait_until(lambda: pair.asked(path))
    larder = pair.sites[1].larder
    pending = [larder.pool.submit(larder.raw, f"GET {path} HTTP/1.1\r\nHost: s\r\n\r\n".encode())
               for _ in range(3)]
    wait_until(lambda: pair.redis_stats(1)["leases_waited"] == 1)
    larder.wait_for_counter("totals.coalesced_waiting", 2)
    larder.process.terminate()
    assert larder.process.wait(DEADLINE_S) == 0, larder.raw_stderr
    gate.set()
    for p in pending:
        p.result()
    assert first.result().status == 200


def test_the_lease_of_a_dead_one_holds_a_request_no_longer_than_a_wait_may_take(pair_factory):
    pair = pair_factory()
    gate = threading.Event()
    path = pair.path(Reply(gate=gate), Reply(), under="/slow")
    dead = pair.sites[0].start(path)
    wait_until(lambda: pair.asked(path))
    pair.sites[0].larder.kill()
    began = time.monotonic()
    answer = pair.then(path)
    took = time.monotonic() - began
    gate.set()
    assert answer.status == 200
    assert WAIT_S / 2 <= took < WAIT_S, took
    assert pair.redis_stats(1)["leases_expired"] == 1
    with pytest.raises(Exception):
        dead.result()


@pytest.mark.parametrize("how", ["fails", "may not be stored", "is taken down"])
def test_who_waits_for_what_does_not_come_is_told_so_at_once(pair_factory, how):
    pair = pair_factory(more={"cache": {"wait_timeout": "1m"}})
    gate = threading.Event()
    first = {"fails": Reply(gate=gate, is_closed=True), "is taken down": Reply(gate=gate),
             "may not be stored": Reply([("Set-Cookie", "a=b")], gate=gate)}[how]
    path = pair.path(first, Reply(), under="/slow")
    larder = pair.sites[0].larder
    with socket.create_connection(("127.0.0.1", larder.public_port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: site\r\n\r\n".encode())
        wait_until(lambda: pair.asked(path))
        pending = pair.sites[1].start(path)
        wait_until(lambda: pair.redis_stats(1)["leases_waited"] == 1)
    larder.wait_for_counter("totals.clients_gone", 1)
    if how == "is taken down":
        larder.process.terminate()
        assert larder.process.wait(DEADLINE_S) == 0
    gate.set()
    answer = pending.result()
    assert answer.status == 200 and answer.body == b"answer 2"
    assert pair.redis_stats(1)["leases_expired"] == 0


def test_one_fetch_answers_those_who_wait_at_both(pair_factory):
    pair = pair_factory(more={"cache": {"wait_timeout": "1m"}})
    gate = threading.Event()
    path = pair.path(Reply(gate=gate), under="/slow")
    pending = [pair.sites[0].start(path) for _ in range(3)]
    wait_until(lambda: pair.asked(path))
    pending += [pair.sites[1].start(path) for _ in range(3)]
    wait_until(lambda: pair.redis_stats(1)["leases_waited"] == 1)
    gate.set()
    assert {p.result().body for p in pending} == {b"answer 1"}
    assert pair.redis_stats(1)["leases_filled"] == 1
    assert pair.asked(path) == 1


def test_an_answer_that_is_too_large_is_called_so_and_keeps_nobody_waiting(pair_factory):
    pair = pair_factory(max_object_bytes="1MiB", queue_bytes="1MiB")
    path = pair.path(Reply(body=b"x" * 3000000), under="/slow")
    pair.sites[0].ask(path)
    stats = pair.redis_stats(0)
    assert (stats["too_large"], stats["queue_drops"]) == (1, 0)
    assert pair.then(path).status == 200 and pair.asked(path) == 2
    assert pair.redis_stats(1)["leases_waited"] == 0


# --- what is read anew, and what is switched ---

def test_refreshes_bring_something_newer_or_ask_the_app(pair):
    path = pair.path(Reply(), under="/brief")
    pair.fill(path)
    assert pair.then(path).body == b"answer 1", "Redis has it, fresh or stale by now"
    wait_until(lambda: pair.then(path).body != b"answer 1")
    wait_until(lambda: not pair.redis_stats(1)["queued"])
    count = pair.asked(path)
    assert count < 6


def test_a_refresh_takes_what_another_has_refreshed(pair):
    """Even where the old answer ended before this machine began to count time."""
    ancient = [("Age", "1000000000"),
               ("Cache-Control", "max-age=10, stale-while-revalidate=2000000000")]
    path = pair.path(Reply(ancient), Reply([("Cache-Control", "max-age=600")]))
    pair.fill(path)
    stores = pair.redis_stats(1)["stores"]
    assert pair.then(path, [("Cache-Control", "no-cache")]).body == b"answer 2"
    wait_until(lambda: pair.redis_stats(1)["stores"] > stores)
    pair.sites[0].ask(path)
    wait_until(lambda: pair.sites[0].ask(path).body != b"answer 1")
    assert pair.sites[0].ask(path).body == b"answer 2"
    assert pair.asked(path) == 2


def test_a_ttl_that_was_switched_holds_for_what_others_have_stored_too(pair):
    path, other = (pair.path(Reply(), under="/plain") for _ in range(2))
    for p in (path, other):
        pair.fill(p)
    control = pair.sites[1].larder.control
    assert control("POST", "/api/cache/routes/plain", body='{"ttl": "5m"}').status == 200
    try:
        answer = pair.then(path)
        assert not is_found(answer) and re.search("ttl=(300|299)$", answer.get("Cache-Status"))
    finally:
        assert control("POST", "/api/cache/routes/plain", body='{"ttl": null}').status == 200
    assert is_found(pair.then(other))


def test_a_route_that_is_off_reads_and_writes_nothing(pair):
    path = pair.path(Reply(), under="/plain")
    pair.fill(path)
    control = pair.sites[1].larder.control
    assert control("POST", "/api/cache/routes/plain", body='{"enabled": false}').status == 200
    try:
        before = pair.redis_stats(1)
        assert "switched-off" in pair.then(path).get("Cache-Status")
        now = pair.redis_stats(1)
        assert [now[k] - before[k] for k in ("hits", "misses", "stores")] == [0, 0, 0]
    finally:
        assert control("POST", "/api/cache/routes/plain", body='{"enabled": true}').status == 200


def test_a_warm_job_reads_what_is_there_and_writes_what_it_fetches(pair):
    path, new = (pair.path(Reply(), under="/plain") for _ in range(2))
    pair.fill(path)

    def warm(i, url, **more):
        body = json.dumps({"urls": [url], "wait": True, **more})
        answer = pair.sites[i].larder.control("POST", "/api/cache/warm", body=body)
        assert answer.status == 200, answer.body
    stores = pair.redis_stats(1)["stores"]
    warm(1, path)
    assert pair.asked(path) == 1 and pair.redis_stats(1)["stores"] == stores
    assert pair.then(path).is_hit and pair.asked(path) == 1
    stores = pair.stores()
    warm(0, new)
    wait_until(lambda: pair.stores() > stores)
    assert is_found(pair.then(new))
    stores = pair.stores()
    warm(0, path, refresh=True)
    wait_until(lambda: pair.stores() > stores)
    assert pair.asked(path) == 2


# --- and all is counted ---

def test_each_request_is_counted_once(pair):
    for site in pair.sites:
        total = site.larder.stats()["totals"]
        parts = ("hits", "stale", "misses", "bypasses", "errors", "warmed")
        assert total["requests"] == sum(total[p] for p in parts), total
        assert not site.larder.raw_stderr
