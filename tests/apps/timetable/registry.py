"""The timetable's Django: the organisations' departments, courses, rooms... in a database, by REST, without a
cache. TIMETABLE_DB: the SQLite file; else one of its own that goes with it."""
import os
import pathlib
import sys
import tempfile

import django
from django.conf import settings
from django.urls import path, re_path

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

directory = tempfile.TemporaryDirectory()
settings.configure(
    DEBUG=False, SECRET_KEY="only for tests", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    INSTALLED_APPS=["campus"], DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    MIDDLEWARE=["campus.views.cross_origin", "django.middleware.common.CommonMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"timeout": 30},
                           "NAME": os.environ.get("TIMETABLE_DB") or f"{directory.name}/db.sqlite3"}})
django.setup()

from campus import rows, views  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402

rows.make()

urlpatterns = [
    path("api/departments", views.departments), path("api/courses", views.courses),
    path("api/faculty", views.faculty), path("api/rooms", views.rooms),
    path("api/rooms/update", views.update_room), path("api/students", views.students),
    path("api/time-slots", views.time_slots), path("api/time-config", views.time_config),
    path("_counts", views.show_counts), path("_reset", views.forget),
    re_path(r"^(_hold|_open)/(\w+)$", views.gate)]

app = get_wsgi_application()
