"""The configs of conf/legacy as they stand, but on free ports, in front of the test's own apps."""
import copy
import json
import re

from items import ROOT


APPS = ROOT / "tests/apps"


def without_comments(text):
    """JSON as it is behind // and /* */ comments; texts are left alone."""
    token = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.S)
    return token.sub(lambda m: m.group() if m.group()[0] == '"' else " ", text)


def merged(base, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    base = dict(base) if isinstance(base, dict) else {}
    for name, value in patch.items():
        if value is None:
            base.pop(name, None)
        else:
            base[name] = merged(base.get(name), value)
    return base


def legacy_config(name, upstreams=None, routes=None, **more):
    """conf/legacy/NAME.json on free ports of loopback. <upstreams>: port by the upstream's name, or one port
    for all; <routes>: members to change by the route's name (a TTL that a test can wait for); <more>: a merge
    patch over the rest."""
    config = json.loads(without_comments((ROOT / f"conf/legacy/{name}.json").read_text()))
    config = copy.deepcopy(config)
    config.pop("$schema", None)
    config["listen"] = "127.0.0.1:0"
    config.setdefault("control", {})["listen"] = "127.0.0.1:0"
    for upstream, settings in config["upstreams"].items():
        port = upstreams.get(upstream) if isinstance(upstreams, dict) else upstreams
        if port:
            settings.pop("servers", None)
            settings["server"] = f"127.0.0.1:{port}"
    for route in config.get("routes", []):
        route.update((routes or {}).get(route["name"], {}))
    return merged(config, more)
