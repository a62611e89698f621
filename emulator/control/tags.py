"""Tags: pairs in AWS's APIs, by their keys in the emulator's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def tag_map(given: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    return {pair["Key"]: pair.get("Value", "") for pair in given or []}


def tag_pairs(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
