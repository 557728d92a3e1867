"""What goes through larder is what goes without it: every request that reaches the app and every
answer that reaches the client is compared with the direct one, byte for byte, less what larder
adds or removes by rule. Through a route that caches, an answer is compared twice: from a miss, and
from a hit."""
import contextlib
import copy
import json
import re
import urllib.parse

import hypothesis
import pytest
from hypothesis import strategies as st

from support.larder import Larder
from support.wire import ExactApp, Wire, values
from support.wire_cases import (BIG, CASES, FORM, JSON, MULTIPART, TARGETS, TEXT, Case, ans,
                                chunked,
                                closing, empty, req, req_chunked)
from test_caching import config

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
              b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
FORWARDING = {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip",
              b"forwarded",
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


def door_of(side):
    """Where to ask it: by TLS, where it speaks that."""
    context = getattr(side, "client_context", None)
    if not context:
        return getattr(side, "public_port", None) or side.port
    return getattr(side, "tls_port", None) or side.port, context


def asked(port, case, request=None):
    request = request or case.request
    with Wire(port) as wire:
        return converse(wire, case, request)


def asked_through(larder, case, behind=b"/sentinel"):
    """The connection is in order behind the answer, too: it is as long as it says, and one more
    request is answered, or the connection ends as the answer told."""
    with Wire(door_of(larder)) as wire:
        answer = converse(wire, case, case.request)
        if answer.stays_open():
            wire.send(req(behind, (b"Connection", b"close")))
            assert wire.answer().status == 200
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
    assert through.all(b"x-forwarded-proto") in ([b"http"], [b"https"])
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
    less = [FORWARDING, FRAMING, {b"cache-status", b"age", b"proxy-status"}]
    for optional in (b"date", b"etag"):  # an app's own stay; else larder may write one
        if not direct.all(optional):
            less.append({optional})
    got, wanted = end_to_end(through.fields, *less), end_to_end(direct.fields, *less)
    if direct.status == 304:  # one that larder makes has the ETag last
        got, wanted = ([f for f in sorted(fields) if f[0].lower() not in OF_THE_BODY]
                       for fields in (got, wanted))
    assert got == wanted
    assert age_of(direct) <= age_of(through) <= age_of(direct) + 60
    assert through.one(b"date")  # and Via, unless larder itself answers
    assert through.all(b"proxy-status") or through.one(b"via").endswith(b"1.1 larder")
    assert len(through.all(b"x-request-id")) == 1
    compare_lengths(direct, through)


def compare_lengths(direct, through):
    """One plain number at most (RFC 9110 section 8.6), where the app says one, and the right one."""
    lengths = through.all(b"content-length")
    assert len(lengths) <= 1 and all(length.isdigit() for length in lengths), lengths
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


@pytest.fixture(scope="module")
def over_tls(authority):
    """TLS on both sides: to the app, whose certificate is verified, and from the client."""
    pair = authority.issue("DNS:a.test", "IP:127.0.0.1")
    with ExactApp(authority.server_context(pair)) as app:
        c = config(app, {"name": "keyed", "match": "POST,QUERY /keyed/*", "ttl": "1h"},
                   {"name": "all", "match": "GET /*", "ttl": "1h"})
        c["listen"] = {"address": "127.0.0.1:0", "tls": {"certificates": [pair.config()]}}
        c["upstreams"]["app"] = {"server": f"https://127.0.0.1:{app.port}",
                                 "tls": {"ca": str(authority.certificate)}}
        larder = Larder(c)
        app.client_context = larder.client_context = authority.client_context()
        yield app, larder
        larder.stop()


def take_last(app):
    request, app.received = app.received[-1], []
    return request


def check_passing(app, larder, case):
    app.answer, app.received = case.answer, []
    direct = asked(door_of(app), case)
    direct_request = take_last(app)
    through = asked_through(larder, case)
    compare_requests(direct_request, take_last(app), False)
    compare_answers(direct, through)
    assert b"fwd=bypass" in status_of(through)


def check_caching(app, larder, case):
    larder.invalidate(all=True, mode="hard")
    app.answer, app.received = case.answer, []
    direct = asked(door_of(app), case, case.cached_as)
    direct_request = take_last(app)
    miss = asked_through(larder, case)
    is_fetch = b"miss" in status_of(miss)  # for the cache, not for this client alone
    compare_requests(direct_request, take_last(app), is_fetch)
    compare_answers(with_ranges(direct, miss), miss)
    again = asked_through(larder, case)
    compare_answers(with_ranges(direct, again), again)
    is_hit = b"larder; hit" in status_of(again)
    assert case.is_stored in (None, is_hit), status_of(again)
    assert len(app.received) == (0 if is_hit else 1)


def with_ranges(direct, through):
    """What is stored whole is given in parts, also where the app knows none; past its end, 416."""
    if direct.status not in (200, 416) or through.status == 200:
        return direct
    whole = direct.body
    if through.status == 206:
        span = re.fullmatch(rb"bytes (\d+)-(\d+)/(\d+)", through.one(b"content-range"))
        first, last, length = (int(n) for n in span.groups())
        assert length == len(whole)
        fields = [f for f in direct.fields if f[0].lower() != b"content-length"]
        part = copy.copy(direct)
        part.status, part.reason, part.body = 206, b"Partial Content", whole[first:last + 1]
        at = len(fields) - (fields[-1:] == [(b"Date", b"now")])
        part.fields = fields[:at] + [(b"Content-Range", span.group())] + fields[at:]
        return part
    if through.all(b"proxy-status"):
        assert through.status == 416
        assert through.one(b"content-type") == b"application/problem+json"
        assert re.fullmatch(rb"bytes \*/\d+", through.one(b"content-range"))
        return through
    return direct


BY_NAME = {case.name: case for case in CASES}


def test_the_table_is_long_and_its_names_differ():
    assert len(BY_NAME) == len(CASES) >= 200


@pytest.mark.parametrize("name", BY_NAME)
def test_a_request_that_passes_and_its_answer_are_the_direct_ones(passing, name):
    check_passing(*passing, BY_NAME[name])


@pytest.mark.parametrize("name", BY_NAME)
def test_a_cached_answer_is_the_direct_one_from_a_miss_and_from_a_hit(caching, name):
    check_caching(*caching, BY_NAME[name])


@pytest.mark.parametrize("name", BY_NAME)
def test_over_tls_on_both_sides_it_is_the_same(over_tls, name):
    check_caching(*over_tls, BY_NAME[name])


# --- answers of different requests are never mixed ---

def meaning(target):
    """What a framework makes of a target: decoded segments, and decoded parameters, of which only
    those of one name have an order."""
    path, _, query = re.sub(rb"^http://[^/?]*", b"", target).partition(b"?")
    pairs = [pair.partition(b"=")[::2] for pair in query.split(b"&") if pair]
    return ([urllib.parse.unquote_to_bytes(segment) for segment in (path or b"/").split(b"/")],
            sorted(((decoded(n), decoded(v)) for n, v in pairs), key=lambda pair: pair[0]))


def decoded(text):
    return urllib.parse.unquote_to_bytes(text.replace(b"+", b" "))


def echo_target(request):
    return ans(b"200 OK", TEXT, body=request.target)(request)


def check_kept_apart(app, larder, targets):
    larder.invalidate(all=True, mode="hard")
    app.answer = echo_target
    for target in targets * 2:
        case = Case("", req(target), None, None)
        assert meaning(asked_through(larder, case).body) == meaning(target)


def test_targets_that_mean_different_things_never_share_an_answer(caching):
    check_kept_apart(*caching, TARGETS)


def test_codings_are_kept_apart_whoever_asks_first(caching):
    app, larder = caching
    app.answer = next(case for case in CASES if case.name == "coding gzip").answer
    asks = [b"gzip", b"br", b"identity", b"", b"gzip;q=0", b"gzip, br", b"*;q=0, identity"]
    for first in asks:
        larder.invalidate(all=True, mode="hard")
        for accepted in [first] + asks:
            case = Case("", req(b"/z", (b"Accept-Encoding", accepted)), None, None)
            coding = asked_through(larder, case).one(b"content-encoding")
            assert coding in (b"", b"gzip") and (not coding or b"gzip" in accepted), accepted
            assert not (coding and b"gzip;q=0" in accepted)


# --- several requests in one go ---

PIPELINED = [
    req(b"/p/1"), req(b"/p/1"), req(b"/p/2", (b"Cookie", b"a=1")), req(b"/p/1", method=b"HEAD"),
    req(b"/p/3", FORM, method=b"POST", body=b"a=1&b=2"), req(b"/p/204"), req(b"/p/1"),
    req_chunked(b"/p/4", b"GET /evil HTTP/1.1\r\n\r\n", 5), req(b"/p/5", method=b"DELETE"),
    req(b"/keyed/p", JSON, method=b"POST", body=b"{}"), req(b"/p/404"), req(b"/p/big"),
    req(b"/p/1"),
    req(b"/p/last", (b"Connection", b"close"))]


def piped(port):
    with Wire(port) as wire:
        wire.send(b"".join(PIPELINED))
        answers = [wire.answer(text.split(b" ")[0]) for text in PIPELINED]
        assert wire.is_closed()
        return answers


@pytest.mark.parametrize("which", ["passing", "caching"])
def test_pipelined_requests_get_the_direct_answers_in_their_order(request, which):
    app, larder = request.getfixturevalue(which)
    larder.invalidate(all=True, mode="hard")

    def answer(request):
        special = {b"/p/204": empty(b"204 No Content"), b"/p/404": ans(b"404 Not Found", TEXT),
                   b"/p/big": ans(b"200 OK", TEXT, body=BIG)}
        said = special.get(request.target, ans(b"200 OK", TEXT, body=request.target + request.body))
        return said if isinstance(said, bytes) else said(request)
    app.answer = answer
    for direct, through in zip(piped(app.port), piped(larder.public_port), strict=True):
        compare_answers(direct, through)


# --- real servers, asked byte by byte ---

DESK_REQUESTS = [
    req(b"/me"), req(b"/me", method=b"HEAD"), req(b"/me", (b"Cookie", b"session=x; sessionid=y")),
    req(b"/me?"), req(b"/me?a[]=1&a[]=2&b=+%2B"), req(b"/stream"), req(b"/stream", version=b"1.0"),
    req(b"/nowhere"), req(b"/nowhere/caf\xc3\xa9"), req(b"/nowhere/%2F%00%zz"), req(b"/"),
    req(b"//me"),
    req(b"/login", FORM, method=b"POST", body=b"user=a&password=b"), req(b"/login"),
    req(b"/me", method=b"OPTIONS"), req(b"/me", method=b"PROPFIND"), req(b"/me", method=b"DELETE"),
    req(b"/upload", (b"Content-Type", b"multipart/form-data; boundary=b"), method=b"POST",
        body=b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\r\n--b\r\n'
             b'Content-Disposition: form-data; name="file"; filename="f"\r\n\r\n' +
             BIG[:100_000] + b"\r\n--b--\r\n"),
    req_chunked(b"/upload", b"no form", 3, method=b"POST"),
    req(b"/me", (b"If-None-Match", b'"x"')), req(b"/me", (b"Range", b"bytes=0-1")),
    req(b"/me", (b"Origin", b"http://localhost:1")), req(b"/me", (b"Origin", b"http://evil.test")),
    req(b"/me", (b"Origin", b"http://localhost:1"), (b"Access-Control-Request-Method", b"PUT"),
        method=b"OPTIONS"),
    req(b"/me", version=b"1.0"), req(b"/me", (b"Connection", b"keep-alive"), version=b"1.0"),
    req(b"/echo", (b"X-A", b"1"), (b"X-A", b"2"), (b"X-Latin", b"caf\xe9"), (b"X-Empty", b"")),
    req(b"/echo?a=%zz&b=%2F&c=caf\xc3\xa9&d"), req(b"/echo", JSON, method=b"POST", body=b'{"a":1}'),
    req_chunked(b"/echo", BIG[:70_000], 9999, method=b"PUT"),
]


def without_date(answer):
    answer.fields = [f for f in answer.fields if f[0].lower() != b"date"] + [(b"Date", b"now")]
    if b'"sha256"' in answer.body and b'"fields"' in answer.body:  # an echo: fields have their rules
        told = json.loads(answer.body)
        fields = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in told["fields"]]
        told["fields"] = sorted((n, v) for n, v in end_to_end(fields, FORWARDING, FRAMING))
        answer.body = told
        answer.fields = [f for f in answer.fields if f[0].lower() != b"content-length"]
        answer.framing = "of an echo"
    return answer


