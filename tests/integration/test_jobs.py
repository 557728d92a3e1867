"""Warm jobs: what they fetch, how gently, and how they are followed, cancelled and tried again."""
import contextlib
import http.server
import json
import os
import socket
import threading

import pytest

from test_caching import COURSES, config
from support.larder import DEADLINE_S


def post(larder, path="/api/cache/warm", **body):
    return larder.control("POST", path, body=json.dumps(body))


def warm(larder, **body):
    answer = post(larder, wait=True, **body)
    assert answer.status == 200, answer.body
    return answer.json()


def job(larder, name):
    return larder.control("GET", f"/api/cache/jobs/{name}").json()


def ended(larder, name):
    larder.wait_until(lambda: job(larder, name)["state"] not in ("queued", "running"))
    return job(larder, name)


def urls(result):
    return [i["url"] for i in result["job"]["items"]]


def test_each_combination_of_values_once_through_the_key(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    result = warm(larder, route="courses", params={"organization_id": ["1", "2", "a b"],
                                                   "semester": [1, 2]})
    assert (result["status"], result["warmed"]) == ("ok", 6)
    assert urls(result)[4] == "/api/courses?organization_id=a%20b&semester=1"
    for organization in ("1", "2", "a+b"):
        answer = larder.request("GET", f"/api/courses?semester=2&organization_id={organization}")
        assert "hit" in answer.headers["Cache-Status"]
    totals = larder.stats()["totals"]
    assert (totals["warmed"], totals["misses"], totals["hits"]) == (6, 0, 3)


def test_a_bodys_members_are_filled_too(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "q", "match": "POST /query", "ttl": "1h",
                                               "key": ["json.model", "json.year"]}))
    assert warm(larder, route="q", params={"model": ["a", "b"], "year": "2026"})["warmed"] == 2
    answer = larder.request("POST", "/query", body='{"year": "2026", "model": "b"}',
                            headers={"Content-Type": "application/json"})
    assert "hit" in answer.headers["Cache-Status"]


def test_values_come_from_a_file_or_from_another_answer(larder_factory, moody_app, tmp_path):
    (tmp_path / "lines").write_text("1\n2\n")
    (tmp_path / "array.json").write_text('["3", 4]')
    (tmp_path / "broken.json").write_text('["3",\n 4')
    (tmp_path / "nested.json").write_text('["3", ["4"]]')
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/hostname")
    moody_app.mood("orgs", body={"results": [{"id": 5}, {"id": "6"}]})
    larder = larder_factory(config(moody_app, {"name": "thing", "match": "GET /thing/{id}",
                                               "key": ["path.id"], "ttl": "1h"},
                                   warm_dir=str(tmp_path)))
    for values, paths in [({"file": "lines"}, ["/thing/1", "/thing/2"]),
                          ({"file": "array.json"}, ["/thing/3", "/thing/4"]),
                          ({"from": "/thing/orgs", "pointer": "/results/*/id"},
                           ["/thing/5", "/thing/6"])]:
        assert urls(warm(larder, route="thing", params={"id": values})) == paths
    for name, says in (("../lines", "without /"), ("/etc/passwd", "without /"),
                       ("nope", "cannot be read"), (".hidden", "within warm_dir"),
                       ("", "within warm_dir"), ("broken.json", "broken.json:2"),
                       ("nested.json", "no text"), ("pipe", "no regular file"),
                       ("link", "cannot be read"),
                       ("sub", "no regular file")):
        answer = post(larder, route="thing", params={"id": {"file": name}})
        assert answer.status == 400 and says in answer.json()["detail"], answer.body
    moody_app.mood("late", status=500)
    name = warm(larder, route="thing",
                params={"id": {"from": "/thing/late", "pointer": "/x"}})["job"]["id"]
    moody_app.mood("late", body={"x": "a\nb"})
    assert post(larder, f"/api/cache/jobs/{name}/retry").status == 202
    assert "no values" in ended(larder, name)["why"]
    moody_app.mood("late", body={"x": 7})
    larder.invalidate(all=True)
    assert post(larder, f"/api/cache/jobs/{name}/retry").status == 202
    assert [item["url"] for item in ended(larder, name)["items"]] == ["/thing/7"]
    result = warm(larder, route="thing", params={"id": {"from": "/thing/none", "pointer": "/x"}})
    assert result["status"] == "failed" and "/thing/none" in result["job"]["why"]


