"""Figures: per route, per value, per tag, over windows; and what is in the cache, page by page."""
import json

from test_caching import config
from test_invalidation import COURSES, FILL, ROOM, ROOMS, fill


def stats(larder, query):
    answer = larder.control("GET", f"/api/cache/stats?{query}")
    assert answer.status == 200, answer.body
    return answer.json()


def test_values_and_tags_are_counted_apart_over_all_workers(larder_factory, school_app):
    larder = larder_factory(config(school_app, COURSES, ROOMS, ROOM, workers=2))
    for _ in range(10):
        fill(larder)
    one, two = stats(larder, "organization_id=1"), stats(larder, "organization_id=2")
    assert (one["misses"], one["hits"], one["entries"]) == (2, 18, 2)
    assert (two["misses"], two["hits"], two["hit_ratio"]) == (1, 9, 0.9)
    assert one["saved_us"] > 0 and one["bytes"] > two["bytes"] > 0
    tag = stats(larder, "tag=org:1")
    assert (tag["hits"], tag["entries"]) == (18, 2)
    assert stats(larder, "tag=room:3")["entries"] == 1
    nobody = stats(larder, "organization_id=9")
    assert (nobody["counted"], nobody["hits"], nobody["entries"]) == (False, 0, 0)


def test_what_is_counted_apart_is_bounded(larder_factory, school_app):
    larder = larder_factory(config(school_app, dict(COURSES, tags=[]), cache={"max_values": 5}))
    fill(larder, [f"/api/courses?organization_id={n}" for n in range(20)])
    values = larder.counter("values")
    assert values["counted"] == 5 and values["not_counted"] >= 15
    assert stats(larder, "organization_id=19")["counted"] is False


def test_stats_by_names_what_is_counted_apart(larder_factory, school_app):
    larder = larder_factory(config(school_app, dict(COURSES, stats_by=["organization_id"],
                                                    tags=[])))
    fill(larder)
    assert stats(larder, "organization_id=1")["counted"]
    assert not stats(larder, "semester=1")["counted"]


def test_windows_and_savings(larder_factory, school_app):
    larder = larder_factory(config(school_app, COURSES))
    for _ in range(4):
        fill(larder, FILL[:2])
    route = larder.counter("routes.courses")
    assert route["saved"]["upstream_calls"] == 6 and route["saved"]["upstream_ms"] > 0
    for window in ("minute", "hour"):
        assert (route[window]["requests"], route[window]["hits"]) == (8, 6)
        assert route[window]["latency_ms"]["miss"]["count"] == 2
        assert stats(larder, f"window={window}")["totals"]["requests"] == 8
    assert larder.control("GET", "/api/cache/stats?window=day").status == 400


def test_misses_are_told_by_their_reason(larder_factory, school_app):
    larder = larder_factory(config(school_app, dict(COURSES, max_entries=4),
                                   dict(ROOM, max_entries=1)))
    fill(larder, FILL[:1])
    larder.invalidate(tag="org:1")
    larder.control("POST", "/api/cache/routes/courses", body='{"ttl": "300ms"}')
    assert "invalidated" in larder.request("GET", FILL[0]).headers["Cache-Status"]
    larder.wait_until(lambda: larder.counter("routes.courses.expired") > 0)
    larder.request("GET", FILL[0])
    fill(larder, ["/api/rooms/1", "/api/rooms/2"])
    assert "detail=evicted" in larder.request("GET", "/api/rooms/1").headers["Cache-Status"]
    courses, room = larder.counter("routes.courses"), larder.counter("routes.room")
    assert (courses["miss_absent"], courses["miss_invalidated"], courses["miss_expired"]) == (
        1, 1, 1)
    assert (room["miss_absent"], room["miss_evicted"]) == (2, 1)


def test_keys_by_route_and_tag(larder_factory, school_app):
    larder = larder_factory(config(school_app, COURSES, ROOMS, ROOM))
    fill(larder)
    keys = lambda query: larder.control("GET", f"/api/cache/keys?{query}").json()
    assert keys("")["total"] == 7 and keys("route=room")["total"] == 2
    assert keys("tag=org:1")["total"] == 2 and keys("tag=org:1&glob=*semester=2")["total"] == 1
    assert [k["key"] for k in keys("route=room&limit=1&offset=1")["keys"]] == ["room:id=18"]
    assert larder.control("GET", "/api/cache/keys?route=x").status == 404


def test_an_entry_tells_all_that_is_known_of_it(larder_factory, school_app):
    larder = larder_factory(config(school_app, dict(COURSES, stale_if_error="1h")))
    for language in ("de", "hi"):
        larder.request("GET", FILL[0], headers={"X-Lang": language})
    answer = larder.control("GET", "/api/cache/entry?url=/api/courses?semester=1"
                            "%26organization_id=1&body=1").json()
    assert answer["key"] == "courses:organization_id=1:semester=1"
    assert len(answer["variants"]) == 2
    variant = answer["variants"][0]
    assert variant["tags"] == ["org:1", "courses"] and variant["state"] == "fresh"
    assert variant["stale_if_error_ms"] == 3600000 and variant["body"]["name"] == "courses-1"
    assert "Content-Type: application/json" in variant["head"]


def test_explain_agrees_with_what_is_then_done(larder_factory, school_app):
    larder = larder_factory(config(
        school_app, dict(COURSES, unknown="reject", params={"semester": {"type": "int"}}),
        {"name": "mine", "match": "GET /api/rooms/{id}", "key": ["path.id"], "ttl": "1h",
         "identity": "cookie.sid"}))

    def explain(url, **headers):
        return larder.control("POST", "/api/cache/explain",
                              body=json.dumps({"url": url, "headers": headers})).json()
    cases = [(FILL[0], {}), (FILL[0], {"Cookie": "a=1"}), (FILL[0], {"X-Api-Key": "1"}),
             ("/api/courses?organization_id=1&x=1", {}), ("/api/courses?semester=one", {}),
             ("/api/rooms/1", {"Cookie": "sid=1"}), ("/api/rooms/1", {"Cookie": "other=1"}),
             ("/api/rooms/1", {"Cookie": "sid=1", "Authorization": "Bearer x"}), ("/none", {})]
    for url, headers in cases:
        said = explain(url, **headers)
        answer = larder.request("GET", url, headers=headers)
        status = answer.headers.get("Cache-Status", "")
        if said["decision"] == "reject":
            assert answer.status == 400 and said["change"] in answer.json()["detail"]
        elif said["decision"] == "miss":
            assert "stored" in status and explain(url, **headers)["decision"] == "hit"
        elif said["decision"] == "bypass":
            assert "fwd=bypass" in status and said["reason"] in status and said["change"]
        else:
            assert said["decision"] == "hit" and "hit" in status
