"""What CodeDeploy remembers: applications, groups, configurations and deployments."""

from __future__ import annotations

import secrets
import string
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from emulator.state.call import AwsError, Call
from emulator.state.store import Store

Json = dict[str, Any]
Scope = tuple[str, str]  # account, region

FINAL = ("Succeeded", "Failed", "Stopped")


def now() -> datetime:
    return datetime.now(UTC)


def scope(call: Call) -> Scope:
    return call.account, call.region


@dataclass
class Group:
    """A deployment group; `settings` are the members of DeploymentGroupInfo that a user sets, as the API names them."""

    name: str
    settings: Json
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    tags: dict[str, str] = field(default_factory=dict)
    last_successful: str | None = None
    last_attempted: str | None = None


@dataclass
class Application:
    name: str
    platform: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: datetime = field(default_factory=now)
    tags: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    revisions: list[Json] = field(default_factory=list)  # {revision, revisionInfo}


@dataclass
class Event:
    """A lifecycle event of a deployment's target."""

    name: str
    status: str = "Pending"
    started: datetime | None = None
    ended: datetime | None = None
    diagnostics: Json | None = None


@dataclass
class Colour:
    """A task set of a deployment as its target shows it; `arn` names it to ECS."""

    label: str  # "Blue" or "Green"
    arn: str
    id: str
    target_group: str  # its name
    weight: float
    counts: dict[str, int] = field(default_factory=dict)
    status: str = "ACTIVE"


@dataclass
class Hook:
    """A Lambda function that was asked for its judgement; `status` is what it answered."""

    execution_id: str
    event: str
    status: str | None = None


@dataclass
class Deployment:
    """One CreateDeployment. `group` is a copy of its group's settings at that moment."""

    id: str
    scope: Scope
    application: str
    group_name: str
    group: Json
    config: Json
    revision: Json
    spec: Json
    creator: str = "user"
    description: str = ""
    status: str = "Created"
    error: Json | None = None
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    completed: datetime | None = None
    changed: datetime = field(default_factory=now)
    previous_revision: Json | None = None
    rollback: Json = field(default_factory=dict)  # rollbackInfo
    rolls_back: str | None = None  # the deployment that this one undoes
    events: list[Event] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    listeners: dict[str, Json] = field(default_factory=dict)  # as they stood before: what a rollback restores
    waiting: str | None = None  # "READY_WAIT" or "TERMINATION_WAIT" while it waits so
    skip_wait: bool = False
    stop: str | None = None  # "stop", or "rollback" where the user asked for it
    termination_wait_started: bool = False

    @property
    def over(self) -> bool:
        return self.status in FINAL

    @property
    def service(self) -> Json:
        """The one ECS service of an ECS deployment group: clusterName and serviceName."""
        found: Json = self.group["ecsServices"][0]
        return found

    def event(self, name: str) -> Event:
        return next(event for event in self.events if event.name == name)


@dataclass
class CodeDeployTables:
    applications: dict[Scope, dict[str, Application]] = field(default_factory=dict)
    configs: dict[Scope, dict[str, Json]] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)


def tables(store: Store) -> CodeDeployTables:
    return store.table(CodeDeployTables)


def new_deployment_id() -> str:
    return "d-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(9))


def applications(store: Store, call: Call) -> dict[str, Application]:
    return tables(store).applications.setdefault(scope(call), {})


def application(store: Store, call: Call, member: str = "applicationName") -> Application:
    name = call.parameters.get(member)
    if not name:
        raise AwsError("ApplicationNameRequiredException", "Application name is missing")
    if name not in applications(store, call):
        raise AwsError("ApplicationDoesNotExistException", f"No application found for name: {name}")
    return applications(store, call)[name]


def group(store: Store, call: Call, member: str = "deploymentGroupName") -> tuple[Application, Group]:
    app = application(store, call)
    name = call.parameters.get(member)
    if not name:
        raise AwsError("DeploymentGroupNameRequiredException", "Deployment Group name is missing")
    if name not in app.groups:
        raise AwsError("DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {name}")
    return app, app.groups[name]


def deployment(store: Store, call: Call) -> Deployment:
    wanted = call.parameters.get("deploymentId")
    if not wanted:
        raise AwsError("DeploymentIdRequiredException", "The deployment ID is missing.")
    if not wanted.startswith("d-"):
        raise AwsError("InvalidDeploymentIdException", f"The deployment ID {wanted} has an invalid format.")
    found = tables(store).deployments.get(wanted)
    if found is None or found.scope != scope(call):
        raise AwsError("DeploymentDoesNotExistException", f"The deployment {wanted} could not be found")
    return found


def monotonic() -> float:
    """The clock of every wait; apart, so that a test can move it."""
    return time.monotonic()
