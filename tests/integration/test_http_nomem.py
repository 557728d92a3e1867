"""Mode http while memory is short: each allocation of each kind of exchange fails in turn. Who asks
gets the right answer, or hears that there is none; and afterwards all is as if nothing had been."""
import pytest

from support.script import Reply, site_of
from test_nomem import PROGRAM, Orders

STALE = ("Cache-Control", "max-age=0")
FRESH = ("Cache-Control", "max-age=3600")
TAG = ("ETag", '"a"')
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


class Same(Reply):
    """304 where that is asked, and the whole where memory was too short to ask it."""
    def bytes_for(self, request, number):
        reply = Reply(self.fields, 304 if request.is_conditional else 200)
        return reply.bytes_for(request, number)


EXCHANGES = {
    "confirmed": ([STALE, TAG, ("Vary", "Foo")], Same([FRESH, TAG, ("A", "1")]), {}),
    "confirmed by another": ([STALE, TAG], Same([FRESH, ("ETag", '"b"')]), {}),
    "confirmed for one": ([STALE, TAG], Same([("Cache-Control", "no-store"), TAG]), {}),
    "replaced": ([STALE, TAG], Reply([FRESH, ("Vary", "Foo")], before=HINT), {}),
    "asked anew": ([FRESH, TAG], Same([FRESH, TAG]),
                   {"fields": [("Cache-Control", "no-cache")]}),
    "refreshed behind": ([("Cache-Control", "max-age=0, stale-while-revalidate=60"), TAG],
                         Same([FRESH, TAG]), {}),
    "a part": ([FRESH, TAG], Reply([FRESH]), {"fields": [("Range", "bytes=0-99")]}),
    "a part behind the end": ([FRESH, TAG], Reply([FRESH]), {"fields": [("Range", "bytes=99-")]}),
    "a head": ([STALE, TAG], Reply([FRESH]), {"method": "HEAD"}),
    "a write": ([FRESH, TAG], Reply([("Location", "/other")], 201), {"method": "PUT"}),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_each_allocation_fails_in_turn(tmp_path, name):
    stored, reply, how = EXCHANGES[name]
    orders = Orders(tmp_path)
    good = [b"answer %d" % n for n in range(1, 5)]
    with site_of(program=PROGRAM, environment=orders.environment) as site:
        for at in range(1, 200):
            path = site.path(Reply(stored), reply, Reply([FRESH]))
            site.ask(path)
            failed = orders.failed
            orders.set(at=at)
            try:
                answer = site.ask(path, **how)
            except (AssertionError, ConnectionError):
                answer = None  # it hung up
            orders.set()
            if answer and answer.status in (200, 201, 206):
                assert answer.body in [*good, b""] and (how.get("method") == "HEAD" or answer.body)
            else:
                assert not answer or answer.status in (416, 500, 501, 502, 503), (at, answer.pairs)
            after = site.ask(path)
            assert after.status == 200 and after.body in good, (at, after.pairs)
            if how.get("method") == "PUT" and answer and answer.status == 201:
                assert after.body != b"answer 1"
            if orders.failed == failed:
                break
        assert orders.failed > 0 and at < 199
