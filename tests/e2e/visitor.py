"""One visitor as a browser is one: cookies of its own, pages, and questions asked by Gradio's protocol."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp

TIMEOUT = 30.0  # seconds without anything from the server; a stream that goes on may take longer


class Failed(Exception):
    """Something that a visitor would have noticed; the text has no ids in it, so that equal ones can be counted."""


class _Torn(Failed):
    """A release moved the traffic between a question's two requests; the page asks again (chatbot/assets/chat.js)."""


class Visitor:
    """Without `cookies` every request is somebody new to the load balancer."""

    def __init__(self, url: str, connector: aiohttp.BaseConnector, *, cookies: bool = True) -> None:
        self._url = url
        self._chat_function: int | None = None
        self._session = aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=aiohttp.CookieJar() if cookies else aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT),
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str) -> str:
        """The body; `Failed` for anything but 2xx and 3xx."""
        async with self._request("GET", path) as response:
            return await response.text()

    async def ask(self, question: str) -> str:
        """The whole answer, as the page asks for it; once more where the stream's task does not know the question."""
        try:
            return await self._asked(question)
        except _Torn:
            return await self._asked(question)

    async def _asked(self, question: str) -> str:
        """Join the queue, then read the session's stream to its end."""
        session = uuid.uuid4().hex
        function = await self._function()
        asked = {"data": [question, None], "fn_index": function, "session_hash": session}
        async with self._request("POST", "/gradio_api/queue/join", json=asked) as response:
            await response.read()
        answer: str | None = None
        path = f"/gradio_api/queue/data?session_hash={session}"
        async with self._request("GET", path) as response:
            async for line in response.content:
                message = json.loads(line[6:]) if line.startswith(b"data: ") else {}
                if message.get("msg") == "process_completed":
                    answer = _answer(message)
                elif message.get("msg") == "unexpected_error":
                    kind = _Torn if message.get("session_not_found") else Failed
                    raise kind(f"stream: {message.get('message') or message}")
        if answer is None:
            raise Failed("stream: it ended before the answer was complete")
        return answer

    async def _function(self) -> int:
        """The number of the function `chat`, which the page's configuration says."""
        if self._chat_function is None:
            functions = json.loads(await self.get("/config"))["dependencies"]
            self._chat_function = next(each["id"] for each in functions if each["api_name"] == "chat")
        return self._chat_function

    @contextlib.asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        name = urlsplit(path).path
        try:
            async with self._session.request(method, self._url + path, **options) as response:
                if response.status >= 400:
                    raise Failed(f"{name} {response.status}")
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Failed(f"{name} {type(error).__name__}: {error}") from error


def _answer(message: dict[str, Any]) -> str:
    data = message["output"].get("data") or [""]
    if not message["success"] or not data[0]:
        raise Failed(f"stream: {message['output'].get('error') or 'an empty answer'}")
    return str(data[0])
