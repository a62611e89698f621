"""What long work is given: where it says how far it is, and Ctrl-C as every wait of one run sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.errors import Interrupted

Say = Callable[[str], None]


class Cancel:
    """One per run, for whatever waits: no wait outlasts it. Safe from any thread and from a signal handler."""

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
