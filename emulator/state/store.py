"""What the emulator knows beside moto's tables: typed tables of our own, one lock, and a bell that wakes the loops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Table = TypeVar("Table")


class Store:
    """Tables are singletons by class: `store.table(EcsTables)` makes it on first use. Hold `lock` around every change.

    Everything lives in memory and goes with the emulator; `folder` is for what is too big for that (images, repositories).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self._tables: dict[type[Any], Any] = {}
        self._bell = threading.Condition()
        self._changes = 0

    def table(self, kind: type[Table]) -> Table:
        with self.lock:
            if kind not in self._tables:
                self._tables[kind] = kind()
            found: Table = self._tables[kind]
            return found

    @contextmanager
    def change(self) -> Iterator[None]:
        """Holds the lock, and rings the bell afterwards."""
        with self.lock:
            yield
        self.changed()

    def changed(self) -> None:
        with self._bell:
            self._changes += 1
            self._bell.notify_all()

    def wait(self, seen: int, timeout: float) -> int:
        """Sleeps until something changed since `seen` or `timeout` seconds passed; answers the new count."""
        with self._bell:
            self._bell.wait_for(lambda: self._changes != seen, timeout)
            return self._changes
