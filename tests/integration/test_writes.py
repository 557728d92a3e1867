"""Who has written reads what he wrote, at once; and a failed write takes nothing back."""
import concurrent.futures
import json
import random
import threading
import time

import pytest

from test_caching import config
from test_invalidation import COURSES, ROOM, ROOMS, TAGGED, misses

WRITES = {"name": "room-writes", "match": "PUT,DELETE /api/rooms/{id}",
          "on_write": {"tags": ["room:{path.id}"], "keys": ["room:id={path.id}"]}}
COURSE_WRITES = {"name": "course-writes", "match": "POST /api/courses",
                 "on_write": {"routes": [{"route": "courses",
                                          "params": {"organization_id": "{json.organization_id}"}}]}}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def larder(larder_factory, school_app):
    return larder_factory(config(school_app, COURSES, ROOMS, ROOM, TAGGED, WRITES, COURSE_WRITES))


def versions(larder, *paths):
    return [larder.request("GET", path).json()["version"] for path in paths]


def test_a_write_is_read_at_once_in_the_item_and_in_the_lists_that_show_it(larder):
    paths = ["/api/rooms/2", "/api/rooms/3", "/api/rooms", "/api/rooms?n=1"]
    assert versions(larder, *paths) == [0, 0, 0, 0]
    assert larder.request("PUT", "/api/rooms/2", body="{}", headers=JSON).status == 200
    assert versions(larder, *paths) == [1, 0, 1, 0], "room 2 is not in the list of one"
    assert larder.counter("routes.room-writes.writes") == 1
    assert larder.counter("routes.room-writes.write_removed") == 2


@pytest.mark.parametrize("status", [400, 404, 409, 500, 503])
def test_a_failed_write_takes_nothing_back(larder, status):
    paths = ["/api/rooms/2", "/api/rooms"]
    versions(larder, *paths)
    assert larder.request("PUT", f"/api/rooms/2?fail={status}", body="{}").status == status
    assert misses(larder, paths) == []


def test_values_come_from_the_body_and_other_organisations_keep_theirs(larder):
    paths = [f"/api/courses?organization_id={o}&semester={s}" for o in (1, 2) for s in (1, 2)]
    versions(larder, *paths)
    larder.request("POST", "/api/courses", body='{"organization_id": 1}', headers=JSON)
    assert misses(larder, paths) == [0, 1]


@pytest.mark.parametrize("body", ['{"other": 1}', "no json", ""])
def test_a_missing_value_widens_what_is_taken_back(larder, body):
    paths = [f"/api/courses?organization_id={o}" for o in (1, 2)]
    versions(larder, *paths)
    larder.request("POST", "/api/courses", body=body, headers=JSON)
    assert misses(larder, paths) == [0, 1]
    assert larder.counter("routes.course-writes.write_widened") == 1


def test_a_body_too_large_to_be_read_widens_too(larder_factory, school_app):
    larder = larder_factory(config(school_app, COURSES, COURSE_WRITES,
                                   limits={"key_body_bytes": 100}))
    paths = [f"/api/courses?organization_id={o}" for o in (1, 2)]
    versions(larder, *paths)
    body = json.dumps({"organization_id": 1, "text": "x" * 300000})
    answer = larder.request("POST", "/api/courses", body=body, headers=JSON)
    assert answer.json()["version"] == 1, "the app got all of it"
    assert misses(larder, paths) == [0, 1]


def test_a_write_without_a_rule_takes_back_its_target_and_locations(larder_factory, school_app):
    """RFC 9111 section 4.4."""
    larder = larder_factory(config(school_app, COURSES, ROOMS, ROOM))
    paths = ["/api/rooms/2", "/api/rooms/3", "/api/rooms", "/api/courses?organization_id=1"]
    versions(larder, *paths)
    larder.request("PUT", "/api/rooms/2", body="{}", headers=JSON)
    assert misses(larder, paths) == [0]
    host = f"127.0.0.1:{larder.public_port}"
    larder.request("POST", f"/api/courses?Location=http://{host}/api/rooms/3", body="{}",
                   headers=JSON)
    assert misses(larder, paths) == [1, 3]
    larder.request("POST", "/api/courses?Content-Location=/api/rooms", body="{}", headers=JSON)
    assert misses(larder, paths) == [2, 3]
    larder.request("POST", "/bump/x?Location=http://elsewhere/api/rooms/3", body="{}")
    assert misses(larder, paths) == []


def test_the_app_names_groups_to_take_back(larder):
    """RFC 9875, Cache-Group-Invalidation."""
    paths = ["/tagged/a?Cache-Groups=%22g1%22", "/tagged/b?Cache-Groups=%22g2%22"]
    versions(larder, *paths)
    larder.request("POST", "/api/courses?Cache-Group-Invalidation=%22g1%22",
                   body='{"organization_id": 7}', headers=JSON)
    assert misses(larder, paths) == [0]


