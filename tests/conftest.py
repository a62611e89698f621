"""Rules for every test: what runs side by side, and what a skip means where every tool is required."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from typing import Any

import pytest

# The collector walks through all of moto, botocore and gradio again and again: half of the time of many a test.
gc.set_threshold(50_000, 20, 20)

# These files share one deployment, so one worker has them all.
DEPLOYED = ("tests/e2e/test_adoption.py", "tests/e2e/test_deploy.py", "tests/e2e/test_release.py")


# Who uses one of these fixtures waits for a program that it starts, and is marked with that program's name.
STARTED = {
    "chatbot": {"app", "embedded", "start"},
    "emulator": {"emulator", "emulator_process", "endpoint", "running", "shared_world", "store"},
}


# First of all hooks, so that `-m` knows these marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test with what it starts. The longest first, so that no worker is left alone with it."""
    for item in items:
        for mark, fixtures in STARTED.items():
            if fixtures.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(mark)
    items.sort(key=lambda item: not item.nodeid.startswith("tests/e2e/"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What runs side by side (`-n`): files, each on one worker."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return DEPLOYED[0] if file in DEPLOYED else file

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("REQUIRE_TOOLS") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        # What the network does not give is nobody's omission: no tool to install.
        if not reason.startswith("Skipped: network:"):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped where every tool is required: {reason}"
    return report
