"""The API's shapes of what the tables hold."""

from __future__ import annotations

from typing import Any

from emulator.control.ecs.lookup import tag_list
from emulator.control.ecs.tables import (
    Cluster,
    Container,
    Deployment,
    EcsTables,
    Fleet,
    Revision,
    Service,
    Task,
    TaskDefinition,
    TaskSet,
)
from emulator.state.call import Answer

LATEST = "1.4.0"  # the Fargate platform version that LATEST resolves to
WAITING = ("PROVISIONING", "PENDING", "ACTIVATING")


def without_none(shape: dict[str, Any]) -> Answer:
    return {key: value for key, value in shape.items() if value is not None}


def cluster(tables: EcsTables, found: Cluster, include: list[str]) -> Answer:
    """ATTACHMENTS, CONFIGURATIONS, SETTINGS, STATISTICS and TAGS come only when they are asked for."""
    services = [s for s in tables.services.values() if s.cluster_arn == found.arn and s.status == "ACTIVE"]
    tasks = [t for t in tables.tasks.values() if t.cluster_arn == found.arn]
    return without_none({
        "clusterArn": found.arn, "clusterName": found.name, "status": found.status,
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": sum(t.status == "RUNNING" for t in tasks),
        "pendingTasksCount": sum(t.status in WAITING for t in tasks),
        "activeServicesCount": len(services),
        "statistics": _statistics(tasks, services) if "STATISTICS" in include else [],
        "tags": tag_list(tables.tags.get(found.arn, {})) if "TAGS" in include else [],
        "settings": found.settings if "SETTINGS" in include else [],
        "configuration": found.configuration if "CONFIGURATIONS" in include else None,
        "capacityProviders": found.capacity_providers,
        "defaultCapacityProviderStrategy": found.default_strategy,
        "serviceConnectDefaults": found.service_connect_defaults,
    })  # fmt: skip


def _statistics(tasks: list[Task], services: list[Service]) -> list[dict[str, str]]:
    draining = sum(s.status == "DRAINING" for s in services)
    counts = {
        "runningEC2TasksCount": 0, "runningFargateTasksCount": sum(t.status == "RUNNING" for t in tasks),
        "pendingEC2TasksCount": 0, "pendingFargateTasksCount": sum(t.status in WAITING for t in tasks),
        "activeEC2ServiceCount": 0, "activeFargateServiceCount": len(services) - draining,
        "drainingEC2ServiceCount": 0, "drainingFargateServiceCount": draining,
    }  # fmt: skip
    return [{"name": name, "value": str(value)} for name, value in counts.items()]


def task_definition(found: TaskDefinition) -> Answer:
    return without_none({
        **{key: value for key, value in found.document.items() if key != "tags"},
        "taskDefinitionArn": found.arn, "family": found.family, "revision": found.revision, "status": found.status,
        "registeredAt": found.registered_at, "registeredBy": found.registered_by,
        "deregisteredAt": found.deregistered_at, "deleteRequestedAt": found.delete_requested_at,
    })  # fmt: skip


def service(tables: EcsTables, found: Service, include: list[str]) -> Answer:
    tasks = [t for fleet in found.fleets for t in tables.tasks_of(fleet, live=False)]
    revision = found.revision
    return without_none({
        "serviceArn": found.arn, "serviceName": found.name, "clusterArn": found.cluster_arn, "status": found.status,
        "desiredCount": found.desired, "runningCount": running(tasks), "pendingCount": pending(tasks),
        **_revision(revision, with_load_balancers=True),
        "deploymentConfiguration": found.deployment_configuration,
        "deploymentController": {"type": found.controller},
        "taskSets": [task_set(tables, found, each) for each in found.task_sets],
        "deployments": [deployment(tables, each) for each in found.deployments] or _mirrored(tables, found),
        "roleArn": found.role, "events": list(found.events),
        "createdAt": found.created_at, "createdBy": found.created_by,
        "placementConstraints": found.placement_constraints, "placementStrategy": found.placement_strategy,
        "healthCheckGracePeriodSeconds": found.grace, "schedulingStrategy": found.scheduling,
        "tags": tag_list(tables.tags.get(found.arn, {})) if "TAGS" in include else None,
        "enableECSManagedTags": found.managed_tags, "propagateTags": found.propagate_tags,
        "enableExecuteCommand": found.execute_command, "availabilityZoneRebalancing": found.rebalancing,
    })  # fmt: skip


def _mirrored(tables: EcsTables, found: Service) -> list[Answer]:
    """The primary task set of a CODE_DEPLOY service as its one deployment.

    AWS answers an empty list, which makes its own waiter `services_stable` time out (boto/botocore#2865): docs/ecs.md.
    """
    if found.controller != "CODE_DEPLOY":
        return []
    return [deployment(tables, each) for each in found.task_sets if each.status == "PRIMARY"]


def running(tasks: list[Task]) -> int:
    return sum(t.status == "RUNNING" and t.desired == "RUNNING" for t in tasks)


def pending(tasks: list[Task]) -> int:
    return sum(t.status in WAITING and t.desired == "RUNNING" for t in tasks)


