"""What bench/chat.py drives the apps with: a model's server and a client, both as cheap as can be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import statistics
import time
from typing import Any

TOKENS, PAUSE, CAP = 40, 0.025, 60.0
EVENT = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "word "}}],
         "id": "1", "created": 1, "model": "m", "system_fingerprint": "f", "object": "chunk"}  # fmt: skip


# --- the model's server: as cheap as can be, so that the apps are what is measured


async def _model(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        await reader.readexactly(length)
        if head.startswith(b"get"):
            writer.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 23\r\n\r\n{"data": [{"id": "m"}]}')
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n")
            for _ in range(TOKENS):
                writer.write(b"data: " + json.dumps(EVENT).encode() + b"\n\n")
                await writer.drain()
                await asyncio.sleep(PAUSE)
            writer.write(b"data: [DONE]\n\n")
        await writer.drain()
    writer.close()


def serve_model(listening: socket.socket) -> None:
    """Serve until killed."""

    async def serve() -> None:
        server = await asyncio.start_server(_model, sock=listening, backlog=1000)
        await server.serve_forever()

    asyncio.run(serve())


# --- a client as cheap


async def request(port: int, method: str, path: str, body: bytes = b"") -> tuple[asyncio.StreamReader, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"{path}: {status!r}")
    while (await reader.readline()).strip():
        pass
    return reader, writer


async def until(reader: asyncio.StreamReader, mark: bytes) -> bytes:
    while line := await reader.readline():
        if mark in line:
            return line
    raise RuntimeError(f"no {mark!r} in the answer")


async def direct(port: int) -> float:
    """Seconds to the first token from the model's server itself."""
    began = time.perf_counter()
    reader, writer = await request(port, "POST", "/v1/chat/completions", b"{}")
    await until(reader, b"word")
    writer.close()
    return time.perf_counter() - began


BODIES = {"chatbot": b'{"data": ["hello", null]}', "plain": b'{"data": ["hello"]}'}


async def through(name: str, port: int, whole: bool = False) -> float:
    """Seconds to the first token from an app; with `whole`, the answer is read to its end."""
    began = time.perf_counter()
    reader, writer = await request(port, "POST", "/gradio_api/call/chat", BODIES[name])
    event = json.loads(b"{" + (await until(reader, b"event_id")).split(b"{", 1)[1].split(b"}")[0] + b"}")["event_id"]
    writer.close()
    reader, writer = await request(port, "GET", f"/gradio_api/call/chat/{event}")
    await until(reader, b"word")
    first = time.perf_counter() - began
    if whole:
        await until(reader, b"event: complete")
    writer.close()
    return first


async def at_once(name: str, port: int, count: int) -> dict[str, float]:
    """First-token seconds of as many answers, all begun at the same time; one that has none by CAP counts as CAP."""

    async def one() -> float:
        try:
            return await asyncio.wait_for(through(name, port, whole=True), CAP)
        except (TimeoutError, OSError, RuntimeError):
            return CAP

    times = sorted(await asyncio.gather(*(one() for _ in range(count))))
    return {
        "first token p50, s": statistics.median(times),
        "first token p95, s": times[int(count * 0.95) - 1],
        f"unanswered after {CAP:.0f} s": times.count(CAP),
    }
