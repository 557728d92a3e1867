"""Whatever befalls Redis, or an instance: no request fails, and none gets what was taken back
longer ago than the bound. Clients run all the time, and every answer of theirs is checked."""
import glob
import json
import time

import pytest

from support.fleet import LAG_S, PATIENT, Fleet, Traffic, route
from support.larder import wait_until
from support.redis import ACL, RedisServer, Watched
from support.relay import Relay

PREFIX = "test"
PATIENTS_PREFIX = "patient"
SLOW_MS = 500  # of nine in ten; far less than Redis, or the network to it, is silent


@pytest.fixture(scope="module")
def standing_patient(fleet_apps, redis):
    fleet = Fleet(fleet_apps, redis, prefix=PATIENTS_PREFIX, **PATIENT)
    yield fleet
    fleet.stop()


@pytest.fixture
def patient(standing_patient):
    """A fleet that gives nothing up because a machine is slow."""
    standing_patient.settle()
    return standing_patient


def in_the_end_all_agree(traffic):
    """And with the app: nothing that was acknowledged has been forgotten."""
    fleet = traffic.fleet
    fleet.settle()
    for n in range(Traffic.ITEMS):
        truth = fleet.apps.version(f"item-{n}")
        for path in traffic.paths:
            assert [fleet.version(i, f"{path}item-{n}") for i in range(3)] == [truth] * 3


# --- Redis ---

def killed(redis, traffic):
    redis.kill()
    traffic.beyond_the_bound()
    redis.start()


def frozen(redis, traffic):
    redis.freeze()
    traffic.beyond_the_bound()
    redis.thaw()


def asleep(redis, traffic):
    sleep = redis.pause(1.5)
    traffic.after(reads=100)
    sleep.join()


def its_connections_cut(redis, traffic):
    for _ in range(5):
        redis.kill_clients()
        traffic.after(reads=40, writes=1)


def restarted_empty(redis, traffic):
    for _ in range(2):
        redis.restart()
        traffic.after(reads=100)


def flushed(redis, traffic):
    for _ in range(3):
        redis.ask("FLUSHALL")
        traffic.after(reads=60, writes=2)


def its_log_trimmed(redis, traffic):
    for _ in range(10):
        redis.trim_log(PREFIX)
        traffic.after(reads=20, writes=1)


def its_scripts_forgotten(redis, traffic):
    for _ in range(3):
        redis.ask("SCRIPT", "FLUSH")
        traffic.after(reads=60, writes=2)


def its_memory_full(redis, traffic):
    def count():
        return [traffic.fleet.sum(c) for c in ("out_of_memory", "published")]
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    before = count()
    traffic.beyond_the_bound()
    # answers are not written, invalidations are
    wait_until(lambda: all(now > then for now, then in zip(count(), before)))
    redis.ask("CONFIG", "SET", "maxmemory", "0")


def a_key_lost(name):
    def lost(redis, traffic):
        for _ in range(3):
            redis.ask("DEL", redis.key(PREFIX, name))
            traffic.after(reads=60, writes=2)
    lost.__name__ = f"its_{name}_lost"
    return lost


def all_answers_lost(redis, traffic):
    for name, key in redis.keys(PREFIX).items():
        if name.startswith(b"o:"):
            redis.ask("UNLINK", key)
    traffic.after(reads=60)


FAULTS = [killed, frozen, asleep, its_connections_cut, restarted_empty, flushed, its_log_trimmed,
          its_scripts_forgotten, its_memory_full, all_answers_lost,
          *map(a_key_lost, ("boot", "ep", "walks", "log", "live"))]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_redis_fails_no_request_and_lets_nobody_see_what_was_taken_back(fleet, redis, fault):
    with Traffic(fleet, ("/items/", "/local/")) as traffic:
        fault(redis, traffic)
        traffic.after(reads=150, writes=5)
    in_the_end_all_agree(traffic)
    assert traffic.slow_ms() < SLOW_MS


