"""CodeCommit: repositories that git clients clone from and push to, under `/v1/repos/`, and the API over them."""

from __future__ import annotations

from emulator.control.codecommit import contents, repositories
from emulator.control.codecommit.house import PREFIX, application
from emulator.control.operation import Operation

OPERATIONS: dict[str, Operation] = {**repositories.OPERATIONS, **contents.OPERATIONS}

__all__ = ["OPERATIONS", "PREFIX", "application"]
