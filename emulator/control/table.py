"""Which module answers for which service: whatever is not here is moto's alone."""

from __future__ import annotations

from collections.abc import Callable

from emulator.state.call import Answer, Call
from emulator.state.store import Store

Operation = Callable[[Store, Call], Answer]

SERVICES: dict[str, dict[str, Operation]] = {}
