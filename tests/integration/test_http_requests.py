"""What a request may ask of the cache in mode http, and what a write takes back: RFC 9111 sections
4.1, 4.4 and 5.2.1, RFC 9110 section 14."""
import socket
import threading

import pytest

from support.larder import wait_until
from support.script import CLOSED, Answer, Reply, site_of

FRESH = ("Cache-Control", "max-age=3600")
NOW = ("Date", 0)
TAG = ("ETag", '"a"')
TEN = b"0123456789"


def cc(value):
    return "Cache-Control", value


AGED = [FRESH, NOW, ("Age", 1800)]


@pytest.mark.parametrize("asks, becomes", [
    ([], "cached"),
    ([cc("no-cache")], "asked"), ([cc("No-Cache")], "asked"), ([cc("x, no-cache")], "asked"),
    ([cc("no-store")], "cached"),  # section 5.2.1.5: it says nothing of what is stored already
    ([cc("max-age=0")], "asked"), ([cc("max-age=1799")], "asked"),
    ([cc("max-age=1810")], "cached"), ([cc("max-age=x")], "asked"),
    ([cc("max-age=1799, max-stale")], "asked"),
    ([cc("min-fresh=1801")], "asked"), ([cc("min-fresh=1700")], "cached"),
    ([cc("max-stale=10")], "cached"), ([cc("only-if-cached")], "cached"),
    ([cc("no-cache"), cc("max-age=9999")], "asked"),
    ([("Pragma", "no-cache")], "asked"), ([("Pragma", "x")], "cached"),
    ([("Pragma", "no-cache"), cc("max-age=9999")], "cached"),
])
def test_a_request_may_want_it_newer(site, asks, becomes):
    assert site.twice(AGED, then=asks) == becomes


@pytest.mark.parametrize("asks", [
    [cc("no-cache")], [cc("max-age=0")], [cc("max-age=1799")], [cc("min-fresh=1801")],
    [("Pragma", "no-cache")]])
def test_a_route_may_pass_over_what_requests_ask(site, asks):
    """"request_cache_control": "ignore"."""
    assert site.twice(AGED, then=asks, under="/ignoring") == "cached"


def test_a_route_that_passes_over_it_asks_the_app_in_spite_of_only_if_cached(site):
    path = site.path(Reply([FRESH]), under="/ignoring")
    assert site.ask(path, [cc("only-if-cached")]).status == 200
    assert site.ask(path).is_hit


OLDER = ("Age", 5)


def test_no_cache_validates_and_what_it_finds_is_for_all(site):
    path = site.path(Reply([FRESH, TAG, ("A", "1")]), Reply([FRESH, TAG, OLDER, ("A", "2")], 304),
                     Reply([FRESH, ("ETag", '"b"')]))
    site.ask(path)
    assert site.ask(path, [cc("no-cache")]).body == b"answer 1"
    assert site.asked(path)[1].get("If-None-Match") == '"a"'
    answer = site.ask(path)
    assert answer.is_hit and answer.get("A") == "2"
    assert site.ask(path, [cc("max-age=0")]).body == b"answer 3"
    answer = site.ask(path)
    assert answer.is_hit and answer.body == b"answer 3"


@pytest.mark.parametrize("value", ["no-cache", "max-age=0"])
def test_no_cache_is_not_answered_by_what_could_not_be_validated(site, value):
    """RFC 9111 section 5.2.1.4."""
    path = site.path(Reply([FRESH, TAG, OLDER]), CLOSED)
    site.ask(path)
    assert site.ask(path, [cc(value)]).status in (502, 504)


def test_a_failed_validation_takes_nothing_away(site):
    path = site.path(Reply([FRESH, TAG]), CLOSED)
    site.ask(path)
    site.ask(path, [cc("no-cache")])
    answer = site.ask(path)
    assert answer.is_hit and answer.body == b"answer 1"


