"""Real HTTP clients behind one small face: each keeps cookies and connections, none follows a
redirect unless told, and live() gives the body piece by piece as it comes."""
import asyncio
import json
import os
import pathlib
import subprocess
import tempfile

import aiohttp
import httpx
import requests

from .larder import DEADLINE_S


class Said:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    def json(self):
        return json.loads(self.body)


class RequestsClient:
    def __init__(self):
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, method, url, headers=None, form=None, file=None, follow=False):
        answer = self.session.request(
            method, url, headers=headers, data=form, allow_redirects=follow, timeout=DEADLINE_S,
            files=file and {"file": file})
        return Said(answer.status_code, answer.headers.items(), answer.content)

    def live(self, url):
        with self.session.get(url, stream=True, timeout=DEADLINE_S) as answer:
            yield from answer.iter_content(None)

    def close(self):
        self.session.close()


class HttpxClient:
    def __init__(self):
        self.client = httpx.Client(trust_env=False, timeout=DEADLINE_S)

    def ask(self, method, url, headers=None, form=None, file=None, follow=False):
        answer = self.client.request(method, url, headers=headers, data=form,
                                     follow_redirects=follow,
                                     files=file and {"file": file})
        return Said(answer.status_code, answer.headers.items(), answer.content)

    def live(self, url):
        with self.client.stream("GET", url) as answer:
            yield from answer.iter_raw()

    def close(self):
        self.client.close()


class AiohttpClient:
    def __init__(self):
        self.loop = asyncio.new_event_loop()

        async def start():  # unsafe: cookies of an address without a name, too
            return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True),
                                         timeout=aiohttp.ClientTimeout(total=DEADLINE_S))
        self.session = self.loop.run_until_complete(start())

    def ask(self, method, url, headers=None, form=None, file=None, follow=False):
        data = form
        if file:
            data = aiohttp.FormData(list((form or {}).items()))
            data.add_field("file", file[1], filename=file[0])

        async def go():
            async with self.session.request(method, url, headers=headers, data=data,
                                            allow_redirects=follow) as answer:
                return Said(answer.status, answer.headers.items(), await answer.read())
        return self.loop.run_until_complete(go())

    def live(self, url):
        answer = self.loop.run_until_complete(self.session.get(url))
        try:
            while piece := self.loop.run_until_complete(answer.content.readany()):
                yield piece
        finally:
            answer.close()
            self.loop.run_until_complete(asyncio.sleep(0))  # the loop's turn to close the socket

    def close(self):
        self.loop.run_until_complete(self.session.close())
        self.loop.close()


class CurlClient:
    def __init__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.directory.name)

    def _command(self, url, *more):
        jar = self.path / "cookies"
        return ["curl", "-sS", "-q", "--noproxy", "*", "--max-time", str(DEADLINE_S), "-b", jar,
                "-c", jar, *more, url]

    def ask(self, method, url, headers=None, form=None, file=None, follow=False):
        more = ["-D", self.path / "head", "-o", self.path / "body"]
        if follow:
            more.append("-L")
        elif method != "POST" or not (form or file):
            more += ["-X", method]
        for name, value in (headers or {}).items():
            more += ["-H", f"{name}: {value}"]
        for name, value in (form or {}).items():
            more += ["-F" if file else "--data-urlencode", f"{name}={value}"]
        if file:
            (self.path / file[0]).write_bytes(file[1])
            more += ["-F", f"file=@{self.path / file[0]}"]
        (self.path / "body").write_bytes(b"")
        subprocess.run(self._command(url, *more), check=True)
        heads = (self.path / "head").read_bytes().decode("latin-1").strip().split("\r\n\r\n")
        last = heads[-1].split("\r\n")
        fields = [line.split(": ", 1) for line in last[1:] if ": " in line]
        return Said(int(last[0].split(" ")[1]), fields, (self.path / "body").read_bytes())

    def live(self, url):
        process = subprocess.Popen(self._command(url, "-N"), stdout=subprocess.PIPE)
        with process:
            try:
                while piece := os.read(process.stdout.fileno(), 65536):
                    yield piece
            except GeneratorExit:
                process.kill()

    def close(self):
        self.directory.cleanup()


CLIENTS = {"requests": RequestsClient, "httpx": HttpxClient, "aiohttp": AiohttpClient,
           "curl": CurlClient}
