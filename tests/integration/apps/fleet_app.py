"""An app of several instances that know one truth: versions in a file that all of them read. Each
answer carries the version of what it shows, as it was when the app looked."""
import os
import sqlite3

from flask import Flask, jsonify, request

from counted import add_to, counts, gates

app = Flask(__name__)
add_to(app)


def ask(statement, *values):
    truth = sqlite3.connect(os.environ["FLEET_TRUTH"], timeout=20, isolation_level=None)
    try:
        return truth.execute(statement, values).fetchall()
    finally:
        truth.close()


def version(name):
    found = ask("SELECT version FROM items WHERE name = ?", name)
    return found[0][0] if found else 0


def bump(name):
    return ask("INSERT INTO items VALUES (?, 1) ON CONFLICT DO UPDATE SET version = version + 1"
               " RETURNING version", name)[0][0]


def show(name, **more):
    answer = jsonify(id=name, version=version(name), **more)
    counts[name] += 1  # whoever sees it knows that the version has been read
    if request.args.get("gate"):
        gates[request.args["gate"]].wait(30)
    for field in ("xkey", "Cache-Control"):
        if request.args.get(field):
            answer.headers[field] = request.args[field]
    return answer


@app.get("/items/<item>")
@app.get("/local/<item>")
@app.get("/alone/<item>")
@app.get("/tagged/<item>")
@app.get("/slow/<item>")
@app.get("/soft/<item>")
@app.post("/secret/<item>")
def read(item):
    return show(item)


@app.get("/courses")
def courses():
    return show("courses-" + request.args.get("org", ""), text=request.args.get("text"))


@app.get("/language/<item>")
def language(item):
    answer = show(item, language=request.headers.get("X-Lang"))
    answer.headers["Vary"] = "X-Lang"
    return answer


@app.get("/large/<int:size>")
def large(size):
    return show(f"large-{size}", text=os.urandom(size // 2).hex())


@app.put("/items/<item>")
@app.put("/local/<item>")
@app.put("/alone/<item>")
def write(item):
    return jsonify(id=item, version=bump(item))


@app.post("/bump/<item>")
def behind_the_cache(item):
    return jsonify(id=item, version=bump(item))


@app.get("/truth/<item>")
def truth(item):
    return jsonify(id=item, version=version(item))
