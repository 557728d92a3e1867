"""Everything that may befall a fleet, in an order that nobody thought of. After each step the
oracle says whether an answer was one that might be shown."""
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (RuleBasedStateMachine, initialize, invariant, rule,
                                 run_state_machine_as_test)

from support.fleet import BOUND_S, Fleet, Oracle
from support.redis import RedisServer

PREFIX = "test"
LARDERS = st.integers(0, 2)
ITEMS = st.integers(0, 3)
PATHS = st.sampled_from(["/items/", "/local/"])


@pytest.fixture
def redis():
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def fleet(fleet_apps, redis):
    fleet = Fleet(fleet_apps, redis, more={"workers": 1})
    yield fleet
    fleet.stop()


class Machine(RuleBasedStateMachine):
    fleet = redis = None  # of the test
    end = 0

    @initialize()
    def begin(self):
        self.oracle = Oracle(self.fleet)

    @property
    def has_time(self):
        return time.monotonic() < self.end

    @rule(i=LARDERS, item=ITEMS, path=PATHS)
    def read(self, i, item, path):
        name = f"machine-{item}"
        began = time.monotonic()
        least = self.oracle.least(i, name, began)
        answer = self.fleet.read(i, path + name)
        assert answer.status == 200, answer.body
        self.oracle.check(i, name, least, answer, began)

    @rule(item=ITEMS, path=PATHS)
    def read_through_all(self, item, path):
        for i in range(3):
            self.read(i, item, path)

    @rule(i=LARDERS, item=ITEMS)
    def write(self, i, item):
        name = f"machine-{item}"
        version = self.fleet.write(i, f"/items/{name}")
        self.oracle.acknowledged(i, self.fleet.life[i], name, version)
        self.oracle.confirm(i)

    @rule(i=LARDERS, item=ITEMS, kind=st.sampled_from(["tag", "glob", "all_of", "path", "all"]))
    def invalidate(self, i, item, kind):
        name = f"machine-{item}"
        version = self.fleet.apps.bump(name)
        # routes and items are tags; a glob names a readable key
        selector = {"tag": {"tag": f"item:{name}"}, "all": {"all": True},
                    "glob": {"glob": "*:id=machine-*"},
                    "path": {"path": "/{where}/{id}"},
                    "all_of": {"all_of": [f"item:{name}", f"item:{name}"]}}[kind]
        answer = self.fleet.invalidate(i, **selector)
        assert answer.status in (200, 202), answer.body
        write = self.oracle.acknowledged(i, self.fleet.life[i], name, version)
        if answer.json()["replicated"]:
            write.confirmed = time.monotonic()

    @rule(ms=st.sampled_from([30, 150, 400]))
    def pause_redis(self, ms):
        if self.has_time:
            self.redis.pause(ms / 1000)

    @rule()
    def cut_connections(self):
        self.redis.kill_clients()

    @rule()
    def restart_redis_empty(self):
        self.redis.restart()

    @rule()
    def forget_everything(self):
        self.redis.ask("FLUSHALL")

    @rule()
    def trim_the_log(self):
        self.redis.trim_log(PREFIX)

    @rule(name=st.sampled_from(["boot", "ep", "walks", "log", "live"]))
    def delete_a_key(self, name):
        self.redis.ask("DEL", self.redis.key(PREFIX, name))

    @rule(i=LARDERS)
    def kill_a_larder(self, i):
        if self.has_time:
            self.fleet.kill(i)
            self.fleet.start(i)

    @rule()
    def settle(self):
        if self.has_time:
            self.fleet.settle()
            for i in range(3):
                self.oracle.confirm(i)

    @rule()
    def let_the_bound_pass(self):
        """Of all that is acknowledged by now; the test counts the time as it likes."""
        if not self.has_time:
            return
        end = time.monotonic() + BOUND_S
        while time.monotonic() < end:
            for i in range(3):
                self.oracle.confirm(i)
            for item in range(4):
                self.read(item % 3, item, "/items/")

    @invariant()
    def nobody_was_shown_what_was_taken_back(self):
        if hasattr(self, "oracle"):
            assert not self.oracle.wrong, self.oracle.wrong

    def teardown(self):
        """Once all is quiet, all agree: at once, for all is told."""
        if not hasattr(self, "oracle"):
            return
        self.fleet.settle()
        for i in range(3):
            self.oracle.confirm(i)
        self.oracle.bound_s = 0
        for item in range(4):
            self.read_through_all(item, "/items/")
            self.read_through_all(item, "/local/")
        self.nobody_was_shown_what_was_taken_back()


def test_in_whatever_order_things_happen_nobody_is_shown_what_was_taken_back(fleet, redis):
    Machine.fleet, Machine.redis = fleet, redis
    Machine.end = time.monotonic() + 40
    run_state_machine_as_test(Machine, settings=settings(
        max_examples=8, stateful_step_count=25, deadline=None, database=None,
        suppress_health_check=list(HealthCheck)))
