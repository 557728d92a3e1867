"""What mode http keeps besides whole answers to GET: parts (RFC 9111 section 3.3), an answer to
POST that is the target's own (RFC 9110 section 9.3.3), and what a HEAD tells (RFC 9111 section
4.3.5)."""
import threading

import pytest

from support.larder import wait_until
from support.script import CLOSED, Reply

FRESH = ("Cache-Control", "max-age=3600")
STALE = ("Cache-Control", "max-age=0")
TAG = ("ETag", '"a"')
TEN = b"0123456789"
FIRST_TWO = [("Range", "bytes=0-1")]
SAYS = ("Content-Range", "bytes 0-1/10")


def cc(value):
    return "Cache-Control", value


def part(*fields, body=b"01"):
    return Reply([SAYS, *fields], 206, body)


# --- parts ---

def test_a_part_is_kept_for_who_asks_for_the_same(site):
    path = site.path(part(FRESH, ("A", "1")))
    for _ in range(2):
        answer = site.ask(path, FIRST_TWO)
        assert answer.status == 206 and answer.body == b"01" and answer.get("A") == "1"
        assert answer.all("Content-Range") == [SAYS[1]] and answer.all("Content-Length") == ["2"]
    assert answer.is_hit
    assert site.asked(path)[0].get("Range") == "bytes=0-1"


@pytest.mark.parametrize("asks", [
    [], [("Range", "bytes=0-0")], [("Range", "bytes=0-")], [("Range", "bytes=-2")],
    [("Range", "bytes=0-1,3-4")], [("Range", "bytes=1-0")], [("Range", "x")],
    [*FIRST_TWO, ("If-Range", '"a"')], [*FIRST_TWO, ("If-Range", '"b"')]])
def test_a_part_is_nothing_else(site, asks):
    """Whoever asks for the whole, for another part or under a condition, asks the app."""
    path = site.path(part(FRESH, TAG), Reply([FRESH], body=TEN))
    site.ask(path, FIRST_TWO)
    answer = site.ask(path, asks)
    assert not answer.is_hit and len(site.asked(path)) == 2
    assert answer.status in (200, 206, 416) and answer.body != b"01"
    assert site.asked(path)[1].get("If-Range") == dict(asks).get("If-Range")


@pytest.mark.parametrize("fields, first, then", [
    ([cc("no-store")], [], []), ([cc("private, max-age=60")], [], []),
    ([FRESH, ("Set-Cookie", "a=b")], [], []), ([FRESH, ("Vary", "Foo")], [], [("Foo", "1")]),
    ([FRESH, ("Vary", "*")], [], []),
    ([FRESH, ("Content-Encoding", "gzip")], [("Accept-Encoding", "gzip")], []),
    ([FRESH], [("Authorization", "x")], []), ([FRESH], [], [("Authorization", "x")]),
    ([FRESH], [("Origin", "http://a")], [("Origin", "http://b")]),
    ([FRESH, ("Age", 9)], [], [cc("max-age=0")]), ([FRESH], [], [cc("no-cache")]),
    ([FRESH], [], [("Pragma", "no-cache")]), ([FRESH], [cc("no-store")], []),
    ([STALE], [], []), ([cc("no-cache"), TAG], [], [])])
def test_a_part_is_held_to_all_rules_of_the_whole(site, fields, first, then):
    path = site.path(part(*fields))
    for asks in (first, then):
        answer = site.ask(path, FIRST_TWO + asks)
        assert answer.status == 206 and answer.body == b"01" and not answer.is_hit
    assert len(site.asked(path)) == 2


def test_a_stale_part_is_validated_as_a_part(site):
    path = site.path(part(STALE, TAG), Reply([FRESH, TAG, ("A", "2")], 304))
    site.ask(path, FIRST_TWO)
    for _ in range(2):
        answer = site.ask(path, FIRST_TWO)
        assert answer.status == 206 and answer.body == b"01" and answer.get("A") == "2"
        assert answer.all("Content-Range") == [SAYS[1]]
    assert answer.is_hit
    assert [site.asked(path)[1].get(n) for n in ("Range", "If-None-Match")] == ["bytes=0-1", '"a"']


