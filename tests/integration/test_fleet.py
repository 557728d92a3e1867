"""Many larders, one cache: what one is told all know; what one has fetched the others need not."""
import copy
import itertools
import json
import re
import time

import pytest

from support.fleet import LAG_S, PATIENT, Fleet
from support.larder import ROOT, wait_until
from support.redis import ACL, Cluster, RedisServer
from support.tls import Authority


@pytest.fixture(scope="module")
def redis():
    server = RedisServer(prefix="test")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def standing(fleet_apps, redis):
    """One fleet for all tests of this file that need nothing special: its user may do only what the
    docs say, and each test has items of its own."""
    fleet = Fleet(fleet_apps, redis, user="larder", password="sesame", **PATIENT)
    yield fleet
    fleet.stop()


@pytest.fixture
def redis_factory():
    started = []

    def start(*more, **options):
        started.append(RedisServer(*more, **options))
        return started[-1]
    yield start
    for server in started:
        server.stop()


def is_plain_hit(status):
    return status.startswith("larder; hit") and "detail=redis" not in status


def test_a_write_through_one_is_seen_through_all_within_the_bound(fleet):
    paths = ["/items/seen", "/local/seen"]
    fleet.fill(*paths)
    applied = [fleet.stats(i)["applied"] for i in range(3)]
    version = fleet.write(0, "/items/seen")
    acknowledged = time.monotonic()
    assert fleet.stats(0)["pending"] == 0, "it is in the log before its client has the answer"
    # all have heard of it, or the bound is over: one of these comes first
    wait_until(lambda: fleet.is_settled() or time.monotonic() - acknowledged > LAG_S)
    assert [fleet.version(i, path) for i in range(3) for path in paths] == [version] * 6
    fleet.settle()
    assert [fleet.stats(i)["applied"] - applied[i] for i in range(3)] == [0, 1, 1]


def test_who_waits_for_all_is_told_who_has_applied_it(fleet):
    fleet.fill("/items/waited")
    version = fleet.apps.bump("waited")
    answer = fleet.invalidate(0, tag="item:waited", wait="all")
    assert (answer.status, answer.json()["replicated"]) == (200, True)
    assert (sorted(answer.json()["applied_by"]) == sorted(fleet.stats(i)["instance"]
                                                          for i in range(3)))
    assert answer.json()["not_applied_by"] == []
    assert [fleet.version(i, "/items/waited") for i in (1, 2)] == [version] * 2


def test_who_waits_for_one_that_does_not_answer_is_told_which(fleet_factory, redis):
    two = fleet_factory(redis, size=2, prefix="deaf", more={"workers": 1}, **PATIENT)
    deaf = two.stats(1)["instance"]
    two.kill(1)
    answer = two.invalidate(0, all=True, wait="all")
    assert (answer.status, answer.json()["replicated"]) == (202, True)
    assert answer.json()["not_applied_by"] == [deaf]
    two.start(1)


COURSES = [f"/courses?org={o}&semester={s}" for o in "ab" for s in "12"]
TAGGED = ["/tagged/a?xkey=red+round", "/tagged/b?xkey=red", "/tagged/c?xkey=round"]


@pytest.mark.parametrize("selector, gone", [
    ({"key": "courses:org=a:semester=2"}, [1]), ({"url": COURSES[2]}, [2]),
    ({"tag": "org:b"}, [2, 3]), ({"tags": ["org:a", "round"]}, [0, 1, 4, 6]),
    ({"all_of": ["red", "round"]}, [4]),
    ({"route": "courses", "params": {"semester": "1"}}, [0, 2]), ({"route": "tagged"}, [4, 5, 6]), ({"glob": "courses:org=a:*"}, [0, 1]),
    ({"path": "/tagged/{x}"}, [4, 5, 6]), ({"path": "/courses"}, [0, 1, 2, 3]),
    ({"all": True}, [0, 1, 2, 3, 4, 5, 6])], ids=lambda v: next(iter(v)) if v else "")
