"""The desk of desk_flask.py in FastAPI, with a WebSocket, and open to a page of another origin."""
import asyncio
import collections
import hashlib
import itertools

from fastapi import FastAPI, File, Form, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.sessions import SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="only for tests")
# the page is of another port, and so of another origin, but of the same site: cookies are sent
app.add_middleware(CORSMiddleware, allow_origin_regex=r"http://localhost:\d+",
                   allow_credentials=True, allow_methods=["GET", "PUT"],
                   allow_headers=["Content-Type", "X-Asked"],
                   expose_headers=["Cache-Status", "X-Number"])
counts = collections.Counter()
gates = collections.defaultdict(asyncio.Event)
numbers = itertools.count(1)


@app.get("/_counts")
async def show_counts():
    return dict(counts)


@app.post("/_reset")
async def reset():
    counts.clear()
    for gate in gates.values():
        gate.set()
    gates.clear()
    return "ok"


@app.post("/_open/{name}")
async def open_gate(name: str):
    gates[name].set()
    return "ok"


@app.get("/api/courses")
async def courses(organization_id: str = ""):
    counts["courses"] += 1
    number = next(numbers)
    return JSONResponse({"number": number, "org": organization_id},
                        headers={"X-Number": str(number)})


@app.put("/api/courses")
async def put_course(request: Request):
    counts["put"] += 1
    return {"put": await request.json(), "asked": request.headers.get("x-asked")}


@app.get("/form")
async def form(request: Request):
    request.session["seen"] = True
    return "no token"


@app.post("/login")
async def login(request: Request, user: str = Form(), password: str = Form("")):
    if password != "right":
        return JSONResponse({"success": False}, 403)
    request.session["user"] = user
    return RedirectResponse(str(request.base_url) + "me", 303)


@app.get("/me")
async def me(request: Request):
    return {"user": request.session.get("user")}


@app.post("/upload")
async def upload(file: UploadFile = File(), note: str = Form()):
    data = await file.read()
    return {"name": file.filename, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
            "note": note}


@app.get("/stream")
async def stream():
    async def parts():
        for i in range(200):
            yield f"part {i}\n"
    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/events/{name}")
async def events(name: str):
    async def told():
        yield "data: 1\n\n"
        await gates[name].wait()
        yield "event: last\ndata: 2\n\n"
    return StreamingResponse(told(), media_type="text/event-stream",
                             headers={"Cache-Control": "no-cache"})


@app.websocket("/ws")
async def talk(socket: WebSocket):
    offered = socket.scope["subprotocols"]
    await socket.accept(subprotocol=offered[0] if offered else None)
    try:
        while True:
            message = await socket.receive()
            if message.get("text") == "end":
                return await socket.close(4001)
            if message.get("text") is not None:
                await socket.send_text("echo " + message["text"])
            elif message.get("bytes") is not None:
                await socket.send_bytes(message["bytes"])
            else:
                return None
    except WebSocketDisconnect:
        return None


@app.api_route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def echo(request: Request):
    raw = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return {"method": request.method, "target": raw + ("?" + query if query else ""),
            "fields": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in request.headers.raw],
            "sha256": hashlib.sha256(await request.body()).hexdigest()}


@app.get("/page")
async def page():
    return HTMLResponse("<!doctype html><title>page</title>")
