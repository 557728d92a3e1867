"""Who gets what another's request has brought, in mode http: RFC 9111 sections 3.5 and 4."""
import threading

import pytest

from support.larder import wait_until
from support.script import CLOSED, Reply, site_of

FRESH = ("Cache-Control", "max-age=3600")
TAG = ("ETag", '"a"')
ANN, BOB = [("Cookie", "sid=ann")], [("Cookie", "sid=bob")]
AUTH = [("Authorization", "Basic x")]


def cc(value):
    return "Cache-Control", value


def waiting(site, path, asks):
    """Sends requests while the first is on its way; all wait for it, or are on their way, too."""
    before = site.larder.counter("totals.coalesced_waiting")
    pending = [site.start(path, fields) for fields in asks]
    wait_until(lambda: site.larder.counter("totals.coalesced_waiting") - before
               + len(site.asked(path)) >= 1 + len(asks))
    return pending


def first_of(site, path, fields=()):
    pending = site.start(path, fields)
    wait_until(lambda: len(site.asked(path)) == 1)
    return pending


def test_who_waits_shares_an_answer_that_is_fresh(site):
    gate = threading.Event()
    path = site.path(Reply([FRESH], gate=gate))
    leader = first_of(site, path)
    pending = waiting(site, path, [(), (), ()])
    gate.set()
    assert [p.result().body for p in [leader, *pending]] == [b"answer 1"] * 4
    assert len(site.asked(path)) == 1


@pytest.mark.parametrize("fields", [
    [cc("no-store")], [cc("private, max-age=60")], [FRESH, ("Set-Cookie", "sid=ann")],
    [FRESH, ("Vary", "*")], [cc("no-cache"), TAG], [cc("max-age=0"), TAG]])
def test_who_waits_gets_nothing_that_is_for_one_alone(site, fields):
    gate = threading.Event()
    path = site.path(Reply(fields, gate=gate), Reply(fields))
    leader = first_of(site, path)
    pending = waiting(site, path, [(), ()])
    gate.set()
    assert leader.result().body == b"answer 1"
    assert sorted(p.result().body for p in pending) == [b"answer 2", b"answer 3"]


def test_who_waits_gets_no_answer_to_an_authorized_request(site):
    gate = threading.Event()
    path = site.path(Reply([FRESH], gate=gate), Reply([FRESH]))
    leader = first_of(site, path, AUTH)
    pending = waiting(site, path, [(), [("Authorization", "Basic y")]])
    gate.set()
    assert leader.result().body == b"answer 1"
    assert b"answer 1" not in [p.result().body for p in pending]


def test_an_authorized_request_does_not_wait_for_an_answer_that_is_not_for_it(site):
    """The same answer, found stored a moment later, is not used for it."""
    gate = threading.Event()
    path = site.path(Reply([FRESH], gate=gate), Reply([FRESH]))
    leader = first_of(site, path)
    pending = waiting(site, path, [AUTH])
    gate.set()
    assert leader.result().body == b"answer 1"
    assert pending[0].result().body == b"answer 2"


def test_who_waits_gets_its_own_variant(site):
    gate = threading.Event()
    fields = [FRESH, ("Vary", "Foo")]
    path = site.path(Reply(fields, gate=gate), Reply(fields))
    leader = first_of(site, path, [("Foo", "1")])
    pending = waiting(site, path, [[("Foo", "1")], [("Foo", "2")]])
    gate.set()
    assert leader.result().body == pending[0].result().body == b"answer 1"
    assert pending[1].result().body == b"answer 2"


def test_a_guess_is_not_made_of_what_a_request_with_cookies_brought(site):
    """It may be its sender's own; so each use is confirmed, by an entity tag: of two clients' pages
    the dates may be one."""
    changed = ("Last-Modified", -100000)
    path = site.path(Reply([changed]))
    site.ask(path, ANN)
    assert site.ask(path, BOB).body == b"answer 2" and not site.asked(path)[1].is_conditional
    path = site.path(Reply([changed, TAG]), Reply([changed, TAG], 304))
    site.ask(path, ANN)
    assert not site.ask(path, BOB).is_hit
    assert site.asked(path)[1].is_conditional and site.asked(path)[1].get("Cookie") == "sid=bob"


