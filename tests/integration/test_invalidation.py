"""What an invalidation names goes, whatever it is called by; and nothing else."""
import json

import pytest

from test_caching import config

COURSES = {"name": "courses", "match": "GET /api/courses", "ttl": "1h",
           "key": ["query.organization_id", "query.semester"],
           "tags": ["org:{query.organization_id}", "courses"]}
ROOMS = {"name": "rooms", "match": "GET /api/rooms", "ttl": "1h",
         "tags": [{"tag": "room:{response./rooms/*/id}", "max": 5}, "school"]}
ROOM = {"name": "room", "match": "GET /api/rooms/{id}", "key": ["path.id"], "ttl": "1h"}
TAGGED = {"name": "tagged", "match": "GET /tagged/*", "ttl": "1h"}

FILL = ["/api/courses?organization_id=1&semester=1", "/api/courses?organization_id=1&semester=2",
        "/api/courses?organization_id=2&semester=1", "/api/rooms", "/api/rooms?n=2",
        "/api/rooms/17", "/api/rooms/18"]


@pytest.fixture
def larder(larder_factory, school_app):
    return larder_factory(config(school_app, COURSES, ROOMS, ROOM, TAGGED))


def fill(larder, paths=FILL):
    for path in paths:
        larder.request("GET", path)


def misses(larder, paths=FILL):
    """Which of the paths are no hits any more."""
    return [n for n, path in enumerate(paths)
            if "hit;" not in larder.request("GET", path).headers["Cache-Status"]]


@pytest.mark.parametrize("selector, gone", [
    ({"key": "courses:organization_id=1:semester=2"}, [1]),
    ({"url": "/api/courses?semester=1&organization_id=1"}, [0]),
    ({"url": "/api/rooms"}, [3, 4]), ({"url": "/api/rooms?n=2"}, [4]),
    ({"url": "http://any/api/rooms/17"}, [5]),
    ({"path": "/api/rooms/{id}"}, [5, 6]), ({"path": "/api/rooms/*"}, [5, 6]),
    ({"path": "/api/*"}, [0, 1, 2, 3, 4, 5, 6]), ({"path": "/api/rooms/18"}, [6]),
    ({"glob": "courses:organization_id=1:*"}, [0, 1]), ({"glob": "room:*"}, [5, 6]),
    ({"tag": "org:1"}, [0, 1]), ({"tag": "courses"}, [0, 1, 2]), ({"tag": "org:9"}, []),
    ({"tags": ["org:2", "room:3"]}, [2, 3]), ({"tag": "room:2"}, [3, 4]),
    ({"all_of": ["org:1", "courses"]}, [0, 1]), ({"all_of": ["org:1", "school"]}, []),
    ({"all_of": ["room:3", "school"]}, [3]),
    ({"route": "rooms"}, [3, 4]), ({"route": "room", "params": {"id": "17"}}, [5]),
    ({"route": "courses", "params": {"organization_id": 1}}, [0, 1]),
    ({"route": "courses", "params": {"organization_id": "1", "semester": 2}}, [1]),
    ({"all": True}, [0, 1, 2, 3, 4, 5, 6])])
def test_an_invalidation_takes_what_it_names(larder, selector, gone):
    fill(larder)
    dry = larder.invalidate(dry_run=True, **selector)
    assert (dry["matched"], misses(larder)) == (len(gone), [])
    answer = larder.invalidate(**selector)
    assert (answer["removed"], answer["exact"]) == (len(gone), True)
    assert len(answer["keys"]) == len(gone) and answer["id"].startswith("inv-")
    assert misses(larder) == gone
    assert misses(larder) == []


def test_all_variants_go_with_their_key(larder):
    path = "/api/courses?organization_id=1"
    for language in ("de", "hi", "en"):
        larder.request("GET", path, headers={"X-Lang": language})
    assert larder.invalidate(key="courses:organization_id=1:semester")["removed"] == 3
    assert larder.stats()["cache"]["entries"] <= 1  # the marker that names the fields


def test_the_keys_come_by_pages(larder):
    fill(larder)
    assert len(larder.invalidate(all=True, dry_run=True, limit=3)["keys"]) == 3
    assert larder.invalidate(all=True, dry_run=True, limit=0)["keys"] == []


@pytest.mark.parametrize("headers, path, gone", [
    ({"xkey": "org:1 room:3"}, "/", [0, 1, 3]), ({"Surrogate-Key": "org:2"}, "/", [2]),
    ({}, "/api/rooms", [3, 4]), ({}, "/api/rooms?n=2", [4]), ({}, "/api/rooms/17", [5])])
def test_purge_as_varnishs_tools_speak_it(larder, headers, path, gone):
    fill(larder)
    answer = larder.control("PURGE", path, headers=headers)
    assert (answer.status, answer.json()["removed"]) == (200, len(gone))
    assert misses(larder) == gone


