"""An app that fails, is slow, or says what it should not: what clients get meanwhile."""
import base64
import concurrent.futures
import datetime
import hashlib
import hmac
import json
import time
import zoneinfo

import pytest

from test_caching import config

SECRET = "0123456789abcdef0123456789abcdef"


def thing(**more):
    return dict({"name": "thing", "match": "GET,POST /thing/{id}", "key": ["path.id"],
                 "ttl": "200ms"}, **more)


def status_of(answer):
    return answer.headers["Cache-Status"]


def wait_until_stale(larder, path="/thing/a"):
    """Until the entry's own lifetime is over; asks the control plane, not the cache."""
    def is_stale():
        answer = larder.control("GET", f"/api/cache/entry?url={path}")
        return answer.status == 404 or answer.json()["variants"][0]["ttl_s"] < 0
    larder.wait_until(is_stale)


def test_a_stale_answer_is_served_while_one_fetch_renews_it(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(stale_while_revalidate="1h")))
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", gate="slow")
    for _ in range(5):
        answer = larder.request("GET", "/thing/a")
        assert answer.json()["number"] == 1
        assert "detail=stale-while-revalidate" in status_of(answer)
    assert larder.counter("totals.fetches") == 2, "one fetch for all of them"
    larder.wait_until(lambda: moody_app.count("a") == 2)
    moody_app.hold("slow").open()
    larder.wait_for_counter("totals.stored", 2)
    assert larder.request("GET", "/thing/a").json()["number"] == 2


def test_a_failed_refresh_leaves_the_stale_answer_and_is_not_repeated_at_once(larder_factory,
                                                                              moody_app):
    larder = larder_factory(config(moody_app, thing(stale_while_revalidate="1h"),
                                   cache={"retry": "1h"}))
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", status=500)
    assert larder.request("GET", "/thing/a").json()["number"] == 1
    larder.wait_for_counter("totals.refresh_failures", 1)
    for _ in range(5):
        assert larder.request("GET", "/thing/a").json()["number"] == 1
    assert moody_app.count("a") == 2


def test_must_revalidate_forbids_stale_answers(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(stale_while_revalidate="1h",
                                                    stale_if_error="1h")))
    moody_app.mood("a", headers={"Cache-Control": "max-age=1, must-revalidate"})
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", status=500)
    assert larder.request("GET", "/thing/a").status == 500


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failure_is_hidden_by_a_stale_answer(larder_factory, moody_app, status):
    larder = larder_factory(config(moody_app, thing(stale_if_error="1h")))
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", status=status)
    answer = larder.request("GET", "/thing/a")
    assert (answer.status, answer.json()["number"]) == (200, 1)
    assert "fwd=stale" in status_of(answer) and "detail=stale-if-error" in status_of(answer)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_definite_answer_is_passed_and_ends_the_stale_one(larder_factory, moody_app, status):
    larder = larder_factory(config(moody_app, thing(stale_if_error="1h")))
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", status=status)
    assert larder.request("GET", "/thing/a").status == status
    moody_app.mood("a", status=503)
    assert larder.request("GET", "/thing/a").status == 503


def test_a_dead_upstream_is_hidden_within_the_window_only(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(stale_if_error="1500ms")))
    larder.request("GET", "/thing/a")
    moody_app.mood("a", status=503)
    wait_until_stale(larder)
    assert larder.request("GET", "/thing/a").status == 200
    larder.wait_until(lambda: larder.request("GET", "/thing/a").status == 503)


def test_the_days_budget_ends_the_hiding(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(
        stale_if_error={"max": "1h", "per_day": "1s"})))
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", status=503)
    assert larder.request("GET", "/thing/a").status == 200
    larder.wait_until(lambda: larder.request("GET", "/thing/a").status == 503)
    assert larder.counter("routes.thing.stale_budget_spent") >= 1


