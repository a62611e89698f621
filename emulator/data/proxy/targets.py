"""Target groups at work: who may get a request, who gets the next one, and how a target leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import ssl
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from .messages import Drained, Event, HealthChanged, Target, TargetGroup
from .stickiness import identity
from .wire import Activity, Wire, connect

Emit = Callable[[Event], None]

CONNECT_TIMEOUT = 10.0  # seconds, as ALB's
_IDLE_CONNECTIONS = 64  # kept open to one target


class InFlight(Protocol):
    """A request that a target works on."""

    def cut(self) -> None:
        """The deregistration delay is over: end it now."""


class LiveTarget:
    """A target, its health, the requests it works on and the idle connections to it."""

    def __init__(self, group: LiveGroup, config: Target) -> None:
        self.group = group
        self.config = config
        self.identity = identity(group.config.arn, config.id, str(config.port))
        self.state = ""  # as DescribeTargetHealth has it; "" before anything was said
        self.reason = ""
        self.drained = False
        self.in_flight: set[InFlight] = set()
        self.credit = 0.0  # of the round robin
        self._slow_since: float | None = None
        self._starts_slowly = group.has_settled_targets()  # those that come together into an empty group do not
        self._idle: list[Wire] = []
        self._cutter: asyncio.TimerHandle | None = None

    @property
    def draining(self) -> bool:
        return self.drained or self.state == "draining"

    @property
    def address(self) -> tuple[str, int]:
        """Where it really listens."""
        host, _, port = self.config.address.rpartition(":")
        return host.strip("[]"), int(port)

    # --- health

    def report(self, state: str, reason: str = "", description: str = "") -> None:
        """Take on a health state; said to the emulator when it, or its reason, is new."""
        if (state, reason) == (self.state, self.reason):
            return
        if state == "healthy" and self._starts_slowly:
            self._starts_slowly, self._slow_since = False, asyncio.get_running_loop().time()
        self.state, self.reason = state, reason
        self.group.emit(
            HealthChanged(self.group.config.arn, self.config.id, self.config.port, state, reason, description)
        )

    def share(self, now: float) -> float:
        """Its part of the traffic: 1, or less while it starts slowly."""
        if not self.slow(now):
            return 1.0
        assert self._slow_since is not None
        return max(0.05, (now - self._slow_since) / self.group.config.slow_start)

    def slow(self, now: float) -> bool:
        """Whether it is in slow start."""
        return self._slow_since is not None and now - self._slow_since < self.group.config.slow_start

    # --- connections

    async def open(self, *, fresh: bool) -> tuple[Wire, bool]:
        """A connection and whether it was used before; raises OSError or TimeoutError."""
        while self._idle and not fresh:
            wire = self._idle.pop()
            wire.on_gone = wire.on_data = None
            if not wire.eof:
                return wire, True
        return await connect(*self.address, self.group.tls, CONNECT_TIMEOUT), False

    def keep(self, wire: Wire) -> None:
        """Take back a connection whose last response is complete."""
        if self.draining or wire.eof or len(self._idle) >= _IDLE_CONNECTIONS:
            wire.close()
            return
        wire.activity = Activity()  # it shared the client's
        wire.on_gone = wire.on_data = lambda: self._drop(wire)
        self._idle.append(wire)

    def _drop(self, wire: Wire) -> None:
        if wire in self._idle:
            self._idle.remove(wire)
        wire.on_gone = wire.on_data = None
        wire.abort()

    def close_idle(self, seconds: float = 0.0) -> None:
        """Close the connections unused for that long."""
        for wire in [each for each in self._idle if each.activity.idle >= seconds]:
            self._drop(wire)

    # --- leaving

    def drain(self) -> None:
        """Send it nothing new; it has left when its last request ends or, at the latest, after the delay."""
        if self.draining:
            return
        self.report("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
        self.close_idle()
        if not self.in_flight:
            self._has_left()
        else:
            self._cutter = asyncio.get_running_loop().call_later(self.group.config.deregistration_delay, self._cut)

    def register_again(self, config: Target) -> None:
        """Undo a drain, or follow a target to its new address: it is a new target as far as health goes."""
        if self._cutter is not None:
            self._cutter.cancel()
        self.close_idle()
        self.config, self.drained, self.state, self.reason = config, False, "", ""
        self._starts_slowly = self.group.has_settled_targets()

    def done(self, request: InFlight) -> None:
        """A request has ended."""
        self.in_flight.discard(request)
        if self.state == "draining" and not self.in_flight and not self.drained:
            self._has_left()

    def _cut(self) -> None:
        for request in list(self.in_flight):
            request.cut()
        self._has_left()

    def _has_left(self) -> None:
        if self._cutter is not None:
            self._cutter.cancel()
        self.drained = True
        self.group.emit(Drained(self.group.config.arn, self.config.id, self.config.port))
        self.group.forget_the_drained()


class LiveGroup:
    """A target group: its configuration as of now and its targets, the leaving ones included."""

    def __init__(self, config: TargetGroup, emit: Emit) -> None:
        self.config = config
        self.emit = emit
        self.load_balancer: str | None = None  # of a listener that forwards to it
        self.requests = 0  # since the last metrics
        self.targets: dict[tuple[str, int], LiveTarget] = {}
        self.tls = _trusting_context() if config.protocol == "HTTPS" else None

    def apply(self, config: TargetGroup) -> None:
        """Make the targets those of `config`: the new come in unchecked, the missing drain."""
        self.config = config
        wanted = {(each.id, each.port): each for each in config.targets}
        for key, target in list(self.targets.items()):
            if key not in wanted:
                target.drain()
        for key, each in wanted.items():
            known = self.targets.get(key)
            if known is None:
                known = self.targets[key] = LiveTarget(self, each)
            elif each.state != "draining" and (known.draining or known.config.address != each.address):
                known.register_again(each)
            if each.state == "draining":
                known.drain()
        self.forget_the_drained()

    def leave(self) -> None:
        """The group is not configured any more: drain every target, at the pace that was configured last."""
        self.apply(dataclasses.replace(self.config, targets=()))

    def forget_the_drained(self) -> None:
        """Let go of targets that have left and that the configuration does not name any more."""
        named = {(each.id, each.port) for each in self.config.targets}
        self.targets = {key: each for key, each in self.targets.items() if not each.drained or key in named}

    def registered(self) -> list[LiveTarget]:
        """The targets that are not leaving."""
        return [each for each in self.targets.values() if not each.draining]

    def healthy(self) -> list[LiveTarget]:
        """Those that passed their checks."""
        return [each for each in self.targets.values() if each.state == "healthy"]

    def choose(self, sticky: bytes | None) -> LiveTarget | None:
        """The target of the next request; None if none is registered.

        Without one healthy target all of them get traffic (ALB calls it fail-open).
        """
        candidates = self.healthy() or self.registered()
        if not candidates:
            return None
        if sticky is not None:
            for each in candidates:
                if each.identity == sticky:
                    return each
        if self.config.algorithm == "least_outstanding_requests":
            fewest = min(len(each.in_flight) for each in candidates)
            candidates = [each for each in candidates if len(each.in_flight) == fewest]
        elif self.config.algorithm == "weighted_random":
            return random.choice(candidates)
        return self._next_in_turn(candidates)

    def _next_in_turn(self, candidates: Iterable[LiveTarget]) -> LiveTarget:
        now = asyncio.get_running_loop().time()
        return in_turn([(each, each.share(now)) for each in candidates])

    def has_settled_targets(self) -> bool:
        """Whether a healthy target carries its full share, so that a newcomer can start slowly."""
        now = asyncio.get_running_loop().time()
        return any(not each.slow(now) for each in self.healthy())


class HasCredit(Protocol):
    """Something that takes turns."""

    credit: float


Turn = TypeVar("Turn", bound=HasCredit)


def in_turn(choices: list[tuple[Turn, float]]) -> Turn:
    """Weighted round robin, spread evenly (nginx's): 2 to 1 is a a b a a b, not a a a a b b."""
    for choice, weight in choices:
        choice.credit += weight
    best = max((choice for choice, weight in choices if weight > 0), key=lambda choice: choice.credit)
    best.credit -= sum(weight for _, weight in choices)
    return best


def _trusting_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False  # as ALB does: a target's certificate is not checked
    context.verify_mode = ssl.CERT_NONE
    return context
