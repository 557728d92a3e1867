"""Prints "passed failed" of a pytest report; fails when it holds no test."""
import sys
import xml.etree.ElementTree as tree

total = bad = skipped = 0
for suite in tree.parse(sys.argv[1]).getroot().iter("testsuite"):
    total += int(suite.get("tests"))
    bad += int(suite.get("failures")) + int(suite.get("errors"))
    skipped += int(suite.get("skipped"))
print(max(total - bad - skipped, 0), bad)
sys.exit(0 if total else 1)
