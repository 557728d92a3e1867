"""The timetable's parts for tests: conf/legacy/timetable.json before tests/apps/timetable."""
import json

from steps import prefixes
from support.larder import BINARY
from support_legacy import legacy_config

TOKEN = "the-token-of-organization-123"
ENVIRONMENT = {"LARDER_SECRET": "a secret of all instances", "ORG_123_TOKEN": TOKEN}
BIG, SMALL = "123", "uuid-456"
RESOURCES = {"courses": "courses", "faculty": "faculty", "rooms": "rooms", "students": "students",
             "time_slots": "time-slots", "config": "time-config", "departments": "departments"}


def start(factory, django, redis=None, prefix=None, fastapi=None, environment=None, routes=None, **more):
    """larder with the file as it is; in memory alone, or with the test's own Redis. Its warm jobs run where a test
    wants them; and tests may steer without an organisation's token, unless they say who may."""
    more.setdefault("warm", [])
    more.setdefault("control", {"allow": ["127.0.0.1"]})
    if redis:
        more["redis"] = dict({"server": redis.address, "prefix": prefix or f"timetable-{next(prefixes)}",
                              "command_timeout": "5s"}, **more.get("redis", {}))
    else:
        more.update(redis=None, secret=None)
    ports = {"django": django.port, "fastapi": fastapi.port if fastapi else 1}
    larder = factory(legacy_config("timetable", ports, routes, **more), BINARY,
                     {**ENVIRONMENT, **(environment or {})})
    if redis:
        larder.wait_until(lambda: larder.counter("redis.in_contact"))
    return larder


def url(resource, org=BIG, **more):
    query = "".join(f"&{name}={value}" for name, value in more.items())
    return f"/api/{RESOURCES[resource]}?organization_id={org}{query}"


def read(larder, resource, org=BIG, **more):
    answer = larder.request("GET", url(resource, org, **more))
    assert answer.status == 200, answer.body
    return answer


def update(at, number, capacity, org=BIG):
    return at.request("PUT", "/api/rooms/update", headers={"Content-Type": "application/json"},
                      body=json.dumps({"organization_id": org, "number": number, "capacity": capacity}))


def capacity_of(rooms, number):
    return next(room["capacity"] for room in rooms.json() if room["number"] == number)
