"""Waits that AWS counts in minutes, which an emulator may shorten."""

from __future__ import annotations

import os


def seconds(minutes: float) -> float:
    """How long the emulator waits where AWS waits `minutes`; `EMULATOR_TIME_SCALE` (default 1) divides it."""
    scale = float(os.environ.get("EMULATOR_TIME_SCALE") or 1)
    return minutes * 60 / scale


def replacement_minutes() -> float:
    """How long CodeDeploy waits for green to become healthy: an hour, or `EMULATOR_REPLACEMENT_MINUTES`."""
    return float(os.environ.get("EMULATOR_REPLACEMENT_MINUTES") or 60)
