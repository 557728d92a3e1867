"""Answers of one key that differ by request fields: Vary, origins, encodings, hosts, their bound."""
import gzip

import pytest

from support.raw_upstream import RawUpstream, read_head

MODES = ({"ttl": "1m"}, {"mode": "http"})


def fields_of(head):
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)}


def app(answer):
    """answer(fields) gives the answer's own fields as text, and its body."""
    def handler(upstream, connection):
        while head := read_head(connection):
            upstream.requests.append(fields_of(head))
            fields, body = answer(upstream.requests[-1])
            connection.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n" + fields.encode() +
                               b"Content-Length: %d\r\n\r\n" % len(body) +
                               (body if isinstance(body, bytes) else body.encode()))
    return RawUpstream(handler)


def config(upstream, **more):
    cache = more.pop("cache", {})
    return {"listen": "127.0.0.1:0", "control": {"listen": "127.0.0.1:0"}, "workers": 1,
            "cache": cache,
            "upstreams": {"app": {"server": f"127.0.0.1:{upstream.port}"}},
            "routes": [{"name": "r", "match": "GET /*", **more}]}


def get(larder, **fields):
    answer = larder.request("GET", "/x", {k.replace("_", "-"): v for k, v in fields.items()})
    assert answer.status == 200
    return answer


def is_hit(answer):
    return "; hit;" in answer.headers["Cache-Status"]


def allow(fields):
    """An app that lets two origins in, and forgets Vary."""
    origin = fields.get("origin")
    if origin in ("http://a", "http://b"):
        return f"Access-Control-Allow-Origin: {origin}\r\n", "x"
    return "", "x"


@pytest.mark.parametrize("mode", MODES)
def test_each_origin_gets_its_own_answer(larder_factory, mode):
    with app(allow) as upstream:
        larder = larder_factory(config(upstream, **mode))
        for _ in range(3):
            for origin in (None, "http://a", "http://evil", "http://b"):
                answer = get(larder, **({"Origin": origin} if origin else {}))
                allowed = answer.headers["Access-Control-Allow-Origin"]
                assert allowed == (origin if origin in ("http://a", "http://b") else None)
        # once for each and once more for who came without one, before that was known to matter
        assert len(upstream.requests) <= 5
        assert is_hit(get(larder)) and is_hit(get(larder, Origin="http://b"))


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_for_all_origins_is_stored_once(larder_factory, mode):
    with app(lambda fields: ("Access-Control-Allow-Origin: *\r\n", "x")) as upstream:
        larder = larder_factory(config(upstream, **mode))
        assert not is_hit(get(larder, Origin="http://a"))
        assert is_hit(get(larder, Origin="http://b")) and is_hit(get(larder))
        assert len(upstream.requests) == 1


def test_origins_can_be_ignored(larder_factory):
    with app(allow) as upstream:
        larder = larder_factory(config(upstream, ttl="1m", cors="ignore"))
        get(larder)
        assert is_hit(get(larder, Origin="http://a"))


def packed(fields):
    accepted = fields.get("accept-encoding", "")
    for coding in ("br", "gzip"):
        if coding in accepted:
            return f"Content-Encoding: {coding}\r\n", coding
    return "", "plain"


def test_encodings_are_kept_apart(larder_factory):
    """In mode http, and by an app that forgets Vary: nobody gets what he did not ask for."""
    with app(packed) as upstream:
        larder = larder_factory(config(upstream, mode="http"))
        wanted = {"gzip": "gzip", "br, gzip": "br", "identity": "plain", "": "plain",
                  "gzip, br": "br", "GZIP": "plain", "br;q=0.5": "br"}
        for _ in range(2):
            for accepted, body in wanted.items():
                got = get(larder, Accept_Encoding=accepted).body.decode()
                assert got == body or (got == "gzip" and accepted == "GZIP"), accepted
                assert got == "plain" or got in accepted.lower()
        assert is_hit(get(larder, Accept_Encoding="gzip;q=1, br"))


def test_variants_are_bounded(larder_factory):
    with app(lambda fields: ("Vary: X\r\n", fields.get("x", ""))) as upstream:
        larder = larder_factory(config(upstream, ttl="1m", cache={"max_variants": 3}))
        for x in "abcde":
            assert get(larder, X=x).body == x.encode()
        assert [is_hit(get(larder, X=x)) for x in "abcde"] == [True] * 3 + [False] * 2
        assert get(larder, X="f").body == b"f"
        route = larder.stats()["routes"]["r"]
        assert route["refused"]["variants"] == 5
        # room again for others, once those are gone
        assert larder.invalidate(route="r")["removed"] == 3
        assert not is_hit(get(larder, X="f")) and is_hit(get(larder, X="f"))


def test_an_answer_that_varies_by_too_much_is_delivered_and_not_stored(larder_factory):
    names = ", ".join(f"X{n}" for n in range(40))
    with app(lambda fields: (f"Vary: {names}\r\n", "x")) as upstream:
        larder = larder_factory(config(upstream, ttl="1m"))
        for n in range(1, 4):
            assert get(larder).body == b"x" and len(upstream.requests) == n


