"""Loads that several systems have in common. Each asks both sides the same; what asks about times takes turns."""
import math
import random
import time

from .client import Connection, Crowd
from .rows import count_row, time_row, times_row

CROWD = 100


class Bench:
    """How much, how long, with which larder."""

    def __init__(self, args, directory):
        self.is_quick, self.larder, self.directory = args.quick, args.larder, directory
        self.delay = 0.01 if args.quick else args.delay
        self.claim_delay = 0.01 if args.quick else args.claim_delay
        self.random = random.Random(args.seed)
        self.client_cpu_s = self.client_asked = 0
        self.problems = []

    def pick(self, full, quick):
        return quick if self.is_quick else full


def ask_once(port, request):
    connection = Connection(port)
    try:
        return connection.ask(request)
    finally:
        connection.close()


def own(request, side):
    """Requests are the same for both sides, or stand by the side's name: sessions are another one's there."""
    return request[side.name] if isinstance(request, dict) else request


def must_be_200(answer, request):
    if answer.status != 200:
        raise SystemExit(f"{request.splitlines()[0]!r} was answered {answer.status}: {answer.body[:300]!r}")
    return answer


def in_turns(pair, requests, rounds):
    """The times of all <requests>, one after another on one connection, a part of them each turn."""
    connections = {side: Connection(side.port) for side in pair.sides}
    times = {side.name: [] for side in pair.sides}
    part = -(-len(requests) // rounds)
    for first in range(0, len(requests), part):
        for side, connection in connections.items():
            for request in requests[first:first + part]:
                answer = connection.ask(own(request, side))
                times[side.name].append(must_be_200(answer, own(request, side)).ms)
    for connection in connections.values():
        connection.close()
    return times


def one_by_one(side, requests):
    """Seconds for all, on one connection."""
    connection, began = Connection(side.port), time.perf_counter()
    for request in requests:
        must_be_200(connection.ask(own(request, side)), own(request, side))
    connection.close()
    return time.perf_counter() - began


def crowd(pair, side, plans, until_s=math.inf):
    """One connection for each plan: pairs of a time and a request."""
    people = Crowd(side.port, len(plans))
    answers = people.run(plans, until_s)
    pair.bench.client_cpu_s += people.cpu_s
    pair.bench.client_asked += people.asked
    people.close()
    return answers


def failed(answers):
    return sum(a.status != 200 for a in answers)


def expiry(pair, request, work, ttl_s, think_s, after_s=0.6):
    """A crowd asks for one key again and again while its lifetime ends once, until <after_s> later: how often it
    was computed then, and the slowest answer."""
    computed, slowest = {}, {}
    for side in pair.sides:
        mine = own(request, side)
        filled = must_be_200(ask_once(side.port, mine), mine)
        left_s = ttl_s - (time.perf_counter() - filled.sent - filled.ms / 1000)
        side.work(work)
        starts = [pair.bench.random.random() * think_s for _ in range(CROWD)]
        plans = [[(start + i * think_s, mine) for i in range(int((ttl_s + after_s) / think_s) + 1)] for start in starts]
        answers = crowd(pair, side, plans, left_s + after_s)
        if failed(answers):
            pair.bench.problems.append(f"{pair.system}, {side.name}: {failed(answers)} of {len(answers)} failed")
        computed[side.name], slowest[side.name] = side.work(work), max(a.ms for a in answers)
    return computed, slowest


def expiry_rows(pair, request, work, unit, think_s=0.5):
    """For both sides with a lifetime that can be waited for; each client asks once in <think_s>."""
    ttl_s = pair.bench.pick(4, 2)
    pair.shorten(ttl_s)
    computed, slowest = expiry(pair, request() if callable(request) else request, work, ttl_s, think_s)
    what = f"{CROWD} clients while one answer's lifetime ends"
    yield count_row(pair.system, f"{what}: {unit}", "none given", computed)
    yield time_row(pair.system, f"{what}: slowest answer", "none given", slowest)


def redis_dies(pair, requests, work, seconds):
    """One client asks on while Redis is killed."""
    failures, again, before, after = {}, {}, {}, {}
    for side in pair.sides:
        mine = [own(r, side) for r in requests]
        plan = [(i * 0.02, mine[i % len(mine)]) for i in range(seconds * 25)]
        one_by_one(side, mine)
        before[side.name] = [a.ms for a in crowd(pair, side, [plan])]
        pair.redis[side.name].kill()
        side.work(work)
        answers = crowd(pair, side, [plan])
        failures[side.name], after[side.name] = failed(answers), [a.ms for a in answers]
        again[side.name] = side.work(work)
    what = f"Redis killed, then {len(plan)} requests"
    yield times_row(pair.system, "before Redis is killed: time of a hit", "none given", before)
    yield times_row(pair.system, f"{what}: time of an answer", "none given", after)
    yield count_row(pair.system, f"{what}: failed", "0", failures)
    yield count_row(pair.system, f"{what}: of {len(mine)} stored answers made again", "none given", again)


def after_restart(pair, requests, work):
    """What is done again when the app was deployed anew: <requests> were all answered before."""
    for side in pair.sides:
        one_by_one(side, requests)
    pair.restart_apps()
    made = {}
    for side in pair.sides:
        side.work(work)
        one_by_one(side, requests)
        made[side.name] = side.work(work)
    return made
