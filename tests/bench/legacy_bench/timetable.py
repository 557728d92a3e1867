"""The timetable: FastAPI that reads from Django. In-app, FastAPI's client has the cache; larder stands before
Django, and FastAPI reads through it."""
import json

from . import measure
from .client import Connection, message
from .rows import count_row, time_row, times_row
from .sides import APPS, Pair, Server, Side

NAME = "timetable"
RESOURCES = {"courses": (230, 7), "faculty": (65, 4), "rooms": (50, 4), "students": (330, 9), "time_slots": (160, 7)}
ORG = "123"


class Timetable(Pair):
    """One Django for both sides; it counts itself what it is asked."""

    def start(self):
        self.django = Server("registry", NAME, self.bench.directory, where=APPS / NAME, LEGACY_DELAY=str(self.delay))
        self.stack.callback(self.django.stop)
        self.django.start().wait()
        larder = Side("larder", None)
        self.sides = [None, larder]
        self.start_larder()
        own = self.server(f"{NAME}_cached", "in-app", DJANGO_BASE_URL=f"http://127.0.0.1:{self.django.port}")
        larder.app = self.server("plain", "larder", DJANGO_BASE_URL=f"http://127.0.0.1:{larder.larder.public_port}")
        self.sides[0] = Side("in-app", own.wait())
        for side in self.sides:
            side.own_port, side.django = side.app.wait().port, self.django
"""
"""


def fetch(resource, org=ORG):
    return message("GET", f"/_fetch/{resource}?organization_id={org}")


def generate(org, semester=1):
    return message("GET", f"/api/timetable/generate?organization_id={org}&semester={semester}")
