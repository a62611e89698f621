"""The chatbot on two stages: a process of its own, and, among the slow tests, deployed behind the load balancer."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.chatbot import deployment, engines_table
from tests.chatbot.browsing import ready
from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.served import PATIENCE, App, Served
from tests.e2e.machine import Machine

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeOpenAI]:
    """A server that misbehaves on demand."""
    server = FakeOpenAI().start()
    yield server
    server.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., App]]:
    """Starts apps; what is left of them is killed."""
    started: list[App] = []

    def start_app(**settings: str) -> App:
        started.append(App(**settings))
        return started[-1]

    yield start_app
    for app in started:
        app.kill()


@pytest.fixture(scope="session")
def app(fake: FakeOpenAI) -> Iterator[App]:
    """The app over the fake, with short time-outs and no rate limit."""
    running = App(CHATBOT_BASE_URL=fake.url, **PATIENCE)
    try:
        running.ready()
        yield running
    finally:
        running.kill()


@dataclass(frozen=True)
class Stage:
    """Where a chatbot is tested: one over the fake, and how to start others like it with other settings."""

    served: Served
    start: Callable[..., Served]


def _deployed(request: pytest.FixtureRequest, fake: FakeOpenAI) -> Iterator[Stage]:
    with Machine(request.getfixturevalue("tmp_path_factory").mktemp("stage") / "machine") as machine:
        served = deployment.deploy(machine, fake.url)
        yield Stage(served.ready(), lambda **settings: deployment.start(machine, **settings))


DEPLOYED = pytest.param("deployed", marks=[pytest.mark.slow(group="chat"), pytest.mark.e2e])


@pytest.fixture(scope="session", params=["alone", DEPLOYED])
def stage(request: pytest.FixtureRequest, fake: FakeOpenAI) -> Iterator[Stage]:
    """Each test that asks for it runs on both."""
    if request.param == "alone":
        yield Stage(request.getfixturevalue("app"), App)
    else:
        yield from _deployed(request, fake)


@pytest.fixture
def served(stage: Stage) -> Served:
    """A chatbot over the fake."""
    return stage.served


@pytest.fixture
def serve(stage: Stage) -> Iterator[Callable[..., Served]]:
    """Starts further chatbots of the test's own, with settings of their own."""
    started: list[Served] = []

    def begin(**settings: str) -> Served:
        started.append(stage.start(**settings))
        return started[-1]

    yield begin
    for each in started:
        each.kill()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor: cookies and conversations of their own."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def opened(context: BrowserContext, served: Served) -> Callable[..., Page]:
    """Opens the page, ready to be written on."""

    def open_page(url: str = "", **viewport: int) -> Page:
        page = context.new_page()
        if viewport:
            page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.goto(url or served.url)
        ready(page)
        return page

    return open_page


@pytest.fixture
def page(opened: Callable[..., Page]) -> Page:
    """A visitor's page."""
    return opened()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where it is asked for, the table of the engines in the documentation."""
    if os.environ.get("TABLE"):
        stats = terminalreporter.stats
        reports = [report for name in ("passed", "failed", "error", "skipped") for report in stats.get(name, [])]
        engines_table.write(reports, vars(importlib.import_module("tests.chatbot.test_engines")))
