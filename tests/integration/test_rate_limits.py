"""How often a client may ask: who is counted, what counts, what is said, and what stays free."""
import base64
import hashlib
import hmac
import json
import time

import pytest

from test_caching import config

JWT_SECRET = "0123456789abcdef0123456789abcdef"
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def limit(*limits, **more):
    return dict({"name": "api", "limits": list(limits)}, **more)


def thing(**more):
    return dict({"name": "thing", "match": "GET,POST /thing/{id}", "key": ["path.id"],
                 "ttl": "1h"}, **more)


@pytest.fixture
def limited(larder_factory, moody_app):
    """Larder before the moody app, with one rate limit for all that it passes."""
    def start(rate_limit, *routes, **more):
        more.setdefault("rate_limit", rate_limit["name"])
        return larder_factory(config(moody_app, *routes, rate_limits=[rate_limit], **more))
    return start


def ask(larder, path="/thing/x", method="GET", client=None, times=1, **headers):
    """The statuses of so many requests, one after the other."""
    if client:
        headers["X-Forwarded-For"] = client
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return [larder.request(method, path, headers=headers).status for _ in range(times)]


def told(larder):
    """Lines of whatever stream that tell of a limit."""
    lines = [json.dumps(line) for line in larder.log_lines]
    return [line for line in lines if "rate-limited" in line]


def figures(larder, name="api"):
    return larder.stats()["rate_limits"][name]


# --- how much ---

def test_thirty_in_a_minute_and_five_hundred_in_an_hour(limited, moody_app):
    larder = limited(limit("30/1m", "500/1h"))
    assert ask(larder, times=30) == [200] * 30
    refused = larder.request("GET", "/thing/x")
    assert refused.status == 429
    assert refused.json()["violated-policies"] == ["api-1m"]
    assert moody_app.count("x") == 30
    assert figures(larder)["allowed"] == 30 and figures(larder)["refused"] == 1
    assert 'r=470;' in refused.headers["RateLimit"], "what was refused costs the hour nothing"


def test_each_of_several_limits_may_refuse(limited):
    larder = limited(limit("500/1h", {"rate": "1/1d", "burst": 3}))
    assert ask(larder, times=4) == [200] * 3 + [429]
    assert larder.request("GET", "/thing/x").json()["violated-policies"] == ["api-burst"]


def test_two_hundred_at_once_are_exactly_as_many_as_may(limited, moody_app):
    larder = limited(limit("50/1h"))
    pending = [larder.start("GET", f"/thing/p{n % 7}") for n in range(200)]
    statuses = [p.result().status for p in pending]
    assert statuses.count(200) == 50 and statuses.count(429) == 150
    assert sum(moody_app.count(f"p{n}") for n in range(7)) == 50


def test_who_waits_as_long_as_he_is_told_is_let_through(limited):
    larder = limited(limit("2/1s"))

    def refused():
        answer = larder.request("GET", "/thing/x")
        return answer if answer.status == 429 else None
    answer = None
    while not answer:
        answer = refused()
    end = time.monotonic() + int(answer.headers["Retry-After"])
    assert 1 <= int(answer.headers["Retry-After"]) <= 2
    larder.wait_until(lambda: time.monotonic() >= end)
    assert larder.request("GET", "/thing/x").status == 200


# --- what is said ---

def test_a_refusal_says_all_that_a_client_needs(limited):
    larder = limited(limit("1/1h", "500/1d", legacy_headers="delta"))
    assert ask(larder) == [200]
    answer = larder.request("GET", "/thing/x")
    problem = answer.json()
    assert answer.status == 429
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (problem["type"], problem["title"], problem["status"]) == (
        QUOTA_EXCEEDED, "Too Many Requests", 429)
    assert problem["violated-policies"] == ["api-1h"]
    wait = int(answer.headers["Retry-After"])
    assert 3500 < wait <= 3601
    assert answer.headers["RateLimit-Policy"] == '"api-1h";q=1;w=3600, "api-1d";q=500;w=86400'
    assert answer.headers["RateLimit"].startswith(f'"api-1h";r=0;t={wait}, "api-1d";r=499;t=86')
    assert answer.headers["X-RateLimit-Limit"] == "1"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert int(answer.headers["X-RateLimit-Reset"]) == wait
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Cache-Status"] == "larder; detail=rate-limited"
    assert answer.headers["Proxy-Status"] == "larder; error=http_request_denied"


