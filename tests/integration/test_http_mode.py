"""RFC 9111 sections 3 and 4.2: what "mode": "http" stores, and how long it is fresh."""
import threading

import pytest

from support.script import HINTS, Reply, date

FRESH = ("Cache-Control", "max-age=3600")
NOW = ("Date", 0)
TAG = ("ETag", '"a"')


def cc(value):
    return "Cache-Control", value


@pytest.mark.parametrize("fields, becomes", [
    # section 5.2.2.1 and 5.2.2.10: max-age, and s-maxage before it
    ([cc("max-age=3600")], "cached"),
    ([cc("max-age=3600"), NOW], "cached"),
    ([cc("max-age=0")], "asked"),
    ([cc("max-age=-3600")], "asked"),
    ([cc("max-age=0"), ("Expires", 3600), NOW], "asked"),
    ([cc("max-age=3600"), ("Expires", -3600), NOW], "cached"),
    ([cc("max-age=3600"), ("Expires", "0"), NOW], "cached"),
    ([cc("s-maxage=3600")], "cached"),
    ([cc("s-maxage=3600, max-age=0")], "cached"),
    ([cc("s-maxage=3600"), cc("max-age=0")], "cached"),
    ([cc("max-age=3600, s-maxage=1"), ("Age", 1)], "asked"),
    ([cc("s-maxage=1, max-age=3600"), ("Age", 1)], "asked"),
    ([cc("max-age=3600"), cc("s-maxage=1"), ("Age", 1)], "asked"),
    # spelling
    ([cc("MaX-aGe=3600")], "cached"),
    ([cc('max-age="3600"')], "cached"),
    ([cc("max-age=003600")], "cached"),
    ([cc("max-age=99999999999999")], "cached"),
    ([cc("max-age='3600'")], "asked"),
    ([cc("max-age=3600.5")], "asked"),
    ([cc("max-age =3600")], "asked"),
    ([cc("max-age= 3600")], "asked"),
    ([cc('extension="max-age=3600", max-age=1'), ("Age", 1)], "asked"),
    ([cc('max-age=1, extension="max-age=3600"'), ("Age", 1)], "asked"),
    ([cc("extension, max-age=3600, other=x")], "cached"),
    # section 5.2.2.3 to 5.2.2.7: what forbids
    ([cc("private, max-age=3600")], "asked"),
    ([cc("no-store")], "asked"),
    ([cc("No-StOrE")], "asked"),
    ([cc("max-age=3600, no-store"), ("Expires", 3600), NOW], "asked"),
    ([cc("no-store"), ("ETag", '"a"')], "asked"),
    ([cc("max-age=3600, no-cache"), ("Expires", 3600), NOW], "asked"),
    ([cc("max-age=3600, No-CaChE")], "asked"),
    ([cc("max-age=3600, no-cache"), ("ETag", '"a"')], "validated"),
    ([cc("max-age=3600"), ("Pragma", "no-cache")], "cached"),
    ([cc("public, max-age=3600, immutable")], "cached"),
    ([cc("max-age=0, immutable"), ("ETag", '"a"')], "validated"),
    ([cc("max-age=3600, must-revalidate"), ("ETag", '"a"')], "cached"),
    ([cc("max-age=0, must-revalidate"), ("ETag", '"a"')], "validated"),
])
def test_cache_control_rules_storing_and_freshness(site, fields, becomes):
    assert site.twice(fields) == becomes


@pytest.mark.parametrize("age, becomes", [
    ("7200", "asked"), ("3600", "asked"), ("3000", "cached"), ("0", "cached"),
    ("abc", "cached"), ("-7200", "cached"), ("7200.0", "cached"),
    ("2147483647", "asked"), ("2147483648", "asked"), ("2147483649", "asked"),
    pytest.param("99999999999999999999999", "asked"),
    ("7200, 0", "asked"), ("0, 7200", "cached"), ("0, 0", "cached"),
    (("7200", "0"), "asked"), (("0", "7200"), "cached"), (("0", "0"), "cached"),
    (("3000", "3000"), "cached"),
])
def test_age_is_one_number_or_the_first_of_many(site, age, becomes):
    """RFC 9111 section 5.1."""
    ages = age if isinstance(age, tuple) else (age,)
    assert site.twice([NOW, FRESH, *(("Age", a) for a in ages)]) == becomes


