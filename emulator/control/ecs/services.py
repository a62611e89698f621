"""Services: what CreateService, UpdateService and DeleteService write down; the loop makes it true."""

from __future__ import annotations

import math
from typing import Any

from emulator.control.ecs import errors, launch, lookup, service_rules, shapes
from emulator.control.ecs.tables import Cluster, Deployment, Revision, Service, TaskDefinition, TaskSet, now
from emulator.state.call import Answer, Call
from emulator.state.store import Store


def create_service(store: Store, call: Call) -> Answer:
    parameters = call.parameters
    cluster = lookup.cluster(store, call)
    lookup.check_name(parameters["serviceName"], "Service")
    controller = service_rules.controller_of(parameters)
    definition = _definition(store, parameters, controller)
    service_rules.check_create(call, definition)
    revision = launch.revision(store, call, cluster, definition) if definition else _external(parameters)
    service_rules.check_target_groups(store, call, revision.load_balancers)
    launch.check_subnets(store, call, revision)
    with store.change():
        tables = lookup.tables(store)
        arn = lookup.service_arn(call, cluster.name, parameters["serviceName"])
        if before := _idempotent(tables.services.get(arn), parameters):
            return {"service": shapes.service(tables, before, ["TAGS"])}
        found = _new(call, cluster, arn, revision, controller)
        tables.services[arn] = found
        tables.tags[arn] = lookup.tags_of(parameters.get("tags"))
        _first_fleet(found, call, cluster)
        return {"service": shapes.service(tables, found, ["TAGS"])}


def _definition(store: Store, parameters: dict[str, Any], controller: str) -> TaskDefinition | None:
    if parameters.get("taskDefinition"):
        return lookup.active_task_definition(store, parameters["taskDefinition"])
    if controller != "EXTERNAL":
        raise errors.invalid("TaskDefinition can not be blank.")
    return None


def _external(parameters: dict[str, Any]) -> Revision:
    return Revision(task_definition="", launch_type=None, load_balancers=parameters.get("loadBalancers") or [])


def _idempotent(before: Service | None, parameters: dict[str, Any]) -> Service | None:
    """The service that is there, when this is the same call again (by its client token)."""
    if not before or before.status == "INACTIVE":
        return None
    if before.status == "DRAINING":
        raise errors.invalid("Unable to Start a service that is still Draining.")
    if before.client_token and before.client_token == parameters.get("clientToken"):
        return before
    raise errors.invalid("Creation of service was not idempotent.")


def _new(call: Call, cluster: Cluster, arn: str, revision: Revision, controller: str) -> Service:
    given = call.parameters
    balanced = bool(revision.load_balancers)
    return Service(
        name=given["serviceName"], arn=arn, cluster_arn=cluster.arn, revision=revision, controller=controller,
        desired=given.get("desiredCount") or 0, created_by=f"arn:aws:iam::{call.account}:root",
        deployment_configuration=service_rules.deployment_configuration(
            given.get("deploymentConfiguration"), controller
        ),
        grace=given.get("healthCheckGracePeriodSeconds", 0 if balanced else None),
        role=_role(call, revision), rebalancing=given.get("availabilityZoneRebalancing") or "DISABLED",
        execute_command=bool(given.get("enableExecuteCommand")), managed_tags=bool(given.get("enableECSManagedTags")),
        propagate_tags=given.get("propagateTags") or "NONE",
        placement_constraints=given.get("placementConstraints") or [],
        placement_strategy=given.get("placementStrategy") or [], client_token=given.get("clientToken"),
    )  # fmt: skip


def _role(call: Call, revision: Revision) -> str | None:
    """The service-linked role, for what needs one."""
    if call.parameters.get("role"):
        return str(call.parameters["role"])
    if not (revision.network or revision.load_balancers):
        return None
    return f"arn:aws:iam::{call.account}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"


def _first_fleet(found: Service, call: Call, cluster: Cluster) -> None:
    """A rolling deployment; for CodeDeploy a task set at 100 percent, which its first deployment calls original."""
    if found.controller == "ECS":
        found.deployments.append(new_deployment(found, found.revision))
    elif found.controller == "CODE_DEPLOY":
        full = {"value": 100.0, "unit": "PERCENT"}
        found.task_sets.append(
            new_task_set(found, cluster, found.revision, status="PRIMARY", scale=full, started_by="ECS")
        )


def new_deployment(found: Service, revision: Revision, **fields: Any) -> Deployment:
    deployment = Deployment(revision=revision, status="PRIMARY", desired=found.desired, **fields)
    deployment.reason = f"ECS deployment {deployment.id} in progress."
    found.steady = False
    return deployment


def new_task_set(found: Service, cluster: Cluster, revision: Revision, **fields: Any) -> TaskSet:
    made = TaskSet(revision=revision, arn="", **fields)
    prefix = found.arn.partition(":service/")[0]
    made.arn = f"{prefix}:task-set/{cluster.name}/{found.name}/{made.id}"
    made.desired = scaled(found.desired, made.scale)
    found.steady = False
    return made


def scaled(desired: int, scale: dict[str, Any]) -> int:
    """computedDesiredCount: the percentage of the service's count, rounded up."""
    return math.ceil(desired * float(scale["value"]) / 100)


def update_service(store: Store, call: Call) -> Answer:
    parameters = call.parameters
    cluster = lookup.cluster(store, call)
    found = lookup.active_service(store, call)
    service_rules.check_update(found, parameters)
    revision = _updated(store, call, cluster, found)
    with store.change():
        _set_options(found, parameters)
        if parameters.get("desiredCount") is not None:
            set_desired(found, parameters["desiredCount"])
        if revision != found.revision or parameters.get("forceNewDeployment"):
            roll(found, revision)
        return {"service": shapes.service(lookup.tables(store), found, ["TAGS"])}


