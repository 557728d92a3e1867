"""Real Redis servers, as kind or as rough as a test wants them: plain, TLS, unix socket, with a
user that may do as little as possible, with replicas and sentinels, as a cluster; paused, killed,
cut off, emptied."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

import redis

from .larder import DEADLINE_S, wait_until
from .raw_upstream import free_port

SERVER, SENTINEL = "redis-server", "redis-sentinel"

# What the docs give for larder's user: nothing more, and no other keys.
ACL = ("~{{larder:{prefix}}}:* resetchannels -@all +ping +role +info +select +client|setname"
       " +evalsha +script|load +get +set +unlink +hget +hmget +hset +hsetnx +hincrby"
       " +pexpire +pttl +zadd +zcard +zrem +zrange +zrangebyscore +zremrangebyscore"
       " +zremrangebyrank +zmscore +xadd +xread +time")


class Process:
    """One server, its directory, and what can befall it."""

    def __init__(self, program, environment=None):
        self.program, self.environment = program, environment
        self.directory = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.directory.name)
        self.process, self.is_frozen = None, False

    def launch(self, *arguments):
        self.process = subprocess.Popen(
            [self.program, *map(str, arguments)], cwd=self.path, stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT, env={**os.environ, **(self.environment or {})})

    def end(self, how=signal.SIGTERM):
        if self.process is None or self.process.poll() is not None:
            return
        self.thaw()
        self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self):
        """kill -9: what it had is gone."""
        self.end(signal.SIGKILL)

    def freeze(self):
        """It keeps its connections, and says nothing."""
        self.process.send_signal(signal.SIGSTOP)
        self.is_frozen = True

    def thaw(self):
        if self.is_frozen:
            self.process.send_signal(signal.SIGCONT)
            self.is_frozen = False

    def stop(self):
        self.end()
        self.directory.cleanup()


class RedisServer(Process):
    """<unix>: on a socket alone; <tls>: an Authority that its certificate is from; <prefix>: with a
    user "larder", password "sesame", that may use the keys of that prefix alone; <replica_of>:
    another one; <more>: words of its command line."""

    def __init__(self, *more, unix=False, tls=None, prefix=None, replica_of=None, maxmemory=0,
                 policy="noeviction", cluster=False, environment=None):
        super().__init__(SERVER, environment)
        self.socket = str(self.path / "s") if unix else None
        self.tls, self.prefix = tls, prefix
        self.port = 0 if unix else free_port()
        self.words = ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
                      "--maxmemory", maxmemory, "--maxmemory-policy", policy, "--dir", self.path,
                      "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0",
                      "--port", 0 if tls else self.port, *more]
        if unix:
            self.words += ["--unixsocket", self.socket]
        if tls:
            pair = tls.issue("IP:127.0.0.1")
            self.words += ["--tls-port", self.port, "--tls-cert-file", pair.certificate,
                           "--tls-key-file", pair.key, "--tls-ca-cert-file", tls.certificate,
                           "--tls-auth-clients", "no"]
        if prefix:
            self.words += ["--user", "larder", "on", ">sesame", *ACL.format(prefix=prefix).split()]
        if replica_of:
            self.words += ["--replicaof", f"127.0.0.1 {replica_of.port}"]
        if cluster:
            self.bus = free_port()
            self.words += ["--cluster-enabled", "yes", "--cluster-port", self.bus,
                           "--cluster-require-full-coverage", "no", "--cluster-config-file",
                           self.path / "nodes"]
        self.start()

    def start(self):
        self.launch(*self.words)
        wait_until(self._is_up)

    def _is_up(self):
        assert self.process.poll() is None, f"redis ended: {self.words}"
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return client.ping()

    @property
    def address(self):
        """As larder's "server" has it."""
        if self.socket:
            return f"unix:{self.socket}"
        return f"{'rediss://' if self.tls else ''}127.0.0.1:{self.port}"

    def client(self, **more):
        """A client that may do everything, and waits."""
        if self.socket:
            return redis.Redis(unix_socket_path=self.socket, socket_timeout=DEADLINE_S, **more)
        if self.tls:
            more.update(ssl=True, ssl_ca_certs=str(self.tls.certificate))
        return redis.Redis("127.0.0.1", self.port, socket_timeout=DEADLINE_S, **more)

    def ask(self, *words):
        with self.client() as client:
            return client.execute_command(*words)

    def info(self, section):
        with self.client() as client:
            return client.info(section)

    def restart(self):
        """Killed, and there again at once on the same port, empty."""
        self.kill()
        self.start()

    def pause(self, seconds):
        """DEBUG SLEEP; returns a thread that ends with it."""
        def sleep():
            with contextlib.suppress(redis.RedisError):  # killed in its sleep
                self.ask("DEBUG", "SLEEP", str(seconds))
        thread = threading.Thread(target=sleep)
        thread.start()
        return thread

    def kill_clients(self):
        return self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def keys(self, prefix):
        """By the last part of their names, all that larder has there."""
        with self.client() as client:
            start = b"{larder:%s}:" % prefix.encode()
            return {key[len(start):]: key for key in client.scan_iter(count=1000)
                    if key.startswith(start)}

    def key(self, prefix, name):
        return f"{{larder:{prefix}}}:{name}"

    def trim_log(self, prefix):
        return self.ask("XTRIM", self.key(prefix, "log"), "MAXLEN", "0")

    def cut_replication(self):
        """Of a replica: what its master gets from now on, it does not."""
        self.ask("CONFIG", "SET", "masterauth", "no such password")
        self.ask("CLIENT", "KILL", "TYPE", "master")
        wait_until(lambda: self.info("replication")["master_link_status"] == "down")


