"""The timetable's FastAPI: makes a timetable of what it reads from Django. DJANGO_BASE_URL says where that
is: Django itself, or larder in front of it. TIMETABLE_LOG: a file for its log."""
import logging
import os
import pathlib
import sys

import httpx
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from django_client import DjangoAPIClient  # noqa: E402
from watched import did, look, reset  # noqa: E402

logging.basicConfig(filename=os.environ.get("TIMETABLE_LOG"), level=logging.INFO)
logger = logging.getLogger("timetable")
app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
client = DjangoAPIClient(os.environ.get("DJANGO_BASE_URL", "http://127.0.0.1:8000"))


def schedule(slots, courses, rooms):
    """One course after another into the slots of its department."""
    free = {}
    for slot in slots:
        free.setdefault(slot["department"], []).append(slot)
    placed = []
    for number, course in enumerate(courses):
        own = free.get(course["course__dept_id"])
        if own:
            slot = own.pop()
            placed.append([course["course__course_id"], slot["day"], slot["slot"],
                           rooms[number % len(rooms)]["number"]])
    return placed


@app.get("/api/timetable/generate")
async def generate(organization_id: str, semester: int = None):
    try:
        time_config = await client.fetch_time_config(organization_id)
        logger.info(f"[CONFIG] Using DB config: {time_config['working_days']} days")
        found = await client.fetch_all(organization_id, semester)
    except httpx.HTTPStatusError as e:
        return JSONResponse({"detail": e.response.json().get("detail")}, e.response.status_code)
    did("generate")
    return {"status": "success", "organization_id": organization_id,
            "working_days": time_config["working_days"],
            "counts": {name: len(rows) for name, rows in found.items()},
            "timetable": schedule(found["time_slots"], found["courses"], found["rooms"])}


@app.get("/_counts")
def show_counts():
    return look()


@app.post("/_reset")
def forget():
    return reset()


@app.on_event("shutdown")
async def close():
    await client.close()
