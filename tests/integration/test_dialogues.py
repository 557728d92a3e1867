"""Random dialogues on many connections: pipelined, cut into pieces, abandoned, reset. Whatever
comes, nothing crashes, leaks or stays behind (the fixture ends on the sanitizers' word)."""
import contextlib
import os
import random
import socket
import struct
import threading
import time

import pytest

from support.tls import Authority
from test_caching import config

THREADS, DIALOGUES = 8, 30
SEED = int(os.environ.get("SEED", "0"))


def head(first, *fields):
    return "\r\n".join((first, "Host: a", *fields, "", "")).encode()


REQUESTS = [head(f"GET /api/courses?o={i} HTTP/1.1") for i in range(4)] + [
    head("HEAD /api/courses?o=1 HTTP/1.1"), head("HEAD /no-store HTTP/1.1"),
    head("GET /no-store HTTP/1.1"), head("GET /vary HTTP/1.1", "X-Lang: de"),
    head("GET /download/500000 HTTP/1.1"), head("GET /download/5000000 HTTP/1.1"),
    head("GET /stream HTTP/1.1"), head("PURGE /x HTTP/1.1"), head("OPTIONS * HTTP/1.1"),
    head("POST /query HTTP/1.1", "Content-Length: 7") + b'{"a":1}',
    head("POST /query HTTP/1.1", "Transfer-Encoding: chunked") + b"zz\r\n",
    head("POST /echo HTTP/1.1", "Content-Length: 100000") + b"x" * 100000,
    head("GET /api/courses?o=1 HTTP/1.1", "Content-Length: 3") + b"abc",
    b"GET /status/404 HTTP/1.0\r\n\r\n", b"GET /bad\nHTTP/1.1\r\n\r\n"]


def connection(r, larder, context):
    """Over TLS some never finish their handshake, and some send what is no TLS in the middle."""
    s = socket.create_connection(("127.0.0.1", larder.tls_port if context else larder.public_port))
    if not context:
        return s
    s.settimeout(5)
    if r.random() < 0.1:
        s.sendall(r.choice([b"\x16\x03\x01", b"\x16\x03\x01\x02\x00" + bytes(50), REQUESTS[0]]))
        return s
    plain = s.dup()
    try:
        s = context.wrap_socket(s, server_hostname="a.test")
        if r.random() < 0.1:
            plain.sendall(r.choice([b"\x17\x03\x03\x00\x20" + bytes(32), b"no TLS", b"\x15\x03"]))
        return s
    finally:
        plain.close()


def dialogue(r, larder, context):
    with contextlib.suppress(OSError), connection(r, larder, context) as s:
        s.settimeout(r.choice([0.05, 0.3]))
        data = b"".join(r.choice(REQUESTS) for _ in range(r.randint(1, 8)))
        while data:
            n = r.choice([1, 7, 100, 5000, 100000])
            s.sendall(data[:n])
            data = data[n:]
            if r.random() < 0.02:
                break
        if r.random() < 0.3:
            s.shutdown(socket.SHUT_WR)
        while r.random() < 0.9 and s.recv(65536):
            pass
        if r.random() < 0.2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("dialogues"))


@pytest.mark.parametrize("over", ["plain", "TLS", "TLS on both sides"])
def test_random_dialogues_leave_nothing_behind(larder_factory, flask_app, authority, over):
    pair = authority.issue("DNS:a.test", "IP:127.0.0.1")
    listener = {"address": "127.0.0.1:0", "tls": {"certificates": [pair.config()]}}
    upstreams = {"app": {"server": f"127.0.0.1:{flask_app.port}"}}
    if over == "TLS on both sides":
        inner = larder_factory(config(flask_app, listen=["127.0.0.1:0", listener]))
        upstreams = {"app": {"server": f"https://127.0.0.1:{inner.tls_port}",
                             "tls": {"ca": str(authority.certificate)}}}
    context = None if over == "plain" else authority.client_context()
    larder = larder_factory(config(
        flask_app, {"name": "c", "match": "GET /api/courses", "ttl": "300ms"},
        {"name": "q", "match": "POST /query", "ttl": "1s", "key": ["json.a"]},
        {"name": "v", "match": "GET /vary", "ttl": "200ms"},
        {"name": "n", "match": "GET /no-store", "ttl": "1s"},
        {"name": "d", "match": "GET /download/*", "ttl": "1s"},
        listen=["127.0.0.1:0", listener], upstreams=upstreams, drain_timeout="60s",
        cache={"max_bytes": "2MiB", "max_object_bytes": "1MiB", "pass_memory": "100ms"}))

    def talk(seed):
        r = random.Random(seed + THREADS * SEED)
        for _ in range(DIALOGUES):
            dialogue(r, larder, context)
    threads = [threading.Thread(target=talk, args=(seed,)) for seed in range(THREADS)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        larder.invalidate(glob="c:*")
        threads[0].join(0.05)
    for t in threads:
        t.join()
    larder.wait_until(lambda: larder.counter("totals.active") == 0)
    assert larder.counter("totals.coalesced_waiting") == 0
    assert not context or larder.counter("totals.tls.handshakes") > THREADS * DIALOGUES / 2
    assert larder.request("GET", "/api/courses?o=1").status == 200
    # no connection stays behind: draining ends long before its deadline
    start = time.monotonic()
    larder.stop()
    assert time.monotonic() - start < 30, "the drain waited for a connection nobody has"
