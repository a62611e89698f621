"""The page of the image in Chromium: nothing that the Dockerfile leaves out is what a browser asks for."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.image.containers import Containers

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Response, expect, sync_playwright

pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.slow(group="images")]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def test_a_visitor_chats_and_every_file_that_the_browser_asks_for_is_there(model: str, containers: Containers) -> None:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    container = containers.run(model, "--env=CHATBOT_MAX_TOKENS=60")
    container.until_ready("/readyz")
    answers: dict[str, int] = {}

    def note(response: Response) -> None:
        answers[response.url] = response.status

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("response", note)
        page.goto(container.url, timeout=60_000)
        box = page.get_by_role("textbox", name="Message")
        expect(box).to_be_visible(timeout=60_000)
        box.fill("Write a Python function that adds two numbers.")
        box.press("Enter")
        expect(page.locator("#chat [data-testid=bot]").first).to_contain_text("a", timeout=120_000)
        page.wait_for_load_state("networkidle", timeout=120_000)
        browser.close()
    assert len(answers) > 20
    assert {url: status for url, status in answers.items() if status >= 400} == {}
    assert all(url.startswith((container.url, "data:", "blob:")) for url in answers)
