"""Uploads: limits, expectations, answers that come early, memory."""
import contextlib
import os
import re
import socket
import struct
import threading
import time

import pytest

from support.raw_upstream import RawUpstream, read_head
from support.wire import ExactApp
from test_caching import config

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
DEADLINE_S = 20


def read_all(s):
    return b"".join(iter(lambda: s.recv(1 << 16), b""))


def head(fields, target="/upload"):
    return f"POST {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n".encode()


def limited(upstream, **route):
    return config(upstream, {"name": "u", "match": "POST /upload", "body_limit": "64KiB", **route})


@pytest.mark.parametrize("expect", ["", "\r\nExpect: 100-continue"])
def test_a_length_above_the_limit_is_refused_before_the_body_is_read(larder_factory, expect):
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(limited(upstream))
        with larder.connect() as s:
            s.sendall(head("Content-Length: 65537" + expect))
            answer = read_all(s)  # not a byte of the body was sent
        assert answer.startswith(b"HTTP/1.1 413 Content Too Large\r\n")
        assert b"application/problem+json" in answer and b"\r\nConnection: close\r\n" in answer
        assert b"100 Continue" not in answer
        assert upstream.requests == []


def test_a_client_that_sends_on_can_read_its_413(larder_factory):
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(limited(upstream))
        with larder.connect() as s:
            s.sendall(head("Content-Length: 4000000") + b"x" * 4000000)
            answer = read_all(s)
        assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"}\n")


@pytest.mark.parametrize("route", [{}, {"ttl": "1h"},
                                   {"on_write": {"tags": ["t:{json.x}"]}}])