def test_each_kind_of_invalidation_travels_to_memories_and_to_what_redis_has(fleet, selector, gone):
    """What larder 1 has in memory, and what larder 2 would read from Redis."""
    paths = COURSES + TAGGED
    assert fleet.invalidate(0, all=True, wait="all").status == 200
    before = []
    for path in paths:
        before.append(fleet.version(0, path))
        fleet.wait_stored()
        assert "detail=redis" in fleet.status(1, path)
    for item in ("courses-a", "courses-b", "a", "b", "c"):
        fleet.apps.bump(item)
    assert fleet.invalidate(0, wait="all", **selector).status == 200
    for i in (2, 1):
        now = [fleet.version(i, path) for path in paths]
        assert [n for n, path in enumerate(paths) if now[n] > before[n]] == gone, f"larder {i}"
        fleet.wait_stored()


def test_soft_travels_as_soft_and_never_revives_what_hard_took(fleet):
    path = "/soft/s"
    fleet.fill(path)
    version = fleet.apps.bump("s")
    assert fleet.invalidate(0, tag="item:s", wait="all").json()["mode"] == "soft"
    stale = fleet.read(1, path)
    assert stale.json()["version"] == version - 1
    assert "stale-while" in stale.headers["Cache-Status"]
    fleet.larders[1].wait_until(lambda: fleet.version(1, path) == version)
    version = fleet.apps.bump("s")
    for mode in ("hard", "soft"):
        assert fleet.invalidate(0, tag="item:s", mode=mode, wait="all").status == 200
    assert [fleet.version(i, path) for i in (2, 1)] == [version] * 2


def test_a_fetch_in_flight_elsewhere_is_overtaken_by_an_invalidation(fleet):
    """It began before: who asked for it may have it, nobody else, from memory or Redis."""
    path = "/tagged/race?xkey=race&gate=race"
    fetches = fleet.larders[1].counter("totals.fetches")
    early = fleet.larders[1].start("GET", path)
    fleet.larders[1].wait_for_counter("totals.fetches", fetches + 1)
    fleet.larders[1].wait_until(lambda: fleet.apps.count("race"))
    version = fleet.apps.bump("race")
    assert fleet.invalidate(0, tag="race", wait="all").status == 200
    fleet.apps.open("race")
    assert early.result().json()["version"] == version - 1
    fleet.wait_stored()
    assert [fleet.version(i, path) for i in (2, 1, 0)] == [version] * 3


def test_variants_are_shared_each_with_who_asks_for_it(fleet):
    for language in ("de", "hi"):
        fleet.read(0, "/language/x", headers={"X-Lang": language})
    fleet.wait_stored()
    for language in ("hi", "de"):
        answer = fleet.read(1, "/language/x", headers={"X-Lang": language})
        assert "detail=redis" in answer.headers["Cache-Status"]
        assert answer.json()["language"] == language
    assert "detail=redis" not in fleet.status(1, "/language/x", headers={"X-Lang": "en"})
    assert fleet.apps.count("x") == 3


def test_what_one_has_fetched_the_others_read_from_redis_once_and_have_it_then(fleet):
    hits = fleet.sum("hits")
    first = fleet.read(0, "/items/once")
    fleet.wait_stored()
    for i in (1, 2):
        answer = fleet.read(i, "/items/once")
        assert answer.headers["Cache-Status"].startswith("larder; hit; ttl=")
        assert answer.headers["Cache-Status"].endswith("; detail=redis")
        assert answer.body == first.body
        assert answer.headers["ETag"] == first.headers["ETag"]
        assert is_plain_hit(fleet.status(i, "/items/once"))
    assert fleet.apps.count("once") == 1
    assert fleet.sum("hits") == hits + 2


def test_a_hit_in_memory_asks_redis_nothing(fleet):
    fleet.fill("/items/near")
    asked = [fleet.stats(1)[c] for c in ("hits", "misses", "skipped")]
    for _ in range(20):
        assert is_plain_hit(fleet.status(1, "/items/near"))
    assert [fleet.stats(1)[c] for c in ("hits", "misses", "skipped")] == asked


