"""One deployment, shared by the tests that only look at it or repair what they break."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import Machine


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The whole system, deployed as a user would."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    machine.start()
    try:
        machine.orchestrate("deploy")
        yield machine
    finally:
        machine.stop()
        shutil.rmtree(machine.folder, ignore_errors=True)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine where nothing is deployed yet, its emulator running."""
    machine = Machine(tmp_path / "machine")
    machine.start()
    try:
        yield machine
    finally:
        machine.stop()
