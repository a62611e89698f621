"""Who may keep the processor busy: a phase plans in its turn, the most urgent first, and gives the turn back to wait.

Three Terraforms that plan at once on two cores take 8 s each; one after another the first is through in 3 s, and it is
the first that has the long waits before it (docs/decisions/0017).
"""

from __future__ import annotations

import heapq
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """At most ``slots`` turns at a time."""

    def __init__(self, slots: int = 0) -> None:
        self._free = slots or max(1, (os.cpu_count() or 2) // 2)
        self._waiting: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, urgency: float) -> Iterator[Callable[[], None]]:
        """Waits for a turn; what it yields gives the turn back early, and may be called twice."""
        self._wait(urgency)
        over = self._giver()
        try:
            yield over
        finally:
            over()

    def _wait(self, urgency: float) -> None:
        me = (-urgency, next(self._numbers))
        with self._changed:
            heapq.heappush(self._waiting, me)
            self._changed.wait_for(lambda: self._free > 0 and self._waiting[0] == me)
            heapq.heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()

    def _giver(self) -> Callable[[], None]:
        held = True

        def over() -> None:
            nonlocal held
            with self._changed:
                self._free += held
                held = False
                self._changed.notify_all()

        return over