@pytest.mark.parametrize("fields, becomes", [
    ([("Expires", 3600), NOW], "cached"),
    ([("Expires", 3600)], "cached"),
    ([("Expires", -2592000), NOW], "asked"),
    ([("Expires", 0), NOW], "asked"),
    ([("Expires", 300), ("Date", 400)], "asked"),
    ([("Expires", "0"), NOW], "asked"),
    ([("Expires", "-1"), NOW], "asked"),
    ([("Date", -10), ("Expires", 10), ("Age", 25)], "asked"),
    ([("Date", 10), ("Expires", 20), ("Age", 15)], "asked"),
    ([("Date", -10), ("Expires", 3600), ("Age", 25)], "cached"),
    ([("Expires", "Thu, 18 Aug 2050 02:01:18 GMT"), NOW], "cached"),
    ([("Expires", "thu, 18 aug 2050 02:01:18 gmt"), NOW], "cached"),
    ([("Expires", "Thursday, 18-Aug-50 02:01:18 GMT"), NOW], "cached"),
    ([("Expires", "Thu Aug 18 02:01:18 2050"), NOW], "cached"),
    ([("Expires", "Thu, 18 Aug 2050 02:01:18 UTC"), NOW], "asked"),
    ([("Expires", "Thu, 18 Aug 2050 02:01:18 AEST"), NOW], "asked"),
    ([("Expires", "Thu, 18 Aug 50 02:01:18 GMT"), NOW], "asked"),
    ([("Expires", "Thu 18 Aug 2050 02:01:18 GMT"), NOW], "asked"),
    ([("Expires", "Thu, 18  Aug  2050 02:01:18 GMT"), NOW], "asked"),
    ([("Expires", "Thu, 18-Aug-2050 02:01:18 GMT"), NOW], "asked"),
    ([("Expires", "Thu, 18 Aug 2050 02.01.18 GMT"), NOW], "asked"),
    ([("Expires", "Thu, 18 Aug 2050 2:01:18 GMT"), NOW], "asked"),
    ([("Expires", "Thu, 18 Aug 2050 2:01:18 GMT"), ("Expires", "Thu, 18 Aug 2050 2:01:19 GMT"),
      NOW], "asked"),
])
def test_expires_is_one_of_three_forms_of_a_date(site, fields, becomes):
    """RFC 9111 section 5.3, RFC 9110 section 5.6.7."""
    assert site.twice(fields) == becomes


@pytest.mark.parametrize("status", [200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 403, 404,
                                    405, 410, 414, 499, 500, 501, 502, 503, 504, 599])
def test_any_final_status_is_stored_with_a_lifetime_and_not_used_beyond_it(site, status):
    """RFC 9111 section 3: also those that have a meaning that larder does not know."""
    assert site.twice([FRESH, NOW], status) == "cached"
    assert site.twice([("Expires", -5000), NOW], status) == "asked"
    assert site.twice([("Expires", -5000), ("Last-Modified", -100000), NOW],
                      status) == "validated"
    assert site.twice([cc("no-store"), ("Expires", 5000)], status) == "asked"


@pytest.mark.parametrize("status", [401, 407])
def test_a_refused_login_is_never_stored(site, status):
    assert site.twice([FRESH, NOW], status) == "asked"


@pytest.mark.parametrize("status, becomes", [
    (200, "cached"), (203, "cached"), (204, "cached"), (300, "cached"), (301, "cached"),
    (308, "cached"), (404, "cached"), (405, "cached"), (410, "cached"), (414, "cached"),
    (501, "cached"), (201, "asked"), (202, "asked"), (302, "asked"), (403, "asked"), (500, "asked"),
    (502, "asked"), (503, "asked"), (504, "asked"), (599, "asked")])
