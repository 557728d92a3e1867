"""What is told of the cache that instances share: stats, readiness, the terminal client."""
import os
import subprocess

import pytest

from support.fleet import PATIENT, Fleet
from support.larder import BINARY, ROOT, wait_until
from support.redis import ACL


@pytest.fixture
def pair(fleet_apps, redis):
    redis.client().flushall()
    fleet = Fleet(fleet_apps, redis, size=2, **PATIENT)
    yield fleet
    fleet.stop()


def ctl(larder, *words):
    done = subprocess.run([BINARY, "ctl", *words], capture_output=True, timeout=30, check=False,
                          env=dict(os.environ, LARDER_URL=f"http://127.0.0.1:{larder.control_port}"))
    return done.stdout.decode()


def test_what_was_found_in_redis_is_a_hit_and_no_hit_of_memory(pair):
    pair.read(0, "/items/told")
    pair.wait_stored()
    for _ in range(3):
        pair.read(1, "/items/told")
    stats = pair.larders[1].stats()
    assert (stats["totals"]["hits"], stats["totals"]["misses"]) == (3, 0)
    assert stats["totals"]["redis_hits"] == 1
    memory, shared = stats["tiers"]["memory"], stats["tiers"]["redis"]
    assert (memory["hits"], memory["misses"]) == (2, 1)
    assert (shared["hits"], shared["misses"], shared["hit_ratio"]) == (1, 0, 1)
    assert pair.larders[0].stats()["tiers"]["redis"]["misses"] == 1
    assert pair.stats(0)["keys"] == 1 and pair.stats(1)["keys"] == 0


def test_readiness_tells_of_redis_and_is_none_the_worse_without_it(pair, redis):
    def ready():
        answer = pair.larders[0].control("GET", "/health/ready")
        return answer.status, answer.json()["status"], answer.json()["redis"]["available"]
    assert ready() == (200, "ready", True)
    redis.kill()
    wait_until(lambda: ready() == (200, "ready", False))
    redis.start()
    wait_until(lambda: ready() == (200, "ready", True))


def test_the_terminal_client_tells_of_redis(pair, redis):
    larder = pair.larders[0]
    assert "\nredis: available, instances 2, hits 0," in ctl(larder, "stats")
    assert "applied by 2 instances\n" in ctl(larder, "invalidate", "--tag", "x", "--wait")
    redis.kill()
    wait_until(lambda: not pair.stats(0)["available"])
    assert "\nredis: away" in ctl(larder, "stats")
    assert "Redis is away: other instances will know" in ctl(larder, "invalidate", "--tag", "x")
    assert pair.stats(0)["pending"] == 1
    redis.start()
    wait_until(lambda: pair.stats(0)["pending"] == 0)


def test_a_redis_that_takes_no_writes_is_no_contact(pair, redis):
    """A master that is cut off from its replicas may have been replaced without knowing it."""
    pair.read(0, "/items/refused")
    redis.ask("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        wait_until(lambda: not any(pair.stats(i)["in_contact"] for i in range(2)))
        calls = pair.apps.count("refused")
        wait_until(lambda: pair.read(0, "/items/refused") and
                   pair.apps.count("refused") > calls + 1)
    finally:
        redis.ask("CONFIG", "SET", "min-replicas-to-write", 0)
    pair.settle()


def test_scripts_that_redis_has_forgotten_are_told_it_again(pair, redis):
    redis.ask("SCRIPT", "FLUSH")
    pair.invalidate(0, tag="forgotten")
    wait_until(lambda: pair.stats(0)["pending"] == 0)
    assert pair.invalidate(0, tag="forgotten", wait="all").json()["replicated"] is True
    pair.settle()
    assert not [line for line in pair.larders[0].log_lines if "takes no writes" in line["message"]]


def test_the_docs_give_the_user_that_these_tests_log_in_with():
    line = next(line for line in (ROOT / "docs/FLEET.md").read_text().splitlines()
                if line.startswith("ACL SETUSER larder on >"))
    assert set(line.split()[5:]) == set(ACL.format(prefix="school").split())
