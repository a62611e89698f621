"""Ctrl-C as every wait of one run sees it: no wait outlasts it."""

from __future__ import annotations

import threading

from orchestrator.errors import Interrupted


class Cancel:
    """One per run, handed down to whatever waits; safe from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def request(self) -> None:
        self._event.set()

    def wait(self, seconds: float, what: str = "stopped waiting", remedy: str = "") -> None:
        """Waits ``seconds``; raises ``Interrupted(what, remedy)`` as soon as the run is cancelled."""
        if self._event.wait(seconds):
            raise Interrupted(what, remedy)
