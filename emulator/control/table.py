"""Which module answers for which service: whatever is not here is moto's alone."""

from __future__ import annotations

from emulator.control.operation import Operation

SERVICES: dict[str, dict[str, Operation]] = {}