def test_a_larder_started_anew_answers_from_redis(fleet):
    fleet.read(0, "/items/anew")
    fleet.wait_stored()
    fleet.restart(0)
    fleet.settle()
    assert "detail=redis" in fleet.status(0, "/items/anew")
    assert fleet.apps.count("anew") == 1
    assert fleet.stats(1)["instances"] == 3, "it has said good-bye under its old name"


def everything(redis):
    """All that a Redis has, in one heap of bytes."""
    def all_of_stream(key):
        return b"".join(b"".join(fields.values()) for _, fields in client.xrange(key))
    with redis.client() as client:
        read = {b"string": client.get, b"hash": lambda k: repr(client.hgetall(k)).encode(),
                b"zset": lambda k: b"".join(client.zrange(k, 0, -1)), b"stream": all_of_stream}
        return b"".join(key + read[client.type(key)](key) for key in client.scan_iter())


def test_nothing_in_redis_can_be_read_without_the_secret(fleet, redis):
    more = {"method": "POST", "headers": {"Content-Type": "application/json"},
            "body": json.dumps({"user": "ann-the-user", "password": "open-sesame"})}
    fleet.read(0, "/secret/marked-item", **more)
    fleet.read(0, "/tagged/marked-item?xkey=marked-tag")
    fleet.wait_stored()
    assert "detail=redis" in fleet.status(1, "/secret/marked-item", **more)
    assert fleet.invalidate(0, tag="marked-tag", wait="all").status == 200
    heap = everything(redis)
    assert b"LRD1" in heap
    for word in (b"open-sesame", b"ann-the-user", b"marked-item", b"marked-tag", b"version",
                 b"application/json"):
        assert word not in heap, word


@pytest.mark.parametrize("path, body", [("shared: none", 0), ("shared: invalidation", 1)])
def test_what_a_route_does_not_share_stays_where_it_is(fleet, path, body):
    name = f"mine-{body}"
    path = f"/{'alone' if body == 0 else 'local'}/{name}"
    stores = fleet.sum("stores")
    fleet.read(0, path)
    fleet.wait_stored()
    assert fleet.sum("stores") == stores
    assert "fwd=uri-miss" in fleet.status(1, path)
    assert fleet.apps.count(name) == 2


def test_the_user_needs_no_more_than_the_docs_say(fleet, redis):
    assert fleet.stats(0)["available"] and not fleet.sum("failed")
    denied = redis.ask("ACL", "LOG")
    assert not denied, denied


def test_that_user_may_do_nothing_that_is_not_needed():
    sources = "".join(path.read_text() for name in ("tier/*.c", "net/redis*.c")
                      for path in (ROOT / "proxy").glob(name))
    for word in re.findall(r"\+(\w+)", ACL):
        assert re.search(rf"['\"]{word}['\"]", sources, re.I), f"nobody calls {word}"


def test_stats_tell_of_redis(fleet, redis):
    before = fleet.stats(1)
    fleet.read(0, "/items/told")
    fleet.wait_stored()
    fleet.read(1, "/items/told")
    fleet.write(1, "/items/told")
    fleet.settle()
    now = fleet.stats(1)
    for name in ("published", "hits", "commands", "number"):
        assert now[name] > before[name], name
    assert now["available"] and now["in_contact"] and now["breaker"] == "closed"
    assert now["server"].endswith(str(redis.port)) and now["instances"] == 3
    assert now["lag_ms"] <= LAG_S * 1000 and not now.get("warning")
    assert fleet.sum("keys") > 0
    ready = fleet.larders[1].control("GET", "/health/ready").json()
    assert ready["redis"]["available"]


def test_another_configuration_or_another_secret_shares_no_answer(fleet_factory, redis):
    two = fleet_factory(redis, size=2, prefix="apart", more={"workers": 1}, **PATIENT)
    two.read(0, "/items/apart-1")
    two.wait_stored()
    assert "detail=redis" in two.status(1, "/items/apart-1")
    other = copy.deepcopy(two.config["routes"])
    other[0]["ttl"] = "2h"
    two.restart(1, routes=other)
    two.settle()
    assert "fwd=uri-miss" in two.status(1, "/items/apart-1")
    two.restart(1, secret="another secret altogether")
    two.settle()
    assert "fwd=uri-miss" in two.status(1, "/items/apart-1")


