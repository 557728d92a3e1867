"""Who may steer, what of it, and the trace that it leaves."""
import http.client
import json
import os
import socket
import stat

import pytest

from test_caching import config
from test_invalidation import COURSES, ROOM, fill, misses

TOKENS = [{"name": n, "token": f"{n}-0123456789", "scopes": [n]}
          for n in ("read", "invalidate", "warm", "admin")]
BOUND = {"name": "org-1", "token": "org-1-0123456789", "scopes": ["read", "invalidate", "warm"],
         "bound": ["org:1", "organization_id=1"]}
PATHS = ["/api/courses?organization_id=1", "/api/courses?organization_id=2"]


def bearer(name):
    return {"Authorization": f"Bearer {name}-0123456789"}


@pytest.fixture
def larder(larder_factory, school_app):
    return larder_factory(config(school_app, COURSES, ROOM, control={
        "listen": "127.0.0.1:0", "allow": [], "tokens": TOKENS + [BOUND]}))


CALLS = [("GET", "/api/cache/stats", None, "read"), ("GET", "/api/cache/keys", None, "read"),
         ("GET", "/api/cache/entry?key=x", None, "read"), ("GET", "/api/cache/jobs", None, "read"),
         ("GET", "/api/cache/jobs/job-1", None, "read"), ("GET", "/api/cache/routes", None, "read"),
         ("POST", "/api/cache/explain", {"url": "/a"}, "read"),
         ("POST", "/api/cache/invalidate", {"tag": "none"}, "invalidate"),
         ("PURGE", "/none", None, "invalidate"),
         ("POST", "/api/cache/warm", {"hottest": 1}, "warm"),
         ("DELETE", "/api/cache/jobs/job-1", None, "warm"),
         ("POST", "/api/cache/jobs/job-1/retry", {}, "warm"),
         ("POST", "/api/cache/routes/courses", {"enabled": True}, "admin")]


@pytest.mark.parametrize("method, path, body, scope", CALLS)
def test_each_scope_opens_its_own_routes_and_admin_all(larder, method, path, body, scope):
    text = json.dumps(body) if body is not None else None
    for name in ("read", "invalidate", "warm", "admin"):
        status = larder.control(method, path, body=text, headers=bearer(name)).status
        assert (status in (401, 403)) == (name not in (scope, "admin")), name
    assert larder.control(method, path, body=text).status == 401
    assert larder.control(method, path, body=text, headers=bearer("nobody")).status == 403


@pytest.mark.parametrize("body, allowed", [
    ({"tag": "org:1"}, True), ({"tag": "org:2"}, False), ({"tags": ["org:1", "org:2"]}, False),
    ({"all_of": ["org:1", "courses"]}, True), ({"all_of": ["org:2", "courses"]}, False),
    ({"route": "courses", "params": {"organization_id": "1"}}, True),
    ({"route": "courses", "params": {"organization_id": 1, "semester": 1}}, True),
    ({"route": "courses", "params": {"organization_id": "2"}}, False),
    ({"route": "courses", "params": {"semester": "1"}}, False), ({"route": "courses"}, False),
    ({"glob": "courses:*"}, False), ({"key": "courses:organization_id=1:semester"}, False),
    ({"url": PATHS[0]}, False), ({"path": "/api/courses"}, False), ({"all": True}, False)])
def test_a_bound_token_clears_its_own_only(larder, body, allowed):
    fill(larder, PATHS)
    answer = larder.control("POST", "/api/cache/invalidate", body=json.dumps(body),
                            headers=bearer("org-1"))
    assert answer.status == (200 if allowed else 403)
    assert 1 not in misses(larder, PATHS), "the other organisation keeps its answers"


def test_a_bound_token_purges_its_own_only(larder):
    fill(larder, PATHS)
    for headers, status in (({"xkey": "org:1 org:2"}, 403), ({}, 403), ({"xkey": "org:1"}, 200)):
        assert larder.control("PURGE", "/api/courses", headers=dict(
            bearer("org-1"), **headers)).status == status
    assert misses(larder, PATHS) == [0]


