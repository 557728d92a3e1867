"""Aliases that ask the app as well; who may call one; what a browser may read."""
import http.client
import json

import pytest

from support.raw_upstream import RawUpstream, free_port, read_head
from test_aliases import STATS, TIMETABLE, get, is_cached, post, problem, start, text
from test_caching import config

HEALTH = {"on": "GET,POST /health", "do": "stats", "open": True, "merge": True,
          "reply": {"cache": {"entries": "${entries}"}, "db": {"old": None}, "gone": None}}
CLEAR = {"on": "POST /api/cache/clear", "do": "invalidate", "with": {"all": True},
         "reply": {"success": True, "removed": "${removed}"}}
TOKENS = {"listen": "127.0.0.1:0", "allow": [], "tokens": [
    {"name": "ci", "token": "ci-sesame", "scopes": ["read", "invalidate"]},
    {"name": "reader", "token": "reader-sesame", "scopes": ["read"]},
    {"name": "org-1", "token": "org-sesame", "scopes": ["read", "invalidate", "warm"],
     "bound": ["org:1", "organization_id=1"]},
    {"name": "all", "token": "all-sesame", "scopes": ["admin", "read", "invalidate", "warm"]}]}


def bearer(name):
    return {"Authorization": f"Bearer {name}-sesame"}


def mood(app, name, body, status=200, headers=(), type="application/json"):
    app.mood(name, text=body if isinstance(body, str) else json.dumps(body), status=status,
             headers=list(headers), type=type)


# --- merge ---

def test_what_the_app_says_stays_and_ours_is_added(larder_factory, legacy_app):
    """ALL-10: the app's own health, with larder's figures in it."""
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH)
    mood(legacy_app, "health", '{"status":"ok","db":{"up":true,"old":1},"gone":1,"z":1.50}',
         headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("ETag", '"x"'),
                  ("Access-Control-Allow-Origin", "https://app.example"), ("X-App", "1")])
    answer = get(larder, "/health")
    assert text(answer) == '{"status":"ok","db":{"up":true},"z":1.50,"cache":{"entries":0}}'
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert answer.headers["X-App"] == "1" and answer.headers["ETag"] is None
    assert answer.headers.get_all("Content-Length") == [str(len(answer.body))]
    assert legacy_app.count("health") == 1


def test_the_app_sees_its_client(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH)
    answer = larder.request("POST", "/health?a=1&b=%20", body='{"n":1}', headers={
        "Cookie": "session=s; csrf=c", "Authorization": "Bearer of-the-app", "X-Own": "1",
        "Content-Type": "application/json", "Origin": "https://app.example", "Range": "bytes=0-1",
        "If-None-Match": "*", "Accept-Encoding": "gzip", "X-Forwarded-For": "9.9.9.9",
        "Host": "school.example", "Larder-Warm": "forged; alias", "Connection": "X-Hop",
        "X-Hop": "1"})
    assert answer.json()["cache"] == {"entries": 0}
    seen = legacy_app.request("GET", "/_seen?path=/health").json()
    fields = seen["fields"]
    assert (seen["method"], seen["query"], seen["body"]) == ("POST", "a=1&b=%20", '{"n":1}')
    assert fields["Cookie"] == "session=s; csrf=c" and fields["X-Own"] == "1"
    assert fields["Authorization"] == "Bearer of-the-app" and fields["Host"] == "school.example"
    assert fields["X-Forwarded-For"] == "127.0.0.1" and fields["X-Forwarded-Proto"] == "http"
    assert fields["X-Forwarded-Host"] == "school.example"
    for name in ("Larder-Warm", "Range", "If-None-Match", "Accept-Encoding", "X-Hop"):
        assert name not in fields
    assert larder.counter("totals.warmed") == 0


