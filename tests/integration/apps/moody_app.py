"""An app whose answers are as the test wants them: what it says, how slow, and whether at all."""
from flask import Flask, Response, jsonify, request

from counted import add_to, counts, gates

app = Flask(__name__)
moods = {}
add_to(app, moods)


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
