"""Rules for every test: what runs side by side, and what a skip means where every tool is required."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs side by side (`-n`): files, but for the tests that share one deployment."""
    for item in items:
        shared = "deployed" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("deployed" if shared else str(item.path)))


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