@pytest.mark.parametrize("value", ["no-cache", "max-age=0"])
def test_no_cache_does_not_wait_for_an_older_question(site, value):
    """What is on its way may have begun before what this client knows of."""
    gate = threading.Event()
    path = site.path(Reply([FRESH, TAG, OLDER]), Reply([FRESH, TAG], 304, gate=gate),
                     Reply([FRESH]))
    site.ask(path)
    slow = site.start(path, [cc(value)])
    wait_until(lambda: len(site.asked(path)) == 2)
    assert site.ask(path, [cc(value)]).body == b"answer 3"
    gate.set()
    assert slow.result().status == 200


def test_no_store_of_a_request_leaves_nothing_behind(site):
    path = site.path(Reply([FRESH]))
    assert site.ask(path, [cc("no-store")]).body == b"answer 1"
    assert site.ask(path).body == b"answer 2"
    assert site.ask(path).is_hit
    assert site.ask(path, [cc("no-store, no-cache")]).body == b"answer 3"
    answer = site.ask(path)
    assert answer.is_hit and answer.body == b"answer 2", "it takes nothing away either"


def test_only_if_cached_never_reaches_the_app(site):
    """RFC 9111 section 5.2.1.7."""
    path = site.path(Reply([FRESH]))
    assert site.ask(path, [cc("only-if-cached")]).status == 504
    assert len(site.asked(path)) == 0
    site.ask(path)
    answer = site.ask(path, [cc("only-if-cached")])
    assert answer.is_hit and answer.body == b"answer 1"
    for more in ("no-cache", "max-age=0, min-fresh=4000", "min-fresh=3601"):
        assert site.ask(path, [cc(f"only-if-cached, {more}")]).status == 504
    stale = site.path(Reply([cc("max-age=0"), TAG]))
    site.ask(stale)
    assert site.ask(stale, [cc("only-if-cached")]).status == 504
    assert site.ask(stale, [cc("only-if-cached, max-stale")]).body == b"answer 1"
    assert site.ask(stale, [cc("only-if-cached")], method="HEAD").status == 504
    assert [len(site.asked(p)) for p in (path, stale)] == [1, 1]


def test_only_if_cached_knows_variants(site):
    path = site.path(Reply([FRESH, ("Vary", "Foo")]))
    site.ask(path, [("Foo", "1")])
    only = cc("only-if-cached")
    assert site.ask(path, [("Foo", "1"), only]).is_hit
    assert site.ask(path, [("Foo", "2"), only]).status == site.ask(path, [only]).status == 504
    assert len(site.asked(path)) == 1


def test_max_stale_takes_what_is_stale_without_asking(site):
    path = site.path(Reply([cc("max-age=60"), NOW, TAG, ("Age", 90)]))
    site.ask(path)
    answer = site.ask(path, [cc("max-stale")])
    assert answer.body == b"answer 1" and len(site.asked(path)) == 1
    assert int(answer.get("Age")) >= 90
    status = answer.get("Cache-Status")
    assert status.startswith("larder; hit; ttl=-") and status.endswith("; detail=max-stale")
    assert site.ask(path).body == b"answer 2"


def test_max_stale_counts_from_the_end_of_freshness(site):
    """RFC 9111 section 5.2.1.2: of age 1000 and lifetime 60 it is stale for 940 seconds."""
    path = site.path(Reply([cc("max-age=60"), NOW, TAG, ("Age", 1000)]))
    site.ask(path)
    assert site.ask(path, [cc("max-stale=100")]).body == b"answer 2"


# --- HEAD ---

def test_a_head_is_answered_from_a_stored_get(site):
    path = site.path(Reply([FRESH, ("A", "1")], body=TEN))
    site.ask(path)
    answer = site.ask(path, method="HEAD")
    assert answer.is_hit and answer.body == b"" and answer.get("A") == "1"
    assert answer.get("Content-Length") == "10"


