"""The 210 items that larder is held to (items.json), and what a test says of its item.

A test's name begins with its item's id: test_000_01_post_login_is_cached, test_all_04_...; one test may
prove several: @proves("000-20", "000-21"). A test without a decorator says: it holds, see for yourself.

@decides("what was decided, and why")          of traps and ambiguities (T): and the test shows that it holds so
@outside(doc="README.md", says="a sentence")   of what is not a proxy's to do (X): the sentence stands there
@missing("what does not hold, and why")        the test shows what there is instead
"""
import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ITEMS = {item["id"]: item for item in json.loads((HERE / "items.json").read_text())}
SYSTEMS = {"ALL": "For all five", "000": "attendance", "001": "timetable", "002": "monitoring",
           "003": "risk", "004": "school"}


def _mark(function, **what):
    function.__dict__.setdefault("legacy", {}).update(what)
    return function


def proves(*ids):
    assert all(i in ITEMS for i in ids), ids
    return lambda function: _mark(function, also=ids)


def decides(text):
    return lambda function: _mark(function, decision=text)


def outside(doc, says):
    """The test that it decorates runs after this has looked into the document."""
    def decorate(function):
        text = re.sub(r"\s+", " ", (ROOT / doc).read_text())
        assert says in text, f"{doc} does not say: {says}"
        return _mark(function, outside=(doc, says))
    return decorate


def missing(text):
    return lambda function: _mark(function, missing=text)


def ids_of(function):
    """The items that a test function is for."""
    found = re.match(r"test_(all|\d{3})_(\d{2})_", function.__name__)
    own = [f"{found.group(1).upper()}-{found.group(2)}"] if found else []
    return own + list(getattr(function, "legacy", {}).get("also", ()))
