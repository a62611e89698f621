"""`python -m emulator.data.proxy [PARENT'S PID]`: configurations come in by stdin, events go out by stdout."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import traceback

from .messages import BadMessage, Event, Refused, event_line, parse_configuration
from .plane import Plane
from .targets import Emit

_LONGEST_LINE = 64 * 1024 * 1024
_PERIOD = 1.0  # seconds
_DESCRIPTORS = 65_536


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
    reading = loop.create_task(_follow(reader, plane, emit))
    ticking = loop.create_task(_tick(plane, parent))
    done, _ = await asyncio.wait((reading, ticking), return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()  # raises what broke it: a process that is half alive helps nobody
    os._exit(0)  # with every socket: connections are not waited for


async def _follow(reader: asyncio.StreamReader, plane: Plane, emit: Emit) -> None:
    while line := await reader.readline():
        _configure(plane, line, emit)


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


def _raise_file_limit() -> None:
    """A stream takes two descriptors; the usual soft limit of 1024 (or 256) is soon reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    _raise_file_limit()
    try:
        asyncio.run(main())
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # not waiting for connections either
