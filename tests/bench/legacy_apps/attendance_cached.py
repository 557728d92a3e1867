"""The attendance app with its document's cache: three dictionaries with timestamps, six hours."""
import functools
import json
from datetime import datetime, timedelta

from fastapi.responses import JSONResponse

import plain
from plain import app

CACHE_DURATION = timedelta(seconds=plain.ttl_s(6 * 3600))

# Three separate caches for different data types
attendance_cache = {}    # Main attendance data
datewise_cache = {}      # Date-wise records
tilldate_cache = {}      # Till-date summaries


def is_cache_valid(cache_entry: dict) -> bool:
    cache_time = datetime.fromisoformat(cache_entry['timestamp'])
    return datetime.now() - cache_time < CACHE_DURATION


def through(cache, key_of):
    """The document names no keys: each student's own. An exception, as of a failed login, stores nothing."""
    def wrap(endpoint):
        @functools.wraps(endpoint)
        async def cached(**arguments):
            key = key_of(arguments)
            if key in cache and is_cache_valid(cache[key]):
                return JSONResponse(cache[key]['data'])
            answer = await endpoint(**arguments)
            data = json.loads(answer.body) if isinstance(answer, JSONResponse) else answer
            cache[key] = {'data': data, 'timestamp': datetime.now().isoformat()}
            return answer
        return cached
    return wrap


def who(a):
    return a["username"], a["token"] or a["authorization"] or a["session"]


plain.rewrap(app, "/login-and-fetch-attendance",
             through(attendance_cache, lambda a: (a["login"].username, a["login"].password)))
plain.rewrap(app, "/dateWise", through(datewise_cache, lambda a: (*who(a), a["date"])))
plain.rewrap(app, "/getDateWiseAttendance", through(tilldate_cache, lambda a: (*who(a), a["till"])))


@app.post("/clear-cache")
async def clear_cache():
    for cache in (attendance_cache, datewise_cache, tilldate_cache):
        cache.clear()
    return {"status": "success"}
