"""The table of the differential test: what a client sends byte for byte, and the app's answer."""
import dataclasses
import gzip
import json

import brotli

DATE = b"Sat, 21 Nov 2026 04:27:10 GMT"
MODIFIED = b"Fri, 20 Nov 2026 10:00:00 GMT"
TEXT = (b"Content-Type", b"text/plain")
JSON = (b"Content-Type", b"application/json")
FORM = (b"Content-Type", b"application/x-www-form-urlencoded")


@dataclasses.dataclass
class Case:
    name: str
    request: bytes         # or a list: what follows waits for "100 Continue"
    answer: object         # bytes, or a function of the request
    is_stored: bool        # where a route caches it: the second answer is a hit; None: as may be
    cached_as: bytes = b""  # the request whose direct answer is right where a route caches it

    @property
    def method(self):
        head = self.request if isinstance(self.request, bytes) else self.request[0]
        return head.split(b" ", 1)[0]


def lines(first, fields):
    return first + b"\r\n" + b"".join(b"%s: %s\r\n" % f for f in fields) + b"\r\n"


def req(target=b"/x", *fields, method=b"GET", body=b"", version=b"1.1", host=b"app.test"):
    fields = ([(b"Host", host)] if host is not None else []) + list(fields)
    if body:
        fields.append((b"Content-Length", b"%d" % len(body)))
    return lines(method + b" " + target + b" HTTP/" + version, fields) + body


def ans(status=b"200 OK", *fields, body=b"hello"):
    """With a length. A function, for HEAD is answered without the body."""
    head = lines(b"HTTP/1.1 " + status, [(b"Date", DATE), *fields,
                                         (b"Content-Length", b"%d" % len(body))])
    return lambda request: head if request.method == b"HEAD" else head + body


def empty(status, *fields):
    return lines(b"HTTP/1.1 " + status, [(b"Date", DATE), *fields])


def chunked(body, size, *fields, extension=b"", trailer=b""):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    head = lines(b"HTTP/1.1 200 OK", [(b"Date", DATE), *fields,
                                      (b"Transfer-Encoding", b"chunked")])
    text = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces)
    whole = head + text + b"0\r\n" + trailer + b"\r\n"
    return lambda request: head if request.method == b"HEAD" else whole


def closing(body, *fields, version=b"1.1"):
    return lines(b"HTTP/" + version + b" 200 OK", [(b"Date", DATE), *fields]) + body


OK = ans(b"200 OK", TEXT)

# --- paths and queries: the app gets each byte as the client wrote it ---

TARGETS = [
    b"/", b"/?", b"/??", b"/a", b"/a/", b"/a//b", b"//a", b"///", b"/a/./b", b"/a/../b",
    b"/../../a",
    b"/a%2Fb", b"/a%2fb", b"/%61", b"/a%20b", b"/a+b", b"/a%2Bb", b"/a;v=1/b", b"/a:b@c",
    b"/a,b!$'()*", b"/a~b_-.c", b"/%zz", b"/%", b"/%4", b"/%%41", b"/a%00b", b"/a%0d%0aX:1",
    b"/a%C3%A9", b"/caf\xc3\xa9", b"/\xff\xfe", b"/{id}", b"/a|b^c`d", b'/a"b', b"/a<b>", b"/a\\b",
    b"/[1]", b"/x?", b"/x?a", b"/x?a=", b"/x?=a", b"/x?&", b"/x?a&&b", b"/x?a=1&", b"/x?a=1&a=2",
    b"/x?a=2&a=1", b"/x?b=1&a=2", b"/x?a[]=1&a[]=2", b"/x?a%5B%5D=1", b"/x?a+b=c%20d", b"/x?a=%2B",
    b"/x?q=%", b"/x?%zz=1", b"/x?q=caf\xc3\xa9", b"/x?q=\xff", b"/x?a=b=c", b"/x?a;b=1",
    b"/x?next=http://h/p?q=1", b"/x?a=%00", b"/x?" + b"k=v&" * 60,
    b"/" + b"p" * 4000, b"/x?utm_source=a&_=1", b"http://app.test/absolute?x=1",
    b"http://other.test/absolute", b"http://app.test",
]