def test_slower_than_the_deadline_counts_as_failed_and_is_stored_when_it_comes(larder_factory,
                                                                               moody_app):
    larder = larder_factory(config(moody_app, thing(stale_if_error="1h", deadline="50ms")))
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", gate="late")
    pending = [larder.start("GET", "/thing/a") for _ in range(4)]
    answers = [p.result() for p in pending]
    assert {a.json()["number"] for a in answers} == {1}
    assert all("detail=deadline" in status_of(a) for a in answers)
    assert larder.counter("totals.fetches") == 2
    larder.wait_until(lambda: moody_app.count("a") == 2)
    moody_app.hold("late").open()
    larder.wait_for_counter("totals.stored", 2)


def test_hot_answers_are_refreshed_ahead_and_cold_ones_are_not(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(ttl="1s", refresh_ahead=20)))
    larder.request("GET", "/thing/cold")
    end = time.monotonic() + 20
    while larder.counter("totals.refreshes_ahead") == 0 and time.monotonic() < end:
        larder.request("GET", "/thing/hot")
    assert larder.counter("totals.refreshes_ahead") > 0
    assert moody_app.count("cold") == 1


def test_no_client_fails_while_something_stale_may_be_served(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(ttl="50ms", stale_while_revalidate="100ms",
                                                    stale_if_error="1h", deadline="200ms"),
                                   workers=2))
    larder.request("GET", "/thing/a")

    def client(n):
        statuses = set()
        for i in range(30):
            if n == 0:
                moody_app.mood("a", status=200 if i % 2 else 503)
            statuses.add(larder.request("GET", "/thing/a").status)
        return statuses
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set.union(*pool.map(client, range(8))) == {200}


@pytest.mark.parametrize("body, reason", [
    ({"success": False}, "json-error"), ({"error": "x"}, "json-error"),
    ({"errors": [{"message": "x"}]}, "json-error"), ("{\"a\": }", "json-invalid"),
    ({"success": True, "errors": [], "error": None}, None)])
def test_json_that_tells_of_an_error_is_served_not_stored(larder_factory, moody_app, body, reason):
    larder = larder_factory(config(moody_app, thing(ttl="1h")))
    moody_app.mood("a", body=body)
    first = larder.request("GET", "/thing/a")
    assert first.status == 200
    assert ("stored" in status_of(first)) == (reason is None)
    if reason:
        assert f"detail={reason}" in status_of(first)
        assert larder.counter("routes.thing.refused")[reason] == 1


def test_a_bad_answer_never_replaces_a_good_one_that_may_be_served_stale(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(stale_if_error="1h",
                                                    stale_while_revalidate="1h")))
    moody_app.mood("a", body={"success": True, "n": 1})
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", body={"success": False})
    larder.request("GET", "/thing/a")
    larder.wait_for_counter("totals.refresh_failures", 1)
    assert larder.request("GET", "/thing/a").json() == {"success": True, "n": 1}


def test_conditions_and_lifetimes_by_the_answers_own_words(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(
        ttl="10m", store_if="status == 200 && /kind == \"job\" && header.X-Ok == 1",
        ttl_if=[{"if": "/status == \"running\"", "ttl": "0s"},
                {"if": "/status == \"done\"", "ttl": "1h"}])))
    ok = {"X-Ok": "1"}
    for body, headers, said in [
            ({"kind": "job", "status": "running"}, ok, "detail=ttl-if"),
            ({"kind": "x", "status": "done"}, ok, "detail=store-if"),
            ({"kind": "job", "status": "done"}, {}, "detail=store-if"),
            ({"kind": "job", "status": "done"}, ok, "ttl=3"),
    ]:
        moody_app.mood("a", body=body, headers=headers)
        assert said in status_of(larder.request("GET", "/thing/a"))


def token(claims, secret=SECRET, algorithm="HS256"):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    text = part({"alg": algorithm, "typ": "JWT"}) + b"." + part(claims)
    mac = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return "Bearer " + (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def ask(larder, authorization):
    return larder.request("GET", "/thing/a", headers={"Authorization": authorization})


def test_a_verified_token_says_whose_answer_it_is(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(
        ttl="1h", identity={"jwt": "/org", "key": SECRET})))
    one, again, two = (token({"org": o, "sub": s}) for o, s in ((1, "a"), (1, "b"), (2, "a")))
    assert "stored" in status_of(ask(larder, one))
    assert "hit" in status_of(ask(larder, again)), "another user of the same organisation"
    assert "stored" in status_of(ask(larder, two))
    bad = [token({"org": 1}, secret="f" * 32), token({"org": 1, "exp": 1}), token({"sub": "x"}),
           token({"org": 1}, algorithm="none"), "Bearer x.y.z"]
    for authorization in bad:
        answer = ask(larder, authorization)
        assert "detail=identity" in status_of(answer)
        assert answer.json()["who"] == authorization, "the app judges it"
    assert "bypass" in status_of(larder.request("GET", "/thing/a", headers={"Cookie": "a=1"}))


