"""Old control paths: what five apps told at theirs larder tells in the same shapes, to the letter."""
import concurrent.futures
import datetime
import json
import re

import pytest

from support.larder import BINARY
from test_caching import config

UUID = "8d1f1c36-4a52-4a6e-9b1c-5f1f6c2b7a10"
KINDS = ["courses", "faculty", "rooms", "students", "time_slots", "config", "departments"]


def resource(name, ttl="30m", *labels, **more):
    return dict({"name": name, "match": f"GET /api/{name}", "ttl": ttl,
                 "key": ["query.organization_id", *[f"query.{label}" for label in labels]],
                 "tags": ["org:{query.organization_id}"]}, **more)


TIMETABLE = [resource("courses", "1800s", "semester"), *[resource(k, "1h") for k in KINDS[1:]]]
INVALIDATE = [
    {"on": "POST /api/cache/invalidate", "do": "invalidate", "open": True,
     "expect": {"json.resource_type": [*KINDS, "all"]}, "when": {"json.resource_type": "all"},
     "with": {"tag": "org:${json.organization_id}"},
     "reply": {"status": "success", "message": "all cache invalidated",
               "organization_id": "${json.organization_id}"}},
    {"on": "POST /api/cache/invalidate", "do": "invalidate", "open": True,
     "expect": {"json.resource_type": KINDS},
     "with": {"route": "${json.resource_type}",
              "params": {"organization_id": "${json.organization_id}",
                         "semester": "${json.semester?}"}},
     "reply": {"status": "success", "message": "${json.resource_type} cache invalidated",
               "organization_id": "${json.organization_id}"}}]
STATS = {"on": "GET /api/cache/stats", "do": "stats", "open": True,
         "with": {"organization_id": "${query.organization_id?}"},
         "reply": {"status": "success",
                   "stats": {"memory_cache_size": "${entries}",
                             "redis_available": "${redis.available}",
                             "redis_keys": "${redis.keys}", "redis_hits": "${hits}",
                             "redis_misses": "${misses}", "redis_hit_rate": "${hit_ratio|3}"},
                   "timestamp": "${now|utc}"}}
WARM = {"on": "POST /api/cache/warm", "do": "warm", "open": True,
        "with": [{"route": kind, "params": {"organization_id": "${json.organization_id}"}}
                 for kind in ("config", "departments")],
        "reply": {"status": "success", "message": "Cache warmed successfully",
                  "result": {"config": "${result.config}",
                             "departments": "${result.departments}"}}}


def start(larder_factory, app, routes, *aliases, **more):
    return larder_factory(config(app, *routes, aliases=list(aliases), **more))


def post(larder, path, body=None, **headers):
    return larder.request("POST", path, headers=headers,
                          body=json.dumps(body) if isinstance(body, (dict, list)) else body)


def get(larder, path, times=1, **headers):
    for _ in range(times):
        answer = larder.request("GET", path, headers=headers)
        assert answer.status == 200, answer.body
    return answer


