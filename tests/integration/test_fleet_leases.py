""""coalesce": "fleet": one fetch of a slow app for all instances; and nobody waits for one that
does not come."""
import pytest

from support.fleet import ROUTES, Fleet, route

LEASE_S = 5


@pytest.fixture(scope="module")
def standing(fleet_apps, redis):
    fleet = Fleet(fleet_apps, redis, command_timeout="1s", routes=[
        route("slow", "GET /slow/{id}", key=["path.id"], coalesce="fleet",
              first_byte_timeout=f"{LEASE_S}s"),
        *(r for r in ROUTES if r["name"] != "slow")])
    yield fleet
    fleet.stop()


def ask(fleet, path, each=20):
    """As many clients before each larder, and all wait; the first of them leads, and asks before
    all."""
    led = fleet.sum("leases_led")
    first = fleet.larders[0].start("GET", path)
    fleet.larders[0].wait_until(lambda: fleet.sum("leases_led") > led)
    pending = [first] + [fleet.larders[i].start("GET", path) for i in range(len(fleet.larders))
                         for _ in range(each - (i == 0))]
    for larder in fleet.larders:
        larder.wait_for_counter("totals.coalesced_waiting", each - 1)
    return pending


def wait_for_waiters(fleet, before, count):
    fleet.larders[0].wait_until(lambda: fleet.sum("leases_waited") >= before + count)


def test_one_fetch_answers_all_clients_of_all_instances(fleet):
    waited, filled = fleet.sum("leases_waited"), fleet.sum("leases_filled")
    pending = ask(fleet, "/slow/cold?gate=cold")
    wait_for_waiters(fleet, waited, 2)
    fleet.apps.open("cold")
    answers = [p.result() for p in pending]
    assert [a.status for a in answers] == [200] * 60
    assert len({a.body for a in answers}) == 1
    assert fleet.apps.count("cold") == 1
    assert fleet.sum("leases_filled") == filled + 2
    assert not any(fleet.stats(i)["leases_expired"] for i in range(3))


def test_what_may_not_be_stored_sends_each_instance_to_the_app(fleet):
    waited = fleet.sum("leases_waited")
    pending = ask(fleet, "/slow/private?gate=private&Cache-Control=private", each=3)
    wait_for_waiters(fleet, waited, 2)
    fleet.apps.open("private")
    assert [p.result().status for p in pending] == [200] * 9
    assert fleet.apps.count("private") == 9, "each client has its own answer"


def test_an_invalidation_overtakes_a_fetch_that_others_wait_for(fleet):
    waited = fleet.sum("leases_waited")
    pending = ask(fleet, "/slow/overtaken?gate=overtaken", each=1)
    wait_for_waiters(fleet, waited, 2)
    fleet.larders[0].wait_until(lambda: fleet.apps.count("overtaken"))
    version = fleet.apps.bump("overtaken")
    assert fleet.invalidate(1, path="/slow/{id}", wait="all").status == 200
    late = [fleet.larders[i].start("GET", "/slow/overtaken") for i in range(3)]
    fleet.apps.open("overtaken")
    assert [p.result().status for p in pending] == [200] * 3
    assert [p.result().json()["version"] for p in late] == [version] * 3
    assert [fleet.version(i, "/slow/overtaken") for i in range(3)] == [version] * 3


def test_when_the_one_that_fetches_is_killed_the_others_fetch(fleet):
    waited = fleet.sum("leases_waited")
    pending = ask(fleet, "/slow/orphan?gate=orphan", each=5)
    wait_for_waiters(fleet, waited, 2)
    fleet.kill(0)
    fleet.apps.open("orphan")
    for p in pending[5:]:
        assert p.result().status == 200
    for p in pending[:5]:
        assert p.exception(), "its own clients lost their connection"
    assert fleet.apps.count("orphan") <= 3
    fleet.start(0)
    fleet.settle()


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_when_redis_goes_while_they_wait_all_have_their_answers(fleet, redis, how):
    waited, expired = fleet.sum("leases_waited"), fleet.sum("leases_expired")
    path = f"/slow/{how}?gate={how}"
    pending = ask(fleet, path, each=5)
    wait_for_waiters(fleet, waited, 2)
    getattr(redis, how)()
    try:
        fleet.apps.open(how)
        assert [p.result().status for p in pending] == [200] * 15
        assert fleet.sum("leases_expired") == expired, "nobody waits where no word can come"
        assert fleet.apps.count(how) <= 3
    finally:
        if how == "kill":
            redis.start()
        else:
            redis.thaw()


def test_a_lease_lost_in_redis_costs_a_fetch_and_no_answer(fleet, redis):
    waited = fleet.sum("leases_waited")
    pending = ask(fleet, "/slow/flushed?gate=flushed", each=5)
    wait_for_waiters(fleet, waited, 2)
    redis.ask("FLUSHALL")
    fleet.apps.open("flushed")
    assert [p.result().status for p in pending] == [200] * 15
    assert fleet.apps.count("flushed") <= 3


def test_without_leases_each_instance_fetches(fleet):
    assert not any(r.get("coalesce") for r in ROUTES if r["name"] == "items")
    pending = [fleet.larders[i].start("GET", "/items/each?gate=each") for i in range(3)]
    fleet.larders[0].wait_until(lambda: fleet.apps.count("each") == 3)
    fleet.apps.open("each")
    assert [p.result().status for p in pending] == [200] * 3
