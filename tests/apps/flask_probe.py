"""What the Flask apps of tests/apps tell their tests: how often each route was called, by its function's name,
and gates that hold a route's calls back until a test opens them (watched.py). The apps' own code knows nothing of
it."""
from flask import jsonify, request

from watched import did, look, reset, turn


def called():
    if not request.path.startswith("/_") and request.endpoint is not None:
        did(request.endpoint)


def add_to(app, *states):
    """_counts, _reset (of <states> too: whatever has clear()), _hold/NAME and _open/NAME."""
    app.before_request(called)

    @app.get("/_counts")
    def show_counts():
        return jsonify(look())

    @app.post("/<any(_hold, _open):what>/<name>")
    def gate(what, name):
        return jsonify(turn(what, name))

    @app.post("/_reset")
    def forget():
        for state in states:
            state.clear()
        return jsonify(reset())
