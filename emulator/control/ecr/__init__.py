"""Amazon ECR: moto keeps repositories and their settings, the registry keeps the images; here the two are one."""

from __future__ import annotations

from emulator.control.ecr import images, repositories
from emulator.control.ecr.registry import Pushes, Tokens, application, registry
from emulator.control.operation import Operation

OPERATIONS: dict[str, Operation] = {**images.OPERATIONS, **repositories.OPERATIONS}

__all__ = ["OPERATIONS", "Pushes", "Tokens", "application", "registry"]
