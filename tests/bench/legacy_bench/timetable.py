"""The timetable: FastAPI that reads from Django. In-app, FastAPI's client has the cache; larder stands in front of
both, and FastAPI reads through it."""
import json
import os

from support_legacy import APPS

from . import measure
from .client import Connection, message
from .rows import count_row, times_row
from .sides import Pair, Server, Side

NAME = "timetable"
RESOURCES = ("courses", "faculty", "rooms", "students", "time_slots")
ORG, SMALL_ORG = "123", "uuid-456"


class Registry(Server):
    """Django, which counts itself what it is asked."""

    def __init__(self, side, bench, delay):
        super().__init__("registry", NAME, bench.directory, where=APPS / NAME, LEGACY_DELAY=str(delay),
                         TIMETABLE_DB=os.path.join(bench.directory, "timetable.sqlite3"))
        self.side, self.asked = side, 0

    def work(self):
        counts = json.loads(measure.ask_once(self.port, message("GET", "/_counts")).body)
        before, self.asked = self.asked, sum(counts.values())
        return {"fetch": self.asked - before}


class TimetableSide(Side):
    def __init__(self, name, app, registry, port):
        super().__init__(name, app, port)
        self.registry = registry

    def work(self, name):
        return self.registry.work()[name]


class Timetable(Pair):
    """Each side has a Django of its own, over one database."""

    def start(self):
        self.sides = []
        for name, module in (("in-app", f"{NAME}_cached"), ("larder", "plain")):
            registry = Registry(name, self.bench, self.delay)
            self.stack.callback(registry.stop)
            registry.start().wait()
            app = self.server(module, name, DJANGO_BASE_URL=f"http://127.0.0.1:{registry.port}")
            self.sides.append(TimetableSide(name, app, registry, app.port))
        self.start_larder()
        for side in self.sides:
            side.app.start()
        for side in self.sides:
            side.app.wait()

    def upstream_ports(self):
        return {"django": self.sides[1].registry.port, "fastapi": self.sides[1].app.port}

    def start_larder(self, ttl_s=None):
        """Its port is another one then; FastAPI hears of it when it starts anew."""
        super().start_larder(ttl_s)
        side = self.sides[1]
        side.app.environment["DJANGO_BASE_URL"] = f"http://127.0.0.1:{side.larder.public_port}"

    def clear(self):
        for port, what in ((self.sides[0].app.port, {"organization_id": ORG, "resource_type": "all"}),
                           (self.sides[1].larder.control_port, {"all": True, "mode": "hard"})):
            request = message("POST", "/api/cache/invalidate", {"Content-Type": "application/json"},
                              json.dumps(what).encode())
            measure.must_be_200(measure.ask_once(port, request), request)


def fetch(resource, org=ORG):
    return message("GET", f"/_fetch/{resource}?organization_id={org}")


def generate(org, semester=1):
    return message("GET", f"/api/timetable/generate?organization_id={org}&semester={semester}")


def waits(side):
    """Milliseconds that FastAPI waited for the document's five resources."""
    connection = Connection(side.port)
    answers = [measure.must_be_200(connection.ask(fetch(r)), fetch(r)) for r in RESOURCES]
    connection.close()
    return sum(json.loads(a.body)["ms"] for a in answers)


def claims(pair):
    bench = pair.bench
    first, again = ({side.name: [] for side in pair.sides} for _ in range(2))
    for _ in range(bench.pick(3, 1)):
        pair.clear()
        for times, count in ((first, 1), (again, bench.pick(10, 2))):
            for _ in range(count):
                for side in pair.sides:
                    times[side.name].append(waits(side))
    yield times_row(NAME, "the five resources, as FastAPI gets them: sum, first", "835 ms", first)
    yield times_row(NAME, "the five resources, as FastAPI gets them: sum, again", "31 ms", again)
    calls = measure.in_turns(pair, [generate(ORG)] * bench.pick(10, 2), rounds=2)
    yield times_row(NAME, "the scheduler's call over it, again", "5 ms", calls)


def loads(pair):
    """In an order that leaves in Redis alone what was read after a restart, and kills Redis over other answers."""
    again = measure.after_restart(pair, [fetch(r) for r in RESOURCES], "fetch")
    yield count_row(NAME, "the five resources again after FastAPI's restart: asked of Django", "0", again)
    small = [fetch(r, SMALL_ORG) for r in RESOURCES]
    yield from measure.redis_dies(pair, small, "fetch", pair.bench.pick(4, 1))
    pair.revive_redis()
    yield from measure.expiry_rows(pair, small[0], "fetch", "asked of Django", think_s=1)
