"""The page in Chromium: what a visitor does with a conversation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect

from tests.chatbot.browsing import (
    anew,
    answers,
    ask,
    box,
    conversations,
    questions,
    ready,
    send,
    settled,
    wish,
    writing,
)
from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.served import Served, now

pytestmark = pytest.mark.browser
Serve = Callable[..., Served]


def test_an_answer_streams_and_the_box_is_free_for_the_next(page: Page) -> None:
    send(page, "slowly")
    expect(questions(page)).to_have_text(re.compile(re.escape("slowly")))
    expect(box(page)).to_have_value("")
    writing(page)
    first = answers(page).last.inner_text()
    page.wait_for_function("n => document.querySelector('#chat .latest').innerText.length > n", arg=len(first))
    page.get_by_role("button", name="Stop").click()
    settled(page)


def test_an_example_is_asked_by_a_click(page: Page) -> None:
    example = page.locator("#chat .example").first
    text = example.inner_text()
    example.click()
    expect(questions(page)).to_have_text([text])
    settled(page)
    expect(answers(page)).to_have_count(1)


def test_code_is_a_block_that_can_be_copied(page: Page) -> None:
    ask(page, "markdown")
    block = answers(page).locator(".code_wrap").first
    expect(block.locator("code")).to_contain_text("print")
    block.hover()
    block.locator("button").click()
    assert page.evaluate("navigator.clipboard.readText()").strip() == block.locator("code").inner_text().strip()


def test_an_answer_is_copied_by_its_button(page: Page) -> None:
    ask(page, "copy this")
    page.locator("#chat .message-buttons-left").get_by_role("button", name="Copy message").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == answers(page).inner_text().strip()


@pytest.mark.parametrize("by", ["button", "escape"])
def test_a_stopped_answer_keeps_what_had_arrived_and_the_next_question_is_answered(page: Page, by: str) -> None:
    send(page, "slowly")
    writing(page)
    if by == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    settled(page)
    expect(page.get_by_role("status").filter(has_text="Stopped.")).to_be_visible()
    kept = answers(page).last.inner_text()
    assert kept.strip()
    page.wait_for_timeout(500)
    assert answers(page).last.inner_text() == kept
    ask(page, "still there?")
    expect(answers(page)).to_have_count(2)


# What the server sends arrives later by a second and a half, from when this is evaluated on.
BELATED = """() => {
    const real = window.fetch
    window.fetch = async (...asked) => {
        const response = await real(...asked)
        if (!String(asked[0].url ?? asked[0]).includes('/queue/data')) return response
        const belated = new ReadableStream({
            start(controller) {
                const reader = response.body.getReader()
                const read = () => reader.read().then(({ done, value }) => {
                    setTimeout(() => { try { done ? controller.close() : controller.enqueue(value) } catch {} }, 1500)
                    if (!done) read()
                }, () => {})
                read()
            },
        })
        return new Response(belated, { status: response.status, headers: response.headers })
    }
}"""


def test_what_arrives_of_an_answer_after_its_stop_is_not_shown(page: Page) -> None:
    page.evaluate(BELATED)
    send(page, "slowly")
    writing(page)
    page.get_by_role("button", name="Stop").click()
    settled(page)
    shown = answers(page).last.inner_text()
    page.wait_for_timeout(3000)
    expect(page.get_by_role("status").filter(has_text="Stopped.")).to_be_visible()
    kept = answers(page).last.inner_text()
    assert kept and shown.startswith(kept)
    page.reload()
    ready(page)
    expect(answers(page)).to_have_text([kept])
    ask(page, "still there?")
    expect(answers(page)).to_have_count(2)


def test_what_arrives_of_an_answer_that_was_left_does_not_come_into_another_conversation(page: Page) -> None:
    ask(page, "the first one")
    anew(page)
    page.evaluate(BELATED)
    send(page, "slowly")
    writing(page)
    conversations(page).filter(has_text="the first one").click()
    expect(questions(page)).to_have_text(["the first one"])
    page.wait_for_timeout(3000)
    expect(questions(page)).to_have_text(["the first one"])
    expect(answers(page)).to_have_text(["You said: the first one"])
    page.reload()
    ready(page)
    expect(answers(page)).to_have_text(["You said: the first one"])
    conversations(page).filter(has_text="slowly").click()
    expect(questions(page)).to_have_text(["slowly"])


@pytest.mark.parametrize("width", [1280, 390])
def test_a_stopped_answer_that_is_opened_again_is_a_conversation_like_others(
    opened: Callable[..., Page], width: int
) -> None:
    """Stopped before its first word came: the way back to it offers another try, and closes a phone's list."""
    page = opened(width=width, height=800)
    ask(page, "the first one")
    _choose(page, "New conversation")
    expect(questions(page)).to_have_count(0)
    send(page, "stalls_at_once")
    page.get_by_role("button", name="Stop").click()
    settled(page)
    expect(page.locator("#notice p")).to_have_text("Stopped.")
    for name, count in (("the first one", 1), ("stalls_at_once", 0)):
        _choose(page, name)
        expect(questions(page)).to_have_text([name])
        expect(answers(page)).to_have_count(count)
    expect(page.locator("#notice p")).to_have_text("This question has no answer yet.")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator("#sidebar.open")).to_have_count(0 if width == 390 else 1)


