"""What goes through larder is what goes without it: every request that reaches the app and every
answer that reaches the client is compared with the direct one, byte for byte, less what larder
adds or removes by rule. Through a route that caches, an answer is compared twice: from a miss, and
from a hit."""
import contextlib
import re

import pytest

from support.larder import Larder
from support.wire import ExactApp, Wire, values
from support.wire_cases import CASES, DATE, req
from test_caching import config

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
              b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
FORWARDING = {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"forwarded",
              b"x-request-id", b"x-original-url", b"x-rewrite-url", b"via"}
OF_THE_CLIENT = {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since",
                 b"if-range", b"range", b"accept-encoding"}
FRAMING = {b"content-length", b"transfer-encoding"}
# RFC 9110 section 15.4.5: a 304 need not repeat what describes the body
OF_THE_BODY = {b"content-type", b"content-encoding", b"content-language", b"last-modified"}


def end_to_end(fields, *less):
    named = {n.strip().lower() for v in values(fields, b"connection") for n in v.split(b",")}
    gone = HOP_BY_HOP.union(named, *less)
    return [(n, v) for n, v in fields if n.lower() not in gone]


def asked(port, case, request=None):
    request = request or case.request
    with Wire(port) as wire:
        return converse(wire, case, request)


def asked_through(larder, case):
    """The connection is in order behind the answer, too: it is as long as it says, and one more
    request is answered, or the connection ends as the answer told."""
    with Wire(larder.public_port) as wire:
        answer = converse(wire, case, case.request)
        if answer.stays_open():
            wire.send(req(b"/sentinel", (b"Connection", b"close")))
            assert wire.answer().body == b"sentinel"
        assert wire.is_closed()
        return answer


def converse(wire, case, request):
    if isinstance(request, list):
        wire.send(request[0])
        assert wire.reader.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        request = request[1]
    wire.send(request)
    return wire.answer(case.method)


def compare_requests(direct, through, is_fetch):
    assert (direct.method, direct.body) == (through.method, through.body) or is_fetch and (
        (direct.method, through.method) == (b"HEAD", b"GET"))
    absolute = re.fullmatch(rb"http://([^/?]*)(.*)", direct.target, re.S)
    host, target = absolute.groups() if absolute else ((direct.all(b"host") or [b""])[0],
                                                       direct.target)
    assert (through.target, through.all(b"host")) == (target or b"/", [host])
    less = [FORWARDING, FRAMING, {b"host", b"expect"}, OF_THE_CLIENT if is_fetch else set()]
    assert end_to_end(through.fields, *less) == end_to_end(direct.fields, *less)
    assert through.version == b"HTTP/1.1"
    assert through.all(b"x-forwarded-for") == [b"127.0.0.1"]
    assert through.all(b"x-forwarded-proto") == [b"http"]
    lengths = direct.all(b"content-length")
    if not is_fetch:
        assert direct.all(b"transfer-encoding") == through.all(b"transfer-encoding")
        if lengths not in ([], [b"0"]):
            assert through.all(b"content-length") == lengths
    if is_fetch:
        assert not OF_THE_CLIENT & {n.lower() for n, v in through.fields} - {b"accept-encoding"}
        assert through.all(b"accept-encoding") in ([], [b"gzip"])


def age_of(answer):
    return int(answer.one(b"age") or 0)


def compare_answers(direct, through):
    assert (through.status, through.reason) == (direct.status, direct.reason)
    assert through.body == direct.body
    assert through.version == b"HTTP/1.1"
    less = [FORWARDING, FRAMING, {b"cache-status", b"age"}]
    for optional in (b"date", b"etag"):  # an app's own stay; else larder may write one
        if not direct.all(optional):
            less.append({optional})
    got, wanted = end_to_end(through.fields, *less), end_to_end(direct.fields, *less)
    if direct.status == 304:  # one that larder makes has the ETag last
        got, wanted = ([f for f in sorted(fields) if f[0].lower() not in OF_THE_BODY]
                       for fields in (got, wanted))
    assert got == wanted
    assert age_of(direct) <= age_of(through) <= age_of(direct) + 60
    assert through.one(b"date") and through.one(b"via").endswith(b"1.1 larder")
    assert len(through.all(b"x-request-id")) == 1
    compare_lengths(direct, through)


def compare_lengths(direct, through):
    """One plain number at most (RFC 9110 section 8.6), where the app says one, and the right one."""
    lengths = through.all(b"content-length")
    assert len(lengths) <= 1 and all(length.isdigit() for length in lengths)
    if through.framing == "length":
        assert int(lengths[0]) == len(through.body)
    if direct.all(b"content-length") and direct.status not in (204, 304):
        assert lengths == [direct.all(b"content-length")[0].split(b",")[0]]


def status_of(answer):
    return [v for v in answer.all(b"cache-status") if v.startswith(b"larder; ")][0]


@contextlib.contextmanager
def pair(*routes):
    with ExactApp() as app:
        larder = Larder(config(app, *routes))
        try:
            yield app, larder
        finally:
            larder.stop()


@pytest.fixture(scope="module")
def passing():
    with pair() as both:
        yield both


@pytest.fixture(scope="module")
def caching():
    with pair({"name": "keyed", "match": "POST,QUERY /keyed/*", "ttl": "1h"},
              {"name": "all", "match": "GET /*", "ttl": "1h"}) as both:
        yield both


def take_last(app):
    request, app.received = app.received[-1], []
    return request


def check_passing(app, larder, case):
    app.answer, app.received = case.answer, []
    direct = asked(app.port, case)
    direct_request = take_last(app)
    through = asked_through(larder, case)
    compare_requests(direct_request, take_last(app), False)
    compare_answers(direct, through)
    assert b"fwd=bypass" in status_of(through)


def check_caching(app, larder, case):
    larder.invalidate(all=True, mode="hard")
    app.answer, app.received = case.answer, []
    direct = asked(app.port, case, case.cached_as)
    direct_request = take_last(app)
    miss = asked_through(larder, case)
    is_fetch = b"miss" in status_of(miss)  # for the cache, not for this client alone
    compare_requests(direct_request, take_last(app), is_fetch)
    compare_answers(direct, miss)
    again = asked_through(larder, case)
    compare_answers(direct, again)
    assert (b"larder; hit" in status_of(again)) == case.is_stored, status_of(again)
    assert len(app.received) == (0 if case.is_stored else 1)


BY_NAME = {case.name: case for case in CASES}


def test_the_table_is_long_and_its_names_differ():
    assert len(BY_NAME) == len(CASES) >= 200


@pytest.mark.parametrize("name", BY_NAME)
def test_a_request_that_passes_and_its_answer_are_the_direct_ones(passing, name):
    check_passing(*passing, BY_NAME[name])


@pytest.mark.parametrize("name", BY_NAME)
def test_a_cached_answer_is_the_direct_one_from_a_miss_and_from_a_hit(caching, name):
    check_caching(*caching, BY_NAME[name])
