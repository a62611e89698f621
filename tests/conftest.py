"""Rules for every test: where CI says REQUIRE_TOOLS, a skip for want of a tool is a failure."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


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
