"""Waiting for what other threads and programs do: for the event, not for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(
    check: Callable[[], Any], seconds: float = 60, what: str | Callable[[], str] = "", *, pause: float = 0.1
) -> Any:
    """The first true answer of `check`; after `seconds` a failure that says `what` did not happen, or the last answer.

    An OSError of `check` is not yet an answer: who is asked may not listen yet. `seconds` is for a machine with much
    else to do, and nobody waits for it; `pause` matters where `check` must see what holds for a moment only.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            answer = check()
        except OSError as error:
            answer, said = None, repr(error)
        else:
            said = f"still {answer!r}"
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {(what if isinstance(what, str) else what()) or said}")
        time.sleep(pause)
