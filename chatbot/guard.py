"""What stands between the load balancer and the page: a list of what may be asked, limits, headers, a clean stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from chatbot.limits import Buckets, client_of
from chatbot.logs import event
from chatbot.metrics import Metrics
from chatbot.responses import Message, Page, Refusal, Response, Send
from chatbot.settings import Settings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Gradio has some sixty routes (uploads, file access, proxies, profiling, a code editor); a chat needs these.
READ = re.compile(
    r"/|/healthz|/readyz|/config|/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json"
    r"|/gradio_api/(info|startup-events|app_id|theme\.css|queue/data|heartbeat/[\w-]{1,64}|call/chat/[\w-]{1,64})"
    r"|/(page|assets|static|svelte)/[\w./-]{1,200}"
)
WRITE = re.compile(r"/gradio_api/(queue/join|cancel|call/chat|call/v2/chat)/?")
WORK = re.compile(r"/gradio_api/(queue/join|call/.*)")
HEARTBEAT = re.compile(r"/gradio_api/heartbeat/.*")

MOST_HEADER_BYTES = 32_768
FORGEABLE = {b"x-forwarded-host", b"x-forwarded-server", b"forwarded", b"x-gradio-server", b"x-gradio-user"}


class Guard:
    """The outermost ASGI app. `stopping` ends idle streams; `answering` counts requests that are being answered."""

    def __init__(self, app: AsgiApp, settings: Settings, metrics: Metrics, page: Page) -> None:
        self._app = app
        self._page = page
        self._settings = settings
        self._metrics = metrics
        self._buckets = Buckets(settings.rate_per_minute, settings.rate_burst)
        self.stopping = asyncio.Event()
        self.answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        # Gradio believes these, the load balancer passes them on from whoever sent them.
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in FORGEABLE]
        respond = Response(send, self._page)
        try:
            self._admit(scope)
            body = await self._body(scope, receive)
        except Refusal as refusal:
            self._metrics.refused[refusal.status] += 1
            event("refused", level="warning", status=refusal.status, path=scope["path"][:200])
            return await respond.refuse(refusal, _swallow(receive) if refusal.status not in UNREAD else None)
        if scope["method"] == "HEAD":
            return await self._head(scope, body, respond)
        if HEARTBEAT.fullmatch(scope["path"]):
            return await self._until(self.stopping, scope, body, respond)
        self.answering += 1
        try:
            await self._app(scope, body, respond)
        finally:
            self.answering -= 1

    def _admit(self, scope: Scope) -> None:
        """Raise Refusal unless this request may go on."""
        path, method = scope["path"], scope["method"]
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADER_BYTES:
            raise Refusal(431, "The headers of this request are too large.", CLOSE)
        reading = method in ("GET", "HEAD")
        allowed = READ if reading else WRITE if method == "POST" else None
        # These never reach the app's file routes, however they were encoded.
        if ".." in path or "//" in path or not (READ.fullmatch(path) or WRITE.fullmatch(path)):
            raise Refusal(404, "There is nothing here.")
        if not (allowed and allowed.fullmatch(path)):
            raise Refusal(405, "This method is not allowed here.")
        if reading:
            return
        if self._foreign(scope):
            raise Refusal(403, "Requests from other sites are not accepted.")
        if not _header(scope, b"content-type").lower().startswith("application/json"):
            raise Refusal(415, "Only JSON is accepted here.")
        if WORK.fullmatch(path):
            self._take_token(scope)

    def _take_token(self, scope: Scope) -> None:
        peer = scope["client"][0] if scope.get("client") else ""
        client = client_of(_headers(scope, b"x-forwarded-for"), peer)
        if wait := self._buckets.take(client):
            sentence = f"You are sending messages too quickly. Please wait {wait} seconds."
            raise Refusal(429, sentence, ((b"retry-after", str(wait).encode()),))

    def _foreign(self, scope: Scope) -> bool:
        origin = _header(scope, b"origin")
        if not origin or origin in self._settings.allowed_origins:
            return False
        return urlsplit(origin).netloc.lower() != _header(scope, b"host").lower() or not urlsplit(origin).netloc

    async def _body(self, scope: Scope, receive: Receive) -> Receive:
        """The request's body, read whole within its limits of size and time, as a `receive` for the app."""
        if scope["method"] != "POST":
            return receive
        most = self._settings.max_body_bytes
        length = _header(scope, b"content-length")
        if length and _header(scope, b"transfer-encoding"):  # two opinions on where it ends: RFC 9112, 6.1
            raise Refusal(400, "This request is malformed.", CLOSE)
        if length.isdigit() and int(length) > most:
            raise Refusal(413, "This conversation is too long to send. Start a new one.", CLOSE)
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return _replay(bytes(body), receive, gone=True)
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise Refusal(413, "This conversation is too long to send. Start a new one.", CLOSE)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Refusal(408, "The request took too long to arrive.", CLOSE) from None
        if scope["path"].startswith("/gradio_api/queue/join") and not self._is_event(bytes(body)):
            raise Refusal(400, "This request is malformed.")
        return _replay(bytes(body), receive)

    def _is_event(self, body: bytes) -> bool:
        """Whether a body names an event of the page; Gradio answers others with an error of its own inside."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return False
        return (
            isinstance(found, dict)
            and found.get("fn_index") in self._page.events
            and isinstance(found.get("data"), list)
        )

    async def _head(self, scope: Scope, receive: Receive, respond: Response) -> None:
        """What GET would be answered with, without the body, which the server leaves out and a stream need not make."""
        begun = asyncio.Event()

        async def send(message: Message) -> None:
            await respond(message)
            if respond.begun:  # a page is held back until it is whole
                begun.set()

        await self._until(begun, {**scope, "method": "GET"}, receive, respond, send)

    async def _until(
        self, end: asyncio.Event, scope: Scope, receive: Receive, respond: Response, send: Send | None = None
    ) -> None:
        """Run a stream that may have no end of its own, until it ends or `end` is set."""
        serving = asyncio.ensure_future(self._app(scope, receive, send or respond))
        stopping = asyncio.ensure_future(end.wait())
        try:
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                serving.cancel()
                await asyncio.wait((serving,), timeout=1)
                await respond.finish()
            elif not serving.cancelled() and serving.exception():
                raise serving.exception() or RuntimeError
        finally:
            stopping.cancel()
            serving.cancel()


CLOSE = ((b"connection", b"close"),)

# Refused for how they are sent: nothing more is read of these.
UNREAD = (400, 408, 431)
MOST_SWALLOWED_BYTES, MOST_SWALLOWED_SECONDS = 16_000_000, 2.0


async def _swallow(receive: Receive) -> None:
    """Read what a client goes on sending after it was refused: a connection that is closed before is reset, and the
    client reads no answer, or the load balancer's 502 (RFC 9112, 9.6)."""
    left = MOST_SWALLOWED_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOST_SWALLOWED_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _header(scope: Scope, name: bytes) -> str:
    return next(iter(_headers(scope, name)), "")


def _replay(body: bytes, receive: Receive, gone: bool = False) -> Receive:
    messages: Iterable[Message] = iter([] if gone else [{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        for message in messages:
            return message
        return {"type": "http.disconnect"} if gone else await receive()

    return replay