def _updated(store: Store, call: Call, cluster: Cluster, found: Service) -> Revision:
    """The service's revision with what the call changes."""
    given = call.parameters
    changes = ("taskDefinition", "networkConfiguration", "platformVersion", "capacityProviderStrategy", "loadBalancers",
               "serviceRegistries")  # fmt: skip
    before = found.revision
    if found.controller != "ECS" or not any(given.get(key) is not None for key in changes):
        return before
    definition = lookup.active_task_definition(store, given.get("taskDefinition") or before.task_definition)
    strategy = given.get("capacityProviderStrategy")
    merged = {
        "launchType": None if strategy or before.strategy else before.launch_type,
        "capacityProviderStrategy": strategy if strategy is not None else before.strategy or None,
        "platformVersion": given.get("platformVersion") or before.platform_version,
        "networkConfiguration": given.get("networkConfiguration") or before.network,
        "loadBalancers": given["loadBalancers"] if given.get("loadBalancers") is not None else before.load_balancers,
        "serviceRegistries": given.get("serviceRegistries") or before.registries,
    }
    wanted = Call(call.service, call.operation, merged, call.account, call.region, call.access_key, call.forward)
    revision = launch.revision(store, wanted, cluster, definition)
    service_rules.check_balancers(revision.load_balancers, definition)
    if revision.load_balancers != before.load_balancers:
        service_rules.check_target_groups(store, call, revision.load_balancers)
    if revision.network != before.network:
        launch.check_subnets(store, call, revision)
    return revision


def _set_options(found: Service, given: dict[str, Any]) -> None:
    if given.get("deploymentConfiguration"):
        found.deployment_configuration = service_rules.deployment_configuration(
            given["deploymentConfiguration"], found.controller, found.deployment_configuration
        )
    if given.get("healthCheckGracePeriodSeconds") is not None:
        service_rules.check_grace(given["healthCheckGracePeriodSeconds"], bool(found.revision.load_balancers))
        found.grace = given["healthCheckGracePeriodSeconds"]
    if given.get("enableExecuteCommand") is not None:
        found.execute_command = given["enableExecuteCommand"]
    if given.get("enableECSManagedTags") is not None:
        found.managed_tags = given["enableECSManagedTags"]
    found.propagate_tags = given.get("propagateTags") or found.propagate_tags
    found.rebalancing = given.get("availabilityZoneRebalancing") or found.rebalancing
    if given.get("placementConstraints") is not None:
        found.placement_constraints = given["placementConstraints"]
    if given.get("placementStrategy") is not None:
        found.placement_strategy = given["placementStrategy"]


def set_desired(found: Service, count: int) -> None:
    """The new count, and each task set's share of it."""
    if count != found.desired:
        found.steady = False
    found.desired = count
    for task_set in found.task_sets:
        if task_set.status != "DRAINING":
            task_set.desired = scaled(count, task_set.scale)
            task_set.updated_at = now()
    for deployment in found.deployments:
        if deployment.status == "PRIMARY":
            deployment.desired = count
            deployment.updated_at = now()


def roll(found: Service, revision: Revision, **fields: Any) -> None:
    """A new primary deployment; the loop replaces the tasks of the older ones step by step."""
    for before in found.deployments:
        before.status = "ACTIVE"
    found.revision = revision
    found.deployments.insert(0, new_deployment(found, revision, **fields))


def delete_service(store: Store, call: Call) -> Answer:
    """Drains: the loop stops its tasks, and it is INACTIVE when the last one has gone."""
    with store.change():
        found = lookup.service(store, call)
        if found.status == "INACTIVE":
            raise errors.service_not_found()
        force = bool(call.parameters.get("force"))
        if found.desired > 0 and not force:
            raise errors.invalid("The service cannot be stopped while it is scaled above 0.")
        if found.controller == "EXTERNAL" and found.task_sets and not force:
            raise errors.invalid("The service cannot be stopped while the primary deployment is scaled above 0.")
        set_desired(found, 0)
        found.status = "DRAINING"
        for task_set in found.task_sets:
            task_set.status, task_set.desired = "DRAINING", 0
        for deployment in found.deployments:
            deployment.desired = 0
        return {"service": shapes.service(lookup.tables(store), found, ["TAGS"])}


def describe_services(store: Store, call: Call) -> Answer:
    names = call.parameters["services"]
    if not names:
        raise errors.invalid("Services cannot be empty.")
    if len(names) > 10:
        raise errors.invalid("Services can have at most 10 items.")
    with store.lock:
        tables = lookup.tables(store)
        cluster = lookup.cluster(store, call)
        arns = list(dict.fromkeys(lookup.service_arn(call, cluster.name, name) for name in names))
        include = call.parameters.get("include") or []
        return {
            "services": [
                shapes.service(tables, tables.services[arn], include) for arn in arns if arn in tables.services
            ],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns if arn not in tables.services],
        }


def list_services(store: Store, call: Call) -> Answer:
    with store.lock:
        cluster = lookup.cluster(store, call)
        found = [
            service.arn
            for service in lookup.tables(store).services.values()
            if service.cluster_arn == cluster.arn
            and service.status != "INACTIVE"
            and call.parameters.get("launchType") in (None, "", service.revision.launch_type)
            and call.parameters.get("schedulingStrategy") in (None, "", service.scheduling)
        ]
        return lookup.page(call, found, "serviceArns")
