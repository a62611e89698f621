"""Why a task cannot go on, in the words of DescribeTasks."""

from __future__ import annotations


class StopAsked(Exception):
    """Somebody asked for the task's end while it did something else."""


class Failed(Exception):
    """The task must end: the message becomes its `stoppedReason`."""

    def __init__(self, reason: str, code: str = "TaskFailedToStart") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


def initialization(detail: str) -> Failed:
    return Failed(f"ResourceInitializationError: {detail}")
