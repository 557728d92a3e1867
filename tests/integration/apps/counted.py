"""What the Flask apps under test share: how often each thing was asked for, and gates that hold an
answer back until a test opens them."""
import collections
import threading

from flask import jsonify


class Gates(dict):
    def __missing__(self, name):
        return self.setdefault(name, threading.Event())  # one for all threads that ask at once


counts = collections.defaultdict(int)  # += 1 of a Counter may lose one: its 0 comes from Python
gates = Gates()


def add_to(app, *states):
    """_counts, _reset (of <states> too: whatever has clear()) and _open/NAME."""
    @app.get("/_counts")
    def show_counts():
        return jsonify(dict(counts))

    @app.post("/_reset")
    def reset():
        for state in (counts, *states):
            state.clear()
        for gate in list(gates.values()):
            gate.set()  # lets go who still waits; the next hold of that name is a new gate
        gates.clear()
        return "ok"

    @app.post("/_open/<name>")
    def open_gate(name):
        gates[name].set()
        return "ok"
