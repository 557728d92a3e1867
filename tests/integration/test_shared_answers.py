"""What another instance has fetched: found in Redis, it answers as if it had been here; what must not
be shared is not there, and what is there is nobody's excuse for an old answer."""
import itertools
import json
import socket
import threading
import time

import pytest

from support.fleet import PATIENT
from support.larder import Larder, wait_until
from support.script import Reply, Script, Site

numbers = itertools.count(1)


def route(name, **rules):
    method = rules.pop("method", "GET")
    age = {} if rules.get("mode") == "http" else {"ttl": "1h"}
    return dict(age, name=name, match=f"{method} /{name}/{{rest...}}", shared="full", **rules)


ROUTES = [
    route("plain"), route("http", mode="http"),
    route("question", method="POST", key=["path.rest", "json.user"]),
    route("counted", key=["path.rest", "query.org"]),
    route("swr", ttl="1s", stale_while_revalidate="1h"),
    route("ahead", ttl="30s", refresh_ahead=100),
    route("fleet", coalesce="fleet"), route("short", coalesce="fleet", first_byte_timeout="2s"),
    route("fleet-swr", ttl="1s", stale_while_revalidate="1h", coalesce="fleet"),
]


class Two:
    """Two larders with one Redis, before one scripted app."""

    def __init__(self, redis, prefix, **more):
        self.app = Script()
        self.config = {
            "listen": "127.0.0.1:0", "workers": 2, "control": {"listen": "127.0.0.1:0"},
            "secret": "a secret of both", "routes": ROUTES,
            "upstreams": {"app": {"servers": [f"127.0.0.1:{self.app.port}"]}},
            "redis": {"server": redis.address, "prefix": prefix, **PATIENT, **more}}
        self.sites = [self.site(), self.site()]
        self.a, self.b = self.sites
        self.settle()

    def site(self):
        return Site(Larder(self.config), self.app)

    def third(self):
        """Another one, which has nothing in its memory."""
        self.sites.append(self.site())
        self.settle()
        return self.sites[-1]

    def end(self, site):
        self.sites.remove(site)
        site.larder.stop()

    def settle(self):
        """All of each larder's connections are there, and it follows the log."""
        def is_ready(stats):
            return stats["available"] and not stats["pending"] and stats["connections"] == 4
        wait_until(lambda: all(is_ready(s.larder.stats()["redis"]) for s in self.sites))

    def path(self, name, *replies):
        return self.a.path(*replies, under=f"/{name}")

    def asked(self, path):
        return len(self.app.seen[path])

    def wait_stored(self):
        wait_until(lambda: not sum(s.larder.stats()["redis"]["queued"] for s in self.sites))

    def store(self, path, fields=(), **more):
        """By larder a, until Redis has it."""
        answer = self.a.ask(path, fields, **more)
        self.wait_stored()
        return answer

    def waited(self):
        return sum(s.larder.stats()["redis"]["leases_waited"] for s in self.sites)

    def counters(self, site, name):
        return site.larder.stats()["routes"][name]

    def stop(self):
        for site in self.sites:
            site.larder.stop()
        self.app.__exit__()


@pytest.fixture(scope="module")
def standing(redis):
    two = Two(redis, "two")
    yield two
    two.stop()


@pytest.fixture
def two(standing):
    standing.settle()
    return standing


@pytest.fixture
def two_factory(redis):
    started = []

    def start(**more):
        started.append(Two(redis, f"own-{next(numbers)}", **more))
        return started[-1]
    yield start
    for two in started:
        two.stop()


def lines_of(site, path):
    return [line for line in site.larder.access if line["url.original"] == path]


def status(answer):
    return answer.get("Cache-Status")


def is_found(answer):
    said = status(answer)
    return said.startswith("larder; hit; ttl=") and said.endswith("; detail=redis")


