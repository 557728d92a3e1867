"""One file for all places: what the environment tells, and profiles over the rest."""
import json
import os
import re
import subprocess

import jsonschema
import pytest

from support.larder import BINARY, ROOT, Larder, Refused


def write(tmp_path, config):
    path = tmp_path / "larder.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
    return str(path)


def run(*arguments, **environment):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30,
                          check=False, env={**os.environ, **environment})


def config(app=None):
    """As a Flask app's operator would write it: Redis in production alone."""
    return {
        "$profile": {"env": "FLASK_ENV", "default": "development"},
        "$profiles": {
            "development": {"redis": None, "log": {"level": "debug"},
                            "routes": [{"name": "a", "match": "GET /api/courses", "ttl": "1s"}]},
            "production": {"secret": {"env": "SECRET_KEY"}, "workers": {"env": "WEB_CONCURRENCY"}},
            "testing": {"redis": {"prefix": "testing"}, "workers": 1}},
        "listen": "127.0.0.1:${PORT:-0}", "control": {"listen": "127.0.0.1:0"},
        "secret": "not-for-production",
        "redis": {"server": "${REDIS_HOST:-127.0.0.1}:${REDIS_PORT:-6379}"},
        "upstreams": {"app": {"server": f"$DB_HOST:{app.port if app else 8000}"}},
        "routes": [{"name": "a", "match": "GET /api/courses", "ttl": "1h"}]}


@pytest.mark.parametrize("arguments, environment, says, never", [
    ([], {}, ["profile   development", "ttl       1s"], ["redis  "]),
    ([], {"FLASK_ENV": "testing"}, ["profile   testing", "workers   1", "redis     127.0.0.1:6379",
                                    "{larder:testing}"], []),
    (["-p", "production"], {"WEB_CONCURRENCY": "3", "SECRET_KEY": "k" * 32, "REDIS_HOST": "cache",
                            "REDIS_PORT": "7000"},
     ["profile   production", "workers   3", "redis     cache:7000"], ["k" * 32]),
    (["--profile", "development"], {"FLASK_ENV": "production"}, ["profile   development"], []),
    (["--profile=testing"], {"PORT": "8123"}, ["listen    127.0.0.1:8123"], [])])
def test_t_tells_the_profile_and_what_it_makes_of_the_file(tmp_path, arguments, environment, says,
                                                           never):
    done = run("-t", "-c", write(tmp_path, config()), *arguments,
               **{"DB_HOST": "127.0.0.1", **environment})
    assert done.returncode == 0, done.stderr
    assert all(text in done.stdout for text in says), done.stdout
    assert not any(text in done.stdout for text in never), done.stdout


@pytest.mark.parametrize("arguments, environment, says", [
    (["-p", "staging"], {}, ['unknown profile "staging"', "development, production, testing"]),
    ([], {"FLASK_ENV": "prodution"}, ['did you mean "production"?', ":2:14 at"]),
    (["-p", "production"], {}, ["the environment has no SECRET_KEY; set it",
                                "the environment has no WEB_CONCURRENCY"]),
    (["-p", "production"], {"SECRET_KEY": "k" * 32, "WEB_CONCURRENCY": "many"},
     ["at $.workers", "1 to 64", "$WEB_CONCURRENCY of the environment"]),
    ([], {"DB_HOST": ""}, ["the environment has no DB_HOST", "${DB_HOST:-fallback}"])])
def test_what_is_wrong_has_its_place_and_names_what_would_be_right(tmp_path, arguments, environment,
                                                                   says):
    path = write(tmp_path, config())
    done = run("-t", "-c", path, *arguments, **{"DB_HOST": "h", **environment})
    assert done.returncode == 1 and all(text in done.stderr for text in says), done.stderr
    assert all(line.startswith(f"{path}:") for line in done.stderr.splitlines())


