"""What an Upgrade leads to: bytes both ways, as if larder were not there (RFC 9110 section 7.8)."""
import asyncio
import concurrent.futures
import contextlib
import http
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import websockets

from support.raw_upstream import RawUpstream, read_head, reset
from test_caching import config

ASK = (b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: thing/1\r\n"
       b"Sec-Thing: k\r\n\r\n")
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: thing/1\r\nConnection: Upgrade\r\n"
          b"Sec-Thing-Answer: v\r\nX-Request-Id: theirs\r\n\r\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DEADLINE_S = 20


class Thing(RawUpstream):
    """Answers each upgrade with 101 and hands the connection to talk(upstream, connection)."""

    def __init__(self, talk, switch=SWITCH):
        self.switch = switch
        super().__init__(lambda self, c: self._switch(c, talk))

    def _switch(self, connection, talk):
        data = read_head(connection)
        if not data:
            return
        head, self.early = data.split(b"\r\n\r\n", 1)
        self.requests.append(head)
        connection.sendall(self.switch)
        talk(self, connection)


def echo(upstream, connection):
    if upstream.early:
        connection.sendall(upstream.early)
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def upgraded(s, ask=ASK):
    """Asks, and reads the 101's head; what came behind it is given, too."""
    s.sendall(ask)
    head, rest = read_head(s).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return head, rest


def read_exactly(s, n):
    data = bytearray()
    while len(data) < n and (piece := s.recv(min(1 << 20, n - len(data)))):
        data += piece
    return bytes(data)


def read_all(s):
    return b"".join(iter(lambda: s.recv(1 << 20), b""))


def test_an_upgrade_passes_and_its_answer_comes_back(larder_factory):
    with Thing(echo) as upstream:
        larder = larder_factory(config(upstream))
        with larder.connect() as s:
            head, rest = upgraded(s)
            fields = head.lower().split(b"\r\n")[1:]
            assert b"upgrade: thing/1" in fields and b"connection: upgrade" in fields
            assert b"sec-thing-answer: v" in fields and not rest
            assert sum(f.startswith(b"x-request-id: ") for f in fields) == 1
            assert b"x-request-id: theirs" not in fields
            s.sendall(b"hello")
            assert read_exactly(s, 5) == b"hello"
        asked = upstream.requests[0].split(b"\r\n")
        assert b"Connection: Upgrade" in asked and b"Upgrade: thing/1" in asked
        assert b"Sec-Thing: k" in asked


def test_bytes_behind_both_heads_keep_their_order(larder_factory):
    with Thing(echo, switch=SWITCH + b"first ") as upstream:
        larder = larder_factory(config(upstream))
        for pieces in ((ASK + b"second ", b"third"), (ASK[:30], ASK[30:] + b"sec", b"ond third")):
            with larder.connect() as s:
                for piece in pieces:
                    s.sendall(piece)
                got = read_head(s).split(b"\r\n\r\n", 1)[1]
                whole = b"first second third"
                assert got + read_exactly(s, len(whole) - len(got)) == whole


def test_large_amounts_both_ways_at_once_are_byte_exact(larder_factory):
    blob = os.urandom(1 << 20) * 24
    with Thing(echo) as upstream:
        larder = larder_factory(config(upstream))
        with larder.connect() as s:
            upgraded(s)

            def send():
                s.sendall(blob)
                s.shutdown(socket.SHUT_WR)
            sender = threading.Thread(target=send)
            sender.start()
            got = read_all(s)
            sender.join()
            assert got == blob
        line = larder.access_lines(1)[0]
        assert line["larder.outcome"] == "tunnel" and line["http.response.status_code"] == 101
        assert line["http.response.body.bytes"] == line["http.request.body.bytes"] == len(blob)


@pytest.mark.parametrize("first", ["client", "upstream"])
def test_a_half_closed_tunnel_carries_on_in_the_other_direction(larder_factory, first):
    said = []

    def talk(upstream, connection):
        if first == "upstream":
            connection.sendall(b"last words")
            connection.shutdown(socket.SHUT_WR)
            said.append(read_all(connection))
        else:
            said.append(read_all(connection))
            connection.sendall(b"answer to " + said[0])
    with Thing(talk) as upstream:
        larder = larder_factory(config(upstream))
        with larder.connect() as s:
            _, rest = upgraded(s)
            if first == "upstream":
                assert rest + read_all(s) == b"last words"
                s.sendall(b"x" * 500000)
                s.shutdown(socket.SHUT_WR)
                larder.wait_until(lambda: said)
                assert said == [b"x" * 500000]
            else:
                s.sendall(b"question")
                s.shutdown(socket.SHUT_WR)
                assert rest + read_all(s) == b"answer to question"
            larder.wait_for_counter("totals.tunnels.opened", 1)
            larder.wait_until(lambda: larder.counter("totals.tunnels.open") == 0)