def test_the_answer_can_carry_the_warmed_bodies(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    result = warm(larder, urls=["/api/courses?organization_id=1", "/status/200"], bodies=True)
    assert result["job"]["items"][0]["body"]["args"] == {"organization_id": ["1"]}
    assert result["job"]["items"][1]["body"] == "status 200\n"


def test_bodies_are_kept_within_bounds_and_until_they_are_told(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    result = warm(larder, urls=["/download/9000000", "/status/200"], bodies=True)
    big, small = result["job"]["items"]
    assert big["body_left_out"] and "body" not in big and big["bytes"] == 9000000
    assert small["body"] == "status 200\n"
    assert "body" not in job(larder, result["job"]["id"])["items"][1]
    many = ["/download/7000000"] * 8
    items = warm(larder, urls=many, bodies=True)["job"]["items"]
    kept = [item for item in items if "body" in item]
    assert 0 < len(kept) <= 4 and all(item["status"] == 200 for item in items)
    assert "body" in warm(larder, urls=many[:1], bodies=True)["job"]["items"][0], "room again"


def test_a_job_is_told_of_followed_and_forgotten(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "h", "match": "GET /hold/*", "ttl": "1h"}))
    answer = post(larder, urls=["/hold/one", "/status/500"], concurrency=1)
    name = answer.json()["job"]["id"]
    assert answer.status == 202 and answer.headers["Location"] == f"/api/cache/jobs/{name}"
    larder.wait_for_counter("totals.fetches", 1)
    assert job(larder, name)["state"] == "running"
    assert [i["state"] for i in job(larder, name)["items"]] == ["running", "queued"]
    follower = larder.pool.submit(larder.raw, f"GET /api/cache/jobs/{name} HTTP/1.1\r\nHost: a\r\n"
                                  "Accept: text/event-stream\r\n\r\n".encode(),
                                  port=larder.control_port)
    flask_app.hold("one").open()
    assert ended(larder, name)["failed"] == 1
    text = follower.result().decode()
    assert "text/event-stream" in text and "event: end" in text
    last = json.loads(text.rsplit("data: ", 1)[1])
    assert (last["state"], last["done"], last["warmed"]) == ("done", 2, 1)
    assert [j["id"] for j in larder.control("GET", "/api/cache/jobs").json()["jobs"]] == [name]
    assert larder.control("GET", "/api/cache/jobs/job-99").status == 404


def test_cancel_and_retry(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, {"name": "t", "match": "GET /thing/{id}",
                                               "key": ["path.id"], "ttl": "1h"}))
    moody_app.mood("1", gate="g")
    name = post(larder, urls=["/thing/1", "/thing/2"], concurrency=1).json()["job"]["id"]
    larder.wait_for_counter("totals.fetches", 1)
    assert larder.control("DELETE", f"/api/cache/jobs/{name}").json()["job"]["state"] == "cancelled"
    moody_app.hold("g").open()
    assert post(larder, f"/api/cache/jobs/{name}/retry").status == 202
    assert ended(larder, name)["warmed"] == 2
    assert post(larder, f"/api/cache/jobs/{name}/retry").status == 409


def test_clients_misses_go_before_a_job(larder_factory, moody_app):
    """One connection of two is left to clients, whatever the job wants."""
    larder = larder_factory(config(
        moody_app, {"name": "t", "match": "GET /thing/{id}", "key": ["path.id"], "ttl": "1h"},
        upstreams={"app": {"server": f"127.0.0.1:{moody_app.port}", "max": 2}}, workers=1))
    for n in range(8):
        moody_app.mood(f"slow{n}", gate="g")
    name = post(larder, urls=[f"/thing/slow{n}" for n in range(8)],
                concurrency=8).json()["job"]["id"]
    larder.wait_for_counter("upstreams.app.waiting", 1)
    assert larder.request("GET", "/thing/mine").status == 200
    assert job(larder, name)["done"] == 0
    moody_app.hold("g").open()
    assert ended(larder, name)["warmed"] == 8


