"""The interface of a backend, what it answers with, and the ways in which it can fail."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chatbot.backends.kinds import Kind, in_words
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
    """The model did not answer, in the way that `kind` says.

    `said` are the provider's own words, `status`, `code` and `param` what it gave with them, `provider` which one it
    was where a router tells; `seconds` after how long it may be tried again, or `when` in words; `cause` what failed,
    where nothing was said.
    """

    def __init__(
        self, kind: Kind, said: str = "", *, status: int | None = None, code: str = "", param: str = "",
        provider: str = "", seconds: float | None = None, when: str = "", cause: str = "",
    ) -> None:  # fmt: skip
        self.kind = kind
        self.said = said
        self.status = status
        self.code = code
        self.param = param
        self.provider = provider
        self.seconds = seconds
        self.when = when
        self.cause = cause or (f"HTTP {status}" if status else code or kind.name)
        super().__init__(f"{self.cause}: {said}" if said else self.cause)

    @property
    def sentence(self) -> str:
        """For the visitor; nothing in it is the provider's."""
        told = self.when or self.kind.when if self.seconds is None else in_words(self.seconds)
        return self.kind.visitor.format(when=told)

    @property
    def passing(self) -> bool:
        """Whether a second try at once may do."""
        return self.kind.retried and not self.seconds and not self.when

    def facts(self) -> dict[str, Any]:
        """For the operator: what is known of it, and what to do."""
        told = {
            "provider": self.provider,
            "status": self.status,
            "code": self.code,
            "param": self.param,
            "said": self.said,
        }
        return {**{name: value for name, value in told.items() if value}, "remedy": self.kind.operator}

    def as_kind(self, kind: Kind) -> BackendError:
        return self._again(kind=kind)

    def masked(self, mask: Callable[[str], str]) -> BackendError:
        """With `mask` over all that the provider wrote."""
        return self._again(
            said=mask(self.said), code=mask(self.code), param=mask(self.param), provider=mask(self.provider)
        )

    def _again(self, **other: Any) -> BackendError:
        fields = {name: getattr(self, name) for name in
                  ("kind", "said", "status", "code", "param", "provider", "seconds", "when", "cause")}  # fmt: skip
        return BackendError(**{**fields, **other})


class Backend(Protocol):
    """A source of answers. One instance serves all visitors of a task.

    `lacking`: what the site has yet to be given, though every question is answered.
    """

    name: str
    model: str
    concurrency: int
    tiny: bool
    lacking: Kind | None

    async def check(self) -> None:
        """Return when answers can be had; raise BackendError when not. Loads what has to be loaded."""

    def stream(self, turns: Sequence[Turn], options: Options) -> AsyncGenerator[Piece, None]:
        """The answer to the last of `turns`, piece by piece; closing it stops the generation."""

    async def close(self) -> None:
        """Let go of what is held."""