def test_a_bound_token_sees_and_warms_its_own_only(larder):
    fill(larder, PATHS)
    mine = lambda path, **more: larder.control("GET", path, headers=bearer("org-1"), **more)
    keys = mine("/api/cache/keys").json()
    assert [k["key"] for k in keys["keys"]] == ["courses:organization_id=1:semester"]
    assert mine("/api/cache/entry?key=courses:organization_id=1:semester").status == 200
    assert mine("/api/cache/entry?key=courses:organization_id=2:semester").status == 404
    assert mine("/api/cache/stats?organization_id=1").status == 200
    assert mine("/api/cache/stats?organization_id=2").status == 403
    assert mine("/api/cache/stats").status == 403
    for url, status in ((PATHS[0], 200), (PATHS[1], 403)):
        assert larder.control("POST", "/api/cache/explain", body=json.dumps({"url": url}),
                              headers=bearer("org-1")).status == status
    for body, status in (({"urls": [PATHS[0]]}, 202), ({"urls": [PATHS[1]]}, 403),
                         ({"route": "courses", "params": {"organization_id": ["1"]}}, 202),
                         ({"route": "courses", "params": {"organization_id": ["1", "2"]}}, 403),
                         ({"hottest": 5}, 403)):
        answer = larder.control("POST", "/api/cache/warm", body=json.dumps(body),
                                headers=bearer("org-1"))
        assert answer.status == status, body


def test_a_bound_token_follows_its_own_jobs_only(larder):
    def warm(token, path):
        return larder.control("POST", "/api/cache/warm", headers=bearer(token), body=json.dumps(
            {"urls": [path], "wait": True, "bodies": True})).json()["job"]["id"]
    mine, others = warm("org-1", PATHS[0]), warm("warm", PATHS[1])
    seen = larder.control("GET", "/api/cache/jobs", headers=bearer("org-1")).json()["jobs"]
    assert [job["id"] for job in seen] == [mine]
    assert len(larder.control("GET", "/api/cache/jobs", headers=bearer("read")).json()["jobs"]) == 2
    refresh = larder.control("POST", "/api/cache/invalidate", headers=bearer("org-1"),
                             body='{"tag": "org:1", "refresh": true}').json()["refresh_job"]
    for job, status in ((mine, 200), (refresh, 200), (others, 404)):
        for method in ("GET", "DELETE"):
            assert larder.control(method, f"/api/cache/jobs/{job}",
                                  headers=bearer("org-1")).status == status
    for job, status in ((mine, 409), (others, 404)):
        assert larder.control("POST", f"/api/cache/jobs/{job}/retry", headers=bearer("org-1"),
                              body="{}").status == status


def test_a_bound_token_switches_no_route(larder_factory, school_app):
    larder = larder_factory(config(school_app, COURSES, control={
        "listen": "127.0.0.1:0", "allow": [], "tokens": [
            {"name": "t", "token": "t-0123456789", "scopes": ["admin"], "bound": ["org:1"]}]}))
    assert larder.control("POST", "/api/cache/routes/courses", body='{"enabled": false}',
                          headers=bearer("t")).status == 403


def test_bodies_are_shown_to_admins(larder):
    fill(larder, PATHS)
    path = "/api/cache/entry?key=courses:organization_id=1:semester&body=1"
    assert larder.control("GET", path, headers=bearer("read")).status == 403
    body = larder.control("GET", path, headers=bearer("admin")).json()["variants"][0]["body"]
    assert body["name"] == "courses-1"


