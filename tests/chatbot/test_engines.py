"""The page in three engines. The first line of each test is a row of the table in docs/chatbot.md, which
`TABLE=1 python -m pytest tests/chatbot/test_engines.py` writes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chatbot import engines_table
from tests.chatbot.lossy import lossy
from tests.chatbot.served import App
from tests.chatbot.visitors import ANSWERS, BOX, ENGINES, QUESTIONS, Begin, Visitor

pytestmark = pytest.mark.browser
in_its_group = pytest.mark.slow(group="browsers")  # all but one smoke test
EDIT, EDITED = '#chat button[aria-label="Edit"]', "#chat .edit-textarea"


@pytest.fixture(scope="module", params=ENGINES)
def begin(request: pytest.FixtureRequest) -> Iterator[Begin]:
    """Begins a visitor without a past, in one engine."""
    with ENGINES[request.param]() as begin:
        yield begin


@pytest.fixture
def visitor(begin: Begin, app: App, record_property: engines_table.Record) -> Iterator[Visitor]:
    """At the chatbot's page."""
    visitor = begin()
    record_property("version", visitor.version)
    try:
        yield visitor.open(app.url)
    finally:
        visitor.leave()


def writing(visitor: Visitor) -> None:
    """Wait until an answer is being written: the fake's slow one counts."""
    visitor.until("return /\\d/.test([...document.querySelectorAll(arguments[0])].at(-1)?.innerText)", ANSWERS)
    visitor.state("answering")


def test_a_question_is_answered_and_the_page_stays(visitor: Visitor) -> None:
    """Open, ask, be answered; the page stays as it is"""
    visitor.run("window.stays = true")  # in Firefox it once loaded itself anew every half second
    assert visitor.ask("is anybody there?") == "You said: is anybody there?"
    time.sleep(2)
    assert visitor.run("return window.stays")
    assert visitor.texts(QUESTIONS) == ["is anybody there?"]


@in_its_group
def test_an_answer_streams(visitor: Visitor) -> None:
    """See the answer grow while it is written"""
    visitor.send("slowly")
    writing(visitor)
    before = visitor.texts(ANSWERS)[-1]
    visitor.until("return document.querySelector(arguments[0]).innerText.length > arguments[1]", ANSWERS, len(before))
    assert visitor.texts(ANSWERS)[-1].startswith(before)
    assert visitor.value() == ""


@in_its_group
@pytest.mark.parametrize("by", ["button", "Escape"])
def test_an_answer_is_stopped(visitor: Visitor, by: str) -> None:
    """Stop an answer, by the button or Escape, keep what had arrived, and ask the next question"""
    visitor.send("slowly")
    writing(visitor)
    if by == "button":
        visitor.click("#box .stop-button")
    else:
        visitor.press(by)
    visitor.state("idle")
    assert visitor.texts("#notice p") == ["Stopped."]
    kept = visitor.texts(ANSWERS)[-1]
    time.sleep(1)
    assert visitor.texts(ANSWERS) == [kept]
    assert visitor.ask("still there?") == "You said: still there?"


@in_its_group
def test_a_question_is_edited(visitor: Visitor) -> None:
    """Edit a question; what followed it is gone"""
    visitor.ask("first question")
    visitor.ask("second question")
    visitor.click(EDIT)
    visitor.click(EDITED)
    visitor.press("Control+a")
    visitor.write("another question")
    visitor.press("Enter")
    visitor.until("return document.querySelectorAll(arguments[0]).length === 1", QUESTIONS)
    visitor.state("idle")
    assert visitor.texts(QUESTIONS) == ["another question"]
    assert visitor.texts(ANSWERS) == ["You said: another question"]


@in_its_group
def test_an_answer_is_asked_for_again(visitor: Visitor) -> None:
    """Retry: another answer to the same question"""
    visitor.send("slowly")
    writing(visitor)
    visitor.press("Escape")
    visitor.state("idle")
    visitor.click('button[aria-label="Retry"]')
    visitor.state("answering")
    writing(visitor)
    visitor.press("Escape")
    visitor.state("idle")
    assert visitor.texts(QUESTIONS) == ["slowly"]
    assert len(visitor.texts(ANSWERS)) == 1


@in_its_group
def test_an_answer_is_copied(visitor: Visitor) -> None:
    """Copy an answer by its button, and paste it"""
    answer = visitor.ask("copy this")
    visitor.click('#chat .message-buttons-left button[aria-label="Copy message"]')
    visitor.click(BOX)
    visitor.press("Control+v")
    visitor.until("return document.querySelector(arguments[0]).value !== ''", BOX)
    assert visitor.value().strip() == answer


@in_its_group
def test_a_conversation_survives_a_reload(visitor: Visitor) -> None:
    """Reload: the conversation is there, and what stands in the box; it goes on"""
    visitor.ask("remember me")
    visitor.click(BOX)
    visitor.write("a draft")
    visitor.reload()
    visitor.ready()
    assert visitor.texts(QUESTIONS) == ["remember me"]
    assert visitor.texts(ANSWERS) == ["You said: remember me"]
    assert visitor.value() == "a draft"
    visitor.press("Enter")
    visitor.until("return document.querySelectorAll(arguments[0]).length === 2", ANSWERS)


