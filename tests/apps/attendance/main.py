"""UPASTHIT attendance: the Flutter app's backend. It logs in to the college's portal for a student, reads the pages
there, and gives JSON. FastAPI under uvicorn, one dyno at Heroku; as its authors wrote it, less their cache.

A wrong password is answered 401; with LOGIN_FAILURE_STATUS=200 as many such backends do it, in a 200. A student is
known on the later calls by the portal's session: Authorization: Bearer, the cookie "session", or ?token=.
"""
import os
import pathlib
import re
import sys
from typing import Optional

from fastapi import FastAPI, Header, Cookie, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import fastapi_probe  # noqa: E402

from portal import LoginFailed, Portal, PortalDown, SessionOver  # noqa: E402

LOGIN_FAILURE_STATUS = int(os.environ.get("LOGIN_FAILURE_STATUS", "401"))
ROW = re.compile(r"<tr><td>(.*?)</td><td>(\d+)</td><td>(\d+)</td></tr>")
app = FastAPI(title="UPASTHIT", dependencies=fastapi_probe.dependencies)
portal = Portal()
fastapi_probe.add_to(app, portal)


class Login(BaseModel):
    username: str
    password: str


class Logout(BaseModel):
    username: str
    token: str


def failure(status, message):
    return JSONResponse({"success": False, "message": message}, status_code=status)


@app.exception_handler(PortalDown)
async def on_portal_down(request: Request, error: PortalDown):
    return failure(503, "College portal is not reachable, please try again later")


@app.exception_handler(LoginFailed)
async def on_login_failed(request: Request, error: LoginFailed):
    return failure(LOGIN_FAILURE_STATUS, "Invalid username or password")


@app.exception_handler(SessionOver)
async def on_session_over(request: Request, error: SessionOver):
    return failure(401, "Please log in again")


def scraped(page):
    return [{"subject": subject, "held": int(held), "attended": int(attended),
             "percent": round(100 * int(attended) / int(held), 1)}
            for subject, held, attended in ROW.findall(page)]


def session_of(username, token, authorization, cookie):
    """The portal's session of <username>, and of nobody else."""
    session = token or (authorization or "").replace("Bearer ", "", 1) or cookie
    if portal.student(session) != username:
        raise SessionOver
    return session


@app.post("/login-and-fetch-attendance")
async def login_and_fetch_attendance(login: Login):
    session = await portal.login(login.username, login.password)
    page = await portal.page(session, "Attendance")
    answer = JSONResponse({"success": True, "username": login.username, "token": session,
                           "attendance": scraped(page)})
    answer.set_cookie("session", session, httponly=True)
    return answer


@app.get("/dateWise")
async def date_wise(username: str, date: str = "today", token: Optional[str] = None,
                    authorization: Optional[str] = Header(None), session: Optional[str] = Cookie(None)):
    found = session_of(username, token, authorization, session)
    page = await portal.page(found, f"Lessons of {date}")
    return {"success": True, "username": username, "date": date, "lessons": scraped(page)}


@app.get("/getDateWiseAttendance")
async def get_date_wise_attendance(username: str, till: str = "today", token: Optional[str] = None,
                                   authorization: Optional[str] = Header(None),
                                   session: Optional[str] = Cookie(None)):
    found = session_of(username, token, authorization, session)
    page = await portal.page(found, f"Till {till}")
    return {"success": True, "username": username, "till": till, "attendance": scraped(page)}


@app.post("/logout")
async def logout(who: Logout):
    portal.logout(who.token)
    return {"success": True}


@app.get("/health")
async def health():
    return {"status": "healthy", "message": "API is running with 6-hour caching for Heroku optimization"}


@app.post("/_portal", include_in_schema=False)
async def change_portal(change: dict):
    """For tests: {"is_up": false}, {"held": 41}, {"passwords": {"ann": "new"}}."""
    for name, value in change.items():
        setattr(portal, name, value)
