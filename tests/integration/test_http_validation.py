"""RFC 9111 sections 4.2.4 and 4.3: a stored answer is confirmed, replaced, or served stale."""
import socket
import threading

import pytest

from support.larder import wait_until
from support.script import CLOSED, HINTS, Reply, date, site_of

FRESH = ("Cache-Control", "max-age=3600")
STALE = ("Cache-Control", "max-age=0")
NOW = ("Date", 0)
TAG = ("ETag", '"a"')
CHANGED = ("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
FAILED = Reply(status=503)


def cc(value):
    return "Cache-Control", value


def conditions(request):
    return request.get("If-None-Match"), request.get("If-Modified-Since")


@pytest.mark.parametrize("validators, asks", [
    ([TAG], ('"a"', None)),
    ([("ETag", 'W/"a"')], ('W/"a"', None)),
    ([("ETag", '""')], ('""', None)),
    ([("ETag", '"a, \\b"')], ('"a, \\b"', None)),
    ([CHANGED], (None, CHANGED[1])),
    ([TAG, CHANGED], ('"a"', CHANGED[1])),
])
def test_a_stale_answer_is_validated_by_what_it_has(site, validators, asks):
    """RFC 9111 section 4.3.1; and confirmed, it is what the client gets."""
    path = site.path(Reply([STALE, *validators, ("X-Mine", "1")]),
                     Reply([STALE, *validators], 304))
    site.ask(path)
    for _ in range(2):
        answer = site.ask(path)
        assert answer.status == 200 and answer.body == b"answer 1"
        assert answer.get("X-Mine") == "1"
        assert not answer.is_hit
    assert [conditions(r) for r in site.asked(path)] == [(None, None), asks, asks]
    assert all(r.method == "GET" and r.body == b"" for r in site.asked(path))


def test_what_has_no_validator_is_asked_for_anew(site):
    path = site.path(Reply([STALE, NOW]))
    bodies = [site.ask(path).body for _ in range(3)]
    assert bodies == [b"answer 1", b"answer 2", b"answer 3"]
    assert all(conditions(r) == (None, None) for r in site.asked(path))


def test_our_own_entity_tag_is_never_asked_for(site):
    """An app that gave none would not know it."""
    path = site.path(Reply([FRESH, CHANGED]), Reply([FRESH], 304))
    ours = site.ask(path).get("ETag")
    hit = site.ask(path)
    assert hit.is_hit and hit.get("ETag")
    assert ours in (None, hit.get("ETag"))
    site.ask(path, [cc("no-cache")])
    assert conditions(site.asked(path)[1]) == (None, CHANGED[1])


def test_a_304_makes_it_fresh_again(site):
    path = site.path(Reply([STALE, TAG, NOW]), Reply([FRESH, TAG, NOW], 304))
    site.ask(path)
    assert site.ask(path).body == b"answer 1"
    answer = site.ask(path)
    assert answer.is_hit and answer.body == b"answer 1"
    assert answer.get("Cache-Control") == "max-age=3600"
    assert len(site.asked(path)) == 2


@pytest.mark.parametrize("name, old, new, updated", [
    ("Test-Header", "old", "new", True),
    ("X-Test-Header", "old", "new", True),
    ("Content-Foo", "old", "new", True),
    ("X-Content-Foo", "old", "new", True),
    ("Content-Location", "/foo", "/bar", True),
    ("Content-Security-Policy", "default-src 'self'", "default-src x", True),
    ("Expires", "Fri, 01 Jan 2038 01:01:01 GMT", "Mon, 11 Jan 2038 11:11:11 GMT", True),
    ("X-Frame-Options", "deny", "sameorigin", True),
    ("Date", "Wed, 01 Jan 2020 00:00:00 GMT", "Thu, 02 Jan 2020 00:00:00 GMT", True),
    ("Content-Length", "8", "10", False),
    ("Content-Encoding", "x", "y", False),
    ("Content-Type", "text/plain", "text/html", True),
    ("Content-Range", "x", "y", False),
])
def test_a_304_updates_stored_fields_but_those_of_the_body(site, name, old, new, updated):
    """RFC 9111 section 3.2: in the answer that it makes, and in the hits after it."""
    def reply(value, lifetime, status):
        own = [] if name == "Content-Length" and status == 200 else [(name, value)]
        return Reply([cc(lifetime), TAG, *own], status)
    path = site.path(reply(old, "max-age=0", 200), reply(new, "max-age=99999999999", 304))
    assert site.ask(path).all(name) == [old]
    confirmed, hit = site.ask(path), site.ask(path)
    assert conditions(site.asked(path)[1]) == ('"a"', None)
    for answer in (confirmed, hit):
        assert answer.status == 200 and answer.body == b"answer 1"
        assert answer.all(name) == [new if updated else old]
    assert hit.is_hit


def test_a_304_takes_away_nothing_and_replaces_all_lines_of_a_name(site):
    path = site.path(Reply([STALE, TAG, ("A", "1"), ("A", "2"), ("B", "3")]),
                     Reply([FRESH, TAG, ("A", "4"), ("C", "5"), ("C", "6"), ("D", ""),
                            ("Connection", "E"), ("E", "7"), ("Keep-Alive", "x")], 304))
    site.ask(path)
    for answer in (site.ask(path), site.ask(path)):
        assert [answer.all(n) for n in "ABCDE"] == [["4"], ["3"], ["5", "6"], [""], []]
        assert answer.get("Keep-Alive") is None
        assert answer.all("Content-Length") == ["8"]
        assert len(answer.all("Via")) == len(answer.all("Date")) == 1
    assert answer.is_hit


def test_a_304_with_another_entity_tag_leads_to_a_plain_request(site):
    """RFC 9111 section 4.3.4: it tells of another representation than what is stored."""
    path = site.path(Reply([STALE, TAG]), Reply([FRESH, ("ETag", '"b"')], 304),
                     Reply([FRESH, ("ETag", '"b"')]))
    site.ask(path)
    for answer in (site.ask(path), site.ask(path)):
        assert answer.status == 200 and answer.body == b"answer 3"
        assert answer.get("ETag") == '"b"'
    assert answer.is_hit
    assert [conditions(r)[0] for r in site.asked(path)] == [None, '"a"', None]


@pytest.mark.parametrize("stored, confirms", [
    ([TAG], [("ETag", 'W/"a"')]), ([TAG], []), ([TAG, CHANGED], [CHANGED]), ([CHANGED], [])])
def test_a_304_tells_of_the_stored_answer_by_either_validator(site, stored, confirms):
    path = site.path(Reply([STALE, *stored]), Reply([FRESH, *confirms], 304))
    site.ask(path)
    assert site.ask(path).body == b"answer 1"
    assert site.ask(path).is_hit
    assert len(site.asked(path)) == 2


def test_a_304_with_another_date_leads_to_a_plain_request(site):
    path = site.path(Reply([STALE, CHANGED]), Reply([FRESH, ("Last-Modified", -10)], 304),
                     Reply([FRESH]))
    site.ask(path)
    assert site.ask(path).body == b"answer 3"


def test_a_304_may_say_that_it_is_not_to_be_stored_any_more(site):
    path = site.path(Reply([STALE, TAG]), Reply([cc("no-store"), TAG], 304),
                     Reply([cc("no-store")]))
    site.ask(path)
    assert site.ask(path).body == b"answer 1"
    assert site.ask(path).body == b"answer 3"
    assert site.asked(path)[2].get("If-None-Match") is None


def test_another_answer_takes_the_place_of_the_stored_one(site):
    path = site.path(Reply([STALE, TAG, ("A", "1")]), Reply([FRESH, ("ETag", '"b"')]))
    site.ask(path)
    for answer in (site.ask(path), site.ask(path)):
        assert answer.body == b"answer 2" and answer.get("A") is None
    assert answer.is_hit


def test_a_404_or_no_store_ends_the_stored_answer(site):
    for ends in (Reply(status=404), Reply([cc("no-store")]), Reply([cc("private")]),
                 Reply([("Set-Cookie", "a=b"), FRESH])):
        path = site.path(Reply([STALE, TAG]), ends)
        site.ask(path)
        assert site.ask(path).body == b"answer 2"
        assert site.ask(path).body == b"answer 3"
        assert [conditions(r)[0] for r in site.asked(path)] == [None, '"a"', None]


def test_a_fresh_answer_is_served_whatever_the_app_would_say_now(site):
    path = site.path(Reply([FRESH, ("A", "1")]), Reply([cc("no-store"), ("A", "2")]))
    assert [site.ask(path).get("A") for _ in range(3)] == ["1", "1", "1"]


@pytest.mark.parametrize("stored_at, confirmed_at", [
    (("Date", -100), NOW), (("Date", -100), ("Date", -1)),
    pytest.param(("Date", -100), ("X", ""))])
def test_a_confirmed_answer_is_as_young_as_its_304(site, stored_at, confirmed_at):
    """RFC 9111 section 4.2.3; without Date it is when the 304 came: RFC 9110 section 6.6.1."""
    path = site.path(Reply([cc("max-age=50"), TAG, stored_at]),
                     Reply([cc("max-age=50"), TAG, confirmed_at], 304))
    site.ask(path)
    assert site.ask(path).body == b"answer 1"
    answer = site.ask(path)
    assert answer.is_hit and int(answer.get("Age")) < 40


def test_a_304_has_an_age_of_its_own(site):
    path = site.path(Reply([STALE, TAG]), Reply([FRESH, TAG, NOW, ("Age", 30)], 304))
    site.ask(path)
    for _ in range(2):
        assert 30 <= int(site.ask(path).get("Age")) < 40
    assert len(site.asked(path)) == 2


def test_a_304_may_change_what_the_answer_varies_by(site):
    path = site.path(Reply([STALE, TAG]), Reply([FRESH, TAG, ("Vary", "Foo")], 304), Reply([FRESH]))
    site.ask(path, [("Foo", "1")])
    assert site.ask(path, [("Foo", "1")]).body == b"answer 1"
    assert site.ask(path, [("Foo", "1")]).is_hit
    assert site.ask(path, [("Foo", "2")]).body == b"answer 3"


def test_a_304_with_a_cookie_is_for_one_alone(site):
    path = site.path(Reply([STALE, TAG]), Reply([FRESH, TAG, ("Set-Cookie", "sid=1")], 304),
                     Reply([FRESH]))
    site.ask(path)
    answer = site.ask(path)
    assert answer.body == b"answer 1" and answer.get("Set-Cookie") == "sid=1"
    answer = site.ask(path)
    assert answer.body == b"answer 3" and answer.get("Set-Cookie") is None


def test_a_field_of_the_304s_connection_leaves_the_stored_one(site):
    path = site.path(Reply([STALE, TAG, ("E", "1")]),
                     Reply([FRESH, TAG, ("Connection", "E"), ("E", "7")], 304))
    site.ask(path)
    assert site.ask(path).get("E") == "1"


def test_connection_of_a_304_takes_away_nothing_that_is_stored(site):
    path = site.path(Reply([STALE, TAG, ("E", "1")]), Reply([FRESH, TAG, ("Connection", "E")], 304))
    site.ask(path)
    assert [site.ask(path).get("E") for _ in range(2)] == ["1", "1"]


@pytest.mark.parametrize("name", ["Cache-Control", "Larder-Cache-Control"])
def test_what_a_304_forbids_to_store_is_whole_all_the_same(site, name):
    """The length is the stored body's, whatever the 304 says of it."""
    path = site.path(Reply([STALE, TAG]),
                     Reply([(name, "no-store"), TAG, ("Content-Length", "99")], 304))
    site.ask(path)
    answer = site.ask(path)
    assert answer.status == 200 and answer.body == b"answer 1"
    assert answer.all("Content-Length") == ["8"] and answer.get("Larder-Cache-Control") is None


def test_cache_status_tells_of_a_304_that_forbids_to_store(site):
    """RFC 9211 section 2.3."""
    path = site.path(Reply([STALE, TAG]), Reply([cc("no-store"), TAG], 304))
    site.ask(path)
    assert "fwd-status=304" in site.ask(path).get("Cache-Status")


def test_what_only_larder_reads_counts_after_a_304_too(site):
    ours = ("Larder-Cache-Control", "max-age=0")
    path = site.path(Reply([cc("no-store"), TAG, ours]), Reply([cc("no-store"), TAG], 304))
    site.ask(path)
    for _ in range(3):
        answer = site.ask(path)
        assert answer.body == b"answer 1" and answer.get("Larder-Cache-Control") is None
    assert [conditions(r)[0] for r in site.asked(path)] == [None, '"a"', '"a"', '"a"']


def test_a_304_that_nobody_asked_for_is_no_loop(site):
    path = site.path(Reply([STALE, TAG]), Reply([FRESH, ("ETag", '"b"')], 304))
    site.ask(path)
    assert site.ask(path).status in (304, 502)
    assert len(site.asked(path)) == 3


def test_an_app_that_is_gone_after_an_odd_304_is_a_failure(site):
    path = site.path(Reply([STALE, TAG]), Reply([FRESH, ("ETag", '"b"')], 304), CLOSED)
    site.ask(path)
    assert site.ask(path).status in (502, 504)


def test_interim_answers_come_before_a_confirmation_too(site):
    path = site.path(Reply([STALE, TAG]),
                     Reply([FRESH, TAG], 304, before=b"HTTP/1.1 103 Early Hints\r\nA: 1\r\n\r\n"))
    site.ask(path)
    answer = site.ask(path)
    assert answer.body == b"answer 1" and answer.get("A") is None
    assert [status for status, _ in answer.interim] == [103]


def test_cache_status_tells_of_the_question(site):
    """RFC 9211 sections 2.2 to 2.4."""
    path = site.path(Reply([STALE, TAG]), Reply([FRESH, TAG], 304), Reply([FRESH]))
    site.ask(path)
    confirmed = site.ask(path).get("Cache-Status")
    assert "fwd=stale" in confirmed and "fwd-status=304" in confirmed and "stored" in confirmed
    asked = site.ask(path, [cc("no-cache")]).get("Cache-Status")
    assert "fwd=request" in asked and "fwd-status=200" in asked and "stored" in asked


def test_a_refresh_behind_asks_for_the_whole(site):
    """Whatever part its client wanted, or had already."""
    path = site.path(Reply([cc("max-age=0, stale-while-revalidate=60"), TAG], body=b"0123456789"),
                     Reply([FRESH, ("ETag", '"b"')]))
    site.ask(path)
    asks = [("Range", "bytes=0-1"), ("If-Range", '"a"'), ("If-None-Match", '"c"')]
    assert site.ask(path, asks).body == b"01"
    wait_until(lambda: site.ask(path).body == b"answer 2")
    behind = site.asked(path)[1]
    assert conditions(behind) == ('"a"', None)
    assert behind.get("Range") is behind.get("If-Range") is None


def test_mode_ttl_validates_what_it_keeps():
    route = {"name": "kept", "match": "GET /*", "ttl": "100ms", "keep": "1h"}
    with site_of(route) as site:
        path = site.path(Reply([TAG]), Reply([TAG], 304))
        site.ask(path)
        wait_until(lambda: not site.ask(path).is_hit)
        assert site.asked(path)[1].get("If-None-Match") == '"a"'
        assert site.ask(path).body == b"answer 1"


# --- what the client itself holds ---

def test_date_stands_in_for_a_last_modified_that_is_missing(site):
    path = site.path(Reply([FRESH, ("Date", -100)]))
    site.ask(path)
    assert site.ask(path, [("If-Modified-Since", -90)]).status == 304
    assert site.ask(path, [("If-Modified-Since", -110)]).status == 200


def test_a_clients_condition_goes_with_what_is_not_stored(site):
    path = site.path(Reply([], 304))
    answer = site.ask(path, [cc("no-store"), ("If-None-Match", '"x"')])
    assert answer.status == 304
    assert conditions(site.asked(path)[0]) == ('"x"', None)


@pytest.mark.parametrize("asks, status", [
    ([("If-None-Match", '"a"')], 304), ([("If-None-Match", 'W/"a"')], 304),
    ([("If-None-Match", '"b", "a"')], 304), ([("If-None-Match", "*")], 304),
    ([("If-None-Match", '"b"'), ("If-None-Match", '"a"')], 304),
    ([("If-None-Match", '"b"')], 200), ([("If-None-Match", "a")], 200),
    ([("If-Modified-Since", CHANGED[1])], 304), ([("If-Modified-Since", date())], 304),
    ([("If-Modified-Since", "Tue, 31 Dec 2019 23:59:59 GMT")], 200),
    ([("If-Modified-Since", "x")], 200),
    ([("If-None-Match", '"a"'), ("If-Modified-Since", "Tue, 31 Dec 2019 23:59:59 GMT")], 304),
    ([("If-None-Match", '"b"'), ("If-Modified-Since", date())], 200),
])
def test_a_clients_own_condition_is_answered_from_the_store(site, asks, status):
    """RFC 9111 section 4.3.2; the entity tag comes before the date: RFC 9110 section 13.2.2."""
    path = site.path(Reply([FRESH, NOW, TAG, CHANGED, ("Content-Type", "text/plain")]))
    site.ask(path)
    answer = site.ask(path, asks)
    assert answer.get("Content-Type") == (None if status == 304 else "text/plain")
    assert answer.status == status and answer.body == (b"" if status == 304 else b"answer 1")
    assert answer.get("ETag") == '"a"' and answer.get("Cache-Control") == FRESH[1]
    assert answer.is_hit and len(site.asked(path)) == 1


def test_a_clients_condition_is_judged_by_what_was_confirmed(site):
    """The app is asked about the stored answer, not about the client's."""
    path = site.path(Reply([STALE, TAG]), Reply([STALE, TAG], 304))
    site.ask(path)
    for asks, status in (('"a"', 304), ('"other"', 200)):
        answer = site.ask(path, [("If-None-Match", asks)])
        assert answer.status == status
        assert site.asked(path)[-1].all("If-None-Match") == ['"a"']


def test_a_clients_condition_does_not_reach_the_app_on_a_miss(site):
    """What is stored is the whole answer, for all."""
    path = site.path(Reply([FRESH, TAG]))
    assert site.ask(path, [("If-None-Match", '"a"')]).status == 304
    assert conditions(site.asked(path)[0]) == (None, None)
    assert site.ask(path).body == b"answer 1"


def test_validation_is_per_variant(site):
    """RFC 9111 section 4.1: the fields that chose the variant go with the question."""
    path = site.path(Reply([STALE, TAG, ("Vary", "Abc")]), Reply([STALE, TAG], 304))
    site.ask(path, [("Abc", "123")])
    assert site.ask(path, [("Abc", "123")]).body == b"answer 1"
    assert site.asked(path)[1].get("Abc") == "123"
    assert conditions(site.asked(path)[1]) == ('"a"', None)
    site.app.replies[path].append(Reply([STALE, TAG]))
    assert site.ask(path, [("Abc", "456")]).body == b"answer 3"
    assert conditions(site.asked(path)[2]) == (None, None)


# --- stale answers ---

STRICT = ["max-age=0, must-revalidate", "max-age=0, proxy-revalidate", "max-age=0, no-cache",
          "s-maxage=0", "max-age=3600, s-maxage=0",
          "max-age=0, must-revalidate, stale-if-error=60, stale-while-revalidate=60",
          "max-age=0, proxy-revalidate, stale-if-error=60, stale-while-revalidate=60",
          "max-age=0, no-cache, stale-if-error=60, stale-while-revalidate=60",
          pytest.param("max-age=3600, no-cache")]


@pytest.mark.parametrize("under", ["", "/windows"])
@pytest.mark.parametrize("value", STRICT)
def test_what_must_be_validated_is_never_served_stale(site, value, under):
    """RFC 9111 sections 4.2.4 and 5.2.2: not when the connection closes, not at a 503, not for
    max-stale, and not by the route's own windows."""
    path = site.path(Reply([cc(value), TAG]), CLOSED, under=under)
    site.ask(path)
    for fields in ((), [cc("max-stale")], [cc("max-stale=100")]):
        answer = site.ask(path, fields)
        assert answer.status in (502, 504) and answer.body != b"answer 1"
    site.app.replies[path] = [FAILED]
    answer = site.ask(path)
    assert answer.status == 503 and answer.body != b"answer 1"


def test_what_was_fresh_once_and_must_be_validated_is_not_served_stale(site):
    """The same with a lifetime that has passed; and without any window, for plain answers, too."""
    paths = {}
    for value in ("", "must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=1"):
        fields = [cc(f"max-age=60, {value}" if value != "s-maxage=1" else value), TAG, NOW,
                  ("Age", 0 if value == "s-maxage=1" else 59)]
        paths[value] = site.path(Reply(fields), CLOSED)
        site.ask(paths[value])
    for value, path in paths.items():
        site.wait_until_stale(path)
        assert len(site.asked(path)) == 1
        answer = site.ask(path)
        assert answer.status in (502, 504), value
        site.app.replies[path] = [FAILED]
        assert site.ask(path).status == 503, value


@pytest.mark.parametrize("failure", [CLOSED, *(Reply(status=s) for s in (500, 502, 503, 504))])
def test_stale_if_error_hides_a_failure(site, failure):
    """RFC 5861 section 4."""
    path = site.path(Reply([cc("max-age=0, stale-if-error=60"), NOW]), failure)
    site.ask(path)
    answer = site.ask(path)
    assert answer.status == 200 and answer.body == b"answer 1"
    assert len(site.asked(path)) >= 2
    assert "hit" not in answer.get("Cache-Status").split(";")[1].split()


@pytest.mark.parametrize("method, fields", [("HEAD", []), ("GET", [("Range", "bytes=0-1")])])
def test_stale_if_error_hides_a_failure_from_each_kind_of_request(site, method, fields):
    path = site.path(Reply([cc("max-age=0, stale-if-error=60"), NOW]), FAILED)
    site.ask(path)
    assert site.ask(path, fields, method=method).status in (200, 206)


def test_stale_if_error_hides_no_other_answer(site):
    for status in (404, 403, 501):
        path = site.path(Reply([cc("max-age=0, stale-if-error=60"), NOW]), Reply(status=status))
        site.ask(path)
        assert site.ask(path).status == status


def test_stale_if_error_ends_with_its_window(site):
    path = site.path(Reply([cc("max-age=0, stale-if-error=2"), TAG]), FAILED)
    site.ask(path)
    assert site.ask(path).body == b"answer 1"
    wait_until(lambda: site.ask(path).status == 503)


@pytest.mark.parametrize("window", ["stale-if-error", "stale-while-revalidate"])
def test_a_window_begins_where_freshness_ends(site, window):
    """RFC 5861: of age 1000 and lifetime 60 it has been stale for 940 seconds."""
    path = site.path(Reply([cc(f"max-age=60, {window}=100"), NOW, TAG, ("Age", 1000)]), FAILED)
    site.ask(path)
    assert site.ask(path).status == 503


def test_stale_while_revalidate_serves_at_once_and_asks_behind(site):
    """RFC 5861 section 3."""
    gate = threading.Event()
    path = site.path(Reply([cc("max-age=0, stale-while-revalidate=60"), TAG]),
                     Reply([FRESH, ("ETag", '"b"')], gate=gate))
    site.ask(path)
    for _ in range(3):
        assert site.ask(path).body == b"answer 1"  # the app has not answered yet
    wait_until(lambda: len(site.asked(path)) == 2)
    gate.set()
    wait_until(lambda: site.ask(path).body == b"answer 2")
    assert len(site.asked(path)) == 2
    assert conditions(site.asked(path)[1]) == ('"a"', None)


def test_stale_while_revalidate_is_confirmed_behind(site):
    path = site.path(Reply([cc("max-age=0, stale-while-revalidate=60"), TAG, ("A", "1")]),
                     Reply([FRESH, TAG, ("A", "2")], 304))
    site.ask(path)
    assert site.ask(path).get("A") == "1"
    wait_until(lambda: site.ask(path).get("A") == "2")
    answer = site.ask(path)
    assert answer.is_hit and answer.body == b"answer 1" and len(site.asked(path)) == 2


def test_stale_while_revalidate_ends_with_its_window(site):
    path = site.path(Reply([cc("max-age=0, stale-while-revalidate=2")]), CLOSED)
    site.ask(path)
    assert site.ask(path).body == b"answer 1"
    wait_until(lambda: site.ask(path).status in (502, 504))


def test_behind_a_stale_answer_all_else_is_as_before_it(site):
    """The refresh that nobody waits for: an odd 304, and an answer that may not be stored."""
    swr = [cc("max-age=0, stale-while-revalidate=60"), TAG]
    odd = site.path(Reply(swr), Reply([FRESH, ("ETag", '"b"')], 304), Reply([FRESH]))
    gone = site.path(Reply(swr), Reply([cc("no-store")]))
    for path, last in ((odd, b"answer 3"), (gone, b"answer 3")):
        site.ask(path)
        assert site.ask(path).body == b"answer 1"
        wait_until(lambda path=path, last=last: site.ask(path).body == last)
    assert site.ask(odd).is_hit


def test_a_client_that_leaves_changes_nothing(site):
    gate = threading.Event()
    for reply in (Reply([FRESH, TAG], 304, gate=gate),
                  Reply([FRESH, ("ETag", '"b"')], 304, gate=gate)):
        gate.clear()
        path = site.path(Reply([STALE, TAG]), reply, Reply([FRESH]))
        site.ask(path)
        with socket.create_connection(("127.0.0.1", site.larder.public_port)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: site\r\n\r\n".encode())
            wait_until(lambda path=path: len(site.asked(path)) == 2)
        site.larder.wait_until(lambda: site.larder.counter("totals.active") == 0)
        gate.set()
        wait_until(lambda path=path: site.ask(path, [cc("only-if-cached")]).is_hit)
        assert len(site.asked(path)) == (3 if reply.fields[1] != TAG else 2)


def test_it_ends_well_with_questions_on_their_way():
    gate = threading.Event()
    with site_of() as site:
        for value in ("max-age=0", "no-cache", "max-age=0, stale-while-revalidate=60"):
            path = site.path(Reply([cc(value), TAG]), Reply([FRESH, TAG], 304, gate=gate))
            site.ask(path)
            with socket.create_connection(("127.0.0.1", site.larder.public_port)) as client:
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: site\r\n\r\n".encode())
                wait_until(lambda path=path: len(site.asked(path)) == 2)
    gate.set()


# --- coalescing ---

def test_answers_that_must_be_validated_are_not_shared_with_who_waits(site):
    """RFC 9111 section 4: each has a question of its own, and an answer of its own."""
    for value in ("no-cache", "max-age=0"):
        gate = threading.Event()
        path = site.path(Reply([cc(value), TAG], gate=gate), Reply([cc(value), TAG]))
        pending = [site.start(path) for _ in range(4)]
        site.larder.wait_for_counter("totals.coalesced_waiting", 3)
        gate.set()
        bodies = sorted(p.result().body for p in pending)
        assert bodies == [b"answer 1", b"answer 2", b"answer 3", b"answer 4"], value


def test_each_validates_for_himself_what_must_be_validated(site):
    gate = threading.Event()
    path = site.path(Reply([cc("no-cache"), TAG]), Reply([cc("no-cache"), TAG], 304, gate=gate))
    site.ask(path)
    pending = [site.start(path) for _ in range(4)]
    wait_until(lambda: len(site.asked(path)) == 5)  # nobody waits for another
    gate.set()
    assert [p.result().body for p in pending] == [b"answer 1"] * 4


def test_one_validates_for_all_what_was_fresh_once(site):
    gate = threading.Event()
    path = site.path(Reply([cc("max-age=60"), ("Age", 58), TAG, NOW]),
                     Reply([FRESH, TAG], 304, gate=gate))
    site.ask(path)
    site.wait_until_stale(path)
    pending = [site.start(path) for _ in range(4)]
    site.larder.wait_for_counter("totals.coalesced_waiting", 3)
    gate.set()
    assert [p.result().body for p in pending] == [b"answer 1"] * 4
    assert len(site.asked(path)) == 2


@pytest.mark.parametrize("stored, status, news, asks", [
    ([], 404, [], []),                                       # it was not there, and is now
    ([], 200, [("ETag", '"b"')], []),                        # a validator that it never had
    ([TAG], 200, [TAG, ("Vary", "Foo")], [("Foo", "2")]),    # another's variant
    ([TAG], 200, [TAG, ("Access-Control-Allow-Origin", "http://b")], [("Origin", "http://b")]),
])
def test_a_head_that_tells_of_another_answer_does_not_make_this_one_fresh(
        site, stored, status, news, asks):
    """RFC 9111 section 4.3.5."""
    head = "".join(f"{n}: {v}\r\n" for n, v in [FRESH, *news])
    path = site.path(Reply([FRESH, *stored], status),
                     Reply(raw=f"HTTP/1.1 200 OK\r\n{head}\r\n".encode()), Reply([FRESH]))
    site.ask(path)
    site.ask(path, [cc("no-cache"), *asks], method="HEAD")
    answer = site.ask(path)
    assert answer.status == 200 and answer.body == b"answer 3"


def test_a_304_with_an_entity_tag_that_the_stored_answer_lacks_leads_to_a_plain_request(site):
    path = site.path(Reply([STALE, CHANGED]), Reply([FRESH, TAG], 304), Reply([FRESH, TAG]))
    site.ask(path)
    assert site.ask(path).body == b"answer 3"


def test_an_answer_ages_while_its_body_comes(site):
    """RFC 9111 section 4.2.3: from when its head came."""
    gate = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nContent-Length: 5\r\n\r\nf"
    path = site.path(Reply(before=HINTS + head, gate=gate, raw=b"irst"), Reply([cc("max-age=1")]))
    other = site.path(Reply([cc("max-age=1")]))
    rest = site.begin(path)
    site.ask(other)
    site.wait_until_stale(other)
    gate.set()
    assert rest().body == b"first"
    assert site.ask(path).body == b"answer 2"


@pytest.mark.parametrize("sent", [b"more", b"4\r\nmore\r\n0\r\n\r\n"])
@pytest.mark.parametrize("framing", ["Content-Length: 4", "Transfer-Encoding: chunked", "X: y"])
def test_what_follows_a_304_is_no_part_of_the_stored_body(site, sent, framing):
    """RFC 9110 section 15.4.5: it has no content, whatever an app sends behind it."""
    head = f'HTTP/1.1 304 Reason\r\nCache-Control: max-age=60\r\nETag: "a"\r\n{framing}\r\n\r\n'
    path = site.path(Reply([STALE, TAG]), Reply(raw=head.encode() + sent))
    site.ask(path)
    for _ in range(2):
        answer = site.ask(path)
        assert answer.status == 200 and answer.body == b"answer 1"
    assert answer.is_hit


def test_what_follows_a_204_goes_to_nobody(site):
    """In a keep-alive connection it would be the beginning of the next answer."""
    path = site.path(Reply(raw=b"HTTP/1.1 204 Reason\r\nCache-Control: max-age=60\r\n\r\nHTTP/1.1 200"))
    for is_hit in (False, True):
        answer = site.ask(path)
        assert answer.status == 204 and answer.is_hit == is_hit and answer.body == b""