def test_what_another_has_fetched_is_a_hit_and_is_here_from_then_on(two):
    path = two.path("plain", Reply([("X-Mine", "1")]))
    began = time.monotonic()
    first = two.store(path)
    before = two.counters(two.b, "plain")
    found = two.b.ask(path)
    assert is_found(found) and found.body == first.body and found.get("X-Mine") == "1"
    assert int(found.get("Age")) <= time.monotonic() - began + 0.5
    assert found.get("ETag") == first.get("ETag")
    again = two.b.ask(path)
    assert again.is_hit and "detail" not in status(again)
    after = two.counters(two.b, "plain")
    assert [after[c] - before[c] for c in ("requests", "hits", "redis_hits", "misses", "fetches")] \
        == [2, 2, 1, 0, 0]
    assert after["saved_us"] > before["saved_us"]
    wait_until(lambda: len(lines_of(two.b, path)) == 2)
    assert {(line["larder.outcome"], line.get("larder.reason")) for line in lines_of(two.b, path)} \
        == {("hit", "redis"), ("hit", None)}


@pytest.mark.parametrize("method, fields, code, body", [
    ("HEAD", [], 200, b""), ("GET", [("Range", "bytes=0-2")], 206, b"ans"),
    ("GET", [("If-None-Match", "*")], 304, b""), ("GET", [("Range", "bytes=99-")], 416, None)])
def test_a_found_answer_is_given_as_it_was_asked_for(two, method, fields, code, body):
    path = two.path("plain", Reply())
    two.store(path)
    answer = two.b.ask(path, fields, method)
    assert answer.status == code and (body is None or answer.body == body)
    assert two.asked(path) == 1 and answer.is_hit


def test_who_waits_for_what_is_found_has_a_hit_too(two, redis):
    path = two.path("plain", Reply())
    two.store(path)
    before = two.counters(two.b, "plain")
    redis.freeze()
    pending = [two.b.start(path) for _ in range(10)]
    two.b.larder.wait_for_counter("totals.coalesced_waiting", 9)
    redis.thaw()
    assert all(is_found(p.result()) for p in pending)
    after = two.counters(two.b, "plain")
    assert [after[c] - before[c] for c in ("hits", "redis_hits", "misses", "coalesced", "fetches")] \
        == [10, 10, 0, 0, 0]


def test_the_answer_comes_here_though_its_client_left(two, redis):
    path = two.path("plain", Reply())
    two.store(path)
    redis.freeze()
    gone = two.b.larder.counter("totals.clients_gone")
    with socket.create_connection(("127.0.0.1", two.b.larder.public_port)) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: site\r\n\r\n".encode())
        two.b.larder.wait_for_counter("totals.active", 1)
    two.b.larder.wait_for_counter("totals.clients_gone", gone + 1)
    redis.thaw()
    wait_until(lambda: two.counters(two.b, "plain")["entries"] and
               "detail" not in status(two.b.ask(path)))
    assert two.asked(path) == 1


def test_a_question_is_found_by_its_body(two):
    path = two.path("question", Reply())
    json_type = [("Content-Type", "application/json")]
    two.store(path, json_type, method="POST", body=b'{"user": "x", "n": 1}')
    assert is_found(two.b.ask(path, json_type, "POST", b'{"n": 2, "user": "x"}'))
    assert not two.b.ask(path, json_type, "POST", b'{"user": "y"}').is_hit
    assert [json.loads(r.body)["user"] for r in two.app.seen[path]] == ["x", "y"]


def test_values_count_what_was_found_under_their_own_numbers(two):
    path = two.path("counted", Reply())
    target, other = f"{path}?org=7", f"{path}?org=6"
    two.app.on(target, Reply())
    two.app.on(other, Reply())
    two.b.ask(other)  # has the number that org=7 has at larder a
    two.store(target)
    for _ in range(3):
        assert two.b.ask(target).is_hit
    answer = two.b.larder.control("GET", "/api/cache/stats?org=7").json()
    assert (answer["hits"], answer["misses"]) == (3, 0)


# --- what must not be shared, and what must not be taken ---


@pytest.mark.parametrize("fields, first", [
    ([("Cache-Control", "private, max-age=60")], []),
    ([("Cache-Control", "no-store")], []),
    ([("Cache-Control", "no-cache, max-age=60"), ("ETag", '"x"')], []),
    ([("Cache-Control", "max-age=60")], [("Authorization", "Bearer x")]),
    ([("Cache-Control", "max-age=60"), ("Vary", "*")], []),
    ([("Cache-Control", "max-age=0"), ("ETag", '"x"')], [])])
