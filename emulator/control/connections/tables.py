"""What CodeConnections remembers: connections and hosts, and pushes to what is connected that nobody has seen yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from emulator.state.store import Store

PENDING, AVAILABLE = "PENDING", "AVAILABLE"


@dataclass
class Connection:
    arn: str
    name: str
    provider: str
    account: str
    host: str | None = None
    status: str = PENDING  # until somebody does in the console what no API can
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Host:
    arn: str
    name: str
    provider: str
    endpoint: str
    vpc: dict[str, object] | None = None
    status: str = PENDING
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Push:
    """One reference that a push changed; `old` or `new` is forty zeros when the reference is new or gone."""

    repository: str
    reference: str
    old: str
    new: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class ConnectionTables:
    """By ARN. What one API made the other one knows too."""

    connections: dict[str, Connection] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    pushes: deque[Push] = field(default_factory=deque)


def tables(store: Store) -> ConnectionTables:
    return store.table(ConnectionTables)
