"""larder ctl against a stand-in of the control API, which shows the wire format."""
import http.server
import json
import os
import pty
import re
import signal
import socket
import socketserver
import struct
import subprocess
import termios
import threading
import time

import fcntl
import pytest

from support.larder import BINARY, DEADLINE_S

COUNTERS = {"requests": 10, "hits": 6, "stale": 0, "misses": 4, "bypasses": 0, "coalesced": 1,
            "hit_ratio": 0.6, "entries": 4, "bytes": 2048,
            "latency_ms": {"hit": {"count": 6, "avg": 0.2, "p50": 0.1, "p95": 0.3, "p99": 0.4},
                           "miss": {"count": 4, "avg": 9, "p50": 8, "p95": 12, "p99": 13.5}}}
ITEMS = [{"url": "/api/courses?x=1", "status": 200, "outcome": "miss", "error": None, "ms": 3.1},
         {"url": "/api/\x1b[31mbad", "status": 502, "outcome": "failed",
          "error": "connection-refused", "ms": 0.4}]


def job(done, state="running", total=40, failed=0):
    return {"id": "job-1", "name": "warm", "state": state, "total": total, "done": done,
            "warmed": done - failed, "failed": failed, "started": "2026-01-01T00:00:00Z",
            "elapsed_ms": done * 100}