@pytest.mark.parametrize("status, body", [
    (401, {"error": "wrong password"}), (403, {"detail": "no"}), (429, {"detail": "slow down"}),
    (200, {"success": False}), (200, {"error": "wrong password"}), (200, {"errors": [1]})])
def test_a_failed_login_is_never_stored(larder_factory, moody_app, status, body):
    larder = larder_factory(config(moody_app, {
        "name": "login", "match": "POST /thing/login", "ttl": "6h",
        "ttl_by_status": {"4xx": "1h"},
        "key": ["json.user", {"param": "json.password", "secret": True}]}))
    moody_app.mood("login", status=status, body=body)

    def login():
        return larder.request("POST", "/thing/login", body='{"user": "ann", "password": "x"}',
                              headers={"Content-Type": "application/json"})
    for n in (1, 2):
        answer = login()
        assert (answer.status, answer.json(), moody_app.count("login")) == (status, body, n)
    moody_app.mood("login", body={"success": True})
    assert login().json() == {"success": True} and "hit" in status_of(login())


@pytest.mark.parametrize("headers, reason", [
    ({"Cookie": "lang=de"}, None), ({"Cookie": "lang=de; sessionid=1"}, "cookie"),
    ({"Cookie": "sessionid=1"}, "cookie"), ({"Cookie": "lang"}, None),
    ({"Accept-Language": "de", "X-Api-Key": "k"}, "api-key"), ({"X-Tenant": "a"}, None),
    ({"X-Auth-Token": "t"}, None), ({"Authorization": "Bearer t"}, "authorization")])
def test_a_key_that_holds_one_credential_says_nothing_of_others(larder_factory, moody_app, headers,
                                                                reason):
    larder = larder_factory(config(moody_app, thing(ttl="1h", key=[
        "path.id", "cookie.lang", "header.Accept-Language", "header.X-Tenant",
        "header.X-Auth-Token"])))
    status = [status_of(larder.request("GET", "/thing/a", headers=headers)) for _ in range(2)]
    if reason:
        assert all(f"detail={reason}" in s for s in status)
    else:
        assert "stored" in status[0] and "hit;" in status[1]


def test_an_identity_keeps_answers_apart_and_none_sends_no_credentials(larder_factory, moody_app):
    larder = larder_factory(config(
        moody_app, thing(ttl="1h", identity="auth", match="GET /thing/a", key=[]),
        {"name": "all", "match": "GET /thing/all", "ttl": "1h", "identity": "none"}))
    for who in ("Bearer a", "Bearer b"):
        assert ask(larder, who).json()["who"] == who
        assert "hit" in status_of(ask(larder, who))
        assert ask(larder, who).json()["who"] == who
    first = larder.request("GET", "/thing/all", headers={"Authorization": "Bearer a"})
    assert first.json()["who"] is None
    assert "hit" in status_of(larder.request("GET", "/thing/all", headers={"Cookie": "x=1"}))


def test_an_api_key_is_a_credential_and_the_log_says_what_would_change_it(larder_factory,
                                                                          moody_app):
    larder = larder_factory(config(moody_app, thing(ttl="1h")))
    for _ in range(3):
        answer = larder.request("GET", "/thing/a", headers={"X-Api-Key": "k1"})
        assert "detail=api-key" in status_of(answer)
    assert "identity" in larder.counter("routes.thing.advice")[0]
    told = [message for message in larder.whole_log() if "api-key" in message]
    assert len(told) == 1 and "identity" in told[0]


def lifetimes(larder, *paths):
    for path in paths:
        larder.request("GET", path)
    return [larder.control("GET", f"/api/cache/entry?url={path}").json()["variants"][0][
        "lifetime_ms"] for path in paths]


