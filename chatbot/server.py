"""The HTTP server: serves until SIGTERM, then lets running answers finish and nothing else."""

from __future__ import annotations

from types import FrameType

import uvicorn

from chatbot.guard import Guard
from chatbot.logs import event


class Server(uvicorn.Server):
    """Uvicorn that tells the guard of a stop, so that it ends idle streams, which would hold the server up."""

    def __init__(self, config: uvicorn.Config, guard: Guard) -> None:
        super().__init__(config)
        self._guard = guard

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        event("stopping", signal=sig, answering=self._guard.answering)
        self._guard.stopping.set()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            event("listening", host=host, port=port)
