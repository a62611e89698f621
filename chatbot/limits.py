"""Token buckets per client, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

MOST_CLIENTS = 10_000


class Buckets:
    """A bucket of `burst` tokens per client that fills at `per_minute`; 0 per minute means no limit."""

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> int:
        """Take one token: 0 when there was one, else the whole seconds until there is."""
        if self._rate <= 0:
            return 0
        now = self._clock()
        tokens, since = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        wait = 0 if tokens >= 1 else math.ceil((1 - tokens) / self._rate)
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        # The least recently seen goes first; a flood of forged addresses cannot fill the memory.
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return wait


def client_of(forwarded: list[str], peer: str) -> str:
    """The client of a request: the last entry of X-Forwarded-For, which is the load balancer's own, else the peer.

    Whatever stands before the last entry was sent by the client and may be forged.
    """
    entries = [entry.strip() for entry in ",".join(forwarded).split(",")]
    return entries[-1] or peer
