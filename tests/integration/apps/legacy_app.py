"""An app whose caches have gone, and its control routes with them; of some it still knows a part."""
from flask import Flask, Response, jsonify, request

from counted import add_to, counts

app = Flask(__name__)
seen = {}  # of each path: what the last request to it had
moods = {}
add_to(app, moods)


@app.before_request
def note():
    seen[request.path] = {"method": request.method, "fields": dict(request.headers),
                          "body": request.get_data(as_text=True),
                          "query": request.query_string.decode()}


@app.get("/_seen")
def tell():
    return jsonify(seen.get(request.args["path"]))


@app.post("/_mood/<name>")
def set_mood(name):
    moods[name] = request.get_json()
    return "ok"


def counted(name, **body):
    counts[name] += 1
    return jsonify(body)


@app.get("/api/config")
def config():
    return counted("config", working_days=6, slots_per_day=8)


@app.get("/api/departments")
def departments():
    counts["departments"] += 1
    if moods.get("departments"):
        return Response("no", status=moods["departments"]["status"])
    return jsonify(["CS", "EE", "ME"])


@app.get("/api/text")
def text():
    counts["text"] += 1
    return Response("plain", mimetype="text/plain")


@app.route("/<path:path>", methods=["GET", "POST", "OPTIONS", "PUT"])
def anything(path):
    """What the test says, or which courses, rooms... these are."""
    counts[path] += 1
    mood = moods.get(path.replace("/", "-"))
    if mood is None:
        return jsonify(path=path, n=counts[path], **request.args)
    answer = Response(mood["text"], status=mood.get("status", 200),
                      mimetype=mood.get("type", "application/json"))
    for name, value in mood.get("headers", []):
        answer.headers.add(name, value)
    return answer