def stalled(larder, counts):
    """Has the sum of counts stood still for a hundred looks?"""
    looks = []

    def look():
        looks.append(sum(counts))
        return len(looks) > 100 and looks[-1] == looks[-100] > 0
    larder.wait_until(look)
    return sum(counts)


def pour(connection, counts, stop):
    connection.settimeout(0.2)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            counts.append(connection.send(b"x" * 65536))


@pytest.mark.parametrize("slow", ["client", "upstream"])
def test_a_slow_side_holds_the_other_back_and_costs_little_memory(larder_factory, slow):
    counts, stop, got = [], threading.Event(), []

    def talk(upstream, connection):
        if slow == "client":
            pour(connection, counts, stop)
        else:
            stop.wait(DEADLINE_S)
            got.append(len(read_all(connection)))
    with Thing(talk) as upstream:
        larder = larder_factory(config(upstream))
        with larder.connect() as s:
            _, rest = upgraded(s)
            before = larder.rss_kb()
            if slow == "upstream":
                pourer = threading.Thread(target=pour, args=(s, counts, stop))
                pourer.start()
            assert stalled(larder, counts) < 32 << 20, "socket buffers and ours"
            is_release = "release" in os.environ.get("LARDER_BIN", "")
            assert larder.rss_kb() - before < (4 if is_release else 16) * 1024
            stop.set()
            if slow == "upstream":
                pourer.join()
                s.shutdown(socket.SHUT_WR)
                larder.wait_until(lambda: got)
                assert got == [sum(counts)]
            else:
                assert len(rest) + len(read_all(s)) == sum(counts)


def test_an_answer_other_than_101_is_an_ordinary_one(larder_factory):
    no = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\nContent-Length: 2\r\n\r\nno"
    with RawUpstream.answering(no, keep_alive=True) as upstream:
        route = {"name": "all", "match": "GET /*", "ttl": "1h", "ttl_by_status": {"426": "1h"}}
        larder = larder_factory(config(upstream, route, workers=1))
        last = ASK.replace(b"keep-alive", b"close")
        answer = larder.raw(ASK + ASK + last)
        assert answer.count(b"HTTP/1.1 426 ") == 3 and answer.endswith(b"no")
        assert len(upstream.requests) == 3, "nothing of it is cached"
        assert upstream.connections == 3, "each asks on a connection of its own"
        assert larder.counter("totals.tunnels.opened") == 0


