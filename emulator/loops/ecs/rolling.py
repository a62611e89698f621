"""The rolling (`ECS`) deployment controller: how many tasks old and new deployments may have at this moment.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
"""

from __future__ import annotations

import math
from collections.abc import Callable

from emulator.control.ecs.tables import Deployment, EcsTables, Service, Task, now
from emulator.loops.ecs import announcements
from emulator.state.store import Store

Healthy = Callable[[Task], bool]


def counts(store: Store, service: Service, healthy: Healthy) -> dict[str, int]:
    """Tasks by deployment id; first advances the deployments (completed, failed, rolled back) where they are due."""
    if not service.deployments or service.status != "ACTIVE":
        return {}
    _advance(store, service, healthy)
    primary, *older = service.deployments
    if not older and primary.rollout == "COMPLETED":
        return {}
    tables = store.table(EcsTables)
    tasks = {deployment.id: tables.tasks_of(deployment) for deployment in service.deployments}
    if primary.rollout == "FAILED":  # and not rolled back: what runs stays, nothing new begins
        return {identifier: len(found) for identifier, found in tasks.items()}
    return _shares(service, tasks, healthy)


def _shares(service: Service, tasks: dict[str, list[Task]], healthy: Healthy) -> dict[str, int]:
    primary, *older = service.deployments
    configuration = service.deployment_configuration
    ceiling = math.floor(service.desired * configuration["maximumPercent"] / 100)
    floor = math.ceil(service.desired * configuration["minimumHealthyPercent"] / 100)
    new = tasks[primary.id]
    old = [task for deployment in older for task in tasks[deployment.id]]
    fit = sum(healthy(task) for task in old)
    # What is not healthy serves nobody; of the healthy as many may go as all together are more than the floor.
    spare = max(0, fit + sum(healthy(task) for task in new) - floor)
    keep = max(0, fit - spare)
    shares = {primary.id: min(service.desired, max(len(new), ceiling - len(old)))}
    for deployment in older:
        deployment.desired = shares[deployment.id] = min(keep, len(tasks[deployment.id]))
        keep -= deployment.desired
    return shares


def _advance(store: Store, service: Service, healthy: Healthy) -> None:
    primary, *older = service.deployments
    if primary.rollout != "IN_PROGRESS":
        return
    tables = store.table(EcsTables)
    fit = sum(healthy(task) for task in tables.tasks_of(primary))
    left = [task for each in older for task in tables.tasks_of(each, live=False) if task.status != "STOPPED"]
    if fit == primary.desired and not left:
        with store.change():
            primary.rollout, primary.reason = "COMPLETED", f"ECS deployment {primary.id} completed."
            primary.updated_at = now()
            service.tell(f"(service {service.name}) (deployment {primary.id}) deployment completed.")
            announcements.deployment_changed(store, service, primary)
    elif _broken(service, primary):
        with store.change():
            _fail(service, primary)
            announcements.deployment_changed(store, service, primary)


def _broken(service: Service, deployment: Deployment) -> bool:
    """The circuit breaker: half of the desired tasks failed, at least 3 and at most 200."""
    breaker = service.deployment_configuration.get("deploymentCircuitBreaker") or {}
    threshold = min(200, max(3, math.ceil(service.desired * 0.5)))
    return bool(breaker.get("enable")) and deployment.failed_tasks >= threshold


def _fail(service: Service, failed: Deployment) -> None:
    failed.rollout, failed.updated_at = "FAILED", now()
    failed.reason = "ECS deployment circuit breaker: tasks failed to start."
    service.tell(f"(service {service.name}) (deployment {failed.id}) deployment failed: tasks failed to start.")
    completed = next((each for each in service.deployments if each.rollout == "COMPLETED"), None)
    if not service.deployment_configuration["deploymentCircuitBreaker"].get("rollback") or completed is None:
        return
    service.deployments.remove(completed)
    service.deployments.insert(0, completed)
    failed.status, failed.desired = "ACTIVE", 0
    completed.status, completed.desired, completed.rollout = "PRIMARY", service.desired, "IN_PROGRESS"
    completed.reason = f"ECS deployment circuit breaker: rolling back to deploymentId {completed.id}."
    completed.updated_at = now()
    service.revision = completed.revision
    service.tell(f"(service {service.name}) rolling back to deployment {completed.id}.")