def test_what_is_one_clients_own_or_must_be_validated_stays(two, fields, first):
    path = two.path("http", Reply(fields))
    two.store(path, first)
    stores = two.a.larder.stats()["redis"]["stores"]
    two.b.ask(path, first)
    assert two.asked(path) == 2
    two.wait_stored()
    assert two.a.larder.stats()["redis"]["stores"] == stores


def test_what_is_for_the_authorized_is_found_by_them(two):
    path = two.path("http", Reply([("Cache-Control", "public, max-age=60")]))
    two.store(path, [("Authorization", "Bearer x")])
    assert is_found(two.b.ask(path, [("Authorization", "Bearer y")]))


def test_what_is_not_for_the_authorized_is_not_found_by_them(two):
    path = two.path("http", Reply([("Cache-Control", "max-age=60")]))
    two.store(path)
    answer = two.b.ask(path, [("Authorization", "Bearer y")])
    assert not answer.is_hit and two.asked(path) == 2


def test_a_request_for_a_new_answer_gets_one_and_so_does_everybody(two):
    path = two.path("http", Reply([("Cache-Control", "max-age=60")]))
    two.store(path)
    for fields in ([("Cache-Control", "no-cache")], [("Pragma", "no-cache")]):
        asked = two.asked(path)
        assert two.b.ask(path, fields).body == f"answer {asked + 1}".encode()
        two.wait_stored()  # another worker may write the next one
    c = two.third()
    assert c.ask(path).body == f"answer {two.asked(path)}".encode()
    two.end(c)


def test_only_if_cached_means_here(two):
    path = two.path("http", Reply([("Cache-Control", "max-age=60")]))
    two.store(path)
    assert two.b.ask(path, [("Cache-Control", "only-if-cached")]).status == 504


def test_parts_stay(two):
    path = two.path("http", Reply([("Cache-Control", "max-age=60"), ("Content-Range", "bytes 0-3/9")],
                                  206, b"part"))
    for site in (two.a, two.b):
        assert site.ask(path, [("Range", "bytes=0-3")]).status == 206
        two.wait_stored()
    assert two.asked(path) == 2


def test_an_origin_is_answered_by_what_was_asked_with_one(two):
    path = two.path("http", Reply([("Cache-Control", "max-age=60")]))
    two.store(path)
    assert not two.b.ask(path, [("Origin", "http://x.example")]).is_hit
    assert two.asked(path) == 2


# --- variants ---


def test_variants_are_found_behind_their_marker_and_make_the_same_one_here(two):
    def reply(language):
        return Reply([("Cache-Control", "max-age=60"), ("Vary", "Accept-Language"),
                      ("Content-Language", language)])
    path = two.path("http", reply("en"), reply("de"), reply("fr"))
    for language in ("en", "de"):
        two.store(path, [("Accept-Language", language)])
    assert is_found(two.b.ask(path, [("Accept-Language", "de")]))
    assert is_found(two.b.ask(path, [("Accept-Language", "en")]))
    again = two.b.ask(path, [("Accept-Language", "en, fr;q=0.5")])  # by its language alone
    assert again.is_hit and again.get("Content-Language") == "en"
    assert two.b.ask(path, [("Accept-Language", "fr")]).body == b"answer 3"
    two.wait_stored()
    assert is_found(two.a.ask(path, [("Accept-Language", "fr")]))
    assert two.asked(path) == 3


def test_names_of_both_instances_are_joined(two):
    path = two.path("http", Reply([("Cache-Control", "max-age=60"), ("Vary", "X-A")]),
                    Reply([("Cache-Control", "max-age=60"), ("Vary", "X-B")]))
    two.store(path, [("X-A", "1"), ("X-B", "1")])
    two.b.ask(path, [("X-A", "2"), ("X-B", "1")])
    two.wait_stored()
    c = two.third()
    assert is_found(c.ask(path, [("X-A", "2"), ("X-B", "1")]))
    assert not c.ask(path, [("X-A", "2"), ("X-B", "2")]).is_hit
    two.end(c)