def test_a_stored_whole_comes_before_a_stored_part(site):
    path = site.path(part(FRESH), Reply([FRESH], body=b"abcdefghij"))
    site.ask(path, FIRST_TWO)
    site.ask(path)
    answer = site.ask(path, FIRST_TWO)
    assert answer.is_hit and answer.body == b"ab"


def test_a_write_takes_back_parts_as_well(site):
    path = site.path(part(FRESH), Reply([]), part(FRESH, body=b"ab"))
    site.ask(path, FIRST_TWO)
    site.ask(path, method="PUT", body=b"x")
    assert site.ask(path, FIRST_TWO).body == b"ab"


def test_who_wants_the_whole_does_not_wait_for_a_part(site):
    gate = threading.Event()
    path = site.path(Reply([SAYS, FRESH], 206, b"01", gate=gate), Reply([FRESH], body=TEN))
    pending = site.start(path, FIRST_TWO)
    wait_until(lambda: len(site.asked(path)) == 1)
    assert site.ask(path).body == TEN
    gate.set()
    assert pending.result().body == b"01"
    assert site.ask(path).body == TEN


def test_an_app_that_knows_no_ranges_gives_the_whole_and_larder_the_part(site):
    path = site.path(Reply([FRESH], body=TEN))
    assert site.ask(path, FIRST_TWO).status in (200, 206)
    assert site.ask(path).is_hit
    answer = site.ask(path, [("Range", "bytes=8-")])
    assert answer.status == 206 and answer.body == b"89" and len(site.asked(path)) == 1


def test_a_206_that_nobody_asked_for_is_not_stored(site):
    path = site.path(part(FRESH), Reply([FRESH], body=TEN))
    site.ask(path)
    assert site.ask(path).body == TEN


@pytest.mark.xfail(strict=True, reason="a 416 with a lifetime is stored as the whole's answer")
def test_a_416_is_no_answer_to_who_wants_the_whole(site):
    """RFC 9110 section 15.5.17: it is about the range, with a lifetime or without."""
    path = site.path(Reply([FRESH, ("Content-Range", "bytes */10")], 416, b"no"),
                     Reply([FRESH], body=TEN))
    assert site.ask(path, [("Range", "bytes=99-")]).status == 416
    answer = site.ask(path)
    assert answer.status == 200 and answer.body == TEN
    assert site.ask(path, FIRST_TWO).body == b"01"


@pytest.mark.xfail(strict=True, reason="only-if-cached does not look for parts")
def test_only_if_cached_finds_a_part(site):
    path = site.path(part(FRESH))
    site.ask(path, FIRST_TWO)
    answer = site.ask(path, [*FIRST_TWO, cc("only-if-cached")])
    assert answer.status == 206 and answer.body == b"01"


def test_a_part_that_must_be_validated_hides_no_failure(site):
    path = site.path(part(cc("max-age=3600, no-cache"), TAG), CLOSED)
    site.ask(path, FIRST_TWO)
    assert site.ask(path, FIRST_TWO).status in (502, 504)


# --- POST ---

def posted(site, fields, asks=(), status=200, location="{}"):
    """The path of what a POST has brought."""
    path = site.path()
    site.app.replies[path] = [Reply([("Content-Location", location.format(path)), *fields], status)]
    assert site.ask(path, asks, "POST", b"abc").body == b"answer 1"
    return path


@pytest.mark.parametrize("location", ["{}", "http://site{}", "http://SITE{}"])
def test_an_answer_to_post_is_kept_where_it_is_the_targets_own(site, location):
    path = posted(site, [FRESH, ("A", "1"), ("Connection", "B"), ("B", "2")], location=location)
    answer = site.ask(path)
    assert answer.is_hit and answer.status == 200 and answer.body == b"answer 1"
    assert answer.get("A") == "1" and answer.get("B") is None
    assert site.ask(path, method="POST", body=b"x").body == b"answer 2", "POST itself is asked"