def by_socket(path, method, target, body=None):
    connection = http.client.HTTPConnection("larder")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request(method, target, body=body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_who_may_open_the_socket_may_call(larder_factory, school_app, tmp_path):
    path = str(tmp_path / "control.sock")
    control = {"listen": "127.0.0.1:0", "allow": [], "token": "sesame-open", "socket": path,
               "socket_mode": "0640"}
    with socket.socket(socket.AF_UNIX) as leftover:  # of a run that ended badly
        leftover.bind(path)
    larder = larder_factory(config(school_app, COURSES, control=control))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
    fill(larder, PATHS)
    assert larder.control("GET", "/api/cache/stats").status == 401
    status, answer = by_socket(path, "POST", "/api/cache/invalidate", '{"all": true}')
    assert (status, answer["removed"]) == (200, 2)
    larder.log_says("audit: invalidate by socket")
    larder.stop()
    assert not os.path.exists(path)


def test_a_file_that_is_no_socket_is_kept(larder_refuses, school_app, tmp_path):
    path = tmp_path / "control.sock"
    path.write_text("mine")
    larder_refuses(config(school_app, control={"listen": "127.0.0.1:0", "socket": str(path)}),
                   str(path), "no socket left behind")
    assert path.read_text() == "mine"


def test_each_call_that_changes_something_leaves_a_line_without_secrets(larder_factory,
                                                                        school_app):
    larder = larder_factory(config(
        school_app, {"name": "login", "match": "POST /api/courses", "ttl": "1h",
                     "key": ["json.username", {"param": "json.password", "secret": True}]},
        control={"listen": "127.0.0.1:0", "allow": ["127.0.0.0/8"], "tokens": TOKENS}))
    larder.invalidate(route="login", params={"username": "ann", "password": "hunter2"})
    larder.control("POST", "/api/cache/invalidate", body='{"tag": "x"}',
                   headers=bearer("invalidate"))
    larder.control("POST", "/api/cache/invalidate", body='{"tag": "y"}', headers=bearer("read"))
    larder.control("POST", "/api/cache/warm", body='{"urls": ["/a"]}', headers=bearer("admin"))
    larder.control("POST", "/api/cache/routes/login", body='{"enabled": false}')
    log = larder.whole_log()
    first, second, refused, warm, switch = [m for m in log if m.startswith("audit:")]
    assert "by network (127.0.0.1)" in first and "username=ann" in first
    assert "by invalidate" in second and "tag x" in second and "inv-" in second
    assert "refused" in refused and "by admin" in warm and "job-" in warm
    assert "route login: off" in switch
    assert not any("hunter2" in message for message in log)


def test_a_repeated_call_is_answered_as_the_first_and_not_done_again(larder_factory, school_app):
    larder = larder_factory(config(school_app, COURSES))
    body, key = json.dumps({"tag": "org:1"}), {"Idempotency-Key": "k-1"}
    fill(larder, PATHS)
    first = larder.control("POST", "/api/cache/invalidate", body=body, headers=key)
    assert first.json()["removed"] == 1 and "Idempotency-Replayed" not in first.headers
    fill(larder, PATHS)
    again = larder.control("POST", "/api/cache/invalidate", body=body, headers=key)
    assert again.json() == first.json() and again.headers["Idempotency-Replayed"] == "true"
    assert misses(larder, PATHS) == []
    other = larder.control("POST", "/api/cache/invalidate", body='{"all": true}', headers=key)
    assert other.status == 422
    warm = [larder.control("POST", "/api/cache/warm", headers=key,
                           body=json.dumps({"urls": PATHS, "wait": True})) for _ in range(2)]
    assert warm[0].json()["warmed"] == 2 and warm[0].body == warm[1].body
    assert [job["id"] for job in larder.control("GET", "/api/cache/jobs").json()["jobs"]] == [
        warm[0].json()["job"]["id"]], "the second has not begun another"


def test_switches_hold_until_they_are_taken_back(larder_factory, school_app):
    larder = larder_factory(config(school_app, COURSES))

    def switch(**body):
        answer = larder.control("POST", "/api/cache/routes/courses", body=json.dumps(body))
        assert answer.status == 200
        return answer.json()
    fill(larder, PATHS)
    assert switch(enabled=False)["switched"]
    answer = larder.request("GET", PATHS[0])
    assert "detail=switched-off" in answer.headers["Cache-Status"]
    assert larder.counter("routes.courses.switched") == {"enabled": False}
    assert not switch(enabled=True)["switched"]
    assert misses(larder, PATHS) == []
    assert switch(ttl="5s")["ttl_ms"] == 5000
    larder.invalidate(all=True)
    fill(larder, PATHS[:1])
    entry = larder.control("GET", f"/api/cache/entry?url={PATHS[0]}").json()["variants"][0]
    assert entry["lifetime_ms"] == 5000
    assert switch(ttl=None)["ttl_ms"] == 3600000
    for body, status in (({}, 400), ({"ttl": "x"}, 400), ({"enabled": 1}, 400)):
        assert larder.control("POST", "/api/cache/routes/courses",
                              body=json.dumps(body)).status == status
    assert larder.control("POST", "/api/cache/routes/none", body='{"ttl":"1s"}').status == 404
    assert larder.control("POST", "/api/cache/routes/pass", body='{"ttl":"1s"}').status == 409
