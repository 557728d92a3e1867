"""An app whose answers are as the test wants them: what it says, how slow, and whether at all."""
import collections
import threading

from flask import Flask, Response, jsonify, request

app = Flask(__name__)
counts = collections.Counter()
moods = {}
gates = collections.defaultdict(threading.Event)


@app.get("/_counts")
def show_counts():
    return jsonify(dict(counts))


@app.post("/_reset")
def reset():
    counts.clear()
    moods.clear()
    for gate in list(gates.values()):
        gate.set()
    gates.clear()
    return "ok"


@app.post("/_open/<name>")
def open_gate(name):
    gates[name].set()
    return "ok"


@app.post("/_mood/<name>")
def set_mood(name):
    """status, body, headers, gate: what /thing/NAME answers from now on."""
    moods[name] = request.get_json()
    return "ok"


@app.route("/thing/<name>", methods=["GET", "POST", "PUT", "DELETE"])
def thing(name):
    counts[name] += 1
    number = counts[name]
    mood = moods.get(name, {})
    if mood.get("gate"):
        gates[mood["gate"]].wait(30)
    body = mood.get("body", {"number": number, "who": request.headers.get("Authorization")})
    text = body if isinstance(body, str) else jsonify(body).get_data(as_text=True)
    answer = Response(text, status=mood.get("status", 200), mimetype="application/json")
    for field, value in mood.get("headers", {}).items():
        answer.headers[field] = value
    return answer
