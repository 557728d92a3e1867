"""The README's walk: each command is run against a real larder in front of the demo app, and its
answer must be the one that stands there, but for times, ids and sizes.

    README_UPDATE=1 pytest tests/integration/test_readme.py     writes the answers anew
"""
import os
import re
import subprocess

from support.app import App
from support.larder import BINARY, ROOT, Larder, wait_until
from support.redis import RedisServer

README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- walk -->\n```console\n)(.*?)(```\n<!-- /walk -->)", re.S)
FLEET = re.compile(BLOCK.pattern.replace("walk", "fleet"), re.S)
VOLATILE = [
    (r'("(?:\w*_ms|\w*_us|\w*_s|ms|avg|p50|p95|p99|bytes|stored_unix_ms|elapsed_ms|upstream_ms)":)'
     r"\s*-?[\d.]+", r"\1#"),
    (r'("started":)"[^"]*"', r'\1"#"'),
    (r"inv-[0-9a-f]{8}", "inv-########"),
    (r'"[0-9a-f]{16}"', '"################"'),
    (r"(X-Request-Id: )\w+", r"\1#"),
    (r"(Date: ).*", r"\1#"),
    (r"(Age: )\d+", r"\1#"),
    (r"ttl=-?\d+", "ttl=#"),
    (r"hmac-[0-9a-f]{32}", "hmac-#"),
    (r"\d+(\.\d+)? (B|KiB|bytes)\b", "# bytes"),
    (r"\b\d+\.\d{3}\b", "#.###"),
    (r"\d+\.\d\d/\d+\.\d\d", "#/#"),
    (r'("(?:in_flight|stored)":)\d+', r"\1#"),  # whether a refresh in the background was quicker
    (r"\d+\.\d/s", "#/s"),
    (r"[ ]+", " "),
    (r"(\d+\.)?\d+ s\b", "# s"),
    (r"-{3,}", "---"),
    (r"Cache-Status: larder; fwd=stale; .*", "Cache-Status: larder; fwd=stale"),
]


def masked(text):
    for pattern, replacement in VOLATILE:
        text = re.sub(pattern, replacement, text)
    return text


def commands(block):
    """(command, answer) pairs: a command may go on over lines that end with a backslash."""
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        lines = part.split("\n")
        n = 1
        while lines[n - 1].endswith("\\"):
            n += 1
        yield "\n".join(lines[:n]), "\n".join(lines[n:]).rstrip("\n")


def start_larder(name, app, **more):
    text = (ROOT / "conf" / name).read_text()
    text = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8081", "127.0.0.1:0")
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{app.port}")
    for written, meant in more.items():
        text = text.replace(written, meant)
    return Larder(text, environment={"LARDER_SECRET": "0123456789abcdef" * 4})


class Walk:
    """The demo app with one larder or two in front of it, as the README starts them."""
    def __init__(self, name, count, redis=None):
        self.app = App("app", "gunicorn", directory=ROOT / "scripts/demo", probe="/api/organizations")
        more = {"127.0.0.1:6379": redis.address} if redis else {}
        self.larders = [start_larder(name, self.app, **more) for _ in range(count)]
        for larder in self.larders if redis else []:
            wait_until(lambda l=larder: l.stats()["redis"]["instances"] == count and
                       l.stats()["redis"]["in_contact"])

    def settle(self):
        """Until all have heard what each has said, and Redis has what is written behind."""
        def is_settled():
            stats = [larder.stats()["redis"] for larder in self.larders]
            return len({s["number"] for s in stats}) == 1 and not any(
                s["queued"] or s["pending"] for s in stats)
        if len(self.larders) > 1:
            wait_until(is_settled)

    def run(self, command):
        command = command.replace("\\\n", "")
        for n, larder in enumerate(self.larders):
            command = command.replace(f"localhost:8{n}80", f"127.0.0.1:{larder.public_port}")
            command = command.replace(f"localhost:8{n}81", f"127.0.0.1:{larder.control_port}")
        command = re.sub(r"^larder ", f"{BINARY} ", command)
        environment = dict(os.environ,
                           LARDER_URL=f"http://127.0.0.1:{self.larders[0].control_port}")
        done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        answer = done.stdout.decode().replace("\r", "")
        return answer.replace(f"127.0.0.1:{self.larders[0].public_port}",
                              "127.0.0.1:8080").strip("\n")

    def stop(self):
        for larder in self.larders:
            larder.stop()
        self.app.stop()


def hold(walk, pattern):
    """Each answer in the README's blocks is what the command now gives."""
    text = README.read_text()
    blocks = pattern.findall(text)
    assert blocks, "the README has its walk"
    written, differences = [], []
    try:
        for _, block, _ in blocks:
            out = ""
            for command, expected in commands(block):
                answer = walk.run(command)
                walk.settle()
                out += f"$ {command}\n{answer}\n\n"
                if masked(answer) != masked(expected):
                    differences.append(f"$ {command}\n--- README\n{expected}\n--- now\n{answer}")
            written.append(out.rstrip("\n") + "\n")
    finally:
        walk.stop()
    if os.environ.get("README_UPDATE"):
        made = iter(written)
        README.write_text(pattern.sub(lambda m: m.group(1) + next(made) + m.group(3), text))
    else:
        assert not differences, "\n\n".join(differences)


def test_the_walk_in_the_readme_answers_as_it_says():
    hold(Walk("school.json", 1), BLOCK)


def test_the_walk_with_two_instances_answers_as_it_says():
    redis = RedisServer()
    try:
        hold(Walk("fleet.json", 2, redis), FLEET)
    finally:
        redis.stop()


def test_the_walk_shows_every_control_route():
    text = "".join(b[1] for b in BLOCK.findall(README.read_text()))
    table = (ROOT / "proxy/control/dispatch.c").read_text()
    for path in set(re.findall(r'\{"(/(?:api/cache|health)/[^"]*)"', table)):
        shown = re.escape(path).replace(r"\{\}", r"[^/ \n]+")
        assert re.search(shown, text), f"{path} is not in the walk"
