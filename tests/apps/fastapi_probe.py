"""What the FastAPI apps of tests/apps tell their tests: how often each route was called, by its function's name,
and gates that hold a route's calls back until a test opens them. The apps' own code knows nothing of it."""
import asyncio
import collections

from fastapi import Depends, Request

counts = collections.Counter()
gates = {}


async def called(request: Request):
    name = request.scope["endpoint"].__name__
    if request.url.path.startswith("/_"):
        return
    counts[name] += 1
    if name in gates:
        await gates[name].wait()


dependencies = [Depends(called)]


def add_to(app, *states):
    """_counts, _reset (of <states> too: whatever has clear()), _hold/NAME and _open/NAME."""
    @app.get("/_counts", include_in_schema=False)
    async def show_counts():
        return counts

    @app.post("/_hold/{name}", include_in_schema=False)
    async def hold(name: str):
        gates[name] = asyncio.Event()

    @app.post("/_open/{name}", include_in_schema=False)
    async def open_gate(name: str):
        gates.pop(name).set()

    @app.post("/_reset", include_in_schema=False)
    async def reset():
        for gate in gates.values():
            gate.set()
        for state in (counts, gates, *states):
            state.clear()