def test_a_client_goes_on_with_http_after_a_refused_upgrade(larder_factory):
    with RawUpstream.answering(OK, keep_alive=True) as upstream:
        larder = larder_factory(config(upstream))
        answer = larder.raw(ASK, b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert [r.split()[1] for r in upstream.requests] == [b"/ws", b"/next"]


UNASKED = {
    "no upgrade was asked for": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "Connection does not name it": b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: thing/1\r\n"
                                   b"Connection: close\r\n\r\n",
    "HTTP/1.0 cannot": b"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: thing/1\r\n\r\n",
    "another protocol": ASK.replace(b"thing/1", b"other").replace(b"keep-alive", b"close"),
}


@pytest.mark.parametrize("case", UNASKED)
def test_a_101_that_nobody_asked_for_is_a_bad_answer(larder_factory, case):
    with Thing(echo) as upstream:
        larder = larder_factory(config(upstream))
        answer = larder.raw(UNASKED[case])
        assert answer.startswith(b"HTTP/1.1 502 "), answer
        assert b"application/problem+json" in answer


def test_the_settings_of_http_2_never_pass(larder_factory):
    """Else an upstream could speak h2c through the tunnel, and no rule of larder's would hold."""
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(config(upstream))
        larder.raw(ASK.replace(b"thing/1", b"h2c").replace(b"keep-alive", b"close")
                   .replace(b"Sec-Thing: k", b"HTTP2-Settings: AAMAAABkAAQAAP__"))
        assert b"http2-settings" not in upstream.requests[0].lower()


@pytest.mark.parametrize("protocols", [b"h2c", b"H2C", b"h2c-14", b"thing/1, h2c",
                                       b"thing/1\r\nUpgrade: h2c"])
def test_http_2_is_not_offered_to_the_app(larder_factory, protocols):
    """Some apps take it without HTTP2-Settings (hypercorn does)."""
    switch = SWITCH.replace(b"thing/1", b"h2c")
    with Thing(echo, switch=switch) as upstream:
        larder = larder_factory(config(upstream))
        answer = larder.raw(ASK.replace(b"thing/1", protocols).replace(b"keep-alive", b"close"))
        assert answer.startswith(b"HTTP/1.1 502 "), answer
        asked = upstream.requests[0].lower()
        assert b"h2c" not in asked and b"upgrade" not in asked
    with RawUpstream.answering(OK) as upstream:
        larder = larder_factory(config(upstream))
        answer = larder.raw(ASK.replace(b"thing/1", protocols).replace(b"keep-alive", b"close"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer


def test_a_tunnel_counts_against_max_and_takes_no_idle_connection(larder_factory):
    held = threading.Event()

    def handler(self, connection):
        while head := read_head(connection):
            self.requests.append(head)
            if b"Upgrade" in head:
                connection.sendall(SWITCH)
                held.wait(DEADLINE_S)
                return
            connection.sendall(OK)
    with RawUpstream(handler) as upstream:
        c = config(upstream, workers=1)
        c["upstreams"]["app"].update(max=1, queue=1, queue_timeout="300ms", idle_timeout="1m")
        larder = larder_factory(c)
        assert larder.request("GET", "/x").status == 200
        larder.wait_for_counter("upstreams.app.idle", 1)
        with larder.connect() as s:
            upgraded(s)
            assert upstream.connections == 2
            assert larder.request("GET", "/x").status == 503
            assert larder.counter("upstreams.app.active") == 1
        held.set()
        larder.wait_until(lambda: larder.counter("upstreams.app.active") == 0)
        assert larder.request("GET", "/x").status == 200
        assert upstream.connections == 3 and larder.counter("upstreams.app.idle") == 1


def test_a_request_with_a_body_is_whole_before_the_tunnel_begins(larder_factory):
    got = []

    def talk(upstream, connection):
        connection.sendall(b"early")
        got.append(upstream.early + read_all(connection))
    with Thing(talk) as upstream:
        larder = larder_factory(config(upstream))
        with larder.connect() as s:
            s.sendall(ASK.replace(b"GET", b"POST").replace(b"Sec-Thing: k", b"Content-Length: 6"))
            larder.wait_until(lambda: upstream.requests)
            s.sendall(b"abc")
            s.sendall(b"def" + b"tunnelled")
            early = read_head(s).split(b"\r\n\r\n", 1)[1]
            assert early + read_exactly(s, 5 - len(early)) == b"early"
            s.shutdown(socket.SHUT_WR)
            larder.wait_until(lambda: got)
            assert got == [b"abcdeftunnelled"]


@pytest.mark.parametrize("how,status", [("stands still", 504), ("ends", 504), ("closes", 502),
                                        ("resets", 502)])
def test_an_upstream_that_switches_must_still_read_the_request(larder_factory, how, status):
    def talk(upstream, connection):
        if how == "ends":
            connection.shutdown(socket.SHUT_WR)
        elif how == "closes":
            return
        elif how == "resets":
            reset(connection)
            return
        upstream.closing.wait(DEADLINE_S)
    blob = b"x" * (16 << 20)
    with Thing(talk) as upstream:
        c = config(upstream)
        c["upstreams"]["app"]["send_timeout"] = "500ms" if status == 504 else "20s"
        larder = larder_factory(c)
        with larder.connect() as s:
            def send():
                with contextlib.suppress(OSError):
                    s.sendall(ASK.replace(b"GET", b"POST").replace(
                        b"Sec-Thing: k", b"Content-Length: %d" % len(blob)) + blob)
            sender = threading.Thread(target=send)
            sender.start()
            assert read_head(s).startswith(b"HTTP/1.1 %d " % status)
            sender.join()
        larder.wait_until(lambda: larder.counter("upstreams.app.active") == 0)


def test_no_tunnel_begins_on_a_connection_that_has_lost_part_of_the_request(larder_factory):
    """Whether the break or the 101 is seen first is chance: hence so many."""
    def ask(larder):
        with larder.connect() as s:
            with contextlib.suppress(OSError):
                s.sendall(ASK.replace(b"GET", b"POST").replace(
                    b"Sec-Thing: k", b"Content-Length: 4000000") + b"x" * 4000000)
            return s.recv(12)
    with Thing(lambda upstream, connection: None) as upstream:
        larder = larder_factory(config(upstream))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, [larder] * 150))
        assert set(answers) == {b"HTTP/1.1 502"}


def test_a_client_may_pause_between_the_101_and_the_rest_of_its_body(larder_factory):
    with Thing(echo) as upstream:
        c = config(upstream)
        c["upstreams"]["app"].update(send_timeout="700ms", first_byte_timeout="700ms")
        larder = larder_factory(c)
        with larder.connect() as s:
            s.sendall(ASK.replace(b"GET", b"POST").replace(b"Sec-Thing: k", b"Content-Length: 6"))
            s.sendall(b"abc")
            time.sleep(1)
            s.sendall(b"def")
            rest = read_head(s).split(b"\r\n\r\n", 1)[1]
            assert rest + read_exactly(s, 6 - len(rest)) == b"abcdef"
            time.sleep(1)
            s.sendall(b"more")
            assert read_exactly(s, 4) == b"more"


@pytest.mark.parametrize("route", [False, True])
def test_a_silent_tunnel_ends_and_one_that_moves_does_not(larder_factory, route):
    idle = "1500ms"
    with Thing(echo) as upstream:
        routes = [{"name": "ws", "match": "GET /ws", "tunnel_idle_timeout": idle}] if route else []
        larder = larder_factory(config(upstream, *routes, limits={
            "tunnel_idle_timeout": "1h" if route else idle, "send_timeout": "200ms",
            "idle_timeout": "200ms", "body_timeout": "200ms"}))
        with larder.connect() as s:
            upgraded(s)
            for _ in range(8):
                s.sendall(b"tick")
                assert read_exactly(s, 4) == b"tick"
                threading.Event().wait(0.25)  # the clock itself is what is looked at
            assert s.recv(1) == b"", "closed for its silence"
        assert larder.access_lines(1)[-1]["event.duration"] > 1500e6


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_reset_ends_both_sides(larder_factory, who):
    ended = threading.Event()

    def talk(upstream, connection):
        connection.sendall(b"x")
        if who == "upstream":
            connection.recv(1)
            reset(connection)
        else:
            with contextlib.suppress(ConnectionResetError):
                read_all(connection)
            ended.set()
    with Thing(talk) as upstream:
        larder = larder_factory(config(upstream))
        s = larder.connect()
        _, rest = upgraded(s)
        assert rest + read_exactly(s, 1 - len(rest)) == b"x"
        if who == "client":
            reset(s)
            assert ended.wait(DEADLINE_S)
        else:
            s.sendall(b"go")
            with contextlib.suppress(ConnectionResetError):
                assert s.recv(1) == b""
            s.close()
        larder.wait_until(lambda: larder.counter("totals.tunnels.open") == 0)
        larder.access_lines(1)


def test_at_sigterm_tunnels_have_until_the_drain_timeout(larder_factory):
    with Thing(echo) as upstream:
        larder = larder_factory(config(upstream, drain_timeout="2s"))
        with larder.connect() as s:
            upgraded(s)
            larder.process.send_signal(signal.SIGTERM)
            larder.log_says("SIGTERM")
            s.sendall(b"still here")
            assert read_exactly(s, 10) == b"still here"
            assert s.recv(1) == b""
        assert larder.access_lines(1)[0]["larder.outcome"] == "tunnel"
        assert larder.process.wait(DEADLINE_S) == 0


def test_a_tunnel_that_ends_within_the_drain_lets_larder_go(larder_factory):
    with Thing(echo) as upstream:
        larder = larder_factory(config(upstream, drain_timeout="1h"))
        with larder.connect() as s:
            upgraded(s)
            larder.process.send_signal(signal.SIGTERM)
            larder.log_says("SIGTERM")
        assert larder.process.wait(DEADLINE_S) == 0


class Server:
    """An asyncio server in a loop and a thread of its own."""

    def __init__(self, start):
        self.loop, self.started = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self._run(start),))
        self.thread.start()
        assert self.started.wait(DEADLINE_S)

    async def _run(self, start):
        self.ending = asyncio.Event()
        server = await start()
        self.port = server.sockets[0].getsockname()[1]
        self.started.set()
        await self.ending.wait()
        server.close()
        await server.wait_closed()

    def stop(self):
        self.loop.call_soon_threadsafe(self.ending.set)
        self.thread.join(DEADLINE_S)
        self.loop.close()


