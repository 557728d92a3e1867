"""TLS to upstreams: whom larder believes, what it shows of itself, what a failure looks like."""
import hashlib
import os
import shutil
import signal

import pytest

from support.raw_upstream import RawUpstream, read_head
from support.tls import App, Authority, TlsUpstream, body_of
from test_tls import CACHED, MB, V1_2, V1_3


# --- upstreams ---

def upstream_config(upstream, tls=True, **more):
    return {"listen": "127.0.0.1:0", "workers": 1, "control": {"listen": "127.0.0.1:0"},
            "upstreams": {"app": {"server": f"127.0.0.1:{upstream.port}", "tls": tls, **more}},
            "routes": CACHED}


@pytest.fixture
def tls_app(authority, pair):
    with App(authority.server_context(pair)) as running:
        yield running


def trusting(authority, **more):
    return {"ca": str(authority.certificate), **more}


def status_of(answer):
    return answer.headers.get("Proxy-Status", "")


def test_an_upstream_is_verified_and_its_connections_are_kept(larder_factory, authority, tls_app):
    larder = larder_factory(upstream_config(tls_app, trusting(authority, server_name="a.test"),
                                            idle_timeout="30s"))
    for i in range(10):
        assert larder.request("GET", f"/thing/{i}").body == b"fixed"
    assert larder.request("GET", "/fixed").body == larder.request("GET", "/fixed").body == b"fixed"
    assert tls_app.connections == 1
    for size in (100000, 5 * MB, 20 * MB):
        assert larder.request("GET", f"/sized/{size}").body == body_of(size)
    body = body_of(5 * MB)
    assert larder.request("PUT", "/up", body=body).body.decode() == hashlib.sha256(body).hexdigest()
    assert larder.counter("upstreams.app.errors") == 0


def test_an_address_is_a_name_too(larder_factory, authority, tls_app):
    """Without server_name the certificate must be for the server's own host, here an address."""
    config = upstream_config(tls_app, trusting(authority))
    config["upstreams"]["app"]["server"] = f"https://127.0.0.1:{tls_app.port}"
    assert larder_factory(config).request("GET", "/fixed").body == b"fixed"


def test_the_name_is_asked_for(larder_factory, authority, pair):
    asked = []
    context = authority.server_context(pair)
    context.sni_callback = lambda s, name, c: asked.append(name)
    with App(context) as app:
        larder = larder_factory(upstream_config(app, trusting(authority, server_name="a.test")))
        assert larder.request("GET", "/fixed").status == 200
    assert asked == ["a.test"]


def test_another_name_is_refused(larder_factory, authority, tls_app):
    larder = larder_factory(upstream_config(tls_app, trusting(authority, server_name="b.test")))
    answer = larder.request("GET", "/fixed")
    assert answer.status == 502 and "tls_certificate_error" in status_of(answer)
    assert larder.log_says("for another name than b.test")
    assert not tls_app.counts


def test_an_unknown_authority_is_refused_unless_told_not_to_verify(larder_factory, tls_app,
                                                                   tmp_path):
    stranger = Authority(tmp_path / "stranger", "a stranger")
    for tls in (True, trusting(stranger, server_name="a.test")):
        larder = larder_factory(upstream_config(tls_app, tls))
        answer = larder.request("GET", "/fixed")
        assert answer.status == 502 and "tls_certificate_error" in status_of(answer)
        assert larder.log_says("certificate is refused")
    larder = larder_factory(upstream_config(tls_app, {"verify": False}))
    assert larder.request("GET", "/fixed").status == 200


