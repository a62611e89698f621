"""The four phases of a buildspec, in CodeBuild's order and with its words for what went wrong.

https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from emulator.data.builds.buildspec import PHASES, Buildspec, Phase
from emulator.data.builds.shell import Shell


@dataclass(frozen=True)
class Failure:
    """A phase's context: `code` "COMMAND_EXECUTION_ERROR" and why."""

    code: str
    message: str


@dataclass(frozen=True)
class Watcher:
    """Who is told: of every line of CodeBuild's own, and of each phase when it begins and when it has ended."""

    line: Callable[[str], None]
    entered: Callable[[str], None]
    left: Callable[[str, Failure | None], None]


def run(spec: Buildspec, shell: Shell, watcher: Watcher) -> tuple[bool, bool]:
    """Whether the build succeeded, and whether it came to its end, so that its artifacts are wanted.

    A failure of `install`, `pre_build` or `post_build` ends the build; after one of `build`, `post_build` still runs;
    `on-failure` changes that.
    """
    succeeded = True
    for name in PHASES:
        phase = spec.phases.get(name, Phase())
        watcher.entered(name.upper())
        shell.run(f"export CODEBUILD_BUILD_SUCCEEDING={int(succeeded)}")
        watcher.line(f"Entering phase {name.upper()}")
        failure = _phase(phase, shell, watcher.line)
        watcher.line(f"Phase complete: {name.upper()} State: {'FAILED' if failure else 'SUCCEEDED'}")
        code, message = (failure.code, failure.message) if failure else ("", "")
        watcher.line(f"Phase context status code: {code} Message: {message}")
        watcher.left(name.upper(), failure)
        if failure and phase.on_failure != "CONTINUE":
            succeeded = False
            if name != "build" or phase.on_failure:
                return False, False
    return succeeded, True


def _phase(phase: Phase, shell: Shell, line: Callable[[str], None]) -> Failure | None:
    failure = None
    for _ in range(1 + _retries(phase)):
        failure = _commands(phase.commands, shell, line)
        if not failure or not _worth_retrying(phase, failure):
            break
    afterwards = _commands(phase.finally_, shell, line)  # whatever happened
    return failure or afterwards


def _retries(phase: Phase) -> int:
    """RETRY: once; RETRY-2: twice; RETRY-<pattern> and RETRY-<count>-<pattern>: where the message matches."""
    matched = re.fullmatch(r"RETRY(?:-(\d+))?(?:-.+)?", phase.on_failure or "")
    return int(matched[1] or 1) if matched else 0


def _worth_retrying(phase: Phase, failure: Failure) -> bool:
    matched = re.fullmatch(r"RETRY(?:-\d+)?(?:-(\D.*))?", phase.on_failure or "")
    return matched is not None and (not matched[1] or re.search(matched[1], failure.message) is not None)


def _commands(commands: list[str], shell: Shell, line: Callable[[str], None]) -> Failure | None:
    for command in commands:
        line(f"Running command {command}")
        status = shell.run(command)
        if status:
            line(f"Command did not exit successfully {command} exit status {status}")
            return Failure(
                "COMMAND_EXECUTION_ERROR", f"Error while executing command: {command}. Reason: exit status {status}"
            )
    return None


def stamped(text: str) -> str:
    """A line of CodeBuild's own."""
    return f"[Container] {datetime.now(UTC):%Y/%m/%d %H:%M:%S} {text}"
