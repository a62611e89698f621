"""One deployment, shared by the tests that only look at it or repair what they break."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import QUICK, Machine
from tests.e2e.releasing import Before, settle

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The whole system, deployed as a user would."""
    machine = Machine(tmp_path_factory.mktemp("machine"), variables=QUICK)
    try:
        with machine:
            machine.orchestrate("deploy")
            yield machine
    finally:
        shutil.rmtree(machine.folder, ignore_errors=True)


@pytest.fixture
def releasing(deployed: Machine, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """The shared deployment for a test that releases: nothing runs afterwards, and a failure leaves all as it was."""
    before = Before.of(deployed)
    yield deployed
    settle(deployed)
    if request.node.stash.get(FAILED, True):
        before.restore(deployed)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine where nothing is deployed yet, its emulator running."""
    with Machine(tmp_path / "machine") as machine:
        yield machine
