"""`python -m emulator.data.proxy [PARENT'S PID]`: configurations come in by stdin, events go out by stdout."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys

from .messages import BadMessage, Event, Refused, event_line, parse_configuration
from .plane import Plane
from .targets import Emit

_LONGEST_LINE = 64 * 1024 * 1024
_PERIOD = 1.0  # seconds


class _Events(asyncio.Protocol):
    """The pipe to the parent: when nobody reads it any more, nobody is there."""

    def connection_lost(self, error: Exception | None) -> None:
        os._exit(0)


async def main() -> None:
    """Run until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out, _ = await loop.connect_write_pipe(_Events, sys.stdout)

    def emit(event: Event) -> None:
        out.write(event_line(event).encode())

    plane = Plane(emit)
    # Who started us says so: it may be gone before we come to ask.
    parent = int(sys.argv[1]) if sys.argv[1:] else os.getppid()
    ticking = loop.create_task(_tick(plane, parent))
    while line := await reader.readline():
        _configure(plane, line, emit)
    ticking.cancel()


def _configure(plane: Plane, line: bytes, emit: Emit) -> None:
    try:
        plane.apply(parse_configuration(line))
    except BadMessage as error:
        emit(Refused(_generation(line), str(error)))


def _generation(line: bytes) -> int:
    try:
        return int(json.loads(line)["generation"])
    except (KeyError, TypeError, ValueError):
        return 0


async def _tick(plane: Plane, parent: int) -> None:
    # A parent that is killed closes our standard input, which ends us at once. Should a child of it hold that pipe, its
    # absence is seen here. (PR_SET_PDEATHSIG would kill us when the *thread* ends that started us.)
    while os.getppid() == parent:
        await asyncio.sleep(_PERIOD)
        plane.tick()
    os._exit(0)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    _raise_file_limit()
    try:
        asyncio.run(main())
    finally:
        os._exit(0)  # with every socket: connections are not waited for
