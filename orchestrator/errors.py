"""Everything that can go wrong, each with what, where and the next command.

::

    DeployError                 exit 1: something may be left running; the message says what stands
    ├── TerraformFailed         Terraform answered with diagnostics
    ├── ImageFailed             the image could not be built or pushed
    ├── PhasesFailed            one or more phases failed; carries what stands
    ├── ServiceUnsteady         the tasks do not run or do not become healthy
    ├── AwsFailed               an AWS call that we need was refused
    ├── LeftOver                destroy ended, yet something of ours is still there
    ├── ReleaseFailed           a release did not reach 100 %
    ├── Interrupted             exit 130: Ctrl-C; state saved, lock released
    └── Refused                 exit 2: bad input; nothing was touched
        ├── BadSetting          unknown key, wrong type, impossible value
        ├── BadDocument         taskdef.json, appspec.yaml or Dockerfile cannot be used
        ├── MissingTool         Terraform, git or docker is absent or too old
        ├── NotApplied          a phase needs one that was never applied
        ├── Unreachable         the endpoint does not answer
        ├── BadCredentials      AWS does not know who we are
        ├── Locked              someone else is deploying this environment
        └── NotNow              the system is in a state in which this verb makes no sense
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.commands import command


class DeployError(Exception):
    """The root: ``what`` happened and the ``remedy``, one next step."""

    exit_code = 1

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


@dataclass(frozen=True)
class Diagnostic:
    """One error as Terraform reports it (``-json`` UI, type ``diagnostic``)."""

    summary: str
    detail: str = ""
    address: str = ""
    place: str = ""

    def __str__(self) -> str:
        head = " ".join(part for part in (self.address and f"{self.address}:", self.summary) if part)
        place = f" ({self.place})" if self.place else ""
        return f"{head}{place}" + (f"\n    {self.detail.strip()}" if self.detail.strip() else "")


class TerraformFailed(DeployError):
    """Terraform ended with an error; ``diagnostics`` in its own words."""

    def __init__(self, stack: str, verb: str, diagnostics: tuple[Diagnostic, ...], log: str) -> None:
        text = "\n  ".join(str(diagnostic) for diagnostic in diagnostics) or "no diagnostics were given"
        super().__init__(f"terraform {verb} of stack '{stack}' failed:\n  {text}", f"the whole output is in {log}")
        self.stack = stack
        self.diagnostics = diagnostics


class ImageFailed(DeployError):
    """Building or pushing the image failed."""


class PhasesFailed(DeployError):
    """``failures`` by phase, and which phases stand."""

    def __init__(self, failures: dict[str, DeployError], stands: tuple[str, ...], command: str) -> None:
        text = "\n".join(f"phase '{name}' failed: {error}" for name, error in failures.items())
        standing = ", ".join(stands) or "nothing"
        super().__init__(f"{text}\nwhat stands: {standing}", f"once the cause is gone, go on with: {command}")
        self.failures = failures
        # A deploy that failed only because of refused input touched nothing of its own.
        if failures and not stands and all(isinstance(error, Refused) for error in failures.values()):
            self.exit_code = Refused.exit_code


class ServiceUnsteady(DeployError):
    """The service is there, but its tasks do not serve."""


class AwsFailed(DeployError):
    """An AWS call failed for a reason that another try will not cure."""


class LeftOver(DeployError):
    """Destroy ended and the leak scan found something of ours."""


class ReleaseFailed(DeployError):
    """A release ended without its image serving all of the traffic."""


class Interrupted(DeployError):
    """The user pressed Ctrl-C."""

    exit_code = 130


class Refused(DeployError):
    """The input cannot be accepted; nothing was touched."""

    exit_code = 2


class BadSetting(Refused):
    """A setting that cannot be: ``where`` is a file, a variable or a flag."""

    def __init__(self, where: str, key: str, problem: str, remedy: str = "") -> None:
        super().__init__(f"{where}: {key}: {problem}", remedy)
        self.where = where
        self.key = key


class BadDocument(Refused):
    """A document of the user's cannot be read or rendered."""


class MissingTool(Refused):
    """A program that is needed is absent or too old."""


class NotApplied(Refused):
    """``needed_by`` needs the outputs of phase ``name``, which has none."""

    def __init__(self, name: str, needed_by: str, environment: str = "local") -> None:
        super().__init__(
            f"'{needed_by}' needs phase '{name}', which has not been applied",
            f"run: {command(f'phase {name}', environment)}",
        )


class Unreachable(Refused):
    """Nothing answers at the endpoint."""


class NotOurs(Refused):
    """A state or an answer would have credentials sent to a host that is not the environment's own."""


class BadCredentials(Refused):
    """AWS refuses the credentials."""


class Locked(Refused):
    """Another deploy holds the lock."""


class NotNow(Refused):
    """The verb does not apply to the present state."""