@pytest.mark.parametrize("selector, key", [
    ({"tag": "red"}, "ep"), ({"path": "/tagged/{x}"}, "walks"), ({"glob": "tagged:*"}, "walks"),
    ({"all_of": ["red", "route:tagged"]}, "walks")], ids=["tag", "path", "glob", "all_of"])
@pytest.mark.parametrize("how", ["DEL", "UNLINK"])
def test_what_redis_forgot_to_be_invalid_does_not_come_back(patient, redis, selector, key, how):
    """An old answer is still there, and what told that it is old is not: evicted, or deleted."""
    path = f"/tagged/forgotten-{key}-{how}?xkey=red"
    old = patient.version(0, path)
    patient.wait_stored()
    item = path[8:].split("?")[0]
    assert patient.apps.bump(item) > old
    assert patient.invalidate(0, wait="all", **selector).status == 200
    redis.ask(how, redis.key(PATIENTS_PREFIX, key))
    assert patient.version(1, path) > old


def many_tags(fleet, redis):
    """As if each of them had been named by the last invalidation."""
    redis.ask("EVAL", "local n = redis.call('HGET', KEYS[1], 'seq')\n"
              "for i = 1, 100000 do redis.call('ZADD', KEYS[2], n, struct.pack('>I8', i)) end", 2,
              redis.key(PATIENTS_PREFIX, "boot"), redis.key(PATIENTS_PREFIX, "ep"))
    assert fleet.invalidate(0, tag="one more").status == 200


def many_patterns(fleet, _):
    for n in range(1100):
        assert fleet.invalidate(0, glob=f"many-{n}:*").status == 200


@pytest.mark.parametrize("selector, key, many", [
    ({"tag": "red"}, "ep", many_tags), ({"glob": "tagged:*"}, "walks", many_patterns)],
    ids=["tags", "patterns"])
def test_what_redis_has_no_more_room_to_remember_does_not_come_back(patient, redis, selector, key,
                                                                    many):
    """Its tables are bounded: what is older than what they forgot counts as invalidated."""
    name = f"crowded-{key}"
    path = f"/tagged/{name}?xkey=red"
    old = patient.version(0, path)
    patient.wait_stored()
    patient.apps.bump(name)
    assert patient.invalidate(0, wait="all", **selector).status == 200
    many(patient, redis)
    assert redis.ask("ZCARD", redis.key(PATIENTS_PREFIX, key)) < {"ep": 100000, "walks": 1100}[key]
    assert int(redis.ask("HGET", redis.key(PATIENTS_PREFIX, "boot"), "floor")) > 0
    assert patient.version(1, path) > old
    patient.wait_stored()
    assert "detail=redis" in patient.status(2, path), "what is fetched now is shared again"


def test_invalidations_while_redis_is_away_are_told_when_it_is_back(fleet, redis):
    fleet.fill("/items/later")
    version = fleet.apps.bump("later")
    redis.kill()
    fleet.larders[0].wait_until(lambda: not fleet.stats(0)["available"])
    answer = fleet.invalidate(0, tag="item:later")
    assert (answer.status, answer.json()["replicated"]) == (202, False)
    assert fleet.stats(0)["pending"] == 1
    assert fleet.version(0, "/items/later") == version, "here it holds at once"
    redis.start()
    fleet.settle()
    assert [fleet.version(i, "/items/later") for i in (1, 2)] == [version] * 2


def test_who_starts_without_redis_serves_and_joins_when_it_comes(fleet_factory, own_redis):
    own_redis.kill()
    one = fleet_factory(own_redis, size=1, is_awaited=False)
    assert one.read(0, "/items/early").status == 200
    assert not one.stats(0)["available"] and not one.stats(0)["in_contact"]
    own_redis.start()
    one.settle()
    assert one.stats(0)["joins"] == 1


