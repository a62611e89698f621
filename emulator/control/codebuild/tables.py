"""What CodeBuild remembers: projects and builds."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from emulator.state.call import AwsError, Call
from emulator.state.store import Store

Json = dict[str, Any]
Scope = tuple[str, str]  # account, region


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Handoff:
    """What CodePipeline gives to a build and wants of it: (bucket, key) by artifact; `primary` is a source's name."""

    primary: str
    sources: dict[str, tuple[str, str]]
    outputs: dict[str, tuple[str, str]]
    initiator: str
    revision: str | None = None


@dataclass
class Phase:
    name: str
    started: datetime = field(default_factory=now)
    ended: datetime | None = None
    status: str = ""
    contexts: list[Json] = field(default_factory=list)


@dataclass
class Build:
    """One StartBuild. `project` is a copy of the project with the call's overrides."""

    id: str
    number: int
    scope: Scope
    project: Json
    initiator: str
    source_version: str | None = None
    overrides: list[Json] = field(default_factory=list)  # environment variables of the call
    handoff: Handoff | None = None
    parameters: Json = field(default_factory=dict)  # of StartBuild, for RetryBuild
    status: str = "IN_PROGRESS"
    started: datetime = field(default_factory=now)
    ended: datetime | None = None
    phases: list[Phase] = field(default_factory=list)
    resolved: str | None = None
    exported: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Json] = field(default_factory=dict)  # BuildArtifacts by identifier; "" is the primary
    stop: bool = False
    running: bool = False
    log: tuple[str, str] | None = None  # group, stream
    logs: bool = False  # whether the stream is there

    @property
    def arn(self) -> str:
        account, region = self.scope
        return f"arn:aws:codebuild:{region}:{account}:build/{self.id}"

    @property
    def over(self) -> bool:
        return self.ended is not None

    def enter(self, name: str) -> None:
        """Ends the phase before with success, unless it ended otherwise, and begins `name`."""
        self.leave("SUCCEEDED")
        self.phases.append(Phase(name))

    def leave(self, status: str, code: str = "", message: str = "") -> None:
        if self.phases and self.phases[-1].ended is None:
            phase = self.phases[-1]
            phase.ended, phase.status = now(), status
            phase.contexts = [{"statusCode": code, "message": message}]


@dataclass
class CodeBuildTables:
    projects: dict[Scope, dict[str, Json]] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
    numbers: dict[tuple[Scope, str], int] = field(default_factory=dict)
    handoffs: dict[str, Handoff] = field(default_factory=dict)  # by idempotency token
    by_token: dict[tuple[Scope, str], str] = field(default_factory=dict)


def tables(store: Store) -> CodeBuildTables:
    return store.table(CodeBuildTables)


def projects(store: Store, call: Call) -> dict[str, Json]:
    return tables(store).projects.setdefault((call.account, call.region), {})


def project(store: Store, call: Call, name: str) -> Json:
    found = projects(store, call).get(name.rpartition("project/")[2])
    if found is None:
        raise AwsError("ResourceNotFoundException", f"Project cannot be found: {call.arn(f'project/{name}')}")
    return found


def build(store: Store, call: Call, wanted: str) -> Build:
    found = tables(store).builds.get(wanted.rpartition("build/")[2])
    if found is None or found.scope != (call.account, call.region):
        raise AwsError("ResourceNotFoundException", f"Build cannot be found: {wanted}")
    return found


def new_build_id(name: str) -> str:
    return f"{name}:{uuid.uuid4()}"
