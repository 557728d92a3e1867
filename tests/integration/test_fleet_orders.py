"""What comes in an unlucky order: an end while somebody waits for other instances, a call that is made
again before the first is answered, an answer that is held while its client or its app goes."""
import contextlib
import json
import select
import signal
import socket
import time

import pytest

from support.fleet import LAG_S, PATIENT, SECRET
from support.larder import DEADLINE_S, request, wait_until
from support.raw_upstream import RawUpstream, read_head
from support.redis import RedisServer

ALLOWED = {"listen": "127.0.0.1:0", "mount": True, "allow": ["127.0.0.1/32"]}


def all_of_it(port, **headers):
    body = json.dumps({"all": True, "wait": "all"})
    return request(port, "POST", "/api/cache/invalidate", body=body, headers=headers)


@pytest.mark.parametrize("where", ["control", "public"])
def test_an_end_while_a_call_waits_for_other_instances_is_a_clean_one(fleet_factory, redis, where):
    two = fleet_factory(redis, size=2, prefix=f"ended-{where}",
                        more={"control": ALLOWED, "drain_timeout": "100ms"}, **PATIENT)
    two.kill(1)
    larder = two.larders[0]
    port = getattr(larder, f"{where}_port")
    published = two.stats(0)["published"]
    waiting = larder.pool.submit(all_of_it, port)
    wait_until(lambda: two.stats(0)["published"] > published)
    larder.process.send_signal(signal.SIGTERM)
    larder.stop()
    assert waiting.exception() or waiting.result().status in (202, 503)


def test_a_call_made_again_before_the_first_is_answered_is_not_done_again(fleet_factory, redis):
    two = fleet_factory(redis, size=2, prefix="again", **PATIENT)
    two.kill(1)
    larder = two.larders[0]
    published = two.stats(0)["published"]
    first = larder.pool.submit(all_of_it, larder.control_port, **{"Idempotency-Key": "k"})
    wait_until(lambda: two.stats(0)["published"] > published)
    second = all_of_it(larder.control_port, **{"Idempotency-Key": "k"})
    assert second.status == 409 and second.json()["type"].endswith("#idempotency-key")
    assert first.result().status == 202 and first.result().json()["not_applied_by"]
    third = all_of_it(larder.control_port, **{"Idempotency-Key": "k"})
    assert (third.status, third.body) == (202, first.result().body)
    assert two.stats(0)["published"] == published + 1
    assert larder.log_says("audit: invalidate by network (127.0.0.1): 202 all")
    two.start(1)


def test_an_entry_behind_the_last_one_is_not_read_again_and_again(fleet_factory, redis):
    one = fleet_factory(redis, size=1, prefix="behind", **PATIENT)
    version = one.apps.bump("behind")
    assert one.invalidate(0, tag="item:behind").json()["replicated"]
    one.settle()
    number = one.stats(0)["number"]
    redis.ask("XADD", redis.key("behind", "log"), f"{number}-1", "i", "x", "t", "x", "m", "x")
    asked, began = one.stats(0)["commands"], time.monotonic()
    wait_until(lambda: one.stats(0)["commands"] > asked + 8)
    assert time.monotonic() - began > LAG_S / 4, "nothing is new, and larder does not wait for it"
    assert one.version(0, "/items/behind") == version and one.stats(0)["gaps"] == 0


def test_a_master_that_is_cut_off_from_its_replicas_is_not_trusted(fleet_factory):
    """Another may have been promoted, and have what this one has not."""
    own = RedisServer()
    try:
        one = fleet_factory(own, size=1)
        one.fill("/items/cut-off")
        own.ask("CONFIG", "SET", "min-replicas-to-write", "1")
        wait_until(lambda: not any(one.stats(0)[s] for s in ("in_contact", "available")))
        version = one.apps.bump("cut-off")
        wait_until(lambda: one.version(0, "/items/cut-off") == version)
        own.ask("CONFIG", "SET", "min-replicas-to-write", "0")
        one.settle()
    finally:
        own.stop()


# --- an answer to a write is held until Redis has heard of it ---

