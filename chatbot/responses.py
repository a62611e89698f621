"""How the page's answers leave: with security headers, a nonce for their scripts, and our own parts of their head."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
)
# Gradio evaluates the `js` of events, hence unsafe-eval; scripts in the page need the nonce. Nothing leaves the host.
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; manifest-src 'self'; "
    "media-src 'none'; object-src 'none'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
# What a link to the page would be shown with: Gradio's name and picture.
PREVIEW = re.compile(rb'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>\s*')


@dataclass(frozen=True)
class Refusal(Exception):
    """A request that is answered here, with a sentence that tells nothing about the inside."""

    status: int
    sentence: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Page:
    """What the guard knows of the page: what its head begins and ends with, and the numbers of its events."""

    start: bytes
    head: bytes
    events: tuple[int, ...]


class Response:
    """The `send` given to the app: adds the security headers, and to pages a nonce for their scripts."""

    def __init__(self, send: Send, page: Page) -> None:
        self._send = send
        self._page = page
        self._nonce = ""
        self._held: Message | None = None
        self._html = bytearray()
        self._state = "new"

    @property
    def begun(self) -> bool:
        """Whether the status and the headers have been sent."""
        return self._state != "new" and self._held is None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            return await self._start(message)
        if self._held is None:
            self._state = "open" if message.get("more_body") else "done"
            return await self._send(message)
        self._html += message.get("body", b"")
        if not message.get("more_body"):
            await self._send_page()

    async def _start(self, message: Message) -> None:
        self._state = "open"
        drop = {b"server", b"content-security-policy"}
        # Gradio's CORS reflects any origin; nobody but the page itself has business with the answers.
        headers = [
            (k, v) for k, v in message.get("headers", []) if k not in drop and not k.startswith(b"access-control")
        ]
        self._nonce = secrets.token_urlsafe(16)
        policy = POLICY.format(nonce=self._nonce).encode()
        message["headers"] = [*headers, *HEADERS, (b"content-security-policy", policy)]
        if any(k == b"content-type" and v.startswith(b"text/html") for k, v in headers):
            self._held = message
        else:
            await self._send(message)

    async def _send_page(self) -> None:
        """The page that was held back, with our own parts of its head and the nonce in its scripts."""
        assert self._held is not None
        body = PREVIEW.sub(b"", bytes(self._html)).replace(b"<head>", b"<head>" + self._page.start, 1)
        body = body.replace(b"</head>", self._page.head + b"</head>", 1)
        body = body.replace(b"<script", f'<script nonce="{self._nonce}"'.encode())
        headers = [(k, v) for k, v in self._held["headers"] if k not in (b"content-length", b"etag")]
        self._held["headers"] = [
            *headers,
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await self._send(self._held)
        self._held, self._state = None, "done"
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, refusal: Refusal, before_the_end: Awaitable[None] | None) -> None:
        """Answer with a refusal. `detail` is where Gradio's page looks for the sentence."""
        body = json.dumps({"detail": refusal.sentence}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self({"type": "http.response.start", "status": refusal.status, "headers": [*headers, *refusal.headers]})
        if before_the_end:
            await self({"type": "http.response.body", "body": body, "more_body": True})
            await before_the_end
            body = b""
        await self({"type": "http.response.body", "body": body})

    async def finish(self) -> None:
        """End a stream that was cut short, so that the connection closes in order."""
        if self._state == "open" and self._held is None:
            self._state = "done"
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