def target_cases():
    for target in TARGETS:
        yield Case("target " + target[:40].decode("latin-1"), req(target), OK, True)


# --- fields of requests ---

CREDENTIALS = [
    [(b"Cookie", b"sid=1; theme=dark")], [(b"Cookie", b"a=1"), (b"Cookie", b"b=2")],
    [(b"Cookie", b'a="q;x"; ;b')], [(b"Authorization", b"Basic YTpi")],
    [(b"Authorization", b"Bearer a.b.c")], [(b"X-Api-Key", b"k")],
    [(b"Cookie", b"csrftoken=t"), (b"X-CSRFToken", b"t")],
]
FIELDS = [
    [(b"Referer", b"http://app.test/from?a=1#x")], [(b"Origin", b"http://front.test")],
    [(b"Origin", b"null")], [(b"User-Agent", b"larder test (x; y) z/1")],
    [(b"Accept", b"*/*;q=0.1")],
    [(b"Accept-Language", b"de, en;q=0.5")], [(b"X-Empty", b"")], [(b"X-Spaces", b"  padded \t ")],
    [(b"X-Inside", b"a  b\tc")], [(b"X-Latin", b"caf\xe9 \xff")],
    [(b"X-Utf8", b"\xc3\xa9\xe2\x82\xac")],
    [(b"X-A", b"1"), (b"X-B", b"2"), (b"X-A", b"3")], [(b"x-lower", b"1"), (b"X-UPPER", b"2")],
    [(b"!#$%&'*+-.^`|~09", b"token")], [(b"X-Quote", b'"a, b", c="\\""')],
    [(b"X-Long", b"y" * 8000)], [(b"X-%d" % i, b"%d" % i) for i in range(100)],
    [(b"Connection", b"X-Hop"), (b"X-Hop", b"1"), (b"X-Kept", b"2")], [(b"TE", b"trailers")],
    [(b"Keep-Alive", b"timeout=5")], [(b"Connection", b"keep-alive")],
    [(b"Proxy-Connection", b"keep-alive")], [(b"Via", b"1.1 front")],
    [(b"X-Forwarded-For", b"6.6.6.6"), (b"X-Forwarded-Proto", b"https")],
    [(b"Forwarded", b"for=6.6.6.6")], [(b"X-Request-Id", b"mine")],
    [(b"Cache-Control", b"max-age=0")], [(b"Pragma", b"no-cache")], [(b"DNT", b"1")],
    [(b"Sec-Fetch-Site", b"same-origin"), (b"Sec-Fetch-Mode", b"cors")],
    [(b"X-Requested-With", b"XMLHttpRequest")], [(b"If-Range", b'"x"')], [(b"From", b"a@b.c")],
    [(b"Max-Forwards", b"3")], [(b"Traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")],
    [(b"Priority", b"u=1, i")], [(b"Accept-Encoding", b"identity")],
    [(b"Accept-Encoding", b"gzip, deflate, br")], [(b"Accept-Encoding", b"*")],
    [(b"Accept-Encoding", b"gzip;q=0")], [(b"Accept-Encoding", b"")],
]
HOSTS = [b"app.test:8080", b"APP.Test", b"127.0.0.1", b"[::1]:80", b"", b"a_b.test",
         b"xn--caf-dma.test"]


def title(fields):
    return ", ".join(f"{n.decode()}: {v[:20].decode('latin-1')}" for n, v in fields[:3])


def field_cases():
    for fields in FIELDS:
        yield Case("field " + title(fields), req(b"/f", *fields), OK, True)
    for fields in CREDENTIALS:
        yield Case("credential " + title(fields), req(b"/f", *fields), OK, False)
    for host in HOSTS:
        yield Case(f"host {host.decode()!r}", req(b"/h", host=host), OK, True)
    yield Case("no-store asked for", req(b"/f", (b"Cache-Control", b"no-store")), OK, False)


# --- statuses and fields of answers ---

STORED = (b"200 OK", b"203 Non-Authoritative Information", b"300 Multiple Choices",
          b"301 Moved Permanently", b"308 Permanent Redirect")
