"""tests/bench/legacy still runs, and its counts are what they should be. Its times are nobody's business here."""
import collections
import subprocess
import tempfile

import pytest
from items import ROOT
from support.larder import BINARY

ROWS = {"attendance": 8, "timetable": 10, "monitoring": 10, "risk": 10, "school": 14}

Row = collections.namedtuple("Row", "system what claimed own larder better")


@pytest.fixture(scope="module")
def rows():
    with tempfile.TemporaryFile("w+") as progress:
        run = subprocess.run(["/usr/bin/python3", ROOT / "tests/bench/legacy", "--quick", "--larder", BINARY],
                             stdout=subprocess.PIPE, stderr=progress, text=True, timeout=300, check=False)
        progress.seek(0)
        assert run.returncode == 0, progress.read()
    lines = [line.strip("| ").split(" | ") for line in run.stdout.splitlines() if line.startswith("| ")]
    return [Row(*line) for line in lines[2:]]


def larder(rows, system, *parts):
    """What stands in larder's column of the one row that is meant."""
    found = [row.larder for row in rows if row.system == system and all(part in row.what for part in parts)]
    assert len(found) == 1, (system, parts, found)
    return found[0]


def test_the_bench_has_all_its_rows(rows):
    assert collections.Counter(row.system for row in rows) == ROWS
    assert len({(row.system, row.what) for row in rows}) == sum(ROWS.values())
    assert all(row.better.startswith(("yes", "same", "**no**")) for row in rows)


def test_a_lifetime_that_ends_under_load_costs_one_computation(rows):
    what = "while one answer's lifetime ends"
    assert larder(rows, "attendance", what, "pages") == "2"  # one login is two
    for system, unit in (("timetable", "asked"), ("monitoring", "queries"), ("risk", "computed"), ("school", "read")):
        assert larder(rows, system, what, unit) == "1", system


def test_what_is_asked_for_twice_is_made_once(rows):
    assert larder(rows, "attendance", "80 % repeats, one after another") == "8"
    assert larder(rows, "attendance", "80 % repeats, 40 at a time") == "80"
    assert larder(rows, "risk", "all at the same time: assessments computed") == "70"
    assert larder(rows, "risk", "4 workers") == "1"


def test_a_restart_of_the_app_costs_nothing(rows):
    for system in ROWS:
        assert larder(rows, system, "restart") == "0", system


def test_nothing_fails_when_redis_dies_or_connections_run_out(rows):
    for system in ("timetable", "school"):
        assert larder(rows, system, "Redis killed", "failed") == "0"
        assert larder(rows, system, "Redis killed", "made again") == "0"
    assert larder(rows, "monitoring", "60 symbols", "errors") == "0"
    assert larder(rows, "school", "users", "answered") == "100.0 %"
