"""What the emulator knows beside moto's tables: typed tables of our own, one lock, and a bell that wakes the loops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from emulator.state.children import Children
from emulator.state.clients import Clients
from emulator.state.config import Config

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Table = TypeVar("Table")


class Store:
    """Everything that an operation or a loop is given.

    * `store.table(EcsTables)`: a singleton by class, made on first use; hold `lock` around every change
      (`with store.change():` does so and wakes the loops).
    * `store.clients("ecs")`: boto3 clients that call this very emulator without a socket, as the developer or with the
      credentials that are given; loops read and change other services by them. `lock` is reentrant, so a call while
      holding it is safe, but everybody else waits: collect first, call after.
    * `store.children.spawn(…)`: the only way to start a process.
    * `store.config`: port, runtime, region.
    * `store.folder`: what is too big for memory (images, repositories, unpacked layers), a subfolder for each part.

    Everything else lives in memory and goes with the emulator (docs/decisions/0020).
    """

    def __init__(self, folder: Path, config: Config | None = None) -> None:
        self.folder = folder.resolve()
        self.config = config or Config()
        self.lock = threading.RLock()
        self.children = Children(self.folder / "children")
        self.clients = Clients(self._application)
        self._front_door: WSGIApplication | None = None
        self._tables: dict[type[Any], Any] = {}
        self._made: dict[Callable[[Store], Any], Any] = {}
        self._ends: list[Callable[[], None]] = []
        self._bell = threading.Condition()
        self._changes = 0

    def serve_clients_with(self, application: WSGIApplication) -> None:
        """The front door, once it stands: what `clients` call."""
        self._front_door = application

    def _application(self) -> WSGIApplication:
        assert self._front_door is not None, "a client was used before the front door was made"
        return self._front_door

    def table(self, kind: type[Table]) -> Table:
        """The one `kind()` of this store."""
        with self.lock:
            if kind not in self._tables:
                self._tables[kind] = kind()
            found: Table = self._tables[kind]
            return found

    def once(self, make: Callable[[Store], Table]) -> Table:
        """`make(store)`, called the first time only: for what needs the store, as a registry does."""
        with self.lock:
            if make not in self._made:
                self._made[make] = make(self)
            found: Table = self._made[make]
            return found

    def on_close(self, end: Callable[[], None]) -> None:
        """Has `end()` called when the emulator stops, last in first out, before the children are stopped."""
        self._ends.append(end)

    def close(self) -> None:
        for end in reversed(self._ends):
            end()
        self.children.close()

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