@in_its_group
def test_a_conversation_survives_the_way_back_to_it(visitor: Visitor, app: App) -> None:
    """Go to another page and back: the conversation is there, and goes on"""
    visitor.ask("remember me")
    visitor.goto(f"{app.url}/robots.txt")
    visitor.back()
    visitor.ready()
    assert visitor.texts(QUESTIONS) == ["remember me"]
    assert visitor.ask("and me") == "You said: and me"
    assert len(visitor.texts(ANSWERS)) == 2


@in_its_group
def test_two_tabs_keep_what_each_was_asked(visitor: Visitor, app: App) -> None:
    """Two tabs with one conversation: each shows what the other adds, and nothing is lost"""
    visitor.ask("France?")
    second = visitor.tab().open(app.url)
    assert second.texts(QUESTIONS) == ["France?"]
    second.ask("Italy?")
    visitor.ask("Spain?")
    for tab in (visitor, second):
        tab.reload()
        tab.ready()
        assert tab.texts(QUESTIONS) == ["France?", "Italy?", "Spain?"]
        assert tab.texts(ANSWERS) == ["You said: France?", "You said: Italy?", "You said: Spain?"]


@in_its_group
def test_two_tabs_that_ask_at_once_keep_both_questions(visitor: Visitor, app: App) -> None:
    """Two tabs that ask at once: both questions and answers are kept"""
    visitor.ask("France?")
    second = visitor.tab().open(app.url)
    visitor.send("slowly Italy?")
    writing(visitor)
    second.send("slowly Spain?")
    writing(second)
    for tab in (visitor, second):
        tab.press("Escape")
        tab.state("idle")
    answers = [visitor.texts(ANSWERS), second.texts(ANSWERS)]
    time.sleep(1)
    kept = visitor.run(
        "return Object.keys(localStorage).filter((key) => key.startsWith('chatbot:conversation:'))"
        ".map((key) => localStorage.getItem(key))"
    )
    messages = [message["text"] for each in kept for message in json.loads(each)["messages"]]
    assert {"France?", "slowly Italy?", "slowly Spain?"} <= set(messages)
    assert {shown[-1].strip() for shown in answers} <= {text.strip() for text in messages}