def test_answers_that_count_say_what_is_left(limited):
    larder = limited(limit({"rate": "60/1m", "burst": 20}, legacy_headers="epoch"), thing())
    miss = larder.request("GET", "/thing/a")
    assert miss.headers["RateLimit-Policy"] == '"api-burst";q=20;w=20'
    assert miss.headers["RateLimit"] == '"api-burst";r=19;t=1'
    assert abs(int(miss.headers["X-RateLimit-Reset"]) - time.time()) < 10
    hit = larder.request("GET", "/thing/a")
    assert "hit" in hit.headers["Cache-Status"] and "RateLimit" not in hit.headers
    passed = larder.request("PUT", "/thing/a")
    assert passed.headers["RateLimit"].startswith('"api-burst";r=1')


def test_head_and_old_clients_are_refused_as_well(limited):
    larder = limited(limit("1/1h"))
    assert ask(larder, method="HEAD", times=2) == [200, 429]
    head = larder.request("HEAD", "/thing/x")
    assert head.body == b"" and int(head.headers["Content-Length"]) > 0
    old = larder.raw(b"GET /thing/x HTTP/1.0\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 429 ") and b"\r\nRetry-After: " in old


def test_an_unread_upload_ends_with_its_refusal(limited, moody_app):
    larder = limited(limit("1/1h"))
    assert ask(larder, method="POST") == [200]
    answer = larder.raw(b"POST /thing/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
                        + b"x" * 20000)
    assert answer.startswith(b"HTTP/1.1 429 ") and b"\r\nConnection: close\r\n" in answer
    waiting = larder.raw(b"POST /thing/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"
                         b"Expect: 100-continue\r\n\r\n")
    assert waiting.startswith(b"HTTP/1.1 429 "), "the body is not asked for"
    assert moody_app.count("x") == 1


def test_an_upgrade_is_a_request_like_others(limited):
    larder = limited(limit("1/1h"))
    assert ask(larder) == [200]
    answer = larder.raw(b"GET /thing/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\n"
                        b"Upgrade: websocket\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 429 ")


def test_refusals_are_told_to_the_security_log_once_a_second(limited):
    larder = limited(limit("1/1h"))
    ask(larder, path="/thing/x?token=hush", times=50)
    larder.stop()
    lines = told(larder)
    assert 1 <= len(lines) < 40
    assert all(word in lines[0] for word in ("127.0.0.1", "GET", "/thing/x", "api-1h", "429"))
    assert not any("hush" in line for line in lines)


# --- who ---

def test_clients_are_told_apart_by_what_trusted_proxies_say(limited):
    larder = limited(limit("2/1h"), trusted_proxies=["127.0.0.1", "10.0.0.0/8"])
    assert ask(larder, client="203.0.113.1", times=3) == [200, 200, 429]
    assert ask(larder, client="203.0.113.2") == [200]
    assert ask(larder, client="6.6.6.6, 203.0.113.1, 10.0.0.7") == [429], "from the right"
    assert ask(larder, client="203.0.113.1:4711") == [429]
    assert ask(larder, client="203.0.113.3, nonsense", times=3) == [200, 200, 429], "the proxy"
    assert ask(larder, client="[2001:db8:1:2::1]:80") == [200]
    assert ask(larder, client="2001:db8:1:2:ffff::9", times=2) == [200, 429], "one /64"
    assert ask(larder, client="2001:db8:1:3::1") == [200]
    assert figures(larder)["clients"] == 5


