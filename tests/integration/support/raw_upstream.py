"""An upstream that misbehaves byte by byte: what no framework produces."""
import contextlib
import random
import socket
import struct
import threading


def free_port():
    """One below those that the system gives to whoever asks for any: nobody gets it meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        ports = range(10000, int(f.read().split()[0]))
    for port in random.SystemRandom().sample(ports, min(100, len(ports))):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def refusing_port():
    """It is taken, and nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    return data


class RawUpstream:
    """Calls handler(upstream, connection) for each connection, in a thread of its own."""

    def __init__(self, handler):
        self.handler = handler
        self.requests, self.connections = [], 0
        self.closing = threading.Event()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            self.handler(self, connection)
        with contextlib.suppress(OSError):
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @classmethod
    def answering(cls, text, keep_alive=False):
        def handler(self, connection):
            while head := read_head(connection):
                self.requests.append(head)
                connection.sendall(text)
                if not keep_alive:
                    return
        return cls(handler)

    @classmethod
    def silent(cls):
        def handler(self, connection):
            if head := read_head(connection):
                self.requests.append(head)
                self.closing.wait(30)
        return cls(handler)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