def test_only_some_statuses_are_fresh_by_a_guess(site, status, becomes):
    """RFC 9111 section 4.2.2, RFC 9110 section 15.1."""
    assert site.twice([("Last-Modified", -86400), NOW], status) == becomes
    if becomes == "asked":
        said = [("Last-Modified", -86400), NOW, cc("public")]
        assert site.twice(said, status) == "cached"


def test_a_guess_is_a_tenth_of_the_time_since_the_last_change(site):
    assert site.twice([("Last-Modified", -1000), NOW, ("Age", 90)]) == "cached"
    assert site.twice([("Last-Modified", -1000), NOW, ("Age", 101)]) == "validated"
    assert site.twice([("Last-Modified", -86400 * 100), NOW, ("Age", 86390)]) == "cached"
    assert site.twice([("Last-Modified", -86400 * 100), NOW, ("Age", 86401)]) == "validated"
    assert site.twice([NOW]) == "asked"
    cookie = [("Cookie", "a=b")]
    assert site.twice([("Last-Modified", -1000), NOW], first=cookie, then=cookie) == "asked"
    tagged = [("Last-Modified", -1000), ("ETag", '"a"'), NOW]
    assert site.twice(tagged, first=cookie, then=cookie) == "validated"


@pytest.mark.parametrize("value, status, becomes", [
    ("max-age=3600, no-store, must-understand", 200, "cached"),
    ("max-age=3600, no-store, must-understand", 599, "asked"),
    ("max-age=3600, must-understand", 200, "cached"),
    pytest.param("max-age=3600, must-understand", 599, "asked"),
])
def test_must_understand_asks_whether_the_status_is_known(site, value, status, becomes):
    """RFC 9111 sections 3 and 5.2.2.3."""
    assert site.twice([cc(value)], status) == becomes


@pytest.mark.parametrize("fields, becomes", [
    ([("CDN-Cache-Control", "max-age=3600"), cc("no-store")], "cached"),
    ([("CDN-Cache-Control", "max-age=3600"), ("Expires", -10), NOW], "cached"),
    ([("CDN-Cache-Control", "max-age=3600"), ("Age", 7200), NOW], "asked"),
    ([("CDN-Cache-Control", "max-age=0")], "asked"),
    ([("CDN-Cache-Control", "max-age=0"), ("Expires", 10000), NOW], "asked"),
    ([("CDN-Cache-Control", "max-age=1"), cc("max-age=3600"), ("Age", 1)], "asked"),
    ([("CDN-Cache-Control", "private"), cc("max-age=3600"), ("Expires", 10000), NOW], "asked"),
    ([("CDN-Cache-Control", "no-cache"), cc("max-age=3600"), ("Expires", 10000), NOW], "asked"),
    ([("CDN-Cache-Control", "no-store"), cc("max-age=3600"), ("Expires", 10000), NOW], "asked"),
    ([("CDN-Cache-Control", "max-age=3600, &&&&&"), cc("no-store")], "asked"),
    ([("CDN-Cache-Control", 'max-age="3600"'), cc("no-store")], "asked"),
    ([("CDN-Cache-Control", ""), cc("max-age=3600")], "cached"),
    ([("Larder-Cache-Control", "max-age=3600"), cc("no-store")], "cached"),
    ([("Larder-Cache-Control", "max-age=3600"), ("CDN-Cache-Control", "no-store")], "cached"),
    ([("Larder-Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=3600")], "asked"),
    ([("Larder-Cache-Control", "&"), ("CDN-Cache-Control", "max-age=3600"), cc("no-store")],
     "cached"),
])
def test_targeted_fields_come_before_cache_control(site, fields, becomes):
    """RFC 9213."""
    assert site.twice(fields) == becomes


def test_our_own_targeted_field_goes_no_further_and_others_do(site):
    path = site.path(Reply([("Larder-Cache-Control", "max-age=3600"),
                            ("CDN-Cache-Control", "no-store")]))
    for _ in range(2):
        answer = site.ask(path)
        assert answer.get("Larder-Cache-Control") is None
        assert answer.get("CDN-Cache-Control") == "no-store"
    assert answer.is_hit


