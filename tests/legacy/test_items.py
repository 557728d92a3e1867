"""Each of the 210 items has its test, and docs/LEGACY.md tells the truth of them."""
import report
from items import ITEMS, ROOT


def test_there_are_all_210_items():
    counts = {prefix: sum(i.startswith(prefix) for i in ITEMS) for prefix in
              ("ALL", "000", "001", "002", "003", "004")}
    assert counts == {"ALL": 12, "000": 30, "001": 46, "002": 43, "003": 29, "004": 50}


def test_each_item_has_a_test():
    assert sorted(set(ITEMS) - set(report.by_item())) == []


def test_no_test_is_for_an_item_that_is_none():
    assert sorted(set(report.by_item()) - set(ITEMS)) == []


def test_items_outside_a_proxy_and_decisions_say_so():
    found = report.by_item()
    for item in ITEMS.values():
        marks = [getattr(f, "legacy", {}) for _, f in found[item["id"]]]
        if item["mark"] == "X":
            assert any("outside" in m for m in marks), item["id"]
        if item["mark"] == "T":
            assert any("decision" in m for m in marks), item["id"]


def test_docs_legacy_is_what_the_tests_say():
    """Written by: /usr/bin/python3 tests/legacy/report.py > docs/LEGACY.md"""
    assert (ROOT / "docs/LEGACY.md").read_text() == report.report()
