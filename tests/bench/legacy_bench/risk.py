"""Risk assessments: seven seconds of a worker each."""
from . import measure
from .client import Connection, message
from .rows import count_row, time_row, times_row

NAME = "risk"


def assess(n, sector="C29"):
    return message("GET", f"/api/assess?model=oecd&country=C{n:03}&sector={sector}")


def claims(pair):
    bench = pair.bench
    fresh = measure.in_turns(pair, [assess(n) for n in range(bench.pick(1, 3))], rounds=3)
    yield times_row(NAME, "an assessment, first", "6.936 s", fresh)
    again = measure.in_turns(pair, [assess(0)] * bench.pick(400, 40), rounds=10)
    yield times_row(NAME, "an assessment, again", "83 ms", again)


def batch(pair, at_once, sector):
    """100 pairs, 30 of them a second time."""
    pairs = list(range(70)) + list(range(30))
    pair.bench.random.shuffle(pairs)
    requests, computed, took = [assess(n, sector) for n in pairs], {}, {}
    for side in pair.sides:
        side.work("assess")
        if at_once:
            answers = measure.crowd(pair, side, [[(0, request)] for request in requests])
            took[side.name] = max(a.sent * 1000 + a.ms for a in answers)
            if measure.failed(answers):
                pair.bench.problems.append(f"{NAME}, {side.name}: {measure.failed(answers)} of the batch failed")
        else:
            took[side.name] = measure.one_by_one(side, requests) * 1000
        computed[side.name] = side.work("assess")
    how = "all at the same time" if at_once else "one after another"
    claimed = "none given" if at_once else "690 → 485 s"
    yield count_row(NAME, f"batch of 100, 30 % overlap, {how}: assessments computed", "70", computed)
    yield time_row(NAME, f"batch of 100, 30 % overlap, {how}: time", claimed, took)


def dashboard(pair):
    tiles = [assess(n, "C10T12") for n in range(10)]
    first = {side.name: measure.one_by_one(side, tiles) * 1000 for side in pair.sides}
    second = {side.name: measure.one_by_one(side, tiles) * 1000 for side in pair.sides}
    yield time_row(NAME, "dashboard of 10, first load", "69 s", first)
    yield time_row(NAME, "dashboard of 10, second load", "0.83 s", second)


def loads(pair):
    bench = pair.bench
    if not bench.is_quick:
        yield from batch(pair, False, "C20")
    yield from batch(pair, True, "C26")
    yield from dashboard(pair)
    again = measure.after_restart(pair, [assess(n, "A01") for n in range(10)], "assess")
    yield count_row(NAME, "10 assessments again after the app's restart: computed", "10", again)
    yield from measure.expiry_rows(pair, assess(1), "assess", "computed")


def workers(pair):
    keys, computed = [assess(n) for n in range(5)], {}
    for side in pair.sides:
        connections = [Connection(side.port) for _ in range(24)]
        for key in keys:
            for connection in connections:
                measure.must_be_200(connection.ask(key), key)
        computed[side.name] = side.work("assess") / len(keys)
    yield count_row(NAME, "gunicorn with 4 workers: computed for each key, one client after another", "none given",
                    computed, "{:g}")
