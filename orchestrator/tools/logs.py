"""Reads a log group of CloudWatch Logs, once or for as long as one wants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import Refused
from orchestrator.tools.aws import Aws, explained

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """``10m`` as seconds."""
    if len(text) < 2 or text[-1] not in UNITS or not text[:-1].isdigit():
        raise Refused(f"'{text}' is no span of time", "for example: 30s, 10m, 2h, 1d")
    return int(text[:-1]) * UNITS[text[-1]]


def read(aws: Aws, group: str, since: int, *, follow: bool, pause: float = 1.0) -> Iterator[str]:
    """The lines of every stream in order of time, each with its time and the task's short id."""
    client = aws.client("logs")
    start = int((time.time() - since) * 1000)
    seen: set[str] = set()
    while True:
        newest = start
        with explained(f"logs:FilterLogEvents {group}"):
            for event in _events(client, group, start):
                if event["eventId"] not in seen:
                    seen.add(event["eventId"])
                    newest = max(newest, event["timestamp"])
                    yield _line(event)
        if not follow:
            return
        # Events of one millisecond may come in two answers: ask from the newest again and skip what was seen.
        if newest > start:
            start = newest
        time.sleep(pause)


def _events(client: Any, group: str, start: int) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start):
        yield from page["events"]


def _line(event: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).strftime("%H:%M:%S")
    return f"{moment} {event['logStreamName'].rpartition('/')[2][:8]} {event['message'].rstrip()}"
