"""CodeBuild's API; what a build does is in emulator/loops/codebuild and emulator/data/builds."""

from __future__ import annotations

from emulator.control.codebuild import builds, projects
from emulator.control.operation import Operation

OPERATIONS: dict[str, Operation] = {**projects.OPERATIONS, **builds.OPERATIONS}
