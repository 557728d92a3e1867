"""What comes in an unlucky order: an end while somebody waits for other instances, a call that is made
again before the first is answered, an answer that is held while its client or its app goes."""
import json
import signal

import pytest

from support.fleet import Fleet
from support.larder import request, wait_until
from support.redis import RedisServer

ALLOWED = {"listen": "127.0.0.1:0", "mount": True, "allow": ["127.0.0.1/32"]}


@pytest.fixture(scope="module")
def redis():
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def fleet_factory(fleet_apps):
    started = []

    def start(redis, **more):
        started.append(Fleet(fleet_apps, redis, **more))
        return started[-1]
    yield start
    for fleet in started:
        fleet.stop()


def all_of_it(port, **headers):
    body = json.dumps({"all": True, "wait": "all"})
    return request(port, "POST", "/api/cache/invalidate", body=body, headers=headers)


@pytest.mark.parametrize("where", ["control", "public"])
def test_an_end_while_a_call_waits_for_other_instances_is_a_clean_one(fleet_factory, redis, where):
    two = fleet_factory(redis, size=2, prefix=f"ended-{where}",
                        more={"control": ALLOWED, "drain_timeout": "100ms"})
    two.kill(1)
    larder = two.larders[0]
    port = getattr(larder, f"{where}_port")
    published = two.stats(0)["published"]
    waiting = larder.pool.submit(all_of_it, port)
    wait_until(lambda: two.stats(0)["published"] > published)
    larder.process.send_signal(signal.SIGTERM)
    larder.stop()
    assert waiting.exception() or waiting.result().status in (202, 503)


def test_a_call_made_again_before_the_first_is_answered_is_not_done_again(fleet_factory, redis):
    two = fleet_factory(redis, size=2, prefix="again")
    two.kill(1)
    larder = two.larders[0]
    published = two.stats(0)["published"]
    first = larder.pool.submit(all_of_it, larder.control_port, **{"Idempotency-Key": "k"})
    wait_until(lambda: two.stats(0)["published"] > published)
    second = all_of_it(larder.control_port, **{"Idempotency-Key": "k"})
    assert second.status == 409 and second.json()["type"].endswith("#idempotency-key")
    assert first.result().status == 202 and first.result().json()["not_applied_by"]
    third = all_of_it(larder.control_port, **{"Idempotency-Key": "k"})
    assert (third.status, third.body) == (202, first.result().body)
    assert two.stats(0)["published"] == published + 1
    two.start(1)
