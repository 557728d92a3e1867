"""A fleet: several larders with one config, one Redis, two instances of one app. And the oracle
that knows which version of an item a client may still be shown, and traffic whose every answer it
checks."""
import concurrent.futures
import contextlib
import copy
import json
import pathlib
import random
import sqlite3
import statistics
import tempfile
import threading
import time

from .app import App
from .larder import Larder, wait_until

SECRET = "a secret of the whole fleet"
LAG_S = 1.0
BOUND_S = LAG_S + 1.0


def route(name, match, **more):
    return dict({"name": name, "match": match, "ttl": "1h", "shared": "full"}, **more)


ROUTES = [
    route("items", "GET /items/{id}", key=["path.id"], tags=["item:{path.id}", "items"]),
    route("writes", "PUT /items/{id}", on_write={"tags": ["item:{path.id}"]}),
    route("local", "GET /local/{id}", key=["path.id"], tags=["item:{path.id}"],
          shared="invalidation"),
    route("local-writes", "PUT /local/{id}", on_write={"tags": ["item:{path.id}"]}),
    route("alone", "GET /alone/{id}", key=["path.id"], tags=["item:{path.id}"], shared="none"),
    route("courses", "GET /courses", key=["query.org", "query.semester"],
          tags=["org:{query.org}", "courses"]),
    route("tagged", "GET /tagged/*"),
    route("language", "GET /language/*"),
    route("soft", "GET /soft/{id}", key=["path.id"], tags=["item:{path.id}"],
          stale_while_revalidate="1h"),
    route("large", "GET /large/*"),
    route("secret", "POST /secret/{id}",
          key=["path.id", "json.user", {"param": "json.password", "secret": True}]),
    route("slow", "GET /slow/{id}", key=["path.id"], coalesce="fleet"),
]
for write in ROUTES:
    if "on_write" in write:
        del write["ttl"], write["shared"]


class Apps:
    """Two processes, one truth."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.directory.name) / "truth"
        with sqlite3.connect(path) as truth:
            truth.execute("PRAGMA journal_mode=WAL")
            truth.execute("CREATE TABLE items (name TEXT PRIMARY KEY, version INTEGER)")
        truth.close()
        self.instances = [App("fleet_app", "gunicorn", environment={"FLEET_TRUTH": str(path)})
                          for _ in range(2)]

    def servers(self):
        return [f"127.0.0.1:{app.port}" for app in self.instances]

    def count(self, name):
        return sum(app.count(name) for app in self.instances)

    def bump(self, item):
        """Changes something behind all caches' backs."""
        return self.instances[0].request("POST", f"/bump/{item}").json()["version"]

    def version(self, item):
        return self.instances[0].request("GET", f"/truth/{item}").json()["version"]

    def open(self, gate):
        for app in self.instances:
            app.hold(gate).open()

    def stop(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.directory.cleanup)
            for app in self.instances:
                stack.callback(app.stop)


PATIENT = {"command_timeout": "5s"}  # nothing is given up because a machine is slow