def test_the_breaker_opens_before_a_redis_that_says_nothing_and_closes_again(fleet, redis):
    stats = fleet.stats(0)
    opened, late = stats["breaker_opened"], stats["late"]
    redis.freeze()
    names = iter(range(10**6))

    def is_open():
        assert fleet.read(0, f"/items/breaker-{next(names)}").status == 200
        stats.update(fleet.stats(0))
        return stats["breaker_opened"] > opened
    fleet.larders[0].wait_until(is_open)
    assert stats["breaker"] == "open" and stats["timeouts"] >= 5
    skipped = stats["skipped"]
    for _ in range(20):
        fleet.read(0, f"/items/breaker-{next(names)}")
    stats = fleet.stats(0)
    assert stats["late"] - late <= 2 * 5, "of each worker five have waited, and nobody else"
    assert stats["skipped"] > skipped
    redis.thaw()
    fleet.settle()
    fleet.larders[0].wait_until(lambda: fleet.stats(0)["breaker"] == "closed")


PARTITION = [route(how, f"GET /{path}/{{id}}", key=["path.id"], on_partition=how)
             for how, path in (("revalidate", "items"), ("serve", "local"), ("bypass", "soft"))]
PARTITION.append(route("none", "GET /alone/{id}", key=["path.id"], shared="none"))


def test_out_of_contact_each_route_does_what_its_config_says(fleet_factory, own_redis):
    one = fleet_factory(own_redis, size=1, routes=PARTITION)
    paths = {r["name"]: r["match"].split()[1].replace("{id}", r["name"]) for r in PARTITION}
    for path in paths.values():
        one.read(0, path)
        assert "hit" in one.status(0, path)
    own_redis.kill()
    one.larders[0].wait_until(lambda: not one.stats(0)["in_contact"])
    assert "partition" in one.status(0, paths["bypass"]), "also what is stored"
    # what was fetched less than the bound ago is as good as if it were fetched now
    one.larders[0].wait_until(lambda: "fwd=stale" in one.status(0, paths["revalidate"]))
    asked = {how: one.apps.count(how) for how in paths}
    for path in paths.values():
        for _ in range(3):
            assert one.read(0, path).status == 200
    now = {how: one.apps.count(how) - asked[how] for how in paths}
    assert now["revalidate"] <= 1
    assert (now["serve"], now["bypass"], now["none"]) == (0, 3, 0)
    assert (asked["serve"], asked["none"]) == (1, 1)
    own_redis.start()
    one.settle()
    for path in paths.values():
        one.read(0, path)
        assert "hit" in one.status(0, path)


def test_a_policy_that_evicts_any_key_is_told(fleet_factory):
    redis = RedisServer(maxmemory="100mb", policy="allkeys-lru")
    try:
        one = fleet_factory(redis, size=1)
        one.larders[0].log_says("allkeys-lru")
        assert "allkeys-lru" in one.stats(0)["warning"]
        assert "allkeys-lru" in one.larders[0].control("GET", "/health/ready").body.decode()
    finally:
        redis.stop()


def test_an_old_redis_forgets_under_pressure_and_nobody_is_shown_what_was_taken_back(fleet_factory):
    """allkeys-lru with little memory: log, tables and answers go in any order."""
    redis = RedisServer(policy="allkeys-random")
    try:
        fleet = fleet_factory(redis)
        floor = int(redis.info("memory")["used_memory"])
        with Traffic(fleet, ("/items/", "/local/")) as traffic:
            for n in range(6):
                for size in range(20):
                    fleet.read(n % 3, f"/large/{5000 + 20 * n + size}")
                redis.ask("CONFIG", "SET", "maxmemory", str(floor + 30000))
                traffic.after(reads=50, writes=2)
                redis.ask("CONFIG", "SET", "maxmemory", "0")
        in_the_end_all_agree(traffic)
        assert redis.info("stats")["evicted_keys"] > 0
    finally:
        redis.stop()


