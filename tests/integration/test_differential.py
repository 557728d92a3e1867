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
    """The answer, and that the connection is in order behind it: one more request is answered, or
    the connection ends."""
    request = request or case.request
    with Wire(port) as wire:
        if isinstance(request, list):
            wire.send(request[0])
            assert wire.reader.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
            request = request[1]
        wire.send(request)
        answer = wire.answer(case.method)
        if answer.stays_open():
            wire.send(req(b"/sentinel", (b"Connection", b"close")))
            assert wire.answer().body == b"sentinel"
        assert wire.is_closed()
        return answer


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


def compare_answers(direct, through, is_from_store):
    assert (through.status, through.reason) == (direct.status, direct.reason)
    assert through.body == direct.body
    assert through.version == b"HTTP/1.1"
    less = [FORWARDING, FRAMING, {b"cache-status"}, {b"age"} if is_from_store else set(),
            OF_THE_BODY if direct.status == 304 else set()]
    for optional in (b"date", b"etag"):  # an app's own stay; else larder may write one
        if not direct.all(optional):
            less.append({optional})
    assert end_to_end(through.fields, *less) == end_to_end(direct.fields, *less)
    lengths = through.all(b"content-length")
    assert len(lengths) <= 1 and (through.framing != "length" or int(lengths[0]) == len(through.body))
    if direct.framing == "length" or direct.all(b"content-length") and direct.status not in (204, 304):
        assert lengths == [direct.all(b"content-length")[0].split(b",")[0]]
    assert through.one(b"date") and b"1.1 larder" in through.one(b"via")
    assert len(through.all(b"x-request-id")) == 1


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
    through = asked(larder.public_port, case)
    compare_requests(direct_request, take_last(app), False)
    compare_answers(direct, through, False)
    assert b"fwd=bypass" in status_of(through)


def check_caching(app, larder, case):
    larder.invalidate(all=True, mode="hard")
    app.answer, app.received = case.answer, []
    direct = asked(app.port, case, case.cached_as)
    direct_request = take_last(app)
    miss = asked(larder.public_port, case)
    is_fetch = b"fwd=uri-miss" in status_of(miss)
    compare_requests(direct_request, take_last(app), is_fetch)
    compare_answers(direct, miss, b"; stored" in status_of(miss))
    again = asked(larder.public_port, case)
    compare_answers(direct, again, b"; hit" in status_of(again))
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
