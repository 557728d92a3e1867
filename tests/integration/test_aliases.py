"""Old control paths: what larder answers in an app's place, to the letter."""
import json

import pytest

from test_caching import config


def courses(app, *aliases, **more):
    return config(app, {"name": "courses", "match": "GET /api/courses",
                        "key": ["query.organization_id", "query.semester"], "ttl": "30m",
                        "tags": ["org:{query.organization_id}"]},
                  {"name": "rooms", "match": "GET /api/rooms", "ttl": "1h",
                   "key": ["query.organization_id"], "tags": ["org:{query.organization_id}"]},
                  aliases=list(aliases), **more)


def post(larder, path, body=None, **headers):
    return larder.request("POST", path, headers=headers,
                          body=json.dumps(body) if body is not None else None)


def test_a_clear_route_of_old_is_answered_in_its_own_shape(larder_factory, flask_app):
    """003-05"""
    larder = larder_factory(courses(flask_app, {
        "on": "POST /api/cache/clear", "do": "invalidate", "open": True, "with": {"all": True},
        "reply": {"success": True, "message": "Cache cleared successfully", "n": "${removed}"}}))
    larder.request("GET", "/api/courses?organization_id=1")
    answer = post(larder, "/api/cache/clear")
    assert (answer.status, answer.body) == (
        200, b'{"success":true,"message":"Cache cleared successfully","n":1}\n')
    assert larder.stats()["cache"]["entries"] == 0