def test_large_answers_stay_with_their_instance(fleet_factory, redis):
    two = fleet_factory(redis, size=2, prefix="sized", max_object_bytes=50000, more={"workers": 1},
                        **PATIENT)
    for path in ("/large/1000", "/large/200000"):
        two.read(0, path)
    two.larders[0].wait_for_counter("redis.too_large", 1)
    two.wait_stored()
    assert "detail=redis" in two.status(1, "/large/1000")
    assert "fwd=uri-miss" in two.status(1, "/large/200000")
    assert is_plain_hit(two.status(0, "/large/200000"))


def test_prefixes_and_databases_do_not_meet_and_other_keys_are_left_alone(fleet_factory, redis):
    own = {b"other": b"1", b"{larder:tes}:boot": b"2", b"larder:o:1": b"3"}
    with redis.client() as client:
        client.mset(own)
    more = {"size": 1, "more": {"workers": 1}, **PATIENT}
    one = fleet_factory(redis, prefix="one", **more)
    two = fleet_factory(redis, prefix="two", **more)
    apart = fleet_factory(redis, prefix="one", database=3, **more)
    for fleet in (one, two, apart):
        assert "fwd=uri-miss" in fleet.status(0, "/items/kept")
        fleet.wait_stored()
    version = one.apps.bump("kept")
    assert one.invalidate(0, all=True).json()["replicated"]
    assert one.version(0, "/items/kept") == version
    assert [f.version(0, "/items/kept") for f in (two, apart)] == [version - 1] * 2
    assert [f.stats(0)["applied"] for f in (two, apart)] == [0, 0]
    with redis.client() as client:
        assert dict(zip(own, client.mget(own))) == own
        client.delete(*own)


def test_without_redis_nothing_of_it_is_seen(fleet_apps, larder_factory):
    larder = larder_factory({
        "listen": "127.0.0.1:0", "workers": 1, "control": {"listen": "127.0.0.1:0"},
        "upstreams": {"app": {"servers": fleet_apps.servers()}},
        "routes": [{"name": "items", "match": "GET /items/{id}", "ttl": "1h"}]})
    assert not larder.stats().get("redis")
    larder.request("GET", "/items/lonely")
    assert "replicated" not in larder.invalidate(all=True)
    assert not any("redis" in line for line in larder.whole_log())


@pytest.mark.parametrize("kind", ["unix", "tls", "cluster"])
def test_a_socket_tls_and_a_cluster_are_spoken_to(fleet_factory, redis_factory, request, kind,
                                                  tmp_path):
    more = {"size": 2, "prefix": "way", "more": {"workers": 1}, **PATIENT}
    if kind == "cluster":
        cluster = Cluster()
        request.addfinalizer(cluster.stop)
        server, wrong = cluster.owner("way")
        two = fleet_factory(server, server=wrong.address, **more)
        assert two.stats(0)["server"].endswith(str(server.port)), "MOVED was followed"
    elif kind == "tls":
        authority = Authority(tmp_path)
        server = redis_factory(tls=authority)
        two = fleet_factory(server, tls={"ca": str(authority.certificate)}, **more)
    else:
        server = redis_factory(unix=True)
        two = fleet_factory(server, **more)
    items = (f"way-{kind}-{n}" for n in itertools.count())

    def is_shared(item):
        two.settle()  # a link that was told MOVED is on its way to the other server
        two.read(0, f"/items/{item}")
        two.wait_stored()
        return "detail=redis" in two.status(1, f"/items/{item}")
    two.larders[0].wait_until(lambda: is_shared(next(items)))  # each worker finds its own way
    item = f"way-{kind}-0"
    version = two.apps.bump(item)
    assert two.invalidate(0, tag=f"item:{item}", wait="all").status == 200
    assert two.version(1, f"/items/{item}") == version
    assert next(items) in [f"way-{kind}-{n}" for n in range(5)], "it was found soon"
    assert {"boot", "log", "ep", "live"} <= {n.decode() for n in server.keys("way")}