class Api:
    """Answers as larder does. A test sets what the job's stream sends, and reads the calls."""

    def __init__(self, listener=None):
        api = self
        self.calls, self.replies = [], {}
        self.stream = [("progress", job(n)) for n in range(41)] + [("end", job(40, "done"))]
        self.final = job(40, "done")
        self.hold_after = None   # events sent before the stream waits for the job's DELETE
        self.streams = []        # if set, one list of events for each GET of the stream
        self.deleted = threading.Event()
        self.held = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def address_string(self):
                return "-"

            def handle_one_call(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                api.calls.append((self.command, self.path, body.decode(), self.headers))
                if (self.command, self.path) in api.replies:
                    self.raw(*api.replies[self.command, self.path])
                elif "text/event-stream" in self.headers.get("Accept", ""):
                    self.send_events()
                else:
                    if self.command == "DELETE":
                        api.deleted.set()
                    self.raw(*api.answer(self.command, self.path))

            do_GET = do_POST = do_DELETE = handle_one_call

            def raw(self, status, body, content_type="application/json"):
                if not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def send_events(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                events = api.streams.pop(0) if api.streams else api.stream
                for n, (name, data) in enumerate(events):
                    if api.hold_after == n:
                        api.held.set()
                        api.deleted.wait(DEADLINE_S)
                        break
                    text = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
                    half = len(text) // 2  # an event comes in more than one chunk
                    for part in (text[:half], text[half:]):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                        self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

        class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a client that was interrupted

        self.server = Server(("127.0.0.1", 0), Handler, bind_and_activate=listener is None)
        if listener:
            self.server.socket.close()
            self.server.socket = listener
        else:
            self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def answer(self, method, path):
        name = path.removeprefix("/api/cache/").split("?")[0]
        answers = {
            "stats": {"uptime_s": 3700.2, "workers": 2, "totals": COUNTERS,
                      "routes": {"courses": COUNTERS}},
            "invalidate": {"status": "ok", "id": "inv-7", "mode": "hard", "matched": 12,
                           "removed": 12, "in_flight": 3, "dry_run": False,
                           "keys": ["courses:a=1", "evil\x1b]0;x\x07"], "refresh_job": None},
            "jobs": {"jobs": [job(3), job(40, "done")]},
            "jobs/job-1": dict(self.final, items=ITEMS),
            "jobs/job-1/retry": {"job": job(0, "queued", 1)},
            "keys": {"total": 1, "keys": [{"key": "courses:a=1", "route": "courses", "status": 200,
                                           "age_s": 5, "ttl_s": 1795, "bytes": 900, "hits": 2}]},
            "entry": {"key": "courses:a=1", "headers": [["Content-Type", "application/json"]]},
            "explain": {"route": "courses", "key": "courses:a=1", "reasons": ["one", "two"]},
            "routes": {"routes": [{"name": "courses", "enabled": True, "ttl": "30m"}]},
            "routes/courses": {"name": "courses", "enabled": False}}
        if name == "warm":
            return 202, {"job": job(0, "queued")}
        if name in answers:
            return 200, answers[name]
        return 404, {"title": "no such thing", "status": 404,
                     "detail": f"there is no \x1b[1m{name}; look at jobs"}, "application/problem+json"

    def stop(self):
        self.deleted.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api():
    running = Api()
    yield running
    running.stop()


def environment(api, **more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LARDER_")}
    url = {"LARDER_URL": api.url} if api else {}
    return dict(clean, UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1", **url, **more)


def ctl(api, *arguments, **env):
    return subprocess.run([BINARY, "ctl", *arguments], capture_output=True, text=True,
                          timeout=DEADLINE_S, env=environment(api, **env))


def good(api, *arguments, **env):
    r = ctl(api, *arguments, **env)
    assert r.returncode == 0 and not r.stderr, (r.returncode, r.stdout, r.stderr)
    return r.stdout


def test_stats_is_a_table(api):
    out = good(api, "stats", "--route", "courses", "--window", "hour", "organization_id=1 2")
    assert api.calls[0][:2] == (
        "GET", "/api/cache/stats?route=courses&window=hour&organization_id=1%202")
    lines = out.splitlines()
    assert lines[0] == "up 1 h 1 min"
    assert re.split(r"  +", lines[3].strip()) == [
        "(all)", "10", "6", "4", "0", "0", "60.0", "4", "2.0 KiB", "0.10/0.40", "8.00/13.50"]
    assert lines[4].startswith("courses ")


def test_json_is_the_answer_and_nothing_else(api):
    for arguments in (("--json", "stats"), ("stats", "--json")):
        assert json.loads(good(api, *arguments))["totals"] == COUNTERS
    r = ctl(api, "--json", "jobs", "job-9")
    assert r.returncode == 1 and json.loads(r.stdout)["status"] == 404 and not r.stderr


def test_invalidate_tells_what_went(api):
    out = good(api, "invalidate", "--route", "courses", "--param", "a=1", "--soft", "--refresh")
    assert out.splitlines()[:2] == [
        "12 answers removed (3 fetches in flight overtaken), id inv-7", "courses:a=1"]
    assert "\x1b" not in out and "\x07" not in out
    method, path, body, headers = api.calls[0]
    assert (method, path) == ("POST", "/api/cache/invalidate")
    assert json.loads(body) == {"route": "courses", "params": {"a": "1"}, "mode": "soft",
                                "refresh": True}
    assert headers["Content-Type"] == "application/json"


def test_the_other_commands_make_their_calls(api):
    assert "2 of" not in good(api, "keys", "--glob", "courses:*", "--limit", "10")
    assert "1 of 1 keys" in good(api, "keys")
    assert json.loads(good(api, "entry", "--url-of", "/api/courses?a=1", "--body"))["key"]
    assert good(api, "explain", "GET", "/x", "--header", "Cookie: a=b") == (
        "route: courses\nkey: courses:a=1\nreasons:\n  - one\n  - two\n")
    assert good(api, "routes") == "NAME     ENABLED  TTL\ncourses  true     30m\n"
    assert "enabled: false" in good(api, "route", "courses", "off")
    assert good(api, "jobs").count("job-1") == 2
    assert "connection-refused" in good(api, "jobs", "job-1")
    assert good(api, "cancel", "job-1").startswith("job-1: done")
    assert good(api, "retry", "job-1") == "job-1: queued, 0 of 1 done\n"
    assert [c[:3] for c in api.calls] == [
        ("GET", "/api/cache/keys?glob=courses%3A%2A&limit=10", ""), ("GET", "/api/cache/keys", ""),
        ("GET", "/api/cache/entry?url=%2Fapi%2Fcourses%3Fa%3D1&body=1", ""),
        ("POST", "/api/cache/explain", '{"method":"GET","url":"/x","headers":{"Cookie":"a=b"}}'),
        ("GET", "/api/cache/routes", ""),
        ("POST", "/api/cache/routes/courses", '{"enabled":false}'),
        ("GET", "/api/cache/jobs", ""), ("GET", "/api/cache/jobs/job-1", ""),
        ("DELETE", "/api/cache/jobs/job-1", ""), ("POST", "/api/cache/jobs/job-1/retry", "")]


def test_a_problem_is_told_on_stderr_without_its_escapes(api):
    r = ctl(api, "jobs", "job-9")
    assert r.returncode == 1 and not r.stdout
    assert r.stderr == "larder ctl: 404: there is no ?[1mjobs/job-9; look at jobs\n"


def test_an_empty_answer_is_done(api):
    api.replies["DELETE", "/api/cache/jobs/job-1"] = (204, b"")
    assert good(api, "cancel", "job-1") == "done\n"


def test_the_token_comes_from_the_environment_or_a_file(api, tmp_path):
    path = tmp_path / "token"
    path.write_text("from-file\n")
    good(api, "stats", LARDER_TOKEN="from-env")
    good(api, "--token-file", str(path), "stats", LARDER_TOKEN="from-env")
    good(api, "stats")
    assert [c[3]["Authorization"] for c in api.calls] == [
        "Bearer from-env", "Bearer from-file", None]
    api.replies["GET", "/api/cache/stats"] = (401, {"detail": "send a token", "status": 401})
    r = ctl(api, "stats")
    assert r.returncode == 1 and "send a token" in r.stderr and "LARDER_TOKEN" in r.stderr
    calls = len(api.calls)
    for bad in ({"LARDER_TOKEN": "a\r\nX: y b"}, {"LARDER_TOKEN": "x" * 5000}):
        assert ctl(api, "stats", **bad).returncode in (1, 2)
    assert ctl(api, "--token-file", str(tmp_path / "none"), "stats").returncode == 2
    assert all("X" not in c[3] for c in api.calls[calls:])


def test_usage_errors_are_2_and_show_the_usage(api):
    for arguments, says in ((("invalidate",), "give one of"), (("nosuch",), "no command"),
                            ((), "which command"), (("stats", "--nosuch"), "--window"),
                            (("--token", "x", "stats"), "--token-file"),
                            (("--url", "https://x", "stats"), "plain HTTP")):
        r = ctl(api, *arguments)
        assert r.returncode == 2 and says in r.stderr and not r.stdout
    assert not api.calls
    assert "larder ctl warm" in good(api, "-h")
    assert good(api, "warm", "-h").startswith("  larder ctl warm (URL...")


def test_no_connection_is_3_and_says_what_would_be_right(api, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # bound, not listening: refused
        r = ctl(None, "--url", "http://127.0.0.1:%d" % s.getsockname()[1], "stats")
    assert r.returncode == 3 and "Connection refused" in r.stderr and "control.listen" in r.stderr
    r = ctl(None, "--socket", str(tmp_path / "none"), "stats")
    assert r.returncode == 3 and "No such file" in r.stderr
    assert ctl(None, "--url", "http://no.such.host.invalid", "stats").returncode == 3
    api.replies["GET", "/api/cache/stats"] = (200, b"<ht\x1bml>", "text/html")
    r = ctl(api, "stats")
    assert "\x1b" not in r.stderr
    assert r.returncode == 3 and "does not speak larder's control API" in r.stderr


def raw_server(answer):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)
    threading.Thread(target=serve, daemon=True).start()
    return listener, "http://127.0.0.1:%d" % listener.getsockname()[1]


@pytest.mark.parametrize("answer", [
    b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000])
def test_a_broken_answer_is_no_connection(answer):
    listener, url = raw_server(answer)
    with listener:
        r = ctl(None, "--url", url, "stats")
    assert r.returncode == 3 and r.stderr.startswith("larder ctl: ") and not r.stdout


def test_a_unix_socket_serves_as_well(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    path = tmp_path / "control.sock"
    listener.bind(str(path))
    listener.listen()
    api = Api(listener)
    try:
        assert "courses" in good(None, "--socket", str(path), "routes")
        assert api.calls[0][3]["Host"] == "localhost"
    finally:
        api.stop()


def test_a_prefix_of_the_url_stays_in_front(api):
    api.replies["GET", "/ops/api/cache/routes"] = (200, {"routes": []})
    assert good(None, "--url", api.url + "/ops/", "routes") == "routes: -\n"


def test_warm_without_a_terminal_prints_a_line_for_each_tenth(api):
    out = good(api, "warm", "/a", "/b", "--concurrency", "2")
    lines = out.splitlines()
    assert [re.match(r"\d+/40 \((\d+) %\)", line).group(1) for line in lines] == [
        str(n) for n in range(0, 101, 10)] + ["100"] * (len(lines) - 11)
    assert "\r" not in out and "\x1b" not in out
    assert lines[3].startswith("12/40 (30 %)  ok 12  failed 0  10.0/s  ETA 3 s")
    assert api.calls[0][:3] == ("POST", "/api/cache/warm", '{"urls":["/a","/b"],"concurrency":2}')
    assert api.calls[1][3]["Accept"].startswith("text/event-stream")


def test_warm_lists_what_failed_and_exits_1(api):
    api.final = job(2, "done", 2, 1)
    api.stream = [("end", api.final)]
    r = ctl(api, "warm", "/a", "/b")
    assert r.returncode == 1 and not r.stderr
    assert r.stdout.splitlines()[-1] == "failed  /api/?[31mbad  502  connection-refused"
    r = ctl(api, "--json", "warm", "/a", "/b")
    assert r.returncode == 1 and json.loads(r.stdout)["items"] == ITEMS


def test_no_wait_only_starts_the_job(api):
    assert good(api, "warm", "--hottest", "5", "--no-wait") == "job-1: queued, 0 of 40 done\n"
    assert [c[2] for c in api.calls] == ['{"hottest":5}']


def test_a_stream_that_breaks_is_asked_for_again(api):
    api.streams = [[("progress", job(3))], [("progress", job(9))], [("end", job(40, "done"))]]
    assert good(api, "warm", "/a").splitlines()[-1].startswith("40/40")
    assert len(api.calls) == 4


def test_a_job_that_is_not_heard_of_again_is_3(api):
    api.stream = []
    r = ctl(api, "warm", "/a")
    assert r.returncode == 3 and "larder ctl jobs job-1" in r.stderr


def test_a_job_as_plain_json_will_do_as_well(api):
    api.replies["GET", "/api/cache/jobs/job-1"] = (200, job(40, "done"))
    assert good(api, "warm", "/a").splitlines()[-1].startswith("40/40")


def on_terminal(api, columns, *arguments):
    """Starts ctl on a pty of that width; the process, and what reads all it wrote."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([BINARY, "ctl", *arguments], stdin=slave, stdout=slave,
                               stderr=subprocess.PIPE, env=environment(api),
                               start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(slave)

    def read_all():
        seen = b""
        try:
            while chunk := os.read(master, 65536):
                seen += chunk
        except OSError:
            pass  # EIO: the last writer has closed it
        os.close(master)
        return seen.decode()
    return process, read_all, master


def test_a_terminal_gets_one_line_drawn_again(api):
    process, read_all, _ = on_terminal(api, 60, "warm", "/a")
    text = read_all()
    assert process.wait(DEADLINE_S) == 0 and process.stderr.read() == b""
    process.stderr.close()
    assert text.count("\n") == 1 and text.endswith("\n")
    drawn = [line.removesuffix("\x1b[K") for line in text.strip().split("\r") if line]
    assert len(drawn) > 40 and all(len(line) <= 59 for line in drawn)
    assert re.fullmatch(r"\[#+\] 40/40  ok 40  failed 0  10\.0/s  in 4 s", drawn[-1])
    assert any(re.fullmatch(r"\[#+\.+\] 12/40  ok 12  failed 0  10\.0/s  ETA 3 s", line)
               for line in drawn)


def test_a_terminal_gets_no_escapes_from_json_either(api):
    api.replies["GET", "/api/cache/jobs"] = (200, b'{"jobs":"\xc2\x9b31m \x7f"}')
    process, read_all, _ = on_terminal(api, 60, "--json", "jobs")
    assert read_all() == '{"jobs":"?31m ?"}\r\n'
    assert process.wait(DEADLINE_S) == 0
    process.stderr.close()


def test_ctrl_c_cancels_the_job(api):
    api.hold_after = 13
    process, read_all, master = on_terminal(api, 60, "warm", "/a")
    assert api.held.wait(DEADLINE_S)
    reader_end = time.monotonic() + DEADLINE_S
    seen = b""
    while b" 12/40" not in seen:  # the last event is drawn
        assert time.monotonic() < reader_end
        seen += os.read(master, 65536)
    os.write(master, b"\x03")
    read_all()
    assert process.wait(DEADLINE_S) == 1
    assert process.stderr.read() == b"job-1 cancelled: 12 of 40 were done\n"
    process.stderr.close()
    assert ("DELETE", "/api/cache/jobs/job-1") in [c[:2] for c in api.calls]


def test_sigterm_cancels_the_job_without_a_terminal_too(api):
    api.hold_after = 13
    with subprocess.Popen([BINARY, "ctl", "warm", "/a"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment(api)) as process:
        for line in process.stdout:
            if line.startswith(b"12/40"):
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 1
        assert b"job-1 cancelled" in process.stderr.read()


def test_the_real_larder_is_spoken_to(larder_factory, flask_app):
    larder = larder_factory({
        "listen": "127.0.0.1:0", "control": {"listen": "127.0.0.1:0"},
        "upstreams": {"app": {"server": f"127.0.0.1:{flask_app.port}"}},
        "routes": [{"name": "courses", "match": "GET /api/courses", "ttl": "30m"}]})

    class Real:
        url = f"http://127.0.0.1:{larder.control_port}"
    assert "courses" in good(Real, "stats")
    assert "0 of 0 keys" in good(Real, "keys")
    assert good(Real, "invalidate", "--all").startswith("0 answers removed (0 fetches")
    r = ctl(Real, "invalidate", "--route", "nosuch")
    assert r.returncode == 1 and "nosuch" in r.stderr
