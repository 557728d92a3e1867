"""Calls of aliases that want more than they may: figures, files, others' answers."""
import pytest

from test_alias_merge import HEALTH, TOKENS, bearer, mood
from test_aliases import STATS, TIMETABLE, get, post, problem, start


def seen(app, path):
    """What the last request to it had."""
    return app.request("GET", f"/_seen?path={path}").json()


def test_a_bound_token_sees_no_others_figures(larder_factory, legacy_app):
    """Neither those of a route, nor of all: what is not counted by value is null."""
    reply = {name: "${%s}" % name for name in (
        "hits", "misses", "entries", "evicted", "latency.all.avg", "speedup", "route.rooms.hits",
        "route.rooms.ttl", "redis.available", "redis.keys", "upstream.app.requests",
        "jobs.done", "stats/totals/hits", "rate_limit.r.allowed")}
    larder = start(
        larder_factory, legacy_app, TIMETABLE,
        dict(STATS, open=False, reply=dict(reply, text="<${stats/totals/hits}>")),
        {"on": "POST /clear", "do": "invalidate", "with": {"tag": "org:${json.org}"},
         "reply": {"removed": "${removed}", "hits": "${hits}", "all": "${stats/totals/hits}"}},
        control=TOKENS, rate_limits=[{"name": "r", "limits": ["9/1m"]}])
    for org in (1, 2, 2, 2):
        get(larder, f"/api/rooms?organization_id={org}")
    told = get(larder, "/api/cache/stats?organization_id=1", **bearer("org")).json()
    assert told == dict(dict.fromkeys(reply), **{
        "hits": 0, "misses": 1, "entries": 1, "route.rooms.ttl": 3600, "redis.available": False,
        "text": "<>"})
    told = get(larder, "/api/cache/stats", **bearer("reader")).json()
    assert told["hits"] == told["route.rooms.hits"] == 2 and None not in told.values()
    assert post(larder, "/clear", {"org": 1}, **bearer("org")).json() == {
        "removed": 1, "hits": None, "all": None}


def test_the_app_never_sees_larders_tokens(larder_factory, legacy_app):
    """Nor where the alias is open, and nobody asked for one."""
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH, control=TOKENS)
    get(larder, "/health", **bearer("ci"))
    assert "Authorization" not in seen(legacy_app, "/health")["fields"]
    get(larder, "/health", Authorization="Bearer of-the-app")
    assert seen(legacy_app, "/health")["fields"]["Authorization"] == "Bearer of-the-app"


def test_loopback_is_who_may_by_the_control_listener_alone(larder_factory, legacy_app):
    """By a public one everybody comes from there, where a proxy stands before larder: a token does
    not make it less so.
    Networks that the file names may call by both."""
    clear = {"on": "POST /clear", "do": "invalidate", "with": {"all": True}, "reply": 1}
    for named, status in (({}, 401), ({"allow": ["127.0.0.1"]}, 200)):
        larder = start(larder_factory, legacy_app, TIMETABLE, clear,
                       control={"listen": "127.0.0.1:0", "token": "sesame-open", **named})
        assert post(larder, "/clear", {}).status == status
        assert post(larder, "/clear", {}, Authorization="Bearer sesame-open").status == 200
        assert larder.control("GET", "/api/cache/stats").status == 200


def test_a_stranger_is_not_told_what_would_be_right(larder_factory, legacy_app):
    """He is told of closed aliases only that they are closed, and the log of him."""
    closed = {"on": "POST /act", "do": "invalidate", "with": {"all": True}, "reply": 1,
              "when": {"json.what": "sesame"}}
    larder = start(larder_factory, legacy_app, TIMETABLE, closed, dict(
        closed, on="POST /half"), dict(closed, on="POST /half", open=True, when={"json.what": "b"}),
        control=TOKENS)
    for body in ({"what": "a"}, "{", ""):
        problem(post(larder, "/act", body), 401, "Authorization: Bearer")
    problem(post(larder, "/act", {"what": "a"}, **bearer("reader")), 403, '"invalidate"')
    problem(post(larder, "/act", {"what": "a"}, **bearer("ci")), 400, 'json.what must be "sesame"')
    problem(post(larder, "/half", {"what": "a"}), 400, 'json.what must be "sesame"; or')
    assert sum("invalidate /act refused to" in line for line in larder.whole_log()) == 4


def test_what_is_merged_is_kept_by_nobody(larder_factory, legacy_app):
    """Larder's figures are of this moment, and a closed alias's are not for all behind a proxy."""
    larder = start(larder_factory, legacy_app, TIMETABLE, HEALTH)
    kept = [("Cache-Control", "public, max-age=600"), ("Expires", "Thu, 01 Dec 2044 16:00:00 GMT"),
            ("CDN-Cache-Control", "max-age=600"), ("Age", "7")]
    mood(legacy_app, "health", {"a": 1}, headers=kept)
    merged = get(larder, "/health")
    assert merged.headers.get_all("Cache-Control") == ["no-store"]
    assert not any(merged.headers[name] for name, _ in kept[1:])
    mood(legacy_app, "health", [1], headers=kept)  # none of larder's figures in it: the app's word
    assert get(larder, "/health").headers.get_all("Cache-Control") == ["public, max-age=600"]


