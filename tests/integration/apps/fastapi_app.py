"""A FastAPI app: async, chunked streams, JSON bodies."""
import collections
import itertools

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
counts = collections.Counter()
numbers = itertools.count(1)


@app.get("/_counts")
async def show_counts():
    return dict(counts)


@app.post("/_reset")
async def reset():
    counts.clear()
    return "ok"


@app.get("/api/courses")
async def courses(organization_id: str = "", semester: int = 0):
    counts["courses"] += 1
    return {"number": next(numbers), "organization_id": organization_id, "semester": semester}


@app.post("/query")
async def query(request: Request):
    counts["query"] += 1
    return {"number": next(numbers), "body": await request.json()}


@app.get("/stream")
async def stream():
    async def pieces():
        for i in range(20):
            yield f"piece {i}\n"
    return StreamingResponse(pieces(), media_type="text/plain")
