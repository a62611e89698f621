"""CodePipeline's API; what its executions do is in emulator/loops/codepipeline."""

from __future__ import annotations

from emulator.control.codepipeline import executions, jobs, pipelines, state
from emulator.control.operation import Operation

OPERATIONS: dict[str, Operation] = {
    **pipelines.OPERATIONS, **executions.OPERATIONS, **state.OPERATIONS, **jobs.OPERATIONS,
}  # fmt: skip
