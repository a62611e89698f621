"""Turns: as many as there are slots, the most urgent first, given back early or at the end, whatever happens."""

from __future__ import annotations

import threading
import time

import pytest

from orchestrator.turns import Turns


def _take(turns: Turns, urgency: float, order: list[float]) -> threading.Thread:
    def run() -> None:
        with turns.take(urgency):
            order.append(urgency)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_the_most_urgent_that_waits_is_next() -> None:
    turns, order = Turns(1), list[float]()
    with turns.take(0):
        waiting = [_take(turns, urgency, order) for urgency in (1, 3, 2)]
        time.sleep(0.1)
        assert order == []
    for thread in waiting:
        thread.join(5)
    assert order == [3, 2, 1]


def test_a_turn_can_be_given_back_before_the_work_is_done_and_counts_once() -> None:
    turns, order = Turns(1), list[float]()
    with turns.take(0) as over:
        over()
        over()
        _take(turns, 1, order).join(5)
        assert order == [1]
    with turns.take(2):
        waiting = _take(turns, 3, order)
        time.sleep(0.1)
        assert order == [1]
    waiting.join(5)


def test_an_error_gives_the_turn_back() -> None:
    turns, order = Turns(1), list[float]()
    with pytest.raises(ValueError, match="no"), turns.take(0):
        raise ValueError("no")
    _take(turns, 1, order).join(5)
    assert order == [1]
