"""Whether the backend can answer, told to the log, the page and /readyz.

Asking costs money: it is asked at start, and after an answer that failed for a reason that meets every visitor; then
ever less often, until it answers. Answers that visitors get are proof enough that it does.
"""

from __future__ import annotations

import asyncio
from typing import Any

from chatbot.backends import kinds
from chatbot.backends.base import Backend, BackendError
from chatbot.logs import event

READY = "ready"


class Readiness:
    """The last known state of a backend. `first` and `longest`: seconds between two questions while it is down."""

    def __init__(self, backend: Backend, first: float = 5.0, longest: float = 600.0) -> None:
        self._backend = backend
        self._first = self._pause = first
        self._longest = longest
        self._doubted = asyncio.Event()
        self._told: tuple[str, str] | None = None
        self.error: BackendError | None = None
        self.known = False

    @property
    def ready(self) -> bool:
        return self.known and self.error is None

    def public(self) -> dict[str, Any]:
        """What anybody may know: no words of a provider."""
        if self.error is None:
            lacking = self._backend.lacking
            kind = (lacking.name if lacking else READY) if self.known else kinds.STARTING.name
            return {"kind": kind, "status": None, "code": None}
        return {"kind": self.error.kind.name, "status": self.error.status, "code": self.error.code or None}

    def hear(self, error: BackendError | None) -> None:
        """An answer came, or did not."""
        if error is None:
            self._pause = self._first
            self._learn(None)
        elif error.kind.site:
            self._doubted.set()

    async def watch(self) -> None:
        """Asks for ever, when there is reason to. A change is one line in the log."""
        now = asyncio.get_running_loop().time
        while True:
            self._doubted.clear()
            asked = now()
            self._learn(await self._ask())
            if self.ready:
                await self._doubted.wait()
                await asyncio.sleep(max(0.0, asked + self._pause - now()))
            else:
                told = self.error.seconds if self.error and self.error.seconds else 0.0
                due = asked + min(max(self._pause, told), self._longest)
                while not self.ready and now() < due:  # until an answer that a visitor gets ends it
                    await asyncio.sleep(min(1.0, due - now()))
            self._pause = min(self._pause * 2, self._longest)

    async def _ask(self) -> BackendError | None:
        try:
            await self._backend.check()
        except BackendError as error:
            return error if error.kind.site else None
        except Exception as error:  # whatever a backend failed to foresee must not end the watch
            return BackendError(kinds.FAILED, cause=type(error).__name__)
        return None

    def _learn(self, error: BackendError | None) -> None:
        self.error, self.known = error, True
        told = (error.kind.name, error.cause) if error else ("", "")
        if told == self._told:
            return
        self._told = told
        why = (
            {"kind": error.kind.name, "cause": error.cause, "reason": error.sentence, **error.facts()} if error else {}
        )
        if self._backend.lacking:
            why = {"kind": self._backend.lacking.name, "remedy": self._backend.lacking.operator}
        level = "error" if error else "warning" if self._backend.lacking else "info"
        event("backend", level=level, ready=self.ready, backend=self._backend.name,
              model=self._backend.model, **why)  # fmt: skip