@pytest.mark.parametrize("number", range(len(DESK_REQUESTS)))
def test_a_real_server_answers_as_without_larder(desk, desk_larders, number):
    case = Case("", DESK_REQUESTS[number], None, None)
    direct = without_date(asked(desk.port, case))
    for larder in desk_larders:
        if case.method == b"HEAD" and larder is desk_larders[1]:
            direct = head_of_get(desk.port, case)
        larder.invalidate(all=True, mode="hard")
        for _ in range(2):
            through = without_date(asked_through(larder, case, b"/_counts"))
            compare_answers(with_ranges(direct, through), through)


def head_of_get(port, case):
    """Where a route caches, HEAD is answered out of the GET's answer; FastAPI knows no HEAD."""
    get = Case("", case.request.replace(b"HEAD", b"GET"), None, None)
    answer = without_date(asked(port, get))
    answer.body = b""
    return answer


@pytest.fixture(scope="module")
def larders_of():
    """Two for each app, started once: one that passes, one that caches every GET but echoes."""
    running = {}

    def start(app):
        if app.port not in running:
            every = [{"name": f"r{i}", "match": f"GET {path}", "ttl": "1h"} for i, path in
                     enumerate(("/me", "/stream", "/nowhere/*", "/login", "/"))]
            running[app.port] = [Larder(config(app)), Larder(config(app, *every))]
        return running[app.port]
    yield start
    for larder in sum(running.values(), []):
        larder.stop()