def text(answer, status=200):
    """The JSON as it is written: 75.0 is not 75."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    return answer.body.decode().rstrip("\n")


def problem(answer, status, *parts):
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert all(part in answer.json()["detail"] for part in parts), answer.body


def is_cached(larder, path):
    return "hit" in larder.request("GET", path).headers["Cache-Status"]


# --- attendance ---

def test_attendance_tells_its_health_and_clears_all(larder_factory, legacy_app):
    """000-04, 000-05, 000-14: counts are integers, the time is local, with microseconds."""
    routes = [{"name": n, "match": f"GET /{n}", "ttl": "6h", "key": ["query.student"],
               "identity": "none"} for n in ("attendance", "dateWise", "tilldate")]
    larder = start(
        larder_factory, legacy_app, routes,
        {"on": "GET /health", "do": "stats", "open": True,
         "reply": {"status": "healthy",
                   "message": "API is running with 6-hour caching for Heroku optimization",
                   "cache_info": {"attendance_cache_entries": "${route.attendance.entries}",
                                  "datewise_cache_entries": "${route.dateWise.entries}",
                                  "tilldate_cache_entries": "${route.tilldate.entries}",
                                  "cache_duration_hours": "${route.attendance.ttl|h|0}",
                                  "server_time": "${now|local}"}}},
        {"on": "POST /clear-cache", "do": "invalidate", "open": True, "with": {"all": True},
         "reply": {"message": "Cache cleared", "entries": "${removed}"}})
    for name, count in (("attendance", 3), ("dateWise", 2)):
        for student in range(count):
            get(larder, f"/{name}?student={student}")
    before = datetime.datetime.now()
    told = text(get(larder, "/health"))
    assert re.fullmatch(
        r'{"status":"healthy","message":"API is running with 6-hour caching for Heroku '
        r'optimization","cache_info":{"attendance_cache_entries":3,"datewise_cache_entries":2,'
        r'"tilldate_cache_entries":0,"cache_duration_hours":6,'
        r'"server_time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"}}', told)
    then = datetime.datetime.fromisoformat(json.loads(told)["cache_info"]["server_time"])
    assert before <= then <= datetime.datetime.now()
    assert text(post(larder, "/clear-cache")) == '{"message":"Cache cleared","entries":5}'
    assert larder.stats()["cache"]["entries"] == 0
    assert legacy_app.count("health") == 0


@pytest.mark.parametrize("zone, hours", [("Asia/Kolkata", 5.5), ("UTC", 0)])
def test_local_time_is_that_of_larders_zone(larder_factory, legacy_app, zone, hours):
    alias = {"on": "GET /now", "do": "stats", "open": True,
             "reply": {"local": "${now|local}", "utc": "${now|utc}", "plain": "at ${now}"}}
    larder = larder_factory(config(legacy_app, aliases=[alias]), BINARY, {"TZ": zone})
    told = get(larder, "/now").json()
    local, utc = (datetime.datetime.fromisoformat(told[n].rstrip("Z")) for n in ("local", "utc"))
    assert (local.replace(microsecond=0) - utc) == datetime.timedelta(hours=hours)
    assert told["plain"] == "at " + told["utc"]


# --- timetable ---

def test_timetable_invalidates_a_kind_of_one_organisation(larder_factory, legacy_app):
    """001-14 to 001-18: with a semester only that; without, all of them; all: the organisation."""
    larder = start(larder_factory, legacy_app, TIMETABLE, *INVALIDATE)
    courses = [f"/api/courses?organization_id={org}&semester={n}" for org in (UUID, "b")
               for n in (1, 2)]
    rooms = [f"/api/rooms?organization_id={org}" for org in (UUID, "b")]

    def fill():
        for path in courses + rooms:
            get(larder, path)

    def gone():
        return [path for path in courses + rooms if not is_cached(larder, path)]
    fill()
    answer = post(larder, "/api/cache/invalidate",
                  {"organization_id": UUID, "resource_type": "courses", "semester": 1})
    assert text(answer) == (
        '{"status":"success","message":"courses cache invalidated","organization_id":"%s"}' % UUID)
    assert gone() == courses[:1]
    post(larder, "/api/cache/invalidate", {"organization_id": UUID, "resource_type": "courses"})
    assert gone() == courses[:2]
    post(larder, "/api/cache/invalidate",
         {"organization_id": UUID, "resource_type": "courses", "semester": None})
    assert gone() == courses[:2]
    # rooms know no semester: it is left out
    post(larder, "/api/cache/invalidate",
         {"organization_id": UUID, "resource_type": "rooms", "semester": 2})
    assert gone() == rooms[:1]
    answer = post(larder, "/api/cache/invalidate", {"organization_id": UUID, "resource_type": "all"})
    assert answer.json()["message"] == "all cache invalidated"
    assert gone() == courses[:2] + rooms[:1]


def test_timetable_tells_an_organisations_figures(larder_factory, legacy_app):
    """001-19, 001-44: a share with three decimals, of that organisation; Redis is away."""
    larder = start(larder_factory, legacy_app, TIMETABLE, STATS)
    get(larder, f"/api/courses?organization_id={UUID}&semester=1", 7)
    get(larder, "/api/rooms?organization_id=b", 2)
    told = text(get(larder, f"/api/cache/stats?organization_id={UUID}"))
    assert re.fullmatch(
        r'{"status":"success","stats":{"memory_cache_size":1,"redis_available":false,'
        r'"redis_keys":0,"redis_hits":6,"redis_misses":1,"redis_hit_rate":0.857},'
        r'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"}', told)
    everybody = get(larder, "/api/cache/stats").json()["stats"]
    assert (everybody["memory_cache_size"], everybody["redis_hits"]) == (2, 7)
    nobody = text(get(larder, "/api/cache/stats?organization_id=nobody"))
    assert '"redis_hits":0,"redis_misses":0,"redis_hit_rate":0.000' in nobody  # never NaN


def test_timetable_tells_of_redis_and_clears_other_instances(larder_factory, legacy_app, own_redis):
    """001-18, 001-19, 001-27: what one instance clears by its old path, another clears, too."""
    routes = [dict(r, shared="full") for r in TIMETABLE]
    both = [start(larder_factory, legacy_app, routes, STATS, *INVALIDATE, {
        "on": "POST /clear", "do": "invalidate", "open": True, "with": {"all": True},
        "reply": {"replicated": "${replicated}", "matched": "${matched}"}},
        secret="0123456789abcdef", redis={"server": f"127.0.0.1:{own_redis.port}",
                                          "command_timeout": "5s"}) for _ in range(2)]
    for larder in both:
        larder.wait_until(lambda: larder.stats()["redis"]["available"])
    path = "/api/rooms?organization_id=b"
    get(both[0], path)
    both[0].wait_until(lambda: both[0].stats()["redis"]["keys"] >= 1)
    stats = get(both[0], "/api/cache/stats?organization_id=b").json()["stats"]
    assert (stats["redis_available"], stats["redis_keys"]) == (True, 1)
    assert is_cached(both[1], path)
    post(both[0], "/api/cache/invalidate", {"organization_id": "b", "resource_type": "rooms"})
    both[1].wait_for_counter("redis.applied", 1)
    assert not is_cached(both[1], path)
    assert post(both[0], "/clear").json()["replicated"] is True


def test_timetable_is_warmed_and_gets_the_bodies(larder_factory, legacy_app):
    """001-20, 001-21: the answer carries what was warmed, its members in the app's order."""
    larder = start(larder_factory, legacy_app, TIMETABLE, WARM)
    answer = post(larder, "/api/cache/warm", {"organization_id": UUID})
    assert text(answer) == (
        '{"status":"success","message":"Cache warmed successfully","result":{"config":'
        '{"slots_per_day":8,"working_days":6},"departments":["CS","EE","ME"]}}')
    assert is_cached(larder, f"/api/config?organization_id={UUID}")
    again = post(larder, "/api/cache/warm", {"organization_id": UUID})
    assert again.json() == answer.json() and legacy_app.count("config") == 1