def test_the_rate_holds(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    result = warm(larder, route="courses", params={"organization_id": list(range(6))}, rate=20,
                  concurrency=6)
    assert result["job"]["elapsed_ms"] >= 5 * 1000 / 20


def test_refresh_fetches_again_what_is_fresh(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    url = "/api/courses?organization_id=1"
    old = larder.request("GET", url).json()["number"]
    assert warm(larder, urls=[url])["job"]["items"][0]["outcome"] == "hit"
    warm(larder, urls=[url], refresh=True)
    assert larder.request("GET", url).json()["number"] != old


def test_a_service_identity_warms_what_that_service_hits(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, {"name": "t", "match": "GET /thing/{id}",
                                               "key": ["path.id"], "ttl": "1h",
                                               "identity": "auth"}))
    warm(larder, urls=["/thing/a"], headers={"Authorization": "Bearer service"})
    hit = larder.request("GET", "/thing/a", headers={"Authorization": "Bearer service"})
    assert "hit" in hit.headers["Cache-Status"] and hit.json()["who"] == "Bearer service"
    other = larder.request("GET", "/thing/a", headers={"Authorization": "Bearer else"})
    assert other.json()["who"] == "Bearer else"


def test_jobs_of_the_config_run_at_start_by_the_clock_after_invalidations_and_by_name(
        larder_factory, flask_app):
    url = "/api/courses?organization_id="
    larder = larder_factory(config(flask_app, COURSES, warm=[
        {"name": "first", "urls": [url + "1"], "on": "start"},
        {"name": "often", "urls": [url + "2"], "on": ["every 1s"]},
        {"name": "again", "urls": [url + "3"], "on": ["invalidation"]},
        {"name": "named", "urls": [url + "4"]}]))
    names = lambda: [j["name"] for j in larder.control("GET", "/api/cache/jobs").json()["jobs"]]
    larder.wait_until(lambda: names().count("often") >= 2)
    assert names().count("first") == 1 and "again" not in names() and "named" not in names()
    larder.invalidate(all=True)
    larder.wait_until(lambda: "again" in names())
    assert post(larder, job="named").status == 202
    larder.wait_until(lambda: "named" in names())
    assert post(larder, job="nobody").status == 400


def test_what_the_start_could_not_fetch_is_fetched_once_the_app_is_there(larder_factory):
    """As where both are started together."""
    asked = []

    class Late(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404 if self.path == "/no" else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Late, bind_and_activate=False) as late:
        late.server_bind()
        larder = larder_factory({
            "listen": "127.0.0.1:0", "control": {"listen": "127.0.0.1:0"},
            "upstreams": {"app": {"server": f"127.0.0.1:{late.server_port}"}},
            "routes": [{"name": "all", "match": "GET /*", "ttl": "1h"}],
            "warm": [{"name": "first", "urls": ["/yes", "/no"], "on": "start"}]})
        larder.wait_until(lambda: job(larder, "job-1")["failed"] == 2)
        assert not asked
        late.server_activate()
        thread = threading.Thread(target=late.serve_forever)
        thread.start()
        larder.wait_until(lambda: job(larder, "job-1")["warmed"] == 1)
        assert "hit" in larder.request("GET", "/yes").headers["Cache-Status"]
        assert asked.count("/yes") == 1
        late.shutdown()
        thread.join()


def test_the_hottest_keys_of_the_last_run_are_warm_again_after_a_restart(larder_factory, flask_app,
                                                                         tmp_path):
    settings = {"state_dir": str(tmp_path),
                "warm": [{"name": "last", "hottest": 2, "on": "start"}]}
    first = larder_factory(config(flask_app, COURSES, **settings))
    for organization, times in ((1, 2), (2, 4), (3, 1)):
        for _ in range(times):
            first.request("GET", f"/api/courses?organization_id={organization}")
    first.stop()
    second = larder_factory(config(flask_app, COURSES, **settings))
    jobs = second.control("GET", "/api/cache/jobs").json()["jobs"]
    result = ended(second, jobs[0]["id"])
    assert [i["url"][-1] for i in result["items"]] == ["2", "1"]
    for organization, said in ((2, "hit"), (1, "hit"), (3, "stored")):
        answer = second.request("GET", f"/api/courses?organization_id={organization}")
        assert said in answer.headers["Cache-Status"]


@pytest.mark.parametrize("mounted", [False, True])
def test_a_follower_that_leaves_and_an_end_in_the_middle_do_no_harm(larder_factory, flask_app,
                                                                    mounted):
    larder = larder_factory(config(flask_app, {"name": "h", "match": "GET /hold/*", "ttl": "1h"},
                                   control={"listen": "127.0.0.1:0", "mount": mounted,
                                            "allow": ["127.0.0.0/8"]}, workers=2,
                                   drain_timeout="1s"))
    name = post(larder, urls=["/hold/two"]).json()["job"]["id"]
    port = larder.public_port if mounted else larder.control_port
    head = (f"GET /api/cache/jobs/{name} HTTP/1.1\r\nHost: a\r\n"
            "Accept: text/event-stream\r\n\r\n").encode()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", port), DEADLINE_S))
                   for _ in range(3)]
        for s in sockets:
            s.sendall(head)
            assert s.recv(65536)
        sockets[0].close()
        waiting = larder.pool.submit(post, larder, urls=["/hold/three"], wait=True)
        larder.wait_for_counter("totals.fetches", 2)
        larder.process.terminate()
        assert b"event: end" in b"".join(iter(lambda: sockets[1].recv(65536), b""))
        assert waiting.result().json()["status"] == "cancelled"
    larder.stop()


@pytest.mark.parametrize("body, says", [
    ({}, "one of"), ({"urls": []}, "urls"), ({"urls": ["/a b"]}, "spaces"),
    ({"urls": ["/a"], "hottest": 3}, "one of"), ({"hottest": 0}, "hottest"),
    ({"route": "nope"}, "no route"), ({"route": "courses", "params": {"x": [1]}}, "x"),
    ({"route": "courses", "params": {"semester": [[1]]}}, "semester"),
    ({"urls": ["/a"], "headers": {"A": "b\r\nC: d"}}, "headers"),
    ({"urls": ["/a"], "concurrency": 1000}, "concurrency"), ({"urls": ["/a"], "wait": 1}, "wait")])
def test_wrong_jobs_are_refused(larder_factory, flask_app, body, says):
    larder = larder_factory(config(flask_app, COURSES))
    answer = post(larder, **body)
    assert answer.status == 400 and says in answer.json()["detail"]
    assert larder.control("GET", "/api/cache/jobs").json()["jobs"] == []


def test_old_jobs_are_forgotten(larder_factory, flask_app):
    larder = larder_factory(config(flask_app))
    for _ in range(210):
        warm(larder, urls=["/status/204"])
    jobs = larder.control("GET", "/api/cache/jobs").json()["jobs"]
    assert len(jobs) <= 202 and jobs[0]["id"] == "job-210"
