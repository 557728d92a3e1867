"""Loads that several systems have in common. Each asks both sides the same; what asks about times takes turns."""
import random
import time

from .client import Connection, Crowd


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


def crowd(pair, side, plans):
    """One connection for each plan: pairs of a time and a request."""
    people = Crowd(side.port, len(plans))
    answers = people.run(plans)
    pair.bench.client_cpu_s += people.cpu_s
    pair.bench.client_asked += people.asked
    people.close()
    return [answer for _, answer in answers]


def failed(answers):
    return sum(a.status != 200 for a in answers)


def expiry(pair, request, work, ttl_s, clients=100, think_s=0.5):
    """<clients> ask for one key again and again while its lifetime ends once: how often it was computed then,
    and the slowest answer."""
    computed, slowest = {}, {}
    for side in pair.sides:
        mine, first = own(request, side), Connection(side.port)
        filled = must_be_200(first.ask(mine), mine)
        first.close()
        left_s = ttl_s - (time.perf_counter() - filled.sent - filled.ms / 1000)
        side.work(work)
        until = left_s + min(ttl_s * 0.6, 3)
        plans = []
        for n in range(clients):
            start = pair.bench.random.random() * think_s
            plans.append([(start + i * think_s, mine) for i in range(int((until - start) / think_s))])
        answers = crowd(pair, side, plans)
        if failed(answers):
            pair.bench.problems.append(f"{pair.system}, {side.name}: {failed(answers)} of {len(answers)} failed")
        computed[side.name], slowest[side.name] = side.work(work), max(a.ms for a in answers)
    return computed, slowest


def after_restart(pair, requests, work):
    """What is done again when the app was deployed anew: <requests> were all answered before."""
    for side in pair.sides:
        one_by_one(side, requests)
    pair.restart_apps()
    for side in pair.sides:
        one_by_one(side, requests)
    return {side.name: side.work(work) for side in pair.sides}