def test_chunks_above_the_limit_are_refused_as_soon_as_they_pass_it(larder_factory, route):
    got = []

    def handler(upstream, connection):
        while piece := connection.recv(65536):
            got.append(piece)
        got.append(None)
    with RawUpstream(handler) as upstream:
        larder = larder_factory(limited(upstream, **route))
        with larder.connect() as s:
            s.sendall(head("Transfer-Encoding: chunked"))
            s.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            s.sendall(b"8001\r\n" + b"x" * 0x8001 + b"\r\n")
            answer = read_all(s)  # while the body has not ended
        assert answer.startswith(b"HTTP/1.1 413 ") and answer.endswith(b"}\n"), answer
        if got:
            larder.wait_until(lambda: None in got)
            assert b"0\r\n\r\n" not in b"".join(got[:-1]), "it never looks whole"
        assert larder.raw(head("Transfer-Encoding: chunked\r\nConnection: close"), b"1\r\na\r\n",
                          b"zz\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_body_of_just_the_limit_passes(larder_factory):
    def handler(upstream, connection):
        data = read_head(connection)
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(65536)
        connection.sendall(OK)
    with RawUpstream(handler) as upstream:
        larder = larder_factory(limited(upstream))
        with larder.connect() as s:
            s.sendall(head("Transfer-Encoding: chunked\r\nConnection: close"))
            s.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n0\r\n\r\n")
            assert read_all(s).startswith(b"HTTP/1.1 200 OK")


def test_100_is_said_only_once_the_body_is_wanted(larder_factory, flask_app):
    larder = larder_factory(config(flask_app))
    with larder.connect() as s:
        s.sendall(head("Content-Length: 4\r\nExpect: 100-continue", "/echo"))
        assert s.recv(len(GO_ON), socket.MSG_WAITALL) == GO_ON
        s.sendall(b"body" + head("Content-Length: 4\r\nExpect: 100-continue\r\nConnection: close",
                                 "/echo") + b"BODY")
        answer = read_all(s)  # the second did not wait for it
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and b"100 Continue" not in answer
    empty = larder.raw(head("Content-Length: 0\r\nExpect: 100-continue\r\nConnection: close",
                            "/echo"))
    assert empty.startswith(b"HTTP/1.1 200 OK")
    refused = larder.raw(b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                         b"Content-Length: x\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("value", ["200-ok", "100-continue, x", "x\r\nExpect: 100-continue",
                                   "100-continue;a=b"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_expectations_are_refused(larder_factory, method, value):
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(config(upstream, {"name": "c", "match": "GET /*", "ttl": "1h"}))
        larder.request("GET", "/upload")
        text = head(f"Expect: {value}\r\nConnection: close\r\nContent-Length: 0")
        if method == "GET":
            text = text.replace(b"POST", b"GET").replace(b"\r\nContent-Length: 0", b"")
        answer = larder.raw(text)
        assert answer.startswith(b"HTTP/1.1 417 Expectation Failed\r\n")
        assert b"application/problem+json" in answer and len(upstream.requests) == 1


def test_http_10_has_no_expectations(larder_factory):
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(config(upstream))
        answer = larder.raw(b"POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 2\r\n\r\nhi")
        assert answer.startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_pauses_is_not_the_upstreams_fault(larder_factory):
    """The upstream has read all there was: its send_timeout says nothing of the client."""
    with ExactApp() as upstream:
        upstream.answer = OK
        c = config(upstream, limits={"body_timeout": "20s"})
        c["upstreams"]["app"].update(send_timeout="700ms", first_byte_timeout="700ms")
        larder = larder_factory(c)
        with larder.connect() as s:
            s.sendall(head("Content-Length: 10") + b"hello")
            larder.wait_until(lambda: larder.counter("upstreams.app.active") == 1)
            time.sleep(1)
            s.sendall(b"world")
            assert s.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        assert upstream.received[0].body == b"helloworld"


@pytest.mark.parametrize("upload", ["waits, too", "is whole"])
def test_a_client_that_uploads_and_never_reads_is_cut(larder_factory, upload):
    """Its answer has begun: send_timeout holds, whatever has become of the request's body."""
    size = 64 << 20 if upload == "waits, too" else 100000
    has_answered = threading.Event()

    def answer(connection):
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (64 << 20))

    def handler(upstream, connection):
        upstream.requests.append(read_head(connection))
        if upload == "is whole":
            threading.Thread(target=answer, args=(connection,), daemon=True).start()
            while connection.recv(65536):
                pass
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while data := connection.recv(65536):
            connection.sendall(data)
    with RawUpstream(handler) as upstream:
        larder = larder_factory(config(upstream, limits={"send_timeout": "1500ms"}))
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", larder.public_port))

            def send():
                with contextlib.suppress(OSError):
                    s.sendall(head(f"Content-Length: {size}") + b"y" * (size - 10))
                    has_answered.wait(DEADLINE_S)
                    s.sendall(b"y" * 10)
            sender = threading.Thread(target=send)
            sender.start()
            larder.wait_until(lambda: upstream.requests)
            time.sleep(1)  # all is full by now
            has_answered.set()
            larder.wait_until(lambda: larder.counter("totals.active") == 0)
            sender.join()


NO = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nX-Early: 1\r\n\r\nno way"


@pytest.mark.parametrize("how", ["closes", "resets", "stays"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_early_answer_is_passed_on(larder_factory, how, framing):
    """RFC 9112 section 9.6: who closes with bytes unread sends a reset behind his answer."""
    def handler(upstream, connection):
        upstream.requests.append(read_head(connection))
        connection.sendall(NO)
        if how == "stays":
            upstream.closing.wait(DEADLINE_S)
        elif how == "closes":
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
        connection.close()
    blob = b"x" * (8 << 20)
    with RawUpstream(handler) as upstream:
        larder = larder_factory(config(upstream))
        for _ in range(10):
            with larder.connect() as s:
                s.sendall(head(f"Content-Length: {len(blob)}" if framing == "length"
                               else "Transfer-Encoding: chunked"))

                def send(s=s):
                    try:
                        s.sendall(blob if framing == "length" else
                                  b"%x\r\n" % len(blob) + blob + b"\r\n0\r\n\r\n")
                    except OSError:
                        pass
                sender = threading.Thread(target=send)
                sender.start()
                answer = read_all(s)
                sender.join()
            assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n"), answer
            assert answer.endswith(b"no way") and b"\r\nConnection: close\r\n" in answer
        assert larder.counter("upstreams.app.idle") == 0, "half a request is left on them"


def test_fifty_slow_uploads_of_20_mb_cost_little_memory(larder_factory):
    count, size, go = 50, 20 << 20, threading.Event()
    sums, piece = [], b"x" * 65536

    def handler(upstream, connection):
        data = read_head(connection)
        go.wait(60)
        got = len(data) - data.index(b"\r\n\r\n") - 4
        while got < size and (more := connection.recv(1 << 20)):
            got += len(more)
        sums.append(got)
        connection.sendall(OK)
    sent, over = [0] * count, []

    def send(i, s):
        while sent[i] < size:
            sent[i] += s.send(piece[:min(len(piece), size - sent[i])])
        over.append(read_all(s))
    with RawUpstream(handler) as upstream:
        c = config(upstream, workers=1)
        c["upstreams"]["app"]["max"] = count
        larder = larder_factory(c)
        before = larder.rss_kb()
        sockets = [larder.connect() for _ in range(count)]
        for s in sockets:
            s.sendall(head(f"Content-Length: {size}\r\nConnection: close"))
        threads = [threading.Thread(target=send, args=a) for a in enumerate(sockets)]
        for t in threads:
            t.start()
        looks = []

        def is_stalled():
            looks.append(sum(sent))
            return len(looks) > 100 and looks[-1] == looks[-100]
        larder.wait_until(is_stalled, 50)
        more = larder.rss_kb() - before
        go.set()
        for t in threads:
            t.join()
        for s in sockets:
            s.close()
        assert sums == [size] * count and all(re.match(b"HTTP/1.1 200 OK", a) for a in over)
    limit_kb = count * 600 if "release" in os.environ.get("LARDER_BIN", "") else count * 2000
    assert more < limit_kb, f"{more} kB"
