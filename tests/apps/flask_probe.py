"""What the Flask apps of tests/apps tell their tests: how often each route was called, by its function's name,
and gates that hold a route's calls back until a test opens them. The apps' own code knows nothing of it."""
import collections
import threading

from flask import jsonify, request

counts = collections.Counter()
gates = {}
lock = threading.Lock()


def called():
    if request.path.startswith("/_") or request.endpoint is None:
        return
    with lock:
        counts[request.endpoint] += 1
        gate = gates.get(request.endpoint)
    if gate:
        gate.wait(30)


def add_to(app, *states):
    """_counts, _reset (of <states> too: whatever has clear()), _hold/NAME and _open/NAME."""
    app.before_request(called)

    @app.get("/_counts")
    def show_counts():
        with lock:
            return jsonify(dict(counts))

    @app.post("/_hold/<name>")
    def hold(name):
        with lock:
            gates[name] = threading.Event()
        return "ok"

    @app.post("/_open/<name>")
    def open_gate(name):
        with lock:
            gates.pop(name).set()
        return "ok"

    @app.post("/_reset")
    def reset():
        with lock:
            for gate in gates.values():
                gate.set()
            for state in (counts, gates, *states):
                state.clear()
        return "ok"
