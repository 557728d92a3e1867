"""Parameters as the API means them: what is one answer, what is another, and what is refused."""
import json
import random
import urllib.parse

import pytest

from test_caching import config

PARAMS = {"page": {"type": "int", "default": 1}, "price": {"type": "number"},
          "open": {"type": "bool", "default": False}, "country": {"case": "upper"},
          "_": "ignore"}


def courses(**more):
    return dict({"name": "courses", "match": "GET /api/courses", "ttl": "1h", "params": PARAMS},
                **more)


def status_of(larder, query):
    return larder.request("GET", f"/api/courses?{query}").headers["Cache-Status"]


@pytest.mark.parametrize("first, second, are_one", [
    ("page=7", "page=007", True), ("page=7", "page=%2B7", True), ("page=0", "page=-0", True),
    ("", "page=1", True), ("page=1", "page=2", False), ("page=1", "page=1.0", False),
    ("price=1.50", "price=1.5", True), ("price=1", "price=1.0", True),
    ("price=1", "price=10", False), ("open=yes", "open=True", True), ("open=0", "", True),
    ("open=1", "open=0", False), ("country=usa", "country=USA", True),
    ("country=usa", "country=us", False), ("page=1&_=169", "_=170", True),
    ("page=1&country=A", "country=a&page=01", True), ("page=x", "page=y", False),
    ("page=1", "page=1&page=1", False), ("page=", "page=1", False),
    ("page=1&other=1", "page=1&other=2", False)])
def test_spellings_of_one_value_are_one_answer(larder_factory, flask_app, first, second, are_one):
    larder = larder_factory(config(flask_app, courses()))
    assert "stored" in status_of(larder, first)
    assert ("hit;" in status_of(larder, second)) == are_one


@pytest.mark.parametrize("unknown, key, hits, seen", [
    ("key", True, False, ["1"]), ("ignore", True, True, ["1"]), ("drop", True, True, None),
    ("key", False, False, ["1"]), ("drop", False, True, None)])
def test_unknown_parameters_are_dealt_with_as_the_route_says(larder_factory, flask_app, unknown,
                                                             key, hits, seen):
    route = courses(unknown=unknown, **({"key": ["query.page"], "params": {
        "page": {"type": "int"}}} if key else {}))
    larder = larder_factory(config(flask_app, route))
    first = larder.request("GET", "/api/courses?page=1&spy=1")
    assert first.json()["args"].get("spy") == seen
    assert ("hit;" in status_of(larder, "page=1&spy=2")) == hits


def test_unknown_and_wrong_parameters_are_refused_by_name(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, courses(unknown="reject")))
    for query, says in (("page=1&spy=1", "spy"), ("page=one", "type")):
        answer = larder.request("GET", f"/api/courses?{query}")
        assert answer.status == 400 and says in answer.json()["detail"]
    assert flask_app.count("courses") == 0
    assert "stored" in status_of(larder, "page=1&_=5")


@pytest.mark.parametrize("body, says", [
    ({"page": {"type": "integer"}}, "int"), ({"page": {"type": "int", "default": "x"}}, "type"),
    ({"page": "skip"}, "ignore"), ({"page": {"cas": "upper"}}, "case")])
def test_wrong_declarations_are_told(larder_refuses, flask_app, body, says):
    larder_refuses(config(flask_app, courses(params=body)), says)


def canonical(pairs):
    """What the declarations make of a request, written down once more."""
    known = {"page": ["1"], "open": ["false"], "price": [], "country": []}
    seen, others = {}, []
    for name, value in pairs:
        if name == "country":
            value = value.upper()
        elif name == "page" and value.lstrip("-").isdigit():
            value = str(int(value))
        elif name == "open" and value.lower() in ("true", "yes", "1", "on", "false", "no", "0"):
            value = str(value.lower() in ("true", "yes", "1", "on")).lower()
        elif name in ("page", "open"):
            value = "!" + value
        if name == "_":
            continue
        if name in known:
            seen.setdefault(name, []).append(value)
        else:
            others.append((name, value))
    return (tuple(sorted((n, tuple(seen.get(n, d))) for n, d in known.items())),
            tuple(sorted(others, key=lambda o: o[0])))


def test_two_requests_share_a_key_if_and_only_if_they_mean_the_same(larder_factory, flask_app):
    larder = larder_factory(config(flask_app, courses()))
    rng = random.Random(7)
    values = {"page": ["1", "01", "2", "x", "-0", "0", ""], "country": ["a", "A", "b", "%", "a,b"],
              "open": ["yes", "true", "0", "maybe"], "_": ["1", "2"],
              "q": ["1", "1,2", "a:b", "a=b", "\x1f", "é", "", "?", "!x"], "q:": ["x"], "r=": ["y"]}
    keys = {}
    for _ in range(600):
        pairs = []
        for _ in range(rng.randrange(4)):
            name = rng.choice(list(values))
            pairs.append((name, rng.choice(values[name])))
        url = "/api/courses?" + urllib.parse.urlencode(pairs)
        answer = larder.control("POST", "/api/cache/explain", body=json.dumps({"url": url}))
        key, meaning = answer.json()["key"], canonical(pairs)
        assert keys.setdefault(key, meaning) == meaning, (key, pairs)
    assert len(set(keys.values())) == len(keys), "one meaning has one key"
