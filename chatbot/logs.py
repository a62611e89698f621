"""One JSON object per line on standard output, which is what the task's log driver collects."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_threshold = LEVELS["info"]


def event(name: str, level: str = "info", **fields: Any) -> None:
    """Write one line: time, level, event and its fields."""
    if LEVELS[level] < _threshold:
        return
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": time, "level": level, "event": name, **fields}, ensure_ascii=False, default=str)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class _Lines(logging.Handler):
    """The libraries' log records as such lines. Only the type of an exception: its text may hold a URL or a token."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= 40 else "warning" if record.levelno >= 30 else "info"
        fields = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0]:
            fields["exception"] = record.exc_info[0].__name__
        event("log", level=level, **fields)


def configure(level: str) -> None:
    """Send our events and the libraries' warnings to standard output, from `level` on."""
    global _threshold
    _threshold = LEVELS[level]
    root = logging.getLogger()
    root.handlers = [_Lines()]
    root.setLevel(max(LEVELS[level], LEVELS["warning"]))