class Fleet:
    def __init__(self, apps, redis, *, size=3, prefix="test", server=None, routes=ROUTES,
                 environment=None, more=None, is_awaited=True, **redis_more):
        self.apps, self.redis, self.prefix = apps, redis, prefix
        self.environment = environment
        self.config = {
            "listen": "127.0.0.1:0", "workers": 2, "control": {"listen": "127.0.0.1:0"},
            "secret": SECRET, "upstreams": {"app": {"servers": apps.servers()}},
            "redis": {**({"server": server} if server else
                         {"server": redis.address} if redis else {}), "prefix": prefix,
                      "max_invalidation_lag": f"{int(LAG_S * 1000)}ms", **redis_more},
            "routes": copy.deepcopy(routes), **(more or {})}
        # each start and each end begins another life: odd ones are lived
        self.larders, self.life = [None] * size, [0] * size
        try:
            for i in range(size):
                self.start(i)
            if is_awaited:
                self.settle()
        except BaseException:
            self.stop()
            raise

    def start(self, i, **more):
        self.larders[i] = Larder({**self.config, **more}, environment=self.environment)
        self.life[i] += 1

    def is_down(self, i):
        return self.life[i] % 2 == 0

    def kill(self, i):
        """As when its machine ends; requests to it may fail from now on."""
        self.life[i] += 1
        self.larders[i].kill()

    def restart(self, i, **more):
        """Its memory is empty; Redis has what it had."""
        self.life[i] += 1
        self.larders[i].stop()
        self.start(i, **more)

    def stats(self, i):
        return self.larders[i].stats()["redis"]

    def sum(self, counter):
        return sum(self.stats(i)[counter] for i in range(len(self.larders)))

    def is_settled(self):
        stats = [self.stats(i) for i in range(len(self.larders))]
        links = 2 + self.config["workers"]
        return (all(s["available"] and s["in_contact"] and not s["pending"] and not s["queued"]
                    and s["connections"] == links and s["breaker"] == "closed" for s in stats)
                and len({s["number"] for s in stats}) == 1
                and all(s["instances"] >= len(self.larders) for s in stats))

    def settle(self):
        """Waits until all follow the log, have told it all, have heard it all, and all workers may
        ask Redis."""
        try:
            wait_until(self.is_settled)
        except AssertionError:
            raise AssertionError([self.stats(i) for i in range(len(self.larders))
                                  if self.larders[i]]) from None

    def read(self, i, path, method="GET", **more):
        return self.larders[i].request(method, path, **more)

    def status(self, i, path, **more):
        return self.read(i, path, **more).headers["Cache-Status"]

    def version(self, i, path, **more):
        return self.read(i, path, **more).json()["version"]

    def write(self, i, path):
        answer = self.larders[i].request("PUT", path)
        assert answer.status == 200, answer.body
        return answer.json()["version"]

    def invalidate(self, i, **selector):
        return self.larders[i].control("POST", "/api/cache/invalidate", body=json.dumps(selector))

    def fill(self, *paths, **more):
        """Until each larder has each path in its own memory."""
        for path in paths:
            for i in range(len(self.larders)):
                self.read(i, path, **more)
            self.wait_stored()

    def wait_stored(self):
        """Until what is written behind has been written."""
        wait_until(lambda: not self.sum("queued"))

    def stop(self):
        with contextlib.ExitStack() as stack:
            for larder in self.larders:
                if larder:
                    stack.callback(larder.stop)


class Write:
    def __init__(self, i, life, acknowledged, version):
        self.i, self.life = i, life
        self.acknowledged, self.version = acknowledged, version
        self.confirmed = None  # when Redis surely had its invalidation
        self.applied = None  # when all instances surely had obeyed it


class Oracle:
    """An answer for an item must be as new as each write of it
    - that the same larder had acknowledged before the request began; or
    - that all larders had obeyed by then, as "wait": "all" has told; or
    - that any larder had acknowledged, with its invalidation told to Redis, a bound ago."""

    def __init__(self, fleet, bound_s=BOUND_S):
        self.fleet, self.bound_s = fleet, bound_s
        self.lock = threading.Lock()
        self.writes, self.wrong, self.checked = {}, [], 0

    def acknowledged(self, i, life, item, version):
        write = Write(i, life, time.monotonic(), version)
        with self.lock:
            self.writes.setdefault(item, []).append(write)
        return write

    def confirm(self, i):
        """Asks larder <i> whether all that it was told is in Redis."""
        with self.lock:
            waiting = [w for writes in self.writes.values() for w in writes
                       if w.i == i and w.confirmed is None
                       and w.life == self.fleet.life[i]]
        if waiting and not self.fleet.stats(i)["pending"]:
            now = time.monotonic()
            for write in waiting:
                if write.life == self.fleet.life[i]:
                    write.confirmed = now
        return waiting

    def least(self, i, item, began):
        with self.lock:
            return max([w.version for w in self.writes.get(item, ())
                        if (w.i == i and w.life == self.fleet.life[i]
                            and w.acknowledged <= began)
                        or (w.applied is not None and w.applied <= began)
                        or (w.confirmed is not None and w.confirmed <= began - self.bound_s)],
                       default=0)

    def check(self, i, item, least, answer, began):
        self.checked += 1
        version = answer.json()["version"]
        if version < least:
            self.wrong.append((i, item, version, least, round(began, 3),
                               answer.headers["Cache-Status"]))


