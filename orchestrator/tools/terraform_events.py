"""Reads Terraform's ``-json`` output: developer.hashicorp.com/terraform/internals/machine-readable-ui."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import Diagnostic


@dataclass(frozen=True)
class Progress:
    """How far one phase is: resources done of those that change, what is being done; ``planning`` comes before."""

    done: int = 0
    total: int = 0
    text: str = ""
    planning: bool = False


@dataclass(frozen=True)
class Change:
    """One planned change: ``action`` is create, update, delete, replace, move, import or remove."""

    address: str
    type: str
    action: str
    reason: str = ""


Listener = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A listener for who does not care."""


@dataclass
class Reader:
    """Collects one run's events; feed it every output line."""

    listener: Listener = silent
    changes: list[Change] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0
    code: int = 0

    def feed(self, line: str) -> None:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            self.text.append(line)
            return
        if isinstance(event, dict):
            self._event(event)

    def _event(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == "planned_change":
            self._planned(event["change"])
        elif kind == "change_summary":
            changes = event["changes"]
            if changes.get("operation") != "apply":
                self.total = sum(changes.get(name, 0) for name in ("add", "change", "remove"))
        elif kind in ("apply_start", "apply_complete", "apply_errored"):
            self._applied(kind, event["hook"])
        elif kind == "outputs":
            self.outputs = {name: output.get("value") for name, output in event["outputs"].items()}
        elif kind == "diagnostic" and event["diagnostic"].get("severity") == "error":
            self.diagnostics.append(_diagnostic(event["diagnostic"]))

    def _planned(self, change: dict[str, Any]) -> None:
        resource = change["resource"]
        if change["action"] == "read":  # a data source: nothing changes
            return
        self.changes.append(
            Change(resource["addr"], resource["resource_type"], change["action"], change.get("reason", ""))
        )
        self.listener(Progress(0, len(self.changes), f"plans {resource['addr']}", planning=True))

    def _applied(self, kind: str, hook: dict[str, Any]) -> None:
        # A data source is read, not changed: it counts in no total.
        if hook.get("action") == "read":
            return
        if kind == "apply_complete":
            self.done += 1
        verb = {"apply_start": hook.get("action", ""), "apply_complete": "done", "apply_errored": "failed"}[kind]
        self.listener(Progress(self.done, max(self.total, self.done), f"{verb} {hook['resource']['addr']}"))


def _diagnostic(raw: dict[str, Any]) -> Diagnostic:
    place = raw.get("range") or {}
    line = place.get("start", {}).get("line")
    where = f"{place['filename']} line {line}" if place.get("filename") else ""
    return Diagnostic(raw.get("summary", ""), raw.get("detail", ""), raw.get("address", ""), where)
