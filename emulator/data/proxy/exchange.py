"""One request on its way to a target and the response on its way back, bytes passing as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import h11

from .answers import Answer, Headers, http_date, page
from .hop import RESPONSE_LIMIT, Hop, end_to_end, head_size, wants_websocket
from .metrics import Meter
from .targets import LiveTarget
from .wire import IdleTimeout, Wire

_SAFE_TO_REPEAT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


class ClientGone(Exception):
    """The client closed the connection before it had its response."""


@dataclass(frozen=True)
class Order:
    """What to send to the target, and what to do with what it answers."""

    request: h11.Request  # as the client sent it
    head: h11.Request  # as the target gets it
    has_body: bool
    cookies: Callable[[h11.Response], list[bytes]]  # Set-Cookie values to add to a response
    load_balancer: str


class Exchange:
    """Runs an order against a target; the target's `in_flight` while it does."""

    def __init__(self, client: Hop, target: LiveTarget, order: Order, meter: Meter) -> None:
        self._client = client
        self._target = target
        self._order = order
        self._meter = meter
        self._upstream: Hop | None = None
        self._started = False  # the response, towards the client
        self._cut = False
        self._body: asyncio.Task[None] | None = None
        self._body_waits_for_client = False
        self._bad_body = False

    async def run(self) -> Answer | None:
        """Relay; the answer to give instead if the target gave none. Raises ClientGone.

        After None the response was relayed, whole or (then the client's connection is aborted) in part.
        """
        self._target.in_flight.add(self)
        self._client.wire.on_gone = self._client_left
        try:
            return await self._run()
        finally:
            self._client.wire.on_gone = None
            if self._body is not None and not self._body.done():
                self._body.cancel()
            self._let_go()
            self._target.done(self)

    # --- what may happen meanwhile

    def cut(self) -> None:
        """The target's deregistration delay is over."""
        self._cut = True
        self._abort_upstream()

    def idle(self) -> None:
        """Nothing moved for the idle timeout."""
        if self._upstream is None:
            return  # connecting, which has a timeout of its own
        if self._started:
            self._client.wire.abort()
            self._abort_upstream()
        else:
            self._upstream.wire.interrupt(IdleTimeout())

    def _client_left(self) -> None:
        self._abort_upstream()

    def _abort_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.wire.abort()

    # --- the way there

    async def _run(self) -> Answer | None:
        group = self._target.group.config.arn
        # Only what can be repeated rides on a used connection, which the target may be closing at this moment.
        fresh = self._order.has_body or self._order.request.method not in _SAFE_TO_REPEAT
        while True:
            try:
                wire, used = await self._target.open(fresh=fresh)
            except (OSError, TimeoutError) as error:
                self._meter.count("TargetConnectionErrorCount", self._order.load_balancer, group)
                return page(504 if isinstance(error, TimeoutError) else 502)
            if not used:
                self._meter.add("NewConnectionCount", self._order.load_balancer, None)
            self._upstream = Hop(wire, h11.CLIENT)
            wire.activity = self._client.wire.activity
            wire.activity.touch()
            response = await self._ask(self._upstream)
            if isinstance(response, Answer):
                stale = used and not fresh and not self._upstream.unread and not self._over()
                if stale and response.status == 502:
                    self._let_go()
                    fresh = True
                    continue
                return response
            await self._relay(self._upstream, response)
            return None

    def _over(self) -> bool:
        return self._cut or self._client.wire.eof

    async def _ask(self, upstream: Hop) -> h11.Response | h11.InformationalResponse | Answer:
        """Send the request; the head of the response, or the answer that stands for its lack."""
        began = asyncio.get_running_loop().time()
        try:
            upstream.put(self._order.head)
            if self._order.has_body:
                self._body = asyncio.create_task(self._send_body(upstream))
            else:
                upstream.put(h11.EndOfMessage())
            await upstream.flush()
            response = await self._head(upstream)
        except IdleTimeout:
            return page(408, close=True) if self._body_waits_for_client else page(504)
        except (OSError, h11.RemoteProtocolError):
            if self._bad_body:
                return page(400, close=True)
            if self._client.wire.eof:
                raise ClientGone from None
            return page(502)
        group = self._target.group.config.arn
        seconds = asyncio.get_running_loop().time() - began
        self._meter.time_response(self._order.load_balancer, group, seconds)
        if 200 <= response.status_code < 600:
            name = f"HTTPCode_Target_{response.status_code // 100}XX_Count"
            self._meter.count(name, self._order.load_balancer, group)
        return response

    async def _head(self, upstream: Hop) -> h11.Response | h11.InformationalResponse:
        while True:
            event = await upstream.next()
            if isinstance(event, h11.Response):
                if head_size(event) > RESPONSE_LIMIT:
                    raise h11.RemoteProtocolError("the response's head is too large")
                return event
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    return event
                continue  # 100 was answered by us; the others are hints that need not pass
            raise ConnectionResetError("the target closed the connection")

    async def _send_body(self, upstream: Hop) -> None:
        try:
            while True:
                self._body_waits_for_client = True
                event = await self._client.next()
                self._body_waits_for_client = False
                if isinstance(event, h11.Data):
                    upstream.put(h11.Data(data=event.data))
                    await upstream.flush()
                elif isinstance(event, h11.EndOfMessage):
                    upstream.put(h11.EndOfMessage())
                    await upstream.flush()
                    return
                else:
                    return
        except h11.RemoteProtocolError:
            self._bad_body = not self._client.wire.eof
            upstream.wire.abort()
        except (OSError, IdleTimeout):
            pass  # the target takes no more; what it has to say is read by _head or _relay

    # --- the way back

    async def _relay(self, upstream: Hop, response: h11.Response | h11.InformationalResponse) -> None:
        try:
            if isinstance(response, h11.InformationalResponse):
                await self._switch(upstream, response)
            else:
                await self._pass_on(upstream, response)
        except (OSError, IdleTimeout, h11.RemoteProtocolError, h11.LocalProtocolError):
            self._client.wire.abort()  # the only way left to say that the response is not whole

    async def _pass_on(self, upstream: Hop, response: h11.Response) -> None:
        client = self._client
        headers = end_to_end(response) + [(b"Set-Cookie", each) for each in self._order.cookies(response)]
        if not any(name == b"date" for name, _ in response.headers):
            headers.append((b"Date", http_date()))
        headers.append((b"Connection", b"keep-alive"))  # h11 makes it close where it must be
        client.put(h11.Response(status_code=response.status_code, headers=headers, reason=response.reason))
        self._started = True
        while True:
            event = upstream.next_now()
            if event is h11.NEED_DATA:
                await client.flush()
                await upstream.fill()
            elif isinstance(event, h11.Data):
                client.put(h11.Data(data=event.data))
            elif isinstance(event, h11.EndOfMessage):
                client.put(h11.EndOfMessage())
                self._let_go()
                return await client.flush()
            else:
                raise ConnectionResetError("the target closed the connection")

    async def _switch(self, upstream: Hop, response: h11.InformationalResponse) -> None:
        """Become a websocket: from here on bytes pass untouched, both ways, until one side ends."""
        if not wants_websocket(self._order.request):
            raise h11.RemoteProtocolError("the target switched protocols unasked")
        client = self._client
        headers = end_to_end(response) + _upgrade_headers()
        client.put(h11.InformationalResponse(status_code=101, headers=headers, reason=response.reason))
        self._started = True
        client.wire.on_gone = None  # what it said last shall still arrive
        await client.flush()
        for source, sink in ((upstream, client), (client, upstream)):
            if source.unread:
                await sink.wire.send(source.unread)
        both_ways = ((client.wire, upstream.wire), (upstream.wire, client.wire))
        pumps = [asyncio.create_task(_pump(*ends)) for ends in both_ways]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            client.wire.close()
            upstream.wire.close()
            for pump in pumps:
                pump.cancel()

    def _let_go(self) -> None:
        """Give the target's connection back if its conversation is complete, else close it."""
        upstream, self._upstream = self._upstream, None
        if upstream is None:
            return
        state = upstream.http
        if state.our_state is h11.DONE and state.their_state is h11.DONE and not upstream.unread:
            self._target.keep(upstream.wire)
        elif state.their_state is h11.SWITCHED_PROTOCOL:
            upstream.wire.close()
        else:
            upstream.wire.abort()


def _upgrade_headers() -> Headers:
    return [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]


async def _pump(source: Wire, sink: Wire) -> None:
    with contextlib.suppress(OSError, IdleTimeout):
        while data := await source.receive():
            await sink.send(data)