class Traffic:
    """Readers and writers before all larders, without a pause, until the with-block ends; then
    none of their requests may have failed, and none have been shown what it must not be."""

    ITEMS = 6

    def __init__(self, fleet, paths=("/items/",), readers=4, writers=1, bound_s=BOUND_S):
        self.fleet, self.paths = fleet, paths
        self.oracle = Oracle(fleet, bound_s)
        self.readers, self.writers = readers, writers
        self.ended, self.failed, self.times = threading.Event(), [], []
        self.progress = threading.Condition()
        self.done = {"reads": 0, "writes": 0}

    def __enter__(self):
        count = self.readers + self.writers + 1
        self.pool = concurrent.futures.ThreadPoolExecutor(count)
        work = [self._read] * self.readers + [self._write] * self.writers
        self.running = [self.pool.submit(self._work, n, step) for n, step in enumerate(work)]
        self.running.append(self.pool.submit(self._confirm))
        self.after(reads=30, writes=3)
        return self

    def __exit__(self, kind, *_):
        self.ended.set()
        self.pool.shutdown()
        if kind is None:
            for running in self.running:
                running.result()
            self.check()

    def _work(self, n, step):
        rng = random.Random(n)
        while not self.ended.is_set():
            i = rng.randrange(len(self.fleet.larders))
            life = self.fleet.life[i]
            if self.fleet.is_down(i):
                continue
            began = time.monotonic()
            try:
                step(rng, i, life, began)
            except Exception as error:
                if life == self.fleet.life[i]:  # else its larder was killed meanwhile
                    self.failed.append((round(began, 3), step.__name__, i, repr(error)))
            # leave the processors to the others: two of them carry the whole fleet
            self.ended.wait(0.004 if step == self._read else 0.05)

    def _tell(self, what):
        with self.progress:
            self.done[what] += 1
            self.progress.notify_all()

    def _read(self, rng, i, life, began):
        name = rng.randrange(self.ITEMS)
        item, path = f"item-{name}", f"{rng.choice(self.paths)}item-{name}"
        least = self.oracle.least(i, item, began)
        answer = self.fleet.larders[i].request("GET", path)
        self.times.append(time.monotonic() - began)
        assert answer.status == 200, (answer.status, answer.body[:200])
        self.oracle.check(i, item, least, answer, began)
        self._tell("reads")

    def _write(self, rng, i, life, _):
        item = f"item-{rng.randrange(self.ITEMS)}"
        answer = self.fleet.larders[i].request("PUT", f"/items/{item}")
        assert answer.status == 200, (answer.status, answer.body[:200])
        self.oracle.acknowledged(i, life, item, answer.json()["version"])
        self._tell("writes")

    def _confirm(self):
        while not self.ended.wait(0.05):
            for i in range(len(self.fleet.larders)):
                life = self.fleet.life[i]
                try:
                    if not self.fleet.is_down(i):
                        self.oracle.confirm(i)
                except Exception:
                    if life == self.fleet.life[i]:  # else its larder went meanwhile
                        raise

    def after(self, reads=100, writes=5):
        """Goes on until so many more have come back."""
        with self.progress:
            goal = {"reads": self.done["reads"] + reads, "writes": self.done["writes"] + writes}
            assert self.progress.wait_for(
                lambda: all(self.done[what] >= goal[what] for what in goal), 30), self.failed

    def beyond_the_bound(self):
        """Goes on until what is acknowledged by now must be seen by all."""
        end = time.monotonic() + self.oracle.bound_s
        with self.progress:
            self.progress.wait_for(lambda: time.monotonic() > end, self.oracle.bound_s + 1)

    def check(self):
        assert not self.failed, self.failed[:10]
        assert not self.oracle.wrong, self.oracle.wrong[:10]
        assert self.oracle.checked > 0

    def slow_ms(self):
        """What nine of ten requests stay under."""
        return statistics.quantiles(self.times, n=10)[-1] * 1000