STORED = [
    ("Test-Header", "x"), ("X-Test-Header", "x"), ("Content-Foo", "x"), ("X-Content-Foo", "x"),
    ("Cache-Control", "max-age=3600"), ("Content-Encoding", "x"), ("Content-Location", "/foo"),
    ("Content-MD5", "rL0Y20zC+Fzt72VPzMSk2A=="), ("Content-Range", "x"),
    ("Content-Security-Policy", "default-src 'self'"), ("Content-Type", "text/plain"),
    ("Clear-Site-Data", "cache"), ("ETag", '"abcdef"'),
    ("Expires", "Fri, 01 Jan 2038 01:01:01 GMT"), ("Public-Key-Pins", "x"),
    ("Set-Cookie2", "a=b"), ("X-Frame-Options", "deny"), ("X-XSS-Protection", "1"),
    ("Proxy-Status", "other"), ("Warning", '299 - "x"'), ("Server", "y"), ("X-Empty", ""),
]


@pytest.mark.parametrize("name, value", STORED)
def test_a_hit_has_the_fields_of_the_stored_answer(site, name, value):
    """RFC 9111 section 3.1."""
    fields = [(name, value), NOW] if name == "Cache-Control" else [(name, value), NOW, FRESH]
    path = site.path(Reply(fields))
    for answer in (site.ask(path), site.ask(path)):
        assert answer.all(name) == [value]
    assert answer.is_hit


def test_the_length_is_that_of_the_body(site):
    path = site.path(Reply([FRESH], body=b"0123456789"))
    for answer in (site.ask(path), site.ask(path)):
        assert answer.all("Content-Length") == ["10"]
        assert answer.body == b"0123456789"
    assert answer.is_hit


HOP_BY_HOP = [
    ("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authentication-Info", "x"), ("Proxy-Authorization", "x"),
    ("Proxy-Connection", "keep-alive"), ("TE", "trailers"), ("Trailer", "X-Sum"),
    ("Upgrade", "h2c"),
]


@pytest.mark.parametrize("name, value", HOP_BY_HOP)
def test_fields_of_the_connection_are_neither_passed_nor_stored(site, name, value):
    """RFC 9110 section 7.6.1: not in the miss, not in the hit, named by Connection or not."""
    for more in ([], [("Connection", name)]):
        path = site.path(Reply([FRESH, NOW, (name, value), *more, ("X-End", "1")]))
        for answer in (site.ask(path), site.ask(path)):
            assert answer.get(name) is None
            assert answer.get("X-End") == "1"
            assert answer.all("Connection") in ([], ["close"])
        assert answer.is_hit


def test_nor_are_they_in_any_other_form_of_the_answer(site):
    fields = [*HOP_BY_HOP, ("Connection", "a"), ("a", "1"), ("c", "3"), TAG]
    stored, passed = site.path(Reply([*fields, FRESH])), site.path(Reply([*fields, cc("no-store")]))
    confirmed = site.path(Reply([cc("max-age=0"), TAG, ("c", "3")]), Reply(fields, 304))
    site.ask(stored)
    site.ask(confirmed)
    answers = [(200, site.ask(passed)), (200, site.ask(passed, method="HEAD")),
               (200, site.ask(stored, method="HEAD")), (200, site.ask(confirmed)),
               (304, site.ask(stored, [("If-None-Match", TAG[1])])),
               (206, site.ask(stored, [("Range", "bytes=0-1")]))]
    for status, answer in answers:
        assert answer.status == status and answer.get("c") == "3"
        assert answer.get("a") is None and answer.all("Connection") in ([], ["close"])
        assert not [n for n, _ in HOP_BY_HOP if answer.get(n) is not None]


def test_fields_that_connection_names_are_neither_passed_nor_stored(site):
    path = site.path(Reply([("Connection", "A, b"), ("a", "1"), ("B", "2"), ("c", "3"),
                            ("Connection", "D"), ("d", "4"), FRESH, NOW]))
    for answer in (site.ask(path), site.ask(path)):
        assert [answer.get(n) for n in "abcd"] == [None, None, "3", None]
        assert answer.all("Connection") in ([], ["close"])
    assert answer.is_hit


