"""Runs the reconcilers, each in a thread of its own, woken by every change and once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from emulator.state.store import Store

log = logging.getLogger("emulator.loops")

_REMEMBERED = 1_000  # failures; the oldest is forgotten, and said again should it still be one
_PATIENCE = 5.0  # seconds in which all steps may end when the emulator stops


@dataclass(frozen=True)
class Loop:
    """`step(store)` compares what is desired with what runs and does what is due; it is called again and again."""

    name: str
    step: Callable[[Store], None]
    every: float = 1.0  # seconds between two steps when nothing changes


@dataclass
class Failures:
    """A table of the store: how what fails now failed last, by its name."""

    of: dict[str, str] = field(default_factory=dict)


@contextmanager
def isolated(store: Store, what: str) -> Iterator[None]:
    """Has what goes wrong with one item end there, so that the others of a loop go on.

    It is logged once for as long as it fails in the same way, and once when it works again: a step comes every second.
    """
    known = store.table(Failures).of
    try:
        yield
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
        if known.pop(what, None) != words:
            log.exception("%s is left as it is, and tried again", what)
        known[what] = words
        while len(known) > _REMEMBERED:
            known.pop(next(iter(known)), None)
    else:
        if known.pop(what, None):
            log.info("%s works again", what)


class Runner:
    """Starts and ends the loops. A step that raises is logged and tried again: nothing ends a loop but `close`.

    A step does its items within `isolated`: one that is broken must not keep the others from their turn.
    """

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
