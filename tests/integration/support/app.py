"""Real apps in real servers. The listening socket is ours, so no port is raced for."""
import json
import os
import pathlib
import signal
import socket
import subprocess

from .larder import request, wait_until

APPS = pathlib.Path(__file__).resolve().parent.parent / "apps"
PYTHON = "/usr/bin/python3"


class Gate:
    def __init__(self, app, name):
        self.app, self.name = app, name

    def open(self):
        assert self.app.request("POST", f"/_open/{self.name}").status == 200


class App:
    def __init__(self, module, server, directory=APPS, probe="/_counts", environment=None):
        self.probe = probe
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        fd = listener.fileno()
        os.set_inheritable(fd, True)
        if server == "gunicorn":
            command = [PYTHON, "-m", "gunicorn", "-k", "gthread", "--threads", "80", "--workers",
                       "1", "--log-level", "error", "--bind", f"fd://{fd}", f"{module}:app"]
        elif server == "daphne":
            command = [PYTHON, "-m", "daphne", "-v", "0", "--fd", str(fd), f"{module}:app"]
        else:
            command = [PYTHON, "-m", "uvicorn", "--log-level", "error", "--fd", str(fd),
                       f"{module}:app"]
        self.process = subprocess.Popen(command, cwd=directory, pass_fds=[fd],
                                        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1",
                                             **(environment or {})})
        listener.close()
        wait_until(self._is_up, 60)  # a server of Python starts slowly where much goes on

    def _is_up(self):
        assert self.process.poll() is None, "the app ended"
        try:
            return self.request("GET", self.probe, timeout=1).status == 200
        except OSError:
            return False

    def request(self, method, path, **more):
        return request(self.port, method, path, **more)

    def count(self, name):
        return json.loads(self.request("GET", "/_counts").body).get(name, 0)

    def reset(self):
        self.request("POST", "/_reset")

    def mood(self, name, **mood):
        """What the moody app answers to /thing/NAME from now on."""
        answer = self.request("POST", f"/_mood/{name}", body=json.dumps(mood),
                              headers={"Content-Type": "application/json"})
        assert answer.status == 200

    def hold(self, name):
        return Gate(self, name)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