@pytest.mark.parametrize("name, value", [
    ("Cache-Control", "max-age=3600, no-store"), ("Set-Cookie", "a=b"), ("Vary", "*")])
def test_connection_takes_away_nothing_that_forbids_to_share(site, name, value):
    """An app, or who sits before it, cannot lift a rule by naming its field."""
    fields = [(name, value), ("Connection", name), ("Expires", 3600), NOW]
    assert site.twice(fields) == "asked"
    assert site.ask(site.path(Reply(fields))).all(name) == [value]


def test_a_transfer_coding_ends_here(site):
    """RFC 9112 section 6: the body is delivered, its framing is not; nor are trailers."""
    path = site.path(Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                               b"Trailer: X-Sum\r\nCache-Control: max-age=3600\r\n\r\n"
                               b"4;ext=1\r\nabcd\r\n2\r\nef\r\n0\r\nX-Sum: 1\r\n\r\n"))
    first, second = site.ask(path), site.ask(path)
    assert second.is_hit
    assert second.body == b"abcdef"
    assert second.get("Content-Length") == "6"
    for answer in (first, second):
        assert b"X-Sum" not in answer.body
        assert answer.get("Trailer") is None and answer.get("X-Sum") is None
    assert second.get("Transfer-Encoding") is None


def test_trailers_are_dropped_where_nothing_is_stored(site):
    path = site.path(Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                               b"Trailer: X-Sum\r\nCache-Control: no-store\r\n\r\n"
                               b"4\r\nabcd\r\n0\r\nX-Sum: 1\r\n\r\n"))
    answer = site.ask(path)
    assert b"abcd" in answer.body and b"X-Sum" not in answer.body
    assert answer.get("Trailer") is answer.get("X-Sum") is None


