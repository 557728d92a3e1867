"""The gate refuses what two readers could read differently; nothing of it reaches the upstream."""
import re
import signal
import socket

import pytest

from support.raw_upstream import RawUpstream, read_head
from test_caching import config

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

BAD_HEADS = {
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "length and chunked": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "coding list": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "signed length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
    "space before colon": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "space in target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    "chunked on 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_ambiguous_heads_get_400_and_never_reach_the_upstream(larder_factory, name):
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(config(upstream))
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        answer = larder.raw(BAD_HEADS[name] + smuggled)
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"application/problem+json" in answer
        assert answer.count(b"HTTP/1.1 ") == 1, "the smuggled request is not answered"
        assert upstream.requests == []


def test_too_large_heads_get_431(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, limits={"head_bytes": "4KiB"}))
    answer = larder.raw(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 8000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_head_that_drips_is_cut_at_its_deadline(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, limits={"head_timeout": "1s"}))
    answer = larder.raw(b"GET / HTTP/1.1\r\nHost:")
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_pipelined_requests_are_answered_in_order(larder_factory, flask_app):
    route = {"name": "courses", "match": "GET /api/courses", "ttl": "1h"}
    larder = larder_factory(config(flask_app, route))
    larder.request("GET", "/api/courses?organization_id=1")
    one = b"GET /api/courses?organization_id=1 HTTP/1.1\r\nHost: a\r\n\r\n"
    other = b"GET /status/404 HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /status/418 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = larder.raw(one + other + one + one + last)
    codes = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
    assert codes == [b"200", b"404", b"200", b"200", b"418"]


def test_heads_may_come_byte_by_byte(larder_factory, flask_app):
    larder = larder_factory(config(flask_app))
    text = b"GET /status/201 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = larder.raw(*[text[i:i + 1] for i in range(len(text))])
    assert answer.startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("cause", ["send_timeout", "drain_timeout", "half-closed"])
def test_an_answer_up_to_the_end_is_never_cut_cleanly(larder_factory, cause):
    """An HTTP/1.0 client would take the end of the connection for the answer's."""
    def handler(upstream, connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (32 << 20))
        upstream.closing.wait(20)
    with RawUpstream(handler) as upstream:
        limits = {"send_timeout": "500ms" if cause == "send_timeout" else "60s"}
        larder = larder_factory(config(upstream, limits=limits, drain_timeout="500ms"))
        with socket.create_connection(("127.0.0.1", larder.public_port), 20) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
            if cause == "half-closed":
                s.shutdown(socket.SHUT_WR)
            if cause != "drain_timeout":
                larder.wait_until(lambda: larder.counter("totals.active") == 0)
            else:
                larder.process.send_signal(signal.SIGTERM)
                larder.process.wait(20)
            with pytest.raises(ConnectionResetError):
                while s.recv(1 << 20):
                    pass
