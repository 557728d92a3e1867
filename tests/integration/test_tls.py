"""TLS to clients; what the files hold, and how they are read anew."""
import concurrent.futures
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from support.larder import BINARY
from support.raw_upstream import RawUpstream, read_head
from support.tls import App, ask, body_of, connect, openssl, read_answer

MB = 1 << 20
CACHED = [{"name": "fixed", "match": "GET /fixed", "ttl": "1h"},
          {"name": "sized", "match": "GET /sized/{n}", "key": ["path.n"], "ttl": "1h"}]
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CUT = (ssl.SSLError, ConnectionResetError)  # no close_notify: what came is not the whole


@pytest.fixture
def app():
    with App() as running:
        yield running


def tls_config(app, *pairs, tls=None, **more):
    listener = {"address": "127.0.0.1:0",
                "tls": {"certificates": [p.config() for p in pairs], **(tls or {})}}
    return {"listen": ["127.0.0.1:0", listener], "workers": 2,
            "control": {"listen": "127.0.0.1:0"},
            "upstreams": {"app": {"server": f"127.0.0.1:{app.port}"}}, "routes": CACHED, **more}


@pytest.fixture
def larder(larder_factory, app, pair):
    return larder_factory(tls_config(app, pair))


@contextlib.contextmanager
def client(larder, authority, name="a.test", session=None, **context):
    with connect(larder.tls_port, authority.client_context(**context), session, name) as s:
        yield s


def names_of(s):
    return {value for _, value in s.getpeercert()["subjectAltName"]}


# --- clients ---

def test_misses_and_hits_go_over_tls_and_share_the_cache_with_plain_listeners(larder, authority, app):
    with client(larder, authority) as s:
        first, body = ask(s)
        second, again = ask(s)
    assert "fwd=uri-miss" in first and "; hit" in second and body == again == b"fixed"
    assert "; hit" in larder.request("GET", "/fixed").headers["Cache-Status"]
    assert app.counts["/fixed"] == 1


def test_curl_is_served(larder, authority):
    done = subprocess.run(
        ["curl", "-sS", "--cacert", authority.certificate, "--resolve",
         f"a.test:{larder.tls_port}:127.0.0.1", f"https://a.test:{larder.tls_port}/fixed",
         "--next", "-sS", "--cacert", authority.certificate, "-d", "x=1", "-X", "PUT", "--resolve",
         f"a.test:{larder.tls_port}:127.0.0.1", f"https://a.test:{larder.tls_port}/up"],
        capture_output=True, timeout=30, check=True)
    assert done.stdout == b"fixed" + hashlib.sha256(b"x=1").hexdigest().encode()


def test_the_app_is_told_that_the_client_spoke_tls(larder, authority):
    with client(larder, authority) as s:
        assert ask(s, "/proto")[1] == b"https"
        assert ask(s, "/proto", "X-Forwarded-Proto: http\r\n")[1] == b"https"
    assert larder.request("GET", "/proto").body == b"http"


