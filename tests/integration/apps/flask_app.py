"""A Flask app as users have it: it says nothing of caching where it does not have to."""
import hashlib
import itertools

from flask import Flask, Response, jsonify, redirect, request

from counted import add_to, counts, gates

app = Flask(__name__)
numbers = itertools.count(1)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
add_to(app)


def serve(name, **more):
    counts[name] += 1
    return jsonify(number=next(numbers), **more)


@app.get("/hold/<name>")
def hold(name):
    counts[f"hold-{name}"] += 1
    number = next(numbers)
    gates[name].wait(30)
    answer = jsonify(number=number)
    if name.startswith("private"):
        answer.headers["Cache-Control"] = "private"
    return answer


@app.get("/api/courses")
def courses():
    return serve("courses", args=request.args.to_dict(flat=False))


@app.post("/query")
def query():
    return serve("query")


@app.route("/status/<int:code>", methods=METHODS)
def status(code):
    counts["status"] += 1
    return Response("" if code in (204, 304) else f"status {code}\n", status=code)


@app.get("/no-store")
def no_store():
    answer = serve("no-store")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@app.get("/private")
def private():
    answer = serve("private")
    answer.headers["Cache-Control"] = "private, max-age=60"
    return answer


@app.get("/set-cookie")
def set_cookie():
    answer = serve("set-cookie")
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


@app.get("/vary")
def vary():
    answer = serve("vary", lang=request.headers.get("X-Lang"))
    answer.headers["Vary"] = "X-Lang"
    return answer


@app.route("/echo", methods=METHODS)
@app.route("/echo/<path:rest>", methods=METHODS)
def echo(rest=""):
    return jsonify(method=request.method, target=request.environ["RAW_URI"],
                   headers=[list(h) for h in request.headers], body=request.get_data(as_text=True))


@app.get("/repeat-headers")
def repeat_headers():
    answer = Response("x")
    for value in ("one", "two", "three"):
        answer.headers.add("X-Many", value)
    answer.headers["Connection"] = "X-Gone"
    answer.headers["X-Gone"] = "1"
    return answer


@app.get("/redirect")
def redirect_absolute():
    return redirect(request.host_url + "status/200")


@app.get("/stream")
def stream():
    return Response((f"line {i}\n" for i in range(50)), mimetype="text/plain")


@app.get("/download/<int:size>")
def download(size):
    def pieces(left=size, block=b"0123456789abcdef" * 4096):
        while left > 0:
            yield block[:left]
            left -= len(block)
    answer = Response(pieces(), mimetype="application/octet-stream")
    answer.headers["Content-Length"] = str(size)
    return answer


@app.post("/upload")
def upload():
    digest, size = hashlib.sha256(), 0
    while piece := request.stream.read(65536):
        digest.update(piece)
        size += len(piece)
    return jsonify(sha256=digest.hexdigest(), size=size)
