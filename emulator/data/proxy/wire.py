"""One TCP (or TLS) connection: read what came, write with back-pressure, and know at once when the peer is gone."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

_HIGH_WATER = 256 * 1024


class IdleTimeout(Exception):
    """Nothing moved for the load balancer's idle timeout."""


class Activity:
    """When a byte last moved on a client's connection or on the target's that serves it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.at = self._loop.time()

    def touch(self) -> None:
        self.at = self._loop.time()

    @property
    def idle(self) -> float:
        """Seconds since then."""
        return self._loop.time() - self.at


class Wire(asyncio.Protocol):
    """A connection as an awaitable source and sink of bytes."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.eof = False  # the peer sent its last byte, or the connection is lost
        self.on_gone: Callable[[], None] | None = None
        self.on_data: Callable[[], None] | None = None  # for a connection that nobody waits on
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._held = 0
        self._reading_paused = False
        self._writing_paused = False
        self._lost = False
        self._failure: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._drainer: asyncio.Future[None] | None = None

    # --- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._lost:  # closed before it was made
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.activity.touch()
        self._chunks.append(data)
        self._held += len(data)
        if self._held > _HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._live.pause_reading()
        _wake(self._reader)
        if self.on_data is not None:
            self.on_data()

    def eof_received(self) -> bool:
        self._gone()
        return False  # asyncio closes it: a client or target that half-closes has left, as for nginx

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._gone()
        _wake(self._drainer)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self.activity.touch()
        _wake(self._drainer)

    def _gone(self) -> None:
        first, self.eof = not self.eof, True
        _wake(self._reader)
        if first and self.on_gone is not None:
            self.on_gone()

    # --- called by us

    @property
    def _live(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @property
    def peer(self) -> str:
        """The other side's IP address."""
        name = self._live.get_extra_info("peername")
        return str(name[0]) if name else ""

    async def receive(self) -> bytes:
        """What came since the last call, at least one byte; b"" at the end."""
        while not self._chunks:
            self._raise_failure()
            if self.eof:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._held = 0
        if self._reading_paused and not self._lost:
            self._reading_paused = False
            self._live.resume_reading()
        return data

    async def send(self, data: bytes) -> None:
        """Write, waiting while the peer is slower than we are; raises ConnectionResetError when it is gone."""
        self._raise_failure()
        if self._lost or self._live.is_closing():
            raise ConnectionResetError("the peer closed the connection")
        self.activity.touch()
        self._live.write(data)
        while self._writing_paused and not self._lost:
            self._drainer = asyncio.get_running_loop().create_future()
            await self._drainer
            self._raise_failure()

    def interrupt(self, failure: Exception | None) -> None:
        """Make whoever waits on this connection, now or later, raise `failure`; None: no longer."""
        self._failure = failure
        _wake(self._reader)
        _wake(self._drainer)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Close it once everything written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close it now."""
        self._lost = True
        if self._transport is not None:
            self._transport.abort()
        self._gone()
        _wake(self._drainer)

    async def linger(self, seconds: float = 2.0) -> None:
        """Close it so that the peer, still sending, reads our last answer instead of a reset."""
        if self.eof or self._transport is None:
            return
        try:
            async with asyncio.timeout(seconds):
                if self._live.can_write_eof():
                    self._live.write_eof()
                while await self.receive():
                    pass
        except (TimeoutError, IdleTimeout, OSError):
            pass
        self.close()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def connect(host: str, port: int, tls: ssl.SSLContext | None, seconds: float) -> Wire:
    """A new connection; raises OSError, or TimeoutError after `seconds`."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        _, wire = await loop.create_connection(Wire, host, port, ssl=tls)
    return wire
