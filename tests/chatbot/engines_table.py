"""The table behaviour x engine in docs/chatbot.md: made of what tests/chatbot/test_engines.py reports."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs/chatbot.md"
BEGIN, END = "<!-- made by tests/chatbot/test_engines.py -->\n", "<!-- end -->\n"
REPORTED = re.compile(r"test_engines\.py::(\w+)\[(\w+)")
Record = Callable[[str, object], None]


def rows_of(module: Mapping[str, Any]) -> list[str]:
    """What each test of a visitor says first, in their order."""
    tests = (each for name, each in module.items() if name.startswith("test_"))
    return [each.__doc__.partition("\n")[0] for each in tests if "visitor" in each.__code__.co_varnames]


def rows_in_the_documentation() -> list[str]:
    table = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]]


def write(reports: Iterable[pytest.TestReport], module: Mapping[str, Any]) -> None:
    """The table anew: a tick where every test of the row passed, its failure where one did not."""
    outcomes: dict[tuple[str, str], set[str]] = defaultdict(set)
    versions: dict[str, str] = {}
    for report in reports:
        found = REPORTED.search(report.nodeid)
        if found and (report.when == "call" or report.outcome != "passed"):
            test, engine = found.groups()
            outcomes[module[test].__doc__.partition("\n")[0], engine].add(report.outcome)
            versions[engine] = str(dict(report.user_properties).get("version", versions.get(engine, "")))
    if not versions:  # none of its tests was run
        return
    lines = ["| what a visitor does | " + " | ".join(f"{name} {number}" for name, number in versions.items()) + " |"]
    lines.append("|---|" + "---|" * len(versions))
    for row in rows_of(module):
        cells = (outcomes[row, engine] for engine in versions)
        lines.append(f"| {row} | " + " | ".join("✓" if cell == {"passed"} else "**no**" for cell in cells) + " |")
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.partition(END)[2])