@pytest.fixture
def desk_larders(larders_of, desk):
    return larders_of(desk)


# --- requests that nobody thought of ---

PATH_BYTES = st.sampled_from([b"a", b"B", b"1", b"/", b"/", b".", b"..", b"%2F", b"%2f", b"%61",
                              b"%",
                              b"%4", b"%zz", b"%00", b"+", b";", b":", b"@", b"~", b"*",
                              b"\xc3\xa9",
                              b"\xff", b"|", b"[", b"]", b"{", b"\\", b'"', b"'", b"!", b"="])
QUERY_BYTES = st.one_of(PATH_BYTES, st.sampled_from([b"&", b"&", b"=", b"=", b"a=1", b"?", b"[]",
                                                     b"%26",
                                                     b"%3D", b"%20", b"x", b"a", b"_"]))
NAMES = st.from_regex(rb"\AX-[A-Za-z0-9!#$%&'*+.^`|~-]{1,12}\Z")
VALUES = st.from_regex(rb"\A[!-~\x80-\xff]([ \t!-~\x80-\xff]{0,30}[!-~\x80-\xff])?\Z") | st.just(b"")
KNOWN = st.sampled_from([(b"Cookie", b"a=1"), (b"Accept", b"*/*"), (b"Origin", b"http://o.test"),
                         (b"Referer", b"/r"), (b"Authorization", b"Basic x"),
                         (b"Range", b"bytes=0-1"),
                         (b"User-Agent", b"x"), (b"Accept-Language", b"de"),
                         (b"Pragma", b"no-cache"),
                         (b"Connection", b"close"), (b"Accept-Encoding", b"gzip"), TEXT, JSON,
                         FORM])