def test_purge_on_the_public_listener_only_where_control_is_mounted(larder_factory, school_app):
    closed = larder_factory(config(school_app, ROOM))
    fill(closed, ["/api/rooms/17"])
    assert closed.request("PURGE", "/api/rooms/17").status == 405, "the app answers it"
    mounted = larder_factory(config(school_app, ROOM, control={
        "listen": "127.0.0.1:0", "mount": True, "token": "sesame-open", "allow": []}))
    fill(mounted, ["/api/rooms/17"])
    assert mounted.request("PURGE", "/api/rooms/17").status == 401
    assert misses(mounted, ["/api/rooms/17"]) == []
    right = {"Authorization": "Bearer sesame-open"}
    assert mounted.request("PURGE", "/api/rooms/17", headers=right).json()["removed"] == 1


@pytest.mark.parametrize("field, value, tag", [
    ("Surrogate-Key", "a b", "b"), ("xkey", "a b", "a"), ("Cache-Tag", "one tag,other", "one tag"),
    ("Cache-Groups", "\"a group\", \"b\"", "a group")])
def test_fields_of_the_answer_are_tags(larder, school_app, field, value, tag):
    import urllib.parse
    path = f"/tagged/x?{field}=" + urllib.parse.quote(value)
    fill(larder, [path])
    assert larder.invalidate(tag="none")["removed"] == 0
    assert larder.invalidate(tag=tag)["removed"] == 1
    assert school_app.count("tagged-x") == 1


def test_beyond_its_number_a_coarse_tag_stands_for_all(larder):
    fill(larder, ["/api/rooms?n=6", "/api/rooms?n=5"])
    entry = larder.control("GET", "/api/cache/entry?url=/api/rooms?n=6").json()
    assert sorted(entry["variants"][0]["tags"]) == ["room:*", "school"]
    assert larder.invalidate(tag="room:6")["removed"] == 1
    fill(larder, ["/api/rooms?n=6"])
    assert larder.invalidate(all_of=["school", "room:77"])["removed"] == 1
    fill(larder, ["/api/rooms?n=6"])
    assert larder.invalidate(tag="room:5")["removed"] == 2


def test_an_answer_with_too_many_tags_is_served_and_told_not_stored(larder_factory, school_app):
    larder = larder_factory(config(school_app, TAGGED, cache={"max_tags": 10}))
    path = "/tagged/x?xkey=" + "+".join(f"t{i}" for i in range(20))
    for _ in range(2):
        answer = larder.request("GET", path)
        assert answer.status == 200 and "too-many-tags" in answer.headers["Cache-Status"]
    assert larder.counter("routes.tagged.refused")["too-many-tags"] == 2


def test_soft_is_stale_where_there_is_a_window_and_gone_where_there_is_none(larder_factory,
                                                                           school_app):
    larder = larder_factory(config(school_app, dict(COURSES, stale_while_revalidate="1h"), ROOM))
    fill(larder)
    school_app.request("POST", "/bump/courses-1")
    answer = larder.invalidate(tag="org:1")
    assert (answer["mode"], answer["stale"], answer["removed"]) == ("soft", 2, 0)
    stale = larder.request("GET", FILL[0])
    assert stale.json()["version"] == 0 and "stale-while" in stale.headers["Cache-Status"]
    larder.wait_until(lambda: larder.request("GET", FILL[0]).json()["version"] == 1)
    assert larder.invalidate(tag="org:1", mode="hard")["removed"] == 2
    assert larder.invalidate(path="/api/rooms/{id}", mode="soft")["removed"] == 2


def test_refresh_fetches_again_what_was_hot_hottest_first_within_a_budget(larder, school_app):
    fill(larder)
    for _ in range(5):
        larder.request("GET", FILL[5])
    for _ in range(2):
        larder.request("GET", FILL[2])
    job = larder.invalidate(all=True, refresh={"max": 2})["refresh_job"]
    larder.wait_until(lambda: larder.control("GET", f"/api/cache/jobs/{job}").json()["state"] ==
                      "done")
    items = larder.control("GET", f"/api/cache/jobs/{job}").json()["items"]
    assert [i["url"] for i in items] == [FILL[5], FILL[2]]
    assert misses(larder) == [0, 1, 3, 4, 6]


def test_a_fetch_from_before_an_invalidation_of_its_own_tag_is_not_shared(larder, school_app):
    """The tag is known only once the answer is there: who asked after the invalidation waits for
    the same fetch, and must not get it."""
    path = "/tagged/x?xkey=late&gate=g"
    early = larder.start("GET", path)
    larder.wait_until(lambda: school_app.count("tagged-x") == 1)
    school_app.request("POST", "/bump/tagged-x")
    assert larder.invalidate(tag="late")["removed"] == 0
    late = larder.start("GET", path)
    larder.wait_for_counter("totals.coalesced_waiting", 1)
    school_app.hold("g").open()
    assert early.result().json()["version"] == 0
    assert late.result().json()["version"] == 1
    assert larder.request("GET", path).json()["version"] == 1


