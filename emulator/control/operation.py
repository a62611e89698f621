"""The shape of every operation; apart from the table of services, so that what the table lists can import it."""

from __future__ import annotations

from collections.abc import Callable

from emulator.state.call import Answer, Call
from emulator.state.store import Store

Operation = Callable[[Store, Call], Answer]
