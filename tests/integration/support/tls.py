"""Certificates made by openssl, an app whose answers have the size one asks for, TLS clients."""
import hashlib
import http.server
import socket
import ssl
import subprocess
import threading
import urllib.parse

from .larder import DEADLINE_S
from .raw_upstream import RawUpstream


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


class Pair:
    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    def config(self):
        return {"certificate": str(self.certificate), "key": str(self.key)}


class Authority:
    """A root of its own, and what it issues."""

    def __init__(self, directory, name="larder's test root"):
        self.directory, self.made = directory, 0
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate, self.key = directory / "root.pem", directory / "root.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.key, "-out", self.certificate, "-days", 30, "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, *names, days=10, name=None):
        """A certificate for <names> ("DNS:a.test", "IP:127.0.0.1") and its key."""
        self.made += 1
        stem = self.directory / f"issued-{self.made}"
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        pair = Pair(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        extensions.write_text(f"subjectAltName={','.join(names)}\n" if names else "")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", pair.key, "-out", request, "-subj", f"/CN={name or f'issued {self.made}'}")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", pair.certificate)
        return pair

    def client_context(self, low=None, high=None, alpn=None):
        context = ssl.create_default_context(cafile=self.certificate)
        context.minimum_version = low or ssl.TLSVersion.TLSv1_2
        context.maximum_version = high or ssl.TLSVersion.MAXIMUM_SUPPORTED
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # an end without close_notify is told
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def server_context(self, pair, asks_for_certificate=False, high=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        if high:
            context.maximum_version = high
        if asks_for_certificate:
            context.load_verify_locations(self.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def connect(port, context, session=None, name=None):
    plain = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(plain, server_hostname=name or "a.test", session=session,
                                   suppress_ragged_eofs=False)
    except BaseException:
        plain.close()
        raise


class AnswerEnded(Exception):
    """The connection ended in the middle of an answer, or before it."""


def read_answer(s):
    """One answer with a Content-Length: its head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            raise AnswerEnded(data)
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        piece = s.recv(65536)
        if not piece:
            raise AnswerEnded(head, len(body))
        body += piece
    return head.decode(), body


def ask(s, path="/fixed", more=""):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n".encode())
    return read_answer(s)


def body_of(size):
    return (hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1))[:size]


class TlsUpstream(RawUpstream):
    """A RawUpstream whose connections have shaken hands; those that would not are noted."""

    def __init__(self, context, handler):
        self.context, self.failures = context, []
        super().__init__(handler)

    def _serve(self, connection):
        try:
            shaken = self.context.wrap_socket(connection, server_side=True)
        except (OSError, ValueError) as failure:
            self.failures.append(failure)
            connection.close()
            return
        self.open.append(shaken)
        super()._serve(shaken)


class App(http.server.ThreadingHTTPServer):
    """/fixed..., /sized/N, PUT: the digest of what came; /proto: what the proxy says of it."""
    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.counts, self.port = {}, self.server_address[1]
        self.connections, self.context = 0, context
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def finish_request(self, request, client_address):
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        self.server.counts[path] = self.server.counts.get(path, 0) + 1
        if path.startswith("/sized/"):
            self.answer(body_of(int(path.split("/")[2])))
        elif path == "/proto":
            self.answer(self.headers.get("X-Forwarded-Proto", "none").encode())
        else:
            self.answer(b"fixed")

    def do_PUT(self):
        digest = hashlib.sha256()
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                digest.update(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers["Content-Length"])
            while left:
                piece = self.rfile.read(min(left, 65536))
                digest.update(piece)
                left -= len(piece)
        self.answer(digest.hexdigest().encode())