@pytest.mark.parametrize("taken", ["-evalsha", "off"])
def test_a_user_whose_rights_are_taken_away_costs_redis_and_no_answer(fleet_factory, taken):
    redis = RedisServer(prefix=PREFIX)
    try:
        fleet = fleet_factory(redis, user="larder", password="sesame", more={"workers": 1})
        with Traffic(fleet, ("/items/", "/local/")) as traffic:
            redis.ask("ACL", "SETUSER", "larder", taken)
            if taken == "off":
                redis.kill_clients()
            traffic.beyond_the_bound()
            redis.ask("ACL", "SETUSER", "larder", "on", *ACL.format(prefix=PREFIX).split())
        in_the_end_all_agree(traffic)
    finally:
        redis.stop()


# --- the network between one instance and Redis ---

def cut(relay, traffic):
    relay.cut()
    traffic.beyond_the_bound()
    relay.mend()


def deaf_and_dumb(relay, traffic):
    relay.hold("to", "from")
    traffic.beyond_the_bound()
    relay.let_go()


def deaf(relay, traffic):
    """What it says is done, and it does not hear of it."""
    relay.hold("from")
    traffic.beyond_the_bound()
    relay.let_go()


def deaf_for_the_log(relay, traffic):
    relay.hold("from", name=b"-log")
    traffic.beyond_the_bound()
    relay.let_go()


def deaf_for_all_but_the_log(relay, traffic):
    relay.hold("from", name=b"-main")
    traffic.beyond_the_bound()
    relay.let_go()


def slow(relay, traffic):
    relay.delay_s = 0.02
    traffic.beyond_the_bound()
    relay.delay_s = 0


@pytest.fixture(scope="module")
def relayed(fleet_apps, redis):
    """A fleet of which larder 2 speaks to Redis through a relay."""
    fleet = Fleet(fleet_apps, redis, prefix="relayed")
    relay = Relay(redis.port)
    try:
        fleet.restart(2, redis={**fleet.config["redis"], "server": relay.address})
        yield fleet, relay
    finally:
        relay.stop()
        fleet.stop()


@pytest.mark.parametrize("fault", [cut, deaf_and_dumb, deaf, deaf_for_the_log,
                                   deaf_for_all_but_the_log, slow], ids=lambda f: f.__name__)
def test_an_instance_that_alone_is_cut_off_shows_nothing_for_longer_than_the_bound(relayed, fault):
    fleet, relay = relayed
    fleet.settle()
    with Traffic(fleet, ("/items/", "/local/")) as traffic:
        fault(relay, traffic)
        traffic.after(reads=100, writes=5)
    in_the_end_all_agree(traffic)
    assert traffic.slow_ms() < SLOW_MS


# --- what stands in Redis ---

def torn(value):
    return value[:-1], value[:60], value[:31], value[:4], b"", b"LRD1", value + b"x"