@pytest.mark.parametrize("fields, asks, then", [
    ([], [], []), ([("Last-Modified", -100000)], [], []), ([TAG], [], []),
    ([STALE, TAG], [], []), ([cc("no-store")], [], []), ([cc("private, max-age=60")], [], []),
    ([cc("no-cache, max-age=60"), TAG], [], []), ([FRESH, ("Age", 3600)], [], []),
    ([FRESH, ("Set-Cookie", "a=b")], [], []), ([FRESH, ("Vary", "Foo")], [], []),
    ([FRESH, ("Vary", "*")], [], []), ([FRESH], [cc("no-store")], []),
    ([FRESH], [("Authorization", "x")], []), ([FRESH], [], [("Authorization", "x")]),
    ([FRESH, ("Larder-Cache-Control", "no-store")], [], []),
    ([FRESH, ("Access-Control-Allow-Origin", "http://a")], [("Origin", "http://a")],
     [("Origin", "http://b")]),
    pytest.param([FRESH, ("Content-Encoding", "gzip")], [("Accept-Encoding", "gzip")], [],
                 marks=pytest.mark.xfail(strict=True, reason="kept without regard to its coding")),
])
def test_an_answer_to_post_is_held_to_all_rules_of_a_get(site, fields, asks, then):
    path = posted(site, fields, asks)
    answer = site.ask(path, then)
    assert not answer.is_hit and answer.body == b"answer 2"


@pytest.mark.parametrize("status, location", [
    (201, "{}"), (404, "{}"), (200, "/other{}"), (200, "{}?x=1"), (200, "http://other{}"),
    (200, "//other{}"), (200, "x"), (200, "")])
def test_an_answer_to_post_that_is_anothers_is_not_kept(site, status, location):
    path = posted(site, [FRESH], status=status, location=location)
    assert site.ask(path).body == b"answer 2"


def test_an_answer_to_post_that_breaks_off_is_not_kept(site):
    path = site.path()
    head = f"HTTP/1.1 200 OK\r\nContent-Location: {path}\r\nCache-Control: max-age=99\r\n"
    site.app.replies[path] = [Reply(raw=head.encode() + b"Content-Length: 99\r\n\r\nabc"),
                              Reply([FRESH])]
    site.ask(path, method="POST", body=b"x")
    assert site.ask(path).body == b"answer 2"


# --- HEAD ---

OLD = [STALE, TAG, ("A", "1")]


def told(site, news, stored=OLD, asks=(), status=200, body=TEN, first=()):
    """The path of what was stored, and of which a HEAD has brought news since."""
    path = site.path(Reply(stored, body=TEN), Reply(news, status, body),
                     Reply([FRESH], body=b"new"))
    site.ask(path, first)
    site.ask(path, asks, "HEAD")
    assert [r.method for r in site.asked(path)] == ["GET", "HEAD"]
    return path


def test_a_head_makes_the_stored_answer_fresh_again(site):
    path = told(site, [FRESH, TAG, ("A", "2"), ("Connection", "B"), ("B", "1")])
    answer = site.ask(path)
    assert answer.is_hit and answer.body == TEN and answer.get("A") == "2"
    assert answer.get("B") is None and answer.all("Content-Length") == ["10"]


@pytest.mark.parametrize("news, status, body", [
    ([FRESH, ("ETag", '"b"')], 200, TEN), ([FRESH, TAG], 200, b"123"), ([FRESH, TAG], 404, TEN),
    ([FRESH, TAG], 410, TEN), ([FRESH, TAG], 500, TEN), ([cc("no-store"), TAG], 200, TEN),
    ([cc("private, max-age=60"), TAG], 200, TEN)])
def test_a_head_of_something_else_makes_nothing_fresh(site, news, status, body):
    path = told(site, news, status=status, body=body)
    answer = site.ask(path)
    assert not answer.is_hit and answer.body == b"new"


@pytest.mark.xfail(strict=True, reason="the variant's key stays as it was")
def test_a_head_that_tells_of_a_new_vary_shares_nothing_by_it(site):
    """RFC 9111 section 4.1: nobody knows what the fields of the first request have chosen."""
    path = told(site, [FRESH, TAG, ("Vary", "Foo")], first=[("Foo", "1")])
    assert site.ask(path, [("Foo", "2")]).body == b"new"


@pytest.mark.xfail(strict=True, reason="what may not be stored of a HEAD drops the stored answer")
@pytest.mark.parametrize("asks", [[cc("no-store")], [("Authorization", "x")]])
def test_a_head_of_which_nothing_may_be_kept_takes_nothing_away(site, asks):
    path = told(site, [FRESH, TAG], asks=asks)
    site.ask(path)
    assert site.asked(path)[2].get("If-None-Match") == '"a"'