def test_a_trusted_proxys_word_reaches_the_app(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH, trusted_proxies=["127.0.0.1"])
    get(larder, "/health", **{"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https",
                              "X-Forwarded-Host": "a.example", "X-Request-Id": "req-1"})
    fields = legacy_app.request("GET", "/_seen?path=/health").json()["fields"]
    assert fields["X-Forwarded-For"] == "9.9.9.9, 127.0.0.1"
    assert (fields["X-Forwarded-Proto"], fields["X-Forwarded-Host"]) == ("https", "a.example")
    assert fields["X-Request-Id"] == "req-1"


@pytest.mark.parametrize("status, body, kind", [
    (404, '{"detail":"no"}', "application/json"), (500, '{"a":1}', "application/json"),
    (200, '[1]', "application/json"), (200, '"text"', "application/json"),
    (200, '{"a":1', "application/json"), (200, "<p>hello</p>", "text/html"),
    (200, "", "text/plain"), (302, "", "text/html"), (204, "", "text/html")])
def test_other_answers_of_the_app_pass_as_they_are(larder_factory, legacy_app, status, body, kind):
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH)
    mood(legacy_app, "health", body, status, [("ETag", '"x"'), ("Set-Cookie", "a=1")], kind)
    answer = larder.request("GET", "/health")
    assert (answer.status, answer.body) == (status, body.encode())
    assert answer.headers["Content-Type"].startswith(kind)
    assert (answer.headers["ETag"], answer.headers["Set-Cookie"]) == ('"x"', "a=1")


def test_who_asks_by_an_alias_is_limited_by_his_own_address(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH, trusted_proxies=["127.0.0.1"],
                   rate_limit="api", rate_limits=[{"name": "api", "limits": ["1/1h"]}])

    def ask(client):
        return larder.request("GET", "/health", headers={"X-Forwarded-For": client}).status
    assert [ask(f"203.0.113.{n}") for n in (1, 1, 2, 2)] == [200, 429, 200, 429]


def test_untrusted_clients_of_an_alias_are_not_larder_itself(larder_factory, legacy_app):
    """The limit is that of 127.0.0.2, whatever else comes by 127.0.0.1."""
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH, rate_limit="api",
                   rate_limits=[{"name": "api", "limits": ["1/1h"]}])

    def ask(address):
        link = http.client.HTTPConnection("127.0.0.1", larder.public_port,
                                          source_address=(address, 0))
        link.request("GET", "/health", headers={"X-Forwarded-For": "6.6.6.6"})
        status = link.getresponse().status
        link.close()
        return status
    assert [ask(f"127.0.0.{n}") for n in (2, 2, 3, 3)] == [200, 429, 200, 429]


def early_hints(upstream, connection):
    while read_head(connection):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"
                           b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}")


def test_early_hints_to_larder_itself_end_nothing(larder_factory):
    """Its own requests, for an alias or to warm, have nobody to pass a 103 on to."""
    with RawUpstream(early_hints) as app:
        larder = larder_factory(config(app, *TIMETABLE, aliases=[HEALTH, {
            "on": "POST /warm", "do": "warm", "open": True, "reply": "${warmed}",
            "with": {"urls": ["/api/news", "/api/rooms?organization_id=1"]}}]))
        assert get(larder, "/health").json()["a"] == 1
        assert post(larder, "/warm").json() == 2


def test_a_part_is_not_merged_into(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH)
    mood(legacy_app, "health", {"a": 1}, status=206, headers=[("Content-Range", "bytes 0-7/90")])
    answer = larder.request("GET", "/health")
    assert (answer.status, answer.json()) == (206, {"a": 1})


def test_heads_are_merged_too(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH)
    mood(legacy_app, "health", {"status": "ok"})
    whole, head = get(larder, "/health"), larder.request("HEAD", "/health")
    assert head.headers["Content-Length"] == str(len(whole.body)) and head.body == b""
    ask = b"%b /health HTTP/1.1\r\nHost: a\r\n%b\r\n"
    answers = larder.raw(ask % (b"HEAD", b""), ask % (b"GET", b""),
                         ask % (b"GET", b"Connection: close\r\n"))
    assert answers.count(b"HTTP/1.1 200 OK") == 3 and answers.count(b'"entries":0') == 2