@in_its_group
def test_it_is_dark_to_its_edges(visitor: Visitor, tmp_path: Path) -> None:
    """Dark, to the edges of the window and over a reload"""
    from PIL import Image

    visitor.ask("markdown")
    if not visitor.run("return document.body.classList.contains('dark')"):
        visitor.click("#dark")
    visitor.reload()
    visitor.ready()
    time.sleep(0.5)
    visitor.photograph(tmp_path / "dark.png")
    picture = Image.open(tmp_path / "dark.png").convert("L")
    width, height = picture.size
    for x in (2, width // 2, width - 2):
        for y in (2, height // 3, height - 2):
            assert picture.getpixel((x, y)) < 80, (x, y, width, height)


@in_its_group
def test_it_fits_a_phone(visitor: Visitor) -> None:
    """On a phone: nothing is wider than it, the list opens and closes, a question is answered"""
    visitor.resize(390, 800)
    visitor.reload()
    visitor.ready()
    visitor.ask("does it fit? " + "longwithoutspaces" * 20)
    assert visitor.run("return document.documentElement.scrollWidth <= innerWidth")
    assert visitor.run("return document.querySelector(arguments[0]).getBoundingClientRect().bottom <= innerHeight", BOX)
    assert not visitor.run("return !!document.querySelector('#sidebar.open')")
    visitor.click("#sidebar .toggle-button")
    visitor.until("return !!document.querySelector('#sidebar.open')")
    visitor.click("#fresh")
    visitor.until("return document.querySelectorAll(arguments[0]).length === 0", QUESTIONS)
    visitor.until("return !document.querySelector('#sidebar.open')")


@in_its_group
def test_the_keyboard_is_enough(visitor: Visitor) -> None:
    """By keyboard alone: ask, edit by arrow up, stop, begin another conversation"""
    visitor.until("return document.activeElement === document.querySelector(arguments[0])", BOX)
    visitor.write("one")
    visitor.press("Shift+Enter")
    visitor.write("two")
    visitor.press("Enter")
    visitor.until("return document.querySelectorAll(arguments[0]).length === 1", ANSWERS)
    visitor.state("idle")
    assert visitor.texts(QUESTIONS)[0].split() == ["one", "two"]
    visitor.press("ArrowUp")
    visitor.until("return document.activeElement === document.querySelector(arguments[0])", EDITED)
    visitor.press("Control+a")
    visitor.write("slowly")
    visitor.press("Enter")
    writing(visitor)
    visitor.press("Escape")
    visitor.state("idle")
    reached = "return document.activeElement?.closest('#fresh') ? 'there' : ''"
    for _ in range(60):
        visitor.press("Shift+Tab")
        if visitor.run(reached):
            break
    assert visitor.run(reached) == "there"
    visitor.press("Enter")
    visitor.until("return document.querySelectorAll(arguments[0]).length === 0", QUESTIONS)


@in_its_group
def test_a_long_paste_is_not_cut(visitor: Visitor) -> None:
    """Paste 100,000 characters: nothing is cut, and the page says how many it takes before they are sent"""
    visitor.run("""const area = document.createElement('textarea')
        area.value = 'word '.repeat(20000)
        document.body.append(area)
        area.select()""")
    visitor.press("Control+c")
    visitor.run("document.body.lastChild.remove()")
    visitor.click(BOX)
    visitor.press("Control+v")
    visitor.until("return document.querySelector(arguments[0]).value.length === 100000", BOX)
    said = "A message may have 4,000 characters; this one has 100,000. Please shorten it."
    visitor.until("return document.querySelector('#said').innerText === arguments[0]", said)
    visitor.press("Enter")
    time.sleep(0.5)
    assert visitor.texts(QUESTIONS) == []
    assert len(visitor.value()) == 100_000


@in_its_group
def test_a_dropped_picture_is_refused_in_words(visitor: Visitor) -> None:
    """Drop a picture: the page says why it is not taken, and keeps what stands in the box"""
    visitor.click(BOX)
    visitor.write("a draft")
    opened = visitor.run(
        """const data = new DataTransfer()
        data.items.add(new File([new Uint8Array(8)], 'cat.png', { type: 'image/png' }))
        const drop = new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
        return document.querySelector(arguments[0]).dispatchEvent(drop)""",
        BOX,
    )
    assert not opened, "the browser would open the file in place of the page"
    visitor.until("return document.querySelector('#said').innerText.includes('text only')")
    assert visitor.value() == "a draft"


# As the page has kept them: whoever changes how adds a line, and changes none.
KEPT = (
    {"id": "a1", "title": "Of November 2026", "updated": 1796000000000,
     "messages": [{"role": "user", "text": "Hello <b>"}, {"role": "assistant", "text": "**Hi**"}]},
    {"id": "b2", "title": "With two tabs", "updated": 1796100000000, "base": "", "rev": "0f0e",
     "messages": [{"role": "user", "text": "Again"}, {"role": "assistant", "text": "Yes"}]},
)  # fmt: skip
ANSWERED = {"a1": "Hi", "b2": "Yes"}


@in_its_group
def test_what_an_earlier_page_kept_is_opened(visitor: Visitor) -> None:
    """Open what an earlier version of the page kept, and go on with it"""
    for each in KEPT:
        visitor.run(
            "localStorage.setItem('chatbot:conversation:' + arguments[0], arguments[1])", each["id"], json.dumps(each)
        )
    visitor.reload()
    visitor.ready()
    for each in KEPT:
        visitor.click(f"#conversations .open[title='{each['title']}']")
        visitor.until(
            "return document.querySelector(arguments[0])?.innerText.includes(arguments[1])",
            ANSWERS,
            ANSWERED[each["id"]],
        )
        assert visitor.ask("more") == "You said: more"


@in_its_group
def test_a_page_that_never_arrives_whole_says_so(begin: Begin, app: App) -> None:
    """A part of the page never arrives: it is loaded anew four times, then the page says so"""
    visitor = begin()
    try:
        with lossy(app.url, lost="/page/store.js") as line:
            visitor.goto(line.url)
            visitor.until("return !!document.querySelector('p[role=alert]')")
            assert "Please reload it." in "".join(visitor.texts("p[role=alert]"))
            time.sleep(3)
            assert line.loads == 5
    finally:
        visitor.leave()


@in_its_group
@pytest.mark.parametrize(
    "part",
    ["<script src=/nothing.js></script>", "<link rel=stylesheet href=/nothing.css>",
     "<link rel=modulepreload href=/x.js>", "<img src=/nothing.png>"],
    ids=["script", "style sheet", "preload", "picture"],
)  # fmt: skip
def test_a_page_that_works_is_left_alone(begin: Begin, app: App, part: str) -> None:
    """A part that the page can do without never arrives: it works, and is not loaded for ever"""
    visitor = begin()
    try:
        with lossy(app.url, added=part) as line:
            visitor.open(line.url)
            visitor.until("return document.readyState === 'complete'")
            assert visitor.ask("all there?") == "You said: all there?"
            loads = line.loads
            assert loads <= 5
            visitor.run("window.stays = true")
            time.sleep(3)
            assert visitor.run("return window.stays") and line.loads == loads
            assert visitor.texts("p[role=alert]") == []
    finally:
        visitor.leave()


def test_the_documentation_has_each_of_these() -> None:
    """Not a row: the table says what these tests say."""
    assert engines_table.rows_in_the_documentation() == engines_table.rows_of(globals())