@pytest.mark.parametrize("low, high", [(V1_2, V1_2), (V1_3, V1_3)])
def test_either_version_of_tls_is_spoken(larder, authority, low, high):
    with client(larder, authority, low=low, high=high) as s:
        assert s.version() == {V1_2: "TLSv1.2", V1_3: "TLSv1.3"}[high]
        assert s.compression() is None
        assert [ask(s)[1] for _ in range(3)] == [b"fixed"] * 3


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_older_versions_are_refused(larder_factory, larder, authority, app, pair):
    old = authority.client_context(low=ssl.TLSVersion.TLSv1, high=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        connect(larder.tls_port, old)
    larder.wait_for_counter("totals.tls.failures", 1)
    modern = larder_factory(tls_config(app, pair, tls={"min_version": "1.3"}))
    with pytest.raises(ssl.SSLError), client(modern, authority, high=V1_2):
        pass
    with client(modern, authority) as s:
        assert s.version() == "TLSv1.3" and ask(s)[1] == b"fixed"


def test_the_certificate_is_chosen_by_the_name_asked_for(larder_factory, authority, app, pair):
    other = authority.issue("DNS:b.test", "DNS:b.example")
    wild = authority.issue("DNS:*.wild.test")
    exact = authority.issue("DNS:exact.wild.test")
    larder = larder_factory(tls_config(app, pair, other, wild, exact))
    expected = {"a.test": "a.test", "b.test": "b.test", "B.Example": "b.example",
                "x.wild.test": "*.wild.test", "exact.wild.test": "exact.wild.test"}
    for version in (V1_2, V1_3):
        for name, subject in expected.items():
            with client(larder, authority, name=name, high=version) as s:
                assert subject in names_of(s)
                assert ask(s)[1] == b"fixed"
    nobody = authority.client_context()
    nobody.check_hostname = False
    for name in ("unknown.test", "a.b.wild.test", "wild.test"):
        with connect(larder.tls_port, nobody, name=name) as s:
            assert "a.test" in names_of(s), "the first is for all other names"


def test_alpn(larder, authority):
    for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"),
                            (None, None)):
        with client(larder, authority, alpn=offered) as s:
            assert s.selected_alpn_protocol() == chosen and ask(s)[1] == b"fixed"
    with pytest.raises(ssl.SSLError, match="(?i)no.?application.?protocol"), \
            client(larder, authority, alpn=["h2"]):
        pass


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_a_ticket_is_good_at_every_worker(larder_factory, authority, app, pair, version):
    larder = larder_factory(tls_config(app, pair, workers=4))
    context = authority.client_context(low=version, high=version)
    with connect(larder.tls_port, context) as s:
        ask(s)
        session = s.session
    assert session.has_ticket
    for _ in range(16):
        with connect(larder.tls_port, context, session) as s:
            ask(s)
            assert s.session_reused
            session = s.session
    larder.wait_for_counter("totals.tls.resumed", 16)
    assert larder.counter("totals.tls.handshakes") == 17


def test_tickets_can_be_switched_off(larder_factory, authority, app, pair):
    larder = larder_factory(tls_config(app, pair, tls={"session_tickets": False}))
    for version in (V1_2, V1_3):
        context = authority.client_context(low=version, high=version)
        with connect(larder.tls_port, context) as s:
            ask(s)
            session = s.session
        assert not session or not session.has_ticket
        with connect(larder.tls_port, context, session) as s:
            ask(s)
            assert not s.session_reused


@pytest.mark.parametrize("size", [1, 16000, 16384, 17000, 300000, 5 * MB])
def test_bodies_of_every_size_come_whole_as_miss_and_as_hit(larder, authority, size):
    with client(larder, authority) as s:
        for expected in ("fwd=uri-miss", "; hit", "; hit"):
            head, body = ask(s, f"/sized/{size}")
            assert expected in head and body == body_of(size)


def test_what_is_too_large_to_be_stored_streams_through(larder, authority):
    with client(larder, authority) as s:
        _, body = ask(s, f"/sized/{20 * MB}")
        assert body == body_of(20 * MB)
        assert ask(s)[1] == b"fixed"