@pytest.mark.parametrize("under, fields", [
    pytest.param("", [cc("max-stale")]),
    pytest.param("/windows", []),
    ("", [])])
def test_what_a_request_with_cookies_brought_is_nobody_elses_without_a_word_of_the_app(
        site, under, fields):
    """The app says neither that it is fresh nor that it is private: only ETag."""
    path = site.path(Reply([TAG]), Reply([("ETag", '"b"')]), under=under)
    site.ask(path, ANN)
    assert site.ask(path, fields).body == b"answer 2"


def test_nor_does_a_failure_make_it_everybodys(site):
    path = site.path(Reply([cc("stale-while-revalidate=0"), TAG]), CLOSED, under="/windows")
    site.ask(path, ANN)
    assert site.ask(path, BOB).status in (502, 504)


def test_nor_does_it_make_it_an_authorized_ones(site):
    """Fresh, it would not be used for him: section 3.5 as larder reads it."""
    path = site.path(Reply([cc("max-age=0, stale-if-error=60")]), CLOSED)
    site.ask(path)
    assert site.ask(path, AUTH).status in (502, 504)


def test_api_keys_are_credentials_as_well(site):
    key = [("X-Api-Key", "k")]
    assert site.twice([FRESH], first=key) == "asked"
    assert site.twice([FRESH], then=key) == "asked"
    assert site.twice([cc("max-age=3600, public")], first=key) == "cached"


def test_an_encoded_body_goes_only_to_who_reads_it(site):
    """RFC 9110 section 12.5.3, and an app that forgets Vary."""
    gzip = [("Accept-Encoding", "gzip")]
    fields = [FRESH, ("Content-Encoding", "gzip")]
    assert site.twice(fields, first=gzip) == "asked"
    assert site.twice(fields, first=gzip, then=[("Accept-Encoding", "br")]) == "asked"
    assert site.twice(fields, first=gzip, then=gzip) == "cached"
    path = site.path(Reply(fields))
    site.ask(path, gzip)
    assert site.asked(path)[0].get("Accept-Encoding") == "gzip"


@pytest.mark.parametrize("under, reply", [
    ("", dict(status=500)),  # an error page that greets its reader
    ("/picky", dict(fields=[TAG]))])  # not stored by a rule of the route, and not said to be public
def test_what_is_not_stored_is_shared_with_no_other_cookie(under, reply):
    gate = threading.Event()
    picky = {"name": "picky", "match": "/picky/*", "mode": "http",
             "store_if": "header.X-Store == 1"}
    with site_of(picky) as site:
        path = site.path(Reply(gate=gate, **reply), Reply(**reply), under=under)
        leader = first_of(site, path, ANN)
        pending = waiting(site, path, [BOB, ()])
        gate.set()
        assert leader.result().body == b"answer 1"
        assert b"answer 1" not in [p.result().body for p in pending]


def test_a_deadline_gives_nothing_to_whom_it_is_not_for():
    """Neither to an authorized client, nor to one that reads it from another origin."""
    gate = threading.Event()
    slow = {"name": "slow", "match": "/slow/*", "mode": "http", "deadline": "50ms"}
    with site_of(slow) as site:
        reply = Reply([cc("max-age=0, stale-if-error=60")])
        for asks in (AUTH, [("Origin", "http://a")]):
            path = site.path(reply, Reply(gate=gate), under="/slow")
            site.ask(path)
            pending = site.start(path, asks)
            assert site.ask(path).body == b"answer 1", "others get what is stale"
            gate.set()
            assert pending.result().body != b"answer 1"
            gate.clear()


