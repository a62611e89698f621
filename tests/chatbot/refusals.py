"""What providers answered when they did not answer (refusals.json), as people have put it on record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """An HTTP answer, the kind that it is, and what a visitor must read of trying `again`.

    A body that is a string is sent as it is, anything else as JSON; `event` puts it into a stream of status 200.
    `source` is where it was put on record; "made here" is a dialect on record with words of our own.
    """

    name: str
    kind: str
    again: str
    status: int
    body: Any
    source: str
    headers: dict[str, str] = field(default_factory=dict)
    event: bool = False

    @property
    def content(self) -> bytes:
        text = self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)
        return (f"data: {text}\n\n" if self.event else text).encode()

    @property
    def content_type(self) -> str:
        if self.event:
            return "text/event-stream"
        if not isinstance(self.body, str):
            return "application/json"
        return "text/html; charset=utf-8" if self.body.startswith("<") else "text/plain"


_FILE = Path(__file__).with_suffix(".json")
REFUSALS = {row["name"]: Refusal(**row) for row in json.loads(_FILE.read_text(encoding="utf-8"))}
NEVER = "will not help"