def test_a_slow_reader_is_served_as_long_as_it_reads(larder_factory, authority, app, pair):
    """A large hit leaves record by record, and each one that leaves moves the deadline."""
    size, send_timeout_s = 8 * MB, 1.5
    larder = larder_factory(tls_config(app, pair, limits={"send_timeout": "1500ms"},
                                       cache={"max_object_bytes": "16MiB"}))
    with client(larder, authority) as s:
        ask(s, f"/sized/{size}")
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    plain.connect(("127.0.0.1", larder.tls_port))
    begun = time.monotonic()
    with authority.client_context().wrap_socket(plain, server_hostname="a.test") as s:
        s.sendall(f"GET /sized/{size} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        got = 0
        while piece := s.recv(16384):
            got += len(piece)
            time.sleep(0.005)  # the slowness is what is tested
    assert got > size and time.monotonic() - begun > 1.4 * send_timeout_s


@pytest.mark.parametrize("size, is_cached", [(7 * MB, True), (60 * MB, False)])
def test_a_client_that_stands_still_is_cut_and_holds_little(larder_factory, authority, app, pair,
                                                            size, is_cached):
    larder = larder_factory(tls_config(app, pair, limits={"send_timeout": "500ms"}))
    if is_cached:
        with client(larder, authority) as s:
            ask(s, f"/sized/{size}")

    def peak_kb():
        with open(f"/proc/{larder.process.pid}/status") as f:
            return int(next(line.split()[1] for line in f if line.startswith("VmHWM")))

    def is_open(ports):
        """Larder holds its end still: once closed it has no inode, whatever waits in the socket."""
        with open("/proc/net/tcp", encoding="ascii") as f:
            rows = [line.split() for line in f][1:]
        return any([int(end.split(":")[1], 16) for end in row[1:3]] == ports and row[9] != "0"
                   for row in rows)
    before = peak_kb()
    with client(larder, authority) as s:
        ports = [larder.tls_port, s.getsockname()[1]]
        assert is_open(ports)
        s.sendall(b"GET /sized/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        larder.wait_until(lambda: not is_open(ports))
        with pytest.raises(CUT):
            while s.recv(65536):
                pass
    assert peak_kb() - before < 24 * 1024


def test_uploads(larder, authority):
    body = body_of(5 * MB)
    digest = hashlib.sha256(body).hexdigest().encode()
    with client(larder, authority) as s:
        for _ in range(2):
            s.sendall(b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert read_answer(s)[1] == digest
        s.sendall(b"PUT /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 100000):
            piece = body[at:at + 100000]
            s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        s.sendall(b"0\r\n\r\n")
        assert read_answer(s)[1] == digest
        s.sendall(b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                  b"Expect: 100-continue\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 100 ")
        s.sendall(b"abc")
        assert read_answer(s)[1] == hashlib.sha256(b"abc").hexdigest().encode()


def test_an_upload_waits_for_its_upstream(larder_factory, authority, pair):
    """What was taken off the socket and not read on stays within TLS, and is found again."""
    size = 40 * MB

    def handler(self, connection):
        first = read_head(connection).partition(b"\r\n\r\n")[2]
        self.begin.wait(30)
        digest, left = hashlib.sha256(first), size - len(first)
        while left and (piece := connection.recv(65536)):
            digest.update(piece)
            left -= len(piece)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n"
                           + digest.hexdigest().encode())

    with RawUpstream(handler) as upstream:
        upstream.begin = threading.Event()
        larder = larder_factory(tls_config(upstream, pair))
        before = larder.rss_kb()
        with client(larder, authority) as s:
            s.sendall(b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            s.settimeout(0.5)
            body, sent = body_of(size), 0
            with pytest.raises(TimeoutError):  # nobody takes it: in the end the client must wait
                while sent < size:
                    sent += s.send(body[sent:sent + 16384])
            assert sent < size and larder.rss_kb() - before < 20 * 1024
            upstream.begin.set()
            s.settimeout(30)
            s.sendall(body[sent:])
            assert read_answer(s)[1] == hashlib.sha256(body).hexdigest().encode()


def test_pipelined_requests_are_answered_in_order(larder, authority):
    with client(larder, authority) as s:
        ask(s)
        wanted = ["/fixed", "/sized/70000", "/fixed", "/proto", "/sized/70000", "/fixed"]
        s.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % w.encode() for w in wanted[:-1]) +
                  b"GET /fixed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := s.recv(65536):
            data += piece
    at = 0
    for path in wanted:
        body = {"/fixed": b"fixed", "/proto": b"https"}.get(path) or body_of(70000)
        start = data.index(b"\r\n\r\n", at) + 4
        assert data[start:start + len(body)] == body
        at = start + len(body)
    assert at == len(data)


def test_a_request_in_many_small_records_is_read(larder, authority):
    with client(larder, authority) as s:
        for byte in b"GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n":
            s.send(bytes([byte]))
        assert read_answer(s)[1] == b"fixed"


def test_an_answer_that_closes_ends_with_a_close_notify(larder, authority):
    with client(larder, authority) as s:
        for path in ("/fixed", "/proto"):
            with client(larder, authority) as last:
                assert ask(last, path, "Connection: close\r\n")[1]
                assert last.recv(1) == b""  # a cut connection would raise here
        s.sendall(b"nonsense\r\n\r\n")
        answer = s.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert s.recv(1) == b""


class HalfClosed:
    """A client that may end its side, and reads on: Python's sockets cannot."""

    def __init__(self, port, context):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="a.test")
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.run(self.tls.do_handshake)

    def flush(self):
        if data := self.outgoing.read():
            self.socket.sendall(data)

    def run(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.socket.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def send_and_end(self, data):
        self.tls.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()
        self.socket.shutdown(socket.SHUT_WR)

    def read_all(self):
        data = b""
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while piece := self.run(lambda: self.tls.read(65536)):
                data += piece
        self.socket.close()
        return data


@pytest.mark.parametrize("size", [5, 5 * MB])
def test_a_client_that_has_ended_its_side_gets_its_hit(larder, authority, size):
    with client(larder, authority) as s:
        ask(s, f"/sized/{size}")
    half = HalfClosed(larder.tls_port, authority.client_context())
    half.send_and_end(b"GET /sized/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
    assert half.read_all().endswith(b"\r\n\r\n" + body_of(size))


@pytest.mark.parametrize("is_tls", [True, False])
def test_a_cut_answer_cannot_be_taken_for_whole(larder_factory, authority, pair, is_tls):
    """An HTTP/1.0 client tells the end of an answer by the connection's alone."""
    def handler(self, connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"5\r\nhello\r\n")
        self.half_read.wait(20)

    with RawUpstream(handler) as upstream:
        upstream.half_read = threading.Event()
        larder = larder_factory(tls_config(upstream, pair))
        port = larder.tls_port if is_tls else larder.public_port
        with (connect(port, authority.client_context()) if is_tls else
              socket.create_connection(("127.0.0.1", port), 20)) as s:
            s.sendall(b"GET /cut HTTP/1.0\r\nHost: a\r\n\r\n")
            data = b""
            while not data.endswith(b"hello"):
                data += s.recv(65536)
            upstream.half_read.set()
            with pytest.raises(CUT):
                while s.recv(65536):
                    pass


def test_plain_http_on_a_tls_port_is_told_so(larder):
    answer = larder.raw(b"GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n", port=larder.tls_port)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"https://" in answer
    assert larder.counter("totals.tls.failures") == 1
    assert larder.counter("totals.bad_requests") == 1
    assert larder.log_says("http request")
    assert larder.raw(b"\x00\x01nonsense\r\n\r\n" * 100, port=larder.tls_port)[:5] != b"HTTP/"
    assert larder.request("GET", "/fixed").status == 200


@pytest.mark.parametrize("beginning", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_a_handshake_that_does_not_finish_is_cut(larder_factory, app, pair, beginning):
    larder = larder_factory(tls_config(app, pair, limits={"head_timeout": "300ms"}))
    assert larder.raw(*filter(None, [beginning]), port=larder.tls_port) == b""


def test_too_many_connections_are_refused_before_their_handshake(larder_factory, authority, app, pair):
    larder = larder_factory(tls_config(app, pair, workers=1, limits={"connections": 1}))
    with client(larder, authority) as s:
        with pytest.raises(OSError), client(larder, authority):
            pass
        assert ask(s)[1] == b"fixed"


def test_a_head_that_drips_gets_408(larder_factory, authority, app, pair):
    larder = larder_factory(tls_config(app, pair, limits={"head_timeout": "1500ms"}))
    with client(larder, authority) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert s.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert s.recv(1) == b""


def test_draining_finishes_what_is_in_flight(larder_factory, authority, pair):
    def handler(self, connection):
        read_head(connection)
        self.begun.set()
        self.gate.wait(20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with RawUpstream(handler) as upstream:
        upstream.begun, upstream.gate = threading.Event(), threading.Event()
        larder = larder_factory(tls_config(upstream, pair))
        with client(larder, authority) as busy, client(larder, authority) as idle:
            busy.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            assert upstream.begun.wait(20)
            larder.wait_for_counter("totals.tls.handshakes", 2)
            larder.process.send_signal(signal.SIGTERM)
            assert idle.recv(1) == b"", "an idle connection ends cleanly"
            upstream.gate.set()
            head, body = read_answer(busy)
            assert "200 OK" in head and body == b"ok"
            assert busy.recv(1) == b""


def test_the_control_listener_may_speak_tls(larder_factory, authority, app, pair):
    config = tls_config(app, pair)
    config["control"]["listen"] = {"address": "127.0.0.1:0",
                                   "tls": {"certificates": [pair.config()]}}
    larder = larder_factory(config)
    with connect(larder.control_port, authority.client_context()) as s:
        assert "200 OK" in ask(s, "/health/ready")[0]


def test_warm_jobs_find_a_front_that_speaks_tls(larder_factory, authority, app, pair):
    config = tls_config(app, pair)
    config["listen"] = config["listen"][1]
    larder = larder_factory(config)
    answer = larder.control("POST", "/api/cache/warm", body=json.dumps({"urls": ["/fixed"]}),
                            headers={"Content-Type": "application/json"})
    assert answer.status == 202, answer.body
    larder.wait_for_counter("totals.warmed", 1)
    with client(larder, authority) as s:
        assert "; hit" in ask(s)[0]


# --- files ---

def test_t(tmp_path, authority, app, pair):
    """Each fault is told with the config's place, the file, and in words."""
    other, expired = authority.issue("DNS:other.test"), authority.issue("DNS:old.test", days=-1)
    encrypted, text = tmp_path / "encrypted.key", tmp_path / "text.pem"
    text.write_text("no PEM at all\n")
    openssl("pkey", "-in", pair.key, "-aes128", "-passout", "pass:secret", "-out", encrypted)

    def run(certificate, key, explained=""):
        path = tmp_path / "larder.json"
        path.write_text(json.dumps(tls_config(app, pair, tls={"certificates": [
            pair.config(), {"certificate": str(certificate), "key": str(key)}]})))
        done = subprocess.run([BINARY, "-t", "-c", path], capture_output=True, text=True, timeout=30)
        place = "at $.listen[1].tls.certificates[1]."
        assert place in done.stderr or not done.stderr
        assert explained in done.stdout
        return done.returncode, done.stderr.replace(place, "")

    assert run(other.certificate, other.key, "TLS 1.2 and newer, 2 certificates") == (0, "")
    for certificate, key, words in (
            (tmp_path / "none.pem", pair.key, ["certificate: ", "none.pem", "No such file"]),
            (pair.certificate, tmp_path / "none.key", ["key: ", "none.key", "No such file"]),
            (text, pair.key, ["certificate: ", "no certificate in PEM"]),
            (pair.certificate, text, ["key: ", "no private key in PEM"]),
            (pair.key, pair.certificate, ["exchanged?"]),
            (pair.certificate, encrypted, ["is encrypted"]),
            (pair.certificate, other.key, ["key: ", "does not fit", str(pair.certificate)]),
            (tmp_path, pair.key, ["no regular file"])):
        code, said = run(certificate, key)
        assert code == 1 and all(w in said for w in words), said
    code, said = run(expired.certificate, expired.key)
    assert code == 0 and "warning: " in said and "has expired" in said


def test_a_bad_file_is_refused_at_start(larder_refuses, authority, app, pair):
    other = authority.issue("DNS:other.test")
    bad = dict(pair.config(), key=str(other.key))
    larder_refuses(tls_config(app, tls={"certificates": [bad]}),
                   "does not fit", "$.listen[1].tls.certificates[0].key")
    larder_refuses(tls_config(app, pair, upstreams={"app": {
        "server": f"https://127.0.0.1:{app.port}", "tls": {"ca": "/nowhere/ca.pem"}}}),
        "/nowhere/ca.pem", "$.upstreams.app.tls.ca")


@pytest.fixture
def replaceable(tmp_path, pair):
    """A certificate and key whose files may change."""
    class Replaceable:
        certificate, key = tmp_path / "site.pem", tmp_path / "site.key"

        def become(self, other):
            shutil.copy(other.certificate, self.certificate)
            shutil.copy(other.key, self.key)

        def config(self):
            return {"certificate": str(self.certificate), "key": str(self.key)}
    r = Replaceable()
    r.become(pair)
    return r


def test_sighup_changes_the_certificate_and_keeps_connections(larder_factory, authority, app,
                                                              replaceable):
    larder = larder_factory(tls_config(app, replaceable))
    newer = authority.issue("DNS:a.test", "DNS:newer.test")
    with client(larder, authority) as kept:
        assert ask(kept)[1] == b"fixed" and "newer.test" not in names_of(kept)
        session = kept.session
        replaceable.become(newer)
        os.kill(larder.process.pid, signal.SIGHUP)
        assert larder.log_says("were read anew")
        with client(larder, authority) as fresh:
            assert "newer.test" in names_of(fresh) and ask(fresh)[1] == b"fixed"
        assert session.has_ticket, "and an old ticket does no harm"
        assert ask(kept)[1] == b"fixed" and ask(kept, "/sized/100000")[1] == body_of(100000)


def test_a_broken_file_keeps_the_old_certificate(larder_factory, authority, app, pair, replaceable):
    larder = larder_factory(tls_config(app, replaceable))
    replaceable.certificate.write_text("-----BEGIN CERTIFICATE-----\nbroken\n")
    os.kill(larder.process.pid, signal.SIGHUP)
    assert larder.log_says("site.pem") and larder.log_says("goes on with the certificates")
    with client(larder, authority) as s:
        assert ask(s)[1] == b"fixed"
    replaceable.become(pair)
    os.kill(larder.process.pid, signal.SIGHUP)
    assert larder.log_says("were read anew")
    with client(larder, authority) as s:
        assert ask(s)[1] == b"fixed"


def test_sighup_under_load_drops_nothing(larder_factory, authority, app, pair, replaceable):
    larder = larder_factory(tls_config(app, replaceable))
    other = authority.issue("DNS:a.test")
    context = authority.client_context()

    def hammer(_):
        with connect(larder.tls_port, context) as s:
            return [ask(s)[1] for _ in range(3)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = pool.map(hammer, range(200))
        for i in range(10):
            replaceable.become((pair, other)[i % 2])
            os.kill(larder.process.pid, signal.SIGHUP)
            larder.wait_for_counter("totals.tls.handshakes", 15 * (i + 1))
        assert list(asked) == [[b"fixed"] * 3] * 200
    assert larder.counter("totals.tls.failures") == 0


def test_sighup_without_tls_is_no_end(larder_factory, app):
    larder = larder_factory({**tls_config(app), "listen": "127.0.0.1:0"})
    os.kill(larder.process.pid, signal.SIGHUP)
    assert larder.log_says("SIGHUP: no listener")
    assert larder.request("GET", "/fixed").status == 200
