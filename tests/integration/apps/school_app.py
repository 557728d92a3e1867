"""A school's API whose answers carry the version of what they show: who gets an old one is found
out."""
import collections

from flask import Flask, jsonify, request

from counted import add_to, counts, gates

app = Flask(__name__)
versions = collections.Counter()
add_to(app, versions)


def show(name, **more):
    version = versions[name]
    counts[name] += 1  # whoever sees it knows that the version has been read
    if request.args.get("gate"):
        gates[request.args["gate"]].wait(30)
    return jsonify(name=name, version=version, **more)


@app.get("/api/courses")
def courses():
    organization = request.args.get("organization_id", "")
    answer = show(f"courses-{organization}", semester=request.args.get("semester"))
    answer.headers["Vary"] = "X-Lang"
    return answer


@app.get("/api/rooms")
def rooms():
    n = int(request.args.get("n", 3))
    return show("rooms", rooms=[{"id": i} for i in range(1, n + 1)])


@app.get("/api/rooms/<room>")
def room(room):
    return show(f"room-{room}")


@app.get("/tagged/<name>")
def tagged(name):
    answer = show(f"tagged-{name}")
    for field in ("Surrogate-Key", "xkey", "Cache-Tag", "Cache-Groups"):
        if request.args.get(field):
            answer.headers[field] = request.args[field]
    return answer


@app.route("/api/rooms/<room>", methods=["PUT", "DELETE"])
def write_room(room):
    if request.args.get("fail"):
        return jsonify(error="refused"), int(request.args["fail"])
    versions[f"room-{room}"] += 1
    versions["rooms"] += 1
    return jsonify(version=versions[f"room-{room}"])


@app.post("/api/courses")
def write_course():
    body = request.get_json(silent=True) or {}
    name = f"courses-{body.get('organization_id', '')}"
    versions[name] += 1
    answer = jsonify(version=versions[name])
    for field in ("Location", "Content-Location", "Cache-Group-Invalidation"):
        if request.args.get(field):
            answer.headers[field] = request.args[field]
    return answer


@app.post("/bump/<name>")
def bump(name):
    """Changes something behind the cache's back."""
    versions[name] += 1
    return jsonify(version=versions[name])
