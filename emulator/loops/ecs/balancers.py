"""Tasks as targets: registered while they run, drained before they stop, and what the load balancer says of them."""

from __future__ import annotations

import logging
import time

from botocore.exceptions import ClientError

from emulator.control.ecs.tables import EcsTables, Service, Task
from emulator.state.store import Store
from emulator.state.targets import Health, Target, Targets

log = logging.getLogger("emulator.ecs")

_NOT_YET = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
_ASK_EVERY = 1.0  # seconds; only about targets of which the proxy said nothing yet


class Balancers:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._asked: dict[str, tuple[float, dict[Target, Health]]] = {}

    def targets(self, task: Task) -> list[Target]:
        if not task.address:
            return []
        return [(b["targetGroupArn"], task.address, int(b["containerPort"])) for b in task.revision.load_balancers]

    def register(self, task: Task) -> None:
        """Raises ClientError when a target group is gone."""
        for group, address, port in self.targets(task):
            elb = self._store.clients("elbv2", group.split(":")[3])
            elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address, "Port": port}])
            self._tell(task, f"registered 1 targets in (target-group {group})")

    def deregister(self, task: Task) -> None:
        for group, address, port in self.targets(task):
            elb = self._store.clients("elbv2", group.split(":")[3])
            try:
                elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": address, "Port": port}])
            except ClientError as error:  # the group was deleted first, or somebody else deregistered it
                log.info("deregistration of %s: %s", address, error)
                continue
            self._tell(task, f"deregistered 1 targets in (target-group {group})")

    def _tell(self, task: Task, message: str) -> None:
        service = service_of(self._store, task)
        if service:
            with self._store.lock:
                service.tell(f"{name_of(service, task)} {message}")

    def drained(self, task: Task) -> bool:
        """Whether no open request is left at what was deregistered."""
        with self._store.lock:
            draining = self._store.table(Targets).draining
            return not any(target in draining for target in self.targets(task))

    def health(self, target: Target) -> Health:
        """What the load balancer says of a target; `unused` when nothing forwards to its group."""
        found = self._store.table(Targets).health.get(target)
        return found or self._ask(target[0]).get(target, _NOT_YET)

    def _ask(self, group: str) -> dict[Target, Health]:
        moment, known = self._asked.get(group, (0.0, {}))
        if time.monotonic() - moment < _ASK_EVERY:
            return known
        elb = self._store.clients("elbv2", group.split(":")[3])
        try:
            answers = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        except ClientError:
            answers = []
        known = {}
        for answer in answers:
            target, health = answer["Target"], answer["TargetHealth"]
            known[group, target["Id"], int(target["Port"])] = Health(
                health["State"], health.get("Reason", ""), health.get("Description", "")
            )
        self._asked[group] = (time.monotonic(), known)
        return known


def service_of(store: Store, task: Task) -> Service | None:
    if not task.group.startswith("service:"):
        return None
    cluster = task.cluster_arn.rpartition("/")[2]
    arn = f"{task.cluster_arn.partition(':cluster/')[0]}:service/{cluster}/{task.group.removeprefix('service:')}"
    return store.table(EcsTables).services.get(arn)


def name_of(service: Service, task: Task) -> str:
    """How events call what a task belongs to."""
    if service.controller == "ECS":
        return f"(service {service.name})"
    return f"(service {service.name}, taskSet {task.started_by})"
