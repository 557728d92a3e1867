"""Refused, reset, silent, truncated, malformed: a clean error in time, and nothing stored."""
import json
import types

import pytest

from support.raw_upstream import RawUpstream, read_head, refusing_port, reset
from test_caching import config

ROUTE = {"name": "r", "match": "GET /r", "ttl": "1h"}

BAD_ANSWERS = {
    "garbage": b"hello\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "NUL in field": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "short body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answers_are_502_on_a_cached_route_and_never_stored(larder_factory, name):
    with RawUpstream.answering(BAD_ANSWERS[name]) as upstream:
        larder = larder_factory(config(upstream, ROUTE))
        for _ in range(2):
            answer = larder.request("GET", "/r")
            assert answer.status == 502
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert json.loads(answer.body)["status"] == 502
            assert "larder; error=" in answer.headers["Proxy-Status"]
        assert larder.stats()["cache"]["entries"] == 0


def test_a_truncated_stream_is_cut_so_that_the_client_can_tell(larder_factory):
    with RawUpstream.answering(BAD_ANSWERS["no last chunk"]) as upstream:
        larder = larder_factory(config(upstream))
        answer = larder.raw(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"0\r\n\r\n" not in answer


def test_a_refused_connection_is_502(larder_factory):
    with refusing_port() as port:
        larder = larder_factory(config(types.SimpleNamespace(port=port), ROUTE))
        assert larder.request("GET", "/r").status == 502
        assert larder.request("GET", "/other").status == 502


def test_a_silent_upstream_is_504_in_time(larder_factory):
    with RawUpstream.silent() as upstream:
        c = config(upstream, ROUTE)
        c["upstreams"]["app"]["first_byte_timeout"] = "300ms"
        larder = larder_factory(c)
        answer = larder.request("GET", "/r")
        assert answer.status == 504
        assert larder.request("GET", "/other").status == 504


def test_interim_answers_are_not_taken_for_final_ones(larder_factory):
    text = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    with RawUpstream.answering(text, keep_alive=True) as upstream:
        larder = larder_factory(config(upstream))
        for _ in range(3):
            answer = larder.raw(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            interim, final, body = answer.split(b"\r\n\r\n")
            assert interim == b"HTTP/1.1 103 Early Hints\r\nLink: </a>"
            assert final.startswith(b"HTTP/1.1 200 OK\r\n") and body == b"ok"
            # HTTP/1.0 knows no interim answers
            old = larder.raw(b"GET /x HTTP/1.0\r\nHost: h\r\n\r\n")
            assert old.startswith(b"HTTP/1.1 200 OK\r\n") and b"103" not in old.split(b"\r\n")[0]


def test_surplus_bytes_never_reach_the_next_client(larder_factory):
    text = (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    with RawUpstream.answering(text, keep_alive=True) as upstream:
        larder = larder_factory(config(upstream, workers=1))
        assert [larder.request("GET", "/x").body for _ in range(4)] == [b"ok"] * 4


def test_a_reset_connection_is_502(larder_factory):
    def handler(upstream, connection):
        read_head(connection)
        reset(connection)
    with RawUpstream(handler) as upstream:
        larder = larder_factory(config(upstream, ROUTE))
        assert larder.request("GET", "/r").status == 502
        assert larder.request("POST", "/other", body=b"x").status == 502


def test_an_answer_that_stops_in_the_middle_is_504_or_cut(larder_factory):
    def handler(upstream, connection):
        if read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            upstream.closing.wait(30)
    with RawUpstream(handler) as upstream:
        c = config(upstream, ROUTE)
        c["upstreams"]["app"]["between_bytes_timeout"] = "300ms"
        larder = larder_factory(c)
        assert larder.request("GET", "/r").status == 504, "collected: a clean error"
        streamed = larder.raw(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        body = streamed.partition(b"\r\n\r\n")[2]
        assert len(body) < 10, "the connection ends before the length that was announced"
        assert larder.stats()["cache"]["entries"] == 0