@contextlib.contextmanager
def server_in_a_loop(start):
    server = Server(start)
    try:
        yield server
    finally:
        server.stop()


# --- over TLS, on either side

@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    d = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", d / "key.pem", "-out", d / "cert.pem"],
                   check=True, capture_output=True)
    return d / "cert.pem", d / "key.pem"


def tls_config(c, pair, front, back):
    cert, key = map(str, pair)
    if front:
        c["listen"] = {"address": "127.0.0.1:0",
                       "tls": {"certificates": [{"certificate": cert, "key": key}]}}
    if back:
        c["upstreams"]["app"]["tls"] = {"ca": cert, "server_name": "localhost"}
    return c


def client_context(pair):
    return ssl.create_default_context(cafile=str(pair[0]))


async def exchange_blob(port, context, blob):
    """Asks, sends the blob while it reads it back, and reads to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context,
                                                   server_hostname=context and "localhost")
    writer.write(ASK)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")

    async def send():
        for i in range(0, len(blob), 1 << 16):
            writer.write(blob[i:i + (1 << 16)])
            await writer.drain()
    sending = asyncio.ensure_future(send())
    got = await reader.readexactly(len(blob))
    await sending
    assert await reader.read() == b"", "a clean end: close_notify where there is TLS"
    writer.close()
    return got


@pytest.mark.parametrize("front,back", [(True, False), (False, True), (True, True)])
def test_tunnels_over_tls_are_byte_exact(larder_factory, pair, front, back):
    blob = os.urandom(1 << 20) * 6

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        left = len(blob)
        while left and (piece := await reader.read(65536)):
            left -= len(piece)
            writer.write(piece)
            await writer.drain()
        writer.close()
    context = None
    if back:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)

    def start():
        return asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    with server_in_a_loop(start) as upstream:
        larder = larder_factory(tls_config(config(upstream), pair, front, back))
        client = exchange_blob(larder.public_port, client_context(pair) if front else None, blob)
        assert asyncio.run(asyncio.wait_for(client, 60)) == blob
        larder.wait_until(lambda: larder.counter("totals.tunnels.open") == 0)


def test_what_a_tls_client_said_last_arrives_though_it_breaks_off(larder_factory, pair):
    got = []

    def talk(upstream, connection):
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                got.append(piece)
        got.append(None)
    with Thing(talk) as upstream:
        larder = larder_factory(tls_config(config(upstream), pair, True, False))
        s = client_context(pair).wrap_socket(larder.connect(), server_hostname="localhost")
        upgraded(s)
        s.sendall(b"b" * 200000 + b"bye")
        s.close()  # without close_notify
        larder.wait_until(lambda: None in got)
        assert b"".join(got[:-1]) == b"b" * 200000 + b"bye"


# --- a real protocol with a real client and server

def websocket_server(handler, **more):
    return server_in_a_loop(lambda: websockets.serve(handler, "127.0.0.1", 0, **more))


@pytest.mark.parametrize("front,back", [(False, False), (True, True)])
def test_websockets_talk_through_larder(larder_factory, pair, front, back):
    async def handler(ws):
        async for message in ws:
            await ws.send(message)
    more = {"max_size": 1 << 23}
    if back:
        more["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        more["ssl"].load_cert_chain(*pair)

    async def one(uri, n, context):
        async with websockets.connect(uri, max_size=1 << 23, ssl=context) as ws:
            for message in (f"hello {n}", os.urandom(300000), "", "ä" * 70000):
                await ws.send(message)
                assert await ws.recv() == message
            await (await ws.ping())
        return ws.close_code

    async def many(uri, context):
        return await asyncio.gather(*[one(uri, n, context) for n in range(30)])
    with websocket_server(handler, **more) as upstream:
        larder = larder_factory(tls_config(config(upstream), pair, front, back))
        uri = f"{'wss' if front else 'ws'}://localhost:{larder.public_port}/chat"
        context = client_context(pair) if front else None
        assert asyncio.run(asyncio.wait_for(many(uri, context), 60)) == [1000] * 30
        larder.wait_until(lambda: larder.counter("totals.tunnels.open") == 0)
        assert larder.counter("totals.tunnels.opened") == 30
        assert {line["larder.outcome"] for line in larder.access_lines(30)} == {"tunnel"}


def test_a_websocket_server_that_refuses_is_heard(larder_factory):
    async def refuse(path, headers):
        return http.HTTPStatus.FORBIDDEN, [("X-Why", "no")], b"not you"

    async def handler(ws):
        await ws.wait_closed()

    async def attempt(uri):
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            await websockets.connect(uri)
        return refused.value
    with websocket_server(handler, process_request=refuse) as upstream:
        larder = larder_factory(config(upstream))
        e = asyncio.run(attempt(f"ws://127.0.0.1:{larder.public_port}/"))
        assert e.status_code == 403 and e.headers["X-Why"] == "no"
