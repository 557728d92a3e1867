#!/usr/bin/python3
"""Includes run downwards: fails where one goes up the layers, or a library leaves its own."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

MAY = {"base": [], "http": ["base"], "cache": ["base", "http"], "config": ["base", "http"],
       "net": ["base", "http", "config"],
       "tier": ["base", "http", "cache", "config", "net"],
       "flow": ["base", "http", "cache", "config", "net", "tier"],
       "control": ["base", "http", "cache", "config", "net", "tier", "flow"],
       "ctl": ["base"],
       "main": ["base", "http", "cache", "config", "net", "tier", "flow", "control", "ctl"]}
LIBRARIES = [(re.compile(r"yajl/"), {"base"}),
             (re.compile(r"xxhash"), {"base"}),
             (re.compile(r"zlib\.h"), {"base"}),
             (re.compile(r"openssl/(crypto|err|evp|hmac|pem|rand|sha)\.h"), {"base", "net"}),
             (re.compile(r"openssl/"), {"net"}),
             (re.compile(r"event2/buffer\.h"), {"net", "flow", "control"}),
             (re.compile(r"event2/"), {"net"}),
             (re.compile(r"hiredis"), {"net"})]


def layer_of(path, root):
    parts = path.relative_to(root).parts
    if parts[0] == "include":
        return parts[2]
    if parts[0] == "proxy":
        return "main" if len(parts) == 2 else parts[1]
    return parts[2]  # tests/unit/<layer>


def check(root):
    errors = []
    for top in ("proxy", "include", "tests/unit"):
        for path in sorted((root / top).rglob("*.[ch]")):
            layer = layer_of(path, root)
            for n, line in enumerate(path.read_text().splitlines(), 1):
                m = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
                if m:
                    name = beside(path, root, m.group(1))
                    errors += [f"{path.relative_to(root)}:{n}: {e}" for e in judge(layer, name)]
    return errors


def beside(path, root, name):
    """A relative include that reaches into another folder of ours, under its layer's name."""
    if name.startswith("."):
        parts = pathlib.PurePath(os.path.relpath(path.parent / name, root)).parts
        if parts[0] in ("proxy", "include") and len(parts) > 2:
            return "/".join(("larder",) + parts[2 if parts[0] == "include" else 1:])
    return name


def judge(layer, name):
    if name.startswith("larder/"):
        other = name.split("/")[1]
        if other != layer and other not in MAY[layer]:
            yield f"layer {layer} may not include {name}"
        return
    for pattern, allowed in LIBRARIES:
        if pattern.match(name):
            if layer not in allowed:
                yield f"layer {layer} may not use {name}"
            return


def self_test():
    """Planted includes up the layers, by name and by path, and a planted library are found."""
    with tempfile.TemporaryDirectory() as d:
        root = pathlib.Path(d)
        for top in ("proxy/http", "include/larder/http", "tests/unit/http"):
            (root / top).mkdir(parents=True)
        (root / "proxy/http/a.c").write_text("#include <larder/net/gate.h>\n#include <event2/event.h>\n"
                                             "#include <larder/base/span.h>\n"
                                             '#include "../net/gate-internal.h"\n'
                                             '#include "../base/json-internal.h"\n')
        return [e.split(":")[1] for e in check(root)] == ["1", "2", "4"]


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    errors = check(root)
    if not self_test():
        errors.append("the check does not find what was planted for it")
    for header in sorted((root / "include").rglob("*.h")):
        r = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-x", "c",
                            f"-I{root}/include", str(header)], capture_output=True, text=True)
        if r.returncode:
            errors.append(f"{header.relative_to(root)} does not compile alone:\n{r.stderr}")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
