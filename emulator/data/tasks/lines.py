"""Splits a container's output into lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

# What the awslogs driver takes for one event at most (256 KiB without CloudWatch's own 26 bytes).
LONGEST = 262_144 - 26


def read_lines(stream: IO[bytes], on_line: Callable[[bytes], None]) -> None:
    """Calls `on_line` for each line until the end of `stream`; a longer one than LONGEST comes in pieces."""
    while line := stream.readline(LONGEST):
        on_line(line.removesuffix(b"\n").removesuffix(b"\r"))
