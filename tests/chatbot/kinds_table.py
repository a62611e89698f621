"""The table of what is said when the model says no, in docs/chatbot.md: made of chatbot/backends/kinds.py."""

from __future__ import annotations

import os
from pathlib import Path

from chatbot.backends.kinds import KINDS

DOCUMENT = Path(__file__).parents[2] / "docs/chatbot.md"
BEGIN, END = "<!-- made by tests/chatbot/kinds_table.py -->\n", "<!-- end -->\n"


def made() -> str:
    rows = [f"| `{kind.name}` | {kind.visitor.format(when=f'*{kind.when}*')} | {kind.operator} |" for kind in KINDS]
    return "\n".join(["| kind | visitors read | the operator |", "|---|---|---|", *rows]) + "\n"


def in_the_documentation() -> str:
    """As it is there; with TABLE in the environment, made anew."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    if os.environ.get("TABLE"):
        table = made()
        DOCUMENT.write_text(before + BEGIN + table + END + after, encoding="utf-8")
    return table
