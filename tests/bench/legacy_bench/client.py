"""Clients that cost little: one connection that waits, and a crowd of them in one thread, by epoll."""
import collections
import heapq
import math
import select
import socket
import time

TIMEOUT_S = 60
Answer = collections.namedtuple("Answer", "status head body ms sent")  # status 0: none came; sent: in seconds


def message(method, path, headers=None, body=b""):
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Reader:
    """Takes an answer's bytes as they come."""

    def __init__(self):
        self.data, self.head, self.lower, self.length = bytearray(), None, None, None

    def take(self, piece):
        """Whether that was all of it."""
        self.data += piece
        if self.head is None:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.head, self.data = bytes(self.data[:end]), self.data[end + 4:]
            self.lower = self.head.lower()
            if b"\r\ncontent-length:" in self.lower:
                self.length = int(self.lower.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
        if self.length is None:
            return self.data.endswith(b"0\r\n\r\n")  # chunked JSON
        return len(self.data) >= self.length

    @property
    def status(self):
        return int(self.head.split(b" ", 2)[1])

    @property
    def is_last(self):
        return b"\r\nconnection: close" in self.lower


class Connection:
    """One request after another."""

    def __init__(self, port):
        self.port, self.socket = port, None

    def ask(self, request):
        if self.socket is None:
            self.socket = connect(self.port)
        began = time.perf_counter()
        self.socket.sendall(request)
        reader = Reader()
        while True:
            piece = self.socket.recv(262144)
            if not piece:
                raise ConnectionError(f"port {self.port} closed after {bytes(reader.data)[:200]!r}")
            if reader.take(piece):
                break
        ms = (time.perf_counter() - began) * 1000
        if reader.is_last:
            self.close()
        return Answer(reader.status, reader.head, bytes(reader.data), ms, began)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


class Member:
    """Of a crowd: its connection, what it still has to ask, and what it waits for."""

    def __init__(self, number, port):
        self.number, self.port, self.socket = number, port, connect(port)
        self.reader, self.plan, self.sent, self.tries = None, None, 0, 0


class Crowd:
    """<size> connections, open before anything is measured. run() may be called again."""

    def __init__(self, port, size):
        self.members, self.by_fd, self.poll, self.cpu_s, self.asked = [], {}, select.epoll(), 0.0, 0
        for number in range(size):
            member = Member(number, port)
            self.members.append(member)
            self.watch(member)

    def watch(self, member):
        member.socket.settimeout(TIMEOUT_S)
        self.poll.register(member.socket, select.EPOLLIN)
        self.by_fd[member.socket.fileno()] = member

    def run(self, plans, until_s=math.inf):
        """<plans>: for each member pairs of when to send, in seconds from now, and a request. Who still waits sends
        the next one when it has its answer; after <until_s> nothing is sent any more. Returns the answers."""
        self.answers, self.due, self.busy, self.until_s = [], [], {}, until_s
        self.began, self.next_look, cpu = time.perf_counter(), 1, time.thread_time()
        for member, plan in zip(self.members, plans):
            member.plan = collections.deque(plan)
            self.queue(member)
        while self.due or self.busy:
            self.send_what_is_due()
            self.receive()
        self.cpu_s += time.thread_time() - cpu
        self.asked += len(self.answers)
        return self.answers

    def queue(self, member):
        if member.plan:
            heapq.heappush(self.due, (member.plan[0][0], member.number))

    def now(self):
        return time.perf_counter() - self.began

    def send_what_is_due(self):
        while self.due and self.due[0][0] <= self.now():
            member = self.members[heapq.heappop(self.due)[1]]
            member.tries, member.sent = 0, self.now()
            if member.sent <= self.until_s:
                self.send(member)

    def send(self, member):
        member.reader = Reader()
        self.busy[member.socket.fileno()] = member
        try:
            member.socket.sendall(member.plan[0][1])
        except OSError:
            self.lost(member)

    def receive(self):
        wait = max(self.due[0][0] - self.now(), 0) if self.due else 1
        for fd, _ in self.poll.poll(min(wait, 1)):
            member = self.busy.get(fd)
            if member is None:  # an idle one was closed
                self.renew(self.by_fd[fd])
                continue
            try:
                piece = member.socket.recv(262144)
            except OSError:
                piece = b""
            if not piece:
                self.lost(member)
            elif member.reader.take(piece):
                self.done(member, member.reader.status)
        self.give_up()

    def give_up(self):
        if self.now() < self.next_look:
            return
        self.next_look = self.now() + 1
        for member in list(self.busy.values()):
            if self.now() - member.sent > TIMEOUT_S:
                self.renew(member)
                self.done(member, 0)

    def lost(self, member):
        """A kept connection may end before its next request arrives: asked once more, as browsers do."""
        self.renew(member)
        member.tries += 1
        if member.tries > 1 or member.reader.data:
            self.done(member, 0)
        else:
            self.send(member)

    def renew(self, member):
        self.busy.pop(member.socket.fileno(), None)
        del self.by_fd[member.socket.fileno()]
        member.socket.close()
        member.socket = connect(member.port)
        self.watch(member)

    def done(self, member, status):
        self.busy.pop(member.socket.fileno(), None)
        member.plan.popleft()
        self.answers.append(Answer(status, member.reader.head, bytes(member.reader.data),
                                   (self.now() - member.sent) * 1000, member.sent))
        if status and member.reader.is_last:
            self.renew(member)
        self.queue(member)

    def close(self):
        for member in self.members:
            member.socket.close()
        self.poll.close()