class Sentinel(Process):
    """Watches <master>; finds it dead after 400 ms."""

    def __init__(self, master, name="shop", quorum=1):
        super().__init__(SENTINEL)
        self.name, self.port = name, free_port()
        path = self.path / "sentinel.conf"
        path.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.path}\n"
                        f"sentinel monitor {name} 127.0.0.1 {master.port} {quorum}\n"
                        f"sentinel down-after-milliseconds {name} 400\n"
                        f"sentinel failover-timeout {name} 3000\n")
        self.launch(path)
        wait_until(self._is_up)

    def _is_up(self):
        with contextlib.suppress(redis.RedisError):
            return self.client().ping()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def client(self):
        return redis.Redis("127.0.0.1", self.port, socket_timeout=DEADLINE_S,
                           decode_responses=True)

    def master_port(self):
        with self.client() as client:
            found = client.sentinel_get_master_addr_by_name(self.name)
        return int(found[1]) if found else 0

    def replicas(self):
        with self.client() as client:
            return [r for r in client.sentinel_slaves(self.name) if "slave" in r["flags"]]


class Watched:
    """A master, a replica, and as many sentinels as a majority wants."""

    def __init__(self, sentinels=3):
        with contextlib.ExitStack() as stack:
            self.master = RedisServer()
            stack.callback(self.master.stop)
            self.replica = RedisServer(replica_of=self.master)
            stack.callback(self.replica.stop)
            wait_until(lambda: self.replica.info("replication")["master_link_status"] == "up")
            self.sentinels = []
            for _ in range(sentinels):
                self.sentinels.append(Sentinel(self.master, quorum=sentinels // 2 + 1))
                stack.callback(self.sentinels[-1].stop)
            wait_until(self._is_watched)
            self.stack = stack.pop_all()

    def _is_watched(self):
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                master = client.sentinel_master(sentinel.name)
            if master["num-other-sentinels"] != len(self.sentinels) - 1 or not master["num-slaves"]:
                return False
        return True

    def config(self):
        return {"sentinels": [s.address for s in self.sentinels], "master": self.sentinels[0].name}

    def fail_over(self):
        """The master dies; returns when the sentinels have put the replica in its place."""
        self.master.kill()
        self.wait_for_promotion()

    def wait_for_promotion(self):
        wait_until(lambda: self.sentinels[0].master_port() == self.replica.port)
        wait_until(lambda: self.replica.info("replication")["role"] == "master")

    def stop(self):
        self.stack.close()


class Cluster:
    """Three masters that share the slots; who asks the wrong one gets MOVED."""

    def __init__(self):
        with contextlib.ExitStack() as stack:
            self.nodes = []
            for first, last in ((0, 5460), (5461, 10922), (10923, 16383)):
                node = RedisServer(cluster=True)
                stack.callback(node.stop)
                node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
                self.nodes.append(node)
            for node in self.nodes[1:]:
                self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
            for node in self.nodes:
                wait_until(lambda node=node: self._knows_all(node))
            self.stack = stack.pop_all()

    def _knows_all(self, node):
        return len(node.ask("CLUSTER", "SLOTS")) == len(self.nodes)

    def owner(self, prefix):
        """The node that has a prefix's keys; and one that has not."""
        slot = self.nodes[0].ask("CLUSTER", "KEYSLOT", f"{{larder:{prefix}}}:log")
        at = min(int(slot) // 5461, 2)
        return self.nodes[at], self.nodes[(at + 1) % 3]

    def stop(self):
        self.stack.close()


def is_installed():
    return all(shutil.which(program) for program in (SERVER, SENTINEL))