STATUSES = STORED + (
    b"201 Created", b"202 Accepted", b"205 Reset Content", b"207 Multi-Status", b"226 IM Used",
    b"302 Found", b"303 See Other", b"307 Temporary Redirect", b"400 Bad Request",
    b"401 Unauthorized", b"402 Payment Required", b"403 Forbidden", b"404 Not Found",
    b"405 Method Not Allowed", b"406 Not Acceptable", b"408 Request Timeout", b"409 Conflict",
    b"410 Gone", b"411 Length Required", b"412 Precondition Failed", b"413 Content Too Large",
    b"414 URI Too Long", b"415 Unsupported Media Type", b"416 Range Not Satisfiable",
    b"417 Expectation Failed", b"418 I'm a teapot", b"421 Misdirected Request",
    b"422 Unprocessable Entity", b"423 Locked", b"425 Too Early", b"426 Upgrade Required",
    b"428 Precondition Required", b"429 Too Many Requests", b"431 Request Header Fields Too Large",
    b"451 Unavailable For Legal Reasons", b"499 Gone Already", b"500 Internal Server Error",
    b"501 Not Implemented", b"502 Bad Gateway", b"503 Service Unavailable", b"504 Gateway Timeout",
    b"505 HTTP Version Not Supported", b"507 Insufficient Storage", b"599 Odd",
    b"200 ", b"200 Alles gut \xe9", b"299 Own", b"404 nicht da", b"200 " + b"r" * 300)
ANSWER_FIELDS = [
    [(b"Location", b"http://app.test/next?a=1")], [(b"Location", b"/caf\xc3\xa9")],
    [(b"Content-Location", b"/other")], [(b"X-Latin", b"caf\xe9 \xfc")],
    [(b"X-Utf8", b"\xe2\x82\xac")],
    [(b"X-Trailing", b"value  \t ")], [(b"X-Empty", b"")], [(b"X-Inside", b"a \t b")],
    [(b"x-lower", b"1"), (b"X-UPPER", b"2"), (b"x-lower", b"3")], [(b"Server", b"gunicorn/1 (x)")],
    [(b"Link", b'</a>; rel="next", </b>; rel=prev')], [(b"X-Frame-Options", b"DENY")],
    [(b"Content-Security-Policy", b"default-src 'self'; img-src *")], [(b"Allow", b"GET, HEAD")],
    [(b"Strict-Transport-Security", b"max-age=1")], [(b"ETag", b'W/"weak"')], [(b"ETag", b'"e"')],
    [(b"Last-Modified", MODIFIED)], [(b"Accept-Ranges", b"bytes")], [(b"Content-Language", b"de")],
    [(b"Content-Disposition", b"attachment; filename*=UTF-8''%e2%82%ac.txt")],
    [(b"Cache-Control", b"max-age=60")], [(b"Cache-Control", b"public, s-maxage=9, x=\"y,z\"")],
    [(b"Expires", b"Sat, 21 Nov 2037 04:27:10 GMT")], [(b"Pragma", b"no-cache")],
    [(b"Vary", b"Accept-Language")], [(b"Vary", b"Origin, Cookie")], [(b"Warning", b'199 - "x"')],
    [(b"Access-Control-Allow-Origin", b"*"), (b"Access-Control-Expose-Headers", b"X-A, X-B")],
    [(b"Access-Control-Allow-Origin", b"http://front.test"), (b"Vary", b"Origin"),
     (b"Access-Control-Allow-Credentials", b"true")],
    [(b"Timing-Allow-Origin", b"*")], [(b"Server-Timing", b'db;dur=5;desc="a b"')],
    [(b"Alt-Svc", b'h3=":443"')], [(b"Content-MD5", b"abc=")], [(b"Refresh", b"5; url=/x")],
    [(b"Connection", b"X-Hop"), (b"X-Hop", b"1"), (b"X-Kept", b"2")],
    [(b"Keep-Alive", b"timeout=5")], [(b"Surrogate-Key", b"a b")], [(b"X-Powered-By", b"x")],
    [(b"WWW-Authenticate", b'Basic realm="x"')], [(b"Retry-After", b"10")],
    [(b"Age", b"10")], [(b"Age", b"10"), (b"Cache-Status", b"front; hit")],
    [(b"Via", b"1.1 front")],
    [(b"X-Long", b"z" * 12000)], [(b"X-%d" % i, b"%d" % i) for i in range(90)],
    [(b"!#$%&'*+-.^`|~", b"1")],
]
NOT_SHARED = [
    [(b"Set-Cookie", b"a=1; Path=/; HttpOnly")],
    [(b"Set-Cookie", b"c%d=%d; Expires=Sat, 21 Nov 2037 04:27:10 GMT" % (i, i)) for i in range(40)],
    [(b"Cache-Control", b"no-store")], [(b"Cache-Control", b"private, max-age=60")],
    [(b"Cache-Control", b"no-cache")], [(b"Cache-Control", b"max-age=0")], [(b"Vary", b"*")],
    [(b"Expires", b"0")],
]


