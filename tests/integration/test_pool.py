"""The upstream pool: reuse, safe retry, the bounded queue, idle connections."""
import contextlib

from support.raw_upstream import RawUpstream, read_head, refusing_port
from test_caching import config

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def pool_config(upstream, **pool):
    c = config(upstream, workers=1)
    c["upstreams"]["app"].update(pool)
    return c


def test_connections_are_reused(larder_factory, fastapi_app):
    larder = larder_factory(pool_config(fastapi_app, idle_timeout="4s"))  # the app's own: 5 s
    for _ in range(20):
        assert larder.request("GET", "/api/courses").status == 200
    pool = larder.stats()["upstreams"]["app"]
    assert pool["requests"] == 20 and pool["reuse_rate"] > 0.9


def second_request_dies(self, connection):
    """Answers once; the next request on the connection is read, and never answered."""
    if head := read_head(connection):
        self.requests.append(head)
        connection.sendall(OK)
    if head := read_head(connection):
        self.requests.append(head)


def test_a_get_on_a_connection_that_died_is_tried_once_more(larder_factory):
    with RawUpstream(second_request_dies) as upstream:
        larder = larder_factory(pool_config(upstream, idle_timeout="30s"))
        assert [larder.request("GET", "/x").status for _ in range(4)] == [200] * 4
        assert larder.stats()["upstreams"]["app"]["retries"] >= 1


def test_a_post_is_never_sent_twice(larder_factory):
    with RawUpstream(second_request_dies) as upstream:
        larder = larder_factory(pool_config(upstream, idle_timeout="30s"))
        assert larder.request("GET", "/x").status == 200
        assert larder.request("POST", "/pay", body=b"once").status == 502
        assert sum(r.startswith(b"POST") for r in upstream.requests) == 1


def test_the_queue_is_bounded_and_has_a_deadline(larder_factory):
    with RawUpstream.silent() as upstream:
        larder = larder_factory(pool_config(upstream, max=1, queue=1, queue_timeout="1s",
                                            first_byte_timeout="3s"))
        first = larder.start("GET", "/a")
        larder.wait_for_counter("upstreams.app.active", 1)
        second = larder.start("GET", "/b")
        larder.wait_for_counter("upstreams.app.waiting", 1)
        third = larder.request("GET", "/c")
        assert third.status == 503 and "Retry-After" in third.headers
        assert second.result().status == 503
        assert first.result().status == 504


def test_min_idle_connections_are_kept_open(larder_factory):
    with RawUpstream.answering(OK, keep_alive=True) as upstream:
        larder = larder_factory(pool_config(upstream, min_idle=3, idle_timeout="100ms"))
        larder.wait_for_counter("upstreams.app.idle", 3)
        assert larder.request("GET", "/x").status == 200
        larder.wait_for_counter("upstreams.app.idle", 3)


def test_the_next_server_is_tried_where_one_refuses(larder_factory):
    with RawUpstream.answering(OK, keep_alive=True) as upstream, refusing_port() as port:
        c = config(upstream, workers=1)
        c["upstreams"]["app"]["servers"] = [f"127.0.0.1:{port}", f"127.0.0.1:{upstream.port}"]
        larder = larder_factory(c)
        for _ in range(6):
            with contextlib.suppress(ConnectionError):
                assert larder.request("POST", "/x", body=b"b").status == 200