def test_an_expired_certificate_is_refused(larder_factory, authority):
    with App(authority.server_context(authority.issue("IP:127.0.0.1", days=-1))) as app:
        larder = larder_factory(upstream_config(app, trusting(authority)))
        answer = larder.request("GET", "/fixed")
        assert answer.status == 502 and "tls_certificate_error" in status_of(answer)
        assert larder.log_says("expired")


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_a_client_certificate_is_shown_where_it_is_wanted(larder_factory, authority, pair, version):
    context = authority.server_context(pair, asks_for_certificate=True, high=version)
    with App(context) as app:
        mine = authority.issue("DNS:larder.test")
        with_it = larder_factory(upstream_config(app, trusting(authority, **mine.config())))
        assert with_it.request("GET", "/fixed").status == 200
        without = larder_factory(upstream_config(app, trusting(authority)))
        answer = without.request("GET", "/fixed")
        assert answer.status == 502 and "tls_alert_received" in status_of(answer)
        assert without.log_says("alert")


def test_a_server_without_tls_is_told_in_words(larder_factory):
    with App() as plain:
        larder = larder_factory(upstream_config(plain))
        answer = larder.request("GET", "/fixed")
    assert answer.status == 502 and "tls_protocol_error" in status_of(answer)
    assert larder.log_says("it does not speak TLS there")


def test_a_handshake_counts_as_connecting(larder_factory):
    with RawUpstream(lambda self, connection: self.closing.wait(20)) as upstream:
        larder = larder_factory(upstream_config(upstream, connect_timeout="300ms"))
        answer = larder.request("GET", "/fixed")
        assert answer.status == 504 and "connection_timeout" in status_of(answer)


@pytest.mark.parametrize("is_clean", [True, False])
def test_an_answer_up_to_the_end_needs_a_clean_end(larder_factory, authority, pair, is_clean):
    """RFC 9112 section 9.8: without close_notify such an answer may be cut."""
    def handler(self, connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nall there is")
        if is_clean:
            connection.unwrap()

    with TlsUpstream(authority.server_context(pair), handler) as upstream:
        larder = larder_factory(upstream_config(upstream, trusting(authority)))
        answer = larder.request("GET", "/fixed")
        if is_clean:
            assert answer.status == 200 and answer.body == b"all there is"
        else:
            assert answer.status == 502 and "http_response_incomplete" in status_of(answer)


def test_the_next_server_is_tried_where_one_is_not_to_be_trusted(larder_factory, authority, tls_app):
    """The first's certificate names the host in its subject, which does not count."""
    with App(authority.server_context(authority.issue(name="a.test"))) as wrong:
        config = upstream_config(tls_app, trusting(authority, server_name="a.test"))
        u = config["upstreams"]["app"]
        del u["server"]
        u["servers"] = [f"127.0.0.1:{wrong.port}", f"127.0.0.1:{tls_app.port}"]
        larder = larder_factory(config)
        for i in range(6):
            assert larder.request("POST" if i % 2 else "GET", f"/x/{i}").status in (200, 501)
        assert not wrong.counts


def test_idle_connections_survive_tickets_and_notice_an_end(larder_factory, authority, pair):
    """A TLS 1.3 server sends tickets at any time: they are no answer that nobody asked for."""
    with App(authority.server_context(pair)) as app:
        larder = larder_factory(upstream_config(app, trusting(authority), min_idle=2,
                                                idle_timeout="30s"))
        larder.wait_for_counter("upstreams.app.idle", 2)
        for i in range(5):
            assert larder.request("GET", f"/x/{i}").status == 200
        assert larder.counter("upstreams.app.connects") == 2


def test_sighup_reads_an_upstreams_files_anew(larder_factory, authority, tls_app, tmp_path):
    ca = tmp_path / "ca.pem"
    stranger = Authority(tmp_path / "stranger", "a stranger")
    shutil.copy(stranger.certificate, ca)
    larder = larder_factory(upstream_config(tls_app, {"ca": str(ca)}))
    assert larder.request("GET", "/fixed").status == 502
    shutil.copy(authority.certificate, ca)
    os.kill(larder.process.pid, signal.SIGHUP)
    assert larder.log_says("were read anew")
    assert larder.request("GET", "/fixed").status == 200
