"""The school's parts for tests: conf/legacy/school.json before tests/apps/school, and people with sessions."""
import json

from steps import prefixes
from support.larder import BINARY
from support_legacy import legacy_config, merged

KEY = "the key of Flask's signatures, and of its tokens"
ENVIRONMENT = {"SECRET_KEY": KEY, "LARDER_SECRET": "a secret of all instances"}
PASSWORDS = {"headteacher": "h3adt3acher-pw", "teacher1": "t3acher1-pw", "teacher2": "t3acher2-pw",
             "student1": "stud3nt1-pw"}


def start(factory, app, profile="development", redis=None, prefix=None, environment=None, routes=None, **more):
    """larder with the file as it is, in one of its profiles; warm jobs run where a test wants them."""
    environment = {**ENVIRONMENT, "FLASK_ENV": profile, **(environment or {})}
    more.setdefault("warm", [])
    if redis:
        more["redis"] = {"server": redis.address, "prefix": prefix or f"school-{next(prefixes)}",
                         "command_timeout": "5s"}
    if profile == "production":  # its logs where a test may write
        production = {"log": {"access": "stdout", "performance": "off", "error": "stderr", "security": "stderr"}}
        more["$profiles"] = merged({"production": production}, more.get("$profiles", {}))
    upstreams = {"upstreams": more.pop("upstreams", {})}
    larder = factory(merged(legacy_config("school", app.port, routes, **more), upstreams), BINARY, environment)
    if redis:
        larder.wait_until(lambda: larder.counter("redis.in_contact"))
    return larder


class Person:
    """A browser: keeps its cookies, and sends some that are nobody's business."""

    def __init__(self, at, name=None, **cookies):
        self.at, self.name, self.cookies = at, name, dict(cookies)
        if name:
            self.login(name)

    def request(self, method, path, headers=None, body=None, **more):
        if self.cookies:
            cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            headers = {**(headers or {}), "Cookie": cookie}
        answer = self.at.request(method, path, headers=headers, body=body, **more)
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, {"Content-Type": "application/json", **headers}, json.dumps(body))

    def login(self, name, password=None):
        answer = self.post("/login", {"username": name, "password": password or PASSWORDS[name]})
        assert password or answer.status == 200, answer.body
        return answer

    def csrf(self):
        return self.get("/csrf-token").json()["csrf_token"]

    def mark(self, class_id, student, mark, **more):
        return self.post(f"/api/marks/{class_id}", [{"student": student, "assessment": "CAT1", "subject": "math",
                                                     "mark": mark}], X_CSRFToken=self.csrf(), **more)


def mark_of(answer, student):
    return next(s["marks"]["math"] for s in answer.json()["students"] if s["id"] == student)