def test_a_members_place_is_where_it_stands_in_its_profile(tmp_path):
    path = write(tmp_path, '{"listen": ":1",\n "upstreams": {"a": {"server": "a:1"}},\n'
                           ' "$profiles": {"x": {\n   "workers": 0}}}')
    assert run("-t", "-c", path).returncode == 0  # what is not chosen is not looked at
    done = run("-t", "-c", path, "-p", "x")
    assert done.returncode == 1 and f"{path}:4:15 at $.workers" in done.stderr


def test_explain_knows_the_profile(tmp_path):
    path = write(tmp_path, config())
    for profile, ttl in (("development", "ttl_ms=1000,"), ("testing", "ttl_ms=3600000,")):
        done = run("-c", path, "-p", profile, "--explain", "GET", "/api/courses", DB_HOST="h")
        assert done.returncode == 0 and ttl in done.stdout, done.stdout + done.stderr


def test_development_works_without_redis(larder_factory, school_app):
    larder = larder_factory(config(school_app), BINARY, {"DB_HOST": "127.0.0.1"})
    assert larder.request("GET", "/api/courses").status == 200
    assert larder.request("GET", "/api/courses").headers["Cache-Status"].startswith("larder; hit")
    assert not larder.stats().get("redis")
    assert larder.log_says('profile "development"')


def test_the_environment_chooses_the_profile_and_names_the_redis(larder_factory, school_app, redis):
    host, port = redis.address.split(":")
    larder = larder_factory(config(school_app), BINARY, {
        "DB_HOST": "127.0.0.1", "FLASK_ENV": "testing", "REDIS_HOST": host, "REDIS_PORT": port})
    assert larder.log_says('profile "testing"')
    larder.wait_until(lambda: larder.stats()["redis"]["available"])


def test_larder_does_not_start_where_its_environment_lacks_something(school_app):
    with pytest.raises(Refused) as refused:
        Larder(config(school_app), BINARY, {"FLASK_ENV": "production", "DB_HOST": "127.0.0.1"})
    refused.value.check("the environment has no SECRET_KEY")


def strip(text):
    return json.loads(re.sub(r"(?m)(^|\s)//.*$", "", text))


@pytest.mark.parametrize("path", sorted((ROOT / "conf").rglob("*.json")), ids=lambda p: p.stem)
def test_each_file_of_conf_fits_the_schema_and_each_of_its_profiles_is_good(path):
    if path.name == "larder.schema.json":
        return
    config = strip(path.read_text())
    schema = json.loads((ROOT / "conf/larder.schema.json").read_text())
    jsonschema.Draft7Validator(schema).validate(config)
    told = dict.fromkeys(re.findall(r'"env": *"(\w+)" *\}|\$\{?(\w+_(?:HOST|PORT))\}?', path.read_text()))
    told = {name: "0123456789abcdef0123456789abcdef" if one else "8123"
            for one, other in told for name in (one or other,)}
    told.update((name, "redis://127.0.0.1:6379") for name in told if name.endswith("_URL"))
    for profile in config.get("$profiles", {"": {}}):
        done = run("-t", "-c", str(path), *(["-p", profile] if profile else []), **told)
        assert done.returncode == 0, done.stderr
        assert not profile or f"profile   {profile}" in done.stdout


def test_an_aliass_status_may_be_told_and_its_reply_may_have_a_member_env(tmp_path):
    """{"env": NAME} alone is a variable's value; beside others "env" is what the app said."""
    alias = {"on": "GET /health", "do": "stats", "open": True, "status": {"env": "STATUS"},
             "reply": {"app": {"env": "production", "details": 1}, "env": "production", "result": 2}}
    done = run("-t", "-c", write(tmp_path, dict(config(), aliases=[alias])), DB_HOST="h", STATUS="203")
    assert done.returncode == 0, done.stderr
    done = run("-t", "-c", write(tmp_path, dict(config(), aliases=[alias])), DB_HOST="h", STATUS="204")
    assert "one that has a body (told by $STATUS" in done.stderr
