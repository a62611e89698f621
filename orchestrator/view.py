"""What the verbs' results look like; it prints nothing itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from orchestrator.doctor import Finding
from orchestrator.history import Release
from orchestrator.runner import Event
from orchestrator.site import Outcome

STYLES = {
    "waiting": "dim", "running": "cyan", "applied": "green", "unchanged": "green", "skipped": "green",
    "destroyed": "green", "planned": "yellow", "failed": "bold red", "blocked": "yellow", "stopped": "yellow",
}  # fmt: skip
# Plain output tells of a running phase this often.
PLAIN_EVERY = 10.0


class Board:
    """One row per phase: state, resources done of all, elapsed time, what is being done."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def update(self, event: Event) -> str:
        """Takes an event in; the line that says so where there is no terminal, empty when it is not worth one."""
        now = time.monotonic()
        before = self._events.get(event.phase)
        self._events[event.phase] = event
        if event.state == "running" and (before is None or before.state != "running"):
            self._began[event.phase] = self._told[event.phase] = now
            return f"{event.phase:<9} starts"
        if event.state == "running":
            if now - self._told.get(event.phase, 0.0) < PLAIN_EVERY:
                return ""
            self._told[event.phase] = now
            progress = event.progress
            return f"{event.phase:<9} {progress.done}/{progress.total}  {self._elapsed(event):.0f} s  {progress.text}"
        if event.state == "waiting":
            return ""
        return f"{event.phase:<9} {event.state:<9} {event.seconds:6.1f} s  {event.note}".rstrip()

    def _elapsed(self, event: Event) -> float:
        return event.seconds or (time.monotonic() - self._began.get(event.phase, time.monotonic()))

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for event in self._events.values():
            progress = event.progress
            count = f"{progress.done}/{progress.total}" if event.state == "running" and progress.total else ""
            elapsed = "" if event.state in ("waiting", "blocked") else f"{self._elapsed(event):.1f} s"
            table.add_row(
                Text(event.phase, style="bold"),
                Text(event.state, style=STYLES.get(event.state, "")),
                Text(count, justify="right"),
                Text(elapsed, justify="right"),
                Text(event.note or progress.text, style="dim", overflow="ellipsis", no_wrap=True),
            )
        return table


def rows(data: list[tuple[str, ...]]) -> Table:
    """Plain columns; the first is bold."""
    table = Table.grid(padding=(0, 3))
    for row in data:
        table.add_row(Text(row[0], style="bold"), *(Text(cell) for cell in row[1:]))
    return table


def plain(data: list[tuple[str, ...]]) -> list[str]:
    """The same columns as lines."""
    widths = [
        max(len(row[column]) for row in data if len(row) > column) for column in range(max(map(len, data), default=0))
    ]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in data]


def changes(outcomes: list[Outcome]) -> list[tuple[str, ...]]:
    """A plan's changes, one row each."""
    signs = {"create": "+", "delete": "-", "update": "~", "replace": "±"}
    return [
        (outcome.phase, signs.get(change.action, change.action), change.address)
        for outcome in outcomes
        for change in outcome.changes
    ]


def flat(outputs: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The outputs, one row per attribute."""
    found: list[tuple[str, ...]] = []
    for phase, answer in outputs.items():
        if answer is None:
            found.append((phase, "not applied", ""))
            continue
        for key, value in answer.items():
            if key != "placeholders":
                found.append((phase, key, value if isinstance(value, str) else str(value)))
    return found


def status(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The status, the most asked for first."""
    table: list[tuple[str, ...]] = (
        [("chat", found["url"], f"test listener {found['test_url']}")] if "url" in found else []
    )
    table += [("phase", row["phase"], f"{row['status']} {row['since']}".strip()) for row in found["phases"]]
    for colour, state in found.get("colours", {}).items():
        targets = ", ".join(f"{count} {health}" for health, count in state["targets"].items()) or "no targets"
        table.append((colour, f"{state['production']}% of production, {state['test']}% of test", targets))
    service = found.get("service")
    if service:
        table.append(("service", f"{service['running']} of {service['desired']} tasks running", service["status"]))
        table += [("task", task["id"], f"{task['status']} {task['task_definition']}") for task in service["tasks"]]
    if image := found.get("image"):
        days = f"{image['days']} day{'s' if image['days'] > 1 else ''} ago" if image["days"] else "today"
        age = f"pushed {image['pushed']}, {days}" if image["pushed"] else "gone from the repository"
        table.append(("image", image["digest"][:19] or image["uri"], age))
    table += [("alarm", name, state) for name, state in found.get("alarms", {}).items()]
    return table + ([("token", found["token"], "")] if "token" in found else [])


def history(found: list[Release]) -> list[tuple[str, ...]]:
    """Releases, the newest first."""
    head: tuple[str, ...] = ("when", "result", "commit", "digest", "seconds", "who", "why")
    return [head] + [
        (each.began, each.result, each.commit[:8] or "-", each.digest or "-", f"{each.seconds:.0f}", each.who or "-",
         " ".join(each.why.split()))
        for each in found
    ]  # fmt: skip


def findings(found: list[Finding]) -> list[tuple[str, ...]]:
    """The doctor's findings, each with its remedy."""
    marks = {"ok": "✓", "warning": "!", "error": "✗"}
    return [
        (marks[finding.level], finding.name, finding.text + (f" → {finding.remedy}" if finding.remedy else ""))
        for finding in found
    ]


def farewell(outputs: Mapping[str, Any], command: str) -> list[tuple[str, ...]]:
    """The last lines of a deploy: where to chat, and what to do next."""
    network = outputs.get("network") or {}
    chat = f"{network.get('url', '-')}   (production)   {network.get('test_url', '-')} (test listener)"
    return [("chat", chat), *_record(network), ("next", command)]


def _record(network: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The record that a name of one's own needs: nothing here makes it."""
    name, own = urlsplit(network.get("url", "")).hostname, network.get("load_balancer_dns_name")
    if not name or not own or name == own:
        return []
    return [("record", f"{name} must lead to {own}: a CNAME, or an alias record of Route 53")]