def test_a_fetch_that_a_write_overtook_is_not_stored(larder, school_app):
    early = larder.start("GET", "/api/rooms/2?gate=g")
    larder.wait_until(lambda: school_app.count("room-2") == 1)
    larder.request("PUT", "/api/rooms/2", body="{}", headers=JSON)
    school_app.hold("g").open()
    assert early.result().json()["version"] == 0
    assert versions(larder, "/api/rooms/2") == [1]


def test_no_request_sees_what_an_acknowledged_write_or_invalidation_took_back(larder_factory,
                                                                              school_app):
    """Readers, writers and invalidations over two workers: what a reader gets is never older than
    what had been acknowledged when it asked."""
    larder = larder_factory(config(school_app, COURSES, ROOMS, ROOM, TAGGED, WRITES, workers=2))
    seen, lock, wrong = {}, threading.Lock(), []
    tagged = [f"/tagged/{n}?xkey=own:{n}" for n in range(3)]
    end = time.monotonic() + 6

    def acknowledged(name, version):
        with lock:
            seen[name] = max(seen.get(name, 0), version)

    def read(rng):
        name, path = rng.choice([(f"room-{n}", f"/api/rooms/{n}") for n in range(3)] +
                                [(f"tagged-{n}", tagged[n]) for n in range(3)])
        least = seen.get(name, 0)
        version = larder.request("GET", path).json()["version"]
        if version < least:
            wrong.append((path, version, least))

    def write(rng):
        n = rng.randrange(3)
        answer = larder.request("PUT", f"/api/rooms/{n}", body="{}", headers=JSON)
        acknowledged(f"room-{n}", answer.json()["version"])

    def invalidate(rng):
        n = rng.randrange(3)
        version = school_app.request("POST", f"/bump/tagged-{n}").json()["version"]
        larder.invalidate(**rng.choice([{"tag": f"own:{n}"}, {"url": f"/tagged/{n}"},
                                        {"glob": f"tagged:/tagged/{n}*"},
                                        {"all_of": [f"own:{n}", "route:tagged"]},
                                        {"path": "/tagged/{x}"}, {"all": True}]))
        acknowledged(f"tagged-{n}", version)

    def work(n):
        rng = random.Random(n)
        while time.monotonic() < end:
            (write if n == 0 else invalidate if n == 1 else read)(rng)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert not wrong
    assert larder.counter("totals.hits") > 0 and sum(seen.values()) > 20


def test_a_write_takes_back_its_target_for_all_whose_key_holds_more_than_the_url(larder_factory,
                                                                                  school_app):
    larder = larder_factory(config(
        school_app, {**ROOM, "key": ["path.id", "header.X-Tenant"]},
        {"name": "room-writes", "match": "PUT /api/rooms/{id}",
         "on_write": {"tags": ["room:{path.id}"]}}))
    ask = lambda room, tenant: larder.request(
        "GET", f"/api/rooms/{room}", headers={"X-Tenant": tenant}).json()["version"]
    assert [ask(1, "a"), ask(1, "b"), ask(2, "a")] == [0, 0, 0]
    larder.request("PUT", "/api/rooms/1", body="{}", headers=JSON)
    assert [ask(1, "a"), ask(1, "b"), ask(2, "a")] == [1, 1, 0]


def test_more_combinations_than_are_looked_at_singly_take_back_the_whole_route(larder_factory,
                                                                               school_app):
    larder = larder_factory(config(
        school_app, COURSES, ROOM, {
            "name": "writes", "match": "PUT /api/rooms/{id}", "on_write": {
                "tags": ["pair:{json.o}:{json.s}"],
                "routes": [{"route": "courses", "params": {"organization_id": "{json.o}",
                                                           "semester": "{json.s}"}}]}}))
    paths = [f"/api/courses?organization_id={o}&semester=1" for o in (1, 2, 999)]
    paths.append("/api/rooms/9")
    for many, gone in ((2, [0]), (10, [0, 1]), (3000, [0, 1, 2])):
        versions(larder, *paths)
        body = {"o": [*range(many)], "s": [*range(many)]}
        larder.request("PUT", "/api/rooms/1", body=json.dumps(body), headers=JSON)
        assert misses(larder, paths) == gone
    assert larder.counter("routes.writes.write_widened") == 1


@pytest.mark.parametrize("ids, gone", [
    ([1, "2"], [0, 1]), ([], [0, 1, 2]), (3, [2]), ("3", [2]), (None, [0, 1, 2]),
    ({"a": 1}, [0, 1, 2]), ([1, {"a": 1}], [0, 1, 2]), (["1", None], [0]), ("x" * 9000, [0, 1, 2]),
    (["1", "\n"], [0, 1, 2])])
def test_a_list_in_the_body_is_as_many_values_and_what_is_none_widens(larder_factory, school_app,
                                                                      ids, gone):
    larder = larder_factory(config(
        school_app, {**ROOM, "tags": ["room:{path.id}"]}, {
            "name": "bulk", "match": "POST /api/courses", "on_write": {
                "tags": ["room:{json.ids}"]}}))
    paths = [f"/api/rooms/{n}" for n in (1, 2, 3)]
    versions(larder, *paths)
    larder.request("POST", "/api/courses", body=json.dumps({"ids": ids}), headers=JSON)
    assert misses(larder, paths) == gone