def answer_cases():
    for status in STATUSES:
        yield Case(f"status {status[:30].decode('latin-1')}", req(b"/s"),
                   ans(status, TEXT, (b"Location", b"http://app.test/l")), status in STORED or
                   status.startswith(b"200 "))
    for status in (b"404 Not Found", b"410 Gone", b"301 Moved Permanently", b"302 Found"):
        yield Case(f"status {status.decode()} with max-age", req(b"/s"),
                   ans(status, TEXT, (b"Cache-Control", b"max-age=60"), (b"Location", b"/l")),
                   status != b"302 Found")
    yield Case("204", req(b"/s"), empty(b"204 No Content", (b"X-A", b"1")), True)
    yield Case("304 without a condition", req(b"/s"), empty(b"304 Not Modified"), False)
    yield Case("1xx before the answer", req(b"/s"),
               empty(b"103 Early Hints", (b"Link", b"</a>; rel=preload")) +
               empty(b"200 OK", (b"Content-Length", b"2")) + b"ok", True)
    for fields in ANSWER_FIELDS:
        yield Case("answer " + title(fields), req(b"/a"), ans(b"200 OK", TEXT, *fields), True)
    for fields in NOT_SHARED:
        yield Case("not shared " + title(fields), req(b"/a"), ans(b"200 OK", TEXT, *fields), False)
    yield Case("event stream", req(b"/e"), chunked(b"data: 1\n\ndata: 2\n\n", 9,
                                                   (b"Content-Type", b"text/event-stream")), False)


# --- bodies of answers ---

BINARY = bytes(range(256)) * 40
BIG = bytes(i * 7 % 251 for i in range(65536)) * 48  # 3 MiB


def coded(request):
    """The best coding the request asks for."""
    asked = b",".join(request.all(b"accept-encoding")).replace(b" ", b"").split(b",")
    accepted = [member.split(b";")[0] for member in asked if not member.endswith(b";q=0")]
    plain = b'{"answer": "%s"}' % (b"long " * 200)
    vary = (b"Vary", b"Accept-Encoding")
    if b"br" in accepted:
        return ans(b"200 OK", JSON, vary, (b"Content-Encoding", b"br"),
                   body=brotli.compress(plain))(request)
    if b"gzip" in accepted:
        return ans(b"200 OK", JSON, vary, (b"Content-Encoding", b"gzip"),
                   body=gzip.compress(plain, mtime=0))(request)
    return ans(b"200 OK", JSON, vary, body=plain)(request)


