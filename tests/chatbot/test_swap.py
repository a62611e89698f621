"""What a visitor keeps when tasks come and go behind the load balancer: a killed one, and those of a release."""

from __future__ import annotations

import os
import re
import secrets
import signal

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.chatbot.browsing import answers, ask, questions, ready, send, settled, writing
from tests.chatbot.conftest import Stage
from tests.chatbot.deployment import Hosted

pytestmark = [
    pytest.mark.browser, pytest.mark.slow(group="chat"), pytest.mark.e2e,
    pytest.mark.parametrize("stage", ["deployed"], indirect=True, scope="session"),
]  # fmt: skip


@pytest.fixture
def service(stage: Stage) -> Hosted:
    """Two tasks behind the load balancer."""
    assert isinstance(stage.served, Hosted)
    return stage.served


def kept(page: Page) -> str:
    """What is left of the answer that was broken off, once the page says so."""
    expect(page.get_by_role("button", name="Try again")).to_be_visible(timeout=60_000)
    expect(page.locator("#notice")).to_contain_text("What had arrived is kept")
    return answers(page).last.inner_text()


def test_a_killed_task_costs_the_rest_of_one_answer_and_the_other_task_goes_on(page: Page, service: Hosted) -> None:
    known = len(service.who_answered())
    ask(page, "before the kill")
    service.wait(lambda: len(service.who_answered()) > known, what="the answer in the log")
    # One visitor's questions all go to the same task.
    task = next(arn for arn in service.tasks() if arn.endswith(service.who_answered()[-1]))
    send(page, "slowly")
    expect(answers(page).last).to_contain_text("0 1 2 3")
    os.kill(service.tasks()[task], signal.SIGKILL)
    assert re.match(r"0 1 2 ", kept(page))
    expect(questions(page)).to_have_text(["before the kill", "slowly"])
    ask(page, "after the kill")
    expect(answers(page).last).to_contain_text("You said:")
    expect(answers(page)).to_have_count(3)
    service.wait(lambda: len(service.tasks()) == 2 and task not in service.tasks(), what="a task in its place")


def test_a_release_in_the_middle_of_an_answer_keeps_what_had_arrived_and_the_conversation_goes_on(
    page: Page, service: Hosted
) -> None:
    ask(page, "before the release")
    title = f"Released {secrets.token_hex(2)}"
    branding = service.machine.folder / "chatbot/branding.py"
    branding.write_text(re.sub('^TITLE = ".*"', f'TITLE = "{title}"', branding.read_text(), flags=re.MULTILINE))
    service.machine.commit(title)
    release = service.machine.spawn("orchestrator", "release", "--env", service.machine.environment)
    service.wait(lambda: len(service.tasks()) > 2, seconds=300, what="the release's tasks")
    send(page, "steadily")
    writing(page)
    output, _ = release.communicate(timeout=300)
    assert release.returncode == 0, output[-3000:]
    before = kept(page)
    assert re.match(r"0 1 2 ", before)
    assert page.title() == title
    expect(questions(page)).to_have_text(["before the release", "steadily"])
    page.get_by_role("button", name="Try again").click()
    expect(answers(page).last).not_to_have_text(before, timeout=60_000)  # the new answer has begun
    writing(page)
    page.keyboard.press("Escape")
    settled(page)
    page.reload()
    ready(page)
    expect(questions(page)).to_have_text(["before the release", "steadily"])
    expect(answers(page)).to_have_count(2)
