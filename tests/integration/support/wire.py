"""HTTP/1.x as bytes: a client that sends what it is given and reads exactly one answer, and an
app that records what it received and answers with exactly the bytes that a test wants."""
import socket

from . import tls
from .larder import DEADLINE_S
from .raw_upstream import RawUpstream

NO_BODY = (204, 304)


class Reader:
    """What comes out of a socket, by lines and by lengths."""

    def __init__(self, connection):
        self.connection, self.data = connection, b""

    def more(self):
        piece = self.connection.recv(1 << 16)
        self.data += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                raise EOFError(self.data)
        text, self.data = self.data.split(mark, 1)
        return text

    def exactly(self, n):
        pieces = [self.data]
        left = n - len(self.data)
        while left > 0:
            piece = self.connection.recv(min(left, 1 << 20))
            if not piece:
                raise EOFError(b"".join(pieces)[:200])
            pieces.append(piece)
            left -= len(piece)
        whole = b"".join(pieces)
        self.data = whole[n:]
        return whole[:n]

    def rest(self):
        while self.more():
            pass
        text, self.data = self.data, b""
        return text

    def head(self):
        """The first line, and the fields as they came: names in their case, values unfolded."""
        first, *lines = self.until(b"\r\n\r\n").split(b"\r\n")
        fields = []
        for line in lines:
            name, value = line.split(b":", 1)
            fields.append((name, value.strip(b" \t")))
        return first, fields

    def chunks(self):
        body = b""
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        while self.until(b"\r\n"):
            pass  # trailers
        return body


def values(fields, name):
    return [v for n, v in fields if n.lower() == name]


def is_chunked(fields):
    return any(v.lower().endswith(b"chunked") for v in values(fields, b"transfer-encoding"))


class WireAnswer:
    def __init__(self, reader, method):
        self.informational = []
        self.version, self.status, self.reason, self.fields = self._read_head(reader)
        while self.status < 200:
            self.informational.append(self.status)
            self.version, self.status, self.reason, self.fields = self._read_head(reader)
        self.framing, self.body = "none", b""
        if method != b"HEAD" and self.status not in NO_BODY:
            self._read_body(reader)

    @staticmethod
    def _read_head(reader):
        first, fields = reader.head()
        version, status, *reason = first.split(b" ", 2)
        return version, int(status), b"".join(reason), fields

    def _read_body(self, reader):
        if is_chunked(self.fields):
            self.framing, self.body = "chunked", reader.chunks()
        elif length := self.all(b"content-length"):
            self.framing, self.body = "length", reader.exactly(int(length[0].split(b",")[0]))
        else:
            self.framing, self.body = "close", reader.rest()

    def all(self, name):
        return values(self.fields, name)

    def one(self, name):
        return b", ".join(self.all(name))

    def stays_open(self):
        connection = self.one(b"connection").lower()
        if self.framing == "close":
            return False
        return b"keep-alive" in connection if self.version == b"HTTP/1.0" \
            else b"close" not in connection


class Wire:
    """One connection of a client; <door> is a port, or a port and the context to speak TLS by."""

    def __init__(self, door):
        port, context = door if isinstance(door, tuple) else (door, None)
        if context:
            self.connection = tls.connect(port, context)
        else:
            self.connection = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def send(self, data):
        self.connection.sendall(data)

    def answer(self, method=b"GET"):
        return WireAnswer(self.reader, method)

    def is_closed(self):
        """Waits for the other side's close; False where bytes come instead."""
        return not self.reader.data and not self.reader.more()


class Received:
    """A request as the app got it."""

    def __init__(self, first, fields, body):
        self.method, self.target, self.version = first.split(b" ")
        self.fields, self.body = fields, body

    def all(self, name):
        return values(self.fields, name)


SENTINEL = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nCache-Control: no-store\r\n\r\nsentinel"


class ExactApp(RawUpstream):
    """Answers with self.answer: bytes, or what a function of the request gives (bytes, or an
    iterable of pieces). Bytes with neither length nor chunks are ended by a close. /sentinel has
    an answer of its own, and is not recorded."""

    def __init__(self, context=None):
        self.answer, self.context = SENTINEL, context
        self.received = []
        super().__init__(type(self)._accepted)

    def _accepted(self, connection):
        if not self.context:
            self._converse(connection)
            return
        with self.context.wrap_socket(connection, server_side=True,
                                      suppress_ragged_eofs=False) as wrapped:
            self._converse(wrapped)
            wrapped.unwrap()  # an end that is meant

    def _converse(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(connection)
        while True:
            try:
                request = self._read(reader, connection)
            except EOFError:
                return
            answer = SENTINEL if request.target == b"/sentinel" else self.answer
            if request.target != b"/sentinel":
                self.received.append(request)
            answer = answer(request) if callable(answer) else answer
            head = b""
            for piece in [answer] if isinstance(answer, bytes) else answer:
                head = head or piece
                connection.sendall(piece)
            if not keeps_open(request, head):
                return

    @staticmethod
    def _read(reader, connection):
        first, fields = reader.head()
        body = b""
        if values(fields, b"expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if is_chunked(fields):
            body = reader.chunks()
        elif length := values(fields, b"content-length"):
            body = reader.exactly(int(length[0]))
        return Received(first, fields, body)


def keeps_open(request, answer):
    head = answer.split(b"\r\n\r\n")[0].lower() + b"\r\n"
    while head.startswith(b"http/1.1 1"):
        answer = answer.split(b"\r\n\r\n", 1)[1]
        head = answer.split(b"\r\n\r\n")[0].lower() + b"\r\n"
    asked_to = b",".join(request.all(b"connection")).lower()
    if b"\r\nconnection: close\r\n" in head or b"close" in asked_to or (
            request.version == b"HTTP/1.0"):
        return False
    if b"\r\ncontent-length:" in head or b"\r\ntransfer-encoding:" in head:
        return True
    return request.method == b"HEAD" or head.split(b" ")[1] in (b"204", b"304")
