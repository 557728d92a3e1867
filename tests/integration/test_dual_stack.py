"""An address without a host is any of ours, of IPv4 and of IPv6: who tries ::1 first for localhost is
answered at once, and does not wait until he falls back to 127.0.0.1."""
import http.client
import re
import socket

import pytest

HOSTS = ["127.0.0.1", "::1"]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def ask(host, port, path, headers=None):
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def port_of(larder, pattern):
    ready = next(line["message"] for line in larder.log_lines if "ready: " in line["message"])
    return int(re.search(pattern, ready).group(1))


@pytest.mark.parametrize("address, said", [(":0", r", :(\d+)"), ("[::]:0", r"\[::\]:(\d+)")])
def test_any_address_is_of_ipv4_and_ipv6(larder_factory, school_app, address, said):
    larder = larder_factory({
        "listen": ["127.0.0.1:0", address], "control": {"listen": "127.0.0.1:0"}, "workers": 2,
        "upstreams": {"app": {"server": f"127.0.0.1:{school_app.port}"}},
        "routes": [{"name": "courses", "match": "GET /api/courses", "ttl": "1h"}]})
    port = port_of(larder, said)
    hosts = [ask(host, port, "/api/courses").headers["Cache-Status"] for host in HOSTS * 4]
    assert not hosts[0].startswith("larder; hit") and all(h.startswith("larder; hit") for h in hosts[1:])
    clients = {line["client.ip"] for line in larder.access_lines(8)}
    assert clients == {"127.0.0.1", "::1"}  # and not ::ffff:127.0.0.1


def test_the_control_listener_is_the_same(larder_factory, school_app):
    larder = larder_factory({
        "listen": "127.0.0.1:0", "control": {"listen": ":0", "token": "a-token-of-tests"},
        "upstreams": {"app": {"server": f"127.0.0.1:{school_app.port}"}}})
    port = port_of(larder, r"control :(\d+)")
    for host in HOSTS:
        assert ask(host, port, "/health/ready").status == 200
        bearer = {"Authorization": "Bearer a-token-of-tests"}
        assert ask(host, port, "/api/cache/stats", bearer).status == 200
