"""The monitoring API of "Option A": metrics and alerts out of a slow database, for a dashboard. FastAPI under uvicorn,
port 8003; as monitoring_api.py was before its cache and its pool of connections, so without /performance/...

Every query takes about two seconds; LEGACY_DELAY scales them. Each answer has the number of its query, so that a new
one is told from an old one.
"""
import asyncio
import itertools
import os
import pathlib
import sys

from fastapi import FastAPI

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import fastapi_probe  # noqa: E402

QUERY_S = 2.0
app = FastAPI(title="Monitoring API", dependencies=fastapi_probe.dependencies)
fastapi_probe.add_to(app)
samples = itertools.count(1)


async def query(table):
    """A row of <table>."""
    await asyncio.sleep(QUERY_S * float(os.environ.get("LEGACY_DELAY", "0.02")))
    sample = next(samples)
    return {"table": table, "sample": sample, "cpu_percent": 20 + sample % 50, "memory_percent": 40 + sample % 30}


@app.get("/health")
async def health():
    return {"status": "healthy"}


@app.get("/metrics/current")
async def metrics_current(symbol: str = ""):
    return {"symbol": symbol, "metrics": await query("current")}


@app.get("/metrics/summary")
async def metrics_summary():
    return {"summary": await query("summary")}


@app.get("/metrics/history")
async def metrics_history(hours: int = 24):
    row = await query("history")
    return {"hours": hours, "history": [dict(row, hour=hour) for hour in range(hours)]}


@app.get("/alerts/active")
async def alerts_active():
    row = await query("alerts")
    return {"alerts": [{"id": row["sample"], "severity": "warning", "metric": "cpu_percent"}]}
