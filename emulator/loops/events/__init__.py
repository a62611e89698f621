"""Delivers events to the targets of the rules that match them."""

from __future__ import annotations

import json
import logging
from typing import Any

from botocore.exceptions import ClientError

from emulator.control import roles
from emulator.control.events.bus import Bus
from emulator.control.events.patterns import matches
from emulator.loops.events.targets import Undeliverable, deliver
from emulator.loops.runner import Loop, isolated
from emulator.state.store import Store

log = logging.getLogger("emulator.events")


def reconcile(store: Store) -> None:
    waiting = store.table(Bus).waiting
    while waiting:
        bus, event = waiting.popleft()
        for rule in _rules(store, bus, event["region"]):
            with isolated(store, f"rule {rule['Arn']}"):
                if matches(json.loads(rule["EventPattern"]), event):
                    _to_targets(store, bus, rule, event)


def _rules(store: Store, bus: str, region: str) -> list[dict[str, Any]]:
    events = store.clients("events", region)
    try:
        pages = events.get_paginator("list_rules").paginate(EventBusName=bus)
        rules = [rule for page in pages for rule in page["Rules"]]
    except ClientError as error:
        log.warning("event bus %s: %s", bus, error)
        return []
    return [rule for rule in rules if rule["State"].startswith("ENABLED") and rule.get("EventPattern")]


def _to_targets(store: Store, bus: str, rule: dict[str, Any], event: dict[str, Any]) -> None:
    events = store.clients("events", event["region"])
    targets = events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]
    for target in targets:
        try:
            deliver(store, rule, target, event)
        except (ClientError, Undeliverable, roles.RoleRefused) as error:
            log.warning("rule %s to %s: %s", rule["Name"], target["Arn"], error)


LOOP = Loop("events", reconcile)
