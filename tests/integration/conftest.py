"""Fixtures: larder under test, and the real apps behind it."""
import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.app import App  # noqa: E402
from support.fleet import Apps, Fleet  # noqa: E402
from support.larder import Larder, Refused  # noqa: E402
from support.redis import RedisServer  # noqa: E402
from support.script import site_of  # noqa: E402
from support.tls import Authority  # noqa: E402


@pytest.fixture
def larder_factory():
    running = []

    def start(config, *more):
        running.append(Larder(config, *more))
        return running[-1]
    yield start
    with contextlib.ExitStack() as stack:  # one that ends badly does not keep the others alive
        for larder in running:
            stack.callback(larder.stop)


@pytest.fixture
def larder_refuses():
    def start(config, *parts):
        with pytest.raises(Refused) as refused:
            Larder(config)
        refused.value.check(*parts)
    return start


@pytest.fixture(scope="module")
def site():
    """One larder in mode http for all tests of a file, before an app that each test scripts."""
    def route(name, **rules):
        return dict(rules, name=name, match=f"/{name}/*", mode="http")
    with site_of(route("ignoring", request_cache_control="ignore"),
                 route("cookies", set_cookie="store"),
                 route("dropping", set_cookie="ignore"),
                 route("windows", stale_while_revalidate="1h", stale_if_error="1h")) as site:
        yield site


def app_fixtures(module, server):
    @pytest.fixture(scope="session")
    def process():
        app = App(module, server)
        yield app
        app.stop()
    return process


flask_process = app_fixtures("flask_app", "gunicorn")
django_process = app_fixtures("django_app", "gunicorn")
fastapi_process = app_fixtures("fastapi_app", "uvicorn")
school_process = app_fixtures("school_app", "gunicorn")
moody_process = app_fixtures("moody_app", "gunicorn")
legacy_process = app_fixtures("legacy_app", "gunicorn")
desk_flask_process = app_fixtures("desk_flask", "gunicorn")
desk_fastapi_process = app_fixtures("desk_fastapi", "uvicorn")
desk_channels_process = app_fixtures("desk_channels", "daphne")


@pytest.fixture
def flask_app(flask_process):
    flask_process.reset()
    return flask_process


@pytest.fixture
def django_app(django_process):
    django_process.reset()
    return django_process


@pytest.fixture
def fastapi_app(fastapi_process):
    fastapi_process.reset()
    return fastapi_process


@pytest.fixture
def moody_app(moody_process):
    moody_process.reset()
    return moody_process


@pytest.fixture
def legacy_app(legacy_process):
    legacy_process.reset()
    return legacy_process


@pytest.fixture
def school_app(school_process):
    school_process.reset()
    return school_process


@pytest.fixture(params=["flask", "fastapi", "channels"])
def desk(request):
    """The same small app in Flask under gunicorn, FastAPI under uvicorn, Django under daphne."""
    process = request.getfixturevalue(f"desk_{request.param}_process")
    process.reset()
    return process


@pytest.fixture(params=["fastapi", "channels"])
def live_desk(request):
    """Those that have a WebSocket."""
    process = request.getfixturevalue(f"desk_{request.param}_process")
    process.reset()
    return process
@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def pair(authority):
    """A certificate for a.test and for loopback."""
    return authority.issue("DNS:a.test", "IP:127.0.0.1")


@pytest.fixture(scope="session")
def fleet_apps():
    """Two instances of one app."""
    apps = Apps()
    yield apps
    apps.stop()


@pytest.fixture(scope="module")
def redis():
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def own_redis():
    """For a test that is rough with it."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def standing(fleet_apps, redis):
    """One fleet for all tests of a file that need nothing special."""
    fleet = Fleet(fleet_apps, redis)
    yield fleet
    fleet.stop()


@pytest.fixture
def fleet(standing):
    standing.settle()
    return standing


@pytest.fixture
def fleet_factory(fleet_apps):
    started = []

    def start(redis, **more):
        started.append(Fleet(fleet_apps, redis, **more))
        return started[-1]
    yield start
    for fleet in started:
        fleet.stop()
