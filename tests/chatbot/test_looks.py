"""How the page looks and moves: widths, light and dark, labels, little motion."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, Page, expect

from tests.chatbot.browsing import anew, ask, ready, send, settled, violations
from tests.chatbot.served import Served

pytestmark = pytest.mark.browser
Serve = Callable[..., Served]


def test_the_page_names_the_model_and_the_title(page: Page) -> None:
    expect(page.locator("#top .model .name")).not_to_be_empty()
    title = page.locator("#top h1").inner_text()
    assert page.title() == title
    expect(page.locator("#chat .placeholder h2")).to_have_text(title)


def test_a_link_to_the_page_is_shown_with_its_own_title(served: Served) -> None:
    _, html = served.get("/")
    previews = re.findall(r'<meta\s+(?:property|name)="(?:og|twitter):\w+"\s+content="([^"]*)"', html)
    title = re.search(r'"title":"([^"]+)"', html)  # as the page is configured
    assert title and previews == [title[1], "Ask anything. Your conversations stay in this browser."]
    assert "raw.githubusercontent.com" not in html


def test_dark_follows_the_system_until_the_visitor_chooses(browser: Browser, served: Served) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(served.url)
    ready(page)
    assert background(page) < 80
    page.get_by_role("button", name="Switch between light and dark").click()
    assert background(page) > 200
    page.reload()
    ready(page)
    assert background(page) > 200
    context.close()


def background(page: Page) -> int:
    colour = page.evaluate("getComputedStyle(document.querySelector('gradio-app')).backgroundColor")
    return int(re.findall(r"\d+", colour)[0])


@pytest.mark.parametrize(("width", "height"), [(360, 640), (768, 1024), (1440, 900)])
def test_nothing_sticks_out_at_any_width(opened: Callable[..., Page], width: int, height: int) -> None:
    page = opened(width=width, height=height)
    ask(page, "markdown")
    ask(page, "x" * 300)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for selector in ("#box", "#top header", "#chat .user-row", "#chat .bot-row", "#dark"):
        for element in page.locator(selector).all():
            bounds = element.bounding_box()
            assert bounds and bounds["x"] >= 0 and bounds["x"] + bounds["width"] <= width, selector


def test_on_a_phone_the_list_is_out_of_the_way_until_it_is_wanted(opened: Callable[..., Page]) -> None:
    page = opened(width=360, height=640)
    toggle = page.get_by_role("button", name="Conversations")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    ask(page, "on the phone")
    toggle.click()
    anew(page)
    expect(toggle).to_have_attribute("aria-expanded", "false")
    ask(page, "once more")


def test_less_motion_is_no_motion(browser: Browser, served: Served) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(served.url)
    ready(page)
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s'"
        " || getComputedStyle(e).animationName !== 'none').length"
    )
    assert moving == 0
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened: Callable[..., Page], scheme: str, width: int) -> None:
    page = opened(width=width, height=800)
    page.evaluate("scheme => document.body.classList.toggle('dark', scheme === 'dark')", scheme)
    found = violations(page, "empty")
    ask(page, "markdown")
    found += violations(page, "answered")
    if width < 768:
        page.get_by_role("button", name="Conversations").click()
    page.locator("#conversations summary").first.click()
    found += violations(page, "menu")
    page.keyboard.press("Escape")
    if width < 768:
        page.get_by_role("button", name="Conversations").click()
    page.locator("#chat").get_by_role("button", name="Edit").first.click()
    found += violations(page, "editing")
    page.keyboard.press("Escape")
    send(page, "503")
    settled(page, "failed")
    found += violations(page, "failed")
    assert found == []
    page.evaluate("document.body.append(document.createElement('button'))")
    assert "button-name" in violations(page, "a button without a name")[0]
