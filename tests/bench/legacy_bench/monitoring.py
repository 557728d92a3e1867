"""The monitoring API: a database that takes two seconds, and dashboards that poll."""
from . import measure
from .client import message
from .rows import count_row, share_row, time_row, times_row

NAME = "monitoring"
SEVEN = ["/health", "/metrics/current", "/metrics/summary", "/alerts/active", "/performance/cache",
         "/performance/connections", "/performance/summary"]
CACHED = ("/metrics/current", "/metrics/summary", "/alerts/active")


def get(path):
    return message("GET", path)


def claims(pair):
    bench = pair.bench
    fresh = measure.in_turns(pair, [get(f"/metrics/history?hours={n + 1}") for n in range(bench.pick(3, 3))], 3)
    yield times_row(NAME, "metrics, first", "2066 ms", fresh)
    again = measure.in_turns(pair, [get("/metrics/history?hours=1")] * bench.pick(400, 40), rounds=10)
    yield times_row(NAME, "metrics, again", "40–50 ms", again)


def polling(pair, dashboards, seconds):
    """Each dashboard asks the seven endpoints that the document tested once a second, all at a time."""
    requests, queries, waits, times = len(CACHED) * dashboards * seconds, {}, {}, {}
    for side in pair.sides:
        side.work("query")
        plans = [[(n / dashboards + second, get(path)) for second in range(seconds)]
                 for n in range(dashboards) for path in SEVEN]
        answers = measure.crowd(pair, side, plans)
        if measure.failed(answers):
            pair.bench.problems.append(f"{NAME}, {side.name}: {measure.failed(answers)} of {len(answers)} polls failed")
        queries[side.name], times[side.name] = side.work("query"), [a.ms for a in answers]
        waits[side.name] = sum(a.ms > 1000 * pair.delay for a in answers)
    what = f"{dashboards} dashboards poll the seven endpoints for {seconds} s"
    yield count_row(NAME, f"{what}: queries ({requests} without)", "−70 %", queries)
    yield share_row(NAME, f"{what}: answered without a query", "> 70 %",
                    {side: 1 - n / requests for side, n in queries.items()})
    yield count_row(NAME, f"{what}: answers that took half a query or more", "none given", waits)
    yield time_row(NAME, f"{what}: slowest answer", "none given", {side: max(t) for side, t in times.items()})


def symbols(pair):
    """More than the pool's 20 connections at the same time, each for something else."""
    errors = {}
    for side in pair.sides:
        answers = measure.crowd(pair, side, [[(0, get(f"/metrics/current?symbol=S{n}"))] for n in range(60)])
        errors[side.name] = measure.failed(answers)
    return count_row(NAME, "60 symbols at the same time, 20 connections: errors", "fewer", errors)


def loads(pair):
    bench = pair.bench
    yield from polling(pair, 10, bench.pick(12, 2))
    yield symbols(pair)
    again = measure.after_restart(pair, [get(f"/metrics/history?hours={n}") for n in range(1, 21)], "query")
    yield count_row(NAME, "20 charts again after the app's restart: queries", "20", again)
    yield from measure.expiry_rows(pair, get("/metrics/current"), "query", "queries")
