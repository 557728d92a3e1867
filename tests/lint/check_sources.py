#!/usr/bin/python3
"""Every source is built, none has grown past 700 lines, none holds an unfinished thought."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2]
errors = []
for path in sorted((root / "proxy").rglob("*.c")):
    listed = (path.parent / "meson.build").read_text()
    if f"'{path.name}'" not in listed:
        errors.append(f"{path}: not in its meson.build")
tests = (root / "tests/meson.build").read_text()
for path in sorted((root / "tests/unit").rglob("test_*.c")):
    if f"'{path.stem[5:]}'" not in tests:
        errors.append(f"{path}: not in tests/meson.build")
for top in ("proxy", "include", "tests/unit"):
    for path in sorted((root / top).rglob("*.[ch]")):
        text = path.read_text()
        if text.count("\n") > 700 and top == "proxy":
            errors.append(f"{path}: over 700 lines; part it")
        if re.search(r"\b(TODO|FIXME|XXX)\b", text):
            errors.append(f"{path}: an unfinished thought")
print("\n".join(errors), end="\n" if errors else "")
sys.exit(1 if errors else 0)
