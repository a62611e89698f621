"""An OpenAI-compatible server that misbehaves as the question asks it to; nothing in it is a model."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.chatbot.refusals import REFUSALS

Lines = AsyncGenerator[bytes, None]


def chunk(text: str, stop: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    """One event of a chat completion stream."""
    body: dict[str, Any] = {
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "system_fingerprint": "f",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": stop}],
    }  # fmt: skip
    if usage:
        body["usage"] = usage
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


async def good(text: str) -> Lines:
    for word in f"You said: {text}".split(" "):
        yield chunk(word + " ")
    yield chunk("", "stop", {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12})
    yield b"data: [DONE]\n\n"


async def slowly(text: str) -> Lines:
    """An answer that is still being written whenever a test comes to look, however busy the machine is."""
    for number in range(400):
        yield chunk(f"{number} ")
        await asyncio.sleep(0.05 if number < 60 else 1)
    yield b"data: [DONE]\n\n"


async def counts(text: str) -> Lines:
    """`counts 20`: twenty numbers in a second, and an end."""
    for number in range(int(text.split(" ")[1])):
        yield chunk(f"{number} ")
        await asyncio.sleep(0.05)
    yield b"data: [DONE]\n\n"


async def drips(text: str) -> Lines:
    """`drips 30`: half a minute, two words a second."""
    for _ in range(int(text.split(" ")[1]) * 2):
        yield chunk("drip ")
        await asyncio.sleep(0.5)
    async for line in good(text):
        yield line


async def steadily(text: str) -> Lines:
    for number in range(400):
        yield chunk(f"{number} ")
        await asyncio.sleep(0.5)
    yield b"data: [DONE]\n\n"


async def stalls_at_once(text: str) -> Lines:
    await asyncio.sleep(30)
    yield chunk("too late")


async def stalls(text: str) -> Lines:
    yield chunk("The beginning")
    await asyncio.sleep(30)


async def cuts(text: str) -> Lines:
    yield chunk("The beginning")
    await asyncio.sleep(0.2)
    raise ConnectionError("cut on purpose")


async def garbage(text: str) -> Lines:
    yield b"data: {this is not json\n\n"


async def wrong_shape(text: str) -> Lines:
    yield b'data: {"choices": "none", "usage": 3}\n\n'


async def nothing(text: str) -> Lines:
    yield b"data: [DONE]\n\n"


async def emoji(text: str) -> Lines:
    whole = chunk("👩‍👩‍👧‍👦 ünï 中文 🇫🇷")
    for byte in whole:  # every character torn apart on the wire
        yield bytes([byte])
    yield chunk("", "stop")
    yield b"data: [DONE]\n\n"


async def endless(text: str) -> Lines:
    for number in range(20_000):
        yield chunk(f"w{number} ")
    yield b"data: [DONE]\n\n"


async def error_event(text: str) -> Lines:
    yield chunk("The beginning")
    yield b'data: {"error": "out of memory on http://10.0.0.7 with hf_secret", "error_type": "generation"}\n\n'


async def filters(text: str) -> Lines:
    yield chunk("The beginning")
    yield chunk("", "content_filter")
    yield b"data: [DONE]\n\n"


async def script(text: str) -> Lines:
    yield chunk("<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
                "<iframe src='https://evil.example'></iframe>![x](https://evil.example/pixel.png)"
                "[link](javascript:window.hacked=1) and text")  # fmt: skip
    yield chunk("", "stop")
    yield b"data: [DONE]\n\n"


async def markdown(text: str) -> Lines:
    answer = "# Heading\n\nSome **bold** text.\n\n```python\nprint('hello')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    for piece in answer.splitlines(keepends=True):
        yield chunk(piece)
        await asyncio.sleep(0.01)
    yield chunk("", "stop")
    yield b"data: [DONE]\n\n"


async def says(text: str) -> Lines:
    """`says "a JSON string"`: just that, in pieces of seven characters."""
    answer = json.loads(text.partition(" ")[2])
    for start in range(0, len(answer), 7):
        yield chunk(answer[start : start + 7])
        await asyncio.sleep(0.005)
    yield chunk("", "stop")
    yield b"data: [DONE]\n\n"


STREAMS: dict[str, Callable[[str], Lines]] = {
    f.__name__: f
    for f in (slowly, counts, drips, steadily, stalls_at_once, stalls, cuts, garbage, wrong_shape, nothing, emoji,
              endless, error_event, filters, script, markdown, says)
}  # fmt: skip


def begin(app: Starlette, port: int = 0, **options: Any) -> tuple[uvicorn.Server, str]:
    """Serve on loopback in a thread; the server, and its URL. ``options`` are uvicorn's."""
    server = uvicorn.Server(
        uvicorn.Config(app, **{"host": "127.0.0.1", "port": port, "log_level": "critical", **options})
    )
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        threading.Event().wait(0.01)
    return server, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@dataclass
class FakeOpenAI:
    """The server, what it was asked, and what became of the streams it sent."""

    key: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    abandoned: int = 0
    url: str = ""
    _server: uvicorn.Server | None = None

    async def models(self, request: Request) -> Response:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": "wrong key"}, 401)
        return JSONResponse({"object": "list", "data": [{"id": "fake-model", "object": "model"}]})

    async def completions(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        text = str(body["messages"][-1]["content"])
        # A model of that name refuses every question so: `refuses/hf_credits`.
        word = str(body.get("model")).removeprefix("refuses/")
        word = word if word in REFUSALS else text.split(" ")[0]
        self.asked[word] += 1
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": "wrong key"}, 401)
        if refusal := REFUSALS.get(word):
            return Response(
                refusal.content, 200 if refusal.event else refusal.status, refusal.headers, refusal.content_type
            )
        if word.isdigit():
            return JSONResponse({"error": {"message": "internal http://10.0.0.7 hf_secret"}}, int(word))
        if word == "echoes":
            return JSONResponse({"error": {"message": f"cannot take {text!r}, with sk-very-secret"}}, 400)
        if word == "once" and self.asked[word] % 2:
            return JSONResponse({"error": "warming up"}, 503)
        if word == "page":
            return Response("<html>a proxy's page</html>", media_type="text/html")
        return StreamingResponse(self._watched(STREAMS.get(word, good)(text)), media_type="text/event-stream")

    async def _watched(self, lines: Lines) -> Lines:
        try:
            async for line in lines:
                yield line
        except (asyncio.CancelledError, GeneratorExit):
            self.abandoned += 1
            raise

    def start(self, port: int = 0, **options: Any) -> FakeOpenAI:
        """Serve on loopback in a thread; ``options`` are uvicorn's."""
        routes = [Route("/v1/models", self.models), Route("/v1/chat/completions", self.completions, methods=["POST"])]
        self._server, url = begin(Starlette(routes=routes), port, **options)
        self.url = f"{url}/v1"
        return self

    def stop(self) -> None:
        if self._server:
            self._server.should_exit = self._server.force_exit = True


if __name__ == "__main__":  # to try the page by hand: python -m tests.chatbot.fake_openai
    print(FakeOpenAI().start(8099).url)
    threading.Event().wait()
