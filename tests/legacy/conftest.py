"""Fixtures of the legacy tests: those of the integration tests, and the five apps.

The tests stand in test_SYSTEM.py, one or more for each item of items.json; items.py says how a test names its
item and its verdict. `legacy_app("risk")` starts tests/apps/risk once for the whole run.
"""
import importlib.util
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
INTEGRATION = HERE.parent / "integration"
sys.path.insert(0, str(HERE))
sys.path.append(str(INTEGRATION))

_spec = importlib.util.spec_from_file_location("integration_conftest", INTEGRATION / "conftest.py")
_integration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_integration)
larder_factory = _integration.larder_factory
larder_refuses = _integration.larder_refuses
redis = _integration.redis
own_redis = _integration.own_redis

from support.app import App  # noqa: E402
from support_legacy import APPS  # noqa: E402


@pytest.fixture(scope="session")
def _apps():
    running = {}
    yield running
    for app in running.values():
        app.stop()


@pytest.fixture
def legacy_app(_apps):
    """legacy_app("risk", "app", "gunicorn", LEGACY_DELAY="0") -> App: module app.py of tests/apps/risk. Started
    once for each set of arguments, and reset for each test."""
    def start(name, module, server, **environment):
        which = (name, module, server, *sorted(environment.items()))
        if which not in _apps:
            _apps[which] = App(module, server, directory=APPS / name,
                               environment={"LEGACY_DELAY": "0.02", **environment})
        _apps[which].reset()
        return _apps[which]
    return start
