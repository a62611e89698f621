"""HTTP/1.1 on a wire: h11's state machine with reads and batched writes, and which headers pass a proxy."""

from __future__ import annotations

from collections.abc import Iterable

import h11

from .wire import Wire

Headers = list[tuple[bytes, bytes]]
Incoming = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]

REQUEST_LIMIT = 64 * 1024  # bytes of a request's head
RESPONSE_LIMIT = 32 * 1024  # bytes of a response's head
LINE_LIMIT = 16 * 1024  # bytes of the request line or of one header

_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)


class Hop:
    """One side of the proxy: the client's connection, or the target's."""

    def __init__(self, wire: Wire, role: type[h11.CLIENT] | type[h11.SERVER]) -> None:
        self.wire = wire
        limit = REQUEST_LIMIT if role is h11.SERVER else RESPONSE_LIMIT
        self.http = h11.Connection(role, max_incomplete_event_size=limit)
        self._out: list[bytes] = []

    def next_now(self) -> Incoming:
        """The next event, or h11.NEED_DATA: then fill() and ask again. Raises h11.RemoteProtocolError."""
        return self.http.next_event()

    async def fill(self) -> None:
        """Wait for more bytes (or the end)."""
        self.http.receive_data(await self.wire.receive())

    async def next(self) -> Incoming:
        """The next event, waited for."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            await self.fill()
        return event

    def put(self, event: h11.Event) -> None:
        """Write an event at the next flush()."""
        data = self.http.send(event)
        if data:
            self._out.append(data)

    async def flush(self) -> None:
        """Send what was put; raises ConnectionResetError when the peer is gone."""
        if self._out:
            data, self._out = b"".join(self._out), []
            await self.wire.send(data)

    @property
    def unread(self) -> bytes:
        """Bytes that came after the last event."""
        return bytes(self.http.trailing_data[0])


def head_size(message: h11.Request | h11.Response) -> int:
    """About the bytes of a message's header lines: h11 limits only a head that came in more than one read."""
    return sum(len(name) + len(value) + 4 for name, value in message.headers)


def end_to_end(message: h11.Request | h11.Response | h11.InformationalResponse) -> Headers:
    """The headers that pass: without the hop-by-hop ones and those that Connection names."""
    dropped = _HOP_BY_HOP
    for name, value in message.headers:
        if name == b"connection":
            dropped = dropped | {each.strip().lower() for each in value.split(b",")} - {b"host", b"content-length"}
        elif name == b"transfer-encoding":
            dropped = dropped | {b"content-length"}  # it does not count (RFC 9112, 6.3), so it must not pass
    return [(raw, value) for raw, value in message.headers.raw_items() if raw.lower() not in dropped]


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Every value of a header (its name in lower case)."""
    return [value.decode("latin-1") for each, value in headers if each.lower() == name]


def wants_websocket(request: h11.Request) -> bool:
    """Whether a request asks to become a websocket (RFC 6455, section 4.1)."""
    return request.method == b"GET" and any(
        name == b"upgrade" and value.lower() == b"websocket" for name, value in request.headers
    )