def forged(value):
    flip = lambda at: value[:at] + bytes([value[at] ^ 1]) + value[at + 1:]
    return (flip(0), flip(3), flip(27), flip(29), flip(31), flip(-1 % len(value)),
            flip(len(value) // 2), value[:29] + b"\xff\xff" + value[31:], b"\0" * 500)


@pytest.mark.parametrize("spoil", [torn, forged])
def test_a_value_that_is_none_is_a_miss(patient, redis, spoil):
    count = len(spoil(b"LRD1" + b"x" * 400))
    before = patient.stats(1)
    for n in range(count):
        path = f"/items/{spoil.__name__}-{n}"
        keys = set(redis.keys(PATIENTS_PREFIX).values())
        patient.read(0, path)
        patient.wait_stored()
        key, = set(redis.keys(PATIENTS_PREFIX).values()) - keys
        with redis.client() as client:
            client.set(key, spoil(client.get(key))[n])
        answer = patient.read(1, path)
        assert answer.status == 200 and "detail=redis" not in answer.headers["Cache-Status"], n
    now = patient.stats(1)
    assert sum(now[c] - before[c] for c in ("foreign", "outdated")) == count
    assert now["failed"] == before["failed"]


def test_a_value_in_anothers_place_or_of_another_type_is_a_miss(patient, redis):
    def stored(name):
        before = set(redis.keys(PATIENTS_PREFIX).values())
        patient.read(0, f"/items/{name}")
        patient.wait_stored()
        key, = set(redis.keys(PATIENTS_PREFIX).values()) - before
        return key
    one, other, third = map(stored, ("place-1", "place-2", "place-3"))
    with redis.client() as client:
        client.set(one, client.get(other))
        client.delete(third)
        client.rpush(third, "a", "list")
    for n in (1, 3):
        answer = patient.read(1, f"/items/place-{n}")
        assert (answer.status, answer.json()["id"]) == (200, f"place-{n}")
        assert "detail=redis" not in answer.headers["Cache-Status"]
    patient.settle()


@pytest.mark.parametrize("what", ["message", "far", "back", "fields", "counter"])
def test_a_log_that_somebody_else_wrote_to_does_not_stop_the_fleet(fleet, redis, what):
    log, boot = redis.key(PREFIX, "log"), redis.key(PREFIX, "boot")
    fleet.fill("/items/written")
    n = int(redis.ask("HGET", boot, "seq"))
    with Traffic(fleet) as traffic:
        if what == "message":
            redis.ask("EVAL", "local n = redis.call('HINCRBY', KEYS[1], 'seq', 1)"
                      "return redis.call('XADD', KEYS[2], n .. '-0', 'i', 'x', 't', 't', 'm', 'x')",
                      2, boot, log)
        elif what == "far":
            redis.ask("XADD", log, f"{n + 10**6}-0", "i", "x", "t", "t", "m", "\0\0\0\0")
        elif what == "fields":
            redis.ask("XADD", log, f"{n + 10**6}-5", "a", "b")
        elif what == "back":
            redis.ask("HSET", boot, "seq", 1)
        else:
            redis.ask("HDEL", boot, "seq")
        traffic.after(reads=100)
        fleet.settle()
        joins = fleet.sum("joins")
        traffic.after(reads=100)
        assert fleet.sum("joins") <= joins + 3, "it goes round in circles"
    in_the_end_all_agree(traffic)


# --- Sentinel ---

def test_a_failover_that_loses_writes_loses_no_invalidation(fleet_factory):
    """The replica that is promoted never heard of the last invalidations; their clients had their
    answers."""
    watched = Watched()
    try:
        fleet = fleet_factory(None, **watched.config())
        server = fleet.stats(0)["server"]
        with Traffic(fleet, ("/items/", "/local/")) as traffic:
            watched.replica.cut_replication()
            traffic.after(reads=200, writes=10)
            told = fleet.sum("published")
            assert told >= 10
            watched.fail_over()
            traffic.beyond_the_bound()
            fleet.settle()
            traffic.after(reads=200, writes=10)
        in_the_end_all_agree(traffic)
        assert all(fleet.stats(i)["server"] != server for i in range(3))
        assert fleet.sum("resyncs") >= 3
        assert fleet.sum("replayed") > 0
    finally:
        watched.stop()


def test_a_master_that_wakes_up_after_its_failover_misleads_nobody(fleet_factory):
    watched = Watched()
    try:
        fleet = fleet_factory(None, **watched.config())
        with Traffic(fleet, ("/items/", "/local/")) as traffic:
            watched.master.freeze()
            watched.wait_for_promotion()
            traffic.after(reads=100)
            watched.master.thaw()
            traffic.beyond_the_bound()
        in_the_end_all_agree(traffic)
    finally:
        watched.stop()


def test_a_failover_by_hand_is_followed(fleet_factory):
    """The old master lives on as a replica."""
    watched = Watched()
    try:
        fleet = fleet_factory(None, **watched.config())
        with Traffic(fleet, ("/items/", "/local/")) as traffic:
            with watched.sentinels[0].client() as client:
                client.execute_command("SENTINEL", "FAILOVER", watched.sentinels[0].name)
            watched.wait_for_promotion()
            traffic.beyond_the_bound()
        in_the_end_all_agree(traffic)
        assert all(fleet.stats(i)["server"].endswith(str(watched.replica.port)) for i in range(3))
    finally:
        watched.stop()


# --- instances ---

def test_an_instance_that_is_killed_and_comes_back_harms_nobody(fleet):
    with Traffic(fleet, ("/items/", "/local/")) as traffic:
        for i in (1, 2):
            fleet.kill(i)
            traffic.after(reads=100)
            fleet.start(i)
            traffic.after(reads=100)
        traffic.beyond_the_bound()
    for n in range(Traffic.ITEMS):  # one more word for each: what the dead had not told is lost
        fleet.write(0, f"/items/item-{n}")
    in_the_end_all_agree(traffic)


def test_an_instance_that_slept_shows_nothing_of_what_it_slept_through(fleet):
    fleet.fill("/items/slept", "/local/slept")
    sleeper = fleet.larders[1].process
    sleeper.send_signal(19)  # SIGSTOP
    try:
        version = fleet.write(0, "/items/slept")
        end = time.monotonic() + LAG_S
        fleet.larders[0].wait_until(lambda: time.monotonic() > end)
    finally:
        sleeper.send_signal(18)  # SIGCONT
    for path in ("/items/slept", "/local/slept"):
        assert fleet.version(1, path) == version


# --- clocks ---

class Clock:
    """The wall clock of processes started with environment(), as many seconds off as is set."""

    def __init__(self, path):
        self.path = path
        self.set(0)

    def set(self, seconds):
        new = self.path.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self.path)

    def environment(self):
        library, = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        return {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.path),
                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=4:verify_asan_link_order=0"}


def test_steps_of_an_instances_clock_show_nobody_what_was_taken_back(fleet_factory, own_redis,
                                                                     tmp_path):
    clock = Clock(tmp_path / "clock")
    fleet = fleet_factory(own_redis, environment=clock.environment())
    fleet.environment = None
    fleet.restart(0)  # its clock stays right
    fleet.settle()
    with Traffic(fleet, ("/items/", "/local/")) as traffic:
        for step in (3000, -3000, 86400, -86400, 0):
            clock.set(step)
            traffic.after(reads=100, writes=4)
        traffic.beyond_the_bound()
    in_the_end_all_agree(traffic)


@pytest.mark.parametrize("life_ms", [None, 10**12], ids=["without an end", "of years"])
def test_an_answer_ends_though_redis_says_it_does_not(fleet_factory, own_redis, tmp_path, life_ms):
    """As after a step of its clock: then the wall clock tells what the TTL does not."""
    clock = Clock(tmp_path / "clock")
    two = fleet_factory(own_redis, size=2, environment=clock.environment())
    two.read(0, "/items/endless")
    two.wait_stored()
    key, = (k for n, k in own_redis.keys(PREFIX).items() if n.startswith(b"o:"))
    own_redis.ask(*(("PEXPIRE", key, life_ms) if life_ms else ("PERSIST", key)))
    clock.set(3700)
    assert "detail=redis" not in two.status(1, "/items/endless")


def test_an_answer_ages_in_redis_though_clocks_step(fleet_factory, own_redis, tmp_path):
    """RFC 9111 section 4.2.3: of two ages the higher one is believed."""
    clock = Clock(tmp_path / "clock")
    two = fleet_factory(own_redis, size=2, environment=clock.environment(), **PATIENT)
    for name, step in (("ahead", 600), ("behind", -600)):
        clock.set(0)
        two.read(0, f"/items/{name}")
        two.wait_stored()
        clock.set(step)
        answer = two.read(1, f"/items/{name}")
        assert "detail=redis" in answer.headers["Cache-Status"]
        assert int(answer.headers["Age"]) >= max(step, 0)
        assert int(answer.headers["Age"]) < 700
    clock.set(7200)
    two.read(0, "/items/over")
    clock.set(14400 + 7200)
    answer = two.read(1, "/items/over")
    assert "detail=redis" not in answer.headers["Cache-Status"], "by the wall clock it has ended"
    assert json.loads(answer.body)["id"] == "over"