def test_a_key_of_another_callers_tells_nothing(larder_factory, legacy_app):
    """What of the head is in the answer is in what an Idempotency-Key stands for, too."""
    reply = {"me": "${header.X-User}", "c": "${cookie.c?}", "path": "${path.id}"}
    larder = start(
        larder_factory, legacy_app, TIMETABLE,
        {"on": "POST /act/{id}", "do": "invalidate", "open": True, "with": {"tag": "x"},
         "when": {"header.X-Kind": "first"}, "reply": reply},
        {"on": "POST /act/{id}", "do": "invalidate", "open": True, "with": {"tag": "x"},
         "reply": "second"})

    def call(user, **more):
        return post(larder, "/act/1", **{"Idempotency-Key": "k", "X-User": user, **more})
    for _ in range(2):
        assert call("a", **{"X-Kind": "first"}).json()["me"] == "a"
        assert call("b", **{"X-Kind": "first"}).json()["me"] == "b"
        assert call("b", **{"X-Kind": "first", "Cookie": "c=1"}).json()["c"] == "1"
        assert call("a").json() == "second"
    assert call("a", **{"X-Kind": "first"}).headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("body, says", [
    ({"org": "1", "n": "many"}, "json.n must be a number"),
    ({"org": "1", "n": True}, "json.n must be a number"),
    ({"org": "1", "n": 1, "note": "x" * (1 << 16)}, "too long")])
def test_nothing_is_done_where_the_reply_could_not_be_told(larder_factory, legacy_app, body, says):
    larder = start(larder_factory, legacy_app, TIMETABLE, {
        "on": "POST /clear", "do": "invalidate", "open": True,
        "with": {"tag": "org:${json.org}"},
        "reply": {"n": "${json.n|percent}", "note": "of ${json.note?}", "removed": "${removed|0}"}})
    get(larder, "/api/rooms?organization_id=1")
    refused = post(larder, "/clear", body)
    problem(refused, 413 if "long" in says else 400, says)
    assert larder.stats()["cache"]["entries"] == 1
    assert post(larder, "/clear", {"org": "1", "n": 1}).json() == {"n": 100, "removed": 1}


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"from": "/api/config", "pointer": "/working_days"},
                                   {"file": "organizations"}])
def test_a_client_cannot_say_where_values_come_from(larder_factory, legacy_app, value):
    """{"from": ...} and {"file": ...} among a warming's parameters are the config's to say."""
    params = {"organization_id": "${json.org}", "semester": {
        "from": "/api/list?of=${json.of?}", "pointer": "/semesters/*"}}
    larder = start(
        larder_factory, legacy_app, TIMETABLE,
        {"on": "POST /warm", "do": "warm", "open": True, "reply": "${result.courses}",
         "with": {"route": "courses", "params": params}},
        {"on": "POST /clear", "do": "invalidate", "open": True, "reply": "${removed}",
         "with": {"route": "courses", "params": {"organization_id": "${json.org}"}}})
    for path in ("/warm", "/clear"):
        problem(post(larder, path, {"org": value, "of": "a"}), 400, "json.org must be a text")
    assert legacy_app.count("config") == legacy_app.count("api/courses") == 0
    legacy_app.mood("api-list", text='{"semesters": [1]}')
    answer = post(larder, "/warm", {"org": "7", "of": "a&b=c"})
    assert answer.json() == {"path": "api/courses", "n": 1, "organization_id": "7", "semester": "1"}
    assert seen(legacy_app, "/api/list")["query"] == "of=a%26b%3Dc"


def test_a_value_that_is_nested_deep_is_no_lack_of_memory(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, {
        "on": "POST /figures", "do": "stats", "open": True,
        "with": {"organization_id": "${json.o}"}, "reply": "${hits}"})
    problem(post(larder, "/figures", '{"o":' + "[" * 14 + "]" * 14 + "}"), 400, "organization_id must")


def test_bodies_that_are_nested_deep_are_merged(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, {
        "on": "POST /warm", "do": "warm", "open": True, "merge": True,
        "with": {"urls": ["/api/rooms?organization_id=1"]},
        "reply": {"a": {"b": {"c": {"d": "${result.rooms}"}}}}})
    deep = "[" * 63 + "]" * 63
    mood(legacy_app, "api-rooms", deep)
    mood(legacy_app, "warm", {"z": 1})
    answer = post(larder, "/warm")
    assert answer.body.decode() == '{"z":1,"a":{"b":{"c":{"d":%s}}}}' % deep


def test_a_refusal_in_the_middle_tells_what_is_done(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, {
        "on": "POST /clear", "do": "invalidate", "open": True, "reply": "${removed}",
        "with": [{"tag": "org:1"}, {"tag": "${json.tag}"}, {"tag": "org:2"}]})
    for org in (1, 2):
        get(larder, f"/api/rooms?organization_id={org}")
    problem(post(larder, "/clear", {"tag": ""}), 400, "(1 of 3 calls had been made)")
    assert larder.stats()["cache"]["entries"] == 1