def test_a_pattern_of_the_clients_own_is_obeyed(larder_factory, legacy_app):
    """001-22: courses:*"""
    larder = start(larder_factory, legacy_app, TIMETABLE, {
        "on": "POST /api/cache/pattern", "do": "invalidate", "open": True,
        "with": {"glob": "${json.pattern}"}, "reply": {"deleted": "${removed}"}})
    get(larder, "/api/courses?organization_id=1&semester=1")
    get(larder, "/api/rooms?organization_id=1")
    assert text(post(larder, "/api/cache/pattern", {"pattern": "courses:*"})) == '{"deleted":1}'
    assert is_cached(larder, "/api/rooms?organization_id=1")


def test_a_value_within_a_pattern_stays_one_value(larder_factory, legacy_app):
    """Nobody clears another organisation by the name of his own."""
    aliases = [{"on": f"POST /by-{kind}", "do": "invalidate", "open": True,
                "with": {kind: place}, "reply": {"n": "${removed}"}}
               for kind, place in (("glob", "courses:organization_id=${json.o}:*"),
                                   ("key", "courses:organization_id=${json.o}:semester=1"),
                                   ("url", "/api/courses?organization_id=${json.o}&semester=1"),
                                   ("path", "/api/${json.o}"))]
    larder = start(larder_factory, legacy_app, TIMETABLE, *aliases)
    paths = [f"/api/courses?organization_id={org}&semester=1" for org in ("b", "%2A", "a%20%3A%26c")]
    for kind in ("glob", "key", "url"):
        for path in paths:
            get(larder, path)
        assert post(larder, f"/by-{kind}", {"o": "*"}).json() == {"n": 1}
        assert [is_cached(larder, path) for path in paths] == [True, False, True]
        assert post(larder, f"/by-{kind}", {"o": "a :&c"}).json() == {"n": 1}
        assert [is_cached(larder, path) for path in paths] == [True, True, False]
    assert post(larder, "/by-path", {"o": "*"}).json() == {"n": 0}
    assert post(larder, "/by-path", {"o": "courses"}).json() == {"n": 3}


