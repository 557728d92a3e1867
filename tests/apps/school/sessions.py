"""Sessions outside the process, as the document has them: the browser has a signed id in the cookie "session",
and gets it anew with each answer that looked into the session, so that it lives on; such answers say
Vary: Cookie. All as Flask's own sessions do it, less the data in the cookie.
"""
import json
import secrets
import time

from flask.sessions import SessionInterface, SessionMixin
from itsdangerous import BadSignature, Signer
from werkzeug.datastructures import CallbackDict

from records import database

LIFETIME_S = 1800


class Session(CallbackDict, SessionMixin):
    permanent = True

    def __init__(self, values=None, id=None):
        super().__init__(values, lambda self: setattr(self, "modified", True))
        self.id, self.modified, self.looked_at = id, False, False

    def get(self, name, default=None):
        self.looked_at = True
        return super().get(name, default)

    def __getitem__(self, name):
        self.looked_at = True
        return super().__getitem__(name)


class OutsideSessions(SessionInterface):
    def open_session(self, app, request):
        try:
            id = Signer(app.secret_key).unsign(request.cookies.get("session", "")).decode()
        except BadSignature:
            return Session()
        found = database().execute("SELECT data FROM sessions WHERE id = ? AND ends > ?", (id, time.time())).fetchone()
        return Session(json.loads(found[0]), id) if found else Session()

    def save_session(self, app, session, response):
        if session.looked_at or session.modified:
            response.vary.add("Cookie")
        if not session:
            if session.modified and session.id:
                database().execute("DELETE FROM sessions WHERE id = ?", (session.id,))
                response.delete_cookie("session")
            return
        if session.modified:
            session.id = session.id or secrets.token_urlsafe(24)
            database().execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)",
                               (session.id, json.dumps(session), time.time() + LIFETIME_S))
        if session.looked_at or session.modified:
            database().execute("UPDATE sessions SET ends = ? WHERE id = ?", (time.time() + LIFETIME_S, session.id))
            response.set_cookie("session", Signer(app.secret_key).sign(session.id).decode(), max_age=LIFETIME_S,
                                httponly=True, samesite="Lax")


def statistics():
    db, now = database(), time.time()
    return {"active": db.execute("SELECT count(*) FROM sessions WHERE ends > ?", (now,)).fetchone()[0],
            "cleaned": db.execute("DELETE FROM sessions WHERE ends <= ?", (now,)).rowcount}
