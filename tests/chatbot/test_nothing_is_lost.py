"""Words that a visitor wrote or got are kept, or it is said that they are not: two tabs, pastes, files, no storage."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import BrowserContext, Page, expect

from tests.chatbot.browsing import (
    answers,
    ask,
    box,
    conversations,
    menu,
    questions,
    ready,
    send,
    settled,
    wish,
    writing,
)
from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.served import Served
from tests.waiting import eventually

pytestmark = pytest.mark.browser
Opened = Callable[..., Page]


def kept(page: Page) -> list[str]:
    """Every question that this browser keeps, whatever conversation it is in."""
    texts: list[str] = page.evaluate(
        "Object.keys(localStorage).filter(key => key.startsWith('chatbot:conversation:')).flatMap(key =>"
        " JSON.parse(localStorage.getItem(key)).messages).filter(m => m.role === 'user').map(m => m.text)"
    )
    return texts


def test_a_tab_goes_on_where_another_one_has_gone_on(opened: Opened, fake: FakeOpenAI) -> None:
    first = opened()
    ask(first, "France?")
    second = opened()
    expect(questions(second)).to_have_text(["France?"])
    ask(second, "Italy?")
    expect(questions(first)).to_have_text(["France?", "Italy?"])
    expect(answers(first)).to_have_count(2)
    ask(first, "Spain?")
    assert [turn["content"] for turn in fake.requests[-1]["messages"] if turn["role"] == "user"][-3:] == [
        "France?", "Italy?", "Spain?",
    ]  # fmt: skip
    for tab in (first, second):
        tab.reload()
        ready(tab)
        expect(questions(tab)).to_have_text(["France?", "Italy?", "Spain?"])
        expect(answers(tab)).to_have_count(3)
    expect(conversations(first)).to_have_count(1)


def test_two_tabs_that_ask_at_once_keep_both_questions_and_say_so(opened: Opened) -> None:
    first = opened()
    ask(first, "France?")
    second = opened()
    expect(questions(second)).to_have_text(["France?"])
    send(first, "counts 60 Italy?")
    writing(first)
    box(second).fill("counts 60 Spain?")
    second.evaluate("document.querySelector('#box .submit-button').click()")
    writing(second)
    for tab in (first, second):
        settled(tab)
    second.wait_for_timeout(1500)
    eventually(lambda: set(kept(first)) == {"France?", "counts 60 Italy?", "counts 60 Spain?"})
    for tab in (first, second):
        tab.reload()
        ready(tab)
    shown = questions(first).all_inner_texts() + questions(second).all_inner_texts()
    assert {"counts 60 Italy?", "counts 60 Spain?"} <= {text.strip() for text in shown}


def test_a_tab_that_only_watches_makes_no_copy(opened: Opened) -> None:
    first = opened()
    ask(first, "France?")
    second = opened()
    expect(questions(second)).to_have_text(["France?"])
    for number in (1, 2, 3):
        send(second, f"counts 20 {number}")
        expect(answers(second)).to_have_count(number + 1)
        settled(second)
    second.wait_for_timeout(1000)
    assert kept(first) == ["France?", "counts 20 1", "counts 20 2", "counts 20 3"]
    expect(questions(first)).to_have_text(["France?", "counts 20 1", "counts 20 2", "counts 20 3"])
    expect(conversations(first)).to_have_count(1)


def test_what_one_tab_deletes_no_other_brings_back(opened: Opened) -> None:
    first = opened()
    ask(first, "secret")
    second = opened()
    expect(questions(second)).to_have_text(["secret"])
    send(second, "slowly more")
    writing(second)
    first.once("dialog", lambda dialog: dialog.accept())
    menu(first, "Delete")
    expect(questions(second)).to_have_count(0)
    expect(second.locator("#said")).to_have_text("This conversation was deleted in another tab.")
    settled(second)
    second.wait_for_timeout(700)
    assert kept(first) == []
    expect(conversations(first)).to_have_count(0)
    ask(second, "anew")
    assert kept(first) == ["anew"]


def test_what_was_written_while_the_news_of_its_deletion_was_on_its_way_is_deleted_too(page: Page) -> None:
    """Browsers tell a tab of another one's change a moment later, and show it what was there until then."""
    ask(page, "secret")
    send(page, "slowly more")
    writing(page)
    page.evaluate("""() => {
        const key = Object.keys(localStorage).find((key) => key.startsWith("chatbot:conversation:"))
        dispatchEvent(new StorageEvent("storage", { key, newValue: null }))
    }""")
    expect(questions(page)).to_have_count(0)
    expect(page.locator("#said")).to_have_text("This conversation was deleted in another tab.")
    page.wait_for_timeout(700)
    assert kept(page) == []


def test_a_long_paste_is_not_cut_and_is_sent_once_it_is_short_enough(page: Page, fake: FakeOpenAI) -> None:
    long = "word " * 20_000
    page.evaluate("text => navigator.clipboard.writeText(text)", long)
    box(page).click()
    page.keyboard.press("Control+V")
    expect(box(page)).to_have_value(long)
    expect(page.locator("#said")).to_contain_text("this one has 100,000")
    asked = len(fake.requests)
    box(page).press("Enter")
    page.locator("#box .submit-button").click()
    page.wait_for_timeout(500)
    expect(box(page)).to_have_value(long)
    expect(questions(page)).to_have_count(0)
    assert len(fake.requests) == asked
    box(page).fill("short")
    expect(page.locator("#said")).to_have_text("")
    box(page).press("Enter")
    expect(questions(page)).to_have_text(["short"])


def test_characters_are_counted_as_the_server_counts_them(page: Page, served: Served) -> None:
    exactly = "\U0001f600" * 4000  # each is two for JavaScript
    box(page).fill(exactly)
    expect(page.locator("#said")).to_have_text("")
    box(page).fill(exactly + "!")
    expect(page.locator("#said")).to_contain_text("4,001")


@pytest.mark.parametrize("how", ["paste", "drop"])
def test_a_picture_is_refused_in_words_and_the_draft_stays(page: Page, how: str) -> None:
    box(page).fill("a draft")
    taken = page.evaluate(
        """how => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(8)], "cat.png", { type: "image/png" }));
          const event = how === "paste"
            ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
            : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
          return !document.querySelector("#box textarea").dispatchEvent(event);
        }""",
        how,
    )
    assert taken, "the browser would open the file in place of the page"
    expect(page.locator("#said")).to_contain_text("text only")
    expect(box(page)).to_have_value("a draft")


def test_where_the_browser_forbids_storage_a_question_is_answered_and_stays(
    context: BrowserContext, opened: Opened
) -> None:
    context.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name,"
        " { get() { throw new DOMException('denied', 'SecurityError') } })"
    )
    page = opened()
    ask(page, "first")
    ask(page, "second")
    expect(questions(page)).to_have_text(["first", "second"])
    expect(conversations(page)).to_have_count(1)


def test_a_system_prompt_that_is_too_long_is_refused_not_cut(page: Page, fake: FakeOpenAI) -> None:
    page.get_by_role("button", name="Settings").click()
    asked = len(fake.requests)
    wish(page.get_by_label("System prompt"), "be brief " * 1000)
    send(page, "hello")
    expect(page.locator("#notice")).to_contain_text("Your system prompt is too long")
    assert len(fake.requests) == asked