@pytest.mark.parametrize("body", [
    {"tag": ""}, {"tags": []}, {"all_of": ["a"] * 9}, {"route": "courses", "params": {"x": 1}},
    {"url": "api"}, {"path": "api"}, {"tag": "a", "key": "b"}, {"all": True, "mode": "warm"},
    {"all": True, "limit": 5000}, {"all": True, "refresh": {"max": 0}}, {"all": False}])
def test_wrong_selectors_are_refused_and_nothing_goes(larder, body):
    fill(larder)
    answer = larder.control("POST", "/api/cache/invalidate", body=json.dumps(body))
    assert answer.status == 400, answer.body
    assert misses(larder) == []


def test_a_url_takes_all_that_is_kept_under_it_where_more_goes_into_the_key(larder_factory,
                                                                            school_app):
    larder = larder_factory(config(
        school_app, {**ROOM, "key": ["path.id", "query.n", "header.X-Tenant"]},
        {"name": "hosts", "match": "GET /tagged/*", "ttl": "1h", "key_host": True}))

    def ask(path, **headers):
        return "hit;" in larder.request("GET", path, headers=headers).headers["Cache-Status"]
    rooms = [("/api/rooms/1?n=1", {"X-Tenant": "a"}), ("/api/rooms/1?n=1", {"X-Tenant": "b"}),
             ("/api/rooms/2?n=1", {"X-Tenant": "a"})]
    hosts = [("/tagged/x?n=1", {"Host": "a.test"}), ("/tagged/x?n=1", {"Host": "b.test"}),
             ("/tagged/y?n=1", {"Host": "a.test"})]
    for group, url in ((rooms, "/api/rooms/1?n=1"), (hosts, "/tagged/x?n=1")):
        for path, headers in group:
            ask(path, **headers)
        assert larder.invalidate(url=url)["removed"] == 2
        assert [ask(path, **headers) for path, headers in group] == [False, False, True]


def test_a_value_longer_than_any_key_takes_nothing(larder):
    fill(larder)
    answer = larder.invalidate(route="courses", params={"organization_id": "x" * 9000})
    assert (answer["removed"], misses(larder)) == (0, [])


def test_all_of_tags_that_many_coarse_ones_may_stand_for_is_refused(larder_factory, school_app):
    routes = [{"name": f"r{i}", "match": f"GET /r{i}", "ttl": "1h",
               "tags": ["room:" + "abcdefgh"[:i] + "{response./rooms/*/id}"]} for i in range(9)]
    larder = larder_factory(config(school_app, ROOMS, *routes))
    fill(larder, ["/api/rooms"])
    body = json.dumps({"all_of": [f"room:abcdefgh{i}" for i in range(3)]})
    refused = larder.control("POST", "/api/cache/invalidate", body=body)
    assert refused.status == 400 and "name fewer" in refused.json()["detail"]
    assert misses(larder, ["/api/rooms"]) == []
    assert larder.invalidate(all_of=["room:1", "school"])["removed"] == 1


@pytest.mark.parametrize("mood", [
    {"body": "<rooms/>", "headers": {"Content-Type": "text/xml"}},
    {"body": '{"rooms": [', "headers": {}}, {"body": "[]", "headers": {"Content-Encoding": "br"}}])
def test_an_answer_whose_values_cannot_be_read_bears_the_coarse_tag(larder_factory, moody_app, mood):
    larder = larder_factory(config(moody_app, {
        "name": "thing", "match": "GET /thing/{id}", "key": ["path.id"], "ttl": "1h",
        "json_errors": "store", "tags": ["room:{response./rooms/*/id}"]}))
    moody_app.mood("a", **mood)
    assert "stored" in larder.request("GET", "/thing/a").headers["Cache-Status"]
    assert larder.invalidate(tag="other:1")["removed"] == 0
    assert larder.invalidate(tag="room:17")["removed"] == 1


def test_a_url_takes_answers_to_other_methods_too(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, {"name": "e", "match": "GET,POST /echo",
                                               "ttl": "1h"}))
    post = {"body": '{"a": 1}', "headers": {"Content-Type": "application/json"}}
    for _ in range(2):
        larder.request("GET", "/echo?n=1")
        answer = larder.request("POST", "/echo?n=1", **post)
    assert "hit" in answer.headers["Cache-Status"]
    assert larder.invalidate(url="/echo?n=1")["removed"] == 2
