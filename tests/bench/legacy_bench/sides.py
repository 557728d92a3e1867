"""One app twice: with its document's cache in it, and without one behind larder. Both in the same server, with the
same settings; each has a file in which its work is written down."""
import collections
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

from support.larder import Larder, request
from support.redis import RedisServer
from support_legacy import legacy_config

HERE = pathlib.Path(__file__).resolve().parents[1] / "legacy_apps"
PYTHON = "/usr/bin/python3"
THREADS = 80
FASTAPI = ("attendance", "monitoring", "timetable")


class Server:
    """<module>:app under uvicorn, or gunicorn with threads. The listening socket is ours and stays: who asks while
    it starts anew waits, as behind a platform's router."""

    def __init__(self, module, system, directory, workers=1, where=HERE, **environment):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # uvicorn takes an inherited socket for a unix one, and would leave Nagle on: 40 ms an answer, in-app alone
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.listener.getsockname()[1]
        os.set_inheritable(self.listener.fileno(), True)
        self.module, self.workers, self.where = module, workers, where
        self.is_fastapi = system in FASTAPI and where == HERE
        self.work_path = pathlib.Path(directory) / f"{module}-{self.port}.work"
        self.environment = {"LEGACY_SYSTEM": system, "LEGACY_WORK": str(self.work_path), "TMPDIR": str(directory),
                            "TIMETABLE_LOG": os.devnull, "SCHOOL_DB": f"{self.work_path}.sqlite3", **environment}
        self.process, self.seen = None, 0

    def command(self):
        fd = self.listener.fileno()
        if self.is_fastapi:
            return ["uvicorn", "--log-level", "critical", "--no-access-log", "--timeout-keep-alive", "60", "--fd",
                    str(fd), f"{self.module}:app"]
        return ["gunicorn", "-k", "gthread", "--threads", str(THREADS), "--workers", str(self.workers), "--log-level",
                "critical", "--keep-alive", "60", "--bind", f"fd://{fd}", f"{self.module}:app"]

    def start(self, **environment):
        self.environment.update({k: str(v) for k, v in environment.items()})
        self.process = subprocess.Popen(
            [PYTHON, "-m", *self.command()], cwd=self.where, pass_fds=[self.listener.fileno()],
            start_new_session=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **self.environment})
        return self

    def wait(self):
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if request(self.port, "GET", "/_counts", timeout=30).status == 200:
                    return self
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{self.module} did not start")
            time.sleep(0.02)

    def restart(self, **environment):
        self.end()
        return self.start(**environment)

    def end(self):
        """At once, with its workers: asked kindly, both would wait for kept connections."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process:
            self.end()
        self.listener.close()

    def work(self):
        """What was done since this was asked last, by name."""
        data = self.work_path.read_bytes() if self.work_path.exists() else b""
        new, self.seen = data[self.seen:], len(data)
        return collections.Counter(new.decode().split())


class Side:
    """Where clients ask, and what happens behind."""

    def __init__(self, name, app, port=None):
        self.name, self.app, self.larder, self.redis = name, app, None, None
        self.own_port = port

    @property
    def port(self):
        return self.own_port or (self.larder.public_port if self.larder else self.app.port)

    def work(self, name):
        return self.app.work()[name]


def without(value, *names):
    if isinstance(value, dict):
        return {k: without(v, *names) for k, v in value.items() if k not in names}
    return [without(v, *names) for v in value] if isinstance(value, list) else value


def quiet(config):
    """No jobs of its own while we measure, no log, no profile; and limits that nobody meets: all clients have one
    address here."""
    config = {**without(config, "$profiles", "$profile", "token", "tokens"), "warm": [], "log": {"access": "off"}}
    if "rate_limits" in config:
        config["rate_limits"] = [{"name": r["name"], "limits": ["1000000/1m"]} for r in config["rate_limits"]]
    return config


class Pair:
    """Both sides of one system. As a context it takes down what it started."""

    def __init__(self, system, bench, delay, workers=1, redis=False):
        self.system, self.bench, self.delay, self.workers = system, bench, delay, workers
        self.with_redis, self.stack = redis, contextlib.ExitStack()

    def __enter__(self):
        with self.stack:
            self.redis = {}
            for name in ("in-app", "larder") if self.with_redis else ():
                self.redis[name] = RedisServer()
                self.stack.callback(self.redis[name].stop)
            self.start()
            self.stack = self.stack.pop_all()
        return self

    def server(self, module, side, **environment):
        if side in self.redis:
            port = self.redis[side].port
            environment.update(REDIS_HOST="127.0.0.1", REDIS_PORT=str(port), REDIS_URL=f"redis://127.0.0.1:{port}/1")
        app = Server(module, self.system, self.bench.directory, self.workers, LEGACY_DELAY=str(self.delay),
                     **environment)
        self.stack.callback(app.stop)
        return app

    def start(self):
        self.sides = [Side("in-app", self.server(f"{self.system}_cached", "in-app").start()),
                      Side("larder", self.server("plain", "larder").start())]
        self.start_larder()
        for side in self.sides:
            side.app.wait()

    def config(self, ttl_s=None):
        config = legacy_config(self.system, self.upstream_ports())
        config["control"]["allow"] = ["127.0.0.1", "::1"]  # who measures clears the cache, too
        if self.with_redis:
            config["redis"]["server"] = f"127.0.0.1:{self.redis['larder'].port}"
            config["secret"] = "the secret of a bench"
        for route in config["routes"]:
            if ttl_s and "ttl" in route:
                route["ttl"] = f"{ttl_s * 1000:.0f}ms"
        return quiet(config)

    def upstream_ports(self):
        return self.sides[1].app.port

    def start_larder(self, ttl_s=None):
        """Anew, and empty of what it had in memory."""
        side = self.sides[1]
        if side.larder:
            side.larder.stop()
        side.larder = Larder(self.config(ttl_s), self.bench.larder)
        self.stack.callback(side.larder.stop)
        if self.with_redis:
            side.larder.wait_until(lambda: side.larder.stats()["redis"]["available"])

    def restart_apps(self, **environment):
        for side in self.sides:
            side.app.restart(**environment)
        for side in self.sides:
            side.app.wait()

    def revive_redis(self):
        """Empty."""
        for server in self.redis.values():
            server.start()
        larder = self.sides[1].larder
        larder.wait_until(lambda: larder.stats()["redis"]["available"])

    def shorten(self, ttl_s):
        """Both sides keep answers for so long from now on, and have none."""
        for server in self.redis.values():
            server.ask("FLUSHALL")
        self.start_larder(ttl_s)
        self.restart_apps(LEGACY_TTL=ttl_s)

    def __exit__(self, *exception):
        return self.stack.__exit__(*exception)