def test_what_failed_in_an_answers_place_is_no_hit(site):
    """The answer that was waited for is not for this request, and its own one does not come."""
    gate = threading.Event()
    path = site.path(Reply([FRESH], gate=gate), CLOSED)
    leader = first_of(site, path)
    pending = waiting(site, path, [AUTH])
    gate.set()
    assert leader.result().body == b"answer 1"
    answer = pending[0].result()
    assert answer.status == 502 and not answer.is_hit


def test_a_host_without_a_host_field_is_told_apart():
    """HTTP/1.0 may name it in the target alone, and the app is asked by it all the same."""
    anyhost = {"name": "any", "match": "/any/*", "mode": "http", "key_host": False}
    with site_of(anyhost) as site:
        path = site.path(Reply([FRESH, ("Link", "<http://evil/x>")]), Reply([FRESH]), under="/any")
        for target, body in ((f"http://evil{path}", b"answer 1"), (path, b"answer 2")):
            data = site.larder.raw(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            assert data.endswith(body)


@pytest.mark.parametrize("selector", [{"path": "PATH"}, {"key": "all:PATH?:@site"},
                                      {"glob": "all:PATH?:*"}])
def test_http_and_https_are_two_uris_and_one_resource_to_invalidate(selector):
    """RFC 9111 section 2; else the redirect to https would be given to who comes by https."""
    https = [("X-Forwarded-Proto", "https")]
    with site_of(trusted_proxies=["127.0.0.0/8"]) as site:
        path = site.path(Reply([FRESH, ("Location", "https://site/")], 301), Reply([FRESH]))
        assert [site.ask(path, f).status for f in ((), https, (), https)] == [301, 200, 301, 200]
        assert site.ask(path, https).is_hit and len(site.asked(path)) == 2
        site.larder.invalidate(**{k: v.replace("PATH", path) for k, v in selector.items()})
        assert [site.ask(path, f).is_hit for f in ((), https)] == [False, False]


def test_who_spoofs_the_scheme_gets_what_the_app_says_to_http(site):
    path = site.path(Reply([FRESH]))
    assert not site.ask(path, [("X-Forwarded-Proto", "https")]).is_hit
    assert site.asked(path)[0].get("X-Forwarded-Proto") == "http"
    assert site.ask(path).is_hit


@pytest.mark.parametrize("name", ["X-Forwarded-For", "x-forwarded-host", "X-Request-Id", "Via"])
def test_what_varies_by_a_field_that_larder_writes_is_kept_for_nobody(site, name):
    """The client's own, or none at all, says nothing of what the app has read."""
    assert site.twice([FRESH, ("Vary", name)]) == "asked"
    path = site.path(Reply([FRESH, ("Vary", name)]))
    site.ask(path)
    assert site.asked(path)[0].get(name)


def test_a_variant_that_is_not_let_in_leaves_no_word_of_its_language():
    with site_of(cache={"max_variants": 1}) as site:
        path = site.path(Reply([FRESH, ("Vary", "Accept-Language, Foo"), ("Content-Language", "de")]))
        for n in range(9):
            site.ask(path, [("Accept-Language", "de"), ("Foo", str(n))])
        assert site.larder.counter("totals.refused.variants") == 8
        assert site.larder.counter("totals.entries") == 1
        assert site.larder.counter("totals.markers") == 2  # of the URL, and of the variant's language


@pytest.mark.parametrize("rules", [{"ttl": "1h"}, {"ttl_by_status": {"200": "1h"}}])
@pytest.mark.parametrize("fields", [[], [TAG]])
def test_a_lifetime_of_the_route_does_not_make_it_everybodys(rules, fields):
    """It says how long, as in mode ttl, where such a request is not answered out of the cache."""
    shared = {"name": "s", "match": "/s/*", "mode": "http", "cookies": "share", **rules}
    with site_of(shared, {"name": "t", "match": "/t/*", "mode": "http", **rules}) as site:
        assert site.twice(fields, under="/t") == "cached"
        path = site.path(Reply(fields), Reply([("ETag", '"b"')]), under="/t")
        site.ask(path, ANN)
        assert site.ask(path, BOB).body == b"answer 2"
        assert site.twice(fields, first=ANN, then=BOB, under="/s") == "cached"