# --- refreshes ---


def test_a_stale_answer_that_is_found_is_served_and_refreshed(two):
    gate = threading.Event()
    path = two.path("swr", Reply(), Reply(gate=gate))
    two.store(path)
    time.sleep(1.1)
    found = two.b.ask(path)
    assert found.body == b"answer 1" and "detail=stale-while-revalidate" in status(found)
    wait_until(lambda: two.asked(path) == 2)
    gate.set()
    wait_until(lambda: two.b.ask(path).body == b"answer 2")


def found_while_fresh(two, name):
    """A path whose answer both have, and larder b refreshes nothing yet."""
    for _ in range(10):
        path = two.path(name, Reply())
        two.store(path)
        if is_found(two.b.ask(path)):
            return path
        wait_until(lambda: two.asked(path) == 2)  # it was stale already
    raise AssertionError("it is not found")


def test_a_refresh_takes_what_another_has_refreshed(two):
    path = found_while_fresh(two, "swr")
    before = two.counters(two.b, "swr")
    stores = two.a.larder.counter("redis.stores")
    time.sleep(1.1)
    assert two.a.ask(path).body == b"answer 1"
    two.a.larder.wait_for_counter("redis.stores", stores + 1)
    two.b.ask(path)
    wait_until(lambda: two.b.ask(path).body != b"answer 1")

    def is_each_fetch_known():  # one that has just begun is no difference
        after, asked = two.counters(two.b, "swr"), two.asked(path)
        return {after[c] - before[c] for c in ("fetches", "refreshes")} == {asked - 2}
    wait_until(is_each_fetch_known)


def test_refreshing_ahead_asks_the_app_and_not_for_the_same_again(two):
    gate = threading.Event()
    path = two.path("ahead", Reply(gate=gate), Reply())
    pending = two.a.start(path)
    wait_until(lambda: two.asked(path) == 1)
    time.sleep(0.5)
    gate.set()
    assert pending.result().body == b"answer 1"
    two.wait_stored()
    assert is_found(two.b.ask(path)) or two.asked(path) == 2
    wait_until(lambda: two.b.ask(path).body == b"answer 2")
    assert two.counters(two.b, "ahead")["refreshes_ahead"] >= 1


# --- one fetch for all ---


def test_one_fetch_answers_clients_of_all_instances(two):
    gate = threading.Event()
    path = two.path("fleet", Reply(gate=gate))
    waited = two.waited()
    pending = [site.start(path) for site in two.sites for _ in range(5)]
    wait_until(lambda: two.waited() == waited + 1)
    for site in two.sites:
        site.larder.wait_for_counter("totals.coalesced_waiting", 4)
    gate.set()
    assert {p.result().body for p in pending} == {b"answer 1"}
    assert two.asked(path) == 1
    assert sum(is_found(p.result()) for p in pending) == 5


def test_variants_have_one_fetch_each(two):
    gate = threading.Event()
    first = Reply([("Vary", "X-A")])
    path = two.path("fleet", first, Reply([("Vary", "X-A")], gate=gate))
    two.store(path, [("X-A", "1")])
    waited = two.waited()
    pending = [site.start(path, [("X-A", "2")]) for site in two.sites]
    wait_until(lambda: two.waited() == waited + 1)
    gate.set()
    assert {p.result().body for p in pending} == {b"answer 2"} and two.asked(path) == 2


def test_who_waits_for_what_cannot_be_shared_fetches_at_once(two):
    gate = threading.Event()
    path = two.path("fleet", Reply([("Set-Cookie", "a=b")], gate=gate), Reply())
    first = two.a.start(path)
    wait_until(lambda: two.asked(path) == 1)
    waited = two.waited()
    second = two.b.start(path)
    wait_until(lambda: two.waited() == waited + 1)
    began = time.monotonic()
    gate.set()
    assert first.result().body == b"answer 1" and second.result().body == b"answer 2"
    assert time.monotonic() - began < 5, "it waited for the lease's end"