def test_an_app_that_is_away_is_a_clean_error(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH,
                   upstreams={"app": {"server": f"127.0.0.1:{free_port()}"}})
    problem(larder.request("GET", "/health"), 502)


def test_an_app_that_is_slow_is_a_timeout(larder_factory, moody_app):
    gate = moody_app.hold("slow")
    moody_app.mood("late", gate="slow")
    larder = start(larder_factory, moody_app, [], dict(HEALTH, on="GET /thing/late"),
                   upstreams={"app": {"server": f"127.0.0.1:{moody_app.port}",
                                      "first_byte_timeout": "200ms"}})
    problem(larder.request("GET", "/thing/late"), 504)
    gate.open()


def test_what_the_app_refuses_is_not_done(larder_factory, legacy_app):
    """The app knows who is an admin: with merge its word decides."""
    larder = start(larder_factory, legacy_app, TIMETABLE, dict(CLEAR, open=True, merge=True))
    get(larder, "/api/rooms?organization_id=1")
    mood(legacy_app, "api-cache-clear", {"detail": "admins only"}, 403)
    answer = post(larder, "/api/cache/clear")
    assert (answer.status, answer.json()) == (403, {"detail": "admins only"})
    assert is_cached(larder, "/api/rooms?organization_id=1")
    mood(legacy_app, "api-cache-clear", {"own": 7})
    assert post(larder, "/api/cache/clear").json() == {"own": 7, "success": True, "removed": 1}
    get(larder, "/api/rooms?organization_id=1")
    mood(legacy_app, "api-cache-clear", "cleared", type="text/plain")
    assert post(larder, "/api/cache/clear").body == b"cleared"
    assert not is_cached(larder, "/api/rooms?organization_id=1")


def test_a_merged_answer_may_have_a_status_of_its_own(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, dict(HEALTH, status=203))
    mood(legacy_app, "health", {"a": 1}, 201)
    assert text(larder.request("GET", "/health"), 203) == '{"a":1,"cache":{"entries":0},"db":{}}'


def test_larders_own_requests_meet_no_alias(larder_factory, legacy_app):
    """A job that warms an alias's path gets the app's answer."""
    larder = start(larder_factory, legacy_app, [{"name": "health", "match": "GET /health",
                                                 "ttl": "1h"}],
                   dict(HEALTH, merge=False),
                   {"on": "POST /warm", "do": "warm", "open": True, "with": {"urls": ["/health"]},
                    "reply": "${result.health/path}"})
    assert text(post(larder, "/warm")) == '"health"'
    assert text(get(larder, "/health")) == '{"cache":{"entries":1},"db":{"old":null},"gone":null}'
    forged = larder.request("GET", "/health", headers={"Larder-Warm": "0" * 32})
    assert forged.json()["cache"] == {"entries": 1} and legacy_app.count("health") == 1


# --- who may ---

def test_a_closed_alias_wants_what_control_routes_want(larder_factory, legacy_app):
    """ALL-08"""
    larder = start(larder_factory, legacy_app, TIMETABLE, CLEAR, dict(STATS, open=False),
                   control=TOKENS)
    get(larder, "/api/rooms?organization_id=1")
    problem(post(larder, "/api/cache/clear"), 401, "Authorization: Bearer")
    problem(post(larder, "/api/cache/clear", **bearer("wrong")), 403)
    problem(post(larder, "/api/cache/clear", **bearer("reader")), 403, '"invalidate"')
    problem(post(larder, "/api/cache/clear", **bearer("org")), 403, "bound")
    assert is_cached(larder, "/api/rooms?organization_id=1")
    assert post(larder, "/api/cache/clear", **bearer("ci")).json()["removed"] == 1
    assert get(larder, "/api/cache/stats", **bearer("reader")).json()["status"] == "success"
    problem(larder.request("GET", "/api/cache/stats"), 401)
    log = larder.whole_log()
    assert sum("refused to 127.0.0.1" in line for line in log) >= 3
    assert any("audit: invalidate by ci (127.0.0.1): 200 all" in line for line in log)
    assert not any("is open" in line for line in log)