class Held:
    """One larder before a raw app; Redis says nothing while answers shall be held."""

    def __init__(self, larder_factory, redis, app, **more):
        self.redis, self.app = redis, app
        self.larder = larder_factory({
            "listen": "127.0.0.1:0", "workers": 1, "control": {"listen": "127.0.0.1:0"},
            "secret": SECRET, "upstreams": {"app": {"servers": [f"127.0.0.1:{app.port}"]}},
            "redis": {"server": redis.address, "prefix": "held", **PATIENT,
                      "max_invalidation_lag": "20s"},
            "routes": [{"name": "all", "match": "GET /*", "ttl": "1h"}], **more})
        self.larder.wait_until(lambda: self.larder.stats()["redis"]["available"])

    @contextlib.contextmanager
    def client(self, text):
        """Its request has been answered by the app, and the answer is held."""
        self.redis.freeze()
        try:
            with socket.create_connection(("127.0.0.1", self.larder.public_port), DEADLINE_S) as s:
                s.sendall(text)
                self.larder.wait_until(lambda: self.larder.stats()["redis"]["pending"] == 1)
                yield s
        finally:
            self.redis.thaw()

    def release(self):
        self.redis.thaw()
        self.larder.wait_until(lambda: self.larder.stats()["redis"]["pending"] == 0)

    def is_served(self):
        return b"200 OK" in self.larder.raw(b"PUT /next HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n"
                                            b"Connection: close\r\n\r\n")


@pytest.fixture
def held(larder_factory, redis):
    with contextlib.ExitStack() as stack:
        def start(app, **more):
            return Held(larder_factory, redis, stack.enter_context(app), **more)
        yield start


def all_that_comes(client):
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(1 << 20):
            answer += piece
    return answer


def nothing_has_come(client):
    return not select.select([client], [], [], 0)[0]


LARGE = bytes(range(256)) * 8192
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n")
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(LARGE), LARGE)


def put(version="1.1", more=""):
    return (f"PUT /w HTTP/{version}\r\nHost: h\r\nContent-Length: 2\r\n{more}\r\nup").encode()


@pytest.mark.parametrize("said, request_text, body", [
    (PLAIN, put(more="Connection: close\r\n"), b"body"),
    (CHUNKED, put(more="Connection: close\r\n"), CHUNKED.split(b"\r\n\r\n", 1)[1]),
    (CHUNKED, put("1.0"), b"abcdefgh"), (EMPTY, put(more="Connection: close\r\n"), b""),
    (EMPTY, put("1.0"), b""), (BIG, put(more="Connection: close\r\n"), LARGE),
], ids=["plain", "chunked", "chunked-1.0", "empty", "empty-1.0", "large"])
def test_a_held_answer_comes_whole_and_once(held, said, request_text, body):
    h = held(RawUpstream.answering(said))
    with h.client(request_text) as client:
        assert nothing_has_come(client)
        h.release()
        head, _, rest = all_that_comes(client).partition(b"\r\n\r\n")
    assert head.startswith(said[:12]) and head.count(b"Cache-Status") == 1
    if b"chunked" in head:
        rest = b"".join(piece for n, piece in enumerate(rest.split(b"\r\n")) if n % 2)
        body = b"abcdefgh"
    assert rest == body


def test_the_next_request_of_a_pipeline_is_answered_behind_a_held_answer(held):
    h = held(RawUpstream.answering(PLAIN, keep_alive=True))
    with h.client(put() + put(more="Connection: close\r\n")) as client:
        assert nothing_has_come(client)
        h.release()
        assert all_that_comes(client).count(b"HTTP/1.1 200 OK") == 2
    assert len(h.app.requests) == 2


def test_a_client_that_leaves_while_its_answer_is_held_harms_nobody(held):
    h = held(RawUpstream.answering(PLAIN))
    with h.client(put()):
        pass
    h.release()
    assert h.is_served()


def test_an_app_that_fails_in_the_middle_of_a_held_answer_is_not_taken_for_whole(held):
    def cut_off(app, connection):
        if read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            app.requests.append(b"")
            app.closing.wait(0 if len(app.requests) > 1 else 30)
    h = held(RawUpstream(cut_off))
    with h.client(put()) as client:
        h.app.open[0].shutdown(socket.SHUT_RDWR)
        answer = all_that_comes(client)
        assert len(answer.partition(b"\r\n\r\n")[2]) < 100
    h.release()


def test_an_end_while_an_answer_is_held_is_a_clean_one(held):
    h = held(RawUpstream.answering(PLAIN), drain_timeout="50ms")
    with h.client(put()) as client:
        h.larder.process.send_signal(signal.SIGTERM)
        h.larder.stop()
        all_that_comes(client)
