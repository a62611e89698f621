"""How often an answer updates its page: as the setting says, and less often the more answers are written at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence

from chatbot.answers import UPDATES, Answerer, Update
from chatbot.backends.base import Options, Piece
from chatbot.conversation import Turn
from chatbot.metrics import Metrics
from chatbot.settings import load

WORDS, PAUSE = 60, 0.01


class Steady:
    """A model that writes a word every 10 ms, read or not, as one behind a socket does."""

    name = model = "steady"
    tiny = False
    lacking = None
    concurrency = 500

    async def check(self) -> None:
        pass

    async def stream(self, turns: Sequence[Turn], options: Options) -> AsyncGenerator[Piece, None]:
        began = time.monotonic()
        for number in range(WORDS):
            await asyncio.sleep(max(0.0, began + number * PAUSE - time.monotonic()))
            yield Piece(text=f"{number} ")

    async def close(self) -> None:
        pass


def _written(others: int) -> list[Update]:
    """The updates of one answer beside `others`."""

    async def answer() -> list[Update]:
        answerer = Answerer(Steady(), load({"CHATBOT_YIELD_MS": "50"}), Metrics())
        answerer.gate.running = others
        question = [{"role": "user", "content": "Count."}]
        return [update async for update in answerer.answer(question)]

    return [update for update in asyncio.run(answer()) if update.state in ("writing", "done")]


def test_in_a_crowd_an_answer_updates_less_often_and_loses_nothing() -> None:
    alone, crowded = _written(0), _written(UPDATES // 2 - 1)  # an update every half second
    assert len(alone) > 2 * len(crowded)
    assert alone[-1].text == crowded[-1].text == "".join(f"{number} " for number in range(WORDS))
    assert crowded[-1].state == "done"


def test_the_first_words_wait_for_nobody() -> None:
    assert _written(UPDATES - 1)[0].text == "0 "
