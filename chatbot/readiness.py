"""Whether the backend can answer: asked at start and every so often, told to the log, the page and /readyz."""

from __future__ import annotations

import asyncio

from chatbot.backends.base import Backend, BackendError
from chatbot.logs import event

STARTING = "The model is being loaded. This takes a moment."


class Readiness:
    """The last known state of a backend."""

    def __init__(self, backend: Backend, every: float = 60.0, while_down: float = 5.0) -> None:
        self._backend = backend
        self._every = every
        self._while_down = while_down
        self.ready = False
        self.reason = STARTING

    async def watch(self) -> None:
        """Check for ever; more often while it is down. A change is one line in the log."""
        told: str | None = None
        while True:
            cause = await self._cause()
            if cause != told:
                level = "error" if cause else "info"
                reason = {"cause": cause, "reason": self.reason} if cause else {}
                event("backend", level=level, ready=self.ready, backend=self._backend.name,
                      model=self._backend.model, **reason)  # fmt: skip
                told = cause
            await asyncio.sleep(self._every if self.ready else self._while_down)

    async def _cause(self) -> str:
        try:
            await self._backend.check()
        except BackendError as error:
            self.ready, self.reason = False, error.sentence
            return error.cause
        except Exception as error:  # whatever a backend failed to foresee must not end the watch
            self.ready, self.reason = False, BackendError.sentence
            return type(error).__name__
        self.ready, self.reason = True, ""
        return ""