# --- monitoring ---

def test_monitoring_tells_cache_pool_and_times(larder_factory, legacy_app):
    """002-06 to 002-11: percent with one decimal, milliseconds, the speed-up as a text."""
    routes = [{"name": n, "match": f"GET /{p}", "ttl": f"{t}s"} for n, p, t in
              (("current", "metrics/current", 5000), ("summary", "metrics/summary", 10000),
               ("alerts", "alerts/active", 30000))]
    larder = start(
        larder_factory, legacy_app, routes,
        {"on": "GET /performance/cache", "do": "stats", "open": True,
         "reply": {"cache_enabled": True, "total_requests": "${lookups}", "cache_hits": "${hits}",
                   "cache_misses": "${misses}", "hit_rate": "${hit_ratio|percent|1}",
                   "cache_size": "${entries}",
                   "ttl_seconds": {"metrics_current": "${route.current.ttl}",
                                   "metrics_summary": "${route.summary.ttl}",
                                   "alerts": "${route.alerts.ttl}"}}},
        {"on": "GET /performance/connections", "do": "stats", "open": True,
         "reply": {"pool_enabled": True, "max_connections": "${upstream.app.max}",
                   "active_connections": "${upstream.app.active}",
                   "idle_connections": "${upstream.app.idle}",
                   "total_requests": "${upstream.app.requests}",
                   "connection_reuse_rate": "${upstream.app.reuse_ratio|percent|1}"}},
        {"on": "GET /performance/summary", "do": "stats", "open": True,
         "reply": {"cache": {"hit_rate": "${hit_ratio|percent|1}", "total_requests": "${lookups}"},
                   "connections": {"reuse_rate": "${upstream.app.reuse_ratio|percent|1}",
                                   "active": "${upstream.app.active}"},
                   "response_times": {"avg_cached": "${latency.hit.avg|0}",
                                      "avg_uncached": "${latency.miss.avg|0}",
                                      "speedup": "${speedup|1}x"}}},
        workers=1, upstreams={"app": {"server": f"127.0.0.1:{legacy_app.port}", "max": 20,
                                      "idle_timeout": "1m"}})
    empty = text(get(larder, "/performance/summary"))
    assert empty == ('{"cache":{"hit_rate":0.0,"total_requests":0},"connections":{"reuse_rate":0.0,'
                     '"active":0},"response_times":{"avg_cached":0,"avg_uncached":0,'
                     '"speedup":"0.0x"}}')
    for path in ("/metrics/current", "/metrics/summary"):
        get(larder, path, 4)
    get(larder, "/docs")
    assert text(get(larder, "/performance/cache")) == (
        '{"cache_enabled":true,"total_requests":8,"cache_hits":6,"cache_misses":2,"hit_rate":75.0,'
        '"cache_size":2,"ttl_seconds":{"metrics_current":5000,"metrics_summary":10000,'
        '"alerts":30000}}')
    told = text(get(larder, "/performance/connections"))
    assert re.fullmatch(r'{"pool_enabled":true,"max_connections":20,"active_connections":0,'
                        r'"idle_connections":\d+,"total_requests":3,'
                        r'"connection_reuse_rate":\d+\.\d}', told)
    told = text(get(larder, "/performance/summary"))
    assert re.fullmatch(r'{"cache":{"hit_rate":75.0,"total_requests":8},"connections":'
                        r'{"reuse_rate":\d+\.\d,"active":0},"response_times":{"avg_cached":\d+,'
                        r'"avg_uncached":\d+,"speedup":"\d+\.\dx"}}', told)


