from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.control.table import SERVICES
from emulator.loops import codebuild, codedeploy, codepipeline, events
from emulator.loops.runner import Loop, Runner
from emulator.server import FrontDoor
from emulator.state import moto
from emulator.state.store import Store
from tests.emulator.release.house import FakeEcs, House
from tests.emulator.release.pipes import Pipes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An emulator without loops, that does not listen."""
    moto.reset()
    store = Store(tmp_path / "emulator")
    FrontDoor(store)
    yield store
    store.children.close()


@pytest.fixture
def house(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """With a minute of a tenth of a second: the hour of a hook is six."""
    monkeypatch.setenv("EMULATOR_TIME_SCALE", "600")
    ecs = FakeEcs()
    monkeypatch.setitem(SERVICES, "ecs", ecs.operations())
    monkeypatch.delitem(SERVICES, "elbv2", raising=False)
    runner = Runner(store, [Loop("codedeploy", codedeploy.reconcile, 0.02)])
    runner.start()
    yield House(store, ecs)
    runner.close()


@pytest.fixture
def pipes(house: House) -> Iterator[Pipes]:
    """With all that a pipeline needs, but no pipeline yet."""
    loops = {"codebuild": codebuild.reconcile, "codepipeline": codepipeline.reconcile, "events": events.reconcile}
    runner = Runner(house.store, [Loop(name, step, 0.05) for name, step in loops.items()])
    runner.start()
    yield Pipes(house)
    runner.close()
