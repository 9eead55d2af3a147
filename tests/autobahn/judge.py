"""Judges a report of the Autobahn test suite, one line per case.

usage: judge.py REPORT COUNT

COUNT cases have to be there, each OK in its behaviour and in how the connection was closed. What the suite calls
INFORMATIONAL has no right answer; NON-STRICT is what it forgives, and this does not.
"""

import ast
import json
import re
import sys
from pathlib import Path

PASSED = ("OK", "INFORMATIONAL")


def fault(result):
    """Why a case is not passed; None if it is."""
    if result is None:
        return "missing"
    if result["behavior"] not in PASSED:
        return result["behavior"]
    if result["behaviorClose"] not in PASSED:
        return "close " + result["behaviorClose"]
    return None


def main(report, count):
    log = (report / "wstest.log").read_text(errors="replace")
    listed = re.search(r"^Cases = (\[.*\])$", log, re.MULTILINE)
    cases = ast.literal_eval(listed.group(1)) if listed else []
    index = report / "index.json"
    results = json.loads(index.read_text())["relay"] if index.exists() else {}

    failed = 0
    for case in sorted(cases, key=lambda case: [int(part) for part in case.split(".")]):
        why = fault(results.get(case))
        failed += why is not None
        print(f"test autobahn {case} ... {'ok' if why is None else f'FAILED ({why})'}")
    if len(cases) != count:
        failed += 1
        print(f"test autobahn has {count} cases ... FAILED (the suite listed {len(cases)})")
    if failed:
        print(f"{failed} failed; the suite's report is {report / 'index.html'}", file=sys.stderr)
    return 1 if failed else 0


sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
