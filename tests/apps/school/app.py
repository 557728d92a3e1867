"""Hillview's school management, in Flask, without its cache, its rate limits and its pool: sessions with CSRF
tokens, students by class, analytics, configuration, marks, reports as background tasks.

SCHOOL_SESSIONS=cookie: Flask's own sessions, whose cookie is another one each second.
"""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import sys
import time

from flask import Flask, jsonify, request, session

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import records  # noqa: E402
import sessions  # noqa: E402
import tasks  # noqa: E402
from watched import did, look, reset, turn  # noqa: E402

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY", "only for tests")
if os.environ.get("SCHOOL_SESSIONS") != "cookie":
    app.session_interface = sessions.OutsideSessions()
records.make()


def user_token(name, role):
    """A JWT that says who it is: the API's clients send it, and whoever limits requests may read it."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    text = b".".join(part(json.dumps(v).encode()) for v in (
        {"alg": "HS256", "typ": "JWT"}, {"sub": name, "role": role, "exp": int(time.time()) + 1800}))
    return (text + b"." + part(hmac.new(app.secret_key.encode(), text, hashlib.sha256).digest())).decode()


@app.post("/login")
def login():
    body = request.get_json(silent=True) or request.form
    role = records.role_of(body.get("username"), body.get("password"))
    did("login")
    if not role:
        return jsonify(success=False, message="wrong name or password"), 401
    session.clear()
    session.permanent = True
    session["user"], session["role"], session["csrf"] = body["username"], role, secrets.token_hex(16)
    answer = jsonify(success=True, user=body["username"], role=role)
    answer.set_cookie("user", user_token(body["username"], role), httponly=True, samesite="Lax")
    return answer


@app.post("/logout")
def logout():
    session.clear()
    return jsonify(success=True)


@app.get("/api/me")
def me():
    did("me")
    return jsonify(user=session.get("user"), role=session.get("role"))


@app.get("/csrf-token")
def csrf_token():
    did("csrf")
    return jsonify(csrf_token=session.get("csrf"))


@app.get("/marks/upload")
def upload_form():
    did("form")
    return f"""<form method="post"><input type="hidden" name="csrf_token" value="{session.get('csrf')}"></form>"""


def refused(*roles):
    """An answer, unless the session is one of these roles'."""
    if not session.get("user"):
        return jsonify(message="log in first"), 401
    if session["role"] not in roles:
        return jsonify(message="not for you"), 403
    return None


@app.get("/api/students/<class_id>")
def students(class_id):
    no = refused("teacher", "headteacher")
    if no:
        return no
    found = records.get_students_by_class(class_id)
    did("students")
    if not found:
        return jsonify(message="no such class"), 404
    return jsonify({"class": class_id, "students": found, "seen_by": session["user"]})


@app.get("/api/analytics/<class_id>")
def analytics(class_id):
    no = refused("headteacher")
    if no:
        return no
    found = records.get_analytics(class_id)
    did("analytics")
    return jsonify({"class": class_id, "analytics": found})


@app.get("/api/configuration")
def configuration():
    """The same for everybody; no session is looked at."""
    found = records.get_configuration()
    did("configuration")
    return jsonify(configuration=found)


@app.post("/api/marks/<class_id>")
def upload_marks(class_id):
    no = refused("teacher", "headteacher")
    if no:
        return no
    token = request.headers.get("X-CSRFToken") or request.form.get("csrf_token") or ""
    if not hmac.compare_digest(token, session["csrf"]):
        return jsonify(message="the CSRF token is missing or wrong"), 403
    marks = request.get_json() if request.is_json else json.loads(request.form["marks"])
    for mark in marks:
        records.set_mark(mark["student"], mark["assessment"], mark["subject"], mark["mark"])
    did("marks")
    return jsonify(success=True, stored=len(marks))


def generate_report(class_id, assessment_type):
    return {"class": class_id, "assessment_type": assessment_type, "analytics": records.get_analytics(class_id)}


@app.post("/api/reports")
def start_report():
    no = refused("teacher", "headteacher")
    if no:
        return no
    body = request.get_json()
    task = tasks.start(session["user"], generate_report, body["class_id"], body["assessment_type"])
    return jsonify(task_id=task["task_id"], status="queued"), 202


@app.get("/api/reports/<task_id>")
def report_status(task_id):
    did("status")
    task = tasks.status(session.get("user"), task_id)
    return jsonify(task) if task else (jsonify(message="no such task"), 404)


@app.get("/health/scalability")
def scalability():
    return jsonify(status="healthy", background_tasks=tasks.statistics(), sessions=sessions.statistics())


@app.get("/_counts")
def show_counts():
    return jsonify(look())


@app.post("/_reset")
def forget():
    return jsonify(reset())


@app.post("/<any(_hold, _open):what>/<name>")
def gate(what, name):
    return jsonify(turn(what, name))
