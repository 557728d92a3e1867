"""An app of tests/apps as it is ($LEGACY_SYSTEM says which), but that each piece of its work is written down, whichever
process does it: a line of $LEGACY_WORK for each page of the portal, query, assessment, SQL statement. The apps' own
/_counts would count what an in-app cache answers, too. SYSTEM_cached.py put their caches over this."""
import functools
import os
import pathlib
import sys
import time

SYSTEM = os.environ["LEGACY_SYSTEM"]
APPS = pathlib.Path(__file__).resolve().parents[2] / "apps"
sys.path[:0] = [str(APPS / SYSTEM)]
sys.path.append(str(APPS))
_work = os.open(os.environ["LEGACY_WORK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def ttl_s(documented):
    """How long an answer is kept: as the document says, or what a measurement can wait for."""
    return float(os.environ.get("LEGACY_TTL") or documented)


def note(name):
    os.write(_work, name.encode() + b"\n")


def noted(owner, function, name):
    """<owner>'s function writes its name down at each call."""
    real = getattr(owner, function)

    @functools.wraps(real)
    def wrapper(*args, **kwargs):
        note(name)
        return real(*args, **kwargs)
    setattr(owner, function, wrapper)


def rewrap(app, path, wrap):
    """A FastAPI's route of <path> again, with its function wrapped."""
    route = next(r for r in app.routes if r.path == path)
    app.routes.remove(route)
    app.add_api_route(path, wrap(route.endpoint), methods=route.methods)


def attendance():
    import main
    import portal
    noted(portal.Portal, "_load", "page")
    return main


def monitoring():
    import monitoring_api
    noted(monitoring_api, "query", "query")
    return monitoring_api


def risk():
    import app as risk_app
    import oecd_icio_model
    noted(oecd_icio_model.OECDICIOModel, "assess", "assess")
    return risk_app


def school():
    import records
    real = records.database

    def database():
        fresh = not hasattr(records._local, "connection")
        connection = real()
        if fresh:
            connection.set_trace_callback(lambda statement: note("sql"))
        return connection
    records.database = database
    import app as school_app
    noted(records, "get_students_by_class", "students")
    school_app.app.before_request(lambda: note("call"))
    return school_app


def timetable():
    import main

    @main.app.get("/_fetch/{resource}")
    async def fetch(resource: str, organization_id: str):
        """How long the scheduler waits for one resource."""
        began = time.perf_counter()
        rows = await getattr(main.client, f"fetch_{resource}")(organization_id)
        return {"ms": (time.perf_counter() - began) * 1000, "rows": len(rows)}
    return main


module = globals()[SYSTEM]()
app = module.app
