"""What stands in for a model until the site is given one: every question is answered with that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from chatbot.backends import kinds
from chatbot.backends.base import Options, Piece
from chatbot.backends.kinds import Kind
from chatbot.conversation import Turn


class Absent:
    """Backend `none`: `auto` without a token, a server and a model in the image.

    It is ready, so that a deployment without a model comes up, can be released to, and says what it lacks.
    """

    name = "none"
    model = ""
    tiny = False
    concurrency = 200
    lacking: Kind | None = kinds.NOT_INSTALLED

    async def check(self) -> None:
        """Nothing can fail."""

    async def stream(self, turns: Sequence[Turn], options: Options) -> AsyncGenerator[Piece, None]:
        yield Piece(kinds.NOT_INSTALLED.visitor, stop="stop")

    async def close(self) -> None:
        """Nothing is held."""
