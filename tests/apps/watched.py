"""What a test may ask the legacy apps: how often each thing was done, and to hold one until it opens it.

An app calls did("courses") where it does the work, and takes(180) where the document gives it 180 ms:
LEGACY_DELAY scales these (1: as in the document; 0.02 here). POST /_hold/courses makes whoever comes to
did("courses") from then on wait for POST /_open/courses. An app routes the three calls to look(), reset() and
turn().
"""
import collections
import os
import threading
import time

SCALE = float(os.environ.get("LEGACY_DELAY", "0.02"))

_counts = collections.Counter()
_gates = {}
_lock = threading.Lock()


def did(name):
    with _lock:
        _counts[name] += 1
        gate = _gates.get(name)
    if gate:
        gate.wait(30)


def takes(ms):
    time.sleep(ms * SCALE / 1000)


def look():
    """Of GET /_counts."""
    with _lock:
        return dict(_counts)


def reset():
    """Of POST /_reset: who still waits is let go."""
    with _lock:
        _counts.clear()
        for gate in _gates.values():
            gate.set()
        _gates.clear()
    return {}


def turn(what, name):
    """Of POST /_hold/NAME and /_open/NAME."""
    with _lock:
        if what == "_hold":
            _gates[name] = threading.Event()
        elif name in _gates:
            _gates.pop(name).set()
    return {}
