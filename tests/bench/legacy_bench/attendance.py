"""UPASTHIT: a portal that takes seconds; students who look again and again."""
import json

from . import measure
from .client import message
from .rows import count_row, times_row

JSON = {"Content-Type": "application/json"}
NAME = "attendance"


def login(student):
    body = {"username": student, "password": f"secret-of-{student}"}
    return message("POST", "/login-and-fetch-attendance", JSON, json.dumps(body).encode())


def date_wise(pair, student):
    """The request of each side: the portal's session is another there."""
    found = {}
    for side in pair.sides:
        answer = measure.must_be_200(measure.ask_once(side.port, login(student)), login(student))
        token = json.loads(answer.body)["token"]
        found[side.name] = message("GET", f"/dateWise?username={student}&date=today",
                                   {"Authorization": f"Bearer {token}"})
    return found


def claims(pair):
    bench = pair.bench
    fresh = measure.in_turns(pair, [login(f"student-{n}") for n in range(bench.pick(1, 3))], rounds=3)
    yield times_row(NAME, "login and attendance, first", "3–8 s", fresh)
    again = measure.in_turns(pair, [login("student-0")] * bench.pick(400, 40), rounds=10)
    yield times_row(NAME, "login and attendance, again", "50 ms", again)
    requests = date_wise(pair, "student-0")
    measure.in_turns(pair, [requests], rounds=1)
    again = measure.in_turns(pair, [requests] * bench.pick(400, 40), rounds=10)
    yield times_row(NAME, "lessons of a day, again", "50–100 ms", again)


def repeats(pair, at_once, total):
    """<total> logins, of which 80 % are repeats, in an order by chance."""
    students = [f"peak-{at_once}-{n % (total // 5)}" for n in range(total)]
    pair.bench.random.shuffle(students)
    pages = {}
    for side in pair.sides:
        side.work("page")
        plans = [[(0, login(s)) for s in students[n::at_once]] for n in range(at_once)]
        answers = measure.crowd(pair, side, plans)
        if measure.failed(answers):
            pair.bench.problems.append(f"{NAME}, {side.name}: {measure.failed(answers)} logins failed")
        pages[side.name] = side.work("page")
    what = "one after another" if at_once == 1 else f"{at_once} at a time"
    return count_row(NAME, f"{total} logins, 80 % repeats, {what}: pages loaded from the portal ({2 * total} without)",
                     "−75 %", pages)


def loads(pair):
    bench = pair.bench
    yield repeats(pair, 1, bench.pick(50, 20))
    yield repeats(pair, 40, bench.pick(400, 200))
    again = measure.after_restart(pair, [login(f"student-{n}") for n in range(10)], "page")
    yield count_row(NAME, "10 students again after the app's restart: pages loaded", "none given", again)
    yield from measure.expiry_rows(pair, login("ann"), "page", "pages loaded (2 are one login)")
