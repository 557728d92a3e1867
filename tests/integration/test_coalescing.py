"""N concurrent misses of one key are one upstream request, whatever becomes of their clients."""
import socket

from test_caching import config


def held_route(**more):
    return dict({"name": "held", "match": "GET /hold/*", "ttl": "1h"}, **more)


def test_concurrent_misses_share_one_fetch(larder_factory, flask_app):
    """RFC 9111 section 4: one forwarded request may answer all that wait for it."""
    larder = larder_factory(config(flask_app, held_route()))
    gate = flask_app.hold("one")
    pending = [larder.start("GET", "/hold/one") for _ in range(30)]
    larder.wait_for_counter("totals.coalesced_waiting", 29)
    gate.open()
    answers = [p.result() for p in pending]
    assert [a.status for a in answers] == [200] * 30
    assert len({a.body for a in answers}) == 1
    assert flask_app.count("hold-one") == 1
    assert sum("collapsed" in a.headers["Cache-Status"] for a in answers) == 29


def test_a_leader_that_leaves_changes_nothing(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, held_route()))
    gate = flask_app.hold("left")
    with socket.create_connection(("127.0.0.1", larder.public_port)) as s:
        s.sendall(b"GET /hold/left HTTP/1.1\r\nHost: a\r\n\r\n")
        larder.wait_for_counter("totals.fetches", 1)
        waiter = larder.start("GET", "/hold/left")
        larder.wait_for_counter("totals.coalesced_waiting", 1)
    larder.wait_for_counter("totals.clients_gone", 1)
    gate.open()
    assert waiter.result().status == 200
    assert flask_app.count("hold-left") == 1
    assert "hit" in larder.request("GET", "/hold/left").headers["Cache-Status"]


def test_an_unstorable_answer_releases_the_waiters_each_to_its_own_fetch(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, held_route()))
    gate = flask_app.hold("private-1")
    pending = [larder.start("GET", "/hold/private-1") for _ in range(8)]
    larder.wait_for_counter("totals.coalesced_waiting", 7)
    gate.open()
    bodies = [p.result().body for p in pending]
    assert len(set(bodies)) == 8, "each client has its own answer"
    assert flask_app.count("hold-private-1") == 8
    again = larder.request("GET", "/hold/private-1")
    assert "private" in again.headers["Cache-Status"]
    assert larder.counter("totals.hit_for_miss") == 1


def test_waiters_have_a_cap_and_a_deadline(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, held_route(),
                                   cache={"waiters": 2, "wait_timeout": "300ms"}))
    gate = flask_app.hold("cap")
    pending = []

    def is_refused():  # one leads and two wait; more come as long as these may have given up
        pending.append(larder.start("GET", "/hold/cap"))
        return larder.counter("totals.waiters_full")
    larder.wait_until(is_refused)
    larder.wait_for_counter("totals.wait_timeouts", 2)
    gate.open()
    assert [p.result().status for p in pending] == [200] * len(pending)


def test_an_invalidation_overtakes_a_fetch_in_flight(larder_factory, flask_app):
    """What began before an acknowledged invalidation is never served after it."""
    for selector in ({"all": True}, {"glob": "held:*"}, {"route": "held"}):
        larder = larder_factory(config(flask_app, held_route()))
        name = "race-" + next(iter(selector))
        gate = flask_app.hold(name)
        early = larder.start("GET", f"/hold/{name}")
        larder.wait_for_counter("totals.fetches", 1)
        assert larder.invalidate(**selector)["in_flight"] == 1
        late = larder.start("GET", f"/hold/{name}")
        larder.wait_for_counter("totals.fetches", 2)
        gate.open()
        assert early.result().status == late.result().status == 200
        assert early.result().body != late.result().body
        now = larder.request("GET", f"/hold/{name}")
        assert now.body == late.result().body
        assert larder.stats()["routes"]["held"]["refused_overtaken"] == 1
