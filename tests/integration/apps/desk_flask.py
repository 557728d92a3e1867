"""A small desk in Flask: courses, a login with a session, uploads, a stream, live events. The same
desk stands in desk_fastapi.py and desk_channels.py."""
import hashlib
import itertools

from flask import Flask, Response, jsonify, redirect, request, session

from counted import add_to, counts, gates

app = Flask(__name__)
app.secret_key = "only for tests"
numbers = itertools.count(1)
add_to(app)


@app.get("/api/courses")
def courses():
    counts["courses"] += 1
    return jsonify(number=next(numbers), org=request.args.get("organization_id"))


@app.get("/catalog/")
def catalog():
    return jsonify(lang=request.headers.get("Accept-Language"),
                   key=request.headers.get("X-Api-Key"),
                   org=request.headers.get("X-Org"))


@app.get("/catalog/vary/")
def catalog_vary():
    answer = catalog()
    answer.vary.add("Accept-Language")
    return answer


@app.get("/form")
def form():
    session["seen"] = True
    return "no token"


@app.post("/login")
def login():
    if request.form.get("password") != "right":
        return jsonify(success=False), 403
    session["user"] = request.form["user"]
    return redirect(request.host_url + "me", 303)


@app.get("/me")
def me():
    return jsonify(user=session.get("user"))


@app.post("/upload")
def upload():
    f = request.files["file"]
    data = f.read()
    return jsonify(name=f.filename, size=len(data), sha256=hashlib.sha256(data).hexdigest(),
                   note=request.form["note"])


@app.get("/stream")
def stream():
    return Response((f"part {i}\n" for i in range(200)), mimetype="text/plain")


@app.get("/events/<name>")
def events(name):
    def told():
        yield "data: 1\n\n"
        gates[name].wait(30)
        yield "event: last\ndata: 2\n\n"
    return Response(told(), mimetype="text/event-stream", headers={"Cache-Control": "no-cache"})


@app.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def echo():
    return jsonify(method=request.method, target=request.environ["RAW_URI"],
                   fields=[list(h) for h in request.headers],
                   sha256=hashlib.sha256(request.get_data()).hexdigest())