def _choose(page: Page, name: str) -> None:
    """Click on what the list beside the chat has by that name; it is closed on a phone."""
    if not page.locator("#sidebar.open").count():
        page.get_by_role("button", name="Conversations", exact=True).click()
    page.locator("#sidebar").get_by_role("button", name=name).first.click()


def test_a_retry_answers_the_same_question_again(page: Page) -> None:
    ask(page, "say something")
    page.get_by_role("button", name="Retry").click()
    settled(page)
    expect(questions(page)).to_have_count(1)
    expect(answers(page)).to_have_count(1)
    expect(answers(page)).not_to_be_empty()


def test_an_edited_question_is_asked_anew_and_what_followed_is_gone(page: Page) -> None:
    ask(page, "first question")
    ask(page, "second question")
    page.locator("#chat").get_by_role("button", name="Edit").first.click()
    field = page.get_by_role("textbox", name="Edit your message")
    field.fill("another question")
    page.locator("#chat").get_by_role("button", name="Submit").click()
    expect(questions(page)).to_have_count(1)
    expect(questions(page)).to_have_text(["another question"])
    settled(page)
    expect(answers(page)).to_have_count(1)


def test_arrow_up_edits_the_last_question_by_keyboard_alone(page: Page) -> None:
    ask(page, "first question")
    ask(page, "second question")
    box(page).focus()
    page.keyboard.press("ArrowUp")
    field = page.get_by_role("textbox", name="Edit your message")
    expect(field).to_be_focused()
    expect(field).to_have_value("second question")
    page.keyboard.press("Control+a")
    page.keyboard.type("better question")
    page.keyboard.press("Enter")
    expect(questions(page).last).to_have_text("better question")
    settled(page)
    expect(questions(page)).to_have_text(["first question", "better question"])
    expect(answers(page)).to_have_count(2)


def test_enter_sends_and_shift_enter_breaks_the_line(page: Page) -> None:
    box(page).focus()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(box(page)).to_have_value("one\ntwo")
    page.keyboard.press("Enter")
    expect(questions(page)).to_have_count(1)
    assert questions(page).inner_text().split() == ["one", "two"]
    settled(page)


@pytest.mark.parametrize("asked", ["in the box", "by a retry"])
def test_what_is_sent_while_an_answer_is_written_waits_in_the_box(page: Page, asked: str) -> None:
    send(page, "slowly")
    writing(page)
    if asked == "by a retry":
        page.get_by_role("button", name="Stop").click()
        settled(page)
        page.get_by_role("button", name="Retry").click()
        writing(page)
    send(page, "too early")
    page.wait_for_timeout(700)
    assert page.evaluate("document.body.dataset.state") == "answering"
    expect(questions(page)).to_have_text(["slowly"])
    expect(answers(page)).to_have_count(1)
    expect(box(page)).to_have_value("too early")
    page.keyboard.press("Escape")
    settled(page)
    box(page).press("Enter")
    expect(answers(page).last).to_contain_text("You said: too early")
    settled(page)


def test_an_empty_message_is_not_sent(page: Page) -> None:
    box(page).focus()
    page.keyboard.type("  ")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    expect(questions(page)).to_have_count(0)
    expect(answers(page)).to_have_count(0)


# A network on which every message takes half a second.
# A network on which the next request arrives after the one that follows it.
OVERTAKING = """() => {
    const real = window.fetch
    let wait = 1500
    window.fetch = async (...asked) => {
        const mine = wait
        wait = 0
        await new Promise(done => setTimeout(done, mine))
        return real(...asked)
    }
}"""


def test_what_a_visitor_thinks_of_an_answer_is_in_the_log(page: Page, served: Served) -> None:
    ask(page, "judge me")
    since = now()
    page.evaluate(OVERTAKING)
    page.get_by_role("button", name="Like", exact=True).click()
    page.get_by_role("button", name="Dislike", exact=True).click()  # a second thought, while the first is on its way
    served.wait(lambda: len(served.lines("feedback", since)) == 2, what="both log lines")
    liked, disliked = served.lines("feedback", since)
    assert (liked["feedback"], liked["message"], liked["messages"], liked["model"]) == ("liked", 1, 2, "fake-model")
    assert disliked["feedback"] == "disliked"
    assert "judge me" not in json.dumps([liked, disliked])


def test_a_visitor_changes_what_the_deployment_lets_them(page: Page, fake: FakeOpenAI) -> None:
    page.get_by_role("button", name="Settings").click()
    wish(page.get_by_role("spinbutton", name=re.compile("Temperature")), "1.5")
    wish(page.get_by_role("textbox", name="System prompt"), "Answer in verse.")
    ask(page, "a verse")
    request = fake.requests[-1]
    assert request["temperature"] == 1.5
    assert request["messages"][0] == {"role": "system", "content": "Answer in verse."}
