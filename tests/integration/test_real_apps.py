"""Real apps under real servers, asked by real clients: each scene is the same with and without
larder, and what may be shared comes from the cache. Every GET stands under a route that caches, so
that whoever gets another's answer, or an event too late, is found out."""
import asyncio
import hashlib
import itertools
import json
import os

import pytest
import websockets

from support.clients import CLIENTS
from support.larder import DEADLINE_S
from test_caching import config

ALL = {"name": "all", "match": "GET /*", "ttl": "1h"}


@pytest.fixture(params=CLIENTS)
def client(request):
    """Starts clients of one kind: each with cookies of its own."""
    running = []

    def start():
        running.append(CLIENTS[request.param]())
        return running[-1]
    yield start
    for one in running:
        one.close()


@pytest.fixture
def larder(larder_factory, desk):
    return larder_factory(config(desk, ALL))


def url_of(larder):
    return f"http://127.0.0.1:{larder.public_port}"


def test_json_is_a_miss_and_then_a_hit(larder, desk, client):
    url = url_of(larder) + "/api/courses?organization_id=7"
    first, second = client().ask("GET", url), client().ask("GET", url)
    assert (first.status, second.status) == (200, 200)
    assert "fwd=uri-miss; fwd-status=200; stored" in first.headers["cache-status"]
    assert second.headers["cache-status"].startswith("larder; hit")
    assert first.body == second.body and first.json()["org"] == "7"
    assert first.headers["content-type"] == second.headers["content-type"]
    assert desk.count("courses") == 1
    asked = {"If-None-Match": first.headers["etag"]}
    assert client().ask("GET", url, headers=asked).status == 304


def scene_of_a_login(one, base):
    """Form, refused logins, login, redirect, and who one is after each."""
    answers = [one.ask("GET", base + "/me"), one.ask("POST", base + "/login", form={"user": "ann"})]
    token = one.ask("GET", base + "/form").body.decode().strip('"')
    form = {"user": "ann", "password": "wrong", "csrfmiddlewaretoken": token}
    answers += [one.ask("POST", base + "/login", form=form), one.ask("GET", base + "/me")]
    login = one.ask("POST", base + "/login", form=dict(form, password="right"))
    answers += [login, one.ask("GET", base + "/me")]
    assert login.headers["location"] == base + "/me", "absolute, and as the client sees it"
    answers.append(one.ask("POST", base + "/login", form=dict(form, password="right"), follow=True))
    return [(a.status, a.body) for a in answers]


def test_a_login_with_csrf_session_and_redirect_is_as_without_larder(larder, desk, client):
    direct = scene_of_a_login(client(), desk.url)
    through = scene_of_a_login(client(), url_of(larder))
    assert [status for status, _ in through] == [status for status, _ in direct]
    bodies = [body for status, body in direct if status == 200]
    assert [body for status, body in through if status == 200] == bodies
    assert [json.loads(body)["user"] for body in bodies] == [None, None, "ann", "ann"]
    assert [status for status, _ in direct][1:3] == [403, 403]
    assert direct[4][0] in (302, 303)


def test_nobody_gets_the_page_of_one_who_is_logged_in(larder, desk, client):
    base, ann, bob = url_of(larder), client(), client()
    scene_of_a_login(ann, base)
    for _ in range(2):
        assert bob.ask("GET", base + "/me").json() == {"user": None}
        assert ann.ask("GET", base + "/me").json() == {"user": "ann"}