def test_a_head_goes_to_the_app_as_a_head_and_is_not_stored(site):
    path = site.path(Reply([FRESH, ("A", "1")], body=TEN))
    answer = site.ask(path, method="HEAD")
    assert answer.status == 200 and answer.body == b"" and answer.get("Content-Length") == "10"
    assert [r.method for r in site.asked(path)] == ["HEAD"]
    assert site.ask(path).body == TEN
    assert [r.method for r in site.asked(path)] == ["HEAD", "GET"]


def test_a_head_of_something_stale_goes_to_the_app_as_a_head(site):
    path = site.path(Reply([cc("max-age=0"), TAG], body=TEN))
    site.ask(path)
    assert site.ask(path, method="HEAD").body == b""
    assert [r.method for r in site.asked(path)] == ["GET", "HEAD"]
    assert site.ask(path).body == TEN


# --- ranges ---

@pytest.mark.parametrize("value, part, says", [
    ("bytes=0-1", b"01", "bytes 0-1/10"), ("bytes=1-", b"123456789", "bytes 1-9/10"),
    ("bytes=-1", b"9", "bytes 9-9/10"), ("bytes=-99", TEN, "bytes 0-9/10"),
    ("bytes=8-99", b"89", "bytes 8-9/10"), ("bytes=0-9", TEN, "bytes 0-9/10")])
def test_a_range_of_a_stored_answer(site, value, part, says):
    path = site.path(Reply([FRESH, TAG, ("A", "1")], body=TEN), Reply([("A", "2")]))
    site.ask(path)
    answer = site.ask(path, [("Range", value)])
    assert answer.status == 206 and answer.body == part and answer.is_hit
    assert answer.all("Content-Range") == [says]
    assert answer.all("Content-Length") == [str(len(part))]
    # RFC 9110 section 15.3.7: what a 200 would have said
    assert answer.get("A") == "1" and answer.get("ETag") == '"a"' and answer.get("Date")
    assert len(site.asked(path)) == 1
    assert site.ask(path).body == TEN


@pytest.mark.parametrize("value", ["bytes=0-1,3-4", "rows=0-1", "bytes=4-2", "bytes=x", "x"])
def test_what_is_not_one_range_gets_the_whole(site, value):
    path = site.path(Reply([FRESH], body=TEN))
    site.ask(path)
    answer = site.ask(path, [("Range", value)])
    assert answer.status == 200 and answer.body == TEN and answer.is_hit
    assert answer.get("Content-Range") is None


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_behind_the_end_is_416(site, value):
    path = site.path(Reply([FRESH], body=TEN))
    site.ask(path)
    answer = site.ask(path, [("Range", value)])
    assert answer.status == 416 and answer.all("Content-Range") == ["bytes */10"]
    assert len(site.asked(path)) == 1
    assert site.ask(path).is_hit


CHANGED = "Wed, 01 Jan 2020 00:00:00 GMT"


@pytest.mark.parametrize("condition, status", [
    ('"a"', 206), ('"b"', 200), ('W/"a"', 200), (CHANGED, 206),
    ("Wed, 01 Jan 2020 00:00:01 GMT", 200), ("x", 200)])
def test_if_range_gives_the_part_only_of_what_the_client_has(site, condition, status):
    path = site.path(Reply([FRESH, TAG, ("Last-Modified", CHANGED)], body=TEN))
    site.ask(path)
    answer = site.ask(path, [("Range", "bytes=2-3"), ("If-Range", condition)])
    assert answer.status == status and answer.body == (b"23" if status == 206 else TEN)
    assert answer.is_hit


def test_a_condition_comes_before_the_range(site):
    """RFC 9110 section 13.2.2."""
    path = site.path(Reply([FRESH, TAG], body=TEN))
    site.ask(path)
    part = ("Range", "bytes=0-1")
    assert site.ask(path, [part, ("If-None-Match", '"a"')]).status == 304
    assert site.ask(path, [part, ("If-None-Match", '"b"')]).status == 206
    answer = site.ask(path, [part], method="HEAD")
    assert answer.status == 200 and answer.get("Content-Length") == "10" and answer.body == b""


