"""How many answers are generated at once, and who waits in which place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator


class GateFull(Exception):
    """As many answers wait as may wait."""


class Gate:
    """First come, first served. The place in the queue is told honestly, as it changes."""

    def __init__(self, capacity: int, queue_length: int) -> None:
        self.capacity = capacity
        self._queue_length = queue_length
        self.running = 0
        self._waiting: list[asyncio.Event] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def enter(self) -> AsyncGenerator[int, None]:
        """Yield the place in the queue, from 1, each time that it changes, and end when it is this one's turn.

        The caller that saw the end owes `leave`; one that closes the generator before owes nothing.
        Raises GateFull.
        """
        if self.running < self.capacity and not self._waiting:
            self.running += 1
            return
        if len(self._waiting) >= self._queue_length:
            raise GateFull()
        moved = asyncio.Event()
        self._waiting.append(moved)
        try:
            while self._waiting[0] is not moved or self.running >= self.capacity:
                yield self._waiting.index(moved) + 1
                await moved.wait()
                moved.clear()
            self.running += 1
        finally:
            self._waiting.remove(moved)
            self._notify()

    def leave(self) -> None:
        """Give the place to the next."""
        self.running -= 1
        self._notify()

    def _notify(self) -> None:
        for each in self._waiting:
            each.set()