def test_a_bound_token_stays_within_its_own(larder_factory, legacy_app):
    """001-46"""
    clear = {"on": "POST /clear", "do": "invalidate", "with": {"tag": "org:${json.org}"},
             "reply": "${removed}"}
    route = {"on": "POST /route", "do": "invalidate", "with": {
        "route": "${json.kind}", "params": {"organization_id": "${json.org?}"}},
        "reply": "${removed}"}
    warm = {"on": "POST /warm", "do": "warm", "with": {
        "route": "rooms", "params": {"organization_id": "${json.org}"}}, "reply": "${warmed}"}
    larder = start(larder_factory, legacy_app, [*TIMETABLE, {
        "name": "news", "match": "GET /api/news", "ttl": "1h"}], clear, route, warm,
        dict(STATS, open=False), control=TOKENS)
    for org in (1, 2):
        get(larder, f"/api/rooms?organization_id={org}")
    mine = bearer("org")
    problem(post(larder, "/clear", {"org": 2}, **mine), 403, "bound")
    problem(post(larder, "/route", {"org": "2", "kind": "rooms"}, **mine), 403, "bound")
    problem(post(larder, "/route", {"kind": "rooms"}, **mine), 403, "bound")
    problem(post(larder, "/route", {"org": "1", "kind": "news"}, **mine), 403, "bound")
    problem(post(larder, "/warm", {"org": "2"}, **mine), 403, "bound")
    problem(larder.request("GET", "/api/cache/stats", headers=mine), 403, "bound")
    problem(larder.request("GET", "/api/cache/stats?organization_id=2", headers=mine), 403, "bound")
    assert get(larder, "/api/cache/stats?organization_id=1", **mine).json()["stats"][
        "memory_cache_size"] == 1
    assert post(larder, "/clear", {"org": 1}, **mine).json() == 1
    assert post(larder, "/warm", {"org": "1"}, **mine).json() == 1
    assert is_cached(larder, "/api/rooms?organization_id=2")


def test_a_route_without_the_named_parameter_goes_whole(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, [*TIMETABLE, {
        "name": "news", "match": "GET /api/news", "ttl": "1h"}], {
        "on": "POST /route", "do": "invalidate", "open": True, "with": {
            "route": "${json.kind}", "params": {"organization_id": "${json.org}"}},
        "reply": "${removed}"})
    get(larder, "/api/news?a=1")
    get(larder, "/api/news?a=2")
    assert post(larder, "/route", {"org": "1", "kind": "news"}).json() == 2
    problem(post(larder, "/route", {"org": "1", "kind": "nope"}), 400, 'no route "nope"')


def test_an_open_alias_is_warned_of(larder_factory, legacy_app):
    """ALL-08: the old open path only if the file says so, with a warning that names it."""
    larder = start(larder_factory, legacy_app, TIMETABLE, dict(CLEAR, open=True), STATS,
                   control=dict(TOKENS))
    assert post(larder, "/api/cache/clear", Authorization="Bearer of-the-app").status == 200
    log = larder.whole_log()
    assert sum('"POST /api/cache/clear" is open' in line for line in log) == 1
    assert not any("GET /api/cache/stats" in line and "open" in line for line in log)
    assert any("audit: invalidate by anybody" in line for line in log)


@pytest.mark.parametrize("alias", [CLEAR, dict(STATS, open=False)])
def test_a_closed_alias_wants_to_know_for_whom(larder_factory, larder_refuses, legacy_app, alias):
    """Behind a proxy on the same machine every client comes from loopback, and would be let in."""
    larder_refuses(config(legacy_app, *TIMETABLE, aliases=[alias]), "at $.aliases[0]",
                   '"token" or "allow"', '"open": true')
    method, path = alias["on"].split()
    for control, status in (({"allow": ["127.0.0.1"]}, 200), ({"allow": ["10.0.0.0/8"]}, 401),
                            ({"token": "sesame-open", "allow": []}, 401)):
        larder = start(larder_factory, legacy_app, TIMETABLE, alias,
                       control=dict(control, listen="127.0.0.1:0"))
        assert larder.request(method, path).status == status
        assert not any("loopback" in line for line in larder.whole_log())


