"""The demo's app: a school's API, slow, and silent about caching, as many are."""
import itertools
import time

from flask import Flask, jsonify, request

app = Flask(__name__)
rooms = {"17": {"id": 17, "name": "Library", "seats": 40},
         "18": {"id": 18, "name": "Lab", "seats": 24}}
answers = itertools.count(1)


@app.get("/api/organizations")
def organizations():
    return jsonify(results=[{"id": "1"}, {"id": "2"}])


@app.get("/api/courses")
def courses():
    time.sleep(0.3)  # the slow query this cache is for
    return jsonify(organization_id=request.args.get("organization_id"),
                   semester=request.args.get("semester"), answer=next(answers))


@app.get("/api/rooms")
def list_rooms():
    return jsonify(rooms=list(rooms.values()))


@app.get("/api/rooms/<room>")
def show_room(room):
    return jsonify(rooms[room]) if room in rooms else (jsonify(error="no such room"), 404)


@app.put("/api/rooms/<room>")
def change_room(room):
    if room not in rooms:
        return jsonify(error="no such room"), 404
    rooms[room].update(request.get_json())
    return jsonify(rooms[room])


@app.post("/login")
def login():
    return jsonify(success=False, error="wrong password")
