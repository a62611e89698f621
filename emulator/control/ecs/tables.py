"""What ECS knows: clusters, task definitions, services, task sets, deployments, tasks, account settings."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EVENTS_KEPT = 100  # DescribeServices answers the last hundred


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """32 hexadecimal digits, as in the ARN of a task."""
    return secrets.token_hex(16)


def new_fleet_id() -> str:
    """`ecs-svc/` and 19 digits, as deployments and task sets are called."""
    return f"ecs-svc/{secrets.randbelow(9 * 10**18) + 10**18}"


@dataclass
class Cluster:
    name: str
    arn: str
    settings: list[dict[str, str]]
    configuration: dict[str, Any] | None = None
    capacity_providers: list[str] = field(default_factory=list)
    default_strategy: list[dict[str, Any]] = field(default_factory=list)
    service_connect_defaults: dict[str, Any] | None = None
    status: str = "ACTIVE"


@dataclass
class TaskDefinition:
    """A revision. `document` is what RegisterTaskDefinition was given, with the defaults that AWS adds."""

    family: str
    revision: int
    arn: str
    document: dict[str, Any]
    registered_at: datetime
    registered_by: str
    status: str = "ACTIVE"  # INACTIVE, DELETE_IN_PROGRESS
    deregistered_at: datetime | None = None
    delete_requested_at: datetime | None = None

    @property
    def containers(self) -> list[dict[str, Any]]:
        containers: list[dict[str, Any]] = self.document["containerDefinitions"]
        return containers


@dataclass(kw_only=True)
class Revision:
    """Everything about a service that another deployment or task set may have differently."""

    task_definition: str  # ARN
    launch_type: str | None = "FARGATE"
    strategy: list[dict[str, Any]] = field(default_factory=list)
    platform_version: str = "LATEST"
    network: dict[str, Any] | None = None
    load_balancers: list[dict[str, Any]] = field(default_factory=list)
    registries: list[dict[str, Any]] = field(default_factory=list)


@dataclass(kw_only=True)
class Fleet:
    """The tasks of one revision of a service: what a rolling deployment and a task set have in common."""

    revision: Revision
    status: str  # PRIMARY, ACTIVE, and DRAINING (task set) or INACTIVE (deployment)
    id: str = field(default_factory=new_fleet_id)
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    desired: int = 0
    failures: int = 0  # in a row, since it was last steady
    not_before: float = 0.0  # monotonic: when the next task may start, after failures
    launched: int = 0  # chooses the capacity provider of the next task


@dataclass(kw_only=True)
class TaskSet(Fleet):
    arn: str
    external_id: str | None = None
    started_by: str | None = None
    scale: dict[str, Any] = field(default_factory=lambda: {"value": 0.0, "unit": "PERCENT"})
    stability: str = "STABILIZING"
    stability_at: datetime = field(default_factory=now)


@dataclass(kw_only=True)
class Deployment(Fleet):
    """One rollout of a service with the rolling (`ECS`) controller."""

    failed_tasks: int = 0
    rollout: str = "IN_PROGRESS"  # COMPLETED, FAILED
    reason: str = ""


@dataclass(kw_only=True)
class Service:
    name: str
    arn: str
    cluster_arn: str
    revision: Revision
    controller: str  # ECS, CODE_DEPLOY, EXTERNAL
    desired: int
    deployment_configuration: dict[str, Any]
    created_by: str
    created_at: datetime = field(default_factory=now)
    status: str = "ACTIVE"  # DRAINING, INACTIVE
    scheduling: str = "REPLICA"
    grace: int | None = None  # seconds
    role: str | None = None
    rebalancing: str = "DISABLED"
    execute_command: bool = False
    managed_tags: bool = False
    propagate_tags: str = "NONE"
    placement_constraints: list[dict[str, Any]] = field(default_factory=list)
    placement_strategy: list[dict[str, Any]] = field(default_factory=list)
    client_token: str | None = None
    steady: bool = False
    task_sets: list[TaskSet] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))  # newest first

    @property
    def fleets(self) -> list[Fleet]:
        return [*self.task_sets, *self.deployments]

    def tell(self, message: str) -> None:
        """Adds an event."""
        identifier = new_id()
        dashed = "-".join(identifier[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
        self.events.appendleft({"id": dashed, "createdAt": now(), "message": message})


@dataclass(kw_only=True)
class Container:
    """A container of a task, as DescribeTasks shows it."""

    name: str
    arn: str
    definition: dict[str, Any]
    status: str = "PENDING"
    exit_code: int | None = None
    reason: str | None = None
    runtime_id: str | None = None
    digest: str | None = None
    health: str = "UNKNOWN"


@dataclass(kw_only=True)
class Task:
    id: str
    arn: str
    cluster_arn: str
    region: str
    account: str
    definition: TaskDefinition
    revision: Revision
    group: str
    started_by: str | None
    capacity_provider: str | None
    containers: list[Container]
    overrides: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    execute_command: bool = False
    created_at: datetime = field(default_factory=now)
    desired: str = "RUNNING"
    status: str = "PROVISIONING"
    connected_at: datetime | None = None
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    started_at: datetime | None = None
    stopping_at: datetime | None = None
    execution_stopped_at: datetime | None = None
    stopped_at: datetime | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    availability_zone: str | None = None
    interface: dict[str, str] = field(default_factory=dict)  # details of the ElasticNetworkInterface attachment
    attachment_id: str = field(default_factory=new_id)
    key: str = field(default_factory=secrets.token_urlsafe)  # opens its metadata and credentials, to itself alone
    counted: bool = False  # its failure, by the scheduler
    version: int = 1

    @property
    def address(self) -> str | None:
        """The AWS address, of the subnet's range."""
        return self.interface.get("privateIPv4Address")

    @property
    def health(self) -> str:
        """HEALTHY when every essential container with a health check is, UNHEALTHY when one is not."""
        checked = [
            c.health for c in self.containers if c.definition.get("essential", True) and "healthCheck" in c.definition
        ]
        if "UNHEALTHY" in checked:
            return "UNHEALTHY"
        return "HEALTHY" if checked and set(checked) == {"HEALTHY"} else "UNKNOWN"

    def stop(self, code: str, reason: str) -> None:
        """Asks for its end; the first reason stands."""
        self.desired = "STOPPED"
        if self.stop_code is None:
            self.stop_code, self.stopped_reason, self.stopping_at = code, reason, now()

    def move(self, status: str) -> None:
        self.status = status
        self.version += 1