def body_cases():
    bodies = {"empty": b"", "one byte": b"x", "binary": BINARY, "3 MiB": BIG,
              "looks like a head": b"HTTP/1.1 500 X\r\n\r\n", "ends in CRLF": b"a\r\n\r\n"}
    for name, body in bodies.items():
        yield Case(f"body {name}, with length", req(b"/b"), ans(b"200 OK", TEXT, body=body), True)
        yield Case(f"body {name}, chunked", req(b"/b"), chunked(body, 100_003, TEXT), True)
        yield Case(f"body {name}, till close", req(b"/b"), closing(body, TEXT), True)
    yield Case("body in chunks of one byte", req(b"/b"), chunked(BINARY[:600], 1, TEXT), True)
    yield Case("body in chunks with extensions", req(b"/b"),
               chunked(b"abcdef", 2, TEXT, extension=b";a=b;c=\"d\""), True)
    yield Case("body in chunks with trailer", req(b"/b"),
               chunked(b"abcdef", 2, TEXT, (b"Trailer", b"X-T"), trailer=b"X-T: 1\r\n"), True)
    yield Case("body of an HTTP/1.0 app", req(b"/b"), closing(b"old", TEXT, version=b"1.0"), True)
    yield Case("length twice over", req(b"/b"), lines(b"HTTP/1.1 200 OK", [
        (b"Content-Length", b"2, 2")]) + b"ok", True)
    yield Case("connection closed after length", req(b"/b"), lines(b"HTTP/1.1 200 OK", [
        (b"Content-Length", b"2"), (b"Connection", b"close")]) + b"ok", True)
    for kind, body in (("JSON", b'{"a": [1, 2.50, "\\u00e9", null]} \n'),
                       ("JSON with doubled names", b'{"a":1,"a":2}')):
        yield Case(f"body {kind}", req(b"/b"), ans(b"200 OK", JSON, body=body), True)
    for kind, body in (("broken JSON", b'{"a": '), ("an error in JSON", b'{"error": "x"}')):
        yield Case(f"body {kind}", req(b"/b"), ans(b"200 OK", JSON, body=body), False)
    for coding in (b"gzip", b"identity", b"deflate", b"gzip;q=0", b"gzip;q=0.5, identity"):
        yield Case(f"coding {coding.decode()}", req(b"/z", (b"Accept-Encoding", coding)), coded,
                   True)
    # a fetch for the cache asks for what larder can look into
    yield Case("coding br", req(b"/z", (b"Accept-Encoding", b"br")), coded, True,
               cached_as=req(b"/z"))
    yield Case("coding gzip, br", req(b"/z", (b"Accept-Encoding", b"gzip, br")), coded, True,
               cached_as=req(b"/z", (b"Accept-Encoding", b"gzip")))


# --- HEAD, conditions, ranges ---

FILE = b"0123456789" * 100
FILE_FIELDS = [TEXT, (b"ETag", b'"v1"'), (b"Last-Modified", MODIFIED), (b"Vary", b"X-Lang"),
               (b"Cache-Control", b"max-age=60"), (b"Content-Location", b"/file.txt")]


def file_app(request):
    """A file with validators: conditions first, then one range (RFC 9110 section 13.2.2)."""
    if (m := request.all(b"if-match")) and m[0] not in (b"*", b'"v1"'):
        return ans(b"412 Precondition Failed", TEXT, body=b"no\n")(request)
    if none := request.all(b"if-none-match"):
        if b'"v1"' in none[0] or none[0] == b"*":
            return empty(b"304 Not Modified", *FILE_FIELDS[1:])
    elif request.all(b"if-modified-since") == [MODIFIED]:
        return empty(b"304 Not Modified", *FILE_FIELDS[1:])
    ranges = request.all(b"range")
    if ranges and (request.all(b"if-range") or [b'"v1"']) == [b'"v1"']:
        first, last = ranges[0].removeprefix(b"bytes=").split(b"-")
        if not first:
            first, last = len(FILE) - int(last), b""
        first, last = int(first), min(int(last or len(FILE) - 1), len(FILE) - 1)
        if first >= len(FILE):
            return ans(b"416 Range Not Satisfiable", (b"Content-Range", b"bytes */1000"),
                       body=b"")(request)
        return ans(b"206 Partial Content", *FILE_FIELDS,
                   (b"Content-Range", b"bytes %d-%d/1000" % (first, last)),
                   body=FILE[first:last + 1])(request)
    return ans(b"200 OK", *FILE_FIELDS, body=FILE)(request)


OLD_DATE = b"Thu, 19 Nov 2026 10:00:00 GMT"


