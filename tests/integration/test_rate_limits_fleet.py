"""Limits that several larders count together, by one Redis; and what each does without it."""
import json

import pytest

from support.fleet import PATIENT
from support.larder import Larder, wait_until
from support.redis import RedisServer

SECRET = "a secret of the whole fleet"


class Pair:
    """Larders with one Redis before one app; who asks is told apart by a header."""

    def __init__(self, redis, app, *limits, prefix="limits", size=2, patience=PATIENT, user=None,
                 **more):
        rate = {"name": "api", "by": "header.X-User", "limits": list(limits), **more}
        config = {"listen": "127.0.0.1:0", "workers": 2, "control": {"listen": "127.0.0.1:0"},
                  "secret": SECRET, "upstreams": {"app": {"server": f"127.0.0.1:{app.port}"}},
                  "redis": {"server": redis.address, "prefix": prefix, **patience, **(user or {})},
                  "rate_limits": [rate], "rate_limit": "api"}
        self.redis, self.prefix, self.larders = redis, prefix, []
        try:
            for _ in range(size):
                self.larders.append(Larder(config))
            wait_until(self.is_settled)
        except BaseException:
            self.stop()
            raise

    def is_settled(self):
        stats = [larder.stats()["redis"] for larder in self.larders]
        return all(s["available"] and s["connections"] == 4 for s in stats)

    def start(self, i, user, path="/thing/x"):
        return self.larders[i].start("GET", path, headers={"X-User": user})

    def ask(self, i, user, times=1):
        return [self.larders[i].request("GET", "/thing/x", headers={"X-User": user}).status
                for _ in range(times)]

    def figures(self, i):
        return self.larders[i].stats()["rate_limits"]["api"]

    def sum(self, name):
        return sum(self.figures(i)[name] for i in range(len(self.larders)))

    def names(self):
        """Of what is counted there."""
        return [key for end, key in self.redis.keys(self.prefix).items() if end.startswith(b"q:")]

    def stop(self):
        for larder in self.larders:
            larder.stop()


@pytest.fixture
def pair_factory(moody_app):
    started = []

    def start(redis, *limits, **more):
        started.append(Pair(redis, moody_app, *limits, **more))
        return started[-1]
    yield start
    for pair in started:
        pair.stop()


def test_a_fleet_lets_through_exactly_what_one_would(pair_factory, redis, moody_app):
    pair = pair_factory(redis, "50/1h", {"rate": "1/1d", "burst": 1000})
    pending = [pair.start(n % 2, "ann", f"/thing/p{n % 5}") for n in range(150)]
    statuses = [p.result().status for p in pending]
    assert statuses.count(200) == 50 and statuses.count(429) == 100
    assert sum(moody_app.count(f"p{n}") for n in range(5)) == 50
    assert pair.sum("shared") == 150 and pair.sum("alone") == 0
    assert pair.sum("allowed") == 50 and pair.sum("refused") == 100


@pytest.mark.parametrize("policy, field", [
    ("3/1h", '"api-1h";r=1;t=3'),
    ({"rate": "3/1h", "burst": 3}, '"api-burst";r=1;t=')])
def test_what_is_left_is_told_of_all_together(pair_factory, redis, policy, field):
    name = "bucket" if isinstance(policy, dict) else "window"
    pair = pair_factory(redis, policy, prefix=name)
    assert pair.ask(0, "ann") == [200]
    answer = pair.larders[1].request("GET", "/thing/x", headers={"X-User": "ann"})
    assert answer.headers["RateLimit"].startswith(field)
    assert pair.ask(0, "ann", 2) == [200, 429]
    refused = pair.larders[1].request("GET", "/thing/x", headers={"X-User": "ann"})
    assert refused.status == 429 and 1000 < int(refused.headers["Retry-After"]) <= 3601
    assert pair.ask(1, "bob") == [200]


def test_a_window_ends_by_redis_clock(pair_factory, redis):
    pair = pair_factory(redis, "2/1s", prefix="clock")
    while 429 not in pair.ask(0, "ann", 3):
        pass
    wait_until(lambda: pair.ask(1, "ann") == [200])


