"""Which tests fail by chance: a gate, or some tests, again and again while every core has something else to do.

    python -m bench.flaky                                    make test, once
    python -m bench.flaky --runs 5 --shuffle                 five times, each in another order
    python -m bench.flaky --gate releases                    a group of .ci/slow
    python -m bench.flaky --times 20 tests/a.py::test_b      one test, twenty times over what it shares (a deployment)
    python -m bench.flaky --show [--json] | --forget

Nothing is tried again. The counts are kept between calls, in the repository's git folder, until --forget. Exit 1 when
something failed in this call.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gates import GROUPS, PROJECT, QUICK, expression

# As in the Makefile.
PYTEST = [sys.executable, "-m", "pytest", "-n", "4", "--dist", "loadfile", "--no-loadscope-reorder"]


class Counts:
    """Tries and failures by test, on disk."""

    def __init__(self) -> None:
        command = ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"]
        folder = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
        self._file = Path(folder, "flaky.json")
        kept = json.loads(self._file.read_text()) if self._file.is_file() else {}
        self.tries, self.failures = Counter(kept.get("tries", {})), Counter(kept.get("failures", {}))

    def add(self, tried: Counter[str], failed: Counter[str]) -> None:
        self.tries += tried
        self.failures += failed
        self._file.write_text(json.dumps({"tries": self.tries, "failures": self.failures}))

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)

    def rows(self) -> list[dict[str, str | int]]:
        """What failed, and what was tried more than once, each with its counts."""
        shown = [test for test, count in self.tries.items() if self.failures[test] or count > 1]
        return [
            {"test": test, "tries": self.tries[test], "failures": self.failures[test]}
            for test in sorted(shown, key=lambda test: (-self.failures[test], -self.tries[test], test))
        ]


def _burn() -> None:
    while True:
        pass


@contextmanager
def busy_cores() -> Iterator[None]:
    """A process without an end for each core."""
    burners = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(os.cpu_count() or 1)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()


def run(arguments: list[str], times: int) -> tuple[Counter[str], Counter[str]]:
    """One run of pytest, each test so many times; tries and failures by test."""
    with tempfile.TemporaryDirectory(prefix="flaky-") as folder:
        report = Path(folder, "report.xml")
        options = [f"--junitxml={report}", "-o", "junit_family=xunit1", "-o", "junit_logging=no"]
        done = subprocess.run([*PYTEST, *options, *arguments], cwd=PROJECT, check=False)
        if not report.is_file():
            raise SystemExit(f"pytest ended {done.returncode} without a report")
        tried, failed = Counter[str](), Counter[str]()
        for case in ElementTree.parse(report).iter("testcase"):
            name = case.get("name", "")
            # What pytest-repeat adds to it.
            name = re.sub(rf"-?\d+-{times}\]$", "]", name).replace("[]", "") if times > 1 else name
            test = f"{case.get('file')}::{name}"
            if case.find("skipped") is None:
                tried[test] += 1
                failed[test] += case.find("failure") is not None or case.find("error") is not None
        return tried, +failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tests", nargs="*", help="instead of a gate; pytest's own options may follow")
    parser.add_argument("--gate", choices=["test", *GROUPS], default="test")
    parser.add_argument("--runs", type=int, default=1, help="of pytest")
    parser.add_argument("--times", type=int, default=1, help="each test within a run")
    parser.add_argument("--shuffle", action="store_true", help="each run in an order of its own")
    parser.add_argument("--quiet-cores", action="store_true", help="without the other work")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", action="store_true", help="the counts so far; runs nothing")
    parser.add_argument("--forget", action="store_true", help="the counts; runs nothing")
    asked, options = parser.parse_known_args()
    counts, broken = Counts(), False
    if asked.forget:
        counts.forget()
        return 0
    chosen = asked.tests or ["-m", QUICK if asked.gate == "test" else expression(asked.gate)]
    arguments = [*chosen, *options]
    if asked.times > 1:
        arguments = [*arguments, f"--count={asked.times}"]
    for number in range(0 if asked.show else asked.runs):
        order = ["--random-order", f"--random-order-seed={time.time_ns() % 1_000_000}"] if asked.shuffle else []
        print(f"run {number + 1} of {asked.runs}", *order, flush=True)
        if asked.quiet_cores:
            tried, failed = run([*arguments, *order], asked.times)
        else:
            with busy_cores():
                tried, failed = run([*arguments, *order], asked.times)
        counts.add(tried, failed)
        broken |= bool(failed)
    rows = counts.rows()
    if asked.json:
        print(json.dumps({"tests": rows, "of": len(counts.tries), "tries": sum(counts.tries.values())}))
    else:
        print(f"{'tries':>6} {'failures':>9}  of {len(counts.tries)} tests, {sum(counts.tries.values())} tries")
        for row in rows:
            print(f"{row['tries']:>6} {row['failures']:>9}  {row['test']}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
