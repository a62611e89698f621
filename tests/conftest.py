"""Rules for every test: what runs side by side, and what a skip means where every tool is required."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests import gates, leftovers
from tests.chatbot.visitors import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A gate's answer depends on the commit alone. `.ci/slow` looks for new cases (HYPOTHESIS_PROFILE=default).
hypothesis.settings.register_profile("gate", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))

# The collector walks through all of moto, botocore and gradio again and again: half of the time of many a test.
gc.set_threshold(50_000, 20, 20)

# These files share one deployment, so one worker has them all.
DEPLOYED = tuple(
    f"tests/e2e/test_{name}.py"
    for name in ("adoption", "browser", "deploy", "release", "release_by_hand", "release_killed")
)
# Another deployment, for the tests of the chatbot on it.
CHATBOT_DEPLOYED = "tests/chatbot/deployed"
# These take minutes: begun last, they would leave the other workers with nothing to do.
MINUTES = tuple(f"tests/e2e/test_{name}.py" for name in ("release_broken", "resume", "docker", "split", "github"))
# The others, by what they start.
LONGEST = ["e2e", "terraform", "browser", "emulator", "chatbot"]


@pytest.fixture(scope="module")  # Playwright's event loop is in the way of asyncio.run in another module's tests
def browser() -> Iterator[Browser]:
    """Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    sync_api.expect.set_options(timeout=60_000)
    with sync_api.sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


# Who uses one of these fixtures waits for a program that it starts, and is marked with that program's name.
STARTED = {
    "chatbot": {"app", "embedded", "stage", "start"},
    "emulator": {"emulator", "emulator_process", "endpoint", "running", "shared_world", "store"},
}


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Marks each test with what it starts and its gate; sorts the files, once `-m` has chosen, the longest first."""
    for item in items:
        _belongs_to_one_gate(item)
        for mark, fixtures in STARTED.items():
            if fixtures.intersection(getattr(item, "fixturenames", ())):
                item.add_marker(mark)
    yield
    ranks: dict[Path, int] = {}
    for item in items:
        rank = _rank(item)
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


def _belongs_to_one_gate(item: pytest.Item) -> None:
    """What needs a Docker engine is slow, as no new machine has one; what is slow says in which group it is."""
    if item.get_closest_marker("docker") and not item.get_closest_marker("slow"):
        item.add_marker(pytest.mark.slow(group="docker"))
    groups = {mark.kwargs.get("group") for mark in item.iter_markers("slow")}
    if groups - gates.GROUPS.keys() or len(groups) > 1:
        raise pytest.UsageError(f"{item.nodeid}: slow(group=…) names one of {', '.join(gates.GROUPS)} (tests/gates.py)")


def _rank(item: pytest.Item) -> int:
    """Which come first: the lowest."""
    order = [DEPLOYED[0], CHATBOT_DEPLOYED, *MINUTES]
    scope = _scope(item.nodeid)
    for place, name in enumerate(order):
        if scope.startswith(name):
            return place
    marks = [LONGEST.index(mark.name) for mark in item.iter_markers() if mark.name in LONGEST]
    return len(order) + min(marks, default=len(LONGEST))


def _scope(nodeid: str) -> str:
    """What one worker has to itself: a file, a deployment, or a test that has its own and takes minutes."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/chatbot/") and "deployed" in nodeid.rpartition("[")[2]:
        return CHATBOT_DEPLOYED
    if file.endswith("/test_resume.py"):
        return nodeid
    return DEPLOYED[0] if file in DEPLOYED else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What runs side by side (`-n`): each scope on one worker."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _scope(nodeid)

    return Scheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    leftovers.mark()


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # before any worker begins
        for line in leftovers.end():
            print(line, file=sys.stderr)


# What a shared fixture failed with, and the test that was told of it.
_broken_fixtures: dict[BaseException, str] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    try:
        report = yield
    except SystemError:
        # To show a failure pytest parses the files of its frames, which Python 3.11 cannot always while other threads
        # compile (https://github.com/python/cpython/issues/106905); the worker would end, with all its tests.
        item.config.option.tbstyle = "native"
        report = pytest.TestReport.from_item_and_call(item, call)
    if call.when == "setup" and report.failed and call.excinfo:
        first = _broken_fixtures.setdefault(call.excinfo.value, item.nodeid)
        if first != item.nodeid:
            report.longrepr = f"{item.nodeid} was not run: a fixture that it shares failed, see {first}"
    if report.skipped and os.environ.get("REQUIRE_TOOLS") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        # What the network does not give is nobody's omission: no tool to install.
        if not reason.startswith("Skipped: network:"):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped where every tool is required: {reason}"
    return report
