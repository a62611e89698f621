"""The page in three engines: what a visitor does with it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.chatbot.served import App
from tests.chatbot.visitors import ENGINES, QUESTIONS, Begin, Visitor

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=ENGINES)
def begin(request: pytest.FixtureRequest) -> Iterator[Begin]:
    """Begins a visitor without a past, in one engine."""
    with ENGINES[request.param]() as begin:
        yield begin


@pytest.fixture
def visitor(begin: Begin, app: App) -> Visitor:
    """At the chatbot's page."""
    return begin().open(app.url)


def test_a_question_is_answered_and_the_page_stays(visitor: Visitor) -> None:
    """The smoke test of an engine. In Firefox the page once loaded itself anew every half second."""
    visitor.run("window.stays = true")
    assert visitor.ask("is anybody there?") == "You said: is anybody there?"
    time.sleep(2)
    assert visitor.run("return window.stays")
    assert visitor.texts(QUESTIONS) == ["is anybody there?"]
