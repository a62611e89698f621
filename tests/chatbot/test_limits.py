"""Token buckets, the client's address, and the queue's gate."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from chatbot import limits
from chatbot.gate import Gate, GateFull
from chatbot.limits import Buckets, client_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_lets_the_burst_through_then_names_the_seconds_to_wait() -> None:
    clock = Clock()
    buckets = Buckets(per_minute=6, burst=2, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 10]
    clock.now = 9.0
    assert buckets.take("a") == 1
    clock.now = 10.0
    assert [buckets.take("a"), buckets.take("a")] == [0, 10]


def test_a_full_bucket_holds_no_more_than_the_burst() -> None:
    clock = Clock()
    buckets = Buckets(per_minute=60, burst=2, clock=clock)
    clock.now = 1000.0
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 1]


def test_one_client_does_not_use_up_anothers() -> None:
    buckets = Buckets(per_minute=1, burst=1)
    assert buckets.take("a") == 0
    assert buckets.take("a") > 0
    assert buckets.take("b") == 0


def test_a_flood_of_addresses_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_CLIENTS", 100)
    buckets = Buckets(per_minute=1, burst=1)
    for number in range(1000):
        buckets.take(str(number))
    assert len(buckets._buckets) == 100


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ([], "10.0.0.9"),
        (["203.0.113.5"], "203.0.113.5"),
        (["6.6.6.6, 203.0.113.5"], "203.0.113.5"),
        (["6.6.6.6", "203.0.113.5"], "203.0.113.5"),
        (["203.0.113.5,"], "10.0.0.9"),
    ],
)
def test_the_client_is_what_the_load_balancer_added_last(forwarded: list[str], client: str) -> None:
    assert client_of(forwarded, "10.0.0.9") == client


async def entered(gate: Gate, places: list[int]) -> None:
    async with aclosing(gate.enter()) as ahead:
        async for place in ahead:
            places.append(place)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_gate_lets_in_in_order_and_tells_each_its_place_as_it_changes() -> None:
    async def scenario() -> None:
        gate = Gate(capacity=1, queue_length=5)
        await entered(gate, [])
        first, second = [], []  # type: ignore[var-annotated]
        tasks = [asyncio.create_task(entered(gate, first))]
        await settle()
        tasks.append(asyncio.create_task(entered(gate, second)))
        await settle()
        assert (first, second, gate.waiting, gate.running) == ([1], [1 + 1], 2, 1)
        gate.leave()
        await settle()
        assert tasks[0].done() and not tasks[1].done()
        assert (second[-1], gate.running) == (1, 1)
        gate.leave()
        await settle()
        assert tasks[1].done() and gate.running == 1 and gate.waiting == 0

    asyncio.run(scenario())


def test_a_visitor_who_gives_up_waiting_makes_room_for_the_next() -> None:
    async def scenario() -> None:
        gate = Gate(capacity=1, queue_length=5)
        await entered(gate, [])
        gone, stays = asyncio.create_task(entered(gate, [])), asyncio.create_task(entered(gate, places := []))
        await settle()
        gone.cancel()
        await settle()
        assert places == [2, 1] and gate.waiting == 1
        gate.leave()
        await settle()
        assert stays.done() and gate.running == 1

    asyncio.run(scenario())


def test_a_full_queue_refuses() -> None:
    async def scenario() -> None:
        gate = Gate(capacity=1, queue_length=0)
        await entered(gate, [])
        with pytest.raises(GateFull):
            await entered(gate, [])
        gate.leave()
        await entered(gate, [])

    asyncio.run(scenario())
