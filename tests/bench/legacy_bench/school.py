"""Hillview's school: sessions, classes, and five hundred users."""
import json

from . import measure
from .client import Connection, message
from .rows import count_row, share_row, times_row

NAME = "school"
CLASSES = [f"Grade{n}" for n in range(1, 10)]
ACCOUNTS = [("headteacher", "h3adt3acher-pw"), ("teacher1", "t3acher1-pw"), ("teacher2", "t3acher2-pw")]


def cookies_of(head):
    pairs = [line.split(b":", 1)[1].split(b";")[0].strip() for line in head.split(b"\r\n")
             if line.lower().startswith(b"set-cookie:")]
    return b"; ".join(pairs).decode()


def sessions(side, count):
    """The cookies of <count> logins, at the app itself."""
    connection, found = Connection(side.app.port), []
    for n in range(count):
        name, password = ACCOUNTS[n % len(ACCOUNTS)]
        body = json.dumps({"username": name, "password": password}).encode()
        answer = connection.ask(message("POST", "/login", {"Content-Type": "application/json"}, body))
        found.append(cookies_of(measure.must_be_200(answer, b"POST /login").head))
    connection.close()
    return found


def get(path, cookies):
    return message("GET", path, {"Cookie": cookies})


def students(pair, classes, user=0):
    """For each side, of one session."""
    found = {side.name: sessions(side, user + 1)[user] for side in pair.sides}
    return [{name: get(f"/api/students/{c}", cookies) for name, cookies in found.items()} for c in classes]


def claims(pair):
    bench = pair.bench
    requests = students(pair, CLASSES[:bench.pick(3, 3)])
    fresh = measure.in_turns(pair, requests, rounds=3)
    yield times_row(NAME, "students of a class, first", "2–5 s", fresh)
    again = measure.in_turns(pair, requests[:1] * bench.pick(400, 40), rounds=10)
    yield times_row(NAME, "students of a class, again", "200–800 ms", again)


def pages(bench, cookies):
    """What one user looks at: mostly his own class."""
    own, other = bench.random.choice(CLASSES), bench.random.choice(CLASSES)
    return [get(path, cookies) for path in (f"/api/students/{own}", "/api/configuration", f"/api/students/{own}",
                                            f"/api/students/{other}", f"/api/students/{own}", f"/api/students/{own}")]


def statements(pair, count):
    """How much SQL the users' pages would be without a cache: what one user's take, at the app itself."""
    side = pair.sides[1]
    requests = pages(pair.bench, sessions(side, 1)[0])
    side.app.work()
    for request in requests:
        measure.must_be_200(measure.ask_once(side.app.port, request), request)
    return count * side.work("sql")


def users(pair, count, seconds):
    bench, figures = pair.bench, {}
    for side in pair.sides:
        plans = [[((bench.random.random() + i) * seconds / 6, request) for i, request in enumerate(pages(bench, c))]
                 for c in sessions(side, count)]
        side.app.work()
        answers = measure.crowd(pair, side, plans)
        figures[side.name] = side.app.work(), measure.failed(answers) / len(answers), [a.ms for a in answers]
    what, without = f"{count} users at the same time, 6 pages each", statements(pair, count)

    def of(name):
        return {side: work[name] for side, (work, _, _) in figures.items()}
    yield share_row(NAME, f"{what}: answered", "> 99 %", {side: 1 - bad for side, (_, bad, _) in figures.items()})
    yield times_row(NAME, f"{what}: time of an answer", "200–800 ms", {side: t for side, (_, _, t) in figures.items()})
    yield count_row(NAME, f"{what}: calls of the app ({6 * count} without)", "none given", of("call"))
    yield count_row(NAME, f"{what}: SQL statements, with those of sessions ({without} without)",
                    "−60–80 %", of("sql"))
    yield count_row(NAME, f"{what}: classes read from the database ({5 * count} without)",
                    "−60–80 %", of("students"))


def loads(pair):
    """Classes that nobody has asked for before: after a restart an answer is in Redis alone, which then dies."""
    bench = pair.bench
    again = measure.after_restart(pair, students(pair, CLASSES[:4]), "students")
    yield count_row(NAME, "4 classes again after the app's restart: read from the database", "0", again)
    yield from measure.redis_dies(pair, students(pair, CLASSES[4:]), "students", bench.pick(4, 1))
    pair.revive_redis()
    yield from users(pair, bench.pick(500, 20), bench.pick(9, 1))
    yield from measure.expiry_rows(pair, lambda: students(pair, CLASSES[:1])[0], "students", "read from the database")
