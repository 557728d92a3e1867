"""The college's portal, simulated: students with passwords, a session for each login, pages of HTML. Some seconds
a page, as the real one; LEGACY_DELAY scales them. It can be down, and its marks change while it runs."""
import asyncio
import html
import itertools
import os
import zlib

PAGE_S = 2.5
SUBJECTS = ("Mathematics", "Physics", "Operating Systems", "Networks")


class PortalDown(Exception):
    pass


class LoginFailed(Exception):
    pass


class SessionOver(Exception):
    pass


class Portal:
    def __init__(self):
        self.numbers = itertools.count(1)
        self.clear()

    def clear(self):
        self.is_up, self.held, self.passwords, self.sessions = True, 40, {}, {}

    def password(self, username):
        return self.passwords.get(username, f"secret-of-{username}")

    async def _load(self):
        await asyncio.sleep(PAGE_S * float(os.environ.get("LEGACY_DELAY", "0.02")))
        if not self.is_up:
            raise PortalDown

    async def login(self, username, password):
        await self._load()
        if password != self.password(username):
            raise LoginFailed
        session = f"portal-{next(self.numbers)}-{zlib.crc32(username.encode()):08x}"
        self.sessions[session] = username
        return session

    def logout(self, session):
        self.sessions.pop(session, None)

    def student(self, session):
        if session not in self.sessions:
            raise SessionOver
        return self.sessions[session]

    async def page(self, session, title):
        """<title>: of each subject, how many lessons were held and attended."""
        await self._load()
        name = self.student(session)
        rows = "".join(
            f"<tr><td>{html.escape(subject)}</td><td>{self.held}</td><td>{self._attended(name, subject)}</td></tr>"
            for subject in SUBJECTS)
        return f"<html><h1>{html.escape(title)}</h1><table id='{html.escape(name)}'>{rows}</table></html>"

    def _attended(self, name, subject):
        return self.held - zlib.crc32(f"{name}/{subject}".encode()) % 10
