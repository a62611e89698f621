"""What the verbs' results look like; it prints nothing itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
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
COLOURS = {"UP": "green", "DOWN": "red"}
# Plain output tells of a running phase this often.
PLAIN_EVERY = 10.0


Told = Mapping[str, Any]


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


def headline(told: Told) -> Text:
    """The verdict: what visitors get, where, why, and the one command that mends it; coloured on terminals."""
    verdict = told["verdict"]
    if verdict is None:
        return Text("nothing is deployed here", style="yellow")
    line = Text(verdict, style=f"bold {COLOURS.get(verdict, 'yellow')}")
    for part in filter(None, (told["url"], told["why"])):
        line.append(f"   {part}", style="not bold default")
    if told["remedy"]:
        line.append(f"\n→ {told['remedy']}", style="bold default")
    return line


def faults(told: Told) -> list[tuple[str, ...]]:
    """What is not as it should be, one row each; a remedy that is not the headline's beside it."""
    return [
        ("✗" if fault["level"] == "down" else "!", _with_remedy(fault, told.get("remedy", "")))
        for fault in told.get("faults", ())
    ]


def _with_remedy(fault: Told, said: str) -> str:
    remedy = fault["remedy"]
    return f"{fault['text']} → {remedy}" if remedy and remedy != said else str(fault["text"])


def status(told: Told, now: datetime | None = None) -> list[tuple[str, ...]]:
    """What runs, below the headline: the most asked for first."""
    now = now or datetime.now(UTC)
    table = [*_live(told, now), *_release(told), *_waiting(told.get("waiting") or {})]
    for colour, state in told.get("colours", {}).items():
        targets = ", ".join(f"{count} {health}" for health, count in state["targets"].items()) or "no targets"
        table.append((colour, f"{state.get('production', 0)}% of production, {state.get('test', 0)}% of test", targets))
    if service := told.get("service"):
        table.append(("service", f"{service['running']} of {service['desired']} tasks running", service["status"]))
        for task in service["tasks"]:
            state = " ".join(filter(None, (task["status"], task["health"], _age(task["since"], now))))
            table.append(("task", task["id"], f"{task['task_definition']} {state}"))
        table += [("missing", service["missing"])] if service["missing"] else []
    if image := told.get("image"):
        days = f"{image['days']} day{'s' if image['days'] > 1 else ''} ago" if image["days"] else "today"
        age = f"pushed {image['pushed']}, {days}" if image["pushed"] else "gone from the repository"
        table.append(("image", image["digest"][:19] or image["uri"], age))
    table += [("alarm", name, state) for name, state in told.get("alarms", {}).items()]
    table += [(name, told[key]) for name, key in (("token", "token"), ("test", "test_url")) if told.get(key)]
    by_status: dict[str, list[str]] = {}
    for row in told["phases"]:
        by_status.setdefault(row["status"], []).append(row["phase"])
    return table + [("phases", status, ", ".join(names)) for status, names in by_status.items()]


def _live(told: Told, now: datetime) -> list[tuple[str, ...]]:
    live = told.get("live")
    if not live:
        return []
    commit = f"{live['commit'][:8]} {live['subject']}".strip() or "the first deployment's image, of no commit released"
    return [("live", commit, f"{live['task_definition']} {_age(live['since'], now)}".strip())]


def _release(told: Told) -> list[tuple[str, ...]]:
    """The release that runs, or that the last one went wrong."""
    if release := told.get("release"):
        place = "/".join(dict.fromkeys(filter(None, (release["stage"], release["action"]))))
        waits = f"waits {release['waits']}" if release["waits"] else ""
        return [("release", place, " ".join(filter(None, (release["deployment"], waits))))]
    last = told.get("last") or {}
    if last.get("result", "Succeeded") == "Succeeded":
        return []
    why = " ".join(last["why"].split())
    return [("last release", f"{last['result']} {last['commit'][:8]}".strip(), f"{last['began']} {why}".strip())]


def _waiting(waiting: Told) -> list[tuple[str, ...]]:
    """What a release would bring."""
    table = [
        ("waits", f"{change['attribute']}: {change['before'] or 'unset'} → {change['now'] or 'unset'}")
        for change in waiting.get("settings", ())
    ]
    commits = waiting.get("commits", ())
    table += [("waits", commit) for commit in commits[:5]]
    table += [("waits", f"and {len(commits) - 5} commits more")] if len(commits) > 5 else []
    return [*table, ("release them", waiting["command"])] if table else []


def _age(since: str, now: datetime) -> str:
    """How long, in the largest unit that says enough."""
    if not since:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"for {seconds // size} {unit}"
    return f"for {seconds} s"


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