def _revision(found: Revision, *, with_load_balancers: bool) -> Answer:
    shape: Answer = {"taskDefinition": found.task_definition, "networkConfiguration": found.network}
    if found.strategy:
        shape["capacityProviderStrategy"] = found.strategy
    else:
        shape["launchType"] = found.launch_type
    if found.launch_type == "FARGATE" or found.strategy:
        shape.update(platformVersion=found.platform_version, platformFamily="Linux")
    if with_load_balancers:
        shape.update(loadBalancers=found.load_balancers, serviceRegistries=found.registries)
    return shape


def deployment(tables: EcsTables, fleet: Fleet) -> Answer:
    tasks = tables.tasks_of(fleet, live=False)
    shape: Answer = {
        "id": fleet.id, "status": fleet.status, "desiredCount": fleet.desired,
        "pendingCount": pending(tasks), "runningCount": running(tasks),
        "createdAt": fleet.created_at, "updatedAt": fleet.updated_at,
        **_revision(fleet.revision, with_load_balancers=False),
    }  # fmt: skip
    if isinstance(fleet, Deployment):
        shape.update(failedTasks=fleet.failed_tasks, rolloutState=fleet.rollout, rolloutStateReason=fleet.reason)
    return without_none(shape)


def task_set(tables: EcsTables, owner: Service, found: TaskSet, include: list[str] | None = None) -> Answer:
    tasks = tables.tasks_of(found, live=False)
    return without_none({
        "id": found.id, "taskSetArn": found.arn, "serviceArn": owner.arn, "clusterArn": owner.cluster_arn,
        "startedBy": found.started_by, "externalId": found.external_id, "status": found.status,
        "computedDesiredCount": found.desired, "pendingCount": pending(tasks), "runningCount": running(tasks),
        "createdAt": found.created_at, "updatedAt": found.updated_at,
        **_revision(found.revision, with_load_balancers=True),
        "scale": found.scale, "stabilityStatus": found.stability, "stabilityStatusAt": found.stability_at,
        "tags": tag_list(tables.tags.get(found.arn, {})) if "TAGS" in (include or []) else [],
    })  # fmt: skip


def task(found: Task, include: list[str]) -> Answer:
    definition = found.definition.document
    return without_none({
        "taskArn": found.arn, "clusterArn": found.cluster_arn, "taskDefinitionArn": found.definition.arn,
        "group": found.group, "startedBy": found.started_by, "version": found.version,
        "desiredStatus": found.desired, "lastStatus": found.status, "healthStatus": found.health,
        "launchType": "FARGATE", "platformVersion": _resolved(found.revision), "platformFamily": "Linux",
        "capacityProviderName": found.capacity_provider,
        "cpu": found.overrides.get("cpu") or definition.get("cpu"),
        "memory": found.overrides.get("memory") or definition.get("memory"),
        "ephemeralStorage": {"sizeInGiB": 20} | definition.get("ephemeralStorage", {}),
        "fargateEphemeralStorage": {"sizeInGiB": 20} | definition.get("ephemeralStorage", {}),
        "availabilityZone": found.availability_zone, "enableExecuteCommand": found.execute_command,
        "attachments": _attachments(found),
        "attributes": [{"name": "ecs.cpu-architecture", "value": _architecture(found)}],
        "containers": [container(found, each) for each in found.containers],
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []} | found.overrides,
        "connectivity": "CONNECTED" if found.connected_at else None, "connectivityAt": found.connected_at,
        "createdAt": found.created_at, "startedAt": found.started_at, "stoppingAt": found.stopping_at,
        "pullStartedAt": found.pull_started_at, "pullStoppedAt": found.pull_stopped_at,
        "executionStoppedAt": found.execution_stopped_at, "stoppedAt": found.stopped_at,
        "stopCode": found.stop_code, "stoppedReason": found.stopped_reason,
        "tags": tag_list(found.tags) if "TAGS" in include else [], "inferenceAccelerators": [],
    })  # fmt: skip


def _resolved(revision: Revision) -> str:
    return LATEST if revision.platform_version == "LATEST" else revision.platform_version


def _architecture(found: Task) -> str:
    return str(found.definition.document.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")).lower()


def _attachments(found: Task) -> list[Answer]:
    if not found.address:
        return []
    ended = found.status in ("DEPROVISIONING", "STOPPED")
    return [{
        "id": found.attachment_id, "type": "ElasticNetworkInterface",
        "status": "DELETED" if ended else "ATTACHED",
        "details": [{"name": name, "value": value} for name, value in found.interface.items()],
    }]  # fmt: skip


def container(owner: Task, found: Container) -> Answer:
    definition = found.definition
    interfaces = [{"attachmentId": owner.attachment_id, "privateIpv4Address": owner.address}] if owner.address else []
    return without_none({
        "containerArn": found.arn, "taskArn": owner.arn, "name": found.name, "image": definition["image"],
        "imageDigest": found.digest, "runtimeId": found.runtime_id, "lastStatus": found.status,
        "exitCode": found.exit_code, "reason": found.reason, "networkBindings": [], "networkInterfaces": interfaces,
        "healthStatus": found.health, "managedAgents": None, "cpu": str(definition.get("cpu", 0)),
        "memory": str(definition["memory"]) if "memory" in definition else None,
        "memoryReservation": str(definition["memoryReservation"]) if "memoryReservation" in definition else None,
    })  # fmt: skip
