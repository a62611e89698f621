"""What `make deploy` leaves, as a person finds it: a page behind the load balancer, and the model that is packaged."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, expect

from tests.chatbot.browsing import anew, answers, ask, box, picture, questions, ready
from tests.e2e.machine import Machine

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2, "has_touch": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_person_chats_with_what_was_deployed(deployed: Machine, browser: Browser, look: str, tmp_path: Path) -> None:
    context = browser.new_context(**LOOKS[look])  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(deployed.url)
    ready(page)
    expect(page.locator("#top .tiny")).to_have_text("Tiny demo model, often wrong")
    if look == "light":
        picture(page, tmp_path, "empty")
        ask(page, "Write a haiku about the sea")
        anew(page)
    ask(page, "What is the capital of France?")
    expect(answers(page).last).to_contain_text("Paris")
    ask(page, "Show me a Python function that reverses a string")
    expect(
        answers(page).last
    ).not_to_be_empty()  # as a rule a block of code; a model of this size decides anew each time
    picture(page, tmp_path, look)

    page.reload()
    ready(page)
    expect(questions(page)).to_have_count(2)
    expect(answers(page)).to_have_count(2)
    expect(box(page)).to_be_editable()
    context.close()