def conditional_cases():
    for fields in ([(b"If-None-Match", b'"v1"')], [(b"If-None-Match", b'W/"v1"')],
                   [(b"If-None-Match", b'"a", "v1"')], [(b"If-None-Match", b"*")],
                   [(b"If-None-Match", b'"other"')], [(b"If-Modified-Since", MODIFIED)],
                   [(b"If-Modified-Since", OLD_DATE)],
                   [(b"If-None-Match", b'"other"'), (b"If-Modified-Since", MODIFIED)]):
        yield Case("condition " + title(fields), req(b"/file", *fields), file_app, True)
        yield Case("HEAD condition " + title(fields), req(b"/file", *fields, method=b"HEAD"),
                   file_app, True)
    for fields in ([(b"Range", b"bytes=0-9")], [(b"Range", b"bytes=990-")],
                   [(b"Range", b"bytes=-5")],
                   [(b"Range", b"bytes=2000-")], [(b"Range", b"bytes=0-9"), (b"If-Range", b'"v1"')],
                   [(b"Range", b"bytes=0-9"), (b"If-Range", b'"old"')], [(b"If-Match", b'"old"')],
                   [(b"If-Match", b'"v1"')]):
        yield Case("range " + title(fields), req(b"/file", *fields), file_app,
                   fields[0][0] != b"If-Match")
    for name, answer, stored in (
            ("with length", OK, True), ("chunked", chunked(b"hello", 2, TEXT), True),
            ("3 MiB", ans(b"200 OK", TEXT, body=BIG), True), ("404", ans(b"404 Not Found"), False),
            ("302", ans(b"302 Found", (b"Location", b"http://app.test/"), body=b""), False),
            ("204", empty(b"204 No Content"), True),
            ("no-store", ans(b"200 OK", (b"Cache-Control", b"no-store")), False)):
        yield Case(f"HEAD {name}", req(b"/head", method=b"HEAD"), answer, stored)


# --- bodies of requests, methods ---

MULTIPART = (b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b\r\nContent-Disposition: "
             b"form-data; name=\"f\"; filename=\"\xc3\xa9.bin\"\r\nContent-Type: image/png\r\n\r\n" +
             BINARY + b"\r\n--b--\r\n")


def req_chunked(target, body, size, *fields, method=b"POST", extension=b"", trailer=b""):
    head = lines(method + b" " + target + b" HTTP/1.1",
                 [(b"Host", b"app.test"), *fields, (b"Transfer-Encoding", b"chunked")])
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    text = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces)
    return head + text + b"0\r\n" + trailer + b"\r\n"


