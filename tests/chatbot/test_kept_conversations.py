"""Conversations in the visitor's browser: several of them, kept over reloads and dead tasks, exported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.chatbot.browsing import (
    anew,
    answers,
    ask,
    box,
    conversations,
    menu,
    questions,
    ready,
    send,
    settled,
    writing,
)
from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.served import Served, now

pytestmark = pytest.mark.browser
Serve = Callable[..., Served]


def test_a_conversation_survives_a_reload_and_goes_on(page: Page) -> None:
    ask(page, "remember me")
    answer = answers(page).inner_text()
    page.reload()
    ready(page)
    expect(questions(page)).to_have_text(["remember me"])
    expect(answers(page)).to_have_text([answer])
    ask(page, "and me")
    expect(answers(page)).to_have_count(2)


def test_several_conversations_are_listed_opened_renamed_and_deleted(page: Page) -> None:
    names = conversations(page)
    ask(page, "about apples")
    anew(page)
    ask(page, "about pears")
    expect(names).to_have_text(["about pears", "about apples"])
    names.filter(has_text="apples").click()
    expect(questions(page)).to_have_text(["about apples"])
    expect(page.locator("#conversations [aria-current=page]")).to_have_text("about apples")

    menu(page, "Rename")
    field = page.get_by_role("textbox", name="Name of the conversation")
    field.fill("Fruit")
    field.press("Enter")
    expect(names.filter(has_text="Fruit")).to_have_count(1)
    page.reload()
    ready(page)
    expect(names.filter(has_text="Fruit")).to_have_count(1)
    expect(questions(page)).to_have_text(["about apples"])

    page.once("dialog", lambda dialog: dialog.accept())
    menu(page, "Delete")
    expect(names).to_have_text(["about pears"])
    expect(questions(page)).to_have_count(0)


def test_a_conversation_is_exported_as_markdown_and_as_json(page: Page) -> None:
    ask(page, "export me")
    answer = answers(page).inner_text().strip()
    with page.expect_download() as markdown:
        menu(page, "Export as Markdown")
    text = Path(markdown.value.path()).read_text()
    assert markdown.value.suggested_filename == "export-me.md"
    assert text.startswith("# export me\n\n## You\n\nexport me\n\n## Assistant\n\n") and answer[:20] in text
    with page.expect_download() as exported:
        menu(page, "Export as JSON")
    found = json.loads(Path(exported.value.path()).read_text())
    assert [message["role"] for message in found["messages"]] == ["user", "assistant"]
    assert found["title"] == "export me"


def test_two_tabs_do_not_overwrite_each_others_conversations(opened: Callable[..., Page]) -> None:
    first = opened()
    anew(first)
    ask(first, "in the first tab")
    second = opened()
    anew(second)
    ask(second, "in the second tab")
    ask(first, "more in the first tab")
    names = first.locator("#conversations .open")
    expect(names).to_have_text(["in the first tab", "in the second tab"])
    names.last.click()
    expect(questions(first)).to_have_text(["in the second tab"])


def test_another_conversation_may_be_opened_while_an_answer_is_written(page: Page) -> None:
    ask(page, "short one")
    anew(page)
    send(page, "slowly")
    writing(page)
    page.locator("#conversations .open", has_text="short one").click()
    expect(questions(page)).to_have_text(["short one"])
    settled(page)
    page.wait_for_timeout(700)
    expect(answers(page)).to_have_count(1)
    page.locator("#conversations .open", has_text="slowly").click()
    expect(questions(page)).to_have_count(1)
    expect(answers(page)).to_contain_text(re.compile(r"\d"))


def test_a_conversation_survives_its_task_and_the_answer_it_was_writing(
    opened: Callable[..., Page], serve: Serve, fake: FakeOpenAI
) -> None:
    alone = serve(CHATBOT_BASE_URL=fake.url).ready()
    page = opened(alone.url)
    ask(page, "before the swap")
    send(page, "slowly")
    writing(page)
    box(page).fill("after the swap")
    alone.replace()
    expect(page.get_by_role("button", name="Try again")).to_be_visible(timeout=60_000)
    expect(page.locator("#notice")).to_contain_text("What had arrived is kept")
    kept = answers(page).last.inner_text()
    assert re.search(r"\d", kept)
    expect(box(page)).to_have_value("after the swap")
    since = now()
    box(page).press("Enter")
    expect(answers(page).last).to_contain_text("You said:")
    settled(page)
    assert [len(fake.requests[-1]["messages"]), fake.requests[-1]["messages"][1]["content"]] == [6, "before the swap"]
    assert alone.answered(since)[0]["stop"] == "stop"
    page.reload()
    ready(page)
    expect(answers(page)).to_have_count(3)


def test_a_page_that_was_left_without_an_answer_offers_to_try_again(page: Page) -> None:
    """After it has asked once more by itself."""
    with page.expect_request("**/queue/join*"):
        send(page, "stalls_at_once")
    with page.expect_request("**/queue/join*"):
        page.reload()
    expect(page.locator("#notice")).to_contain_text("took too long")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.reload()
    ready(page)
    expect(page.get_by_text("This question has no answer yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
