"""What a visitor does and sees on the page, in Chromium."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# The pictures of docs/: SCREENSHOTS=docs/images python -m pytest tests/e2e/test_browser.py tests/chatbot/test_words.py
ALBUM = os.environ.get("SCREENSHOTS", "")
PATIENCE = 60_000  # milliseconds; a machine that runs other tests beside these is slow at times


def ready(page: Page) -> None:
    """Wait until the page can be written on."""
    box(page).wait_for(timeout=PATIENCE)
    page.wait_for_function("['idle', 'failed'].includes(document.body.dataset.state)", timeout=PATIENCE)


def box(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message")


def answers(page: Page) -> Locator:
    return page.locator("#chat [data-testid=bot]")


def questions(page: Page) -> Locator:
    return page.locator("#chat [data-testid=user]")


def conversations(page: Page) -> Locator:
    """The names in the list beside the chat."""
    return page.locator("#conversations .open")


def send(page: Page, text: str) -> None:
    box(page).fill(text)
    box(page).press("Enter")


def wish(field: Locator, value: str) -> None:
    """Set one of a visitor's settings: type it until it stays.

    A moment after a control has appeared Gradio gives it its default, which takes back what was typed by then.
    """

    def stays() -> bool:
        if field.input_value() != value:
            field.fill(value)
        field.page.wait_for_timeout(500)
        return bool(field.input_value() == value)

    eventually(lambda: stays() and stays(), what=f"{value[:40]!r} in a visitor's setting")


def settled(page: Page, state: str = "idle") -> None:
    page.wait_for_function("state => document.body.dataset.state === state", arg=state, timeout=PATIENCE)


def ask(page: Page, text: str) -> None:
    """Send a question and wait for the end of its answer."""
    before = questions(page).count()
    send(page, text)
    questions(page).nth(before).wait_for(timeout=PATIENCE)
    answers(page).nth(before).wait_for(state="attached", timeout=PATIENCE)
    settled(page)


def anew(page: Page) -> None:
    """Begin a conversation; until the old one has gone, a question would be counted among its own."""
    from playwright.sync_api import expect

    page.get_by_role("button", name="New conversation").click()
    expect(questions(page)).to_have_count(0)


def writing(page: Page) -> None:
    """Wait until an answer is being written: the fake's slow one counts."""
    from playwright.sync_api import expect

    expect(answers(page).last).to_contain_text(re.compile(r"\d"), timeout=PATIENCE)
    assert page.evaluate("document.body.dataset.state") == "answering"


def menu(page: Page, action: str) -> None:
    """Choose from the menu of the open conversation."""
    page.locator("#conversations .current summary").click()
    page.get_by_role("button", name=action).locator("visible=true").click()


def picture(page: Page, folder: Path, name: str) -> None:
    """A screenshot into the album, or where there is none into `folder`."""
    page.mouse.move(640, 690)  # where there is nothing to hover over
    page.wait_for_timeout(800)  # colours and the caret come to rest
    file = (Path(ALBUM).resolve() if ALBUM else folder) / f"chatbot-{name}.png"
    assert page.screenshot(path=file).startswith(b"\x89PNG")


def violations(page: Page, where: str) -> list[str]:
    """What axe finds that is serious; a skip where it is not installed."""
    import pytest

    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page.wait_for_timeout(400)  # transitions: half-faded colours are not what is judged
    results = axe.Axe().run(page).response["violations"]
    return [f"{where}: {each['id']} {[node['html'][:200] for node in each['nodes']]}" for each in results
            if each["impact"] in ("serious", "critical")]  # fmt: skip
