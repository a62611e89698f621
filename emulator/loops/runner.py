"""Runs the reconcilers, each in a thread of its own, woken by every change and once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from emulator.state.store import Store

log = logging.getLogger("emulator.loops")

_PATIENCE = 5.0  # seconds in which all steps may end when the emulator stops


@dataclass(frozen=True)
class Loop:
    """`step(store)` compares what is desired with what runs and does what is due; it is called again and again."""

    name: str
    step: Callable[[Store], None]
    every: float = 1.0  # seconds between two steps when nothing changes


class Runner:
    """Starts and ends the loops. A step that raises is logged and tried again: nothing ends a loop but `close`."""

    def __init__(self, store: Store, loops: Iterable[Loop]) -> None:
        self._store = store
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, args=(loop,), name=f"loop {loop.name}", daemon=True) for loop in loops
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closing = True
        self._store.changed()
        deadline = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, loop: Loop) -> None:
        seen = 0
        while not self._closing:
            started = time.monotonic()
            try:
                loop.step(self._store)
            except Exception:
                if not self._closing:
                    log.exception("loop %s", loop.name)
                time.sleep(0.5)  # what fails at once would fail again at once
            # Changes come in bursts: a step for each of them would do the same work many times.
            time.sleep(max(0.0, 0.05 - (time.monotonic() - started)))
            seen = self._store.wait(seen, loop.every)
