"""Answers without an end in sight: given as they come, not stored, and nobody waits for them."""
import socket
import threading

import pytest

from support.raw_upstream import RawUpstream, read_head

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: max-age=60\r\n%s\r\n"
KINDS = {"events": (b"text/event-stream", b"Transfer-Encoding: chunked\r\n"),
         "chunked": (b"application/x-ndjson", b"Transfer-Encoding: chunked\r\n"),
         "to the close": (b"text/plain", b"Connection: close\r\n")}


class Endless(RawUpstream):
    """Says one line, and the next each time that go_on is released; "end" ends it."""

    def __init__(self, kind):
        self.kind, self.lines = KINDS[kind], threading.Semaphore(0)
        self.is_ending = threading.Event()
        super().__init__(Endless.handle)

    def piece(self, text):
        return b"%x\r\n%s\r\n" % (len(text), text) if b"chunked" in self.kind[1] else text

    def handle(self, connection):
        while head := read_head(connection):
            self.requests.append(head)
            connection.sendall(HEAD % self.kind + self.piece(b"line 0\n"))
            number = 0
            while not self.is_ending.is_set() and not self.closing.is_set():
                if self.lines.acquire(timeout=0.05):
                    number += 1
                    connection.sendall(self.piece(b"line %d\n" % number))
            if b"chunked" not in self.kind[1]:
                return
            connection.sendall(b"0\r\n\r\n")


def config(upstream, **cache):
    return {"listen": "127.0.0.1:0", "control": {"listen": "127.0.0.1:0"}, "workers": 1,
            "cache": {"collect_timeout": "200ms", **cache},
            "upstreams": {"app": {"server": f"127.0.0.1:{upstream.port}"}},
            "routes": [{"name": "r", "match": "GET /*", "ttl": "1m", "json_errors": "store"}]}


def client(larder):
    s = socket.create_connection(("127.0.0.1", larder.public_port), 20)
    s.sendall(b"GET /s HTTP/1.1\r\nHost: h\r\n\r\n")
    return s


def read_until(s, text, got=b""):
    while text not in got:
        piece = s.recv(65536)
        assert piece, got
        got += piece
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_each_piece_reaches_the_client_before_the_next_is_made(larder_factory, kind):
    with Endless(kind) as upstream:
        larder = larder_factory(config(upstream))
        with client(larder) as s:
            got = read_until(s, b"line 0\n")
            for number in range(1, 4):
                upstream.lines.release()
                got = read_until(s, b"line %d\n" % number, got)
            assert b"fwd=uri-miss" in got and b"stored" not in got.split(b"\r\n\r\n")[0]
            upstream.is_ending.set()


@pytest.mark.parametrize("kind", KINDS)
def test_others_are_not_kept_waiting_and_nothing_is_stored(larder_factory, kind):
    with Endless(kind) as upstream:
        larder = larder_factory(config(upstream, collect_timeout="300ms"))
        first, second = client(larder), client(larder)
        for s in (first, second):
            read_until(s, b"line 0\n")
        # known by now: no third one waits for an end
        larder.control("POST", "/api/cache/invalidate", '{"key": "nothing"}')
        with client(larder) as third:
            read_until(third, b"line 0\n")
        assert len(upstream.requests) == 3
        upstream.is_ending.set()
        for s in (first, second):
            s.close()
        assert larder.stats()["totals"]["stored"] == 0


def test_an_answer_that_ends_in_time_is_stored_though_it_did_not_tell_its_length(larder_factory):
    with Endless("chunked") as upstream:
        upstream.is_ending.set()
        larder = larder_factory(config(upstream, collect_timeout="10s"))
        assert larder.request("GET", "/s").body == b"line 0\n"
        assert "; hit;" in larder.request("GET", "/s").headers["Cache-Status"]


def test_it_can_be_waited_for(larder_factory):
    with Endless("chunked") as upstream:
        larder = larder_factory(config(upstream, collect_timeout="0s"))
        pending = larder.start("GET", "/s")
        larder.wait_until(lambda: len(upstream.requests) == 1)
        upstream.lines.release()
        upstream.is_ending.set()
        assert pending.result().body.startswith(b"line 0\n")
        assert "stored" in pending.result().headers["Cache-Status"]