class EcsTables:
    """Services and tasks by ARN; task definitions by family, then revision."""

    def __init__(self) -> None:
        self.clusters: dict[str, Cluster] = {}
        self.families: dict[str, list[TaskDefinition]] = {}
        self.services: dict[str, Service] = {}
        self.tasks: dict[str, Task] = {}
        self.tags: dict[str, dict[str, str]] = {}  # by ARN
        self.runs: dict[str, list[str]] = {}  # tasks that RunTask started, by client token
        self.settings: dict[tuple[str, str], str] = {}  # (principal ARN or "", name)

    def tasks_of(self, fleet: Fleet, *, live: bool = True) -> list[Task]:
        """Tasks that `fleet` started; `live`: those that have not been asked to stop."""
        return [
            task
            for task in list(self.tasks.values())
            if task.started_by == fleet.id and (not live or (task.desired == "RUNNING" and task.status != "STOPPED"))
        ]

    def definitions_in_use(self) -> set[str]:
        """ARNs of what runs, or what a service would start."""
        running = {task.definition.arn for task in self.tasks.values() if task.status != "STOPPED"}
        services = [service for service in self.services.values() if service.status != "INACTIVE"]
        return running | {r.task_definition for s in services for r in [s.revision, *(f.revision for f in s.fleets)]}

    def definition(self, arn: str) -> TaskDefinition:
        family, _, revision = arn.rpartition("/")[2].partition(":")
        return next(d for d in self.families[family] if d.revision == int(revision))
