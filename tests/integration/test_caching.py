"""What is cached, under which key, and what an answer says of it."""
import json
import socket

import pytest


def config(app, *routes, **more):
    c = {"listen": "127.0.0.1:0", "workers": 2, "control": {"listen": "127.0.0.1:0"},
         "upstreams": {"app": {"servers": [f"127.0.0.1:{app.port}"]}}, "routes": list(routes)}
    c.update(more)
    return c


COURSES = {"name": "courses", "match": "GET /api/courses",
           "key": ["query.organization_id", "query.semester"], "ttl": "30m"}


def test_second_request_is_a_hit_with_age_and_the_same_body(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    first = larder.request("GET", "/api/courses?organization_id=1&semester=2")
    second = larder.request("GET", "/api/courses?organization_id=1&semester=2")
    assert first.status == second.status == 200
    assert "fwd=uri-miss" in first.headers["Cache-Status"]
    assert "stored" in first.headers["Cache-Status"]
    assert second.headers["Cache-Status"].startswith("larder; hit; ttl=")
    assert int(second.headers["Age"]) >= 0
    assert first.body == second.body
    assert flask_app.count("courses") == 1


def test_order_and_encoding_of_parameters_do_not_matter_but_values_do(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    larder.request("GET", "/api/courses?organization_id=a-b&semester=2")
    same = larder.request("GET", "/api/courses?semester=2&organization_id=%61-b&utm_source=x")
    other = larder.request("GET", "/api/courses?organization_id=a-b&semester=3")
    assert "hit" in same.headers["Cache-Status"]
    assert "fwd=uri-miss" in other.headers["Cache-Status"]


def test_etag_is_made_and_answered_by_304(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    first = larder.request("GET", "/api/courses?organization_id=1")
    etag = first.headers["ETag"]
    again = larder.request("GET", "/api/courses?organization_id=1",
                           headers={"If-None-Match": f'"other", W/{etag}'})
    assert again.status == 304
    assert again.body == b""
    assert again.headers["ETag"] == etag
    assert larder.request("GET", "/api/courses?organization_id=1",
                          headers={"If-None-Match": '"other"'}).status == 200


def test_head_is_answered_from_a_stored_get_and_fills_the_cache_for_it(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, COURSES))
    head = larder.request("HEAD", "/api/courses?organization_id=1")
    get = larder.request("GET", "/api/courses?organization_id=1")
    again = larder.request("HEAD", "/api/courses?organization_id=1")
    assert head.status == 200 and head.body == b"" and again.body == b""
    assert "hit" in get.headers["Cache-Status"] and "hit" in again.headers["Cache-Status"]
    assert again.headers["Content-Length"] == str(len(get.body))
    assert flask_app.count("courses") == 1


def test_post_answers_are_keyed_by_body_members_and_secrets_stay_secret(larder_factory, flask_app):
    route = {"name": "query", "match": "POST /query", "ttl": "1h",
             "key": ["json.username", {"param": "json.password", "secret": True}]}
    larder = larder_factory(config(flask_app, route))

    def ask(user, password, extra=1):
        body = json.dumps({"extra": extra, "password": password, "username": user})
        return larder.request("POST", "/query", body=body,
                              headers={"Content-Type": "application/json"})
    assert "fwd=uri-miss" in ask("ann", "hunter2-secret").headers["Cache-Status"]
    assert "hit" in ask("ann", "hunter2-secret", extra=2).headers["Cache-Status"]
    assert "hit" not in ask("ann", "wrong").headers["Cache-Status"]
    assert "hit" not in ask("bob", "hunter2-secret").headers["Cache-Status"]
    keys = larder.control("GET", "/api/cache/keys").body.decode()
    stats = larder.control("GET", "/api/cache/stats").body.decode()
    lines = json.dumps(larder.access_lines(4))
    assert "ann" in keys
    for text in (keys, stats, lines, json.dumps(larder.whole_log())):
        assert "hunter2-secret" not in text


def test_a_secret_of_the_target_stands_in_no_log(larder_factory, flask_app):
    """A token in the query or in the path is a secret as one in the body is."""
    query = {"name": "query", "match": "GET /api/courses", "ttl": "1h",
             "key": ["query.semester", {"param": "query.token", "secret": True}]}
    path = {"name": "path", "match": "GET /echo/{token}", "ttl": "1h",
            "key": [{"param": "path.token", "secret": True}]}
    larder = larder_factory(config(flask_app, query, path, log={"level": "debug"}))
    for _ in range(2):
        larder.request("GET", "/api/courses?semester=2&t%6fken=hunter2-secret&other=1")
        larder.request("GET", "/echo/hunter2-secret")
    larder.request("GET", "/status/200?other=1")
    lines = larder.access_lines(5)
    assert sorted(line["url.original"] for line in lines) == [
        "/api/courses?***", "/api/courses?***", "/echo/***", "/echo/***", "/status/200?other=1"]
    assert sum(line["larder.outcome"] == "hit" for line in lines) == 2
    assert "hunter2-secret" not in json.dumps([lines, larder.whole_log()])


def test_a_count_of_entries_is_one_of_answers(larder_factory, flask_app):
    """What is remembered of an answer that may not be stored is no entry, and takes none's place."""
    larder = larder_factory(config(flask_app, {"name": "all", "match": "GET /*", "ttl": "1h",
                                               "max_entries": 1}))
    larder.request("GET", "/api/courses")
    for path in ("/private", "/no-store", "/set-cookie"):
        larder.request("GET", path)
    assert larder.counter("routes.all.entries") == larder.counter("cache.entries") == 1
    assert "hit" in larder.request("GET", "/api/courses").headers["Cache-Status"]


def test_key_template_gives_the_readable_key(larder_factory, flask_app):
    route = {"name": "assess", "match": "GET /api/courses", "ttl": "1h",
             "key_template": "{query.model}:{query.country}:{query.sector}"}
    larder = larder_factory(config(flask_app, route))
    larder.request("GET", "/api/courses?model=OECD&country=USA&sector=C10T12")
    keys = larder.control("GET", "/api/cache/keys").json()
    assert [k["key"] for k in keys["keys"]] == ["OECD:USA:C10T12"]
    assert larder.invalidate(key="OECD:USA:C10T12")["removed"] == 1


@pytest.mark.parametrize("path, reason", [
    ("/no-store", "no-store"), ("/private", "private"), ("/set-cookie", "set-cookie")])
def test_answers_that_may_not_be_shared_are_not_stored(larder_factory, flask_app, path, reason):
    larder = larder_factory(config(flask_app, {"name": "r", "match": f"GET {path}", "ttl": "1h"}))
    first = larder.request("GET", path)
    second = larder.request("GET", path)
    assert reason in first.headers["Cache-Status"]
    assert reason in second.headers["Cache-Status"]
    assert larder.stats()["routes"]["r"]["hit_for_miss"] == 1
    assert "hit;" not in second.headers["Cache-Status"]
    assert larder.stats()["routes"]["r"]["refused"][reason] == 2


@pytest.mark.parametrize("name, value", [("Authorization", "Bearer x"), ("Cookie", "sid=1")])
def test_credentials_are_never_answered_from_the_cache(larder_factory, flask_app, name, value):
    larder = larder_factory(config(flask_app, COURSES))
    path = "/api/courses?organization_id=1"
    larder.request("GET", path)
    private = larder.request("GET", path, headers={name: value})
    assert "fwd=bypass" in private.headers["Cache-Status"]
    assert name.lower() in private.headers["Cache-Status"]
    assert flask_app.count("courses") == 2


def test_vary_keeps_variants_apart(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "v", "match": "GET /vary", "ttl": "1h"}))
    answers = {}
    for _ in range(2):
        for lang in ("de", "fr"):
            answers[lang] = larder.request("GET", "/vary", headers={"X-Lang": lang})
    assert all("hit" in a.headers["Cache-Status"] for a in answers.values())
    assert answers["de"].body != answers["fr"].body
    assert larder.invalidate(glob="v:*")["removed"] == 2