@pytest.mark.parametrize("cut", [
    b"Content-Length: 10\r\n\r\nabcd", b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n9\r\nabcd"])
def test_an_answer_that_breaks_off_is_not_stored(site, cut):
    """RFC 9111 section 3.3."""
    path = site.path(Reply(raw=b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\n" + cut),
                     Reply([FRESH]))
    assert site.ask(path).status == 502
    assert site.ask(path).body == b"answer 2"


@pytest.mark.parametrize("coding", ["identity", "x-nothing"])
def test_a_coding_that_is_none_means_a_body_up_to_the_close(site, coding):
    path = site.path(Reply(raw=f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n"
                               "Cache-Control: max-age=3600\r\n\r\nup to the end".encode()))
    first, second = site.ask(path), site.ask(path)
    assert first.status == second.status == 200 and second.is_hit
    assert first.body == second.body == b"up to the end"
    assert first.get("Transfer-Encoding") is second.get("Transfer-Encoding") is None


@pytest.mark.parametrize("framing", ["Transfer-Encoding: gzip", "Transfer-Encoding: gzip, chunked",
                                     "Transfer-Encoding: identity\r\nContent-Length: 4"])
def test_a_coding_that_nobody_asked_for_is_a_bad_answer(site, framing):
    path = site.path(Reply(raw=f"HTTP/1.1 200 OK\r\n{framing}\r\n"
                               "Cache-Control: max-age=3600\r\n\r\nabcd".encode()))
    for _ in range(2):
        answer = site.ask(path)
        assert answer.status == 502 and b"abcd" not in answer.body
    assert len(site.asked(path)) >= 2


def test_age_is_generated_and_grows(site):
    """RFC 9111 sections 4 and 5.1."""
    none = site.path(Reply([FRESH, NOW]))
    some = site.path(Reply([FRESH, NOW, ("Age", 30)]))
    expires = site.path(Reply([("Expires", 3600), NOW, ("Age", 30)]))
    slow = site.path(Reply([FRESH, ("Date", -60)]))
    ages = [(path, begins, int(site.ask(path).get("Age") or 0)) for path, begins in
            ((none, 0), (some, 30), (expires, 30), (slow, 60))]
    for path, begins, first in ages:
        site.larder.wait_until(lambda path=path, first=first:
                               int(site.ask(path).get("Age")) > first)
        answer = site.ask(path)
        assert answer.is_hit and len(answer.all("Age")) == 1
        assert begins <= first < int(answer.get("Age")) < begins + 10


def test_the_time_that_a_body_takes_is_part_of_the_age(site):
    """RFC 9111 section 4.2.3: it is either delay or residence."""
    gate, clock = threading.Event(), site.path(Reply([FRESH]))
    head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\n"
    path = site.path(Reply(before=HINTS + head, raw=b"ok", gate=gate))
    rest = site.begin(path)
    site.ask(clock)
    site.larder.wait_until(lambda: int(site.ask(clock).get("Age")) >= 1)
    gate.set()
    assert rest().body == b"ok"
    assert int(site.ask(path).get("Age")) >= 1


def test_date_stays_that_of_the_answer(site):
    for fields in ([FRESH], [("Expires", 3600)]):
        then = date(-5)
        path = site.path(Reply([*fields, ("Date", then)]))
        for answer in (site.ask(path), site.ask(path)):
            assert answer.all("Date") == [then]
        assert answer.is_hit


def test_an_answer_without_date_gets_one_that_stays(site):
    """RFC 9110 section 6.6.1."""
    path = site.path(Reply([FRESH]))
    first = site.ask(path)
    site.larder.wait_until(lambda: int(site.ask(path).get("Age")) >= 1)
    assert len(first.all("Date")) == 1
    assert site.ask(path).all("Date") == first.all("Date")


def test_cookies_are_obeyed_dropped_or_stored(site):
    fields = [FRESH, ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")]
    for under, becomes, cookies in (("", "asked", ["a=b", "c=d"]), ("/dropping", "cached", []),
                                    ("/cookies", "cached", ["a=b", "c=d"])):
        assert site.twice(fields, under=under) == becomes
        path = site.path(Reply(fields), under=under)
        for _ in range(2):
            assert site.ask(path).all("Set-Cookie") == cookies


AUTH = [("Authorization", "Basic x")]


@pytest.mark.parametrize("value, becomes", [
    ("max-age=3600", "asked"), ("max-age=3600, proxy-revalidate", "asked"),
    ("max-age=3600, public", "cached"), ("max-age=3600, must-revalidate", "cached"),
    ("s-maxage=3600", "cached"), ("public, private, max-age=3600", "asked")])
def test_what_an_authorized_request_brought_is_shared_only_with_leave(site, value, becomes):
    """RFC 9111 section 3.5: with those who have credentials, and with those who have none."""
    for then in ((), AUTH, [("Authorization", "Basic y")]):
        assert site.twice([cc(value)], first=AUTH, then=then) == becomes


def test_an_authorized_request_is_not_answered_by_what_is_not_for_it(site):
    """Fresh and stored by another's request, but nobody has said that it is for all."""
    assert site.twice([FRESH, NOW], then=AUTH) == "asked"
    assert site.twice([FRESH, NOW, ("ETag", '"a"')], then=AUTH) == "asked"
    assert site.twice([cc("max-age=3600, public")], then=AUTH) == "cached"


def test_the_authorization_reaches_the_app(site):
    path = site.path(Reply([FRESH]))
    site.ask(path, AUTH)
    assert site.asked(path)[0].get("Authorization") == "Basic x"


def test_the_query_and_the_host_are_part_of_the_key(site):
    path = site.path(Reply([FRESH]))
    site.app.on(path + "?a=1", Reply([FRESH], body=b"one"))
    site.app.on(path + "?a=2", Reply([FRESH], body=b"two"))
    for _ in range(2):
        assert site.ask(path + "?a=1").body == b"one"
        assert site.ask(path + "?a=2").body == b"two"
        assert site.ask(path).body == b"answer 1"
    assert [len(site.asked(path + q)) for q in ("", "?a=1", "?a=2")] == [1, 1, 1]
    site.app.replies[path] = [Reply([FRESH], body=b"of another host")]
    other = site.larder.raw(f"GET {path} HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n"
                            .encode())
    assert other.endswith(b"of another host")