def test_an_upload_in_parts_arrives_whole(larder, desk, client):
    data = os.urandom(700_001)
    answers = [client().ask("POST", base + "/upload", form={"note": "a b&c"}, file=("a.bin", data))
               for base in (desk.url, url_of(larder))]
    assert [a.status for a in answers] == [200, 200]
    assert answers[0].json() == answers[1].json() == {
        "name": "a.bin", "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        "note": "a b&c"}


def test_a_streamed_answer_is_the_same_from_the_app_from_a_miss_and_from_a_hit(larder, desk,
                                                                               client):
    whole = b"".join(b"part %d\n" % i for i in range(200))
    assert client().ask("GET", desk.url + "/stream").body == whole
    answers = [client().ask("GET", url_of(larder) + "/stream") for _ in range(2)]
    assert [a.body for a in answers] == [whole, whole]
    assert answers[1].headers["cache-status"].startswith("larder; hit")


def events(pieces):
    text = b""
    for piece in pieces:
        text += piece
        while b"\n\n" in text:
            event, text = text.split(b"\n\n", 1)
            yield event
    assert text == b""


@pytest.mark.parametrize("routes", [[], [ALL]], ids=["passing", "route-caches"])
def test_each_event_comes_when_it_is_sent(larder_factory, desk, client, routes):
    """The app sends the second event only once the client has the first."""
    larder = larder_factory(config(desk, *routes))
    for name in ("one", "two"):  # no client is told what an earlier one was told
        told = events(client().live(f"{url_of(larder)}/events/{name}"))
        assert next(told) == b"data: 1"
        desk.hold(name).open()
        assert list(told) == [b"event: last\ndata: 2"]


def test_an_event_source_that_leaves_frees_its_upstream_connection(larder, desk, client):
    pieces = client().live(url_of(larder) + "/events/left")
    assert next(events(pieces)) == b"data: 1"
    larder.wait_until(lambda: larder.counter("totals.active") == 1)
    pieces.close()
    larder.wait_until(lambda: larder.counter("totals.active") == 0)
    desk.hold("left").open()


# --- WebSockets: an Upgrade makes the connection a tunnel ---

BIG_MESSAGE = bytes(range(256)) * 3000


async def converse(url):
    async with websockets.connect(url, subprotocols=["chat", "other"], open_timeout=DEADLINE_S,
                                  max_size=1 << 24) as socket:
        said = [socket.subprotocol]
        for message in ("hello", "käse", b"\0\xff", BIG_MESSAGE, "t" * 300_000, ""):
            await socket.send(message)
            said.append(await asyncio.wait_for(socket.recv(), DEADLINE_S))
        pong = await socket.ping()
        await asyncio.wait_for(pong, DEADLINE_S)
        await socket.send("end")
        await asyncio.wait_for(socket.wait_closed(), DEADLINE_S)
        return said, socket.close_code


def through_and_direct(larder, app, path="/ws"):
    return (f"ws://127.0.0.1:{larder.public_port}{path}", f"ws://127.0.0.1:{app.port}{path}")


@pytest.mark.parametrize("routes", [[], [ALL]], ids=["passing", "route-caches"])
def test_a_websocket_talks_through_larder_as_without_it(larder_factory, live_desk, routes):
    larder = larder_factory(config(live_desk, *routes))
    through, direct = through_and_direct(larder, live_desk)
    wanted = asyncio.run(converse(direct))
    assert wanted[0][0] == "chat" and wanted[0][4] == BIG_MESSAGE and wanted[1] == 4001
    assert asyncio.run(converse(through)) == wanted


def test_many_websockets_talk_at_once(larder_factory, live_desk):
    larder = larder_factory(config(live_desk))
    through, _ = through_and_direct(larder, live_desk)

    async def talk(number):
        async with websockets.connect(through, open_timeout=DEADLINE_S) as socket:
            for i in range(10):
                await socket.send(f"{number} {i}")
                assert await asyncio.wait_for(socket.recv(), DEADLINE_S) == f"echo {number} {i}"

    async def all_of_them():
        await asyncio.gather(*[talk(number) for number in range(40)])
    asyncio.run(all_of_them())
    larder.wait_until(lambda: larder.counter("totals.active") == 0)


def test_a_websocket_that_the_app_refuses_gets_the_apps_answer(larder_factory, live_desk):
    larder = larder_factory(config(live_desk))
    statuses = []
    for url in through_and_direct(larder, live_desk, "/nowhere"):
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            asyncio.run(converse(url))
        statuses.append(refused.value.status_code)
    assert statuses[0] == statuses[1]


# --- what the app sees ---

def seen(one, base, method, path, headers, form):
    answer = one.ask(method, base + path, headers=headers, form=form).json()
    less = {("content-length", "0"), ("content-length", "")}  # Django tells of one in any case
    fields = sorted({(n.lower(), v) for n, v in answer["fields"]} - less)
    fields = [(n, v) for n, v in fields if not n.startswith("x-forwarded-") and n not in
              ("host", "via", "x-request-id", "connection", "keep-alive")]
    return answer["method"], answer["target"], answer["sha256"], fields


ASKED = list(itertools.product(
    ["GET", "POST", "PUT", "DELETE"], ["/echo", "/echo?a[]=1&a[]=2&b=c+d&e=", "/echo?q=caf%C3%A9"],
    [{}, {"Cookie": "a=1", "Referer": "http://x.test/", "X-Custom": "1, 2"}]))


def test_what_the_app_sees_of_a_request_is_what_the_client_sent(larder_factory, desk, client):
    larder = larder_factory(config(desk))
    one = client()
    for method, path, headers in ASKED:
        form = {"k": "v w", "k2": "ä"} if method in ("POST", "PUT") else None
        if method in ("POST", "PUT") and type(one).__name__ == "CurlClient":
            method = "POST"  # its options make a form a POST
        direct = seen(one, desk.url, method, path, headers, form)
        assert seen(one, url_of(larder), method, path, headers, form) == direct


# --- what one client sends is not in another's answer ---

@pytest.fixture
def flask_desk(desk_flask_process):
    desk_flask_process.reset()
    return desk_flask_process


SPOOFED = ["X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Host", "X_Real_IP", "X_Request_Id",
           "X_Original_URL", "X-Forwarded_For"]


@pytest.mark.parametrize("name", SPOOFED)
def test_a_name_with_underscores_does_not_speak_for_larder(larder_factory, flask_desk, name):
    """WSGI makes X_Forwarded_For and X-Forwarded-For one variable: gunicorn joins their values."""
    larder = larder_factory(config(flask_desk))
    told = larder.request("GET", "/echo", headers={name: "spoofed"}).json()
    assert not [field for field in told["fields"] if "spoofed" in field[1]]


@pytest.mark.parametrize("path, name, member", [
    ("/catalog/vary/", "Accept_Language", "lang"), ("/catalog/", "X_Api_Key", "key"),
    ("/catalog/", "X_Org", "org")])
def test_a_name_with_underscores_does_not_choose_everybodys_answer(larder_factory, flask_desk, path,
                                                                   name, member):
    """A field of Vary, a credential, a field of the key: under WSGI each has a second spelling."""
    route = {"name": "catalog", "match": f"GET {path}", "key": ["header.X-Org"], "ttl": "1h"}
    larder = larder_factory(config(flask_desk, route))
    larder.request("GET", path, headers={name: "mine"})
    assert larder.request("GET", path).json()[member] is None


def test_the_host_that_one_client_names_is_not_where_others_are_sent(larder_factory, flask_desk):
    """Flask's redirect to the path with a slash is a 308 to the Host that was asked for."""
    larder = larder_factory(config(flask_desk, ALL))
    first = larder.request("GET", "/catalog", headers={"Host": "evil.test"})
    assert first.status == 308
    assert "evil.test" in first.headers["Location"], "as without larder"
    other = larder.request("GET", "/catalog", headers={"Host": "school.test"})
    assert "evil.test" not in other.headers["Location"]
