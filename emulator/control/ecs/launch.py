"""Makes tasks and task sets out of what was asked for: shared by RunTask, CreateTaskSet and the scheduler."""

from __future__ import annotations

import copy
from typing import Any

from emulator.control.ecs import capacity, errors, lookup
from emulator.control.ecs.tables import Cluster, Container, Revision, Task, TaskDefinition, new_id
from emulator.state.call import AwsError, Call
from emulator.state.store import Store

_PLATFORMS = ("LATEST", "1.4.0", "1.3.0")


def revision(store: Store, call: Call, cluster: Cluster, definition: TaskDefinition) -> Revision:
    """The revision that CreateService, CreateTaskSet or RunTask describes, checked."""
    parameters = call.parameters
    launch_type, strategy = parameters.get("launchType"), parameters.get("capacityProviderStrategy")
    if launch_type and strategy:
        raise errors.invalid("Specifying both a launch type and capacity provider strategy is not supported. Remove one"
                             " and try again.")  # fmt: skip
    if not launch_type and strategy is None:
        strategy = cluster.default_strategy
    complete = capacity.check_strategy(cluster, strategy or [])
    check_launch_type(launch_type, complete, definition)
    platform = parameters.get("platformVersion") or "LATEST"
    if platform not in _PLATFORMS:
        raise AwsError("PlatformUnknownException", "The specified platform does not exist.")
    return Revision(
        task_definition=definition.arn,
        launch_type=None if complete else launch_type or "EC2",
        strategy=complete,
        platform_version=platform,
        network=network(parameters.get("networkConfiguration"), definition),
        load_balancers=parameters.get("loadBalancers") or [],
        registries=parameters.get("serviceRegistries") or [],
    )


def check_launch_type(launch_type: str | None, strategy: list[dict[str, Any]], definition: TaskDefinition) -> None:
    """What runs on Fargate must be able to; nothing runs on EC2 here, which has no container instances."""
    on_fargate = launch_type == "FARGATE" or bool(strategy)
    wanted = definition.document.get("requiresCompatibilities") or ["EC2", "FARGATE"]
    if on_fargate and not {"FARGATE"} <= {*wanted} & {*definition.document["compatibilities"]}:
        raise errors.invalid("Task definition does not support launch_type FARGATE.")
    if not on_fargate and launch_type != "EXTERNAL" and "EC2" not in wanted:
        raise errors.invalid("Task definition does not support launch_type EC2.")
    if launch_type == "EXTERNAL":
        raise AwsError("UnsupportedFeatureException", "The emulator has no ECS Anywhere: launchType EXTERNAL.")


def network(given: dict[str, Any] | None, definition: TaskDefinition) -> dict[str, Any] | None:
    """networkConfiguration as AWS keeps it; required by awsvpc and by nothing else."""
    wanted = definition.document.get("networkMode") == "awsvpc"
    if wanted and not (given and given.get("awsvpcConfiguration")):
        raise errors.invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if not given or not given.get("awsvpcConfiguration"):
        return None
    if not wanted:
        raise errors.invalid("Network Configuration is not valid for the given networkMode of this task definition.")
    vpc = copy.deepcopy(given["awsvpcConfiguration"])
    if not vpc.get("subnets"):
        raise errors.invalid("subnets can not be empty.")
    if len(vpc["subnets"]) > 16:
        raise errors.invalid("subnets can have at most 16 items.")
    return {"awsvpcConfiguration": {"securityGroups": [], "assignPublicIp": "DISABLED"} | vpc}


def check_subnets(store: Store, call: Call, found: Revision) -> None:
    """The subnets and security groups must exist."""
    if not found.network:
        return
    vpc = found.network["awsvpcConfiguration"]
    ec2 = store.clients("ec2", call.region)
    known = {s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]}
    for subnet in vpc["subnets"]:
        if subnet not in known:
            raise errors.invalid(f"Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does"
                                 " not exist (ErrorCode: InvalidSubnetID.NotFound)")  # fmt: skip
    groups = (
        {g["GroupId"] for g in ec2.describe_security_groups()["SecurityGroups"]} if vpc["securityGroups"] else set()
    )
    for group in vpc["securityGroups"]:
        if group not in groups:
            raise errors.invalid(f"Error retrieving security group information for [{group}]: The security group"
                                 f" '{group}' does not exist (ErrorCode: InvalidGroup.NotFound)")  # fmt: skip


def new_task(cluster: Cluster, definition: TaskDefinition, found: Revision, **fields: Any) -> Task:
    """A task that the loop will start. `fields`: what Task has beside these."""
    prefix, _, _ = cluster.arn.partition(":cluster/")
    _, _, _, region, account = prefix.split(":")
    identifier = new_id()
    return Task(
        id=identifier,
        arn=f"{prefix}:task/{cluster.name}/{identifier}",
        cluster_arn=cluster.arn,
        region=region,
        account=account,
        definition=definition,
        revision=found,
        containers=[_container(prefix, cluster, identifier, each) for each in definition.containers],
        **fields,
    )


def _container(prefix: str, cluster: Cluster, task: str, definition: dict[str, Any]) -> Container:
    arn = f"{prefix}:container/{cluster.name}/{task}/{new_id()}"
    return Container(name=definition["name"], arn=arn, definition=definition)


def task_tags(store: Store, propagate: str, definition: TaskDefinition, service_arn: str | None) -> dict[str, str]:
    """The tags that `propagateTags` gives a task."""
    tags = lookup.tables(store).tags
    if propagate == "TASK_DEFINITION":
        return dict(tags.get(definition.arn, {}))
    return dict(tags.get(service_arn or "", {})) if propagate == "SERVICE" else {}
