"""One answer from question to log line: limits, the queue, one retry, time-outs, batching, measurements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from chatbot.backends import kinds
from chatbot.backends.base import Backend, BackendError, Options, Piece
from chatbot.conversation import RefusedInput, Turn, prepare
from chatbot.gate import Gate, GateFull
from chatbot.logs import event
from chatbot.metrics import Metrics
from chatbot.settings import Settings

BUSY = "Too many people are asking at the same time. Please try again in a minute."
BROKEN = "Something went wrong on our side. Please try again."
CUT = "The answer reached its longest allowed length."
# A second, of all answers together; a core does ten times as many, and then newcomers wait for their first words.
UPDATES = 100


@dataclass(frozen=True)
class Update:
    """What the page shows next: the text so far, and a notice where there is something to say."""

    text: str
    state: Literal["waiting", "writing", "done", "failed"]
    notice: str = ""


@dataclass
class Record:
    """What is measured of one answer. Never its text."""

    backend: str
    model: str
    started: float = field(default_factory=time.monotonic)
    queued: float = 0.0
    first: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retried: bool = False
    stop: str = "visitor"  # what is left standing when the visitor leaves
    cause: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # of a provider's refusal

    def take(self, piece: Piece) -> None:
        if piece.text and self.first is None:
            self.first = time.monotonic()
        self.prompt_tokens = piece.prompt_tokens or self.prompt_tokens
        # Servers that report no usage send about a token a piece.
        self.completion_tokens = piece.completion_tokens or self.completion_tokens + bool(piece.text)
        self.stop = piece.stop or self.stop

    def line(self) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "backend": self.backend,
            "model": self.model,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "queued_ms": round(self.queued * 1000),
            "first_token_ms": None if self.first is None else round((self.first - self.started) * 1000),
            "total_ms": round((now - self.started) * 1000),
            "stop": self.stop,
            "retried": self.retried,
            **({"cause": self.cause} if self.cause else {}),
            **self.facts,
        }


class Answerer:
    """Answers questions with a backend, within the deployment's limits. One serves all visitors of a task."""

    def __init__(self, backend: Backend, settings: Settings, metrics: Metrics) -> None:
        self.backend = backend
        self.settings = settings
        self.metrics = metrics
        self.gate = Gate(settings.concurrent_answers or backend.concurrency, settings.queue_length)
        self.told: Callable[[BackendError | None], None] = lambda _: None  # of each answer: it came, or why it did not

    def options(self, wishes: dict[str, Any] | None = None) -> Options:
        """The deployment's options, and of a visitor's wishes those that may be had, inside their bounds."""
        ours, wishes = self.settings, wishes or {}
        may = {name: value for name, value in wishes.items() if name in ours.visitor_settings}
        models = (self.backend.model, *ours.models)
        return Options(
            model=may["model"] if may.get("model") in models else self.backend.model,
            system_prompt=self._instructions(may),
            temperature=_within(may.get("temperature"), 0.0, 2.0, ours.temperature),
            top_p=ours.top_p,
            max_tokens=int(_within(may.get("max_tokens"), 1, ours.max_tokens, ours.max_tokens)),
        )

    def _instructions(self, may: dict[str, Any]) -> str:
        """A visitor's own system prompt, or the deployment's; raises RefusedInput rather than cut it."""
        own, most = str(may.get("system_prompt") or ""), self.settings.max_input_chars
        if len(own) > most:
            raise RefusedInput(f"Your system prompt is too long: at most {most:,} characters, please shorten it.")
        return own or self.settings.system_prompt

    async def answer(self, history: Any, wishes: dict[str, Any] | None = None) -> AsyncGenerator[Update, None]:
        """The answer to the last question of a history, as updates; the last one is `done` or `failed`.

        It raises nothing: every failure is an update with a sentence for the visitor. Closing it stops the model.
        """
        record = Record(self.backend.name, self.backend.model)
        entered, text = False, ""
        try:
            yield Update("", "waiting")  # the page shows at once that it was heard, and how to stop
            turns = prepare(history, self.settings.max_input_chars, self.settings.max_turns)
            options = self.options(wishes)
            record.model = options.model
            async with aclosing(self.gate.enter()) as places:
                async for place in places:
                    yield Update("", "waiting", f"Waiting for a free place. You are number {place} in the queue.")
            entered = True
            record.queued = time.monotonic() - record.started
            async with aclosing(self._batched(self._with_retry(turns, options, record))) as texts:
                async for text in texts:
                    yield Update(text, "writing")
            if not text.strip():
                raise BackendError(kinds.EMPTY)
            self.told(None)
            yield Update(text, "done", CUT if record.stop == "length" else "")
        except RefusedInput as error:
            record.stop = "refused"
            yield Update("", "failed", str(error))
        except GateFull:
            record.stop = "busy"
            yield Update("", "failed", BUSY)
        except BackendError as error:
            record.stop, record.cause, record.facts = error.kind.name, error.cause, error.facts()
            self.told(error)
            yield Update(text if text.strip() else "", "failed", error.sentence)
        except Exception as error:
            # Nothing that we did not foresee may reach the page: its text could hold a URL or a token.
            record.stop, record.cause = "error", type(error).__name__
            yield Update(text, "failed", BROKEN)
        finally:
            if entered:
                self.gate.leave()
            self.metrics.answered(record.stop, record.first and record.first - record.started, record.started)
            self.metrics.tokens += record.completion_tokens
            event("answer", level="warning" if record.cause else "info", **record.line())

    async def _with_retry(self, turns: Sequence[Turn], options: Options, record: Record) -> AsyncGenerator[str, None]:
        """The pieces' text; a failure before the first one is tried once more."""
        try:
            async with aclosing(self._timed(turns, options, record)) as texts:
                async for text in texts:
                    yield text
            return
        except BackendError as error:
            if record.first is not None or not error.passing:
                raise
            event("retry", level="warning", kind=error.kind.name, cause=error.cause, **error.facts())
        record.retried = True
        async with aclosing(self._timed(turns, options, record)) as texts:
            async for text in texts:
                yield text

    async def _timed(self, turns: Sequence[Turn], options: Options, record: Record) -> AsyncGenerator[str, None]:
        """The pieces' text, with a limit on the first, on each pause, on the whole, and on their number."""
        ours = self.settings
        deadline = time.monotonic() + ours.answer_seconds
        async with aclosing(self.backend.stream(turns, options)) as pieces:
            while True:
                pause = ours.first_token_seconds if record.first is None else ours.stall_seconds
                try:
                    async with asyncio.timeout(min(pause, max(deadline - time.monotonic(), 0))):
                        piece = await anext(pieces)
                except StopAsyncIteration:
                    record.stop = "stop" if record.stop == "visitor" else record.stop
                    return
                except TimeoutError:
                    if record.first is None:
                        raise BackendError(kinds.TIMED_OUT, cause="no first token") from None
                    raise BackendError(kinds.STALLED, cause="stalled") from None
                record.take(piece)
                if piece.text:
                    yield piece.text
                # A server that ignores max_tokens does not get to fill the page and our memory.
                if record.completion_tokens >= options.max_tokens and not piece.stop and piece.text:
                    record.stop = "length"
                    return

    async def _batched(self, pieces: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """The text so far, at most once per interval; in a crowd, what the model sends meanwhile is left unread."""
        interval = self.settings.yield_ms / 1000
        text, shown, due = "", "", 0.0
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    text += piece
                    if time.monotonic() >= due:
                        shown = text
                        yield shown
                        await asyncio.sleep(max(0.0, self.gate.running / UPDATES - interval))
                        due = time.monotonic() + interval
            except BackendError:
                if text != shown:
                    yield text
                raise
        if text != shown:
            yield text


def _within(value: Any, low: float, high: float, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return default
    return min(max(value, low), high) if value == value else default