def test_aliases_live_on_public_listeners_only(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, STATS, dict(CLEAR, open=True))
    assert "totals" in larder.control("GET", "/api/cache/stats").json()
    assert "stats" in get(larder, "/api/cache/stats").json()
    assert larder.control("POST", "/api/cache/clear").status == 404
    assert larder.request("POST", "/api/cache/stats").status == 200  # the app's, as it was
    assert legacy_app.count("api/cache/stats") == 1
    assert larder.request("GET", "/api/cache/keys").status == 200
    assert legacy_app.count("api/cache/keys") == 1


def test_beside_mounted_control_routes_the_alias_is_first(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, STATS,
                   control={"listen": "127.0.0.1:0", "mount": True, "allow": ["127.0.0.1"]})
    assert "stats" in get(larder, "/api/cache/stats").json()
    assert get(larder, "/api/cache/keys").json()["total"] == 0


def test_a_repeated_call_is_answered_as_before(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, dict(CLEAR, open=True), {
        "on": "POST /warm", "do": "warm", "open": True,
        "with": [{"urls": ["/api/rooms?organization_id=7"], "refresh": True}] * 2,
        "reply": "${warmed}"})
    once = {"Idempotency-Key": "k"}
    get(larder, "/api/rooms?organization_id=1")
    assert post(larder, "/api/cache/clear", **once).json()["removed"] == 1
    get(larder, "/api/rooms?organization_id=1")
    again = post(larder, "/api/cache/clear", **once)
    assert again.json()["removed"] == 1 and again.headers["Idempotency-Replayed"] == "true"
    assert is_cached(larder, "/api/rooms?organization_id=1")
    problem(post(larder, "/api/cache/clear", {"other": 1}, **once), 422)
    assert [post(larder, "/warm", **once).json() for _ in range(3)] == [2, 2, 2]
    assert legacy_app.count("api/rooms") == 2 + 2


# --- browsers ---

def test_any_origin_may_read(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, dict(STATS, cors="*"),
                   dict(CLEAR, open=True, cors="*", expect={"json.sure": True}))
    assert get(larder, "/api/cache/stats").headers["Access-Control-Allow-Origin"] == "*"
    answer = post(larder, "/api/cache/clear", {"sure": False}, Origin="https://a.example")
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (400, "*")
    assert answer.headers["Vary"] is None


def test_listed_origins_may_read(larder_factory, legacy_app):
    listed = ["https://a.example", "http://b.example:8080"]
    larder = start(larder_factory, legacy_app, TIMETABLE, dict(STATS, cors=listed),
                   dict(CLEAR, cors=listed), control=TOKENS)
    for origin in listed:
        answer = get(larder, "/api/cache/stats", Origin=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Vary"] == "Origin"
        refused = post(larder, "/api/cache/clear", Origin=origin)
        assert refused.headers["Access-Control-Allow-Origin"] == origin and refused.status == 401
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = get(larder, "/api/cache/stats", **headers)
        assert answer.headers["Access-Control-Allow-Origin"] is None
        assert answer.headers["Vary"] == "Origin"


def test_preflights_of_a_path_that_the_app_has_forgotten(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, STATS,
                   dict(CLEAR, cors=["https://a.example"]), control=TOKENS)
    ask = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
           "Access-Control-Request-Headers": "authorization, content-type"}
    answer = larder.request("OPTIONS", "/api/cache/clear", headers=ask)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert answer.headers["Content-Length"] is None and answer.headers["Vary"] == "Origin"
    other = larder.request("OPTIONS", "/api/cache/clear", headers=dict(ask, Origin="https://b.c"))
    assert other.status == 204 and other.headers["Access-Control-Allow-Origin"] is None
    # what is no preflight of an alias with "cors" is the app's
    larder.request("OPTIONS", "/api/cache/clear")
    larder.request("OPTIONS", "/api/cache/clear",
                   headers=dict(ask, **{"Access-Control-Request-Method": "PUT"}))
    larder.request("OPTIONS", "/api/cache/stats",
                   headers=dict(ask, **{"Access-Control-Request-Method": "GET"}))
    assert legacy_app.count("api/cache/clear") == 2 and legacy_app.count("api/cache/stats") == 1


