from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from emulator.loops.runner import Loop, Runner, isolated
from emulator.state.store import Store


def test_a_loop_runs_at_once_and_again_after_every_change(tmp_path: Path) -> None:
    store, steps = Store(tmp_path), threading.Semaphore(0)
    runner = Runner(store, [Loop("counting", lambda _: steps.release(), every=60)])
    runner.start()
    assert steps.acquire(timeout=60)
    store.changed()
    assert steps.acquire(timeout=60)
    runner.close()
    store.close()


def test_a_step_that_fails_is_logged_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, done, tries = Store(tmp_path), threading.Event(), []

    def step(_: Store) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("the first step fails")
        done.set()

    runner = Runner(store, [Loop("failing", step, every=0.1)])
    runner.start()
    assert done.wait(60)
    runner.close()
    store.close()
    assert "the first step fails" in caplog.text


def test_closing_waits_for_all_steps_together_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.loops.runner._PATIENCE", 0.5)
    store, release = Store(tmp_path), threading.Event()

    def step(_: Store) -> None:
        release.wait(30)

    runner = Runner(store, [Loop(f"slow {number}", step) for number in range(4)])
    runner.start()
    began = time.monotonic()
    runner.close()
    assert time.monotonic() - began < 20
    release.set()
    store.close()


def test_what_is_made_once_is_made_once(tmp_path: Path) -> None:
    store, made = Store(tmp_path), []

    def make(given: Store) -> list[Store]:
        made.append(given)
        return made

    assert store.once(make) is store.once(make)
    assert made == [store]
    store.close()


def test_closing_ends_the_last_thing_first(tmp_path: Path) -> None:
    store, order = Store(tmp_path), list[int]()
    store.on_close(lambda: order.append(1))
    store.on_close(lambda: order.append(2))
    store.close()
    assert order == [2, 1]


def test_an_item_that_fails_keeps_no_other_from_its_turn_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    store, done, broken = Store(tmp_path), [], [True]

    def step() -> None:
        for item in ("first", "second"):
            with isolated(store, item):
                if item == "first" and broken:
                    raise KeyError("Metrics")
                done.append(item)

    step()
    step()
    assert done == ["second", "second"]
    assert caplog.text.count("first is left as it is, and tried again") == 1
    broken.clear()
    step()
    step()
    assert done[2:] == ["first", "second"] * 2
    assert caplog.text.count("first works again") == 1
    store.close()
