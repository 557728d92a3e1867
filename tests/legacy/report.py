"""docs/LEGACY.md, out of the items and their tests:  /usr/bin/python3 tests/legacy/report.py > docs/LEGACY.md"""
import importlib
import inspect
import sys

from items import HERE, ITEMS, SYSTEMS, ids_of

sys.path.insert(0, str(HERE.parent / "integration"))

HEAD = """# The five legacy systems, item by item

Made by `tests/legacy/report.py` from `tests/legacy/items.json` and the tests; do not edit. Marks: **M** must be \
preserved, **B** better than before, **X** outside a proxy, **T** needs a decision; without a mark: a figure that was \
claimed, or work that was planned. The configurations stand in `conf/legacy/`, the apps without their caches in \
`tests/apps/`, the figures beside the in-app caches in [BENCH.md](BENCH.md).
"""


def tests():
    """Each test function of this directory with its file's name."""
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for _, function in inspect.getmembers(module, inspect.isfunction):
            if function.__name__.startswith("test_") and function.__module__ == path.stem:
                yield path.name, function


def by_item():
    """The tests of each item, its own first."""
    found = {}
    for name, function in tests():
        for number, item in enumerate(ids_of(function)):
            found.setdefault(item, []).append((number, name, function))
    return {item: [(name, function) for _, name, function in sorted(of, key=lambda t: t[:2])]
            for item, of in found.items()}


def verdict(item, functions):
    marks = {}
    for _, function in reversed(functions):
        marks.update({k: v for k, v in getattr(function, "legacy", {}).items()})
    if "missing" in marks:
        return f"does not hold: {marks['missing']}"
    if "outside" in marks:
        doc, says = marks["outside"]
        return f"outside: {doc} says \u201c{says}\u201d"
    if "decision" in marks:
        return f"decided: {marks['decision']}"
    return "better" if item["mark"] == "B" else "holds"


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def report():
    found = by_item()
    lines = [HEAD]
    for prefix, name in SYSTEMS.items():
        lines += [f"## {name}\n", "| item | | what | verdict | test |", "| --- | --- | --- | --- | --- |"]
        for item in (i for i in ITEMS.values() if i["id"].startswith(prefix)):
            functions = found.get(item["id"], [])
            where = "<br>".join(f"`{f.__name__}`" for _, f in functions)
            lines.append(f"| {item['id']} | {item['mark']} | {cell(item['text'])} | "
                         f"{cell(verdict(item, functions)) if functions else 'NO TEST'} | {where} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(report())
