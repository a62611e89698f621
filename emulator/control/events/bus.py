"""Events on their way to the rules that match them; emulator/loops/events delivers them."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from emulator.state.store import Store

Json = dict[str, Any]


@dataclass
class Bus:
    """What was emitted and not yet delivered: (event bus name, event)."""

    waiting: deque[tuple[str, Json]] = field(default_factory=deque)


def emit(
    store: Store, scope: tuple[str, str], source: str, detail_type: str, detail: Json, resources: list[str]
) -> None:
    """An event of an AWS service on the default bus of `scope` (account, region).

    https://docs.aws.amazon.com/eventbridge/latest/ref/overview-event-structure.html
    """
    account, region = scope
    event = {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": detail_type, "source": source, "account": account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "region": region, "resources": resources,
        "detail": detail,
    }  # fmt: skip
    deliver(store, "default", event)


def deliver(store: Store, bus: str, event: Json) -> None:
    """Puts a whole event on a bus."""
    with store.change():
        store.table(Bus).waiting.append((bus, event))
