"""An app of a few lines: what it answers is written down path by path, and what it was asked is
kept. And a client that sees each byte of an answer: interim heads, repeated fields, framing."""
import contextlib
import itertools
import re
import threading
import time
from email.utils import formatdate

from .larder import BINARY, DEADLINE_S, Larder
from .raw_upstream import RawUpstream

DATES = {"date", "expires", "last-modified", "if-modified-since", "if-range"}


def date(offset_s=0):
    return formatdate(time.time() + offset_s, usegmt=True)


def dated(fields):
    """Numbers in fields that hold dates are seconds from now."""
    return [(name, date(value) if isinstance(value, int) and name.lower() in DATES else value)
            for name, value in fields]


def lines(fields):
    return "".join(f"{name}: {value}\r\n" for name, value in dated(fields))


class Fields:
    def __init__(self, text):
        self.pairs = [tuple(part.strip() for part in line.split(":", 1))
                      for line in text.split("\r\n") if line]

    def all(self, name):
        return [v for n, v in self.pairs if n.lower() == name.lower()]

    def get(self, name):
        return ", ".join(self.all(name)) if self.all(name) else None


class Request(Fields):
    def __init__(self, head, body):
        start, _, rest = head.decode("latin-1").partition("\r\n")
        super().__init__(rest)
        self.method, self.target, _ = start.split(" ")
        self.body = body

    @property
    def is_conditional(self):
        return any(self.all(n) for n in ("If-None-Match", "If-Modified-Since"))


class Reply:
    """One answer. <body>: None is a text that says which request it answers, by its number;
    <before>: bytes sent ahead of it; <gate>: an event awaited then; <raw>: the bytes in its place;
    <is_closed>: nothing is said at all."""

    def __init__(self, fields=(), status=200, body=None, *, before=b"", raw=None, gate=None,
                 is_closed=False):
        self.fields, self.status, self.body = list(fields), status, body
        self.before, self.raw, self.gate, self.is_closed = before, raw, gate, is_closed

    def bytes_for(self, request, number):
        body = f"answer {number}".encode() if self.body is None else self.body
        head = f"HTTP/1.1 {self.status} Reason\r\n{lines(self.fields)}"
        if self.status in (204, 304):
            return (head + "\r\n").encode()
        head += f"Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + (b"" if request.method == "HEAD" else body)


CLOSED = Reply(is_closed=True)
HINTS = b"HTTP/1.1 103 Early Hints\r\n\r\n"


class Script(RawUpstream):
    """Answers each path with its replies one by one, and with the last of them from then on."""

    def __init__(self):
        self.replies, self.seen, self.lock = {}, {}, threading.Lock()
        super().__init__(Script.handle)

    def on(self, target, *replies):
        self.replies[target] = list(replies)
        self.seen[target] = []

    @staticmethod
    def handle(self, connection):
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                piece = connection.recv(65536)
                if not piece:
                    return
                data += piece
            head, _, data = data.partition(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
            length = int(length.group(1)) if length else 0
            while len(data) < length:
                data += connection.recv(65536)
            request, data = Request(head, data[:length]), data[length:]
            if not self.answer(connection, request):
                return

    def answer(self, connection, request):
        seen, replies = self.seen[request.target], self.replies[request.target]
        with self.lock:  # no two have one number
            seen.append(request)
            number = len(seen)
        reply = replies[min(number, len(replies)) - 1]
        connection.sendall(reply.before)
        if reply.gate and not reply.gate.wait(DEADLINE_S):
            return False
        if reply.is_closed:
            return False
        if reply.raw is not None:
            connection.sendall(reply.raw)
            return False
        connection.sendall(reply.bytes_for(request, number))
        return True


class Answer(Fields):
    def __init__(self, data):
        self.interim = []
        while True:
            head, _, data = data.partition(b"\r\n\r\n")
            start, _, rest = head.decode("latin-1").partition("\r\n")
            status = int(start.split(" ")[1])
            if status >= 200:
                break
            self.interim.append((status, Fields(rest)))
        super().__init__(rest)
        self.status, self.body = status, data

    @property
    def is_hit(self):
        return (self.get("Cache-Status") or "").startswith("larder; hit")


class Site:
    """Larder before a scripted app; each test asks for paths of its own."""
    numbers = itertools.count(1)

    def __init__(self, larder, app):
        self.larder, self.app = larder, app

    def path(self, *replies, under=""):
        path = f"{under}/p{next(self.numbers)}"
        self.app.on(path, *replies)
        return path

    def ask(self, path, fields=(), method="GET", body=b""):
        head = f"{method} {path} HTTP/1.1\r\nHost: site\r\nConnection: close\r\n{lines(fields)}"
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        data = self.larder.raw(head.encode() + b"\r\n" + body)
        assert data, "no answer"
        return Answer(data)

    def start(self, path, fields=(), method="GET", body=b""):
        return self.larder.pool.submit(self.ask, path, fields, method, body)

    def begin(self, path):
        """Asks, and waits until larder has the head that the app has sent together with HINTS.
        What is given waits for the rest, and makes an Answer of it."""
        s = self.larder.connect()
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n".encode())
        said = s.recv(65536)
        assert said.startswith(b"HTTP/1.1 103 "), said

        def rest():
            with s:
                return Answer(said + b"".join(iter(lambda: s.recv(65536), b"")))
        return rest

    def asked(self, path):
        """The requests for <path> that the app has got."""
        return self.app.seen[path]

    def twice(self, fields, status=200, first=(), then=(), under=""):
        """What becomes of a second request: "cached", "asked" (as if for the first time) or
        "validated". The app always answers the same fields, and 304 if it is asked that."""
        fields = dated(fields)  # the same Last-Modified both times
        path = self.path(Reply(fields, status), Reply(fields, 304), under=under)
        self.ask(path, first)
        count = len(self.asked(path))
        assert count == 1
        again = self.ask(path, then)
        if len(self.asked(path)) == count:
            assert again.is_hit and again.status == status, again.pairs
            assert again.body == (b"" if status == 204 else b"answer 1")
            return "cached"
        return "validated" if self.asked(path)[-1].is_conditional else "asked"

    def wait_until_stale(self, path, fields=()):
        """Asks for a stored answer only: what is not fresh any more is no such thing."""
        only = list(fields) + [("Cache-Control", "only-if-cached")]
        self.larder.wait_until(lambda: self.ask(path, only).status == 504)


@contextlib.contextmanager
def site_of(*routes, program=BINARY, environment=None, **more):
    """Larder with these routes, "mode": "http" for all paths behind them."""
    with Script() as app:
        everything = {"name": "all", "match": "/*", "mode": "http"}
        config = {"listen": "127.0.0.1:0", "workers": 2, "control": {"listen": "127.0.0.1:0"},
                  "upstreams": {"app": {"servers": [f"127.0.0.1:{app.port}"]}},
                  "routes": [*routes, everything], **more}
        larder = Larder(config, program, environment)
        try:
            yield Site(larder, app)
        finally:
            larder.stop()