def test_the_apps_own_word_on_origins_stays(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, dict(HEALTH, cors="*"))
    mood(legacy_app, "health", {"a": 1}, headers=[("Access-Control-Allow-Origin", "https://a.b")])
    assert get(larder, "/health").headers.get_all("Access-Control-Allow-Origin") == ["https://a.b"]
    mood(legacy_app, "health", {"a": 1})
    assert get(larder, "/health").headers.get_all("Access-Control-Allow-Origin") == ["*"]


# --- the config ---

@pytest.mark.parametrize("alias, says", [
    ({"do": "stats"}, '"on" is missing'),
    ({"on": "/x", "do": "stats"}, "names its methods"),
    ({"on": "GET x", "do": "stats"}, "must begin with /"),
    ({"on": "GET /x", "do": "stat"}, 'did you mean "stats"?'),
    ({"on": "GET /x", "do": "invalidate", "reply": {}}, '"with" is missing'),
    ({"on": "GET /x", "do": "invalidate", "with": {"tagg": "x"}}, 'did you mean "tag"?'),
    ({"on": "GET /x", "do": "invalidate", "with": {"tag": "x", "all": True}}, "name one thing"),
    ({"on": "GET /x", "do": "invalidate", "with": {"mode": "hard"}}, "name one thing"),
    ({"on": "GET /x", "do": "invalidate", "with": {"route": "cources"}},
     'did you mean "courses"?'),
    ({"on": "GET /x", "do": "invalidate", "with": {"route": "rooms", "params": {"semester": 1}}},
     'no parameter "semester"'),
    ({"on": "GET /x", "do": "invalidate", "with": {"route": "${json.r}", "params": {"term": 1}}},
     'no route\'s key has a parameter "term"'),
    ({"on": "GET /x", "do": "warm", "with": {"job": "nope"}}, 'no job "nope"'),
    ({"on": "GET /x", "do": "invalidate", "with": [{"all": True}, {"all": True}]}, 'write "reply"'),
    ({"on": "GET /x", "do": "stats", "with": {"org": "1"}}, "no route's key has a parameter"),
    ({"on": "GET /x", "do": "stats", "reply": {"a": ["${hit_ration}"]}},
     '$.aliases[0].reply.a[0]: "${hit_ration}": there is no such value; did you mean "hit_ratio"?'),
    ({"on": "GET /x", "do": "stats", "reply": "${route.rooms.hitz}"}, 'did you mean "hits"?'),
    ({"on": "GET /x", "do": "stats", "reply": "${route.room.hits}"}, 'did you mean "rooms"?'),
    ({"on": "GET /x", "do": "stats", "reply": "${upstream.ap.idle}"}, 'did you mean "app"?'),
    ({"on": "GET /x", "do": "stats", "reply": "${ttl}"}, "write route.NAME.ttl"),
    ({"on": "GET /x", "do": "stats", "reply": "${rate_limit.api}"}, "rate_limit.NAME.allowed"),
    ({"on": "GET /x", "do": "stats", "reply": "${removed}"}, '"do": "invalidate"'),
    ({"on": "GET /x", "do": "stats", "reply": "${result.rooms}"}, '"do": "warm"'),
    ({"on": "GET /x", "do": "stats", "reply": "${path.id}"}, "no capture {id}"),
    ({"on": "GET /x", "do": "stats", "reply": "${now|percent}"}, "says nothing of"),
    ({"on": "GET /x", "do": "stats", "reply": "${hits|ms}"}, "says nothing of"),
    ({"on": "GET /x", "do": "stats", "reply": "${hits|9}"}, "is no filter"),
    ({"on": "GET /x", "do": "stats", "reply": "${hits|1|1|1|1|1}"}, "more than 4 filters"),
    ({"on": "GET /x", "do": "stats", "reply": "${hits"}, 'has no "}" behind it'),
    ({"on": "GET /x", "do": "invalidate", "with": {"tag": "${hits}"}}, "only values of the request"),
    ({"on": "GET /x", "do": "stats", "when": {"jsn.a": 1}}, "is no value of a request"),
    ({"on": "GET /x", "do": "stats", "expect": {"json.a": {}}}, "write a text, a number"),
    ({"on": "GET /x", "do": "stats", "expect": {"json.a": []}}, "1 to 64 values"),
    ({"on": "GET /x", "do": "stats", "cors": "https://a.example"}, '"cors" must be'),
    ({"on": "GET /x", "do": "stats", "cors": ["https://a.example/"]}, "without a path"),
    ({"on": "GET /x", "do": "stats", "status": 204}, "one that has a body"),
    ({"on": "GET /x", "do": "stats", "merge": True}, '"merge" needs a "reply"'),
    ({"on": "GET /x", "do": "stats", "merge": True, "reply": []}, "must be an object"),
    ({"on": "GET /x", "do": "stats", "rate_limit": 7}, "rate_limits")])