def test_names_of_several_answers_are_joined(larder_factory):
    """One answer tells of one field, another of another: from then on both tell answers apart."""
    def answer(fields):
        name = "A" if fields["a"] == "1" else "B"
        return f"Vary: {name}\r\n", fields["a"] + fields["b"]
    with app(answer) as upstream:
        larder = larder_factory(config(upstream, ttl="1m"))
        pairs = [("1", "1"), ("2", "1"), ("1", "2"), ("2", "2")]
        for a, b in pairs + pairs:
            assert get(larder, A=a, B=b).body.decode() == a + b
        asked = len(upstream.requests)
        assert all(is_hit(get(larder, A=a, B=b)) for a, b in pairs)
        assert len(upstream.requests) == asked


# --- an app that builds URLs of what it is called ---

def linked(fields):
    """The link stands far behind the beginning, and is packed where that is asked for."""
    scheme = fields.get("x-forwarded-proto", "http")
    body = f'{"x" * 70_000}"next": "{scheme}:\\/\\/{fields["host"]}\\/2"'.encode()
    if "gzip" in fields.get("accept-encoding", ""):
        return "Content-Encoding: gzip\r\n", gzip.compress(body)
    return "", body


def plain(fields):
    body = b"nobody's name" * 10_000
    if "gzip" in fields.get("accept-encoding", ""):
        return "Content-Encoding: gzip\r\n", gzip.compress(body)
    return "", body


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_a_link_of_one_host_is_not_given_to_another(larder_factory, coding):
    with app(linked) as upstream:
        larder = larder_factory(config(upstream, ttl="1m", json_errors="store"))
        first = get(larder, Host="evil.test", Accept_Encoding=coding)
        second = get(larder, Host="good.test", Accept_Encoding=coding)
        assert not is_hit(second) and first.body != second.body
        assert is_hit(get(larder, Host="good.test", Accept_Encoding=coding))


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_what_names_no_host_is_shared_by_all_of_them(larder_factory, coding):
    with app(plain) as upstream:
        larder = larder_factory(config(upstream, ttl="1m", json_errors="store"))
        get(larder, Host="a.test", Accept_Encoding=coding)
        assert is_hit(get(larder, Host="b.test", Accept_Encoding=coding))


def test_a_redirect_to_https_is_for_who_came_without(larder_factory):
    def answer(fields):
        if fields["x-forwarded-proto"] == "https":
            return "", "safe"
        return f"Location: https://{fields['host']}/x\r\n", "go"
    with app(answer) as upstream:
        larder = larder_factory({**config(upstream, ttl="1m"), "trusted_proxies": ["127.0.0.0/8"]})
        for _ in range(2):
            assert get(larder).body == b"go"
            assert get(larder, X_Forwarded_Proto="https").body == b"safe"
        assert is_hit(get(larder)) and is_hit(get(larder, X_Forwarded_Proto="https"))


def test_the_log_names_one_key_from_a_miss_and_from_a_hit(larder_factory):
    """What only larder needs of a key, such as the scheme, is nothing for people."""
    with app(lambda fields: ("", "x")) as upstream:
        larder = larder_factory({**config(upstream, mode="http"),
                                 "trusted_proxies": ["127.0.0.0/8"]})
        for _ in range(2):
            get(larder, X_Forwarded_Proto="https", Host="a.test")
        larder.wait_until(lambda: len(larder.access) >= 2)
        lines = larder.access[:2]
        assert [line["larder.outcome"] for line in lines] == ["miss", "hit"]
        assert {line["larder.key"] for line in lines} == {"r:/x?:@a.test"}


@pytest.mark.parametrize("mode", MODES)
def test_a_warm_job_asks_for_who_comes_by_https(larder_factory, mode, tmp_path):
    """By a URL that says so, and again for the hottest answers after a restart."""
    def answer(fields):
        return f"Content-Location: {fields['x-forwarded-proto']}://{fields['host']}/x\r\n", "x"
    with app(answer) as upstream:
        c = {**config(upstream, **mode), "trusted_proxies": ["127.0.0.0/8"],
             "state_dir": str(tmp_path), "warm": [{"name": "last", "hottest": 5, "on": "start"}]}
        larder = larder_factory(c)
        body = '{"urls": ["https://a.test/x"], "wait": true}'
        assert larder.control("POST", "/api/cache/warm", body).status == 200
        assert not is_hit(get(larder, Host="a.test"))
        assert is_hit(get(larder, Host="a.test", X_Forwarded_Proto="https"))
        assert larder.invalidate(url="https://a.test/x?")["removed"] >= 1
        for _ in range(2):
            get(larder, Host="a.test", X_Forwarded_Proto="https")
        larder.stop()
        again = larder_factory(c)
        again.wait_until(lambda: again.stats()["totals"]["warmed"] >= 1)
        assert is_hit(get(again, Host="a.test", X_Forwarded_Proto="https"))