# --- risk assessment ---

def test_risk_assessment_tells_its_figures(larder_factory, legacy_app):
    """003-04"""
    larder = start(
        larder_factory, legacy_app,
        [{"name": "assess", "match": "GET /api/assess", "ttl": "1h", "max_entries": 1000,
          "key_template": "{query.model}:{query.country}:{query.sector}"}],
        {"on": "GET /api/cache/stats", "do": "stats", "open": True,
         "reply": {"cache_stats": {"hits": "${hits}", "misses": "${misses}",
                                   "total_requests": "${lookups}",
                                   "hit_rate_percent": "${hit_ratio|percent|1}",
                                   "cache_size": "${entries}",
                                   "max_cache_size": "${route.assess.max_entries}",
                                   "ttl_seconds": "${route.assess.ttl}"}}},
        {"on": "POST /api/cache/clear", "do": "invalidate", "open": True, "with": {"all": True},
         "reply": {"success": True, "message": "Cache cleared successfully"}})
    get(larder, "/api/assess?model=oecd&country=USA&sector=C10T12", 4)
    assert text(get(larder, "/api/cache/stats")) == (
        '{"cache_stats":{"hits":3,"misses":1,"total_requests":4,"hit_rate_percent":75.0,'
        '"cache_size":1,"max_cache_size":1000,"ttl_seconds":3600}}')
    assert text(post(larder, "/api/cache/clear")) == (
        '{"success":true,"message":"Cache cleared successfully"}')
    assert get(larder, "/api/cache/stats").json()["cache_stats"]["cache_size"] == 0


# --- school management ---

def test_school_tells_of_its_health_all_that_it_did(larder_factory, legacy_app):
    """004-31, 004-32: whatever GET /api/cache/stats has can be told."""
    larder = start(
        larder_factory, legacy_app,
        [{"name": "students", "match": "GET /students/{class}", "key": ["path.class"],
          "ttl": "1800s"}],
        {"on": "GET /health/scalability", "do": "stats", "open": True,
         "reply": {"status": "healthy",
                   "response_times": {"average": "${latency.all.avg|1}",
                                      "p95": "${latency.all.p95|1}", "p99": "${latency.all.p99|1}"},
                   "pool": {"active": "${upstream.app.active}", "idle": "${upstream.app.idle}",
                            "failed": "${upstream.app.connect_failures}"},
                   "cache": {"hit_rate": "${route.students.hit_ratio|2}",
                             "bytes": "${route.students.bytes}"},
                   "tasks": {"queued": "${jobs.queued}", "done": "${jobs.done}"},
                   "uptime": "${uptime|int}", "version": ["${stats/window}", "${stats/nope}"],
                   "tunnels": "${stats/totals/tunnels/open}",
                   "all": "${stats/totals/saved}", "limits": "${rate_limit.api.refused}"}},
        rate_limits=[{"name": "api", "limits": ["500/1h"]}])
    get(larder, "/students/Grade1", 3)
    told = get(larder, "/health/scalability").json()
    assert told["cache"]["hit_rate"] == 0.67 and told["cache"]["bytes"] > 0
    assert told["response_times"]["p99"] > 0 and told["pool"]["failed"] == 0
    assert told["tasks"] == {"queued": 0, "done": 0} and isinstance(told["uptime"], int)
    assert (told["version"], told["tunnels"], told["limits"]) == (["start", None], 0, 0)
    assert told["all"]["upstream_calls"] == 2


