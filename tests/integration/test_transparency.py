"""What is not cached passes as if larder were not there."""
import hashlib
import json
import os
import re
import signal
import socket
import threading

import pytest
import requests

from support.raw_upstream import RawUpstream, read_head
from test_caching import config

ADDED = {"via", "x-request-id", "cache-status", "age", "connection", "keep-alive",
         "transfer-encoding", "date"}


def comparable(answer):
    """The answer less what larder adds, and less what differs each time."""
    fields = [(k.lower(), v) for k, v in answer.raw.headers.items() if k.lower() not in ADDED]
    fields = [(k, re.sub(r"sessionid=[^;]*|csrftoken=[^;]*|expires=[^;]*", "", v))
              for k, v in fields]
    return answer.status_code, fields, answer.content


def scenario(base):
    """Django's own: form, login with CSRF, redirect, upload, download, stream, logout-less end."""
    s = requests.Session()
    s.trust_env = False
    host = {"Host": "app.test"}
    answers = [s.get(f"{base}/me", headers=host)]
    token = s.get(f"{base}/form", headers=host).text
    cookies = {"csrftoken": s.cookies.get("csrftoken")}
    answers.append(s.post(f"{base}/login", headers=host, data={"user": "ann"}))  # no token: 403
    form = {"user": "ann", "password": "right", "csrfmiddlewaretoken": token}
    login = s.post(f"{base}/login", headers=host, data=form, cookies=cookies,
                   allow_redirects=False)
    answers.append(login)
    cookies["sessionid"] = login.cookies.get("sessionid")
    answers.append(s.get(f"{base}/me", headers=host, cookies=cookies))
    answers.append(s.post(f"{base}/upload", headers=dict(host, **{"X-CSRFToken": token}),
                          cookies=cookies, files={"file": ("a.bin", b"\0\1\2" * 50000)}))
    answers.append(s.get(f"{base}/download/300000", headers=host))
    answers.append(s.get(f"{base}/stream", headers=host))
    answers.append(s.get(f"{base}/nowhere", headers=host))
    answers.append(s.options(f"{base}/me", headers=host))
    # gunicorn sends Django's body after a HEAD: without larder it spoils the connection
    answers.append(s.head(f"{base}/download/300000", headers=dict(host, Connection="close")))
    return [comparable(a) for a in answers]


