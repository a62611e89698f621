"""A client's connection: one request after the other, each answered or forwarded."""

from __future__ import annotations

import asyncio
from typing import Protocol

import h11

from .answers import Answer, page, reason_phrase
from .exchange import ClientGone, Exchange, Order
from .forwarding import Choice, Forwarder
from .hop import LINE_LIMIT, Hop, values
from .metrics import Meter
from .requests import describe, has_body, refusal, rewrite
from .routing import Asked, Fixed, Redirect
from .stickiness import Sealer, parse_cookies
from .wire import IdleTimeout, Wire

Decision = Forwarder | Redirect | Fixed


class Door(Protocol):
    """The listener that a connection came in by; what it says may change between two requests."""

    closed: bool
    sealer: Sealer
    meter: Meter

    @property
    def load_balancer(self) -> str:
        """Its ARN."""

    @property
    def scheme(self) -> str:
        """`http` or `https`."""

    @property
    def port(self) -> int:
        """The port as the client sees it."""

    @property
    def idle_timeout(self) -> float:
        """In seconds."""

    def decide(self, asked: Asked) -> Decision:
        """What the rules say."""


class ClientConnection:
    """Serves one client until either side has enough."""

    def __init__(self, wire: Wire, door: Door) -> None:
        self._wire = wire
        self._door = door
        self._client = Hop(wire, h11.SERVER)
        self.exchange: Exchange | None = None
        self._busy = False  # a request is being read or answered
        self._method = b""  # of the request that is being answered
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Run to the end of the connection."""
        self._watch()
        try:
            while await self._serve_one():
                self._client.http.start_next_cycle()
                self._busy = False
            if self._client.http.their_state is h11.SEND_BODY or self._client.http.their_state is h11.ERROR:
                await self._wire.linger()
        except (OSError, IdleTimeout, h11.ProtocolError):
            pass  # the client is gone, or past talking to
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._wire.close()

    def retire(self) -> None:
        """The listener is gone: finish what is being answered, then close."""
        if not self._busy:
            self._wire.close()

    # --- the idle timeout

    def _watch(self) -> None:
        left = self._door.idle_timeout - self._wire.activity.idle
        if left <= 0:
            self._idle()
            self._wire.activity.touch()
            left = self._door.idle_timeout
        self._timer = asyncio.get_running_loop().call_later(left, self._watch)

    def _idle(self) -> None:
        if self.exchange is not None:
            self.exchange.idle()
        elif self._busy or self._client.unread:
            self._wire.interrupt(IdleTimeout())
        else:
            self._wire.close()

    # --- a request

    async def _serve_one(self) -> bool:
        """Read a request and see it answered; whether the connection can carry another."""
        try:
            request = await self._read()
        except IdleTimeout:
            self._wire.interrupt(None)
            await self._say(page(408, close=True))
            return False
        if request is None:
            return False
        answer = request if isinstance(request, Answer) else await self._handle(request)
        if answer is not None:
            await self._say(answer)
        state = self._client.http
        return state.our_state is h11.DONE and state.their_state is h11.DONE and not self._door.closed

    async def _read(self) -> h11.Request | Answer | None:
        """The next request's head (and its end, if it has no body); an answer if it is refused; None at the end."""
        try:
            event = await self._client.next()
            if not isinstance(event, h11.Request):
                return None
            self._busy, self._method = True, event.method
            refused = refusal(event)
            if refused is None and not has_body(event):
                await self._client.next()
            return refused or event
        except h11.RemoteProtocolError as error:
            if self._wire.eof and not self._client.unread:
                return None
            return page(self._status(error), close=True)

    def _status(self, error: h11.RemoteProtocolError) -> int:
        if error.error_status_hint == 431:  # ALB has no 431
            return 414 if b"\n" not in self._client.unread[:LINE_LIMIT] else 400
        return 501 if error.error_status_hint == 501 else 400

    async def _handle(self, request: h11.Request) -> Answer | None:
        if self._client.http.they_are_waiting_for_100_continue:  # ALB says it itself, whatever the target thinks
            self._client.put(h11.InformationalResponse(status_code=100, headers=[]))
            await self._client.flush()
        asked = describe(request, self._wire.peer, self._door.scheme, self._door.port)
        match self._door.decide(asked):
            case Redirect() as redirect:
                self._door.meter.add("HTTP_Redirect_Count", self._door.load_balancer, None)
                return redirect.answer(asked)
            case Fixed(reply):
                self._door.meter.add("HTTP_Fixed_Response_Count", self._door.load_balancer, None)
                return reply
            case forwarder:
                return await self._forward(forwarder, request, asked)

    async def _forward(self, forwarder: Forwarder, request: h11.Request, asked: Asked) -> Answer | None:
        door, sent = self._door, parse_cookies(values(request.headers, b"cookie"))
        choice = forwarder.choose(door.sealer, sent)
        if choice is None or choice.target is None:
            return page(503)
        group = choice.group
        group.requests += 1
        door.meter.count("RequestCount", door.load_balancer, group.config.arn)
        order = Order(
            request=request,
            head=rewrite(request, asked),
            has_body=has_body(request),
            cookies=lambda response: self._cookies(forwarder, choice, sent, response),
            load_balancer=door.load_balancer,
        )
        self.exchange = Exchange(self._client, choice.target, order, door.meter)
        try:
            return await self.exchange.run()
        except ClientGone:  # 460 in ALB's access log
            door.meter.count_elb_code(460, door.load_balancer)
            raise ConnectionResetError("the client closed the connection") from None
        finally:
            self.exchange = None

    def _cookies(
        self, forwarder: Forwarder, choice: Choice, sent: dict[str, str], response: h11.Response
    ) -> list[bytes]:
        set_by_target = {each.partition("=")[0].strip() for each in values(response.headers, b"set-cookie")}
        secure = self._door.scheme == "https"
        return forwarder.cookies(self._door.sealer, choice, sent, set_by_target, secure=secure)

    async def _say(self, answer: Answer) -> None:
        """Give an answer of the load balancer's own."""
        self._door.meter.count_elb_code(answer.status, self._door.load_balancer)
        body_left = self._client.http.their_state is h11.SEND_BODY
        headers = answer.headers(close=answer.close or body_left or self._door.closed)
        response = h11.Response(status_code=answer.status, headers=headers, reason=reason_phrase(answer.status))
        self._client.put(response)
        if self._method != b"HEAD" and answer.status not in (204, 304):
            self._client.put(h11.Data(data=answer.body))
        self._client.put(h11.EndOfMessage())
        await self._client.flush()
