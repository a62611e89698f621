"""What CodePipeline remembers: pipelines, their executions and the actions of these."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from emulator.state.call import AwsError, Call
from emulator.state.store import Store

Json = dict[str, Any]
Scope = tuple[str, str]  # account, region

FINAL = ("Cancelled", "Stopped", "Succeeded", "Superseded", "Failed")


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    return str(uuid.uuid4())


@dataclass
class ActionRun:
    """One run of an action. `summary`, `external_id`, `external_url` and `error` are what its provider said."""

    stage: str
    declaration: Json
    id: str = field(default_factory=new_id)
    status: str = "InProgress"
    started: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    configuration: Json = field(default_factory=dict)  # with every #{variable} replaced
    summary: str | None = None
    external_id: str | None = None
    external_url: str | None = None
    log_stream: str | None = None
    error: Json | None = None
    token: str | None = None  # of an approval that waits
    updated_by: str | None = None
    revision: Json | None = None  # of a source: revisionId, revisionSummary, revisionUrl, created
    inputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    outputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.declaration["name"])

    @property
    def over(self) -> bool:
        return self.status != "InProgress"


@dataclass
class StageRun:
    """One stage of one execution; `actions` holds the latest run of each action."""

    name: str
    status: str = "InProgress"
    actions: dict[str, ActionRun] = field(default_factory=dict)
    retries: int = 0  # automatic ones
    manual_retries: int = 0


@dataclass
class Execution:
    """One run of a pipeline. `waiting`: it stands before the stage `position` and has not entered it."""

    pipeline: str
    scope: Scope
    version: int
    declaration: Json
    trigger: Json
    variables: dict[str, str]
    id: str = field(default_factory=new_id)
    status: str = "InProgress"
    summary: str = ""
    started: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    source_revisions: dict[str, Json] = field(default_factory=dict)  # by action, as StartPipelineExecution gave them
    pushed: dict[str, str] = field(default_factory=dict)  # of a trigger: what was pushed, as events tell it
    position: int = 0
    waiting: bool = True
    arrived: datetime = field(default_factory=now)  # at the stage before which it waits
    stages: dict[str, StageRun] = field(default_factory=dict)
    runs: list[ActionRun] = field(default_factory=list)  # every one, retries too
    artifacts: dict[str, tuple[str, str]] = field(default_factory=dict)  # bucket, key
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    stop: str | None = None  # "wait" or "abandon"
    stop_reason: str = ""
    rollback_of: str | None = None  # the execution whose artifacts a rollback of a stage uses
    last_position: int = 0

    @property
    def over(self) -> bool:
        return self.status in FINAL

    @property
    def kind(self) -> str:
        return "ROLLBACK" if self.rollback_of else "STANDARD"

    @property
    def mode(self) -> str:
        return str(self.declaration["executionMode"])

    @property
    def stage(self) -> Json:
        """The declaration of the stage that it is in or before."""
        found: Json = self.declaration["stages"][self.position]
        return found


@dataclass
class Transition:
    enabled: bool = True
    reason: str = ""
    changed: datetime | None = None
    by: str = ""


@dataclass
class Pipeline:
    declaration: Json
    arn: str
    version: int = 1
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    tags: dict[str, str] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)  # oldest first
    transitions: dict[tuple[str, str], Transition] = field(default_factory=dict)  # by stage and Inbound or Outbound
    latest: dict[str, str] = field(default_factory=dict)  # the execution that was last in a stage
    tokens: dict[str, str] = field(default_factory=dict)  # clientRequestToken to execution

    @property
    def name(self) -> str:
        return str(self.declaration["name"])

    def stage(self, name: str) -> Json | None:
        return next((stage for stage in self.declaration["stages"] if stage["name"] == name), None)


@dataclass
class CodePipelineTables:
    pipelines: dict[Scope, dict[str, Pipeline]] = field(default_factory=dict)
    event_rules: dict[str, str] = field(default_factory=dict)  # clientRequestToken to the rule that starts an execution


def tables(store: Store) -> CodePipelineTables:
    return store.table(CodePipelineTables)


def pipelines(store: Store, call: Call) -> dict[str, Pipeline]:
    return tables(store).pipelines.setdefault((call.account, call.region), {})


def pipeline(store: Store, call: Call) -> Pipeline:
    name = call.parameters.get("pipelineName") or call.parameters["name"]
    found = pipelines(store, call).get(name)
    if found is None:
        raise AwsError(
            "PipelineNotFoundException", f"Account '{call.account}' does not have a pipeline with name '{name}'"
        )
    return found


def execution(found: Pipeline, call: Call) -> Execution:
    wanted = call.parameters["pipelineExecutionId"]
    if wanted not in found.executions:
        raise AwsError(
            "PipelineExecutionNotFoundException", f"The pipeline {found.name} has no execution with the ID {wanted}"
        )
    return found.executions[wanted]


def stage(found: Pipeline, call: Call) -> Json:
    name = call.parameters["stageName"]
    declared = found.stage(name)
    if declared is None:
        raise AwsError("StageNotFoundException", f"The pipeline {found.name} has no stage with the name {name}")
    return declared
