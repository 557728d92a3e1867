"""What the tests of the legacy systems do again and again: start larder with a system's own file, ask, and look."""
import concurrent.futures
import contextlib
import itertools
import json

from support.larder import BINARY
from support_legacy import legacy_config

prefixes = itertools.count(1)
ENVIRONMENT = {"LARDER_TOKEN": "the-operators-token", "LARDER_SECRET": "a secret of all instances"}


def start(factory, name, app, routes=None, environment=None, upstream=None, **more):
    """larder with conf/legacy/NAME.json before <app>; what differs from the file is what a test says. Its warm jobs
    run where a test wants them."""
    more.setdefault("warm", [])
    config = legacy_config(name, app.port, routes, **more)
    config["upstreams"]["app"].update(upstream or {})
    larder = factory(config, BINARY, {**ENVIRONMENT, **(environment or {})})
    if "$profile" in config:
        larder.wait_until(lambda: larder.counter("redis.in_contact"))
    return larder


def with_redis(redis, prefix=None, credentials=""):
    """For start(): the file's own profile "redis" with a test's server, under a prefix that no other test has."""
    return {"environment": {"REDIS_URL": f"redis://{credentials}127.0.0.1:{redis.port}"}, "$profile": "redis",
            "$profiles": {"redis": {"redis": {"prefix": prefix or f"legacy-{next(prefixes)}"}}}}


def status_of(answer):
    return answer.headers["Cache-Status"]


def is_hit(answer):
    return status_of(answer).startswith("larder; hit")


def is_stored(answer):
    return "; stored" in status_of(answer)


def post(larder, path, body, headers=None, timeout=20):
    return larder.request("POST", path, headers={"Content-Type": "application/json", **(headers or {})},
                          body=json.dumps(body), timeout=timeout)


def keys(larder):
    return larder.control("GET", "/api/cache/keys").json()["keys"]


def routes(larder):
    return {r["name"]: r for r in larder.control("GET", "/api/cache/routes").json()["routes"]}


@contextlib.contextmanager
def held(app, function):
    """The app's calls of <function> wait until the block has ended."""
    assert app.request("POST", f"/_hold/{function}").status == 200
    try:
        yield
    finally:
        app.hold(function).open()


def together(larder, app, function, asks, calls, at_once=None):
    """All of <asks> at once: none is answered before all have come, and <calls> of them to the app (or <at_once>, where
    the pool has no room for all). The answers."""
    with concurrent.futures.ThreadPoolExecutor(len(asks)) as pool:
        with held(app, function):
            pending = [pool.submit(ask) for ask in asks]
            larder.wait_until(lambda: app.count(function) >= (at_once or calls))
            larder.wait_for_counter("totals.coalesced_waiting", len(asks) - calls)
        return [p.result() for p in pending]


def until_new(larder, ask, old):
    """Asks until the answer is another one than <old>, as it is once an entry's time is over: that answer."""
    found = []

    def is_new():
        found[:] = [ask()]
        return found[0].body != old.body
    larder.wait_until(is_new)
    return found[0]


def by_outcome(larder, count):
    """The access log's lines of so many requests, whichever was written first."""
    lines = {}
    for line in larder.access_lines(count):
        lines.setdefault(line["larder.outcome"], []).append(line)
    return lines
