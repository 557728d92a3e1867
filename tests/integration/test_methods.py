"""Any method passes, unless the config says which may (RFC 9110 section 9)."""
import pytest

from support.raw_upstream import RawUpstream
from test_caching import config

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ALL = {"name": "all", "match": "GET,HEAD /*", "mode": "http"}
FRESH = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nok"


def send(larder, method, target="/x", fields="", body=b""):
    if body:
        fields += f"Content-Length: {len(body)}\r\n"
    return larder.raw(f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"
                      .encode() + body)


@pytest.mark.parametrize("method", ["PROPFIND", "REPORT", "QUERY", "MKCOL", "M-SEARCH", "PURGE",
                                    "get", "!#$%&'*+-.^_`|~09", "X" * 300])
def test_any_token_is_a_method(larder_factory, method):
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(config(upstream))
        assert send(larder, method, "/dav?x=1", body=b"<a/>").startswith(b"HTTP/1.1 200 OK")
        assert upstream.requests[0].startswith(f"{method} /dav?x=1 HTTP/1.1\r\n".encode())
        assert upstream.requests[0].endswith(b"<a/>")


@pytest.mark.parametrize("method", ["G(T", "A/B", '"GET"', "GET\x7f", ""])
def test_what_is_no_token_is_refused(larder_factory, method):
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(config(upstream))
        assert send(larder, method).startswith(b"HTTP/1.1 400 ")
        assert upstream.requests == []


@pytest.mark.parametrize("listed", [False, True])
def test_connect_and_trace_never_pass(larder_factory, listed):
    with RawUpstream.answering(OK) as upstream:
        limits = {"limits": {"methods": ["GET"]}} if listed else {}
        larder = larder_factory(config(upstream, **limits))
        assert send(larder, "CONNECT", "a:443").startswith(b"HTTP/1.1 501 ")
        assert send(larder, "TRACE").startswith(b"HTTP/1.1 501 ")
        assert upstream.requests == []


def test_a_list_of_methods_refuses_all_others(larder_factory):
    with RawUpstream.answering(FRESH, keep_alive=True) as upstream:
        larder = larder_factory(config(upstream, ALL,
                                       limits={"methods": ["GET", "POST", "PROPFIND"]}))
        for method in ("GET", "POST", "PROPFIND"):
            assert send(larder, method).startswith(b"HTTP/1.1 200 OK")
        send(larder, "GET")
        assert b"larder; hit" in send(larder, "GET")
        seen = len(upstream.requests)
        for method in ("HEAD", "DELETE", "OPTIONS", "REPORT", "get", "PROPFIN"):
            answer = send(larder, method, body=b"" if method == "HEAD" else b"body")
            assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n"), answer
            assert b"\r\nAllow: GET, POST, PROPFIND\r\n" in answer
            assert b"Content-Type: application/problem+json" in answer
        assert len(upstream.requests) == seen


@pytest.mark.parametrize("methods,says", [
    ([], "1 to 64"), ("GET", "1 to 64"), (["GET", "GET"], "twice"), (["get"], "in capitals"),
    (["CONNECT"], "never passed"), (["TRACE"], "never passed"), (["A B"], "no method"),
    ([1], "a string")])
def test_a_list_that_makes_no_sense_is_refused(larder_refuses, methods, says):
    class App:
        port = 1
    larder_refuses(config(App, limits={"methods": methods}), says)


@pytest.mark.parametrize("target,wanted", [("*", b"*"), ("http://a", b"*"), ("http://a/", b"/"),
                                           ("/x", b"/x"), ("http://a/x?y", b"/x?y")])
def test_options_passes_and_is_never_cached_and_invalidates_nothing(larder_factory, target, wanted):
    """RFC 9110 section 9.3.7; RFC 9112 section 3.2.4."""
    with RawUpstream.answering(FRESH, keep_alive=True) as upstream:
        larder = larder_factory(config(upstream, ALL))
        assert b"fwd=uri-miss" in send(larder, "GET")
        for _ in range(2):
            assert send(larder, "OPTIONS", target).startswith(b"HTTP/1.1 200 OK")
        assert [r.split()[1] for r in upstream.requests[1:]] == [wanted, wanted]
        assert b"larder; hit" in send(larder, "GET")
        assert send(larder, "BREW", "/x").startswith(b"HTTP/1.1 200 OK")
        assert b"larder; hit" not in send(larder, "GET"), "what nobody knows may have changed it"