@pytest.mark.parametrize("status", [404, 301, 500])
def test_only_a_200_has_parts(site, status):
    path = site.path(Reply([FRESH], status, TEN))
    site.ask(path)
    answer = site.ask(path, [("Range", "bytes=0-1")])
    assert answer.status == status and answer.body == TEN and answer.is_hit


def test_a_range_that_is_not_stored_goes_to_the_app_and_is_not_stored(site):
    path = site.path(Reply([FRESH, ("Content-Range", "bytes 0-1/10")], 206, b"01"),
                     Reply([FRESH], body=TEN))
    asks = [("Range", "bytes=0-1"), ("If-Range", '"a"')]
    answer = site.ask(path, asks)
    assert answer.status == 206 and answer.body == b"01"
    assert answer.all("Content-Range") == ["bytes 0-1/10"]
    assert [site.asked(path)[0].get(n) for n in ("Range", "If-Range")] == ["bytes=0-1", '"a"']
    answer = site.ask(path)
    assert answer.status == 200 and answer.body == TEN
    assert site.asked(path)[1].get("Range") is None


# --- interim answers ---

def test_interim_answers_are_passed_on_and_not_stored(site):
    """RFC 9110 section 15.2."""
    hints = (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hint: 1\r\n"
             b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\n\r\n")
    path = site.path(Reply([FRESH], before=b"HTTP/1.1 102 Processing\r\n\r\n" + hints + hints))
    first, second = site.ask(path), site.ask(path)
    assert [status for status, _ in first.interim] == [102, 103, 103]
    for _, fields in first.interim[1:]:
        assert fields.get("Link") == "</a.css>; rel=preload" and fields.get("X-Hint") == "1"
        assert fields.get("X-Hop") is fields.get("Keep-Alive") is fields.get("Connection") is None
    assert second.is_hit and second.interim == []
    for answer in (first, second):
        assert answer.status == 200 and answer.body == b"answer 1"
        assert answer.get("Link") is answer.get("X-Hint") is None


def test_a_100_that_nobody_waits_for_is_passed_over(site):
    path = site.path(Reply([FRESH], before=b"HTTP/1.1 100 Continue\r\n\r\n"))
    answer = site.ask(path)
    assert answer.interim == [] and answer.body == b"answer 1"
    assert site.ask(path).is_hit


def test_interim_answers_come_before_the_app_has_done(site):
    gate = threading.Event()
    path = site.path(Reply([FRESH], before=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
                           gate=gate))
    with socket.create_connection(("127.0.0.1", site.larder.public_port), 20) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n".encode())
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            piece = s.recv(65536)
            assert piece, "it has hung up"
            said += piece
        assert b" 103 " in said and b" 200 " not in said
        gate.set()
        while piece := s.recv(65536):
            said += piece
    answer = Answer(said)
    assert answer.body == b"answer 1" and [status for status, _ in answer.interim] == [103]


def test_http_1_0_gets_no_interim_answers(site):
    path = site.path(Reply([FRESH], before=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
    answer = Answer(site.larder.raw(f"GET {path} HTTP/1.0\r\nHost: site\r\n\r\n".encode()))
    assert answer.status == 200 and answer.interim == [] and answer.body == b"answer 1"


# --- Vary ---

@pytest.mark.parametrize("vary, first, then, becomes", [
    ("Foo", {"Foo": "1"}, {"Foo": "1"}, "cached"),
    ("Foo", {"Foo": "1"}, {"foo": "1"}, "cached"),
    ("fOO", {"Foo": "1"}, {"Foo": "1"}, "cached"),
    ("Foo", {"Foo": "1"}, {"Foo": "2"}, "asked"),
    ("Foo", {}, {"Foo": "1"}, "asked"),
    ("Foo", {"Foo": "1"}, {}, "asked"),
    ("Foo", {"Foo": ""}, {}, "asked"),
    ("Foo", {}, {}, "cached"),
    ("Foo", {"Foo": "1", "Other": "2"}, {"Foo": "1", "Other": "3"}, "cached"),
    ("Foo", {"Foo": "1, 2"}, {"Foo": "1,2"}, "cached"),
    ("Foo", {"Foo": "1, 2"}, {"Foo": "2, 1"}, "asked"),
    ("Foo, Bar", {"Foo": "1", "Bar": "a"}, {"Bar": "a", "Foo": "1"}, "cached"),
    ("Foo, Bar", {"Foo": "1", "Bar": "a"}, {"Foo": "2", "Bar": "a"}, "asked"),
    ("Foo, Bar", {"Foo": "1", "Bar": "a"}, {"Foo": "1", "Bar": "b"}, "asked"),
    ("Foo, Bar", {"Foo": "1", "Bar": "a"}, {}, "asked"),
    ("Foo, Bar", {"Foo": "1"}, {"Bar": "1"}, "asked"),
    ("Foo, Bar, Baz", {"Foo": "1", "Bar": "a", "Baz": "7"},
     {"Foo": "2", "Bar": "a", "Baz": "7"}, "asked"),
    ("Foo, Bar, Baz", {"Foo": "1", "Bar": "a", "Baz": "7"},
     {"Foo": "1", "Baz": "7", "Bar": "ab"}, "asked"),
    ("Foo, Bar, Baz", {"Foo": "1", "Bar": "a", "Baz": "7"},
     {"Baz": "7", "Bar": "a", "Foo": "1"}, "cached"),
    ("Accept-Language", {"Accept-Language": "EN, de"}, {"Accept-Language": "en,de"}, "cached"),
    ("Accept-Language", {"Accept-Language": "en, de"}, {"Accept-Language": "de, en"}, "asked"),
    ("Accept-Encoding", {"Accept-Encoding": "gzip, br"}, {"Accept-Encoding": "br, gzip"}, "cached"),
    ("Cookie", {"Cookie": "a=1"}, {"Cookie": "a=2"}, "asked"),
    ("Authorization", {"Authorization": "x"}, {"Authorization": "x"}, "asked"),
    ("*", {"Foo": "1"}, {"Foo": "1"}, "asked"),
    ("*, *", {"Foo": "1"}, {"Foo": "1"}, "asked"),
    (", *", {"Foo": "1"}, {"Foo": "1"}, "asked"),
    ("*, Foo", {"Foo": "1"}, {"Foo": "1"}, "asked"),
    ("Foo, *", {"Foo": "1"}, {"Foo": "1"}, "asked"),
    (("", "*"), {"Foo": "1"}, {"Foo": "1"}, "asked"),
    (("*", "*"), {"Foo": "1"}, {"Foo": "1"}, "asked"),
    (("Foo", "*"), {"Foo": "1"}, {"Foo": "1"}, "asked"),
    (("Foo", "Bar"), {"Foo": "1", "Bar": "a"}, {"Foo": "1", "Bar": "b"}, "asked"),
    (("Foo", "Bar"), {"Foo": "1", "Bar": "a"}, {"Foo": "1", "Bar": "a"}, "cached"),
    ("", {"Foo": "1"}, {"Foo": "2"}, "cached"),
    ("Foo Bar", {"Foo": "1"}, {"Foo": "1"}, "asked"),
    ('"Foo"', {"Foo": "1"}, {"Foo": "1"}, "asked"),
])
def test_vary_names_the_fields_that_choose(site, vary, first, then, becomes):
    varies = [("Vary", v) for v in (vary if isinstance(vary, tuple) else (vary,))]
    answer = site.twice([FRESH, NOW, *varies], first=list(first.items()), then=list(then.items()))
    assert answer == becomes


@pytest.mark.parametrize("first, language, then, becomes", [
    ("de", "de", "de, en;q=0.5", "cached"), ("de, en;q=0.5", "de", "de", "cached"),
    ("de", "de", "fr;q=0.3, DE;q=0.4", "cached"), ("fr", "en", "en", "cached"),
    ("fr, en;q=0.5", "en", "en", "cached"),
    ("fr", "en", "fr, de;q=0.9", "asked"),  # there may be a German answer
    ("de", "de", "de, en", "asked"), ("de", "de", "*", "asked"), ("de", "de", "en", "asked"),
    ("de", "de", "de;q=0, en", "asked"), ("de", "de", "de-AT, de;q=0.9", "asked"),
    ("de", None, "de, en;q=0.5", "asked"), ("de", "de, en", "de, en;q=0.5", "asked"),
    ("de", "de", "de;q=x", "asked"), ("de", "de", "", "asked")])
def test_an_answer_in_the_language_that_is_liked_best_will_do(site, first, language, then, becomes):
    said = [("Content-Language", language)] if language else []
    fields = [FRESH, ("Vary", "Accept-Language"), *said]
    assert site.twice(fields, first=[("Accept-Language", first)],
                      then=[("Accept-Language", then)]) == becomes


def test_variants_live_side_by_side(site):
    path = site.path(Reply([FRESH, ("Vary", "Foo")]))
    for _ in range(2):
        for foo in "123":
            assert site.ask(path, [("Foo", foo)]).body == f"answer {foo}".encode()
    assert len(site.asked(path)) == 3


def test_a_variant_that_varies_by_more_than_another(site):
    """The last answer's names hold."""
    path = site.path(Reply([FRESH, ("Vary", "Foo")]), Reply([FRESH, ("Vary", "Foo, Bar")]))
    site.ask(path, [("Foo", "1"), ("Bar", "a")])
    site.ask(path, [("Foo", "2"), ("Bar", "a")])
    assert site.ask(path, [("Foo", "2"), ("Bar", "a")]).body == b"answer 2"
    assert site.ask(path, [("Foo", "2"), ("Bar", "b")]).body == b"answer 3"


def test_a_variant_outlives_another_that_was_stored_after_it(site):
    path = site.path(Reply([FRESH, ("Vary", "Foo")]), Reply([cc("max-age=1"), ("Vary", "Foo")]))
    site.ask(path, [("Foo", "1")])
    site.ask(path, [("Foo", "2")])
    site.wait_until_stale(path, [("Foo", "2")])
    assert site.ask(path, [("Foo", "1")]).is_hit


# --- invalidation ---

@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"])
@pytest.mark.parametrize("status", [200, 201, 204, 303, 400, 404, 500, 503])
def test_an_unsafe_request_takes_back_its_target_unless_it_failed(site, method, status):
    """RFC 9111 section 4.4: also a method that larder does not know."""
    is_failure = status >= 400
    path = site.path(Reply([FRESH]), Reply(status=status), Reply([FRESH]))
    site.ask(path)
    assert site.ask(path, method=method, body=b"abc").status == status
    assert site.asked(path)[1].method == method and site.asked(path)[1].body == b"abc"
    answer = site.ask(path)
    assert answer.is_hit == is_failure
    assert answer.body == (b"answer 1" if is_failure else b"answer 3")


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD"])
def test_a_safe_request_takes_back_nothing(site, method):
    path = site.path(Reply([FRESH]))
    site.ask(path)
    site.ask(path, [cc("no-cache")], method=method)
    assert site.ask(path).body == b"answer 1"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "M-SEARCH"])
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize("form, is_taken", [
    ("{}", True), ("http://site{}", True), ("//site{}", True), ("http://other{}", False),
    ("//other{}", False)])
def test_and_what_its_answer_names(site, method, name, form, is_taken):
    """Of the same host alone: what another host names is not the writer's to take back."""
    other = site.path(Reply([FRESH]))
    path = site.path(Reply([(name, form.format(other))], 201))
    site.ask(other)
    site.ask(path, method=method, body=b"abc")
    assert site.ask(other).is_hit != is_taken


def test_a_relative_location_is_resolved_by_the_target(site):
    """RFC 3986 section 5: as Location and Content-Location are read."""
    other = site.path(Reply([FRESH]))
    for name in ("Location", "Content-Location"):
        path = site.path(Reply([(name, other[1:])], 201))
        site.ask(other)
        site.ask(path, method="POST", body=b"abc")
        assert not site.ask(other).is_hit


def test_a_failed_write_takes_back_nothing_that_it_names(site):
    other = site.path(Reply([FRESH]))
    path = site.path(Reply([("Location", other), ("Content-Location", other)], 500))
    site.ask(other)
    site.ask(path, method="POST", body=b"abc")
    assert site.ask(other).is_hit


def test_a_write_overtakes_what_is_on_its_way(site):
    gate = threading.Event()
    path = site.path(Reply([FRESH], gate=gate), Reply([]), Reply([FRESH]))
    pending = site.start(path)
    wait_until(lambda: len(site.asked(path)) == 1)
    site.ask(path, method="POST", body=b"abc")
    gate.set()
    assert pending.result().body == b"answer 1"
    assert site.ask(path).body == b"answer 3"


def test_a_write_overtakes_a_question_about_the_stored_answer(site):
    gate = threading.Event()
    path = site.path(Reply([cc("max-age=0"), TAG]), Reply([FRESH, TAG], 304, gate=gate), Reply([]),
                     Reply([FRESH]))
    site.ask(path)
    pending = site.start(path)
    wait_until(lambda: len(site.asked(path)) == 2)
    site.ask(path, method="PUT", body=b"abc")
    gate.set()
    assert pending.result().body == b"answer 1"
    assert site.ask(path).body == b"answer 4"
    assert not site.asked(path)[3].is_conditional


def test_a_write_takes_back_all_variants(site):
    path = site.path(Reply([FRESH, ("Vary", "Foo")]))
    for foo in "12":
        site.ask(path, [("Foo", foo)])
    site.ask(path, method="DELETE")
    assert [site.ask(path, [("Foo", foo)]).body for foo in "12"] == [b"answer 4", b"answer 5"]


def test_a_post_is_never_answered_from_the_store(site):
    path = site.path(Reply([FRESH]))
    bodies = [site.ask(path, method="POST", body=b"abc").body for _ in range(2)]
    assert bodies == [b"answer 1", b"answer 2"]
    assert [r.method for r in site.asked(path)] == ["POST", "POST"]


JSON = [("Content-Type", "application/json")]


def test_other_methods_are_neither_stored_nor_shared(site):
    """RFC 9111 section 2; what mode ttl makes a key of is no question here."""
    path = site.path(Reply([FRESH]))
    methods = ["QUERY", "QUERY", "POST", "POST", "OPTIONS", "OPTIONS", "GET", "QUERY"]
    for n, method in enumerate(methods, 1):
        body = b"" if method in ("GET", "OPTIONS") else b'{"a":1}'
        assert site.ask(path, JSON, method, body).body == b"answer %d" % n
        assert site.asked(path)[-1].body == body
    for method in ("POST", "QUERY"):
        gate = threading.Event()
        path = site.path(Reply([FRESH], gate=gate))
        pending = [site.start(path, JSON, method, b'{"a":1}') for _ in range(3)]
        wait_until(lambda path=path: len(site.asked(path)) == 3)
        gate.set()
        assert sorted(p.result().body for p in pending) == [b"answer 1", b"answer 2", b"answer 3"]


def test_a_part_that_is_asked_anew_holds_no_reference_to_the_whole():
    """Both are stored, and neither will do: the leak checker has the last word."""
    part = Reply([FRESH, ("Content-Range", "bytes 0-3/10")], 206, TEN[:4])
    with site_of() as site:
        path = site.path(part, Reply([FRESH], body=TEN), part)
        site.ask(path, [("Range", "bytes=0-3")])
        assert site.ask(path).body == TEN
        answer = site.ask(path, [("Range", "bytes=0-3"), cc("no-cache")])
        assert answer.status == 206 and len(site.asked(path)) == 3


# --- an answer to a POST that says it is the target's own: RFC 9110 section 9.3.3 ---

def own(site, *fields, under="", **more):
    """A POST whose answer would do for a GET, and what a GET brings."""
    path = site.path(Reply(), Reply([FRESH]), under=under)
    post = Reply([FRESH, ("Content-Location", path), *fields], **more)
    site.app.replies[path][0] = post
    return path


def test_a_post_keeps_what_it_says_is_the_targets_own(site):
    path = own(site)
    site.ask(path, method="POST", body=b"x")
    answer = site.ask(path)
    assert answer.is_hit and answer.body == b"answer 1"


def test_a_packed_answer_to_a_post_is_not_for_those_who_cannot_read_it(site):
    """The answer to a GET would vary by Accept-Encoding, whatever the app says."""
    path = own(site, ("Content-Encoding", "gzip"))
    site.ask(path, [("Accept-Encoding", "gzip")], method="POST", body=b"x")
    assert site.ask(path).body == b"answer 2"


def test_what_a_post_with_credentials_brought_is_not_nobodys():
    """A GET of such a route is sent without them, a POST with them."""
    with site_of({"name": "n", "match": "/n/*", "mode": "http", "identity": "none"}) as site:
        for name in ("Cookie", "Authorization"):
            path = own(site, under="/n")
            site.ask(path, [(name, "ann")], method="POST", body=b"x")
            assert site.asked(path)[0].get(name) == "ann"
            assert site.ask(path).body == b"answer 2"


@pytest.mark.parametrize("selector", [{"path": "PATH"}, {"glob": "*PATH?*"}])
@pytest.mark.parametrize("has_begun", [False, True])
def test_no_invalidation_is_outrun_by_what_a_post_brings(site, selector, has_begun):
    """It comes while the app works, or while the body goes by."""
    gate = threading.Event()
    path = own(site, gate=gate)
    if has_begun:
        head = (f"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Location: {path}\r\n"
                "Connection: close\r\nContent-Length: 5\r\n\r\n")
        site.app.replies[path][0] = Reply(before=head.encode(), gate=gate, raw=b"first")
    writes = site.larder.counter("totals.writes")
    pending = site.start(path, method="POST")
    wait_until(lambda: len(site.asked(path)) == 1)
    if has_begun:
        site.larder.wait_for_counter("totals.writes", writes + 1)
    site.larder.invalidate(**{k: v.replace("PATH", path) for k, v in selector.items()})
    gate.set()
    pending.result()
    assert site.ask(path).body == b"answer 2"


def test_a_language_is_not_found_where_another_has_come_in_its_place(site):
    def reply(language):
        return Reply([FRESH, ("Vary", "Accept-Language"), ("Content-Language", language)])
    path = site.path(reply("de"), reply("en"), reply("de"))
    both = [("Accept-Language", "de, en;q=0.5")]
    site.ask(path, both)
    assert site.ask(path, [("Accept-Language", "de")]).is_hit
    assert site.ask(path, [*both, cc("no-cache")]).get("Content-Language") == "en"
    assert site.ask(path, [("Accept-Language", "de")]).body == b"answer 3"


def test_a_part_of_what_varies_is_kept_for_nobody_else(site):
    """The app says Vary with the whole, and forgets it with the part."""
    path = site.path(Reply([cc("max-age=1"), TAG, ("Vary", "Foo")], body=TEN),
                     *[Reply([FRESH, ("Content-Range", "bytes 0-0/10")], 206, b) for b in (b"1", b"2")])
    site.ask(path, [("Foo", "1")])
    site.wait_until_stale(path, [("Foo", "1")])
    assert [site.ask(path, [("Range", "bytes=0-0"), ("Foo", n)]).body for n in "12"] == [b"1", b"2"]


def test_what_a_post_brings_is_kept_though_something_else_is_invalidated(site):
    gate = threading.Event()
    path, other = own(site, gate=gate), site.path(Reply([FRESH]))
    pending = site.start(path, method="POST")
    wait_until(lambda: len(site.asked(path)) == 1)
    site.larder.invalidate(path=other)
    site.ask(other, method="PUT")
    gate.set()
    pending.result()
    assert site.ask(path).is_hit