def test_school_reads_an_entry_and_refreshes_it(larder_factory, legacy_app):
    """004-07: one entry can be read, and fetched anew."""
    larder = start(
        larder_factory, legacy_app,
        [{"name": "students", "match": "GET /students/{class}", "key": ["path.class"],
          "ttl": "1800s"}],
        {"on": "PUT /cache/students/{class}", "do": "warm", "open": True,
         "with": {"route": "students", "params": {"class": "${path.class}"}, "refresh": True},
         "reply": {"cached": "${path.class}", "data": "${result.students}",
                   "n": "${result.students/n}"}})
    first = get(larder, "/students/Grade1").json()
    entry = larder.control("GET", "/api/cache/entry?key=students:class=Grade1&body=1").json()
    assert entry["variants"][0]["body"] == first
    told = json.loads(text(larder.request("PUT", "/cache/students/Grade1")))
    assert told["cached"] == "Grade1" and told["n"] == first["n"] + 1 == told["data"]["n"]
    assert get(larder, "/students/Grade1").json() == told["data"]


# --- what a call must bring ---

@pytest.mark.parametrize("body, says", [
    ({"organization_id": "1"}, ["json.resource_type must be", '"courses"', '"departments"']),
    ({"organization_id": "1", "resource_type": "buildings"}, ["json.resource_type must be"]),
    ({"resource_type": "courses"}, ["json.organization_id is missing", "JSON body"]),
    ({"resource_type": "courses", "organization_id": None}, ["json.organization_id is missing"]),
    ({"resource_type": "all"}, ["json.organization_id is missing"]),
    ("", ["json.resource_type must be"]),
    ("{", ["body:1:"]), ("resource_type=all", ["body:1:1"]),
    ("[" * 40 + "]" * 40, ["body:1:"]), ([], ["json.resource_type must be"]),
    ({"resource_type": "courses", "organization_id": {"a": 1}}, ["organization_id"]),
    ({"resource_type": 1, "organization_id": "1"}, ["json.resource_type must be"])])
def test_a_wrong_call_is_told_what_would_be_right(larder_factory, legacy_app, body, says):
    larder = start(larder_factory, legacy_app, TIMETABLE, *INVALIDATE)
    get(larder, "/api/courses?organization_id=1&semester=1")
    problem(post(larder, "/api/cache/invalidate", body), 400, *says)
    assert larder.stats()["cache"]["entries"] == 1


def test_where_no_alias_holds_the_answer_says_which_would(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, [], *[
        {"on": "POST /act", "do": "invalidate", "open": True, "with": {"all": True},
         "when": {"json.what": value, "query.n": [1, "two", True, None]}, "reply": str(value)}
        for value in ("all", 7, False)])
    problem(post(larder, "/act", {"what": "alle"}), 400, 'json.what must be "all", and query.n must '
            'be 1, "two", true or absent; or json.what must be 7')
    for value in ("all", 7, False):
        for query in ("", "?n=1", "?n=two", "?n=true"):
            assert post(larder, "/act" + query, {"what": value}).json() == str(value)
        problem(post(larder, "/act?n=2", {"what": value}), 400, "query.n")
    problem(post(larder, "/act", {"what": "7"}), 400, "json.what must be")


def test_values_come_from_all_parts_of_a_request(larder_factory, legacy_app):
    names = ["path.a", "path.rest", "query.q", "form.f", "header.X-Who", "cookie.c", "query.none?"]
    larder = start(larder_factory, legacy_app, [], {
        "on": "POST,PUT /x/{a}/y/{rest...}", "do": "stats", "open": True,
        "reply": {"lone": {n: "${%s}" % n for n in names}, "in": "<${path.a}|${query.q}>",
                  "list": ["${query.none?}", "${query.q|int}", "${form.f|2}"],
                  "none": "<${query.none?}>", "escape": "$${path.a} costs $5 ${query.q} $", "n": None,
                  "deep": {"e": [], "o": {}, "t": True, "num": 1e3}}})
    answer = larder.request("PUT", "/x/a%20b/y/c/d?q=7&q=8&none", body="f=1.5&g=2", headers={
        "X-Who": "me", "Cookie": "c=crumb; d=e", "Content-Type": "application/x-www-form-urlencoded"})
    assert answer.json() == {
        "lone": {"path.a": "a b", "path.rest": "c/d", "query.q": "7", "form.f": "1.5",
                 "header.X-Who": "me", "cookie.c": "crumb", "query.none?": ""},
        "in": "<a b|7>", "list": ["", 7, 1.5], "none": "<>", "n": None,
        "escape": "${path.a} costs $5 7 $", "deep": {"e": [], "o": {}, "t": True, "num": 1e3}}
    assert '"list":["",7,1.50]' in text(answer)
    problem(post(larder, "/x/a/y/c?q=seven", "f=1"), 400, "header.X-Who is missing", "header")
    headers = {"X-Who": "me", "Cookie": "c=1"}
    problem(post(larder, "/x/a/y/c?q=seven", "f=1", **headers), 400, "query.q must be a number")
    assert larder.request("GET", "/x/a/y/c").status == 200 and legacy_app.count("x/a/y/c") == 1