def test_several_limits_are_charged_together_or_not_at_all(moody_app, redis):
    pair = Pair(redis, moody_app, "9/1h", {"rate": "1/1d", "burst": 2}, prefix="together")
    try:
        assert pair.ask(0, "ann", 2) + pair.ask(1, "ann", 2) == [200, 200, 429, 429]
        answer = pair.larders[0].request("GET", "/thing/x", headers={"X-User": "ann"})
        assert answer.headers["RateLimit"].startswith('"api-1h";r=7;')
        assert answer.json()["violated-policies"] == ["api-burst"]
    finally:
        pair.stop()


def test_a_dry_run_of_a_fleet_refuses_nothing(pair_factory, redis):
    pair = pair_factory(redis, "2/1h", prefix="dry", dry_run=True)
    assert pair.ask(0, "ann", 2) + pair.ask(1, "ann", 3) == [200] * 5
    assert (pair.sum("allowed"), pair.sum("would_refuse")) == (2, 3)


def test_limits_that_are_not_shared_are_each_larders_own(pair_factory, redis):
    pair = pair_factory(redis, "2/1h", prefix="own", shared=False)
    assert pair.ask(0, "ann", 3) == [200, 200, 429]
    assert pair.ask(1, "ann", 3) == [200, 200, 429]
    assert not pair.names() and pair.sum("shared") == pair.sum("alone") == 0


def test_without_redis_each_goes_on_alone_from_where_all_were(pair_factory, own_redis):
    pair = pair_factory(own_redis, "5/1h")
    assert pair.ask(0, "ann", 2) + pair.ask(1, "ann") == [200] * 3
    own_redis.kill()
    for i in range(2):
        wait_until(lambda i=i: not pair.larders[i].stats()["redis"]["connections"])
    assert pair.ask(0, "new", 6) == [200] * 5 + [429], "nobody is refused for Redis's sake"
    assert pair.ask(1, "new", 6) == [200] * 5 + [429], "and each counts for itself"
    assert pair.ask(1, "ann", 3) == [200, 200, 429], "what all had counted is not forgotten"
    assert pair.sum("shared") == 3 and pair.sum("alone") == 15


def test_a_redis_that_hangs_holds_nobody_up(pair_factory, own_redis):
    pair = pair_factory(own_redis, "5/1h", patience={"command_timeout": "100ms"})
    own_redis.freeze()
    assert pair.ask(0, "ann", 6) == [200] * 5 + [429]
    assert pair.figures(0)["alone"] == 6
    own_redis.thaw()
    wait_until(lambda: pair.ask(1, "bob") and pair.figures(1)["shared"] > 0)


def test_redis_learns_no_credential_and_forgets_what_is_over(pair_factory, redis):
    pair = pair_factory(redis, "2/1h", prefix="names")
    assert pair.ask(0, "hush-hush", 3) == [200, 200, 429]
    (name,) = pair.names()
    assert len(name.rpartition(b":")[2]) == 64
    assert 7100_000 < redis.ask("PTTL", name) <= 7200_000
    with redis.client() as client:
        everything = b"".join(key + client.dump(key) for key in client.scan_iter())
    assert b"hush" not in everything
    assert "hush" not in json.dumps(pair.larders[0].stats())


def test_what_the_docs_let_the_user_do_is_enough(pair_factory):
    server = RedisServer(prefix="narrow")
    try:
        pair = pair_factory(server, "2/1h", prefix="narrow",
                            user={"user": "larder", "password": "sesame"})
        assert pair.ask(0, "ann", 2) + pair.ask(1, "ann") == [200, 200, 429]
        assert pair.sum("shared") == 3
        pair.stop()
    finally:
        server.stop()


def test_what_is_no_count_in_redis_is_none(pair_factory, redis):
    pair = pair_factory(redis, "2/1h", prefix="foreign")
    assert pair.ask(0, "ann", 3) == [200, 200, 429]
    (name,) = pair.names()
    redis.ask("SET", name, "nonsense")
    assert pair.ask(0, "ann", 3) == [200, 200, 429], "as if nothing had been there"
    redis.ask("DEL", name)
    redis.ask("LPUSH", name, "nonsense")
    assert pair.ask(0, "ann") == [429], "an error: its own table knows"
    assert pair.figures(0)["alone"] == 1