def test_nobody_is_believed_who_is_not_trusted(limited):
    larder = limited(limit("2/1h"))
    assert [ask(larder, client=f"203.0.113.{n}")[0] for n in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("by, fields", [
    ("header.X-Api-Key", [{"X-Api-Key": "one"}, {"X-Api-Key": "two"}]),
    ("cookie.session", [{"Cookie": "a=b; session=one"}, {"Cookie": "session=two"}]),
    ("auth", [{"Authorization": "Bearer one"}, {"Authorization": "Bearer two"}])])
def test_clients_are_told_apart_by_what_they_bring(limited, by, fields):
    larder = limited(limit("2/1h", by=by))
    for headers in fields:
        statuses = [larder.request("GET", "/thing/x", headers=headers).status for _ in range(3)]
        assert statuses == [200, 200, 429]
    assert ask(larder, times=3) == [200, 200, 429], "who brings none is counted by address"


def test_the_first_of_several_keys_counts_and_all_may_be_one(limited):
    larder = limited(limit("1/1h", by=["header.X-Api-Key", "query.user", "all"]),
                     trusted_proxies=["127.0.0.1"])
    assert ask(larder, X_Api_Key="a", times=2) == [200, 429]
    assert ask(larder, "/thing/x?user=a", times=2) == [200, 429], "another's key of the same text"
    assert ask(larder, client="203.0.113.1") == [200]
    assert ask(larder, client="203.0.113.2") == [429]


def token(role, secret=JWT_SECRET):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    head = part(json.dumps({"alg": "HS256"}).encode()) + "." + part(
        json.dumps({"role": role, "sub": f"the {role}"}).encode())
    return head + "." + part(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())


def test_classes_have_limits_of_their_own(limited):
    larder = limited(limit("1/1h", by="header.X-User", **{"class": "header.X-User-Type"},
                           classes={"teacher": ["3/1h"], "admin": []}))
    assert ask(larder, X_User="a", X_User_Type="student", times=2) == [200, 429]
    assert ask(larder, X_User="b", X_User_Type="teacher", times=4) == [200] * 3 + [429]
    assert ask(larder, X_User="c", X_User_Type="admin", times=9) == [200] * 9
    assert "RateLimit" not in larder.request("GET", "/thing/x",
                                             headers={"X-User-Type": "admin"}).headers
    assert figures(larder)["allowed"] == 4


def test_a_verified_claim_tells_the_class(limited):
    larder = limited(limit("1/1h", by={"jwt": "/sub", "key": JWT_SECRET},
                           **{"class": {"jwt": "/role", "key": JWT_SECRET}},
                           classes={"admin": [], "teacher": ["2/1h"]}))
    assert ask(larder, Authorization=f"Bearer {token('admin')}", times=5) == [200] * 5
    assert ask(larder, Authorization=f"Bearer {token('teacher')}", times=3) == [200, 200, 429]
    forged = token("admin", secret="another secret of 32 bytes.......")
    assert ask(larder, Authorization=f"Bearer {forged}", times=2) == [200, 429]


# --- where ---

def test_routes_choose_their_limits(larder_factory, moody_app):
    rates = [limit("2/1h"), limit("1/1h", name="tight"), limit("3/1h", name="wide")]
    larder = larder_factory(config(
        moody_app,
        {"name": "free", "match": "GET /thing/free", "rate_limit": "off"},
        {"name": "both", "match": "GET /thing/both", "rate_limit": ["tight", "wide"]},
        {"name": "default", "match": "GET /thing/default"},
        rate_limits=rates, rate_limit="api"))
    assert ask(larder, "/thing/free", times=9) == [200] * 9
    assert ask(larder, "/thing/both", times=2) == [200, 429]
    both = larder.request("GET", "/thing/both")
    assert both.json()["violated-policies"] == ["tight-1h"]
    assert 'r=2;' in both.headers["RateLimit"], "a refusal by one costs the other nothing"
    assert ask(larder, "/thing/default") == [200]
    assert ask(larder, "/thing/else", times=2) == [200, 429], "what passes has the default"
    assert figures(larder, "tight")["refused"] == 2
    explained = larder.control("POST", "/api/cache/explain",
                               body=json.dumps({"url": "/thing/both"}))
    assert explained.json()["rate_limits"] == ["tight", "wide"]
    assert figures(larder, "wide")["allowed"] == 1 and figures(larder, "wide")["refused"] == 0


def test_writes_count_and_control_and_warm_jobs_do_not(limited):
    larder = limited(limit("2/1h"), thing())
    assert ask(larder, method="PUT", times=3) == [200, 200, 429]
    warmed = larder.control("POST", "/api/cache/warm", body=json.dumps(
        {"urls": [f"/thing/w{n}" for n in range(5)], "wait": True})).json()
    assert (warmed["warmed"], warmed["failed"]) == (5, 0)
    assert [larder.control("GET", "/api/cache/stats").status for _ in range(9)] == [200] * 9


# --- hits ---

def test_hits_are_free(limited):
    larder = limited(limit("1/1h"), thing())
    assert ask(larder, "/thing/a", times=20) == [200] * 20
    assert ask(larder, "/thing/b") == [429]
    assert ask(larder, "/thing/a") == [200], "what is stored is there for whoever is over, too"
    assert figures(larder)["allowed"] == 1


def test_hits_by_a_body_are_free(limited):
    larder = limited(limit("1/1h"), {"name": "question", "match": "POST /thing/{id}",
                                     "key": ["path.id", "json.q"], "ttl": "1h"})

    def put(question):
        return larder.request("POST", "/thing/a", body=json.dumps({"q": question}),
                              headers={"Content-Type": "application/json"})
    assert [put(1).status for _ in range(5)] == [200] * 5
    assert put(2).status == 429


def test_hits_count_where_they_shall(limited):
    larder = limited(limit("3/1h", count_hits=True), thing())
    answers = [larder.request("GET", "/thing/a") for _ in range(4)]
    assert [a.status for a in answers] == [200, 200, 200, 429]
    assert "hit" in answers[1].headers["Cache-Status"]
    assert answers[1].headers["RateLimit"].startswith('"api-1h";r=1;')


def test_where_only_one_limit_counts_hits_the_other_does_not(larder_factory, moody_app):
    larder = larder_factory(config(
        moody_app, thing(), rate_limits=[limit("9/1h", count_hits=True),
                                         limit("1/1h", name="misses")],
        rate_limit=["api", "misses"]))
    assert ask(larder, "/thing/a", times=5) == [200] * 5
    assert figures(larder)["allowed"] == 5 and figures(larder, "misses")["allowed"] == 1
    assert ask(larder, "/thing/b") == [429]
    assert figures(larder)["allowed"] == 5


def test_waiters_of_one_fetch_count_each(limited, moody_app):
    larder = limited(limit("5/1h"), thing())
    moody_app.mood("a", gate="slow")
    pending = [larder.start("GET", "/thing/a") for _ in range(20)]
    larder.wait_until(lambda: figures(larder)["refused"] == 15)
    larder.wait_for_counter("totals.coalesced_waiting", 4)
    moody_app.hold("slow").open()
    assert sorted(p.result().status for p in pending) == [200] * 5 + [429] * 15
    assert moody_app.count("a") == 1


# --- over the limit ---

def wait_until_stale(larder, path):
    def is_stale():
        answer = larder.control("GET", f"/api/cache/entry?url={path}")
        return answer.json()["variants"][0]["ttl_s"] < 0
    larder.wait_until(is_stale)


@pytest.mark.parametrize("window", [{"stale_if_error": "1h"}, {"keep": "1h"}])
def test_a_stale_answer_takes_a_refusals_place(limited, moody_app, window):
    moody_app.mood("a", headers={"ETag": '"a"'})
    larder = limited(limit("1/1h", over="stale"), thing(ttl="200ms", **window))
    assert ask(larder, "/thing/a") == [200]
    wait_until_stale(larder, "/thing/a")
    answer = larder.request("GET", "/thing/a")
    assert (answer.status, answer.json()["number"]) == (200, 1)
    assert answer.headers["Cache-Status"].startswith("larder; hit; ttl=-")
    assert answer.headers["Cache-Status"].endswith("; detail=rate-limited")
    assert answer.headers["RateLimit"].startswith('"api-1h";r=0;')
    assert ask(larder, "/thing/b") == [429], "of this nothing is kept"
    assert figures(larder)["stale"] == 1 and figures(larder)["refused"] == 2
    assert larder.counter("routes.thing.stale_rate_limited") == 1
    larder.invalidate(url="/thing/a", mode="hard")
    assert ask(larder, "/thing/a") == [429], "what was taken back is not shown again"
    assert moody_app.count("a") == 1


def test_what_must_be_revalidated_is_not_shown_stale(limited, moody_app):
    moody_app.mood("a", headers={"ETag": '"a"', "Cache-Control": "max-age=1, must-revalidate"})
    larder = limited(limit("1/1h", over="stale"), thing(keep="1h"))
    assert ask(larder, "/thing/a") == [200]
    wait_until_stale(larder, "/thing/a")
    assert ask(larder, "/thing/a") == [429]


def test_a_dry_run_counts_and_refuses_nothing(limited):
    larder = limited(limit("2/1h", dry_run=True))
    answers = [larder.request("GET", "/thing/x") for _ in range(5)]
    assert [a.status for a in answers] == [200] * 5
    assert not any("RateLimit" in a.headers for a in answers)
    f = figures(larder)
    assert (f["allowed"], f["refused"], f["would_refuse"]) == (2, 0, 3)
    larder.wait_until(lambda: told(larder))
    assert "api-1h" in told(larder)[0] and "dry" in told(larder)[0]


# --- nothing of it is kept ---

APPS_OWN = {"RateLimit": '"app";r=1;t=1', "RateLimit-Policy": '"app";q=2;w=1',
            "X-RateLimit-Remaining": "7", "X-Rate-Limit-Reset": "9", "Retry-After": "77"}


def test_an_apps_own_limits_are_not_stored(larder_factory, moody_app):
    larder = larder_factory(config(moody_app, thing(ttl_by_status={"503": "1h", "429": "1h"})))
    for name, status in (("a", 200), ("b", 503), ("c", 429)):
        moody_app.mood(name, headers=APPS_OWN, status=status)
        first = larder.request("GET", f"/thing/{name}")
        assert {field: first.headers[field] for field in APPS_OWN} == APPS_OWN, "it is for him"
        hit = larder.request("GET", f"/thing/{name}")
        assert "hit" in hit.headers["Cache-Status"]
        said = [field for field in APPS_OWN if field in hit.headers]
        assert said == ([] if status == 429 else ["Retry-After"]), "to all, or to one client"


def test_where_larder_limits_its_word_stands(limited, moody_app):
    larder = limited(limit("9/1h", legacy_headers="delta"),
                     {"name": "free", "match": "GET /thing/free", "rate_limit": "off"}, thing())
    for name in ("a", "free"):
        moody_app.mood(name, headers=APPS_OWN)
    free = larder.request("GET", "/thing/free")
    assert {field: free.headers[field] for field in APPS_OWN} == APPS_OWN, "none of our business"
    for method in ("GET", "PUT"):
        ours = larder.request(method, "/thing/a")
        assert ours.headers.get_all("RateLimit")[0].startswith('"api-1h";r=')
        assert len(ours.headers.get_all("RateLimit")) == 1
        assert ours.headers.get_all("X-RateLimit-Remaining") in (["8"], ["7"])
        assert "X-Rate-Limit-Reset" not in ours.headers


def test_a_refusal_is_not_what_others_get(limited, moody_app):
    larder = limited(limit("1/1h"), thing(ttl_by_status={"429": "1h", "200": "1h"}),
                     trusted_proxies=["127.0.0.1"])
    assert ask(larder, "/thing/z", client="203.0.113.1") == [200]
    assert ask(larder, "/thing/a", client="203.0.113.1") == [429]
    assert ask(larder, "/thing/a", client="203.0.113.2") == [200]


def test_no_credential_is_in_logs_or_figures(limited):
    larder = limited(limit("1/1h", by=["auth", "cookie.session", "header.X-Api-Key"]))
    for name, value in (("Authorization", "Bearer hush-hush"), ("Cookie", "session=hush-hush"),
                        ("X-Api-Key", "hush-hush")):
        for _ in range(2):
            larder.request("GET", "/thing/x", headers={name: value})
    assert figures(larder)["refused"] == 3
    stats = json.dumps(larder.stats())
    assert "hush" not in stats + json.dumps(larder.access_lines(6))
    assert not any("hush" in line for line in larder.whole_log())


def test_a_refusal_is_told_without_what_is_secret_in_its_path(limited):
    larder = limited(limit("1/1h"), thing(key=[{"param": "path.id", "secret": True}]))
    assert ask(larder, "/thing/hush-1?t=hush") == [200]
    assert ask(larder, "/thing/hush-2?t=hush") == [429]
    larder.wait_until(lambda: told(larder))
    assert '"url.original": "/thing/***?..."' in told(larder)[0]
    assert not any("hush" in line for line in larder.whole_log())


def test_a_secret_target_is_one_by_any_method(limited):
    """A browser's preflight has the whole URL."""
    larder = limited(limit("1/1h"), thing(key=["path.id", {"param": "query.t", "secret": True}]))
    assert ask(larder, "/thing/x?t=hush", "OPTIONS", times=2) == [200, 429]
    assert ask(larder, "/thing/x?t=hush", "TRACE") == [501]
    assert ask(larder, "/thing/x?t=hush", Expect="the-worst") == [417]
    assert ask(larder, "/other?t=seen") == [429]
    targets = [line["url.original"] for line in larder.access_lines(5)]
    assert sorted(targets) == ["/other?t=seen"] + ["/thing/x?***"] * 4
    larder.wait_until(lambda: told(larder))
    assert not any("hush" in line for line in larder.whole_log())


def test_a_small_table_keeps_whom_it_refuses(limited):
    larder = limited(limit("10/1h", max_clients=20), trusted_proxies=["127.0.0.1"])
    assert ask(larder, client="203.0.113.1", times=11) == [200] * 10 + [429]
    for n in range(100):
        assert ask(larder, client=f"198.51.100.{n}") == [200]
    assert ask(larder, client="203.0.113.1") == [429]
    assert figures(larder)["clients"] == 20
