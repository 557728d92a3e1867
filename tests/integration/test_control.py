"""The control routes: JSON in and out, and errors that say what would be right."""
import json

import pytest

from test_caching import COURSES, config


def fill(larder, n):
    for i in range(n):
        larder.request("GET", f"/api/courses?organization_id={i}&semester=1")


@pytest.mark.parametrize("selector, removed", [
    ({"key": "courses:organization_id=1:semester=1"}, 1), ({"glob": "courses:*"}, 4),
    ({"glob": "*organization_id=2:*"}, 1), ({"all": True}, 4), ({"route": "courses"}, 4),
    ({"route": "courses", "params": {"organization_id": "3"}}, 1),
    ({"route": "courses", "params": {"organization_id": 3, "semester": 1}}, 1),
    ({"route": "courses", "params": {"organization_id": "3", "semester": "2"}}, 0)])
def test_invalidate_removes_what_it_names(larder_factory, flask_app, selector, removed):
    larder = larder_factory(config(flask_app, COURSES))
    fill(larder, 4)
    assert larder.invalidate(dry_run=True, **selector)["removed"] == removed
    assert larder.invalidate(**selector)["removed"] == removed
    assert larder.stats()["cache"]["entries"] == 4 - removed
    fill(larder, 4)
    assert larder.stats()["routes"]["courses"]["hits"] == 4 - removed


@pytest.mark.parametrize("method, path, body, status, says", [
    ("GET", "/api/cache/invalidate", None, 405, "POST"),
    ("POST", "/api/cache/stats", "{}", 405, "GET"),
    ("POST", "/api/cache/invalidate", "", 400, "courses:*"),
    ("POST", "/api/cache/invalidate", '{"all":true,}', 400, "1:"),
    ("POST", "/api/cache/invalidate", '{"al":true}', 400, "unknown member"),
    ("POST", "/api/cache/invalidate", '{"all":true,"key":"x"}', 400, "one of"),
    ("POST", "/api/cache/invalidate", '{"route":"nope"}', 400, "no route"),
    ("POST", "/api/cache/invalidate", '{"route":"courses","params":{"x":1}}', 400,
     "organization_id, semester"),
    ("POST", "/api/cache/warm", '{"urls":[]}', 400, "urls"),
    ("POST", "/api/cache/warm", '{"urls":["/a b"]}', 400, "spaces"),
    ("GET", "/api/cache/keys?limit=x", None, 400, "limit"),
    ("GET", "/api/cache/nope", None, 404, "/api/cache/stats"),
    ("POST", "/api/cache/invalidate", 1 << 20, 413, "1 MiB")])
def test_wrong_calls_are_told_what_would_be_right(larder_factory, flask_app, method, path, body,
                                                  status, says):
    larder = larder_factory(config(flask_app, COURSES))
    if isinstance(body, int):
        body = json.dumps({"key": "x" * body})
    answer = larder.control(method, path, body=body)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert says in answer.json()["detail"]


def test_keys_are_listed_by_pages(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    fill(larder, 5)
    page = larder.control("GET", "/api/cache/keys?glob=courses:*&limit=2&offset=2").json()
    assert page["total"] == 5
    assert [k["key"] for k in page["keys"]] == [
        f"courses:organization_id={i}:semester=1" for i in (2, 3)]
    assert page["keys"][0]["ttl_s"] <= 1800


def test_warm_fills_what_clients_then_hit(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    urls = [f"/api/courses?organization_id={i}&semester=1" for i in range(10)]
    answer = larder.control("POST", "/api/cache/warm",
                            body=json.dumps({"urls": urls + ["/status/500"], "concurrency": 3,
                                             "wait": True}))
    result = answer.json()
    assert (result["warmed"], result["failed"], result["status"]) == (10, 1, "partial")
    items = result["job"]["items"]
    assert all(r["stored"] and r["outcome"] == "uri-miss" for r in items[:10])
    assert items[10]["status"] == 500
    fill(larder, 10)
    assert larder.stats()["routes"]["courses"]["hits"] == 10
    assert flask_app.count("courses") == 10


def test_stats_tell_totals_routes_pools_and_latencies(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    fill(larder, 2)
    fill(larder, 2)
    stats = larder.stats()
    route = stats["routes"]["courses"]
    assert (route["hits"], route["misses"], route["hit_ratio"]) == (2, 2, 0.5)
    assert route["entries"] == 2 and route["bytes"] > 0
    assert route["latency_ms"]["hit"]["count"] == 2
    assert 0 < route["latency_ms"]["hit"]["p50"] <= route["latency_ms"]["miss"]["p99"]
    pool = stats["upstreams"]["app"]
    assert pool["requests"] == 2 and pool["active"] == 0
    assert set(larder.control("GET", "/api/cache/stats?route=courses").json()["routes"]) == {
        "courses"}


def test_health(larder_factory, flask_app):
    larder = larder_factory(config(flask_app))
    assert larder.control("GET", "/health/live").json() == {"status": "live"}
    assert larder.control("GET", "/health/ready").json() == {"status": "ready"}


def test_mounted_control_wants_its_token(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES, control={
        "listen": False, "mount": True, "allow": [], "token": "sesame-open"}))
    assert larder.request("GET", "/api/cache/stats").status == 401
    wrong = larder.request("GET", "/api/cache/stats", headers={"Authorization": "Bearer x"})
    assert wrong.status == 403
    right = {"Authorization": "Bearer sesame-open"}
    assert larder.request("GET", "/api/cache/stats", headers=right).status == 200
    fill(larder, 1)
    answer = larder.request("POST", "/api/cache/invalidate", headers=right, body='{"all":true}')
    assert answer.json()["removed"] == 1
    assert larder.request("GET", "/health/live").status == 200
    assert larder.request("GET", "/api/courses").status == 200
