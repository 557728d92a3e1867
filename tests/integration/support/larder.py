"""The real binary, driven over real sockets."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("LARDER_BIN", str(ROOT / "build/asan/proxy/larder"))
DEADLINE_S = 20
ENDED = "larder ended"


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    def json(self):
        return json.loads(self.body)


def request(port, method, path, headers=None, body=None, timeout=DEADLINE_S):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response, response.read())
    finally:
        connection.close()


def wait_until(condition, deadline_s=DEADLINE_S):
    """Asks until it is so: for what has no event of its own to wait for."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.01)


class Refused(Exception):
    """Larder ended instead of serving."""
    def __init__(self, larder):
        said = [line["message"] for line in larder.log_lines] + larder.raw_stderr
        super().__init__(f"exit code {larder.process.returncode}: {said}")
        self.code, self.said = larder.process.returncode, said

    def check(self, *parts):
        """A clean refusal: exit code 1, the cause named, and no word from a sanitizer."""
        assert self.code == 1 and not any("Sanitizer" in line for line in self.said), str(self)
        assert all(any(part in line for line in self.said) for part in parts), str(self)


class Larder:
    def __init__(self, config, program=BINARY, environment=None):
        assert isinstance(config, str) or "listen" in config, "it would take the default port"
        self.directory = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.directory.name) / "larder.json"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=4",
                       "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
                       **(environment or {})}
        self.process = subprocess.Popen([program, "-c", str(path)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment)
        self.log_lines, self.access, self.raw_stderr = [], [], []
        self.changed = threading.Condition()
        self.readers = [threading.Thread(target=self._read, args=a, daemon=True) for a in
                        ((self.process.stderr, self.log_lines), (self.process.stdout, self.access))]
        for reader in self.readers:
            reader.start()
        self.pool = concurrent.futures.ThreadPoolExecutor(80)
        ready = self._wait_for(self._ready_line)
        if ready is ENDED:
            self.close()
            raise Refused(self)
        ports = dict(re.findall(r"(public|control) 127\.0\.0\.1:(\d+)", ready))
        tls = re.search(r"127\.0\.0\.1:(\d+) \(TLS\)", ready)
        self.tls_port = int(tls.group(1)) if tls else 0
        self.public_port, self.control_port = int(ports["public"]), int(ports.get("control", 0))

    def _read(self, stream, into):
        for line in stream:
            text = line.decode("utf-8", "replace")
            with self.changed:
                try:
                    into.append(json.loads(text))
                except ValueError:
                    self.raw_stderr.append(text)
                self.changed.notify_all()

    def _ready_line(self):
        for line in self.log_lines:
            if line["message"].startswith("ready: "):
                return line["message"]
        return None if self.process.poll() is None else ENDED

    def _wait_for(self, look):
        end = time.monotonic() + DEADLINE_S
        with self.changed:
            while True:
                found = look()
                if found:
                    return found
                assert time.monotonic() < end, f"not in time: {self.log_lines} {self.raw_stderr}"
                self.changed.wait(0.2)

    def request(self, method, path, headers=None, body=None, timeout=DEADLINE_S):
        return request(self.public_port, method, path, headers, body, timeout)

    def control(self, method, path, body=None, headers=None):
        return request(self.control_port, method, path, headers, body)

    def start(self, method, path, **more):
        return self.pool.submit(self.request, method, path, **more)

    def connect(self, port=None):
        s = socket.create_connection(("127.0.0.1", port or self.public_port), DEADLINE_S)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def raw(self, *pieces, port=None):
        """Sends the pieces one by one, and reads until larder closes."""
        with self.connect(port) as s:
            for piece in pieces:
                s.sendall(piece)
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
            return answer

    def stats(self):
        return self.control("GET", "/api/cache/stats").json()

    def invalidate(self, **selector):
        answer = self.control("POST", "/api/cache/invalidate", body=json.dumps(selector))
        assert answer.status == 200, answer.body
        return answer.json()

    def counter(self, path):
        value = self.stats()
        for name in path.split("."):
            value = value[name]
        return value

    def wait_for_counter(self, path, value):
        wait_until(lambda: self.counter(path) >= value)

    wait_until = staticmethod(wait_until)

    def log_says(self, text):
        """Waits for a line of the log that says it: the log is written behind."""
        return self._wait_for(lambda: any(text in line["message"] for line in self.log_lines))

    def whole_log(self):
        """All messages; larder has stopped, so that none is still to come."""
        self.stop()
        return [line["message"] for line in self.log_lines]

    def access_lines(self, n):
        return self._wait_for(lambda: self.access[:] if len(self.access) >= n else None)

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def close(self):
        for reader in self.readers:
            reader.join(DEADLINE_S)
        self.pool.shutdown(wait=False)
        self.process.stdout.close()
        self.process.stderr.close()
        self.directory.cleanup()

    def kill(self):
        """As when its machine ends: no word to anybody."""
        self.process.kill()
        self.process.wait()
        self.close()
        assert not self.raw_stderr, "".join(self.raw_stderr)

    def stop(self):
        """SIGTERM; a clean end is exit code 0 and no word from a sanitizer."""
        if self.process.stdout.closed:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("larder did not stop") from None
        self.close()
        assert code == 0, f"exit code {code}: {''.join(self.raw_stderr)}"
        assert not self.raw_stderr, "".join(self.raw_stderr)