FIELD_LISTS = st.lists(st.tuples(NAMES, VALUES) | KNOWN, max_size=6,
                       unique_by=lambda f: f[0].lower())
ANSWERED = st.lists(st.tuples(NAMES, VALUES) | st.sampled_from(
    [(b"Cache-Control", b"max-age=9"), (b"Cache-Control", b"no-store"), (b"ETag", b'"x"'), TEXT,
     JSON,
     (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"Vary", b"Accept-Language"),
     (b"Server", b"s"),
     (b"Location", b"http://app.test/x"), (b"Last-Modified", b"Fri, 20 Nov 2026 10:00:00 GMT")]),
    max_size=6)
METHODS = st.sampled_from([b"GET"] * 6 + [b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS",
                                          b"REPORT", b"QUERY"]) | st.from_regex(rb"\A[A-Z]{3,9}\Z")
BODIES = st.binary(max_size=300) | st.sampled_from([b"", b"{}", MULTIPART, BIG[:200_000]])
STATUSES = st.sampled_from([b"200 OK"] * 5 + [b"201 Created", b"301 Moved", b"302 Found", b"404 No",
                                              b"410 Gone", b"418 Teapot", b"500 Oh", b"503 Later"])


def as_target(path, query):
    return b"/" + b"".join(path) + (b"?" + b"".join(query) if query else b"")


TARGET = st.builds(as_target, st.lists(PATH_BYTES, max_size=12), st.lists(QUERY_BYTES, max_size=12))


@st.composite
def a_case(draw):
    method, target = draw(METHODS), draw(TARGET)
    hypothesis.assume(method not in (b"CONNECT", b"TRACE"))
    fields, body = draw(FIELD_LISTS), draw(BODIES)
    if body and draw(st.booleans()):
        request = req_chunked(target, body, draw(st.integers(1, 999)) * 7, *fields, method=method)
    else:
        request = req(target, *fields, method=method, body=body)
    status, said = draw(STATUSES), draw(ANSWERED)
    kind = draw(st.sampled_from(["length", "chunked", "close", "204"]))
    text = draw(BODIES)
    answer = {"length": ans(status, *said, body=text), "chunked": chunked(text, 5000, *said),
              "close": closing(text, *said), "204": empty(b"204 No Content", *said)}[kind]
    return Case("", request, answer, None)


MORE = hypothesis.settings(derandomize=True, max_examples=150, deadline=None, database=None,
                           suppress_health_check=[hypothesis.HealthCheck.too_slow])


@MORE
@hypothesis.given(a_case())
def test_any_request_and_answer_pass_unchanged(passing, case):
    check_passing(*passing, case)


@MORE
@hypothesis.given(a_case())
def test_any_answer_is_the_direct_one_through_a_route_that_caches(caching, case):
    check_caching(*caching, case)


@MORE
@hypothesis.given(st.lists(TARGET, min_size=2, max_size=6))
def test_any_targets_that_mean_different_things_never_share_an_answer(caching, targets):
    check_kept_apart(*caching, targets)