def upload_cases():
    kinds = {"form": (FORM, b"a=1&b=%20+&a=2&c"), "JSON": (JSON, b'{"a": "\xc3\xa9", "b": [1]}'),
             "multipart": ((b"Content-Type", b"multipart/form-data; boundary=b"), MULTIPART),
             "binary": ((b"Content-Type", b"application/octet-stream"), BINARY),
             "1 MiB": ((b"Content-Type", b"application/octet-stream"), BIG[:1 << 20]),
             "without a type": ((b"X-Kind", b"none"), b"hello"), "broken JSON": (JSON, b"{"),
             "like a request": (TEXT, b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n")}
    for kind, (field, body) in kinds.items():
        for method in (b"POST", b"PUT", b"PATCH"):
            yield Case(f"{method.decode()} {kind}", req(b"/u", field, method=method, body=body), OK,
                       False)
        yield Case(f"POST {kind}, chunked", req_chunked(b"/u", body, 77777, field), OK, False)
        expect = req(b"/u", field, (b"Expect", b"100-continue"), method=b"POST", body=body)
        head, rest = expect.split(b"\r\n\r\n", 1)
        yield Case(f"POST {kind}, Expect", [head + b"\r\n\r\n", rest], OK, False)
    yield Case("chunked with extensions", req_chunked(b"/u", b"abcdef", 1, extension=b";x=\"y\""),
               OK, False)
    yield Case("chunked with trailer", req_chunked(b"/u", b"abc", 2, trailer=b"X-T: 1\r\n"), OK,
               False)
    yield Case("chunked and empty", req_chunked(b"/u", b"", 1), OK, False)
    yield Case("PUT chunked", req_chunked(b"/u", BINARY, 999, method=b"PUT"), OK, False)
    for method in (b"POST", b"PUT", b"DELETE"):
        yield Case(f"{method.decode()} of length 0",
                   req(b"/u", (b"Content-Length", b"0"), method=method), OK, False)
    yield Case("POST without a length", req(b"/u", method=b"POST"), OK, False)
    yield Case("DELETE with a body", req(b"/u", JSON, method=b"DELETE", body=b'{"id":1}'), OK,
               False)
    yield Case("GET with a body", req(b"/u", JSON, body=b'{"q":1}'), OK, False)
    for target in (b"/keyed/a", b"/keyed/a?x=%2F"):
        for field, body in ((JSON, b'{"a": 1}'), (FORM, b"a=1&b=2")):
            stored = field == JSON
            yield Case(f"POST cached {target.decode()} {field[1].decode()}",
                       req(target, field, method=b"POST", body=body), OK, stored)
    yield Case("POST cached, chunked", req_chunked(b"/keyed/a", b'{"a": 1}', 3, JSON), OK, True)


def method_cases():
    for method in (b"PROPFIND", b"REPORT", b"MKCOL", b"COPY", b"LOCK", b"SEARCH", b"FOO",
                   b"M-SEARCH",
                   b"get", b"Post", b"PURGE", b"OPTIONS", b"DELETE", b"PATCH", b"LINK"):
        yield Case(f"method {method.decode()}", req(b"/m", method=method), OK, False)
        yield Case(f"method {method.decode()} with a body",
                   req(b"/m", TEXT, method=method, body=b"<x/>"), OK, False)
    yield Case("QUERY", req(b"/keyed/q", JSON, method=b"QUERY", body=b'{"q":1}'), OK, True)
    yield Case("QUERY not cached", req(b"/m", JSON, method=b"QUERY", body=b'{"q":1}'), OK, False)
    yield Case("OPTIONS *", req(b"*", method=b"OPTIONS"), OK, False)
    preflight = [(b"Origin", b"http://front.test"), (b"Access-Control-Request-Method", b"PUT"),
                 (b"Access-Control-Request-Headers", b"content-type, x-a")]
    allow = [(b"Access-Control-Allow-Origin", b"http://front.test"),
             (b"Access-Control-Allow-Methods", b"PUT, GET"), (b"Access-Control-Max-Age", b"600"),
             (b"Access-Control-Allow-Headers", b"content-type, x-a"), (b"Vary", b"Origin")]
    yield Case("preflight 204", req(b"/m", *preflight, method=b"OPTIONS"),
               empty(b"204 No Content", *allow), False)
    yield Case("preflight 200", req(b"/m", *preflight, method=b"OPTIONS"),
               ans(b"200 OK", *allow, body=b""), False)
    for status in (b"201 Created", b"303 See Other", b"422 Unprocessable Entity"):
        yield Case(f"POST {status.decode()}", req(b"/m", JSON, method=b"POST", body=b"{}"),
                   ans(status, (b"Location", b"http://app.test/m/1"),
                       (b"Set-Cookie", b"s=1"), JSON, body=json.dumps({"id": 1}).encode()), False)


def old_client_cases():
    for name, fields, host in (("", [], None), (" with host", [], b"app.test"),
                               (" keep-alive", [(b"Connection", b"keep-alive")], b"app.test"),
                               (" close", [(b"Connection", b"close")], b"app.test")):
        for kind, answer in (("length", OK), ("chunked", chunked(b"hello", 2, TEXT)),
                             ("close", closing(b"hello", TEXT)), ("204", empty(b"204 No Content"))):
            yield Case(f"HTTP/1.0{name}, {kind}", req(b"/o", *fields, version=b"1.0", host=host),
                       answer, True)
    yield Case("HTTP/1.0 POST", req(b"/o", FORM, version=b"1.0", method=b"POST", body=b"a=1"), OK,
               False)
    yield Case("HTTP/1.1 close", req(b"/o", (b"Connection", b"close")), OK, True)
    yield Case("HTTP/1.9", req(b"/o", version=b"1.9"), OK, True)


CASES = [case for make in (target_cases, field_cases, answer_cases, body_cases, conditional_cases,
                           upload_cases, method_cases, old_client_cases) for case in make()]
