"""The school's database: users, students by class, marks, and the sessions."""
import os
import sqlite3
import statistics
import tempfile
import threading

from watched import takes

CLASSES = [f"Grade{i}" for i in range(1, 10)]
USERS = [("headteacher", "headteacher", "h3adt3acher-pw"), ("teacher1", "teacher", "t3acher1-pw"),
         ("teacher2", "teacher", "t3acher2-pw"), ("student1", "student", "stud3nt1-pw")]

_directory = tempfile.TemporaryDirectory()
_path = os.environ.get("SCHOOL_DB") or f"{_directory.name}/hillview.sqlite3"
_local = threading.local()

SCHEMA = """
CREATE TABLE users (name TEXT PRIMARY KEY, role TEXT, password TEXT);
CREATE TABLE students (id INTEGER PRIMARY KEY, class_id TEXT, name TEXT, admission TEXT);
CREATE INDEX students_of_class ON students (class_id);
CREATE TABLE marks (student INTEGER, assessment TEXT, subject TEXT, mark INTEGER,
                    PRIMARY KEY (student, assessment, subject));
CREATE TABLE configuration (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE sessions (id TEXT PRIMARY KEY, data TEXT, ends REAL);
"""


def database():
    """This thread's connection."""
    if not hasattr(_local, "connection"):
        _local.connection = sqlite3.connect(_path, timeout=30, isolation_level=None)
    return _local.connection


def make():
    db = database()
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'users'").fetchone():
        return
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(SCHEMA)
    db.execute("BEGIN")
    db.executemany("INSERT INTO users VALUES (?, ?, ?)", USERS)
    db.executemany("INSERT INTO configuration VALUES (?, ?)",
                   [("school", "Hillview School"), ("term", "3"), ("year", "2025")])
    number = 0
    for class_id in CLASSES:
        for i in range(40):
            number += 1
            db.execute("INSERT INTO students VALUES (?, ?, ?, ?)",
                       (number, class_id, f"Pupil {i} of {class_id}", f"HS{number:04}"))
            db.executemany("INSERT INTO marks VALUES (?, 'CAT1', ?, ?)",
                           [(number, "math", 40 + number * 7 % 60), (number, "english", 40 + number * 3 % 60)])
    db.execute("COMMIT")


def role_of(name, password):
    found = database().execute("SELECT role FROM users WHERE name = ? AND password = ?", (name, password)).fetchone()
    return found and found[0]


def get_students_by_class(class_id):
    takes(800)
    rows = database().execute("SELECT id, name, admission FROM students WHERE class_id = ? ORDER BY id", (class_id,))
    students = [{"id": i, "name": name, "admission": admission, "marks": {}} for i, name, admission in rows]
    by_id = {student["id"]: student for student in students}
    for student, subject, mark in database().execute(
            "SELECT student, subject, mark FROM marks JOIN students ON id = student"
            " WHERE class_id = ? AND assessment = 'CAT1'", (class_id,)):
        by_id[student]["marks"][subject] = mark
    return students


def get_analytics(class_id):
    takes(2000)
    rows = database().execute("SELECT subject, mark FROM marks JOIN students ON id = student WHERE class_id = ?",
                              (class_id,)).fetchall()
    return {subject: {"average": round(statistics.fmean(m for s, m in rows if s == subject), 2),
                      "best": max(m for s, m in rows if s == subject)}
            for subject in sorted({s for s, _ in rows})}


def get_configuration():
    takes(100)
    return dict(database().execute("SELECT name, value FROM configuration ORDER BY name"))


def set_mark(student, assessment, subject, mark):
    database().execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)", (student, assessment, subject, mark))
