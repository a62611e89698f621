"""A forward action: choose the group, then the target, by weight and by sticky cookie; and keep the client there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from .routing import Forward, Share
from .stickiness import APPLICATION, GROUP, TARGET, Sealer, identity, read_cookie, set_cookies
from .targets import LiveGroup, LiveTarget, in_turn


class Slice:
    """A target group's part of a forward action."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self.identity = identity(share.group)
        self.credit = 0.0


@dataclass(frozen=True)
class Choice:
    """Where a request goes; `target` is None when its group has none."""

    slice: Slice
    group: LiveGroup
    target: LiveTarget | None
    group_until: float | None  # when the cookie that chose the group ends


class Forwarder:
    """The forward action of one rule."""

    def __init__(self, forward: Forward, groups: Mapping[str, LiveGroup]) -> None:
        self._sticky_seconds = forward.sticky_seconds
        self._slices = [Slice(share) for share in forward.shares]
        self._groups = groups  # as they are at the time of a request

    def choose(self, sealer: Sealer, cookies: dict[str, str]) -> Choice | None:
        """Where a request with these cookies goes; None when no group has a weight."""
        group_until = None
        chosen = None
        if self._sticky_seconds and (found := read_cookie(sealer, GROUP, cookies)):
            # A group that lost its weight keeps the clients it has, as on ALB, until their cookie is over.
            chosen = next((each for each in self._slices if each.identity == found[0]), None)
            group_until = found[1] if chosen else None
        if chosen is None:
            weighted = [(each, float(each.share.weight)) for each in self._slices]
            if not any(weight for _, weight in weighted):
                return None
            chosen = weighted[0][0] if len(weighted) == 1 else in_turn(weighted)
        group = self._groups[chosen.share.group]
        return Choice(chosen, group, group.choose(_sticky_target(group, sealer, cookies)), group_until)

    def cookies(
        self, sealer: Sealer, choice: Choice, sent: dict[str, str], set_by_target: set[str], *, secure: bool
    ) -> list[bytes]:
        """The Set-Cookie values that keep the client where `choice` sent it.

        `sent` are the request's cookies, `set_by_target` the names of those that the response sets.
        """
        cookies: list[bytes] = []
        stickiness, now = choice.group.config.stickiness, time.time()
        if choice.target is not None and stickiness.enabled:
            until = now + stickiness.duration_seconds
            if stickiness.type == "lb_cookie":
                cookies += set_cookies(sealer, TARGET, choice.target.identity, until, secure=secure)
            elif stickiness.cookie_name in set_by_target or (stickiness.cookie_name in sent and APPLICATION in sent):
                cookies += set_cookies(sealer, APPLICATION, choice.target.identity, until, secure=secure)
        if self._sticky_seconds:
            # Renewed with every response, except to an emptied group: its clients leave when their time is up.
            emptied = choice.slice.share.weight == 0
            until = choice.group_until if emptied and choice.group_until else now + self._sticky_seconds
            cookies += set_cookies(sealer, GROUP, choice.slice.identity, until, secure=secure)
        return cookies


def _sticky_target(group: LiveGroup, sealer: Sealer, cookies: dict[str, str]) -> bytes | None:
    stickiness = group.config.stickiness
    if not stickiness.enabled:
        return None
    if stickiness.type == "lb_cookie":
        found = read_cookie(sealer, TARGET, cookies)
    else:  # both cookies must come back
        found = read_cookie(sealer, APPLICATION, cookies) if stickiness.cookie_name in cookies else None
    return found[0] if found else None