def test_ttl_by_status_and_expiry(larder_factory, flask_app):
    route = {"name": "s", "match": "GET /status/*", "ttl": "1h",
             "ttl_by_status": {"404": "200ms", "500": "0s"}}
    larder = larder_factory(config(flask_app, route))
    assert "stored" in larder.request("GET", "/status/404").headers["Cache-Status"]
    larder.wait_until(lambda: "hit" not in
                      larder.request("GET", "/status/404").headers["Cache-Status"])
    larder.request("GET", "/status/500")
    assert "hit" not in larder.request("GET", "/status/500").headers["Cache-Status"]
    assert larder.stats()["routes"]["s"]["miss_expired"] >= 1


def test_entry_budget_of_a_route_is_kept_exactly(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, dict(COURSES, max_entries=5)))
    for i in range(20):
        larder.request("GET", f"/api/courses?organization_id={i}")
    stats = larder.stats()["routes"]["courses"]
    assert stats["entries"] == 5
    assert stats["evicted"] == 15


def test_strict_route_refuses_or_drops_unknown_parameters(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, dict(COURSES, strict="reject")))
    refused = larder.request("GET", "/api/courses?organization_id=1&evil=1")
    assert refused.status == 400
    assert b"evil" in refused.body
    assert flask_app.count("courses") == 0