def test_a_lease_that_nobody_ends_runs_out(two):
    gate = threading.Event()
    path = two.path("short", Reply(gate=gate), Reply())
    c = two.third()
    expired = two.b.larder.stats()["redis"]["leases_expired"]
    pending = c.start(path)
    wait_until(lambda: two.asked(path) == 1)
    second = two.b.start(path)
    c.larder.kill()
    assert second.result().body == b"answer 2"
    assert two.b.larder.stats()["redis"]["leases_expired"] == expired + 1
    gate.set()
    with pytest.raises(AssertionError):
        pending.result()
    two.sites.remove(c)


def test_an_invalidation_ends_the_wait_for_what_it_means(two):
    gate = threading.Event()
    path = two.path("fleet", Reply(gate=gate), Reply())
    first = two.a.start(path)
    wait_until(lambda: two.asked(path) == 1)
    waited = two.waited()
    second = two.b.start(path)
    wait_until(lambda: two.waited() == waited + 1)
    two.a.larder.control("POST", "/api/cache/invalidate", json.dumps({"path": path, "wait": "all"}))
    gate.set()
    assert first.result().body == b"answer 1"
    assert second.result().body in (b"answer 1", b"answer 2")
    two.wait_stored()
    now = two.store(path).body
    assert now != b"answer 1" and two.b.ask(path).body == now


def test_refreshes_are_made_for_all(two):
    gate = threading.Event()
    path = two.path("fleet-swr", Reply(), Reply(gate=gate))
    two.store(path)
    two.b.ask(path)
    time.sleep(1.1)
    waited = two.waited()
    for site in two.sites:
        assert "stale-while-revalidate" in status(site.ask(path))
    wait_until(lambda: two.waited() == waited + 1)
    wait_until(lambda: two.asked(path) == 2)
    gate.set()
    for site in two.sites:
        wait_until(lambda site=site: site.ask(path).body != b"answer 1")


# --- writing ---


def test_what_is_fetched_last_is_written_before_the_end(two):
    c = two.third()
    paths = [two.path("plain", Reply(body=b"x" * 100000)) for _ in range(20)]
    pending = [c.start(p) for p in paths]
    assert all(p.result().status == 200 for p in pending)
    two.end(c)
    assert all(is_found(two.b.ask(p)) for p in paths)


def test_the_queue_is_bounded_and_told(two_factory, redis):
    two = two_factory(queue=2, command_timeout="50ms")
    paths = [two.path("plain", Reply()) for _ in range(60)]
    redis.freeze()
    for path in paths:
        assert two.a.ask(path).body == b"answer 1"
    stats = two.a.larder.stats()["redis"]
    redis.thaw()
    assert stats["queue_drops"] > 0 and stats["queued"] <= 2 * (8 + 2), stats
    two.wait_stored()


def test_keys_count_what_was_written_and_lives(two_factory):
    two = two_factory()
    paths = [two.path("plain", Reply()) for _ in range(5)] + [two.path("swr", Reply())]
    for path in paths:
        two.store(path)
    assert two.a.larder.stats()["redis"]["keys"] == 6
    for _ in range(8):  # by one worker or another
        two.a.larder.control("POST", "/api/cache/invalidate", json.dumps({"path": paths[0]}))
        two.settle()
        two.store(paths[0])
        assert two.a.larder.stats()["redis"]["keys"] == 6, "it took the other's place"
    assert two.b.larder.stats()["redis"]["keys"] == 0


def test_a_redis_that_is_full_keeps_nobody_waiting(two_factory, redis):
    two = two_factory()
    paths = [two.path("plain", Reply()), two.path("fleet", Reply())]
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    for path in paths:
        assert two.store(path).body == b"answer 1"
        assert two.b.ask(path).body == b"answer 2"
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    stats = two.a.larder.stats()["redis"]
    assert stats["out_of_memory"] == stats["store_errors"] >= 1 and stats["stores"] == 0
    two.settle()
    path = two.path("fleet", Reply())
    two.store(path)
    assert is_found(two.b.ask(path))