def test_mistakes_in_an_alias_have_their_place(larder_refuses, legacy_app, alias, says):
    larder_refuses(config(legacy_app, *TIMETABLE, aliases=[alias]), "at $.aliases[0]", says)


def test_an_alias_that_can_never_be_reached_is_an_error(larder_refuses, legacy_app):
    larder_refuses(config(legacy_app, *TIMETABLE, aliases=[STATS, dict(STATS, when={"query.a": 1})]),
                   "at $.aliases[1]", "takes every call")


# --- ends ---

WAITING = [dict(HEALTH, on="GET /thing/held"),
           {"on": "POST /warm", "do": "warm", "open": True, "with": [{"urls": ["/thing/held"]}] * 2,
            "reply": "${warmed}"}]


@pytest.mark.parametrize("call", [("GET", "/thing/held"), ("POST", "/warm")])
def test_larder_stops_while_an_alias_waits(larder_factory, moody_app, call):
    gate = moody_app.hold("held")
    moody_app.mood("held", gate="held")
    larder = start(larder_factory, moody_app, [], *WAITING, drain_timeout="100ms")
    pending = larder.start(*call)
    larder.wait_until(lambda: moody_app.count("held") == 1)
    larder.stop()
    try:
        assert pending.result().status >= 500
    except OSError:
        pass  # cut off at the deadline
    gate.open()


@pytest.mark.parametrize("call", [b"GET /thing/held", b"POST /warm"])
def test_a_client_that_leaves_is_not_missed(larder_factory, moody_app, call):
    gate = moody_app.hold("held")
    moody_app.mood("held", gate="held")
    larder = start(larder_factory, moody_app, [], *WAITING)
    with larder.connect() as s:
        s.sendall(call + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        larder.wait_until(lambda: moody_app.count("held") == 1)
    gate.open()
    larder.wait_until(lambda: larder.counter("totals.active") == 0)
    assert get(larder, "/thing/other").json()["number"] == 1


def test_a_cancelled_job_is_no_success(larder_factory, moody_app):
    gate = moody_app.hold("held")
    moody_app.mood("held", gate="held")
    larder = start(larder_factory, moody_app, [], *WAITING)
    pending = larder.start("POST", "/warm")
    larder.wait_until(lambda: moody_app.count("held") == 1)
    assert larder.control("DELETE", "/api/cache/jobs/job-1").status == 200
    problem(pending.result(), 502, "cancelled")
    gate.open()