def test_json_values_keep_their_types(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, [], {
        "on": "POST /echo", "do": "stats", "open": True,
        "reply": {"v": "${json.v}", "text": "<${json.v}>", "opt": "${json.deep.er?}"}})
    for body, told in (
            ('{"v":1.50,"deep":{"er":false}}', '{"v":1.50,"text":"<1.50>","opt":false}'),
            ('{"v":{"b":1,"a":[true,null]}}', '{"v":{"b":1,"a":[true,null]},'
                                              '"text":"<{\\"b\\":1,\\"a\\":[true,null]}>"}'),
            ('{"v":"\\u00e4\\"\\n"}', '{"v":"ä\\"\\n","text":"<ä\\"\\n>"}'),
            ('{"v":false,"deep":1}', '{"v":false,"text":"<false>"}')):
        assert text(post(larder, "/echo", body)) == told


def test_a_body_over_the_limit_is_refused(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, *INVALIDATE)
    problem(post(larder, "/api/cache/invalidate", "x" * (1 << 20) + "xx"), 413, "1 MiB")


def test_a_failed_warming_is_no_success(larder_factory, legacy_app):
    larder = start(
        larder_factory, legacy_app, TIMETABLE, WARM,
        {"on": "POST /try", "do": "warm", "open": True, "with": {"urls": ["/api/departments", "/x"]},
         "reply": {"warmed": "${warmed}", "failed": "${failed}"}})
    legacy_app.mood("departments", status=503)
    problem(post(larder, "/api/cache/warm", {"organization_id": "1"}), 502, "/api/departments", "503")
    assert text(post(larder, "/try")) == '{"warmed":1,"failed":1}'


def test_several_bodies_of_one_route_are_a_list(larder_factory, legacy_app):
    larder = start(
        larder_factory, legacy_app, TIMETABLE + [{"name": "text", "match": "GET /api/text",
                                                  "ttl": "1h"}],
        {"on": "POST /warm", "do": "warm", "open": True,
         "with": {"route": "courses", "params": {"organization_id": "${json.orgs}",
                                                 "semester": [1]}},
         "reply": {"orgs": "${result.courses/organization_id}", "none": "${result.rooms}"}},
        {"on": "POST /text", "do": "warm", "open": True, "with": {"urls": ["/api/text"]},
         "reply": {"text": "${result.text}"}})
    assert text(post(larder, "/warm", {"orgs": ["x", "y"]})) == '{"orgs":["x","y"],"none":null}'
    assert text(post(larder, "/text")) == '{"text":"plain"}'


def test_a_named_job_is_waited_for(larder_factory, legacy_app):
    larder = start(
        larder_factory, legacy_app, TIMETABLE,
        {"on": "POST /warm", "do": "warm", "open": True, "with": {"job": "all"},
         "reply": "${warmed} of ${stats/routes/rooms/entries}"},
        warm=[{"name": "all", "urls": ["/api/rooms?organization_id=1", "/api/config"]}])
    assert post(larder, "/warm").json() == "2 of 1"


