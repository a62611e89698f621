"""What people do at a steady pace in the background, each outcome kept: requests, chats, answers that stay open."""

from __future__ import annotations

import asyncio
import collections
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp

from tests.e2e.visitor import Failed, Visitor

_PATIENCE = 90.0  # seconds at the end for what is still under way


@dataclass(frozen=True)
class Act:
    """Something that a visitor does, and how many requests it takes."""

    do: Callable[[Visitor], Awaitable[object]]
    requests: int = 1


def get(path: str) -> Act:
    return Act(lambda visitor: visitor.get(path))


def chat(question: str, expected: str = "") -> Act:
    """A question and its whole answer, which has `expected` in it."""

    async def do(visitor: Visitor) -> None:
        if expected not in (answer := await visitor.ask(question)):
            raise Failed(f"stream: not the whole answer, it ends with {answer[-20:]!r}")

    return Act(do, requests=2)


@dataclass
class Streams:
    """Answers that are read for long: how many are open, how many ended whole, and how others ended."""

    open: int = 0
    whole: int = 0
    broken: collections.Counter[str] = field(default_factory=collections.Counter)


class Traffic:
    """`with Traffic(url) as traffic: …`, then `traffic.count`, `traffic.failures` (kind -> count), `traffic.streams`.

    `per_second` requests, the `acts` in turn, whether or not those before them have been answered, by `people` with
    cookies (0: each act by somebody new). Beside them `streams` visitors do `stream`, each again when it has ended.
    Everything but a whole answer of 2xx or 3xx is a failure.
    """

    def __init__(
        self, url: str, per_second: float = 20, acts: Sequence[Act] = (get("/"), get("/healthz")), *, people: int = 0,
        streams: int = 0, stream: Act | None = None,
    ) -> None:  # fmt: skip
        self.count = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.streams = Streams()
        self._url, self._per_second, self._acts = url, per_second, acts
        self._people, self._number_of_streams, self._stream = people, streams, stream
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="traffic", daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE + 10)
        if self._thread.is_alive() and error is None:
            raise AssertionError("the traffic did not end")

    async def _run(self) -> None:
        async with aiohttp.TCPConnector(limit=0) as connector:
            visitors = [Visitor(self._url, connector) for _ in range(self._people)]
            streaming = [Visitor(self._url, connector) for _ in range(self._number_of_streams)]
            tasks = [asyncio.create_task(self._keep_open(index, each)) for index, each in enumerate(streaming)]
            tasks += await self._at_pace(connector, visitors)
            _, late = await asyncio.wait(tasks, timeout=_PATIENCE) if tasks else ((), ())
            for each in late:
                each.cancel()
                self.failures[f"not answered {_PATIENCE:g} s after the end"] += 1
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(visitor.close() for visitor in visitors + streaming))

    async def _at_pace(self, connector: aiohttp.BaseConnector, visitors: list[Visitor]) -> list[asyncio.Task[None]]:
        """Begins one act after the other until it is over; those that are under way then."""
        running: set[asyncio.Task[None]] = set()
        who = itertools.cycle(visitors)
        due = time.monotonic()
        for act in itertools.cycle(self._acts):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self._stop.is_set():
                break
            due += act.requests / self._per_second
            somebody = next(who) if visitors else Visitor(self._url, connector)
            running.add(task := asyncio.create_task(self._act(act, somebody, leaves=not visitors)))
            task.add_done_callback(running.discard)
        return list(running)

    async def _act(self, act: Act, visitor: Visitor, *, leaves: bool) -> None:
        self.count += act.requests
        try:
            await act.do(visitor)
        except Exception as error:  # whatever it is, nobody else would see it
            self.failures[_kind(error)] += 1
        finally:
            if leaves:
                await visitor.close()

    async def _keep_open(self, index: int, visitor: Visitor) -> None:
        assert self._stream, "streams of what?"
        await asyncio.sleep(index * 0.2)  # people do not come all at once
        while not self._stop.is_set():
            self.streams.open += 1
            try:
                await self._stream.do(visitor)
                self.streams.whole += 1
            except Exception as error:
                self.streams.broken[_kind(error)] += 1
                await asyncio.sleep(0.5)
            finally:
                self.streams.open -= 1


def _kind(error: Exception) -> str:
    return str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
