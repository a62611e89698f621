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


class Splitter:
    """The same for output that comes in chunks."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._tell(line)
        while len(self._rest) >= LONGEST:
            self._on_line(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]

    def end(self) -> None:
        if self._rest:
            self._tell(self._rest)
        self._rest = b""

    def _tell(self, line: bytes) -> None:
        line = line.removesuffix(b"\r")
        for start in range(0, max(1, len(line)), LONGEST):
            self._on_line(line[start : start + LONGEST])
