"""The chatbot as it comes over a line that loses a part of its page each time, or adds one that cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.chatbot.fake_openai import begin

CONNECTION = {"content-length", "transfer-encoding", "connection"}


@dataclass
class Lossy:
    """A relay to an app. It counts how often the page was loaded."""

    app: str
    lost: str = ""
    added: str = ""
    loads: int = 0
    url: str = ""
    _client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=None))

    async def relay(self, request: Request) -> Response:
        if request.url.path == self.lost:
            return Response(status_code=404)
        asked = self._client.build_request(
            request.method,
            f"{self.app}{request.url.path}?{request.url.query}",
            headers=[(name, value) for name, value in request.headers.raw if name != b"accept-encoding"],
            content=await request.body(),
        )
        got = await self._client.send(asked, stream=True)
        headers = {name: value for name, value in got.headers.items() if name not in CONNECTION}
        if request.url.path != "/":
            return StreamingResponse(got.aiter_raw(), got.status_code, headers, background=BackgroundTask(got.aclose))
        self.loads += 1
        page = (await got.aread()).replace(b"</head>", self.added.encode() + b"</head>", 1)
        return Response(page, got.status_code, headers)


@contextmanager
def lossy(app: str, **what: str) -> Iterator[Lossy]:
    """A line to the app at this URL."""
    line = Lossy(app, **what)  # type: ignore[arg-type]
    server, line.url = begin(Starlette(routes=[Route("/{path:path}", line.relay, methods=["GET", "POST"])]))
    try:
        yield line
    finally:
        server.should_exit = server.force_exit = True