def test_lifetimes_are_spread_by_chance(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(ttl="1000s", jitter="20%")))
    spread = lifetimes(larder, *[f"/thing/{n}" for n in range(20)])
    assert all(800000 < ms <= 1000000 for ms in spread) and len(set(spread)) > 10


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "UTC"])
def test_lifetimes_end_at_a_time_of_day_there(larder_factory, moody_app, zone):
    now = datetime.datetime.now(zoneinfo.ZoneInfo(zone))
    until = (now + datetime.timedelta(minutes=30)).replace(second=0, microsecond=0)
    larder = larder_factory(config(moody_app, thing(ttl="10h", until=f"{until:%H:%M} {zone}")))
    moody_app.mood("soon", headers={"Cache-Control": "max-age=60"})
    rest, soon = lifetimes(larder, "/thing/a", "/thing/soon")
    expected = (until - datetime.datetime.now(datetime.timezone.utc)).total_seconds() * 1000
    assert abs(rest - expected) < 20000 and soon <= 60000


@pytest.mark.parametrize("directive, status, served", [
    ("stale-while-revalidate=3600", 200, 200), ("stale-if-error=3600", 503, 200),
    ("stale-if-error=0", 503, 503), ("stale-if-error=3600, must-revalidate", 503, 503),
    ("stale-if-error=3600, proxy-revalidate", 503, 503), ("s-maxage=1", 503, 503)])
def test_the_apps_own_windows_go_before_the_configs(larder_factory, moody_app, directive, status,
                                                    served):
    windows = {} if "3600" in directive else {"stale_if_error": "1h"}
    larder = larder_factory(config(moody_app, thing(**windows)))
    moody_app.mood("a", headers={"Cache-Control": f"max-age=1, {directive}"})
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", status=status)
    answer = larder.request("GET", "/thing/a")
    assert answer.status == served
    if served == 200:
        assert answer.json()["number"] == 1 and "detail=stale-" in status_of(answer)


def test_variants_heads_and_posts_are_served_stale_and_renewed_each_for_itself(larder_factory,
                                                                               moody_app):
    larder = larder_factory(config(
        moody_app, {"name": "ask", "match": "POST /thing/ask", "key": ["json.q"], "ttl": "1h",
                    "stale_while_revalidate": "1h"},
        thing(ttl="1h", stale_while_revalidate="1h")))
    moody_app.mood("v", headers={"Vary": "X-Lang"})
    post = {"body": '{"q": 1}', "headers": {"Content-Type": "application/json"}}
    requests = [("GET", "/thing/v", {"headers": {"X-Lang": "de"}}),
                ("GET", "/thing/v", {"headers": {"X-Lang": "hi"}}),
                ("GET", "/thing/h", {}), ("POST", "/thing/ask", post)]
    first = [larder.request(m, path, **more).json()["number"] for m, path, more in requests]
    assert first == [1, 2, 1, 1]
    larder.invalidate(all=True, mode="soft")
    head = larder.request("HEAD", "/thing/h")
    assert head.body == b"" and "detail=stale-while-revalidate" in status_of(head)
    for n, (method, path, more) in enumerate(requests):
        answer = larder.request(method, path, **more)
        if path != "/thing/h":  # the HEAD has begun to renew it already
            assert answer.json()["number"] == first[n]
            assert "detail=stale-while-revalidate" in status_of(answer)
    larder.wait_for_counter("totals.stored", 8)
    assert [larder.request(m, path, **more).json()["number"] for m, path, more in requests] in (
        [3, 4, 2, 2], [4, 3, 2, 2])


def test_a_renewal_that_hangs_does_not_hold_up_the_end(larder_factory, moody_app):
    larder = larder_factory(dict(config(moody_app, thing(stale_while_revalidate="1h")),
                                 drain_timeout="5m"))
    larder.request("GET", "/thing/a")
    wait_until_stale(larder)
    moody_app.mood("a", gate="never")
    assert "stale-while-revalidate" in status_of(larder.request("GET", "/thing/a"))
    larder.wait_until(lambda: moody_app.count("a") == 2)
    larder.stop()
