"""larder -t, -V, -h; the example and the schema agree."""
import json
import re
import subprocess

import jsonschema
import pytest

from support.larder import BINARY, ROOT


def run(*arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30)


def test_t_prints_the_routes_as_understood():
    r = run("-t", "-c", str(ROOT / "conf/larder.example.json"))
    assert r.returncode == 0
    assert "key       courses:organization_id=<value>:semester=<value>" in r.stdout


def test_t_tells_all_errors_with_their_places(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text('{\n  "upstreams": {"a": {"server": "x"}},\n  "wrkers": 2\n}\n')
    r = run("-t", "-c", str(path))
    assert r.returncode == 1
    assert f"{path}:3:13 at $.wrkers" in r.stderr and 'did you mean "workers"' in r.stderr
    assert f"{path}:2:" in r.stderr
    assert run("-c", str(path)).returncode == 1


def test_version_and_help():
    assert re.match(r"larder \d+\.\d+\.\d+ ", run("-V").stdout)
    assert "larder -t -c FILE" in run("-h").stdout
    assert run().returncode == 2


def test_the_example_fits_the_schema_and_the_schema_refuses_what_larder_refuses():
    schema = json.loads((ROOT / "conf/larder.schema.json").read_text())
    text = (ROOT / "conf/larder.example.json").read_text()
    example = json.loads(re.sub(r"(?m)(^|\s)//.*$", "", text))
    jsonschema.validate(example, schema)
    env = {"env": "X", "default": 1}
    for member, value in (("workers", env), ("listen", ["${HOST:-127.0.0.1}:$PORT", env]),
                          ("$profile", env), ("limits", {"methods": [env]}),
                          ("upstreams", {"a": {"server": "$HOST:1", "max": env}})):
        jsonschema.validate(dict(example, **{member: value}), schema)
    for member, value in (("workers", 0), ("drain_timeout", "10 min"), ("wrkers", 1),
                          ("workers", {"env": "X", "defualt": 1}), ("workers", {"env": "A-B"}),
                          ("$profiles", {"a": {"lisen": ":1"}}), ("$profiles", {"a": 1})):
        assert list(jsonschema.Draft7Validator(schema).iter_errors(dict(example, **{member: value})))


@pytest.mark.parametrize("arguments, says", [
    (["GET", "/api/courses?organization_id=1&semester=01"],
     ["decision          cache", "key               courses:organization_id=1:semester=1",
      "tags              org:1"]),
    (["GET", "/api/courses", "-H", "Cookie: a=1"], ["bypass", "cookie", "identity", "line "]),
    (["GET", "/api/rooms/7", "-H", "X-Forwarded-Host: a"], ["room:id=7"]),
    (["GET", "/api/rooms/7", "-H", "host: a"], ["room:id=7"]),
    (["PUT", "/api/rooms/7"], ["takes_back        room:{path.id}"]),
    (["POST", "/login", "-d", '{"username":"ann","password":"hunter2"}'],
     ["login:username=ann:password=hmac-"]),
    (["GET", "/elsewhere"], ["no route of the config matches"])])
def test_explain_needs_the_config_alone(arguments, says):
    done = subprocess.run([BINARY, "-c", str(ROOT / "conf/school.json"), "--explain", *arguments],
                          capture_output=True, text=True, check=True)
    for text in says:
        assert text in done.stdout
    assert "hunter2" not in done.stdout


@pytest.mark.parametrize("method, says, never", [
    ("GET", "aliases           the app, then stats", "change"),
    ("POST", "aliases           warm, invalidate", "change"),
    ("PUT", "change            no route of the config matches", "aliases")])
def test_explain_names_aliases_that_come_before_routes(tmp_path, method, says, never):
    path = tmp_path / "larder.json"
    path.write_text(json.dumps({
        "listen": "127.0.0.1:0", "upstreams": {"app": {"server": "127.0.0.1:1"}}, "aliases": [
            {"on": "GET /health", "do": "stats", "open": True, "merge": True, "reply": {}},
            {"on": "POST /health", "do": "warm", "open": True, "when": {"query.a": "1"},
             "with": {"urls": ["/"]}},
            {"on": "POST /health", "do": "invalidate", "open": True, "with": {"all": True}}]}))
    done = subprocess.run([BINARY, "-c", str(path), "--explain", method, "/health?a=2"],
                          capture_output=True, text=True, timeout=30, check=True)
    assert says in done.stdout and never not in done.stdout, done.stdout
