"""Pure functions over a conversation: from what a browser sent to what a model is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True)
class Turn:
    """One message of a conversation, plain text."""

    role: Role
    text: str


class RefusedInput(ValueError):
    """A visitor's message cannot be answered; the text is for the visitor."""


def turns(history: Any, limit: int) -> list[Turn]:
    """The turns in a history as Gradio's Chatbot sends it (or `{"role", "content": str}`), each cut at `limit`.

    Nothing in it is trusted: what is not a known role with text is left out, so a forged system message is too.
    """
    found = []
    for item in history if isinstance(history, list) else []:
        role, text = _field(item, "role"), _flatten(_field(item, "content"))
        if role in ("user", "assistant") and text.strip():
            found.append(Turn(role, text[:limit]))
    return found


def _field(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)


def _flatten(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, (_flatten(part) for part in content)))
    text = _field(content, "text")
    return text if isinstance(text, str) else ""


def alternate(history: Iterable[Turn]) -> list[Turn]:
    """User and assistant in turn, the user first: what chat templates insist on.

    An unanswered question (its answer failed, or was stopped before the first word) is joined to the next one.
    """
    result: list[Turn] = []
    for turn in history:
        if result and result[-1].role == turn.role:
            result[-1] = Turn(turn.role, f"{result[-1].text}\n\n{turn.text}")
        elif result or turn.role == "user":
            result.append(turn)
    return result


def last(history: list[Turn], count: int) -> list[Turn]:
    """The last `count` questions with their answers; whole turns, so that it starts with a question."""
    starts = [index for index, turn in enumerate(history) if turn.role == "user"]
    return history[starts[-count] :] if len(starts) > count else history


def without_oldest(history: list[Turn]) -> list[Turn]:
    """The conversation without its oldest question and answer; the last question always stays."""
    following = [index for index, turn in enumerate(history) if turn.role == "user" and index > 0]
    return history[following[0] :] if following else history


def prepare(history: Any, max_chars: int, max_turns: int) -> list[Turn]:
    """What the model may see of a history that ends with a visitor's question.

    Raises RefusedInput when there is no question, or when it is longer than `max_chars`.
    """
    # An answer may be longer than a question; it is the model's own text and bounded by its tokens.
    found = turns(history, limit=max(max_chars + 1, 32_000))
    if not found or found[-1].role != "user":
        raise RefusedInput("Write a message first.")
    if len(found[-1].text) > max_chars:
        raise RefusedInput(f"Your message is too long: at most {max_chars:,} characters, please shorten it.")
    return last(alternate(found), max_turns)


def until_question(history: list[Any], index: int) -> list[Any]:
    """The history up to and including the question that item `index` answers (or is); for retry."""
    end = min(max(index, 0), len(history) - 1)
    while end > 0 and _field(history[end], "role") != "user":
        end -= 1
    return history[: end + 1]
