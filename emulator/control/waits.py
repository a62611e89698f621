"""Waits that AWS counts in minutes, which an emulator may shorten."""

from __future__ import annotations

import logging
import os

log = logging.getLogger("emulator")


def seconds(minutes: float) -> float:
    """How long the emulator waits where AWS waits `minutes`; `EMULATOR_TIME_SCALE` (default 1) divides it."""
    return minutes * 60 / _positive("EMULATOR_TIME_SCALE", 1)


def replacement_minutes() -> float:
    """How long CodeDeploy waits for green to become healthy: an hour, or `EMULATOR_REPLACEMENT_MINUTES`."""
    return _positive("EMULATOR_REPLACEMENT_MINUTES", 60)


def _positive(name: str, default: float) -> float:
    """A setting above 0; any other value is named and left alone."""
    given = os.environ.get(name) or str(default)
    try:
        found = float(given)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        log.warning("%s=%s is not a number above 0; %s is used", name, given, default)
        return default
    return found
