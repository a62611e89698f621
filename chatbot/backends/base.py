"""The interface of a backend, what it answers with, and the ways in which it can fail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from chatbot.conversation import Turn


@dataclass(frozen=True)
class Options:
    """How one answer is to be generated."""

    model: str
    system_prompt: str
    temperature: float
    top_p: float
    max_tokens: int


@dataclass(frozen=True)
class Piece:
    """A piece of an answer: text as it comes, then why it stopped and what it cost, as far as the model tells."""

    text: str = ""
    stop: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class BackendError(Exception):
    """The model did not answer. `sentence` is for the visitor, `cause` (a kind, never a URL or token) for the log."""

    kind = "backend"
    sentence = "The model could not answer. Please try again."
    retriable = False

    def __init__(self, cause: str = "", sentence: str = "") -> None:
        self.cause = cause or self.kind
        self.sentence = sentence or type(self).sentence
        super().__init__(self.cause)


class Unauthorised(BackendError):
    kind = "unauthorised"
    sentence = "The model refused this site's credentials. Its operator has to set a valid token."


class RateLimited(BackendError):
    kind = "rate_limited"
    sentence = "The model is receiving too many requests. Please try again in a minute."


class Unavailable(BackendError):
    kind = "unavailable"
    sentence = "The model is not available right now. Please try again in a moment."
    retriable = True


class TimedOut(BackendError):
    kind = "timed_out"
    sentence = "The model took too long to answer. Please try again."
    retriable = True


class Interrupted(BackendError):
    kind = "interrupted"
    sentence = "The connection to the model broke off. What had arrived is kept; retry to get a whole answer."
    retriable = True


class Garbled(BackendError):
    kind = "garbled"
    sentence = "The model's answer could not be read. Please try again."


class Empty(BackendError):
    kind = "empty"
    sentence = "The model sent no answer. Please try again."


class TooLong(BackendError):
    kind = "too_long"
    sentence = "This message is too long for the model. Please shorten it."


class Rejected(BackendError):
    kind = "rejected"
    sentence = "The model rejected the request. Rephrase it or start a new conversation."


class Backend(Protocol):
    """A source of answers. One instance serves all visitors of a task."""

    name: str
    model: str
    concurrency: int
    tiny: bool

    async def check(self) -> None:
        """Return when answers can be had; raise BackendError when not. Loads what has to be loaded."""

    def stream(self, turns: Sequence[Turn], options: Options) -> AsyncGenerator[Piece, None]:
        """The answer to the last of `turns`, piece by piece; closing it stops the generation."""

    async def close(self) -> None:
        """Let go of what is held."""