def test_django_through_requests_is_the_same_with_and_without_larder(larder_factory, django_app):
    larder = larder_factory(config(django_app))
    direct = scenario(django_app.url)
    through = scenario(f"http://127.0.0.1:{larder.public_port}")
    assert direct == through
    assert direct[2][0] == 302 and json.loads(direct[3][2]) == {"user": "ann"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes(larder_factory, flask_app, method):
    larder = larder_factory(config(flask_app))
    body = b"payload" if method in ("POST", "PUT", "PATCH") else None
    answer = larder.request(method, "/echo/a", body=body)
    assert answer.status == 200
    if method not in ("HEAD", "OPTIONS"):
        assert answer.json()["method"] == method
        assert answer.json()["body"] == (body or b"").decode()


@pytest.mark.parametrize("code", [200, 201, 204, 206, 304, 400, 401, 404, 418, 429, 500, 503])
def test_every_status_passes(larder_factory, flask_app, code):
    larder = larder_factory(config(flask_app))
    for _ in range(2):
        answer = larder.request("GET", f"/status/{code}")
        assert answer.status == code


def test_targets_go_upstream_byte_for_byte(larder_factory):
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    targets = ["/a%2Fb//c/../d", "/?a[]=1&a[]=2&&x", "/%zz?q=%", "/p?a+b=c%20d", "/?", "//evil/x"]
    with RawUpstream.answering(ok, keep_alive=True) as upstream:
        larder = larder_factory(config(upstream, {"name": "all", "match": "GET /*", "ttl": "1h"}))
        for target in targets:
            larder.raw(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        seen = [r.split(b" ")[1].decode() for r in upstream.requests]
        assert seen == targets


def test_fields_pass_in_order_but_for_hop_by_hop_ones(larder_factory, flask_app):
    larder = larder_factory(config(flask_app))
    text = (b"GET /echo HTTP/1.1\r\nHost: app.test\r\nX-B: 1\r\nX-A: 2\r\nX-B: 3\r\n"
            b"Connection: close, X-Gone\r\nX-Gone: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
            b"X-Forwarded-For: 6.6.6.6\r\nX-Original-URL: /admin\r\nProxy-Authorization: x\r\n\r\n")
    answer = larder.raw(text)
    seen = {k.lower(): v for k, v in json.loads(answer.split(b"\r\n\r\n", 1)[1])["headers"]}
    assert seen["host"] == "app.test" and seen["x-a"] == "2" and seen["x-b"] == "1,3"
    assert seen["x-forwarded-for"] == "127.0.0.1" and seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == "app.test" and "larder" in seen["via"]
    assert re.fullmatch("[0-9a-f]{16}", seen["x-request-id"])
    for gone in ("x-gone", "te", "keep-alive", "x-original-url", "proxy-authorization"):
        assert gone not in seen


def test_repeated_response_fields_keep_their_order(larder_factory, flask_app):
    larder = larder_factory(config(flask_app))
    answer = larder.request("GET", "/repeat-headers")
    assert answer.headers.get_all("X-Many") == ["one", "two", "three"]


def test_hop_by_hop_fields_of_answers_are_neither_passed_nor_stored(larder_factory):
    text = (b"HTTP/1.1 200 OK\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\n"
            b"Proxy-Authenticate: x\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok")
    with RawUpstream.answering(text, keep_alive=True) as upstream:
        larder = larder_factory(config(upstream, {"name": "r", "match": "GET /r", "ttl": "1h"}))
        for path in ("/pass", "/r", "/r"):
            answer = larder.request("GET", path)
            assert answer.headers["X-Kept"] == "1"
            for gone in ("X-Gone", "Keep-Alive", "Proxy-Authenticate"):
                assert gone not in answer.headers
        assert "hit" in answer.headers["Cache-Status"]


def test_chunked_streams_and_http_10_clients(larder_factory, fastapi_app):
    larder = larder_factory(config(fastapi_app))
    whole = b"".join(b"piece %d\n" % i for i in range(20))
    assert larder.request("GET", "/stream").body == whole
    old = larder.raw(b"GET /stream HTTP/1.0\r\nHost: a\r\n\r\n")
    assert old.split(b"\r\n\r\n", 1)[1] == whole
    assert b"chunked" not in old


def test_fastapi_json_posts_are_cached_by_member(larder_factory, fastapi_app):
    larder = larder_factory(config(fastapi_app, {"name": "q", "match": "POST /query", "ttl": "1h",
                                                 "key": ["/filter/org"]}))
    for body in ({"filter": {"org": 1}, "x": 1}, {"x": 2, "filter": {"org": 1}}):
        answer = larder.request("POST", "/query", body=json.dumps(body))
        assert answer.json()["body"]["x"] == 1
    assert fastapi_app.count("query") == 1


def test_a_large_download_costs_little_memory(larder_factory, flask_app):
    """A 1 GiB answer that is not cached raises the RSS by less than 16 MB (release build)."""
    larder = larder_factory(config(flask_app))
    larder.request("GET", "/download/1000")
    before, size, most = larder.rss_kb(), 1 << 30, 0
    with socket.create_connection(("127.0.0.1", larder.public_port)) as s:
        s.sendall(f"GET /download/{size} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        got, count = 0, 0
        while piece := s.recv(1 << 20):
            got += len(piece)
            count += 1
            if count % 500 == 0:
                most = max(most, larder.rss_kb())
    assert got > size
    limit = 16 * 1024 if "release" in os.environ.get("LARDER_BIN", "") else 64 * 1024
    assert most - before < limit, f"{most - before} kB more"


def test_a_slow_reader_slows_the_upstream(larder_factory):
    sent = []

    def handler(upstream, connection):
        if not read_head(connection):
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        connection.settimeout(0.5)
        try:
            while True:
                sent.append(connection.send(b"x" * 65536))
        except TimeoutError:
            upstream.closing.wait(20)
    with RawUpstream(handler) as upstream:
        larder = larder_factory(config(upstream, drain_timeout="100ms"))
        with socket.create_connection(("127.0.0.1", larder.public_port)) as s:
            s.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            s.recv(100)
            stalled = []

            def is_stalled():
                stalled.append(sum(sent))
                return len(stalled) > 100 and stalled[-1] == stalled[-100]
            larder.wait_until(is_stalled)
        assert sum(sent) < 32 << 20, "socket buffers and ours, not the whole answer"


def test_uploads_stream_through(larder_factory, flask_app):
    larder = larder_factory(config(flask_app))
    body = os.urandom(1 << 20) * 40
    before = larder.rss_kb()
    plain = larder.request("POST", "/upload", body=body)
    assert plain.json() == {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    assert larder.rss_kb() - before < 32 * 1024

    def pieces():
        for i in range(0, len(body), 1 << 20):
            yield body[i:i + (1 << 20)]
    chunked = requests.post(f"http://127.0.0.1:{larder.public_port}/upload", data=pieces())
    assert chunked.json() == plain.json()


def test_uploads_over_the_limit_get_413_and_expect_is_answered(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "u", "match": "POST /upload",
                                               "body_limit": "1KiB"}))
    answer = larder.raw(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n"
                        b"Expect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", larder.public_port), 10) as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert s.recv(len(go_on), socket.MSG_WAITALL) == go_on
        s.sendall(b"body")
        ok = b"".join(iter(lambda: s.recv(65536), b""))
    assert ok.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"body":"body"' in ok


def test_an_aborted_upload_never_looks_whole_upstream(larder_factory):
    received, ended = [], threading.Event()

    def handler(upstream, connection):
        while piece := connection.recv(65536):
            received.append(piece)
        ended.set()
    with RawUpstream(handler) as upstream:
        larder = larder_factory(config(upstream))
        with socket.create_connection(("127.0.0.1", larder.public_port)) as s:
            s.sendall(b"POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                      b"5\r\nhello\r\n")
            larder.wait_until(lambda: b"hello" in b"".join(received))
        assert ended.wait(10)
        assert b"0\r\n\r\n" not in b"".join(received)


def test_sigterm_finishes_what_is_in_flight_and_takes_no_more(larder_factory, flask_app):
    larder = larder_factory(config(flask_app))
    gate = flask_app.hold("drain")
    pending = larder.start("GET", "/hold/drain")
    larder.wait_for_counter("totals.fetches", 1)
    larder.process.send_signal(signal.SIGTERM)
    larder.log_says("SIGTERM")

    def is_refused():
        try:
            socket.create_connection(("127.0.0.1", larder.public_port), 1).close()
            return larder.process.poll() is not None
        except OSError:
            return True
    assert larder.control("GET", "/health/ready").status == 503
    gate.open()
    assert pending.result().status == 200
    larder.wait_until(is_refused)


def test_one_log_line_for_each_request(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "c", "match": "GET /api/courses",
                                               "ttl": "1h"}))
    for _ in range(2):
        larder.request("GET", "/api/courses?q=1")
    larder.request("GET", "/status/404")
    lines = larder.access_lines(3)
    assert sorted(line["larder.outcome"] for line in lines) == ["bypass", "hit", "miss"]
    by = {line["larder.outcome"]: line for line in lines}
    assert by["miss"]["larder.reason"] == "absent" and by["miss"]["larder.upstream_ms"] > 0
    assert by["hit"]["larder.key"] == by["miss"]["larder.key"]
    assert by["bypass"]["http.response.status_code"] == 404
    assert by["bypass"]["larder.reason"] == "route-not-cached"