def test_head_on_an_answer_that_may_not_be_shared(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "r", "match": "GET /no-store",
                                               "ttl": "1h"}))
    for _ in range(3):
        answer = larder.request("HEAD", "/no-store")
        assert answer.status == 200 and answer.body == b""
    assert larder.request("GET", "/no-store").status == 200


def test_an_object_over_the_limit_streams_and_is_not_stored(larder_factory, flask_app):
    """Whether its length is announced or found out in the middle."""
    larder = larder_factory(config(flask_app, {"name": "d", "match": "GET /download/*", "ttl": "1h"},
                                   {"name": "s", "match": "GET /stream", "ttl": "1h",
                                    "max_object_bytes": 100},
                                   cache={"max_object_bytes": "1MiB"}))
    assert len(larder.request("GET", "/download/2000000").body) == 2000000
    whole = b"".join(b"line %d\n" % i for i in range(50))
    for _ in range(2):
        assert larder.request("GET", "/stream").body == whole
    assert larder.stats()["totals"]["refused_too_large"] == 3, "each time it is tried anew"
    assert larder.stats()["totals"]["stored"] == 0
    assert larder.stats()["cache"]["entries"] <= 2, "the markers alone"


def test_a_chunked_post_is_keyed_like_any_other(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "q", "match": "POST /query", "ttl": "1h",
                                               "key": ["json.a"]}))
    larder.request("POST", "/query", body='{"a":1}')
    answer = larder.raw(b"POST /query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                        b"Connection: close\r\n\r\n", b'3\r\n{"a\r\n', b'4\r\n":1}\r\n0\r\n\r\n')
    assert b"larder; hit" in answer
    bad = larder.raw(b"POST /query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert bad.startswith(b"HTTP/1.1 400 ")
    assert flask_app.count("query") == 1


def test_clients_that_leave_in_the_middle_harm_nobody(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "d", "match": "GET /download/*",
                                               "ttl": "1h"}))
    larder.request("GET", "/download/3000000")
    for path in ("/download/3000000", "/stream", "/download/90000000"):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", larder.public_port)) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                s.recv(10)
    assert len(larder.request("GET", "/download/3000000").body) == 3000000
    larder.wait_until(lambda: larder.counter("totals.active") == 0)


def test_keys_from_path_header_cookie_and_form(larder_factory, flask_app):
    larder = larder_factory(config(
        flask_app,
        {"name": "e", "match": "GET /echo/{id}", "ttl": "1h",
         "key": ["path.id", "header.X-Org", "cookie.org"]},
        {"name": "f", "match": "POST /query", "ttl": "1h", "key": ["form.user", "form.role"]}))

    def is_hit(answer):
        return "larder; hit" in answer.headers["Cache-Status"]

    def get(path, org, cookie):
        return larder.request("GET", path, headers={"X-Org": org, "Cookie": f"org={cookie}"})
    assert not is_hit(get("/echo/a", "1", "z"))
    assert is_hit(get("/echo/a", "1", "z"))
    for other in (("/echo/b", "1", "z"), ("/echo/a", "2", "z"), ("/echo/a", "1", "y")):
        assert not is_hit(get(*other))

    def post(body):
        return larder.request("POST", "/query", body=body, headers={
            "Content-Type": "application/x-www-form-urlencoded"})
    assert not is_hit(post("user=ann&role=x"))
    assert is_hit(post("other=1&role=x&user=%61nn"))
    assert not is_hit(post("user=ann&role=y"))


def test_byte_budget_of_a_route_is_kept(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, dict(COURSES, max_bytes="16KiB")))
    for i in range(60):
        larder.request("GET", f"/api/courses?organization_id={i}")
        assert larder.stats()["routes"]["courses"]["bytes"] <= 16 * 1024
    assert larder.stats()["routes"]["courses"]["evicted"] > 0