def test_without_a_reply_the_canonical_answer_is_told(larder_factory, legacy_app):
    larder = start(
        larder_factory, legacy_app, TIMETABLE,
        {"on": "POST /clear", "do": "invalidate", "open": True, "with": {"all": True}},
        {"on": "GET /stats", "do": "stats", "open": True},
        {"on": "GET /stats/{org}", "do": "stats", "open": True,
         "with": {"organization_id": "${path.org}"}},
        {"on": "GET /tags/{org}", "do": "stats", "open": True,
         "with": {"tag": "org:${path.org}"}})
    get(larder, "/api/rooms?organization_id=b", 3)
    assert get(larder, "/stats").json()["totals"]["hits"] == 2
    assert get(larder, "/stats/b").json()["value"] == "organization_id=b"
    assert get(larder, "/tags/b").json()["hits"] == get(larder, "/stats/b").json()["hits"] == 2
    assert post(larder, "/clear").json()["removed"] == 1


def test_every_call_of_several_is_made(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, {
        "on": "POST /two", "do": "invalidate", "open": True, "status": 202,
        "with": [{"route": "courses", "params": {"organization_id": "${json.o}"}},
                 {"route": "rooms", "params": {"organization_id": "${json.o}"}}],
        "reply": {"matched": "${matched}", "stale": "${stale}", "replicated": "${replicated}"}})
    for kind in ("courses", "rooms", "faculty"):
        get(larder, f"/api/{kind}?organization_id=1")
    assert text(post(larder, "/two", {"o": 1}), 202) == (
        '{"matched":2,"stale":0,"replicated":false}')
    assert larder.stats()["cache"]["entries"] == 1


def test_heads_and_kept_connections(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, STATS, *INVALIDATE)
    head = larder.request("HEAD", "/api/cache/stats")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) > 100
    body = json.dumps({"organization_id": "1", "resource_type": "all"}).encode()
    call = (b"POST /api/cache/invalidate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body))
    ask = b"GET /api/rooms?organization_id=1 HTTP/1.1\r\nHost: a\r\n%b\r\n"
    answers = larder.raw(ask % b"", call, ask % b"", call.replace(b"POST", b"PUT"),
                         call[:60], call[60:], ask % b"Connection: close\r\n")
    assert answers.count(b"HTTP/1.1 200 OK") == 6 and answers.count(b'"status":"success"') == 2
    assert answers.count(b"stored") == 3  # each invalidation was before the next request


def test_calls_by_many_at_once(larder_factory, legacy_app):
    larder = start(larder_factory, legacy_app, TIMETABLE, STATS, WARM, *INVALIDATE, workers=2)

    def one(n):
        kind = n % 4
        if kind == 0:
            return get(larder, "/api/cache/stats").status
        if kind == 1:
            return post(larder, "/api/cache/warm", {"organization_id": str(n)}).status
        if kind == 2:
            return get(larder, f"/api/rooms?organization_id={n}").status
        return post(larder, "/api/cache/invalidate",
                    {"organization_id": str(n - 2), "resource_type": "all"}).status
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(200))) == {200}


# --- with rate limits ---

def test_calls_count_against_a_rate_limit(larder_factory, legacy_app):
    """Beyond it they do nothing, are told when to come again, and scripts may read that."""
    larder = start(
        larder_factory, legacy_app,
        [{"name": "students", "match": "GET /students/{class}", "key": ["path.class"], "ttl": "1800s"}],
        {"on": "POST /clear-cache", "do": "invalidate", "open": True, "cors": "*", "rate_limit": "clear",
         "with": {"all": True}, "reply": {"cleared": "${matched}"}},
        rate_limits=[{"name": "clear", "by": "all", "limits": ["2/1h"]}])
    first = post(larder, "/clear-cache", Origin="https://a.example")
    assert first.headers["RateLimit"].startswith('"clear-1h";r=1;t=')
    assert post(larder, "/clear-cache").status == 200
    get(larder, "/students/Grade1")
    third = post(larder, "/clear-cache", Origin="https://a.example")
    assert (third.status, third.headers["Content-Type"]) == (429, "application/problem+json")
    assert third.json()["violated-policies"] == ["clear-1h"] and int(third.headers["Retry-After"]) > 0
    assert third.headers["Access-Control-Allow-Origin"] == "*"
    assert get(larder, "/students/Grade1").headers["Cache-Status"].startswith("larder; hit")
    assert larder.stats()["rate_limits"]["clear"]["refused"] == 1
